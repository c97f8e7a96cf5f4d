# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains: connected sites of one variant, or of one phase of variants that alternate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from hs_rvae.neighbours import linked_groups

from .alternation import Alternation
from .lattice import SiteLattice
from .walls import mean_of

_THICKEST = 7.0  # cells: sites without a variant between two domains are a wall up to here, where
_STEEP = 0.35  # ... the displacement changes across them, from -1 to 1 between the two domains
_FEW = 6  # sites that show it
_BEYOND = 2.0  # root mean square of the part of the way between two domains
_THIN = 2.5  # cells: up to here without this test, also sites of a variant of their own
_UNTESTED = 3.5  # cells: the same without displacements, and where these alternate
_PASSES = 2
_AROUND = 3  # neighbours of a single site inside a domain
_ALONG = 0.5  # of the displacement of a domain, in sites without a variant inside it
_MEET = 3  # bonds between two domains of one variant that are one domain
_EVEN = 1.6  # cells around a site beside a wall, whose mean displacement gives its domain
_EVEN_STEPS = 3
_FEWEST_AROUND = 3  # sites of that mean,
_DIFFERENT = 0.8  # scatter of displacements about those of two domains that differ in it
_OWN = 4.0  # ... in which its own displacement counts as that of so many
_MOST = 1.5  # displacement of a site that counts, 1 being that of a domain
_FEWEST_INNER = 24  # sites of a place of the period, for the displacement far from walls
_OPPOSITE = np.cos(np.deg2rad(110))  # of the directions to the two domains


def find_regions(
    lattice: SiteLattice,
    label: np.ndarray,
    alternation: Alternation | None,
    min_sites: int,
    displacement: np.ndarray | None = None,
) -> np.ndarray:
    """
    Number the domains of one grain of one image.

    Parameters
    ----------
    lattice : SiteLattice
    label : numpy.ndarray of int, shape (n,)
        Variant of each site, -1 = none.
    alternation : Alternation or None
    min_sites : int
        Minimum number of sites of a domain.
    displacement : numpy.ndarray, shape (n, 2), optional
        In any unit; it separates broad walls from parts of the crystal without a displacement.

    Returns
    -------
    numpy.ndarray of int, shape (n,)
        0 for the largest; -1 for sites of no domain. Sites between two domains that are in none,
        as in broad walls, belong to the nearer of the two; single sites without a label inside a
        domain belong to it.

    Examples
    --------
    >>> from hs_rvae.domains.lattice import site_lattice
    >>> y, x = np.indices((4, 9))
    >>> lattice = site_lattice(20.0 * np.column_stack([x.ravel(), y.ravel()]))
    >>> find_regions(lattice, np.select([x < 4, x > 5], [0, 1], -1).ravel(), None, 5)[:9]
    array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    """
    state = label if alternation is None else alternation.phase
    first, second = lattice.pairs.T
    part = lattice.parts((state[first] == state[second]) & (state[first] >= 0))
    count = np.bincount(part)
    good = (state >= 0) & (count[part] >= min_sites)
    domain = np.where(good, part, -1)
    moved = None
    if displacement is not None:
        moved = _Displacements(lattice, displacement, alternation)
    thin = _THIN if moved is not None and alternation is None else _UNTESTED
    for _ in range(_PASSES):
        domain = _with_walls(lattice, label, domain, moved, thin)
    domain = _joined(lattice, state, domain)
    if moved is not None:
        domain = _with_even_walls(lattice, domain, moved)
    return numbered(_with_pockets(lattice, label, _with_holes(lattice, label, domain), moved))


class _Displacements:
    """Displacements of sites, beside those that they would have in each domain."""

    def __init__(
        self, lattice: SiteLattice, displacement: np.ndarray, alternation: Alternation | None
    ) -> None:
        self.xy, self.own, self.pairs = lattice.xy, displacement, lattice.pairs
        self.n_neighbours = 2 * len(lattice.steps)
        n = len(displacement)
        self.coset = np.zeros(n, int) if alternation is None else alternation.coset

    def expected(self, domain: np.ndarray, inner: bool = False) -> dict[int, np.ndarray]:
        """Displacements (n_places, 2) in each domain; `inner`: of its third far from others.

        Where variants alternate, sites of one place of the period are alike.
        """
        n_places = int(self.coset.max(initial=0)) + 1
        found, members = {}, _members(domain)
        edge = self._edges(domain) if inner else np.zeros(len(domain), bool)
        for number, rows in members.items():
            if inner and len(members) > 1:
                others = self.xy[edge & (domain != number)]
                apart = cKDTree(others).query(self.xy[rows])[0]
                kept = max(len(rows) // 3, min(len(rows), _FEWEST_INNER * n_places))
                rows = rows[apart >= np.sort(apart)[-kept]]
            place = self.coset[rows]
            found[number] = np.stack([mean_of(self.own[rows[place == k]]) for k in range(n_places)])
        return found

    def _edges(self, domain: np.ndarray) -> np.ndarray:
        """Sites (n,) of domains with a neighbour missing or in no or another domain.

        The site of another domain that is nearest is always one of these.
        """
        same = self.pairs[domain[self.pairs[:, 0]] == domain[self.pairs[:, 1]]]
        count = np.bincount(same.ravel(), minlength=len(domain))
        return np.asarray((domain >= 0) & (count < self.n_neighbours))

    def at(self, expected: np.ndarray, rows: np.ndarray | int) -> np.ndarray:
        """Displacement (k, 2) that some sites would have in a domain, from :meth:`expected`."""
        return np.asarray(expected[self.coset[rows]])

    def between(self, before: np.ndarray, after: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Part of the way (k,), from -1 to 1, between the displacements of two domains."""
        before, after = self.at(before, rows), self.at(after, rows)
        step, off = after - before, self.own[rows] - (before + after) / 2
        power = (step**2).sum(1)
        return np.where(power > 0, (off * step).sum(1) * 2 / np.maximum(power, 1e-30), np.nan)


def _members(domain: np.ndarray) -> dict[int, np.ndarray]:
    """Sites of each domain, in ascending order."""
    order = np.argsort(domain, kind="stable")
    order = order[np.searchsorted(domain[order], 0) :]
    names, count = np.unique(domain[order], return_counts=True)
    return dict(zip(names.tolist(), _split(order, count), strict=True))


def _split(rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Parts of an array, whose lengths are given."""
    return np.split(rows, np.cumsum(counts))[:-1]


def numbered(domain: np.ndarray) -> np.ndarray:
    """Number domains anew, the largest first; -1 stays."""
    names, index, count = np.unique(domain[domain >= 0], return_inverse=True, return_counts=True)
    rank = np.empty(len(names), int)
    rank[np.argsort(-count, kind="stable")] = np.arange(len(names))
    new = np.full(len(domain), -1)
    new[domain >= 0] = rank[index]
    return new


def _with_walls(
    lattice: SiteLattice,
    label: np.ndarray,
    domain: np.ndarray,
    moved: _Displacements | None,
    thin: float,
) -> np.ndarray:
    """Give the sites between two domains to one of them, by place or displacement."""
    inside, outside = np.flatnonzero(domain >= 0), np.flatnonzero(domain < 0)
    found = domain.copy()
    if not len(inside) or not len(outside):
        return found
    xy, size = lattice.xy, lattice.size
    longest = np.where(label[outside] < 0, max(thin, _THICKEST), thin)
    near = cKDTree(xy[inside]).query_ball_point(xy[outside], (longest + 0.5) * size)
    expected = {} if moved is None else moved.expected(domain)
    thick: dict[tuple[int, int], list[tuple[int, int, float]]] = {}
    for site, rows, most in zip(outside.tolist(), near, longest, strict=True):
        between = _between(xy[inside[rows]] - xy[site], domain[inside[rows]])
        if between is None:
            continue
        (own, other), (to_own, to_other) = between
        # Domain sites on both sides are a cell further apart than the wall between them is thick.
        thickness = (to_own + to_other) / size - 1
        if thickness <= thin:
            found[site] = _nearer(moved, expected, site, own, other)
        elif thickness <= most:
            place = (to_other - to_own) / (to_other + to_own) * (1 if own > other else -1)
            thick.setdefault((min(own, other), max(own, other)), []).append((site, own, place))
    if moved is None:
        return found
    for (first, second), sites in thick.items():
        rows, owners, places = (np.array(part) for part in zip(*sites, strict=True))
        if _changes(moved.between(expected[first], expected[second], rows), places):
            found[rows] = owners
    return found


def _nearer(
    moved: _Displacements | None,
    expected: dict[int, np.ndarray],
    site: int,
    own: int,
    other: int,
) -> int:
    """Domain whose displacement is nearer to that of the site; without one, `own`."""
    if moved is None:
        return own
    apart = [np.hypot(*(moved.own[site] - moved.at(expected[k], site))) for k in (own, other)]
    return other if apart[1] < apart[0] else own


def _joined(lattice: SiteLattice, state: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Join domains of one state (n,) that meet where uncertain sites stood between them."""
    numbers = np.unique(domain[domain >= 0])
    if len(numbers) < 2:
        return domain
    kind = np.full(numbers[-1] + 1, -1)
    known = (state >= 0) & (domain >= 0)
    for number in np.unique(domain[known]).tolist():
        kind[number] = np.bincount(state[known & (domain == number)]).argmax()
    sides = np.sort(domain[lattice.pairs], axis=1)
    meet = (sides[:, 0] != sides[:, 1]) & (sides[:, 0] >= 0)
    meet &= (kind[sides[:, 0]] == kind[sides[:, 1]]) & (kind[sides[:, 0]] >= 0)
    two, count = np.unique(sides[meet], axis=0, return_counts=True)
    group = linked_groups(two[count >= _MEET], len(kind))
    return np.where(domain >= 0, group[domain], -1)


def _with_even_walls(lattice: SiteLattice, domain: np.ndarray, moved: _Displacements) -> np.ndarray:
    """Give the sites beside a wall to the domain that they and their neighbours are displaced as.

    In a broad wall the displacement of a single site is within the noise of the middle.
    """
    found = domain.copy()
    near = cKDTree(lattice.xy).query_ball_point(lattice.xy, _EVEN * lattice.size)
    expected = moved.expected(domain, inner=True)
    level = np.full(len(domain), np.nan)
    for _ in range(_EVEN_STEPS):
        members = _members(found)
        sides = np.sort(found[lattice.pairs], axis=1)
        crossing = (sides[:, 0] != sides[:, 1]) & (sides[:, 0] >= 0)
        for (a, b), beside in _groups_of(sides[crossing], lattice.pairs[crossing]):
            rows = np.concatenate([members[a], members[b]])
            side = np.repeat([-1.0, 1.0], [len(members[a]), len(members[b])])
            value = moved.between(expected[a], expected[b], rows)
            off = (value - side)[np.isfinite(value)]
            if not len(off) or np.sqrt((off**2).mean()) > _DIFFERENT:
                continue  # other labels than those of the displacement
            level[rows] = np.clip(value, -_MOST, _MOST)
            for site in np.unique(beside).tolist():
                around = level[near[site]]
                around = around[np.isfinite(around)]
                if len(around) >= _FEWEST_AROUND:
                    own = np.nan_to_num(level[site])
                    found[site] = b if around.sum() + (_OWN - 1) * own > 0 else a
            level[rows] = np.nan
    return found


def _groups_of(
    sides: np.ndarray, pairs: np.ndarray
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield each two domains, and the pairs of neighbours in them."""
    two, group, count = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(group.ravel(), kind="stable")
    for (a, b), rows in zip(two.tolist(), _split(order, count), strict=True):
        yield (a, b), pairs[rows]


def _with_holes(lattice: SiteLattice, label: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Give single sites without a label to the domain that all their neighbours are in."""
    first, second = np.vstack([lattice.pairs, lattice.pairs[:, ::-1]]).T
    n = len(domain)
    lowest, highest = np.full(n, np.iinfo(int).max), np.full(n, -1)
    np.minimum.at(lowest, first, domain[second])
    np.maximum.at(highest, first, domain[second])
    count = np.bincount(first, minlength=n)
    hole = (domain < 0) & (label < 0) & (lowest == highest) & (highest >= 0) & (count >= _AROUND)
    return np.where(hole, highest, domain)


def _with_pockets(
    lattice: SiteLattice, label: np.ndarray, domain: np.ndarray, moved: _Displacements | None
) -> np.ndarray:
    """Give groups of sites inside one domain to it, if they are displaced as the domain is."""
    found = domain.copy()
    if moved is None:
        return found
    expected = moved.expected(domain)
    first, second = lattice.pairs.T
    group = lattice.parts((domain[first] < 0) & (domain[second] < 0))
    for number in np.unique(group[domain < 0]):
        inside = group == number
        beside = np.unique(domain[np.concatenate([second[inside[first]], first[inside[second]]])])
        beside = beside[beside >= 0]
        if len(beside) != 1:
            continue
        known = label[(domain == beside[0]) & (label >= 0)]
        rows = inside & ((label < 0) | np.isin(label, known))
        whole = moved.at(expected[beside[0]], np.flatnonzero(rows))
        power, whole = (moved.own[rows] * whole).sum(1), (whole**2).sum(1)
        good = np.isfinite(power)
        if power[good].sum() > _ALONG * whole[good].sum() > 0:
            found[rows] = beside[0]
    return found


def _between(
    apart: np.ndarray, domain: np.ndarray
) -> tuple[tuple[int, int], tuple[float, float]] | None:
    """Nearest domain, the nearest other one on the opposite side, and the distances to both."""
    if len(np.unique(domain)) < 2:
        return None
    distance = np.hypot(*apart.T)
    nearest = int(distance.argmin())
    across = apart @ apart[nearest] / (distance * distance[nearest])
    others = np.flatnonzero((domain != domain[nearest]) & (across < _OPPOSITE))
    if not len(others):
        return None
    other = int(others[distance[others].argmin()])
    numbers = int(domain[nearest]), int(domain[other])
    return numbers, (float(distance[nearest]), float(distance[other]))


def _changes(value: np.ndarray, places: np.ndarray) -> bool:
    """Return True if values (k,) change from -1 to 1 across the sites at these places."""
    good = np.isfinite(value)
    # Values far beyond -1 and 1 are those of two domains that are displaced alike.
    if good.sum() < _FEW or np.sqrt((value[good] ** 2).mean()) > _BEYOND:
        return False
    return bool((places * value)[good].sum() > _STEEP * (places[good] ** 2).sum())
