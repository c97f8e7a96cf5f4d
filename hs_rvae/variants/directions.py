# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions on the circle: a common zero, agreement, equally spaced wells."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

#: Numbers of variants begin here (rad): no well along an axis or a diagonal is near.
FIRST_DIRECTION = -np.pi / 8


def wrap(angle: ArrayLike) -> np.ndarray:
    """Angles in (-pi, pi].

    Examples
    --------
    >>> wrap(np.array([np.pi, -np.pi, 3.5 * np.pi])) / np.pi
    array([ 1. ,  1. , -0.5])
    """
    return np.pi - np.mod(np.pi - np.asarray(angle, float), 2 * np.pi)


def from_first(angle: np.ndarray, fold: int, first: float = FIRST_DIRECTION) -> np.ndarray:
    """Angles in radians, known up to turns of 360 / fold degrees, from the first direction on.

    Examples
    --------
    >>> np.degrees(from_first(np.radians([-90.0, -22.5, 0.0]), 1)).round(3)
    array([270. , -22.5,   0. ])
    """
    # Rounding must not bring an angle at the very start to the end.
    return first + np.mod(angle - first + 1e-9, 2 * np.pi / fold) - 1e-9


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
