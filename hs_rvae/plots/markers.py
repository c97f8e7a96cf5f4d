# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites as markers: their values, their size in data units, their collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.path import Path

from ..sites import columns, missing_column, units
from ..sites.columns import MINIMUM_ORDER
from ..sites.nearest import nearest_distances
from .color import UNDEFINED_COLOR

# Of so many markers each is a few pixels wide; octagons are drawn in two thirds of the time.
_MANY = 50_000
_OCTAGON = Path(1.054 * np.array(Path.unit_regular_polygon(8).vertices))  # of the same area
_DIRECTIONS = ("angle", "angle_pixels")  # of a model; without a meaning where there is no order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from ..sites import SiteTable


def column_values(sites: SiteTable, name: str) -> np.ndarray:
    """Values of a column as float64, with a message that helps when there are none.

    Raises
    ------
    KeyError
        If there is no such column; names those there are and the call that writes it.
    ValueError
        If no value is finite.
    """
    if name not in sites.columns:
        raise KeyError(missing_column(sites, name))
    values = np.asarray(sites[name], dtype=float)
    if not np.isfinite(values).any():
        raise ValueError(
            f"column {name!r} has no finite value in {len(values)} sites: there is nothing to draw"
        )
    return values


def has_direction(
    sites: SiteTable, name: str, least_order: float | None = MINIMUM_ORDER
) -> np.ndarray:
    """Mask (n,) of the sites where a column, if it is the angle of a model, has a meaning.

    It has none where the order amplitude is below `least_order`, except for sites with a variant.
    """
    if least_order is None or name not in _DIRECTIONS or "order_amplitude" not in sites.columns:
        return np.ones(len(sites), bool)
    known = np.asarray(sites["order_amplitude"], float) >= least_order
    if "variant" in sites.columns:
        known |= np.asarray(sites["variant"], float) >= 0
    return known


def axis_values(sites: SiteTable, name: str) -> tuple[np.ndarray, str]:
    """Values of a column as an axis shows them, and the axis' label: angles in degrees, one turn.

    Raises
    ------
    KeyError, ValueError
        As `column_values`.
    """
    values, unit = column_values(sites, name), sites.units[name]
    if columns.kind(name, unit) == "angle":
        low, high = turn(name, unit)
        values = units.degrees(values, unit)
        beyond = (values < low) | (values > high)
        values = np.where(beyond, low + np.mod(values - low, high - low), values)
    elif units.is_angle(unit):
        values = units.degrees(values, unit)
    return values, columns.label(name, unit)


def axis_points(sites: SiteTable, x: str, y: str) -> tuple[np.ndarray, str, str]:
    """Values (n, 2) of two columns, as their axes show them, and the labels of both axes.

    Raises
    ------
    KeyError, ValueError
        As `column_values`.
    """
    (values_x, label_x), (values_y, label_y) = axis_values(sites, x), axis_values(sites, y)
    return np.column_stack([values_x, values_y]), label_x, label_y


def turn(name: str, unit: str) -> tuple[float, float]:
    """One period (low, high) of a column of angles, in degrees; of an axis from 0 on."""
    period = np.rad2deg(columns.period(name, unit) or 2 * np.pi)
    return (-180.0, 180.0) if period > 359.9 else (0.0, float(period))


def calibrated(sites: SiteTable, xy: ArrayLike) -> np.ndarray:
    """Pixel positions (n, 2) in the units of the image's axes."""
    return np.asarray(xy, dtype=float) * sites.pixel_size + sites.pixel_offset


def site_points(sites: SiteTable) -> np.ndarray:
    """(n, 2) calibrated positions of the sites of one image.

    Raises
    ------
    ValueError
        If the table is empty or joins several images.
    """
    if len(sites) == 0:
        raise ValueError("the site table is empty: there is nothing to draw")
    if "image" in sites.columns:
        images = np.unique(sites["image"])
        if images.size > 1:
            raise ValueError(
                f"the table holds sites of {images.size} images, which would fall upon each other: "
                f"choose one with stack.select_sites(stack.sites['image'] == {images[0]:g})"
            )
    if "frame" in sites.columns and np.unique(sites["frame"]).size > 1:
        raise ValueError(
            f"the table holds sites of {np.unique(sites['frame']).size} frames, which would fall "
            f"upon each other: choose one with stack.select_sites(stack.sites['frame'] == "
            f"{sites['frame'][0]})"
        )
    return calibrated(sites, sites.xy)


def marker_diameter(points: np.ndarray, otherwise: float = 1.0) -> float:
    """Diameter of markers that nearly touch, in data units.

    0.95 times the lower 5th percentile of the nearest-neighbour distances, so that markers stay
    apart where the lattice is compressed, and a few double detections do not shrink them all.
    `otherwise` when there is but one site.
    """
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) > 1:
        distance = nearest_distances(points)
        distance = distance[distance > 0]
        if distance.size:
            return 0.95 * float(np.percentile(distance, 5))
    return otherwise


def draw_markers(
    ax: Axes, points: np.ndarray, diameter: float, undefined: np.ndarray, **style: Any
) -> EllipseCollection:
    """Circles in the colours of defined sites, grey ones for undefined sites.

    Parameters
    ----------
    ax : Axes
        With its limits set.
    points : numpy.ndarray
        (n, 2) in data units.
    diameter : float
        Data units: markers keep touching at any figure size or zoom.
    undefined : numpy.ndarray
        (n,) bool.
    **style
        Passed to `matplotlib.collections.EllipseCollection`, for the defined sites.

    Returns
    -------
    matplotlib.collections.EllipseCollection
        Those of the defined sites, in the order of the table.
    """
    if undefined.any():
        grey = EllipseCollection(
            diameter,
            diameter,
            0,
            units="xy",
            offsets=points[undefined],
            offset_transform=ax.transData,
            facecolors=[UNDEFINED_COLOR],
            linewidths=0,
            zorder=2,
        )
        grey.set_gid("undefined sites")
        ax.add_collection(grey, autolim=False)
    filled = EllipseCollection(
        diameter,
        diameter,
        0,
        units="xy",
        offsets=points[~undefined],
        offset_transform=ax.transData,
        linewidths=0,
        zorder=3,
        **style,
    )
    filled.set_gid("sites")
    coarser_if_many(filled, len(points))
    ax.add_collection(filled, autolim=False)
    return filled


def coarser_if_many(circles: EllipseCollection, count: int) -> None:
    """Make octagons of circles where so many are drawn that none is large."""
    if count > _MANY:
        circles.set_paths([_OCTAGON])


def percentile_limits(values: np.ndarray, percentiles: Sequence[float]) -> tuple[float, float]:
    """(low, high) of finite values at two percentiles.

    Raises
    ------
    ValueError
        If the percentiles are not two rising numbers in [0, 100], or no value is finite.
    """
    try:
        low, high = (float(p) for p in percentiles)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not 0 <= low < high <= 100:
        raise ValueError(
            f"percentiles={percentiles!r} must be two rising numbers between 0 and 100, "
            "such as (1, 99)"
        )
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError(f"percentiles={percentiles!r}: there is no finite value to draw")
    return tuple(np.percentile(finite, (low, high)))


def given_limits(limits: Sequence[float], name: str = "limits") -> tuple[float, float]:
    """(low, high) as the user gave them.

    Raises
    ------
    ValueError
        If they are not two rising finite numbers.
    """
    try:
        low, high = (float(v) for v in limits)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not low < high or not np.isfinite([low, high]).all():
        raise ValueError(f"{name}={limits!r} must be two rising numbers, or None")
    return low, high
