# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named terms of the training loss, in nats per site."""

from dataclasses import dataclass

import torch


@dataclass
class LossTerms:
    """Terms of the negative evidence lower bound of a batch.

    Attributes
    ----------
    reconstruction : torch.Tensor
        Half the squared error of the order-0 harmonics over the noise variance held in training.
    kl : torch.Tensor
        Kullback-Leibler divergence of the latents from the unit normal.
    others : torch.Tensor
        The same as `reconstruction` for the other orders, in units in which it weighs alike; it
        trains the decoder alone and is no part of the bound.
    """

    reconstruction: torch.Tensor
    kl: torch.Tensor
    others: torch.Tensor

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
