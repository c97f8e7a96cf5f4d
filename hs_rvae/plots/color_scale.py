# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours of the values of a column: map, limits, colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize

from ..sites import columns, units
from ..sites.columns import MINIMUM_ORDER
from . import layout, markers
from .color import ANGLE_COLORMAP, UNDEFINED_COLOR, class_colors, get_colormap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..sites import SiteTable

KINDS = ("angle", "signed", "sequential", "labels")
_MAXIMUM_CLASSES = 24
_DEFAULT_COLORMAPS = {"angle": ANGLE_COLORMAP, "signed": "coolwarm", "sequential": "viridis"}


@dataclass
class ColorScale:
    """Values of a column with their colours and the labels of the colour bar."""

    values: np.ndarray  # drawn values, in the units of the colour bar
    cmap: Colormap
    norm: Normalize
    label: str
    ticks: np.ndarray | None = None
    tick_labels: list[str] | None = None
    extend: str = "neither"

    def add_bar(self, ax: Axes, mappable: Any, font_size: float, below: float | None = None) -> Any:
        """Draw the colour bar; parameters and return value of `layout.add_colorbar`."""
        bar = layout.add_colorbar(
            ax,
            mappable,
            self.label,
            font_size,
            extend=self.extend,
            ticks=self.ticks,
            below=below,
        )
        if self.tick_labels is not None:
            bar.set_ticks(self.ticks, labels=self.tick_labels)
            bar.ax.minorticks_off()
            bar.ax.tick_params(length=0)
        return bar


def color_scale(
    sites: SiteTable,
    column: str,
    kind: str | None,
    cmap: str | Colormap | None,
    limits: Sequence[float] | None,
    percentiles: Sequence[float],
    least_order: float | None = MINIMUM_ORDER,
) -> ColorScale:
    """Colours of a column; the parameters are those of `plot_site_map`.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no value is finite, or an option does not fit.
    """
    values, unit = markers.column_values(sites, column), sites.units[column]
    if kind is None:
        kind = infer_kind(column, sites[column], unit)
    elif kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown: take one of {', '.join(map(repr, KINDS))}")
    if kind == "labels":
        return _label_scale(column, values, cmap)
    scale = _value_scale(column, values, unit, kind, cmap, limits, percentiles)
    known = markers.has_direction(sites, column, least_order)
    if not known.all():
        scale.values = np.where(known, scale.values, np.nan)
        scale.label += f", grey: {(~np.isfinite(scale.values)).sum()} undefined"
    return scale


def infer_kind(column: str, values: np.ndarray, unit: str) -> str:
    """Kind of the colours of a column: as it is registered, then from its type and signs."""
    kind = columns.kind(column, unit)
    if kind == "angle":
        return "angle"
    finite = values[np.isfinite(values)]
    if np.issubdtype(values.dtype, np.integer):
        few = np.unique(values).size <= _MAXIMUM_CLASSES and finite.min() >= -1
        return "labels" if few and kind != "count" else "sequential"
    if kind in ("amplitude", "probability", "score", "position", "count"):
        return "sequential"
    return "signed" if finite.min() < 0 < finite.max() else "sequential"


def _value_scale(
    column: str,
    values: np.ndarray,
    unit: str,
    kind: str,
    cmap: str | Colormap | None,
    limits: Sequence[float] | None,
    percentiles: Sequence[float],
) -> ColorScale:
    """Scale of continuous values; angles are shown in degrees."""
    label = columns.label(column, "rad" if kind == "angle" else unit)
    in_degrees = kind == "angle" or units.is_angle(unit)
    if in_degrees:
        values = units.degrees(values, unit)
    ticks, extend = None, "neither"
    if limits is not None:
        low, high = markers.given_limits(limits)
        if in_degrees:
            low, high = units.degrees([low, high], unit)
    elif kind == "angle":
        low, high = markers.turn(column, unit)
    else:
        low, high = markers.percentile_limits(values, percentiles)
        if kind == "signed":
            high = max(abs(low), abs(high))
            low = -high
        if low == high:
            low, high = low - 0.5, high + 0.5
    if kind == "angle":
        values = low + np.mod(values - low, high - low)
        ticks = np.linspace(low, high, 5)
    else:
        extend = layout.extend_beyond(values, low, high)
        if limits is None and extend != "neither":
            label += f", {percentiles[0]:g}–{percentiles[1]:g} %"
    cmap = get_colormap(_DEFAULT_COLORMAPS[kind] if cmap is None else cmap)
    return ColorScale(values, cmap, Normalize(low, high), label, ticks=ticks, extend=extend)


def _label_scale(column: str, values: np.ndarray, cmap: str | Colormap | None) -> ColorScale:
    """Classes in their own colours, drawn by their place among the classes that occur."""
    finite = values[np.isfinite(values)]
    if (finite != np.rint(finite)).any() or finite.min() < -1:
        raise ValueError(
            f"kind='labels' needs whole numbers from -1 on in column {column!r}; "
            "take kind='sequential' or 'signed'"
        )
    classes = np.unique(finite).astype(int)
    if classes.size > _MAXIMUM_CLASSES:
        raise ValueError(
            f"column {column!r} has {classes.size} classes, more than the {_MAXIMUM_CLASSES} that "
            "colours can tell apart; take kind='sequential'"
        )
    positive = classes[classes >= 0]
    if cmap is None:
        colors = class_colors(positive)
    else:
        colors = get_colormap(cmap)(np.linspace(0, 1, max(positive.size, 2)))[: positive.size, :3]
    if classes[0] == -1:
        colors = np.vstack([[UNDEFINED_COLOR], colors])
    shown = np.full(values.shape, np.nan)
    known = np.isfinite(values)
    shown[known] = np.searchsorted(classes, values[known])
    return ColorScale(
        shown,
        ListedColormap(colors),
        BoundaryNorm(np.arange(classes.size + 1) - 0.5, classes.size),
        columns.title(column),
        ticks=np.arange(classes.size),
        tick_labels=["undef." if k == -1 else str(k) for k in classes],
    )
