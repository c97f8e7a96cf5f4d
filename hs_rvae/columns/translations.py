# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns joined by translations of the lattice, each with cell vectors of its own.

Positions ``(x, y)`` are in units in which pixels are square. A step leads from a column to the one
that a translation of the lattice maps it on: a column of the same place in the cell. Every column
has its own cell vectors, so that strain and slow bending add up over the image without harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.spatial import cKDTree

from ..neighbours import linked_groups
from ..threads import count_threads

#: Steps to the neighbours, in cells: four edges, four diagonals.
STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 1], [-1, 1], [-1, -1], [1, -1]])
_BACK = np.array([2, 3, 0, 1, 6, 7, 4, 5])  # the step that undoes each step
_HALF = [0, 1, 4, 7]  # one of each step and the step back
# Correlations of differences from the mean of four neighbours, of independent heights.
_CHANCE = np.array([-0.4, -0.4, 0.1, 0.1])
_ENOUGH = 30  # columns with neighbours whose heights are compared
_FEWEST = 8  # of them; fewer than enough show an order only where it is clear
_CLEAR = 0.8  # share of the differences that a clear order explains
_ALONE = 0.5  # share of the differences below which one wave is not enough,
_TOGETHER = 0.7  # and share that several explain where they are the order
#: Waves of the orders that are looked for, in units of the reciprocal lattice.
WAVES = [(0.5, 0.5), (0.5, 0.0), (0.0, 0.5)]
WAVES += [(1 / 3, 1 / 3), (1 / 3, -1 / 3), (1 / 3, 0.0), (0.0, 1 / 3)]
_BOTH_WAYS = 0.25  # of the steps along each edge lead to a column
_TURN = 0.15  # difference of the cells of neighbours in one grain, in shortest vectors
_STIFFNESS = 0.5  # weight of the surrounding cells against a column's own neighbours
_WEIGHTS = np.array([1.0] * 4 + [0.5] * 4)


@dataclass
class Links:
    """Columns and those that translations map them on.

    Attributes
    ----------
    positions : numpy.ndarray of shape (n, 2)
    neighbours : numpy.ndarray of int, shape (n, 8)
        Column that each of :data:`STEPS` leads to, -1 where there is none.
    cells : numpy.ndarray of shape (n, 2, 2)
        Cell vectors at each column.
    reach : float
        How far off its place a neighbour may be.
    """

    positions: np.ndarray
    neighbours: np.ndarray
    cells: np.ndarray
    reach: float

    def regularity(self) -> np.ndarray:
        """
        Similarity of the surroundings of each column to a lattice, 0 to 1.

        Share of the edges that lead to a column, less twice their mean squared misfit, averaged
        over neighbours; 0 where only those along one edge do. Above 0.6 in crystals with strong
        disorder or strain, about 0.2 for maxima of noise that happen to be linked.
        """
        if not len(self.positions):
            return np.empty(0)
        cells = self._spread(self.cells, 4)
        edges, there = self.neighbours[:, :4], self.neighbours[:, :4] >= 0
        off = self.positions[edges] - self.positions[:, None]
        off = off - np.einsum("ks,nsx->nkx", STEPS[:4], cells)
        square = np.where(there, (off**2).sum(axis=2) / self.reach**2, 0).sum(axis=1)
        share = self._spread(there.mean(axis=1), 2)
        misfit = self._spread(square, 2) / np.maximum(4 * share, 1e-9)
        # Rows of another crystal may have the steps of one edge, but not those across.
        along = [self._spread(there[:, k::2].mean(axis=1), 2) for k in (0, 1)]
        return share * (1 - 2 * misfit) * (np.minimum(*along) > _BOTH_WAYS)

    def _spread(self, values: np.ndarray, rounds: int) -> np.ndarray:
        """Values averaged over columns and their neighbours."""
        known = self.neighbours >= 0
        shape = (-1,) + (1,) * (values.ndim - 1)
        for _ in range(rounds):
            mask = known.reshape(known.shape + (1,) * (values.ndim - 1))
            total = values + np.where(mask, values[self.neighbours], 0).sum(axis=1)
            values = total / (1 + known.sum(axis=1)).reshape(shape)
        return values

    def pieces(self, kept: np.ndarray, smallest: int) -> np.ndarray:
        """Connected piece of each column, the largest one 0; -1 in pieces of a few columns."""
        rows, steps = np.nonzero((self.neighbours >= 0) & kept[:, None])
        ends = self.neighbours[rows, steps]
        # At the boundary to a grain that is turned, the cells turn at once.
        turn = np.abs(self.cells[rows] - self.cells[ends]).max(axis=(1, 2))
        shortest = np.linalg.norm(np.median(self.cells, axis=0), axis=1).min()
        good = kept[ends] & (turn < _TURN * shortest)
        label = linked_groups(np.stack([rows, ends], axis=1)[good], len(self.positions))
        size = np.bincount(label)
        rank = np.empty(len(size), int)
        rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
        return np.where(kept & (size[label] >= smallest), rank[label], -1)

    def few_to_order(self) -> bool:
        """Return True if too few columns have neighbours around them for :meth:`order`."""
        return bool(((self.neighbours[:, :4] >= 0).sum(axis=1) >= 3).sum() < _FEWEST)

    def order(self, heights: np.ndarray) -> tuple[tuple[float, float], float, float]:
        """
        Find the order in height of columns that the lattice takes for equal.

        Each column is compared with the mean of its four neighbours. If every second (or third)
        column along a wave is higher, whichever it is at the place, differences of neighbours
        correlate as the wave does, and not as those of chance, which share columns. Where no wave
        explains half of them, those that double the cell count together: three kinds on the places
        of one lattice, as in Heusler alloys, need two.

        Parameters
        ----------
        heights : numpy.ndarray of shape (n,)

        Returns
        -------
        wave : tuple of float
            Wave vector of the strongest order, in units of the reciprocal lattice.
        share : float
            Share of the variance of the differences that it explains; chance gives 0.
        depth : float
            Root mean square of its differences, in units of the local height.
        """
        edges, pairs_with = self.neighbours[:, :4], self.neighbours[:, _HALF]
        known = edges >= 0
        count = known.sum(axis=1)
        used = count >= 3
        if self.few_to_order():
            return WAVES[0], 0.0, 0.0
        mean = np.where(known, heights[edges], 0).sum(axis=1) / np.maximum(count, 1)
        difference = np.where(used, heights - mean, 0)
        # A boundary between two compositions must not count as an order.
        limit = 3 * np.median(np.abs(difference[used]))
        difference = np.clip(difference, -limit, limit)
        pairs = (pairs_with >= 0) & used[:, None] & used[pairs_with]
        product = np.where(pairs, difference[:, None] * difference[pairs_with], 0).sum(axis=0)
        square = np.where(pairs, difference[:, None] ** 2 + difference[pairs_with] ** 2, 0)
        measured = 2 * product / np.maximum(square.sum(axis=0), 1e-300) - _CHANCE
        expected = np.cos(2 * np.pi * np.array(WAVES) @ STEPS[_HALF].T) - _CHANCE
        lengths = np.linalg.norm(expected, axis=1)
        best = int(np.argmax(expected @ measured / lengths))
        share = float(expected[best] @ measured / lengths[best] ** 2)
        returns = self._returns(difference, used, 2 if 0.5 in WAVES[best] else 3)
        share = min(share, *returns)
        halves = np.flatnonzero([0.5 in wave for wave in WAVES])
        weights = nnls(expected[halves].T, measured)[0]
        together = min(float(weights.sum()), *self._returns(difference, used, 2))
        if share < _ALONE and together > _TOGETHER:
            best, share = int(halves[weights.argmax()]), together
        if used.sum() < _ENOUGH and share < _CLEAR:
            share = 0.0
        depth = np.sqrt(max(share, 0) * (difference[used] ** 2).mean())
        return WAVES[best], share, float(depth / np.median(np.abs(heights[used])))

    def _returns(self, difference: np.ndarray, used: np.ndarray, period: int) -> list[float]:
        """Correlation of the differences a period away, along each edge; layers have none."""
        padded = np.append(self.neighbours, np.full((1, len(STEPS)), -1), axis=0)
        found = []
        for edge in (0, 1):
            end = np.arange(len(difference))
            for _ in range(period):
                end = padded[end, edge]
            pairs = used & (end >= 0) & used[end]
            one, other = difference[pairs], difference[end[pairs]]
            square = (one**2 + other**2).sum()
            found.append(float(2 * (one * other).sum() / square) if square > 0 else 0.0)
        return found


def connect(positions: np.ndarray, cell: np.ndarray, reach: float) -> Links:
    """
    Find the columns that translations map each column on.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    cell : numpy.ndarray of shape (2, 2)
        Cell vectors, one per row, about right for all of the image.
    reach : float
        How far off its place a neighbour may be; below half the distance of nearest columns.

    Returns
    -------
    Links
    """
    n = len(positions)
    cells = np.broadcast_to(np.asarray(cell, float), (n, 2, 2)).copy()
    tree = cKDTree(positions)
    for _ in range(3):
        neighbours = _neighbours(tree, positions, cells, reach)
        cells = _local_cells(positions, neighbours, cells, cell)
    return Links(positions, _neighbours(tree, positions, cells, reach), cells, reach)


def _neighbours(
    tree: cKDTree, positions: np.ndarray, cells: np.ndarray, reach: float
) -> np.ndarray:
    """Column nearest to the end of each step, if the step back ends here."""
    n = len(positions)
    ends = positions[:, None] + np.einsum("ks,nsx->nkx", STEPS, cells)
    ends = ends.reshape(-1, 2)
    found = tree.query(ends, distance_upper_bound=reach, workers=count_threads())[1]
    found = found.reshape(n, len(STEPS))
    found[found == n] = -1
    back = np.where(found >= 0, found[found, _BACK], -1)
    return np.where(back == np.arange(n)[:, None], found, -1)


def _local_cells(
    positions: np.ndarray, neighbours: np.ndarray, cells: np.ndarray, cell: np.ndarray
) -> np.ndarray:
    """Cell vectors at each column from its own neighbours and from the cells around it."""
    known = neighbours >= 0
    surroundings = (cells + np.where(known[..., None, None], cells[neighbours], 0).sum(axis=1)) / (
        1 + known.sum(axis=1)
    )[:, None, None]
    weights = np.where(known, _WEIGHTS, 0)
    vectors = positions[neighbours] - positions[:, None]
    normal = np.einsum("nk,ks,kt->nst", weights, STEPS, STEPS) + _STIFFNESS * np.eye(2)
    right = np.einsum("nk,ks,nkx->nsx", weights, STEPS, vectors) + _STIFFNESS * surroundings
    local = np.linalg.solve(normal, right)
    # A neighbourhood that is no lattice must not lead its surroundings astray.
    strange = np.abs(local - cell).max(axis=(1, 2)) > 0.35 * np.linalg.norm(cell, axis=1).min()
    return np.where(strange[:, None, None], cell, local)
