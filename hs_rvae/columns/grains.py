# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of columns that translations join, put together: places in the cell, and grains.

Two pieces that stand between each other are two places of one grain. Two that only touch are two
grains, even if their lattices have the same vectors: that is an antiphase boundary. Two that
continue each other are one place of one grain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import (
    breadth_first_order,
    connected_components,
    minimum_spanning_tree,
)
from scipy.spatial import cKDTree

from .translations import Links

_BETWEEN = 0.4  # of the columns of the smaller piece stand between those of the larger one
_SHARP = 0.7  # length of the mean phase of the vectors between two pieces; 1 without scatter
_TURN = 0.15  # difference of the cells of one grain where pieces meet, in shortest vectors
_SAME = 0.3  # nearest distances within which two places are one
_NEAR = 0.4  # nearest distances between a column and its place
_NEAR_ALONE = 0.25  # the same of a column that no translation joins
_OCCUPIED = 0.2  # of the cells hold a maximum at a place


@dataclass
class Assembly:
    """Grains and places of columns.

    Attributes
    ----------
    grain : numpy.ndarray of int, shape (n,)
        -1 for columns of no lattice.
    place : numpy.ndarray of int, shape (n,)
        Place in the cell, counted in each grain from its most regular one; -1 for none.
    fractions : list of numpy.ndarray of shape (m, 2)
        Places of each grain, in its cell vectors.
    """

    grain: np.ndarray
    place: np.ndarray
    fractions: list[np.ndarray]


@dataclass
class Pairs:
    """Pairs of columns nearer than about a cell: numbers and vectors in local cells."""

    first: np.ndarray
    second: np.ndarray
    steps: np.ndarray

    @classmethod
    def of(cls, positions: np.ndarray, cells: np.ndarray, radius: float) -> Pairs:
        """All pairs within a radius, in both directions."""
        pairs = cKDTree(positions).query_pairs(radius, output_type="ndarray")
        first, second = np.concatenate([pairs, pairs[:, ::-1]]).T
        return cls(first, second, in_cells(positions[second] - positions[first],
                                           (cells[first] + cells[second]) / 2))  # fmt: skip

    def take(self, kept: np.ndarray) -> Pairs:
        """Some pairs, a boolean mask."""
        return Pairs(self.first[kept], self.second[kept], self.steps[kept])


def in_cells(vectors: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Vectors of shape (n, 2) in units of the cell vectors at each, (n, 2, 2) or (2, 2)."""
    (ax, ay), (bx, by) = np.moveaxis(cells, (-2, -1), (0, 1))
    x, y = vectors.T
    return np.stack([x * by - y * bx, y * ax - x * ay], axis=1) / (ax * by - ay * bx)[..., None]


def periodic_lengths(steps: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """
    Lengths of steps between places of the cell, up to whole cells.

    Parameters
    ----------
    steps : numpy.ndarray of shape (..., 2)
        In units of the cell vectors.
    cell : numpy.ndarray of shape (2, 2)

    Returns
    -------
    numpy.ndarray of shape (...)
        In the unit of the cell.
    """
    return np.asarray(np.linalg.norm((steps - np.round(steps)) @ cell, axis=-1))


def sums_of_phases(steps: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """
    Sum the phases of steps over all that belong to one row.

    Parameters
    ----------
    steps : numpy.ndarray of shape (n, 2)
        In units of the cell vectors.
    rows : numpy.ndarray of int, shape (n,)
    count : int
        Number of rows.

    Returns
    -------
    numpy.ndarray of complex, shape (count, 2)
    """
    turn = np.exp(2j * np.pi * steps)
    return np.stack(
        [np.bincount(rows, turn[:, axis].real, count)
         + 1j * np.bincount(rows, turn[:, axis].imag, count) for axis in (0, 1)], axis=1,
    )  # fmt: skip


def assemble(links: Links, piece: np.ndarray, distance: float) -> Assembly:
    """
    Put pieces together.

    Parameters
    ----------
    links : Links
        All columns.
    piece : numpy.ndarray of int, shape (n,)
        As :meth:`Links.pieces` returns.
    distance : float
        Distance of nearest columns.

    Returns
    -------
    Assembly
        Its grains are sorted by their numbers of columns.
    """
    cell = np.median(links.cells, axis=0)
    radius = 1.25 * np.linalg.norm(cell, axis=1).max()
    pairs = Pairs.of(links.positions, links.cells, radius)
    piece_grain, phase = _grains_of_pieces(pairs, piece, links.cells)
    grain = np.where(piece >= 0, piece_grain[piece], -1)
    # A place of each piece, then of the single columns, from their neighbours in the grain.
    fraction = np.where(piece[:, None] >= 0, phase[piece], np.nan)
    single = _singles(pairs, piece, grain, fraction, len(links.positions))
    grain, fraction = (
        np.where(piece >= 0, grain, single[0]),
        np.where(piece[:, None] >= 0, fraction, single[1]),
    )
    place, fractions = np.full(len(grain), -1), []
    for number in range(int(grain.max(initial=-1)) + 1):
        mine = np.flatnonzero(grain == number)
        local = np.median(links.cells[mine], axis=0)
        centres, which = _places(fraction[mine], piece[mine], local, distance)
        place[mine] = which
        fractions.append(centres)
    grain = np.where(place >= 0, grain, -1)
    return _sorted(Assembly(grain, place, fractions))


def _grains_of_pieces(
    pairs: Pairs, piece: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Grain of each piece, and the phase of its columns: place in the cell of its grain."""
    count = int(piece.max(initial=-1)) + 1
    size = np.bincount(piece[piece >= 0], minlength=count)
    first, second = piece[pairs.first], piece[pairs.second]
    used = (first >= 0) & (second >= 0) & (first != second)
    used &= (np.abs(pairs.steps) < 1.2).all(axis=1)
    columns, steps = pairs.first[used], pairs.steps[used]
    key = first[used] * count + second[used]
    numbers, where = np.unique(key, return_inverse=True)
    mean = sums_of_phases(steps, where, len(numbers)) / np.bincount(where)[:, None]
    between = _between(columns, where, steps, len(numbers))
    one, other = numbers // count, numbers % count
    share = between / size[one]
    # The cells where the two meet.
    turn = np.stack(
        [np.bincount(where, (cells[pairs.first[used]] - cells[pairs.second[used]])[:, i, j])
         for i in (0, 1) for j in (0, 1)], axis=1,
    ) / np.bincount(where)[:, None]  # fmt: skip
    shortest = np.linalg.norm(np.median(cells, axis=0), axis=1).min()
    sharp = np.abs(mean).min(axis=1, initial=1) > _SHARP
    sharp &= np.abs(turn).max(axis=1, initial=0) < _TURN * shortest
    joined = sharp & (size[one] <= size[other]) & (share > _BETWEEN)
    # Of one place, with a gap of poor columns between them.
    step = np.angle(mean) / (2 * np.pi)
    joined |= sharp & (np.abs(step).max(axis=1, initial=0) < 0.12)
    grain, phase = np.full(count, -1), np.zeros((count, 2))
    weight = np.where(joined, share * size[one], 0)
    edges: dict[int, list[tuple[float, int, np.ndarray]]] = {i: [] for i in range(count)}
    for k in np.flatnonzero(joined):
        edges[one[k]].append((weight[k], other[k], step[k]))
        edges[other[k]].append((weight[k], one[k], -step[k]))
    number = 0
    for root in range(count):  # the largest first
        if grain[root] >= 0:
            continue
        grain[root], waiting = number, [root]
        while waiting:
            here = waiting.pop(0)
            for _, there, vector in sorted(edges[here], key=lambda edge: -edge[0]):
                if grain[there] < 0:
                    grain[there], phase[there] = number, (phase[here] + vector) % 1
                    waiting.append(there)
        number += 1
    return grain, phase


def _between(columns: np.ndarray, where: np.ndarray, steps: np.ndarray, count: int) -> np.ndarray:
    """Number of columns, for each pair of pieces, with the other piece on three sides or four."""
    keys, index = np.unique(columns * count + where, return_inverse=True)
    sides = np.zeros(len(keys), int)
    for x in (steps[:, 0] > 0, steps[:, 0] < 0):
        for y in (steps[:, 1] > 0, steps[:, 1] < 0):
            sides += np.bincount(index, x & y, minlength=len(keys)) > 0
    return np.bincount(keys % count, sides >= 3, minlength=count)


def _singles(
    pairs: Pairs, piece: np.ndarray, grain: np.ndarray, fraction: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Grain and place in the cell of columns of no piece, from the columns around them."""
    used = (piece[pairs.first] < 0) & (piece[pairs.second] >= 0)
    column, neighbour = pairs.first[used], pairs.second[used]
    found, place = np.full(n, -1), np.full((n, 2), np.nan)
    if not len(column):
        return found, place
    grains = int(grain.max()) + 1
    votes = np.bincount(column * grains + grain[neighbour], minlength=n * grains)
    votes = votes.reshape(n, grains)
    found = np.where(votes.max(axis=1) >= 3, votes.argmax(axis=1), -1)
    same = grain[neighbour] == found[column]
    mean = sums_of_phases((fraction[neighbour] - pairs.steps[used])[same], column[same], n)
    return found, np.where(found[:, None] >= 0, np.angle(mean) / (2 * np.pi) % 1, np.nan)


def _places(
    fraction: np.ndarray, piece: np.ndarray, cell: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Places of a grain, and the place of each of its columns."""
    free, centres = np.ones(len(fraction), bool), np.empty((0, 2))
    cells = 0.0
    for _ in range(30):
        if not free.any():
            break
        centre = _densest(fraction[free], cell, distance)
        near = free & (periodic_lengths(fraction - centre, cell) < _NEAR * distance)
        cells = max(cells, near.sum())
        if near.sum() < max(_OCCUPIED * cells, 3):
            break
        if not (periodic_lengths(centre - centres, cell) < _SAME * distance).any():
            centres = np.vstack([centres, centre])
        free &= ~near
    off = periodic_lengths(fraction[:, None] - centres, cell)
    limit = np.where(piece >= 0, _NEAR, _NEAR_ALONE) * distance
    place = np.where(off.min(axis=1) < limit, off.argmin(axis=1), -1)
    return centres, place


def _densest(fraction: np.ndarray, cell: np.ndarray, distance: float) -> np.ndarray:
    """Place in the cell with the most columns around it, by mean shift."""
    sample = fraction[:: max(1, len(fraction) // 400)]
    steps = sample[:, None] - sample
    steps -= np.round(steps)
    square = ((steps @ cell) ** 2).sum(axis=2) / (0.12 * distance) ** 2
    centre = sample[np.exp(-square / 2).sum(axis=1).argmax()]
    for _ in range(5):
        steps = fraction - centre
        steps -= np.round(steps)
        near = np.linalg.norm(steps @ cell, axis=1) < 0.25 * distance
        centre = (centre + steps[near].mean(axis=0)) % 1
    return centre


def _sorted(assembly: Assembly) -> Assembly:
    """The same with the largest grain first."""
    count = np.bincount(assembly.grain[assembly.grain >= 0], minlength=len(assembly.fractions))
    order = np.argsort(-count, kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    grain = np.where(assembly.grain >= 0, rank[assembly.grain], -1)
    return Assembly(grain, assembly.place, [assembly.fractions[k] for k in order])


def number_cells(
    positions: np.ndarray,
    cells: np.ndarray,
    grain: np.ndarray,
    offset: np.ndarray,
    distance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Number the cells of every grain, carried from column to column along the most regular steps.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    cells : numpy.ndarray of shape (n, 2, 2)
    grain : numpy.ndarray of int, shape (n,)
    offset : numpy.ndarray of shape (n, 2)
        Place of each column in its cell.
    distance : float
        Distance of nearest columns.

    Returns
    -------
    index : numpy.ndarray of int, shape (n, 2)
        Counted from a column of the same grain.
    part : numpy.ndarray of int, shape (n,)
        Parts of a grain that a gap cuts off; their cells are counted across the gap.
    """
    n = len(grain)
    cell = np.median(cells, axis=0)
    radius = max(1.05 * np.linalg.norm(cell, axis=1).min(), 1.5 * distance)
    pairs = Pairs.of(positions, cells, radius)
    pairs = pairs.take(grain[pairs.first] == grain[pairs.second])
    exact = pairs.steps - offset[pairs.second] + offset[pairs.first]
    whole = np.round(exact)
    off = np.linalg.norm((exact - whole) @ cell, axis=1) / distance
    cost = 1e-3 + off + 0.1 * np.linalg.norm(pairs.steps @ cell, axis=1) / distance
    whole = whole.astype(int)
    tree = minimum_spanning_tree(csr_matrix((cost, (pairs.first, pairs.second)), shape=(n, n)))
    part = connected_components(tree, directed=False)[1]
    tree = tree + tree.T
    key = pairs.first.astype(np.int64) * n + pairs.second
    sorter = np.argsort(key)
    index = np.zeros((n, 2), int)
    for root in np.unique(part, return_index=True)[1].tolist():
        order, before = breadth_first_order(tree, root, directed=False)
        if len(order) == 1:
            continue
        step = np.searchsorted(
            key, before[order[1:]].astype(np.int64) * n + order[1:], sorter=sorter
        )
        places = {root: (0, 0)}
        for column, previous, (di, dj) in zip(
            order[1:].tolist(), before[order[1:]].tolist(), whole[sorter[step]].tolist(),
            strict=True,
        ):  # fmt: skip
            i, j = places[previous]
            places[column] = (i + di, j + dj)
        index[list(places)] = list(places.values())
    _count_across(positions, cells, grain, offset, index, part)
    return index, part


def _count_across(
    positions: np.ndarray,
    cells: np.ndarray,
    grain: np.ndarray,
    offset: np.ndarray,
    index: np.ndarray,
    part: np.ndarray,
) -> None:
    """Count the cells of each part of a grain from the origin of the largest one, in place."""
    for number in np.unique(grain):
        mine = np.flatnonzero(grain == number)
        labels, sizes = np.unique(part[mine], return_counts=True)
        labels = labels[np.argsort(-sizes, kind="stable")]
        done = mine[part[mine] == labels[0]]
        for label in labels[1:]:
            ours = mine[part[mine] == label]
            distance, nearest = cKDTree(positions[done]).query(positions[ours])
            near = np.argsort(distance, kind="stable")[:15]
            one, other = ours[near], done[nearest[near]]
            steps = in_cells(positions[one] - positions[other], (cells[one] + cells[other]) / 2)
            shift = np.round(steps - offset[one] + offset[other]).astype(int)
            shift = shift + index[other] - index[one]
            choices, votes = np.unique(shift, axis=0, return_counts=True)
            index[ours] += choices[votes.argmax()]
            done = np.concatenate([done, ours])
