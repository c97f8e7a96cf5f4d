# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Oxygen columns of a perovskite, and the tilts of the octahedra that they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from .distortions import FieldMaker
from .domains import Domains
from .film_settings import FilmSettings
from .lattices import cell_coordinates

#: Between two B columns each, in cells.
OXYGEN_PLACES = [(0.0, 0.5), (0.5, 0.0)]


@dataclass
class OctahedralTilts:
    """
    Rotations of the octahedra around B columns, about the beam.

    Attributes
    ----------
    angle : numpy.ndarray, shape (n,)
        In degrees, positive from +x towards +y; 0 without tilts.
    domain : numpy.ndarray of int, shape (n,)
        Antiphase domain, 0 or 1; -1 without tilts.
    wall_distance : numpy.ndarray, shape (n,)
        From the wall between antiphase domains, in cells; infinite without one.
    """

    angle: np.ndarray
    domain: np.ndarray
    wall_distance: np.ndarray

    @classmethod
    def draw(
        cls,
        b: np.ndarray,
        origin: np.ndarray,
        size: np.ndarray,
        field: FieldMaker,
        film: FilmSettings,
    ) -> OctahedralTilts:
        """Tilts of alternating sign, of smoothly varying size, in antiphase domains."""
        n = len(b)
        if not film.octahedral_tilt:
            return cls(np.zeros(n), np.full(n, -1), np.full(n, np.inf))
        lattice = np.array([[1.0, 0.0], [0.0, film.aspect]])
        cells = np.floor(cell_coordinates(b, lattice, origin, film)).astype(int)
        sign = np.where(cells.sum(axis=1) % 2 == 0, 1.0, -1.0)
        share, domain, wall = np.ones(n), np.zeros(n, int), np.full(n, np.inf)
        if film.antiphase_tilts:
            two = replace(
                film, order="domains", directions=None, shares=None, n_variants=2, layers=None
            )
            domain, _, wall, share = Domains.draw(size, origin, field.rng, two).nearest(b)
            share = (2 * share[:, 0] - 1) * np.where(domain == 0, 1.0, -1.0)
        smooth = field(5 * film.cell, uniform=True)(b)
        large = 1 - film.tilt_variation * (1 + smooth) / 2
        return cls(film.octahedral_tilt * sign * share * large, domain.copy(), wall)

    def of_oxygen(self, oxygen: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Displacements (n, 2) in px of oxygen columns, each shared by two octahedra."""
        if len(b) < 2 or not self.angle.any():
            return np.zeros_like(oxygen)
        nearest = cKDTree(b).query(oxygen, k=2)[1]
        arm = oxygen[:, None] - b[nearest]
        length = np.linalg.norm(arm, axis=2)
        # A column at the rim of the crystal belongs to one octahedron only.
        near = (length < 1.3 * length[:, :1])[:, :, None]
        turned = np.stack([-arm[..., 1], arm[..., 0]], 2)
        turned = turned * np.tan(np.radians(self.angle[nearest]))[:, :, None]
        return (turned * near).sum(axis=1) / near.sum(axis=1)
