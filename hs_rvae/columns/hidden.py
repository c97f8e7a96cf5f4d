# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places of the cell whose columns are too faint to be maxima of the image.

What the fits leave of the image is averaged over many cells. A peak of the width of columns there
is a place if it stands out from what the fits leave elsewhere: tails that differ from the model
leave something as well, along rows and between columns.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.ndimage import map_coordinates, maximum_filter

from ..refinement.fixed_width import models_of_columns
from .grains import periodic_lengths

_CELLS = 600  # that are averaged
_FINENESS = 7.0  # points of the average cell per distance of nearest columns
_FINER = 4  # points of a finer cell per point, between which maxima lie
_APART = 0.55  # nearest distances between a hidden place and the others
_PLACEBO = 4.0  # times what the fits leave elsewhere
# Height, in units of the brightest, where hidden columns leave no elsewhere: close-packed ones.
_BETWEEN = 0.06


def hidden_places(
    image: np.ndarray,
    columns: pd.DataFrame,
    tail: tuple[float, float],
    anchors: np.ndarray,
    cells: np.ndarray,
    offsets: np.ndarray,
    least_height: float,
) -> np.ndarray:
    """
    Find places of the cell where columns hide.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
        With bright columns.
    columns : pandas.DataFrame
        All columns that were fitted well.
    tail : tuple of float
        Share and width of their tails.
    anchors : numpy.ndarray of shape (n, 2)
        Columns of the first place, ``(x, y)`` in pixels.
    cells : numpy.ndarray of shape (n, 2, 2)
        Cell vectors at these, in pixels.
    offsets : numpy.ndarray of shape (m, 2)
        Places that are known, the first one at the origin.
    least_height : float
        Smallest height of a column, in units of that of the brightest place.

    Returns
    -------
    numpy.ndarray of shape (k, 2)
        The strongest first.
    """
    cell = np.median(cells, axis=0)
    distance = nearest_of_places(offsets, cell)
    size = np.clip(np.ceil(_FINENESS * np.linalg.norm(cell, axis=1) / distance), 8, 96).astype(int)
    inside = _inside(anchors, cells, image.shape)
    chosen = np.flatnonzero(inside)
    chosen = chosen[:: max(1, len(chosen) // _CELLS)]
    if len(chosen) < 8:
        return np.empty((0, 2))
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in size), indexing="ij"), axis=-1)
    points = points.reshape(-1, 2)
    halves = []
    for half in (chosen[::2], chosen[1::2]):
        where = anchors[half][:, None] + np.einsum("ps,nsx->npx", points, cells[half])
        values = map_coordinates(image, where.transpose(2, 0, 1)[::-1], order=1, mode="nearest")
        values = values - models_of_columns(
            where[..., 0], where[..., 1], where.mean(axis=1), columns, tail
        )
        mean = np.nanmean(values, axis=0).reshape(size)
        halves.append(np.where(np.isfinite(mean), mean, np.nanmedian(mean)))
    width = float(np.sqrt(columns.sigma_x * columns.sigma_y).median())
    passed = [_band_passed(half, cell, width) for half in halves]
    noise = np.std(passed[0] - passed[1]) / 2
    passed = (passed[0] + passed[1]) / 2
    height = float(columns.amplitude.quantile(0.9))
    places, strength = _maxima(passed)
    # A Gaussian column of this width leaves half of its height.
    good = strength > max(least_height * height / 2, 5 * noise)
    good &= periodic_lengths(places[:, None] - offsets, cell).min(axis=1) > _APART * distance
    places, strength = places[good], strength[good]
    if not len(places):
        return places
    free = periodic_lengths(points[:, None] - offsets, cell).min(axis=1)
    apart = periodic_lengths(points[:, None] - places, cell).min(axis=1)
    elsewhere = (free > 0.35 * distance) & (apart > 0.45 * distance)
    if elsewhere.any():
        least = _PLACEBO * np.sqrt((passed.ravel()[elsewhere] ** 2).mean())
    else:
        least = _BETWEEN * height / 2
    good = strength > max(least, 0.3 * strength.max())
    return places[good][np.argsort(-strength[good])]


def nearest_of_places(offsets: np.ndarray, cell: np.ndarray) -> float:
    """Distance of nearest columns of a crystal, in the units of its cell."""
    around = np.array(np.meshgrid([-1, 0, 1], [-1, 0, 1])).reshape(2, -1).T
    ends = (around[:, None] + offsets).reshape(-1, 2)
    lengths = np.linalg.norm((ends[:, None] - offsets).reshape(-1, 2) @ cell, axis=1)
    return float(lengths[lengths > 1e-6 * np.linalg.norm(cell)].min())


def _maxima(passed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maxima of a periodic image between its points: places and values."""
    waves = np.fft.fftshift(np.fft.fft2(passed))
    more = [(n * (_FINER - 1) // 2 + n % 2, n * (_FINER - 1) // 2) for n in passed.shape]
    fine = np.fft.ifft2(np.fft.ifftshift(np.pad(waves, more))).real * _FINER**2
    peaks = np.nonzero(fine == maximum_filter(fine, size=3, mode="wrap"))
    return np.stack(peaks, axis=1) / fine.shape, fine[peaks]


def _inside(anchors: np.ndarray, cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Mask of the cells that lie in the image."""
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    where = anchors[:, None] + np.einsum("ps,nsx->npx", corners, cells)
    return ((where >= 0) & (where <= np.array(shape[::-1]) - 1)).all(axis=(1, 2))


def _band_passed(mean: np.ndarray, cell: np.ndarray, width: float) -> np.ndarray:
    """Negative Laplacian of Gaussian of a periodic average cell."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    waves = np.stack(
        np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in mean.shape), indexing="ij"), axis=-1
    )
    square = ((waves @ reciprocal) ** 2).sum(axis=-1) * width**2
    return np.fft.ifft2(np.fft.fft2(mean) * square * np.exp(-square / 2)).real
