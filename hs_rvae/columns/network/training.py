# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the network that finds columns."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...checks import checked, whole_number
from ...progress import Progress, progressbar_wanted
from .column_network import ColumnNetwork, usable_device
from .training_data import TrainingImage, batch_of, prepared
from .unet import UNet, in_channels_last

_logger = logging.getLogger(__name__)

_HELD_OUT = 0.05  # of the images, for the loss of validation, if there are
_MANY = 40  # images at least
_ROUND = 100  # steps, after which losses are noted
_LEARNING_RATES = {"new": 3e-3, "fine": 3e-4}
_STEPS = {"new": 2000, "fine": 300}
_LARGEST_BATCH = 4096  # crops, of 64 kB each and thousands of times as much in the network
_CLOSE = 0.2  # cells within which errors of positions count by their squares


@checked
def train_network(
    examples: Iterable[Any],
    start: ColumnNetwork | str | None = None,
    *,
    dark: bool | None = None,
    steps: int | None = None,
    batch_size: int = 16,
    learning_rate: float | None = None,
    device: str | torch.device | None = None,
    random_state: int | np.random.Generator | None = None,
    show_progressbar: bool | None = None,
) -> ColumnNetwork:
    """
    Train a network that finds columns with images whose columns are known.

    By default the network of the package is fine-tuned: a few images of your own, with positions
    that you trust, and some minutes are enough. Crops of the images are turned, mirrored and
    scaled at random. The first Ctrl-C ends the training early and keeps the network.

    Parameters
    ----------
    examples : iterable
        ``(image, positions)``, or ``(image, positions, spacing)`` with the distance of nearest
        columns in pixels where the positions do not show it. The image is a signal or an array of
        shape (rows, columns). Its positions are those of **all** columns in it, as
        ``SubImageStack.from_positions`` takes them, or a mapping of names of classes to positions.
        :func:`hs_rvae.simulation.simulate_training_images` makes examples.
    start : ColumnNetwork or "new", optional
        Network to begin with, which is not changed. "new" begins with random numbers. If None, the
        network of the package.
    dark : bool, optional
        Columns are darker than their surroundings. If None, each image decides.
    steps : int, optional
        Number of batches. If None, 300, or 2000 for a new network.
    batch_size : int
        Crops of 128 x 128 px, at the working pixel size of the network, in a batch.
    learning_rate : float, optional
        Highest learning rate. If None, 0.0003, or 0.003 for a new network.
    device : str or torch.device, optional
        If None, CUDA where it is available; otherwise the CPU.
    random_state : int or numpy.random.Generator, optional
        Seed of the crops and of a new network.
    show_progressbar : bool, optional
        If None, HyperSpy's preference.

    Returns
    -------
    ColumnNetwork
        For ``find_columns(image, method=network)``; its save keeps it.

    Raises
    ------
    ValueError
        If there are no examples, an image has fewer than ten columns and no spacing, positions do
        not fit the image, or the training diverges.
    TypeError
        If an example is not such a pair.

    Notes
    -----
    A cell is four pixels of the working grid, where nearest columns are 10 px apart. The loss is
    the binary cross entropy of a column in each cell, the error of its offset (Huber) and, with
    classes, their cross entropy, per column. AdamW follows a one-cycle schedule.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_crystal((200, 200), "graphene", random_state=0)
    >>> network = hs_rvae.columns.train_network(
    ...     [(image, truth.columns[["x", "y"]])], steps=2, batch_size=2, random_state=0
    ... )
    >>> table = hs_rvae.find_columns(image, method=network)
    """
    if isinstance(start, str) and start != "new":
        raise ValueError(f"start={start!r}: give a ColumnNetwork, 'new', or None.")
    batch_size = whole_number(batch_size, "batch_size")
    if batch_size > _LARGEST_BATCH:
        raise ValueError(f"batch_size={batch_size}: give a number of at most {_LARGEST_BATCH:,}.")
    rng = np.random.default_rng(random_state)
    images, classes = prepared(examples, dark, rng)
    if learning_rate is not None and not learning_rate > 0:
        raise ValueError(f"learning_rate={learning_rate!r}: give a number above 0.")
    net, kind = _beginning(start, classes, rng)
    chosen = usable_device(device)
    in_channels_last(net.to(chosen))
    steps = steps or _STEPS[kind]
    held = images[: round(_HELD_OUT * len(images))] if len(images) >= _MANY else []
    training = _Training(net, images[len(held) :], held, batch_size, rng)
    rate = learning_rate or _LEARNING_RATES[kind]
    show = progressbar_wanted(show_progressbar)
    with Progress(steps, show, "Training the network") as progress, torch.enable_grad():
        history = training.run(steps, rate, progress)
    if progress.stopped:
        warnings.warn(
            f"The training was interrupted after {len(training.losses)} of {steps} steps: the "
            "network as it stood is kept, but it is not the result of a complete training.",
            UserWarning,
            stacklevel=3,
        )
    return ColumnNetwork._of(net, classes, history, chosen)


def _beginning(
    start: ColumnNetwork | str | None, classes: tuple[str, ...], rng: np.random.Generator
) -> tuple[UNet, str]:
    """The network to train, and its kind of beginning: "new" or "fine"."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        net = UNet(len(classes)).float()
    if isinstance(start, str):
        return net, "new"
    start = ColumnNetwork(device="cpu") if start is None else start
    state = start.net.state_dict()
    if start.classes != classes:  # their part begins with random numbers
        for name in ("head.weight", "head.bias"):
            own = net.state_dict()[name]
            own[:3] = state[name][:3].cpu()
            state[name] = own
    net.load_state_dict(state)
    return net, "fine"


class _Training:
    """A network, its images, and the losses so far."""

    def __init__(
        self,
        net: UNet,
        images: list[TrainingImage],
        held: list[TrainingImage],
        batch_size: int,
        rng: np.random.Generator,
    ) -> None:
        self.net, self.images, self.held = net, images, held
        self.batch_size, self.rng = batch_size, rng
        self.losses: list[float] = []
        self.device = next(net.parameters()).device

    def run(self, steps: int, rate: float, progress: Progress) -> dict[str, list[float]]:
        """Train, and note the losses of every round."""
        self.net.train()
        optimiser = torch.optim.AdamW(self.net.parameters(), lr=rate, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=steps + 1, pct_start=0.1
        )
        history: dict[str, list[float]] = {"loss": [], "validation_loss": []}
        for step in range(1, steps + 1):
            numbers = self.rng.integers(len(self.images), size=self.batch_size)
            loss = self._loss(*batch_of(self.images, numbers, self.rng))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            self.losses.append(float(loss.detach()))
            if not np.isfinite(self.losses[-1]):
                raise ValueError(
                    f"The training diverged after {step} steps: pass a lower learning_rate than "
                    f"{rate:g}."
                )
            progress.step("Training the network", {"loss": self.losses[-1]})
            if step % _ROUND == 0 or step == steps or progress.stopped:
                history["loss"].append(float(np.mean(self.losses[-_ROUND:])))
                history["validation_loss"].append(self._validation())
                _logger.info(
                    "Step %d of %d: loss %.4f, validation %.4f.", step, steps,
                    history["loss"][-1], history["validation_loss"][-1],
                )  # fmt: skip
            if progress.stopped:
                break
        return history

    def _validation(self) -> float:
        """Mean loss of the images held out, with the same crops each time; NaN without any."""
        rng, losses = np.random.default_rng(0), []
        self.net.eval()
        with torch.no_grad():
            for first in range(0, len(self.held), self.batch_size):
                numbers = np.arange(first, min(first + self.batch_size, len(self.held)))
                losses.append(float(self._loss(*batch_of(self.held, numbers, rng))))
        self.net.train()
        return float(np.mean(losses)) if losses else float("nan")

    def _loss(self, crops: Tensor, targets: Tensor) -> Tensor:
        """Loss per column."""
        crops = crops.to(self.device, memory_format=torch.channels_last)
        targets = targets.to(self.device)
        output = self.net(crops)
        column = targets[:, 0]
        loss = functional.binary_cross_entropy_with_logits(output[:, 0], column, reduction="sum")
        error = functional.smooth_l1_loss(
            output[:, 1:3], targets[:, 1:3], reduction="none", beta=_CLOSE
        )
        loss = loss + (error * column[:, None]).sum()
        if output.shape[1] > 3:
            loss = loss + functional.cross_entropy(
                output[:, 3:], targets[:, 3].long(), ignore_index=-1, reduction="sum"
            )
        return loss / column.sum().clamp(min=1)
