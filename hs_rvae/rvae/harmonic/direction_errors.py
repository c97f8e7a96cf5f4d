# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the directions of single displacements, in parts of the widths of posteriors.

The angle of a site is drawn from its displacement towards the direction of its well. A part k of
the noise of the displacement remains, and a part 1 - k of the real deviation of the site from its
well is missed. The error is that of this estimate, not the width of the posterior::

    error^2 = (k noise)^2 + ((1 - k) real)^2 + systematic^2

Noise and real deviations together are the scatter of displacements across their wells, far from
walls. How it is divided hardly matters: whether the real share of the variance is 0.2 or 0.6, the
error of 0.4 is right within 15 %. Under an aberration the wells themselves are turned. Then pixels
and measured positions disagree about their directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .circle import AMPLITUDES, Circle, normalise

_REAL = 0.4  # share of real deviations in the variance across wells
_IN_OTHER_WELL = 0.25  # share of the cells around a site in other wells; more: a wall is near
_MIN_PARTNERS = 3  # cells around a site that are asked
_MIN_SITES = 100  # far from walls; below, all count
_CUT, _SCATTER_INSIDE = 2.5, 0.9546  # of a normal distribution cut there, in standard deviations
_MIN_OF_WELL = 20  # sites of a well whose direction is compared; few may be those of walls
_MIN_PAIRS = 50  # of a lattice offset with sites on both sides
ANY_ANGLE = np.pi / np.sqrt(3)  # standard deviation of an angle that may be any


@dataclass(frozen=True)
class DirectionErrors:
    """Contributions to the errors of directions of displacements in wells.

    Attributes
    ----------
    noise, real : float
        Standard deviations of each component of the noise and of real deviations, in px.
    systematic : float
        Error of the directions of wells, in px across them.
    core : numpy.ndarray of bool, shape (n,)
        Sites that are fully displaced and far from walls.
    """

    noise: float
    real: float
    systematic: float
    core: np.ndarray

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
        scatter = _scatter(_centred(across[core], well[core]))
        systematic = 0.0
        if measured is not None:
            known = full & np.isfinite(measured).all(1)
            parts = along[known], across[known], measured[known]
            systematic = _disagreement(*parts, wells, well[known])
        noise, real = scatter * np.sqrt([1 - _REAL, _REAL])
        return cls(float(noise), float(real), systematic, core)

    def over_widths(
        self, circle: Circle, u: np.ndarray, width: np.ndarray, amplitude: np.ndarray
    ) -> float:
        """Errors in parts of the widths of posteriors, the median over sites.

        Parameters
        ----------
        circle : Circle
            That of the posteriors.
        u : numpy.ndarray, shape (n, 2)
            Displacements in px.
        width, amplitude : numpy.ndarray, shape (n,)
            Width of the posterior about its maximum in rad, and the amplitude there.
        """
        lever = np.maximum(amplitude * circle.length, 1e-12)
        # The curvature of the likelihood, in parts of that of the posterior, is what remains.
        curvature = np.hypot(*(u - circle.zero).T) * lever / (np.trace(circle.covariance) / 2)
        kept = np.minimum(width**2 * curvature, 1)
        across = (kept * self.noise) ** 2 + ((1 - kept) * self.real) ** 2 + self.systematic**2
        return float(np.median(np.sqrt(across) / (lever * width)))


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
    """Mask of the sites among cells of the same well, with few exceptions."""
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


def _scatter(values: np.ndarray) -> float:
    """Standard deviation of values about 0 without outliers."""
    inside = np.abs(values) < _CUT * np.median(np.abs(values)) / 0.6745
    return float(np.sqrt((values[inside] ** 2).mean())) / _SCATTER_INSIDE if inside.any() else 0.0


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
    noise = _scatter(_centred(apart, well))
    total = 0.0
    for k, count in zip(*np.unique(well, return_counts=True), strict=True):
        if count >= _MIN_OF_WELL:
            total += count * np.median(apart[well == k]) ** 2 - np.pi / 2 * noise**2
    return float(np.sqrt(max(total, 0.0) / len(z)))


def noise_of_turns(u: np.ndarray, partners: list[np.ndarray]) -> float | None:
    """Noise in px of displacements (n, 2) that turn from cell to cell.

    It is the scatter of a site's displacement about the mean of the two on either side of it, in
    the direction of the smallest change of displacements. Outliers, as the cores of vortices, do
    not count. None if there are too few such sites.

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
            scatters.append(_scatter((bend - np.median(bend, 0)).ravel()))
    return float(min(scatters) / np.sqrt(1.5)) if scatters else None


def most_probable(score: np.ndarray, n_angles: int) -> tuple[np.ndarray, ...]:
    """Most probable angles and their posteriors.

    Parameters
    ----------
    score : numpy.ndarray, shape (n, n_angles * 6)
        Log joint density of sites and states of a circle.
    n_angles : int

    Returns
    -------
    angle, std : numpy.ndarray, shape (n,)
        Angles and standard deviations of the posteriors about them, in rad.
    density : numpy.ndarray, shape (n, n_angles)
        Posteriors.
    width, amplitude : numpy.ndarray, shape (n,)
        Width of the posterior about its maximum in rad, and the amplitude there.
    """
    n, step = len(score), 2 * np.pi / n_angles
    # Sites beside each other in memory, as circles give them; without the amplitude 0.
    by_state = score.T.reshape(n_angles, -1, n)[:, 1:]
    top = by_state.max(1)
    share = by_state - top[:, None]
    np.exp(share, out=share)
    by_angle = top + np.log(share.sum(1))
    density = normalise(by_angle.T)[0]
    k, i = by_angle.argmax(0), np.arange(n)
    before, at, after = (by_angle[(k + s) % n_angles, i] for s in (-1, 0, 1))
    bend = -np.minimum(before - 2 * at + after, -1e-9)
    angle = step * (k + np.clip(0.5 * (after - before) / bend, -0.5, 0.5))
    turns = (np.arange(n_angles)[:, None] / n_angles - angle / (2 * np.pi)).astype(np.float32)
    turns -= np.rint(turns)
    std = 2 * np.pi * np.sqrt((density.T * turns**2).sum(0, dtype=float))
    std = np.minimum(std, ANY_ANGLE)
    width = np.minimum(step / np.sqrt(bend), std)
    amplitude = np.exp(by_state[k, :, i] - at[:, None]) @ AMPLITUDES[1:]
    return np.angle(np.exp(1j * angle)), std, density, width, amplitude
