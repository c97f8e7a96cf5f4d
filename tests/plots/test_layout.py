# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib.pyplot as plt
import pytest

from hs_rvae.plots import plot_columns, plot_polar_map, plot_site_map


@pytest.mark.parametrize("arrange", ["constrained", "tight", "tight_layout", None])
def test_maps_beside_each_other_are_neither_cut_nor_overlap(sites, image, arrange):
    figure, axes = plt.subplots(
        1, 2, figsize=(7, 3), layout=None if arrange == "tight_layout" else arrange
    )
    plot_site_map(sites, "angle", ax=axes[0], font_size=7)
    plot_polar_map(sites, image=image, ax=axes[1], font_size=7)
    if arrange == "tight_layout":
        figure.tight_layout()
    figure.canvas.draw()
    figure.canvas.draw()
    left, right = (ax.get_tightbbox() for ax in axes)
    assert left.x1 <= right.x0 + 1
    # A pixel for rounding.
    assert left.x0 >= -1 and right.x1 <= figure.bbox.x1 + 1


def test_a_legend_and_a_bar_below_an_image_take_their_room_once(image):
    figure, axes = plt.subplots(1, 2, layout="constrained")
    for ax, legend in zip(axes, (True, False), strict=True):
        plot_columns({"A": [[20, 30], [40, 30]]}, image=image, ax=ax, legend=legend)
    figure.canvas.draw()
    with_legend, without = (ax.get_tightbbox() for ax in axes)
    assert with_legend.y0 > -1 and without.y0 > -1
    assert sum("margins" == artist.get_gid() for artist in axes[0].artists) == 1


def test_bars_follow_the_map_when_its_aspect_shrinks_it(sites):
    figure, ax = plt.subplots(figsize=(6, 3))
    plot_site_map(sites, "angle", ax=ax)
    figure.set_size_inches(3, 6)
    figure.canvas.draw()
    bar = ax.child_axes[0].get_window_extent()
    map_box = ax.get_window_extent()
    assert bar.y0 == pytest.approx(map_box.y0, abs=1)
    assert bar.y1 == pytest.approx(map_box.y1, abs=1)
    # 1.5 mm at 8 point, here 10 point.
    assert (bar.x0 - map_box.x1) / figure.dpi * 25.4 == pytest.approx(1.5 * 10 / 8, abs=0.1)


def test_a_tall_map_gets_a_narrower_figure(sites, image):
    strip = sites.take(sites["x"] < 80)
    ax = plot_site_map(strip, "x", image=image[:, :85])
    width, height = ax.figure.get_size_inches() * 25.4
    assert height < 126 and width < 85
