# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of a figure: axes of a sensible size, the parent image, a scale bar.

Maps use the calibrated axes of the parent image, x = offset + pixel size * column index and
likewise y with the row index, y down: as ``image.plot()`` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, HPacker, TextArea
from matplotlib.projections.polar import PolarAxes

from ..checks import shown
from ..masked_arrays import filled
from ..sites import units
from . import layout, markers
from .color import get_colormap

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    from ..sites import SiteTable

_FONT_SIZE = 8.0  # points, at column width
BAR_BELOW = 4.5  # mm for a scale bar below a map, at 8 point
_PIXELS = 4_000_000  # of an image that its contrast is taken from
# Pixels along the longer side of images, and those that were made coarser already.
_largest_side: ContextVar[tuple[int, dict[Any, Any]] | None] = ContextVar("side", default=None)
_CORNERS = ("lower left", "lower right", "upper left", "upper right")


def font_size_for(font_size: float | None, ax: Any) -> float:
    """Font size in points: as given; otherwise 8 in new figures, Matplotlib's in given axes."""
    if font_size is not None:
        return float(font_size)
    if ax is None:
        return _FONT_SIZE
    return FontProperties(size="medium").get_size_in_points()


def new_axes(width: float, height: float, projection: str | None = None) -> Axes:
    """Axes alone in a new figure of `width` x `height` mm."""
    return layout.new_figure(width, height).subplots(subplot_kw={"projection": projection})


def open_axes(
    ax: Axes | None,
    font_size: float | None,
    *,
    height: float = 1.0,
    width: float | None = None,
    polar: bool = False,
) -> tuple[Axes, float, bool]:
    """The axes of the user, checked, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    font_size : float or None
    height : float
        Height of a new figure, in units of its width.
    width : float, optional
        Width of a new figure, in mm; by default one column at this font size.
    polar : bool

    Returns
    -------
    ax : matplotlib.axes.Axes
    font_size : float
        In points.
    new : bool
        Whether the figure is ours.
    """
    new = ax is None
    font_size = font_size_for(font_size, ax)
    if ax is None:
        width = layout.column_width(font_size) if width is None else width
        ax = new_axes(width, height * width, "polar" if polar else None)
    return check_axes(ax, polar=polar), font_size, new


def label_axes(ax: Axes, label_x: str, label_y: str, font_size: float) -> None:
    """Name both axes; letters of the ticks are one point smaller."""
    ax.set_xlabel(label_x, fontsize=font_size)
    ax.set_ylabel(label_y, fontsize=font_size)
    ax.tick_params(labelsize=font_size - 1)


def finish_axes(ax: Axes, title: str | None, font_size: float, fit: bool = False) -> Axes:
    """Set the title and, if asked for, the size of our own figure; needs all else in place."""
    if title is not None:
        ax.set_title(title, fontsize=font_size)
    if fit:
        layout.fit_figure(ax, layout.column_width(font_size))
    return ax


def check_axes(ax: object, polar: bool = False) -> Axes:
    """Return `ax`; refuse all but one Axes in a figure, polar if it must be."""
    if not isinstance(ax, Axes):
        raise TypeError(
            f"ax must be one matplotlib Axes or None, not {type(ax).__name__}: "
            "of several axes from plt.subplots give one, such as ax=axes[0]"
        )
    if ax.get_figure() is None:
        raise ValueError("ax was removed from its figure: give one that is in a figure, or None.")
    if isinstance(ax, PolarAxes) != polar:
        have, need = ("rectilinear", "polar") if polar else ("polar", "rectilinear")
        raise TypeError(
            f"ax has a {have} projection where a {need} one is needed: make it with "
            f"plt.subplots(subplot_kw={{'projection': '{need}'}})"
        )
    return ax


def check_scale_bar(scale_bar: bool | str | None) -> None:
    """Raise ValueError unless a scale bar is wanted or not, or in a corner that exists."""
    if isinstance(scale_bar, str) and scale_bar not in _CORNERS:
        raise ValueError(
            f"scale_bar={scale_bar!r} is not a corner: take one of {_CORNERS}, or True"
        )


def check_image(image: Any) -> None:
    """Raise ValueError unless a parent image is a 2-D array, or None."""
    if image is not None and (np.ndim(image) != 2 or not hasattr(image, "shape")):
        raise ValueError(f"image={shown(image)}: give a 2-D array, or None.")


def _checked_image(image: Any, sites: SiteTable) -> np.ndarray:
    """Parent image as a 2-D float array that holds all sites.

    Raises
    ------
    ValueError
        If it is not a 2-D real image, or if sites lie outside.
    """
    image = np.asarray(filled(image))
    if image.ndim != 2 or image.dtype.kind not in "biuf":
        raise ValueError(
            f"image must be a 2-D array of real numbers, not {image.ndim}-D {image.dtype}: "
            "give the image that the sub-images were cut from"
        )
    beyond = np.nanmax(sites.xy, axis=0) > np.array(image.shape[::-1]) - 0.5
    if beyond.any():
        x, y = np.nanmax(sites.xy, axis=0)
        raise ValueError(
            f"image has {image.shape[1]} x {image.shape[0]} pixels but sites reach "
            f"x = {x:.0f}, y = {y:.0f}: give the image that the sub-images were cut from"
        )
    return image


@dataclass
class MapFrame:
    """Axes ready for the sites: image, limits and scale bar are drawn."""

    ax: Axes
    points: np.ndarray  # (n, 2), calibrated
    diameter: float  # of markers, calibrated
    font_size: float  # points
    flat: bool  # bars belong below
    new: bool  # the figure is ours
    below: float  # mm below the map that labels or the scale bar take, at 8 point

    def finish(self, title: str | None) -> Axes:
        """Set the title, then the size of our own figure: all else must be in place."""
        return finish_axes(self.ax, title, self.font_size, fit=self.new)


def open_map(
    sites: SiteTable,
    *,
    image: Any,
    marker_size: float | None,
    scale_bar: bool | str | None,
    font_size: float | None,
    ax: Axes | None,
    side: float = 0.0,
    below_flat: float | None = None,
) -> MapFrame:
    """Draw everything below the sites.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image.
    image, marker_size, scale_bar, font_size, ax
        As in `hs_rvae.plots.plot_site_map`.
    side : float
        mm to keep free beside the map, at 8 point.
    below_flat : float, optional
        mm to keep free below a flat map instead.

    Returns
    -------
    MapFrame
    """
    points = markers.site_points(sites)
    if marker_size is not None and not marker_size > 0:
        raise ValueError(f"marker_size={marker_size!r} must be above 0, in calibrated units")
    check_scale_bar(scale_bar)
    if image is None:
        diameter = marker_size or markers.marker_diameter(points)
        low = np.nanmin(points, axis=0) - 0.75 * diameter
        high = np.nanmax(points, axis=0) + 0.75 * diameter
    else:
        image = _checked_image(image, sites)
        size = np.array(image.shape[::-1])
        low, high = markers.calibrated(sites, np.array([(-0.5, -0.5), size - 0.5]))
        diameter = marker_size or markers.marker_diameter(points, 0.03 * (high - low).max())
    flat = below_flat is not None and layout.is_flat(*(high - low))
    ax, font_size, new = open_axes(ax, font_size, width=layout.COLUMN_WIDTH)  # until all is drawn
    outside = image is not None and scale_bar in (None, True)
    taken = 11.0 if image is None else BAR_BELOW if outside else 0.5
    if not new:
        grow = font_size / 8
        below = outside * BAR_BELOW
        below += below_flat if below_flat is not None and flat else 0.0
        layout.reserve(ax, 0.0 if flat else side * grow, below * grow)

    unit = units.printed(sites.pixel_units)
    if image is not None:
        _draw_image(ax, image, low, high)
    else:
        label_axes(ax, f"x ({unit})", f"y ({unit})", font_size)
    ax.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal")
    if outside:
        add_scale_bar_below(ax, unit, font_size)
    elif scale_bar:
        corner = scale_bar if isinstance(scale_bar, str) else None
        add_scale_bar(ax, unit, corner, points, font_size)
    return MapFrame(ax, points, float(diameter), font_size, flat, new, taken)


def contrast_limits(image: np.ndarray, percentiles: Any = (0.5, 99.5)) -> tuple[float, float]:
    """Percentiles of the finite pixels; of 4 million, evenly spaced, in a large image."""
    step = 1 + int(np.sqrt(image.size / _PIXELS))
    some = image[::step, ::step]
    finite = some[np.isfinite(some)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, percentiles)
    return float(low), float(high)


@contextmanager
def coarse_images(side: int) -> Iterator[None]:
    """Draw large images with about `side` pixels along their longer side in this block of code."""
    token = _largest_side.set((side, {}))
    try:
        yield
    finally:
        _largest_side.reset(token)


def _coarser(image: np.ndarray, extent: Any) -> tuple[np.ndarray, Any]:
    """An image as coarse as is wanted: means of square blocks of pixels, and their extent."""
    side, made = _largest_side.get() or (max(image.shape[:2]), {})
    step = max(image.shape[:2]) // side
    if step < 2 or image.ndim != 2:
        return image, extent
    rows, columns = (n // step for n in image.shape)
    blocks = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    left, right, bottom, top = extent
    right = left + (right - left) * columns * step / image.shape[1]
    bottom = top + (bottom - top) * rows * step / image.shape[0]
    key = image.__array_interface__["data"], image.shape, image.strides
    if key not in made:  # with the image, so that no other one takes its place
        made[key] = image, blocks.mean((1, 3))
    return made[key][1], (left, right, bottom, top)


def _draw_image(ax: Axes, image: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    vmin, vmax = contrast_limits(image)
    extent = (low[0], high[0], high[1], low[1])
    draw_image(ax, image, extent, cmap="gray", vmin=vmin, vmax=vmax, zorder=0)
    ax.set_xticks([])
    ax.set_yticks([])


def draw_image(
    ax: Axes,
    image: Any,
    extent: Any,
    *,
    cmap: str | Colormap | None = None,
    aspect: Any = "equal",
    **style: Any,
) -> AxesImage:
    """Draw an image with its first row at the top: the only place that calls ``imshow``.

    Parameters
    ----------
    ax : Axes
    image : numpy.ndarray
        (h, w), or (h, w, 4) with colours.
    extent : tuple of float
        (left, right, bottom, top) in data units.
    cmap : str or Colormap, optional
        Map of an image without colours.
    aspect : float or str
    **style
        Passed to ``imshow``: limits, zorder.

    Returns
    -------
    matplotlib.image.AxesImage
    """
    image, extent = _coarser(image, extent)
    return ax.imshow(
        image,
        cmap=None if cmap is None else get_colormap(cmap),
        extent=extent,
        origin="upper",
        aspect=aspect,
        interpolation="antialiased",
        # Resampled before it is coloured: a large image needs no RGBA copy.
        interpolation_stage="data",
        **style,
    )


def add_scale_bar(
    ax: Axes,
    unit: str,
    corner: str | None = None,
    avoid: np.ndarray | None = None,
    font_size: float = _FONT_SIZE,
) -> AnchoredSizeBar:
    """Draw a white scale bar on a dark box, readable on any image.

    Parameters
    ----------
    ax : Axes
        With calibrated x limits.
    unit : str
        Unit of the x axis.
    corner : str, optional
        ``"lower left"`` and so on; by default the corner that covers the fewest of `avoid`.
    avoid : numpy.ndarray, optional
        (n, 2) points in data units.
    font_size : float
        Points.
    """
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    length, height = _bar_length(ax), abs(np.subtract(*ax.get_ylim()))
    if corner is None:
        corner = _CORNERS[0] if avoid is None else _emptiest_corner(ax, avoid)
    bar = AnchoredSizeBar(
        ax.transData,
        length,
        f"{length:g} {unit}",
        corner,
        pad=0.3,
        borderpad=0.3,
        sep=2,
        color="white",
        # Bound by both sides: a share of the length alone would be a block on a flat strip.
        size_vertical=min(0.07 * length, 0.02 * height),
        fill_bar=True,
        fontproperties=FontProperties(size=font_size - 1),
    )
    bar.patch.set(facecolor="black", alpha=0.65, linewidth=0)
    bar.set_zorder(6)
    bar.set_gid("scale bar")
    ax.add_artist(bar)
    return bar


def add_scale_bar_below(ax: Axes, unit: str, font_size: float) -> AnchoredOffsetbox:
    """Draw a scale bar below the left corner of a map, where it hides no site."""
    length, color = _bar_length(ax), matplotlib.rcParams["text.color"]
    thickness = 1.6 * font_size / 8  # points
    line = AuxTransformBox(ax.transData)
    line.add_artist(
        Line2D([0, length], [0, 0], color=color, linewidth=thickness, solid_capstyle="butt")
    )
    text = TextArea(f"{length:g} {unit}", textprops={"size": font_size - 1, "color": color})
    bar = AnchoredOffsetbox(
        "upper left",
        child=HPacker(children=[line, text], align="center", pad=0, sep=3),
        pad=0,
        borderpad=0.35,
        frameon=False,
        bbox_to_anchor=(0, 0),
        bbox_transform=ax.transAxes,
    )
    bar.set_gid("scale bar")
    bar.set_clip_on(False)
    ax.add_artist(bar)
    return bar


def _bar_length(ax: Axes) -> float:
    """Length of a scale bar in data units; on a flat strip a smaller share of the width."""
    width, height = (abs(np.subtract(*limits)) for limits in (ax.get_xlim(), ax.get_ylim()))
    return nice_length(min(0.28 * width, 0.4 * np.sqrt(width * height)))


def nice_length(longest: float) -> float:
    """Largest 1, 2 or 5 times a power of ten that is not above `longest`.

    Examples
    --------
    >>> from hs_rvae.plots.panels import nice_length
    >>> nice_length(7.9), nice_length(0.4)
    (5.0, 0.2)
    """
    power = np.floor(np.log10(longest))
    mantissa = longest / 10.0**power
    step = next((k for k in (5, 2) if mantissa >= k * (1 - 1e-9)), 1)
    return float(f"{step}e{int(power)}")


def _emptiest_corner(ax: Axes, points: np.ndarray) -> str:
    """Corner of the axes with the fewest points under a scale bar."""
    fraction = ax.transAxes.inverted().transform(ax.transData.transform(points))
    counts = []
    for corner in _CORNERS:
        x = fraction[:, 0] if "left" in corner else 1 - fraction[:, 0]
        y = fraction[:, 1] if "lower" in corner else 1 - fraction[:, 1]
        counts.append(np.count_nonzero((x < 0.35) & (y < 0.16)))
    return _CORNERS[int(np.argmin(counts))]
