# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependence of two maps, and its value by chance: maps whose blocks are shuffled."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from ..neighbours import median_spacing

_NEIGHBOURS = 20  # of the estimator: more is steadier, fewer resolves finer structure
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
    from sklearn.feature_selection import mutual_info_regression

    nat = mutual_info_regression(
        columns,
        quantity,
        discrete_features=False,
        n_neighbors=_NEIGHBOURS,
        random_state=seed,
    )
    return np.sqrt(1 - np.exp(-2 * nat))


def ranked(values: np.ndarray, is_angle: bool = False) -> np.ndarray:
    """Ranks in (0, 1); of angles from their emptiest direction on."""
    if is_angle:
        turn = np.sort(np.mod(values, 2 * np.pi))
        gaps = np.diff(turn, append=turn[0] + 2 * np.pi)
        values = np.mod(values - turn[gaps.argmax()] - gaps.max() / 2, 2 * np.pi)
    return (rankdata(values) - 0.5) / len(values)


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
