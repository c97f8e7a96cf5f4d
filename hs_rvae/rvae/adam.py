# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of Adam, by the function of torch that computes them.

The class of torch around that function loads torch's compiler when it is first used: a second of
waiting and 70 MB of memory, for something that training does without.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.adam import adam

_MOMENTUM, _SQUARES, _EPS = 0.9, 0.999, 1e-8  # the defaults of torch.optim.Adam
# One cycle, the defaults of torch.optim.lr_scheduler.OneCycleLR: share of the steps that the rate
# rises in, its start and end in parts of the highest, the momentum at either end and at the top.
_RISE, _FIRST, _LAST, _MOMENTA = 0.3, 1 / 25, 1 / 25 / 1e4, (0.95, 0.85)


class Adam:
    """Adam on all weights of a network, in one call where the device has that.

    Parameters
    ----------
    network : torch.nn.Module
    """

    def __init__(self, network: nn.Module) -> None:
        self._weights = list(network.parameters())
        self._means = [torch.zeros_like(weight) for weight in self._weights]
        self._squares = [torch.zeros_like(weight) for weight in self._weights]
        self._counts = [torch.zeros((), device=weight.device) for weight in self._weights]
        self._fused = self._weights[0].device.type in ("cpu", "cuda")

    @torch.no_grad()
    def step(self, learning_rate: float, momentum: float = _MOMENTUM) -> None:
        """Change the weights against their gradients, and clear these."""
        known = [k for k, weight in enumerate(self._weights) if weight.grad is not None]
        lists = (self._weights, self._means, self._squares, self._counts)
        weights, means, squares, counts = ([values[k] for k in known] for values in lists)
        adam(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            means,
            squares,
            [],
            counts,
            fused=self._fused,
            amsgrad=False,
            beta1=momentum,
            beta2=_SQUARES,
            lr=learning_rate,
            weight_decay=0.0,
            eps=_EPS,
            maximize=False,
        )
        for weight in weights:
            weight.grad = None


def one_cycle(step: int, n_steps: int, highest: float) -> tuple[float, float]:
    """Learning rate and momentum of one step of a cycle.

    Parameters
    ----------
    step : int
        From 0.
    n_steps : int
    highest : float
        Highest learning rate.

    References
    ----------
    L. N. Smith and N. Topin, Proc. SPIE 11006, 1100612 (2019); the second part in two phases.

    Examples
    --------
    >>> rate, momentum = one_cycle(0, 100, 0.025)
    >>> round(rate, 4), momentum
    (0.001, 0.95)
    """
    top = _RISE * n_steps - 1
    slow, fast = _MOMENTA
    if step <= top:
        part = step / top
        return _eased(highest * _FIRST, highest, part), _eased(slow, fast, part)
    part = (step - top) / (n_steps - 1 - top)
    return _eased(highest, highest * _LAST, part), _eased(fast, slow, part)


def _eased(start: float, end: float, part: float) -> float:
    """Value between two others, along half a period of a cosine."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)
