# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A column of the site table as colours in real space."""

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize

from ..sites import columns, units
from . import image_series, layout, markers
from .color import ANGLE_COLORMAP, UNDEFINED_COLOR, class_colors, get_colormap
from .panels import open_map
from .style import independent

KINDS = ("angle", "signed", "sequential", "labels")
_MOST_CLASSES = 24
_DEFAULT_COLORMAPS = {"angle": ANGLE_COLORMAP, "signed": "coolwarm", "sequential": "viridis"}


@independent
def plot_site_map(
    sites,
    column,
    *,
    image=None,
    frame=None,
    frame_labels=None,
    kind=None,
    cmap=None,
    limits=None,
    percentiles=(1, 99),
    marker_size=None,
    scale_bar=None,
    colorbar=True,
    title=None,
    font_size=None,
    ax=None,
):
    """Draw the sites as markers coloured by a column.

    The map has the orientation of ``image.plot()``: x to the right, y down. Sites without a
    finite value are hollow and grey.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image.
    column : str
        Name of the column.
    image : numpy.ndarray, optional
        (ny, nx) parent image, drawn in grey below the sites with a scale bar; without it the
        axes carry calibrated ticks. Of a series, an array (n_frames, ny, nx), NumPy or dask.
    frame : int, optional
        The frame of a series to show first; None is the first there is. A new figure has a slider
        for the others, ``ax.frame_slider``. Colours are the same in all frames.
    frame_labels : list of str, optional
        What the frames are called; "frame 0" and so on by default.
    kind : {"angle", "signed", "sequential", "labels"}, optional
        How values become colours. By default integer columns of few different values are labels
        (-1, undefined, in grey), columns named angle are angles (cyclic map), columns of both
        signs are signed (diverging map, zero in the middle), all others sequential.
    cmap : str or matplotlib.colors.Colormap, optional
        Colour map of Matplotlib, or of colorcet with its ``"cet_"`` name. By default
        ``"cet_colorwheel"`` for angles, ``"coolwarm"`` for signed and ``"viridis"`` for
        sequential columns. ``"cet_CET_CBC1"`` or ``"twilight"`` for angles, ``"cividis"``
        for the others, are made for colour-blind readers.
    limits : tuple of float, optional
        Values at the ends of the colour map in the units of the column (radians for angles).
        Angles are folded into the limits, which are one period: (-pi, pi) by default,
        (-pi/4, pi/4) for a motif with four-fold symmetry.
    percentiles : tuple of float
        Percentiles at the ends of the colour map when there are no `limits` (not used for angles
        and labels). The colour bar states them, and points beyond the limits.
    marker_size : float, optional
        Diameter of the markers in calibrated units; by default they nearly touch.
    scale_bar : bool or str, optional
        Whether to draw a scale bar, or its corner such as ``"upper left"``. By default one is
        drawn upon an image, in the corner that hides the fewest sites.
    colorbar : bool
        Whether to draw the colour bar, with name and unit of the column.
    title : str, optional
        Title of the axes.
    font_size : float, optional
        Points; by default 8 in a new figure (a larger one widens the figure), the size set in
        Matplotlib in a given `ax`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes
        The map; its colour bar is the first of ``ax.child_axes``.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no value is finite, or an option does not fit.
    TypeError
        If `ax` is not one rectilinear Axes.

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.plots import plot_site_map
    >>> y, x = np.indices((5, 5)) * 20.0
    >>> sites = SiteTable.from_columns(
    ...     {"x": x.ravel(), "y": y.ravel(), "angle": np.arctan2(y - 40, x - 40).ravel()},
    ...     units={"angle": "rad"}, pixel_size=(0.02, 0.02), pixel_units="nm")
    >>> ax = plot_site_map(sites, "angle")
    >>> ax.get_xlabel()
    'x (nm)'
    """
    values = markers.column_values(sites, column)
    unit = sites.units[column]
    if kind is None:
        kind = infer_kind(column, sites[column], unit)
    elif kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown: take one of {', '.join(map(repr, KINDS))}")
    if kind == "labels":
        scale = _label_scale(column, values, cmap)
    else:
        scale = _value_scale(column, values, unit, kind, cmap, limits, percentiles)

    frames = image_series.frames_of(sites, image, frame, frame_labels)
    shown, below_sites, rows = (sites, image, slice(None)) if frames is None else frames.current
    base = open_map(
        shown,
        image=below_sites,
        marker_size=marker_size,
        scale_bar=scale_bar,
        font_size=font_size,
        ax=ax,
        side=15.0 if colorbar else 0.0,
        below_flat=12.0 if colorbar else 0.0,
    )

    def draw(points, rows):
        values = scale.values[rows]
        undefined = ~np.isfinite(values)
        return markers.draw_markers(
            base.ax,
            points,
            base.diameter,
            undefined,
            array=values[~undefined],
            cmap=scale.cmap,
            norm=scale.norm,
        )

    mappable = draw(base.points, rows)
    if colorbar:
        bar = layout.add_colorbar(
            base.ax,
            mappable,
            scale.label,
            base.font_size,
            extend=scale.extend,
            ticks=scale.ticks,
            below=(11.0 if image is None else 1.5) if base.flat else None,
        )
        if scale.tick_labels is not None:
            bar.set_ticks(scale.ticks, labels=scale.tick_labels)
            bar.ax.minorticks_off()
            bar.ax.tick_params(length=0)
    if frames is not None:
        below = 0.0 if image is not None else 11.0
        frames.add_to(base, draw, title, below + (12.0 if base.flat and colorbar else 0.0))
    return base.finish(title)


def infer_kind(column, values, unit):
    """Kind of the colours of a column: as it is registered, then from its type and signs."""
    kind = columns.kind(column, unit)
    if kind == "angle":
        return "angle"
    finite = values[np.isfinite(values)]
    if np.issubdtype(values.dtype, np.integer):
        few = np.unique(values).size <= _MOST_CLASSES and finite.min() >= -1
        return "labels" if few and kind != "count" else "sequential"
    if kind in ("amplitude", "probability", "score", "position", "count"):
        return "sequential"
    return "signed" if finite.min() < 0 < finite.max() else "sequential"


@dataclass
class _ColorScale:
    """What the markers and their colour bar need."""

    values: np.ndarray  # what the colours stand for, in the units of the colour bar
    cmap: Colormap
    norm: Normalize
    label: str
    ticks: np.ndarray | None = None
    tick_labels: list[str] | None = None
    extend: str = "neither"


def _value_scale(column, values, unit, kind, cmap, limits, percentiles):
    """Scale of continuous values; angles are shown in degrees."""
    label = columns.label(column, "rad" if kind == "angle" else unit)
    in_degrees = kind == "angle" or units.is_angle(unit)
    if in_degrees:
        values = units.degrees(values, unit)
    ticks, extend = None, "neither"
    if limits is not None:
        limits = np.array(markers.given_limits(limits))
        low, high = units.degrees(limits, unit) if in_degrees else limits
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
    return _ColorScale(values, cmap, Normalize(low, high), label, ticks=ticks, extend=extend)


def _label_scale(column, values, cmap):
    """Classes in their own colours, drawn by their place among the classes that occur."""
    finite = values[np.isfinite(values)]
    if (finite != np.rint(finite)).any() or finite.min() < -1:
        raise ValueError(
            f"kind='labels' needs whole numbers from -1 on in column {column!r}; "
            "take kind='sequential' or 'signed'"
        )
    classes = np.unique(finite).astype(int)
    if classes.size > _MOST_CLASSES:
        raise ValueError(
            f"column {column!r} has {classes.size} classes, more than the {_MOST_CLASSES} that "
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
    return _ColorScale(
        shown,
        ListedColormap(colors),
        BoundaryNorm(np.arange(classes.size + 1) - 0.5, classes.size),
        columns.title(column),
        ticks=np.arange(classes.size),
        tick_labels=["undef." if k == -1 else str(k) for k in classes],
    )
