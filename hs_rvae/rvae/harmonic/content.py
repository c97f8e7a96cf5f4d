# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content of the harmonic rVAE: the network, the number and order of its latents.

The encoder is given what :mod:`.encoder_input` makes of the harmonics in the common frame, and the
network is trained to return that. A second decoder draws whole sub-images, the mean of all
harmonics in the common frame given the latents.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..networks import OrderedLatents, linear
from ..training import TrainingSettings, train_content

if TYPE_CHECKING:
    from ...progress import Progress

_logger = logging.getLogger(__name__)

_DRAWN = 4000  # sites at most whose harmonics are drawn to order the latents
_MAX_LOG_VARIANCE = 10.0
_MAX_LATENTS = 8
_MIN_GAIN = 1.0  # nats per held-out site that a further latent has to bring


class ContentNetwork(OrderedLatents):
    """Variational autoencoder of the content.

    Parameters
    ----------
    n_inputs : int
        Values that the encoder is given.
    n_whole : int
        Real numbers in the harmonics of all orders and detectors.
    n_latents, width : int
        Content latents; width of the two hidden layers of each network.
    generator : torch.Generator
        Source of the initial weights.
    """

    input_mean: Tensor
    input_scale: Tensor
    whole_mean: Tensor
    whole_scale: Tensor

    def __init__(
        self,
        n_inputs: int,
        n_whole: int,
        n_latents: int,
        width: int = 64,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.n_latents = n_latents
        self.encode_linear = linear(n_inputs, n_latents, generator)
        self.encode_mlp = _mlp(n_inputs, width, 2 * n_latents, generator)
        self.decode_linear = linear(n_latents, n_inputs, generator)
        self.decode_mlp = _mlp(n_latents, width, n_inputs, generator)
        self.whole_linear = linear(n_latents, n_whole, generator)
        self.whole_mlp = _mlp(n_latents, width, n_whole, generator)
        # Standardisation of the two blocks.
        self.register_buffer("input_mean", torch.zeros(n_inputs))
        self.register_buffer("input_scale", torch.ones(()))
        self.register_buffer("whole_mean", torch.zeros(n_whole))
        self.register_buffer("whole_scale", torch.ones(()))
        self.register_order(n_latents)

    def start_from_components(self, inputs: Tensor, whole: Tensor, noise_variance: float) -> None:
        """Set the weights to the principal components of the training set.

        Parameters
        ----------
        inputs : torch.Tensor, shape (n, n_inputs)
        whole : torch.Tensor, shape (n, n_whole)
        noise_variance : float
            Noise variance of the standardised input.
        """
        self.input_mean.copy_(inputs.mean(0))
        self.input_scale.copy_((inputs - self.input_mean).std().clamp(min=1e-12))
        self.whole_mean.copy_(whole.mean(0))
        self.whole_scale.copy_((whole - self.whole_mean).std().clamp(min=1e-12))
        x = (inputs - self.input_mean) / self.input_scale
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
            for network in (self.encode_mlp, self.decode_mlp, self.whole_mlp):
                for parameter in network[-1].parameters():
                    parameter.zero_()
            log_variance = self.encode_mlp[-1].get_parameter("bias")[self.n_latents :]
            log_variance.copy_(torch.log(1 / torch.diagonal(inner)).float())
            y = (whole - self.whole_mean) / self.whole_scale
            latent = x @ solve.float().T
            # In double: the last bits of the solver depend on where its memory happens to lie.
            slopes = torch.linalg.lstsq(latent.double(), y.double()).solution
            self.whole_linear.weight.copy_(slopes.T)
            self.whole_linear.bias.zero_()

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, in the internal order, each (n, n_latents)."""
        x = (inputs - self.input_mean) / self.input_scale
        mean, log_variance = self.encode_mlp(x).chunk(2, 1)
        return self.encode_linear(x) + mean, log_variance.clamp(
            -_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE
        )

    def decode_standard(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Both blocks in standard units; only the first one trains the latents."""
        inputs = self.decode_linear(latent) + self.decode_mlp(latent)
        held = latent.detach()
        return inputs, self.whole_linear(held) + self.whole_mlp(held)

    def decode(self, latent: Tensor) -> Tensor:
        """All harmonics as real numbers (n, n_whole) for internal latents."""
        whole = self.whole_linear(latent) + self.whole_mlp(latent)
        return self.whole_mean + self.whole_scale * whole


def _mlp(n_in: int, width: int, n_out: int, generator: torch.Generator | None) -> nn.Sequential:
    return nn.Sequential(
        linear(n_in, width, generator),
        nn.SiLU(),
        linear(width, width, generator),
        nn.SiLU(),
        linear(width, n_out, generator),
    )


def fit_content(
    inputs: Tensor,
    whole: Tensor,
    n_latents: int | str,
    settings: TrainingSettings,
    generator: torch.Generator,
    progress: Progress,
    initial: ContentNetwork | None = None,
) -> tuple[ContentNetwork, dict[str, np.ndarray]]:
    """Train a content network.

    Parameters
    ----------
    inputs, whole : torch.Tensor, shapes (n, n_inputs), (n, n_whole)
        Input of the encoder, and all harmonics in the common frame as real numbers.
    n_latents : int or "auto"
    settings : TrainingSettings
    generator : torch.Generator
    progress : Progress
    initial : ContentNetwork, optional
        Network to start from, if it has the same number of latents and inputs.

    Returns
    -------
    network : ContentNetwork
        Its latents are ordered by the variance they explain.
    history : dict of str to numpy.ndarray
    """
    if isinstance(n_latents, str):
        network, history = _choose_content(inputs, whole, settings, generator, progress)
    else:
        network = _network(inputs, whole, n_latents, generator)
        from_scratch = initial is None or (
            initial.encode_linear.weight.shape != network.encode_linear.weight.shape
        )
        if initial is not None and not from_scratch:
            network.load_state_dict(initial.state_dict())
        history = train_content(
            network, inputs, whole, settings, generator, progress, from_scratch=from_scratch
        )
    with torch.no_grad():
        mean = network.encode(inputs)[0]
    # The lowest frequency of order 0 is about the mean intensity in the disk.
    step = -(-len(mean) // _DRAWN)
    network.order_by_variance(mean, whole[:, 0], lambda latent: [network.decode(latent[::step])])
    return network.eval(), history


def _network(
    inputs: Tensor, whole: Tensor, n_latents: int, generator: torch.Generator
) -> ContentNetwork:
    """Untrained network for some sites, on their device."""
    network = ContentNetwork(inputs.shape[1], whole.shape[1], n_latents, generator=generator)
    return network.to(inputs.device)


def _choose_content(
    inputs: Tensor,
    whole: Tensor,
    settings: TrainingSettings,
    generator: torch.Generator,
    progress: Progress,
) -> tuple[ContentNetwork, dict[str, np.ndarray]]:
    """Train networks with more and more latents, as long as the held-out sites gain by them."""
    best: tuple[ContentNetwork, dict[str, np.ndarray]] | None = None
    losses: list[float] = []
    for n_latents in range(1, min(_MAX_LATENTS, inputs.shape[1]) + 1):
        network = _network(inputs, whole, n_latents, generator)
        state = generator.get_state()
        history = train_content(network, inputs, whole, settings, generator, progress)
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
