# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours of the values of a column: map, limits, colour bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, LogNorm, Normalize

from ..sites import columns, units
from ..sites.columns import MINIMUM_ORDER
from . import layout, markers
from .color import ANGLE_COLORMAP, UNDEFINED_COLOR, angle_colors, class_colors, get_colormap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from ..sites import SiteTable

KINDS = ("angle", "signed", "sequential", "logarithmic", "labels")
_MAXIMUM_CLASSES = 24
_MANY_TIMES = 10.0  # largest over smallest error, from where on colours are logarithmic
_LIKE_ARROW = 10.0  # degrees between a direction and the arrow that stands for it
_LEAST_COMMON = 0.5  # mean resultant length of the directions of a class
_DEFAULT_COLORMAPS = {
    "angle": ANGLE_COLORMAP,
    "signed": "coolwarm",
    "sequential": "viridis",
    "logarithmic": "viridis",
}


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
            if isinstance(self.norm, BoundaryNorm):
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
    class_labels: Mapping[int, str] | str | None = None,
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
        return _label_scale(sites, column, values, cmap, class_labels)
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
    if values.dtype.kind in "iu":
        few = np.unique(values).size <= _MAXIMUM_CLASSES and finite.min() >= -1
        return "labels" if few and kind != "count" else "sequential"
    if column.removesuffix("_calibrated").endswith("_std") and finite.min() > 0:
        low, high = markers.percentile_limits(finite, (1, 99))
        return "logarithmic" if high > _MANY_TIMES * low else "sequential"
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
    ticks, tick_labels, extend = None, None, "neither"
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
    cmap = get_colormap(_DEFAULT_COLORMAPS[kind] if cmap is None else cmap)
    norm = Normalize(low, high)
    if kind == "logarithmic":
        if not low > 0:
            raise ValueError(
                f"kind='logarithmic' needs values and limits above 0; those of {column!r} begin at "
                f"{low:.4g}. Take kind='sequential'."
            )
        norm, ticks = LogNorm(low, high), _ticks_of_decades(low, high)
        tick_labels = [f"{tick:g}" for tick in ticks]
        values = np.where(values < low, low, values)
    return ColorScale(values, cmap, norm, label, ticks, tick_labels, extend)


def _ticks_of_decades(low: float, high: float) -> np.ndarray:
    """1, 2 and 5 times the powers of ten between two numbers; the powers alone if they are many."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = (1,) if len(powers) > 5 else (1, 2, 5)
    ticks = np.outer(powers, steps).ravel()
    return np.array(ticks[(ticks >= low) & (ticks <= high)])


def class_directions(sites: SiteTable, column: str, classes: ArrayLike) -> np.ndarray | None:
    """
    Mean directions of the sites with each label, as angles of one turn.

    Parameters
    ----------
    sites : SiteTable
    column : str
        Column of labels.
    classes : array-like of int, shape (k,)

    Returns
    -------
    numpy.ndarray, shape (k,), or None
        In units of the period of the angle; None if labels are not those of directions, or the
        sites with one of them have no direction in common.
    """
    of = columns.direction(column)
    if of not in sites.columns:
        return None
    if columns.kind(of) == "label":
        return _directions_of_majority(sites, column, of, np.asarray(classes))
    turns = units.radians(np.asarray(sites[of], float), sites.units[of])
    turns = turns / (columns.period(of, "rad") or 2 * np.pi)
    label, known = np.asarray(sites[column]), np.isfinite(turns)
    waves = np.exp(2j * np.pi * np.where(known, turns, 0))
    means = np.zeros(np.size(classes), complex)
    for i, k in enumerate(np.asarray(classes)):
        own = known & (label == k)
        means[i] = waves[own].mean() if own.any() else 0
    return np.angle(means) / (2 * np.pi) if (np.abs(means) > _LEAST_COMMON).all() else None


def _directions_of_majority(
    sites: SiteTable, column: str, of: str, classes: np.ndarray
) -> np.ndarray | None:
    """Directions of the groups that most sites of each class belong to; None if there are none."""
    label, group = np.asarray(sites[column]), np.asarray(sites[of])
    highest = []
    for k in classes:
        own = np.bincount(group[(label == k) & (group >= 0)], minlength=1)
        if own.max() <= _LEAST_COMMON * max(own.sum(), 1):
            return None
        highest.append(int(own.argmax()))
    return class_directions(sites, of, highest)


def label_colors(sites: SiteTable, column: str, labels: ArrayLike) -> np.ndarray:
    """Colours (k, 3) of labels: those of their directions, or else those of classes."""
    turns = class_directions(sites, column, labels)
    return class_colors(labels) if turns is None else angle_colors(2 * np.pi * turns)


def _label_scale(
    sites: SiteTable,
    column: str,
    values: np.ndarray,
    cmap: str | Colormap | None,
    class_labels: Mapping[int, str] | str | None,
) -> ColorScale:
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
    names = {int(k): str(k) for k in positive} | {-1: "undef."}
    turns = class_directions(sites, column, positive) if cmap is None else None
    period = columns.period(columns.direction(column), "rad")
    if turns is not None and period is not None:
        degrees = np.degrees(period) * turns
        named = _direction if class_labels == "arrows" else _rounded
        names |= {int(k): f"{k}: {named(v)}" for k, v in zip(positive, degrees, strict=True)}
    if isinstance(class_labels, str) and class_labels != "arrows":
        raise ValueError(f"class_labels={class_labels!r}: give a mapping, 'arrows' or None.")
    names |= dict(class_labels or {}) if not isinstance(class_labels, str) else {}
    if cmap is None:
        colors = label_colors(sites, column, positive)
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
        tick_labels=[names[k] for k in classes.tolist()],
    )


def _rounded(degrees: float) -> str:
    """Whole degrees with a true minus sign, 180 rather than -180."""
    return f"{-((180 - round(degrees)) % 360 - 180)}°".replace("-", "−")


def _direction(degrees: float) -> str:
    """Arrow along an axis or a diagonal of a map with y down, degrees for other directions."""
    eighth = round(degrees / 45)
    near = abs(degrees - 45 * eighth) <= _LIKE_ARROW
    return "→↘↓↙←↖↑↗"[eighth % 8] if near else _rounded(degrees)
