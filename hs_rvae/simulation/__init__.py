# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ferroic images, and series of them, with known variant, angle, displacement, chemistry, noise."""

from .films import simulate_hexagonal, simulate_perovskite
from .series import simulate_series
from .truth import SimulatedTruth, compare_angles

__all__ = [
    "SimulatedTruth",
    "compare_angles",
    "simulate_hexagonal",
    "simulate_perovskite",
    "simulate_series",
]
