# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ferroelastic domains: strains that fit together at straight walls, and the true strain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hs_rvae.modes.deformation import rotation_and_strain, shell_inverse

from .film_settings import FilmSettings


@dataclass
class _Lamination:
    """
    Layers sheared to and fro along their walls.

    Attributes
    ----------
    normal : numpy.ndarray, shape (2,)
        Normal of the walls.
    walls : numpy.ndarray, shape (n,)
        Places along the normal, in px, ascending.
    first : int
        Sign of the shear before the first wall.
    width : float
        Half width of a wall, in px.
    """

    normal: np.ndarray
    walls: np.ndarray
    first: int
    width: float

    def integral(self, xy: np.ndarray) -> np.ndarray:
        """Integral of the sign, smooth at the walls, along the normal; px, shape (n,)."""
        along = (xy @ self.normal)[:, None] - self.walls
        step = self.width * (np.logaddexp(along / self.width, -along / self.width) - np.log(2))
        turns = (-1.0) ** np.arange(len(self.walls))
        return self.first * (xy @ self.normal - (turns * (along + step)).sum(axis=1))

    def sign(self, xy: np.ndarray) -> np.ndarray:
        """Sign of the shear, 1 or -1, shape (n,)."""
        return self.first * (-1) ** np.searchsorted(self.walls, xy @ self.normal)

    def distance(self, xy: np.ndarray) -> np.ndarray:
        """Distance from the nearest wall, in px, shape (n,)."""
        return np.abs((xy @ self.normal)[:, None] - self.walls).min(axis=1)


@dataclass
class Twins:
    """Ferroelastic domains of one or, for four twins, two sets of crossing walls."""

    film: FilmSettings
    sets: list[_Lamination]

    @classmethod
    def draw(cls, size: np.ndarray, rng: np.random.Generator, film: FilmSettings) -> Twins:
        """Walls about a domain's size apart, across 45 degrees from the axes."""
        mean = film.domain_size * film.cell
        reach, sets = np.hypot(*size) + mean, []
        for axis in _axes(film):
            normal = np.array([np.cos(axis + np.pi / 4), np.sin(axis + np.pi / 4)])
            gaps = mean * rng.uniform(0.7, 1.3, int(np.ceil(2 * reach / (0.7 * mean))))
            walls = size @ normal / 2 - reach + np.cumsum(gaps)
            sets.append(
                _Lamination(normal, walls, int(rng.choice([-1, 1])), film.wall_width * film.cell)
            )
        return cls(film, sets)

    def displacement(self, xy: np.ndarray) -> np.ndarray:
        """Displacement (n, 2) in px."""
        # Two sets of walls add two strains 45 degrees apart in their axes' double angle.
        shear = 2 * self.film.twin_strain / np.sqrt(len(self.sets))
        along = [np.array([one.normal[1], -one.normal[0]]) for one in self.sets]
        parts = [
            shear * one.integral(xy)[:, None] * wall
            for one, wall in zip(self.sets, along, strict=True)
        ]
        return np.sum(parts, axis=0)

    def truth(self, xy: np.ndarray) -> dict[str, np.ndarray]:
        """Twin, axis (rad) and distance from the nearest wall (cells) of each place."""
        axes = zip(self.sets, _axes(self.film), strict=True)
        both = sum(one.sign(xy) * np.exp(2j * axis) for one, axis in axes)
        turn = np.angle(both * np.exp(-2j * _first_axis(self.film))) / 2
        variant = np.round(turn / (np.pi / self.film.n_twins)).astype(int) % self.film.n_twins
        return {
            "strain_variant": variant,
            "strain_angle": np.angle(both) / 2,
            "strain_wall_distance": np.min([one.distance(xy) for one in self.sets], axis=0)
            / self.film.cell,
        }


def _first_axis(film: FilmSettings) -> float:
    """Axis of the longer edge in twin 0, in radians."""
    return float(np.radians(film.rotation + film.twin_axis))


def _axes(film: FilmSettings) -> list[float]:
    """Axis of the strain of each set of walls, in radians."""
    axis = _first_axis(film)
    return [axis] if film.n_twins == 2 else [axis - np.pi / 8, axis + np.pi / 8]


def surroundings(rest: np.ndarray, moved: np.ndarray, sites: np.ndarray) -> dict[str, np.ndarray]:
    """
    Rotation and strain of the columns around each site, against their places at rest.

    Parameters
    ----------
    rest, moved : numpy.ndarray, shape (n, 2)
        Columns of the other sublattice, in px.
    sites : numpy.ndarray, shape (n_sites, 2)
        Places of the sites at rest, in px.

    Returns
    -------
    dict of str to numpy.ndarray, shape (n_sites,)
    """
    names = ("rotation", "strain_xx", "strain_yy", "strain_xy")
    if not len(sites) or len(rest) < 6:
        return {name: np.full(len(sites), np.nan) for name in names}
    distance, index = cKDTree(rest).query(sites, k=6)
    shell = distance < 1.2 * distance[:, :1]
    number = int(np.median(shell.sum(axis=1)))
    around = index[:, : max(number, 3)]
    displacement = moved[around] - rest[around]
    gradient = np.swapaxes(shell_inverse(rest[around]) @ displacement, -1, -2)
    rotation, strain = rotation_and_strain(gradient)
    return dict(zip(names, (rotation, *strain.T), strict=True))
