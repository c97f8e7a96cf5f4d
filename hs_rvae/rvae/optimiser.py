# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam with a one-cycle schedule, for small networks.

The steps are those of :class:`torch.optim.Adam` and
:class:`torch.optim.lr_scheduler.OneCycleLR` with their defaults. Those load PyTorch's compiler,
which takes a second, and look at each parameter on its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_BETA, _EPSILON = 0.999, 1e-8  # of the second moment, and beside its root
_RISE = 0.3  # share of the steps in which the learning rate rises
_FIRST, _LAST = 25.0, 1e4  # maximum over first, and first over last learning rate
_MOMENTUM = 0.95, 0.85  # at the ends and at the maximum of the learning rate


class OneCycleAdam:
    """
    Adam whose learning rate rises to its maximum and falls to nearly nothing.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
        All of one type and on one device.
    maximum : float
        Maximum of the learning rate.
    n_steps : int
        Steps of the whole cycle.

    References
    ----------
    D. P. Kingma and J. Ba, arXiv:1412.6980; L. N. Smith and N. Topin, arXiv:1708.07120.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], maximum: float, n_steps: int) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.maximum, self.n_steps = maximum, n_steps
        self.number = 0
        self.mean = [torch.zeros_like(p) for p in self.parameters]
        self.square = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters by one step along their gradients."""
        rate, momentum = self._rate_and_momentum()
        self.number += 1
        gradients: list[Tensor] = []
        for parameter in self.parameters:
            assert parameter.grad is not None
            gradients.append(parameter.grad)
        torch._foreach_lerp_(self.mean, gradients, 1 - momentum)
        torch._foreach_mul_(self.square, _BETA)
        torch._foreach_addcmul_(self.square, gradients, gradients, 1 - _BETA)
        roots = torch._foreach_sqrt(self.square)
        torch._foreach_div_(roots, (1 - _BETA**self.number) ** 0.5)
        torch._foreach_add_(roots, _EPSILON)
        step_size = rate / (1 - momentum**self.number)
        torch._foreach_addcdiv_(self.parameters, self.mean, roots, -step_size)

    def _rate_and_momentum(self) -> tuple[float, float]:
        """Learning rate and momentum of the present step."""
        low, high = self.maximum / _FIRST, self.maximum
        top, last = _RISE * self.n_steps - 1, self.n_steps - 1
        if self.number <= top:
            share = self.number / top
            return _between(low, high, share), _between(*_MOMENTUM, share)
        share = (self.number - top) / (last - top)
        return _between(high, low / _LAST, share), _between(*_MOMENTUM[::-1], share)


def _between(start: float, end: float, share: float) -> float:
    """Value on half a cosine from start to end."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
