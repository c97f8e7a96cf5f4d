# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site table, the register of its columns, and units."""

from . import columns, units
from .table import SiteTable as SiteTable
from .table import missing_column as missing_column

# SiteTable has its page in the reference as hs_rvae.SiteTable.
__all__ = ["columns", "units"]
