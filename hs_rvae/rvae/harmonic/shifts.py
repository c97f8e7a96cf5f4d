# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shifts of the harmonic model: how far the content of a window stands off its middle.

Moving the content by ``t`` is a phase, ``F(q, phi) exp(-2 pi i q u.t)``, and the disk moves along.
On windows that are centred on their columns a displacement of the other sublattice looks much like
a shift, so the angles are found without shifts first. Then, in the frame of the motif, a site is::

    align(X, theta) = mu + D s + deviation,    s ~ N(0, prior^2),    D = d mu / d position

with the deviations of :mod:`hs_rvae.rvae.pose`. Sites are moved back by the posterior mean of the
shift and read again, a few times, because the motif is not linear in it. Windows that are off by
more than angles tolerate are first centred on their middle column, whatever its surroundings.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..geometry import HarmonicGrid, align
from ..pose import PoseModel, inner_products, weigh

N_CENTRING, N_ROUNDS = 4, 2  # rounds before angles are looked for, and after
_MARGIN = 4  # px about the middle of a window from which its middle column may be cut
_LEAST_OFF = 0.3  # px, each axis: below, angles are found as well without centring first
_LEAST_GAIN = 0.2
_LARGEST_STEP = 1.0  # px


@dataclass
class MiddleColumn:
    """The typical column in the middle of a window, round, which centres windows without angles.

    Attributes
    ----------
    grid : HarmonicGrid
        Of a window half as wide.
    profile : torch.Tensor of float32, shape (n_q,)
        Order 0 of the typical column.
    """

    grid: HarmonicGrid
    profile: torch.Tensor

    @classmethod
    def of(cls, grid, profile=None):
        """For windows of the grid of a model; without a profile one that is yet to be measured."""
        size = 2 * round(grid.window_size / 4) + grid.window_size % 2
        small = HarmonicGrid(size, grid.q_max, 8, 6)
        return cls(small, torch.zeros(small.n_q) if profile is None else profile)

    def to(self, device):
        """The same on another device."""
        return MiddleColumn(self.grid, self.profile.to(device))

    def harmonics(self, images, offset):
        """Polar harmonics of the middles of windows (n, w, w), about columns at the offsets."""
        spare = (images.shape[1] - self.grid.window_size) // 2 - _MARGIN
        if spare > 0:
            images = images[:, spare:-spare, spare:-spare]
        return self.grid.moved_harmonics(images, offset)

    def step(self, harmonics):
        """How far the columns stand off, to first order, (n, 2) in px."""
        profile = self.profile.to(harmonics.device)
        gain = harmonics[:, :, 0].real @ profile / (profile @ profile).clamp(min=1e-30)
        typical = torch.zeros((1, *harmonics.shape[1:]), dtype=harmonics.dtype)
        typical = typical.to(harmonics.device)
        typical[0, :, 0] = profile
        moves = self.grid.gradient(typical)[0]
        left = harmonics - gain[:, None, None] * typical
        power = (moves.abs() ** 2).sum((1, 2)).clamp(min=1e-30)
        along = torch.einsum("aqm,nqm->na", moves.conj(), left).real
        step = along / (gain.clamp(min=_LEAST_GAIN)[:, None] * power)
        return step.clamp(-_LARGEST_STEP, _LARGEST_STEP)


def is_off(shift):
    """Whether sites stand so far off that they need centring before angles are looked for."""
    spread = shift.abs().median(0).values / 0.6745
    return bool(spread.square().mean().sqrt() > _LEAST_OFF)


def common_part(shift, angle):
    """The part of shifts that turns with the motif: where the motif itself stands, not the sites.

    Shifts have a mean of 0 in the frame of the motif, whatever the mean in that of the image. Where
    all angles are alike the two cannot be told, and share.

    Parameters
    ----------
    shift : torch.Tensor, shape (n, 2)
    angle : torch.Tensor, shape (n,)

    Returns
    -------
    torch.Tensor, shape (n, 2)
    """
    cos, sin = torch.cos(angle), torch.sin(angle)
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    x, y = torch.stack([one, zero, cos, -sin], 1), torch.stack([zero, one, sin, cos], 1)
    both = torch.stack([x, y], 1)  # (n, 2, 4)
    design, target = both.reshape(-1, 4).double(), shift.reshape(-1).double()
    inverse = torch.linalg.pinv(design.T @ design, rtol=1e-3, hermitian=True)
    solution = inverse @ (design.T @ target)
    return both[:, :, 2:] @ solution[2:].to(shift.dtype)


@dataclass
class ShiftModel:
    """Posterior of the shift under a pose model.

    Attributes
    ----------
    prior : float
        Standard deviation of each component, in px.
    middle : MiddleColumn or None
        Centres windows before their angles are looked for; None if they need no centring.
    scatter : float
        Standard deviation in px beyond the posterior's.
    """

    prior: float
    middle: MiddleColumn | None = None
    scatter: float = 0.0

    def start(self, read, n, device):
        """First shifts (n, 2): of the middle columns, or 0.

        Parameters
        ----------
        read : callable
            ``read(shift, middle)`` gives harmonics of the middle columns of n sites.
        n : int
        device : torch.device
        """
        shift = torch.zeros((n, 2), device=device)
        if self.middle is not None:
            for _ in range(N_CENTRING):
                shift = self.limit(shift + self.middle.step(read(shift, self.middle)))
        return shift

    def update(self, harmonics, angle, shift, pose, grid):
        """Better shifts from sites that were moved back by the present ones.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
            About ``shift``.
        angle : torch.Tensor, shape (n,)
        shift : torch.Tensor, shape (n, 2)
            In px, in the frame of the image.
        pose : PoseModel
        grid : HarmonicGrid

        Returns
        -------
        shift : torch.Tensor, shape (n, 2)
        covariance : torch.Tensor, shape (n, 2, 2)
            Of the posterior, in px^2.
        """
        present, seen, precision, back = self._seen(harmonics, angle, shift, pose, grid)
        covariance = torch.linalg.inv(precision + torch.eye(2, device=angle.device) / self.prior**2)
        step = (seen - present / self.prior**2) @ covariance
        step = step.clamp(-_LARGEST_STEP, _LARGEST_STEP)
        moved = shift + (back.transpose(1, 2) @ step[:, :, None])[..., 0]
        return self.limit(moved), back.transpose(1, 2) @ covariance @ back

    def measure_scatter(self, harmonics, angle, shift, pose, grid):
        """Set the scatter that the posterior does not know; parameters as of :meth:`update`.

        Where the middle column stands and where the whole motif stands are two opinions, which
        differ by more than noise: strain, disorder, displacements that vary. The spread of their
        difference is taken for that of the shift.
        """
        rigid = PoseModel(pose.mean, pose.noise, pose.factors[:0], pose.rotation)
        _, seen, precision, _ = self._seen(harmonics, angle, shift, rigid, grid)
        self.scatter = float(torch.linalg.solve(precision, seen.T).abs().median() / 0.6745)

    @staticmethod
    def _seen(harmonics, angle, shift, pose, grid):
        """Shifts in the frame of the motif, what harmonics say of them, how precisely, the turn."""
        weights, precision = _functionals(pose, grid)
        mean = torch.einsum("aqm,qm->a", weights.conj(), pose.mean.contiguous()).real
        seen = torch.einsum("aqm,nqm->na", weights.conj(), align(harmonics, angle)).real - mean
        cos, sin = torch.cos(angle), torch.sin(angle)
        back = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)
        present = (back @ shift[:, :, None])[..., 0]  # in the frame of the motif
        return present, seen, precision, back

    def log_evidence(self, shift, covariance):
        """What the shift adds to the log evidence of a site, by Laplace's method, (n,)."""
        log_prior = -0.5 * (shift**2).sum(1) / self.prior**2 - 2 * np.log(self.prior)
        return log_prior + 0.5 * torch.logdet(covariance)

    def limit(self, shift):
        """No farther than a column can be followed, and than the prior allows."""
        return shift.clamp(-4 * self.prior, 4 * self.prior).clamp(-_MARGIN, _MARGIN)


def _functionals(pose, grid):
    """Weights (2, n_q, M + 1) of both moves, and the precision (2, 2) of what they measure."""
    moves = grid.gradient(pose.mean[None].contiguous())[0].to(torch.complex128)
    factors = pose.factors.to(torch.complex128).contiguous()
    weighted = weigh(pose._precision, moves)
    if len(factors):
        weighted_factors = weigh(pose._precision, factors)
        inner = torch.eye(len(factors), dtype=torch.float64, device=factors.device)
        inner = inner + inner_products(factors, weighted_factors)
        share = torch.linalg.solve(inner, inner_products(factors, weighted)).to(torch.complex128)
        weighted = weighted - torch.einsum("ja,jqm->aqm", share, weighted_factors)
    precision = inner_products(moves, weighted)
    return weighted.to(torch.complex64), (0.5 * (precision + precision.T)).float()
