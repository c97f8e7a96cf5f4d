# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Histogram of the directions of the sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import whole_number
from ..sites import columns, units
from ..sites.columns import MINIMUM_ORDER
from . import markers, panels
from .color import ANGLE_COLORMAP, angle_colors
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from ..sites import SiteTable


@independent
def plot_angle_histogram(
    sites: SiteTable,
    column: str = "angle",
    *,
    bins: int = 72,
    polar: bool = False,
    fold: int = 1,
    variants: int | Sequence[float] | None = None,
    least_order: float | None = MINIMUM_ORDER,
    cmap: str | Colormap | None = None,
    color: str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the histogram of an angle over all sites, in degrees.

    Sites without a finite angle, or without a distortion (see `least_order`), are left out and
    counted in the axis label. One bin is centred
    on 180 degrees; half of it is drawn at either end of the axis, with the count of the whole.

    Parameters
    ----------
    sites : SiteTable
        Sites of one or more images.
    column : str
        Column with angles in radians.
    bins : int
        Number of bins over the whole turn, or over one `fold`.
    polar : bool
        Whether to draw the histogram around a circle, 0 to the right and 90 degrees
        pointing down as on the map. The area of a bar is proportional to its count.
    fold : int
        Fold angles modulo ``360 / fold`` degrees, for a motif of that symmetry.
    variants : int or sequence of float, optional
        Draw dashed lines at these angles (radians), or at so many equally spaced directions that
        fit the angles best (the mean phase of ``exp(i variants angle)``).
    least_order : float, optional
        As in `hs_rvae.plots.plot_site_map`.
    cmap : str or matplotlib.colors.Colormap, optional
        Cyclic map of the bars; by default that of `hs_rvae.plots.plot_site_map`.
    color : str, optional
        One colour for all bars instead.
    title, font_size
        As in `hs_rvae.plots.plot_site_map`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into, with polar projection if `polar`; by default those of a new figure,
        85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no angle is finite, or an option does not fit.
    TypeError
        If `ax` is not one Axes of the right projection.

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.plots import plot_angle_histogram
    >>> angle = np.random.default_rng(0).normal([[0.0, 1.57]], 0.1, (50, 2)).ravel()
    >>> sites = SiteTable.from_columns({"x": angle, "y": angle, "angle": angle},
    ...                                units={"angle": "rad"})
    >>> ax = plot_angle_histogram(sites, variants=4)
    >>> ax.get_xlabel()
    'Angle (°)'
    """
    values = units.radians(markers.column_values(sites, column), sites.units[column])
    bins, fold = whole_number(bins, "bins"), whole_number(fold, "fold")
    known = markers.has_direction(sites, column, least_order)
    finite = values[known & np.isfinite(values)]
    half = 180.0 / fold
    width = 2 * half / bins
    # A bin is centred on -half, hence others on 0 and +-half / 2: variants tend to lie there.
    centres = -half + width * np.arange(bins)
    number = np.rint((np.rad2deg(finite) + half) / width).astype(int)
    counts = np.bincount(number % bins, minlength=bins)
    colors: Any = color
    if color is None:
        colors = angle_colors(np.deg2rad(centres * fold), cmap or ANGLE_COLORMAP)
    lines = _variant_lines(variants, finite, half)

    height = 1.0 if polar else 0.62
    ax, font_size, _ = panels.open_axes(ax, font_size, height=height, polar=polar)
    ax.tick_params(labelsize=font_size - 1)
    undefined = len(values) - len(finite)
    note = f", {undefined} undefined" if undefined else ""
    name = columns.title(column)
    label = f"{name} (°){note}" if fold == 1 else f"{name} modulo {2 * half:g}°{note}"
    if polar:
        _draw_polar(ax, counts, centres, colors, lines, fold, font_size)
        ax.set_xlabel(f"{label}; rings: sites per {width:.3g}°", fontsize=font_size)
    else:
        ax.bar(centres, counts, width=width, color=colors, linewidth=0)
        # The other half of the bin that the cut divides.
        cut = colors[0] if isinstance(colors, np.ndarray) else colors
        ax.bar(half, counts[0], width=width, color=cut, linewidth=0)
        for line in lines:
            ax.axvline(line, color="0.3", linewidth=0.8, linestyle="--", zorder=0)
        ax.set_xlim(-half, half)
        if not len(finite):
            ax.set_ylim(0, 1)
        ax.set_xticks(np.linspace(-half, half, 5))
        ax.set_xticks(np.linspace(-half, half, 9), minor=True)
        ax.set_xlabel(label, fontsize=font_size)
        ax.set_ylabel(f"sites per {width:.3g}°", fontsize=font_size)
    return panels.finish_axes(ax, title, font_size)


def _variant_lines(
    variants: int | Sequence[float] | None, angles: np.ndarray, half: float
) -> np.ndarray:
    """Degrees of the marked directions in (-half, half]."""
    if variants is None:
        return np.empty(0)
    if np.ndim(variants) == 0:
        variants = whole_number(variants, "variants", alternative=", or angles in radians")
        if not len(angles):
            return np.empty(0)
        offset = np.angle(np.exp(1j * variants * angles).mean()) / variants
        wells = offset + 2 * np.pi * np.arange(variants) / variants
    else:
        wells = np.asarray(variants, dtype=float)
        if wells.ndim != 1 or not np.isfinite(wells).all():
            raise ValueError(f"variants={variants!r} must be a number, or angles in radians")
    folded = half - np.mod(half - np.rad2deg(wells), 2 * half)
    return np.unique(folded.round(9))


def _draw_polar(
    ax: Any,
    counts: np.ndarray,
    centres: np.ndarray,
    color: Any,
    lines: np.ndarray,
    fold: int,
    font_size: float,
) -> None:
    """Bars around the circle; the radius is the root of the count, so that area is count."""
    ax.set_theta_zero_location("E")
    ax.set_theta_direction(-1)
    width = 2 * np.pi / len(counts)
    ax.bar(np.deg2rad(centres * fold), np.sqrt(counts), width=width, color=color, linewidth=0)
    highest = max(counts.max(), 1)
    for line in np.deg2rad(lines * fold):
        ax.plot([line, line], [0, np.sqrt(highest)], color="0.3", linewidth=0.8, linestyle="--")
    ax.set_rlim(0, np.sqrt(highest))
    rings = np.unique([panels.nice_length(max(highest / 5, 1)), panels.nice_length(highest)])
    ax.set_rticks(np.sqrt(rings), [f"{ring:g}" for ring in rings])
    ax.set_rlabel_position(-112.5)
    spokes = np.arange(-135, 181, 45)
    names = [f"{angle:g}°".replace("-", "−") for angle in spokes / fold]
    ax.set_thetagrids(spokes % 360, names, fontsize=font_size - 1)
    ax.grid(linewidth=0.5, color="0.85")
    ax.set_axisbelow(True)
