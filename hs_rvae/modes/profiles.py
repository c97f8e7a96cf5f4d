# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local images of the columns in a window, and how they change when a column moves."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from .columns_in_window import WindowColumns

#: Powers (of x, of y) of a column's displacement in its moved image.
POWERS = tuple((i, n - i) for n in range(5) for i in range(n, -1, -1))
_BORDER = 6  # px around the window in which local images continue
_REACH = 0.6  # displacements that the powers stand for, in widths of the column


def local_images(mean: np.ndarray, columns: WindowColumns) -> np.ndarray:
    """
    Share the mean window out among its columns.

    What the sum of peaks leaves goes to the columns in proportion to their peaks.

    Parameters
    ----------
    mean : numpy.ndarray, shape (w, w)
    columns : WindowColumns

    Returns
    -------
    numpy.ndarray, shape (n_columns, w + 12, w + 12)
        Local images, continued by the peaks outside the window.
    """
    size = len(mean)
    half = (size - 1) / 2
    y, x = np.mgrid[-_BORDER : size + _BORDER, -_BORDER : size + _BORDER] - half
    peaks = columns.peaks(x, y)
    inside = slice(_BORDER, -_BORDER)
    left = mean - columns.background - peaks[:, inside, inside].sum(axis=0)
    size_of = np.abs(peaks[:, inside, inside])
    # Far from all columns nobody gets it: it is background.
    share = size_of / (size_of.sum(axis=0) + 0.02 * size_of.max())
    peaks[:, inside, inside] += share * gaussian_filter(left, 0.7, mode="nearest")
    return peaks


def moved_images(local: np.ndarray, width: float) -> np.ndarray:
    """
    Images by which a moved column is expanded in powers of its displacement.

    Parameters
    ----------
    local : numpy.ndarray, shape (w + 12, w + 12)
    width : float
        Of the column, in px.

    Returns
    -------
    numpy.ndarray, shape (n_powers, w, w)
        The image moved by (x, y) is the sum of these times x**i y**j, (i, j) in :data:`POWERS`.
    """
    reach = max(_REACH * width, 1.0)
    steps = np.linspace(-reach, reach, 7)
    at = np.array([(x, y) for x in steps for y in steps if x**2 + y**2 <= 1.01 * reach**2])
    inverse = np.linalg.pinv(monomials(at / reach))
    inverse /= np.array([reach ** (i + j) for i, j in POWERS])[:, None]
    inside = slice(_BORDER, -_BORDER)
    images = np.stack(
        [shift(local, (y, x), order=3, mode="nearest")[inside, inside] for x, y in at]
    )
    return np.tensordot(inverse, images, axes=1)


def monomials(u: np.ndarray) -> np.ndarray:
    """Powers of displacements (..., 2), shape (..., n_powers)."""
    x, y = u[..., 0], u[..., 1]
    return np.stack([x**i * y**j for i, j in POWERS], axis=-1)


def monomial_slopes(u: np.ndarray) -> np.ndarray:
    """Derivatives of the powers by x and y, shape (..., n_powers, 2)."""
    x, y = u[..., 0], u[..., 1]
    zero = np.zeros_like(x)
    by_x = [i * x ** (i - 1) * y**j if i else zero for i, j in POWERS]
    by_y = [j * x**i * y ** (j - 1) if j else zero for i, j in POWERS]
    return np.stack([np.stack(by_x, -1), np.stack(by_y, -1)], -1)
