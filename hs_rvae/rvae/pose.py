# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Angles: blind polar expectation-maximisation, exact posterior, continuous refinement.

A site's harmonics are those of one template, turned by the site's angle, plus deviations::

    align(X, theta) = exp(i m theta) X = mu + deviation,   deviation ~ N(0, V + G G^T)

``V`` is isotropic (it commutes with every rotation: noise, neighbours at random) and ``G`` holds a
few directions in the template's own frame (chemistry, displacement length, miscentring): a linear
decoder whose latents are integrated out. Because they are integrated out under a prior, they cannot
imitate a turn for free, and the angle keeps what belongs to it. The posterior of the angle is exact
on a grid: ``G`` and ``mu`` give J + 1 linear functionals of the turned site, each one an inverse
Fourier transform over the orders m.
"""

from dataclasses import dataclass

import numpy as np
import torch

N_ANNEAL, N_BLIND, N_POSE = 26, 10, 8  # iterations: per restart, on all sites, in the pose frame

_FLOOR = (0.05, 1e-3)  # of the noise per order: share of that order's mean power, of the overall mean


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

    angle: torch.Tensor
    std: torch.Tensor
    modes: torch.Tensor
    weights: torch.Tensor
    widths: torch.Tensor
    log_likelihood: torch.Tensor


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

    def __init__(self, mean, noise, factors, rotation=True):
        self.mean, self.noise, self.factors, self.rotation = mean, noise, factors, rotation
        self._prepare()

    def _prepare(self):
        """Weights of the linear functionals, and the constants of the log evidence."""
        self._precision = torch.linalg.inv(self.noise.to(torch.complex128))
        mean, factors = self.mean.to(torch.complex128), self.factors.to(torch.complex128)
        weighted_mean = _weigh(self._precision, mean[None])[0]
        weighted = _weigh(self._precision, factors)
        inner = _inner(factors, weighted)
        s = torch.eye(len(factors), dtype=torch.float64, device=inner.device) + inner
        root = torch.linalg.cholesky(torch.linalg.inv(s))
        projected = torch.einsum("jl,jqm->lqm", root.to(torch.complex128), weighted)
        self._weights = torch.cat([weighted_mean[None], projected]).to(torch.complex64)
        self._offset = _inner(projected, mean[None])[:, 0].float()
        log_det = torch.linalg.slogdet(self.noise.to(torch.complex128))[1]
        log_det = log_det[0] + 2 * log_det[1:].sum() + torch.logdet(s)  # m > 0: real and imaginary
        n_real = mean.shape[0] * (2 * mean.shape[1] - 1)
        energy = _inner(mean[None], weighted_mean[None])[0, 0]
        self._constant = -0.5 * (energy + log_det + n_real * np.log(2 * np.pi))

    def score(self, harmonics, n_angles):
        """Log posterior of the angle, up to a constant of the site, on a regular grid.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
        n_angles : int

        Returns
        -------
        score : torch.Tensor, shape (n, n_angles)
        functionals : torch.Tensor of complex64, shape (n, J + 1, M + 1)
            What :meth:`refine` needs to evaluate the score anywhere.
        """
        functionals = torch.einsum("jqm,nqm->njm", self._weights.conj(), harmonics)
        grid = _grid(n_angles, harmonics.device)
        wave = torch.exp(1j * grid[None, :] * torch.arange(harmonics.shape[2], device=grid.device)[:, None])
        values = functionals.real @ wave.real - functionals.imag @ wave.imag
        deviation = values[:, 1:] - self._offset[:, None]
        return values[:, 0] + 0.5 * (deviation**2).sum(1), functionals

    def posterior(self, harmonics, n_modes=6, n_angles=None):
        """Exact posterior of the angles of sites.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
        n_modes : int
            Local maxima kept.
        n_angles : int, optional
            Size of the grid; default 4 (M + 1), which no maximum escapes.

        Returns
        -------
        AnglePosterior
        """
        blocks = [self._posterior(block, n_modes, n_angles) for block in harmonics.split(4096)]
        columns = zip(*(vars(block).values() for block in blocks), strict=True)
        return AnglePosterior(*(torch.cat(column) for column in columns))

    def _posterior(self, harmonics, n_modes, n_angles):
        if not self.rotation:
            return self._held_at_zero(harmonics)
        n_angles = n_angles or max(64, 4 * harmonics.shape[2])
        score, functionals = self.score(harmonics, n_angles)
        modes, found = _local_maxima(score, n_modes)
        modes, height, width = self._refine(functionals, modes, 2 * np.pi / n_angles)
        evidence = torch.where(found, height + torch.log(width), -torch.inf)
        norm = torch.logsumexp(evidence, 1, keepdim=True)
        order = torch.argsort(evidence, dim=1, descending=True, stable=True)
        weights, modes, width = (t.gather(1, order) for t in (torch.exp(evidence - norm), modes, width))
        angle = modes[:, 0]
        spread = (weights * (wrap(modes - angle[:, None]) ** 2 + width**2)).sum(1)
        # The integral over a mode is sqrt(2 pi) width exp(height), over a range of 2 pi.
        log_likelihood = norm[:, 0] - 0.5 * np.log(2 * np.pi) + self._rest(harmonics)
        std = spread.clamp(max=np.pi**2 / 3).sqrt()
        return AnglePosterior(angle, std, modes, weights, width, log_likelihood)

    def _held_at_zero(self, harmonics):
        zero = torch.zeros((len(harmonics), 1), device=harmonics.device)
        log_likelihood = self.score(harmonics, 1)[0][:, 0] + self._rest(harmonics)
        return AnglePosterior(zero[:, 0], zero[:, 0], zero, zero + 1, zero, log_likelihood)

    def _rest(self, harmonics):
        """The part of the log-likelihood that no angle changes."""
        return (self._constant - 0.5 * _quadratic(self._precision, harmonics)).float()

    def _refine(self, functionals, angle, step, n_iterations=4):
        """Newton steps from the grid to the local maximum, and its width."""
        m = torch.arange(functionals.shape[2], device=angle.device, dtype=angle.dtype)
        start = angle
        for i in range(n_iterations + 1):
            wave = torch.exp(1j * angle[:, :, None] * m)  # (n, C, M + 1)
            value = torch.einsum("njm,ncm->ncj", functionals, wave).real
            first = -torch.einsum("njm,ncm->ncj", functionals, wave * m).imag
            second = -torch.einsum("njm,ncm->ncj", functionals, wave * m**2).real
            deviation = value[..., 1:] - self._offset
            slope = first[..., 0] + (deviation * first[..., 1:]).sum(-1)
            bend = second[..., 0] + (first[..., 1:] ** 2 + deviation * second[..., 1:]).sum(-1)
            bend = bend.clamp(max=-3 / np.pi**2)  # no broader than a uniform angle
            if i < n_iterations:
                angle = start + (angle - start - slope / bend).clamp(-step, step)
        height = value[..., 0] + 0.5 * (deviation**2).sum(-1)
        return wrap(angle), height, (-bend).rsqrt()


def wrap(angle):
    """Angles in (-pi, pi]."""
    return -torch.remainder(-angle + np.pi, 2 * np.pi) + np.pi


def without_angles(harmonics):
    """The model whose angles are all 0, without factors.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)

    Returns
    -------
    PoseModel
    """
    return _isotropic_model(harmonics, harmonics.mean(0), rotation=False)


def fit_blind(harmonics, generator, *, n_restarts=3, n_angles=64, n_subset=2000, report=None):
    """Blind stage: one template, isotropic deviations, annealed from an arbitrary site.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    generator : torch.Generator
        Chooses the subset and the starting sites.
    n_restarts, n_angles, n_subset : int
        Starts, angles of the grid, sites used before the last iterations.
    report : callable, optional
        Called with the mean log-likelihood after every iteration; answers True to stop.

    Returns
    -------
    PoseModel
        Without factors.
    """
    report = report or (lambda value: False)
    subset = harmonics
    if len(harmonics) > n_subset:
        subset = harmonics[_permutation(len(harmonics), generator)[:n_subset]]
    best = None
    for _ in range(n_restarts):
        start = subset[_permutation(len(subset), generator)[0]]
        template, value, stopped = _anneal(subset, 0.7 * start, n_angles, report)
        if best is None or value > best[1]:
            best = (template, value)
        if stopped:
            break
    template = best[0]
    for _ in range(N_BLIND):
        noise = _isotropic_noise(harmonics, template)
        template, value = _em_step(harmonics, template, noise, n_angles)
        if report(value):
            break
    return _isotropic_model(harmonics, template)


def _isotropic_model(harmonics, template, rotation=True):
    noise = _isotropic_noise(harmonics, template)
    noise[1:] /= 2  # from complex numbers to their real and imaginary parts
    no_factors = torch.zeros((0, *template.shape), dtype=torch.complex64, device=template.device)
    return PoseModel(template, noise, no_factors, rotation)


def fit_pose(harmonics, model, *, n_factors=16, n_iterations=N_POSE, report=None):
    """Pose-frame stage: template, isotropic noise and factors by expectation-maximisation.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    model : PoseModel
        From :func:`fit_blind`.
    n_factors, n_iterations : int
        Columns of G, iterations.
    report : callable, optional
        Called with the mean log-likelihood after every iteration; answers True to stop.

    Returns
    -------
    PoseModel
    """
    for _ in range(n_iterations):
        posterior = model.posterior(harmonics)
        mean, covariance = _aligned_moments(harmonics, posterior)
        noise, factors = _factor_analysis(covariance, harmonics.shape[1:], n_factors)
        model = PoseModel(mean, noise, factors, model.rotation)
        if report is not None and report(float(posterior.log_likelihood.mean())):
            break
    return model


def _anneal(x, template, n_angles, report):
    """Iterations with scalar noise that falls, then with a noise covariance per order."""
    total = (x[:, :, 1:].abs() ** 2).sum((1, 2)).mean()
    eye = torch.eye(x.shape[1], dtype=torch.complex64, device=x.device)
    for i in range(20):
        nats = 10 * 10 ** min(1.0, i / 13)  # 10 to 100 nats over the first two thirds
        residual = total - (template[:, 1:].abs() ** 2).sum()
        variance = torch.maximum(residual, 0.05 * total) / (2 * nats)
        noise = (eye * variance).expand(x.shape[2], -1, -1)
        template, value = _em_step(x, template, noise, n_angles)
        if report(value):
            return template, -np.inf, True
    for _ in range(N_ANNEAL - 20):
        template, value = _em_step(x, template, _isotropic_noise(x, template), n_angles)
        if report(value):
            return template, value, True
    return template, value, False


def _em_step(x, template, noise, n_angles):
    """One iteration over a grid of angles; returns the template and the mean log-likelihood."""
    precision = torch.linalg.inv(noise)
    weighted = torch.einsum("mqp,pm->qm", precision, template)
    linear = torch.einsum("qm,nqm->nm", weighted[:, 1:].conj(), x[:, :, 1:])
    m = torch.arange(1, x.shape[2], device=x.device)
    wave = torch.exp(1j * _grid(n_angles, x.device)[None, :] * m[:, None])
    score = 2 * (linear.real @ wave.real - linear.imag @ wave.imag)
    norm = torch.logsumexp(score, 1, keepdim=True)
    weight = torch.exp(score - norm)
    rho = torch.complex(weight @ wave.real.T, weight @ wave.imag.T)
    new = template.clone()
    new[:, 1:] = torch.einsum("nm,nqm->qm", rho, x[:, :, 1:]) / len(x)
    new[:, 0] = x[:, :, 0].real.mean(0)
    log_det = torch.linalg.slogdet(precision)[1][1:].sum()
    energy = (template[:, 1:].conj() * weighted[:, 1:]).real.sum()
    power = torch.einsum("mqp,mpq->", precision[1:], _second_moment(x)[1:]).real
    return new, float((norm.mean() - np.log(n_angles) - energy - power + log_det).cpu())


def _second_moment(x):
    """mean_n x_q conj(x_p) per order, (M + 1, n_q, n_q)."""
    columns = x.permute(2, 1, 0)
    return columns @ columns.conj().transpose(1, 2) / x.shape[0]


def _isotropic_noise(x, template):
    """Covariance per order of what the template leaves, with a floor."""
    columns = template.T
    second = _second_moment(x)
    mean0 = x[:, :, 0].mean(0)
    outer = columns[:, :, None] * columns[:, None, :].conj()
    outer[0] = mean0[:, None] * mean0[None, :].conj()
    return _with_floor(second - outer)


def _with_floor(noise):
    """Add the floor that keeps orders without signal from being trusted."""
    trace = torch.diagonal(noise, dim1=1, dim2=2).real.sum(1) / noise.shape[1]
    floor = _FLOOR[0] * trace + _FLOOR[1] * trace.mean()
    eye = torch.eye(noise.shape[1], dtype=noise.dtype, device=noise.device)
    noise = noise + floor[:, None, None] * eye
    noise[0] = noise[0].real.to(noise.dtype)
    return noise


def _aligned_moments(x, posterior, least=1e-3, block=4096):
    """Mean and real covariance of the sites turned back by each of their modes."""
    rows, modes = torch.nonzero(posterior.weights > least, as_tuple=True)
    weight = posterior.weights[rows, modes]
    weight = weight / weight.sum()
    angle = posterior.modes[rows, modes]
    m = torch.arange(x.shape[2], device=x.device)
    n_real = x.shape[1] * (2 * x.shape[2] - 1)
    mean = torch.zeros(n_real, dtype=torch.float64, device=x.device)
    second = torch.zeros((n_real, n_real), dtype=torch.float64, device=x.device)
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        turned = x[rows[part]] * torch.exp(1j * angle[part, None] * m)[:, None, :]
        flat = to_real(turned)
        weighted = flat * weight[part, None]
        mean += weighted.sum(0).double()
        second += (flat.T @ weighted).double()
    return to_complex(mean[None].float(), x.shape[1:])[0], second - mean[:, None] * mean


def _factor_analysis(covariance, shape, n_factors, n_iterations=4):
    """Split a pose-frame covariance into isotropic noise and factors.

    Returns
    -------
    noise : torch.Tensor of complex64, shape (M + 1, n_q, n_q)
    factors : torch.Tensor of complex64, shape (J, n_q, M + 1)
    """
    n_factors = min(n_factors, len(covariance) - 1)
    noise = _project_isotropic(covariance, shape)
    for _ in range(n_iterations):
        root = torch.linalg.cholesky(_real_blocks(noise))
        white = torch.linalg.solve_triangular(root, covariance, upper=False)
        white = torch.linalg.solve_triangular(root, white.T, upper=False)
        value, vector = torch.linalg.eigh(0.5 * (white + white.T))
        value, vector = value[-n_factors:], vector[:, -n_factors:]
        factors = root @ vector * (value - 1).clamp(min=0).sqrt()
        noise = _project_isotropic(covariance - factors @ factors.T, shape)
    return noise.to(torch.complex64), to_complex(factors.T.float(), shape)


def _project_isotropic(covariance, shape):
    """Nearest covariance that commutes with every rotation: a Hermitian block per order."""
    n_q, n_m = shape
    split = n_q * n_m
    real = covariance[:split, :split].reshape(n_q, n_m, n_q, n_m)
    cross = covariance[split:, :split].reshape(n_q, n_m - 1, n_q, n_m)
    imaginary = covariance[split:, split:].reshape(n_q, n_m - 1, n_q, n_m - 1)
    blocks = torch.zeros((n_m, n_q, n_q), dtype=torch.complex128, device=covariance.device)
    blocks[0] = real[:, 0, :, 0]
    for m in range(1, n_m):
        half = cross[:, m - 1, :, m]  # imaginary part of one with the real part of another
        even = (real[:, m, :, m] + imaginary[:, m - 1, :, m - 1]) / 2
        blocks[m] = torch.complex(even, (half - half.T) / 2)
    diagonal = torch.diagonal(covariance)
    least = 1e-4 * diagonal.mean()
    value, vector = torch.linalg.eigh(blocks)
    value = value.clamp(min=least).to(vector.dtype)
    blocks = (vector * value[:, None, :]) @ vector.conj().transpose(1, 2)
    return _with_floor(blocks)


def _real_blocks(noise):
    """The isotropic noise as one real covariance matrix in the order of :func:`to_real`."""
    n_m, n_q, _ = noise.shape
    split = n_q * n_m
    full = torch.zeros((split + n_q * (n_m - 1),) * 2, dtype=torch.float64, device=noise.device)
    rows = torch.arange(n_q, device=noise.device)
    for m in range(n_m):
        re = rows * n_m + m
        full[re[:, None], re[None, :]] = noise[m].real
        if m:
            im = split + rows * (n_m - 1) + m - 1
            full[im[:, None], im[None, :]] = noise[m].real
            full[im[:, None], re[None, :]] = noise[m].imag
            full[re[:, None], im[None, :]] = -noise[m].imag
    return full


def to_real(harmonics):
    """Complex (n, n_q, M + 1) to real (n, n_q (2 M + 1)): real parts, then imaginary ones of m > 0."""
    n = len(harmonics)
    return torch.cat([harmonics.real.reshape(n, -1), harmonics.imag[:, :, 1:].reshape(n, -1)], 1)


def to_complex(real, shape):
    """The inverse of :func:`to_real`."""
    n_q, n_m = shape
    split = n_q * n_m
    imaginary = torch.zeros((len(real), n_q, n_m), dtype=real.dtype, device=real.device)
    imaginary[:, :, 1:] = real[:, split:].reshape(-1, n_q, n_m - 1)
    return torch.complex(real[:, :split].reshape(-1, n_q, n_m), imaginary)


def _weigh(precision, x):
    """Apply a matrix per order to (n, n_q, M + 1)."""
    return torch.einsum("mqp,npm->nqm", precision, x)


def _inner(a, b):
    """Real inner products of rows: (n, k)."""
    return torch.einsum("nqm,kqm->nk", a.conj(), b).real


def _quadratic(precision, x):
    """x^H precision x per site."""
    root = torch.linalg.cholesky(precision).to(torch.complex64)
    half = torch.einsum("mqp,nqm->npm", root.conj(), x)
    return (half.abs() ** 2).sum((1, 2))


def _grid(n, device):
    return 2 * torch.pi * torch.arange(n, device=device, dtype=torch.float32) / n


def _local_maxima(score, n_modes):
    """Angles of the highest local maxima of a periodic score, and which of them exist."""
    left, right = torch.roll(score, 1, 1), torch.roll(score, -1, 1)
    peak = (score >= left) & (score > right)
    peak.scatter_(1, score.argmax(1, keepdim=True), True)  # a flat score has no peak
    height, index = torch.topk(torch.where(peak, score, -torch.inf), n_modes, dim=1)
    return index * (2 * np.pi / score.shape[1]), torch.isfinite(height)


def _permutation(n, generator):
    return torch.randperm(n, generator=generator)
