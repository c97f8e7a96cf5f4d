# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site table, the register of its columns, and units."""

from . import columns, units
from .table import SiteTable, missing_column

__all__ = ["SiteTable", "columns", "missing_column", "units"]
