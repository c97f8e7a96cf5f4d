# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains and walls of all images, frames and grains, as two tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .alternation import Alternation, find_alternation
from .lattice import SiteLattice, site_lattice
from .regions import find_regions, numbered
from .walls import NARROW, Wall, find_walls, mean_of

if TYPE_CHECKING:
    import pandas as pd

_ANGLES = ("direction", "direction_std", "orientation", "orientation_std", "angle")


@dataclass
class Measured:
    """
    Labels and displacements that domains are found in and measured with.

    Attributes
    ----------
    xy : numpy.ndarray, shape (n, 2)
        Positions in px.
    label : numpy.ndarray of int, shape (n,)
        Variant, -1 = none.
    strata : dict of str to numpy.ndarray of int, shape (n,)
        Columns ``image`` and ``frame``, where there are such: domains are numbered in each.
    grain : numpy.ndarray of int, shape (n,), or None
        Sites with -1 are in no domain.
    angle : numpy.ndarray, shape (n,), or None
        In radians.
    fold : int
        n if angles are known up to turns of 360/n degrees.
    displacement : numpy.ndarray, shape (n, 2), or None
    displacement_unit : str
    pixel_size : float
        Side of a square pixel of the same area.
    pixel_unit : str
    aspect : tuple of float
        Width and height of a pixel, in units of `pixel_size`. Lengths and directions are those in
        the specimen.
    """

    xy: np.ndarray
    label: np.ndarray
    strata: dict[str, np.ndarray]
    grain: np.ndarray | None = None
    angle: np.ndarray | None = None
    fold: int = 1
    displacement: np.ndarray | None = None
    displacement_unit: str = ""
    pixel_size: float = 1.0
    pixel_unit: str = "px"
    aspect: tuple[float, float] = (1.0, 1.0)

    def images(self) -> Iterator[tuple[dict[str, int], np.ndarray]]:
        """Number of image and frame, and the rows of its sites."""
        if not self.strata:
            yield {}, np.arange(len(self.xy))
            return
        keys = np.stack(list(self.strata.values()), axis=1)
        for key in np.unique(keys, axis=0):
            names = dict(zip(self.strata, key.tolist(), strict=True))
            yield names, np.flatnonzero((keys == key).all(1))

    def grains(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, SiteLattice]]:
        """Rows and lattice of each grain among the sites of an image."""
        grain = np.zeros(len(rows), int) if self.grain is None else self.grain[rows]
        for number in np.unique(grain[grain >= 0]):
            own = rows[(grain == number) & np.isfinite(self.xy[rows]).all(1)]
            lattice = site_lattice(self.xy[own] * self.aspect)
            if lattice is not None:
                yield own, lattice


def find_domains(measured: Measured, min_sites: int = 5) -> tuple[np.ndarray, bool]:
    """
    Number the domains of each image and frame.

    Parameters
    ----------
    measured : Measured
    min_sites : int
        Minimum number of sites of a domain.

    Returns
    -------
    domain : numpy.ndarray of int, shape (n,)
        From 0, the largest of an image first; -1 = none.
    alternates : bool
        Whether the labels alternate from cell to cell somewhere, so that domains there are regions
        of one phase of the pattern.

    Examples
    --------
    >>> y, x = np.indices((6, 8))
    >>> xy = 20.0 * np.column_stack([x.ravel(), y.ravel()])
    >>> find_domains(Measured(xy, (x > 4).ravel().astype(int), {}))[0][:8]
    array([0, 0, 0, 0, 0, 1, 1, 1])
    """
    domain, alternates = np.full(len(measured.xy), -1), False
    for _, rows in measured.images():
        count = 0
        for own, lattice in measured.grains(rows):
            label = measured.label[own]
            alternation = find_alternation(lattice, label)
            alternates |= alternation is not None
            moved = None if measured.displacement is None else measured.displacement[own]
            found = find_regions(lattice, label, alternation, min_sites, moved)
            domain[own] = np.where(found >= 0, found + count, -1)
            count += int(found.max(initial=-1)) + 1
        domain[rows] = numbered(domain[rows])
    return domain, alternates


def domain_tables(
    measured: Measured, domain: np.ndarray, polarity: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Measure the domains and the walls between them.

    Parameters
    ----------
    measured : Measured
    domain : numpy.ndarray of int, shape (n,)
        As from :func:`find_domains`, of these sites or of more.
    polarity : {1, -1}, optional
        1 if the polarisation points along the displacement, -1 if against it. If None, walls have
        no sign of the charge.

    Returns
    -------
    domains, walls : pandas.DataFrame
        ``attrs["units"]`` has the units by column.

    Examples
    --------
    >>> y, x = np.indices((6, 8))
    >>> xy = 20.0 * np.column_stack([x.ravel(), y.ravel()])
    >>> measured = Measured(xy, (x > 4).ravel().astype(int), {}, pixel_size=0.02, pixel_unit="nm")
    >>> domains, walls = domain_tables(measured, find_domains(measured)[0])
    >>> domains[["n_sites", "area", "neighbours"]].round(2).values.tolist()
    [[30, 4.8, [1]], [18, 2.88, [0]]]
    >>> walls[["domain_1", "domain_2", "x", "length"]].round(2).values.tolist()
    [[0.0, 1.0, 90.0, 2.4]]
    """
    import pandas as pd

    domains: list[dict[str, Any]] = []
    walls: list[dict[str, Any]] = []
    for names, rows in measured.images():
        first, count = len(domains), 0
        for own, lattice in measured.grains(rows):
            part = _Part(measured, own, lattice, domain[own])
            found = part.walls()
            domains += [names | row for row in part.domain_rows(found)]
            walls += [names | {"wall": count + k} | part.wall_row(wall, polarity)
                      for k, wall in enumerate(found)]  # fmt: skip
            count += len(found)
        domains[first:] = sorted(domains[first:], key=lambda row: row["domain"])
    of_strata = list(measured.strata)
    length, moved = measured.pixel_unit, measured.displacement_unit
    units = dict.fromkeys(("x", "y"), "px") | dict.fromkeys(_ANGLES, "rad")
    units |= {"area": f"{length}²", "length": length, "jump": moved, "jump_std": moved}
    units |= {"segments": "px"} | dict.fromkeys(("width", "width_std"), "cells")
    tables = []
    of_walls = [*_WALL_COLUMNS, *["charge"] * (polarity is not None), "segments"]
    for table, titles in ((domains, list(_DOMAIN_COLUMNS)), (walls, of_walls)):
        columns = of_strata + titles
        frame = pd.DataFrame(table, columns=columns)
        frame.attrs["units"] = {name: units.get(name, "") for name in columns}
        tables.append(frame)
    return tables[0], tables[1]


_DOMAIN_COLUMNS = (
    *("domain", "variants", "n_sites", "area", "x", "y", "direction", "direction_std"),
    "neighbours",
)
_WALL_COLUMNS = (
    *("wall", "domain_1", "domain_2", "kind", "x", "y", "length", "orientation"),
    *("orientation_std", "angle", "width", "width_std", "narrow", "jump", "jump_std", "charged"),
)


class _Part:
    """Domains of one grain of one image."""

    def __init__(
        self, measured: Measured, rows: np.ndarray, lattice: SiteLattice, domain: np.ndarray
    ) -> None:
        self.measured, self.rows, self.lattice, self.domain = measured, rows, lattice, domain
        self.label = measured.label[rows]
        self.numbers = np.unique(domain[domain >= 0])
        self.alternation: Alternation | None = None
        if len(self.numbers):
            self.alternation = find_alternation(lattice, self.label)
        self.patterns = {k: self._pattern(k) for k in self.numbers.tolist()}
        self.directions = {k: self._direction(k) for k in self.numbers.tolist()}

    def walls(self) -> list[Wall]:
        """The walls, the longest first."""
        moved = self.measured.displacement
        moved = None if moved is None else moved[self.rows]
        expected = None if moved is None else self._expected(moved)
        return find_walls(self.lattice, self.domain, moved, expected)

    def _expected(self, moved: np.ndarray) -> np.ndarray:
        """Displacement of each site if it were in each domain, (n_domains, n, 2)."""
        count = int(self.domain.max(initial=-1)) + 1
        coset = np.zeros(len(moved), int)
        if self.alternation is not None:
            coset = np.unique(self.alternation.coset, return_inverse=True)[1]
        means = np.full((count, coset.max(initial=0) + 1, 2), np.nan)
        for number in self.numbers:
            inside = (self.domain == number) & (self.label >= 0)
            for one in range(means.shape[1]):
                means[number, one] = mean_of(moved[inside & (coset == one)])
        if means.shape[1] == 1:  # the same at all sites: seen as often, kept once
            return np.broadcast_to(means, (count, *moved.shape))
        return means[:, coset]

    def _pattern(self, number: int) -> int:
        """Number of the pattern of a domain whose variants alternate; -1 for one variant."""
        if self.alternation is None:
            return -1
        phase = self.alternation.phase[self.domain == number]
        phase = phase[phase >= 0]
        return int(self.alternation.kinds[np.bincount(phase).argmax()]) if len(phase) else -1

    def _direction(self, number: int) -> tuple[float, float]:
        """Mean direction of a domain and its standard error, in radians."""
        inside = (self.domain == number) & (self.label >= 0)
        measured, multiple = self.measured, self._multiple()
        if measured.angle is not None:
            wave = np.exp(1j * multiple * measured.angle[self.rows][inside])
        elif measured.displacement is not None:
            vector = measured.displacement[self.rows][inside] @ np.array([1, 1j])
            wave = np.exp(1j * multiple * np.angle(vector)) * np.abs(vector)
        else:
            return np.nan, np.nan
        wave = wave[np.isfinite(wave)]
        if not len(wave) or abs(wave.mean()) < 1e-9:
            return np.nan, np.nan
        mean = wave.mean()
        off = (wave / mean).imag  # of the direction, to first order
        error = np.sqrt((off**2).mean() / len(wave)) / multiple
        return float(np.angle(mean) / multiple), float(error)

    def _multiple(self) -> int:
        """Multiple of the angle that has a mean: 2 for an axis, where signs alternate."""
        return self.measured.fold if self.alternation is None else 2

    def domain_rows(self, walls: list[Wall]) -> Iterator[dict[str, Any]]:
        """Rows of the table of domains."""
        area = self.lattice.cell_area * self.measured.pixel_size**2
        for number in self.numbers.tolist():
            inside = self.domain == number
            count = int(inside.sum())
            kinds, size = np.unique(self.label[inside & (self.label >= 0)], return_counts=True)
            x, y = self.lattice.xy[inside].mean(0) / self.measured.aspect
            beside = {one for wall in walls if number in wall.domains for one in wall.domains}
            yield {
                "domain": number,
                "variants": kinds[size > 0.1 * size.sum()].tolist(),
                "n_sites": count,
                "area": count * area,
                "x": float(x),
                "y": float(y),
                "direction": self.directions[number][0],
                "direction_std": self.directions[number][1],
                "neighbours": sorted(beside - {number}),
            }

    def wall_row(self, wall: Wall, polarity: int | None) -> dict[str, Any]:
        """Row of the table of walls."""
        first, second = wall.domains
        same = self.patterns[first] == self.patterns[second] >= 0
        period = 2 * np.pi / self._multiple()
        angle = np.mod(self.directions[second][0] - self.directions[first][0], period)
        along = np.arctan2(wall.normal[1], wall.normal[0])
        x, y = wall.position / self.measured.aspect
        row = {
            "domain_1": first,
            "domain_2": second,
            "kind": "antiphase" if same else "variants",
            "x": float(x),
            "y": float(y),
            "length": wall.length * self.measured.pixel_size,
            "orientation": float(np.mod(along + np.pi, np.pi) - np.pi / 2),
            "orientation_std": wall.normal_std,
            "angle": float(min(angle, period - angle)),
            "width": wall.width,
            "width_std": wall.width_std,
            "narrow": bool(wall.width < NARROW),
            "jump": wall.jump,
            "jump_std": wall.jump_std,
            "charged": wall.charged,
            "segments": wall.segments / self.measured.aspect,
        }
        if polarity is not None:
            row["charge"] = -int(np.sign(wall.jump) * polarity) if wall.charged else 0
        return row
