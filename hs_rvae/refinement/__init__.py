# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refined column positions: batched fits of 2-D Gaussians to the columns of an image."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "atomap_objects": ["fill_sublattice", "refine_sublattice"],
        "fitting": ["STATUS"],
        "single_columns": ["refine_columns"],
        "two_sublattices": ["refine_two_sublattices"],
    },
)
