# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A known crystal as a beam meets it: columns of atoms in a plane, named by their elements."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from ..checks import is_whole_number

#: Exponent of the atomic number in the brightness of a column, as in annular dark field.
EXPONENT = 1.7
_OVERLAP = 0.025  # nm, columns nearer than this are one place
_SAME = 0.005  # nm, places that a translation of the projection joins
_WHOLE = 1e-3  # atoms of a formula that are taken for a whole number
_ANGSTROM = 0.1  # nm
_ISOTOPES = {"D": "H", "T": "H"}
_KINDS = "an ase.Atoms, an orix Phase, a diffpy Structure or the path of a CIF file"


@dataclass(frozen=True)
class Atoms:
    """The atoms of one unit cell.

    Attributes
    ----------
    cell : numpy.ndarray of shape (3, 3)
        Cell vectors in nm, one per row.
    positions : numpy.ndarray of shape (n, 3)
        In nm.
    contents : tuple of dict
        Occupancy by element at each position.
    open_axis : int or None
        Cell vector that the structure lacks, as a single layer does.
    """

    cell: np.ndarray
    positions: np.ndarray
    contents: tuple[dict[str, float], ...]
    open_axis: int | None = None

    @property
    def formula(self) -> str:
        """Elements with their numbers, in their order in the structure."""
        total: Counter[str] = Counter()
        for content in self.contents:
            total.update(content)
        counts = np.array(list(total.values()))
        whole = np.round(counts).astype(int)
        if np.abs(counts - whole).max() > _WHOLE or not whole.all():
            return "-".join(total)
        divisor = np.gcd.reduce(whole)
        numbers = ["" if n == divisor else str(n // divisor) for n in whole]
        return "".join(f"{name}{n}" for name, n in zip(total, numbers, strict=True))


@dataclass(frozen=True)
class ProjectedPlace:
    """A column of the projected cell.

    Attributes
    ----------
    element : str
        Elements by descending brightness, such as "Ti/O".
    position : tuple of float
        Fractions of the two cell vectors, from 0 to 1; the brightest place is at (0, 0).
    weight : float
        Atomic numbers to the power :data:`EXPONENT`, times the occupancies, summed over the atoms
        in a nanometre of the column.
    atoms : dict of str to float
        Atoms in a nanometre of the column.
    """

    element: str
    position: tuple[float, float]
    weight: float
    atoms: dict[str, float] = field(repr=False)


@dataclass(frozen=True)
class Projection:
    """A crystal along a zone axis.

    Attributes
    ----------
    formula : str
    zone_axis : tuple of int
        It points to the viewer, who has x to the right and y up.
    cell : numpy.ndarray of shape (2, 2)
        Vectors ``(x, y)`` of the smallest cell in nm, one per row.
    places : tuple of ProjectedPlace
        The brightest first.
    """

    formula: str
    zone_axis: tuple[int, int, int]
    cell: np.ndarray
    places: tuple[ProjectedPlace, ...]


def project(structure: Any, zone_axis: Any = (0, 0, 1)) -> Projection:
    """
    Project a crystal along a zone axis.

    Columns within 0.025 nm of each other are one place.

    Parameters
    ----------
    structure : ase.Atoms, orix.crystal_map.Phase, diffpy.structure.Structure, str or pathlib.Path
        A path names a CIF file, which ase reads.
    zone_axis : tuple of int
        Direction [uvw] in the cell vectors of the structure.

    Returns
    -------
    Projection

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If the structure is none of these.
    ValueError
        If it is not a crystal, or the zone axis is not a direction.

    Examples
    --------
    >>> from ase.spacegroup import crystal
    >>> titanate = crystal(["Sr", "Ti", "O"], [(0, 0, 0), (0.5,) * 3, (0.5, 0.5, 0)],
    ...                    spacegroup=221, cellpar=[3.905] * 3 + [90] * 3)
    >>> [place.element for place in project(titanate).places]
    ['Sr', 'Ti/O', 'O', 'O']
    """
    axis = checked_zone_axis(zone_axis)
    atoms = read_atoms(structure)
    if atoms.open_axis is not None and np.count_nonzero(np.delete(axis, atoms.open_axis)):
        lacking = [0, 0, 0]
        lacking[atoms.open_axis] = 1
        raise ValueError(
            f"zone_axis={tuple(zone_axis)}: the structure is a single layer, without a cell vector "
            f"across it, and can only be seen along {tuple(lacking)}."
        )
    flat, length, xy = _flattened(atoms, axis)
    cell = reduced(flat)
    fractions = np.linalg.solve(cell.T, xy.T).T
    cell, places = _smallest_cell(cell, _columns(cell, fractions, atoms.contents, length))
    return Projection(atoms.formula, axis, cell, places)


def checked_zone_axis(zone_axis: Any) -> tuple[int, int, int]:
    """Refuse anything but three whole numbers that are not all 0; returned without divisor."""
    values = np.asarray(zone_axis, dtype=object).ravel().tolist()
    if len(values) == 4:
        raise ValueError(
            f"zone_axis={zone_axis!r} has four numbers: of a hexagonal direction [uvtw], give "
            "three, (u - t, v - t, w)."
        )
    whole = all(is_whole_number(value, -1000) and value <= 1000 for value in values)
    if len(values) != 3 or not whole or not any(values):
        raise ValueError(
            f"zone_axis={zone_axis!r}: give three whole numbers that are not all 0, the direction "
            "[uvw] in the cell of the structure, such as (0, 0, 1)."
        )
    divisor = gcd(*(int(value) for value in values))
    u, v, w = (int(value) // divisor for value in values)
    return u, v, w


# Reading ---------------------------------------------------------------------


def read_atoms(structure: Any) -> Atoms:
    """
    Read the atoms of one cell of a structure, as :func:`project` takes it.

    Returns
    -------
    Atoms
    """
    if isinstance(structure, str | os.PathLike):
        structure = _read_file(Path(structure))
    if hasattr(structure, "get_scaled_positions"):
        return _of_ase(structure)
    if hasattr(getattr(structure, "structure", None), "lattice"):  # a Phase of orix
        if getattr(structure, "space_group", None) is not None and hasattr(
            structure, "expand_asymmetric_unit"
        ):
            structure = structure.expand_asymmetric_unit()
        structure = structure.structure
    if hasattr(structure, "lattice") and hasattr(structure, "__iter__"):
        return _of_diffpy(structure)
    raise TypeError(f"structure is a {type(structure).__name__}: give {_KINDS}.")


def _read_file(path: Path) -> Any:
    """Read the first crystal of a CIF file."""
    if not path.is_file():
        raise FileNotFoundError(f"structure={str(path)!r}: there is no such file.")
    from ase.io import read

    try:
        return read(path, index=0, format="cif")
    except Exception as error:  # ase has many
        raise ValueError(
            f"structure={str(path)!r} is not a CIF file that ase can read "
            f"({type(error).__name__}: {error}). Give {_KINDS}."
        ) from error


def _of_ase(structure: Any) -> Atoms:
    """Read the atoms of ase, with the occupancies that its reader of CIF files keeps."""
    cell = np.array(structure.cell, dtype=float)
    lengths = np.linalg.norm(cell, axis=1)
    open_axis = None
    if (lengths == 0).sum() == 1:  # a layer: any vector across it will do
        open_axis = int(np.argmin(lengths))
        cell = np.array(structure.cell.complete(), dtype=float)
    symbols = structure.get_chemical_symbols()
    contents = [{symbol: 1.0} for symbol in symbols]
    occupancy = structure.info.get("occupancy")
    kinds = structure.arrays.get("spacegroup_kinds")
    if occupancy and kinds is not None:
        known = {str(kind): shares for kind, shares in occupancy.items()}
        contents = [
            {str(name): float(share) for name, share in known.get(str(kind), own).items()}
            for kind, own in zip(kinds, contents, strict=True)
        ]
    return _checked(cell, np.array(structure.positions, dtype=float), contents, open_axis)


def _of_diffpy(structure: Any) -> Atoms:
    """Read the atoms of a Structure of diffpy, whose elements may have a charge."""
    cell = np.array(structure.lattice.base, dtype=float)
    atoms = list(structure)
    fractions = np.array([atom.xyz for atom in atoms], dtype=float).reshape(-1, 3)
    contents = []
    for atom in atoms:
        name = re.match(r"[A-Za-z]+", str(atom.element).strip())
        contents.append({name[0].capitalize() if name else "": float(atom.occupancy)})
    return _checked(cell, fractions @ cell, contents, None)


def _checked(
    cell: np.ndarray, positions: np.ndarray, contents: list[dict[str, float]], open_axis: int | None
) -> Atoms:
    """Refuse anything but a crystal; lengths from angstroms to nanometres."""
    from ase.data import atomic_numbers

    volume = abs(np.linalg.det(cell)) if np.isfinite(cell).all() else 0.0
    if volume < 1e-3:
        raise ValueError(
            "structure has no unit cell: a crystal with three cell vectors is needed, not a "
            "molecule. Set its cell, or read it from a CIF file."
        )
    if not len(positions) or not np.isfinite(positions).all():
        raise ValueError("structure has no atoms with finite positions.")
    contents = [{_ISOTOPES.get(name, name): n for name, n in own.items()} for own in contents]
    strange = {name for own in contents for name in own if not atomic_numbers.get(name)}
    if strange:
        raise ValueError(
            f"structure has atoms of no element: {', '.join(map(repr, sorted(strange)))}."
        )
    return Atoms(cell * _ANGSTROM, positions * _ANGSTROM, tuple(contents), open_axis)


# Projecting ------------------------------------------------------------------


def _flattened(atoms: Atoms, axis: tuple[int, int, int]) -> tuple[np.ndarray, float, np.ndarray]:
    """Lattice vectors (2, 2) across the axis, the period along it, and positions (n, 2); in nm."""
    across = _across(axis)
    vectors = across @ atoms.cell
    beam = np.array(axis) @ atoms.cell
    length = float(np.linalg.norm(beam))
    beam = beam / length
    first = vectors[0] - (vectors[0] @ beam) * beam
    first /= np.linalg.norm(first)
    plane = np.stack([first, np.cross(beam, first)], axis=1)
    return vectors @ plane, length, atoms.positions @ plane


def _across(axis: tuple[int, int, int]) -> np.ndarray:
    """Two whole vectors that form a basis of all lattice vectors together with the axis."""
    u, v, w = axis
    if not u and not v:
        return np.array([[1, 0, 0], [0, 1, 0]])
    divisor, x, y = bezout(u, v)
    one, other = u // divisor, v // divisor
    _, t, s = bezout(divisor, w)
    return np.array([[-y, x, 0], [-s * one, -s * other, t]])


def bezout(a: int, b: int) -> tuple[int, int, int]:
    """
    Find the greatest common divisor of a and b, and whole x, y with x a + y b equal to it.

    Examples
    --------
    >>> bezout(6, 4)
    (2, 1, -1)
    """
    old, new = (a, 1, 0), (b, 0, 1)
    while new[0]:
        ratio = old[0] // new[0]
        old, new = new, tuple(p - ratio * q for p, q in zip(old, new, strict=True))  # type: ignore
    sign = -1 if old[0] < 0 else 1
    return sign * old[0], sign * old[1], sign * old[2]


def reduced(cell: np.ndarray) -> np.ndarray:
    """
    Find the shortest vectors of the same lattice.

    Parameters
    ----------
    cell : numpy.ndarray of shape (2, 2)
        Vectors, one per row.

    Returns
    -------
    numpy.ndarray of shape (2, 2)
        The shorter one first, towards +x; the other one follows by 60 to 120 degrees towards +y.

    Examples
    --------
    >>> reduced(np.array([[1.0, 0.0], [3.0, 1.5]]))
    array([[1. , 0. ],
           [0. , 1.5]])
    """
    a, b = np.array(cell, dtype=float)
    while True:
        if a @ a > b @ b * (1 + 1e-9):
            a, b = b, a
        steps = np.round(a @ b / (a @ a) - 1e-9)
        if not steps:
            break
        b = b - steps * a
    if a[0] < -1e-9 * abs(a[1]) or (abs(a[0]) <= 1e-9 * abs(a[1]) and a[1] < 0):
        a = -a
    if a[0] * b[1] < a[1] * b[0]:
        b = -b
    return np.stack([a, b])


def periodic_differences(one: np.ndarray, other: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """
    Find the shortest vectors between places of a lattice.

    Parameters
    ----------
    one, other : numpy.ndarray of shape (..., 2)
        Fractions of the cell vectors.
    cell : numpy.ndarray of shape (2, 2)
        Reduced, see :func:`reduced`.

    Returns
    -------
    numpy.ndarray of shape (..., 2)
        From `one` to `other`, in the unit of the cell.
    """
    steps = np.asarray(other) - np.asarray(one)
    steps = steps - np.round(steps)
    around = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
    vectors = (steps[..., None, :] + around) @ cell
    nearest = (vectors**2).sum(axis=-1).argmin(axis=-1)
    return np.take_along_axis(vectors, nearest[..., None, None], axis=-2)[..., 0, :]


def _columns(
    cell: np.ndarray,
    fractions: np.ndarray,
    contents: tuple[dict[str, float], ...],
    length: float,
) -> list[ProjectedPlace]:
    """Join atoms that overlap in projection; the brightest place first."""
    from ase.data import atomic_numbers

    apart = periodic_differences(fractions[:, None], fractions[None], cell)
    joined = csr_matrix(np.linalg.norm(apart, axis=-1) < _OVERLAP)
    count, label = connected_components(joined, directed=False)
    charge = np.array([
        sum(share * atomic_numbers[name] ** EXPONENT for name, share in own.items())
        for own in contents
    ])  # fmt: skip
    places = []
    for number in range(count):
        members = np.flatnonzero(label == number)
        first = fractions[members[0]]
        off = np.linalg.solve(cell.T, apart[members[0], members].T).T
        weights = charge[members] + 1e-12
        bright: dict[str, float] = {}
        atoms: dict[str, float] = {}
        for member in members:
            for name, share in contents[member].items():
                atoms[name] = atoms.get(name, 0.0) + share / length
                bright[name] = bright.get(name, 0.0) + share * atomic_numbers[name] ** EXPONENT
        names = [name for name in sorted(bright, key=lambda n: -bright[n]) if bright[name] > 0]
        if not names:  # not occupied
            continue
        places.append(
            ProjectedPlace(
                "/".join(names),
                tuple(first + weights @ off / weights.sum()),
                charge[members].sum() / length,
                atoms,
            )
        )
    # Ties go by place, so that the order does not depend on rounding.
    return sorted(places, key=lambda place: (-round(place.weight, 6), place.element))


def _smallest_cell(
    cell: np.ndarray, places: list[ProjectedPlace]
) -> tuple[np.ndarray, tuple[ProjectedPlace, ...]]:
    """Cell of the translations that the projection has, with one place of each kind."""
    positions = np.array([place.position for place in places])
    kinds = [tuple(sorted((n, round(a, 3)) for n, a in place.atoms.items())) for place in places]
    number = np.array([kinds.index(kind) for kind in kinds])
    rarest = min(Counter(number).items(), key=lambda item: (item[1], item[0]))[0]
    same_kind = number[:, None] == number[None]
    shifts = []
    for shift in positions[number == rarest] - positions[number == rarest][0]:
        moved = positions + shift
        distance = np.linalg.norm(
            periodic_differences(moved[:, None], positions[None], cell), axis=-1
        )
        if np.where(same_kind, distance, np.inf).min(axis=1).max() < _SAME:
            shifts.append(shift - np.round(shift))
    steps = [[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    points = np.concatenate([shift + np.array(steps) for shift in shifts]) @ cell
    points = points[np.argsort((points**2).sum(axis=1), kind="stable")][1:]
    first = points[0]
    across = np.abs(first[0] * points[:, 1] - first[1] * points[:, 0])
    area = abs(np.linalg.det(cell)) / len(shifts)
    small = reduced(np.stack([first, points[np.argmax(across > 0.5 * area)]]))
    fractions = np.linalg.solve(small.T, (positions @ cell).T).T
    kept: list[int] = []
    for k in range(len(places)):
        near = periodic_differences(fractions[k], fractions[kept], small) if kept else np.zeros(0)
        if not kept or np.linalg.norm(near, axis=-1).min() > _SAME:
            kept.append(k)
    origin = fractions[kept[0]]
    return small, tuple(
        ProjectedPlace(
            places[k].element,
            tuple(_in_cell(fractions[k] - origin).tolist()),
            places[k].weight,
            places[k].atoms,
        )
        for k in kept
    )


def _in_cell(fractions: np.ndarray) -> np.ndarray:
    """Fractions from 0 to 1, those of rounding errors below 1 as 0."""
    inside = np.mod(fractions, 1)
    return np.where(inside > 1 - 1e-6, 0.0, inside)
