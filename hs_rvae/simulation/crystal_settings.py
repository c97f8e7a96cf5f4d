# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of an image of a crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from hs_rvae.checks import finite_number, is_whole_number, shown

from .film_settings import are_numbers, is_infinite
from .structures import ImagedBasis, ProjectedStructure, find_structure, imaged_basis

# Minimum, maximum, and what the number is.
_LIMITS = {
    "spacing": (2.0, 1e4, "px between nearest columns"),
    "rotation": (-np.inf, np.inf, "degrees"),
    "column_width": (0.01, 1.0, "sigma in units of the distance between nearest columns"),
    "random_composition": (0.0, 0.3, "relative variation"),
    "thickness_gradient": (-1.5, 1.5, "relative change across the image"),
    "contamination": (0.0, 10.0, "height in units of the brightest column"),
    "contamination_size": (0.5, 1e3, "distances between nearest columns"),
    "background": (0.0, 10.0, "height in units of the brightest column"),
    "strain": (0.0, 0.3, "root mean square of the strain"),
    "vacancies": (0.0, 1.0, "share of the columns"),
    "substitutions": (0.0, 1.0, "share of the columns"),
    "substitution_ratio": (0.0, 100.0, "height in units of the usual column"),
    "interstitials": (0.0, 1.0, "share of the columns"),
    "interstitial_height": (0.0, 100.0, "height in units of the brightest column"),
    "zoom": (1.0, 100.0, "enlargement"),
}

_MOST_ROWS = 10_000  # of a data bar


@dataclass(frozen=True, kw_only=True)
class CrystalSettings:
    """
    Settings of an image; :func:`~hs_rvae.simulation.simulate_crystal` describes each of them.

    Raises
    ------
    ValueError
        If a setting is outside its limits, or does not go with another one.
    """

    structure: str | ProjectedStructure = "perovskite [001]"
    spacing: float = 16.0
    rotation: float = 0.0
    dose: float = 150.0
    dark: bool = False
    light_elements: bool = False
    column_width: float = 0.16
    random_composition: float = 0.02
    thickness_gradient: float = 0.1
    contamination: float = 0.0
    contamination_size: float = 8.0
    background: float = 0.2
    strain: float = 0.002
    disorder: float = 0.05
    scan_jitter: float = 0.1
    vacancies: float = 0.0
    substitutions: float = 0.0
    substitution_ratio: float = 0.75
    interstitials: float = 0.0
    interstitial_height: float = 0.5
    defect_names: Sequence[str] | None = None
    antiphase: tuple[float, float] | None = None
    grain_angle: float | None = None
    second_phase: str | ProjectedStructure | None = None
    boundary: tuple[float, float, float] | None = None
    zoom: float = 1.0
    data_bar: int = 0
    random_state: int | np.random.Generator | None = None

    def __post_init__(self) -> None:
        for name, (smallest, largest, meaning) in _LIMITS.items():
            if not finite_number(getattr(self, name), smallest, largest):
                self._refuse(name, f"give a number from {smallest:g} to {largest:g}, {meaning}")
        for name in ("disorder", "scan_jitter"):
            if not finite_number(getattr(self, name), 0, self.spacing / 2):
                self._refuse(name, f"give px, from 0 to half the spacing, {self.spacing / 2:g}")
        if not (is_infinite(self.dose) or (finite_number(self.dose, 0) and self.dose > 0)):
            self._refuse("dose", "give a positive number")
        if not is_whole_number(self.data_bar, 0) or self.data_bar > _MOST_ROWS:
            self._refuse("data_bar", f"give a whole number of rows, 0 to {_MOST_ROWS:,}")
        if self.vacancies + self.substitutions > 1:
            self._refuse("substitutions", "vacancies and substitutions are more than all columns")
        if self.antiphase is not None and not are_numbers(self.antiphase, 2):
            self._refuse("antiphase", "give two numbers (u, v), in cells")
        if self.grain_angle is not None and not finite_number(self.grain_angle):
            self._refuse("grain_angle", "give a number, in degrees")
        if self.boundary is not None and not are_numbers(self.boundary, 3):
            self._refuse("boundary", "give (x, y, direction), in px and degrees")
        if self.boundary is not None and not self.two_grains:
            self._refuse("boundary", "give antiphase, grain_angle or second_phase as well")
        if self.defect_names is not None:
            names = {name for basis in self.bases for name in basis.names}
            if isinstance(self.defect_names, str) or not set(self.defect_names) <= names:
                self._refuse("defect_names", f"give some of {', '.join(sorted(names))}, in a list")

    def _refuse(self, name: str, remedy: str) -> None:
        raise ValueError(f"{name}={shown(getattr(self, name))}: {remedy}.")

    @property
    def two_grains(self) -> bool:
        """True if a boundary divides the image."""
        return not (self.antiphase is None and self.grain_angle is None) or (
            self.second_phase is not None
        )

    @property
    def bases(self) -> list[ImagedBasis]:
        """Imaged columns of each grain, one or two, lengths in nm."""
        structures = [self.structure]
        if self.two_grains:
            structures.append(self.structure if self.second_phase is None else self.second_phase)
        return [imaged_basis(find_structure(one), self.light_elements) for one in structures]


#: Parameters that are refused here, in better words than those of a door.
OWN_WORDS = tuple(
    field.name
    for field in fields(CrystalSettings)
    if field.name not in ("structure", "second_phase", "random_state") and field.type != "bool"
)
