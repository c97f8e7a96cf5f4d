# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites of the harmonic model that are read again about where their contents turn out to stand."""

import logging

import numpy as np
import torch

from .. import pose
from ..batches import map_blocks
from ..device import here
from .shifts import (
    N_CENTRING,
    N_ROUNDS,
    MiddleColumn,
    ShiftModel,
    common_part,
    is_off,
)

_logger = logging.getLogger(__name__)


class MovedSites:
    """Sites of a fit that are read again about where their contents turn out to stand."""

    def __init__(self, images, offsets, rows, grid, level, scale, device, progress):
        self.images, self.offsets, self.rows = images, offsets, rows
        self.grid, self.level, self.scale, self.device = grid, level, scale, device
        self.progress = progress
        self.shift, self.model = torch.zeros((len(rows), 2), device=device), None

    def read(self, shift, grid):
        """Harmonics of the sites about `shift`, of a grid or a middle column."""
        known = np.zeros((len(self.images), 2), np.float32)
        if self.offsets is not None:
            known += self.offsets
        known[self.rows] += shift.cpu().numpy()
        small = getattr(grid, "grid", grid)

        level, scale, device = self.level, self.scale, self.device

        def transform(block, offset):  # without self, which holds all images
            where = here(device)
            zero = torch.zeros((len(block), 2), device=where)
            x = moved_harmonics(grid, zero, block, offset, level, scale, where)
            return x.reshape(len(x), -1).cpu().numpy()

        width = small.n_q * small.n_orders
        options = {"width": width, "dtype": np.complex64, "name": "rvae-moved"}
        flat = map_blocks(transform, self.images, known, self.rows, **options)
        self.progress.step("rVAE shifts")
        return torch.as_tensor(flat, device=self.device).reshape(-1, small.n_q, small.n_orders)

    def centre(self, prior, initial=None):
        """Harmonics of the sites, about their middle columns if these stand far off."""
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
        off = is_off(shift)
        _logger.info(
            "rVAE shifts: middle columns stand %.2f px (rms, each axis) off the windows' middles; "
            "windows are %s before angles are looked for.",
            shift.square().mean().sqrt(),
            "centred on them" if off else "taken as they are",
        )
        if off:
            self.shift = shift
        else:
            self.model = ShiftModel(prior)
        return self.read(self.shift, self.grid)

    def release(self, pose_model, harmonics, posterior, n_factors):
        """Shifts, and the pose model of the sites moved back by them.

        Parameters
        ----------
        pose_model : PoseModel
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
            As :meth:`centre` gave them.
        posterior : AnglePosterior
        n_factors : int

        Returns
        -------
        pose_model, harmonics, posterior
            The same of the sites moved back.
        """
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


def moved_harmonics(grid, shift, block, offset, level, scale, device):
    """Harmonics of a block about columns moved by `shift`, of a grid or a middle column."""
    x = torch.as_tensor((block - np.float32(level)) / np.float32(scale), device=device)
    shift = shift if offset is None else shift + torch.as_tensor(offset, device=device)
    if isinstance(grid, MiddleColumn):
        return grid.harmonics(x, shift)
    return grid.moved_harmonics(x, shift)
