# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings, device, progress, interruption and the loop that trains the content network."""

import logging
import signal
import threading
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from .batches import shuffled_batches
from .device import one_thread
from .loss import content_loss, spatial_loss

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSettings:
    """How the content network is trained.

    Attributes
    ----------
    epochs : int
    batch_size : int or None
        None: 1/32 of the sites, between 128 and 1024.
    learning_rate : float
        Peak of a one-cycle schedule of Adam.
    content_nats : float
        Half the initial squared error of the content, in nats: sets how hard content is squeezed.
    validation_fraction : float
        Share of the sites held out of training, whose loss is reported.
    """

    epochs: int = 15
    batch_size: int | None = None
    learning_rate: float = 2e-3
    content_nats: float = 100.0
    validation_fraction: float = 0.1

    @property
    def noise_fraction(self):
        """Noise variance as a share of the summed variance of the content."""
        return 1 / (2 * self.content_nats)

    def batch(self, n):
        """Size of the batches of n sites."""
        return self.batch_size or int(np.clip(n // 32, 128, 1024))


class Progress:
    """One progress bar for a fit, and a stop that Ctrl-C asks for.

    The first Ctrl-C lets the current iteration finish: the model stays usable. A second one
    interrupts at once, as usual.

    Parameters
    ----------
    total : int
        Steps announced.
    show : bool
        Whether to draw the bar.
    """

    def __init__(self, total, show, description="rVAE"):
        self.stopped = False
        self.description = description
        self._bar = tqdm(total=total, disable=not show, desc=description, leave=True)
        self._previous = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGINT)
            if self._previous is not None:
                signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(self, *error):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if not self.stopped and error[0] is None:
            self._bar.update(self._bar.total - self._bar.n)  # iterations that were not needed
        self._bar.close()

    def _stop(self, *arguments):
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True

    def step(self, description, values=None):
        """One step further; a dict of numbers is shown beside the bar."""
        if not self.stopped:
            self.description = description
        self._bar.set_description(description, refresh=False)
        if values:
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in values.items()}, refresh=False)
        self._bar.total = max(self._bar.total, self._bar.n + 1)  # the number announced is a guess
        self._bar.update()


@one_thread()
def train_content(network, radial, others, settings, generator, progress, *, from_scratch=True):
    """Train the content network on the harmonics in the pose frame.

    Parameters
    ----------
    network : ContentNetwork
    radial, others : torch.Tensor, shapes (n, n_radial), (n, n_other)
        On the device of the network.
    settings : TrainingSettings
    generator : torch.Generator
        Of the held-out sites, the order of the batches and the latents' noise.
    progress : Progress
    from_scratch : bool
        Start as the principal components of the sites; False = from the network as it is.

    Returns
    -------
    history : dict of str to numpy.ndarray
        ``loss``, ``reconstruction``, ``kl`` and ``validation_loss`` (loss of the held-out sites),
        in nats per site, one number per epoch; the loss is reconstruction plus kl.
    """
    n = len(radial)
    order = torch.randperm(n, generator=generator)
    n_held = int(settings.validation_fraction * n) if n >= 50 else 0
    held, kept = order[:n_held].to(radial.device), order[n_held:].to(radial.device)
    noise_variance = settings.noise_fraction * radial.shape[1]  # standardised: unit variance each
    if from_scratch:
        network.start_from_components(radial[kept], others[kept], noise_variance)
    _logger.info(
        "rVAE content: noise variance held at %.3g of the variance of the order-0 harmonics.",
        noise_variance,
    )

    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    batch_size = settings.batch(len(kept))
    n_batches = len(list(shuffled_batches(len(kept), batch_size, torch.Generator())))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.epochs * n_batches + 1
    )
    history = {"loss": [], "reconstruction": [], "kl": [], "validation_loss": []}

    def loss(rows):
        noise = torch.randn((len(rows), network.n_latents), generator=generator).to(radial.device)
        return content_loss(network, radial[rows], others[rows], noise, noise_variance)

    for _ in range(settings.epochs):
        if progress.stopped:
            break
        sums = torch.zeros(2, device=radial.device)
        for batch in shuffled_batches(len(kept), batch_size, generator):
            terms = loss(kept[batch.to(kept.device)])
            optimiser.zero_grad(set_to_none=True)
            terms.total.backward()
            optimiser.step()
            schedule.step()
            sums += torch.stack([terms.reconstruction.detach(), terms.kl.detach()])
        reconstruction, kl = (float(s) for s in sums / n_batches)
        history["reconstruction"].append(reconstruction)
        history["kl"].append(kl)
        history["loss"].append(reconstruction + kl)
        with torch.no_grad():
            terms = loss(held) if n_held else None
        validation = float(terms.reconstruction + terms.kl) if terms else np.nan
        history["validation_loss"].append(validation)
        progress.step("rVAE content", {"loss": reconstruction + kl, "validation": validation})
    return {name: np.array(values) for name, values in history.items()}


def train_spatial(
    network, images, offsets, settings, generator, progress, *, rotation_prior, shift_scale, delay
):
    """Train the convolutional network on sub-images that are on its device as a whole.

    Parameters
    ----------
    network : SpatialNetwork
    images : torch.Tensor, shape (n, w, w)
    offsets : torch.Tensor, shape (n, 2), or None
        Column minus window centre, (x, y) in px.
    settings : TrainingSettings
    generator : torch.Generator
        On the CPU: of the held-out sites, the order of the batches and the noise.
    progress : Progress
    rotation_prior : float
        Width of the angle's prior in radians.
    shift_scale : float
        Width of the shift's prior in half windows.
    delay : float
        Share of the epochs before the shift is released.

    Returns
    -------
    history : dict of str to numpy.ndarray
        As :func:`train_content`.
    """
    device = images.device
    order = torch.randperm(len(images), generator=generator)
    n_held = int(settings.validation_fraction * len(images)) if len(images) >= 50 else 0
    held, kept = order[:n_held], order[n_held:]
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    batch_size = settings.batch(len(kept))
    centred = network.coordinates() if offsets is None else None

    def loss(rows, free):
        noise = torch.randn((len(rows), network.n_all), generator=generator).to(device)
        rows = rows.to(device)
        at = centred if offsets is None else network.coordinates(offsets[rows])
        return spatial_loss(network, images[rows], at, noise, rotation_prior, shift_scale, free)

    history = {"loss": [], "reconstruction": [], "kl": [], "validation_loss": []}
    for epoch in range(settings.epochs):
        free = network.translation and epoch >= round(delay * settings.epochs)
        sums, n_batches = torch.zeros(2, device=device), 0
        for batch in shuffled_batches(len(kept), batch_size, generator):
            if progress.stopped:
                break
            terms = loss(kept[batch], free)
            optimiser.zero_grad(set_to_none=True)
            terms.total.backward()
            optimiser.step()
            sums += torch.stack([terms.reconstruction.detach(), terms.kl.detach()])
            n_batches += 1
        if not n_batches:
            break
        reconstruction, kl = (float(s) for s in sums / n_batches)
        history["reconstruction"].append(reconstruction)
        history["kl"].append(kl)
        history["loss"].append(reconstruction + kl)
        validation = np.nan
        if n_held:
            with torch.no_grad():
                parts = [(len(rows), loss(rows, free).total) for rows in held.split(4 * batch_size)]
            validation = sum(n * float(value) for n, value in parts) / n_held
        history["validation_loss"].append(validation)
        progress.step("rVAE network", {"loss": reconstruction + kl, "validation": validation})
        if progress.stopped:
            break
    return {name: np.array(values) for name, values in history.items()}


def warn_if_stopped(progress):
    """Say that a fit was cut short, and what is left."""
    if progress.stopped:
        warnings.warn(
            f"The fit was interrupted ({progress.description}); the model as it stood is kept and "
            "can be used, but it is not the result of a complete fit.",
            UserWarning,
            stacklevel=4,
        )
