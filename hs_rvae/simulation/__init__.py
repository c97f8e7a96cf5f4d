# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of ferroics and of any crystal, and series of them, with known columns and noise."""

from .crystals import simulate_crystal
from .films import simulate_hexagonal, simulate_perovskite
from .patterns import simulate_4dstem
from .series import simulate_series
from .spectrum_images import SpectrumTruth, simulate_spectrum_image
from .structures import ProjectedStructure
from .training_images import simulate_training_images
from .truth import CrystalTruth, SimulatedTruth, compare_angles

__all__ = [
    "CrystalTruth",
    "ProjectedStructure",
    "SimulatedTruth",
    "SpectrumTruth",
    "compare_angles",
    "simulate_4dstem",
    "simulate_crystal",
    "simulate_hexagonal",
    "simulate_perovskite",
    "simulate_series",
    "simulate_spectrum_image",
    "simulate_training_images",
]
