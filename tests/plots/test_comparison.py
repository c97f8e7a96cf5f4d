# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings side by side."""

import numpy as np
import pytest

from hs_rvae import SiteTable
from hs_rvae.plots import plot_comparison


@pytest.fixture
def panel():
    y, x = np.indices((5, 6)) * 20.0
    columns = {"x": x.ravel(), "y": y.ravel(), "latent_0": x.ravel() / 50 - 1}
    columns["angle"] = np.arctan2(y - 40, x - 40).ravel()
    sites = SiteTable.from_columns(columns, units={"angle": "rad"})
    images = np.random.default_rng(0).random((2, 3, 8, 8))
    return {"sites": sites, "manifold": (images, np.arange(2.0), np.arange(3.0))}


def test_every_setting_has_a_column_and_every_question_a_row(panel):
    figure = plot_comparison({"one": panel, "two": panel, "three": panel})
    axes = np.array(figure.axes[:12]).reshape(4, 3)
    assert [ax.get_title() for ax in axes[0]] == ["one", "two", "three"]
    assert axes[2, 0].get_xlabel() == "Angle (°)"
    assert axes[3, 1].get_xlabel() == "Latent 0"
    # Scales are common: only the last column shows the bars.
    assert [len(ax.child_axes) > 0 for ax in axes[0]] == [False, False, True]


def test_what_a_setting_lacks_is_said(panel):
    sites = SiteTable.from_columns({name: panel["sites"][name] for name in ("x", "y", "latent_0")})
    figure = plot_comparison({"without rotation": panel | {"sites": sites}})
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert "no angle" in texts


def test_unusable_options_are_refused(panel):
    with pytest.raises(ValueError, match="panels is empty"):
        plot_comparison({})
    with pytest.raises(ValueError, match=r"rows=\('map',\): take some of 'angle'"):
        plot_comparison({"one": panel}, rows=("map",))


def test_a_distortion_is_drawn_or_the_reason_for_none(panel):
    changes = np.ones((4, 8, 8))
    distorted = panel | {"distortion": (changes, changes, np.arange(4) * np.pi / 2)}
    other = panel | {"distortion": "The whole motif turns."}
    figure = plot_comparison({"one": distorted, "two": other}, rows=("angle", "distortion"))
    lower = figure.axes[2:4]
    assert len(lower[0].images) == 2
    assert [text.get_text() for text in lower[1].texts] == ["The whole motif turns."]
