# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refined column positions: batched fits of 2-D Gaussians to the columns of an image."""

from .atomap_objects import fill_sublattice, refine_sublattice
from .fitting import STATUS
from .single_columns import refine_columns
from .two_sublattices import refine_two_sublattices

__all__ = [
    "STATUS",
    "fill_sublattice",
    "refine_columns",
    "refine_sublattice",
    "refine_two_sublattices",
]
