# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variants that alternate from cell to cell: the period of the pattern, and its phase at each site.

In a checkerboard of tilts, or in lamellae ++--, neighbours have different variants, but a
translation of the lattice by the period repeats the pattern. The phase of a site is the pattern
around it. Where the phase changes there is an antiphase wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from .lattice import SiteLattice

_REACH = 4.3  # cells: the longest period
_FEWEST_PAIRS = 50  # of a translation
_REPEATS = 0.7  # share of pairs that a period repeats
_RISE = 0.25  # by which a period repeats more than a shorter step of the same direction
_AS_GOOD = 0.06  # less than the best translation
_MANY = 16  # sites in the period
_WINDOW = 7  # places, in which a pattern is read
_COMMON = 0.04  # share of the sites that a pattern and its translations need
_MIXED = 0.25  # share of a pattern that differs from all others; less is a mixture of two
_N_PATTERNS = 6
_BLUR = 1.2  # places, over which the fit of a pattern is averaged
_FITS = 0.6  # share of the surroundings that have the pattern


@dataclass
class Alternation:
    """
    Pattern of variants that a translation repeats.

    Attributes
    ----------
    period : numpy.ndarray of int, shape (2, 2)
        Two translations, in places of the lattice.
    coset : numpy.ndarray of int, shape (n,)
        Place of each site within the period.
    patterns : numpy.ndarray of int, shape (k, m)
        Label at each of m places of the period, in each of k phases of all patterns.
    kinds : numpy.ndarray of int, shape (k,)
        Number of the pattern that each is a phase of.
    phase : numpy.ndarray of int, shape (n,)
        Row of `patterns` around each site; -1 where none fits, or the site does not fit.
    """

    period: np.ndarray
    coset: np.ndarray
    patterns: np.ndarray
    kinds: np.ndarray
    phase: np.ndarray


def find_alternation(lattice: SiteLattice, label: np.ndarray) -> Alternation | None:
    """
    Find the period and the phases of labels that alternate.

    Parameters
    ----------
    lattice : SiteLattice
    label : numpy.ndarray of int, shape (n,)
        -1 = none.

    Returns
    -------
    Alternation or None
        None if the labels of neighbours are alike, or follow no pattern.

    Examples
    --------
    >>> from hs_rvae.domains.lattice import site_lattice
    >>> y, x = np.indices((20, 20))
    >>> lattice = site_lattice(20.0 * np.column_stack([x.ravel(), y.ravel()]))
    >>> find_alternation(lattice, (x + y).ravel() % 2).patterns
    array([[0, 1],
           [1, 0]])
    >>> find_alternation(lattice, (x > 9).ravel().astype(int)) is None
    True
    """
    grid = np.full(lattice.places.max(0) + 1, -1)
    grid[tuple(lattice.places.T)] = label
    period = _period(grid, lattice)
    if period is None:
        return None
    coset, first = _cosets(lattice.places, period)
    kinds_of_label, compact = np.unique(label[label >= 0], return_inverse=True)
    number = np.full(len(label), -1)
    number[label >= 0] = compact
    around = _majorities(lattice.places, coset, number, len(first), len(kinds_of_label))
    patterns, kinds = _patterns(around[label >= 0], first, period)
    if not len(patterns):
        return None
    phase = _phases(lattice.places, coset, number, patterns)
    phase[(phase >= 0) & (patterns[phase, coset] != number)] = -1
    return Alternation(period, coset, kinds_of_label[patterns], kinds, phase)


def _period(grid: np.ndarray, lattice: SiteLattice) -> np.ndarray | None:
    """Two shortest translations that repeat the labels of a grid better than shorter steps do."""
    shares = _shares(grid, lattice)
    best = max(shares.values(), default=0.0)
    if best < _REPEATS or not _rises(shares):
        return None

    def shortest(chosen: dict[tuple[int, int], float]) -> np.ndarray:
        good = [t for t, share in chosen.items() if share >= max(chosen.values()) - _AS_GOOD]
        return np.array(min(good, key=lambda t: np.hypot(*(t @ lattice.steps[:2]))))

    first = shortest(shares)
    across = {t: s for t, s in shares.items() if first[0] * t[1] != first[1] * t[0]}
    if not across or max(across.values()) < _REPEATS * best:
        return None
    period = np.stack([first, shortest(across)])
    return period if 1 < abs(round(np.linalg.det(period))) <= _MANY else None


def _shares(grid: np.ndarray, lattice: SiteLattice) -> dict[tuple[int, int], float]:
    """Share of the pairs of sites, by the translation between them, that have the same label."""
    shares = {}
    reach = int(np.ceil(_REACH * lattice.size / np.hypot(*lattice.steps[:2].T).min())) + 1
    for i in range(reach + 1):
        for j in range(-reach, reach + 1):
            length = np.hypot(*(np.array([i, j]) @ lattice.steps[:2]))
            if (i == 0 and j <= 0) or length > _REACH * lattice.size:
                continue
            if i >= grid.shape[0] or abs(j) >= grid.shape[1]:
                continue
            own, other = grid[: grid.shape[0] - i], grid[i:]
            own = own[:, max(-j, 0) : grid.shape[1] - max(j, 0)]
            other = other[:, max(j, 0) : grid.shape[1] - max(-j, 0)]
            both = (own >= 0) & (other >= 0)
            if both.sum() >= _FEWEST_PAIRS:
                shares[i, j] = float((own == other)[both].mean())
    return shares


def _rises(shares: dict[tuple[int, int], float]) -> bool:
    """Return True if a translation repeats more than a part of it does, as domains never do."""
    return any(
        share > shares.get((i // n * k, j // n * k), 1.0) + _RISE
        for (i, j), share in shares.items()
        for n in range(2, 5)
        if i % n == 0 and j % n == 0
        for k in range(1, n)
    )


def _cosets(places: np.ndarray, period: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number (n,) of each place within the period, and one place (m, 2) of each number."""
    reduced = _reduced(places, period)
    kept, number = np.unique(reduced, axis=0, return_inverse=True)
    return number.ravel(), kept


def _reduced(places: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Places moved into one period."""
    turns = np.floor(places @ np.linalg.inv(period) + 1e-9).astype(int)
    return np.asarray(places - turns @ period)


def _majorities(
    places: np.ndarray, coset: np.ndarray, number: np.ndarray, m: int, n_labels: int
) -> np.ndarray:
    """Most frequent label around each site, at each place of the period; shape (n, m)."""
    found = np.zeros((len(places), m), int)
    at = tuple(places.T)
    for k in range(m):
        counts = np.zeros((n_labels, len(places)), np.float32)
        for one in range(n_labels):
            grid = np.zeros(places.max(0) + 1, np.float32)
            grid[at] = (coset == k) & (number == one)
            counts[one] = uniform_filter(grid, _WINDOW, mode="constant")[at]
        found[:, k] = np.where(counts.max(0) > 1e-6, counts.argmax(0), -1)
    return found


def _patterns(
    around: np.ndarray, first: np.ndarray, period: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Frequent patterns (k, m) in all their phases, and the number (k,) of each pattern."""
    m = len(first)
    if m != abs(round(np.linalg.det(period))):
        return np.zeros((0, m), int), np.zeros(0, int)
    known = {tuple(place): k for k, place in enumerate(first.tolist())}
    moves = [
        [known[tuple(p)] for p in _reduced(first + step, period).tolist()]
        for step in first - first[0]
    ]
    candidates, count = np.unique(around, axis=0, return_counts=True)
    order = np.argsort(-count, kind="stable")
    candidates, count = candidates[order], count[order]
    patterns, kinds = np.zeros((0, m), int), []
    left = (candidates >= 0).all(1)
    for kind in range(_N_PATTERNS):
        if not left.any():
            break
        phases = np.unique(candidates[left.argmax()][np.array(moves)], axis=0)
        own = (candidates[:, None] == phases).all(2).any(1)
        share, left = count[own].sum() / len(around), left & ~own
        apart = (phases[:, None] != patterns).mean(2).min(initial=1.0)
        if share >= _COMMON and apart >= _MIXED:
            patterns = np.vstack([patterns, phases])
            kinds += [kind] * len(phases)
    return patterns, np.unique(kinds, return_inverse=True)[1].astype(int)


def _phases(
    places: np.ndarray, coset: np.ndarray, number: np.ndarray, patterns: np.ndarray
) -> np.ndarray:
    """Row of the pattern that fits the surroundings of each site best, -1 where none does."""
    at, shape = tuple(places.T), places.max(0) + 1

    def blurred(values: np.ndarray) -> np.ndarray:
        grid = np.zeros(shape, np.float32)
        grid[at] = values
        return np.asarray(gaussian_filter(grid, _BLUR, mode="constant")[at])

    whole = np.maximum(blurred(number >= 0), 1e-6)
    fit = np.stack([blurred(pattern[coset] == number) for pattern in patterns]) / whole
    return np.where(fit.max(0) >= _FITS, fit.argmax(0), -1)
