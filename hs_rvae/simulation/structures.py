# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crystals in projection: a cell, and columns with their elements at places in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hs_rvae.checks import check_methods, finite_number, is_array, shown

# Peak height of a column: sum of Z**power over its atoms in one repeat along the beam.
_POWER_HEAVY = 1.7  # annular dark field at high angles
_POWER_LIGHT = 0.5  # annular bright field, about; depths for dark columns
_FAINTEST = 0.15  # of the brightest; fainter columns drown where light elements are not imaged

_ATOMIC_NUMBER = {
    symbol: number + 1
    for number, symbol in enumerate(
        "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As "
        "Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu "
        "Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa "
        "U".split()
    )
}  # fmt: skip
_ATOMS = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")


@check_methods
@dataclass(frozen=True)
class ProjectedStructure:
    """A crystal in projection along a zone axis.

    Attributes
    ----------
    cell : sequence of 2 pairs of float
        Cell vectors ``(x, y)`` in nm, one per row.
    basis : sequence of tuple
        ``(u, v, column)`` for each place: fractions of the two cell vectors, and what stands there.
        The column is its atoms in one repeat along the beam, such as "Sr", "Ti/O", "S2" or
        "Sr0.7", or a peak height in units of your choice.

    Raises
    ------
    ValueError
        If the cell has no area, a place is not such a tuple, or an element is unknown.

    Examples
    --------
    >>> import hs_rvae
    >>> boron_nitride = hs_rvae.simulation.ProjectedStructure(
    ...     [(0.25, 0), (-0.125, 0.2165)], [(1 / 3, 2 / 3, "B"), (2 / 3, 1 / 3, "N")]
    ... )
    >>> boron_nitride.names
    ('B', 'N')
    """

    cell: Sequence[tuple[float, float]]
    basis: Sequence[tuple[float, float, str | float]]

    def __post_init__(self) -> None:
        if not is_array(self.cell):
            raise ValueError(f"cell={shown(self.cell)}: give two vectors (x, y) in nm.")
        cell = np.asarray(self.cell, float)
        if cell.shape != (2, 2) or not np.isfinite(cell).all() or _area(cell) < 1e-9:
            raise ValueError(f"cell={self.cell!r}: give two vectors (x, y) in nm, not parallel.")
        if not len(self.basis):
            raise ValueError("basis is empty: give one place or more.")
        for place in self.basis:
            if len(place) != 3 or not all(finite_number(one) for one in place[:2]):
                raise ValueError(f"basis has {place!r}: give (u, v, elements or height).")
            if isinstance(place[2], str):
                _atoms(place[2])
            elif not finite_number(place[2]) or not place[2] > 0:
                raise ValueError(f"basis has {place!r}: give elements, or a height above 0.")

    @property
    def names(self) -> tuple[str, ...]:
        """Elements or height of the column at each place, as text."""
        return tuple(
            column if isinstance(column, str) else f"{column:g}" for *_, column in self.basis
        )


@dataclass(frozen=True)
class ImagedBasis:
    """Places of a crystal whose columns stand out in an image.

    Attributes
    ----------
    cell : numpy.ndarray, shape (2, 2)
        Cell vectors ``(x, y)``, one per row, in any unit of length.
    places : numpy.ndarray, shape (n_places, 2)
        Fractions of the two cell vectors, from 0 to 1.
    heights : numpy.ndarray, shape (n_places,)
        Peak heights; the brightest column of the crystal has 1.
    names : tuple of str
        Elements of the columns.
    """

    cell: np.ndarray
    places: np.ndarray
    heights: np.ndarray
    names: tuple[str, ...]

    @property
    def nearest_distance(self) -> float:
        """Distance between nearest columns, in the unit of the cell."""
        apart = self.distances(self.places, self.places)
        apart[np.diag_indices(len(apart))] = np.inf
        steps = [step for step in product((-2, -1, 0, 1, 2), repeat=2) if step != (0, 0)]
        repeats = np.linalg.norm(np.array(steps) @ self.cell, axis=1)
        return float(min(apart.min(), repeats.min()))

    @property
    def area(self) -> float:
        """Area of the cell, in the unit of the cell squared."""
        return _area(self.cell)

    def kinds(self, tolerance: float = 0.02) -> np.ndarray:
        """Number of the kind of each place.

        Two places are of one kind if a shift, turn or mirror that maps the crystal on itself maps
        one on the other. Such places differ in nothing but their position in the cell.

        Parameters
        ----------
        tolerance : float
            Maximum distance of a mapped column from its counterpart, in nearest distances.

        Returns
        -------
        numpy.ndarray of int, shape (n_places,)
        """
        reach = tolerance * self.nearest_distance
        turned = [self.places @ matrix for matrix in self._turns()]
        first = np.arange(len(self.places))  # of the kind
        for place, height in enumerate(self.heights):
            for other in np.unique(first[:place]):
                alike = np.isclose(self.heights[other], height, rtol=0.01)
                if alike and any(self._maps(places, place, other, reach) for places in turned):
                    first[place] = other
                    break
        return np.unique(first, return_inverse=True)[1]

    def _maps(self, turned: np.ndarray, place: int, other: int, reach: float) -> bool:
        """True if the turned crystal is the crystal again once one place lies on the other."""
        apart = self.distances(turned + self.places[other] - turned[place], self.places)
        partner = apart.argmin(axis=1)
        alike = np.isclose(self.heights[partner], self.heights, rtol=0.01)
        return bool(alike.all() and (apart.min(axis=1) <= reach).all())

    def _turns(self) -> list[np.ndarray]:
        """Turns and mirrors of the lattice, as matrices that fractions are multiplied by."""
        metric = self.cell @ self.cell.T
        found = []
        for entries in product((-1, 0, 1), repeat=4):
            matrix = np.array(entries).reshape(2, 2)
            if np.allclose(matrix @ metric @ matrix.T, metric, atol=1e-3 * metric.max()):
                found.append(matrix)
        return found

    def distances(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Shortest distances between places of a crystal without end.

        Parameters
        ----------
        first, second : numpy.ndarray, shape (n, 2) and (m, 2)
            Fractions of the cell vectors.

        Returns
        -------
        numpy.ndarray, shape (n, m)
        """
        steps = np.array(list(product((-1, 0, 1), repeat=2)))
        apart = first[:, None] - second[None]
        apart -= np.round(apart)
        vectors = (apart[:, :, None] + steps) @ self.cell
        return np.linalg.norm(vectors, axis=3).min(axis=2)


def imaged_basis(structure: ProjectedStructure, light_elements: bool = False) -> ImagedBasis:
    """Places whose columns stand out in an image, with their peak heights.

    Parameters
    ----------
    structure : ProjectedStructure
    light_elements : bool
        Contrast in which light elements are imaged too, as in annular bright field.

    Returns
    -------
    ImagedBasis
        Lengths in nm.
    """
    power = _POWER_LIGHT if light_elements else _POWER_HEAVY
    height = np.array([_height(column, power) for *_, column in structure.basis])
    height /= height.max()
    given = np.array([not isinstance(column, str) for *_, column in structure.basis])
    rows = np.flatnonzero(given | light_elements | (height >= _FAINTEST))
    places = np.array([place[:2] for place in structure.basis], float)[rows] % 1.0
    names = tuple(structure.names[n] for n in rows)
    return ImagedBasis(np.asarray(structure.cell, float), places, height[rows], names)


def _area(cell: np.ndarray) -> float:
    return float(abs(np.linalg.det(cell)))


def _atoms(column: str) -> list[tuple[int, float]]:
    """Atomic numbers and counts of a column: "Ti/O" holds one of each, "S2" two of one."""
    found = []
    for part in column.split("/"):
        match = _ATOMS.fullmatch(part.strip())
        if match is None or match[1] not in _ATOMIC_NUMBER:
            raise ValueError(f"{column!r}: give elements, such as 'Sr', 'Ti/O' or 'S2'.")
        found.append((_ATOMIC_NUMBER[match[1]], float(match[2] or 1)))
    return found


def _height(column: str | float, power: float) -> float:
    if isinstance(column, str):
        return float(sum(count * number**power for number, count in _atoms(column)))
    return float(column)


def _rectangle(width: float, height: float) -> list[tuple[float, float]]:
    return [(width, 0.0), (0.0, height)]


def _hexagonal(edge: float) -> list[tuple[float, float]]:
    return [(edge, 0.0), (-edge / 2, edge * np.sqrt(0.75))]


def _centred(*places: tuple[float, float, str]) -> list[tuple[float, float, str]]:
    return [*places, *((u + 0.5, v + 0.5, column) for u, v, column in places)]


def _bronze(u: float, v: float, column: str) -> list[tuple[float, float, str]]:
    """A general place of the plane group p4gm."""
    turned = [(u, v), (-u, -v), (-v, u), (v, -u)]
    mirrored = [(0.5 - a, 0.5 + b) for a, b in turned]
    places = np.round(np.array(turned + mirrored) % 1.0, 6)
    return [(float(a), float(b), column) for a, b in np.unique(places, axis=0)]


_SRTIO3, _NIO, _CEO2, _CDTE, _ZNO = 0.3905, 0.4177, 0.5411, 0.6482, (0.3250, 0.5207)
_MNO3, _BRONZE = (0.6140, 1.140), 1.2456

#: Structures by name: strontium titanate, nickel oxide, ceria, cadmium telluride, zinc oxide,
#: yttrium manganite, molybdenum disulfide, graphene, strontium barium niobate.
STRUCTURES = {
    "perovskite [001]": ProjectedStructure(
        _rectangle(_SRTIO3, _SRTIO3),
        [(0, 0, "Sr"), (0.5, 0.5, "Ti/O"), (0.5, 0, "O"), (0, 0.5, "O")],
    ),
    "perovskite [110]": ProjectedStructure(
        _rectangle(_SRTIO3 / np.sqrt(2), _SRTIO3),
        [(0, 0, "Sr/O"), (0, 0.5, "Ti"), (0.5, 0.5, "O2")],
    ),
    "rock salt [001]": ProjectedStructure(_rectangle(_NIO / 2, _NIO / 2), [(0, 0, "Ni/O")]),
    "rock salt [110]": ProjectedStructure(
        _rectangle(_NIO / np.sqrt(2), _NIO), _centred((0, 0, "Ni"), (0, 0.5, "O"))
    ),
    "fluorite [001]": ProjectedStructure(
        _rectangle(_CEO2 / 2, _CEO2 / 2), [(0, 0, "Ce"), (0.5, 0.5, "O2")]
    ),
    "fluorite [110]": ProjectedStructure(
        _rectangle(_CEO2 / np.sqrt(2), _CEO2),
        _centred((0, 0, "Ce"), (0, 0.25, "O"), (0, 0.75, "O")),
    ),
    "wurtzite [11-20]": ProjectedStructure(
        _rectangle(_ZNO[0] * np.sqrt(0.75), _ZNO[1]),
        [(1 / 3, 0, "Zn"), (2 / 3, 0.5, "Zn"), (1 / 3, 0.382, "O"), (2 / 3, 0.882, "O")],
    ),
    "zinc blende [110]": ProjectedStructure(
        _rectangle(_CDTE / np.sqrt(2), _CDTE), _centred((0, 0, "Cd"), (0, 0.25, "Te"))
    ),
    "hexagonal manganite [110]": ProjectedStructure(
        _rectangle(_MNO3[0] * np.sqrt(0.75), _MNO3[1] / 2),
        [
            (0, 0.548, "Y"), (1 / 3, 0.466, "Y"), (2 / 3, 0.466, "Y"),
            (0, 0, "Mn"), (1 / 3, 0, "Mn"), (2 / 3, 0, "Mn"),
        ],
    ),  # fmt: skip
    "1H layer": ProjectedStructure(_hexagonal(0.316), [(0, 0, "Mo"), (1 / 3, 2 / 3, "S2")]),
    "1T layer": ProjectedStructure(
        _hexagonal(0.318), [(0, 0, "Mo"), (1 / 3, 2 / 3, "S"), (2 / 3, 1 / 3, "S")]
    ),
    "graphene": ProjectedStructure(_hexagonal(0.246), [(1 / 3, 2 / 3, "C"), (2 / 3, 1 / 3, "C")]),
    "tungsten bronze [001]": ProjectedStructure(
        _rectangle(_BRONZE, _BRONZE),
        [
            *_bronze(0, 0, "Sr0.7"),
            *_bronze(0.172, 0.672, "Ba0.9"),
            *_bronze(0, 0.5, "Nb/O"),
            *_bronze(0.0745, 0.2115, "Nb/O"),
            *_bronze(0.3439, 0.0063, "O"),
            *_bronze(0.1389, 0.0682, "O"),
            *_bronze(0.2843, 0.7843, "O"),
        ],
    ),
}  # fmt: skip


def find_structure(structure: str | ProjectedStructure) -> ProjectedStructure:
    """A structure by its name, or the one that was given."""
    if isinstance(structure, ProjectedStructure):
        return structure
    if structure not in STRUCTURES:
        raise ValueError(
            f"structure={structure!r}: give a ProjectedStructure, or one of "
            f"{', '.join(STRUCTURES)}."
        )
    return STRUCTURES[structure]
