# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites as HyperSpy's own markers, for signals of the user's."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgba

from hs_rvae.plots import markers as _markers
from hs_rvae.plots.color import UNDEFINED_COLOR
from hs_rvae.plots.color_scale import color_scale

if TYPE_CHECKING:
    from hs_rvae.sites import SiteTable

KINDS = ("points", "arrows", "lines")
_ARROW = 0.8  # length of the mean arrow, in distances between the sites


def site_markers(
    sites: SiteTable, kind: str, color: str | None, vector: tuple[str, str], scale: float | None,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """
    Markers of the sites, as :meth:`SiteTable.to_markers` describes them.

    Parameters
    ----------
    sites : SiteTable
    kind : {"points", "arrows", "lines"}
    color : str or None
    vector : tuple of str
    scale : float or None
    **kwargs
        Options of the class of HyperSpy's markers.

    Returns
    -------
    hyperspy.api.plot.markers.Points, Arrows or Lines
    """
    import hyperspy.api as hs

    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: give 'points', 'arrows' or 'lines'.")
    _refuse_unknown_style(kind, kwargs)
    points = _markers.calibrated(sites, sites.xy)
    colors = np.full((len(sites), 4), np.nan)
    if color is not None:
        drawn = color_scale(sites, color, None, None, None, (1, 99))
        colors = drawn.cmap(drawn.norm(drawn.values))
        colors[~np.isfinite(drawn.values)] = to_rgba(UNDEFINED_COLOR)
    used = np.ones(len(sites), bool)
    steps = np.zeros_like(points)
    if kind != "points":
        steps = _vectors(sites, vector, scale, points)
        used = np.isfinite(steps).all(axis=1)
        if not used.any():
            raise ValueError(f"vector={vector!r}: no site has finite values in both columns.")
    frames = sites["frame"] if "frame" in sites.columns else np.zeros(len(sites), int)
    groups = [used & (frames == k) for k in range(int(frames.max()) + 1)]
    ragged = len(groups) > 1

    def each(values: np.ndarray) -> Any:
        if not ragged:
            return values[groups[0]]
        parts = np.empty(len(groups), dtype=object)
        for k, group in enumerate(groups):
            parts[k] = values[group]
        return parts

    if kind == "points":
        style = {} if color is None else {"facecolors": each(colors), "edgecolors": "none"}
        return hs.plot.markers.Points(offsets=each(points), **(style | kwargs))
    if kind == "arrows":
        style = {} if color is None else {"color": each(colors)}
        return hs.plot.markers.Arrows(
            each(points - steps / 2), each(steps[:, 0]), each(steps[:, 1]), **(style | kwargs)
        )
    style = {} if color is None else {"color": each(colors)}
    segments = np.stack([points - steps / 2, points + steps / 2], axis=1)
    return hs.plot.markers.Lines(segments=each(segments), **(style | kwargs))


def _refuse_unknown_style(kind: str, style: dict[str, Any]) -> None:
    """Raise TypeError for options that neither HyperSpy's markers nor Matplotlib's lines have."""
    import hyperspy.api as hs
    from matplotlib import collections
    from matplotlib.artist import ArtistInspector
    from matplotlib.quiver import Quiver

    lines, circles = collections.LineCollection, collections.CircleCollection
    collection: Any = {"points": circles, "arrows": Quiver, "lines": lines}[kind]
    known = set(ArtistInspector(collection).get_setters())
    for cls in (collection, hs.plot.markers.Points, getattr(hs.plot.markers, kind.capitalize())):
        known |= set(inspect.signature(cls).parameters) - {"self", "args", "kwargs"}
    if unknown := sorted(set(style) - known):
        raise TypeError(f"{', '.join(unknown)}: markers of kind={kind!r} have no such option.")


def _vectors(
    sites: SiteTable, vector: tuple[str, str], scale: float | None, points: np.ndarray
) -> np.ndarray:
    """Vectors (n, 2) of two columns, as long as they are drawn, in units of the axes."""
    if not isinstance(vector, tuple | list) or len(vector) != 2:
        raise ValueError(f"vector={vector!r}: give the names of two columns, x and y.")
    x, y = (_markers.column_values(sites, name) for name in vector)
    steps = np.stack([x, y], axis=1)
    if scale is None:
        size = np.nanmean(np.hypot(x, y))
        scale = _ARROW * _markers.marker_diameter(points) / size if size > 0 else 1.0
        return steps * scale * np.sign(sites.pixel_size)
    return steps * scale * np.array(sites.pixel_size)
