# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of variants on their lattice, and the walls between them."""

from .tables import Measured, domain_tables, find_domains

__all__ = ["Measured", "domain_tables", "find_domains"]
