# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites as nodes of their lattice: bonds between neighbours, and whole-number places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from hs_rvae.neighbours import lattice_vectors, linked_groups, neighbour_pairs

_FEWEST = 9  # sites of a lattice
_OFF = 0.35  # of a bond from a lattice vector, in lattice vectors
_LONGEST_THIRD = 1.2  # of the third bond of a hexagonal lattice, in longer edges of the cell
_SKEWED = 0.8  # of the longer diagonal: a rectangular cell has no third bond, however flat
_APART = 12  # places between parts of a lattice that no bond connects


@dataclass
class SiteLattice:
    """
    Sites of one grain of one image, and the bonds between lattice neighbours.

    Attributes
    ----------
    xy : numpy.ndarray, shape (n, 2)
        Positions in px.
    steps : numpy.ndarray, shape (2, 2) or (3, 2)
        Vectors of the bonds in px: the edges of the cell, and in a hexagonal lattice a third one.
    pairs : numpy.ndarray of int, shape (m, 2)
        Neighbours.
    kinds : numpy.ndarray of int, shape (m,)
        Row of `steps` of each pair.
    places : numpy.ndarray of int, shape (n, 2)
        Number of the cell along both edges. Parts that no bond connects lie far apart.
    """

    xy: np.ndarray
    steps: np.ndarray
    pairs: np.ndarray
    kinds: np.ndarray
    places: np.ndarray

    @property
    def cell_area(self) -> float:
        """Area per site, in square px."""
        return float(abs(np.linalg.det(self.steps[:2])))

    @property
    def size(self) -> float:
        """Side of a square cell of the same area, in px: the unit of lengths in cells."""
        return float(np.sqrt(self.cell_area))

    def along(self, kind: int) -> np.ndarray:
        """Pairs (m, 2) of one kind, the second site one step away from the first."""
        pairs = self.pairs[self.kinds == kind]
        back = (self.xy[pairs[:, 1]] - self.xy[pairs[:, 0]]) @ self.steps[kind] < 0
        return np.where(back[:, None], pairs[:, ::-1], pairs)

    def parts(self, linked: np.ndarray) -> np.ndarray:
        """Number the groups of sites that the chosen pairs (m,) connect; shape (n,)."""
        return linked_groups(self.pairs[linked], len(self.xy))


def site_lattice(xy: np.ndarray) -> SiteLattice | None:
    """
    Find the lattice that sites form.

    Parameters
    ----------
    xy : numpy.ndarray, shape (n, 2)
        Positions in px, all finite.

    Returns
    -------
    SiteLattice or None
        None if they are too few, or form no lattice in two dimensions.

    Examples
    --------
    >>> y, x = np.indices((4, 5))
    >>> lattice = site_lattice(20.0 * np.column_stack([x.ravel(), y.ravel()]))
    >>> len(lattice.pairs), round(lattice.size)
    (31, 20)
    """
    if len(np.unique(xy, axis=0)) < _FEWEST:
        return None
    basis, size = lattice_vectors(xy)
    if abs(np.linalg.det(basis)) > 1.5 * size**2:  # a row of sites has no second vector
        return None
    numbers = np.array([[1, 0], [0, 1]])
    diagonals = np.array([[1, 1], [1, -1]])
    length = np.hypot(*(diagonals @ basis).T)
    longest = min(_LONGEST_THIRD * np.hypot(*basis.T).max(), _SKEWED * length.max())
    if length.min() < longest:
        numbers = np.vstack([numbers, diagonals[length.argmin()]])
    steps = numbers @ basis
    pairs = neighbour_pairs(xy, 1.4 * np.hypot(*steps.T).max())
    apart = (xy[pairs[:, 1]] - xy[pairs[:, 0]]) @ np.linalg.inv(basis)
    whole = np.round(apart).astype(int)
    kinds = np.full(len(pairs), -1)
    for kind, number in enumerate(numbers):
        kinds[(whole == number).all(1) | (whole == -number).all(1)] = kind
    good = (kinds >= 0) & (np.abs(apart - whole).max(1) < _OFF)
    pairs, kinds, whole = pairs[good], kinds[good], whole[good]
    return SiteLattice(xy, steps, pairs, kinds, _places(len(xy), pairs, whole))


def _places(n: int, pairs: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Whole-number places (n, 2) of sites, counted along the bonds from one site of each part."""
    links = coo_array((np.arange(1, len(pairs) + 1), pairs.T), shape=(n, n)).tocsr()
    part = linked_groups(pairs, n)
    members = np.split(np.argsort(part, kind="stable"), np.cumsum(np.bincount(part))[:-1])
    before = np.arange(n)  # the neighbour that a site is reached from
    for own in members:
        order, reached_from = breadth_first_order(links, own[0], directed=False)
        before[order[1:]] = reached_from[order[1:]]
    rows = np.flatnonzero(before != np.arange(n))
    low, high = np.minimum(rows, before[rows]), np.maximum(rows, before[rows])
    bond = np.asarray(links[low, high]) + np.asarray(links[high, low]) - 1
    places = np.zeros((n, 2), int)
    places[rows] = np.where((pairs[bond, 1] == rows)[:, None], whole[bond], -whole[bond])
    while (before[before] != before).any():  # steps of two, four, eight ... bonds
        places, before = places + places[before], before[before]
    edge = 0
    for own in members:
        places[own] += [edge - places[own, 0].min(), -places[own, 1].min()]
        edge = int(places[own, 0].max()) + _APART
    return places
