# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns as local maxima of a band-passed image, and their heights against the noise."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_laplace, maximum_filter
from scipy.spatial import cKDTree

from ..threads import side_by_side

_NARROWEST = 0.8  # px
_RANK = 0.2  # of the cells have a maximum this high
_FINER = 1.25  # between two widths that are tried
_ROWS = 256  # of an image, filtered at a time
_TRUNCATE = 4.0  # of the Gaussian, in its widths


def filled(image: np.ndarray, valid: np.ndarray, width: float) -> np.ndarray:
    """Replace pixels that were not measured by a local mean, of about `width` around."""
    weight = gaussian_filter(valid.astype(np.float32), width)
    mean = gaussian_filter(np.where(valid, image, 0), width)
    everywhere = image[valid].mean(dtype=float)
    local = np.where(weight > 1e-3, mean / np.maximum(weight, 1e-3), everywhere)
    return np.where(valid, image, local).astype(np.float32)


def band_passed(image: np.ndarray, width: float, stretch: np.ndarray) -> np.ndarray:
    """Negative Laplacian of Gaussian: bright spots about `width` wide stand out, slopes vanish."""
    sigma = width / stretch[1], width / stretch[0]
    reach = int(_TRUNCATE * sigma[0] + 0.5)
    passed = np.empty(image.shape, np.float32)

    def work(start: int) -> None:
        first, end = max(start - reach, 0), min(start + _ROWS, len(image))
        part = gaussian_laplace(image[first : end + reach], sigma, np.float32, truncate=_TRUNCATE)
        passed[start:end] = part[start - first : end - first]
        passed[start:end] *= np.float32(-(width**2))

    for _ in side_by_side(work, range(0, len(image), _ROWS)):
        pass
    return passed


def are_dark(passed: np.ndarray) -> bool:
    """Return True if the spots of a band-passed image are darker than their surroundings.

    Columns are small spots on a wide network: their side of the distribution is the longer one.
    """
    sample = passed.ravel()[:: max(1, passed.size // 2_000_000)].astype(float)
    return bool(np.mean(sample * sample * sample) < 0)


def column_width(
    image: np.ndarray,
    area: float,
    widest: float,
    stretch: np.ndarray,
    dark: bool,
    enlarged: int = 1,
) -> float:
    """
    Width of the best band-pass for the columns: about their own.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
    area : float
        Area of the smallest cell, in pixels.
    widest : float
        Width to begin with.
    stretch : numpy.ndarray of shape (2,)
    dark : bool
    enlarged : int
        Side of a recorded pixel.

    Returns
    -------
    float
        The widest band-pass, unless a narrower one shows higher maxima.
    """
    rows, columns = (slice(max(n // 2 - 400, 0), n // 2 + 400) for n in image.shape)
    part = image[rows, columns]
    best, width, highest = widest, widest, -np.inf
    while width >= _NARROWEST * enlarged:
        passed = band_passed(part, width, stretch) * np.float32(-1 if dark else 1)
        xy, heights = local_maxima(passed, 2 * width, stretch)
        rank = min(int(_RANK * part.size / area), len(heights) - 1)
        if rank < 0:
            break
        # Where the columns are: vacuum has less noise.
        order = np.argsort(-heights)[: rank + 1]
        noise = np.median(noise_of_band_pass(part, xy[order], width, 32 * enlarged, enlarged))
        height = heights[order[-1]]
        # As high as the highest of the independent values of noise in a cell.
        chance = noise * (1 + np.sqrt(2 * np.log(max(area / (4 * width**2), 3))))
        if height < 1.2 * chance and width < widest:
            break
        height = np.sqrt(max(height**2 - chance**2, 0))
        if height > 1.1 * highest:
            best, highest = width, height
        elif height < 0.8 * highest:
            break
        width /= _FINER
    return best


def noise_of_band_pass(
    image: np.ndarray, positions: np.ndarray, width: float, block: int, enlarged: int = 1
) -> np.ndarray:
    """
    Standard deviation of the noise in a band-passed image, at some positions.

    The pixel noise is the mean absolute value of a filter blind to slopes and curvature
    (J. Immerkaer, Computer Vision and Image Understanding 64, 300 (1996)), in square blocks.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
        Before the band-pass.
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels.
    width : float
        Width of the band-pass.
    block : int
        Side of the blocks in pixels.
    enlarged : int
        Side of a recorded pixel, of which one pixel counts.

    Returns
    -------
    numpy.ndarray of shape (n,)
    """
    if enlarged > 1:
        image, positions = image[::enlarged, ::enlarged], positions / enlarged
        width, block = width / enlarged, max(block // enlarged, 4)
    sizes = np.array(image.shape) - 2
    edges = [np.linspace(0, n, max(n // block, 1) + 1).astype(int) for n in sizes]
    lines = [_sums_of_second_differences(image[a : b + 2]) for a, b in pairwise(edges[0])]
    sums = np.add.reduceat(np.array(lines), edges[1][:-1], axis=1)
    pixel_noise = sums / np.outer(*(np.diff(e) for e in edges)) * np.sqrt(np.pi / 2) / 6
    where = [
        np.clip(np.searchsorted(e, p, side="right") - 1, 0, len(e) - 2)
        for e, p in zip(edges, positions.T[::-1], strict=True)
    ]
    return pixel_noise[tuple(where)] / (width * np.sqrt(2 * np.pi))


def _sums_of_second_differences(rows: np.ndarray) -> np.ndarray:
    """Sums over some rows of absolute values, without slopes and curvature."""
    across = rows[:, :-2] - 2 * rows[:, 1:-1]
    across += rows[:, 2:]
    second = across[:-2] - 2 * across[1:-1]
    second += across[2:]
    np.abs(second, out=second)
    return np.asarray(np.add.reduceat(second, [0], axis=0, dtype=np.float64)[0])


def local_maxima(
    passed: np.ndarray, distance: float, stretch: np.ndarray, valid: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the maxima of a band-passed image, up to its border.

    Parameters
    ----------
    passed : numpy.ndarray of shape (rows, columns)
    distance : float
        The lower one of two maxima this close is dropped.
    stretch : numpy.ndarray of shape (2,)
        Stretch of the axes x and y; `distance` counts stretched pixels.
    valid : numpy.ndarray of bool, optional
        No maximum is taken where this is False.

    Returns
    -------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, to a fraction of one.
    heights : numpy.ndarray of shape (n,)
        Values of `passed`, all positive.
    """

    def tops(start: int) -> np.ndarray:
        first, end = max(start - 1, 0), min(start + _ROWS, len(passed))
        part = passed[first : end + 1]
        top = (maximum_filter(part, size=3) == part) & (part > 0)
        # On the outermost pixels stand the flanks of columns whose centre lies outside.
        top[[0, -1]] = top[:, [0, -1]] = False
        if valid is not None:
            top &= valid[first : end + 1]
        return np.argwhere(top) + (first, 0)

    # Each row is in the middle of one block.
    rows, columns = np.concatenate([*side_by_side(tops, range(0, len(passed), _ROWS))]).T
    heights = passed[rows, columns].astype(np.float64)
    x = columns + subpixel_offset(passed[rows, columns - 1], heights, passed[rows, columns + 1])
    y = rows + subpixel_offset(passed[rows - 1, columns], heights, passed[rows + 1, columns])
    positions = np.stack([x, y], axis=1)
    kept = highest_within(positions * stretch, heights, distance)
    return positions[kept], heights[kept]


def subpixel_offset(before: np.ndarray, middle: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Offset of the vertex of the parabola through a maximum and its two neighbours, in pixels."""
    curvature = np.minimum(before - 2 * middle + after, -1e-12)
    return np.clip((before - after) / (2 * curvature), -0.5, 0.5)


def highest_within(positions: np.ndarray, heights: np.ndarray, distance: float) -> np.ndarray:
    """Mask of the positions that have no higher one, itself kept, within a distance."""
    kept = np.ones(len(positions), bool)
    if not len(positions):
        return kept
    pairs = cKDTree(positions).query_pairs(distance, output_type="ndarray")
    swap = heights[pairs[:, 0]] < heights[pairs[:, 1]]
    pairs[swap] = pairs[swap, ::-1]
    for high, low in pairs[np.argsort(-heights[pairs[:, 0]], kind="stable")].tolist():
        if kept[high]:
            kept[low] = False
    return kept


def typical_height(heights: np.ndarray, count: float) -> float:
    """Height that 5 % of `count` maxima reach: of the strongest kind, not of a bright speck."""
    if not len(heights):
        return 0.0
    rank = min(int(0.05 * count), len(heights) - 1)
    return float(np.partition(heights, len(heights) - 1 - rank)[len(heights) - 1 - rank])
