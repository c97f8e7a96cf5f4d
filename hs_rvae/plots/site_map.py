# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A column of the site table as colours in real space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sites.columns import MINIMUM_ORDER
from . import image_series, markers
from .color_scale import color_scale
from .panels import open_map
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import EllipseCollection
    from matplotlib.colors import Colormap

    from ..sites import SiteTable


@independent
def plot_site_map(
    sites: SiteTable,
    column: str,
    *,
    image: Any = None,
    frame: int | None = None,
    frame_labels: Sequence[str] | None = None,
    kind: str | None = None,
    cmap: str | Colormap | None = None,
    limits: Sequence[float] | None = None,
    percentiles: Sequence[float] = (1, 99),
    least_order: float | None = MINIMUM_ORDER,
    class_labels: Mapping[int, str] | str | None = None,
    marker_size: float | None = None,
    scale_bar: bool | str | None = None,
    colorbar: bool = True,
    label: str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the sites as markers coloured by a column.

    The map has the orientation of ``image.plot()``: x to the right, y down. Sites without a
    finite value are grey, and so are, in a map of the angle, sites without a distortion
    (see `least_order`); the colour bar states their number.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image.
    column : str
        Name of the column.
    image : numpy.ndarray, optional
        (ny, nx) parent image, drawn in grey below the sites with a scale bar; without it the
        axes carry calibrated ticks. For a series, an array (n_frames, ny, nx), NumPy or dask.
    frame : int, optional
        The frame of a series to show first. If None, the first there is. A new figure has a slider
        for the others, ``ax.frame_slider``. Colours are the same in all frames.
    frame_labels : list of str, optional
        What the frames are called; "frame 0" and so on by default.
    kind : {"angle", "signed", "sequential", "logarithmic", "labels"}, optional
        How values become colours. By default integer columns of few different values are labels
        (-1, undefined, in grey), columns named angle are angles (cyclic map), columns of both
        signs are signed (diverging map, zero in the middle), errors that differ by more than a
        factor of 10 are logarithmic, all others sequential.
    cmap : str or matplotlib.colors.Colormap, optional
        Colour map of Matplotlib, or of colorcet with its ``"cet_"`` name. By default
        ``"hs_rvae_directions"`` for angles and for labels of directions (see
        `hs_rvae.plots.angle_colors`), ``"coolwarm"`` for signed and ``"viridis"`` for other
        columns.
    limits : tuple of float, optional
        Values at the ends of the colour map in the units of the column (radians for angles).
        Angles are folded into the limits, which are one period: (-pi, pi) by default,
        (-pi/4, pi/4) for a motif with four-fold symmetry.
    percentiles : tuple of float
        Percentiles at the ends of the colour map when there are no `limits` (not used for angles
        and labels). The ends of the colour bar are arrows where values lie beyond the limits.
    least_order : float, optional
        Minimum ``order_amplitude`` of sites whose ``angle`` is drawn, 1 being typical. The angle of
        others has no meaning. It does not count for sites with a variant. If None, all are drawn.
    class_labels : dict of int to str, or "arrows", optional
        Names of labels in the colour bar. If None, the label, with the mean direction of its sites
        in degrees if labels are those of directions, such as variants. If "arrows", an arrow where
        they point along an axis or a diagonal of the map.
    marker_size : float, optional
        Diameter of the markers in calibrated units; by default they nearly touch.
    scale_bar : bool or str, optional
        Whether to draw a scale bar, or its corner on the map such as ``"upper left"``. By default
        a map on an image has one below its left corner, where it hides no site.
    colorbar : bool
        Whether to draw the colour bar, with name and unit of the column.
    label : str, optional
        Label of the colour bar; by default the printed name of the column and its unit.
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
    scale = color_scale(sites, column, kind, cmap, limits, percentiles, least_order, class_labels)
    if label is not None:
        scale.label = label
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

    def draw(points: np.ndarray, rows: Any) -> EllipseCollection:
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
        below = base.below + 1.0 if base.flat else None
        scale.add_bar(base.ax, mappable, base.font_size, below)
    if frames is not None:
        frames.add_to(base, draw, title, base.below + (12.0 if base.flat and colorbar else 0.0))
    return base.finish(title)
