# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero of angles: from measured displacements, from the motif, or the most frequent angle."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hs_rvae import variants as _variants
from hs_rvae.columns.peaks import subpixel_offset

if TYPE_CHECKING:
    from hs_rvae.sites import SiteTable


class Registration(NamedTuple):
    """Result of :meth:`register_angle`: the angle subtracted (rad), and the agreement of sites."""

    offset: float
    resultant: float


def offset_to_displacements(
    sites: SiteTable, defined: np.ndarray
) -> tuple[float, float, str | None]:
    """Offset of the angles to the directions of displacement, resultant, reason if none."""
    if not {"displacement_x", "displacement_y"} <= set(sites.columns):
        return np.nan, np.nan, (
            "there are no displacements, which need neighbours= when the stack is made"
        )  # fmt: skip
    angle, x, y = sites["angle"], sites["displacement_x"], sites["displacement_y"]
    good = defined & np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return np.nan, np.nan, "no site has both a defined angle and a displacement"
    angle, length = angle[good], np.hypot(x, y)[good]
    if "angle_pixels" in sites:  # the displacements gave the other one its zero
        angle = sites["angle_pixels"][good]
    if not length.any():
        return np.nan, np.nan, "all displacements are 0"
    return *_variants.common_offset(angle, np.arctan2(y, x)[good], length), None


def direction_of_displacement(sites: SiteTable) -> np.ndarray | None:
    """Direction of the measured displacement in radians, None if there is none."""
    if not {"displacement_x", "displacement_y"} <= set(sites.columns):
        return None
    return np.arctan2(sites["displacement_y"], sites["displacement_x"])


def displacement_in_motif(motif: np.ndarray) -> tuple[np.ndarray | None, str | None]:
    """Displacement (y, x) of the central column against the columns around it, reason if none."""
    from scipy.ndimage import maximum_filter

    middle = (len(motif) - 1) / 2
    y, x = np.mgrid[: len(motif), : len(motif)] - middle
    radius = np.hypot(x, y)
    # Columns: maxima of the motif, or minima where columns are dark.
    if motif[radius < 2].mean() < np.median(motif[radius < middle]):
        motif = -motif
    reach = max(1, round(len(motif) / 12))
    peak = (motif == maximum_filter(motif, 2 * reach + 1)) & (radius < 0.92 * middle)
    peak &= motif > np.median(motif[radius < middle])
    shell = np.array([_centre(motif, *p) for p in np.argwhere(peak)]) - middle
    distance = np.hypot(*shell.T) if len(shell) else np.zeros(0)
    shell, distance = shell[distance > 2 * reach], distance[distance > 2 * reach]
    shell = shell[distance < 1.45 * distance.min(initial=np.inf)]
    mean = -shell.mean(0) if len(shell) else np.zeros(2)
    around = np.abs(np.mean(np.exp(1j * np.arctan2(*shell.T)))) if len(shell) else 1.0
    if len(shell) < 3 or around > 0.5 or np.hypot(*mean) < 0.1:
        return None, (
            "the motif shows no displacement of its central column against the "
            f"{len(shell)} columns around it ({np.hypot(*mean):.2f} px); a larger window may"
        )
    return mean, None


def most_frequent_angle(angle: np.ndarray, width: float = 0.09) -> float:
    """The angle with most others within about `width` (rad), refined to their mean."""
    grid = np.linspace(-np.pi, np.pi, 360, endpoint=False)
    density = np.exp((np.cos(grid[:, None] - angle) - 1) / width**2).sum(1)
    peak = grid[density.argmax()]
    weights = np.exp((np.cos(angle - peak) - 1) / width**2)
    return float(peak + np.average(_variants.wrap(angle - peak), weights=weights))


def _centre(image: np.ndarray, row: int, column: int) -> list[float]:
    """Centre (row, column) of a peak, from parabolas through the 3 x 3 pixels about it."""
    around = image[row - 1 : row + 2, column - 1 : column + 2]
    return [
        row + float(subpixel_offset(*around.mean(1))),
        column + float(subpixel_offset(*around.mean(0))),
    ]
