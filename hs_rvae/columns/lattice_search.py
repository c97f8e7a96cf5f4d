# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The crystal behind the maxima of an image: grains, places in the cell, cells."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from ..wording import count_of
from . import autocorrelation as _cells
from . import cell_choice as _choice
from . import grains as _grains
from .antiphase import find_domains
from .boundaries import settle, taken_in
from .displaced import join_mixed, joined_places, parent_of
from .maxima import Maxima, candidates_of_tiles, vectors_text
from .search_image import Picture
from .translations import Links, connect

_logger = logging.getLogger(__name__)

_REGULAR = 0.4  # crystals have more than 0.6, linked maxima of noise about 0.2
_BENT = 0.22  # difference of the cells of a grain from those looked for, in shortest vectors
_BENT_LITTLE = 0.15  # likewise, where other grains seem to have that lattice, turned:
_TURNED = 0.2  # of the columns are bent more
_SMALLEST_PIECE = 6  # columns
_SMALLEST_GRAIN = 12
_WEAK = 0.2  # of the largest grain of a lattice; its smaller ones are looked at again
_CLEARLY_LARGER = 2.0  # ratio of the columns of two grains that claim a column
_MANY_LEFT_OUT = 0.1  # of the maxima
_ANOTHER = 40  # maxima of no lattice, and
_ANOTHER_SHARE = 0.04  # of all, among which another lattice is looked for
_LARGE_BASIS = 6  # places of a cell that two phases may nearly have in common,
_MANY = 0.75  # most of which hold less columns than this share of the fullest one,
_SMALLER = 3.0  # times, of the cell of one,
_AS_MANY = 0.9  # and share of its columns that smaller cells must join
_MOST_LATTICES = 5
_PAIRS = 15  # of columns that give the vector between two grains
_LONGEST_GAP = 8.0  # cells between two regions that may be one grain
_CORE = 0.2  # radius of the disk that gives the brightness of a column, in nearest distances
_DARKEST = 0.05  # of the pixels, that are background
_ALIKE = 0.06  # difference of two metrics that may be one lattice


@dataclass
class FoundCrystal:
    """Maxima with their places in the lattice.

    Attributes
    ----------
    maxima : Maxima
    grain, place : numpy.ndarray of int, shape (n,)
        -1 for maxima of no lattice. Places are numbered by descending brightness.
    index : numpy.ndarray of int, shape (n, 2)
        Cell.
    cells : numpy.ndarray of shape (n, 2, 2)
        Cell vectors at each maximum.
    offsets : numpy.ndarray of shape (m, 2)
        Places in the cell, the first one at its origin.
    consistency : float
        Share of the columns that translations join whose places agree.
    cautions : list of str
    """

    maxima: Maxima
    grain: np.ndarray
    place: np.ndarray
    index: np.ndarray
    cells: np.ndarray
    offsets: np.ndarray
    consistency: float = np.nan
    cautions: list[str] = field(default_factory=list)

    @property
    def known(self) -> np.ndarray:
        """Mask of the maxima that belong to a lattice."""
        return self.grain >= 0

    def without(self, places: np.ndarray) -> FoundCrystal:
        """The same without some places; their columns belong to no lattice."""
        gone = np.isin(self.place, places)
        left = np.setdiff1d(np.arange(len(self.offsets)), places)
        number = np.full(len(self.offsets) + 1, -1)
        number[left] = np.arange(len(left))
        return replace(
            self,
            grain=np.where(gone, -1, self.grain),
            place=number[self.place],
            offsets=self.offsets[left] - self.offsets[left[0]],
        )

    def with_places(self, offsets: np.ndarray) -> FoundCrystal:
        """The same with more places; they take the maxima of no lattice that are there."""
        found = replace(self, offsets=np.vstack([self.offsets, offsets]))
        found.grain, found.place = taken_in(
            self.maxima.positions, self.grain, self.place, self.cells, found.offsets,
            self.maxima.distance,
        )  # fmt: skip
        if found.known.sum() > self.known.sum():
            found.index = np.zeros_like(self.index)
            _number(found)
        return found

    def swapped(self) -> FoundCrystal:
        """The same with the first two places exchanged."""
        place = np.where(self.place == 0, 1, np.where(self.place == 1, 0, self.place))
        offsets = self.offsets[[1, 0, *range(2, len(self.offsets))]]
        return replace(self, place=place, offsets=(offsets - offsets[0]) % 1)


@dataclass
class _Region:
    """Grains of one lattice."""

    members: np.ndarray
    assembly: _grains.Assembly
    cells: np.ndarray


def find_crystal(picture: Picture, maxima: Maxima, cell_given: bool = False) -> FoundCrystal:
    """
    Find grains and places of the maxima of an image.

    Parameters
    ----------
    picture : Picture
    maxima : Maxima
        With a cell.
    cell_given : bool
        The cell is that of the user.

    Returns
    -------
    FoundCrystal

    Raises
    ------
    ValueError
        If they form no lattice.
    """
    found = _search(picture, maxima)
    if not cell_given and _half_empty(found):
        found = _by_phases(picture, found)
    _report(picture, found)
    return found


def _half_empty(found: FoundCrystal) -> bool:
    """True if most places of a large cell are emptier than others, in the largest grain."""
    count = np.bincount(found.place[found.grain == 0], minlength=1)
    count = count[count > 0]
    return len(count) >= _LARGE_BASIS and bool(np.median(count) < _MANY * count.max())


def _by_phases(picture: Picture, found: FoundCrystal) -> FoundCrystal:
    """
    Search again with a smaller cell, that of one phase.

    The cells of two phases may nearly coincide in a large one. It has the places of both.
    """
    maxima = found.maxima
    area = abs(np.linalg.det(maxima.cell))
    cells = candidates_of_tiles(picture, maxima)
    cells = [each for each in cells if abs(np.linalg.det(each)) < area / _SMALLER]
    if not cells:
        return found
    chosen, _ = _choice.choose_cell(cells, maxima.positions, maxima.heights, maxima.distance)
    try:
        again = _search(picture, replace(maxima, cell=_cells.upright(chosen)))
    except ValueError:
        return found
    enough = again.known.sum() > _AS_MANY * found.known.sum()
    return again if enough and len(again.offsets) < len(found.offsets) / 2 else found


def _search(picture: Picture, maxima: Maxima) -> FoundCrystal:
    """Grains and places with the cell of the maxima; ValueError if they form no lattice."""
    n = len(maxima.positions)
    grain, place = np.full(n, -1), np.full(n, -1)
    cells = np.broadcast_to(maxima.cell, (n, 2, 2)).copy()
    fractions: list[np.ndarray] = []
    cell: np.ndarray | None = maxima.cell
    agreed = [0, 0]
    weak = np.zeros(n, bool)
    brightness = _brightness(picture, maxima)
    contrast = brightness - _background(picture, maxima.dark)
    for number in range(_MOST_LATTICES):
        if cell is None:
            break
        members = np.flatnonzero((grain < 0) | weak)
        region = _region(maxima, members, cell, contrast, agreed)
        if region is not None:
            found_weak = _add_region(region, grain, place, cells, len(fractions))
            fractions += region.assembly.fractions
            weak[members] = found_weak[members]
        elif number == 0:
            raise ValueError(
                f"{n} maxima stand out from the image, but they do not form a lattice with the "
                f"vectors {vectors_text(maxima.cell / picture.stretch)} px: pass cell=, dark= or a "
                "lower threshold, or use find_columns, which asks for no lattice."
            )
        cell = _lattice_of_rest(picture, maxima, grain)
    _drop(grain, place, np.bincount(grain + 1, minlength=1)[1:] < _SMALLEST_GRAIN)
    grain, place, offsets, cells = _one_basis(
        maxima, grain, place, cells, fractions, brightness, contrast
    )
    grain, place = settle(maxima.positions, grain, place, cells, offsets, maxima.distance)
    found = FoundCrystal(maxima, grain, place, np.zeros((n, 2), int), cells, offsets)
    found.consistency = agreed[0] / agreed[1] if agreed[1] else np.nan
    _number(found)
    return found


def _add_region(
    region: _Region, grain: np.ndarray, place: np.ndarray, cells: np.ndarray, first: int
) -> np.ndarray:
    """
    Enter the grains of a lattice, in place, but columns of a larger grain.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        Columns of grains much smaller than the largest of their lattice. They may be those of
        another one, which this lattice happens to join.
    """
    assembly, members = region.assembly, region.members
    count = np.bincount(assembly.grain[assembly.grain >= 0], minlength=1)
    before = np.bincount(grain + 1, minlength=1)
    before[0] = 0
    kept = assembly.grain >= 0
    kept &= count[assembly.grain] > _CLEARLY_LARGER * before[grain[members] + 1]
    new = members[kept]
    grain[new] = assembly.grain[kept] + first
    place[new] = assembly.place[kept]
    cells[new] = region.cells[kept]
    total = np.bincount(grain + 1, minlength=1)[1:]
    weak = total < _WEAK * count.max()
    return (grain >= 0) & weak[grain]


def _drop(grain: np.ndarray, place: np.ndarray, grains: np.ndarray) -> None:
    """Leave out some grains, a boolean mask, in place."""
    lost = (grain >= 0) & grains[grain]
    grain[lost] = place[lost] = -1


def _region(
    maxima: Maxima,
    members: np.ndarray,
    cell: np.ndarray,
    contrast: np.ndarray,
    agreed: list[int],
) -> _Region | None:
    """Grains of one lattice among some of the maxima."""
    heights = contrast[members]
    distance = maxima.distance
    links = connect(maxima.positions[members], cell, 0.4 * distance)
    assembly = _assembled(links, cell, heights, distance)
    if assembly is None:
        return None
    rows, steps = np.nonzero(links.neighbours >= 0)
    ends = links.neighbours[rows, steps]
    both = (assembly.grain[rows] >= 0) & (assembly.grain[rows] == assembly.grain[ends])
    agreed[0] += int((assembly.place[rows] == assembly.place[ends])[both].sum())
    agreed[1] += int(both.sum())
    return _Region(members, assembly, links.cells)


def _assembled(
    links: Links, cell: np.ndarray, heights: np.ndarray, distance: float
) -> _grains.Assembly | None:
    """Grains of linked columns; None if there are none."""
    regular = links.regularity() > _REGULAR
    # Cells adapt: those of another grain are the next lattice, joined later if it is a bent one.
    bent = np.abs(links.cells - cell).max(axis=(1, 2)) / np.linalg.norm(cell, axis=1).min()
    turned = (bent[regular] > _BENT_LITTLE).mean() > _TURNED if regular.any() else False
    regular &= bent < (_BENT_LITTLE if turned else _BENT)
    piece = links.pieces(regular, _SMALLEST_PIECE)
    if not (piece >= 0).any():
        return None
    assembly = _grains.assemble(links, piece, distance)
    count = np.bincount(assembly.grain + 1, minlength=1)[1:]
    small = np.flatnonzero(count < _SMALLEST_GRAIN)
    if len(small) == len(count) and count.max(initial=0) < _SMALLEST_PIECE:
        return None
    if len(small) < len(count):
        lost = np.isin(assembly.grain, small)
        assembly.grain[lost] = assembly.place[lost] = -1
        assembly.fractions = assembly.fractions[: len(count) - len(small)]
    return joined_places(assembly, links.cells, heights, distance)


def _lattice_of_rest(picture: Picture, maxima: Maxima, grain: np.ndarray) -> np.ndarray | None:
    """Lattice of the part of the image whose maxima belong to none yet."""
    rest = maxima.positions[grain < 0]
    if len(rest) < max(_ANOTHER, _ANOTHER_SHARE * len(grain)):
        return None
    x, y = np.round(rest / picture.stretch).astype(int).T
    rows, columns = picture.values.shape
    valid = np.zeros((rows, columns), bool)
    valid[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)] = True
    near = distance_transform_edt(~valid, sampling=picture.stretch[::-1])
    valid = near < 1.2 * maxima.distance
    if picture.valid is not None:
        valid &= picture.valid
    width = maxima.width
    found = [
        each.vectors
        for each in _cells.candidate_lattices(picture.values, valid, picture.stretch, width)[0]
    ]
    found += candidates_of_tiles(picture, maxima, valid)
    if not found:
        return None
    heights = maxima.heights[grain < 0]
    vectors, linked = _choice.choose_cell(found, rest, heights, maxima.distance)
    if linked < 0.1:
        return None
    return _cells.upright(vectors)


def _one_basis(
    maxima: Maxima,
    grain: np.ndarray,
    place: np.ndarray,
    cells: np.ndarray,
    fractions: list[np.ndarray],
    brightness: np.ndarray,
    contrast: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Number the places of all grains alike; the brightest of the largest grain is the first."""
    grain, place = _join(maxima, grain, place, cells, fractions)
    cells = cells.copy()
    mixed = join_mixed(
        _grains.Assembly(grain, place, fractions),
        maxima.positions,
        cells,
        contrast,
        maxima.distance,
    )
    grain, place, fractions = mixed.grain, mixed.place, mixed.fractions
    grain, place, fractions = _part_domains(maxima, grain, place, cells, fractions)
    _without_displacements(maxima, grain, place, cells, fractions, contrast)
    count = np.bincount(grain[grain >= 0], minlength=len(fractions))
    order = [k for k in np.argsort(-count, kind="stable") if count[k]]
    names, offsets = np.full(len(grain), -1), np.empty((0, 2))
    new_grain = np.full(len(grain), -1)
    reference: tuple[np.ndarray, np.ndarray] | None = None
    for number, old in enumerate(order):
        mine = grain == old
        new_grain[mine] = number
        light = np.array(
            [np.median(brightness[mine & (place == k)]) if (mine & (place == k)).any() else -np.inf
             for k in range(len(fractions[old]))]
        )  # fmt: skip
        cell = np.median(cells[mine], axis=0)
        if reference is None:
            rank = np.argsort(-light, kind="stable")
            offsets = (fractions[old][rank] - fractions[old][rank[0]]) % 1
            mapping = np.argsort(rank)
            reference = cell, light[rank]
        else:
            turn, mapping, offsets = _alike(
                reference, offsets, cell, fractions[old], light, maxima.distance
            )
            cells[mine] = turn @ cells[mine]
        names[mine] = mapping[place[mine]]
    return new_grain, names, offsets, cells


def _join(
    maxima: Maxima,
    grain: np.ndarray,
    place: np.ndarray,
    cells: np.ndarray,
    fractions: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """
    Make one grain of those whose lattices continue each other.

    A layer without contrast, a crack or a part without measured pixels cuts a crystal into parts.
    The nearest columns of two parts give the vector between their origins; if it maps the places of
    one on those of the other, the parts are one crystal.
    """
    grain, place = grain.copy(), place.copy()
    numbers = [k for k in range(len(fractions)) if (grain == k).any()]
    for later in numbers[1:]:
        ours = np.flatnonzero(grain == later)
        others = np.flatnonzero((grain < later) & (grain >= 0))
        distance, nearest = cKDTree(maxima.positions[others]).query(maxima.positions[ours])
        near = np.argsort(distance, kind="stable")[:_PAIRS]
        one, other = ours[near], others[nearest[near]]
        into = int(np.bincount(grain[other]).argmax())
        one, other = one[grain[other] == into], other[grain[other] == into]
        mean = (cells[one] + cells[other]) / 2
        lengths = np.linalg.norm(mean, axis=2)
        apart = np.abs(cells[one] - cells[other]).max() > 0.2 * lengths.min()
        if apart or np.median(distance[near]) > _LONGEST_GAP * lengths.mean():
            continue
        steps = _grains.in_cells(maxima.positions[one] - maxima.positions[other], mean)
        shift = steps + fractions[into][place[other]] - fractions[later][place[one]]
        phase = np.exp(2j * np.pi * shift).mean(axis=0)
        if np.abs(phase).min() < 0.7:
            continue
        moved = fractions[later] + np.angle(phase) / (2 * np.pi)
        off = _grains.periodic_lengths(moved[:, None] - fractions[into], np.median(mean, axis=0))
        if (off.min(axis=1) > 0.3 * maxima.distance).any():
            continue
        place[ours] = off.argmin(axis=1)[place[ours]]
        grain[ours] = into
    return grain, place


def _without_displacements(
    maxima: Maxima,
    grain: np.ndarray,
    place: np.ndarray,
    cells: np.ndarray,
    fractions: list[np.ndarray],
    contrast: np.ndarray,
) -> None:
    """Give grains the cell of the crystal without an order of displacements, in place."""
    for number, places in enumerate(fractions):
        mine = np.flatnonzero(grain == number)
        if len(mine) < _SMALLEST_GRAIN:
            continue
        own = np.median(cells[mine], axis=0)
        parent = parent_of(places, place[mine], own, contrast[mine], maxima.distance)
        if parent is None:
            continue
        _logger.info("Columns of a kind are displaced in turns: the cell is that without the order")
        turn = _cells.upright(parent.steps @ own) @ np.linalg.inv(own)
        cells[mine] = turn @ cells[mine]
        fractions[number] = parent.fractions @ parent.steps @ np.linalg.inv(turn) % 1
        place[mine] = parent.number[place[mine]]
        grain[mine[place[mine] < 0]] = -1


def _part_domains(
    maxima: Maxima,
    grain: np.ndarray,
    place: np.ndarray,
    cells: np.ndarray,
    fractions: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Part grains at antiphase boundaries where kinds change places and the lattice goes on."""
    grain, place, fractions = grain.copy(), place.copy(), list(fractions)
    for number in range(len(fractions)):
        mine = np.flatnonzero(grain == number)
        if len(mine) < _SMALLEST_GRAIN:
            continue
        domains = find_domains(
            maxima.positions[mine], maxima.heights[mine], place[mine], fractions[number],
            np.median(cells[mine], axis=0), maxima.distance,
        )  # fmt: skip
        if domains is None:
            continue
        _logger.info("An antiphase boundary exchanges the kinds: its sides are grains of their own")
        held = np.unique(domains.place[domains.place >= 0])
        rank = np.full(len(fractions[number]) + 1, -1)
        rank[held] = np.arange(len(held))
        fractions[number] = fractions[number][held]
        place[mine] = rank[domains.place]
        grain[mine] = np.where(domains.label == 0, number, len(fractions) + domains.label - 1)
        fractions += [fractions[number]] * int(domains.label.max())
        grain[mine[place[mine] < 0]] = -1
    return grain, place, fractions


def _alike(
    reference: tuple[np.ndarray, np.ndarray],
    offsets: np.ndarray,
    cell: np.ndarray,
    fractions: np.ndarray,
    light: np.ndarray,
    distance: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Match the basis of a grain to that of the largest one, over all turns of its cell.

    Returns
    -------
    turn : numpy.ndarray of shape (2, 2)
        Whole numbers that make the grain's cell vectors those that correspond.
    mapping : numpy.ndarray of int, shape (m,)
        Number of each place of the grain.
    offsets : numpy.ndarray of shape (k, 2)
        With the places that were not known before.
    """
    known_cell, known_light = reference
    metric = known_cell @ known_cell.T
    best = None
    for entries in product((-1, 0, 1), repeat=4):
        turn = np.array(entries).reshape(2, 2)
        if abs(round(np.linalg.det(turn))) != 1:
            continue
        turned = turn @ cell
        if np.abs(turned @ turned.T - metric).max() > 2 * _ALIKE * np.trace(metric) / 2:
            continue
        places = fractions @ np.linalg.inv(turn)
        for start in range(len(places)):
            for goal in range(len(known_light)):
                off = (places - places[start] + offsets[goal])[:, None] - offsets
                off = _grains.periodic_lengths(off, known_cell)
                goals = off.argmin(axis=1)
                if len(set(goals)) < len(off) or off.min(axis=1).max() > 0.4 * distance:
                    continue
                agree = np.abs(np.argsort(np.argsort(-light)) - np.argsort(np.argsort(goals))).sum()
                proper = np.linalg.det(turned) * np.linalg.det(known_cell) > 0
                turns = np.abs(turned - known_cell).max() / np.abs(known_cell).max()
                cost = (agree, not proper, round(turns, 1), off.min(axis=1).sum())
                if best is None or cost < best[0]:
                    best = cost, turn, goals
    if best is not None:
        return best[1], best[2], offsets
    first = len(offsets)
    rank = np.argsort(np.argsort(-light, kind="stable"))
    own = (fractions - fractions[light.argmax()]) % 1
    return np.eye(2, dtype=int), first + rank, np.vstack([offsets, own[np.argsort(rank)]])


def _brightness(picture: Picture, maxima: Maxima) -> np.ndarray:
    """Mean of a small disk, robust against saturated peaks; depths for dark columns."""
    radius = _CORE * maxima.distance
    reach = int(np.ceil(radius / picture.stretch.min()))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.hypot(dx * picture.stretch[0], dy * picture.stretch[1]) <= radius
    x, y = np.round(maxima.positions / picture.stretch).astype(int).T
    rows = np.clip(y[:, None] + dy[disk], 0, picture.values.shape[0] - 1)
    columns = np.clip(x[:, None] + dx[disk], 0, picture.values.shape[1] - 1)
    return picture.values[rows, columns].mean(axis=1) * (-1 if maxima.dark else 1)


def _background(picture: Picture, dark: bool) -> float:
    """Brightness between the columns; the negative of it for dark ones."""
    values = picture.values if picture.valid is None else picture.values[picture.valid]
    sample = values.ravel()[:: max(1, values.size // 100_000)]
    return float(-np.quantile(sample, 1 - _DARKEST) if dark else np.quantile(sample, _DARKEST))


def _number(found: FoundCrystal) -> None:
    """Number the cells of all grains, from 0 at the first row and column of each."""
    known = np.flatnonzero(found.known)
    found.index[known], _ = _grains.number_cells(
        found.maxima.positions[known], found.cells[known], found.grain[known],
        found.offsets[found.place[known]], found.maxima.distance,
    )  # fmt: skip


def _report(picture: Picture, found: FoundCrystal) -> None:
    """Log the result; warn of maxima that belong to no lattice, and of kinds left undecided."""
    n, known = len(found.grain), int(found.known.sum())
    _logger.info(
        "%s are maxima of the image, in %s, at %s of the cell. "
        "Translations join equal places to %.4f.", count_of(known, "column"),
        count_of(found.grain.max() + 1, "grain"), count_of(len(found.offsets), "place"),
        found.consistency,
    )  # fmt: skip
    doubts = []
    if len(found.offsets) == 1 and found.maxima.undecided:
        doubts.append(
            f"The {known} columns of the image are too few to decide whether every other one is of "
            "another kind: they are one sublattice. Pass cell= if they are two, or a larger image."
        )
    if found.maxima.mixed:
        doubts.append(
            "A sublattice mixes kinds of columns: their heights repeat after several cells, but "
            "too few columns are joined by so large a cell. Pass it as cell=, or a larger image."
        )
    for text in doubts:
        found.cautions.append(text)
        _logger.warning("%s", text)
    left_out = n - known
    many = left_out > _MANY_LEFT_OUT * n
    cell = vectors_text(found.maxima.cell / picture.stretch)
    text = f"{left_out} of {n} maxima of the image fit no lattice with the vectors {cell} px"
    if many:
        text += (
            ": they are in lattice.crystal.unassigned. If they are columns, crop to one crystal, "
            "pass cell=, or use find_columns, which asks for no lattice."
        )
        found.cautions.append(text)
    _logger.log(logging.WARNING if many else logging.INFO, "%s", text)
