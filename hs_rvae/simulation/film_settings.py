# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a simulated film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from hs_rvae.options import refuse_unknown


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """
    Settings of a film; :func:`~hs_rvae.simulation.simulate_perovskite` describes each of them.

    Raises
    ------
    ValueError
        If a length is not positive, or the share of vacuum is not in [0, 1).
    """

    cell: float = 26.0
    rotation: float = 0.0
    n_variants: int = 4
    shift: float = 1.8
    direction: float = 45.0
    domain_size: float = 12.0
    wall_width: float = 0.8
    nonpolar: float = 0.0
    chemistry: float = 0.35
    thickness_gradient: float = 0.2
    tilt: float = 0.06
    strain: float = 0.005
    scan_jitter: float = 0.1
    dose: float = 150.0
    column_width: float = 0.11
    disorder: float = 0.05
    pixel_size: float = 0.015
    aspect: float = 1.0
    b_amplitude: float = 0.35
    one_sublattice: bool = False
    layers: Sequence[tuple[int, float, float]] | None = None
    vacuum: float = 0.0
    dark: bool = False
    dislocation: tuple[float, float] | None = None
    random_state: int | np.random.Generator | None = None

    def __post_init__(self) -> None:
        for name in ("cell", "dose", "pixel_size", "aspect"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name}={value}: give a positive number.")
        if not 0 <= self.vacuum < 1:
            raise ValueError(f"vacuum={self.vacuum}: give a share of the image, 0 up to 1.")


def check_names(settings: dict[str, object], owner: str, without: tuple[str, ...] = ()) -> None:
    """Raise TypeError for settings that a film does not have, and for those it must not have."""
    known = {field.name for field in fields(FilmSettings)}.difference(without)
    refuse_unknown(settings, known, owner)
