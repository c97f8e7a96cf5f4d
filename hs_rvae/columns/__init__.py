# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search for the atomic columns of an image: lattice, maxima, sublattices."""

from .series import LatticeSeries
from .sublattices import find_sublattices
from .without_lattice import find_columns

__all__ = ["LatticeSeries", "find_columns", "find_sublattices"]
