# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a simulated film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hs_rvae.checks import finite_number, is_whole_number, shown
from hs_rvae.options import refuse_unknown

#: Patterns of the order parameter.
ORDERS = ("domains", "stripes", "vortices", "antiparallel")

# Maximum, and what it is, of numbers that are not negative.
_NUMBERS = {
    "chemistry": (1.0, "relative variation"),
    "tilt": (1.0, "relative elongation"),
    "strain": (0.3, "root mean square of the strain"),
    "twin_strain": (0.1, "strain"),
    "b_amplitude": (100.0, "height in units of an A column"),
    "random_composition": (0.3, "relative variation"),
    "aberration": (0.5, "share of the intensity"),
    "oxygen": (100.0, "height in units of an A column"),
    "octahedral_tilt": (30.0, "degrees"),
    "tilt_variation": (1.0, "relative variation"),
}
# Minimum and maximum of numbers above zero; a dose may be infinite.
_POSITIVE = {
    "cell": (1.0, 10_000.0),
    "dose": (0.0, 1e12),
    "pixel_size": (1e-15, 1e15),
    "aspect": (0.01, 100.0),
    "domain_size": (1e-3, 1e6),
    "wall_width": (1e-6, 1e6),
    "column_width": (1e-3, 10.0),
}
_MOST_DEGREES = 1e6
_MOST_PIXELS = 2**26
_MOST_VARIANTS = 10_000
_LENGTHS = ("shift", "scan_jitter", "disorder")  # px, less than half a cell
_PAIRS = ("dislocation", "mistilt", "aberration_shift")


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """
    Settings of a film; :func:`~hs_rvae.simulation.simulate_perovskite` describes each of them.

    Raises
    ------
    ValueError
        If a setting is outside its limits, or does not go with another one.
    """

    cell: float = 26.0
    rotation: float = 0.0
    n_variants: int = 4
    shift: float = 1.8
    direction: float = 45.0
    order: str = "domains"
    directions: Sequence[float] | None = None
    shares: Sequence[float] | None = None
    domain_size: float = 12.0
    wall_width: float = 0.8
    wall_direction: float = 0.0
    nonpolar: float = 0.0
    chemistry: float = 0.35
    random_composition: float = 0.05
    thickness_gradient: float = 0.2
    tilt: float = 0.06
    mistilt: tuple[float, float] = (0.0, 0.0)
    strain: float = 0.005
    twin_strain: float = 0.0
    twin_axis: float = 0.0
    n_twins: int = 2
    bending: float = 0.0
    scan_jitter: float = 0.1
    dose: float = 150.0
    aberration: float = 0.0
    aberration_shift: tuple[float, float] = (4.0, 1.5)
    column_width: float = 0.11
    disorder: float = 0.05
    pixel_size: float = 0.015
    aspect: float = 1.0
    b_amplitude: float = 0.35
    one_sublattice: bool = False
    layers: Sequence[tuple[float, ...]] | None = None
    vacuum: float = 0.0
    dark: bool = False
    dislocation: tuple[float, float] | None = None
    oxygen: float = 0.0
    octahedral_tilt: float = 0.0
    tilt_variation: float = 0.5
    antiphase_tilts: bool = False
    random_state: int | np.random.Generator | None = None

    def __post_init__(self) -> None:
        for name, (smallest, largest) in _POSITIVE.items():
            value = getattr(self, name)
            if name == "dose" and is_infinite(value):
                continue
            if not (finite_number(value, 0) and value > 0):
                self._refuse(name, "give a positive number")
            if not smallest <= value <= largest:
                self._refuse(name, f"give a positive number, {smallest:g} to {largest:g}")
        if not is_whole_number(self.n_twins) or self.n_twins not in (2, 4):
            self._refuse("n_twins", "give 2 or 4")
        for name in ("rotation", "direction", "wall_direction", "twin_axis", "bending"):
            if not finite_number(getattr(self, name), -_MOST_DEGREES, _MOST_DEGREES):
                self._refuse(name, "give a number, in degrees")
        for name, (largest, meaning) in _NUMBERS.items():
            if not finite_number(getattr(self, name), 0, largest):
                self._refuse(name, f"give a number from 0 to {largest:g}, {meaning}")
        for name in _LENGTHS:
            if not finite_number(getattr(self, name), 0, self.cell / 2):
                self._refuse(name, f"give px, from 0 to half a cell, {self.cell / 2:g}")
        for name in ("vacuum", "nonpolar"):
            if not (finite_number(getattr(self, name), 0, 1) and getattr(self, name) < 1):
                self._refuse(name, "give a share of the image, 0 up to 1")
        gradient = self.thickness_gradient
        if not (finite_number(gradient, -1.5, 1.5) and abs(gradient) < 1.5):
            self._refuse("thickness_gradient", "give a number between -1.5 and 1.5")
        for name in _PAIRS:
            without = name == "dislocation" and self.dislocation is None
            if not (without or are_numbers(getattr(self, name), 2)):
                self._refuse(name, "give two numbers (x, y), in px")
        for name in ("mistilt", "aberration_shift"):
            if np.hypot(*getattr(self, name)) > self.cell / 2:
                self._refuse(name, f"give a shift of half a cell or less, {self.cell / 2:g} px")
        self._check_layers()
        self._check_order()

    def _refuse(self, name: str, remedy: str) -> None:
        raise ValueError(f"{name}={shown(getattr(self, name))}: {remedy}.")

    def _check_layers(self) -> None:
        if self.layers is None:
            return
        layers: list[Any] = list(self.layers) if _is_row(self.layers) else [None]
        for layer in layers:
            numbers = are_numbers(layer) and len(layer) in (3, 4) and min(layer) >= 0
            if not numbers or layer[0] < 1 or any(share > 1 for share in layer[3:]):
                self._refuse(
                    "layers",
                    "give (cells, height of A, height of B), or these and the share of the "
                    "displacement, 0 to 1, for each layer",
                )
        if not layers:
            self._refuse("layers", "give one layer or more, or None")

    def _check_order(self) -> None:
        if not is_whole_number(self.n_variants) or self.n_variants > _MOST_VARIANTS:
            self._refuse("n_variants", f"give a whole number, 1 to {_MOST_VARIANTS:,}")
        if not isinstance(self.order, str) or self.order not in ORDERS:
            self._refuse("order", f"give one of {', '.join(ORDERS)}")
        if self.directions is not None:
            if self.order not in ("domains", "stripes"):
                self._refuse("directions", f"order={self.order!r} has its own; give None")
            if not are_numbers(self.directions):
                self._refuse("directions", "give one number or more, in degrees")
        if self.shares is not None:
            n = self.n_domain_kinds
            if self.order in ("vortices", "stripes"):
                self._refuse("shares", f"order={self.order!r} has none; give None")
            if not are_numbers(self.shares, n) or min(self.shares) < 0:
                self._refuse("shares", f"give {n} numbers of 0 or more, one for each kind")
            if not sum(self.shares) > 0:
                self._refuse("shares", "give at least one share above 0")

    @property
    def n_domain_kinds(self) -> int:
        """Number of kinds of domains: variants, or the two diagonals of lamellae."""
        if self.order == "antiparallel":
            return 2
        return self.n_variants if self.directions is None else len(self.directions)

    @property
    def polar_layers(self) -> list[tuple[float, float]] | None:
        """Thickness of each layer in cells and its share of the displacement; None if all is 1."""
        if self.layers is None or all(len(layer) < 4 for layer in self.layers):
            return None
        return [(layer[0], layer[3] if len(layer) > 3 else 1.0) for layer in self.layers]


def is_infinite(value: Any) -> bool:
    """Return True for infinity, the dose of an image without noise."""
    return isinstance(value, float | np.floating) and bool(value == np.inf)


def are_numbers(values: Any, count: int | None = None) -> bool:
    """Return True for a row of finite numbers, one or more or `count`."""
    if not _is_row(values) or not len(values):
        return False
    return all(finite_number(one) for one in values) and count in (None, len(values))


def _is_row(values: Any) -> bool:
    return isinstance(values, list | tuple | np.ndarray) and getattr(values, "ndim", 1) > 0


def check_shape(shape: Any) -> tuple[int, int]:
    """Rows and columns of an image; raise ValueError if they are not two whole numbers."""
    if not _is_row(shape) or len(shape) != 2 or not all(is_whole_number(n) for n in shape):
        raise ValueError(
            f"shape={shown(shape)}: give rows and columns, two whole numbers of 1 or more."
        )
    if int(shape[0]) * int(shape[1]) > _MOST_PIXELS:
        raise ValueError(f"shape={shape!r}: give {_MOST_PIXELS:,} pixels at most.")
    return int(shape[0]), int(shape[1])


def check_names(settings: dict[str, object], owner: str, without: tuple[str, ...] = ()) -> None:
    """Raise TypeError for settings that a film does not have, and for those it must not have."""
    known = {field.name for field in fields(FilmSettings)}.difference(without)
    refuse_unknown(settings, known, owner)


_OWN_KINDS = (
    "float",
    "int",
    "str",
    "Sequence[float] | None",
    "tuple[float, float]",
    "tuple[float, float] | None",
    "Sequence[tuple[float, ...]] | None",
)
#: Parameters of a film that are refused here, in better words than those of a door.
OWN_WORDS = ("shape", *(field.name for field in fields(FilmSettings) if field.type in _OWN_KINDS))
