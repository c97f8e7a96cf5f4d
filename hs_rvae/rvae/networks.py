# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that the networks of both architectures share: ordered latents, first weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

_Layer = TypeVar("_Layer", bound=nn.Module)


class OrderedLatents(nn.Module):
    """Network whose published latents differ from its internal ones in order and sign."""

    n_latents: int
    order: Tensor
    sign: Tensor

    def register_order(self, n_latents: int) -> None:
        """Register the buffers that are saved with the weights; the first order is internal."""
        self.register_buffer("order", torch.arange(n_latents))
        self.register_buffer("sign", torch.ones(n_latents))

    def to_user(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Latents in the published order and sign."""
        return mean[:, self.order] * self.sign, std[:, self.order]

    def from_user(self, latent: Tensor) -> Tensor:
        """Invert :meth:`to_user`, for means."""
        internal = torch.empty_like(latent)
        internal[:, self.order] = latent * self.sign
        return internal

    @torch.no_grad()
    def order_by_variance(
        self, mean: Tensor, intensity: Tensor, draw: Callable[[Tensor], Sequence[Tensor]]
    ) -> None:
        """Order the latents by the variance they explain, and make each rise with the intensity.

        Parameters
        ----------
        mean : torch.Tensor, shape (n, n_latents)
            Internal latents of n sites.
        intensity : torch.Tensor, shape (n,)
            Mean intensities of the sites, in any unit.
        draw : callable
            ``draw(latent)`` decodes internal latents into tensors of shape (n, ...).
        """
        energy = []
        for k in range(self.n_latents):
            alone = torch.zeros_like(mean)
            alone[:, k] = mean[:, k]
            energy.append(sum(float(block.var(0).sum()) for block in draw(alone)))
        rise = (intensity - intensity.mean()) @ (mean - mean.mean(0))
        order = torch.tensor(np.argsort(energy, kind="stable")[::-1].copy(), device=mean.device)
        self.order.copy_(order)
        self.sign.copy_(torch.where(rise >= 0, 1.0, -1.0)[order])


def linear(n_in: int, n_out: int, generator: torch.Generator | None) -> nn.Linear:
    """Linear layer with random weights from `generator`, never from the global one."""
    return start_uniform(nn.Linear(n_in, n_out, device="meta"), n_in**-0.5, generator)


def start_uniform(layer: _Layer, bound: float, generator: torch.Generator | None) -> _Layer:
    """Give a layer without values weights and biases in (-bound, bound), on the CPU."""
    drawn = {
        name: torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
        for name, parameter in layer.named_parameters()
    }
    layer.load_state_dict(drawn, assign=True)
    return layer
