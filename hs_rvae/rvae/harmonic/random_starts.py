# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The blind stage: a template and angles from nothing, by expectation-maximisation.

All deviations from the template are taken to be isotropic, and the noise is annealed, so that an
arbitrary site is start enough.
"""

import numpy as np
import torch

from ..covariance import positive, with_floor
from ..device import one_thread
from ..geometry import by_order, waves
from ..pose import PoseModel

N_ANNEAL, N_BLIND = 26, 10  # iterations per restart, and on all sites


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
    model : PoseModel
        Without factors.
    starts : dict of str to numpy.ndarray, shape (n_restarts,)
        ``log_likelihood`` of the restarts (nats per site of the subset, up to a constant), and
        their ``agreement`` with the likeliest: resultant length of the difference of the angles.
    """
    report = report or (lambda value: False)
    subset = harmonics
    if len(harmonics) > n_subset:
        subset = harmonics[_permutation(len(harmonics), generator)[:n_subset]]
    some, starts = _Sites(subset), []
    for _ in range(n_restarts):
        start = subset[_permutation(len(subset), generator)[0]]
        with one_thread():
            template, value, stopped = _anneal(some, 0.7 * start, n_angles, report)
        starts.append((value, template))
        if stopped:
            break
    template = max(starts, key=lambda start: start[0])[1]
    starts = {
        "log_likelihood": np.array([value for value, _ in starts]),
        "agreement": _agreement(some, [t for _, t in starts], template, n_angles),
    }
    sites = _Sites(harmonics)
    for _ in range(N_BLIND):
        template, value = sites.step(template, sites.noise(template), n_angles)
        if report(value):
            break
    return _isotropic_model(sites, template), starts


def _agreement(sites, templates, best, n_angles):
    """Resultant length of the angles under each template minus those under the best."""
    angles = [sites.angles(t, sites.noise(t), n_angles) for t in (best, *templates)]
    turns = [torch.exp(1j * (angle - angles[0])).mean().abs() for angle in angles[1:]]
    return np.array([float(turn) for turn in turns])


def _isotropic_model(sites, template, rotation=True):
    noise = sites.noise(template)
    noise[1:] /= 2  # from complex numbers to their real and imaginary parts
    no_factors = torch.zeros((0, *template.shape), dtype=torch.complex64, device=template.device)
    return PoseModel(template, noise, no_factors, rotation)


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
        self.x = by_order(harmonics)
        self.second = self.x.transpose(1, 2) @ self.x.conj() / len(harmonics)
        self.mean = self.x[0].real.mean(0)
        self.power = torch.diagonal(self.second[1:], dim1=1, dim2=2).real.sum()

    def noise(self, template):
        """Covariance per order of what the template leaves, with a floor, (M + 1, n_q, n_q)."""
        columns = template.T.clone()
        columns[0] = self.mean
        noise = self.second - columns[:, :, None] * columns[:, None, :].conj()
        # Sites without noise of their own leave nothing but rounding, which may be negative.
        power = torch.diagonal(self.second, dim1=1, dim2=2).real.mean()
        return with_floor(positive(noise, 1e-5 * power))

    def step(self, template, noise, n_angles):
        """One iteration over a grid of angles.

        Returns
        -------
        template : torch.Tensor of complex64, shape (n_q, M + 1)
        value : float
            Mean log-likelihood of the orders above 0, in nats up to a constant.
        """
        n = self.x.shape[1]
        columns = template.T[:, :, None]
        weighted = torch.linalg.solve(noise, columns)  # (M + 1, n_q, 1)
        score, cos, sin = self._score(weighted, n_angles)
        norm = torch.logsumexp(score, 1, keepdim=True)
        weight = torch.exp(score - norm)
        turn = torch.complex(cos @ weight.T, sin @ weight.T)  # (M, n): mean of exp(i m angle)
        new = template.clone()
        new[:, 1:] = (turn[:, None, :] @ self.x[1:])[:, 0].T / n
        new[:, 0] = self.mean
        energy = (columns[1:].conj() * weighted[1:]).real.sum()
        power = torch.diagonal(
            torch.linalg.solve(noise, self.second)[1:], dim1=1, dim2=2
        ).real.sum()
        log_det = torch.linalg.slogdet(noise)[1][1:].sum()
        return new, float(norm.mean() - np.log(n_angles) - energy - power - log_det)

    def angles(self, template, noise, n_angles):
        """Most probable angles on the grid, (n,)."""
        weighted = torch.linalg.solve(noise, template.T[:, :, None])
        return 2 * torch.pi / n_angles * self._score(weighted, n_angles)[0].argmax(1)

    def _score(self, weighted, n_angles):
        """Log posterior on the grid, (n, n_angles), and the waves it is made of, (M, n_angles)."""
        n_m = len(self.x)
        linear = (self.x[1:] @ weighted[1:].conj())[..., 0]  # (M, n)
        grid = 2 * torch.pi / n_angles * torch.arange(n_angles, device=self.x.device)
        wave = waves(grid, n_m)[..., 0].T  # (2 (M + 1), n_angles)
        cos, sin = wave[1:n_m], wave[n_m + 1 :]
        return 2 * (linear.real.T @ cos - linear.imag.T @ sin), cos, sin


def _permutation(n, generator):
    return torch.randperm(n, generator=generator)
