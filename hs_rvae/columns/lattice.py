# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours, lattice indices and two-colouring of columns, and the holes between them.

Positions ``(x, y)`` are in units in which pixels are square. A step leads from a column to a
neighbour and is counted in half cells: (2, 0) is one cell along the first vector and ends on the
same sublattice, (1, 1) is half a diagonal and ends on the other one. Every column has its own cell
vectors, so that strain and slow bending add up over the image without harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

#: Steps to the neighbours, in half cells: four half diagonals, four edges.
STEPS = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1], [2, 0], [0, 2], [-2, 0], [0, -2]])
_BACK = np.array([2, 3, 0, 1, 6, 7, 4, 5])  # the step that undoes each step
_TOLERANCE = 0.4  # of the nearest-neighbour distance: how far off its place a neighbour may be
_STIFFNESS = 0.5  # weight of the surrounding cells against a column's own neighbours
# A displaced sublattice shifts half diagonals, not edges: edges tell the cell.
_WEIGHTS = np.array([0.2] * 4 + [1.0] * 4)
_ENOUGH = 12  # columns of a part whose colours are counted
_PAIRS = 15  # of columns that tell the vector between two parts of a crystal
_LONGEST_GAP = 8.0  # cells between two parts that may be one crystal
_LARGEST_GAP = np.deg2rad(185)  # between the neighbours around a hole; at a straight edge, 180


@dataclass
class ColumnGraph:
    """Columns and their neighbours.

    Attributes
    ----------
    positions : numpy.ndarray of shape (n, 2)
    neighbours : numpy.ndarray of int, shape (n, 8)
        Column that each of :data:`STEPS` leads to, -1 where there is none.
    cells : numpy.ndarray of shape (n, 2, 2)
        Cell vectors at each column.
    index : numpy.ndarray of int, shape (n, 2)
        Place in the lattice in half cells, counted from a column of the same part.
    part : numpy.ndarray of int, shape (n,)
        Connected part of the crystal, the largest one 0.
    """

    positions: np.ndarray
    neighbours: np.ndarray
    cells: np.ndarray
    index: np.ndarray
    part: np.ndarray

    @property
    def odd(self) -> np.ndarray:
        """Sublattice of each column: False for one of the two, True for the other."""
        return self.index[:, 0] % 2 == 1

    def take(self, kept: np.ndarray) -> ColumnGraph:
        """The graph of some columns only, a boolean mask."""
        number = np.where(kept, np.cumsum(kept) - 1, -1)
        neighbours = np.where(self.neighbours >= 0, number[self.neighbours], -1)
        return ColumnGraph(
            self.positions[kept], neighbours[kept], self.cells[kept], self.index[kept],
            self.part[kept],
        )  # fmt: skip

    def regularity(self) -> np.ndarray:
        """
        Similarity of the surroundings of each column to a lattice, 0 to 1.

        Share of the edges that lead to a column, less twice their mean squared misfit, averaged
        over neighbours. Above 0.6 in crystals with strong disorder or strain, about 0.2 for maxima
        of noise that happen to be linked.
        """
        if not len(self.part):
            return np.empty(0)
        known = self.neighbours >= 0

        def spread(values: np.ndarray, rounds: int) -> np.ndarray:
            shape = (-1,) + (1,) * (values.ndim - 1)
            for _ in range(rounds):
                mask = known.reshape(known.shape + (1,) * (values.ndim - 1))
                total = values + np.where(mask, values[self.neighbours], 0).sum(axis=1)
                values = total / (1 + known.sum(axis=1)).reshape(shape)
            return values

        cells = spread(self.cells, 4)
        edges, there = self.neighbours[:, 4:], known[:, 4:]
        off = self.positions[edges] - self.positions[:, None]
        off = off - np.einsum("ks,nsx->nkx", STEPS[4:] / 2, cells)
        reach = _TOLERANCE * nearest_distance(np.median(self.cells, axis=0))
        square = np.where(there, (off**2).sum(axis=2) / reach**2, 0).sum(axis=1)
        share = spread(there.mean(axis=1), 2)
        misfit = spread(square, 2) / np.maximum(4 * share, 1e-9)
        return share * (1 - 2 * misfit)

    def alternation(self, heights: np.ndarray) -> float:
        """
        Difference in height of the two colours, as a correlation over neighbouring cells.

        Each column is compared with the mean of its four half-diagonal neighbours. If one colour
        is higher than the other, whichever it is at the place, the differences of neighbouring
        cells agree: 1. Chance differences correlate by 0.1, because cells share columns.
        """
        diagonal = self.neighbours[:, :4]
        known = diagonal >= 0
        count = known.sum(axis=1)
        used = count >= 3
        if not used.any():
            return 0.0
        mean = np.where(known, heights[diagonal], 0).sum(axis=1) / np.maximum(count, 1)
        difference = np.where(used, (heights - mean) * np.where(self.odd, -1, 1), 0)
        # A boundary between two compositions must not count as an alternation.
        limit = 3 * np.median(np.abs(difference[used]))
        difference = np.clip(difference, -limit, limit)
        edges = self.neighbours[:, 4:]
        pairs = (edges >= 0) & used[:, None] & used[edges]
        square = (np.where(pairs, difference[:, None], 0) ** 2).sum()
        product = np.where(pairs, difference[:, None] * difference[edges], 0).sum()
        return float(product / square) if square > 0 else 0.0

    def share_of_fewer(self) -> float:
        """Number of columns of the rarer colour of each part over that of the other colour."""
        odd = np.bincount(self.part, self.odd)
        even = np.bincount(self.part, ~self.odd)
        # The colours of a few columns may differ in number by chance.
        enough = odd + even >= _ENOUGH
        most = np.maximum(odd, even)[enough].sum()
        return float(np.minimum(odd, even)[enough].sum() / most) if most else 1.0

    def consistency(self) -> float:
        """Share of neighbours that agree on their sublattices; NaN without any neighbours."""
        rows, steps = np.nonzero(self.neighbours >= 0)
        if not len(rows):
            return np.nan
        other = self.odd[self.neighbours[rows, steps]] != self.odd[rows]
        return float((other == (steps < 4)).mean())


def connect(positions: np.ndarray, cell: np.ndarray) -> ColumnGraph:
    """
    Find the neighbours of all columns and number the columns.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    cell : numpy.ndarray of shape (2, 2)
        Cell vectors, one per row, about right for all of the image.

    Returns
    -------
    ColumnGraph
    """
    n = len(positions)
    cells = np.broadcast_to(np.asarray(cell, float), (n, 2, 2)).copy()
    tree = cKDTree(positions)
    reach = _TOLERANCE * nearest_distance(cell)
    for _ in range(3):
        neighbours = _neighbours(tree, positions, cells, reach)
        cells = _local_cells(positions, neighbours, cells, cell)
    neighbours = _neighbours(tree, positions, cells, reach)
    index, part = _numbers(positions, neighbours, cells, reach / _TOLERANCE)
    return ColumnGraph(positions, neighbours, cells, index, part)


def nearest_distance(cell: np.ndarray) -> float:
    """Distance of the nearest columns: an edge of the cell or half a diagonal."""
    return float(np.linalg.norm(STEPS / 2 @ cell, axis=1).min())


def _neighbours(
    tree: cKDTree, positions: np.ndarray, cells: np.ndarray, reach: float
) -> np.ndarray:
    """Column nearest to the end of each step, if the step back ends here."""
    n = len(positions)
    ends = positions[:, None] + np.einsum("ks,nsx->nkx", STEPS / 2, cells)
    _, found = tree.query(ends.reshape(-1, 2), distance_upper_bound=reach)
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
    steps = STEPS / 2
    vectors = positions[neighbours] - positions[:, None]
    normal = np.einsum("nk,ks,kt->nst", weights, steps, steps) + _STIFFNESS * np.eye(2)
    right = np.einsum("nk,ks,nkx->nsx", weights, steps, vectors) + _STIFFNESS * surroundings
    local = np.linalg.solve(normal, right)
    # A neighbourhood that is no lattice must not lead its surroundings astray.
    strange = np.abs(local - cell).max(axis=(1, 2)) > 0.35 * np.linalg.norm(cell, axis=1).min()
    return np.where(strange[:, None, None], cell, local)


def _numbers(
    positions: np.ndarray, neighbours: np.ndarray, cells: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lattice indices, carried from column to column along the most regular steps."""
    n = len(positions)
    rows, steps = np.nonzero(neighbours >= 0)
    ends = neighbours[rows, steps]
    vectors = np.einsum("ns,nsx->nx", STEPS[steps] / 2, (cells[rows] + cells[ends]) / 2)
    off = np.linalg.norm(positions[ends] - positions[rows] - vectors, axis=1) / distance
    cost = 1e-3 + off + ~_confirmed(neighbours)[rows, steps]
    links = csr_matrix((cost, (rows, ends)), shape=(n, n))
    count, label = connected_components(links, directed=False)
    size = np.bincount(label, minlength=count)
    rank = np.empty(count, int)
    rank[np.argsort(-size, kind="stable")] = np.arange(count)
    part = rank[label]
    tree = minimum_spanning_tree(links)
    tree = tree + tree.T
    index = np.zeros((n, 2), int)
    for root in _one_of_each(part):
        order, before = breadth_first_order(tree, root, directed=False)
        steps = np.argmax(neighbours[before[order[1:]]] == order[1:, None], axis=1)
        places = {root: (0, 0)}
        for column, previous, (di, dj) in zip(
            order[1:].tolist(), before[order[1:]].tolist(), STEPS[steps].tolist(), strict=True
        ):
            i, j = places[previous]
            places[column] = (i + di, j + dj)
        index[list(places)] = list(places.values())
    return _outvoted(index, neighbours), part


def _one_of_each(part: np.ndarray) -> list[int]:
    """One column of every part that has more than one."""
    _, first, size = np.unique(part, return_index=True, return_counts=True)
    return first[size > 1].tolist()


def _confirmed(neighbours: np.ndarray) -> np.ndarray:
    """Mark the steps that can also be walked as two others."""
    n = len(neighbours)
    padded = np.vstack([neighbours, np.full((1, len(STEPS)), -1)])
    confirmed = np.zeros(neighbours.shape, bool)
    for k, step in enumerate(STEPS):
        for first in range(len(STEPS)):
            second = np.flatnonzero((STEPS[first] + STEPS == step).all(axis=1))
            if len(second):
                end = padded[padded[:n, first], second[0]]
                confirmed[:, k] |= (end == neighbours[:, k]) & (end >= 0)
    return confirmed


def _outvoted(index: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Take over the place that most neighbours give to a column."""
    known = neighbours >= 0
    for _ in range(3):
        votes = np.where(known[..., None], index[neighbours] - STEPS, np.iinfo(int).min // 2)
        same = (votes[:, :, None] == votes[:, None]).all(axis=-1) & known[:, None]
        counts = np.where(known, same.sum(axis=2), 0)
        own_votes = ((votes == index[:, None]).all(axis=-1) & known).sum(axis=1)
        best = counts.argmax(axis=1)
        rows = np.flatnonzero(counts[np.arange(len(index)), best] > own_votes)
        if not len(rows):
            break
        index[rows] = votes[rows, best[rows]]
    return index


def join_parts(graph: ColumnGraph) -> int:
    """
    Count the parts of a crystal from one origin where their lattices continue each other.

    A layer without contrast, a crack or a part without measured pixels cuts a crystal into parts.
    The nearest columns of two parts tell the vector between them; if it is a whole number of steps,
    for most of them the same, the parts are one crystal, and their sublattices are the same.

    Parameters
    ----------
    graph : ColumnGraph
        Its `index` and `part` are changed.

    Returns
    -------
    int
        Number of parts that are left.
    """
    numbers = np.unique(graph.part)
    for number in numbers[1:]:
        ours = np.flatnonzero(graph.part == number)
        others = np.flatnonzero(graph.part < number)
        distance, nearest = cKDTree(graph.positions[others]).query(graph.positions[ours])
        near = np.argsort(distance)[:_PAIRS]
        ours_near, others_near = ours[near], others[nearest[near]]
        cells = (graph.cells[ours_near] + graph.cells[others_near]) / 2
        if np.median(distance[near]) > _LONGEST_GAP * np.linalg.norm(cells, axis=2).mean():
            continue
        vectors = graph.positions[ours_near] - graph.positions[others_near]
        steps = 2 * np.linalg.solve(cells.transpose(0, 2, 1), vectors[..., None])[..., 0]
        # Steps are two even or two odd numbers: whole sums and differences, halved.
        turned = np.stack([steps.sum(axis=1), steps[:, 0] - steps[:, 1]], axis=1) / 2
        whole = np.round(turned)
        steps = np.stack([whole.sum(axis=1), whole[:, 0] - whole[:, 1]], axis=1).astype(int)
        shift = np.column_stack(
            [graph.index[others_near] + steps - graph.index[ours_near], graph.part[others_near]]
        )
        choices, votes = np.unique(shift, axis=0, return_counts=True)
        agreed = (shift == choices[votes.argmax()]).all(axis=1)
        if agreed.mean() > 0.6 and np.abs(turned - whole)[agreed].mean() < 0.2:
            graph.index[ours] += choices[votes.argmax(), :2]
            graph.part[ours] = choices[votes.argmax(), 2]
    graph.part[:] = np.unique(graph.part, return_inverse=True)[1].ravel()
    return int(graph.part.max()) + 1


def find_holes(graph: ColumnGraph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Find places of the lattice that have no column.

    Every column proposes the places where its steps end on nothing. A hole is where such
    proposals meet, enclosed by the columns that made them and far from all others.

    Parameters
    ----------
    graph : ColumnGraph

    Returns
    -------
    positions : numpy.ndarray of shape (m, 2)
        Centre of the neighbours.
    index : numpy.ndarray of int, shape (m, 2)
    part : numpy.ndarray of int, shape (m,)
    """
    rows, steps = np.nonzero(graph.neighbours < 0)
    empty = np.empty((0, 2)), np.empty((0, 2), int), np.empty(0, int)
    if not len(rows):
        return empty
    ends = graph.positions[rows] + np.einsum("ns,nsx->nx", STEPS[steps] / 2, graph.cells[rows])
    distance = np.median(np.linalg.norm(np.einsum("s,nsx->nx", STEPS[0] / 2, graph.cells), axis=1))
    alone = cKDTree(graph.positions).query(ends)[0] > 0.5 * distance
    rows, steps, ends = rows[alone], steps[alone], ends[alone]
    if not len(rows):
        return empty
    # Not by index: around a dislocation, one place has several.
    pairs = cKDTree(ends).query_pairs(0.3 * distance, output_type="ndarray")
    links = csr_matrix((np.ones(len(pairs), bool), pairs.T), shape=(len(ends), len(ends)))
    group = connected_components(links, directed=False)[1]
    count = np.bincount(group)
    mean = np.stack([np.bincount(group, ends[:, axis]) / count for axis in (0, 1)], axis=1)
    spread = np.bincount(group, np.linalg.norm(ends - mean[group], axis=1)) / count
    enclosed = _largest_gaps(group, graph.positions[rows] - mean[group]) < _LARGEST_GAP
    index = graph.index[rows] + STEPS[steps]
    odd = np.bincount(group, index[:, 0] % 2) / count
    # The outer hull of a crystal is no hole, nor is a place of undecided colour.
    good = (count >= 2) & enclosed & (spread < 0.2 * distance) & (np.abs(odd - 0.5) > 0.3)
    majority = np.flatnonzero(index[:, 0] % 2 == (odd[group] > 0.5))
    numbers, first = np.unique(group[majority], return_index=True)
    first = majority[first[good[numbers]]]
    return mean[good], index[first], graph.part[rows[first]]


def _largest_gaps(group: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Largest angle between neighbouring vectors of each group."""
    angle = np.arctan2(vectors[:, 1], vectors[:, 0])
    order = np.lexsort([angle, group])
    group, angle = group[order], angle[order]
    last = np.append(group[1:] != group[:-1], True)
    start = np.append(0, np.flatnonzero(last)[:-1] + 1)
    following = np.append(angle[1:], 0.0)
    following[last] = angle[start] + 2 * np.pi
    return np.maximum.reduceat(following - angle, start)
