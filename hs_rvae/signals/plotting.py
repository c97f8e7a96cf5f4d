# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a stack."""


class PlottingMixin:
    """Draw columns of the site table."""
