# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an image to its atomic columns: their lattice, their maxima, their sublattices."""

from .series import LatticeSeries
from .sublattices import find_sublattices

__all__ = ["LatticeSeries", "find_sublattices"]
