# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantities of the instrument that may bias a value: intensity and shape of columns, edges."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..neighbours import median_spacing

_N_AVERAGED = 9  # sites that the shape of the columns is averaged over
_DISK = 0.15  # radius of a column's core in distances between sites
#: A change between neighbouring rows is a step from this share of the range of all rows on, and
#: from this multiple of the mean change on.
LEAST_STEP, STEEPER = 0.3, 3.0
#: Mean resultant length of angle minus direction of the displacement, of an angle that is it.
AGREEMENT = 0.9


def changes_in_steps(xy: np.ndarray, values: np.ndarray, axis: int) -> bool:
    """
    Return True if values change abruptly from row to row along an axis, as in layers.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    values : numpy.ndarray of shape (n,)
        NaN where there is none.
    axis : int
        0 = x, 1 = y.

    Examples
    --------
    >>> y, x = np.divmod(np.arange(900.0), 30)
    >>> xy = np.column_stack([x, y])
    >>> changes_in_steps(xy, y, 1), changes_in_steps(xy, y // 10 % 2, 1)
    (False, True)
    """
    known = np.isfinite(values)
    xy, values = xy[known], values[known]
    spacing = np.sqrt(np.ptp(xy, axis=0).prod() / max(len(xy), 1))
    if not spacing:
        return False
    row = np.floor((xy[:, axis] - xy[:, axis].min()) / spacing).astype(int)
    counts = np.bincount(row)
    means = (np.bincount(row, values) / np.maximum(counts, 1))[counts >= 5]
    if len(means) < 6:
        return False
    span, steepest = np.ptp(means), np.abs(np.diff(means)).max()
    return bool(steepest > max(LEAST_STEP, STEEPER / (len(means) - 1)) * span)


def is_displacement(angle: np.ndarray, direction: np.ndarray) -> bool:
    """
    Return True if angles are directions of displacements, both in radians, NaN where unknown.

    Examples
    --------
    >>> direction = np.linspace(-3, 3, 50)
    >>> is_displacement(direction + 0.1, direction), is_displacement(-direction, direction)
    (True, False)
    """
    turn = (angle - direction)[np.isfinite(angle) & np.isfinite(direction)]
    return len(turn) > 0 and bool(np.abs(np.exp(1j * turn).mean()) >= AGREEMENT)


def column_intensity(blocks: np.ndarray, offsets: np.ndarray | None, radius: float) -> np.ndarray:
    """
    Intensity of the column and of the background in each sub-image.

    Parameters
    ----------
    blocks : numpy.ndarray of shape (k, w, w)
        Finite.
    offsets : numpy.ndarray of shape (k, 2) or None
        Column minus middle of the window, (x, y) in px.
    radius : float
        Radius of the disk around the column, px.

    Returns
    -------
    numpy.ndarray of shape (k, 2)
        Mean over the disk, and the mean of the lowest tenth of all pixels.
    """
    height, width = blocks.shape[1:]
    offsets = np.zeros((len(blocks), 2)) if offsets is None else offsets
    dx = np.arange(width) - (width - 1) / 2 - offsets[:, :1]
    dy = np.arange(height) - (height - 1) / 2 - offsets[:, 1:]
    disk = dx[:, None, :] ** 2 + dy[:, :, None] ** 2 <= radius**2
    mean = (blocks * disk).sum((1, 2), dtype=float) / disk.sum((1, 2))
    pixels = blocks.reshape(len(blocks), -1)
    lowest = max(1, pixels.shape[1] // 10)
    low = np.partition(pixels, lowest - 1, axis=1)[:, :lowest].mean(1, dtype=float)
    return np.column_stack([mean, low])


def disk_radius(xy: np.ndarray) -> float:
    """Radius of the core of a column, px: 0.15 distances between sites, at least 1.5 px."""
    return max(1.5, _DISK * median_spacing(xy))


def ellipse(
    xy: np.ndarray, sigma_x: np.ndarray, sigma_y: np.ndarray, rotation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Elongation of columns and its direction, as means over nine neighbouring sites.

    A single weak column appears elongated by noise alone, in any direction, the more the weaker it
    is. As vectors such errors average out, whereas a tilt is the same in neighbouring columns.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    sigma_x, sigma_y : numpy.ndarray of shape (n,)
        Widths along the two axes, px; NaN where a fit failed.
    rotation : numpy.ndarray of shape (n,)
        Rotation of the axis of `sigma_x`, rad.

    Returns
    -------
    ellipticity : numpy.ndarray of shape (n,)
        Longer over shorter axis less 1.
    twice_direction : numpy.ndarray of shape (n,)
        Twice the direction of the longer axis, rad: an axis has no head.
    """
    ratio = np.log(np.asarray(sigma_x) / np.asarray(sigma_y))
    vector = ratio * np.exp(2j * np.asarray(rotation))
    nearest = cKDTree(xy).query(xy, k=min(_N_AVERAGED, len(xy)))[1].reshape(len(xy), -1)
    known = np.isfinite(vector)
    number = known[nearest].sum(1)
    vector = np.where(known, vector, 0)[nearest].sum(1) / np.maximum(number, 1)
    vector[number == 0] = np.nan
    return np.expm1(np.abs(vector)), np.angle(vector)


def edge_distance(xy: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """
    Distance of each site to the nearest edge of the image, px.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    shape : tuple of int, optional
        Rows and columns of the image. If None, the box around the sites takes its place.

    Returns
    -------
    numpy.ndarray of shape (n,)
    """
    if shape is None:
        return np.minimum(xy - xy.min(0), xy.max(0) - xy).min(1)
    return np.minimum(xy + 0.5, np.array(shape[::-1]) - 0.5 - xy).min(1)
