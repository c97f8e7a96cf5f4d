# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places of the lattice without a column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from ..neighbours import group_means, largest_gap, linked_groups

_LARGEST_GAP = np.deg2rad(185)  # between the neighbours around a hole; at a straight edge, 180
_ONE_SHELL = 1.15  # ratio of lengths of equal neighbours
_EXCEPTIONS = 0.25  # share of the sites of a place: few enough holes to be taken for columns
_BESIDE = 3.0  # longest edges around a hole: the columns whose steps end beside it
_EDGES = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])


@dataclass
class Sites:
    """Columns, or empty places, of a lattice.

    Attributes
    ----------
    positions : numpy.ndarray of shape (n, 2)
    place, grain : numpy.ndarray of int, shape (n,)
    index : numpy.ndarray of int, shape (n, 2)
        Cell.
    """

    positions: np.ndarray
    place: np.ndarray
    grain: np.ndarray
    index: np.ndarray

    def where(self, mask: np.ndarray) -> Sites:
        """Some of the sites."""
        return Sites(self.positions[mask], self.place[mask], self.grain[mask], self.index[mask])

    def joined(self, other: Sites) -> Sites:
        """Join these sites with others."""
        return Sites(
            np.vstack([self.positions, other.positions]),
            np.append(self.place, other.place),
            np.append(self.grain, other.grain),
            np.vstack([self.index, other.index]),
        )


def steps_from(
    place: int, offsets: np.ndarray, cell: np.ndarray, basis: Iterable[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Steps from a place to the nearest sites of every place, as many as enclose it.

    Parameters
    ----------
    place : int
    offsets : numpy.ndarray of shape (m, 2)
        Places in units of the cell vectors.
    cell : numpy.ndarray of shape (2, 2)
    basis : iterable of int, optional
        Places of the crystal that has this one; those of another phase are not among them. If
        None, all.

    Returns
    -------
    places : numpy.ndarray of int, shape (k,)
        Where the steps end.
    cells : numpy.ndarray of int, shape (k, 2)
        Cells between start and end.
    """
    places, cells = [np.full(4, place)], [_EDGES]
    around = np.array(np.meshgrid([-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2])).reshape(2, -1).T
    for other in range(len(offsets)) if basis is None else basis:
        if other != place:
            vectors = (around + offsets[other] - offsets[place]) @ cell
            length = np.linalg.norm(vectors, axis=1)
            near = _enclosing(vectors, length)
            places.append(np.full(near.sum(), other))
            cells.append(around[near])
    return np.concatenate(places), np.concatenate(cells)


def _enclosing(vectors: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Mask of the shortest vectors, of as many lengths as leave no large gap between them."""
    reach = 1e-6 * length.max()  # places of two phases may coincide
    while True:
        reach = length[length >= reach].min()
        near = length < _ONE_SHELL * reach
        if largest_gap(vectors[near][None])[0] < _LARGEST_GAP:
            return np.asarray(near)
        reach *= _ONE_SHELL


def find_holes(
    sites: Sites,
    cells: np.ndarray,
    offsets: np.ndarray,
    distance: float,
    others: np.ndarray,
    size: np.ndarray | None = None,
) -> Sites:
    """
    Find places of the lattice that have no column.

    Every column proposes the places where its steps end on nothing. A hole is where such
    proposals meet, enclosed by the columns that made them and far from all others. Holes of a place
    that has few of them propose as well: the neighbours of two holes side by side may be no more.

    Parameters
    ----------
    sites : Sites
        The columns.
    cells : numpy.ndarray of shape (n, 2, 2)
        Cell vectors at each column.
    offsets : numpy.ndarray of shape (m, 2)
        Places in units of the cell vectors.
    distance : float
        Distance of nearest columns.
    others : numpy.ndarray of shape (k, 2)
        Maxima of no lattice: a hole is where none stands.
    size : numpy.ndarray of shape (2,), optional
        Largest x and y of the image. Beyond it the lattice goes on: it encloses holes as well.

    Returns
    -------
    Sites
        With the centres of their neighbours as positions.
    """
    first = _holes_of(sites, cells, offsets, distance, others, size)
    share = np.bincount(first.place, minlength=len(offsets))
    share = share / np.maximum(share + np.bincount(sites.place, minlength=len(offsets)), 1)
    mine = (share < _EXCEPTIONS)[first.place]
    if not mine.any():
        return first
    centres = first.positions[mine]
    nearest = cKDTree(sites.positions).query(centres)[1]
    reach = _BESIDE * np.linalg.norm(np.median(cells, axis=0), axis=1).max()
    near = np.isfinite(cKDTree(centres).query(sites.positions, distance_upper_bound=reach)[0])
    second = _holes_of(
        sites.where(near).joined(first.where(mine)),
        np.concatenate([cells[near], cells[nearest]]),
        offsets,
        distance,
        np.vstack([others, sites.positions[~near], first.positions[~mine]]),
        size,
    )
    return first.joined(second)


def _holes_of(
    sites: Sites,
    cells: np.ndarray,
    offsets: np.ndarray,
    distance: float,
    others: np.ndarray,
    size: np.ndarray | None,
) -> Sites:
    """Holes that some sites propose, far from these and from others."""
    empty = np.empty(0, int)
    nothing = Sites(np.empty((0, 2)), empty, empty, np.empty((0, 2), int))
    proposals = _proposals(sites, cells, offsets)
    if proposals is None:
        return nothing
    start, ends, place, index = proposals
    everything = np.vstack([sites.positions, others])
    alone = cKDTree(everything).query(ends, distance_upper_bound=distance)[0] > 0.5 * distance
    if not alone.any():
        return nothing
    start, ends, place, index = start[alone], ends[alone], place[alone], index[alone]
    # Not by index: around a dislocation, one place has several.
    pairs = cKDTree(ends).query_pairs(0.3 * distance, output_type="ndarray")
    group = linked_groups(pairs, len(ends))
    count, mean = np.bincount(group), group_means(ends, group)
    spread = np.bincount(group, np.linalg.norm(ends - mean[group], axis=1)) / count
    grain = sites.grain[start]
    key = (grain * len(offsets)) + place
    votes = csr_matrix((np.ones(len(key)), (group, key))).toarray()
    winner = votes.argmax(axis=1)
    towards = sites.positions[start] - mean[group]
    enclosed = _largest_gaps(group, towards) < _LARGEST_GAP
    if size is not None:
        reach = np.linalg.norm(np.median(cells, axis=0), axis=1).max()
        depth = np.minimum(mean, size - mean).min(axis=1)
        near = ~enclosed & (count >= 2) & (depth >= 0) & (depth < reach)
        rows = np.flatnonzero(near[group])
        rows = rows[np.argsort(group[rows], kind="stable")]
        for mine in np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1) if len(rows) else []:
            k = group[mine[0]]
            ends = _beyond(mean[k], cells[start[mine[0]]], size)
            enclosed[k] = largest_gap(np.vstack([towards[mine], ends])[None])[0] < _LARGEST_GAP
    clear = votes.max(axis=1) > 0.8 * count
    # The outer hull of a crystal is no hole, nor is a place of undecided kind.
    good = (count >= 2) & enclosed & (spread < 0.2 * distance) & clear
    majority = np.flatnonzero(key == winner[group])
    numbers, first = np.unique(group[majority], return_index=True)
    first = majority[first[good[numbers]]]
    return Sites(mean[good], place[first], grain[first], index[first])


def _beyond(position: np.ndarray, cell: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Edges of the cell from a position that end beyond the border of the image."""
    edges = _EDGES @ cell
    ends = position + edges
    return np.asarray(edges[((ends < 0) | (ends > size)).any(axis=1)])


def _proposals(
    sites: Sites, cells: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Start, end, place and cell of every step from every column."""
    starts, ends, places, index = [], [], [], []
    held = np.unique(np.stack([sites.grain, sites.place], axis=1), axis=0)
    # Places that no column holds were found in the phase of the largest grain.
    main = held[held[:, 0] == 0, 1]
    new = np.setdiff1d(np.arange(len(offsets)), held[:, 1])
    for place in np.unique(sites.place):
        mine = np.flatnonzero(sites.place == place)
        grains = held[held[:, 1] == place, 0]
        basis = np.unique(held[np.isin(held[:, 0], grains), 1])
        if np.isin(basis, main).any():
            basis = np.union1d(basis, new)
        cell = np.median(cells[np.isin(sites.grain, grains)], axis=0)
        goals, between = steps_from(place, offsets, cell, basis.tolist())
        vectors = between + offsets[goals] - offsets[place]
        starts.append(np.repeat(mine, len(goals)))
        end = sites.positions[mine][:, None] + np.einsum("ks,nsx->nkx", vectors, cells[mine])
        ends.append(end.reshape(-1, 2))
        places.append(np.tile(goals, len(mine)))
        index.append((sites.index[mine][:, None] + between).reshape(-1, 2))
    if not starts:
        return None
    start, end, goal, cell_of = (np.concatenate(each) for each in (starts, ends, places, index))
    return start, end, goal, cell_of


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
