# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit of the angles: random starts or a given start, then refinement in the pose frame.

The search from random starts is an expectation-maximisation of a template and its angles. All
deviations from the template are taken to be isotropic, and the noise is annealed, so that an
arbitrary site is a sufficient start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .. import pose
from ..covariance import positive, with_floor
from ..excess_scatter import scatter_of_distorted
from ..geometry import by_order, waves
from ..pose import AnglePosterior, OrderFilter, PoseModel

if TYPE_CHECKING:
    from ...progress import Progress
    from ..estimator import RVAE

_logger = logging.getLogger(__name__)

N_ANNEAL, N_REFINE = 26, 10  # iterations per random start, and on all sites
N_STATIC = 1  # where all angles are 0: another iteration would begin from the same moments


def fit_angles(
    harmonics: Tensor,
    options: RVAE,
    generator: torch.Generator,
    progress: Progress,
    start: PoseModel | None = None,
    rotation: bool = True,
) -> tuple[PoseModel, dict[str, np.ndarray]]:
    """Fit template and covariance in the pose frame.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    options : RVAE
        Its n_init and n_factors are used.
    generator : torch.Generator
    progress : Progress
    start : PoseModel, optional
        Model to refine. If None, random starts.
    rotation : bool
        False holds all angles at 0.

    Returns
    -------
    model : PoseModel
    history : dict of str to numpy.ndarray
        ``pose_log_likelihood`` in nats, and ``start_...`` of the random starts.
    """
    log_likelihoods: list[float] = []
    starts: dict[str, np.ndarray] = {}

    def report(value: float) -> bool:
        progress.step("rVAE angles")
        return progress.stopped

    def report_likelihood(value: float) -> bool:
        log_likelihoods.append(value)
        progress.step("rVAE angles", {"log_likelihood": value})
        return progress.stopped

    if start is not None:
        model = start
    elif rotation:
        model, starts = fit_random_starts(
            harmonics, generator, n_restarts=options.n_init, report=report
        )
        _report_starts(**starts)
    else:
        model = without_angles(harmonics)
    if not progress.stopped:
        n_factors = min(options.n_factors, len(harmonics) // 20)
        model = pose.fit_pose(
            harmonics,
            model,
            n_factors=n_factors,
            n_iterations=pose.N_POSE if rotation else N_STATIC,
            report=report_likelihood,
        )
    history = {"pose_log_likelihood": np.array(log_likelihoods)}
    return model, history | {f"start_{name}": values for name, values in starts.items()}


def _report_starts(log_likelihood: np.ndarray, agreement: np.ndarray) -> None:
    """Log the agreement of the random starts of the search for angles."""
    near = log_likelihood > log_likelihood.max() - 1
    disagree = int((near & (agreement < 0.9)).sum())
    _logger.log(
        logging.WARNING if disagree else logging.INFO,
        "rVAE: of %d random starts, %d are as likely as the best within 1 nat per site, %d of them "
        "with other angles (agreement %s).",
        len(near),
        near.sum(),
        disagree,
        ", ".join(f"{a:.2f}" for a in agreement),
    )


def scatter_of_posterior(posterior: AnglePosterior, amplitude: Tensor, order: OrderFilter) -> float:
    """Scatter of the angles of distorted sites, see :func:`scatter_about_wells`."""
    if posterior.modes.shape[1] == 1:  # angles held at 0
        return 0.0
    sure = posterior.weights[:, 0] > 0.9
    angle, std, amplitude = (t[sure] for t in (posterior.angle, posterior.std, amplitude))
    return scatter_of_distorted(angle, std, amplitude, order.std)


def without_angles(harmonics: Tensor) -> PoseModel:
    """Create the model without factors whose angles are all 0.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)

    Returns
    -------
    PoseModel
    """
    return _isotropic_model(_Sites(harmonics), harmonics.mean(0), rotation=False)


def fit_random_starts(
    harmonics: Tensor,
    generator: torch.Generator,
    *,
    n_restarts: int = 3,
    n_angles: int = 64,
    n_subset: int = 2000,
    report: Callable[[float], bool] | None = None,
) -> tuple[PoseModel, dict[str, np.ndarray]]:
    """Search one template from random starts: isotropic deviations, annealed noise.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    generator : torch.Generator
        Chooses the subset and the starting sites.
    n_restarts, n_angles, n_subset : int
        Starts, angles of the grid, sites used before the last iterations.
    report : callable, optional
        Called with the mean log-likelihood after every iteration; returns True to stop.

    Returns
    -------
    model : PoseModel
        Without factors.
    starts : dict of str to numpy.ndarray, shape (n_restarts,)
        ``log_likelihood`` of the restarts (nats per site of the subset, up to a constant), and
        their ``agreement`` with the most likely one: resultant length of the difference of the
        angles.
    """
    report = report or (lambda value: False)
    subset = harmonics
    if len(harmonics) > n_subset:
        subset = harmonics[torch.randperm(len(harmonics), generator=generator)[:n_subset]]
    some, tried = _Sites(subset), []
    for _ in range(n_restarts):
        start = subset[torch.randperm(len(subset), generator=generator)[0]]
        template, value, stopped = _anneal(some, 0.7 * start, n_angles, report)
        tried.append((value, template))
        if stopped:
            break
    template = max(tried, key=lambda start: start[0])[1]
    starts = {
        "log_likelihood": np.array([value for value, _ in tried]),
        "agreement": _agreement(some, [t for _, t in tried], template, n_angles),
    }
    sites = _Sites(harmonics)
    for _ in range(N_REFINE):
        template, value = sites.step(template, sites.noise(template), n_angles)
        if report(value):
            break
    return _isotropic_model(sites, template), starts


def _agreement(sites: _Sites, templates: list[Tensor], best: Tensor, n_angles: int) -> np.ndarray:
    """Resultant length of the angles under each template minus those under the best."""
    angles = [sites.angles(t, sites.noise(t), n_angles) for t in (best, *templates)]
    turns = [torch.exp(1j * (angle - angles[0])).mean().abs() for angle in angles[1:]]
    return np.array([float(turn) for turn in turns])


def _isotropic_model(sites: _Sites, template: Tensor, rotation: bool = True) -> PoseModel:
    noise = sites.noise(template)
    noise[1:] /= 2  # from complex numbers to their real and imaginary parts
    no_factors = torch.zeros((0, *template.shape), dtype=torch.complex64, device=template.device)
    return PoseModel(template, noise, no_factors, rotation)


def _anneal(
    sites: _Sites, template: Tensor, n_angles: int, report: Callable[[float], bool]
) -> tuple[Tensor, float, bool]:
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
    """Sites, and moments of them that all iterations of the blind search need."""

    def __init__(self, harmonics: Tensor) -> None:
        self.x = by_order(harmonics)
        self.second = self.x.transpose(1, 2) @ self.x.conj() / len(harmonics)
        self.mean = self.x[0].real.mean(0)
        self.power = torch.diagonal(self.second[1:], dim1=1, dim2=2).real.sum()

    def noise(self, template: Tensor) -> Tensor:
        """Covariance per order of the residuals, with a floor: (M + 1, n_q, n_q)."""
        columns = template.T.clone()
        columns[0] = self.mean
        noise = self.second - columns[:, :, None] * columns[:, None, :].conj()
        # Sites without noise leave only rounding errors, which may be negative.
        power = torch.diagonal(self.second, dim1=1, dim2=2).real.mean()
        return with_floor(positive(noise, 1e-5 * power))

    def step(self, template: Tensor, noise: Tensor, n_angles: int) -> tuple[Tensor, float]:
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

    def angles(self, template: Tensor, noise: Tensor, n_angles: int) -> Tensor:
        """Most probable angles on the grid, (n,)."""
        weighted = torch.linalg.solve(noise, template.T[:, :, None])
        return 2 * torch.pi / n_angles * self._score(weighted, n_angles)[0].argmax(1)

    def _score(self, weighted: Tensor, n_angles: int) -> tuple[Tensor, Tensor, Tensor]:
        """Log posterior on the grid, (n, n_angles), and the waves in it, (M, n_angles)."""
        n_m = len(self.x)
        linear = (self.x[1:] @ weighted[1:].conj())[..., 0]  # (M, n)
        grid = 2 * torch.pi / n_angles * torch.arange(n_angles, device=self.x.device)
        wave = waves(grid, n_m)[..., 0].T  # (2 (M + 1), n_angles)
        cos, sin = wave[1:n_m], wave[n_m + 1 :]
        return 2 * (linear.real.T @ cos - linear.imag.T @ sin), cos, sin
