# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Displacements of columns from their places at rest: dislocations and smooth random fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from .lattices import turn_matrix


def dislocation_field(
    xy: np.ndarray, core: tuple[float, float], cell: float, rotation: float, poisson: float = 0.3
) -> np.ndarray:
    """Displacement around an edge dislocation in an isotropic medium.

    J. P. Hirth, J. Lothe, Theory of Dislocations, section 3-5. The cut, across which columns move
    by one cell, lies along the negative first edge of the cell.
    """
    turn = turn_matrix(rotation)
    x, y = (turn @ (xy - np.asarray(core, float)).T) / cell
    square = np.maximum(x**2 + y**2, 0.01)
    along = np.arctan2(y, x) + x * y / (2 * (1 - poisson) * square)
    across = (1 - 2 * poisson) * np.log(square) + (x**2 - y**2) / square
    field = np.stack([along, -across / (4 * (1 - poisson))], 1)
    return cell / (2 * np.pi) * field @ turn


def bending_field(xy: np.ndarray, bending: float, size: np.ndarray) -> np.ndarray:
    """Displacement of pure bending: rows of the lattice turn by `bending` degrees along x."""
    curvature = np.radians(bending) / size[0]
    x, y = (xy - size / 2).T
    return curvature * np.stack([-x * y, x**2 / 2], 1)


class FieldMaker:
    """Smooth random fields of unit variance (or uniform in [-1, 1]), as functions of position."""

    def __init__(
        self, rng: np.random.Generator, size: np.ndarray, margin: float, cell: float
    ) -> None:
        self.rng, self.margin, self.grid = rng, margin, cell
        self.n = np.ceil((size + 2 * margin) / self.grid).astype(int)[::-1] + 1

    def __call__(self, length: float, uniform: bool = False) -> _Field:
        """One field with details of `length` px; a function of positions (n, 2)."""
        noise = gaussian_filter(
            self.rng.standard_normal(self.n), length / self.grid / 2, mode="reflect"
        )
        noise = (noise - noise.mean()) / (noise.std() + 1e-12)
        if uniform:
            noise = (
                2 * noise.ravel().argsort().argsort().reshape(noise.shape) / (noise.size - 1) - 1
            )
        return _Field(noise, self.margin, self.grid)


@dataclass
class _Field:
    values: np.ndarray
    margin: float
    grid: float

    def __call__(self, xy: np.ndarray) -> np.ndarray:
        where = (xy[:, ::-1].T + self.margin) / self.grid
        return map_coordinates(self.values, where, order=1, mode="nearest")

    def __mul__(self, factor: float) -> _Field:
        return _Field(self.values * factor, self.margin, self.grid)

    def __rmul__(self, factor: float) -> _Field:
        return self * factor

    def __radd__(self, constant: float) -> _Field:
        return _Field(self.values + constant, self.margin, self.grid)
