# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Displacement of each site, and rotation and strain of its surroundings, from its pixels."""

from .columns_in_window import WindowColumns, find_columns
from .deformation import rotation_and_strain, shell_inverse
from .mode_filter import DeformationModes, ModeFilter, deformation_modes

__all__ = [
    "DeformationModes",
    "ModeFilter",
    "WindowColumns",
    "deformation_modes",
    "find_columns",
    "rotation_and_strain",
    "shell_inverse",
]
