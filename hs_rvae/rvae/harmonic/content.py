# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content of the harmonic rVAE: what its network is given, how large it is, what comes first."""

import logging

import numpy as np
import torch

from ..geometry import to_real
from ..networks import ContentNetwork
from ..training import train_content

_logger = logging.getLogger(__name__)

_MOST_LATENTS = 8
_LEAST_GAIN = 1.0  # nats per held-out site that a further latent has to bring


def content_blocks(harmonics, grid):
    """Order 0 (n, n_q), and the other orders as real numbers (n, 2 n_q M)."""
    return to_real(harmonics).split([grid.n_q, 2 * grid.n_q * grid.max_order], 1)


def content_network(grid, n_latents, generator):
    """An untrained network for the harmonics of a grid."""
    return ContentNetwork(grid.n_q, 2 * grid.n_q * grid.max_order, n_latents, generator=generator)


def choose_content(grid, radial, others, settings, generator, progress):
    """The content network with as many latents as the held-out sites ask for."""
    best, losses = None, []
    for n_latents in range(1, min(_MOST_LATENTS, grid.n_q) + 1):
        network = content_network(grid, n_latents, generator).to(radial.device)
        state = generator.get_state()
        history = train_content(network, radial, others, settings, generator, progress)
        generator.set_state(state)  # the same sites are held out for every number of latents
        losses.append(history["validation_loss"][-1] if len(history["loss"]) else np.inf)
        if best is not None and not losses[-1] < losses[-2] - _LEAST_GAIN:
            break
        best = network, history
        if progress.stopped:
            break
    network, history = best
    _logger.info(
        "output_dimension='auto': %d content latents; loss of held-out sites %s nats for 1, 2, ...",
        network.n_latents,
        ", ".join(f"{loss:.1f}" for loss in losses),
    )
    return network, history | {"output_dimension_loss": np.array(losses)}


@torch.no_grad()
def order_latents(network, radial):
    """Order the latents by the variance they explain, and make each rise with the intensity."""
    mean = network.encode(radial)[0]
    energy = []
    for k in range(network.n_latents):
        alone = torch.zeros_like(mean)
        alone[:, k] = mean[:, k]
        energy.append(sum(float(block.var(0).sum()) for block in network.decode(alone)))
    # The lowest frequency of order 0 is about the mean intensity in the disk.
    brightness = (radial[:, 0] - radial[:, 0].mean()) @ (mean - mean.mean(0))
    order = torch.tensor(np.argsort(energy, kind="stable")[::-1].copy(), device=mean.device)
    network.order.copy_(order)
    network.sign.copy_(torch.where(brightness >= 0, 1.0, -1.0)[order])
