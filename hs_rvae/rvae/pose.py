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
import scipy.linalg
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
            At the angles 2 pi k / n_angles.
        functionals : torch.Tensor, shape (n, J + 1, 2 (M + 1))
            Amplitudes of the functionals' waves over the angle, real and imaginary.
        """
        n, _, n_m = harmonics.shape
        # One product per order: (M + 1, n, n_q) with (M + 1, n_q, J + 1).
        functionals = _by_order(harmonics) @ self._weights.conj().permute(2, 1, 0)
        functionals = torch.cat([functionals.real, -functionals.imag]).permute(1, 2, 0).contiguous()
        waves = _waves(2 * torch.pi / n_angles * torch.arange(n_angles, device=harmonics.device), n_m)
        values = (functionals.reshape(-1, 2 * n_m) @ waves[..., 0].T).reshape(n, -1, n_angles)
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
            value, first, second = (functionals @ _waves(angle, n_m)).unbind(2)  # (k, J + 1) each
            deviation = value[:, 1:] - self._offset
            slope = first[:, 0] + (deviation * first[:, 1:]).sum(1)
            bend = second[:, 0] + (first[:, 1:] ** 2 + deviation * second[:, 1:]).sum(1)
            bend = bend.clamp(max=-3 / np.pi**2)  # no broader than a uniform angle
            if i < n_iterations:
                angle = start + (angle - start - slope / bend).clamp(-step, step)
        height = value[:, 0] + 0.5 * (deviation**2).sum(1)
        return wrap(angle), height, (-bend).rsqrt()


def _waves(angle, n_m):
    """exp(i m angle) and its first two derivatives by the angle, as real numbers.

    Returns
    -------
    torch.Tensor, shape (k, 2 (M + 1), 3)
        Real parts of all orders, then imaginary parts.
    """
    m = torch.arange(n_m, device=angle.device, dtype=torch.float32)
    cos, sin = torch.cos(angle[:, None] * m), torch.sin(angle[:, None] * m)
    derivatives = [torch.cat([cos, sin], 1), torch.cat([-m * sin, m * cos], 1)]
    return torch.stack([*derivatives, -torch.cat([m**2 * cos, m**2 * sin], 1)], 2)


def _by_order(harmonics):
    """(n, n_q, M + 1) to contiguous (M + 1, n, n_q)."""
    return harmonics.permute(2, 0, 1).contiguous()


def align(harmonics, angle):
    """Turn sites back by their angles, (n,) in radians: into the pose frame."""
    m = torch.arange(harmonics.shape[2], device=harmonics.device)
    return harmonics * torch.exp(1j * angle[:, None] * m)[:, None, :]


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
    return _isotropic_model(_Sites(harmonics), harmonics.mean(0), rotation=False)


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
    some, best = _Sites(subset), None
    for _ in range(n_restarts):
        start = subset[_permutation(len(subset), generator)[0]]
        template, value, stopped = _anneal(some, 0.7 * start, n_angles, report)
        if best is None or value > best[1]:
            best = (template, value)
        if stopped:
            break
    template = best[0]
    sites = _Sites(harmonics)
    for _ in range(N_BLIND):
        template, value = sites.step(template, sites.noise(template), n_angles)
        if report(value):
            break
    return _isotropic_model(sites, template)


def _isotropic_model(sites, template, rotation=True):
    noise = sites.noise(template)
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
    n_factors = min(n_factors, len(harmonics) - 1)
    for _ in range(n_iterations):
        posterior = model.posterior(harmonics)
        mean, covariance = _aligned_moments(harmonics, posterior)
        noise, factors = _factor_analysis(covariance, harmonics.shape[1:], n_factors)
        model = PoseModel(mean, noise, factors, model.rotation)
        if report is not None and report(float(posterior.log_likelihood.mean())):
            break
    return model


def _anneal(sites, template, n_angles, report):
    """Iterations with scalar noise that falls, then with a noise covariance per order."""
    eye = torch.eye(len(template), dtype=torch.complex64, device=template.device)
    for i in range(20):
        nats = 10 * 10 ** min(1.0, i / 13)  # 10 to 100 nats over the first two thirds
        residual = sites.power - (template[:, 1:].abs() ** 2).sum()
        variance = torch.maximum(residual, 0.05 * sites.power) / (2 * nats)
        noise = (eye * variance).expand(template.shape[1], -1, -1)
        template, value = sites.step(template, noise, n_angles)
        if report(value):
            return template, -np.inf, True
    for _ in range(N_ANNEAL - 20):
        template, value = sites.step(template, sites.noise(template), n_angles)
        if report(value):
            return template, value, True
    return template, value, False


class _Sites:
    """Sites with what all iterations of the blind stage need of them, computed once."""

    def __init__(self, harmonics):
        self.x = _by_order(harmonics)
        self.second = self.x.transpose(1, 2) @ self.x.conj() / len(harmonics)
        self.mean = self.x[0].real.mean(0)
        self.power = torch.diagonal(self.second[1:], dim1=1, dim2=2).real.sum()

    def noise(self, template):
        """Covariance per order of what the template leaves, with a floor, (M + 1, n_q, n_q)."""
        columns = template.T.clone()
        columns[0] = self.mean
        return _with_floor(self.second - columns[:, :, None] * columns[:, None, :].conj())

    def step(self, template, noise, n_angles):
        """One iteration over a grid of angles.

        Returns
        -------
        template : torch.Tensor of complex64, shape (n_q, M + 1)
        value : float
            Mean log-likelihood of the orders above 0, in nats up to a constant.
        """
        n_m, n, _ = self.x.shape
        columns = template.T[:, :, None]
        weighted = torch.linalg.solve(noise, columns)  # (M + 1, n_q, 1)
        linear = (self.x[1:] @ weighted[1:].conj())[..., 0]  # (M, n)
        grid = 2 * torch.pi / n_angles * torch.arange(n_angles, device=self.x.device)
        waves = _waves(grid, n_m)[..., 0].T  # (2 (M + 1), n_angles)
        cos, sin = waves[1:n_m], waves[n_m + 1 :]
        score = 2 * (linear.real.T @ cos - linear.imag.T @ sin)
        norm = torch.logsumexp(score, 1, keepdim=True)
        weight = torch.exp(score - norm)
        turn = torch.complex(cos @ weight.T, sin @ weight.T)  # (M, n): mean of exp(i m angle)
        new = template.clone()
        new[:, 1:] = (turn[:, None, :] @ self.x[1:])[:, 0].T / n
        new[:, 0] = self.mean
        energy = (columns[1:].conj() * weighted[1:]).real.sum()
        power = torch.diagonal(torch.linalg.solve(noise, self.second)[1:], dim1=1, dim2=2).real.sum()
        log_det = torch.linalg.slogdet(noise)[1][1:].sum()
        return new, float(norm.mean() - np.log(n_angles) - energy - power - log_det)


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


def _factor_analysis(covariance, shape, n_factors, n_iterations=3):
    """Split a pose-frame covariance into isotropic noise and factors.

    Parameters
    ----------
    covariance : torch.Tensor of float64, shape (D, D)
        In the order of :func:`to_real`.
    shape : tuple of int
        (n_q, M + 1).
    n_factors, n_iterations : int

    Returns
    -------
    noise : torch.Tensor of complex64, shape (M + 1, n_q, n_q)
    factors : torch.Tensor of complex64, shape (J, n_q, M + 1)
    """
    noise = _project_isotropic(covariance, shape)
    for _ in range(n_iterations):
        value, root = torch.linalg.eigh(noise)
        half = (root * value.sqrt()[:, None, :]) @ root.conj().transpose(1, 2)
        inverse = (root * value.rsqrt()[:, None, :]) @ root.conj().transpose(1, 2)
        white = _apply_blocks(inverse, _apply_blocks(inverse, covariance).T)
        value, vector = _leading(0.5 * (white + white.T), n_factors)
        factors = _apply_blocks(half, vector * (value - 1).clamp(min=0).sqrt())
        noise = _project_isotropic(covariance - factors @ factors.T, shape)
    return noise.to(torch.complex64), to_complex(factors.T.float(), shape)


def _leading(matrix, k):
    """The k largest eigenvalues of a symmetric matrix and their vectors."""
    last = len(matrix) - 1
    value, vector = scipy.linalg.eigh(matrix.cpu().numpy(), subset_by_index=[last - k + 1, last])
    return (torch.as_tensor(part, device=matrix.device) for part in (value, vector))


def _project_isotropic(covariance, shape):
    """Nearest covariance that commutes with every rotation: a Hermitian block per order."""
    n_q, n_m = shape
    order_0 = covariance[:n_q, :n_q].to(torch.complex128)
    pairs = covariance[n_q:, n_q:].reshape(n_m - 1, 2, n_q, n_m - 1, 2, n_q)
    pairs = torch.diagonal(pairs, dim1=0, dim2=3)  # (2, n_q, 2, n_q, M)
    even = (pairs[0, :, 0] + pairs[1, :, 1]) / 2
    odd = (pairs[1, :, 0] - pairs[0, :, 1]) / 2
    blocks = torch.complex(even, odd).permute(2, 0, 1)
    blocks = torch.cat([order_0[None], blocks])
    least = 1e-4 * torch.diagonal(covariance).mean()
    value, vector = torch.linalg.eigh(0.5 * (blocks + blocks.conj().transpose(1, 2)))
    value = value.clamp(min=least).to(vector.dtype)
    return _with_floor((vector * value[:, None, :]) @ vector.conj().transpose(1, 2))


def _apply_blocks(blocks, x):
    """Apply a complex matrix per order, (M + 1, n_q, n_q), to real columns (D, k)."""
    n_m, n_q, _ = blocks.shape
    order_0 = blocks[0].real @ x[:n_q]
    pairs = x[n_q:].reshape(n_m - 1, 2, n_q, -1)
    real, imaginary = blocks[1:].real, blocks[1:].imag
    pairs = torch.stack(
        [
            real @ pairs[:, 0] - imaginary @ pairs[:, 1],
            imaginary @ pairs[:, 0] + real @ pairs[:, 1],
        ],
        1,
    )
    return torch.cat([order_0, pairs.reshape(len(x) - n_q, -1)])


def to_real(harmonics):
    """Complex (n, n_q, M + 1) to real (n, n_q (2 M + 1)): order 0, then real, imaginary per order."""
    pairs = torch.view_as_real(harmonics[:, :, 1:].contiguous()).permute(0, 2, 3, 1)
    return torch.cat([harmonics[:, :, 0].real, pairs.reshape(len(harmonics), -1)], 1)


def to_complex(real, shape):
    """The inverse of :func:`to_real`."""
    n_q, n_m = shape
    pairs = real[:, n_q:].reshape(-1, n_m - 1, 2, n_q).permute(0, 3, 1, 2).contiguous()
    order_0 = torch.complex(real[:, :n_q], torch.zeros_like(real[:, :n_q]))
    return torch.cat([order_0[:, :, None], torch.view_as_complex(pairs)], 2)


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


def _local_maxima(score, n_modes, reach=25.0):
    """Angles of the highest local maxima of a periodic score, and which of them count.

    A maximum counts if it exists and lies within `reach` nats of the highest.
    """
    left, right = torch.roll(score, 1, 1), torch.roll(score, -1, 1)
    peak = (score >= left) & (score > right)
    peak.scatter_(1, score.argmax(1, keepdim=True), True)  # a flat score has no peak
    height, index = torch.topk(torch.where(peak, score, -torch.inf), n_modes, dim=1)
    return index * (2 * np.pi / score.shape[1]), height > height[:, :1] - reach


def _permutation(n, generator):
    return torch.randperm(n, generator=generator)
