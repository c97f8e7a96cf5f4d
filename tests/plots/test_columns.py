# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""All columns on the image: where they stand, and what the legend counts."""

from types import SimpleNamespace

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection

import hs_rvae
from hs_rvae.plots import plot_columns
from hs_rvae.plots.color import class_colors
from hs_rvae.plots.columns import _ORDER


@pytest.fixture
def image():
    image = hs.signals.Signal2D(np.random.default_rng(0).random((60, 80)))
    for axis, offset in zip(image.axes_manager.signal_axes, (1.0, -2.0), strict=True):
        axis.scale, axis.offset, axis.units = 0.02, offset, "nm"
    return image


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_circles_beyond_a_part_of_the_image_are_counted_and_not_drawn(image, artist_by_gid):
    positions = {"Bi": [[10, 20], [30, 20], [70, 50]], "": [[12, 22], [75, 5]]}
    ax = plot_columns(positions, image=image, region=(1.0, -2.0, 1.6, -1.4))
    drawn = artist_by_gid(ax, "sublattice Bi")
    np.testing.assert_allclose(drawn.get_offsets(), [[1.2, -1.6], [1.6, -1.6]])
    assert len(artist_by_gid(ax, "columns of no lattice").get_segments()) == 2  # of one cross
    assert texts(ax) == ["Bi (3)", "no lattice (2)"]


def test_columns_are_open_circles_where_their_pixels_are(image, artist_by_gid):
    ax = plot_columns({"Bi": [[10, 20], [30, 20]], "Fe": [[20, 30.5]]}, image=image)
    drawn = artist_by_gid(ax, "sublattice Bi")
    np.testing.assert_allclose(drawn.get_offsets(), [[1.2, -1.6], [1.6, -1.6]])
    np.testing.assert_allclose(artist_by_gid(ax, "sublattice Fe").get_offsets(), [[1.4, -1.39]])
    assert isinstance(drawn, EllipseCollection) and not len(drawn.get_facecolor())
    assert texts(ax) == ["Bi (2)", "Fe (1)"]


def test_columns_of_no_lattice_are_crosses(image, artist_by_gid):
    member = SimpleNamespace(name="A", x_position=[9.0, 40.0], y_position=[5.0, 6.0])
    unassigned = pd.DataFrame({"x": [10.0], "y": [20.0]})
    crystal = SimpleNamespace(unassigned=unassigned)
    lattice = SimpleNamespace(sublattice_list=[member], crystal=crystal, image=image)
    ax = plot_columns(lattice)
    crosses = artist_by_gid(ax, "columns of no lattice").get_segments()
    np.testing.assert_allclose(np.mean(crosses, axis=(0, 1)), [1.2, -1.6])
    assert texts(ax) == ["A (2)", "no lattice (1)"]
    crystal.unassigned = unassigned[:0]
    assert texts(plot_columns(lattice)) == ["A (2)"]


def test_any_number_of_sublattices_has_colours_of_its_own(image):
    many = {f"S{k}": [[k + 1.0, 5.0], [k + 1.0, 9.0]] for k in range(len(_ORDER) + 2)}
    ax = plot_columns(many, image=image)
    colors = [tuple(c.get_edgecolor()[0]) for c in ax.collections]
    assert len(set(colors)) == len(_ORDER) and len(colors) == len(many)
    lightness = class_colors(_ORDER) @ [0.3, 0.6, 0.1]
    assert lightness.min() > 0.3  # seen on the dark between columns


def test_the_legend_stays_in_the_figure_at_one_column(image):
    many = {f"S{k}": [[k + 1.0, 5.0], [k + 1.0, 9.0]] for k in range(9)}
    ax = plot_columns(many, image=image, title="Nine")
    figure = ax.figure
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(85, abs=1)
    figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    assert box.x0 >= 0 and box.y0 >= -1 and box.x1 <= figure.bbox.x1
    assert box.y1 <= ax.get_window_extent().y0 + 1  # below the image


def test_circles_stay_open_at_any_size(image):
    xy = np.stack(np.meshgrid(np.arange(2, 80, 3.0), np.arange(2, 60, 3.0)), -1).reshape(-1, 2)
    widths = []
    for side in (1, 10):
        _, ax = plt.subplots(figsize=(side, side))
        widths.append(plot_columns({"A": xy}, image=image, ax=ax).collections[0].get_linewidth())
    assert widths[0] < widths[1]


def test_what_cannot_be_drawn_is_refused(image):
    with pytest.raises(ValueError, match="image is needed: the lattice holds none"):
        plot_columns({"A": [[1, 2]]})
    with pytest.raises(ValueError, match="there is nothing to draw"):
        plot_columns({}, image=image)
    with pytest.raises(ValueError, match=r"sublattices\['A'\] has the shape \(2, 3\)"):
        plot_columns({"A": np.zeros((2, 3))}, image=image)


def test_a_lattice_without_a_given_image_is_calibrated():
    image, _ = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    alone, beside = plot_columns(lattice), plot_columns(lattice, image=image)
    assert alone.get_xlim() == pytest.approx(beside.get_xlim(), rel=0.02)
