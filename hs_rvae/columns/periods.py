# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders in height that repeat after several cells of a lattice, such as rows A A B B.

Heights are compared with their mean over some cells around. Where an order repeats, these
differences correlate over its translations, and over no others. A smooth change correlates over
all short steps. Layers correlate along themselves, but not across, unless they repeat within a few
cells.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from .translations import STEPS, Links

_FARTHEST = 4  # cells along each edge, after which an order repeats
_MOST = 16  # cells of an order
# Of the variance of the differences. Every second row whose columns are displaced to one side and
# to the other differs in height as well, by 0.4; chance in small images and layers have 0.2.
_SHARE_OF_ROWS = 0.5
_SHARE = 0.25  # likewise, of an order without rows,
_SHARE_OF_MANY = 0.1  # in many columns:
_CHANCE = 3.5  # over the root of their number, where chance has 2
_OF_ROWS = 0.75  # of what the columns of a row have in common; rows at random have 0.5
_NEARLY_BEST = 0.85  # of the highest share; a larger cell explains as much
_DIFFERENCE = 0.08  # of the heights, between one column of the cell and the others, at least
_STILL = 0.5  # of this share repeats again, twice as far
_ENOUGH = 60  # pairs of columns for each translation
_CLEAR = 4.5  # of the mean correlation over a cell, over its error; chance has up to 2
_ALIKE = 0.45  # of the mean, over each of the nearest translations; rows that cross have 0.39
_FAINTER = 0.5  # of the mean, over all others
_OUTLIER = 9.0  # median differences, beyond which heights do not count more
_CELLS = np.array(list(product(range(-_FARTHEST, _FARTHEST + 1), repeat=2)))


def long_order(links: Links, heights: np.ndarray) -> np.ndarray | None:
    """
    Find the cell of an order in height among columns that the lattice takes for equal.

    Parameters
    ----------
    links : Links
    heights : numpy.ndarray of shape (n,)

    Returns
    -------
    numpy.ndarray of int, shape (2, 2), or None
        Its translations in cells, one per row; None without a clear order of up to 16 cells.
    """
    ends = _ends(links)
    there = ends >= 0
    enough = there.sum(axis=0) > len(_CELLS) / 3
    if enough.sum() < _ENOUGH:
        return None
    mean = np.where(there, heights[ends], 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    difference = np.where(enough, heights - mean, 0)
    limit = _OUTLIER * np.median(np.abs(difference[enough]))
    difference = np.clip(difference, -limit, limit)
    pairs = there & enough & enough[ends]
    one, other = np.where(pairs, difference, 0), np.where(pairs, difference[ends], 0)
    count = pairs.sum(axis=1)
    square = (one**2 + other**2).sum(axis=1) / 2
    correlation = np.where(count >= _ENOUGH, (one * other).sum(axis=1), np.nan)
    correlation /= np.maximum(square, 1e-300)
    best, share = _best_cell(correlation)
    if share < _least_share(best, int(enough.sum()), correlation):
        lone = _lone_column(correlation, count)
        if lone is None:
            return None
        best, share = lone
    if not _goes_on(best, share, ends, difference, enough):
        return None
    depth = np.sqrt(share * (difference[enough] ** 2).mean())
    size = _size(best)
    least = _DIFFERENCE * np.sqrt(size - 1) / size * np.median(np.abs(heights[enough]))
    return best if depth > least else None


def _ends(links: Links) -> np.ndarray:
    """Column that each translation of :data:`_CELLS` leads to, -1 where none; (n_cells, n)."""
    n = len(links.positions)
    step = {tuple(s): np.append(links.neighbours[:, k], -1) for k, s in enumerate(STEPS[:4])}
    ends = {(0, 0): np.arange(n)}
    for i, j in sorted(_CELLS.tolist(), key=lambda cell: abs(cell[0]) + abs(cell[1])):
        if (i, j) == (0, 0):
            continue
        found = np.full(n, -1)
        for along in ((np.sign(i), 0), (0, np.sign(j))):  # around a gap on either side
            if along != (0, 0):
                way = step[along][ends[i - along[0], j - along[1]]]
                found = np.where(found >= 0, found, way)
        ends[i, j] = found
    return np.array([ends[i, j] for i, j in _CELLS.tolist()])


def _lone_column(correlation: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, float] | None:
    """
    Find the cell without rows over whose translations heights correlate most.

    One column of many that differs explains little of the variance, but correlates over all
    translations of the cell alike. Rows that cross, and layers, correlate over some of them.
    """
    best = None
    for cell in _all_cells():
        if any(np.gcd(*step) == 1 for step in cell):
            continue
        inside = _of_cell(cell)
        own = inside & _CELLS.any(axis=1) & np.isfinite(correlation)
        if not count[own].any():
            continue
        mean = float(np.average(correlation[own], weights=count[own]))
        others = _mean_of_cosets(correlation[~inside], _CELLS[~inside], cell)
        nearest = [_at(correlation, step) for step in (*cell, cell[0] + cell[1], cell[0] - cell[1])]
        clear = mean * np.sqrt(count[own].sum() / 2)  # 1 by chance
        alike = np.isfinite(nearest[:2]).all() and np.nanmin(nearest) > _ALIKE * mean
        rows = [_along(np.where(inside, np.nan, correlation), step) for step in STEPS[[0, 1, 4, 5]]]
        alike = alike and np.nanmax([*others, *rows], initial=0.0) < _FAINTER * mean
        if alike and clear > _CLEAR and (best is None or clear > best[0]):
            best = clear, cell, mean
    return None if best is None else best[1:]


def _all_cells() -> list[np.ndarray]:
    """Shortest bases of all cells of an order that do not reach too far."""
    found = []
    for first, skew, second in product(range(1, _MOST + 1), range(_MOST), range(1, _MOST + 1)):
        if skew < first and 1 < first * second <= _MOST:
            cell = _shortest(np.array([[first, 0], [skew, second]]))
            found += [] if cell is None else [cell]
    return found


def _best_cell(correlation: np.ndarray) -> tuple[np.ndarray, float]:
    """Smallest cell over whose translations, and no others, heights correlate; and its share."""
    cells = _all_cells()
    shares = [_share(correlation, cell) for cell in cells]
    best = max(shares)
    good = [k for k, share in enumerate(shares) if share >= min(_NEARLY_BEST * best, best)]
    chosen = min(good, key=lambda k: (_size(cells[k]), -shares[k]))
    return cells[chosen], shares[chosen]


def _least_share(cell: np.ndarray, n: int, correlation: np.ndarray) -> float:
    """
    Share of the variance that an order must explain among n columns.

    Rows of one height along a lattice line may alternate by chance: there are few of them. Where
    they repeat after more than two, noise of single columns does not count. The order must then
    explain most of what columns of a row have in common.
    """
    least = max(_SHARE_OF_MANY, _CHANCE / np.sqrt(n))
    along = [_along(correlation, step) for step in cell if np.gcd(*step) == 1]
    if not along:
        return min(_SHARE, least)
    if _size(cell) == 2:
        return _SHARE_OF_ROWS
    return min(_SHARE_OF_ROWS, max(least, _OF_ROWS * max(along)))


def _along(correlation: np.ndarray, step: np.ndarray) -> float:
    """Mean correlation over multiples of a step."""
    steps = _CELLS[_CELLS.any(axis=1) & (_CELLS[:, 0] * step[1] == _CELLS[:, 1] * step[0])]
    values = np.array([_at(correlation, one) for one in steps])
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else np.nan


def _goes_on(
    cell: np.ndarray, share: float, ends: np.ndarray, difference: np.ndarray, enough: np.ndarray
) -> bool:
    """True if an order repeats again; a wave of another period gets out of step."""
    padded = np.append(ends, np.full((len(ends), 1), -1), axis=1)
    for step in cell:
        once = padded[_row(step)]
        end = once[once][:-1]
        pairs = (end >= 0) & enough & enough[end]
        one, other = difference[pairs], difference[end[pairs]]
        square = (one**2 + other**2).sum() / 2
        if pairs.sum() >= _ENOUGH and (one * other).sum() < _STILL * share * square:
            return False
    return True


def _size(cell: np.ndarray) -> int:
    """Cells of the lattice in one of an order."""
    (a, b), (c, d) = cell.tolist()
    return abs(a * d - b * c)


def _share(correlation: np.ndarray, cell: np.ndarray) -> float:
    """
    Share of the variance that repeats over the translations of a cell, and over no others.

    Chance, smooth changes, and layers that do not repeat correlate over all others as well.
    """
    inside = _of_cell(cell)
    nearest = [_at(correlation, step) for step in (*cell, cell[0] + cell[1], cell[0] - cell[1])]
    own = correlation[inside & _CELLS.any(axis=1)]
    others = _mean_of_cosets(correlation[~inside], _CELLS[~inside], cell)
    if not np.isfinite(nearest[:2]).all():
        return 0.0
    least = min(np.nanmin(nearest), np.nanmean(own))
    return float(least - max(0.0, np.nanmax(others, initial=0.0)))


def _shortest(cell: np.ndarray) -> np.ndarray | None:
    """Shortest basis of a lattice of whole numbers; None if it reaches too far."""
    while True:
        cell = cell[np.argsort((cell**2).sum(axis=1), kind="stable")]
        steps = round(cell[0] @ cell[1] / (cell[0] @ cell[0]) - 1e-9)
        if not steps:
            break
        cell = np.array([cell[0], cell[1] - steps * cell[0]])
    return cell if np.abs(cell).max() <= _FARTHEST else None


def _in_cell(steps: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Steps as whole numbers of the inverse cell, modulo its size: equal in one coset."""
    (a, b), (c, d) = cell
    size = _size(cell)
    return (
        np.stack([steps[:, 0] * d - steps[:, 1] * c, steps[:, 1] * a - steps[:, 0] * b], 1) % size
    )


def _of_cell(cell: np.ndarray) -> np.ndarray:
    """Mask of the translations of :data:`_CELLS` that are translations of a cell."""
    return (_in_cell(_CELLS, cell) == 0).all(axis=1)


def _at(correlation: np.ndarray, step: np.ndarray) -> float:
    """Correlation over a translation; NaN beyond those that were looked at."""
    if np.abs(step).max() > _FARTHEST:
        return np.nan
    return float(correlation[_row(step)])


def _row(step: np.ndarray) -> int:
    """Row of a translation in :data:`_CELLS`."""
    i, j = (step + _FARTHEST).tolist()
    return int(i * (2 * _FARTHEST + 1) + j)


def _mean_of_cosets(correlation: np.ndarray, steps: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Mean correlation of the steps that a cell takes for one."""
    known = np.isfinite(correlation)
    if not known.any():
        return np.full(1, np.nan)
    key = _in_cell(steps[known], cell)
    _, which = np.unique(key, axis=0, return_inverse=True)
    which = which.ravel()
    return np.bincount(which, correlation[known]) / np.bincount(which)
