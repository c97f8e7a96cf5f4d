# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
from types import SimpleNamespace

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from hs_rvae.plots import plot_image, plot_sub_image, plot_sublattices
from hs_rvae.plots.panels import coarse_images


@pytest.fixture
def signal(image):
    signal = hs.signals.Signal2D(image)
    for axis, offset in zip(signal.axes_manager.signal_axes, (1.0, -2.0), strict=True):
        axis.units, axis.scale, axis.offset = "nm", 0.02, offset
    return signal


def limits(ax):
    return [*ax.get_xlim(), *ax.get_ylim()]


def test_the_image_has_the_orientation_of_its_own_plot(signal):
    signal.plot()
    theirs = plt.gcf().axes[0]
    ax = plot_image(signal)
    np.testing.assert_allclose(limits(ax), limits(theirs))
    np.testing.assert_allclose(ax.images[0].get_extent(), theirs.images[0].get_extent())
    np.testing.assert_array_equal(ax.images[0].get_array(), signal.data)


def test_a_region_is_drawn_with_its_own_grey_scale(signal):
    signal.data[:100] += 50
    roi = hs.roi.RectangularROI(left=2, top=1, right=4, bottom=3)
    for region in (roi, (2, 1, 4, 3)):
        ax = plot_image(signal, region=region)
        np.testing.assert_allclose(limits(ax), [2, 4, 3, 1])
        assert ax.images[0].norm.vmax < 2
    assert plot_image(signal).images[0].norm.vmax > 50


def test_boxes_frame_what_a_region_shows(signal, artist_by_gid):
    box = artist_by_gid(plot_image(signal, boxes=[(2, 1, 4, 3)]), "box")
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((2, 1), 2, 2)


def test_the_scale_bar_has_the_unit_of_the_image(signal, image, artist_by_gid):
    for drawn, unit in ((signal, "nm"), (image, "px")):
        ax = plot_image(drawn, scale_bar="upper left")
        assert artist_by_gid(ax, "scale bar").txt_label.get_text().endswith(unit)
        bar = artist_by_gid(plot_image(drawn), "scale bar")
        assert bar.findobj(Text)[0].get_text().endswith(unit)
        assert bar.get_window_extent().y1 < bar.axes.get_window_extent().y0
    with pytest.raises(ValueError, match="scale_bar='middle' is not a corner: take one of"):
        plot_image(image, scale_bar="middle")
    assert not any(a.get_gid() == "scale bar" for a in plot_image(image, scale_bar=False).artists)


def test_lazy_images_and_images_with_holes_are_drawn(signal):
    signal.data[:5] = np.nan
    np.testing.assert_array_equal(plot_image(signal.as_lazy()).images[0].get_array(), signal.data)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((9, 9, 12, 12), "no part in the image"),
        ((2, 1), "RectangularROI"),
        ((4, 1, 2, 3), "no part"),
    ],
)
def test_a_region_that_does_not_fit_is_refused(signal, region, message):
    with pytest.raises(ValueError, match=message):
        plot_image(signal, region=region)


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="one 2-D image of real numbers, not 3-D"):
        plot_image(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="no finite pixel"):
        plot_image(np.full((8, 8), np.nan))


def test_columns_stand_where_their_pixels_are(signal, artist_by_gid):
    xy = {"A": [[10, 20], [30, 20]], "B": [[20, 30.5]]}
    ax = plot_sublattices(signal, xy)
    offsets = artist_by_gid(ax, "sublattice A").get_offsets()
    np.testing.assert_allclose(offsets, [[1.2, -1.6], [1.6, -1.6]])
    offsets = artist_by_gid(ax, "sublattice B").get_offsets()
    np.testing.assert_allclose(offsets, [[1.4, -1.39]])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["A (2)", "B (1)"]
    a, b = (artist_by_gid(ax, f"sublattice {name}") for name in "AB")
    assert not np.allclose(a.get_edgecolor(), b.get_edgecolor())
    assert not len(a.get_facecolor())  # open: the columns stay in sight


def test_a_lattice_of_atomap_is_taken_as_it_is(signal, artist_by_gid):
    members = [SimpleNamespace(name=n, x_position=[9.0, 40.0], y_position=[5.0, 6.0]) for n in "AB"]
    ax = plot_sublattices(signal, SimpleNamespace(sublattice_list=members))
    np.testing.assert_allclose(artist_by_gid(ax, "sublattice B").get_offsets()[0], [1.18, -1.9])


def test_positions_that_are_none_are_refused(signal):
    with pytest.raises(ValueError, match=r"sublattices\['A'\] has the shape \(2, 3\)"):
        plot_sublattices(signal, {"A": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="sublattices is empty"):
        plot_sublattices(signal, {})


def test_a_sub_image_shows_what_the_model_sees(artist_by_gid):
    _, ax = plt.subplots()
    inset = ax.inset_axes((0.6, 0.6, 0.4, 0.4))
    drawn = plot_sub_image(np.eye(8), (-0.4, 0.4, 0.4, -0.4), "nm", disk=True, ax=inset)
    assert drawn is inset and isinstance(drawn, Axes)
    assert artist_by_gid(inset, "disk").radius == pytest.approx(0.4)


def test_positions_that_are_no_numbers_are_refused_by_name(image):
    with pytest.raises(ValueError, match=r"sublattices\['A'\] holds no numbers"):
        plot_sublattices(image, {"A": [["x", 1.0]]})


def test_a_part_is_drawn_where_it_is(signal):
    """Pixels of the whole image outside of the part are not drawn, and none is moved."""
    axes = signal.axes_manager.signal_axes
    low = [axis.offset - axis.scale / 2 for axis in axes]
    left, top = (start + 10 * axis.scale for start, axis in zip(low, axes, strict=True))
    right, bottom = (start + 30 * axis.scale for start, axis in zip(low, axes, strict=True))
    part = plot_image(signal, region=(left, top, right, bottom)).images[0]
    np.testing.assert_array_equal(part.get_array(), signal.data[10:30, 10:30])
    np.testing.assert_allclose(part.get_extent(), (left, right, bottom, top))


def test_coarse_images_are_means_of_blocks_at_the_same_place():
    image = np.add.outer(np.arange(210.0), np.zeros(415))
    with coarse_images(100):
        drawn = plot_image(image).images[0]
    assert drawn.get_array().shape == (52, 103)
    np.testing.assert_allclose(drawn.get_array()[:, 0], np.arange(52) * 4 + 1.5)
    np.testing.assert_allclose(drawn.get_extent(), (-0.5, 411.5, 207.5, -0.5))
    assert plot_image(image).images[0].get_array().shape == (210, 415)
