# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image itself: whole, a part of it, and one sub-image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Circle, Rectangle

from ..checks import shown
from ..masked_arrays import filled
from ..sites import units
from ..sites.nearest import nearest_distances
from . import layout, panels
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_BOX_COLOR = "#F0E442"  # yellow of Okabe and Ito: seen on grey, also by colour-blind readers
_LEGEND = 5.0  # mm for a line of a legend, at 8 point


@independent
def plot_image(
    image: Any,
    *,
    region: Any = None,
    boxes: Iterable[Any] = (),
    percentiles: Sequence[float] = (0.5, 99.5),
    cmap: str | Colormap = "gray",
    scale_bar: bool | str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an image, or a part of it, with a scale bar.

    The orientation is that of ``image.plot()``: x to the right, y down.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or numpy.ndarray
        (ny, nx). The axes of a signal give calibration and unit; an array is drawn in pixels.
    region : RectangularROI or tuple of float, optional
        Part to draw: a region of interest, or (left, top, right, bottom) in units of the axes.
    boxes : sequence of RectangularROI or tuple of float
        Parts to frame, such as the `region` of another figure.
    percentiles : tuple of float
        Percentiles of the drawn part at black and white.
    cmap : str
        Colour map.
    scale_bar : bool or str, optional
        Whether to draw a scale bar, by default below the image, where it hides no column; or its
        corner in the image, such as "lower left".
    title : str, optional
    font_size : float, optional
        Points; by default 8 in a new figure, the size set in Matplotlib in a given `ax`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the image is not one 2-D image of real numbers, a region lies outside of it, or an
        option does not fit.
    TypeError
        If `ax` is not one rectilinear Axes.

    Notes
    -----
    Figs. 1(a), 1(c) and 3(a) of AIP Advances 12, 105122 (2022).

    Examples
    --------
    >>> import hs_rvae
    >>> from hs_rvae.plots import plot_image
    >>> image, truth = hs_rvae.data.bfo_lsmo()
    >>> ax = plot_image(image, boxes=[(2, 2, 4, 4)])
    >>> detail = plot_image(image, region=(2, 2, 4, 4))
    """
    data, low, high, unit = calibrated_image(image)
    size = high - low
    part = np.array([low, high]) if region is None else _checked_region(region, low, high)
    shape = np.array(data.shape[::-1])
    first, last = np.rint((part - low) / size * shape).astype(int)
    last = np.maximum(last, first + 1)
    seen = np.asarray(data[first[1] : last[1], first[0] : last[0]])
    if not np.isfinite(seen).any():
        raise ValueError(
            f"image has no finite pixel in region={region!r}: there is nothing to "
            "draw; give another"
        )
    panels.check_scale_bar(scale_bar)
    dark, bright = panels.contrast_limits(seen, percentiles)
    ax, font_size, new = panels.open_axes(ax, font_size, width=layout.COLUMN_WIDTH)
    start, end = (low + corner / shape * size for corner in (first, first + seen.shape[::-1]))
    extent = (start[0], end[0], end[1], start[1])
    panels.draw_image(ax, seen, extent, cmap=cmap, vmin=dark, vmax=bright)
    ax.set(xlim=part[:, 0], ylim=part[::-1, 1], xticks=[], yticks=[], aspect="equal")
    for box in boxes:
        (left, top), (right, bottom) = _checked_region(box, low, high)
        outline = Rectangle((left, top), right - left, bottom - top, fill=False)
        outline.set(edgecolor=_BOX_COLOR, linewidth=1.2, gid="box")
        ax.add_patch(outline)
    if isinstance(scale_bar, str):
        panels.add_scale_bar(ax, unit, scale_bar, font_size=font_size)
    elif scale_bar is not False:
        panels.add_scale_bar_below(ax, unit, font_size)
        if not new:
            layout.reserve(ax, below=panels.BAR_BELOW * font_size / 8)
    return panels.finish_axes(ax, title, font_size, fit=new)


@independent
def plot_sub_image(
    image: Any,
    extent: Sequence[float],
    unit: str,
    *,
    limits: Sequence[float] | None = None,
    disk: bool = False,
    cmap: str | Colormap = "gray",
    scale_bar: bool | str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one sub-image with a scale bar.

    Parameters
    ----------
    image : numpy.ndarray
        (h, w).
    extent : tuple of float
        (left, right, bottom, top) on its calibrated axes.
    unit : str
        Unit of `extent`.
    limits : tuple of float, optional
        Intensities at black and white; by default the lowest and the highest.
    disk : bool
        Whether to draw the circle inscribed in the window: the model uses only the pixels inside.
    scale_bar : bool or str, optional
        Whether to draw a scale bar, or its corner. By default it is below the sub-image in a new
        figure, and in the lower left of a given `ax`.
    cmap, title, font_size, ax
        As in :func:`hs_rvae.plots.plot_image`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no such corner.

    Examples
    --------
    >>> import numpy as np
    >>> ax = plot_sub_image(np.eye(8), (-0.4, 0.4, 0.4, -0.4), "nm", disk=True)
    """
    panels.check_scale_bar(scale_bar)
    ax, font_size, new = panels.open_axes(ax, font_size, width=layout.COLUMN_WIDTH / 2)
    low, high = (None, None) if limits is None else limits
    panels.draw_image(ax, image, extent, cmap=cmap, vmin=low, vmax=high)
    ax.set(xticks=[], yticks=[])
    if disk:
        left, right, bottom, top = extent
        centre, radius = ((left + right) / 2, (bottom + top) / 2), abs(right - left) / 2
        ring = Circle(centre, radius, fill=False, edgecolor=_BOX_COLOR, linewidth=1.0, gid="disk")
        ax.add_patch(ring)
    if new and (scale_bar is None or scale_bar is True):
        panels.add_scale_bar_below(ax, unit, font_size)
    elif scale_bar is not False:
        corner = scale_bar if isinstance(scale_bar, str) else None
        panels.add_scale_bar(ax, unit, corner, font_size=font_size)
    panels.finish_axes(ax, title, font_size)
    if new:
        layout.fit_figure(ax, layout.COLUMN_WIDTH / 2)
    return ax


def room_of_legend(ax: Axes, scale_bar: bool | str | None, font_size: float, new: bool) -> float:
    """Distance in mm of a legend from an image; the user's figure gets room for a line of it."""
    grow = font_size / 8
    if not new:
        layout.reserve(ax, below=_LEGEND * grow)
    return 0.0 if isinstance(scale_bar, str) or scale_bar is False else panels.BAR_BELOW * grow


def calibrated_image(image: Any) -> tuple[Any, np.ndarray, np.ndarray, str]:
    """Pixels, the two corners (x, y) of the outermost pixels' edges, and the unit."""
    axes = getattr(image, "axes_manager", None)
    data = filled(image.data) if axes is not None else np.asarray(filled(image))
    if data.ndim != 2 or data.dtype.kind not in "biuf":
        raise ValueError(
            f"image must be one 2-D image of real numbers, not {data.ndim}-D {data.dtype}: "
            "give one frame, such as image.inav[0], or the real part"
        )
    shape = np.array(data.shape[::-1], dtype=float)
    if axes is None:
        return data, np.full(2, -0.5), shape - 0.5, "px"
    scale = np.array([axis.scale for axis in axes.signal_axes])
    offset = np.array([axis.offset for axis in axes.signal_axes])
    return (
        data,
        offset - scale / 2,
        offset + (shape - 0.5) * scale,
        units.printed(axes.signal_axes[0].units),
    )


def _checked_region(region: Any, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Corners of a region inside the image: ((left, top), (right, bottom))."""
    if hasattr(region, "left"):
        region = (region.left, region.top, region.right, region.bottom)
    try:
        left, top, right, bottom = (float(value) for value in region)
    except Exception:  # whatever an object of the caller's may raise
        raise ValueError(
            f"region={shown(region)}: give a RectangularROI or (left, top, right, bottom)"
        ) from None
    part = np.array([[left, top], [right, bottom]])
    inside = np.clip(part, low, high)
    if not (inside[0] < inside[1]).all():
        raise ValueError(
            f"region={region!r} has no part in the image, which reaches from ({low[0]:.4g}, "
            f"{low[1]:.4g}) to ({high[0]:.4g}, {high[1]:.4g})"
        )
    return inside


def calibrated_points(image: Any, groups: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Positions (n, 2) of each sublattice in the units of the image's axes.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or numpy.ndarray
    groups : Mapping of str to array-like of shape (n, 2)
        Names with positions ``(x, y)`` in px.

    Returns
    -------
    dict of str to numpy.ndarray

    Raises
    ------
    ValueError
        If there is no position, or a shape is another.
    """
    points = {}
    for name, xy in groups.items():
        try:
            xy = np.asarray(xy, dtype=float)
        except (TypeError, ValueError) as error:
            raise ValueError(f"sublattices[{name!r}] holds no numbers: {error}.") from error
        if xy.ndim != 2 or xy.shape[1] != 2 or not len(xy):
            raise ValueError(
                f"sublattices[{name!r}] has the shape {xy.shape}: give (n, 2), x and y"
            )
        points[name] = xy
    if not points:
        raise ValueError("sublattices is empty: there is nothing to draw")
    return {name: in_units_of_axes(image, xy) for name, xy in points.items()}


def in_units_of_axes(image: Any, xy: np.ndarray) -> np.ndarray:
    """Positions (n, 2) from px, the first pixel's centre at 0, to the units of the image's axes."""
    data, low, high, _ = calibrated_image(image)
    step = (high - low) / np.array(data.shape[::-1])
    return np.asarray(low + (xy + 0.5) * step)


def column_distance(groups: Mapping[str, np.ndarray]) -> float:
    """Median distance of a column to the nearest one of any group; 0 for a single column."""
    points = np.concatenate(list(groups.values()))
    return float(np.median(nearest_distances(points))) if len(points) > 1 else 0.0


def named_positions(sublattices: Any) -> dict[str, Any]:
    """Names with positions, from a lattice of Atomap or a mapping."""
    members = getattr(sublattices, "sublattice_list", None)
    if members is not None:
        return {s.name: np.column_stack([s.x_position, s.y_position]) for s in members}
    return dict(sublattices)
