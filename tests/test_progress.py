# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress bars and messages after Ctrl-C."""

import hyperspy.api as hs
import pytest

import hs_rvae
from hs_rvae.progress import explain_interruption, progress_bar, progressbar_wanted
from hs_rvae.refinement import fitting


@pytest.mark.parametrize("preference", [True, False])
def test_hyperspys_preference_decides_unless_the_user_does(monkeypatch, capfd, preference):
    monkeypatch.setattr(hs.preferences.General, "show_progressbar", preference)
    assert progressbar_wanted(None) is preference
    assert progressbar_wanted(True) and not progressbar_wanted(False)
    assert list(progress_bar("Counting", iterable=range(3))) == [0, 1, 2]
    assert ("Counting" in capfd.readouterr().err) is preference


def test_an_interruption_is_explained_once_nearest_to_the_work():
    with pytest.raises(KeyboardInterrupt, match="^inner$"):
        with explain_interruption("outer"), explain_interruption("inner"):
            raise KeyboardInterrupt
    with pytest.raises(ValueError, match="as it was"):
        with explain_interruption("outer"):
            raise ValueError("as it was")


def test_an_interrupted_refinement_changes_nothing_and_closes_its_bar(monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "in_threads", interrupt)
    image, truth = hs_rvae.simulation.simulate_perovskite((128, 128), random_state=0)
    message = "Refining columns was interrupted: nothing has been changed"
    with pytest.raises(KeyboardInterrupt, match=message):
        hs_rvae.refine_columns(image, truth.b_sites, show_progressbar=True)
