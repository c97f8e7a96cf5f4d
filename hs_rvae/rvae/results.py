# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of a model, with named fields."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass
class RVAEResult:
    """Results of a model for n sub-images.

    Attributes
    ----------
    angle, angle_std : numpy.ndarray, shape (n,)
        Rotation in radians, in (-pi, pi], from +x towards +y, and its standard deviation,
        including scatter not captured by the posterior.
    angle_weight : numpy.ndarray, shape (n,)
        Probability of the mode of the posterior that the angle belongs to, 0 to 1.
    shift, shift_std : numpy.ndarray, shape (n, 2), or None
        Displacement (x, y) of the content in px, in the frame of the image, and its standard
        deviation; None for a model without translation.
    latent, latent_std : numpy.ndarray, shape (n, output_dimension)
        Content latents and their standard deviations.
    log_likelihood : numpy.ndarray, shape (n,)
        In nats. Harmonic: log evidence of the sub-image's harmonics, angle (and shift, about its
        best value) integrated out. Convolutional: lower bound at the posterior means, for the unit
        variance of the noise that the network is trained with.
    order_amplitude : numpy.ndarray, shape (n,)
        Strength of the symmetry-breaking part of the motif along the angle: about 1 for a
        distorted site, 0 for an undistorted one, whose angle has no meaning.
    order_amplitude_std : numpy.ndarray, shape (n,)
        Standard error of the order amplitude.
    angle_pixels : numpy.ndarray, shape (n,), or None
        Angle read without measured positions, for comparisons with them; None where `angle` uses
        none.
    orders : dict of str to numpy.ndarray, shape (n,)
        Axis of the strain, tilt and their groups, by the name of the column, where they are found.
    order_scores : dict of str to tuple of numpy.ndarray, shape (n, k) and (k,)
        By the same name: log joint density of each of the k groups, and their shares.
    """

    angle: np.ndarray
    angle_std: np.ndarray
    angle_weight: np.ndarray
    shift: np.ndarray | None
    shift_std: np.ndarray | None
    latent: np.ndarray
    latent_std: np.ndarray
    log_likelihood: np.ndarray
    order_amplitude: np.ndarray
    order_amplitude_std: np.ndarray
    angle_pixels: np.ndarray | None = None
    orders: dict[str, np.ndarray] = field(default_factory=dict)
    order_scores: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


@dataclass
class AngleDistribution:
    """Posterior of the angles of n sub-images.

    Attributes
    ----------
    angles : numpy.ndarray, shape (n_angles,)
        Middles of the bins, in radians, ascending in (-pi, pi).
    probability : numpy.ndarray of float32, shape (n, n_angles)
        Probabilities of the bins; their sum is 1.
    modes, weights, widths : numpy.ndarray of float32, shape (n, n_modes)
        Angles (rad), probabilities and standard deviations (rad) of the local modes, most
        probable first; a weight of 0 means that there is no such mode.
    """

    angles: np.ndarray
    probability: np.ndarray
    modes: np.ndarray
    weights: np.ndarray
    widths: np.ndarray


def angle_bins(modes: Tensor, weights: Tensor, widths: Tensor, n_angles: int) -> Tensor:
    """Probabilities of n_angles bins from -pi to pi under a mixture of wrapped normal modes.

    Parameters
    ----------
    modes, weights, widths : torch.Tensor, shape (n, n_modes)
    n_angles : int

    Returns
    -------
    torch.Tensor, shape (n, n_angles)
    """
    edges = torch.linspace(-torch.pi, torch.pi, n_angles + 1, device=modes.device)
    probability: Tensor | int = 0
    for k in range(modes.shape[1]):  # one mode at a time, to spare memory
        mode, width, weight = (t[:, k, None] for t in (modes, widths, weights))
        below: Tensor = sum(
            torch.special.ndtr((edges + turn - mode) / width)
            for turn in (-2 * torch.pi, 0.0, 2 * torch.pi)
        )
        probability = probability + weight * below.diff(dim=1)
    assert isinstance(probability, Tensor)
    return probability / probability.sum(1, keepdim=True)


def middles(n_angles: int) -> np.ndarray:
    """Middles of the bins of :func:`angle_bins`, (n_angles,)."""
    edges = torch.linspace(-torch.pi, torch.pi, n_angles + 1)
    return ((edges[1:] + edges[:-1]) / 2).numpy()
