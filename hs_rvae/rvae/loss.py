# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named terms of the training loss, in nats per site."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .convolutional.network import SpatialNetwork, SpatialPosterior
    from .harmonic.content import ContentNetwork


@dataclass
class LossTerms:
    """Terms of the negative evidence lower bound of a batch.

    Attributes
    ----------
    reconstruction : torch.Tensor
        Half the squared error over the noise variance held in training. The error is that of the
        encoder's input, or that of all pixels (convolutional model, variance 1).
    kl : torch.Tensor
        Kullback-Leibler divergence of the latents from their priors.
    others : torch.Tensor or float
        The same as `reconstruction` for all harmonics, scaled to the same weight. It trains
        only the decoder and does not belong to the bound. Harmonic model only.
    """

    reconstruction: Tensor
    kl: Tensor
    others: Tensor | float = 0.0

    @property
    def total(self) -> Tensor:
        """Loss to be minimised."""
        return self.reconstruction + self.kl + self.others


def content_loss(
    network: ContentNetwork, inputs: Tensor, whole: Tensor, noise: Tensor, noise_variance: float
) -> LossTerms:
    """Loss of the content network on one batch.

    Parameters
    ----------
    network : ContentNetwork
    inputs, whole : torch.Tensor, shapes (n, n_inputs), (n, n_whole)
        Input of the encoder, and all harmonics in the common frame.
    noise : torch.Tensor, shape (n, n_latents)
        Unit normal numbers for the reparametrisation.
    noise_variance : float
        Noise variance of the standardised input.

    Returns
    -------
    LossTerms
        Means over the batch.
    """
    mean, log_variance = network.encode(inputs)
    latent = mean + torch.exp(0.5 * log_variance) * noise
    inputs_hat, whole_hat = network.decode_standard(latent)
    inputs = (inputs - network.input_mean) / network.input_scale
    whole = (whole - network.whole_mean) / network.whole_scale
    return LossTerms(
        reconstruction=((inputs - inputs_hat) ** 2).sum(1).mean() / (2 * noise_variance),
        kl=0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean(),
        others=((whole - whole_hat) ** 2).mean() * inputs.shape[1] / (2 * noise_variance),
    )


def spatial_loss(
    network: SpatialNetwork,
    images: Tensor,
    coordinates: Tensor,
    noise: Tensor,
    rotation_prior: float,
    shift_scale: float,
    shift_is_free: bool = True,
) -> LossTerms:
    """Loss of the convolutional model on one batch.

    The divergence of the angle has no term for its mean: all angles are equally likely, and the
    prior sets the width of their posteriors.

    Parameters
    ----------
    network : SpatialNetwork
    images : torch.Tensor, shape (n, w, w)
    coordinates : torch.Tensor, shape (n or 1, w * w, 2)
        Coordinates of the pixels about the columns.
    noise : torch.Tensor, shape (n, n_all)
        Unit normal numbers for the reparametrisation.
    rotation_prior : float
        Standard deviation of the angle prior, in radians.
    shift_scale : float
        Standard deviation of the shift prior, in half windows.
    shift_is_free : bool
        If False, the shift is held at 0 and left out of the divergence.

    Returns
    -------
    LossTerms
        Means over the batch.
    """
    posterior = network.encode(images)
    angle, shift, content = posterior.sample(noise)
    moved = shift * shift_scale if network.translation and shift_is_free else None
    error = network.decode(coordinates, angle, moved, content) - images.flatten(1)
    return LossTerms(
        reconstruction=0.5 * (error**2).sum(1).mean(),
        kl=spatial_divergence(posterior, rotation_prior, shift_is_free).mean(),
    )


def spatial_divergence(
    posterior: SpatialPosterior, rotation_prior: float, shift_is_free: bool = True
) -> Tensor:
    """Divergence of a :class:`SpatialPosterior` from its priors, (n,)."""
    divergence = _from_unit_normal(posterior.content, posterior.content_log_std)
    if posterior.has_angle:
        log_ratio = posterior.angle_log_std - math.log(rotation_prior)
        divergence = divergence - log_ratio + 0.5 * torch.exp(2 * log_ratio) - 0.5
    if shift_is_free:
        divergence = divergence + _from_unit_normal(posterior.shift, posterior.shift_log_std)
    return divergence


def _from_unit_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    return (0.5 * (mean**2 + torch.exp(2 * log_std) - 1) - log_std).sum(1)
