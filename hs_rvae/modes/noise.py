# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of the pixels of a window: counting noise, and rows that are read with an offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import nnls

_LEAST = 0.03  # variance of a pixel, in units of the mean variance


@dataclass
class Noise:
    """
    Covariance of the pixels of a window, one block for each row.

    Attributes
    ----------
    variance : numpy.ndarray, shape (w, w)
        Variance of each pixel alone.
    slope : numpy.ndarray, shape (w, w)
        Change of the mean window along x, per px.
    jitter : float
        Variance of the offset of a row, in px^2.
    """

    variance: np.ndarray
    slope: np.ndarray
    jitter: float = 0.0

    def weighted(self, images: np.ndarray) -> np.ndarray:
        """The inverse covariance times images, shape (..., w, w)."""
        plain = images / self.variance
        if not self.jitter:
            return plain
        steep = self.slope / self.variance
        information = (self.slope * steep).sum(axis=1)
        gain = self.jitter / (1 + self.jitter * information)
        along = (plain * self.slope).sum(axis=-1) * gain
        return plain - along[..., None] * steep

    def weighted_square(self, images: np.ndarray) -> np.ndarray:
        """The inverse covariance between images (n, w, w) and themselves, shape (n,)."""
        n = len(images)
        flat = images.reshape(n, -1)
        square = (flat * flat) @ (1 / self.variance).ravel()
        if self.jitter:
            steep = self.slope / self.variance
            gain = self.jitter / (1 + self.jitter * (self.slope * steep).sum(axis=1))
            square -= np.einsum("nij,ij->ni", images, steep) ** 2 @ gain
        return np.asarray(square)


def first_noise(mean: np.ndarray) -> Noise:
    """The same variance in all pixels."""
    return Noise(np.ones_like(mean), _slope(mean))


def measured_noise(
    mean: np.ndarray, residuals: np.ndarray, tangent: np.ndarray, noise: Noise
) -> Noise:
    """
    Measure the noise by the residuals of fits.

    Parameters
    ----------
    mean : numpy.ndarray, shape (w, w)
    residuals : numpy.ndarray, shape (n, w, w)
    tangent : numpy.ndarray, shape (n_parameters, w, w)
        Change of a window with each fitted parameter.
    noise : Noise
        Weights of the fits.

    Returns
    -------
    Noise
        Variance linear in the mean intensity.
    """
    size = len(mean)
    span = np.ptp(mean) or 1.0
    shapes = np.stack([(mean.max() - mean) / span, (mean - mean.min()) / span]).reshape(2, -1)
    slope = _slope(mean)
    basis = tangent.reshape(len(tangent), -1).T
    weighted = noise.weighted(tangent).reshape(len(tangent), -1)
    inverse = np.linalg.pinv(weighted @ basis, hermitian=True) @ weighted
    # What is left of each pixel's own variance, of each row's offset, and of both in row sums.
    taken = (basis * inverse.T).sum(axis=1)
    own = [
        s * (1 - 2 * taken) + ((basis @ (inverse * s @ inverse.T)) * basis).sum(1) for s in shapes
    ]
    rows = np.zeros((size * size, size))
    rows.reshape(size, size, size)[np.arange(size), :, np.arange(size)] = slope
    rows_left = rows - basis @ (inverse @ rows)
    projected = rows - inverse.T @ (basis.T @ rows)
    pixels = np.column_stack([*own, (rows_left**2).sum(axis=1)])
    sums = np.column_stack(
        [
            *((projected**2 * s[:, None]).sum(axis=0) for s in shapes),
            ((rows.T @ rows_left) ** 2).sum(1),
        ]
    )
    square = np.einsum("nij,nij->ij", residuals, residuals) / len(residuals)
    along = np.einsum("nij,ij->ni", residuals, slope)
    seen = [square.ravel(), (along**2).mean(axis=0)]
    scales = [1 / (square.mean() * size), 1 / (np.mean(seen[1]) * np.sqrt(size) + 1e-300)]
    matrix = np.vstack([one * scale for one, scale in zip((pixels, sums), scales, strict=True)])
    target = np.concatenate([one * scale for one, scale in zip(seen, scales, strict=True)])
    columns = np.linalg.norm(matrix, axis=0)
    found = nnls(matrix / columns, target)[0] / columns
    variance = (found[:2] @ shapes).reshape(size, size)
    variance = np.maximum(variance, _LEAST * square.mean())
    return Noise(variance, slope, float(found[2]))


def interpolation_loss(positions: np.ndarray, size: int) -> np.ndarray:
    """
    Share of the variance of white noise that windows cut between pixels keep.

    Parameters
    ----------
    positions : numpy.ndarray, shape (n, 2)
        Positions of the columns, in px.
    size : int
        Size of the windows, in px.

    Returns
    -------
    numpy.ndarray, shape (n, 2)
        Along x and y.
    """
    fraction = np.mod(positions - (size - 1) / 2, 1.0)
    frequency = 2 * np.pi * (np.arange(256) + 0.5) / 256
    table = np.linspace(0, 1, 65)
    weights = [
        _cubic(table[:, None] - k)[:, :, None] * np.exp(1j * k * frequency) for k in (-1, 0, 1, 2)
    ]
    response = np.sum(weights, axis=0)[:, 0] / ((2 + np.cos(frequency)) / 3)
    kept = (np.abs(response) ** 2).mean(axis=1)
    return np.interp(fraction, table, kept)


def _cubic(t: np.ndarray) -> np.ndarray:
    """Cubic B-spline."""
    t = np.abs(t)
    return np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6)


def _slope(mean: np.ndarray) -> np.ndarray:
    return np.gradient(gaussian_filter(mean, 0.5, mode="nearest"), axis=1)
