# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions on the circle: a common zero, agreement, equally spaced wells."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def wrap(angle: ArrayLike) -> np.ndarray:
    """Angles in (-pi, pi].

    Examples
    --------
    >>> wrap(np.array([np.pi, -np.pi, 3.5 * np.pi])) / np.pi
    array([ 1. ,  1. , -0.5])
    """
    return np.pi - np.mod(np.pi - np.asarray(angle, float), 2 * np.pi)


def common_offset(
    angle: np.ndarray, reference: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Common offset between two sets of directions, and its consistency over the sites.

    Parameters
    ----------
    angle, reference : numpy.ndarray, shape (n,)
        In radians.
    weights : numpy.ndarray, shape (n,), optional

    Returns
    -------
    offset : float
        Weighted circular mean of angle - reference, in radians.
    resultant : float
        Length of the mean vector: 1 if the difference is the same everywhere, 0 if it is random.
        Both are NaN without angles or weights.

    Examples
    --------
    >>> common_offset(np.array([0.3, 1.3]), np.array([0.1, 1.1]))
    (0.2, 1.0)
    """
    difference = np.exp(1j * (np.asarray(angle) - np.asarray(reference)))
    if not len(difference) or (weights is not None and not np.any(weights)):
        return np.nan, np.nan
    mean = np.average(difference, weights=weights)
    return float(np.round(np.angle(mean), 12)), float(np.round(np.abs(mean), 12))


def agreement(angle: np.ndarray, direction: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Chance-corrected agreement of two sets of directions, up to a common offset.

    Parameters
    ----------
    angle, direction : numpy.ndarray, shape (n,)
        In radians.
    weights : numpy.ndarray, shape (n,), optional

    Returns
    -------
    float
        (R - E) / (1 - E), where R is the resultant length of angle - direction, and E the product
        of the resultants of both, expected if angles and directions are independent. 1 for perfect
        agreement, about 0 without agreement or if all angles are the same.

    Examples
    --------
    >>> direction = np.array([0.0, 1.5, 3.0, 4.5])
    >>> agreement(direction + 0.2, direction), agreement(np.zeros(4), direction)
    (1.0, 0.0)
    """
    resultant = common_offset(angle, direction, weights)[1]
    expected = (
        common_offset(angle, np.zeros(len(angle)), weights)[1]
        * common_offset(direction, np.zeros(len(angle)), weights)[1]
    )
    return float(np.round((resultant - expected) / max(1 - expected, 1e-12), 9)) + 0.0


def folded_std(modes: np.ndarray, weights: np.ndarray, widths: np.ndarray, fold: int) -> np.ndarray:
    """Root mean square deviation from the first mode, turns of 360 / fold degrees not counted.

    Parameters
    ----------
    modes, weights, widths : numpy.ndarray, shape (n, n_modes)
        Angles (rad), probabilities and standard deviations (rad) of the modes of posteriors.
    fold : int

    Returns
    -------
    numpy.ndarray, shape (n,)
        In radians.

    Examples
    --------
    >>> modes, weights = np.array([[0.1, 0.1 - np.pi / 2]]), np.array([[0.6, 0.4]])
    >>> [folded_std(modes, weights, np.full((1, 2), 0.05), n).round(2) for n in (1, 4)]
    [array([0.99]), array([0.05])]
    """
    apart = wrap(fold * (modes - modes[:, :1])) / fold
    return np.sqrt((weights * (apart**2 + widths**2)).sum(axis=1))


def measured_groups(
    angle: np.ndarray, variant: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean direction of labelled angles, its standard error, and their scatter.

    Parameters
    ----------
    angle : numpy.ndarray, shape (n,)
        In radians; NaN = unknown.
    variant : numpy.ndarray of int, shape (n,)
        Labels from 0 on, -1 = none.

    Returns
    -------
    centres, precision, widths : numpy.ndarray, shape (n_groups,)
        In radians; NaN for labels without angles.

    Examples
    --------
    >>> [x.round(2) for x in measured_groups(np.array([0.1, 0.3, 2.0]), np.array([0, 0, 1]))]
    [array([0.2, 2. ]), array([0.07, 0.  ]), array([0.1, 0. ])]
    """
    measured = np.full((3, int(np.max(variant, initial=-1)) + 1), np.nan)
    for k in range(measured.shape[1]):
        own = angle[(variant == k) & np.isfinite(angle)]
        if len(own):
            centre = common_offset(own, np.zeros(len(own)))[0]
            width = float(np.sqrt(np.mean(wrap(own - centre) ** 2)))
            measured[:, k] = centre, width / np.sqrt(len(own)), width
    return measured[0], measured[1], measured[2]


def nearest_wells(
    angle: np.ndarray, n_variants: int, origin: float | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Nearest of n equally spaced wells.

    Parameters
    ----------
    angle : numpy.ndarray, shape (n,)
        In radians.
    n_variants : int
    origin : float, optional
        Direction of well 0, in radians. If None, the wells that fit the angles best, well 0 being
        the one nearest to 0.

    Returns
    -------
    variant : numpy.ndarray of int, shape (n,)
        Wells are counted from well 0 towards +y; -1 where the angle is NaN.
    residual : numpy.ndarray, shape (n,)
        Angle minus well, in radians.
    origin : float

    Examples
    --------
    >>> variant, residual, origin = nearest_wells(np.array([0.1, 1.7, 3.2]), 4, origin=0.0)
    >>> variant, residual.round(2)
    (array([0, 1, 2]), array([0.1 , 0.13, 0.06]))
    """
    angle = np.asarray(angle, float)
    step = 2 * np.pi / n_variants
    if origin is None:
        origin = float(np.angle(np.nanmean(np.exp(1j * n_variants * angle))) / n_variants)
    well = np.round((angle - origin) / step)
    residual = wrap(angle - origin - well * step)
    variant = np.mod(np.nan_to_num(well), n_variants).astype(int)
    return np.where(np.isfinite(angle), variant, -1), residual, origin
