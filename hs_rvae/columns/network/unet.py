# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: an encoder and a decoder of convolutions with links between them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Channels of each level; a level has half the pixels of the one before, each way.
CHANNELS = (24, 48, 64, 64)
#: Pixels of the input along the side of a cell of the output.
CELL = 2
#: Sides of the input are multiples of this.
MULTIPLE = CELL * 2 ** (len(CHANNELS) - 1)
_RARE = -3.2  # logit of the share of cells that hold a column


class UNet(nn.Module):
    """
    A small U-Net (O. Ronneberger, P. Fischer, T. Brox, arXiv:1505.04597) for columns.

    The output has one cell for four pixels: the logit of a column in it, the offset of the column
    from the middle of the cell, and the logits of its class.

    Parameters
    ----------
    n_classes : int
        Number of classes of columns; 0 for none.
    channels : tuple of int
    """

    def __init__(self, n_classes: int = 0, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        inputs = (CELL**2, *channels[:-1])
        self.down = nn.ModuleList(_level(*pair) for pair in zip(inputs, channels, strict=True))
        self.up = nn.ModuleList(_level(sum(pair), pair[1]) for pair in pairwise(channels[::-1]))
        self.head = nn.Conv2d(channels[0], 3 + n_classes, 1)
        bias = torch.zeros(3 + n_classes)
        bias[0] = _RARE
        self.head.bias = nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        """
        Map images to cells.

        Parameters
        ----------
        images : torch.Tensor, shape (n, 1, rows, columns)
            Sides are multiples of 16.

        Returns
        -------
        torch.Tensor, shape (n, 3 + n_classes, rows / 2, columns / 2)
            Logit, offset x and y in cells, logits of the classes.
        """
        here = functional.pixel_unshuffle(images, CELL)
        levels = []
        for number, level in enumerate(self.down):
            here = level(functional.max_pool2d(here, 2) if number else here)
            levels.append(here)
        for level, link in zip(self.up, levels[-2::-1], strict=True):
            here = level(torch.cat([functional.interpolate(here, scale_factor=2.0), link], 1))
        return self.head(here)


def _level(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions, each normalised and rectified."""
    steps: list[nn.Module] = []
    for n in (inputs, outputs):
        steps += [
            nn.Conv2d(n, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*steps)


def in_channels_last(net: UNet) -> UNet:
    """Lay out the weights with the channels last: that is faster on the CPU."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
