# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several settings of a model side by side, as in the figures of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from . import layout
from .angle_histogram import plot_angle_histogram
from .manifold import plot_distortion, plot_manifold
from .site_map import plot_site_map
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 58.0  # mm of one setting at 8 point: three fill a page
# Heights in widths.
_ROWS = {"angle": 0.78, "latent": 0.78, "histogram": 0.5, "manifold": 0.88, "distortion": 0.5}
_LATENTS = (-2.5, 2.5)  # of the maps: latents are about unit normal


@independent
def plot_comparison(
    panels: Mapping[str, Mapping[str, Any]],
    *,
    rows: Sequence[str] = ("angle", "latent", "histogram", "manifold"),
    font_size: float = 8.0,
) -> Figure:
    """Draw the results of each setting on the same crystal: a column per setting.

    From top to bottom: the map of the angle, the map of the first latent from -2.5 to 2.5, the
    histogram of the angle, the sub-images decoded over the latents, and those with the distortion
    in each direction where a panel has them.

    Parameters
    ----------
    panels : mapping of str to dict
        For every setting ``sites`` (SiteTable), ``manifold`` (what
        :meth:`hs_rvae.RVAE.manifold` returns) and, if there is one, ``image`` (2-D array) and
        ``distortion``: the first three arguments of :func:`hs_rvae.plots.plot_distortion`, or a
        sentence on why there are none.
    rows : sequence of {"angle", "latent", "histogram", "manifold", "distortion"}
        What is drawn, from top to bottom.
    font_size : float
        Points.

    Returns
    -------
    matplotlib.figure.Figure
        58 mm wide for each setting at 8 point.

    Raises
    ------
    ValueError
        If there is no setting, or a row is unknown.

    Notes
    -----
    Figs. 5 and 6 of the reference below.

    References
    ----------
    AIP Advances 12, 105122 (2022), https://doi.org/10.1063/5.0105406

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.plots import plot_comparison
    >>> y, x = np.indices((5, 5)) * 20.0
    >>> columns = {"x": x.ravel(), "y": y.ravel(), "angle": np.arctan2(y - 40, x - 40).ravel()}
    >>> sites = SiteTable.from_columns(columns | {"latent_0": x.ravel()}, units={"angle": "rad"})
    >>> manifold = np.random.default_rng(0).random((2, 2, 8, 8)), np.arange(2.0), np.arange(2.0)
    >>> panels = {"one": {"sites": sites, "manifold": manifold}}
    >>> figure = plot_comparison({**panels, "other": panels["one"]})
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['one', 'other']
    """
    if not panels:
        raise ValueError("panels is empty: there is nothing to compare")
    for name, panel in panels.items():
        if not isinstance(panel, Mapping) or not {"sites", "manifold"} <= set(panel):
            raise ValueError(f"panels[{name!r}] needs a mapping with sites and manifold")
    unknown = [row for row in rows if row not in _ROWS]
    if unknown or not rows:
        raise ValueError(f"rows={tuple(rows)!r}: take some of {', '.join(map(repr, _ROWS))}")
    width = _WIDTH * font_size / 8
    heights = [width * _ROWS[row] for row in rows]
    figure = layout.new_figure(width * len(panels), sum(heights))
    axes = figure.subplots(len(rows), len(panels), height_ratios=heights, squeeze=False)
    for column, (name, panel) in enumerate(panels.items()):
        for row, ax in zip(rows, axes[:, column], strict=True):
            # Scales are the same in all columns: the last one shows them.
            _DRAW[row](panel, ax, font_size, last=column == len(panels) - 1)
        axes[0, column].set_title(name, fontsize=font_size)
    return figure


def _angle(panel: Mapping[str, Any], ax: Axes, font_size: float, last: bool) -> None:
    _map(panel, "angle", ax, font_size, last)


def _latent(panel: Mapping[str, Any], ax: Axes, font_size: float, last: bool) -> None:
    _map(panel, "latent_0", ax, font_size, last, limits=_LATENTS)


def _map(
    panel: Mapping[str, Any], column: str, ax: Axes, font_size: float, last: bool, **options: Any
) -> None:
    sites, image = panel["sites"], panel.get("image")
    if column not in sites or not np.isfinite(sites[column]).any():
        _nothing(ax, f"no {column}", font_size)
        return
    options = {"image": image, "font_size": font_size, "colorbar": last} | options
    plot_site_map(sites, column, **options, ax=ax)
    if last and column == "angle":
        bar = next(child for child in ax.child_axes if child.get_gid() == "colorbar")
        bar.set_ylabel("Angle (°), grey: undefined", fontsize=font_size)  # of all settings


def _histogram(panel: Mapping[str, Any], ax: Axes, font_size: float, last: bool) -> None:
    sites = panel["sites"]
    if "angle" not in sites or not np.isfinite(sites["angle"]).any():
        _nothing(ax, "no angle", font_size)
        return
    plot_angle_histogram(sites, font_size=font_size, ax=ax)
    ax.spines[["top", "right"]].set_visible(False)


def _manifold(panel: Mapping[str, Any], ax: Axes, font_size: float, last: bool) -> None:
    images, values_y, values_x = panel["manifold"]
    plot_manifold(images, values_y, values_x, font_size=font_size, ax=ax, colorbar=False)


def _distortion(panel: Mapping[str, Any], ax: Axes, font_size: float, last: bool) -> None:
    found = panel.get("distortion")
    if found is None or isinstance(found, str):
        _nothing(ax, fill(found or "no distortion", 30), font_size)
        return
    images, changes, angles = found
    plot_distortion(images, changes, angles, font_size=font_size, ax=ax, colorbar=False)


def _nothing(ax: Axes, text: str, font_size: float) -> None:
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, fontsize=font_size, ha="center", va="center", transform=ax.transAxes)


_DRAW = {
    "angle": _angle,
    "latent": _latent,
    "histogram": _histogram,
    "manifold": _manifold,
    "distortion": _distortion,
}
