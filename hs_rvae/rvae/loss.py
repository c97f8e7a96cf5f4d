# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named terms of the training loss, in nats per site."""

import math
from dataclasses import dataclass

import torch


@dataclass
class LossTerms:
    """Terms of the negative evidence lower bound of a batch.

    Attributes
    ----------
    reconstruction : torch.Tensor
        Half the squared error over the noise variance held in training: of the order-0 harmonics,
        or of all pixels (convolutional model, variance 1).
    kl : torch.Tensor
        Kullback-Leibler divergence of the latents from their priors.
    others : torch.Tensor or float
        The same as `reconstruction` for the other orders, in units in which it weighs alike; it
        trains the decoder alone and is no part of the bound. Harmonic model only.
    """

    reconstruction: torch.Tensor
    kl: torch.Tensor
    others: torch.Tensor | float = 0.0

    @property
    def total(self):
        """What is minimised."""
        return self.reconstruction + self.kl + self.others


def content_loss(network, radial, others, noise, noise_variance):
    """Loss of the content network on one batch.

    Parameters
    ----------
    network : ContentNetwork
    radial, others : torch.Tensor, shapes (n, n_radial), (n, n_other)
        Order-0 and other harmonics in the pose frame.
    noise : torch.Tensor, shape (n, n_latents)
        Unit normal numbers for the reparametrisation.
    noise_variance : float
        Of the standardised order-0 harmonics.

    Returns
    -------
    LossTerms
        Means over the batch.
    """
    mean, log_variance = network.encode(radial)
    latent = mean + torch.exp(0.5 * log_variance) * noise
    radial_hat, others_hat = network.decode_standard(latent)
    radial = (radial - network.radial_mean) / network.radial_scale
    others = (others - network.other_mean) / network.other_scale
    return LossTerms(
        reconstruction=((radial - radial_hat) ** 2).sum(1).mean() / (2 * noise_variance),
        kl=0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean(),
        others=((others - others_hat) ** 2).mean() * radial.shape[1] / (2 * noise_variance),
    )


def spatial_loss(
    network, images, coordinates, noise, rotation_prior, shift_scale, shift_is_free=True
):
    """Loss of the convolutional model on one batch.

    The divergence of the angle has no term for its mean: all angles are as likely, and the prior
    says how wide their posteriors are.

    Parameters
    ----------
    network : SpatialNetwork
    images : torch.Tensor, shape (n, w, w)
    coordinates : torch.Tensor, shape (n or 1, w * w, 2)
        Of the pixels about the columns.
    noise : torch.Tensor, shape (n, n_all)
        Unit normal numbers for the reparametrisation.
    rotation_prior : float
        Width of the angle's prior in radians.
    shift_scale : float
        Width of the shift's prior in half windows.
    shift_is_free : bool
        False holds the shift at 0 and leaves it out of the divergence.

    Returns
    -------
    LossTerms
        Means over the batch.
    """
    posterior = network.encode(images)
    angle, shift, content = posterior.sample(noise)
    shift = shift * shift_scale if network.translation and shift_is_free else None
    error = network.decode(coordinates, angle, shift, content) - images.flatten(1)
    return LossTerms(
        reconstruction=0.5 * (error**2).sum(1).mean(),
        kl=spatial_divergence(posterior, rotation_prior, shift_is_free).mean(),
    )


def spatial_divergence(posterior, rotation_prior, shift_is_free=True):
    """Divergence of a :class:`SpatialPosterior` from its priors, (n,)."""
    divergence = _from_unit_normal(posterior.content, posterior.content_log_std)
    if posterior.has_angle:
        log_ratio = posterior.angle_log_std - math.log(rotation_prior)
        divergence = divergence - log_ratio + 0.5 * torch.exp(2 * log_ratio) - 0.5
    if shift_is_free:
        divergence = divergence + _from_unit_normal(posterior.shift, posterior.shift_log_std)
    return divergence


def _from_unit_normal(mean, log_std):
    return (0.5 * (mean**2 + torch.exp(2 * log_std) - 1) - log_std).sum(1)
