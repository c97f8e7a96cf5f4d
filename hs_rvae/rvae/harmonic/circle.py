# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Displacements of sites in the plane: a circle about a common zero, with noise.

The displacement of a site, in px, is::

    u = S + a L (cos theta, sin theta) + e,   e ~ N(0, Sigma),   theta ~ pi,   a ~ omega

S is the zero (an aberration moves it), L the length of a full distortion; the density pi of the
angles and the shares omega of the amplitudes lie on grids.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import circulant

from ...threads import side_by_side

N_COARSE, N_FINE = 36, 180  # angles of the grid: multiples of 4 and 6
#: Amplitudes of undistorted sites, of sites in walls, and of fully distorted ones.
AMPLITUDES = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25])
_SHARES = np.array([0.05, 0.05, 0.05, 0.1, 0.65, 0.1])  # prior, worth half of the sites
_FULL = 4  # index of the amplitude 1
_MAX_UNDISTORTED = 0.45  # otherwise weak tails are explained as few strong sites
_SMOOTHING = np.radians(10)  # of the density of angles
_SHARPEST = 0.6  # scatter of single displacements about their well, in parts of the noise
_NARROWEST = np.radians(2)  # of wells: the step of the fine grid
_ELONGATED = 4.0  # ratio of variances along and across displacements that lie on a line
_FLOOR = 0.02  # uniform share of the density of angles
_PRIOR_SITES = 4.0  # weight of an isotropic Sigma


@dataclass
class _Displacements:
    """Displacements of sites, their mean and their covariance.

    Attributes
    ----------
    n : int
    mean : numpy.ndarray, shape (2,)
    covariance : numpy.ndarray, shape (2, 2)
    rows : numpy.ndarray of float32, shape (4, n)
        Displacements less their mean (x, y), 1, and a log density near that of the site.
    """

    n: int
    mean: np.ndarray
    covariance: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, u: np.ndarray) -> _Displacements:
        """Take these of displacements (n, 2)."""
        n, mean = len(u), u.mean(0)
        d = (u - mean).T
        rows = np.vstack([d, np.ones(n), np.zeros(n)]).astype(np.float32)
        return cls(n, mean, d @ d.T / n, rows)


@dataclass
class Circle:
    """Distribution of displacements.

    Attributes
    ----------
    zero : numpy.ndarray, shape (2,)
        S in px.
    length : float
        L in px.
    covariance : numpy.ndarray, shape (2, 2)
        Sigma in px squared.
    density : numpy.ndarray, shape (n_angles,)
        Probabilities pi of the angles 2 pi k / n_angles.
    shares : numpy.ndarray, shape (6,)
        Probabilities omega of :data:`AMPLITUDES`.
    free_zero, free_density : bool
        Whether S and pi are fitted; otherwise they stay as they are.
    along : numpy.ndarray, shape (2, 2), or None
        Sigma for amplitudes, without the width of wells. If None, `covariance`.
    walls : numpy.ndarray, shape (n_angles,), or None
        Probabilities of the angles of weak sites, below the amplitude 1. If None, `density`.
    """

    zero: np.ndarray
    length: float
    covariance: np.ndarray
    density: np.ndarray
    shares: np.ndarray
    free_zero: bool = True
    free_density: bool = True
    along: np.ndarray | None = None
    walls: np.ndarray | None = None

    def copy(self) -> Circle:
        """Copy with arrays of its own."""
        return deepcopy(self)

    @property
    def states(self) -> np.ndarray:
        """Vectors a (cos theta, sin theta) of the grid, (2, n_angles * 6), amplitude fastest."""
        return _states(len(self.density))

    def _constants(self, precision: np.ndarray) -> np.ndarray:
        """Part of the log joint density that the state alone decides, (n_angles * 6,)."""
        prior = np.log(self.shares) + np.log(self.density)[:, None]
        if self.walls is not None:
            prior[:, :_FULL] += np.log(self.walls / self.density)[:, None]
        power = (precision @ self.states * self.states).sum(0)
        own = 0.5 * np.log(4 * np.pi**2 * np.linalg.det(self.covariance))
        return prior.ravel() - 0.5 * self.length**2 * power - own

    def score(self, u: np.ndarray) -> np.ndarray:
        """Log joint density of site and state, (n, n_angles * 6), for displacements (n, 2).

        float32: most of the time of a fit goes into the exponentials of these numbers.
        """
        return product(*self.factors(u))

    def factors(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Factors (n, 4) of sites and (4, n_states) of states, whose product is the score."""
        precision, d = np.linalg.inv(self.covariance), u - self.zero
        own = -0.5 * (d @ precision * d).sum(1)
        constants = self._constants(precision)
        # The vectors, 1 and the constants of the sites with those of the states.
        sites = np.column_stack([d, np.ones(len(d)), own])
        states = np.vstack(
            [self.length * precision @ self.states, constants, np.ones(len(constants))]
        )
        return sites.astype(np.float32), states.astype(np.float32)

    def expect(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior of the states, (n, n_states), and the log-likelihood of sites, (n,)."""
        return normalise(self.score(u))

    def maximise(self, u: np.ndarray, posterior: np.ndarray) -> None:
        """Fit the parameters to displacements (n, 2) and the posterior of their states."""
        data = _Displacements.of(u)
        rows = data.rows[:3].T.astype(posterior.dtype)
        self._fit_to(data, (posterior.T @ rows).astype(float) / data.n)

    def _fit_to(self, data: _Displacements, sums: np.ndarray) -> None:
        """Fit the parameters to means over sites.

        `sums` (n_states, 3) are those of the posterior times x, y of `data.rows`, and times 1.
        """
        n, mean, states, share = data.n, data.mean, self.states, sums[:, 2]
        precision = np.linalg.inv(self.covariance)
        # Means of the states, of their squares, and of their products with displacements.
        squares, products = (states * share) @ states.T, states @ sums
        products, mean_state = products[:, :2], products[:, 2]
        power, along = float((precision * squares).sum()), float((precision * products).sum())
        part = n / (n + 1.0) if self.free_zero else 0.0  # the prior of the zero is worth one site
        held = mean * (1 - part) if self.free_zero else mean - self.zero
        power -= part * float(mean_state @ precision @ mean_state)
        along += float(held @ precision @ mean_state)
        self.length = max(along / max(power, 1e-12), 1e-9)
        if self.free_zero:
            self.zero = part * (mean - self.length * mean_state)
        d = mean - self.zero
        cross = self.length * (products + np.outer(mean_state, d))
        spread = data.covariance + np.outer(d, d) - cross - cross.T + self.length**2 * squares
        self.covariance = shrunk((spread + spread.T) / 2, n)
        share = share.reshape(len(self.density), -1)
        if self.free_density:
            self.density = smoothed(share[:, AMPLITUDES > 0.4].sum(1))
        self.shares = _with_prior(share.sum(0))

    def run(self, u: np.ndarray, n_iterations: int = 60, tolerance: float = 2e-5) -> float:
        """Iterate expectation and maximisation; returns the mean log-likelihood in nats."""
        last = value = -np.inf
        data = _Displacements.of(u)
        for i in range(n_iterations):
            value, sums = self._expected(data)
            if i > 8 and abs(value - last) < tolerance:
                break
            last = value
            self._fit_to(data, sums)
        return value

    def _expected(self, data: _Displacements) -> tuple[float, np.ndarray]:
        """Mean log-likelihood, and means over sites of the posterior: see :meth:`_fit_to`.

        The numbers of each site are kept near 1 by its log-likelihood of the last iteration. So no
        pass over the states is needed to find the most likely.
        """
        precision, d = np.linalg.inv(self.covariance), data.mean - self.zero
        slopes = self.length * (precision @ self.states)
        constants = self._constants(precision) + d @ slopes
        weights = np.vstack([slopes, constants, -np.ones(len(constants))]).T.astype(np.float32)
        ones = np.ones(len(weights), np.float32)
        with np.errstate(over="ignore", divide="ignore"):
            density = np.exp(weights @ data.rows)
            total = ones @ density
        if not ((total > 1e-20) & (total < 1e20)).all():  # the first iteration, or a large step
            data.rows[3] = (weights[:, :3] @ data.rows[:3]).max(0)
            density = np.exp(weights @ data.rows)
            total = ones @ density
        sums = density @ (data.rows[:3] / total).T
        data.rows[3] += np.log(total)
        own = float((precision * (data.covariance + np.outer(d, d))).sum())
        return float(data.rows[3].mean(dtype=float)) - 0.5 * own, sums.astype(float) / data.n

    def moments(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean of a (cos theta, sin theta), (n, 2), and its mean square, (2, 2)."""
        posterior, states = self.expect(u)[0], self.states
        mean = (posterior @ states.T.astype(posterior.dtype)).astype(float)
        return mean, (states * posterior.mean(0, dtype=float)) @ states.T

    def turned(self, angle: float) -> Circle:
        """The same circle for displacements turned by an angle in radians."""
        new, turn = self.copy(), turn_matrix(angle)
        new.zero, new.covariance = turn @ self.zero, turn @ self.covariance @ turn.T
        if self.along is not None:
            new.along = turn @ self.along @ turn.T
        n = len(self.density)
        before = np.arange(n) - angle / (2 * np.pi / n)
        new.density = np.interp(before, np.arange(n), self.density, period=n)
        new.density /= new.density.sum()
        if self.walls is not None:
            new.walls = np.interp(before, np.arange(n), self.walls, period=n)
            new.walls /= new.walls.sum()
        return new

    def finer(self, u: np.ndarray, n_iterations: int = 50) -> Circle:
        """Same circle with the density of angles on a fine grid, fitted to displacements (n, 2).

        The coarse grid counts noise of the sites as width of the wells. Here wells are as narrow as
        displacements that scatter by `_SHARPEST` of the noise; their remaining width is noise.
        It is isotropic, as its shape cannot be separated from that of the wells. Weak sites get a
        wide density of their own: in walls, directions turn from one well to the next.
        """
        new = self.copy()
        at = N_COARSE / N_FINE * np.arange(N_FINE)
        around = np.append(self.density, self.density[0])
        new.density = np.interp(at, np.arange(N_COARSE + 1), around) * N_COARSE / N_FINE
        new.density /= new.density.sum()
        if self.free_density:
            noise = self._scatter_about_wells(u) / np.hypot(1, _SHARPEST)
            noise = noise or np.sqrt(np.trace(self.covariance) / 2)
            new.along, new.covariance = self.covariance, noise**2 * np.eye(2)
            width = float(np.clip(_SHARPEST * noise / self.length, _NARROWEST, _SMOOTHING))
            new.density, new.walls = new._two_densities(u, width, n_iterations)
        return new

    def _two_densities(
        self, u: np.ndarray, width: float, n_iterations: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Densities of angles of full and of weak sites, from displacements (n, 2).

        The first is smoothed by `width` (rad). Weak sites lie in walls, between two wells.
        """
        score = (self.score(u) - _by_state(self.density)).reshape(len(u), len(self.density), -1)
        likelihood = np.exp(score - score.max((1, 2), keepdims=True))
        weak, full = likelihood[:, :, 1:_FULL].sum(2), likelihood[:, :, _FULL:].sum(2)
        undistorted = likelihood[:, 0, 0]
        wide = narrow = self.density
        for _ in range(n_iterations):
            walls, wells = smoothed(wide), smoothed(narrow, width)
            each = 1 / (undistorted + weak @ walls + full @ wells)
            wide = wide * _sharpened(each @ weak, walls, _SMOOTHING)
            narrow = narrow * _sharpened(each @ full, wells, width)
        return wells, walls

    def wells(self) -> np.ndarray:
        """Angles of the maxima of the density, in rad."""
        n = len(self.density)
        around = np.stack([np.roll(self.density, step) for step in (1, -1)])
        return 2 * np.pi / n * np.flatnonzero((self.density > around).all(0))

    def _scatter_about_wells(self, u: np.ndarray) -> float:
        """Robust scatter in px of displacements (n, 2) across the directions of their wells.

        Only the longer half of those that are displaced counts: sites in walls are shorter, and
        their directions lie between the wells.
        """
        wells = self.wells()
        d = u - self.zero
        long = np.hypot(*d.T)
        chosen = long > 0.5 * self.length
        if chosen.any():
            chosen &= long >= np.median(long[chosen])
        angle, long = np.arctan2(d[:, 1], d[:, 0])[chosen], long[chosen]
        if not len(angle) or not len(wells):
            return 0.0
        apart = np.mod(angle[:, None] - wells + np.pi, 2 * np.pi) - np.pi
        nearest = np.abs(apart).argmin(1)
        apart = apart[np.arange(len(apart)), nearest]
        for well in np.unique(nearest):  # the grid is coarse
            apart[nearest == well] -= np.median(apart[nearest == well])
        return float(np.median(long * np.abs(apart))) / 0.6745

    def amplitude(self, u: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Amplitude of displacements (n, 2) along angles (n,), and its standard deviation."""
        precision = np.linalg.inv(self.covariance if self.along is None else self.along)
        e = self.length * np.stack([np.cos(angle), np.sin(angle)], 1)
        power = np.einsum("ni,ij,nj->n", e, precision, e)
        return np.einsum("ni,ij,nj->n", e, precision, u - self.zero) / power, power**-0.5


def _sharpened(gain: np.ndarray, density: np.ndarray, width: float) -> np.ndarray:
    """Change of a density, before it is smoothed, by a step of maximisation: a factor."""
    return _convolved(gain / (gain @ density), width)


def _by_state(density: np.ndarray) -> np.ndarray:
    """Log density of the angle of each state."""
    return np.repeat(np.log(density), len(AMPLITUDES)).astype(np.float32)


def turn_matrix(angle: float) -> np.ndarray:
    """Matrix (2, 2) that turns vectors by an angle in radians, from x towards y."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def product(sites: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Scores (n, n_states) from factors (n, k) and (k, n_states); sites are next in memory."""
    return (states.T @ sites.T).T


def normalise(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior over the states (rows sum to 1), and the log of the sum over them."""
    top = score.max(1, keepdims=True)
    posterior = np.exp(score - top)
    total = posterior.sum(1, keepdims=True)
    posterior /= total
    return posterior, (top + np.log(total))[:, 0].astype(float)


def log_sum(score: np.ndarray) -> np.ndarray:
    """Log of the sum over the states, (n,), of log densities (n, n_states): overwrites them."""
    top = score.max(1)
    score -= top[:, None]
    np.exp(score, out=score)
    return (top + np.log(score @ np.ones(score.shape[1], score.dtype))).astype(float)


def smoothed(share: np.ndarray, width: float = _SMOOTHING) -> np.ndarray:
    """Density of angles, smoothed by `width` (rad), with a uniform part."""
    n = len(share)
    density = np.maximum(_convolved(share / share.sum(), width), 0)
    density = (1 - _FLOOR) * density + _FLOOR / n
    return density / density.sum()


def _convolved(values: np.ndarray, width: float) -> np.ndarray:
    """Values on the grid of angles, convolved with a normal distribution of `width` (rad)."""
    return _smoothing_matrix(len(values), width) @ values


@lru_cache(maxsize=8)
def _smoothing_matrix(n: int, width: float) -> np.ndarray:
    """Matrix (n, n) that convolves values on the grid with a normal distribution."""
    k = np.minimum(np.arange(n), n - np.arange(n)) * (2 * np.pi / n / width)
    kernel = np.exp(-0.5 * k**2)
    return np.asarray(circulant(kernel / kernel.sum()))


@lru_cache(maxsize=8)
def _states(n_angles: int) -> np.ndarray:
    """Vectors a (cos theta, sin theta) of the grid, (2, n_angles * 6), amplitude fastest."""
    wave = np.exp(2j * np.pi / n_angles * np.arange(n_angles))[:, None] * AMPLITUDES
    states = np.stack([wave.real.ravel(), wave.imag.ravel()])
    states.flags.writeable = False
    return states


def shrunk(covariance: np.ndarray, n: float) -> np.ndarray:
    """Covariance (2, 2) of n sites, slightly closer to an isotropic one."""
    isotropic = np.eye(2) * max(np.trace(covariance) / 2, 1e-12)
    return (n * covariance + _PRIOR_SITES * isotropic) / (n + _PRIOR_SITES)


def _with_prior(shares: np.ndarray) -> np.ndarray:
    """Shares of the amplitudes, few of them undistorted, with half the weight on the prior."""
    low = shares[:2].sum()
    if low > _MAX_UNDISTORTED:
        few, many = _MAX_UNDISTORTED / low, (1 - _MAX_UNDISTORTED) / max(1 - low, 1e-12)
        shares = np.concatenate([shares[:2] * few, shares[2:] * many])
    return (shares + 0.5 * _SHARES) / 1.5


def gaussian(u: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Log density of rows of `u` under a normal distribution."""
    d = u - mean
    own = np.einsum("ni,ij,nj->n", d, np.linalg.inv(covariance), d)
    return -0.5 * (own + np.linalg.slogdet(2 * np.pi * covariance)[1])


def _uniform_circle(zero: np.ndarray, length: float, covariance: np.ndarray) -> Circle:
    """Circle whose angles have the same density everywhere."""
    density = np.full(N_COARSE, 1 / N_COARSE)
    return Circle(zero.copy(), float(length), covariance, density, _SHARES.copy())


def fit_circle(
    u: np.ndarray,
    *,
    zero: np.ndarray | None = None,
    free_density: bool = True,
    also: Circle | None = None,
) -> tuple[Circle, float]:
    """Fit a circle to displacements (n, 2) from several starts.

    Parameters
    ----------
    u : numpy.ndarray, shape (n, 2)
    zero : numpy.ndarray, shape (2,), optional
        Known zero. If None, it is fitted.
    free_density : bool
        Whether the density of the angles is fitted; otherwise it is uniform.
    also : Circle, optional
        A further start. Where all sites lie on a line, the others may end in a wide normal
        distribution about a circle without a length.

    Returns
    -------
    circle : Circle
        The most likely one.
    value : float
        Its mean log-likelihood in nats per site.
    """
    starts, started = [np.zeros(2), u.mean(0)] if zero is None else [zero], []
    for start in starts:
        for wide in (False, True):
            d = u - start
            length, covariance = np.sqrt((d**2).sum(1).mean()), 0.5 * np.cov(u.T, bias=True)
            circle = _uniform_circle(start, length, shrunk(covariance, len(u)))
            circle.free_zero, circle.free_density = zero is None, free_density
            if not wide:
                angle = np.arctan2(d[:, 1], d[:, 0])
                nearest = np.round(angle / (2 * np.pi / N_COARSE)).astype(int) % N_COARSE
                posterior = np.zeros((len(u), N_COARSE * len(AMPLITUDES)))
                posterior[np.arange(len(u)), nearest * len(AMPLITUDES) + _FULL] = 1
                for _ in range(2):
                    circle.maximise(u, posterior)
            started.append(circle)
    small, large = np.linalg.eigvalsh(np.cov(u.T, bias=True))
    if large > _ELONGATED * small:
        # Opposite variants, with walls between them through no displacement at all.
        start, covariance = starts[-1], shrunk(small * np.eye(2), len(u))
        circle = _uniform_circle(start, np.sqrt(large), covariance)
        circle.free_zero, circle.free_density = zero is None, free_density
        started.append(circle)
    if also is not None:
        circle = also.copy()
        circle.zero = circle.zero if zero is None else zero.copy()
        circle.free_zero, circle.free_density = zero is None, free_density
        started.append(circle)
    best = [circle for circle, _ in _most_likely_first(started, u, 20)[:2]]
    return _most_likely_first(best, u, 45)[0]


def _most_likely_first(
    circles: list[Circle], u: np.ndarray, n_iterations: int
) -> list[tuple[Circle, float]]:
    """Circles after further iterations, with their mean log-likelihoods."""
    values = side_by_side(lambda circle: circle.run(u, n_iterations), circles)
    return sorted(zip(circles, values, strict=True), key=lambda pair: -pair[1])


def held_out(u: np.ndarray, circle: Circle | None = None, n_folds: int = 5) -> float:
    """Mean log density of sites left out of a fit, in nats.

    Parameters
    ----------
    u : numpy.ndarray, shape (n, 2)
    circle : Circle, optional
        Start of the fits. If None, normal distributions are fitted.
    n_folds : int

    Returns
    -------
    float
    """
    fold = np.arange(len(u)) * 7919 % n_folds
    density = np.empty(len(u))

    def leave_out(f: int) -> np.ndarray:
        kept, out = u[fold != f], u[fold == f]
        if circle is None:
            return gaussian(out, kept.mean(0), shrunk(np.cov(kept.T, bias=True), 1e9))
        refitted = circle.copy()
        refitted.run(kept, 15)
        return refitted.expect(out)[1]

    for f, values in enumerate(side_by_side(leave_out, range(n_folds))):
        density[fold == f] = values
    return float(density.mean())
