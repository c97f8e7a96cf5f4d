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


@pytest.mark.slow
def test_bars_reach_their_total_and_count_what_they_name(monkeypatch):
    from hyperspy.external import progressbar

    bars = []
    make = progressbar.progressbar

    def recorded(*args, **kwargs):
        bars.append(make(*args, **kwargs))
        return bars[-1]

    monkeypatch.setattr(progressbar, "progressbar", recorded)
    image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
    lattice = hs_rvae.find_sublattices(image, show_progressbar=True)
    count = sum(len(one.column_table) for one in lattice.sublattice_list)
    (refining,) = (bar for bar in bars if "Refining" in bar.desc)
    assert "(3 fits each)" in refining.desc and refining.total == 3 * count
    stack = hs_rvae.SubImageStack.from_positions(
        image, truth.b_sites, window_size=32, show_progressbar=True
    )
    stack.rvae(epochs=2, n_init=1, random_state=0, show_progressbar=True)
    assert len(bars) > 3
    for bar in bars:
        assert bar.n == bar.total > 0, bar.desc
