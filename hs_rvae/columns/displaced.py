# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders of displacement: columns of one kind that take turns on either side of their place.

In a superlattice of displacements the cell repeats after several cells of the parent crystal. Its
places are not kinds of their own. The columns that stay where they are show the parent's cell: they
are a lattice finer than the one found. Places of a kind that one cell never fills together, because
no two columns are that close, are one place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from ..neighbours import linked_groups
from .grains import Assembly, in_cells, periodic_lengths

_STILL = 0.06  # nearest distances from a place of the parent's lattice, for columns that stay
_APART = 0.46  # nearest distances between two places that columns of one kind take in turns
_ALIKE = 0.03  # difference of the heights of places of one kind, and
_ERRORS = 3.0  # standard errors of these, but less than
_DIFFERENT = 0.12  # of them
_ONE_AT_A_TIME = 1.15  # of the cells, filled by two places together
_CLOSER = 1.25  # ratio of the distance of nearest columns to that of displaced ones, at most
_ENCLOSE = 4  # columns of another grain around one that stands among them,
_AMONG = 1.1  # longest cell vectors away at most,
_MIXED = 0.8  # of the columns of a grain: it is none of its own
_FEWEST = 12  # columns of one
_OFF_WHOLE = 0.12  # difference of its cell from whole steps of theirs
_SCATTERED = 0.4  # length of the mean phase of the vectors between them; 1 without displacements
_SAME = 0.3  # nearest distances within which two places are one, and
_SAME_KIND = 0.12  # difference of the brightness of their columns
_FILLED = 0.2  # of the cells, by a place that is new
_SCATTER = 0.6  # of heights at a place; more are two kinds, or a change of contrast
_COUNTED = 0.5  # of the columns of the fullest place, that a place has which counts


@dataclass
class Parent:
    """The crystal without an order of displacements.

    Attributes
    ----------
    fractions : numpy.ndarray of shape (m, 2)
        Its places, in its own cell.
    number : numpy.ndarray of int, shape (k,)
        That of each place of the larger cell; -1 for those that are none of its places.
    steps : numpy.ndarray of shape (2, 2)
        The vectors of the smaller cell in units of those of the larger one, one per row.
    """

    fractions: np.ndarray
    number: np.ndarray
    steps: np.ndarray


def parent_of(
    places: np.ndarray, place: np.ndarray, cell: np.ndarray, heights: np.ndarray, distance: float
) -> Parent | None:
    """
    Find the crystal behind a superlattice of displacements.

    The columns of one kind stay: they are a lattice finer than that of the cell. Those of every
    other kind are each near one place of the finer cell.

    Parameters
    ----------
    places : numpy.ndarray of shape (k, 2)
        In units of the cell vectors.
    place : numpy.ndarray of int, shape (n,)
        That of each column.
    cell : numpy.ndarray of shape (2, 2)
    heights : numpy.ndarray of shape (n,)
    distance : float
        Distance of nearest columns.

    Returns
    -------
    Parent or None
        None where the cell is that of the crystal.
    """
    count = np.bincount(place, minlength=len(places))
    counted = np.flatnonzero(count > _COUNTED * count.max(initial=0))
    if len(counted) < 2:
        return None
    median, error = _heights(place, heights, counted)
    if (error * np.sqrt(count[counted]) > _SCATTER * median).any():
        return None
    distance = _room(places, cell, distance)
    kinds = [counted[kind] for kind in _kinds(median, error)]
    for still in sorted(kinds, key=len, reverse=True):
        offsets = (places[still] - places[still[0]]) % 1
        if len(still) < 2 or not _is_lattice(offsets, cell, distance):
            continue
        steps = _finest(offsets, cell)
        folded = [_folded(places[kind], steps, cell, len(still), distance) for kind in kinds]
        found = [each for each in folded if each is not None]
        if len(found) < len(kinds):
            continue
        fractions = np.vstack(found)
        inside = places @ np.linalg.inv(steps)
        off = periodic_lengths(inside[:, None] - fractions, steps @ cell)
        number = np.where(off.min(axis=1) < _APART / 2 * distance, off.argmin(axis=1), -1)
        return Parent(fractions, number, steps)
    return None


def _room(places: np.ndarray, cell: np.ndarray, distance: float) -> float:
    """Distance of nearest columns before they were displaced, from the area of each."""
    return min(np.sqrt(abs(np.linalg.det(cell)) / len(places)), _CLOSER * distance)


def _folded(
    places: np.ndarray, steps: np.ndarray, cell: np.ndarray, size: int, distance: float
) -> np.ndarray | None:
    """Places of one kind in a smaller cell; None if they are not so many at each, and near it."""
    inside = places @ np.linalg.inv(steps)
    apart = periodic_lengths(inside[:, None] - inside, steps @ cell)
    label = linked_groups(np.argwhere(apart < _APART * distance), len(places))
    means = []
    for group in np.unique(label):
        members = inside[label == group]
        off = members - members[0]
        off -= np.round(off)
        mean = members[0] + off.mean(axis=0)
        if (
            len(members) != size
            or (periodic_lengths(members - mean, steps @ cell) > _APART / 2 * distance).any()
        ):
            return None
        means.append(mean % 1)
    return np.array(means)


def joined_places(
    assembly: Assembly, cells: np.ndarray, heights: np.ndarray, distance: float
) -> Assembly:
    """
    Make one place of those of a kind that columns take in turns.

    Parameters
    ----------
    assembly : Assembly
    cells : numpy.ndarray of shape (n, 2, 2)
        Cell vectors at each column.
    heights : numpy.ndarray of shape (n,)
    distance : float
        Distance of nearest columns.

    Returns
    -------
    Assembly
    """
    place, fractions = assembly.place.copy(), list(assembly.fractions)
    for grain, places in enumerate(assembly.fractions):
        mine = np.flatnonzero(assembly.grain == grain)
        if not len(mine):
            continue
        cell = np.median(cells[mine], axis=0)
        room = _room(places, cell, distance)
        while len(places) > 1:
            pair = _pair_in_turns(places, place[mine], cell, heights[mine], room)
            if pair is None:
                break
            one, other = pair
            count = np.bincount(place[mine], minlength=len(places))
            step = places[other] - places[one]
            step = (step - np.round(step)) * count[other] / (count[one] + count[other])
            places = places.copy()
            places[one] = (places[one] + step) % 1
            places = np.delete(places, other, axis=0)
            place[mine[place[mine] == other]] = one
            place[mine[place[mine] > other]] -= 1
        fractions[grain] = places
    return Assembly(assembly.grain, place, fractions)


def join_mixed(
    assembly: Assembly,
    positions: np.ndarray,
    cells: np.ndarray,
    heights: np.ndarray,
    distance: float,
) -> Assembly:
    """
    Make one grain of those whose columns stand between each other; changes the cells in place.

    They are places of one crystal. Columns displaced in turns keep a kind from being joined to the
    others.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    assembly, cells, heights, distance
        As in :func:`joined_places`.

    Returns
    -------
    Assembly
    """
    grain, place, fractions = (
        assembly.grain.copy(), assembly.place.copy(), list(assembly.fractions)
    )  # fmt: skip
    for later in range(1, len(fractions)):
        for into in range(later):
            ours, others = np.flatnonzero(grain == later), np.flatnonzero(grain == into)
            if min(len(ours), len(others)) < _FEWEST:
                continue
            cell = np.median(cells[others], axis=0)
            steps = np.median(cells[ours], axis=0) @ np.linalg.inv(cell)
            whole = np.round(steps)
            reach = _AMONG * np.linalg.norm(cell, axis=1).max()
            away, nearest = cKDTree(positions[others]).query(positions[ours], k=_ENCLOSE)
            mixed = (away[:, -1] < reach).mean() > _MIXED
            if not mixed or np.abs(steps - whole).max() > _OFF_WHOLE:
                continue
            own = np.linalg.inv(whole) @ cells[ours]
            one, other = np.repeat(np.arange(len(ours)), _ENCLOSE), others[nearest.ravel()]
            vectors = positions[ours[one]] - positions[other]
            inside = fractions[later] @ whole
            shift = in_cells(vectors, (own[one] + cells[other]) / 2)
            shift = shift + fractions[into][place[other]] - inside[place[ours[one]]]
            phase = np.exp(2j * np.pi * shift).mean(axis=0)
            moved = (inside + np.angle(phase) / (2 * np.pi)) % 1
            off = periodic_lengths(moved[:, None] - fractions[into], cell)
            new = off.min(axis=1) > _SAME * distance
            number = off.argmin(axis=1)
            number[new] = len(fractions[into]) + np.arange(new.sum())
            number = number[place[ours]]
            if np.abs(phase).min() > _SCATTERED and _fit_in(
                number, heights[ours], place[others], heights[others]
            ):
                place[ours], grain[ours], cells[ours] = number, into, own
                fractions[into] = np.vstack([fractions[into], moved[new]])
    return joined_places(Assembly(grain, place, fractions), cells, heights, distance)


def _fit_in(number: np.ndarray, heights: np.ndarray, place: np.ndarray, known: np.ndarray) -> bool:
    """True if columns are as bright as those of their place, or fill a place of their own."""
    full = np.bincount(place).max()
    for each in np.unique(number):
        there = known[place == each]
        if len(there):
            ratio = np.median(heights[number == each]) / np.median(there)
            if abs(ratio - 1) > _SAME_KIND:
                return False
        elif (number == each).sum() < _FILLED * full:
            return False
    return True


def _pair_in_turns(
    places: np.ndarray, place: np.ndarray, cell: np.ndarray, heights: np.ndarray, distance: float
) -> tuple[int, int] | None:
    """The nearest two places of one kind that columns take in turns; the first number is less."""
    count = np.bincount(place, minlength=len(places))
    apart = periodic_lengths(places[:, None] - places, cell)
    apart[np.tril_indices(len(places))] = np.inf
    for k in np.argsort(apart, axis=None, kind="stable"):
        one, other = (int(each) for each in np.unravel_index(k, apart.shape))
        if apart[one, other] > _APART * distance:
            return None
        in_turns = count[one] + count[other] < _ONE_AT_A_TIME * count.max()
        if in_turns and len(_kinds(*_heights(place, heights, (one, other)))) == 1:
            return one, other
    return None


def _heights(
    place: np.ndarray, heights: np.ndarray, numbers: Iterable[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Median height at some places, and its standard error."""
    groups = [heights[place == number] for number in numbers]
    median = np.array([np.median(each) for each in groups])
    error = [
        1.86 * np.median(np.abs(each - np.median(each))) / np.sqrt(len(each)) for each in groups
    ]
    return median, np.array(error)


def _kinds(median: np.ndarray, error: np.ndarray) -> list[np.ndarray]:
    """Numbers of the places of each kind: those whose heights are alike."""
    order = np.argsort(-median)
    gap = median[order[:-1]] - median[order[1:]]
    limit = _ALIKE * median[order[:-1]]
    limit = np.maximum(limit, _ERRORS * np.hypot(error[order[:-1]], error[order[1:]]))
    limit = np.minimum(limit, _DIFFERENT * median[order[:-1]])  # two kinds at a place scatter
    return np.split(order, np.flatnonzero(gap > limit) + 1)


def _is_lattice(steps: np.ndarray, cell: np.ndarray, distance: float) -> bool:
    """True if the sums of all steps between places are such steps."""
    sums = (steps[:, None] + steps).reshape(-1, 1, 2)
    near = periodic_lengths(sums - steps, cell).min(axis=1)
    return bool((near < 2 * _STILL * distance).all())


def _finest(offsets: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Shortest basis, in units of the cell, of the lattice that offsets make with it."""
    whole = np.round(offsets * len(offsets)) / len(offsets)
    around = np.array(list(product((-1, 0, 1), repeat=2)))
    steps = (whole[:, None] + around).reshape(-1, 2)
    steps = steps[np.argsort(np.linalg.norm(steps @ cell, axis=1), kind="stable")]
    first = steps[1]
    area = np.abs(first[0] * steps[:, 1] - first[1] * steps[:, 0])
    return np.array([first, steps[np.flatnonzero(area > 0.5 / len(offsets))[0]]])
