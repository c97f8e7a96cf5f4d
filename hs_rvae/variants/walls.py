# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of angles that are walls between domains, not variants.

In a wall the direction passes from one variant to the next. Where a wall is long or broad, its
sites gather at a direction between the two. Beside it, and where columns are weak, angles scatter
towards that direction too: they may look like a group close to a larger one, in whose domains they
lie.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

_N_NEIGHBOURS = 24  # about two cells around a site
_N_WIDE = 80  # four cells, where directions of the group scatter as in a broad wall:
_BROADER = 1.25  # ... by so much more than those of both others
_MIN_MEMBERS = 3  # of each of the two groups among the neighbours
_MIN_SHARE = 0.5  # of the sites of a group that lie between the two
_LARGER = 2.0  # times the sites of a wall, that each of the two groups has
_WIDEST = np.radians(135)  # between the directions of the two groups
_CLOSE = np.radians(30)  # directions of a group and of that in whose domains it may lie


def groups_in_walls(
    positions: np.ndarray,
    variant: np.ndarray,
    centres: np.ndarray,
    strata: np.ndarray | None = None,
    widths: np.ndarray | None = None,
) -> list[int]:
    """Groups whose sites mostly lie between two larger groups, in direction and in place.

    A group that is between two larger ones in direction and close to one of them counts as well, if
    most of its sites lie among that one's, with fewer of their own around.

    Parameters
    ----------
    positions : numpy.ndarray, shape (n, 2)
        Positions (x, y) in px.
    variant : numpy.ndarray of int, shape (n,)
        Group of each site, -1 = none.
    centres : numpy.ndarray, shape (n_groups,)
        Directions of the groups in radians, ascending.
    strata : numpy.ndarray of int, shape (n,), optional
        Number of the image or frame of each site.
    widths : numpy.ndarray, shape (n_groups,), optional
        Scatter of the directions of each group in radians. If None, broad walls are not found.

    Returns
    -------
    list of int

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(30.0), np.arange(20.0))
    >>> variant = np.select([x < 14, x < 16], [0, 1], 2)  # 1 is a wall
    >>> xy = np.column_stack([x.ravel(), y.ravel()])
    >>> groups_in_walls(xy, variant.ravel(), np.radians([0, 45, 90]))
    [1]
    """
    n = len(centres)
    strata = np.zeros(len(positions), int) if strata is None else np.asarray(strata)
    sizes = np.bincount(variant[variant >= 0], minlength=n)
    members = _members_around(positions, variant, n, strata, _N_NEIGHBOURS)
    wide = members if widths is None else _members_around(positions, variant, n, strata, _N_WIDE)
    found = []
    for group in range(n):
        larger = np.flatnonzero(sizes >= _LARGER * sizes[group])
        ahead = np.mod(centres[larger] - centres[group], 2 * np.pi)
        if not sizes[group] or len(larger) < 2:
            continue
        after, before = larger[ahead.argmin()], larger[ahead.argmax()]
        gaps = ahead.min(), 2 * np.pi - ahead.max()
        if before == after or sum(gaps) > _WIDEST:
            continue
        around = beside = members[variant == group]
        if widths is not None and widths[group] > _BROADER * widths[[before, after]].max():
            beside = wide[variant == group]
        between = (beside[:, [before, after]] >= _MIN_MEMBERS).all(1)
        close = [one for one, gap in ((after, gaps[0]), (before, gaps[1])) if gap < _CLOSE]
        among = around[:, close].max(1, initial=0) > np.maximum(around[:, group], _MIN_MEMBERS)
        if max(between.mean(), among.mean()) > _MIN_SHARE:
            found.append(group)
    return found


def _members_around(
    positions: np.ndarray, variant: np.ndarray, n: int, strata: np.ndarray, count: int
) -> np.ndarray:
    """Members of each group among the `count` nearest neighbours of each site, (n_sites, n)."""
    members = np.zeros((len(positions), n), int)
    for stratum in np.unique(strata):
        rows = np.flatnonzero((strata == stratum) & np.isfinite(positions).all(1))
        k = min(count + 1, len(rows))
        if k < 2:
            continue
        around = variant[rows][cKDTree(positions[rows]).query(positions[rows], k=k)[1]]
        for group in range(n):
            members[rows, group] = (around[:, 1:] == group).sum(1)
    return members
