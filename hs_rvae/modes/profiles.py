# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local images of the columns in a window, and their change as a column moves."""

from __future__ import annotations

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
    border = (len(local) - size) // 2
    reach = float(np.clip(_REACH * width, 1.0, border - 3))
    steps = np.linspace(-reach, reach, 7) if order > 1 else np.array([-reach, 0, reach]) / 2
    at = np.array([(x, y) for x in steps for y in steps if x**2 + y**2 <= 1.01 * reach**2])
    n = (order + 1) * (order + 2) // 2
    inverse = np.linalg.pinv(monomials(at / reach)[:, :n])
    inverse /= np.array([reach ** (i + j) for i, j in POWERS[:n]])[:, None]
    smooth = spline_filter(local, order=3)
    along_y = {y: _moved(smooth, y, border) for y in steps}
    images = [_moved(along_y[y].T, x, border).T for x, y in at]
    return np.tensordot(inverse, np.stack(images), axes=1)


def _moved(coefficients: np.ndarray, step: float, border: int) -> np.ndarray:
    """Rows of an image moved by `step` px, without its border, from its spline coefficients."""
    first = int(np.floor(-step))
    t = -step - first
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    n = len(coefficients) - 2 * border
    start = border + first - 1
    rows = [coefficients[start + k : start + k + n] for k in range(4)]
    return np.einsum("k,kij->ij", np.array(weights) / 6, np.stack(rows))


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


def monomial_curvatures(u: np.ndarray) -> np.ndarray:
    """Half of the second derivatives by xx and yy, and that by xy, shape (..., n_powers, 3)."""
    x, y = u[..., 0], u[..., 1]
    zero = np.zeros_like(x)
    by_xx = [i * (i - 1) / 2 * x ** (i - 2) * y**j if i > 1 else zero for i, j in POWERS]
    by_yy = [j * (j - 1) / 2 * x**i * y ** (j - 2) if j > 1 else zero for i, j in POWERS]
    by_xy = [i * j * x ** (i - 1) * y ** (j - 1) if i and j else zero for i, j in POWERS]
    return np.stack([np.stack(one, -1) for one in (by_xx, by_yy, by_xy)], -1)
