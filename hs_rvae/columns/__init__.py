# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search for the atomic columns of an image: lattice, maxima, sublattices, defects."""

from .defects import count_defects, find_defects
from .planes import line_deviation
from .series import LatticeSeries
from .sublattices import find_sublattices
from .without_lattice import find_columns

__all__ = [
    "LatticeSeries",
    "count_defects",
    "find_columns",
    "find_defects",
    "find_sublattices",
    "line_deviation",
]
