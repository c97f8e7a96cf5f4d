# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Means of clusters, and the curve for the choice of their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..sites import units
from . import layout, markers, panels
from .color import class_colors
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import ArrayLike

_NAMES = {
    "bic": "Bayesian information criterion",
    "aic": "Akaike information criterion",
    "silhouette": "mean silhouette",
    "gap": "gap",
    "elbow": "log summed squared distance",
}


@independent
def plot_cluster_means(
    images: np.ndarray,
    labels: Sequence[int],
    counts: np.ndarray,
    *,
    pixel_size: float | None = None,
    pixel_units: str = "px",
    colors: ArrayLike | None = None,
    n_columns: int | None = None,
    cmap: str | Colormap = "gray",
    intensity_limits: Sequence[float] | None = None,
    colorbar: bool = True,
    intensity_label: str = "intensity",
    title: str | None = None,
    font_size: float | None = None,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw the mean sub-image of each cluster with its number of sites.

    All share one intensity scale. The frame has the colour of the cluster on site maps.

    Parameters
    ----------
    images : numpy.ndarray, shape (k, h, w)
    labels, counts : sequence of int, length k
    pixel_size : float, optional
        In `pixel_units`; with it a scale bar is drawn in the first image.
    pixel_units : str
    colors : array-like, shape (k, 3), optional
        Colours of the frames. If None, those of the labels as classes.
    n_columns : int, optional
        Images side by side; by default nearly a square.
    cmap : str or matplotlib.colors.Colormap
    intensity_limits : tuple of float, optional
        By default the lowest and highest intensity.
    colorbar : bool
    intensity_label : str
    title, font_size
        As in `hs_rvae.plots.plot_site_map`.
    figure : matplotlib.figure.Figure or SubFigure, optional
        By default a new one, 85 mm wide.

    Returns
    -------
    matplotlib.figure.Figure or SubFigure

    Raises
    ------
    ValueError
        If the numbers of images, labels and counts differ, or there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae.plots import plot_cluster_means
    >>> figure = plot_cluster_means(np.random.rand(3, 16, 16), [0, 1, 2], [120, 80, 20])
    >>> figure.axes[0].get_title()
    '0: 120 sites'
    """
    images = np.asarray(images)
    if images.ndim != 3 or not len(images):
        raise ValueError(f"images has the shape {images.shape}: give (clusters, rows, columns)")
    if not len(images) == len(labels) == len(counts):
        raise ValueError(
            f"{len(images)} images, {len(labels)} labels and {len(counts)} counts: their numbers "
            "must agree"
        )
    if colors is not None and np.shape(colors) not in ((len(images), 3), (len(images), 4)):
        raise ValueError(f"colors has the shape {np.shape(colors)}: give ({len(images)}, 3)")
    font_size = panels.font_size_for(font_size, figure)
    k = len(images)
    frames = class_colors(labels) if colors is None else np.asarray(colors)
    n_columns = min(n_columns or int(np.ceil(np.sqrt(k))), k)
    n_rows = -(-k // n_columns)
    flat = 2 * n_rows < n_columns  # the colour bar belongs below
    if figure is None:
        width = layout.column_width(font_size)
        side = (width - 18 * (colorbar and not flat)) / n_columns
        height = n_rows * (
            side * images.shape[1] / images.shape[2] + (5 + 4 * flat) * font_size / 8
        )
        height += (6 if title else 1) + 12 * (colorbar and flat)
        new = layout.new_figure(width, min(height, 2.2 * width))
        new.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.03, hspace=0.03)
        figure = new
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    low, high = np.nanmin(images), np.nanmax(images)
    if intensity_limits is not None:
        low, high = markers.given_limits(intensity_limits, "intensity_limits")
    for i, ax in enumerate(axes.flat):
        if i >= k:
            ax.set_axis_off()
            continue
        scale = 1.0 if pixel_size is None else pixel_size
        extent = (0, images.shape[2] * scale, images.shape[1] * scale, 0)
        drawn = panels.draw_image(ax, images[i], extent, cmap=cmap, vmin=low, vmax=high)
        sites = "site" if counts[i] == 1 else "sites"
        name = f"{labels[i]}:\n" if flat else f"{labels[i]}: "
        ax.set_title(f"{name}{counts[i]} {sites}", fontsize=font_size, pad=2.5)
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(color=frames[i], linewidth=1.8)
    if pixel_size is not None:
        unit = units.printed(pixel_units)
        panels.add_scale_bar(axes.flat[0], unit, "lower left", None, font_size - 1)
    if colorbar:
        where = "bottom" if flat else "right"
        bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02, aspect=30, location=where)
        layout.format_colorbar(bar, intensity_label, font_size)
    if title is not None:
        figure.suptitle(title, fontsize=font_size)
    return figure


@independent
def plot_cluster_metric(
    n_clusters: Sequence[int],
    values: Sequence[float],
    metric: str,
    best: int | None = None,
    *,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a metric against the number of clusters, and mark the number it prefers.

    Parameters
    ----------
    n_clusters : sequence of int
    values : sequence of float
    metric : str
        "bic", "aic", "silhouette", "gap" or "elbow".
    best : int, optional
        Number that is marked.
    title, font_size
        As in `hs_rvae.plots.plot_site_map`.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from hs_rvae.plots import plot_cluster_metric
    >>> ax = plot_cluster_metric([1, 2, 3], [9.0, 4.0, 5.0], "bic", 2)
    >>> ax.get_ylabel()
    'Bayesian information criterion'
    """
    if len(n_clusters) != len(values):
        raise ValueError(
            f"n_clusters has {len(n_clusters)} numbers, values {len(values)}: give one for each."
        )
    ax, font_size, _ = panels.open_axes(ax, font_size, height=0.62)
    ax.plot(n_clusters, values, "o-", color="#0072B2", markersize=3.5, linewidth=1)
    if best is not None:
        ax.axvline(best, color="0.3", linewidth=0.8, linestyle="--", zorder=0)
        ax.annotate(
            f"{best}",
            (best, 1),
            (2, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            fontsize=font_size,
        )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels.label_axes(ax, "number of clusters", _NAMES.get(metric, metric), font_size)
    ax.yaxis.get_offset_text().set_fontsize(font_size - 1)
    return panels.finish_axes(ax, title, font_size)
