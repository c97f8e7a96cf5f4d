# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of the deformation modes: displacement, rotation and strain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sites import missing_column, units
from . import layout, markers, panels
from .polar import plot_polar_map
from .site_map import plot_site_map
from .style import independent

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from ..sites import SiteTable

_WIDTH = 60.0  # mm of one map at 8 point
_STRAINS = ("mode_strain_xx", "mode_strain_yy", "mode_strain_xy")


@independent
def plot_modes(
    sites: SiteTable,
    *,
    image: Any = None,
    reference: str | None = None,
    limits: Sequence[float] | None = None,
    percentiles: Sequence[float] = (1, 99),
    marker_size: float | None = None,
    font_size: float | None = None,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw maps of displacement, rotation and strain, side by side.

    The displacement is drawn as hue and brightness, with a colour wheel. Rotation and strain have
    diverging colours with zero in the middle; the three strains share one scale. A line below
    states what they refer to, and the typical errors.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image, with the columns of the modes.
    image : numpy.ndarray, optional
        (ny, nx) parent image below the maps.
    reference : str, optional
        What rotation and strain refer to, for the line below.
    limits : tuple of float, optional
        Lowest and highest strain in per cent. If None, symmetric about zero.
    percentiles : tuple of float
        Share of values that colours are chosen for.
    marker_size, font_size
        As in `hs_rvae.plots.plot_site_map`.
    figure : matplotlib.figure.Figure or SubFigure, optional
        By default a new one 180 mm wide.

    Returns
    -------
    matplotlib.figure.Figure or SubFigure

    Raises
    ------
    KeyError
        If there are no columns of the modes.
    ValueError
        If no value is finite, or the sites are those of several images.

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.plots import plot_modes
    >>> y, x = np.indices((6, 6)).reshape(2, -1) * 20.0
    >>> columns = {"mode_displacement_x": x - 50, "mode_displacement_y": y - 50}
    >>> columns |= {"mode_rotation": x - 50, "mode_strain_xx": y - 50}
    >>> columns |= {"mode_strain_yy": 50 - y, "mode_strain_xy": x - y}
    >>> figure = plot_modes(SiteTable.from_columns({"x": x, "y": y, **columns}))
    >>> len(figure.axes) >= 5
    True
    """
    for name in ("mode_displacement_x", "mode_rotation", *_STRAINS):
        if name not in sites:
            raise KeyError(missing_column(sites, name))
    panels.check_image(image)
    font_size = panels.font_size_for(font_size, figure)
    points = markers.site_points(sites)
    span = np.ptp(points, axis=0) if image is None else np.array(np.shape(image)[::-1])
    height = 0.72 * min(span[1] / max(span[0], 1e-12), 1.6) + 0.12
    if figure is None:
        width = _WIDTH * font_size / 8
        figure = layout.new_figure(3 * width, 2 * height * width)
    axes = figure.subplots(2, 3)
    common: dict[str, Any] = {
        "image": image, "marker_size": marker_size, "font_size": font_size,
    }  # fmt: skip
    calibrated = "mode_displacement_x_calibrated" in sites
    vector = "mode_displacement_calibrated" if calibrated else "mode_displacement"
    ending = "_calibrated" if calibrated else ""
    length = np.hypot(*sites[[f"mode_displacement_{axis}{ending}" for axis in "xy"]].T)
    longest = markers.percentile_limits(length, percentiles)[1] or 1.0
    plot_polar_map(
        sites, vector, title="Displacement", limits=(0.0, longest), ax=axes[0, 0], **common
    )
    turned = _about_zero(sites["mode_rotation"], percentiles)
    plot_site_map(
        sites, "mode_rotation", kind="signed", limits=turned, title="Rotation", ax=axes[0, 1],
        **common,
    )  # fmt: skip
    if limits is None:
        limits = _about_zero(sites[list(_STRAINS)], percentiles)
    for name, ax in zip(_STRAINS, axes[1], strict=True):
        plot_site_map(
            sites, name, kind="signed", limits=limits, title=f"Strain {name[-2:]}", ax=ax, **common
        )
    axes[0, 2].set_axis_off()
    axes[0, 2].text(
        0.0, 0.9, _stated(sites, reference, percentiles), transform=axes[0, 2].transAxes, va="top",
        fontsize=font_size,
    )  # fmt: skip
    return figure


def _about_zero(values: np.ndarray, percentiles: Sequence[float]) -> tuple[float, float]:
    """Limits about zero that hold the values at both percentiles."""
    largest = max(np.abs(markers.percentile_limits(values, percentiles))) or 1.0
    return -float(largest), float(largest)


def _stated(sites: SiteTable, reference: str | None, percentiles: Sequence[float]) -> str:
    """Reference of the maps, share of sites that colours hold, and typical errors, as text."""
    lines = ["Axes: x right, y down", "Rotation: + from +x to +y"]
    lines += [f"Colours: {percentiles[0]:g} to {percentiles[1]:g} % of the sites"]
    if reference is not None:
        lines += ["Reference of rotation and", f"strain: {reference}"]
    size, length = 1.0, "px"
    if "mode_displacement_x_calibrated" in sites:
        factor, length = units.length_scale(sites.pixel_units)
        size = sites.pixel_size[0] * factor
    names = {
        "mode_displacement_x_std": ("displacement", size, f" {length}"),
        "mode_rotation_std": ("rotation", 1.0, "°"),
        "mode_strain_xx_std": ("strain xx", 1.0, " %"),
        "mode_strain_xy_std": ("strain xy", 1.0, " %"),
    }
    known = {name: value for name, value in names.items() if name in sites}
    if known:
        lines.append("Median standard errors:")
    for name, (what, scale, unit) in known.items():
        lines.append(f"  {what} {scale * np.nanmedian(sites[name]):.2g}{unit}")
    measured = np.isfinite(sites["mode_rotation"])
    if not measured.all():
        lines.append(f"Not measured: {(~measured).sum():,} sites")
    return "\n".join(lines)
