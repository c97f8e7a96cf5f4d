# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib.pyplot as plt
import numpy as np
import pytest

from hs_rvae.plots import plot_distortion, plot_manifold
from hs_rvae.plots.manifold import plot_with_distortion

Y, X = np.array([-2.0, 0.0, 2.0]), np.array([-2.0, -1.0, 1.0 - 1.0, 1.0, 2.0])


@pytest.fixture
def images():
    """3 x 5 sub-images; the upper left pixel carries 10 row + column, the others are 0."""
    images = np.zeros((3, 5, 8, 8))
    images[:, :, 0, 0] = 10.0 * np.arange(3)[:, None] + np.arange(5)
    return images


def tile(ax, y, x):
    """Mean of the mosaic at a value of both latents, found through the axes."""
    shown = ax.images[0]
    mosaic = shown.get_array()
    left, right, bottom, top = shown.get_extent()
    rows, columns = np.array(mosaic.shape) / (3, 5)
    row = int((y - top) / (bottom - top) * mosaic.shape[0] // rows)
    column = int((x - left) / (right - left) * mosaic.shape[1] // columns)
    part = mosaic[
        int(row * rows) : int((row + 1) * rows), int(column * columns) : int((column + 1) * columns)
    ]
    return part.filled(np.nan) if np.ma.isMaskedArray(part) else part


def test_every_sub_image_stands_at_its_latents_and_keeps_its_orientation(images):
    ax = plot_manifold(images, Y, X)
    for i, y in enumerate(Y):
        for j, x in enumerate(X):
            part = tile(ax, y, x)
            part = part[np.isfinite(part).any(axis=1)][:, np.isfinite(part).any(axis=0)]
            np.testing.assert_array_equal(part, images[i, j])  # first row above, first column left


def test_latents_grow_to_the_right_and_upwards(images):
    ax = plot_manifold(images, Y, X)
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    assert left < right and bottom < top
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Latent 0", "Latent 1")
    assert {-2, 0, 2} <= set(ax.get_xticks())


def test_sub_images_stay_square(images):
    ax = plot_manifold(images, Y, X)
    ax.figure.canvas.draw()
    box = ax.get_window_extent()
    assert box.width / box.height == pytest.approx(5 / 3, rel=0.02)


def test_sub_images_are_set_apart_by_gaps(images):
    mosaic = plot_manifold(images, Y, X, gap=0.25).images[0].get_array()
    assert mosaic.shape == (3 * 10, 5 * 10)
    assert np.ma.getmaskarray(mosaic).sum() == 15 * (100 - 64)


def test_the_colour_bar_carries_quantity_and_common_limits(images):
    ax = plot_manifold(images, Y, X, intensity_label="counts", intensity_limits=(0, 30))
    bar = next(a for a in ax.child_axes if a.get_gid() == "colorbar")
    assert bar.get_ylabel() == "counts"
    assert ax.images[0].get_clim() == (0, 30)


def test_each_sub_image_can_have_its_own_scale(images):
    ax = plot_manifold(images + 5, Y, X, normalise="each", percentiles=(0, 100))
    assert np.nanmax(tile(ax, 2.0, 2.0)) == np.nanmax(tile(ax, -2.0, -1.0)) == 1
    assert not ax.child_axes


def test_one_latent_is_a_row_without_a_vertical_axis(images):
    ax = plot_manifold(images[:1], [0.0], X)
    assert len(ax.get_yticks()) == 0 and ax.get_ylabel() == ""
    assert ax.get_xlabel() == "Latent 0"


def test_uneven_latents_are_written_below_their_sub_images(images):
    ax = plot_manifold(images, Y, [-2.0, -0.5, 0.0, 0.5, 2.0])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["−2", "−0.5", "0", "0.5", "2"]


def test_it_draws_into_given_axes(images):
    _, ax = plt.subplots()
    assert plot_manifold(images, Y, X, ax=ax) is ax


def test_what_does_not_fit_is_refused(images):
    with pytest.raises(ValueError, match="do not fit 5 values_y and 3 values_x"):
        plot_manifold(images, X, Y)
    with pytest.raises(ValueError, match="normalise='log'"):
        plot_manifold(images, Y, X, normalise="log")
    with pytest.raises(ValueError, match="no finite value"):
        plot_manifold(images * np.nan, Y, X)


def test_a_distortion_is_drawn_with_the_change_it_makes():
    changes = np.zeros((4, 8, 8))
    changes[np.arange(4), 0, 0] = [3.0, -1.0, 2.0, 0.0]
    ax = plot_distortion(10 + changes, changes, np.arange(4) * np.pi / 2, intensity_limits=(0, 20))
    image, change = ax.images
    assert image.get_clim() == (0, 20) and change.get_clim() == (-3, 3)  # 0 in the middle
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == ["0\n→", "90\n↓", "180\n←", "−90\n↑"]  # y grows downwards
    assert ax.get_xlabel() == "direction of the distortion (°)"
    assert np.nanmax(np.ma.filled(change.get_array(), np.nan)) == 3
    ticks = [tick.get_text() for tick in ax.child_axes[0].get_yticklabels()]
    assert ticks == ["−2", "2"]  # in so low a bar, 0 would lie on them
    with pytest.raises(ValueError, match="and 3 angles do not fit"):
        plot_distortion(changes, changes, np.zeros(3))


def test_the_distortion_stands_below_the_latents(images):
    options = dict.fromkeys(("intensity_limits", "title", "font_size", "ax"))
    options |= {"cmap": "gray", "gap": 0.06, "colorbar": True, "percentiles": (0, 100)}
    changes = np.ones((4, 8, 8))
    rows = changes, changes, np.arange(4.0)
    upper = plot_with_distortion((images, Y, X), rows, options)
    assert upper is upper.figure.axes[0]
    lower = upper.figure.axes[1]
    upper.figure.canvas.draw()
    assert lower.get_window_extent().y1 < upper.get_window_extent().y0
    assert lower.get_title() == "The distortion in each direction, at latents 0"
