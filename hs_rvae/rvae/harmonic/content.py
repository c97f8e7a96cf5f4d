# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content of the harmonic rVAE: the network, its input, the number and order of its latents.

The encoder is given the order-0 harmonics alone, which no rotation changes, so the latents cannot
carry the angle. The decoder returns whole sub-images: order 0, for which it is trained together
with the encoder, and the mean of all other orders in the pose frame given the latents.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..geometry import HarmonicGrid, to_real
from ..networks import OrderedLatents, linear
from ..training import TrainingSettings, train_content

if TYPE_CHECKING:
    from ...progress import Progress

_logger = logging.getLogger(__name__)

_MAX_LOG_VARIANCE = 10.0
_MAX_LATENTS = 8
_MIN_GAIN = 1.0  # nats per held-out site that a further latent has to bring


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
        Source of the initial weights.
    """

    radial_mean: Tensor
    radial_scale: Tensor
    other_mean: Tensor
    other_scale: Tensor

    def __init__(
        self,
        n_radial: int,
        n_other: int,
        n_latents: int,
        width: int = 64,
        generator: torch.Generator | None = None,
    ) -> None:
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

    def start_from_components(self, radial: Tensor, others: Tensor, noise_variance: float) -> None:
        """Set the weights to the principal components of the training set.

        Parameters
        ----------
        radial : torch.Tensor, shape (n, n_radial)
        others : torch.Tensor, shape (n, n_other)
        noise_variance : float
            Noise variance of the standardised order-0 block.
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
                for parameter in network[-1].parameters():
                    parameter.zero_()
            log_variance = self.encode_mlp[-1].get_parameter("bias")[self.n_latents :]
            log_variance.copy_(torch.log(1 / torch.diagonal(inner)).float())
            y = (others - self.other_mean) / self.other_scale
            latent = x @ solve.float().T
            # In double: the last bits of the solver depend on where its memory happens to lie.
            slopes = torch.linalg.lstsq(latent.double(), y.double()).solution
            self.others_linear.weight.copy_(slopes.T)
            self.others_linear.bias.zero_()

    def encode(self, radial: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, in the internal order, each (n, n_latents)."""
        x = (radial - self.radial_mean) / self.radial_scale
        mean, log_variance = self.encode_mlp(x).chunk(2, 1)
        return self.encode_linear(x) + mean, log_variance.clamp(
            -_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE
        )

    def decode_standard(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Both blocks in standard units; only the first one trains the latents."""
        radial = self.decode_linear(latent) + self.decode_mlp(latent)
        held = latent.detach()
        return radial, self.others_linear(held) + self.others_mlp(held)

    def decode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Order-0 block (n, n_radial) and other orders (n, n_other) for internal latents."""
        radial, others = self.decode_standard(latent)
        return (
            self.radial_mean + self.radial_scale * radial,
            self.other_mean + self.other_scale * others,
        )


def _mlp(n_in: int, width: int, n_out: int, generator: torch.Generator | None) -> nn.Sequential:
    return nn.Sequential(
        linear(n_in, width, generator),
        nn.SiLU(),
        linear(width, width, generator),
        nn.SiLU(),
        linear(width, n_out, generator),
    )


def content_blocks(harmonics: Tensor, grid: HarmonicGrid) -> tuple[Tensor, Tensor]:
    """Order 0 (n, n_radial), and the other orders and detectors as real numbers."""
    real = to_real(harmonics)
    radial, others = real.split([grid.n_radial, real.shape[1] - grid.n_radial], 1)
    return radial, others


def content_network(
    grid: HarmonicGrid, n_latents: int, generator: torch.Generator
) -> ContentNetwork:
    """Create an untrained network for the harmonics of a grid."""
    n_others = grid.n_q * (2 * grid.max_order + 1) - grid.n_radial
    return ContentNetwork(grid.n_radial, n_others, n_latents, generator=generator)


def fit_content(
    grid: HarmonicGrid,
    radial: Tensor,
    others: Tensor,
    n_latents: int | str,
    settings: TrainingSettings,
    generator: torch.Generator,
    progress: Progress,
    initial: ContentNetwork | None = None,
) -> tuple[ContentNetwork, dict[str, np.ndarray]]:
    """Train a content network.

    Parameters
    ----------
    grid : HarmonicGrid
    radial, others : torch.Tensor, shapes (n, n_radial), (n, n_others)
        Harmonics of the sites in the pose frame, from :func:`content_blocks`.
    n_latents : int or "auto"
    settings : TrainingSettings
    generator : torch.Generator
    progress : Progress
    initial : ContentNetwork, optional
        Network to start from, if it has the same number of latents.

    Returns
    -------
    network : ContentNetwork
        Its latents are ordered by the variance they explain.
    history : dict of str to numpy.ndarray
    """
    if isinstance(n_latents, str):
        network, history = _choose_content(grid, radial, others, settings, generator, progress)
    else:
        network = content_network(grid, n_latents, generator).to(radial.device)
        from_scratch = initial is None or initial.n_latents != network.n_latents
        if initial is not None and not from_scratch:
            network.load_state_dict(initial.state_dict())
        history = train_content(
            network, radial, others, settings, generator, progress, from_scratch=from_scratch
        )
    with torch.no_grad():
        mean = network.encode(radial)[0]
    # The lowest frequency of order 0 is about the mean intensity in the disk.
    network.order_by_variance(mean, radial[:, 0], network.decode)
    return network.eval(), history


def _choose_content(
    grid: HarmonicGrid,
    radial: Tensor,
    others: Tensor,
    settings: TrainingSettings,
    generator: torch.Generator,
    progress: Progress,
) -> tuple[ContentNetwork, dict[str, np.ndarray]]:
    """Train networks with more and more latents, as long as the held-out sites gain by them."""
    best: tuple[ContentNetwork, dict[str, np.ndarray]] | None = None
    losses: list[float] = []
    for n_latents in range(1, min(_MAX_LATENTS, grid.n_radial) + 1):
        network = content_network(grid, n_latents, generator).to(radial.device)
        state = generator.get_state()
        history = train_content(network, radial, others, settings, generator, progress)
        generator.set_state(state)  # the same sites are held out for every number of latents
        losses.append(history["validation_loss"][-1] if len(history.get("loss", ())) else np.inf)
        if best is not None and not losses[-1] < losses[-2] - _MIN_GAIN:
            break
        best = network, history
        if progress.stopped:
            break
    assert best is not None
    network, history = best
    _logger.info(
        "output_dimension='auto': %d content latents; loss of held-out sites %s nats for 1, 2, ...",
        network.n_latents,
        ", ".join(f"{loss:.1f}" for loss in losses),
    )
    return network, history | {"output_dimension_loss": np.array(losses)}
