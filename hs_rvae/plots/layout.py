# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room beside axes of fixed aspect: figures that fit, colour bars and wheels that follow a map.

Colour bars and wheels are inset axes placed in mm from the edge of the map, so that they follow it
wherever its aspect or a layout engine puts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox, ScaledTranslation, blended_transform_factory

if TYPE_CHECKING:
    pass

MM_PER_INCH = 25.4
COLUMN_WIDTH = 85.0  # mm, one column of most journals
_TALLEST = 120.0  # mm
_FLAT = 0.35  # height over width


def column_width(font_size: float) -> float:
    """Width of a new figure in mm: one column at 8 point, and in proportion for larger letters."""
    return COLUMN_WIDTH * max(1.0, font_size / 8)


def new_figure(width: float, height: float) -> Any:
    """Make a figure of `width` x `height` mm."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH), layout="constrained")


def is_flat(width: float, height: float) -> bool:
    """Return True for a strip, whose colour bar belongs below."""
    return bool(height < _FLAT * width)


def fit_figure(ax: Any, width: float) -> None:
    """Resize our own figure so that axes of fixed aspect fill `width` mm.

    A layout engine alone would leave bands beside or above a map, because it ignores the shape
    of the axes that it arranges. A map much higher than wide gets a narrower figure.
    """
    figure = ax.figure
    pad = 0.6  # mm
    tallest = _TALLEST * width / COLUMN_WIDTH
    figure.set_layout_engine("none")
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    aspect = abs((top - bottom) / (right - left))
    aspect *= 1.0 if ax.get_aspect() == "equal" else ax.get_aspect()
    # Labels depend on the size a little: the second pass has them right.
    for _ in range(2):
        around = ax.get_tightbbox().get_points() * MM_PER_INCH / figure.dpi
        inside = ax.get_window_extent().get_points() * MM_PER_INCH / figure.dpi
        low, high = np.maximum(inside[0] - around[0], 0), np.maximum(around[1] - inside[1], 0)
        low, high = low + pad, high + pad
        # However long the labels, something of the map remains.
        wide = min(max(width - low[0] - high[0], 0.3 * width), tallest / aspect)
        size = low + (wide, wide * aspect) + high
        figure.set_size_inches(size / MM_PER_INCH)
        ax.set_position([*(low / size), wide / size[0], wide * aspect / size[1]])
    ax.set_in_layout(True)


def reserve(ax: Any, side: float = 0.0, below: float = 0.0) -> None:
    """Make room in the user's figure: `side` mm beside the axes, `below` mm under them.

    Without a layout engine the axes are shrunk; otherwise bars would fall on the neighbours. Layout
    engines (and ``tight_layout`` later on) take the margins from an invisible artist.
    """
    figure = ax.figure
    if figure.get_layout_engine() is None:
        size = np.array(figure.bbox.size) / figure.dpi * MM_PER_INCH
        box = ax.get_position(original=True)
        dx, dy = np.minimum(np.array([side, below]) / size, (0.6 * box.width, 0.6 * box.height))
        ax.set_position([box.x0, box.y0 + dy, box.width - dx, box.height - dy])
        ax.set_in_layout(True)
    if not any(isinstance(artist, _Margins) for artist in ax.artists):
        ax.add_artist(_Margins())


class _Margins(Artist):
    """Invisible artist that gives a layout engine the margins of axes of fixed aspect.

    An engine measures from the box it allots, whereas bars and labels stand around the smaller
    box that the aspect leaves: it would reserve too little, and cut them when the box shrinks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_clip_on(False)
        self.set_gid("margins")
        self._measuring = False

    def draw(self, renderer: Any) -> None:
        """Draw nothing."""

    def get_window_extent(self, renderer: Any = None) -> Any:
        """Allotted box grown by the margins around the drawn box.

        None while measuring those, and when no engine asks: a figure saved with
        ``bbox_inches="tight"`` is cropped to what can be seen.
        """
        ax: Any = self.axes
        engine = ax.figure.get_layout_engine()
        if self._measuring or engine is None:
            return None
        self._measuring = True
        try:
            around = ax.get_tightbbox(renderer).get_points()
        finally:
            self._measuring = False
        drawn = ax.get_window_extent().get_points()
        allotted = ax.get_position(original=True)
        constrained = isinstance(engine, ConstrainedLayoutEngine)
        if ax.get_subplotspec() is not None and not constrained:
            allotted = ax.get_subplotspec().get_position(ax.figure)  # what tight_layout allots
        allotted = allotted.transformed(ax.figure.transSubfigure)
        return Bbox(allotted.get_points() + around - drawn)

    def get_tightbbox(self, renderer: Any = None) -> Any:
        """Extent without clipping."""
        return self.get_window_extent(renderer)


def below_axes(ax: Any, mm: float) -> Any:
    """Transform of a place below the axes: their own units, moved down by `mm`."""
    return ax.transAxes + ScaledTranslation(0, -mm / MM_PER_INCH, ax.figure.dpi_scale_trans)


def side_axes(
    ax: Any, x: float, width: float, *, y: float | None = None, height: float | None = None
) -> Any:
    """Axes right of `ax`: `x` mm from its right edge, `width` mm wide.

    As high as `ax`, or `height` mm with the upper edge `y` mm below that of `ax`. They follow `ax`
    wherever a layout or an aspect puts it.
    """
    mm = ax.figure.dpi_scale_trans
    from_right = mm + ScaledTranslation(1, 0, ax.transAxes)
    if y is None or height is None:
        bounds = np.array([x / MM_PER_INCH, 0, width / MM_PER_INCH, 1])
        transform = blended_transform_factory(from_right, ax.transAxes)
    else:
        bounds = np.array([x, -(y + height), width, height]) / MM_PER_INCH
        from_corner = mm + ScaledTranslation(1, 1, ax.transAxes)
        transform = blended_transform_factory(from_corner, from_corner)
    return ax.inset_axes(bounds, transform=transform)


def axes_below(ax: Any, y: float, height: float) -> Any:
    """Axes as wide as `ax`, `y` mm below it and `height` mm high."""
    from_bottom = ax.figure.dpi_scale_trans
    bounds = (0, -(y + height) / MM_PER_INCH, 1, height / MM_PER_INCH)
    return ax.inset_axes(
        bounds,
        transform=blended_transform_factory(
            ax.transAxes, from_bottom + ScaledTranslation(0, 0, ax.transAxes)
        ),
    )


def corner_below(ax: Any, y: float, width: float, height: float) -> Any:
    """Axes of `width` x `height` mm, `y` mm below `ax`, from its left edge on."""
    mm = ax.figure.dpi_scale_trans + ScaledTranslation(0, 0, ax.transAxes)
    bounds = np.array([0, -(y + height), width, height]) / MM_PER_INCH
    return ax.inset_axes(bounds, transform=blended_transform_factory(mm, mm))


def add_colorbar(
    ax: Any,
    mappable: Any,
    label: str,
    font_size: float,
    *,
    extend: str = "neither",
    ticks: Sequence[float] | np.ndarray | None = None,
    below: float | None = None,
) -> Any:
    """Colour bar right of `ax`, or `below` mm below it; as long as `ax` itself."""
    grow = font_size / 8
    if below is None:
        cax, orientation = side_axes(ax, 1.5 * grow, 2.5 * grow), "vertical"
    else:
        cax, orientation = axes_below(ax, below * grow, 2.5 * grow), "horizontal"
    cax.set_gid("colorbar")
    bar = ax.figure.colorbar(mappable, cax=cax, orientation=orientation, extend=extend, ticks=ticks)
    return format_colorbar(bar, label, font_size)


def format_colorbar(bar: Any, label: str, font_size: float) -> Any:
    """Give a colour bar thin lines, and its label."""
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(labelsize=font_size - 1, length=2, width=0.5)
    bar.set_label(label, fontsize=font_size)
    return bar


def extend_beyond(values: np.ndarray, low: float, high: float) -> str:
    """Ends of a colour bar that need an arrow, in the words of Matplotlib."""
    below, above = np.nanmin(values) < low, np.nanmax(values) > high
    return "both" if below and above else "min" if below else "max" if above else "neither"
