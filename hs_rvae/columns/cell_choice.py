# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choice of the smallest cell with one kind of column at every place."""

from __future__ import annotations

import logging

import numpy as np
from scipy.spatial import cKDTree

from . import autocorrelation as _cells
from .periods import long_order
from .translations import STEPS, Links, connect

_logger = logging.getLogger(__name__)

_SAMPLE = 4000  # maxima that decide
_NEARLY_BEST = 0.68  # of the share of columns that the best lattice joins
_JOINED = 0.78  # of the steps from a column end on another one
#: Of the columns are joined where the image is of one grain.
ONE_GRAIN = 0.75
_STILL_JOINED = 0.6  # of this share, by the larger cell of an order
_ORDER = 0.5  # of the differences between neighbours is explained
_DEPTH = 0.04  # of the heights; less is not called another kind
_NEAR = 0.4  # nearest distances, or shortest vectors, that a step may end off a column,
_FAR = 0.49  # and where an order is known
_ROUNDS = 3
_ENOUGH = 40  # columns of one grain, that decide on its order
_WHOLE = 0.12  # difference from whole steps of a cell, of vectors that are such steps
_BETWEEN = 1.6  # nearest distances from a joined column, of those between
_HALF_EMPTY = 0.15  # of the columns are joined by the larger cell alone
_EMPTY = 0.6  # nearest distances from a place to the nearest column, where none is at it
_MANY_EMPTY = 0.3  # of the steps from a column lead to such places
_BENT = 0.2  # difference from the lattice, in nearest distances, that a column may have


def choose_cell(
    candidates: list[np.ndarray], positions: np.ndarray, heights: np.ndarray, distance: float
) -> tuple[np.ndarray, float]:
    """
    Choose the smallest lattice that links the columns, and enlarge it where kinds alternate.

    Displaced columns do not count as another kind, nor do layers of another composition.

    Parameters
    ----------
    candidates : list of numpy.ndarray of shape (2, 2)
    positions : numpy.ndarray of shape (n, 2)
        Maxima that stand out.
    heights : numpy.ndarray of shape (n,)
    distance : float
        Distance of nearest columns.

    Returns
    -------
    vectors : numpy.ndarray of shape (2, 2)
    linked : float
        Share of the columns, by their heights, that the lattice links.
    """
    part = _crowded_part(positions)
    positions, heights = positions[part], heights[part]
    linked = [connect(positions, each, _reach(each, distance)) for each in candidates]
    masks = [joined_columns(*each, distance) for each in zip(linked, candidates, strict=True)]
    shares = np.array([_share(mask, heights) for mask in masks])
    areas = np.array([abs(np.linalg.det(each)) for each in candidates])
    together, alike = _shares_of_shapes(candidates, masks, heights)
    best = int(np.argmin(np.where(together >= _NEARLY_BEST * together.max(), areas, np.inf)))
    best = int(np.argmax(np.where(alike[best], shares, -1)))
    best = _filled(best, candidates, masks, positions, heights, distance)
    vectors, links = candidates[best], linked[best]
    members = np.ones(len(positions), bool)
    if shares[best] < ONE_GRAIN and masks[best].sum() > _ENOUGH:
        members = masks[best]
    for _ in range(_ROUNDS):
        deciding = links
        if not members.all():
            deciding = connect(positions[members], vectors, links.reach)
        larger = _cell_of_order(deciding, heights[members], vectors)
        if larger is None:
            break
        links_of_larger = connect(positions, larger, _reach(larger, distance))
        # A larger cell reaches farther: to columns that are bent too much to decide, or that are
        # displaced to one side and to the other.
        far = connect(positions, larger, _FAR / _NEAR * _reach(larger, distance))
        before, after = (
            _share(joined_columns(*each, distance, rigid=False)[members], heights[members])
            for each in ((links, vectors), (far, larger))
        )
        if after < _STILL_JOINED * before:
            known = _known_multiple(larger, candidates, shares)
            if known is None:
                break
            vectors, links = candidates[known], linked[known]
            continue
        vectors, links = larger, links_of_larger
        _logger.info("Columns on the places of the lattice differ in height: the cell is larger.")
    return vectors, float(shares[best])


def _known_multiple(
    vectors: np.ndarray, candidates: list[np.ndarray], shares: np.ndarray
) -> int | None:
    """Number of the smallest candidate that joins many columns and repeats a cell, or None."""
    areas = np.array([abs(np.linalg.det(each)) for each in candidates])
    for k in np.argsort(areas, kind="stable"):
        steps = candidates[k] @ np.linalg.inv(vectors)
        whole = np.abs(steps - np.round(steps)).max() < _WHOLE
        if whole and shares[k] >= _NEARLY_BEST * shares.max():
            return int(k)
    return None


def _filled(
    best: int,
    candidates: list[np.ndarray],
    masks: list[np.ndarray],
    positions: np.ndarray,
    heights: np.ndarray,
    distance: float,
) -> int:
    """
    Number of the smallest larger cell that fills its places where those of the best are half empty.

    Where every other place is empty, as in kagome lattices, the steps to the empty ones join
    nothing. Such columns stand between those that are joined, and a larger cell joins them.
    """
    near = cKDTree(positions[masks[best]]) if masks[best].any() else None
    areas = np.array([abs(np.linalg.det(each)) for each in candidates])
    for k in np.argsort(areas, kind="stable"):
        steps = candidates[k] @ np.linalg.inv(candidates[best])
        whole = np.abs(steps - np.round(steps)).max() < _WHOLE
        new = masks[k] & ~masks[best]
        if near is None or areas[k] < 1.5 * areas[best] or not whole or not new.any():
            continue
        new[new] = near.query(positions[new])[0] < _BETWEEN * distance
        new[new] = _lead_nowhere(positions[new], positions, candidates[best], distance)
        if _share(new, heights) > _HALF_EMPTY and _share(masks[k], heights) > ONE_GRAIN:
            return int(k)
    return best


def _lead_nowhere(
    columns: np.ndarray, positions: np.ndarray, vectors: np.ndarray, distance: float
) -> np.ndarray:
    """Mask of the columns with many steps of a cell to places without any column."""
    ends = columns[:, None] + STEPS @ vectors
    inside = ((ends > positions.min(axis=0)) & (ends < positions.max(axis=0))).all(axis=2)
    empty = cKDTree(positions).query(ends)[0] > _EMPTY * distance
    return np.asarray((inside & empty).sum(axis=1) > _MANY_EMPTY * inside.sum(axis=1))


def _cell_of_order(links: Links, heights: np.ndarray, vectors: np.ndarray) -> np.ndarray | None:
    """Larger cell of an order in height among the columns of a lattice; None without one."""
    wave, share, depth = links.order(heights)
    if share >= _ORDER and depth >= _DEPTH:
        return ordered_cell(vectors, wave)
    order = long_order(links, heights)
    return None if order is None else _cells.upright(_cells.reduced(order @ vectors))


def mixes_kinds(
    positions: np.ndarray, heights: np.ndarray, vectors: np.ndarray, distance: float
) -> bool:
    """
    Return True if columns that a lattice takes for one place differ in height by an order.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    heights : numpy.ndarray of shape (n,)
    vectors : numpy.ndarray of shape (2, 2)
    distance : float
        Distance of nearest columns.
    """
    part = _crowded_part(positions)
    links = connect(positions[part], vectors, _reach(vectors, distance))
    return _cell_of_order(links, heights[part], vectors) is not None


def ordered_cell(vectors: np.ndarray, wave: tuple[float, float]) -> np.ndarray:
    """Shortest basis of the translations that leave a wave as it is, as upright as it can be."""
    steps = [(m, n) for m in range(-3, 4) for n in range(-3, 4) if (m, n) != (0, 0)]
    steps = [step for step in steps if abs(np.dot(step, wave) % 1 - 0.5) > 0.499]
    steps = sorted(steps, key=lambda step: np.linalg.norm(np.array(step) @ vectors))
    first = np.array(steps[0])
    second = next(s for s in steps if abs(first[0] * s[1] - first[1] * s[0]) == _index_of(wave))
    return _cells.upright(_cells.reduced(np.array([first, second]) @ vectors))


def _index_of(wave: tuple[float, float]) -> int:
    return 2 if 0.5 in wave else 3


def _reach(vectors: np.ndarray, distance: float) -> float:
    return _NEAR * min(distance, float(np.linalg.norm(vectors, axis=1).min()))


def _shares_of_shapes(
    candidates: list[np.ndarray], masks: list[np.ndarray], heights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Share of the columns that each lattice joins in one of its orientations.

    Turned grains have one lattice: what its orientations join together is what it explains.

    Returns
    -------
    shares : numpy.ndarray of shape (n,)
    alike : numpy.ndarray of bool, shape (n, n)
        Candidates that are one lattice, turned.
    """
    alike = np.array([[_cells.same_shape(a, b) for b in candidates] for a in candidates])
    shares = [_share(np.array(masks)[row].any(axis=0), heights) for row in alike]
    return np.array(shares), alike


def share_of_shapes(
    candidates: list[np.ndarray], positions: np.ndarray, heights: np.ndarray, distance: float
) -> float:
    """Largest share of the columns, by their heights, that one lattice joins, however turned."""
    masks = [
        joined_columns(connect(positions, each, _reach(each, distance)), each, distance)
        for each in candidates
    ]
    return float(_shares_of_shapes(candidates, masks, heights)[0].max())


def _share(joined: np.ndarray, heights: np.ndarray) -> float:
    return float(heights[joined].sum() / max(heights.sum(), 1e-300))


def joined_columns(
    links: Links, vectors: np.ndarray, distance: float, rigid: bool = True
) -> np.ndarray:
    """
    Find the columns that the lattice joins with nearly all neighbours.

    Grains are joined by their own lattice, and poorly by all others, also by a large cell that
    they nearly have in common.

    Parameters
    ----------
    links : Links
        The columns, joined by the lattice.
    vectors : numpy.ndarray of shape (2, 2)
    distance : float
        Distance of nearest columns.
    rigid : bool
        Columns do not count where the lattice is bent or strained much.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
    """
    positions = links.positions
    ends = positions[:, None] + np.einsum("ks,nsx->nkx", STEPS, links.cells)
    low, high = positions.min(axis=0) + links.reach, positions.max(axis=0) - links.reach
    inside = ((ends > low) & (ends < high)).all(axis=2)
    there = links.neighbours >= 0
    off = np.where(there[..., None], positions[links.neighbours] - ends, 0)
    worth = np.where(there, 1 - 0.5 * (off**2).sum(axis=2) / links.reach**2, 0)
    # Cells adapt to their surroundings: those of a grain that is turned to far others.
    if rigid:
        bent = np.abs(links.cells - vectors).max(axis=(1, 2)) / (_BENT * distance)
        worth *= np.clip(1 - bent**2, 0, 1)[:, None]
    asked = (inside | there).sum(axis=1)
    joined = (worth * (inside | there)).sum(axis=1) > _JOINED * asked
    return np.asarray(joined & (asked > 0))


def _crowded_part(positions: np.ndarray) -> np.ndarray:
    """Mask of some thousand columns in a square that holds many."""
    if len(positions) <= _SAMPLE * 1.5:
        return np.ones(len(positions), bool)
    low, high = positions.min(axis=0), positions.max(axis=0)
    side = np.sqrt(_SAMPLE / len(positions) * np.prod(high - low))
    best = np.zeros(len(positions), bool)
    for x in (0.5, 0.2, 0.8):
        for y in (0.5, 0.2, 0.8):
            centre = low + (high - low) * [x, y]
            mask = (np.abs(positions - centre) < side / 2).all(axis=1)
            if mask.sum() > 1.2 * best.sum():
                best = mask
    return best
