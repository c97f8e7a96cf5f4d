# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on the working grid of the network: its pixel size, local mean and local contrast."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.sparse import csr_matrix

#: Distance of nearest columns in pixels of the working grid.
WORKING_SPACING = 10.0
_AROUND = 51  # px of the working grid, side of the square of a local mean
_LARGEST = 8.0  # local standard deviations


def working_shape(shape: tuple[int, ...], step: np.ndarray) -> tuple[int, int]:
    """Rows and columns of the working grid that cover an image."""
    rows, columns = (int(np.ceil(n / s - 1e-9)) for n, s in zip(shape, step[::-1], strict=True))
    return rows, columns


def sampled(
    image: np.ndarray, step: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """
    A part of an image on the working grid.

    Each sample is a mean with a triangle of weights that reaches to the next ones, or to the next
    pixels where these are further apart.

    Parameters
    ----------
    image : numpy.ndarray, shape (rows, columns)
    step : numpy.ndarray, shape (2,)
        Size (x, y) of a pixel of the grid, in pixels of the image.
    rows, columns : tuple of int
        First and last but one, in pixels of the grid.

    Returns
    -------
    numpy.ndarray of float32
    """
    down, first_row, last_row = _weights(image.shape[0], float(step[1]), *rows)
    across, first, last = _weights(image.shape[1], float(step[0]), *columns)
    part = np.asarray(image[first_row:last_row, first:last], np.float32)
    return np.ascontiguousarray((across @ (down @ part).T).T)


def _weights(n: int, step: float, start: int, stop: int) -> tuple[csr_matrix, int, int]:
    """Weights of samples, one per row, and the range of the pixels that they need."""
    centres = (np.arange(start, stop) + 0.5) * step - 0.5
    reach = max(step, 1.0)
    first = np.ceil(centres - reach).astype(int)
    pixels = first[:, None] + np.arange(int(2 * reach) + 1)
    weights = np.maximum(1 - np.abs(pixels - centres[:, None]) / reach, 0)
    weights *= (pixels >= 0) & (pixels < n)
    pixels = np.clip(pixels, 0, n - 1)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    low, high = int(pixels.min()), int(pixels.max()) + 1
    rows = np.repeat(np.arange(len(centres)), pixels.shape[1])
    shape = (len(centres), high - low)
    matrix = csr_matrix((weights.ravel(), (rows, pixels.ravel() - low)), shape=shape)
    return matrix.astype(np.float32), low, high


def normalised(samples: np.ndarray) -> np.ndarray:
    """Samples without their local mean, in units of their local standard deviation."""
    values = samples - uniform_filter(samples, _AROUND, mode="reflect")
    spread = np.sqrt(np.maximum(uniform_filter(values**2, _AROUND, mode="reflect"), 0))
    values /= spread + np.float32(1e-3) * max(float(spread.max()), 1e-12)
    return np.clip(values, -_LARGEST, _LARGEST, out=values)
