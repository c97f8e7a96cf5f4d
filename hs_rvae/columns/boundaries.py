# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns at the boundary of two grains, counted to the grain whose lattice predicts them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..neighbours import linked_groups
from .grains import in_cells, periodic_lengths, sums_of_phases

_CLOSE = 3.5  # nearest distances from a column of another grain, within which columns are asked
_AROUND = 1.6  # longest cell vectors: radius of the columns that predict one
_PREDICTED = 0.3  # nearest distances from the predicted place: a column of the grain
_LOST = 0.3  # likewise: not a column of the grain
_BETTER = 0.6  # ratio of the misfits of two grains, one of which takes a column
_MINIMUM_COLUMNS = 3  # columns that predict one
_LINKED = 2.2  # nearest distances between columns of one island, or
_LINKED_CELLS = 1.1  # shortest cell vectors, if that is more
_ISLAND = 12  # columns
_ROUNDS = 3


def settle(
    positions: np.ndarray,
    grain: np.ndarray,
    place: np.ndarray,
    cells: np.ndarray,
    offsets: np.ndarray,
    distance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Count the columns near boundaries to the grain that predicts them best.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    grain, place : numpy.ndarray of int, shape (n,)
    cells : numpy.ndarray of shape (n, 2, 2)
    offsets : numpy.ndarray of shape (m, 2)
        Places in units of the cell vectors.
    distance : float
        Distance of nearest columns.

    Returns
    -------
    grain, place : numpy.ndarray of int, shape (n,)
        -1 for columns that no grain predicts.
    """
    numbers = np.unique(grain[grain >= 0])
    if len(numbers) < 2:
        return grain, place
    grain, place, cells = grain.copy(), place.copy(), cells.copy()
    means = {k: np.median(cells[grain == k], axis=0) for k in numbers}
    bases = {k: np.unique(place[grain == k]) for k in numbers}
    asked = _near_others(positions, grain, numbers, _CLOSE * distance)
    shortest = max(np.linalg.norm(mean, axis=1).min() for mean in means.values())
    linked = max(_LINKED * distance, _LINKED_CELLS * shortest)
    for _ in range(_ROUNDS):
        firm = ~_loose(positions, grain, linked)
        misfit = np.full((len(numbers), len(asked)), np.inf)
        choice = np.full((len(numbers), len(asked)), -1)
        for row, k in enumerate(numbers):
            misfit[row], choice[row] = _predicted(
                positions, asked, (grain == k) & firm, place, means[k], offsets, bases[k]
            )
        misfit /= distance
        own = np.searchsorted(numbers, grain[asked])
        known = grain[asked] >= 0
        mine = np.where(known, misfit[np.minimum(own, len(numbers) - 1), range(len(asked))], np.inf)
        best = misfit.argmin(axis=0)
        least = misfit[best, range(len(asked))]
        moved = (least < _PREDICTED) & (least < _BETTER * mine) & (mine > _PREDICTED / 3)
        lost = known & ~moved & (mine > _LOST)
        if not (moved & (numbers[best] != grain[asked])).any() and not lost.any():
            break
        place[asked[moved]] = choice[best, range(len(asked))][moved]
        grain[asked[moved]] = numbers[best[moved]]
        grain[asked[lost]] = place[asked[lost]] = -1
    return grain, place


def taken_in(
    positions: np.ndarray,
    grain: np.ndarray,
    place: np.ndarray,
    cells: np.ndarray,
    offsets: np.ndarray,
    distance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Count the columns of no grain to the one that predicts them, at places that were empty so far.

    Parameters
    ----------
    positions, grain, place, cells, offsets, distance
        As in :func:`settle`.

    Returns
    -------
    grain, place : numpy.ndarray of int, shape (n,)
    """
    asked = np.flatnonzero(grain < 0)
    least = np.full(len(asked), _PREDICTED * distance)
    new_grain, new_place = grain.copy(), place.copy()
    first, new = np.unique(place[grain == 0]), np.arange(place.max() + 1, len(offsets))
    for k in np.unique(grain[grain >= 0]) if len(asked) else ():
        mine = grain == k
        basis = np.unique(place[mine])
        if np.isin(basis, first).any():  # the places are those of the phase of the largest grain
            basis = np.concatenate([basis, new])
        misfit, choice = _predicted(
            positions, asked, mine, place, np.median(cells[mine], axis=0), offsets, basis
        )
        better = (misfit < least) & (choice > place.max())
        least[better] = misfit[better]
        new_grain[asked[better]], new_place[asked[better]] = k, choice[better]
    return new_grain, new_place


def _near_others(
    positions: np.ndarray, grain: np.ndarray, numbers: np.ndarray, reach: float
) -> np.ndarray:
    """Columns near one of another grain."""
    near = np.zeros(len(grain), int)
    for k in numbers:
        apart = cKDTree(positions[grain == k]).query(positions, distance_upper_bound=reach)[0]
        near += np.isfinite(apart)
    return np.flatnonzero(near > 1)


def _loose(positions: np.ndarray, grain: np.ndarray, reach: float) -> np.ndarray:
    """Columns in small islands of their grain, not fit to predict themselves."""
    pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray")
    pairs = pairs[grain[pairs[:, 0]] == grain[pairs[:, 1]]]
    island = linked_groups(pairs, len(grain))
    size = np.bincount(island)[island]
    return (size < _ISLAND) & (size < np.bincount(grain + 1)[grain + 1])


def _predicted(
    positions: np.ndarray,
    asked: np.ndarray,
    members: np.ndarray,
    place: np.ndarray,
    cell: np.ndarray,
    offsets: np.ndarray,
    basis: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Distance of columns from the nearest place that a grain predicts, and that place.

    Places of other phases are not in the `basis`: they are counted in other cells.
    """
    ours = np.flatnonzero(members)
    radius = _AROUND * np.linalg.norm(cell, axis=1).max()
    around = cKDTree(positions[ours]).query_ball_point(positions[asked], radius)
    count = np.array([len(each) for each in around], int)
    rows = np.repeat(np.arange(len(asked)), count)
    ends = ours[np.concatenate([np.asarray(each, int) for each in around])] if len(rows) else ours
    other = ends != asked[rows] if len(rows) else np.zeros(0, bool)
    rows, ends = (rows[other], ends[other]) if len(rows) else (rows, ends[:0])
    steps = in_cells(positions[asked[rows]] - positions[ends], cell) + offsets[place[ends]]
    mean = np.angle(sums_of_phases(steps, rows, len(asked))) / (2 * np.pi)
    off = periodic_lengths(mean[:, None] - offsets[basis], cell)
    votes = np.bincount(rows, minlength=len(asked))
    nearest = basis[off.argmin(axis=1)]
    return np.where(votes >= _MINIMUM_COLUMNS, off.min(axis=1), np.inf), nearest
