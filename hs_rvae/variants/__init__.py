# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meaning of the angles: a common zero from physics, and the groups that are variants."""

from .among_neighbours import groups_among_neighbours
from .directions import (
    FIRST_DIRECTION,
    common_offset,
    folded_std,
    from_first,
    measured_groups,
    wrap,
)
from .groups import MAXIMUM_GROUPS, AngleGroups, find_groups
from .walls import groups_in_walls

__all__ = [
    "FIRST_DIRECTION",
    "MAXIMUM_GROUPS",
    "AngleGroups",
    "common_offset",
    "find_groups",
    "folded_std",
    "from_first",
    "groups_among_neighbours",
    "groups_in_walls",
    "measured_groups",
    "wrap",
]
