# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the networks: settings, progress, interruption and the loops over batches."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..progress import Progress
from ..threads import one_thread
from .adam import Adam, one_cycle
from .batches import shuffled_batches
from .convergence import Guard, train_until_it_holds
from .loss import LossTerms, content_loss, spatial_loss

if TYPE_CHECKING:
    from .convolutional.network import SpatialNetwork
    from .estimator import RVAE
    from .harmonic.content import ContentNetwork

_logger = logging.getLogger(__name__)

#: Training of each architecture unless the user chooses otherwise; the second as in the paper.
DEFAULTS: dict[str, dict[str, Any]] = {
    "harmonic": {"epochs": 15, "learning_rate": 2e-3},
    "convolutional": {
        "epochs": 100,
        "batch_size": 32,
        "learning_rate": 1e-4,
        "validation_fraction": 0.15,
    },
}

_JUDGED = 2000  # sites whose loss before and after training is compared


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the training of a network.

    Attributes
    ----------
    epochs : int
    batch_size : int or None
        If None, 1/32 of the sites, between 128 and 1024.
    learning_rate : float
        Learning rate of Adam; for the content network the peak of a one-cycle schedule.
    content_nats : float
        Half the initial squared error of the content, in nats: the weight of the reconstruction
        against the divergence of the latents.
    validation_fraction : float
        Share of the sites held out of training, whose loss is reported.
    """

    epochs: int = 15
    batch_size: int | None = None
    learning_rate: float = 2e-3
    content_nats: float = 100.0
    validation_fraction: float = 0.1

    @classmethod
    def of(cls, options: RVAE) -> TrainingSettings:
        """Settings of an RVAE; where it has None, the defaults of its architecture."""
        names = ("epochs", "batch_size", "learning_rate")
        chosen = {name: getattr(options, name) for name in names}
        chosen = {name: value for name, value in chosen.items() if value is not None}
        return cls(**(DEFAULTS[options.architecture] | chosen))

    @property
    def noise_fraction(self) -> float:
        """Noise variance as a share of the summed variance of the content."""
        return 1 / (2 * self.content_nats)

    def batch(self, n: int) -> int:
        """Batch size for n sites."""
        return self.batch_size or int(np.clip(n // 32, 128, 1024))


class _History:
    """Losses of the epochs, in nats per site."""

    def __init__(self) -> None:
        names = ("loss", "reconstruction", "kl", "validation_loss")
        self._values: dict[str, list[float]] = {name: [] for name in names}

    def append(self, means: Tensor, validation: float) -> dict[str, float]:
        """Add an epoch: mean reconstruction and kl; return the numbers for the progress bar."""
        reconstruction, kl = (float(mean) for mean in means)
        epoch = (reconstruction + kl, reconstruction, kl, validation)
        for values, value in zip(self._values.values(), epoch, strict=True):
            values.append(value)
        return {"loss": reconstruction + kl, "validation": validation}

    @property
    def last(self) -> float:
        """Loss of the last epoch."""
        return self._values["loss"][-1]

    def arrays(self) -> dict[str, np.ndarray]:
        """Losses by name, one number per epoch."""
        return {name: np.array(values) for name, values in self._values.items()}


@one_thread()
def train_content(
    network: ContentNetwork,
    inputs: Tensor,
    whole: Tensor,
    settings: TrainingSettings,
    generator: torch.Generator,
    progress: Progress,
    *,
    from_scratch: bool = True,
) -> dict[str, np.ndarray]:
    """Train the content network on sites in the common frame.

    Parameters
    ----------
    network : ContentNetwork
    inputs, whole : torch.Tensor, shapes (n, n_inputs), (n, n_whole)
        Input of the encoder, and all harmonics in the common frame, on the device of the network.
    settings : TrainingSettings
    generator : torch.Generator
        Chooses the held-out sites, the order of the batches and the noise of the latents.
    progress : Progress
    from_scratch : bool
        Start as the principal components of the sites; if False, from the network as it is.

    Returns
    -------
    history : dict of str to numpy.ndarray
        ``loss``, ``reconstruction``, ``kl`` and ``validation_loss`` (loss of the held-out sites),
        in nats per site, one number per epoch; the loss is reconstruction plus kl. How it ended
        stands beside them, see :func:`~.convergence.train_until_it_holds`.
    """
    n = len(inputs)
    order = torch.randperm(n, generator=generator)
    n_held = int(settings.validation_fraction * n) if n >= 50 else 0
    held, kept = order[:n_held].to(inputs.device), order[n_held:].to(inputs.device)
    noise_variance = settings.noise_fraction * inputs.shape[1]  # standardised: unit variance each
    if from_scratch:
        network.start_from_components(inputs[kept], whole[kept], noise_variance)
    _logger.info(
        "rVAE content: noise variance held at %.3g of the variance of the encoder's input.",
        noise_variance,
    )

    def loss(rows: Tensor, source: torch.Generator) -> LossTerms:
        noise = torch.randn((len(rows), network.n_latents), generator=source).to(inputs.device)
        return content_loss(network, inputs[rows], whole[rows], noise, noise_variance)

    def epochs(settings: TrainingSettings, guard: Guard) -> dict[str, np.ndarray]:
        adam, step = Adam(network), 0
        batch_size = settings.batch(len(kept))
        n_batches = len(list(shuffled_batches(len(kept), batch_size, torch.Generator())))
        n_steps = int(settings.epochs * n_batches + 1)
        history = _History()
        for _ in range(settings.epochs):
            if progress.stopped:
                break
            sums = torch.zeros(2, device=inputs.device)
            for batch in shuffled_batches(len(kept), batch_size, generator):
                terms = loss(kept[batch.to(kept.device)], generator)
                terms.total.backward()
                adam.step(*one_cycle(step, n_steps, settings.learning_rate))
                step += 1
                sums += torch.stack([terms.reconstruction.detach(), terms.kl.detach()])
            validation = np.nan
            if n_held:
                with torch.no_grad():
                    terms = loss(held, generator)
                validation = float(terms.reconstruction + terms.kl)
            progress.step("rVAE content", history.append(sums / n_batches, validation))
            guard.check(history.last)
        return history.arrays()

    judged = order[:_JUDGED].to(inputs.device)
    judge = _judge(lambda source: loss(judged, source).total)
    return train_until_it_holds(network, settings, epochs, judge, progress)


def train_spatial(
    network: SpatialNetwork,
    images: Tensor,
    offsets: Tensor | None,
    settings: TrainingSettings,
    generator: torch.Generator,
    progress: Progress,
    *,
    rotation_prior: float,
    shift_scale: float,
    delay: float,
) -> dict[str, np.ndarray]:
    """Train the convolutional network on sub-images that are on its device as a whole.

    Parameters
    ----------
    network : SpatialNetwork
    images : torch.Tensor, shape (n, w, w)
    offsets : torch.Tensor, shape (n, 2), or None
        Column minus window centre, (x, y) in px.
    settings : TrainingSettings
    generator : torch.Generator
        On the CPU; chooses the held-out sites, the order of the batches and the noise.
    progress : Progress
    rotation_prior : float
        Standard deviation of the angle prior, in radians.
    shift_scale : float
        Standard deviation of the shift prior, in half windows.
    delay : float
        Share of the epochs before the shift is released.

    Returns
    -------
    history : dict of str to numpy.ndarray
        The same as that of :func:`train_content`.
    """
    device = images.device
    order = torch.randperm(len(images), generator=generator)
    n_held = int(settings.validation_fraction * len(images)) if len(images) >= 50 else 0
    held, kept = order[:n_held], order[n_held:]
    centred = network.coordinates()

    def loss(rows: Tensor, free: bool, source: torch.Generator) -> LossTerms:
        noise = torch.randn((len(rows), network.n_all), generator=source).to(device)
        rows = rows.to(device)
        coordinates = centred if offsets is None else network.coordinates(offsets[rows])
        return spatial_loss(
            network, images[rows], coordinates, noise, rotation_prior, shift_scale, free
        )

    def epochs(settings: TrainingSettings, guard: Guard) -> dict[str, np.ndarray]:
        adam = Adam(network)
        batch_size, history = settings.batch(len(kept)), _History()
        for epoch in range(settings.epochs):
            free = network.translation and epoch >= round(delay * settings.epochs)
            sums, n_batches = torch.zeros(2, device=device), 0
            for batch in shuffled_batches(len(kept), batch_size, generator):
                if progress.stopped:
                    break
                terms = loss(kept[batch], free, generator)
                terms.total.backward()
                adam.step(settings.learning_rate)
                sums += torch.stack([terms.reconstruction.detach(), terms.kl.detach()])
                n_batches += 1
            if not n_batches:
                break
            validation = np.nan
            if n_held:
                with torch.no_grad():
                    parts = [
                        (len(r), loss(r, free, generator).total) for r in held.split(4 * batch_size)
                    ]
                validation = sum(n * float(value) for n, value in parts) / n_held
            progress.step("rVAE network", history.append(sums / n_batches, validation))
            guard.check(history.last)
            if progress.stopped:
                break
        return history.arrays()

    judged = order[: 4 * settings.batch(len(kept))]
    judge = _judge(lambda source: loss(judged, False, source).total)
    return train_until_it_holds(network, settings, epochs, judge, progress)


def _judge(loss: Callable[[torch.Generator], Tensor]) -> Callable[[], float]:
    """Loss as a function of the network alone: the same noise each time, no gradient."""

    def judge() -> float:
        with torch.no_grad():
            return float(loss(torch.Generator().manual_seed(0)))

    return judge


def warn_if_stopped(progress: Progress) -> None:
    """Warn that a fit was interrupted and that its model is incomplete."""
    if progress.stopped:
        warnings.warn(
            f"The fit was interrupted ({progress.description}); the model as it stood is kept and "
            "can be used, but it is not the result of a complete fit.",
            UserWarning,
            stacklevel=4,
        )
