# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Antiphase boundaries that map bright columns on the places of faint ones.

There the lattice goes on across the boundary while the kinds change places. Layers of another
composition may invert the contrast, too, but their columns have other heights than those of the
first layer. At an antiphase boundary the same heights return at other places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from ..neighbours import linked_groups
from .grains import periodic_lengths

_SAME = 0.35  # nearest distances within which a shift maps one place on another
_AROUND = 1.3  # longest cell vectors: radius within which columns are compared
_WALL = 4.0  # longest cell vectors from the boundary, within which heights are compared
_CONTRAST = 0.15  # of the mean height, by which two places must differ to count as two
_EQUAL = 0.15  # of a height, that may differ across the boundary, and
_EQUAL_NOISE = 0.05  # likewise, of the greatest height
_CLEARLY = 3.0  # ratio of the misfits with one kind at each place, and with the exchange
_STEP = 0.5  # of the contrast in the grain is there on both sides: the kinds change at once
_SMALLEST = 12  # cells of a domain
_EMPTY = 0.2  # of the columns of the fullest place; places with fewer are none
_FEWEST = 6  # columns on each side of a wall, that are compared
_SEEDS = 16


@dataclass
class Domains:
    """Columns of one grain by antiphase domain.

    Attributes
    ----------
    label : numpy.ndarray of int, shape (n,)
        Domain of each column; 0 is the largest.
    place : numpy.ndarray of int, shape (n,)
        Place in the cell of its domain.
    """

    label: np.ndarray
    place: np.ndarray


def find_domains(
    positions: np.ndarray,
    heights: np.ndarray,
    place: np.ndarray,
    fractions: np.ndarray,
    cell: np.ndarray,
    distance: float,
) -> Domains | None:
    """
    Find the antiphase domains of a grain whose lattice goes on across their boundaries.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    heights : numpy.ndarray of shape (n,)
        Above the background.
    place : numpy.ndarray of int, shape (n,)
    fractions : numpy.ndarray of shape (m, 2)
        Places in units of the cell vectors.
    cell : numpy.ndarray of shape (2, 2)
    distance : float
        Distance of nearest columns.

    Returns
    -------
    Domains or None
        None if there is one domain only.
    """
    shifts = _shifts(fractions, cell, distance)
    if len(shifts) < 2:
        return None
    length = np.linalg.norm(cell, axis=1).max()
    pairs = cKDTree(positions).query_pairs(_AROUND * length, output_type="ndarray")
    near = _adjacency(pairs, len(positions))
    relative = heights / np.maximum(near @ heights / np.asarray(near.sum(axis=1)).ravel(), 1e-300)
    missing = _missing(near, place, len(fractions))
    profile = _best_profile(relative, place, shifts, near, missing, positions, 2 * length)
    if profile is None:
        return None
    for _ in range(3):
        scores = _scores(relative, place, shifts, near, missing, profile)
        label = scores.argmin(axis=1)
        profile = _profile(relative, shifts[label, place], len(fractions))
    differ = [
        k == 0 or np.abs(profile - profile[shift]).max() > _CONTRAST * profile.mean()
        for k, shift in enumerate(shifts)
    ]
    label = np.where(differ, scores, np.inf).argmin(axis=1)
    label = _confirmed(label, pairs, positions, heights, place, shifts, profile, _WALL * length)
    numbers, counts = np.unique(label, return_counts=True)
    if len(numbers) < 2:
        return None
    rank = np.zeros(len(shifts), int)
    rank[numbers[np.argsort(-counts, kind="stable")]] = np.arange(len(numbers))
    return Domains(rank[label], _filled(shifts[label, place], len(fractions)))


def _shifts(fractions: np.ndarray, cell: np.ndarray, distance: float) -> np.ndarray:
    """Place that each one is mapped on by each shift that keeps all places; no shift is first."""
    found = [np.arange(len(fractions))]
    for goal in range(1, len(fractions)):
        off = (fractions + fractions[goal] - fractions[0])[:, None] - fractions
        off = periodic_lengths(off, cell)
        there = off.argmin(axis=1)
        if off.min(axis=1).max() < _SAME * distance and len(set(there)) == len(there):
            found.append(there)
    return np.array(found)


def _adjacency(pairs: np.ndarray, n: int) -> csr_matrix:
    """Matrix of ones where two columns are near each other, and for each with itself."""
    own = np.arange(n)
    rows = np.concatenate([pairs[:, 0], pairs[:, 1], own])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0], own])
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))


def _profile(heights: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """Median height at each place, 0 where hardly any columns are."""
    number = np.bincount(place, minlength=count)
    return np.array(
        [np.median(heights[place == k]) if number[k] > _EMPTY * number.max() else 0.0
         for k in range(count)]
    )  # fmt: skip


def _missing(near: csr_matrix, place: np.ndarray, count: int) -> np.ndarray:
    """Columns that empty places lack, around each column, against the fullest; shape (n, m)."""
    held = np.asarray(near @ np.eye(count)[place])
    most = held.max(axis=1, keepdims=True)
    return np.where(held > _EMPTY * most, 0.0, most - held)


def _scores(
    heights: np.ndarray,
    place: np.ndarray,
    shifts: np.ndarray,
    near: csr_matrix,
    missing: np.ndarray,
    profile: np.ndarray,
) -> np.ndarray:
    """
    Mean square misfit around each column, of each shift; shape (n, k).

    Columns of the profile that are missing count as well: the heights of both sides of a boundary
    together would explain either.
    """
    square = (heights[:, None] - profile[shifts[:, place]].T) ** 2
    square = np.asarray(near @ square) + missing @ (profile[shifts] ** 2).T
    return square / np.asarray(near.sum(axis=1)).reshape(-1, 1)


def _best_profile(
    heights: np.ndarray,
    place: np.ndarray,
    shifts: np.ndarray,
    near: csr_matrix,
    missing: np.ndarray,
    positions: np.ndarray,
    radius: float,
) -> np.ndarray | None:
    """Heights at the places of the neighbourhood that explains most of the grain."""
    tree = cKDTree(positions)
    best = None
    for seed in range(0, len(positions), max(1, len(positions) // _SEEDS)):
        around = tree.query_ball_point(positions[seed], radius)
        profile = _profile(heights[around], place[around], shifts.shape[1])
        cost = _scores(heights, place, shifts, near, missing, profile).min(axis=1).mean()
        if best is None or cost < best[0]:
            best = cost, profile
    return None if best is None else best[1]


def _confirmed(
    label: np.ndarray,
    pairs: np.ndarray,
    positions: np.ndarray,
    heights: np.ndarray,
    place: np.ndarray,
    shifts: np.ndarray,
    profile: np.ndarray,
    reach: float,
) -> np.ndarray:
    """Labels of the columns; domains that are small or have other heights get the main label."""
    inner = pairs[label[pairs[:, 0]] == label[pairs[:, 1]]]
    domain = linked_groups(inner, len(label))
    main = int(np.bincount(label).argmax())
    size = np.bincount(domain)
    label = label.copy()
    small = size[domain] < _SMALLEST * shifts.shape[1]
    label[small] = main
    result = label.copy()
    for number in np.unique(domain[(label != main) & ~small]):
        mine = domain == number
        own = label[mine][0]
        others = np.flatnonzero((label != own) & ~small)
        if not len(others):
            continue
        ours = np.flatnonzero(mine)
        there = others[cKDTree(positions[ours]).query(positions[others])[0] < reach]
        here = ours[cKDTree(positions[others]).query(positions[ours])[0] < reach]
        if len(here) < _FEWEST or len(there) < _FEWEST:
            result[mine] = main
            continue
        sides = _heights_of_sides(heights, place, label, shifts, here, there)
        ends = shifts[main], shifts[own]
        if not _same_heights(sides) or not _at_once(sides[1], profile, ends):
            result[mine] = main
    return result


def _heights_of_sides(
    heights: np.ndarray,
    place: np.ndarray,
    label: np.ndarray,
    shifts: np.ndarray,
    here: np.ndarray,
    there: np.ndarray,
) -> list[list[np.ndarray]]:
    """Median heights on both sides of a wall: without the exchange, and with it."""
    return [
        [_profile(heights[side], of[side], shifts.shape[1]) for side in (here, there)]
        for of in (place, shifts[label, place])
    ]


def _same_heights(sides: list[list[np.ndarray]]) -> bool:
    """True if the exchange, and nothing else, makes the heights on both sides of a wall equal."""
    kept, (one, other) = sides
    high = np.maximum(one, other)
    limit = _EQUAL * high + _EQUAL_NOISE * high.max()
    misfit = np.abs(one - other)
    before = np.abs(kept[0] - kept[1]).sum()
    return bool((misfit < limit).all() and before > _CLEARLY * misfit.sum())


def _at_once(
    exchanged: list[np.ndarray], profile: np.ndarray, ends: tuple[np.ndarray, np.ndarray]
) -> bool:
    """
    True if the kinds differ on both sides of a wall nearly as much as in the whole grain.

    Where a composition changes slowly until the fainter kind is the brighter one, they do not.
    """
    contrasts = [
        np.abs(each[ends[0]] - each[ends[1]]).max() / max(each.mean(), 1e-300)
        for each in (*exchanged, profile)
    ]
    return bool(min(contrasts[:2]) > _STEP * contrasts[2])


def _filled(place: np.ndarray, count: int) -> np.ndarray:
    """Places, -1 where hardly any cell has a column."""
    number = np.bincount(place, minlength=count)
    return np.where(number[place] > _EMPTY * number.max(), place, -1)
