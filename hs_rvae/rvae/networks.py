# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content encoder and decoder of the harmonic rVAE.

The encoder sees the order-0 harmonics alone, which no rotation changes, so the latents cannot carry
the angle. The decoder answers with whole sub-images: order 0, for which it is trained together with
the encoder, and the mean of all other orders in the pose frame given the latents.
"""

import torch
from torch import nn
from torch.nn.utils import skip_init

_MAX_LOG_VARIANCE = 10.0


class OrderedLatents(nn.Module):
    """A network whose latents are published in another order and sign than it has them."""

    def register_order(self, n_latents):
        """Buffers that go with the weights: as they are, to begin with."""
        self.register_buffer("order", torch.arange(n_latents))
        self.register_buffer("sign", torch.ones(n_latents))

    def to_user(self, mean, std):
        """Latents in the published order and sign."""
        return mean[:, self.order] * self.sign, std[:, self.order]

    def from_user(self, latent):
        """The inverse of :meth:`to_user`, for means."""
        internal = torch.empty_like(latent)
        internal[:, self.order] = latent * self.sign
        return internal


class ContentNetwork(OrderedLatents):
    """Variational autoencoder of the rotation-invariant content.

    Parameters
    ----------
    n_radial : int
        Radial frequencies: length of the order-0 block.
    n_other : int
        Real numbers in the other orders of the pose frame.
    n_latents, width : int
        Content latents; width of the two hidden layers of each network.
    generator : torch.Generator
        Of the initial weights.
    """

    def __init__(self, n_radial, n_other, n_latents, width=64, generator=None):
        super().__init__()
        self.n_latents = n_latents
        self.encode_linear = linear(n_radial, n_latents, generator)
        self.encode_mlp = _mlp(n_radial, width, 2 * n_latents, generator)
        self.decode_linear = linear(n_latents, n_radial, generator)
        self.decode_mlp = _mlp(n_latents, width, n_radial, generator)
        self.others_linear = linear(n_latents, n_other, generator)
        self.others_mlp = _mlp(n_latents, width, n_other, generator)
        # Standardisation of the two blocks.
        self.register_buffer("radial_mean", torch.zeros(n_radial))
        self.register_buffer("radial_scale", torch.ones(()))
        self.register_buffer("other_mean", torch.zeros(n_other))
        self.register_buffer("other_scale", torch.ones(()))
        self.register_order(n_latents)

    def start_from_components(self, radial, others, noise_variance):
        """Start as the principal components of the training set; training improves them.

        Parameters
        ----------
        radial : torch.Tensor, shape (n, n_radial)
        others : torch.Tensor, shape (n, n_other)
        noise_variance : float
            Of the standardised order-0 block.
        """
        self.radial_mean.copy_(radial.mean(0))
        self.radial_scale.copy_((radial - self.radial_mean).std().clamp(min=1e-12))
        self.other_mean.copy_(others.mean(0))
        self.other_scale.copy_((others - self.other_mean).std().clamp(min=1e-12))
        x = (radial - self.radial_mean) / self.radial_scale
        value, vector = torch.linalg.eigh((x.T @ x / len(x)).double())
        value, vector = value.flip(0)[: self.n_latents], vector.flip(1)[:, : self.n_latents]
        # A latent beyond the rank of the data starts small rather than absent.
        signal = (value - noise_variance).clamp(min=0.01 * float(value[0]) + 1e-12)
        gain = vector * signal.sqrt()
        inner = (
            torch.eye(len(value), dtype=gain.dtype, device=gain.device)
            + gain.T @ gain / noise_variance
        )
        solve = torch.linalg.solve(inner, gain.T / noise_variance)
        with torch.no_grad():
            self.decode_linear.weight.copy_(gain)
            self.decode_linear.bias.zero_()
            self.encode_linear.weight.copy_(solve)
            self.encode_linear.bias.zero_()
            for network in (self.encode_mlp, self.decode_mlp, self.others_mlp):
                network[-1].weight.zero_()
                network[-1].bias.zero_()
            self.encode_mlp[-1].bias[self.n_latents :] = torch.log(
                1 / torch.diagonal(inner)
            ).float()
            y = (others - self.other_mean) / self.other_scale
            latent = x @ solve.float().T
            # In double: the last bits of the solver depend on where its memory happens to lie.
            slopes = torch.linalg.lstsq(latent.double(), y.double()).solution
            self.others_linear.weight.copy_(slopes.T)
            self.others_linear.bias.zero_()

    def encode(self, radial):
        """Mean and log variance of the latents, in the internal order, each (n, n_latents)."""
        x = (radial - self.radial_mean) / self.radial_scale
        mean, log_variance = self.encode_mlp(x).chunk(2, 1)
        return self.encode_linear(x) + mean, log_variance.clamp(
            -_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE
        )

    def decode_standard(self, latent):
        """Both blocks in standard units; the latents learn from the first one only."""
        radial = self.decode_linear(latent) + self.decode_mlp(latent)
        held = latent.detach()
        return radial, self.others_linear(held) + self.others_mlp(held)

    def decode(self, latent):
        """Order-0 block (n, n_radial) and other orders (n, n_other) for internal latents."""
        radial, others = self.decode_standard(latent)
        return (
            self.radial_mean + self.radial_scale * radial,
            self.other_mean + self.other_scale * others,
        )


def linear(n_in, n_out, generator):
    """A linear layer whose weights come from our generator, never from the global one."""
    layer = skip_init(nn.Linear, n_in, n_out)
    bound = n_in**-0.5
    return start_uniform(layer, bound, generator)


def start_uniform(layer, bound, generator):
    """The layer, with weights and biases drawn from (-bound, bound)."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


def _mlp(n_in, width, n_out, generator):
    return nn.Sequential(
        linear(n_in, width, generator),
        nn.SiLU(),
        linear(width, width, generator),
        nn.SiLU(),
        linear(width, n_out, generator),
    )
