# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training that fails: found by its loss, taken back and repeated with a smaller step."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

if TYPE_CHECKING:
    from ..progress import Progress
    from .training import TrainingSettings

_logger = logging.getLogger(__name__)

#: A loss this many times that of the start has no way back.
_DIVERGED = 100.0
#: A loss this many times that of the start, after training, is no result.
_WORSE = 1.5
#: Each further attempt takes steps smaller by this factor, at most so many times.
_SMALLER, _ATTEMPTS = 0.1, 4
#: A loss that fell by this share of all its fall in the last fifth of the epochs still falls.
_STILL_FALLING = 0.1
_SHORTEST = 10  # epochs; fewer are not judged


class Diverged(ArithmeticError):
    """The loss of an epoch is not a number, or far above that of the start."""


@dataclass(frozen=True)
class Guard:
    """Limit for the loss of an epoch.

    Attributes
    ----------
    start : float
        Loss before training, in nats per site.
    """

    start: float

    def check(self, loss: float) -> None:
        """Raise Diverged if the loss is beyond the limit."""
        if not loss <= _DIVERGED * max(self.start, 1.0):
            raise Diverged(f"loss {loss:.3g} nat, {self.start:.3g} nat before the first step")


def train_until_it_holds(
    network: nn.Module,
    settings: TrainingSettings,
    train: Callable[[TrainingSettings, Guard], dict[str, np.ndarray]],
    judge: Callable[[], float],
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Train; where that fails, restore the network and repeat with a smaller learning rate.

    Parameters
    ----------
    network : torch.nn.Module
        Ready for the first step.
    settings : TrainingSettings
    train : callable
        ``train(settings, guard)`` gives the history; its epochs ask the guard.
    judge : callable
        Loss of the network as it is, in nats per site: the same number for the same network.
    progress : Progress

    Returns
    -------
    history : dict of str to numpy.ndarray
        That of the attempt that held, with the learning rates tried (``learning_rate``) and
        ``converged``: 1, or 0 if the loss still fell or all attempts failed, NaN if it cannot be
        judged. If none held, the network is as before, and there are no losses.
    """
    before, guard = copy.deepcopy(network.state_dict()), Guard(judge())
    rates: list[float] = []
    while True:
        rates.append(settings.learning_rate)
        reason = ""
        try:
            history = train(settings, guard)
            loss = judge()
            if not loss <= _WORSE * max(guard.start, 1.0):
                reason = f"loss {loss:.3g} nat, {guard.start:.3g} nat before the first step"
        except Diverged as error:
            history, reason = {}, str(error)
        if not reason:
            return history | _ending(rates, convergence(history))
        network.load_state_dict(before)
        if len(rates) == _ATTEMPTS or progress.stopped:
            _logger.warning(
                "Training diverged with learning_rate=%s (%s): the network is the one before the "
                "first step. Check the intensities of the sub-images.",
                ", ".join(f"{rate:g}" for rate in rates),
                reason,
            )
            return _ending(rates, 0.0)
        settings = replace(settings, learning_rate=settings.learning_rate * _SMALLER)
        _logger.warning(
            "Training diverged with learning_rate=%g (%s): repeated with %g.",
            rates[-1],
            reason,
            settings.learning_rate,
        )


def convergence(history: Mapping[str, np.ndarray]) -> float:
    """Judge the end of a loss curve.

    Parameters
    ----------
    history : mapping of str to numpy.ndarray
        With ``loss``, one number per epoch.

    Returns
    -------
    float
        1 if the loss came to rest, 0 if it still fell, NaN after too few epochs.

    Examples
    --------
    >>> import numpy as np
    >>> convergence({"loss": 10 + 90 * np.exp(-np.arange(30.0))})
    1.0
    >>> convergence({"loss": 100 - np.arange(30.0)})
    0.0
    """
    loss = np.asarray(history["loss"], float)
    if len(loss) < _SHORTEST:
        return math.nan
    fifth = len(loss) // 5
    earlier, last = loss[-2 * fifth : -fifth].mean(), loss[-fifth:].mean()
    fall = loss[0] - last
    return float(not fall > 0 or earlier - last <= _STILL_FALLING * fall)


def _ending(rates: list[float], converged: float) -> dict[str, np.ndarray]:
    """Entries of the history on the attempts."""
    return {"learning_rate": np.array(rates), "converged": np.array([converged])}
