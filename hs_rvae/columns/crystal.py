# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The crystal that a search for columns found: lattice, basis, grains, and other columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .projection import ProjectedPlace


@dataclass(frozen=True)
class Place:
    """A sublattice as a place in the average cell.

    Attributes
    ----------
    name : str
        Name of the sublattice: "A", "B", "C", ... by descending brightness.
    position : tuple of float
        Fractions of the two cell vectors, from 0 to 1; "A" is at (0, 0).
    count : int
        Number of columns.
    height : float
        Median peak height, in the intensity of the image.
    occupied : float
        Share of the cells inside the grains that hold a column at this place, 0 to 1.
    element : str, optional
        Elements of the column, such as "Ti" or "Bi/La", where the structure is known.
    """

    name: str
    position: tuple[float, float]
    count: int
    height: float
    occupied: float
    element: str | None = None


@dataclass(frozen=True)
class Grain:
    """A region of one lattice with one origin.

    Attributes
    ----------
    number : int
        As in the column ``grain`` of the tables; 0 is the largest.
    cell : numpy.ndarray of shape (2, 2)
        Average cell vectors ``(x, y)`` in pixels, one per row.
    count : int
        Number of columns.
    """

    number: int
    cell: np.ndarray
    count: int


@dataclass(frozen=True)
class KnownStructure:
    """A known crystal on the columns of an image, as ``lattice.crystal.structure``.

    Attributes
    ----------
    formula : str
    zone_axis : tuple of int
        It points to the viewer; the reverse of the given one if that fits better.
    nominal : numpy.ndarray of shape (2, 2)
        The vectors of the found cell as the structure has them, in nm.
    measured : numpy.ndarray of shape (2, 2)
        The same in the image, px.
    scale : float
        Width of a pixel by the structure, in nm (of one with the same area).
    stretch : numpy.ndarray of shape (2, 2)
        What turns the nominal cell into the measured one, without the turn. Its determinant is 1
        if the image is not calibrated.
    missing : tuple of ProjectedPlace
        Places that this contrast shows, and that were not found.
    faint : tuple of ProjectedPlace
        Places that this contrast may not show, and that were not found.
    corrected : bool
        Whether the stretch is taken out of displacements, cells and angles.
    cautions : tuple of str
    """

    formula: str
    zone_axis: tuple[int, int, int]
    nominal: np.ndarray
    measured: np.ndarray
    scale: float
    stretch: np.ndarray
    missing: tuple[ProjectedPlace, ...] = ()
    faint: tuple[ProjectedPlace, ...] = ()
    corrected: bool = False
    cautions: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Crystal:
    """The crystal that a search found, as ``lattice.crystal`` of an Atomap lattice.

    Attributes
    ----------
    cell : numpy.ndarray of shape (2, 2)
        Cell vectors ``(x, y)`` of the largest grain in pixels, one per row.
    places : tuple of Place
        The basis, "A" first.
    grains : tuple of Grain
        The largest first.
    unassigned : pandas.DataFrame
        Columns that belong to no lattice (boundaries, other phases, interstitials, noise), refined,
        with the same columns as a ``column_table`` and ``grain`` -1.
    n_maxima : int
        Maxima of the image that stand out from its noise.
    cautions : tuple of str
        Warnings of the search, one sentence each.
    structure : KnownStructure, optional
        The known crystal that names the places, and how the image differs from it.
    """

    cell: np.ndarray
    places: tuple[Place, ...]
    grains: tuple[Grain, ...]
    unassigned: pd.DataFrame = field(repr=False)
    n_maxima: int = 0
    cautions: tuple[str, ...] = ()
    structure: KnownStructure | None = None
