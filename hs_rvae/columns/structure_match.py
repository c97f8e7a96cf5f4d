# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The places of a known crystal on those that were found in an image.

A found cell may hold several cells of the known crystal, or the reverse. All bases of either
lattice are tried, and both senses of the beam. A choice costs the change of shape of the cell, the
distances between the places, heights that do not follow the atomic numbers, and bright places that
were not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .projection import Projection, periodic_differences, reduced

#: Weight of a place, in units of the brightest, below which dark field may not show it.
FAINT = 0.15
_MOST_CELLS = 4  # in the larger one of the two cells
_SHAPE_LIMIT = np.log(1.12)  # of the ratio of the two principal stretches
_SIZE_LIMIT = np.log(1.2)  # of the calibration
_FAR = 0.35  # nearest distances within which a found place can be one of the structure
_MINIMUM_SEEN = 0.3  # of the brightness that is to be found
_FEWEST = 0.66  # of the columns that have a place in the structure
# Misfits that cost 1.
_SHAPE, _SIZE, _PLACE, _HEIGHT = 0.03, 0.05, 0.08, 0.15
_UNMATCHED = 25.0  # costs of a place far from all others
_MISSING = 9.0  # costs of not finding any place that is to be found
_MIXED = 12.0  # costs of a found place that lies on several kinds
_LARGER = 0.3  # per logarithm of the number of cells
_SLOPES = 0.2, 1.3  # of heights against weights, logarithms of both
_MOST_TRIED = 80  # relations of the two lattices, those of the best shape
_TIE = 0.15
_MOST = 16.0  # cost of a structure that matches

_BASES = np.array(
    [
        [[p, q], [r, s]]
        for p in (-1, 0, 1)
        for q in (-1, 0, 1)
        for r in (-1, 0, 1)
        for s in (-1, 0, 1)
        if abs(p * s - q * r) == 1
    ]
)


@dataclass(frozen=True)
class FoundBasis:
    """The lattice and the places that were found.

    Attributes
    ----------
    cell : numpy.ndarray of shape (2, 2)
        Vectors ``(x, y)``, y downwards, in nm, or in pixels without calibration.
    positions : numpy.ndarray of shape (n, 2)
        Fractions of the cell vectors.
    heights : numpy.ndarray of shape (n,)
    counts : numpy.ndarray of shape (n,)
        Columns of each place.
    calibrated : bool
    dark : bool
        Whether columns are dark, so that light ones are seen as well.
    """

    cell: np.ndarray
    positions: np.ndarray
    heights: np.ndarray
    counts: np.ndarray
    calibrated: bool
    dark: bool


@dataclass(frozen=True)
class Match:
    """Places and cell of a known crystal on the found ones.

    Attributes
    ----------
    nominal : numpy.ndarray of shape (2, 2)
        The vectors of the found cell as the structure has them, in nm, not turned.
    mirrored : bool
        Whether the zone axis points away from the viewer.
    elements : tuple of (str or None)
        Elements at each found place; None if the structure has no place there.
    missing : tuple of int
        Places of the structure that are to be found and were not.
    faint : tuple of int
        Places that this contrast may not show and that were not found.
    cost : float
    heights : float
        Part of the cost that comes from heights which do not rise with the atomic numbers.
    alternative : tuple of (str or None), or None
        Elements of another choice that fits as well.
    """

    nominal: np.ndarray
    mirrored: bool
    elements: tuple[str | None, ...]
    missing: tuple[int, ...]
    faint: tuple[int, ...]
    cost: float
    heights: float
    alternative: tuple[str | None, ...] | None = None


@dataclass(frozen=True)
class _Relation:
    """One way of laying the lattice of the structure on the found one.

    Attributes
    ----------
    found, known : numpy.ndarray of shape (2, 2)
        Cells of a common lattice, in whole numbers of the found cell and of the structure's.
    affine : numpy.ndarray of shape (2, 2)
        From row vectors of the structure to those of the image.
    cost : float
    """

    found: np.ndarray
    known: np.ndarray
    affine: np.ndarray
    cost: float


def best_match(projection: Projection, found: FoundBasis) -> Match | None:
    """
    Lay a known crystal on the found one.

    Parameters
    ----------
    projection : Projection
    found : FoundBasis

    Returns
    -------
    Match or None
        None if the structure does not fit.
    """
    cell = projection.cell * [1, -1]  # y downwards
    relations = sorted(_relations(cell, found), key=lambda relation: relation.cost)
    matches: list[Match] = []
    for relation in relations[:_MOST_TRIED]:
        matches += _Placement(projection, cell, found, relation).matches()
    matches = [match for match in matches if match.cost < _MOST]
    if not matches:
        return None
    best = min(matches, key=lambda match: (round(match.cost, 6), match.mirrored))
    others = [match for match in matches if match.elements != best.elements]
    second = min(others, key=lambda match: match.cost, default=None)
    if second is None or second.cost > best.cost + _TIE:
        return best
    return replace(best, alternative=second.elements)


def lengths_and_angle(cell: np.ndarray) -> tuple[float, float, float]:
    """
    Compute the lengths of two vectors and the angle between them in degrees.

    Examples
    --------
    >>> lengths_and_angle(np.array([[3.0, 0.0], [0.0, 4.0]]))
    (3.0, 4.0, 90.0)
    """
    a, b = np.asarray(cell, dtype=float)
    across = abs(a[0] * b[1] - a[1] * b[0])
    angle = float(np.degrees(np.arctan2(across, a @ b)))
    return float(np.hypot(*a)), float(np.hypot(*b)), angle


def _larger_cells(most: int) -> Iterator[np.ndarray]:
    """Bases of all lattices of up to `most` cells, in whole numbers of the cell vectors."""
    for count in range(1, most + 1):
        for first in range(1, count + 1):
            if count % first == 0:
                for off in range(count // first):
                    yield np.array([[first, off], [0, count // first]])


def _relations(cell: np.ndarray, found: FoundBasis) -> Iterator[_Relation]:
    """All ways of laying the lattice of a structure, y downwards, on the found one."""
    one = np.eye(2, dtype=int)
    pairs = [(one, larger) for larger in _larger_cells(_MOST_CELLS)]
    pairs += [(larger, one) for larger in _larger_cells(_MOST_CELLS) if np.linalg.det(larger) > 1.5]
    for of_found, of_known in pairs:
        image, known = reduced(of_found @ found.cell), reduced(of_known @ cell)
        affine = np.linalg.solve(_BASES @ known, np.broadcast_to(image, _BASES.shape))
        stretches = np.linalg.svd(affine, compute_uv=False)
        shape = np.log(stretches[:, 0] / stretches[:, 1])
        size = np.log(stretches.prod(axis=1)) / 2 if found.calibrated else np.zeros(len(_BASES))
        number = np.linalg.det(of_found) * np.linalg.det(of_known)
        cost = (shape / _SHAPE) ** 2 + (size / _SIZE) ** 2 + _LARGER * np.log(number)
        for k in np.flatnonzero((shape < _SHAPE_LIMIT) & (np.abs(size) < _SIZE_LIMIT)):
            yield _Relation(of_found, of_known, affine[k], float(cost[k]))


def _repeated(positions: np.ndarray, larger: np.ndarray) -> np.ndarray:
    """Places in all cells of a larger one, in fractions of the small cell, cell by cell."""
    cells = [[i, j] for i in range(larger[0, 0]) for j in range(larger[1, 1])]
    return (np.array(cells)[:, None] + positions[None]).reshape(-1, 2)


class _Placement:
    """Places of the structure on the found ones, for one relation of the lattices.

    Parameters
    ----------
    projection : Projection
    cell : numpy.ndarray of shape (2, 2)
        Cell of the structure, y downwards.
    found : FoundBasis
    relation : _Relation
    """

    def __init__(
        self, projection: Projection, cell: np.ndarray, found: FoundBasis, relation: _Relation
    ) -> None:
        self.found, self.relation = found, relation
        self.places, self.cell = projection.places, cell
        weights = np.array([place.weight for place in self.places])
        self.weights = weights
        self.visible = weights >= (0 if found.dark else FAINT * weights.max())
        self.common = reduced(relation.found @ found.cell)
        known = _repeated(np.array([place.position for place in self.places]), relation.known)
        here = _repeated(found.positions, relation.found)
        self.known = np.linalg.solve(self.common.T, (known @ cell @ relation.affine).T).T
        self.here = np.linalg.solve(self.common.T, (here @ found.cell).T).T
        self.of_known = np.arange(len(self.known)) % len(self.places)
        self.of_found = np.arange(len(self.here)) % len(found.positions)
        self.distance = self._nearest_distance()

    def _nearest_distance(self) -> float:
        """Nearest distance of the places that are to be found."""
        some = self.known[self.visible[self.of_known]]
        apart = np.linalg.norm(
            periodic_differences(some[:, None], some[None], self.common), axis=-1
        )
        apart = apart[apart > 1e-6 * np.abs(self.common).max()]
        return float(min(apart.min(initial=np.inf), np.linalg.norm(self.common, axis=1).min()))

    def matches(self) -> Iterator[Match]:
        """All placements, each with one of the places on the first found one."""
        brightest = int(np.argmax(np.where(np.isfinite(self.found.heights), self.found.counts, 0)))
        tried = np.flatnonzero(self.visible[self.of_known])
        for number in tried[tried < len(self.places)] if len(self.here) else []:
            shift = self.here[brightest] - self.known[number]
            match = self._match(shift)
            if match is not None:
                yield match

    def _match(self, shift: np.ndarray) -> Match | None:
        """Match with this shift of the structure, in fractions of the common cell."""
        counts = self.found.counts[self.of_found] / self.found.counts[self.of_found].sum()
        for _ in range(3):
            apart = periodic_differences(
                self.here[:, None], (self.known + shift)[None], self.common
            )
            far = np.linalg.norm(apart, axis=-1) / self.distance
            nearest = far.argmin(axis=1)
            rows = np.arange(len(nearest))
            off, near = apart[rows, nearest], far[rows, nearest] < _FAR
            if not near.any():
                return None
            mean = np.average(off[near], axis=0, weights=counts[near])
            shift = shift - np.linalg.solve(self.common.T, mean)
        misfit = far[rows, nearest]
        # Two found places on one of the structure: the second one has none.
        for k in rows[near]:
            rivals = rows[near & (nearest == nearest[k])]
            near[k] &= k == rivals[misfit[rivals].argmin()]
        if counts[near].sum() < _FEWEST:
            return None
        elements = self._elements(nearest, near)
        taken = np.zeros(len(self.known), bool)
        taken[nearest[near]] = True
        seen = self.visible[self.of_known]
        weights = np.minimum(self.weights[self.of_known], np.median(self.weights[self.visible]))
        if weights[taken & seen].sum() < _MINIMUM_SEEN * weights[seen].sum():
            return None
        places = np.where(near, np.minimum((misfit / _PLACE) ** 2, _UNMATCHED), _UNMATCHED)
        heights = self._cost_of_heights(nearest, near)
        cost = self.relation.cost + counts @ places + heights
        cost += _MISSING * (~taken & seen).sum() / seen.sum()
        cost += _MIXED * sum(name is not None and " or " in name for name in elements)
        lost = np.unique(self.of_known[~taken])
        return Match(
            self.found.cell @ np.linalg.inv(self.relation.affine),
            bool(np.linalg.det(self.relation.affine) < 0),
            elements,
            tuple(k for k in lost.tolist() if self.visible[k]),
            tuple(k for k in lost.tolist() if not self.visible[k]),
            float(cost),
            heights,
        )

    def _elements(self, nearest: np.ndarray, near: np.ndarray) -> tuple[str | None, ...]:
        """Elements of each found place, joined where its copies lie on different ones."""
        names = []
        for number in range(len(self.found.positions)):
            own = nearest[near & (self.of_found == number)]
            elements = sorted({self.places[k].element for k in self.of_known[own]})
            names.append(" or ".join(elements) or None)
        return tuple(names)

    def _cost_of_heights(self, nearest: np.ndarray, near: np.ndarray) -> float:
        """Cost of heights that do not rise with the atomic numbers."""
        heights = self.found.heights[self.of_found]
        used = near & np.isfinite(heights) & (heights > 0)
        if used.sum() < 2:
            return 0.0
        seen = np.log(heights[used])
        expected = np.log(self.weights[self.of_known[nearest[used]]])
        seen, expected = seen - seen.mean(), expected - expected.mean()
        square = expected @ expected
        slope = np.clip(seen @ expected / square, *_SLOPES) if square > 1e-9 else 0.0
        return float(np.minimum(((seen - slope * expected) / _HEIGHT) ** 2, _UNMATCHED).mean())
