# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The harmonic rVAE: angles from an exact posterior, content from a small network."""
