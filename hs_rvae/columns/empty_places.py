# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places of a crystal without a column, predicted by the columns around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ..neighbours import group_means, largest_gap, linked_groups
from .crystal import Crystal
from .shells import grain_cells, grain_numbers, predicted_neighbours

#: A column within this share of the shortest distance of a place fills it.
FILLED = 0.35
_AROUND = 1.3  # edges of a square of the cell's area: the columns that predict a place
_ENCLOSED = np.deg2rad(130)  # a larger gap between these columns: a rim, not a vacancy
_FEWEST = 4  # columns that predict a place
_MOSTLY_FULL = 0.5  # share of the cells: emptier places are no vacancies


@dataclass(frozen=True)
class Columns:
    """All columns of the grains of a crystal, the sublattices one after the other.

    Attributes
    ----------
    positions : numpy.ndarray of shape (n, 2)
    sublattice : numpy.ndarray of str, shape (n,)
    row : numpy.ndarray of int, shape (n,)
        Row in the table of the sublattice.
    grain : numpy.ndarray of int, shape (n,)
        -1 for a column of no grain.
    """

    positions: np.ndarray
    sublattice: np.ndarray
    row: np.ndarray
    grain: np.ndarray

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame]) -> Columns:
        """The columns of tables, without those at positions that are not finite."""
        positions = np.concatenate(
            [table[["x", "y"]].to_numpy(float) for table in tables.values()]
        ).reshape(-1, 2)
        names = np.repeat(list(tables), [len(table) for table in tables.values()])
        rows = np.concatenate([np.arange(len(table)) for table in tables.values()])
        grain = np.concatenate([grain_numbers(table) for table in tables.values()])
        good = np.isfinite(positions).all(axis=1)
        return cls(positions[good], names[good], rows[good], grain[good])


@dataclass(frozen=True)
class EmptyPlaces:
    """Places without a column.

    Attributes
    ----------
    positions : numpy.ndarray of shape (m, 2)
        ``(x, y)`` in pixels, the mean of what the columns around predict.
    sublattice : numpy.ndarray of str, shape (m,)
    grain : numpy.ndarray of int, shape (m,)
    """

    positions: np.ndarray
    sublattice: np.ndarray
    grain: np.ndarray


def shortest_distance(crystal: Crystal) -> float:
    """Shortest distance between two places of a crystal, in pixels."""
    lengths = [
        np.linalg.norm(predicted_neighbours(crystal, k)[0][0] @ crystal.cell)
        for k in range(len(crystal.places))
    ]
    return float(min(lengths))


def find_empty_places(columns: Columns, crystal: Crystal, others: np.ndarray) -> EmptyPlaces:
    """
    Find the places inside grains that hold no column.

    Parameters
    ----------
    columns : Columns
    crystal : Crystal
    others : numpy.ndarray of shape (k, 2)
        Columns that belong to no grain: they fill a place as well.

    Returns
    -------
    EmptyPlaces
        Places that the columns around do not enclose, at the rim of a grain or of the image, are
        left out; so are those that most cells of the crystal leave empty.
    """
    reach = FILLED * shortest_distance(crystal)
    everything = np.concatenate([columns.positions, others])
    tree = cKDTree(everything)
    found: list[tuple[np.ndarray, str, int]] = []
    for number, ends, targets, starts in _predicted(columns, crystal, tree, reach):
        alone = np.isinf(tree.query(ends, distance_upper_bound=reach)[0])
        ends, targets, starts = ends[alone], targets[alone], starts[alone]
        for k, one in enumerate(crystal.places):
            if one.occupied < _MOSTLY_FULL:
                continue
            mine = targets == k
            for centre in _enclosed_groups(ends[mine], starts[mine], reach):
                found.append((centre, one.name, number))
    positions = np.array([each[0] for each in found]).reshape(-1, 2)
    names = np.array([each[1] for each in found], dtype=columns.sublattice.dtype)
    grains = np.array([each[2] for each in found], dtype=int)
    # Two origins, or two places, that meet at one point contradict each other.
    good = np.ones(len(positions), bool)
    if len(positions):
        good[np.unique(cKDTree(positions).query_pairs(reach, output_type="ndarray"))] = False
        good &= np.isinf(tree.query(positions, distance_upper_bound=reach)[0])
    return EmptyPlaces(positions[good], names[good], grains[good])


def places_at_the_border(columns: Columns, crystal: Crystal, shape: tuple[int, int]) -> np.ndarray:
    """
    Predict columns without a row in a table that the border of an image cuts off.

    Parameters
    ----------
    columns : Columns
    crystal : Crystal
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    numpy.ndarray of shape (m, 2)
        ``(x, y)`` in pixels, up to a shortest distance on both sides of the border. Part of their
        intensity is in the image.
    """
    shortest = shortest_distance(crystal)
    reach = FILLED * shortest
    size = np.array(shape[::-1]) - 1
    everything = cKDTree(columns.positions)
    found = [np.empty((0, 2))]
    for _, ends, _, _ in _predicted(columns, crystal, everything, reach):
        near = (ends > -shortest).all(axis=1) & (ends < size + shortest).all(axis=1)
        near &= ~((ends > shortest) & (ends < size - shortest)).all(axis=1)
        found.append(ends[near])
    ends = np.concatenate(found)
    ends = ends[np.isinf(everything.query(ends, distance_upper_bound=reach)[0])]
    if not len(ends):
        return ends
    pairs = cKDTree(ends).query_pairs(reach, output_type="ndarray")
    return group_means(ends, linked_groups(pairs, len(ends)))


def _predicted(
    columns: Columns, crystal: Crystal, tree: cKDTree, reach: float
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Number and :func:`_predictions` of each grain that has columns."""
    for number, cell in grain_cells(crystal).items():
        rows = np.flatnonzero(columns.grain == number)
        if len(rows):
            place = _place_numbers(columns, rows, crystal, cell, tree, reach)
            yield number, *_predictions(columns, rows, place, crystal, cell)


def _around(crystal: Crystal, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, in fractions, and places of the neighbours of a place that are about a cell away."""
    fractions, places = predicted_neighbours(crystal, number)
    edge = np.sqrt(abs(np.linalg.det(crystal.cell)))
    near = np.linalg.norm(fractions @ crystal.cell, axis=1) < _AROUND * edge
    return fractions[near], places[near]


def _place_numbers(
    columns: Columns,
    rows: np.ndarray,
    crystal: Crystal,
    cell: np.ndarray,
    tree: cKDTree,
    reach: float,
) -> np.ndarray:
    """Place of each column: where a sublattice has several, the one with most neighbours."""
    place = np.full(len(rows), -1)
    best = np.full(len(rows), -1)
    for k, one in enumerate(crystal.places):
        mine = np.flatnonzero(columns.sublattice[rows] == one.name)
        ends = columns.positions[rows[mine], None] + _around(crystal, k)[0] @ cell
        near = tree.query(ends.reshape(-1, 2), distance_upper_bound=reach)[0]
        count = np.isfinite(near).reshape(ends.shape[:2]).sum(axis=1)
        better = count > best[mine]
        place[mine[better]], best[mine[better]] = k, count[better]
    return place


def _predictions(
    columns: Columns, rows: np.ndarray, place: np.ndarray, crystal: Crystal, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted neighbours of the columns of a grain: positions, places, and the columns'."""
    ends, targets, starts = [np.empty((0, 2))], [np.empty(0, int)], [np.empty((0, 2))]
    for k in range(len(crystal.places)):
        own = columns.positions[rows[place == k]]
        fractions, places = _around(crystal, k)
        ends.append((own[:, None] + fractions @ cell).reshape(-1, 2))
        targets.append(np.tile(places, len(own)))
        starts.append(np.repeat(own, len(fractions), axis=0))
    return np.concatenate(ends), np.concatenate(targets), np.concatenate(starts)


def _enclosed_groups(ends: np.ndarray, starts: np.ndarray, reach: float) -> list[np.ndarray]:
    """Centres of predictions that agree, and whose columns enclose them."""
    if len(ends) < _FEWEST:
        return []
    pairs = cKDTree(ends).query_pairs(reach, output_type="ndarray")
    group = linked_groups(pairs, len(ends))
    order = np.argsort(group, kind="stable")
    centres = []
    for members in np.split(order, np.cumsum(np.bincount(group))[:-1]):
        if len(members) < _FEWEST:
            continue
        centre = np.median(ends[members], axis=0)
        spread = np.linalg.norm(ends[members] - centre, axis=1).max()
        if spread < reach and largest_gap(starts[members][None] - centre)[0] < _ENCLOSED:
            centres.append(ends[members].mean(axis=0))
    return centres
