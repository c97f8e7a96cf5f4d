# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Angles: blind polar expectation-maximisation, exact posterior, continuous refinement.

A site's harmonics are those of one template, turned by the site's angle, plus deviations::

    align(X, theta) = exp(i m theta) X = mu + deviation,   deviation ~ N(0, V + G G^T)

``V`` is isotropic (it commutes with every rotation: noise, neighbours at random) and ``G`` holds a
few directions in the frame of the template (chemistry, displacement length, miscentring): a linear
decoder whose latents are integrated out. Because they are integrated out under a prior, they cannot
imitate a turn at no cost, and a turn remains in the angle. The posterior of the angle is exact
on a grid: ``G`` and ``mu`` give J + 1 linear functionals of the turned site, each one an inverse
Fourier transform over the orders m.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .covariance import factor_analysis
from .geometry import align, as_pairs, by_order, to_complex, to_real, waves

N_POSE = 8  # iterations in the pose frame
N_MODES = 6  # local modes of an angle posterior
# Minimum strength of the template's distortion, in standard deviations of a site. Below it is
# rounding or noise, and not a scale for the amplitudes of sites.
_MIN_STRENGTH = 0.1
_RESOLVED = 0.8  # length of the mean wave of a posterior that has one angle


@dataclass
class AnglePosterior:
    """Posterior of the angles of n sites as a mixture of C local modes.

    Attributes
    ----------
    angle : torch.Tensor, shape (n,)
        Most probable angle, in radians.
    std : torch.Tensor, shape (n,)
        Root mean square deviation from it under the posterior, in radians.
    modes, weights, widths : torch.Tensor, shape (n, C)
        Angles, probabilities and standard deviations of the modes, most probable first.
    log_likelihood : torch.Tensor, shape (n,)
        Log evidence of the site, angle integrated out, in nats.
    """

    angle: Tensor
    std: Tensor
    modes: Tensor
    weights: Tensor
    widths: Tensor
    log_likelihood: Tensor


class PoseModel:
    """Template and covariance in the pose frame.

    Parameters
    ----------
    mean : torch.Tensor of complex64, shape (n_q, M + 1)
        Template.
    noise : torch.Tensor of complex64, shape (M + 1, n_q, n_q)
        Hermitian covariance per order, of the real part as of the imaginary part; order 0 is real.
    factors : torch.Tensor of complex64, shape (J, n_q, M + 1)
        Columns of G.
    rotation : bool
        False holds all angles at 0.
    """

    def __init__(self, mean: Tensor, noise: Tensor, factors: Tensor, rotation: bool = True) -> None:
        self.mean, self.noise, self.factors, self.rotation = mean, noise, factors, rotation
        self._prepare()

    def _prepare(self) -> None:
        """Compute the weights of the linear functionals, and the constants of the log evidence."""
        self._precision = torch.linalg.inv(self.noise.to(torch.complex128))
        mean, factors = self.mean.to(torch.complex128), self.factors.to(torch.complex128)
        weighted_mean = weigh(self._precision, mean[None])[0]
        weighted = weigh(self._precision, factors)
        inner = inner_products(factors, weighted)
        s = torch.eye(len(factors), dtype=torch.float64, device=inner.device) + inner
        root = torch.linalg.cholesky(torch.linalg.inv(s))
        projected = torch.einsum("jl,jqm->lqm", root.to(torch.complex128), weighted)
        self._weights = torch.cat([weighted_mean[None], projected]).to(torch.complex64)
        self._offset = inner_products(projected, mean[None])[:, 0].float()
        log_det = torch.linalg.slogdet(self.noise.to(torch.complex128))[1]
        log_det = log_det[0] + 2 * log_det[1:].sum() + torch.logdet(s)  # m > 0: real and imaginary
        n_real = mean.shape[0] * (2 * mean.shape[1] - 1)
        energy = inner_products(mean[None], weighted_mean[None])[0, 0]
        self._constant = -0.5 * (energy + log_det + n_real * np.log(2 * np.pi))

    def to(self, device: torch.device) -> PoseModel:
        """Copy to another device."""
        mean, noise, factors = (t.to(device) for t in (self.mean, self.noise, self.factors))
        return PoseModel(mean, noise, factors, self.rotation)

    def score(self, harmonics: Tensor, n_angles: int) -> tuple[Tensor, Tensor]:
        """Log posterior of the angle, up to a constant of the site, on a regular grid.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
        n_angles : int

        Returns
        -------
        score : torch.Tensor, shape (n, n_angles)
            At the angles 2 pi k / n_angles.
        functionals : torch.Tensor, shape (n, J + 1, 2 (M + 1))
            Amplitudes of the waves of the functionals over the angle, real and imaginary.
        """
        n, _, n_m = harmonics.shape
        # One product per order: (M + 1, n, n_q) with (M + 1, n_q, J + 1).
        functionals = by_order(harmonics) @ self._weights.conj().permute(2, 1, 0)
        functionals = torch.cat([functionals.real, -functionals.imag]).permute(1, 2, 0).contiguous()
        grid = 2 * torch.pi / n_angles * torch.arange(n_angles, device=harmonics.device)
        values = (functionals.reshape(-1, 2 * n_m) @ waves(grid, n_m)[..., 0].T).reshape(
            n, -1, n_angles
        )
        deviation = values[:, 1:] - self._offset[:, None]
        return values[:, 0] + 0.5 * (deviation**2).sum(1), functionals

    def posterior(
        self, harmonics: Tensor, n_modes: int = N_MODES, n_angles: int | None = None
    ) -> AnglePosterior:
        """Exact posterior of the angles of sites.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
        n_modes : int
            Local maxima kept.
        n_angles : int, optional
            Size of the grid. If None, 4 (M + 1), fine enough for every maximum.

        Returns
        -------
        AnglePosterior
        """
        blocks = [self._posterior(block, n_modes, n_angles) for block in harmonics.split(4096)]
        columns = zip(*(vars(block).values() for block in blocks), strict=True)
        return AnglePosterior(*(torch.cat(column) for column in columns))

    def _posterior(self, harmonics: Tensor, n_modes: int, n_angles: int | None) -> AnglePosterior:
        if not self.rotation:
            return self._angle_fixed_at_zero(harmonics)
        n_angles = n_angles or max(64, 4 * harmonics.shape[2])
        score, functionals = self.score(harmonics, n_angles)
        modes, found = _local_maxima(score, n_modes)
        rows, columns = torch.nonzero(found, as_tuple=True)
        angle, height, std = self._refine(
            functionals[rows], modes[rows, columns], 2 * np.pi / n_angles
        )
        modes[rows, columns] = angle
        width = torch.ones_like(modes)
        width[rows, columns] = std
        evidence = torch.full_like(modes, -torch.inf)
        evidence[rows, columns] = height + torch.log(std)
        norm = torch.logsumexp(evidence, 1, keepdim=True)
        order = torch.argsort(evidence, dim=1, descending=True, stable=True)
        weights, modes, width = (
            t.gather(1, order) for t in (torch.exp(evidence - norm), modes, width)
        )
        angle = modes[:, 0]
        spread = (weights * (wrap(modes - angle[:, None]) ** 2 + width**2)).sum(1)
        # The integral over a mode is sqrt(2 pi) width exp(height), over a range of 2 pi.
        log_likelihood = norm[:, 0] - 0.5 * np.log(2 * np.pi) + self._constant_part(harmonics)
        std = spread.clamp(max=np.pi**2 / 3).sqrt()
        return AnglePosterior(angle, std, modes, weights, width, log_likelihood)

    def _angle_fixed_at_zero(self, harmonics: Tensor) -> AnglePosterior:
        zero = torch.zeros((len(harmonics), 1), device=harmonics.device)
        # As in `score`, where the waves of all orders are 1.
        values = as_pairs(harmonics) @ as_pairs(self._weights).T
        score = values[:, 0] + 0.5 * ((values[:, 1:] - self._offset) ** 2).sum(1)
        log_likelihood = score + self._constant_part(harmonics)
        return AnglePosterior(zero[:, 0], zero[:, 0], zero, zero + 1, zero, log_likelihood)

    def _constant_part(self, harmonics: Tensor) -> Tensor:
        """Part of the log-likelihood that does not depend on the angle."""
        return (self._constant - 0.5 * _quadratic(self._precision, harmonics)).float()

    def _refine(
        self, functionals: Tensor, angle: Tensor, step: float, n_iterations: int = 4
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Newton steps from the grid to the local maximum; its height and width.

        Parameters
        ----------
        functionals : torch.Tensor, shape (k, J + 1, 2 (M + 1))
        angle : torch.Tensor, shape (k,)
        step : float
            The maximum is searched within this distance.
        n_iterations : int

        Returns
        -------
        angle, height, width : torch.Tensor, shape (k,)
        """
        start = angle
        n_m = functionals.shape[2] // 2
        for i in range(n_iterations + 1):
            value, first, second = (functionals @ waves(angle, n_m)).unbind(2)  # (k, J + 1) each
            deviation = value[:, 1:] - self._offset
            slope = first[:, 0] + (deviation * first[:, 1:]).sum(1)
            bend = second[:, 0] + (first[:, 1:] ** 2 + deviation * second[:, 1:]).sum(1)
            bend = bend.clamp(max=-3 / np.pi**2)  # no broader than a uniform angle
            if i < n_iterations:
                angle = start + (angle - start - slope / bend).clamp(-step, step)
        height = value[:, 0] + 0.5 * (deviation**2).sum(1)
        return wrap(angle), height, (-bend).rsqrt()


def wrap(angle: Tensor) -> Tensor:
    """Angles in (-pi, pi]."""
    return -torch.remainder(-angle + np.pi, 2 * np.pi) + np.pi


def motif_symmetry(posterior: AnglePosterior) -> int:
    """Smallest n for sites that have one angle up to turns of 360/n degrees.

    It is 1, 2, 3, 4 or 6; 1 if there is none.
    """
    for n in (1, 2, 3, 4, 6):
        shrink = torch.exp(-0.5 * (n * posterior.widths) ** 2)
        wave = (posterior.weights * shrink * torch.exp(1j * n * posterior.modes)).sum(1).abs()
        if float(wave.median()) > _RESOLVED:
            return n
    return 1


def modes_of(score: Tensor, angle: Tensor, n_modes: int = N_MODES) -> tuple[Tensor, Tensor, Tensor]:
    """Local modes of posteriors on a grid.

    Parameters
    ----------
    score : torch.Tensor, shape (n, n_angles)
        Log posterior at the angles 2 pi k / n_angles.
    angle : torch.Tensor, shape (n,)
        Most probable angle, off the grid: the first mode.
    n_modes : int

    Returns
    -------
    modes, weights, widths : torch.Tensor, shape (n, n_modes)
        As in :class:`AnglePosterior`.
    """
    n_angles = score.shape[1]
    step = 2 * np.pi / n_angles
    modes, found = _local_maxima(score, n_modes)
    k = torch.round(modes / step).long() % n_angles
    before, at, after = (score.gather(1, (k + s) % n_angles) for s in (-1, 0, 1))
    bend = (2 * at - before - after).clamp(min=3 * step**2 / np.pi**2)
    width = step * bend.rsqrt()
    off = (0.5 * (after - before) / bend).clamp(-0.5, 0.5)
    evidence = torch.where(found, at + torch.log(width), torch.full_like(at, -torch.inf))
    modes = wrap(step * (k + off))
    distance = torch.where(found, wrap(modes - angle[:, None]).abs(), torch.inf)
    nearest = distance.argmin(1, keepdim=True)
    modes = modes.scatter(1, nearest, angle[:, None])
    rank = evidence.scatter(1, nearest, torch.full_like(angle, torch.inf)[:, None])
    order = torch.argsort(rank, dim=1, descending=True, stable=True)
    weights = torch.softmax(evidence, 1)
    return modes.gather(1, order), weights.gather(1, order), width.gather(1, order)


class OrderFilter:
    """Matched filter for the part of a motif that breaks its symmetry.

    The undistorted motif is the same after a turn of 360/n degrees, so its orders are multiples
    of n; all other orders of the template are the distortion B. With P the inverse of the
    covariance of all deviations, taken to be isotropic::

        amplitude = sum Re(B^H P Y) / sum B^H P B

    for the aligned harmonics Y of a site: 1 for the template's distortion, 0 for none, with a
    standard deviation that follows from the model. A template without distortion, fitted to a
    crystal without any or to copies of one sub-image, gives no scale. The standard deviation of
    the amplitudes is 10 then.

    Parameters
    ----------
    model : PoseModel
    scale : float
        Amplitude that becomes 1.

    Attributes
    ----------
    symmetry : int
        n of the undistorted motif, from the template: of 2, 3, 4 and 6 the one whose multiples
        have the highest mean power in units of that of the other orders. 1 if it is below 2; then
        all orders above 0 count as the distortion.
    std : float
        Standard deviation of the amplitude of a site.
    """

    def __init__(self, model: PoseModel, scale: float = 1.0) -> None:
        mean = model.mean.to(torch.complex128)
        m = torch.arange(mean.shape[1], device=mean.device)
        self.symmetry = symmetry((mean[:, 1:].abs() ** 2).sum(0))
        kept = m > 0 if self.symmetry == 1 else m % self.symmetry != 0
        broken = torch.where(kept, mean, torch.zeros_like(mean))
        factors = model.factors.to(torch.complex128).permute(2, 1, 0)
        isotropic = factors @ factors.conj().transpose(1, 2)
        isotropic[1:] /= 2  # of real and imaginary part each, as the noise
        covariance = model.noise.to(torch.complex128) + isotropic
        weights = torch.linalg.solve(covariance, broken.T[:, :, None])[..., 0].T
        strength = max(float((weights.conj() * broken).real.sum()), 0.0) ** 0.5
        self.scale = scale
        self.std: float = 1 / max(strength, _MIN_STRENGTH) / scale
        self._weights = (weights * (self.std / max(strength, 1e-30))).to(torch.complex64)

    def amplitude(self, harmonics: Tensor, angle: Tensor) -> Tensor:
        """Amplitudes of sites, (n,), from their harmonics and angles."""
        return torch.einsum("qm,nqm->n", self._weights.conj(), align(harmonics, angle)).real


def symmetry(power: Tensor, minimum: float = 2.0) -> int:
    """Symmetry of the undistorted motif from the power of the orders 1 ... M of the template."""
    m = torch.arange(1, len(power) + 1, device=power.device)
    excess = {}
    for n in (2, 3, 4, 6):
        inside = m % n == 0
        excess[n] = float(power[inside].mean() / power[~inside].mean().clamp(min=1e-30))
    best = max(excess, key=excess.__getitem__)
    return best if excess[best] >= minimum else 1


def fit_order(harmonics: Tensor, model: PoseModel, angle: Tensor) -> OrderFilter:
    """Create the filter, scaled so that distorted sites have a typical amplitude of 1.

    The template is an average over distorted and undistorted sites, so the distorted ones exceed
    it: the scale is the median of those that stand out from the noise by four standard deviations.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    model : PoseModel
    angle : torch.Tensor, shape (n,)

    Returns
    -------
    OrderFilter
    """
    order = OrderFilter(model)
    amplitude = order.amplitude(harmonics, angle)
    distorted = amplitude[amplitude > 4 * order.std]
    return OrderFilter(model, float(distorted.median())) if len(distorted) else order


def fit_pose(
    harmonics: Tensor,
    model: PoseModel,
    *,
    n_factors: int = 16,
    n_iterations: int = N_POSE,
    report: Callable[[float], bool] | None = None,
) -> PoseModel:
    """Fit template, isotropic noise and factors by expectation-maximisation in the pose frame.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    model : PoseModel
        Model to start from.
    n_factors, n_iterations : int
        Columns of G, iterations.
    report : callable, optional
        Called with the mean log-likelihood after every iteration; returns True to stop.

    Returns
    -------
    PoseModel
    """
    n_factors = min(n_factors, len(harmonics) - 1)
    best, best_value = model, -np.inf
    for i in range(n_iterations + 1):
        posterior = model.posterior(harmonics)
        value = float(posterior.log_likelihood.mean())
        stopped = report is not None and report(value)
        if value <= best_value:
            break  # the projections need not raise the likelihood, and drift from here on
        best, best_value = model, value
        if stopped or i == n_iterations:
            break
        mean, covariance = _aligned_moments(harmonics, posterior)
        smallest = 1e-5 * (mean.abs() ** 2).mean()
        noise, factors = factor_analysis(covariance, harmonics.shape[1:], n_factors, smallest)
        model = PoseModel(mean, noise, factors, model.rotation)
    return best


def _aligned_moments(
    x: Tensor, posterior: AnglePosterior, min_weight: float = 1e-3, block: int = 4096
) -> tuple[Tensor, Tensor]:
    """Mean and real covariance of the sites turned back by each of their modes."""
    rows, modes = torch.nonzero(posterior.weights > min_weight, as_tuple=True)
    weight = posterior.weights[rows, modes]
    weight = weight / weight.sum()
    angle = posterior.modes[rows, modes]
    n_real = x.shape[1] * (2 * x.shape[2] - 1)
    mean = torch.zeros(n_real, dtype=torch.float64, device=x.device)
    second = torch.zeros((n_real, n_real), dtype=torch.float64, device=x.device)
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        flat = to_real(align(x[rows[part]], angle[part]))
        weighted = flat * weight[part, None]
        mean += weighted.sum(0).double()
        second += (flat.T @ weighted).double()
    return to_complex(mean[None].float(), x.shape[1:])[0], second - mean[:, None] * mean


def weigh(precision: Tensor, x: Tensor) -> Tensor:
    """Apply a matrix per order to (n, n_q, M + 1)."""
    return torch.einsum("mqp,npm->nqm", precision, x)


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """Real inner products of rows: (n, k)."""
    return torch.einsum("nqm,kqm->nk", a.conj(), b).real


def _quadratic(precision: Tensor, x: Tensor) -> Tensor:
    """x^H precision x per site."""
    root = torch.linalg.cholesky(precision).conj().to(torch.complex64)
    # Products of real numbers are faster: with the real and with the imaginary part of x.
    real = torch.view_as_real(torch.stack([root, 1j * root], 2)).flatten(3).flatten(1, 2)
    half = torch.view_as_real(by_order(x)).flatten(2) @ real
    return (half**2).sum((0, 2))


def _local_maxima(score: Tensor, n_modes: int, reach: float = 25.0) -> tuple[Tensor, Tensor]:
    """Angles of the highest local maxima of a periodic score, and a mask of those that count.

    A maximum counts if it exists and lies within `reach` nats of the highest.
    """
    left, right = torch.roll(score, 1, 1), torch.roll(score, -1, 1)
    peak = (score >= left) & (score > right)
    peak.scatter_(1, score.argmax(1, keepdim=True), True)  # a flat score has no peak
    height, index = torch.topk(torch.where(peak, score, -torch.inf), n_modes, dim=1)
    return index * (2 * np.pi / score.shape[1]), height > height[:, :1] - reach
