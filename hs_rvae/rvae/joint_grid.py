# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harmonics of the sub-images of several detectors of one scan, one block below the other.

A rotation is the same phase in every block, so that templates, filters and covariances of the
joined harmonics are those of one site with one angle, common to all detectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .geometry import HarmonicGrid


@dataclass(frozen=True)
class JointGrid(HarmonicGrid):
    """Grid whose radial frequencies are those of every detector in turn.

    Attributes
    ----------
    n_q : int
        Radial frequencies of all detectors together.
    detectors : tuple of int
        Number of the detector of each block. The latents are those of the first block.
    """

    detectors: tuple[int, ...] = (0,)

    @classmethod
    def of(cls, single: HarmonicGrid, detectors: tuple[int, ...]) -> JointGrid:
        """Join the grids of one detector each."""
        n_q = single.n_q * len(detectors)
        return cls(single.window_size, single.q_max, n_q, single.max_order, detectors=detectors)

    def __reduce__(self) -> tuple[Any, ...]:
        return JointGrid.of, (self.single, self.detectors)

    @property
    def n_radial(self) -> int:
        """Number of radial frequencies of the sub-images that give the latents."""
        return self.n_q // len(self.detectors)

    @property
    def n_detectors(self) -> int:
        """Number of sub-images of a site."""
        return len(self.detectors)

    @property
    def single(self) -> HarmonicGrid:
        """Grid of the sub-images of one detector."""
        new = HarmonicGrid(self.window_size, self.q_max, self.n_radial, self.max_order)
        return self._cache.setdefault("single", new)

    def block(self, detector: int) -> slice:
        """Rows of the harmonics of a detector."""
        start = self.detectors.index(detector) * self.n_radial
        return slice(start, start + self.n_radial)

    def harmonics(self, images: Tensor, offset: Tensor | None = None) -> Tensor:
        """Polar harmonics of sub-images.

        Parameters
        ----------
        images : torch.Tensor, shape (n, n_detectors, w, w)
        offset : torch.Tensor, shape (n, 2), optional
            As in :meth:`HarmonicGrid.harmonics`.

        Returns
        -------
        torch.Tensor of complex64, shape (n, n_q, M + 1)
        """
        parts = [self.single.harmonics(images[:, k], offset) for k in self.detectors]
        return torch.cat(parts, 1)

    def noise_power(self) -> np.ndarray:
        """Mean power of the harmonics of white noise of unit variance, (n_q, M + 1)."""
        return np.tile(self.single.noise_power(), (len(self.detectors), 1))

    def mean_image(self, harmonics: Tensor) -> Tensor:
        """Sub-images (n_detectors, w, w) in the order of the blocks, without their disks."""
        return torch.stack([self.single.mean_image(h) for h in harmonics.split(self.n_radial)])
