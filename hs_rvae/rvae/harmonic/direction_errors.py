# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the directions of single displacements.

The angle of a site is drawn from its displacement towards the direction of its well. A part k of
the noise of the displacement remains, and a part 1 - k of the real deviation of the site from its
well is missed. The error is that of this estimate, not the width of the posterior::

    error^2 = (k noise)^2 + ((1 - k) real)^2 + systematic^2

Noise and real deviations together are the scatter of displacements across their wells, far from
walls. How it is divided hardly matters: with a real share from 0.2 to 0.6 of the variance the error
stays within 13 % of that with 0.4. Under an aberration the wells themselves are turned, by what
pixels and measured positions disagree in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .circle import AMPLITUDES, Circle, normalise

_REAL = 0.4  # share of real deviations in the variance across wells
_WITHIN = 0.6827  # of a normal distribution, within one standard deviation
_IN_OTHER_WELL = 0.25  # share of the cells around a site in other wells; more: a wall is near
_MIN_PARTNERS = 3  # cells around a site that are asked
_MIN_SITES = 100  # far from walls; below, all count
_MIN_OF_WELL = 5  # sites of a well whose direction is compared
_MIN_PAIRS = 50  # of a lattice offset with sites on both sides
_ANY = np.pi / np.sqrt(3)  # standard deviation of an angle that may be any


@dataclass(frozen=True)
class DirectionErrors:
    """What makes the directions of displacements in wells uncertain.

    Attributes
    ----------
    noise, real : float
        Standard deviations of each component of the noise and of real deviations, in px.
    systematic : float
        Error of the directions of wells, in px across them.
    """

    noise: float
    real: float
    systematic: float

    @classmethod
    def of_wells(
        cls,
        circle: Circle,
        u: np.ndarray,
        partners: list[np.ndarray],
        measured: np.ndarray | None,
    ) -> DirectionErrors | None:
        """Errors of displacements (n, 2) that lie in the wells of a circle.

        Parameters
        ----------
        circle : Circle
            With the density of angles on the coarse grid.
        u : numpy.ndarray, shape (n, 2)
            Displacements in px.
        partners : list of numpy.ndarray, shape (2, n_pairs)
            Pairs of sites a few cells apart, for each lattice offset.
        measured : numpy.ndarray, shape (n, 2), or None
            Displacements in px from measured positions, NaN where unknown.

        Returns
        -------
        DirectionErrors or None
            None if no displacement lies in a well.
        """
        wells = circle.wells()
        if not len(wells):
            return None
        along, across, well = _about_wells(u - circle.zero, wells)
        # By length, sites far off their well would be preferred.
        full = along > 0.5 * circle.length
        if not full.any():
            return None
        full &= along >= np.median(along[full])
        core = full & _far_from_walls(well, partners)
        if core.sum() < _MIN_SITES:
            core = full
        scatter = float(np.quantile(np.abs(_centred(across[core], well[core])), _WITHIN))
        systematic = 0.0
        if measured is not None:
            full &= np.isfinite(measured).all(1)
            systematic = _disagreement(along[full], across[full], measured[full], wells, well[full])
        noise, real = scatter * np.sqrt([1 - _REAL, _REAL])
        return cls(float(noise), float(real), systematic)

    def std(
        self,
        std: np.ndarray,
        width: np.ndarray,
        kept: np.ndarray,
        lever: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviations (n,) of angles in rad, and those about the well of the angle alone.

        Parameters
        ----------
        std, width : numpy.ndarray, shape (n,)
            Of the posterior in rad: as a whole, and about its maximum.
        kept : numpy.ndarray, shape (n,)
            Part k of the noise that remains in the angle.
        lever : numpy.ndarray, shape (n,)
            Length in px of the displacement without noise.
        """
        across = (kept * self.noise) ** 2 + ((1 - kept) * self.real) ** 2 + self.systematic**2
        error = np.minimum(np.sqrt(across) / np.maximum(lever, 1e-12), _ANY)
        others = np.maximum(std**2 - width**2, 0)  # other wells
        return np.minimum(np.sqrt(others + error**2), _ANY), error


def _about_wells(d: np.ndarray, wells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Components of vectors (n, 2) along and across the nearest of the wells (rad), its number.

    The wells are moved to the median of their vectors first: they lie on a coarse grid.
    """
    z = d[:, 0] + 1j * d[:, 1]
    length = np.abs(z)
    for _ in range(2):
        nearest = (z[:, None] * np.exp(-1j * wells)).real.argmax(1)
        turned = z * np.exp(-1j * wells[nearest])
        long = length > 0.5 * np.median(length)
        for k in np.unique(nearest[long]):
            wells[k] += np.median(np.angle(turned[long & (nearest == k)]))
    turned = z * np.exp(-1j * wells[nearest])
    return turned.real, turned.imag, nearest


def _far_from_walls(well: np.ndarray, partners: list[np.ndarray]) -> np.ndarray:
    """Mask of the sites around which nearly all cells are in the same well."""
    pairs = np.concatenate([np.zeros((2, 0), int), *partners], 1)
    n, other = len(well), well[pairs[0]] != well[pairs[1]]
    count, others = np.zeros(n), np.zeros(n)
    for side in pairs:
        count += np.bincount(side, minlength=n)
        others += np.bincount(side, other, n)
    return (count >= _MIN_PARTNERS) & (others <= _IN_OTHER_WELL * count)


def _centred(values: np.ndarray, well: np.ndarray) -> np.ndarray:
    """Values (n,) less the median of their well."""
    values = values.copy()
    for k in np.unique(well):
        values[well == k] -= np.median(values[well == k])
    return values


def _disagreement(
    along: np.ndarray,
    across: np.ndarray,
    measured: np.ndarray,
    wells: np.ndarray,
    well: np.ndarray,
) -> float:
    """Difference in px across the wells between displacements of pixels and measured ones.

    It is the root mean square over the sites, without what the noise of few sites explains.
    """
    z = (measured[:, 0] + 1j * measured[:, 1]) * np.exp(-1j * wells[well])
    if not len(z) or np.median(z.real) <= 0:
        return 0.0
    apart = across - np.median(along) / np.median(z.real) * z.imag
    noise = float(np.quantile(np.abs(_centred(apart, well)), _WITHIN))
    total = 0.0
    for k, count in zip(*np.unique(well, return_counts=True), strict=True):
        if count >= _MIN_OF_WELL:
            total += count * np.median(apart[well == k]) ** 2 - np.pi / 2 * noise**2
    return float(np.sqrt(max(total, 0.0) / len(z)))


def noise_of_turns(u: np.ndarray, partners: list[np.ndarray]) -> float | None:
    """Noise in px of displacements (n, 2) that turn from cell to cell.

    It is the scatter of a site's displacement about the mean of the two on either side of it, in
    the direction along which displacements change least. None if there are too few such sites.

    Parameters
    ----------
    u : numpy.ndarray, shape (n, 2)
    partners : list of numpy.ndarray, shape (2, n_pairs)
        Pairs of sites, for each lattice offset.
    """
    scatters = []
    for first, second in partners:
        after, before = np.full_like(u, np.nan), np.full_like(u, np.nan)
        after[first], before[second] = u[second], u[first]
        bend = u - (after + before) / 2
        bend = bend[np.isfinite(bend).all(1)]
        if len(bend) >= _MIN_PAIRS:
            scatters.append(np.quantile(np.abs(bend - np.median(bend, 0)), _WITHIN))
    return float(min(scatters) / np.sqrt(1.5)) if scatters else None


def most_probable(
    score: np.ndarray, circle: Circle, length: np.ndarray, errors: DirectionErrors | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Most probable angles and their uncertainty.

    Parameters
    ----------
    score : numpy.ndarray, shape (n, n_angles * 6)
        Log joint density of sites and states of the circle.
    circle : Circle
    length : numpy.ndarray, shape (n,)
        Lengths of the displacements from the zero, in px.
    errors : DirectionErrors or None
        If None, the uncertainty is the width of the posterior.

    Returns
    -------
    angle, std, width : numpy.ndarray, shape (n,)
        Angles, their standard deviations, and those about the well of the angle alone, in rad.
    density : numpy.ndarray, shape (n, n_angles)
        Posterior of the angles.
    """
    n_angles = len(circle.density)
    by_state = score.reshape(len(score), n_angles, -1)[:, :, AMPLITUDES > 0]
    top = by_state.max(2)
    by_angle = top + np.log(np.exp(by_state - top[:, :, None]).sum(2))
    density = normalise(by_angle)[0]
    k, i, step = by_angle.argmax(1), np.arange(len(score)), 2 * np.pi / n_angles
    before, at, after = (by_angle[i, (k + s) % n_angles] for s in (-1, 0, 1))
    bend = -np.minimum(before - 2 * at + after, -1e-9)
    angle = step * (k + np.clip(0.5 * (after - before) / bend, -0.5, 0.5))
    apart = np.mod(step * np.arange(n_angles) - angle[:, None] + np.pi, 2 * np.pi) - np.pi
    angle, std = np.angle(np.exp(1j * angle)), np.sqrt((density * apart**2).sum(1))
    width = np.minimum(step / np.sqrt(bend), std)
    if errors is None:
        return angle, np.minimum(std, _ANY), np.minimum(width, _ANY), density
    amplitude = np.exp(by_state[i, k] - at[:, None]) @ AMPLITUDES[AMPLITUDES > 0]
    lever = amplitude * circle.length
    # The curvature of the likelihood, in parts of that of the posterior.
    kept = np.minimum(width**2 * length * lever / (np.trace(circle.covariance) / 2), 1)
    return angle, *errors.std(std, width, kept, lever), density
