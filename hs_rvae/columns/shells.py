# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""First shells: the neighbours that the basis of a crystal predicts, and sites against them.

Positions are in pixels, ``(x, y)``, y down. Vectors of the average cell are in fractions of the two
cell vectors, so that they follow the cell of each grain.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ..neighbours import LARGEST_GAP, cells_of_four, largest_gap, sorted_by_azimuth
from .crystal import Crystal

_logger = logging.getLogger(__name__)

# Longest distance of a neighbour from its predicted place, in shortest vectors of the shell.
_LIMIT = 0.3
_FIRST_LIMIT = 0.5  # before the displacement of the site is taken into account
_ONE_SHELL = 1.25  # times the nearest: distances of one shell
_ONE_SYMMETRICAL_SHELL = 1.1  # the same about a centre of inversion, where displacements cancel
_ONE_CAGE = 1.45  # times the nearest: distances of a cage of one sublattice
_OFF_CENTRE = 0.3  # of the distance to the cage: a displaced site, not another place
_ALIKE = 0.15  # of the distance: misfit of a shell that is turned on itself
_CELLS = 4  # repeats of the cell each way in which neighbours are looked for


@dataclass(frozen=True)
class Shell:
    """The neighbours of one place of the average cell.

    Attributes
    ----------
    members : tuple of str
        Sublattice of each neighbour, in the order of their directions.
    fractions : numpy.ndarray of shape (k, 2)
        Vectors from the place to its neighbours, in fractions of the cell vectors.
    reference : numpy.ndarray of shape (2,)
        Offset from the mean of the neighbours at which the displacement is zero, in fractions: zero
        for a cage that is symmetrical about its mean, the offset of the average cell for others.
    """

    members: tuple[str, ...]
    fractions: np.ndarray
    reference: np.ndarray


@dataclass(frozen=True)
class Cage:
    """The columns of a sublattice against the neighbours of their first shell.

    Attributes
    ----------
    displacement : numpy.ndarray of shape (n, 2)
        Pixels; NaN where the shell is not complete.
    a, b : numpy.ndarray of shape (n, 2)
        Cell vectors around each site, in pixels.
    count : numpy.ndarray of shape (n,)
        Number of neighbours of the shell.
    positions : numpy.ndarray of shape (m, 2)
        Columns of the sublattices that make the cage.
    errors : numpy.ndarray of shape (m, 2) or None
        Their standard errors in pixels.
    names : tuple of str
        Names of these sublattices.
    """

    displacement: np.ndarray
    a: np.ndarray
    b: np.ndarray
    count: np.ndarray
    positions: np.ndarray
    errors: np.ndarray | None
    names: tuple[str, ...]


def cage_around(
    name: str,
    tables: Mapping[str, pd.DataFrame],
    crystal: Crystal,
    cage: str | Sequence[str] | None = None,
) -> Cage:
    """
    Displacements and cells of the columns of a sublattice by their first shell.

    Parameters
    ----------
    name : str
        Sublattice of the sites.
    tables : Mapping of str to pandas.DataFrame
        ``column_table`` of each sublattice: x, y, grain.
    crystal : Crystal
    cage : str or list of str, optional
        Sublattices of the neighbours, see :func:`find_shells`.

    Returns
    -------
    Cage
        One row for each row of ``tables[name]``. NaN for a site whose shell is not complete, for
        example beside a vacancy, a border or a boundary between grains, and for a site of no grain.

    Raises
    ------
    ValueError
        If there is no such sublattice.
    """
    shells = find_shells(crystal, name, cage)
    table = tables[name]
    n = len(table)
    best = np.full(n, np.inf)
    moved, a, b = (np.full((n, 2), np.nan) for _ in range(3))
    count = np.zeros(n, int)
    for shell in shells:
        vectors, misfit, cells = _matched(table, tables, shell, crystal)
        better = misfit < best
        best[better] = misfit[better]
        offset = np.einsum("f,nfx->nx", shell.reference, cells)
        moved[better] = (-sorted_by_azimuth(vectors).mean(axis=1) - offset)[better]
        own = set(shell.members) == {name}
        sides = _local_cells(vectors, shell, own)
        a[better], b[better] = sides[0][better], sides[1][better]
        count[better] = len(shell.members)
    names = tuple(sorted({member for shell in shells for member in shell.members}))
    around = pd.concat([tables[other] for other in names if other in tables])
    has_errors = {"x_std", "y_std"} <= set(around.columns)
    return Cage(
        displacement=moved,
        a=a,
        b=b,
        count=count,
        positions=around[["x", "y"]].to_numpy(float),
        errors=around[["x_std", "y_std"]].to_numpy(float) if has_errors else None,
        names=names,
    )


def find_shells(
    crystal: Crystal, name: str, cage: str | Sequence[str] | None = None
) -> list[Shell]:
    """
    First shell of each place of a sublattice.

    Parameters
    ----------
    crystal : Crystal
    name : str
        Name of the sublattice; "A" is the brightest.
    cage : str or list of str, optional
        Sublattices of the neighbours. If None, the brightest other one, where it has a cage around
        the site: neighbours at about one distance that enclose it. Otherwise, the nearest places of
        all others; in a crystal of one sublattice, those of its own.

    Returns
    -------
    list of Shell

    Raises
    ------
    ValueError
        If there is no such sublattice.
    """
    names = list(dict.fromkeys(place.name for place in crystal.places))
    wanted = [cage] if isinstance(cage, str) else list(cage or [])
    for argument, one in (("sublattice", name), *(("cage", one) for one in wanted)):
        if one not in names:
            raise ValueError(
                f"{argument}={one!r}: there is no such sublattice; the crystal has "
                f"{', '.join(names)}."
            )
    others = [other for other in names if other != name]
    shells = []
    for number, place in enumerate(crystal.places):
        if place.name != name:
            continue
        if wanted:
            shells.append(_shell(crystal, number, wanted)[0])
            continue
        shell, spread = _shell(crystal, number, others[:1] or [name])
        if len(others) > 1 and spread > _ONE_CAGE:
            shell, _ = _shell(crystal, number, others)
        shells.append(shell)
    return shells


def predicted_neighbours(
    crystal: Crystal, number: int, names: Iterable[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Places around one place of the average cell.

    Parameters
    ----------
    crystal : Crystal
    number : int
        Number of the place in ``crystal.places``.
    names : iterable of str, optional
        Sublattices that count; if None, all.

    Returns
    -------
    fractions : numpy.ndarray of shape (m, 2)
        Vectors to them in fractions of the cell vectors, the nearest first, without itself.
    places : numpy.ndarray of int, shape (m,)
        Numbers of the places that they lead to.
    """
    chosen = None if names is None else set(names)
    steps = np.mgrid[-_CELLS : _CELLS + 1, -_CELLS : _CELLS + 1].reshape(2, -1).T
    origin = np.array(crystal.places[number].position)
    vectors, places = [], []
    for k, place in enumerate(crystal.places):
        if chosen is None or place.name in chosen:
            vectors.append(steps + np.array(place.position) - origin)
            places.append(np.full(len(steps), k))
    fractions, numbers = np.concatenate(vectors), np.concatenate(places)
    distance = np.linalg.norm(fractions @ crystal.cell, axis=1)
    order = np.argsort(distance, kind="stable")
    order = order[distance[order] > 1e-6 * np.abs(crystal.cell).max()]
    return fractions[order], numbers[order]


def _shell(crystal: Crystal, number: int, names: Sequence[str]) -> tuple[Shell, float]:
    """First shell of a place, and its longest over its shortest distance."""
    fractions, places = predicted_neighbours(crystal, number, names)
    vectors = fractions @ crystal.cell
    centre = _centre(vectors)
    about = vectors - (0 if centre is None else centre)
    distance = np.linalg.norm(about, axis=1)
    order = np.argsort(distance, kind="stable")
    same = _ONE_SHELL if centre is None else _ONE_SYMMETRICAL_SHELL
    chosen = order[: _enclosing(about[order], same)]
    spread = float(distance[chosen].max() / distance[chosen].min())
    azimuth = np.arctan2(*vectors[chosen].T[::-1])
    chosen = chosen[np.argsort(azimuth)]
    symmetrical = centre is not None or _is_turned_on_itself(vectors[chosen])
    if not symmetrical:
        _logger.info(
            "The neighbours of %s are not symmetrical about their mean: displacements count from "
            "its place in the average cell.", crystal.places[number].name,
        )  # fmt: skip
    shell = Shell(
        members=tuple(crystal.places[k].name for k in places[chosen]),
        fractions=fractions[chosen],
        reference=np.zeros(2) if symmetrical else -fractions[chosen].mean(axis=0),
    )
    return shell, spread


def _enclosing(vectors: np.ndarray, same: float) -> int:
    """Number of the nearest vectors, whole shells only, that enclose the origin."""
    distance = np.linalg.norm(vectors, axis=1)
    end = 0
    while end < len(vectors):
        end = int(np.searchsorted(distance, same * distance[end], side="right"))
        if largest_gap(vectors[None, :end])[0] < LARGEST_GAP:
            break
    return end


def _centre(vectors: np.ndarray) -> np.ndarray | None:
    """
    Centre of inversion of the neighbours that is nearest to the site; None if none is near.

    A site that is displaced alike in all cells stands beside it, and its shell is still the cage.
    """
    near = vectors[:12]
    first, second = np.triu_indices(len(near), 1)
    middle = (near[first] + near[second]) / 2
    middle = middle[np.argsort(np.linalg.norm(middle, axis=1), kind="stable")]
    tree = cKDTree(vectors)
    for centre in middle:
        nearest = tree.query(centre)[0]
        if np.linalg.norm(centre) > _OFF_CENTRE * nearest or nearest < 1e-9:
            continue
        inside = vectors[np.linalg.norm(vectors - centre, axis=1) < 2.5 * nearest]
        if (tree.query(2 * centre - inside)[0] < _ALIKE * nearest).all():
            return np.asarray(centre)
    return None


def _is_turned_on_itself(vectors: np.ndarray) -> bool:
    """Return True if a half or a third of a turn about their mean maps vectors on themselves."""
    mean = vectors.mean(axis=0)
    about = vectors - mean
    length = np.linalg.norm(about, axis=1).mean()
    if np.linalg.norm(mean) > _OFF_CENTRE * length:
        return False
    tree = cKDTree(about)
    for turn in (np.pi, 2 * np.pi / 3):
        cos, sin = np.cos(turn), np.sin(turn)
        turned = about @ np.array([[cos, sin], [-sin, cos]])
        if (tree.query(turned)[0] < _ALIKE * length).all():
            return True
    return False


def grain_numbers(table: pd.DataFrame) -> np.ndarray:
    """Grain of each column of a table, -1 for none; 0 for all where the table has no grains."""
    return table["grain"].to_numpy(int) if "grain" in table else np.zeros(len(table), int)


def grain_cells(crystal: Crystal) -> dict[int, np.ndarray]:
    """Cell vectors of each grain, by its number."""
    return {grain.number: np.asarray(grain.cell, float) for grain in crystal.grains} or {
        0: np.asarray(crystal.cell, float)
    }


def _matched(
    table: pd.DataFrame, tables: Mapping[str, pd.DataFrame], shell: Shell, crystal: Crystal
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Vectors from each site to the neighbours of a shell, within its grain.

    Returns
    -------
    vectors : numpy.ndarray of shape (n, k, 2)
        In the order of the shell; NaN where it is not complete.
    misfit : numpy.ndarray of shape (n,)
        Root mean square distance from the predicted places, infinite where it is not complete.
    cells : numpy.ndarray of shape (n, 2, 2)
        Cell vectors of the site's grain.
    """
    n, k = len(table), len(shell.members)
    vectors = np.full((n, k, 2), np.nan)
    misfit, cells = np.full(n, np.inf), np.full((n, 2, 2), np.nan)
    grains, positions = grain_numbers(table), table[["x", "y"]].to_numpy(float)
    usable = np.isfinite(positions).all(axis=1)
    for number, cell in grain_cells(crystal).items():
        rows = np.flatnonzero(usable & (grains == number))
        cells[grains == number] = cell
        trees = {name: _tree(tables[name], number) for name in set(shell.members) & set(tables)}
        if not len(rows) or len(trees) < len(set(shell.members)):
            continue
        predicted = shell.fractions @ cell
        shortest = np.linalg.norm(predicted, axis=1).min()
        xy, shift = positions[rows], np.zeros((len(rows), 1, 2))
        for limit in (_FIRST_LIMIT, _LIMIT):
            ends = xy[:, None] + predicted + shift
            found = np.full((len(rows), k, 2), np.nan)
            for m, name in enumerate(shell.members):
                found[:, m] = _nearest_within(trees[name], ends[:, m], limit * shortest)
            with np.errstate(invalid="ignore"):
                off = found - xy[:, None] - predicted
            shift = _median(off)
        complete = np.isfinite(found).all(axis=(1, 2)) & _all_different(found)
        steps = found - xy[:, None]
        vectors[rows[complete]] = steps[complete]
        left = (off - off.mean(axis=1, keepdims=True))[complete]
        misfit[rows[complete]] = np.sqrt((left**2).sum(axis=2).mean(axis=1))
    return vectors, misfit, cells


def _tree(table: pd.DataFrame, grain: int) -> cKDTree | None:
    """Columns of a grain with finite positions; None if there are none."""
    positions = table[["x", "y"]].to_numpy(float)
    positions = positions[(grain_numbers(table) == grain) & np.isfinite(positions).all(axis=1)]
    return cKDTree(positions) if len(positions) else None


def _nearest_within(tree: cKDTree | None, points: np.ndarray, limit: float) -> np.ndarray:
    """The nearest position to each point, NaN beyond the limit."""
    if tree is None:
        return np.full(points.shape, np.nan)
    usable = np.isfinite(points).all(axis=1)
    found = np.full(points.shape, np.nan)
    distance, index = tree.query(points[usable], distance_upper_bound=limit)
    inside = np.isfinite(distance)
    near = np.full((len(distance), 2), np.nan)
    near[inside] = tree.data[index[inside]]
    found[usable] = near
    return found


def _median(off: np.ndarray) -> np.ndarray:
    """Median over the neighbours that were found, zero without any; shape (n, 1, 2)."""
    shift = np.zeros((len(off), 1, 2))
    some = np.isfinite(off[..., 0]).any(axis=1)
    shift[some] = np.nanmedian(off[some], axis=1, keepdims=True)
    return shift


def _all_different(found: np.ndarray) -> np.ndarray:
    """Mask of the sites whose neighbours are all different columns."""
    first, second = np.triu_indices(found.shape[1], 1)
    with np.errstate(invalid="ignore"):
        same = (found[:, first] == found[:, second]).all(axis=2)
    return ~same.any(axis=1)


def _local_cells(
    vectors: np.ndarray, shell: Shell, own_lattice: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Cell vectors around each site: of four neighbours their sides, of others by a fit."""
    if len(shell.members) == 4 and not shell.reference.any():
        return cells_of_four(sorted_by_azimuth(vectors), own_lattice)
    inverse = np.linalg.pinv(shell.fractions - shell.fractions.mean(axis=0))
    about = vectors - vectors.mean(axis=1, keepdims=True)
    cells = np.einsum("fk,nkx->nfx", inverse, about)
    return cells[:, 0], cells[:, 1]
