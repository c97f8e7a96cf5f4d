# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peak heights of columns at known places, all at once, on a smooth background.

With place and shape held, a height is a linear quantity: it has the smallest error that the noise
allows, neighbours are separated, and an empty place has a height too, which is about zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csc_array, csr_array, diags_array, hstack, kron
from scipy.sparse.linalg import splu

_REACH = 3.0  # sigmas: radius of the pixels that belong to a column, at least
_NOTHING = 0.015  # of the height: where the tail of a column ends
_TILE = 512  # pixels: edge of the part of an image that is fitted at once


@dataclass(frozen=True)
class Heights:
    """Heights of columns.

    Attributes
    ----------
    height : numpy.ndarray of shape (n,)
        Height of the peak above the background; NaN where there are too few pixels.
    weight : numpy.ndarray of shape (n,)
        Sum of the squared profile over the pixels: the variance of the height is that of a pixel
        over it, apart from the overlap with neighbours.
    variance : numpy.ndarray of shape (n,)
        Variance of the pixels about the fit, under the profile.
    """

    height: np.ndarray
    weight: np.ndarray
    variance: np.ndarray

    def part(self, rows: slice) -> Heights:
        """The heights of some columns."""
        return Heights(self.height[rows], self.weight[rows], self.variance[rows])


def typical_shape(table: pd.DataFrame) -> np.ndarray:
    """
    Covariance of the typical peak of a table, in square pixels.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``sigma_x``, ``sigma_y`` and ``rotation``, from +x towards -y.

    Returns
    -------
    numpy.ndarray of shape (2, 2)
        Median over the columns; NaN without a fitted one.
    """
    sigma_x, sigma_y, rotation = (
        table[name].to_numpy(float) for name in ("sigma_x", "sigma_y", "rotation")
    )
    cos, sin = np.cos(rotation), -np.sin(rotation)
    xx = (cos * sigma_x) ** 2 + (sin * sigma_y) ** 2
    yy = (sin * sigma_x) ** 2 + (cos * sigma_y) ** 2
    xy = cos * sin * (sigma_x**2 - sigma_y**2)
    good = np.isfinite(xx + yy + xy)
    if not good.any():
        return np.full((2, 2), np.nan)
    xx, yy, xy = (np.median(each[good]) for each in (xx, yy, xy))
    return np.array([[xx, xy], [xy, yy]])


def measure_heights(
    image: np.ndarray,
    positions: np.ndarray,
    shapes: np.ndarray,
    tail: tuple[float, float],
    spacing: float,
) -> Heights:
    """
    Fit the heights of all columns and a smooth background by least squares.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
        Columns are bright. Pixels that are not finite do not count.
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, finite.
    shapes : numpy.ndarray of shape (n, 2, 2)
        Covariance of each peak, in square pixels.
    tail : tuple of float
        Share of the height in a tail, and how many times wider it is.
    spacing : float
        Distance of the knots of the background, in pixels.

    Returns
    -------
    Heights
    """
    n = len(positions)
    found = Heights(np.full(n, np.nan), np.zeros(n), np.full(n, np.nan))
    rows, columns = image.shape
    margin = 1.5 * spacing
    for top in range(0, rows, _TILE):
        for left in range(0, columns, _TILE):
            # A short last tile belongs to the one before it.
            if (top and rows - top < _TILE / 2) or (left and columns - left < _TILE / 2):
                continue
            bottom = rows if rows - top < 1.5 * _TILE else top + _TILE
            right = columns if columns - left < 1.5 * _TILE else left + _TILE
            low = np.floor(np.maximum([left - margin, top - margin], 0)).astype(int)
            high = np.ceil(np.minimum([right + margin, bottom + margin], [columns, rows]))
            high = high.astype(int)
            within = (positions >= low - 0.5) & (positions < high - 0.5)
            starts = [left if left else -np.inf, top if top else -np.inf]
            ends = [np.inf if right == columns else right, np.inf if bottom == rows else bottom]
            core = np.all((positions >= starts) & (positions < ends), axis=1)
            chosen = np.flatnonzero(np.all(within, axis=1))
            if not len(chosen):
                continue
            part = image[low[1] : high[1], low[0] : high[0]]
            fit = _fit_tile(part, positions[chosen] - low, shapes[chosen], tail, spacing)
            kept = core[chosen]
            for ours, theirs in zip(vars(found).values(), vars(fit).values(), strict=True):
                ours[chosen[kept]] = theirs[kept]
    return found


def _fit_tile(
    image: np.ndarray,
    positions: np.ndarray,
    shapes: np.ndarray,
    tail: tuple[float, float],
    spacing: float,
) -> Heights:
    """Heights of the columns of one tile."""
    usable = np.isfinite(image).ravel()
    profiles = _profiles(image.shape, positions, shapes, tail)
    background = _background(image.shape, spacing)
    design = hstack([profiles, background], format="csr")[usable]
    values = image.ravel()[usable].astype(np.float64)
    level = float(np.median(values)) if len(values) else 0.0
    normal = csc_array(design.T @ design)
    diagonal = normal.diagonal()
    # A small ridge: knots without pixels, and columns outside, stay at zero.
    ridge = 1e-6 * max(float(diagonal.max(initial=0)), 1e-12)
    solved = splu(csc_array(normal + diags_array(np.full(len(diagonal), ridge)))).solve(
        design.T @ (values - level)
    )
    square = (values - level - design @ solved) ** 2
    n = len(positions)
    own = profiles[usable]
    weight = diagonal[:n]
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (own.power(2).T @ square) / weight
    full = np.asarray(profiles.power(2).sum(axis=0)).ravel()
    whole = 2 * np.pi * np.sqrt(np.linalg.det(shapes)) / 2
    enough = weight > 0.5 * np.maximum(full, whole)
    return Heights(
        np.where(enough, solved[:n], np.nan), np.where(enough, weight, 0), np.asarray(variance)
    )


def _profiles(
    shape: tuple[int, int], positions: np.ndarray, shapes: np.ndarray, tail: tuple[float, float]
) -> csr_array:
    """One column of the matrix for each peak, of height 1; shape (pixels, n)."""
    rows, columns = shape
    n = len(positions)
    share, wider = tail
    radius = _REACH
    if share > _NOTHING:
        radius = max(radius, wider * np.sqrt(2 * np.log(share / _NOTHING)))
    reach = int(np.ceil(radius * np.sqrt(np.linalg.eigvalsh(shapes).max(initial=0.25))))
    dy, dx = (each.ravel() for each in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    centres = np.round(positions).astype(int)
    px, py = centres[:, :1] + dx, centres[:, 1:] + dy
    u, v = px - positions[:, :1], py - positions[:, 1:]
    inverse = np.linalg.inv(shapes)
    square = inverse[:, 0, 0, None] * u**2 + inverse[:, 1, 1, None] * v**2
    square += 2 * inverse[:, 0, 1, None] * u * v
    value = (1 - share) * np.exp(-square / 2) + share * np.exp(-square / (2 * wider**2))
    inside = (square <= radius**2) & (px >= 0) & (py >= 0) & (px < columns) & (py < rows)
    number = np.broadcast_to(np.arange(n)[:, None], inside.shape)
    pixel = py * columns + px
    return csr_array((value[inside], (pixel[inside], number[inside])), shape=(rows * columns, n))


def _background(shape: tuple[int, int], spacing: float) -> csr_array:
    """Hat functions on a grid of knots; shape (pixels, knots)."""
    rows, columns = (csr_array(_hats(size, spacing)) for size in shape)
    return csr_array(kron(rows, columns, format="csr"))


def _hats(size: int, spacing: float) -> np.ndarray:
    """Values of the hat functions of one axis, (size, knots)."""
    count = max(int(round(size / spacing)), 1)
    place = np.arange(size) * count / max(size - 1, 1)
    return np.maximum(1 - np.abs(place[:, None] - np.arange(count + 1)), 0)
