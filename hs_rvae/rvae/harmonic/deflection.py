# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distortion in diffraction patterns: the turning part is learnt, with the deflection as zero.

The pixels of a pattern are not places: no column moves in it, and nothing foretells its change by
a displacement. But that change has charge 1, as every vector in a lattice. Its pattern is the
leading principal component of charge 1, refined and judged by other cells as in sub-images. A
component has no direction of its own. It takes that of its centre of mass: electrons are deflected
towards the side to which a column has moved. Displacements have no unit here.
"""

from __future__ import annotations

import numpy as np
import torch

from ..geometry import HarmonicGrid
from ..neighbour_test import LatticeOffsets
from .charges import of_charge, vector_pattern
from .distortion import N_COMPONENTS, Distortion, DistortionFit, Filter, least_squares

_TRIED = 3  # leading components, of which other cells choose one
_FLATTEST = 0.2  # of the deflections along two directions, in parts of the larger


def fit_deflection(
    harmonics: np.ndarray,
    grid: HarmonicGrid,
    mean: np.ndarray,
    offsets: LatticeOffsets,
    rng: np.random.Generator,
) -> Distortion:
    """Fit the filters and the distribution of the displacements to diffraction patterns.

    Parameters
    ----------
    harmonics, grid, mean, offsets, rng
        As in :func:`~hs_rvae.rvae.harmonic.distortion.fit_distortion`, of windows about the centre
        of the bright disk.

    Returns
    -------
    Distortion
        Its displacements have no unit.
    """
    return _DeflectionFit(harmonics, grid, mean, offsets, rng, None).run()


class _DeflectionFit(DistortionFit):
    """Data of one fit to diffraction patterns."""

    def _set_templates(self, mean: np.ndarray, grid: HarmonicGrid, harmonics: np.ndarray) -> None:
        """Keep the harmonics whose product with a pattern is its centre of mass."""
        line = torch.arange(grid.window_size, dtype=torch.float32) - (grid.window_size - 1) / 2
        y, x = torch.meshgrid(line, line, indexing="ij")
        z = of_charge(grid.harmonics(torch.stack([x, y])).numpy().astype(complex), self.n, 1)
        self.deflection = self.basis.pair(*z)
        self.unit: float | None = None

    def _first_filters(self) -> list[Filter]:
        """Filters of the leading components."""
        count = min(self.basis.k, max(N_COMPONENTS))
        columns, tried = self.basis.first(count), []
        for k in range(min(_TRIED, count)):
            if self.basis.tied:
                pair = vector_pattern(np.eye(count)[k])
            else:
                pair = np.eye(2 * count)[2 * k : 2 * k + 2]
            patterns = self._in_units(pair, columns)
            rows = least_squares(np.eye(len(columns)), patterns)
            tried.append(self._apply(rows, columns, patterns))
        return tried

    def _before(self, start: Filter, columns: np.ndarray) -> np.ndarray:
        """Patterns (2, len(columns)) of the first filter."""
        patterns = np.zeros((2, self.y.shape[1]))
        patterns[:, start.columns] = start.patterns
        return patterns[:, columns]

    def _in_units(self, patterns: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Patterns whose centres of mass move along x and y, as far as in the first one."""
        moved = self.deflection[:, columns] @ patterns.T
        left, size, right = np.linalg.svd(moved)
        turn = right.T @ np.diag(1 / np.maximum(size, max(_FLATTEST * size[0], 1e-30))) @ left.T
        new = turn.T @ patterns
        if self.unit is None:
            self.unit = self.reference / np.sqrt((new**2).sum() / 2)
        return self.unit * new

    def _asymmetry(self, found: Filter) -> float:
        """Charge 1 of the mean site beyond its displacement, in parts of a full one."""
        z = of_charge(self.harmonics[self.some], self.n, 1)
        y = self.y[self.some][:, found.columns]
        plane = np.linalg.qr(found.patterns.T)[0]
        inside = y @ plane
        missed = (np.abs(z.mean(0)) ** 2).sum() - (inside.mean(0) ** 2).sum()
        noise = ((np.abs(z) ** 2).sum(1).mean() - (inside**2).sum(1).mean() - missed) / len(z)
        assert found.circle is not None
        full = found.circle.length * np.sqrt((found.patterns**2).sum() / 2)
        return float(np.sqrt(max(missed - noise, 0.0)) / max(full, 1e-30))

    def _coherence(self) -> float:
        """Share of the power of the lattice's orders that the sites have in common, without noise.

        The noise of a pattern is that of the bright disk. It is read from the orders beside those
        of the lattice, which hold the distortion too, but no turn of the lattice.
        """
        sites, n = self.harmonics[self.some], max(self.n, 2)
        mean = sites.mean(0)
        scatter = (np.abs(sites - mean) ** 2).mean(0).sum(0)
        orders = np.arange(n, len(scatter) - 1, n)
        beside = (scatter[orders - 1] + scatter[orders + 1]) / 2
        common = (np.abs(mean[:, orders]) ** 2).sum()
        varying = max(float((scatter[orders] - beside).sum()), 0.0)
        return float(common / max(common + varying, 1e-30))

    def _sizes(self, found: Filter, length: np.ndarray, mean: np.ndarray) -> dict[str, float]:
        """Displacements without unit cannot be compared with the cell."""
        return {}
