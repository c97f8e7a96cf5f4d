# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walls between domains: place, length, direction, width and jump of the displacement.

A wall stands where lattice neighbours are in different domains. It is divided where it turns. Its
normal points from the first domain to the second. The width is w of tanh(x / w), fitted to the
displacement across the wall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from hs_rvae.neighbours import linked_groups, neighbour_pairs
from hs_rvae.threads import side_by_side

from .lattice import SiteLattice

#: Width in cells below which columns a cell apart do not resolve a wall.
NARROW = 0.5

_LINKED = 3.2  # cells between bonds of one wall, in which single sites may be in no domain
_FEWEST_BONDS = 3  # of a wall
_STRAIGHT = 0.9  # resultant of the normals of a wall, below which it is divided in two
_FEWEST_OF_PIECE = 5  # bonds
_AROUND = 2.6  # cells: sites that give the normal of a wall
_ALONG = 3.0  # cells: bonds along a wall that give its local place,
_BROAD = 1.5  # ... or, if it is broader than so many cells,
_ALONG_WIDTHS = 2.0  # ... within so many of its widths
_FEET = 2  # steps to the place of a wall beside a site
_REACH = 14.0  # cells: sites on both sides that the profile is fitted to,
_REACH_WIDTHS = 7.0  # ... or, if the wall is broad, so many widths: the sides give its height
_BESIDE = 1.5  # cells beyond the end of a wall
_OTHER = 1.0  # cells: a site nearer to another wall, or this much farther from it, is left out
_FEWEST = 16  # sites of a profile,
_FEWEST_OF_SIDE = 5  # ... and of each side of the wall
_WIDTHS = np.geomspace(0.08, 10.0, 50)  # cells
_SHIFTS = np.linspace(-2.0, 2.0, 41)  # cells
_DIGITS = 12  # of squares of which the least is sought: among equal ones the first, always
_OUTLIER = 4.0  # standard deviations
_FLAT_FROM = 1.5  # widths: the sites of the jump are farther from the wall
_CHARGED = 0.2  # minimum share of the jump along the normal, and
_CERTAIN = 3.0  # ... in standard errors


@dataclass
class Wall:
    """
    One wall.

    Attributes
    ----------
    domains : tuple of int
        Numbers of the two domains, ascending.
    points : numpy.ndarray, shape (k, 2)
        Middles of the bonds that cross it, in px.
    segments : numpy.ndarray, shape (k, 2, 2)
        Ends of the edges of the cells along it, in px.
    position, normal : numpy.ndarray, shape (2,)
        Middle in px, and unit vector from the first domain to the second.
    length : float
        In px.
    normal_std : float
        Standard error of the direction of the normal, in radians.
    width, width_std : float
        In cells; NaN where there are too few displacements.
    jump, jump_std : float
        Component along the normal of the displacement of the second domain less that of the first,
        in the unit of the displacements.
    charged : bool
    """

    domains: tuple[int, int]
    points: np.ndarray
    segments: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    length: float
    normal_std: float
    width: float = np.nan
    width_std: float = np.nan
    jump: float = np.nan
    jump_std: float = np.nan
    charged: bool = False


def find_walls(
    lattice: SiteLattice,
    domain: np.ndarray,
    displacement: np.ndarray | None = None,
    expected: np.ndarray | None = None,
) -> list[Wall]:
    """
    Find and measure the walls of one grain of one image.

    Parameters
    ----------
    lattice : SiteLattice
    domain : numpy.ndarray of int, shape (n,)
        Domain of each site, -1 = none.
    displacement : numpy.ndarray, shape (n, 2), optional
        In any unit; NaN where there is none. If None, width and jump are NaN.
    expected : numpy.ndarray, shape (n_domains, n, 2), optional
        Displacement of each site if it were in each domain. If None, the mean of the domain.

    Returns
    -------
    list of Wall
        The longest first.

    Examples
    --------
    >>> from hs_rvae.domains.lattice import site_lattice
    >>> y, x = np.indices((12, 20))
    >>> lattice = site_lattice(20.0 * np.column_stack([x.ravel(), y.ravel()]))
    >>> profile = np.tanh((x.ravel() - 9.5) / 2.0)
    >>> u = np.column_stack([profile, 0 * profile])
    >>> wall = find_walls(lattice, (x.ravel() > 9.5).astype(int), u)[0]
    >>> round(float(wall.position[0]) / 20, 1), round(wall.length / 20, 1), round(wall.width, 1)
    (9.5, 12.0, 2.0)
    """
    first, second = lattice.pairs.T
    crossing = (domain[first] != domain[second]) & (domain[first] >= 0) & (domain[second] >= 0)
    bonds, kinds = lattice.pairs[crossing], lattice.kinds[crossing]
    flip = domain[bonds[:, 0]] > domain[bonds[:, 1]]
    bonds[flip] = bonds[flip][:, ::-1]
    middles, sides = lattice.xy[bonds].mean(1), domain[bonds]
    tree_of = cache(lambda number: cKDTree(lattice.xy[domain == number]))
    walls = []
    for two in np.unique(sides, axis=0):
        rows = np.flatnonzero((sides == two).all(1))
        pairs = neighbour_pairs(middles[rows], _LINKED * lattice.size)
        group = linked_groups(pairs, len(rows))
        for number in range(group.max() + 1):
            own = rows[group == number]
            if len(own) >= _FEWEST_BONDS:
                normals = _normals([tree_of(k) for k in two], middles[own], lattice.size)
                pieces = _straight_pieces(middles[own], normals, lattice.size)
                walls += [(two, own[piece], normals[piece]) for piece in pieces]
    around = _Surroundings(lattice, domain, middles, displacement)

    def measured(wall: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Wall:
        return _Measurement(around, wall, kinds).wall(displacement, expected)

    return sorted(side_by_side(measured, walls), key=lambda wall: -wall.length)


def _normals(sites: Sequence[cKDTree], points: np.ndarray, size: float) -> np.ndarray:
    """Unit vectors (k, 2) at points of a wall, from the sites of the first domain to the second."""
    centres = [_means_of(tree.data, tree.query_ball_point(points, _AROUND * size))
               for tree in sites]  # fmt: skip
    apart = centres[1] - centres[0]
    return np.asarray(apart / np.maximum(np.hypot(*apart.T), 1e-9)[:, None])


def _straight_pieces(points: np.ndarray, normals: np.ndarray, size: float) -> list[np.ndarray]:
    """Numbers of the bonds of each straight piece of a wall."""
    whole = np.arange(len(points))
    mean = normals.mean(0)
    if np.hypot(*mean) > _STRAIGHT or len(points) < 2 * _FEWEST_OF_PIECE:
        return [whole]
    axis = np.linalg.eigh(np.cov(normals.T))[1][:, 1]
    first = (normals - mean) @ axis > 0
    for _ in range(5):  # two means
        if first.all() or not first.any():
            return [whole]
        apart = normals[first].mean(0) - normals[~first].mean(0)
        first = (normals - (normals[first].mean(0) + normals[~first].mean(0)) / 2) @ apart > 0
    pairs = neighbour_pairs(points, _LINKED * size)
    pairs = pairs[first[pairs[:, 0]] == first[pairs[:, 1]]]
    group = linked_groups(pairs, len(points))
    large = np.bincount(group) >= _FEWEST_OF_PIECE
    if large.sum() < 2:
        return [whole]
    kept = np.flatnonzero(large[group])
    group = group[kept[cKDTree(points[kept]).query(points)[1]]]
    pieces = [np.flatnonzero(group == number) for number in np.flatnonzero(large)]
    return [
        piece[part]
        for piece in pieces
        for part in _straight_pieces(points[piece], normals[piece], size)
    ]


class _Surroundings:
    """Sites and bonds of all walls, to be searched by place."""

    def __init__(
        self,
        lattice: SiteLattice,
        domain: np.ndarray,
        middles: np.ndarray,
        displacement: np.ndarray | None,
    ) -> None:
        self.lattice, self.domain, self.middles = lattice, domain, middles
        self.known = np.flatnonzero(domain >= 0)
        if displacement is not None:
            self.known = self.known[np.isfinite(displacement[self.known]).all(1)]
        self._sites, self._bonds = cKDTree(lattice.xy[self.known]), cKDTree(middles)
        outside = lattice.xy[domain < 0]
        self.alone = np.ones(len(domain), bool)
        if len(outside):
            self.alone = cKDTree(outside).query(lattice.xy)[0] > 1.2 * lattice.size

    def sites(self, points: cKDTree, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Sites of domains closer than `reach` to some points, ascending, and their nearest."""
        rows = np.sort(_around(self._sites, points, reach))
        far, nearest = points.query(self._sites.data[rows], distance_upper_bound=reach)
        close = np.isfinite(far)
        return self.known[rows[close]], nearest[close]

    def other_bonds(self, own: np.ndarray, points: cKDTree, reach: float) -> np.ndarray:
        """Middles (k, 2) of bonds of other walls: all that are closer than `reach` to one wall."""
        near = _around(self._bonds, points, reach)
        return np.asarray(self.middles[np.setdiff1d(near, own)])


def _means_of(values: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Mean (m, 2) of the rows of each group; no group is empty."""
    count = np.array([len(group) for group in groups])
    rows = np.concatenate([*groups]).astype(int)
    return np.add.reduceat(values[rows], np.cumsum(count) - count) / count[:, None]


def _around(tree: cKDTree, points: cKDTree, reach: float) -> np.ndarray:
    """Numbers of the points of a tree near others: all that are closer than `reach`, and more."""
    centre = (points.mins + points.maxes) / 2
    farthest = np.hypot(*(points.data - centre).T).max()
    return np.array(tree.query_ball_point(centre, farthest + reach), int)


class _Measurement:
    """The bonds of one wall, and their measures."""

    def __init__(
        self,
        around: _Surroundings,
        wall: tuple[np.ndarray, np.ndarray, np.ndarray],
        kinds: np.ndarray,
    ) -> None:
        two, self.own, self.normals = wall
        self.around, self.lattice, self.domain = around, around.lattice, around.domain
        self.size = self.lattice.size
        self.two = int(two[0]), int(two[1])
        self.points, self.kinds = around.middles[self.own], kinds[self.own]
        self.tree = cKDTree(self.points)

    def wall(self, displacement: np.ndarray | None, expected: np.ndarray | None) -> Wall:
        """The wall with all its measures."""
        position = self.points.mean(0)
        normal, error = self._direction(position)
        length, segments = self._length(), self._segments()
        wall = Wall(self.two, self.points, segments, position, normal, length, error)
        if displacement is None:
            return wall
        if expected is None:
            count = self.domain.max() + 1
            expected = np.stack(
                [
                    np.broadcast_to(mean_of(displacement[self.domain == k]), displacement.shape)
                    for k in range(count)
                ]
            )
        rows, distance, normals = self._sites(_ALONG, _REACH)
        shift, wall.width, wall.width_std = self._profile(rows, distance, displacement, expected)
        if wall.width > _BROAD:  # its place follows the noise of single sites
            along, reach = _ALONG_WIDTHS * wall.width, _REACH_WIDTHS * wall.width
            rows, distance, normals = self._sites(along, max(reach, _REACH))
            fitted = self._profile(rows, distance, displacement, expected)
            shift, wall.width, wall.width_std = fitted
        if np.isfinite(shift):
            wall.position = position + shift * self.size * normal
            self._jump(wall, displacement[rows], distance - shift, normals)
        return wall

    def _length(self) -> float:
        """Length from the number of bonds that cross the wall, whatever its direction."""
        across = np.abs(self.normals @ self.lattice.steps.T)
        own = across[np.arange(len(self.kinds)), self.kinds]
        return float(self.lattice.cell_area * (own / (across**2).sum(1)).sum())

    def _segments(self) -> np.ndarray:
        """Ends (k, 2, 2) of the edges of the cells that the bonds cross."""
        steps = self.lattice.steps
        if len(steps) == 2:
            edges = steps[::-1][self.kinds]
        else:
            edges = (steps[:, ::-1] * [-1, 1] / np.sqrt(3))[self.kinds]
        return np.stack([self.points - edges / 2, self.points + edges / 2], axis=1)

    def _direction(self, position: np.ndarray) -> tuple[np.ndarray, float]:
        """Normal of the straight line through the bonds, and its standard error in radians."""
        mean = self.normals.mean(0)
        mean = mean / max(np.hypot(*mean), 1e-9)
        off = self.points - position
        scatter, axes = np.linalg.eigh(off.T @ off / len(off))
        spread = np.sqrt(max(scatter[1], 1e-12))
        wide = max(np.sqrt(max(scatter[0], 0.0)), self.size / np.sqrt(12))  # the sites' raster
        error = np.arctan2(wide * np.sqrt(2 / len(off)), spread)
        normal = axes[:, 0] * np.sign(axes[:, 0] @ mean or 1.0)
        # A short wall, or one that turns: the sites on both sides say more.
        if spread < 1.2 * self.size or normal @ mean < np.cos(np.pi / 6):
            normal = mean
        return np.asarray(normal), float(error)

    def _sites(self, along: float, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sites up to `reach` cells off this wall, their distances in cells, its normal there.

        The place of the wall beside a site is the mean of its bonds within `along` cells.
        """
        xy, size = self.lattice.xy, self.size
        rows, nearest = self.around.sites(self.tree, (reach + 1) * size)
        beside = np.isin(self.domain[rows], self.two)
        rows, nearest = rows[beside], nearest[beside]
        near = self.tree.query_ball_point(self.points, along * size)
        middle, normal = _means_of(self.points, near), _means_of(self.normals, near)
        normal /= np.maximum(np.hypot(*normal.T), 1e-9)[:, None]
        moved = np.arange(len(rows))
        for _ in range(_FEET):  # a rough wall is nearest where it bulges, not beside the site
            own, before = xy[rows[moved]], nearest[moved]
            across = ((own - middle[before]) * normal[before]).sum(1)
            nearest[moved] = self.tree.query(own - across[:, None] * normal[before])[1]
            moved = moved[nearest[moved] != before]
        across = ((xy[rows] - middle[nearest]) * normal[nearest]).sum(1)
        beside = xy[rows] - self.points[nearest]
        beside = np.abs(beside[:, 0] * normal[nearest, 1] - beside[:, 1] * normal[nearest, 0])
        good = (np.abs(across) <= reach * size) & (beside <= _BESIDE * size)
        others = self.around.other_bonds(self.own, self.tree, (2 * reach + 1 + _OTHER) * size)
        if len(others):
            beyond = (reach + _OTHER) * size  # no site here is as far from this wall
            other = cKDTree(others).query(xy[rows], distance_upper_bound=beyond)[0]
            good &= other > np.abs(across) + _OTHER * size
        good &= self.around.alone[rows]
        return rows[good], across[good] / size, normal[nearest][good]

    def _profile(
        self,
        rows: np.ndarray,
        distance: np.ndarray,
        displacement: np.ndarray,
        expected: np.ndarray,
    ) -> tuple[float, float, float]:
        """Shift of the wall from its bonds, width and its standard error, in cells."""
        before, after = (expected[k][rows] for k in self.two)
        step = np.hypot(*(after - before).T) / 2
        highest = step.max(initial=0.0, where=np.isfinite(step))
        sees = step > 0.3 * max(highest, 1e-12)
        sides = (distance < 0).sum(), (distance > 0).sum()
        if sees.sum() < _FEWEST or min(sides) < _FEWEST_OF_SIDE:
            return np.nan, np.nan, np.nan
        off = displacement[rows] - (before + after) / 2
        value = (off * (after - before)).sum(1)[sees] / (2 * step[sees] ** 2)
        return fit_profile(distance[sees], value, step[sees] ** 2)

    def _jump(
        self, wall: Wall, displacement: np.ndarray, distance: np.ndarray, normals: np.ndarray
    ) -> None:
        """Change of the displacement across the wall, and the charge that it makes."""
        flat = max(1.0, _FLAT_FROM * wall.width)
        sides = [distance < -flat, distance > flat]
        if min(side.sum() for side in sides) < _FEWEST_OF_SIDE:
            sides = [distance < 0, distance > 0]
        if min(side.sum() for side in sides) < 2:
            return  # all of its sites are on one side
        # Walls bend: every site has the normal of the wall beside it.
        along = (displacement * normals).sum(1)
        tangent = displacement[:, 1] * normals[:, 0] - displacement[:, 0] * normals[:, 1]
        before, after = sides
        wall.jump = float(along[after].mean() - along[before].mean())
        turned = (tangent[after].mean() - tangent[before].mean()) * wall.normal_std
        variance = sum(along[side].var(ddof=1) / side.sum() for side in sides)
        wall.jump_std = float(np.sqrt(variance + turned**2))
        change = np.hypot(*(displacement[after].mean(0) - displacement[before].mean(0)))
        certain = abs(wall.jump) > _CERTAIN * wall.jump_std
        wall.charged = bool(certain and abs(wall.jump) > _CHARGED * change)


def mean_of(vectors: np.ndarray) -> np.ndarray:
    """Mean of the finite vectors (n, 2); NaN without any."""
    good = np.isfinite(vectors).all(1)
    return vectors[good].mean(0) if good.any() else np.full(2, np.nan)


def fit_profile(
    distance: np.ndarray, value: np.ndarray, weight: np.ndarray
) -> tuple[float, float, float]:
    """
    Fit ``level + height tanh((distance - shift) / width)``.

    Parameters
    ----------
    distance : numpy.ndarray, shape (n,)
        In cells.
    value, weight : numpy.ndarray, shape (n,)

    Returns
    -------
    shift, width, width_std : float
        In cells.

    Examples
    --------
    >>> x = np.linspace(-8, 8, 60)
    >>> shift, width, _ = fit_profile(x, np.tanh((x - 0.5) / 1.5), np.ones(60))
    >>> round(shift, 1), round(width, 1)
    (0.5, 1.5)
    """
    wave = _waves(distance)
    for _ in range(2):
        w = weight / weight.sum()
        mean, level = np.einsum("kin,n->ki", wave, w), (value * w).sum()
        spread = np.maximum(np.einsum("kin,kin,n->ki", wave, wave, w) - mean**2, 1e-9)
        shared = np.einsum("kin,n->ki", wave, value * w) - mean * level
        left = np.maximum((value**2 * w).sum() - level**2 - np.maximum(shared, 0) ** 2 / spread, 0)
        left = np.round(left, _DIGITS)
        k, i = np.unravel_index(left.argmin(), left.shape)
        height = shared[k, i] / spread[k, i]
        rest = value - level - height * (wave[k, i] - mean[k, i])
        scatter = np.sqrt((rest**2 * w).sum())
        far = np.abs(rest) * np.sqrt(weight / weight.max()) > _OUTLIER * scatter
        if not far.any():
            break
        weight = np.where(far, 0.0, weight)
    by_width, by_shift = left.min(1), left.min(0)
    variance = left.min() / max(np.count_nonzero(weight) - 4, 1)
    variance *= _common_noise(distance, rest, weight)
    # Where the residual sum of squares is less than one variance above its minimum.
    inside = _WIDTHS[by_width <= left.min() + variance + 1e-12]
    found, error = _minimum(by_width, variance)
    shifts = _SHIFTS[by_shift <= left.min() + variance + 1e-12]
    return float(shifts.mean()), found, max(error, float((inside[-1] - inside[0]) / 2))


def _waves(distance: np.ndarray) -> np.ndarray:
    """tanh((distance - shift) / width) of all widths and shifts, at a third of its cost."""
    twice = 2 / _WIDTHS[:, None]
    with np.errstate(over="ignore"):  # tanh is 1 there
        wave = np.exp(twice * distance)[:, None] * np.exp(-twice * _SHIFTS)[:, :, None]
    wave += 1
    np.divide(-2, wave, out=wave)
    wave += 1
    return np.asarray(wave)


def _common_noise(distance: np.ndarray, rest: np.ndarray, weight: np.ndarray) -> float:
    """Factor of the noise that sites at one distance share, over independent noise.

    Neighbours share columns that displacements are measured against, and rows their scan noise.
    """
    row = np.round(distance - distance.min()).astype(int)
    total = np.bincount(row, weight)
    mean = np.bincount(row, weight * rest)[total > 0] / total[total > 0]
    expected = (
        (weight * rest**2).sum() / weight.sum() * max((weight**2).sum() / weight.sum(), 1e-30)
    )
    common = (mean**2 * total[total > 0]).sum() / max(len(mean) - 4, 1)
    return float(max(common / max(expected, 1e-30), 1.0))


def _minimum(values: np.ndarray, variance: float) -> tuple[float, float]:
    """Width of the smallest value and its error, by a parabola over the logarithm of the width."""
    k = int(np.clip(values.argmin(), 1, len(values) - 2))
    before, at, after = values[k - 1 : k + 2]
    bend = before - 2 * at + after
    off = np.clip((before - after) / (2 * bend), -1, 1) if bend > 0 else np.sign(before - after)
    step = np.log(_WIDTHS[1] / _WIDTHS[0])
    width = float(_WIDTHS[k] * np.exp(step * off))
    return width, width * float(min(step * np.sqrt(2 * variance / max(bend, 1e-12)), 1.0))
