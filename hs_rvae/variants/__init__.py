# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meaning of the angles: a common zero from physics, and the groups that are variants."""

from .directions import (
    LEAST_AGREEMENT,
    LEAST_SIGNAL,
    agreement,
    common_offset,
    count_variants,
    folded_std,
    miss_displacements,
    nearest_wells,
    wrap,
)
from .groups import AngleGroups, find_groups

__all__ = [
    "LEAST_AGREEMENT",
    "LEAST_SIGNAL",
    "AngleGroups",
    "agreement",
    "common_offset",
    "count_variants",
    "find_groups",
    "folded_std",
    "miss_displacements",
    "nearest_wells",
    "wrap",
]
