# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several methods on the same sites, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sites import columns, missing_column
from . import layout, markers, panels
from .scatter import plot_scatter
from .site_map import plot_site_map
from .style import independent

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure

    from ..sites import SiteTable

_WIDTH = 60.0  # mm of one method at 8 point
_IN_A_ROW = 3  # panels, where methods have no maps of their own


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
    """Draw a scatter of two columns per method, and the colours of its points on the map.

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
        Whether to draw the maps below the scatters. If all points have the same colours, one map
        follows the last scatter. Without maps of their own, up to three panels stand in a row,
        and more in two rows.
    contours : bool
        Whether to draw lines of equal density.
    cmap, font_size
        As in `hs_rvae.plots.plot_site_map`.
    figure : matplotlib.figure.Figure or SubFigure, optional
        By default a new one, 60 mm wide for each panel of a row.

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
    titles = {}
    if not isinstance(methods, Mapping):
        methods = {stem: (f"{stem}_0", f"{stem}_1") for stem in methods}
        titles = {stem: columns.title(pair[0]).removesuffix(" 0") for stem, pair in methods.items()}
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
    n, alike = len(methods), len(set(colors.values())) == 1  # one bar, or one map, is enough
    if maps and not alike:
        heights, n_columns = _heights(sites, image), n
    else:
        panel_heights = (0.85, *_heights(sites, image)[1:]) if maps else (0.85,)
        n_rows = 1 + (n + maps > _IN_A_ROW)
        heights, n_columns = (max(panel_heights),) * n_rows, -(-(n + maps) // n_rows)
    if figure is None:
        width = _WIDTH * font_size / 8
        figure = layout.new_figure(n_columns * width, sum(heights) * width)
    axes = figure.subplots(len(heights), n_columns, squeeze=False, height_ratios=heights)
    places = axes.ravel()
    for k, (title, (x, y)) in enumerate(methods.items()):
        bar = not maps and (not alike or k == n_columns - 1)
        plot_scatter(
            sites, x, y, colors[title], contours=contours, cmap=cmap,
            title=titles.get(title, title), font_size=font_size, ax=places[k], colorbar=bar,
        )  # fmt: skip
        if maps and (not alike or k == n - 1):
            plot_site_map(
                sites, colors[title], image=image, cmap=cmap, font_size=font_size,
                ax=places[n + (0 if alike else k)],
            )  # fmt: skip
    for ax in places[n + (maps if alike else maps * n) :]:
        ax.remove()
    return figure


def _heights(sites: SiteTable, image: Any) -> tuple[float, ...]:
    """Heights of scatter and map relative to their width, with room for labels and bars."""
    panels.check_image(image)
    points = markers.site_points(sites)
    span = np.ptp(points, axis=0) if image is None else np.array(np.shape(image)[::-1])
    bar = 0.3 if layout.is_flat(*span) else 0.15
    return 0.85, 0.7 * min(span[1] / max(span[0], 1e-12), 1.6) + bar
