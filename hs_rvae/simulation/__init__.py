# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ferroic images, and series of them, with known variant, angle, displacement, chemistry, noise."""

from .films import simulate_hexagonal, simulate_perovskite
from .patterns import simulate_4dstem
from .series import simulate_series
from .spectrum_images import SpectrumTruth, simulate_spectrum_image
from .truth import SimulatedTruth, compare_angles

__all__ = [
    "SimulatedTruth",
    "SpectrumTruth",
    "compare_angles",
    "simulate_4dstem",
    "simulate_hexagonal",
    "simulate_perovskite",
    "simulate_series",
    "simulate_spectrum_image",
]
