# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Markers of defects on an image."""

import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

from hs_rvae.plots import plot_defects


@pytest.fixture
def defects():
    return pd.DataFrame(
        {
            "kind": ["vacancy", "substitution", "substitution", "interstitial", "vacancy"],
            "x": [10.0, 20.0, 30.0, 40.0, 50.0],
            "y": [5.0, 15.0, 25.0, 35.0, 45.0],
            "ratio": [0.0, 1.3, 0.75, 0.4, 0.1],
        }
    )


def drawn(ax):
    return {line.get_gid(): line for line in ax.lines if str(line.get_gid()).startswith("defects")}


def test_each_kind_has_its_open_marker_where_it_lies(image, defects):
    signal = hs.signals.Signal2D(image)
    for axis, offset in zip(signal.axes_manager.signal_axes, (1.0, -2.0), strict=True):
        axis.units, axis.scale, axis.offset = "nm", 0.02, offset
    ax = plot_defects(signal, defects)
    lines = drawn(ax)
    assert [*lines] == [
        "defects vacancy", "defects brighter", "defects fainter", "defects interstitial"
    ]  # fmt: skip
    np.testing.assert_allclose(lines["defects vacancy"].get_xdata(), [1.2, 2.0])
    np.testing.assert_allclose(lines["defects vacancy"].get_ydata(), [-1.9, -1.1])
    np.testing.assert_allclose(lines["defects brighter"].get_xdata(), [1.4])
    assert all(line.get_markerfacecolor() == "none" for line in lines.values())
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["Vacancies (2)", "Brighter (1)", "Fainter (1)", "Additional (1)"]


def test_without_defects_the_image_is_drawn(image, defects):
    ax = plot_defects(image, defects.iloc[:0])
    assert not drawn(ax) and ax.get_legend() is None and len(ax.images) == 1
    assert plot_defects(image, defects, legend=False).get_legend() is None


def test_another_table_is_refused(image):
    with pytest.raises(ValueError, match="no column 'kind'"):
        plot_defects(image, pd.DataFrame({"x": [1.0], "y": [1.0]}))
