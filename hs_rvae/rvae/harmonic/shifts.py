# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shifts of the harmonic model: the distance of the content from the middle of its window.

Moving the content by ``t`` is a phase, ``F(q, phi) exp(-2 pi i q u.t)``, and the disk moves along.
On windows that are centred on their columns, a displacement of the other sublattice resembles a
shift. The angles are therefore found without shifts first. Then, in the frame of the motif, a site
is::

    align(X, theta) = mu + D s + deviation,    s ~ N(0, prior^2),    D = d mu / d position

with the deviations of :mod:`hs_rvae.rvae.pose`. Sites are moved back by the posterior mean of the
shift and read again, a few times, because the motif is not linear in it. Windows that are too far
off for the angle search are first centred on their middle column, whatever its surroundings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .. import pose
from ..batches import Images, map_blocks
from ..coefficients import normalised
from ..device import available_device
from ..geometry import HarmonicGrid, align
from ..pose import AnglePosterior, PoseModel, inner_products, weigh

if TYPE_CHECKING:
    from ...progress import Progress
    from .model import HarmonicModel

_logger = logging.getLogger(__name__)

N_CENTRING, N_ROUNDS = 4, 2  # rounds before the angle search, and after it
_MARGIN = 4  # px about the middle of a window from which its middle column may be cut
_TOLERATED = 0.3  # px, each axis: below, angles are found as well without centring first
_MIN_GAIN = 0.2
_MAX_STEP = 1.0  # px


@dataclass
class MiddleColumn:
    """Typical column in the middle of a window, taken as round: centres windows without angles.

    Attributes
    ----------
    grid : HarmonicGrid
        Grid of a window half as wide.
    profile : torch.Tensor of float32, shape (n_q,)
        Order 0 of the typical column.
    """

    grid: HarmonicGrid
    profile: Tensor

    @classmethod
    def of(cls, grid: HarmonicGrid, profile: Tensor | None = None) -> MiddleColumn:
        """Create it for the grid of a model; the profile is 0 until it is measured."""
        size = 2 * round(grid.window_size / 4) + grid.window_size % 2
        small = HarmonicGrid(size, grid.q_max, 8, 6)
        return cls(small, torch.zeros(small.n_q) if profile is None else profile)

    def to(self, device: torch.device) -> MiddleColumn:
        """Copy to another device."""
        return MiddleColumn(self.grid, self.profile.to(device))

    def harmonics(self, images: Tensor, offset: Tensor) -> Tensor:
        """Polar harmonics of the middles of windows (n, w, w), about columns at the offsets."""
        spare = (images.shape[1] - self.grid.window_size) // 2 - _MARGIN
        if spare > 0:
            images = images[:, spare:-spare, spare:-spare]
        return self.grid.shifted_harmonics(images, offset)

    def step(self, harmonics: Tensor) -> Tensor:
        """Distances of the columns from their places, to first order, (n, 2) in px."""
        profile = self.profile.to(harmonics.device)
        gain = harmonics[:, :, 0].real @ profile / (profile @ profile).clamp(min=1e-30)
        typical = torch.zeros((1, *harmonics.shape[1:]), dtype=harmonics.dtype)
        typical = typical.to(harmonics.device)
        typical[0, :, 0] = profile
        gradient = self.grid.gradient(typical)[0]
        residual = harmonics - gain[:, None, None] * typical
        power = (gradient.abs() ** 2).sum((1, 2)).clamp(min=1e-30)
        along = torch.einsum("aqm,nqm->na", gradient.conj(), residual).real
        step = along / (gain.clamp(min=_MIN_GAIN)[:, None] * power)
        return step.clamp(-_MAX_STEP, _MAX_STEP)


def _needs_centring(shift: Tensor) -> bool:
    """True if the sites are too far off for a search of their angles."""
    spread = shift.abs().median(0).values / 0.6745
    return bool(spread.square().mean().sqrt() > _TOLERATED)


def common_part(shift: Tensor, angle: Tensor) -> Tensor:
    """Part of the shifts that turns with the motif: the place of the motif, not of the sites.

    Shifts have a mean of 0 in the frame of the motif, whatever their mean in that of the image. If
    all angles are alike, the two cannot be separated and each takes half.

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
        Centres windows before the angle search; None if they need no centring.
    scatter : float
        Standard deviation in px in addition to that of the posterior.
    """

    prior: float
    middle: MiddleColumn | None = None
    scatter: float = 0.0

    def start(
        self, read: Callable[[Tensor, MiddleColumn], Tensor], n: int, device: torch.device
    ) -> Tensor:
        """First shifts (n, 2): those of the middle columns, or 0.

        Parameters
        ----------
        read : callable
            ``read(shift, middle)`` returns the harmonics of the middle columns of n sites.
        n : int
        device : torch.device
        """
        shift = torch.zeros((n, 2), device=device)
        if self.middle is not None:
            for _ in range(N_CENTRING):
                shift = self.limit(shift + self.middle.step(read(shift, self.middle)))
        return shift

    def update(
        self, harmonics: Tensor, angle: Tensor, shift: Tensor, pose: PoseModel, grid: HarmonicGrid
    ) -> tuple[Tensor, Tensor]:
        """Improve the shifts of sites that were moved back by their current ones.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
            Harmonics about `shift`.
        angle : torch.Tensor, shape (n,)
        shift : torch.Tensor, shape (n, 2)
            Current shift in px, in the frame of the image.
        pose : PoseModel
        grid : HarmonicGrid

        Returns
        -------
        shift : torch.Tensor, shape (n, 2)
        covariance : torch.Tensor, shape (n, 2, 2)
            Covariance of the posterior, in px^2.
        """
        current, measured, precision, rotation = self._measure(harmonics, angle, shift, pose, grid)
        covariance = torch.linalg.inv(precision + torch.eye(2, device=angle.device) / self.prior**2)
        step = (measured - current / self.prior**2) @ covariance
        step = step.clamp(-_MAX_STEP, _MAX_STEP)
        moved = shift + (rotation.transpose(1, 2) @ step[:, :, None])[..., 0]
        return self.limit(moved), rotation.transpose(1, 2) @ covariance @ rotation

    def measure_scatter(
        self, harmonics: Tensor, angle: Tensor, shift: Tensor, pose: PoseModel, grid: HarmonicGrid
    ) -> None:
        """Set the scatter that the posterior does not contain; parameters as of :meth:`update`.

        The middle column and the motif as a whole give two estimates of the place of a site. They
        differ by more than noise: strain, disorder, displacements that vary. The spread of their
        difference is taken for that of the shift.
        """
        rigid = PoseModel(pose.mean, pose.noise, pose.factors[:0], pose.rotation)
        _, measured, precision, _ = self._measure(harmonics, angle, shift, rigid, grid)
        self.scatter = float(torch.linalg.solve(precision, measured.T).abs().median() / 0.6745)

    @staticmethod
    def _measure(
        harmonics: Tensor, angle: Tensor, shift: Tensor, pose: PoseModel, grid: HarmonicGrid
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Measure the shifts in the frame of the motif.

        Returns
        -------
        current : torch.Tensor, shape (n, 2)
            Shift before the measurement.
        measured : torch.Tensor, shape (n, 2)
            Precision times the further shift that the harmonics ask for.
        precision : torch.Tensor, shape (2, 2)
            Inverse covariance of the measurement, in 1/px^2.
        rotation : torch.Tensor, shape (n, 2, 2)
            Matrices from the frame of the image to that of the motif.
        """
        weights, precision = _functionals(pose, grid)
        mean = torch.einsum("aqm,qm->a", weights.conj(), pose.mean.contiguous()).real
        measured = torch.einsum("aqm,nqm->na", weights.conj(), align(harmonics, angle)).real - mean
        cos, sin = torch.cos(angle), torch.sin(angle)
        rotation = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)
        current = (rotation @ shift[:, :, None])[..., 0]
        return current, measured, precision, rotation

    def log_evidence(self, shift: Tensor, covariance: Tensor) -> Tensor:
        """Contribution of the shift to the log evidence of a site, by Laplace's method, (n,)."""
        log_prior = -0.5 * (shift**2).sum(1) / self.prior**2 - 2 * np.log(self.prior)
        return log_prior + 0.5 * torch.logdet(covariance)

    def limit(self, shift: Tensor) -> Tensor:
        """Clip shifts to the distance that a column can be followed and that the prior allows."""
        return shift.clamp(-4 * self.prior, 4 * self.prior).clamp(-_MARGIN, _MARGIN)


def _functionals(pose: PoseModel, grid: HarmonicGrid) -> tuple[Tensor, Tensor]:
    """Weights (2, n_q, M + 1) of the moves along x and y, and the precision (2, 2) they reach."""
    gradient = grid.gradient(pose.mean[None].contiguous())[0].to(torch.complex128)
    factors = pose.factors.to(torch.complex128).contiguous()
    weighted = weigh(pose._precision, gradient)
    if len(factors):
        weighted_factors = weigh(pose._precision, factors)
        inner = torch.eye(len(factors), dtype=torch.float64, device=factors.device)
        inner = inner + inner_products(factors, weighted_factors)
        share = torch.linalg.solve(inner, inner_products(factors, weighted)).to(torch.complex128)
        weighted = weighted - torch.einsum("ja,jqm->aqm", share, weighted_factors)
    precision = inner_products(gradient, weighted)
    return weighted.to(torch.complex64), (0.5 * (precision + precision.T)).float()


class RecentredSites:
    """Sites of a fit, read again about the places where their contents are found to be.

    Parameters
    ----------
    images : numpy.ndarray or dask.array.Array, shape (n_all, w, w)
    offsets : numpy.ndarray of float32, shape (n_all, 2), or None
    rows : numpy.ndarray of int, shape (n,)
        Sub-images of the fit.
    grid : HarmonicGrid
    level, scale : float
        Intensity of the images that becomes 0, and the contrast that becomes 1.
    device : torch.device
    progress : Progress
    """

    def __init__(
        self,
        images: Images,
        offsets: np.ndarray | None,
        rows: np.ndarray,
        grid: HarmonicGrid,
        level: float,
        scale: float,
        device: torch.device,
        progress: Progress,
    ) -> None:
        self.images, self.offsets, self.rows = images, offsets, rows
        self.grid, self.level, self.scale, self.device = grid, level, scale, device
        self.progress = progress
        self.shift = torch.zeros((len(rows), 2), device=device)
        self.model: ShiftModel | None = None

    def read(self, shift: Tensor, grid: HarmonicGrid | MiddleColumn) -> Tensor:
        """Harmonics of the sites about `shift`, for a grid or a middle column."""
        places = np.zeros((len(self.images), 2), np.float32)
        if self.offsets is not None:
            places += self.offsets
        places[self.rows] += shift.cpu().numpy()
        small = grid.grid if isinstance(grid, MiddleColumn) else grid

        level, scale, preferred = self.level, self.scale, self.device

        # Without self, which holds all images.
        def transform(block: np.ndarray, offset: np.ndarray) -> np.ndarray:
            device = available_device(preferred)
            zero = torch.zeros((len(block), 2), device=device)
            x = recentred_harmonics(grid, zero, block, offset, level, scale, device)
            return x.reshape(len(x), -1).cpu().numpy()

        flat = map_blocks(
            transform,
            self.images,
            places,
            self.rows,
            width=small.n_q * small.n_orders,
            dtype=np.complex64,
            name="rvae-moved",
        )
        self.progress.step("rVAE shifts")
        return torch.as_tensor(flat, device=self.device).reshape(-1, small.n_q, small.n_orders)

    def centre(self, prior: float, initial: HarmonicModel | None = None) -> Tensor:
        """Harmonics of the sites, about their middle columns if these are far off.

        Parameters
        ----------
        prior : float
            Standard deviation of each component of the shift, in px.
        initial : HarmonicModel, optional
            Model to start from; its middle column is used again.

        Returns
        -------
        torch.Tensor of complex64, shape (n, n_q, M + 1)
        """
        if initial is not None and initial.shifts is not None:
            self.model = ShiftModel(prior, initial.shifts.middle)
            self.shift = self.model.start(self.read, len(self.rows), self.device)
            return self.read(self.shift, self.grid)
        middle, shift = MiddleColumn.of(self.grid).to(self.device), self.shift
        self.model = ShiftModel(prior, middle)
        for _ in range(N_CENTRING):
            harmonics = self.read(shift, middle)
            middle.profile = harmonics[:, :, 0].real.mean(0)
            shift = self.model.limit(shift + middle.step(harmonics))
        centred = _needs_centring(shift)
        _logger.info(
            "rVAE shifts: middle columns are %.2f px (rms, each axis) off the middles of their "
            "windows; windows are %s before the angle search.",
            shift.square().mean().sqrt(),
            "centred on them" if centred else "taken as they are",
        )
        if centred:
            self.shift = shift
        else:
            self.model = ShiftModel(prior)
        return self.read(self.shift, self.grid)

    def refine(
        self, pose_model: PoseModel, harmonics: Tensor, posterior: AnglePosterior, n_factors: int
    ) -> tuple[PoseModel, Tensor, AnglePosterior]:
        """Fit the shifts, and the pose model of the sites moved back by them.

        Parameters
        ----------
        pose_model : PoseModel
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
            Harmonics that :meth:`centre` returned.
        posterior : AnglePosterior
        n_factors : int

        Returns
        -------
        pose_model, harmonics, posterior
            The same for the sites moved back.
        """
        assert self.model is not None, "centre() comes first"
        n_factors = min(n_factors, len(harmonics) // 20)
        for _ in range(N_ROUNDS):
            if self.progress.stopped:
                break
            self.shift, _ = self.model.update(
                harmonics, posterior.angle, self.shift, pose_model, self.grid
            )
            self.shift = self.shift - common_part(self.shift, posterior.angle)
            harmonics = self.read(self.shift, self.grid)
            pose_model = pose.fit_pose(harmonics, pose_model, n_factors=n_factors, n_iterations=3)
            posterior = pose_model.posterior(harmonics)
        self.model.measure_scatter(harmonics, posterior.angle, self.shift, pose_model, self.grid)
        return pose_model, harmonics, posterior


def recentred_harmonics(
    grid: HarmonicGrid | MiddleColumn,
    shift: Tensor,
    block: np.ndarray,
    offset: np.ndarray | None,
    level: float,
    scale: float,
    device: torch.device,
) -> Tensor:
    """Harmonics of a block about columns moved by `shift`, for a grid or a middle column."""
    x = normalised(block, level, scale, device)
    shift = shift if offset is None else shift + torch.as_tensor(offset, device=device)
    if isinstance(grid, MiddleColumn):
        return grid.harmonics(x, shift)
    return grid.shifted_harmonics(x, shift)
