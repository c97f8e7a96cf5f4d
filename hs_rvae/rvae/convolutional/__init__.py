# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The convolutional rVAE of the paper: a convolutional encoder and a spatial decoder."""
