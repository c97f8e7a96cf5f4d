# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lattice of a crystal from the autocorrelation of its image.

Lags and lattice vectors are ``(x, y)``, one per row, in units in which pixels are square and have
the area 1: pixels times the `stretch` of each axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import map_coordinates, maximum_filter

from ..threads import side_by_side
from .peaks import subpixel_offset

#: Side in pixels: large images are correlated in tiles, which bounds memory and longest lag.
TILE = 1024
_FIRST_WIDTH, _WIDTH_STEP = 0.9, 1.4  # of the series of band-passes, in px
# Resolved columns are about 0.15 of the distance to their nearest neighbours wide.
_WIDTH_RANGE = (0.12, 0.26)
_HIGH = 0.4  # peaks below this share of the highest one are not used
_CANDIDATE_RANGE = (0.03, 0.3)  # the same for lattices whose cell holds several columns
_CANDIDATE_HIGH = (0.4, 0.55, 0.7, 0.85)  # a crystal with a basis has peaks that are no lattice's
_STANDS_OUT = 8.0  # times the noise
_MOST = 100  # of the high peaks, the shortest, are used
_SAME = 0.3  # peaks nearer than this, in shortest vectors, are one: split by alternating shifts


@dataclass
class ColumnLattice:
    """Translation lattice of an image.

    Attributes
    ----------
    vectors : numpy.ndarray of shape (2, 2)
        Shortest basis.
    score : float
        Mean autocorrelation at the shortest lattice vectors; 1 for a perfect noise-free crystal.
    noise : float
        What `score` would be, root mean square, for noise.
    width : float
        Gaussian width of the band-pass that shows it best.
    """

    vectors: np.ndarray
    score: float
    noise: float
    width: float


def find_lattice(
    image: np.ndarray,
    valid: np.ndarray | None = None,
    stretch: tuple[float, float] | np.ndarray = (1.0, 1.0),
    width: float | None = None,
) -> tuple[ColumnLattice | None, list[float]]:
    """
    Find the shortest translation lattice of an image.

    The image is band-passed at a series of widths. A lattice counts if its columns would be as wide
    as the band-pass. The one that stands out from the noise most is returned.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
        Finite values.
    valid : numpy.ndarray of bool, optional
        False where a pixel was not measured.
    stretch : tuple of float
        Stretch of the axes x and y.
    width : float, optional
        Try this band-pass only, and any lattice.

    Returns
    -------
    lattice : ColumnLattice or None
        None if no lattice was found.
    widths : list of float
        The band-passes tried.
    """
    found, widths = _all_lattices(image, valid, stretch, width, (_HIGH,))
    best = None
    for each in found:
        ratio = each.width / np.linalg.norm(each.vectors[0])
        if width is None and not _WIDTH_RANGE[0] <= ratio <= _WIDTH_RANGE[1]:
            continue
        if best is None or each.score * best.noise > best.score * each.noise:
            best = each
    return best, widths


def candidate_lattices(
    image: np.ndarray,
    valid: np.ndarray | None = None,
    stretch: tuple[float, float] | np.ndarray = (1.0, 1.0),
    width: float | None = None,
    narrowest: float = 0.0,
) -> tuple[list[ColumnLattice], list[float]]:
    """
    Find all lattices that the autocorrelation of an image may mean.

    Where a cell holds several columns, the vectors between them are peaks as well, lower ones. Each
    candidate takes another share of the highest peak for the height of a lattice vector.

    Parameters
    ----------
    image, valid, stretch, width
        As in :func:`find_lattice`.
    narrowest : float
        Band-passes narrower than this are not tried: they would show the pixels.

    Returns
    -------
    lattices : list of ColumnLattice
        Those that stand out from the noise, different ones, the smallest cell first.
    widths : list of float
        The band-passes tried.
    """
    found, widths = _all_lattices(image, valid, stretch, width, _CANDIDATE_HIGH, narrowest)
    kept: list[ColumnLattice] = []
    for each in sorted(found, key=lambda lattice: -lattice.score / lattice.noise):
        ratio = each.width / np.linalg.norm(each.vectors[0])
        inside = width is not None or _CANDIDATE_RANGE[0] <= ratio <= _CANDIDATE_RANGE[1]
        if not inside or each.score < _STANDS_OUT * each.noise:
            continue
        if not any(same_lattice(each.vectors, other.vectors) for other in kept):
            kept.append(each)
    return sorted(kept, key=lambda lattice: abs(np.linalg.det(lattice.vectors))), widths


def same_lattice(first: np.ndarray, second: np.ndarray, tolerance: float = 0.1) -> bool:
    """Return True if each basis consists of whole numbers of the other."""
    steps = np.asarray(first) @ np.linalg.inv(second)
    whole = np.round(steps)
    return bool(
        np.abs(steps - whole).max() < tolerance and abs(abs(np.linalg.det(whole)) - 1) < 1e-9
    )


def same_shape(first: np.ndarray, second: np.ndarray, tolerance: float = 0.08) -> bool:
    """Return True if a turn or mirror makes the lattices one, about."""
    metrics = []
    for vectors in (first, second):
        short, long = reduced(vectors)
        metrics.append([short @ short, long @ long, abs(short @ long)])
    one, other = np.array(metrics)
    return bool(np.abs(one - other).max() < 2 * tolerance * min(one[1], other[1]))


def _all_lattices(
    image: np.ndarray,
    valid: np.ndarray | None,
    stretch: tuple[float, float] | np.ndarray,
    width: float | None,
    shares: tuple[float, ...],
    narrowest: float = 0.0,
) -> tuple[list[ColumnLattice], list[float]]:
    """Lattices at every band-pass, for every share of the highest peak."""
    stretch = np.asarray(stretch, float)
    power, overlap, tile = _spectra(image, valid)
    n_rows, n_columns = overlap.shape
    square = (
        (np.fft.fftfreq(n_rows)[:, None] / stretch[1]) ** 2
        + (np.fft.rfftfreq(n_columns)[None, :] / stretch[0]) ** 2
    ) * (4 * np.pi**2)
    square = square.astype(np.float32)
    longest = np.array(tile) // 2  # lag, (rows, columns)
    if width is None:
        count = np.log(0.2 * (longest[::-1] * stretch).min() / _FIRST_WIDTH) / np.log(_WIDTH_STEP)
        widths = [_FIRST_WIDTH * _WIDTH_STEP**k for k in range(max(int(count) + 1, 0))]
        widths = [each for each in widths if each >= narrowest]
    else:
        widths = [float(width)]

    def at(each: float) -> list[ColumnLattice]:
        results = []
        passed = irfft2(power * (square * np.exp(-(each**2) * square / 2)) ** 2, overlap.shape)
        # Three steps of the longest vector that suits this width, and some more.
        least = _WIDTH_RANGE[0] if len(shares) == 1 else 2.5 * _CANDIDATE_RANGE[0]
        reach = np.minimum(longest, np.ceil(4 * each / least / stretch[::-1]).astype(int))
        lags = np.ix_(*(np.arange(-n, n + 1) for n in reach))
        correlation = passed[lags] / overlap[lags]
        correlation /= correlation[reach[0], reach[1]]
        peaks = _peaks(correlation, stretch)
        for share in shares:
            found = _lattice_of(correlation, peaks, stretch, each, share)
            if found is not None:
                # Band-passed noise has about one independent value in 4 pi width^2.
                found.noise = np.sqrt(4 * np.pi * each**2 / _area(image, valid) / 12)
                results.append(found)
        return results

    return [one for each in side_by_side(at, widths) for one in each], widths


def reduced(vectors: Any) -> np.ndarray:
    """Shortest basis of the lattice of two vectors (Gauss), the shorter one first."""
    short, long = sorted(np.asarray(vectors, float), key=np.linalg.norm)
    while True:
        long = long - np.round(short @ long / (short @ short)) * short
        if long @ long >= short @ short * (1 - 1e-9):
            return np.array([short, long])
        short, long = long, short


def centred_cells(vectors: np.ndarray) -> list[np.ndarray]:
    """
    Cells of twice the area that have a lattice point in their centre, the most upright first.

    Parameters
    ----------
    vectors : numpy.ndarray of shape (2, 2)
        Basis of the lattice of all columns.

    Returns
    -------
    list of numpy.ndarray of shape (2, 2)
    """
    first, second = vectors
    inverse = np.linalg.inv(vectors)
    cells = []
    for basis in ((first + second, first - second), (first, 2 * second), (2 * first, second)):
        cell = upright(reduced(basis))
        centre = cell.sum(axis=0) / 2 @ inverse
        if np.allclose(centre, np.round(centre)):
            cells.append(cell)
    return sorted(cells, key=lambda cell: np.abs(_cosine(cell)))


def _cosine(cell: np.ndarray) -> float:
    return cell[0] @ cell[1] / np.prod(np.linalg.norm(cell, axis=1))


def upright(vectors: Any) -> np.ndarray:
    """The basis with its first vector nearest to +x and its second nearest to +y."""
    candidates = np.array([s * v for v in np.asarray(vectors, float) for s in (1, -1)])
    first = np.argmax(candidates[:, 0] / np.linalg.norm(candidates, axis=1))
    others = candidates[2:] if first < 2 else candidates[:2]
    return np.array([candidates[first], others[np.argmax(others[:, 1])]])


def _area(image: np.ndarray, valid: np.ndarray | None) -> int:
    return image.size if valid is None else max(int(valid.sum()), 1)


def _spectra(image: np.ndarray, valid: np.ndarray | None) -> tuple[Any, np.ndarray, list[int]]:
    """Sums over tiles: power spectrum, and the overlap of the windows at each lag."""
    tile = [min(TILE, n) for n in image.shape]
    reach = [n // 2 for n in tile]
    shape = tuple(next_fast_len(n + r + 1, real=True) for n, r in zip(tile, reach, strict=True))
    soft = [_soft_window(n) for n in tile]
    window = np.outer(*soft).astype(np.float32)
    power = window_power = 0.0
    whole = np.abs(rfft2(window, shape)) ** 2

    def of_tile(corner: tuple[int, ...]) -> tuple[Any, Any]:
        part = tuple(slice(first, first + n) for first, n in zip(corner, tile, strict=True))
        weight = window if valid is None else window * valid[part]
        total = weight.sum()
        if not total > 0:
            return 0.0, 0.0
        values = np.asarray(image[part], np.float32)
        values = (values - (values * weight).sum() / total) * weight
        own_window = whole if valid is None else np.abs(rfft2(weight, shape)) ** 2
        return np.abs(rfft2(values, shape)) ** 2, own_window

    corners = list(product(*map(_starts, image.shape, tile)))
    for each, each_window in side_by_side(of_tile, corners):
        power, window_power = power + each, window_power + each_window
    overlap = irfft2(window_power, shape)
    # Where hardly any pixels overlap, the quotient would be noise.
    return power, np.maximum(overlap, 0.1 * overlap.max()), tile


def _starts(length: int, tile: int) -> list[int]:
    """First pixels of tiles that cover `length`, the last one shifted inwards."""
    starts = list(range(0, length - tile + 1, tile))
    return starts if starts[-1] + tile >= length else [*starts, length - tile]


def _soft_window(n: int) -> np.ndarray:
    """Window that falls to zero over an eighth of its length at either end."""
    edge = max(n // 8, 1)
    rise = np.sin(np.pi / 2 * (np.arange(edge) + 0.5) / edge) ** 2
    return np.concatenate([rise, np.ones(n - 2 * edge), rise[::-1]])


def _lattice_of(
    correlation: np.ndarray,
    peaks: tuple[np.ndarray, np.ndarray],
    stretch: np.ndarray,
    width: float,
    share: float,
) -> ColumnLattice | None:
    """Shortest lattice of the high peaks of an autocorrelation whose zero lag is central."""
    lags, heights = peaks
    far = np.linalg.norm(lags, axis=1) > 2 * width
    lags, heights = lags[far], heights[far]
    if not len(lags):
        return None
    high = heights > share * heights.max()
    lags, heights = _merged(lags[high], heights[high])
    first = lags[0]
    sine = np.abs(lags @ [first[1], -first[0]]) / np.linalg.norm(lags, axis=1)
    apart = np.flatnonzero(sine > 0.3 * np.linalg.norm(first))
    if not len(apart):
        return None
    vectors = reduced([first, lags[apart[0]]])
    vectors = _adjusted(vectors, lags, heights)
    steps = [(m, n) for m in range(3) for n in range(-2, 3) if (m, n) > (0, 0)]
    where = np.array(steps) @ vectors / stretch
    centre = np.array(correlation.shape)[::-1] // 2
    inside = (np.abs(where) < centre - 1).all(axis=1)
    if inside.sum() < 3:
        return None
    values = map_coordinates(correlation, (where[inside] + centre).T[::-1], order=1)
    return ColumnLattice(vectors, float(values.mean()), np.nan, width)


def _peaks(correlation: np.ndarray, stretch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of an autocorrelation off its centre, to a fraction of a pixel."""
    top = maximum_filter(correlation, size=3)
    rows, columns = np.nonzero((correlation == top) & (correlation > 0.02))
    inner = (rows > 0) & (columns > 0)
    inner &= (rows < correlation.shape[0] - 1) & (columns < correlation.shape[1] - 1)
    rows, columns = rows[inner], columns[inner]
    heights = correlation[rows, columns]
    offset = [
        subpixel_offset(correlation[rows, columns - 1], heights, correlation[rows, columns + 1]),
        subpixel_offset(correlation[rows - 1, columns], heights, correlation[rows + 1, columns]),
    ]
    centre = np.array(correlation.shape)[::-1] // 2
    lags = np.stack([columns, rows], axis=1) - centre + np.stack(offset, axis=1)
    return lags * stretch, heights


def _merged(lags: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join peaks that lie close together, and sort them by length."""
    order = np.argsort(np.linalg.norm(lags, axis=1))[:_MOST]
    lags, heights = lags[order], heights[order]
    near = np.linalg.norm(lags - lags[:, None], axis=2) < _SAME * np.linalg.norm(lags[0])
    if near.sum() == len(lags):
        return lags, heights
    free = np.ones(len(lags), bool)
    joined, sums = [], []
    for i in range(len(lags)):
        if free[i]:
            group = free & near[i]
            free &= ~group
            joined.append(np.average(lags[group], axis=0, weights=heights[group]))
            sums.append(heights[group].sum())
    return np.array(joined), np.array(sums)


def _adjusted(vectors: np.ndarray, lags: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Fit the vectors to all peaks near lattice points up to the third."""
    for _ in range(2):
        steps = np.round(lags @ np.linalg.inv(vectors))
        off = np.linalg.norm(lags - steps @ vectors, axis=1)
        used = (np.abs(steps).max(axis=1) <= 3) & (off < 0.25 * np.linalg.norm(vectors[0]))
        used &= np.abs(steps).max(axis=1) > 0
        weights = heights[used, None]
        if np.linalg.matrix_rank(steps[used]) < 2:
            return vectors
        normal = (steps[used] * weights).T @ steps[used]
        vectors = np.linalg.solve(normal, (steps[used] * weights).T @ lags[used])
    return reduced(vectors)
