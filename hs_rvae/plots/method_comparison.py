# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several methods on the same sites, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sites import missing_column
from . import layout, markers, panels
from .scatter import plot_scatter
from .site_map import plot_site_map
from .style import independent

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure

    from ..sites import SiteTable

_WIDTH = 60.0  # mm of one method at 8 point
_IN_A_ROW = 3  # scatters without maps


@independent
def plot_method_comparison(
    sites: SiteTable,
    methods: Mapping[str, tuple[str, str]] | Sequence[str],
    color: str | Mapping[str, str] = "cluster",
    *,
    image: Any = None,
    maps: bool = True,
    contours: bool = True,
    cmap: str | Colormap | None = None,
    font_size: float | None = None,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw one column of panels per method: a scatter of two columns, and its colours on the map.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image.
    methods : Mapping of str to tuple of str, or sequence of str
        Title of each method and its two columns, for example ``{"PCA": ("pca_0", "pca_1")}``; or
        stems such as ``["pca", "tsne", "latent"]``, of which the first two columns are taken.
    color : str or Mapping of str to str
        Column that colours all points, or one for each title.
    image : numpy.ndarray, optional
        (ny, nx) parent image below the maps.
    maps : bool
        Whether to draw the maps below the scatters; one if all points have the same colours.
        Without maps, four methods and more stand in two rows.
    contours : bool
        Whether to draw lines of equal density.
    cmap, font_size
        As in `hs_rvae.plots.plot_site_map`.
    figure : matplotlib.figure.Figure or SubFigure, optional
        By default a new one, 60 mm wide per method.

    Returns
    -------
    matplotlib.figure.Figure or SubFigure

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If there is no method, or a mapping lacks one.

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.plots import plot_method_comparison
    >>> rng = np.random.default_rng(0)
    >>> columns = {name: rng.normal(size=60) for name in ("pca_0", "pca_1", "tsne_0", "tsne_1")}
    >>> y, x = np.divmod(np.arange(60), 10)
    >>> sites = SiteTable.from_columns({"x": x, "y": y, **columns, "cluster": x % 3})
    >>> figure = plot_method_comparison(sites, ["pca", "tsne"])
    >>> len(figure.axes)
    3
    """
    if not isinstance(methods, Mapping):
        methods = {stem: (f"{stem}_0", f"{stem}_1") for stem in methods}
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in methods.values()):
        raise ValueError("methods names no pair of columns for each: give {title: (x, y)}")
    if not methods:
        raise ValueError("methods is empty: name at least one")
    colors = color if isinstance(color, Mapping) else dict.fromkeys(methods, color)
    lacking = [title for title in methods if title not in colors]
    if lacking:
        raise ValueError(f"color names no column for {lacking[0]!r}")
    in_methods = [name for pair in methods.values() for name in pair]
    for argument, names in (("methods", in_methods), ("color", list(colors.values()))):
        for name in names:
            if name not in sites.columns:
                raise KeyError(f"{argument}: {missing_column(sites, name)}")
    font_size = panels.font_size_for(font_size, figure)
    n = len(methods)
    heights = _heights(sites, image) if maps else (0.85,) * (1 + (n > _IN_A_ROW))
    n_columns = n if maps else -(-n // len(heights))
    if figure is None:
        width = _WIDTH * font_size / 8
        figure = layout.new_figure(n_columns * width, sum(heights) * width)
    axes = figure.subplots(len(heights), n_columns, squeeze=False, height_ratios=heights)
    scatters = axes[0] if maps else axes.ravel()
    alike = len(set(colors.values())) == 1  # one bar, or one map, is enough
    for k, (title, (x, y)) in enumerate(methods.items()):
        bar = not maps and (not alike or k == n_columns - 1)
        plot_scatter(
            sites, x, y, colors[title], contours=contours, cmap=cmap, title=title,
            font_size=font_size, ax=scatters[k], colorbar=bar,
        )  # fmt: skip
        if maps and not (alike and k):
            plot_site_map(
                sites, colors[title], image=image, cmap=cmap, font_size=font_size, ax=axes[1, k]
            )
    for ax in axes[1, 1:] if maps and alike else scatters[n:]:
        ax.remove()
    return figure


def _heights(sites: SiteTable, image: Any) -> tuple[float, float]:
    """Heights of scatter and map relative to their width, with room for labels and bars."""
    panels.check_image(image)
    points = markers.site_points(sites)
    span = np.ptp(points, axis=0) if image is None else np.array(np.shape(image)[::-1])
    bar = 0.3 if layout.is_flat(*span) else 0.15
    return 0.85, 0.7 * min(span[1] / max(span[0], 1e-12), 1.6) + bar
