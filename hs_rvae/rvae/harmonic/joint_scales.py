# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scales of sub-images of several detectors: one grid, and the same noise in each."""

from __future__ import annotations

import logging

import numpy as np
import torch

from ..choose_grid import choose_grid, intensity_scale
from ..geometry import HarmonicGrid
from ..joint_grid import JointGrid
from .charges import noise_variance

_logger = logging.getLogger(__name__)

_MINIMUM_NOISE = 0.02  # of the contrast: a detector without noise has no infinite weight


def choose_joint_scales(
    sample: np.ndarray, q_max: float | None, first: int
) -> tuple[JointGrid, np.ndarray, np.ndarray, float]:
    """Choose the grid of all detectors, and the intensities of each that become 0 and 1.

    The frequencies reach as far as those of the detector that needs most. The contrast of each is
    divided by its noise, in parts of their geometric mean, so that no detector dominates the
    principal components by noise.

    Parameters
    ----------
    sample : numpy.ndarray of float32, shape (n, n_detectors, w, w)
        Finite sub-images.
    q_max : float or None
        Highest frequency in cycles/px. If None, it is chosen from the sub-images.
    first : int
        Detector whose sub-images give the latents.

    Returns
    -------
    grid : JointGrid
    level, scale : numpy.ndarray, shape (n_detectors,)
    dropped : float
        Largest share of the variance above the noise that lies beyond the highest frequency.

    Raises
    ------
    ValueError
        If most sub-images of a detector are constant, or there is none.
    """
    numbers = np.array([intensity_scale(images) for images in sample.swapaxes(0, 1)])
    level, scale = (values.reshape(-1, 1, 1) for values in numbers.T)
    usable = (np.abs(sample - level) < 1e4 * scale).all((1, 2, 3))
    images = ((sample[usable] - level) / scale).astype(np.float32).swapaxes(0, 1)
    highest = q_max if q_max is not None else max(choose_grid(x)[0].q_max for x in images)
    chosen = [choose_grid(each, highest) for each in images]
    noise = np.array([_noise(each, grid) for each, (grid, _) in zip(images, chosen, strict=True)])
    noise = np.maximum(noise, _MINIMUM_NOISE)
    weight = noise / np.exp(np.log(noise).mean())
    _logger.info(
        "rVAE: noise of the detectors in parts of their contrast: %s.",
        ", ".join(f"{each:.3g}" for each in noise),
    )
    others = [k for k in range(len(images)) if k != first]
    grid = JointGrid.of(chosen[0][0], (first, *others))
    return grid, numbers[:, 0], numbers[:, 1] * weight, max(dropped for _, dropped in chosen)


def _noise(images: np.ndarray, grid: HarmonicGrid) -> float:
    """Standard deviation of the white noise in sub-images (n, w, w)."""
    harmonics = grid.harmonics(torch.as_tensor(np.ascontiguousarray(images))).numpy()
    scatter = (np.abs(harmonics - harmonics.mean(0)) ** 2).mean(0)
    return float(np.sqrt(noise_variance(scatter, grid.noise_power())))
