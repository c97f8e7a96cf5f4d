# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choice of the smallest cell with one kind of column at every place."""

from __future__ import annotations

import logging

import numpy as np

from . import autocorrelation as _cells
from .translations import STEPS, connect

_logger = logging.getLogger(__name__)

_SAMPLE = 4000  # maxima that decide
_NEARLY_BEST = 0.68  # of the share of columns that the best lattice joins
_JOINED = 0.78  # of the steps from a column end on another one
#: Of the columns are joined where the image is of one grain.
ONE_GRAIN = 0.75
_STILL_JOINED = 0.6  # of this share, by the larger cell of an order
_ORDER = 0.5  # of the differences between neighbours is explained
_DEPTH = 0.04  # of the heights; less is not called another kind
_ROUNDS = 3
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
    shares = np.array([share_joined(each, positions, heights, distance) for each in candidates])
    areas = np.array([abs(np.linalg.det(each)) for each in candidates])
    best = int(np.argmin(np.where(shares >= _NEARLY_BEST * shares.max(), areas, np.inf)))
    vectors = candidates[best]
    for _ in range(_ROUNDS):
        links = connect(positions, vectors, _reach(vectors, distance))
        wave, share, depth = links.order(heights)
        if share < _ORDER or depth < _DEPTH:
            break
        larger = ordered_cell(vectors, wave)
        before, after = (
            share_joined(each, positions, heights, distance, rigid=False)
            for each in (vectors, larger)
        )
        if after < _STILL_JOINED * before:
            break
        vectors = larger
        _logger.info(
            "Columns on every %s place of the lattice differ by %.0f %% of their height: the cell "
            "is larger.", "other" if 0.5 in wave else "third", 200 * depth,
        )  # fmt: skip
    return vectors, float(shares[best])


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
    return 0.4 * min(distance, float(np.linalg.norm(vectors, axis=1).min()))


def share_joined(
    vectors: np.ndarray,
    positions: np.ndarray,
    heights: np.ndarray,
    distance: float,
    rigid: bool = True,
) -> float:
    """
    Share of the columns, by their heights, that the lattice joins with nearly all neighbours.

    Grains are joined by their own lattice, and poorly by all others, also by a large cell that
    they nearly have in common.

    Parameters
    ----------
    vectors : numpy.ndarray of shape (2, 2)
    positions : numpy.ndarray of shape (n, 2)
    heights : numpy.ndarray of shape (n,)
    distance : float
        Distance of nearest columns.
    rigid : bool
        Columns do not count where the lattice is bent or strained much.

    Returns
    -------
    float
    """
    links = connect(positions, vectors, _reach(vectors, distance))
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
    return float(heights[joined & (asked > 0)].sum() / max(heights.sum(), 1e-300))


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
