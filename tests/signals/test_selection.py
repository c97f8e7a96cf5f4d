# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites chosen by mask, number or region of interest."""

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack
from hs_rvae.signals.selection import inside_roi


def assert_chosen(chosen, stack, index):
    assert type(chosen) is type(stack) and chosen.image is stack.image
    np.testing.assert_array_equal(np.asarray(chosen.data), np.asarray(stack.data)[index])
    np.testing.assert_array_equal(chosen.sites.xy, stack.sites.xy[index])
    axis = chosen.axes_manager.navigation_axes[0]
    assert (axis.size, axis.offset, axis.scale) == (len(index), 0, 1)


def test_a_mask_chooses_sites(stack):
    stack = stack.inav[3:]
    mask = stack.sites["x"] > 100
    index = np.flatnonzero(mask)
    assert 0 < len(index) < len(mask)
    as_signal = hs.signals.BaseSignal(mask).T
    for sites in (mask, mask.tolist(), as_signal):
        assert_chosen(stack.select_sites(sites), stack, index)


@pytest.mark.parametrize("index", [[3, 4, 10], [-1, 0, 7, 7], np.array([5]), range(4, 9)], ids=str)
def test_numbers_choose_sites_in_their_order(stack, index):
    assert_chosen(stack.select_sites(index), stack, np.asarray(index))


def test_a_selection_can_be_sliced_and_selected_again(stack):
    chosen = stack.select_sites(np.arange(53, 3, -1)).inav[10:20].select_sites([2, 0])
    np.testing.assert_array_equal(
        chosen.sites["site_index"], stack.sites["site_index"][[53 - 12, 53 - 10]]
    )


ROIS = [
    # The image's origin is at (3, -1) nm and its pixels are 0.02 nm.
    (hs.roi.RectangularROI(3.5, -0.6, 5.7, 0.3), lambda x, y: (x < 135) & (x > 25) & (y < 65)),
    (hs.roi.CircleROI(5.0, 0.6, 0.7), lambda x, y: np.hypot(x - 100, y - 80) <= 35),
    (hs.roi.CircleROI(5.0, 0.6, 0.7, 0.5), lambda x, y: abs(np.hypot(x - 100, y - 80) - 30) <= 5),
    (hs.roi.PolygonROI([(3, -1), (6.5, -1), (3, 1.6)]), lambda x, y: x / 175 + y / 130 < 1),
]


@pytest.mark.parametrize(("roi", "inside"), ROIS, ids=lambda p: type(p).__name__)
def test_a_region_on_the_image_chooses_the_sites_inside(stack, roi, inside):
    x, y = stack.sites.xy.T
    index = np.flatnonzero(inside(x, y) & (y > 20))
    assert 0 < len(index) < 54
    assert_chosen(stack.select_sites(roi), stack, index)
    # The image's origin is kept in the table for the time when the image is not at hand.
    stack.image = None
    assert_chosen(stack.select_sites(roi), stack, index)


def test_left_and_top_edges_belong_to_a_rectangle():
    xy = np.array([[0.0, 0.0], [1.0, 0.5], [0.5, 1.0], [0.99, 0.99]])
    inside = inside_roi(hs.roi.RectangularROI(0, 0, 1, 1), xy)
    np.testing.assert_array_equal(inside, [True, False, False, True])


@pytest.mark.parametrize(
    ("sites", "error", "match"),
    [
        ([True, False], ValueError, "mask of 2 values for 54 sites"),
        (np.zeros(54, bool), ValueError, "chooses no site"),
        ([], ValueError, "chooses no site"),
        ([3, 54], IndexError, "site 54, but there are 54 sites"),
        ([-55], IndexError, "site -55"),
        ([1.0, 2.0], TypeError, "float64: pass a boolean mask"),
        (np.zeros((2, 54), bool), ValueError, "one value per site"),
        (3, ValueError, "list of site numbers"),
        (hs.roi.RectangularROI(50, 50, 51, 51), ValueError, "chooses no site"),
        (hs.roi.RectangularROI(), ValueError, "RectangularROI has no defined region"),
        (hs.roi.SpanROI(1, 2), TypeError, "SpanROI does not enclose sites"),
        (hs.roi.Line2DROI(0, 0, 1, 1), TypeError, "Line2DROI does not enclose sites"),
    ],
    ids=str,
)
def test_a_selection_without_meaning_is_refused(stack, sites, error, match):
    with pytest.raises(error, match=match):
        stack.select_sites(sites)


def test_a_single_site_has_nothing_to_select(stack):
    with pytest.raises(ValueError, match="no navigation axis: keep the axis"):
        stack.inav[3].select_sites([0])


def test_without_table_numbers_choose_but_regions_do_not():
    bare = SubImageStack(np.arange(5.0)[:, None, None] * np.ones((16, 16)))
    assert bare.select_sites([4, 1]).data[:, 0, 0].tolist() == [4.0, 1.0]
    with pytest.raises(ValueError, match="A ROI needs the site table"):
        bare.select_sites(hs.roi.CircleROI(1, 1, 1))
