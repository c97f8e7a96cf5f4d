# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mean of an image in disks about columns: their intensity as it was measured, without a model."""

from __future__ import annotations

import math

import numpy as np

from .kernel import door

#: In px. No column is so large; compiled code counts pixels with whole numbers.
MAXIMUM_RADIUS = 500.0
_OF_RADIUS = 2 / 3  # default: below 0.4 distances to the next column of any kind


def checked_disk_radius(disk_radius: float | None, radius: float) -> float:
    """Return the radius that the user gave, or the default."""
    if disk_radius is None:
        return _OF_RADIUS * radius
    if not 0.5 <= disk_radius <= MAXIMUM_RADIUS:
        raise ValueError(
            f"disk_radius={disk_radius!r}: give 0.5 to {MAXIMUM_RADIUS:g} pixels, best less "
            "than half of the distance between neighbouring columns."
        )
    return float(disk_radius)


def disk_means(image: np.ndarray, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """
    Mean of an image in a disk about each position.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
    x, y : numpy.ndarray of shape (n,)
        Position in pixels.
    radius : float
        In pixels. A pixel at the distance d from the centre has the weight ``radius + 0.5 - d``,
        between 0 and 1, so that the mean does not jump as a column moves over the pixels.

    Returns
    -------
    numpy.ndarray of shape (n,)
        In the units of the image. NaN where the disk has pixels that are not finite or lie outside
        the image, or the position is not finite.
    """
    means = np.full(len(x), np.nan)
    means_of_disks(image, x, y, radius, means)
    return means


@door
def means_of_disks(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, radius: float, means: np.ndarray
) -> None:
    """Compiled part of `disk_means`; elements of `means` without a value stay as they are."""
    rows, columns = image.shape
    reach = radius + 0.5
    for i in range(len(x)):
        # Comparisons with NaN are false.
        if not (x[i] - reach >= -1 and y[i] - reach >= -1):
            continue
        if not (x[i] + reach <= columns and y[i] + reach <= rows):
            continue
        left, right = math.floor(x[i] - reach) + 1, math.ceil(x[i] + reach) - 1
        top, bottom = math.floor(y[i] - reach) + 1, math.ceil(y[i] + reach) - 1
        total, weights = 0.0, 0.0
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                distance = math.sqrt((column - x[i]) ** 2 + (row - y[i]) ** 2)
                weight = min(reach - distance, 1.0)
                if weight > 0.0:
                    total += weight * image[row, column]
                    weights += weight
        # Infinite pixels make the mean infinite, or NaN.
        if math.isfinite(total):
            means[i] = total / weights
