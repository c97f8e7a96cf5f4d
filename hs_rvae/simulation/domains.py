# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of the order parameter: domains with walls, vortices, antiparallel lamellae."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from .film_settings import FilmSettings
from .lattices import cell_coordinates, layer_coordinate, turn_matrix


@dataclass
class OrderParameter:
    """
    Displacements of all columns, and the truth about those of the B columns.

    Attributes
    ----------
    a_moved, b_moved : numpy.ndarray, shape (n, 2)
        Columns from their places at rest, in px.
    displacement : numpy.ndarray, shape (n, 2)
        B columns from the mean of their A neighbours, in px.
    order, angle, wall_distance : numpy.ndarray, shape (n,)
        B columns: length in units of the shift, direction in radians, distance in cells.
    variant : numpy.ndarray of int, shape (n,)
    n_variants : int
    chirality : numpy.ndarray of int, shape (n,)
        Sign of the rotation of the A columns around a B column; 0 except for lamellae.
    """

    a_moved: np.ndarray
    b_moved: np.ndarray
    displacement: np.ndarray
    order: np.ndarray
    variant: np.ndarray
    angle: np.ndarray
    wall_distance: np.ndarray
    n_variants: int
    chirality: np.ndarray


def order_parameter(
    a: np.ndarray,
    b: np.ndarray,
    origin: np.ndarray,
    size: np.ndarray,
    rng: np.random.Generator,
    film: FilmSettings,
) -> OrderParameter:
    """Displacement of every column: the pattern of the film, times its polar share."""
    pattern = _PATTERNS[film.order].draw(size, origin, rng, film)
    polar = _Polar.draw(size, origin, rng, film)
    vector, variant, angle, wall = pattern.at(b)
    share, outside = polar.at(b)
    if share is not None:
        vector *= share[:, None]
        variant[outside < 0], angle[outside < 0] = -1, np.nan
        wall = np.minimum(wall, np.abs(outside))
    a_moved = np.zeros_like(a)
    b_moved = displacement = film.shift * vector
    chirality = np.zeros(len(b), int)
    if isinstance(pattern, _Lamellae):
        a_moved, b_moved = pattern.of_a_columns(a), np.zeros_like(b)
        share, _ = polar.at(a)
        if share is not None:
            a_moved *= share[:, None]
        if len(b):
            around = cKDTree(a).query(b, k=4)[1]
            vector = -a_moved[around].mean(axis=1)
            chirality = np.where(variant < 0, 0, _turns(a[around] - b[:, None], a_moved[around]))
        a_moved, displacement = film.shift * a_moved, film.shift * vector
    return OrderParameter(
        a_moved,
        b_moved,
        displacement,
        np.linalg.norm(vector, axis=1),
        variant,
        angle,
        wall,
        pattern.n_variants,
        chirality,
    )


def _turns(arms: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Sign of the rotation of the columns around each site, 1 from +x towards +y, shape (n,)."""
    turn = arms[..., 0] * moved[..., 1] - arms[..., 1] * moved[..., 0]
    return np.sign(turn.sum(axis=1)).astype(int)


@dataclass
class Domains:
    """Domains of variants, each around its seeds, with walls that go as tanh."""

    film: FilmSettings
    seeds: np.ndarray
    seed_kind: np.ndarray
    well: np.ndarray

    @classmethod
    def draw(
        cls, size: np.ndarray, origin: np.ndarray, rng: np.random.Generator, film: FilmSettings
    ) -> Domains:
        """Random seeds, shared out to the kinds of domains."""
        kinds = film.n_domain_kinds
        area = np.prod(size) / film.cell**2
        n_domains = max(2 * kinds, int(round(area / film.domain_size**2)))
        seeds = rng.uniform(-0.1, 1.1, (n_domains, 2)) * size
        if film.shares is None:
            seed_kind = np.arange(n_domains) % kinds
        else:
            seed_kind = np.repeat(np.arange(kinds), _counts(film.shares, n_domains))
        if film.directions is None:
            well = np.radians(film.rotation + film.direction)
            well = well + 2 * np.pi / film.n_variants * np.arange(film.n_variants)
        else:
            well = np.radians(film.rotation + np.array(film.directions, float))
        return cls(film, seeds, rng.permutation(seed_kind), well)

    @property
    def n_variants(self) -> int:
        """Number of directions."""
        return len(self.well)

    def at(self, xy: np.ndarray) -> tuple[np.ndarray, ...]:
        """Unit displacements (n, 2), variants, directions of the variants, distances from walls."""
        first, second, wall, share = self.nearest(xy)
        unit = np.stack([np.cos(self.well), np.sin(self.well)], 1)
        vector = unit[first] * share + unit[second] * (1 - share)
        return vector, first.copy(), np.angle(np.exp(1j * self.well[first])), wall

    def nearest(self, xy: np.ndarray) -> tuple[np.ndarray, ...]:
        """The two nearest kinds of domains, the distance from their wall, and the share."""
        # The wall is where the nearest seed of another variant is as near as the nearest seed.
        kinds = max(self.film.n_domain_kinds, 2)
        distance = np.full((len(xy), kinds), np.inf)
        for kind in np.unique(self.seed_kind):
            seeds = self.seeds[self.seed_kind == kind]
            distance[:, kind] = np.linalg.norm(xy[:, None] - seeds, axis=2).min(1)
        ranked = np.argsort(distance, 1)
        rows = np.arange(len(xy))
        first, second = ranked[:, 0], ranked[:, 1]
        wall = (distance[rows, second] - distance[rows, first]) / 2 / self.film.cell
        second = np.where(np.isfinite(wall), second, first)  # a film of one domain
        share = 0.5 * (1 + np.tanh(wall / self.film.wall_width))[:, None]
        return first, second, wall, share


def _counts(shares: Sequence[float], n: int) -> np.ndarray:
    """Whole numbers that add up to n, as near to the shares as they can be."""
    exact = np.asarray(shares, float) / np.sum(shares) * n
    counts = np.floor(np.round(exact, 9)).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return counts


@dataclass
class _Vortices:
    """Vortices on a square grid along the edges of the cell, neighbours turning oppositely."""

    film: FilmSettings
    phase: np.ndarray
    n_variants: int = 1

    @classmethod
    def draw(
        cls, size: np.ndarray, origin: np.ndarray, rng: np.random.Generator, film: FilmSettings
    ) -> _Vortices:
        """A grid with a random origin."""
        return cls(film, rng.uniform(0, 2 * np.pi, 2))

    def at(self, xy: np.ndarray) -> tuple[np.ndarray, ...]:
        """Same as in domains; the direction is that of the site, and there are no walls."""
        film, turn = self.film, turn_matrix(self.film.rotation)
        period = 2 * film.domain_size * film.cell
        x, y = 2 * np.pi * (xy @ turn.T).T / period + self.phase[:, None]
        flow = np.stack([np.sin(x) * np.cos(y), -np.cos(x) * np.sin(y)], 1) @ turn
        # The length falls to 0 within a core, and where four vortices meet.
        core = np.pi * film.wall_width / film.domain_size
        vector = flow / np.maximum(np.linalg.norm(flow, axis=1, keepdims=True), core)
        angle = np.arctan2(flow[:, 1], flow[:, 0])
        return vector, np.zeros(len(xy), int), angle, np.full(len(xy), np.inf)


@dataclass
class _Lamellae:
    """Twins of lamellae along the two diagonals, two cells wide, displaced to and fro."""

    film: FilmSettings
    twins: Domains
    origin: np.ndarray
    n_variants: int = 4

    @classmethod
    def draw(
        cls, size: np.ndarray, origin: np.ndarray, rng: np.random.Generator, film: FilmSettings
    ) -> _Lamellae:
        """Domains of two kinds: the diagonals."""
        return cls(film, Domains.draw(size, origin, rng, film), origin)

    def at(self, xy: np.ndarray) -> tuple[np.ndarray, ...]:
        """Same as in domains; variants n and n + 2 are the two signs of twin n."""
        twin, _, wall, _ = self.twins.nearest(xy)
        # Of the four A columns around a B column three are displaced alike.
        cells = np.floor(self._cells(xy)) + np.array([0.0, 1.0]) * (twin == 1)[:, None]
        opposite = _signs(cells)[np.arange(len(xy)), twin] > 0
        variant = twin + 2 * opposite
        well = np.radians(self.film.rotation + self.film.direction) + np.pi / 2 * variant
        vector = np.stack([np.cos(well), np.sin(well)], 1)
        return vector, variant, np.angle(np.exp(1j * well)), wall

    def of_a_columns(self, a: np.ndarray) -> np.ndarray:
        """Displacements of A columns, twice those of the B columns against them."""
        first, second, _, share = self.twins.nearest(a)
        sign = _signs(np.round(self._cells(a)))
        well = np.radians(self.film.rotation + self.film.direction) + np.pi / 2 * np.arange(2)
        both = 2 * sign[:, :, None] * np.stack([np.cos(well), np.sin(well)], 1)
        rows = np.arange(len(a))
        return both[rows, first] * share + both[rows, second] * (1 - share)

    def _cells(self, xy: np.ndarray) -> np.ndarray:
        lattice = np.array([[1.0, 0.0], [0.0, self.film.aspect]])
        return cell_coordinates(xy, lattice, self.origin, self.film)


def _signs(cells: np.ndarray) -> np.ndarray:
    """++-- across the lamellae along both diagonals, shape (n, 2)."""
    across = np.stack([cells[:, 0] - cells[:, 1], cells[:, 0] + cells[:, 1]], 1)
    return np.where(np.mod(across, 4) < 2, 1.0, -1.0)


@dataclass
class _Polar:
    """Share of the displacement in a disk and in layers that are not polar."""

    film: FilmSettings
    origin: np.ndarray
    disk: tuple[np.ndarray, float] | None

    @classmethod
    def draw(
        cls, size: np.ndarray, origin: np.ndarray, rng: np.random.Generator, film: FilmSettings
    ) -> _Polar:
        """A disk somewhere near the middle, if the film has one."""
        disk = None
        if film.nonpolar > 0:
            radius = np.sqrt(film.nonpolar * np.prod(size) / np.pi)
            disk = size / 2 + 0.1 * size * rng.uniform(-1, 1, 2), radius
        return cls(film, origin, disk)

    def at(self, xy: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Share (n,), None if all is polar, and distance from the nonpolar parts, in cells."""
        width, outside = self.film.wall_width, np.full(len(xy), np.inf)
        share = None
        if self.disk is not None:
            centre, radius = self.disk
            outside = (np.linalg.norm(xy - centre, axis=1) - radius) / self.film.cell
            share = 0.5 * (1 + np.tanh(outside / width))
        if self.film.polar_layers is not None:
            in_layers, distance = _layers_at(xy, self.origin, self.film)
            share = in_layers if share is None else share * in_layers
            outside = np.minimum(outside, distance)
        return share, outside


def _layers_at(
    xy: np.ndarray, origin: np.ndarray, film: FilmSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the displacement in the layers, and distance from layers without, in cells."""
    cells, share = np.array(film.polar_layers, float).T
    along = layer_coordinate(xy, origin, film)
    repeats = np.arange(
        np.floor(along.min() / cells.sum()) - 1, np.ceil(along.max() / cells.sum()) + 2
    )
    edges = (repeats[:, None] * cells.sum() + np.cumsum(cells) - cells).ravel()
    shares = np.tile(share, len(repeats))
    steps = np.diff(shares)
    rise = 0.5 * (1 + np.tanh((along[:, None] - edges[1:]) / film.wall_width))
    smooth = shares[0] + rise @ steps
    layer = np.searchsorted(edges, along, side="right") - 1
    changes = edges[1:][(shares[1:] > 0) != (shares[:-1] > 0)]
    if not len(changes):
        return smooth, np.full(len(xy), np.inf)
    distance = np.abs(along[:, None] - changes).min(axis=1)
    return smooth, np.where(shares[layer] > 0, distance, -distance)


_PATTERNS: dict[str, type[Domains] | type[_Vortices] | type[_Lamellae]] = {
    "domains": Domains,
    "vortices": _Vortices,
    "antiparallel": _Lamellae,
}
