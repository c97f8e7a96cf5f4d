# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local images of the columns in a window, and their change as a column moves."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter, spline_filter

from .columns_in_window import WindowColumns

#: Powers (of x, of y), and the highest, of a column's displacement in its moved image.
ORDER = 4
POWERS = tuple((i, n - i) for n in range(ORDER + 1) for i in range(n, -1, -1))
_BORDER = 4  # px around the window, beside a width, in which local images continue
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
    numpy.ndarray, shape (n_columns, w + 2 b, w + 2 b)
        Local images, continued by the peaks over a border of b px.
    """
    size = len(mean)
    border = _BORDER + int(columns.widths.max())
    y, x = np.mgrid[-border : size + border, -border : size + border] - (size - 1) / 2
    peaks = columns.peaks(x, y)
    inside = slice(border, -border)
    left = mean - columns.background - peaks[:, inside, inside].sum(axis=0)
    size_of = np.abs(peaks[:, inside, inside])
    # Far from all columns nobody gets it: it is background.
    share = size_of / (size_of.sum(axis=0) + 0.02 * size_of.max())
    peaks[:, inside, inside] += share * gaussian_filter(left, 0.7, mode="nearest")
    return peaks


def moved_images(local: np.ndarray, width: float, size: int, order: int = ORDER) -> np.ndarray:
    """
    Expand the image of a moved column in powers of its displacement.

    Parameters
    ----------
    local : numpy.ndarray, shape (w + 2 b, w + 2 b)
        Local image, with a border of b px.
    width : float
        Width of the column, in px.
    size : int
        Size w of the window, in px.
    order : int
        Highest power, 1 or 4.

    Returns
    -------
    numpy.ndarray, shape (n_powers, w, w)
        The image moved by (x, y) is the sum of these times x**i y**j, (i, j) in :data:`POWERS`.
    """
    at, inverse, movers = _stencil(len(local), width, size, order)
    smooth = spline_filter(local, order=3)
    n = len(movers)
    flat = movers.reshape(n * size, -1)
    images = (flat @ smooth @ flat.T).reshape(n, size, n, size)
    return np.tensordot(inverse, images.transpose(2, 0, 1, 3)[at], axes=1)


def blur_image(local: np.ndarray, width: float, size: int, weights: np.ndarray) -> np.ndarray:
    """
    Sum of the images that :func:`moved_images` returns, with weights.

    Parameters
    ----------
    local, width, size
        As in :func:`moved_images`.
    weights : numpy.ndarray, shape (n_powers,)

    Returns
    -------
    numpy.ndarray, shape (w, w)
    """
    at, inverse, movers = _stencil(len(local), width, size, ORDER)
    n = len(movers)
    shares = np.zeros((n, n))
    shares[at] = weights @ inverse
    along_x = np.tensordot(shares.T, movers, axes=1)  # those of one step along y together
    images = (movers @ spline_filter(local, order=3)) @ along_x.transpose(0, 2, 1)
    return images.sum(axis=0)


@lru_cache(maxsize=16)  # columns of one kind have one width
def _stencil(
    length: int, width: float, size: int, order: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """
    Displacements of a column for the expansion of its image in powers.

    Returns
    -------
    at : tuple of numpy.ndarray
        Numbers of the steps along x and along y, of those in a disk.
    inverse : numpy.ndarray, shape (n_powers, n_displacements)
    movers : numpy.ndarray, shape (n_steps, size, length)
        Matrices from the spline coefficients along an edge to an image moved by each step.
    """
    border = (length - size) // 2
    reach = float(np.clip(_REACH * width, 1.0, border - 3))
    steps = np.linspace(-reach, reach, 7) if order > 1 else np.array([-reach, 0, reach]) / 2
    x, y = np.meshgrid(steps, steps, indexing="ij")
    along_x, along_y = np.nonzero(x**2 + y**2 <= 1.01 * reach**2)
    at = along_x, along_y
    n = (order + 1) * (order + 2) // 2
    inverse = np.linalg.pinv(monomials(np.stack([x[at], y[at]], 1) / reach)[:, :n])
    inverse /= np.array([reach ** (i + j) for i, j in POWERS[:n]])[:, None]
    return at, inverse, np.stack([_mover(step, length, size) for step in steps])


def _mover(step: float, length: int, size: int) -> np.ndarray:
    """Matrix (size, length) from spline coefficients to values moved by `step` px."""
    first = int(np.floor(-step))
    t = -step - first
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    mover = np.zeros((size, length))
    rows, start = np.arange(size), (length - size) // 2 + first - 1
    for k, weight in enumerate(weights):
        mover[rows, rows + start + k] = weight / 6
    return mover


def monomials(u: np.ndarray) -> np.ndarray:
    """Powers of displacements (..., 2), shape (..., n_powers)."""
    powers = [np.ones_like(u)]
    for _ in range(ORDER):
        powers.append(powers[-1] * u)
    return np.stack([powers[i][..., 0] * powers[j][..., 1] for i, j in POWERS], axis=-1)


def _derivatives() -> np.ndarray:
    """Matrix from powers to derivatives, see :data:`DERIVATIVES`."""
    found = np.zeros((len(POWERS), 5, len(POWERS)))
    number = {power: k for k, power in enumerate(POWERS)}
    for k, (i, j) in enumerate(POWERS):
        for which, (a, b, factor) in enumerate(
            [(1, 0, i), (0, 1, j), (2, 0, i * (i - 1) / 2), (0, 2, j * (j - 1) / 2), (1, 1, i * j)]
        ):
            if factor:
                found[number[i - a, j - b], which, k] = factor
    return found


#: Powers times this, shape (n_powers, 5, n_powers), are the derivatives of the powers: by x and y,
#: half of the second ones by xx and yy, and that by xy.
DERIVATIVES = _derivatives()
