# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns of an image as open circles, one colour for each sublattice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.lines import Line2D

from . import layout, panels
from .color import class_colors
from .image import (
    calibrated_points,
    column_distance,
    named_positions,
    plot_image,
    room_of_legend,
)
from .markers import coarser_if_many
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Vermillion, sky blue, yellow, green, pink, orange, blue: far apart on grey, also for colour-blind
# readers; then the lighter ones of the other colours of classes.
_ORDER = (5, 4, 6, 2, 3, 1, 0, 11, 14, 17, 16, 21, 10, 19, 22)
_LEFT_OUT_COLOR = "white"
_SHARE = 0.62  # diameter of a circle, of the distance to the nearest column
_CROSS = 0.4  # arm of a cross, of the diameter
_LINE, _THINNEST, _THICKEST = 0.17, 0.3, 1.2  # of the diameter; points


@independent
def plot_columns(
    lattice: Any,
    *,
    image: Any = None,
    region: Any = None,
    marker_size: float | None = None,
    legend: bool = True,
    scale_bar: bool | str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw all columns of an image as open circles, so that the columns stay in sight.

    Each sublattice has a colour, and the legend has its number of columns. Columns that belong to
    no lattice are white crosses.

    Parameters
    ----------
    lattice : Atom_Lattice or Mapping of str to array-like of shape (n, 2)
        As :func:`hs_rvae.find_sublattices` gives it, or names with positions ``(x, y)`` in px. The
        name "" is for columns of no lattice.
    image : hyperspy.api.signals.Signal2D or numpy.ndarray, optional
        (ny, nx). If None, that of the lattice, in pixels.
    region : RectangularROI or tuple of float, optional
        As in :func:`hs_rvae.plots.plot_image`.
    marker_size : float, optional
        Diameter in units of the axes; by default 0.6 of the distance between columns.
    legend : bool
        Whether to name the sublattices below the image, with the number of their columns.
    scale_bar, title, font_size, ax
        As in :func:`hs_rvae.plots.plot_image`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no position or no image, or as :func:`hs_rvae.plots.plot_image`.

    Examples
    --------
    >>> import hs_rvae
    >>> from hs_rvae.plots import plot_columns
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
    >>> ax = plot_columns(hs_rvae.find_sublattices(image), image=image)
    """
    image = _image_of(lattice) if image is None else image
    if image is None:
        raise ValueError("image is needed: the lattice holds none. Pass image=")
    groups = {name: xy for name, xy in _all_positions(lattice).items() if name or len(xy)}
    points = calibrated_points(image, groups)
    font_size = panels.font_size_for(font_size, ax)
    new = ax is None
    ax = plot_image(image, region=region, scale_bar=scale_bar, font_size=font_size, ax=ax)
    if marker_size is None:
        marker_size = _SHARE * (column_distance(points) or 1.0)
    width = _line_width(ax, marker_size)
    named = [name for name in points if name]
    colors = dict(zip(named, class_colors(np.resize(_ORDER, len(named))), strict=True))
    for name, xy in points.items():
        drawn = (
            _circles(ax, xy, marker_size, colors[name], width)
            if name
            else _crosses(ax, xy, marker_size, width)
        )
        drawn.set_gid(f"sublattice {name}" if name else "columns of no lattice")
    if legend:
        counts = {name: len(xy) for name, xy in points.items()}
        low = room_of_legend(ax, scale_bar, font_size, new)
        _add_legend(ax, counts, colors, font_size, low)
    return panels.finish_axes(ax, title, font_size, fit=new)


@independent
def plot_sublattices(
    image: Any,
    sublattices: Any,
    *,
    region: Any = None,
    marker_size: float | None = None,
    legend: bool = True,
    scale_bar: bool | str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the columns of each sublattice on the image, as open circles.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or numpy.ndarray
        (ny, nx).
    sublattices : Atom_Lattice or Mapping of str to array-like of shape (n, 2)
        As :func:`hs_rvae.find_sublattices` gives them, or names with positions ``(x, y)`` in px.
    region : RectangularROI or tuple of float, optional
        As in :func:`hs_rvae.plots.plot_image`.
    marker_size : float, optional
        Diameter in units of the axes; by default 0.6 of the distance between columns.
    legend : bool
        Whether to name the sublattices below the image, with the number of their columns.
    scale_bar, title, font_size, ax
        As in :func:`hs_rvae.plots.plot_image`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no position, or as :func:`hs_rvae.plots.plot_image`.

    Notes
    -----
    Fig. 3(b) of AIP Advances 12, 105122 (2022).

    Examples
    --------
    >>> import hs_rvae
    >>> from hs_rvae.plots import plot_sublattices
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
    >>> xy = {"A": truth.a_sites[["x", "y"]], "B": truth.b_sites[["x", "y"]]}
    >>> ax = plot_sublattices(image, xy)
    """
    return plot_columns(
        named_positions(sublattices), image=image, region=region, marker_size=marker_size,
        legend=legend, scale_bar=scale_bar, title=title, font_size=font_size, ax=ax,
    )  # fmt: skip


def _image_of(lattice: Any) -> Any:
    """Image that a lattice holds, with the pixel size of its sublattices; None without one."""
    data, sublattices = getattr(lattice, "image", None), getattr(lattice, "sublattice_list", None)
    if data is None or hasattr(data, "axes_manager") or not sublattices:
        return data
    from hyperspy.signals import Signal2D

    axes = [
        {"size": n, "scale": sublattices[0].pixel_size, "units": sublattices[0].units}
        for n in np.shape(data)
    ]
    return Signal2D(data, axes=axes)


def _all_positions(lattice: Any) -> dict[str, Any]:
    """Positions by name; under "" those of columns that belong to no lattice."""
    groups = named_positions(lattice)
    unassigned = getattr(getattr(lattice, "crystal", None), "unassigned", None)
    if unassigned is not None and len(unassigned):
        groups[""] = unassigned[["x", "y"]].to_numpy()
    return groups


def _line_width(ax: Axes, diameter: float) -> float:
    """Width of a line in points that leaves circles of this diameter open."""
    in_points = diameter * _width_in_points(ax) / abs(np.diff(ax.get_xlim())[0])
    return float(np.clip(_LINE * in_points, _THINNEST, _THICKEST))


def _width_in_points(ax: Axes) -> float:
    figure: Any = ax.figure.figure  # the whole one, also of a part of it
    return float(ax.get_window_extent().width * 72 / figure.dpi)


def _in_sight(ax: Axes, points: np.ndarray, diameter: float) -> np.ndarray:
    """Points (k, 2) whose circles reach into the axes: there is no image beyond."""
    low, high = np.sort([ax.get_xlim(), ax.get_ylim()], axis=1).T
    return points[((points > low - diameter) & (points < high + diameter)).all(axis=1)]


def _circles(
    ax: Axes, points: np.ndarray, diameter: float, color: Any, width: float
) -> EllipseCollection:
    points = _in_sight(ax, points, diameter)
    drawn = EllipseCollection(
        diameter,
        diameter,
        0,
        units="xy",
        offsets=points,
        offset_transform=ax.transData,
        facecolors="none",
        edgecolors=[color],
        linewidths=width,
        zorder=3,
    )
    coarser_if_many(drawn, len(points))
    ax.add_collection(drawn, autolim=False)
    return drawn


def _crosses(ax: Axes, points: np.ndarray, diameter: float, width: float) -> LineCollection:
    points = _in_sight(ax, points, diameter)
    arm = _CROSS * diameter * np.array([[[-1, -1], [1, 1]], [[-1, 1], [1, -1]]])
    segments: Any = (points[:, None, None] + arm).reshape(-1, 2, 2)
    drawn = LineCollection(segments, colors=_LEFT_OUT_COLOR, linewidths=width, zorder=4)
    ax.add_collection(drawn, autolim=False)
    return drawn


def _add_legend(
    ax: Axes,
    counts: dict[str, int],
    colors: dict[str, np.ndarray],
    font_size: float,
    low: float,
) -> None:
    """Names and numbers `low` mm below the image, in as many columns as it is wide."""
    handles = []
    for name, count in counts.items():
        style: dict[str, Any] = {"marker": "o", "markerfacecolor": "none", "markeredgewidth": 1.1}
        if not name:
            style = {"marker": "x", "color": "black", "markeredgewidth": 1.1}
        style.setdefault("markeredgecolor", colors.get(name, "black"))
        label = f"{name or 'no lattice'} ({count:,})"
        handles.append(Line2D([], [], linestyle="none", markersize=5, label=label, **style))
    longest = max(len(str(handle.get_label())) for handle in handles)
    n_columns = int(_width_in_points(ax) // ((0.55 * longest + 3) * (font_size - 1)))
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=layout.below_axes(ax, low),
        ncols=max(1, min(n_columns, len(handles))),
        fontsize=font_size - 1,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.2,
        borderpad=0.2,
        borderaxespad=0.2,
    )
