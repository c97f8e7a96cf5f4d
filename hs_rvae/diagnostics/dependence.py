# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependence of two maps, and its value by chance: maps whose blocks are shuffled."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.spatial import cKDTree
from scipy.special import digamma

from ..neighbours import median_spacing

_NEIGHBOURS = 20  # of the estimator: more is steadier, fewer resolves finer structure
_BLOCK = 64  # points whose distances fit into a cache
_MINIMUM_BLOCKS = 3  # along each side of the image
BLOCK_LENGTHS = 2.0  # correlation lengths in a block


def information_coefficient(columns: np.ndarray, quantity: np.ndarray, seed: int = 0) -> np.ndarray:
    """
    Dependence of each column on a quantity, 0 (independent) to 1.

    Parameters
    ----------
    columns : numpy.ndarray of shape (n, m)
    quantity : numpy.ndarray of shape (n,)
    seed : int

    Returns
    -------
    numpy.ndarray of shape (m,)
    """
    rng = np.random.RandomState(seed)
    columns = _untied(columns, rng)
    quantity = _untied(quantity[:, None], rng)[:, 0]
    order = np.argsort(quantity)
    nat = [_mutual_information(quantity[order], column[order]) for column in columns.T]
    return np.sqrt(1 - np.exp(-2 * np.array(nat)))


def _untied(columns: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Columns of standard deviation 1, with a little noise so that no two rows are alike."""
    spread = columns.std(0)
    columns = columns / np.where(spread > 0, spread, 1)
    size = np.maximum(1, np.abs(columns).mean(0))
    return np.asarray(columns + 1e-10 * size * rng.standard_normal(columns.shape))


def _mutual_information(x: np.ndarray, y: np.ndarray) -> float:
    """Mutual information in nat, at least 0 (A. Kraskov et al., Phys. Rev. E 69, 066138 (2004)).

    Parameters
    ----------
    x, y : numpy.ndarray of shape (n,)
        `x` ascends.
    """
    radius = _neighbour_distance(x, y)
    counts = [digamma(_number_within(values, radius)).mean() for values in (x, y)]
    return max(0.0, float(digamma(len(x)) + digamma(_NEIGHBOURS) - counts[0] - counts[1]))


def _neighbour_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance (n,) of each point to one of its neighbours, the larger of those along x and y."""
    n = len(x)
    found, left = np.empty(n), np.arange(n)
    outside = np.concatenate([[-np.inf], x, [np.inf]])
    for width in (min(n, int(1.6 * np.sqrt(_NEIGHBOURS * n))), n):  # points that are compared
        first = np.clip(left - width // 2, 0, n - width)
        near_x, near_y = sliding_window_view(x, width), sliding_window_view(y, width)
        for k in range(0, len(left), _BLOCK):
            rows, start = left[k : k + _BLOCK], first[k : k + _BLOCK]
            apart = near_x[start] - x[rows, None]
            across = near_y[start] - y[rows, None]
            np.maximum(np.abs(apart, out=apart), np.abs(across, out=across), out=apart)
            apart.partition(_NEIGHBOURS, axis=1)  # the nearest is the point itself
            found[rows] = apart[:, _NEIGHBOURS]
        nearest = np.minimum(x[left] - outside[first], outside[first + width + 1] - x[left])
        left = left[found[left] > nearest]
    return found


def _number_within(values: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Number of values (n,) nearer to each than its radius (n,), itself among them."""
    known = np.concatenate([[-np.inf], np.sort(values), [np.inf]])
    first = np.searchsorted(known, values - radius)
    last = np.searchsorted(known, values + radius) - 1
    # A neighbour lies at the radius: what counts is its distance as computed above.
    first += (values - known[first] >= radius).astype(int) - (values - known[first - 1] < radius)
    last += (known[last + 1] - values < radius).astype(int) - (known[last] - values >= radius)
    return np.asarray(last - first + 1)


def ranked(values: np.ndarray, is_angle: bool = False) -> np.ndarray:
    """Ranks in (0, 1); of angles from their emptiest direction on."""
    if is_angle:
        turn = np.sort(np.mod(values, 2 * np.pi))
        gaps = np.diff(turn, append=turn[0] + 2 * np.pi)
        values = np.mod(values - turn[gaps.argmax()] - gaps.max() / 2, 2 * np.pi)
    _, number, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - count / 2)[number] / len(values)


def without_plane(xy: np.ndarray, ranks: np.ndarray, is_angle: bool = False) -> np.ndarray:
    """
    A map less the plane that fits it best.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    ranks : numpy.ndarray of shape (n,)
    is_angle : bool
        Whether 1 is the same as 0: then they are counted from where a plane fits best.

    Returns
    -------
    numpy.ndarray of shape (n,)
    """
    shifts = np.linspace(0, 1, 1000, endpoint=False) if is_angle else np.zeros(1)
    maps = np.mod(ranks[:, None] + shifts, 1) if is_angle else ranks[:, None]
    plane, _ = np.linalg.qr(np.column_stack([xy - xy.mean(0), np.ones(len(xy))]))
    rests = maps - plane @ (plane.T @ maps)
    return rests[:, np.argmin((rests**2).sum(0))]


def correlation_length(xy: np.ndarray, rest: np.ndarray, n_sites: int = 1500) -> float:
    """
    Correlation length of a map, in the units of `xy`.

    The distance at which the autocorrelation has fallen to 1/e of that of nearest neighbours; 0 if
    not even these are alike.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    rest : numpy.ndarray of shape (n,)
        The map without its trend, of mean 0.
    n_sites : int
        Sites used at most.

    Returns
    -------
    float
    """
    some = np.linspace(0, len(xy) - 1, min(len(xy), n_sites)).astype(int)
    xy, rest = xy[some], rest[some]
    variance = np.mean(rest**2)
    step = 1.5 * median_spacing(xy)
    i, j = np.triu_indices(len(xy), 1)
    bins = (np.hypot(*(xy[i] - xy[j]).T) / step).astype(int)
    bins, products = bins[bins < 200], (rest[i] * rest[j])[bins < 200]
    counts = np.bincount(bins)
    alike = np.bincount(bins, products) / np.maximum(counts, 1) / variance
    # Below this, neighbours are alike by chance.
    if alike[0] < 3 / np.sqrt(counts[0]):
        return 0.0
    below = np.flatnonzero(alike < alike[0] / np.e)
    return float(step * (below[0] + 0.5 if len(below) else len(alike)))


class BlockShuffle:
    """Shuffle the blocks of a map: the numbers of the sites whose values come to given places."""

    def __init__(self, xy: np.ndarray, places: np.ndarray, side: float) -> None:
        self.low, self.size = xy.min(0), np.maximum(np.ptp(xy, axis=0), 1e-9) * (1 + 1e-9)
        self.tree, self.places = cKDTree(xy), places - self.low
        side = max(side, median_spacing(xy))
        self.blocks = np.maximum(_MINIMUM_BLOCKS, np.rint(self.size / side)).astype(int)
        self.side = float(np.sqrt(np.prod(self.size / self.blocks)))
        # The spread goes with the number of independent parts, hence with the side of a block.
        self.too_small = max(1.0, side / self.side)

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the sites whose values stand at the places after one shuffle."""
        # The grid of blocks starts somewhere else each time; the map is closed to a torus.
        start = rng.uniform(0, 1, 2) * self.size
        where = np.mod(self.places + start, self.size) / self.size * self.blocks
        block = np.minimum(where.astype(int), self.blocks - 1)
        inside = where - block
        number = block[:, 0] * self.blocks[1] + block[:, 1]
        n = int(np.prod(self.blocks))
        source = rng.permutation(n)[number]
        mirrored = rng.integers(0, 2, (n, 2)).astype(bool)[number]
        transposed = rng.integers(0, 2, n).astype(bool)[number]
        inside = np.where(mirrored, 1 - inside, inside)
        inside = np.where(transposed[:, None], inside[:, ::-1], inside)
        block = np.stack([source // self.blocks[1], source % self.blocks[1]], axis=1)
        back = np.mod((block + inside) / self.blocks * self.size - start, self.size)
        return self.tree.query(back + self.low)[1]
