# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions of a scan around the sites, and means over them: the way back to other signals."""
