# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns too faint for a fit of their shape: position and height, with the shape held.

A free fit of a peak barely above the noise wanders off into the noise or into the flank of a
neighbour. Its place is known roughly, and its width well, from other columns. Height, position and
a sloping background remain to be fitted, in an image from which the neighbours are subtracted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

_NEIGHBOURS = 12  # nearest columns that are subtracted
_ITERATIONS = 8
_BLOCK = 2000  # columns at a time, which bounds memory


def fit_with_shape_held(
    image: np.ndarray,
    starts: np.ndarray,
    width: float,
    radius: float,
    others: pd.DataFrame,
    tail: tuple[float, float] = (0.0, 1.0),
    spread: float = np.inf,
) -> dict[str, np.ndarray]:
    """
    Fit round Gaussians of one width, on planes, near the given positions.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
    starts : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels.
    width : float
        Gaussian sigma in pixels.
    radius : float
        Radius of the disk that is fitted, in pixels.
    others : pandas.DataFrame
        Fitted columns to subtract: x, y, sigma_x, sigma_y, rotation, amplitude.
    tail : tuple of float
        Share of the height in a tail of the columns, and how many times wider it is.
    spread : float
        Standard deviation of x and y about `starts`, in pixels, as far as they are known before.

    Returns
    -------
    dict of numpy.ndarray, each of shape (n,)
        x, y, amplitude, background, residual, x_std, y_std, amplitude_std; NaN where it failed.
    """
    others = others[np.isfinite(others.amplitude) & np.isfinite(others.sigma_x)]
    blocks = [
        _fit_block(image, starts[i : i + _BLOCK], width, radius, others, tail, spread)
        for i in range(0, len(starts), _BLOCK)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _fit_block(
    image: np.ndarray,
    starts: np.ndarray,
    width: float,
    radius: float,
    others: pd.DataFrame,
    tail: tuple[float, float],
    spread: float,
) -> dict[str, np.ndarray]:
    """Gauss-Newton steps for many columns at once, on the pixels around each start."""
    reach = int(np.ceil(radius))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = np.hypot(dx, dy) <= radius
    centres = np.round(starts).astype(int)
    px, py = centres[:, :1] + dx[inside], centres[:, 1:] + dy[inside]
    rows, columns = image.shape
    usable = (px >= 0) & (py >= 0) & (px < columns) & (py < rows)
    values = image[np.clip(py, 0, rows - 1), np.clip(px, 0, columns - 1)].astype(np.float64)
    usable &= np.isfinite(values)
    values = np.where(usable, values - models_of_columns(px, py, starts, others, tail), 0)

    n = len(starts)
    x, y = starts.T.copy()
    identity = 1e-9 * np.eye(6)
    height = np.zeros(n)
    count = usable.sum(axis=1)
    variance = np.zeros(n)
    for _ in range(_ITERATIONS):
        u, v = px - x[:, None], py - y[:, None]
        peak = np.exp(-(u**2 + v**2) / (2 * width**2))
        slope = np.where(height > 0, height, 1)[:, None] * peak / width**2
        basis = np.stack([peak, slope * u, slope * v, np.ones_like(u), u / radius, v / radius], 2)
        basis *= usable[..., None]
        normal = np.einsum("nki,nkj->nij", basis, basis)
        hold = (variance / spread**2)[:, None]
        normal[:, (1, 2), (1, 2)] += hold
        # Scaled, because the heights of images differ by orders of magnitude.
        scale = np.sqrt(np.maximum(np.einsum("nii->ni", normal), 1e-300))
        inverse = np.linalg.inv(normal / scale[:, :, None] / scale[:, None] + identity)
        inverse /= scale[:, :, None] * scale[:, None]
        solution = np.einsum("nij,nkj,nk->ni", inverse, basis, values)
        back = hold * (starts - np.stack([x, y], axis=1))
        solution += np.einsum("nij,nj->ni", inverse[:, :, 1:3], back)
        residual = np.einsum("nki,ni->nk", basis, solution) - values
        # Without a peak there is no position to improve.
        step = np.where(solution[:, :1] > 0, solution[:, 1:3], 0) * (height > 0)[:, None]
        limit = 0.5 * width / np.maximum(np.linalg.norm(step, axis=1), 0.5 * width)
        x, y = x + limit * step[:, 0], y + limit * step[:, 1]
        height = solution[:, 0]
        square = np.where(usable, residual**2, 0).sum(axis=1)
        variance = square / np.maximum(count - 6, 1)
    std = np.sqrt(variance[:, None] * np.einsum("nii->ni", inverse))
    result = {
        "x": x,
        "y": y,
        "amplitude": height,
        "background": solution[:, 3],
        "residual": np.sqrt(square / np.maximum(count, 1)),
        "x_std": std[:, 1],
        "y_std": std[:, 2],
        "amplitude_std": std[:, 0],
    }
    failed = count < 0.5 * inside.sum()
    return {name: np.where(failed, np.nan, value) for name, value in result.items()}


def models_of_columns(
    px: np.ndarray,
    py: np.ndarray,
    starts: np.ndarray,
    others: pd.DataFrame,
    tail: tuple[float, float],
) -> np.ndarray:
    """Sum of the models of the nearest columns, at the pixels around each start."""
    share, wider = tail
    total = np.zeros(px.shape)
    if not len(others):
        return total
    tree = cKDTree(others[["x", "y"]].to_numpy())
    nearest = tree.query(starts, k=[*range(1, min(_NEIGHBOURS, len(others)) + 1)])[1]
    columns = ["x", "y", "sigma_x", "sigma_y", "rotation", "amplitude"]
    x, y, sigma_x, sigma_y, rotation, amplitude = others[columns].to_numpy()[nearest].T
    cos, sin = np.cos(rotation), np.sin(rotation)
    for k in range(len(x)):
        u, v = px - x[k][:, None], py - y[k][:, None]
        # As Atomap: `rotation` turns the axis of sigma_x from +x towards -y on screen.
        along = (u * cos[k][:, None] - v * sin[k][:, None]) / sigma_x[k][:, None]
        across = (u * sin[k][:, None] + v * cos[k][:, None]) / sigma_y[k][:, None]
        exponent = -(along**2 + across**2) / 2
        model = np.exp(exponent)
        if share:
            model = (1 - share) * model + share * np.exp(exponent / wider**2)
        total += amplitude[k][:, None] * model
    return total
