# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two columns against each other, coloured by a third, with lines of equal density."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import layout, markers, panels
from .color import UNDEFINED_COLOR
from .color_scale import color_scale, infer_kind
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Colormap

    from ..sites import SiteTable
    from .color_scale import ColorScale

# Share of the sites inside the lines of equal density.
_SHARES = (0.9, 0.7, 0.5, 0.3, 0.1)
_GRID = 200  # points of the density along each axis
_NARROWEST = 0.012  # bandwidth, as a share of an axis: what a line of equal density can show


@independent
def plot_scatter(
    sites: SiteTable,
    x: str,
    y: str,
    color: str | None = None,
    *,
    contours: bool = True,
    kind: str | None = None,
    cmap: str | Colormap | None = None,
    limits: Sequence[float] | None = None,
    percentiles: Sequence[float] = (1, 99),
    marker_size: float | None = None,
    alpha: float | None = None,
    colorbar: bool = True,
    label: str | None = None,
    equal: bool = False,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one column against another.

    Lines of equal density enclose 90, 70, 50, 30 and 10 % of the sites. Sites without a finite x or
    y are left out and counted in the label of x; those without a colour (labels of -1, NaN) are
    grey.

    Parameters
    ----------
    sites : SiteTable
        Sites of one or more images.
    x, y : str
        Columns. Angles (in radians) are drawn in degrees.
    color : str, optional
        Column that colours the points: labels, angles on a cyclic map, or values.
    contours : bool
        Whether to draw the lines of equal density.
    kind, cmap, limits, percentiles
        Options of the colours, as in `hs_rvae.plots.plot_site_map`.
    marker_size : float, optional
        Diameter in points; by default smaller where there are more sites.
    alpha : float, optional
        Opacity of the points.
    colorbar : bool
        Whether to draw the colour bar.
    label : str, optional
        Label of the colour bar; by default the printed name of `color` and its unit.
    equal : bool
        Whether a unit of x and of y are equally long, for embeddings and scores.
    title, font_size
        As in `hs_rvae.plots.plot_site_map`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes
        Its colour bar is the first of ``ax.child_axes``.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no site has finite values, or an option does not fit.
    TypeError
        If `ax` is not one rectilinear Axes.

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.plots import plot_scatter
    >>> rng = np.random.default_rng(0)
    >>> sites = SiteTable.from_columns({"pca_0": rng.normal(size=200),
    ...     "pca_1": rng.normal(size=200), "cluster": rng.integers(0, 3, 200)})
    >>> ax = plot_scatter(sites, "pca_0", "pca_1", "cluster")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('PCA 0', 'PCA 1')
    """
    points, label_x, label_y = markers.axis_points(sites, x, y)
    known = np.isfinite(points).all(1)
    if not known.any():
        raise ValueError(
            f"no site has both a finite {x!r} and a finite {y!r}: there is nothing to draw"
        )
    scale = None
    if color is not None:
        scale = color_scale(sites, color, kind, cmap, limits, percentiles)
        scale.label = scale.label if label is None else label

    ax, font_size, new = panels.open_axes(ax, font_size, height=0.85)
    if not new:
        layout.reserve(ax, 15.0 * font_size / 8 if scale and colorbar else 0.0)
    size = marker_size or float(np.clip(60 / np.sqrt(known.sum()), 1.0, 4.0))
    drawn = _draw_points(ax, points, known, scale, size, alpha)
    if contours:
        _draw_contours(ax, points[known])
    if left_out := int((~known).sum()):
        label_x += f", {left_out} left out"
    panels.label_axes(ax, label_x, label_y, font_size)
    for name, set_limits, axis in ((x, ax.set_xlim, ax.xaxis), (y, ax.set_ylim, ax.yaxis)):
        if infer_kind(name, sites[name], sites.units[name]) == "angle":
            low, high = markers.turn(name, sites.units[name])
            set_limits(low, high)
            axis.set_ticks(np.linspace(low, high, 5))
    if equal:
        ax.set_aspect("equal", adjustable="datalim")
    if scale is not None and colorbar:
        bar = scale.add_bar(ax, drawn, font_size)
        bar.solids.set_alpha(1)
    return panels.finish_axes(ax, title, font_size)


def _draw_points(
    ax: Axes,
    points: np.ndarray,
    known: np.ndarray,
    scale: ColorScale | None,
    size: float,
    alpha: float | None,
) -> PathCollection:
    """Points in the colours of a scale, those without one in grey below."""
    style: dict[str, Any] = {"s": size**2, "linewidths": 0, "alpha": alpha, "rasterized": True}
    if scale is None:
        drawn = ax.scatter(*points[known].T, color="#0072B2", zorder=2, **style)
        drawn.set_gid("sites")
        return drawn
    colored = known & np.isfinite(scale.values)
    left_out = points[known & ~colored]
    ax.scatter(left_out[:, 0], left_out[:, 1], color=[UNDEFINED_COLOR], zorder=1.5, **style)
    # In random order: no class lies above all others.
    order = np.random.default_rng(0).permutation(np.flatnonzero(colored))
    x, y = points[order].T
    style |= {"c": scale.values[order], "cmap": scale.cmap, "norm": scale.norm}
    drawn = ax.scatter(x, y, zorder=2, **style)
    drawn.set_gid("sites")
    return drawn


def _draw_contours(ax: Axes, points: np.ndarray) -> None:
    """Lines that enclose given shares of the points."""
    lines = density(points)
    if lines is None:
        return
    grid_x, grid_y, values, levels = lines
    # Dark on a light halo: read upon points of any colour.
    for color, width in (("white", 1.4), ("0.15", 0.6)):
        drawn = ax.contour(grid_x, grid_y, values, levels, colors=color, linewidths=width, zorder=3)
        drawn.set_gid("density")


def density(
    points: np.ndarray, shares: Sequence[float] = _SHARES
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Density of points on a grid, and the levels that enclose given shares of them.

    Parameters
    ----------
    points : numpy.ndarray, shape (n, 2)
    shares : sequence of float

    Returns
    -------
    tuple or None
        Grid along x and y, density (ny, nx), rising levels. None for too few points, or points
        on a line.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    if len(points) < 20 or np.linalg.matrix_rank(points - points.mean(0)) < 2:
        return None
    low, high = points.min(0), points.max(0)
    width = 0.6 * len(points) ** (-1 / 6) * np.array([_spread(values) for values in points.T])
    width = np.maximum(width, _NARROWEST * (high - low))
    low, high = low - 3 * width, high + 3 * width
    step = (high - low) / (_GRID - 1)
    place = (points - low) / step  # in steps of the grid
    edges = np.arange(_GRID + 1) - 0.5
    counts = np.histogram2d(place[:, 1], place[:, 0], bins=(edges, edges))[0]
    values = gaussian_filter(counts, (width / step)[::-1], mode="constant")
    values /= len(points) * step.prod()
    at_points = map_coordinates(values, place[:, ::-1].T, order=1)
    levels = np.unique(np.quantile(at_points, 1 - np.array(shares)))
    grid_x, grid_y = (np.linspace(*ends, _GRID) for ends in zip(low, high, strict=True))
    return grid_x, grid_y, values, levels


def _spread(values: np.ndarray) -> float:
    """Standard deviation of the values, or that within groups where these lie far apart.

    It is taken from the distance of a value to its k-th neighbour. For one Gaussian that is a
    fixed part of the standard deviation, and for separate groups a part of their own.
    """
    values = np.sort(values)
    k = max(10, len(values) // 50)
    if len(values) <= 2 * k:
        return float(values.std())
    near = np.median(values[k:] - values[:-k])  # width of an interval that holds k values
    gaussian = k / len(values) * np.sqrt(2 * np.pi) * np.exp(0.5 * 0.6745**2)
    return min(float(near / gaussian), float(values.std()))
