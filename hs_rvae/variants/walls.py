# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of angles that are walls between domains, not variants.

In a wall the direction passes from one variant to the next. Where a wall is long or broad, its
sites gather at a direction between the two.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

_N_NEIGHBOURS = 24  # about two cells around a site
_MIN_MEMBERS = 3  # of the group before and of that after, among the neighbours
_MIN_SHARE = 0.5  # of the sites of a group that lie between the two
_WIDEST = np.radians(75)  # from the group to the nearer one of the two


def groups_in_walls(
    positions: np.ndarray,
    variant: np.ndarray,
    centres: np.ndarray,
    strata: np.ndarray | None = None,
) -> list[int]:
    """Groups whose sites mostly lie between sites of the group before and of the group after.

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
    if n < 3:
        return []
    strata = np.zeros(len(positions), int) if strata is None else np.asarray(strata)
    gap = np.mod(np.roll(centres, -1) - centres, 2 * np.pi)  # to the group after
    found = []
    members = _members_around(positions, variant, n, strata)
    for group in range(n):
        before, after = (group - 1) % n, (group + 1) % n
        if min(gap[before], gap[group]) > _WIDEST or gap[before] + gap[group] > np.pi + 1e-6:
            continue
        own = variant == group
        between = (members[own][:, [before, after]] >= _MIN_MEMBERS).all(1)
        if own.any() and between.mean() > _MIN_SHARE:
            found.append(group)
    return found


def _members_around(
    positions: np.ndarray, variant: np.ndarray, n: int, strata: np.ndarray
) -> np.ndarray:
    """Number of members of each group among the neighbours of each site, (n_sites, n)."""
    members = np.zeros((len(positions), n), int)
    for stratum in np.unique(strata):
        rows = np.flatnonzero((strata == stratum) & np.isfinite(positions).all(1))
        k = min(_N_NEIGHBOURS + 1, len(rows))
        if k < 2:
            continue
        around = variant[rows][cKDTree(positions[rows]).query(positions[rows], k=k)[1]]
        for group in range(n):
            members[rows, group] = (around[:, 1:] == group).sum(1)
    return members
