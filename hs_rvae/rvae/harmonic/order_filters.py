# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the strain and the rotation of the surroundings of a site.

A strain has charge 2, a rotation charge 0. Their patterns in the harmonics are known beforehand:
the change of the mean sub-image when its content is stretched or turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from ..geometry import HarmonicGrid
from .charges import as_real, charge_of

_BLUR = 0.7  # px, of the mean sub-image in which columns are found
_MINIMUM_NOISE = 1e-3  # power of a coefficient that the disk hardly holds, in parts of the largest
_SAME_SHELL = 0.12  # difference of radii in cells
_INSIDE = 0.95  # radius of the last shell that turns, in parts of the disk's
_PEAK = 0.02  # minimum height of a column over its surroundings, in parts of the highest
_REACH, _N_NODES = 0.5, 14  # of the profile of a column: radius in cells, and its support


@dataclass
class Coordinates:
    """Real coordinates of one charge, for harmonics (n_sites, n_q, M + 1).

    Attributes
    ----------
    orders : numpy.ndarray of int
        Orders that have the charge.
    """

    orders: np.ndarray

    @classmethod
    def of(cls, n_orders: int, n: int, charge: int) -> Coordinates:
        """Orders of charge 0 or 2 in a lattice of symmetry n; all even ones in a lower one."""
        even = range(2, n_orders, 2)
        own = [m for m in even if n not in (4, 6) or abs(charge_of(m, n)) == charge]
        return cls(np.array(own, int))

    def __call__(self, harmonics: np.ndarray) -> np.ndarray:
        """Coordinates (n_sites, d)."""
        z = harmonics[:, :, self.orders]
        return as_real(z.reshape(len(z), z.shape[1] * z.shape[2]))  # also of no sites

    def noise(self, power: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of white noise, from the power (n_q, M + 1) of the harmonics of it."""
        half = np.maximum(power, _MINIMUM_NOISE * power.max())[:, self.orders].ravel() / 2
        return np.diag(np.concatenate([half, half]))

    def filters(self, rows: np.ndarray, n_q: int, n_orders: int) -> np.ndarray:
        """Filters F (r, n_q, M + 1) with ``rows @ coordinates = Re sum conj(F) X``."""
        half = rows.shape[1] // 2
        weights = (rows[:, :half] + 1j * rows[:, half:]).reshape(len(rows), n_q, -1)
        filters = np.zeros((len(rows), n_q, n_orders), complex)
        filters[:, :, self.orders] = weights
        return filters


def change_patterns(
    mean: np.ndarray, grid: HarmonicGrid, harmonics: np.ndarray, cell: float
) -> dict[str, np.ndarray]:
    """Changes of the harmonics with strain and rotation of the content.

    Parameters
    ----------
    mean : numpy.ndarray, shape (w, w), or (n_detectors, w, w)
        Mean sub-image, of several detectors in the order of the grid.
    grid : HarmonicGrid
    harmonics : numpy.ndarray, shape (n_q, M + 1)
        Mean harmonics of the sites, whose scale the patterns take.
    cell : float
        Size of a cell in px.

    Returns
    -------
    dict of str to numpy.ndarray
        ``strain``: (2, n_q, M + 1), per unit of (xx - yy) / 2 and of xy. ``elongation``: the same
        of columns drawn out along x and along the diagonal. ``drawn``: the same without the middle
        column, as where it is displaced to both sides. ``turn``: (n_shells, n_q, M + 1), per
        radian, of the columns within a radius each.
    """
    means = np.asarray(mean, float).reshape(-1, *np.shape(mean)[-2:])
    parts = zip(means, np.split(harmonics, len(means)), strict=True)
    z = np.concatenate([_changed(*part, grid.single, cell) for part in parts], 1)
    return {"strain": z[:2], "elongation": z[2:4], "drawn": z[4:6], "turn": z[6:]}


def _changed(
    image: np.ndarray, harmonics: np.ndarray, grid: HarmonicGrid, cell: float
) -> np.ndarray:
    """Harmonics (6 + n_shells, n_q, M + 1) of the changes of one mean sub-image.

    The shells that turn are those inside the disk.
    """
    down, right = np.gradient(image)
    columns = _columns(image, grid, cell)
    shells = _shells(columns, cell)
    drawn = _shapes(image, columns, shells, grid, cell)
    patterns = [
        np.zeros_like(image),
        np.zeros_like(image),
        np.gradient(down)[0] - np.gradient(right)[1],
        2 * np.gradient(right)[0],
        np.zeros_like(image),
        np.zeros_like(image),
    ]
    for shell, shapes in zip(shells[1:], drawn[1:], strict=True):
        turned = np.zeros_like(image)
        for (x, y), shape in zip(columns[shell], shapes, strict=True):
            slope_y, slope_x = np.gradient(shape)
            patterns[0] += y * slope_y - x * slope_x
            patterns[1] -= y * slope_x + x * slope_y
            turned += y * slope_x - x * slope_y
            patterns[4] += np.gradient(slope_y)[0] - np.gradient(slope_x)[1]
            patterns[5] += 2 * np.gradient(slope_x)[0]
        if np.hypot(*columns[shell[0]]) < _INSIDE * grid.radius:
            patterns.append(turned)
    z = grid.harmonics(torch.as_tensor(np.stack([*patterns, image]).astype(np.float32)))
    changed = z.numpy().astype(complex)
    size = float(np.linalg.norm(changed[-1][:, 1:]))
    return changed[:-1] * (np.linalg.norm(harmonics[:, 1:]) / max(size, 1e-30))


def _columns(image: np.ndarray, grid: HarmonicGrid, cell: float) -> np.ndarray:
    """Columns (n, 2) in a mean sub-image, the middle one first: (x, y) in px from the middle."""
    image = gaussian_filter(image, _BLUR)
    middle = (len(image) - 1) / 2
    y, x = np.mgrid[: len(image), : len(image)] - middle
    radius = np.hypot(x, y)
    inside = radius < grid.radius
    if image[radius < 2].mean() < np.median(image[inside]):
        image = -image
    peak = image == maximum_filter(image, 2 * round(cell / 8) + 1)
    peak[[0, -1]] = peak[:, [0, -1]] = False
    rise = image - minimum_filter(image, 2 * round(cell / 4) + 1)
    peak &= (rise > _PEAK * np.ptp(image[inside])) & (radius > cell / 5)
    peak &= radius < grid.radius + cell / 4
    found = [
        [
            x[j, i] + _off_maximum(*image[j, i - 1 : i + 2]),
            y[j, i] + _off_maximum(*image[j - 1 : j + 2, i]),
        ]
        for j, i in np.argwhere(peak)
    ]
    return np.concatenate([np.zeros((1, 2)), np.reshape(found, (-1, 2))])


def _off_maximum(before: float, at: float, after: float) -> float:
    """Place of the maximum of a parabola through three pixels, from the middle one."""
    curvature = before - 2 * at + after
    return float(np.clip((before - after) / (2 * curvature), -0.5, 0.5)) if curvature < 0 else 0.0


def _shells(columns: np.ndarray, cell: float) -> list[np.ndarray]:
    """Numbers of the columns at the same distance, from the middle column on."""
    radius = np.hypot(*columns.T)
    order = np.argsort(radius)
    steps = np.flatnonzero(np.diff(radius[order]) > _SAME_SHELL * cell) + 1
    return np.split(order, steps)


def _shapes(
    image: np.ndarray,
    columns: np.ndarray,
    shells: list[np.ndarray],
    grid: HarmonicGrid,
    cell: float,
) -> list[np.ndarray]:
    """Images of single columns, (n_columns, w, w) for each shell, whose sum is about the image.

    The columns of a shell have one radial profile. All profiles are fitted together, so that the
    tail of a bright column does not count as a part of a weak one beside it.
    """
    line = np.arange(len(image)) - (len(image) - 1) / 2
    x, y = np.meshgrid(line, line)
    nodes = np.linspace(0, _REACH * cell, _N_NODES)
    step, parts = nodes[1], []
    for shell in shells:
        apart = np.hypot(*(np.stack([x, y]) - columns[shell][:, :, None, None]).swapaxes(0, 1))
        hat = np.maximum(1 - np.abs(apart[:, None] - nodes[:-1, None, None]) / step, 0)
        parts.append(hat)  # (n_columns, n_nodes - 1, w, w)
    weight = np.hypot(x, y).ravel() < grid.radius + 2
    design = np.concatenate([hat.sum(0).reshape(len(nodes) - 1, -1) for hat in parts])
    design = np.concatenate([design, np.ones((1, design.shape[1]))])[:, weight]
    ridge = 1e-4 * np.trace(design @ design.T) / len(design) * np.eye(len(design))
    fitted = np.linalg.solve(design @ design.T + ridge, design @ image.ravel()[weight])
    profiles = fitted[:-1].reshape(len(shells), -1)
    return [np.einsum("ckyx,k->cyx", *pair) for pair in zip(parts, profiles, strict=True)]


def measuring_rows(covariance: np.ndarray, patterns: np.ndarray, blind: np.ndarray) -> np.ndarray:
    """Rows (r, d) of generalised least squares with noise of a covariance (d, d).

    They give the parts of r patterns (r, d) in coordinates, whatever the parts of the blind ones.
    """
    design = np.concatenate([patterns, blind]).T
    weighted = np.linalg.solve(covariance, design).T
    return np.linalg.solve(weighted @ design, weighted)[: len(patterns)]
