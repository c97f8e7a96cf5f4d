# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains and the walls between them, on the map of their sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patheffects import Stroke
from scipy.spatial import cKDTree

from . import layout, markers
from .panels import font_size_for
from .site_map import plot_site_map
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..sites import SiteTable

_OF_WALLS = ("charged", "kind", "segments")  # columns
# Name, colour and dashes of walls; they differ in form, too.
_DASHES = (0, (1.2, 0.8))
_WALLS: dict[str, tuple[str, str, Any]] = {
    "neutral": ("Wall", "black", "solid"),
    "charged": ("Charged wall", "#D00000", "solid"),
    "antiphase": ("Antiphase wall", "black", _DASHES),
    "charged antiphase": ("Charged antiphase wall", "#D00000", _DASHES),
}
_WIDTH = 1.6  # points
_NEAREST = 9  # a site and those around it


@independent
def plot_domains(
    sites: SiteTable,
    domains: Any,
    walls: Any,
    column: str = "domain",
    *,
    image: Any = None,
    numbers: bool = True,
    legend: bool = True,
    colorbar: bool = False,
    marker_size: float | None = None,
    scale_bar: bool | str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the sites in the colours of their domains, and the walls as lines.

    Lines follow the edges of the cells between two domains. Charged walls are red, antiphase walls
    dashed. Grey sites are in no domain.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image.
    domains, walls : pandas.DataFrame
        As :attr:`SubImageStack.domains` and :attr:`SubImageStack.walls`, of the same image.
    column : str
        Column that colours the sites.
    image : numpy.ndarray, optional
        As in :func:`plot_site_map`.
    numbers : bool
        Whether to write the number of each domain into it.
    legend : bool
        Whether to name the kinds of walls, with their number.
    colorbar, marker_size, scale_bar, title, font_size, ax
        As in :func:`plot_site_map`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If the tables are of several images or frames, if `walls` lacks a column, or as
        :func:`plot_site_map`.

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.domains import Measured, domain_tables, find_domains
    >>> y, x = np.indices((6, 8))
    >>> xy = 20.0 * np.column_stack([x.ravel(), y.ravel()])
    >>> measured = Measured(xy, (x > 4).ravel().astype(int), {})
    >>> domain = find_domains(measured)[0]
    >>> sites = SiteTable.from_columns({"x": xy[:, 0], "y": xy[:, 1], "domain": domain})
    >>> ax = plot_domains(sites, *domain_tables(measured, domain))
    >>> [text.get_text() for text in ax.texts]
    ['0', '1']
    """
    missing = [name for name in _OF_WALLS if name not in getattr(walls, "columns", ())]
    if missing:
        raise ValueError(f"walls lacks {', '.join(missing)}: give the table stack.walls")
    for name in ("image", "frame"):
        if name in domains and domains[name].nunique() > 1:
            raise ValueError(
                f"domains are of several {name}s: choose the sites of one, for example "
                f"select_sites(stack.sites[{name!r}] == {domains[name].iloc[0]})"
            )
    size = font_size_for(font_size, ax)
    many = column == "domain" and len(domains) > 24
    kind = "sequential" if many else "labels" if column == "domain" else None
    drawn = plot_site_map(
        sites, column, image=image, kind=kind, marker_size=marker_size, scale_bar=scale_bar,
        colorbar=colorbar, title=title, font_size=font_size, ax=ax,
    )  # fmt: skip
    handles = _draw_walls(drawn, sites, walls)
    if numbers:
        anchors = _anchors(sites)
        points = markers.calibrated(sites, np.array(list(anchors.values())).reshape(-1, 2))
        rim = [Stroke(linewidth=2.2, foreground="white"), Stroke()]
        for number, (x, y) in zip(anchors, points, strict=True):
            drawn.text(x, y, str(number), fontsize=size, fontweight="bold", color="black",
                       ha="center", va="center", gid="domain number", path_effects=rim)  # fmt: skip
    if legend and handles:
        below = 11.0 if image is None else 0.5 if isinstance(scale_bar, str) else 4.5
        _add_legend(drawn, handles, size, below, new=ax is None)
    return drawn


def _draw_walls(ax: Axes, sites: SiteTable, walls: Any) -> list[Line2D]:
    """Draw the walls; return handles for the legend."""
    charged = np.asarray(walls["charged"], bool)
    antiphase = np.asarray(walls["kind"] == "antiphase", bool)
    handles = []
    for name, (label, color, dashes) in _WALLS.items():
        rows = (charged == ("charged" in name)) & (antiphase == ("antiphase" in name))
        if not rows.any():
            continue
        ends = np.concatenate(list(walls["segments"][rows]))
        lines = list(markers.calibrated(sites, ends.reshape(-1, 2)).reshape(-1, 2, 2))
        # Matplotlib counts dashes in widths of the line.
        wide = _WIDTH + 1.4
        of_rim = dashes if dashes == "solid" else (0, tuple(d * _WIDTH / wide for d in dashes[1]))
        for shade, width, pattern, gid in (
            ("white", wide, of_rim, f"rim of walls {name}"),
            (color, _WIDTH, dashes, f"walls {name}"),
        ):
            ax.add_collection(
                LineCollection(
                    lines, colors=shade, linewidths=width, linestyles=[pattern], zorder=4,
                    capstyle="round", gid=gid,
                ),
                autolim=False,
            )  # fmt: skip
        handles.append(
            Line2D([], [], color=color, linewidth=_WIDTH, linestyle=dashes,
                   label=f"{label} ({rows.sum()})")
        )  # fmt: skip
    return handles


def _add_legend(ax: Axes, handles: list[Line2D], size: float, below: float, new: bool) -> None:
    """Name the kinds of walls below the map, where the legend hides no site."""
    grow = size / 8
    low = below * grow
    if not new:
        layout.reserve(ax, below=low + 5.0 * grow)
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(handles),
              bbox_transform=layout.below_axes(ax, low), fontsize=size - 1, frameon=False,
              handlelength=1.8, borderpad=0.2, columnspacing=1.2)  # fmt: skip
    if new:
        layout.fit_figure(ax, layout.column_width(size))


def _anchors(sites: SiteTable) -> dict[int, np.ndarray]:
    """Place (2,) in px of the site deepest inside each domain, by the number of the domain."""
    domain, xy = sites["domain"], sites.xy
    near = cKDTree(xy).query(xy, min(_NEAREST, len(xy)))[1].reshape(len(xy), -1)
    border = np.stack([xy.min(0), xy.max(0)])
    places = {}
    for number in np.unique(domain[domain >= 0]).tolist():
        inside = domain == number
        own, beside = xy[inside], np.unique(near[inside])  # the nearest others are among these
        depth = np.minimum(own - border[0], border[1] - own).min(1)
        other = xy[beside[domain[beside] != number]]
        if len(other):
            depth = np.minimum(depth, cKDTree(other).query(own)[0])
        middle = np.hypot(*(own - own.mean(0)).T)
        places[number] = own[np.lexsort([middle, -np.round(depth, 1)])[0]]
    return places
