# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompositions, embeddings and clusters of sites: arrays and site tables in, arrays out."""
