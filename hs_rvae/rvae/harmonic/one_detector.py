# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of a model of several detectors that decodes the sub-images of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from ...exceptions import ModelMismatch
from ..geometry import HarmonicGrid

if TYPE_CHECKING:
    from .model import HarmonicModel


@dataclass
class OneDetector:
    """Decoder of the sub-images of one detector; encoding takes those of all.

    Attributes
    ----------
    joint : HarmonicModel
        Model of several detectors.
    detector : int
    """

    joint: HarmonicModel
    detector: int

    #: As in a harmonic model.
    whole_windows = False

    @property
    def grid(self) -> HarmonicGrid:
        """Grid of the sub-images of the detector."""
        return self.joint.grid.single

    @property
    def level(self) -> float:
        """Intensity of the detector that becomes 0."""
        return float(self.joint.level[self.detector])

    @property
    def scale(self) -> float:
        """Contrast of the detector that becomes 1."""
        return float(self.joint.scale[self.detector])

    def decode(
        self,
        latent: np.ndarray,
        angle: np.ndarray | None,
        device: torch.device,
        shift: np.ndarray | None = None,
        window_size: int | None = None,
        step: float = 1.0,
        order: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Sub-images (n, w, w) of the detector, as :meth:`HarmonicModel.decode` describes them."""
        images = self.joint.decode(latent, angle, device, shift, window_size, step, order)
        return images[:, self.detector]

    def encode(self, *args: Any) -> NoReturn:
        """Refuse: the sub-images of all detectors are encoded together."""
        raise ModelMismatch(_TOGETHER)

    angle_distribution = encode

    def state(self) -> NoReturn:
        """Refuse: the model is saved as a whole."""
        raise ModelMismatch("This is the part of one detector: save the model of all of them.")


_TOGETHER = (
    "The model was fitted to several detectors together: sites are encoded from the sub-images of "
    "all of them, in the stack of all detectors."
)
