# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two columns against each other, in the colours of direction and amplitude."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..sites.columns import MINIMUM_ORDER
from . import layout, markers, panels
from .color import UNDEFINED_COLOR
from .polar import WHEEL_SIDE, add_wheel, polar_scale
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from ..sites import SiteTable


@independent
def plot_polar_scatter(
    sites: SiteTable,
    x: str = "latent_0",
    y: str = "latent_1",
    angle: str = "angle",
    amplitude: str | None = "latent_0",
    *,
    sign: int = 1,
    signed: bool | None = None,
    limits: Sequence[float] | None = None,
    percentiles: Sequence[float] = (1, 99),
    least_order: float | None = MINIMUM_ORDER,
    cmap: str | Colormap | None = None,
    wheel: bool = True,
    label: str | None = None,
    marker_size: float | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one column against another, coloured by direction and amplitude as polar maps are.

    Parameters
    ----------
    sites : SiteTable
        Sites of one or more images.
    x, y : str
        Columns, by default the first two latents. Angles (in radians) are drawn in degrees.
    angle, amplitude, sign, signed, limits, percentiles, least_order, cmap, wheel, label
        As in :func:`hs_rvae.plots.plot_polar_map`.
    marker_size : float, optional
        Diameter in points; by default smaller where there are more sites.
    title, font_size, ax
        As in :func:`hs_rvae.plots.plot_polar_map`.

    Returns
    -------
    matplotlib.axes.Axes
        Its wheel is the first of ``ax.child_axes``.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If no site has finite values, or an option does not fit.
    TypeError
        If `ax` is not one rectilinear Axes.

    Notes
    -----
    Figs. 2(e) and 2(g) of the reference below, with its amplitude-phase colours.

    References
    ----------
    AIP Advances 12, 105122 (2022), https://doi.org/10.1063/5.0105406

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.plots import plot_polar_scatter
    >>> a = np.linspace(-3, 3, 50)
    >>> sites = SiteTable.from_columns(
    ...     {"x": a, "y": a, "angle": a, "latent_0": np.sin(a), "latent_1": np.cos(a)},
    ...     units={"angle": "rad"})
    >>> ax = plot_polar_scatter(sites, "latent_0", "latent_1", amplitude="latent_1")
    >>> ax.get_xlabel(), len(ax.child_axes)
    ('Latent 0', 1)
    """
    scale = polar_scale(
        sites, angle, amplitude, sign, signed, limits, percentiles, cmap, least_order, label
    )
    points, label_x, label_y = markers.axis_points(sites, x, y)
    finite = np.isfinite(points).all(axis=1)
    shown, grey = scale.defined & finite, ~scale.defined & finite
    if not finite.any():
        raise ValueError(f"no site has a finite {x!r}, {y!r} and colour: there is nothing to draw")
    ax, font_size, _ = panels.open_axes(ax, font_size, height=0.62)
    if wheel:
        layout.reserve(ax, side=WHEEL_SIDE * font_size / 8)
    if marker_size is None:
        marker_size = float(np.clip(60 / np.sqrt(finite.sum()), 1.2, 5))
    colors = np.ones((len(points), 3))
    colors[scale.defined] = scale.colors
    ax.scatter(
        points[grey, 0], points[grey, 1], s=marker_size**2, color=[UNDEFINED_COLOR], linewidths=0
    )
    drawn = ax.scatter(
        points[shown, 0], points[shown, 1], s=marker_size**2, c=colors[shown], linewidths=0
    )
    drawn.set_gid("sites")
    panels.label_axes(ax, label_x, label_y, font_size)
    if wheel:
        add_wheel(ax, scale, cmap, font_size)
    return panels.finish_axes(ax, title, font_size)
