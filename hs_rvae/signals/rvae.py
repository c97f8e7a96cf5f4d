# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rVAE verbs of a stack."""


class RVAEMixin:
    """Fit and apply rVAE models."""
