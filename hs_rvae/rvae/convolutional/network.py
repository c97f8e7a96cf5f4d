# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network of the paper: a convolutional encoder, and a decoder of the turned image, by pixels.

Layers, first weights and coordinates are those of AtomAI 0.8, so that its weights fit in. A pixel
at ``(x, y)`` from the column has the coordinates ``(y, -x) / half``, half a window being 1; turning
them by ``phi`` turns the content by ``-phi`` in our sense (from +x towards +y).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..networks import OrderedLatents, linear, start_uniform

_MAX_LOG_STD = 10.0


@dataclass
class SpatialPosterior:
    """Gaussian posterior of n sub-images, in the units of the network.

    Attributes
    ----------
    angle, angle_log_std : torch.Tensor, shape (n,)
        Turn of the coordinates in radians, unwrapped; 0 and -inf without rotation.
    shift, shift_log_std : torch.Tensor, shape (n, 2)
        Shift of the turned coordinates in units of its prior; without translation of width 0.
    content, content_log_std : torch.Tensor, shape (n, n_latents)
    has_angle : bool
        Whether the network has rotation.
    """

    angle: Tensor
    angle_log_std: Tensor
    shift: Tensor
    shift_log_std: Tensor
    content: Tensor
    content_log_std: Tensor

    has_angle: bool = True

    def sample(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw angles, shifts and contents, given unit normal numbers (n, n_all)."""
        angle, shift, content, k = self.angle, self.shift, self.content, int(self.has_angle)
        if k:
            angle = angle + torch.exp(self.angle_log_std) * noise[:, 0]
        shift = shift + torch.exp(self.shift_log_std) * noise[:, k : k + shift.shape[1]]
        content = content + torch.exp(self.content_log_std) * noise[:, k + shift.shape[1] :]
        return angle, shift, content


class SpatialNetwork(OrderedLatents):
    """Encoder and decoder of the convolutional rVAE.

    Parameters
    ----------
    window_size, n_latents : int
        Width of the sub-images in px; content latents.
    rotation, translation : bool
    generator : torch.Generator
        Source of the first weights.
    width : int
        Filters of the two convolutions, and width of the decoder's layers.
    """

    def __init__(
        self,
        window_size: int,
        n_latents: int,
        rotation: bool = True,
        translation: bool = False,
        generator: torch.Generator | None = None,
        width: int = 128,
    ) -> None:
        super().__init__()
        self.window_size, self.n_latents = window_size, n_latents
        self.rotation, self.translation = bool(rotation), bool(translation)
        self.n_all = n_latents + self.rotation + 2 * self.translation
        self.encoder = nn.Sequential(
            _convolution(1, width, generator),
            nn.LeakyReLU(0.1),
            _convolution(width, width, generator),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            linear(width * window_size**2, 2 * self.n_all, generator),
        )
        self.from_coordinates = linear(2, width, generator)
        from_content = nn.Linear(n_latents, width, bias=False, device="meta")
        self.from_content = start_uniform(from_content, n_latents**-0.5, generator)
        self.decoder = nn.Sequential(
            nn.Tanh(),
            linear(width, width, generator),
            nn.Tanh(),
            linear(width, width, generator),
            nn.Tanh(),
            linear(width, 1, generator),
        )
        self.register_order(n_latents)

    def encode(self, images: Tensor) -> SpatialPosterior:
        """Posterior of sub-images (n, w, w); angle first, then shift, then content."""
        mean, log_std = self.encoder(images[:, None]).chunk(2, 1)
        parts = []
        start = int(self.rotation)
        for values, absent in ((mean, 0.0), (log_std.clamp(max=_MAX_LOG_STD), -torch.inf)):
            angle = values[:, 0] if self.rotation else torch.full_like(values[:, 0], absent)
            stop = start + 2 * self.translation
            parts.append((angle, values[:, start:stop], values[:, stop:]))
        (angle, shift, content), (angle_std, shift_std, content_std) = parts
        return SpatialPosterior(
            angle, angle_std, shift, shift_std, content, content_std, has_angle=self.rotation
        )

    def decode(
        self, coordinates: Tensor, angle: Tensor, shift: Tensor | None, content: Tensor
    ) -> Tensor:
        """Intensities at coordinates that are turned, then shifted.

        Parameters
        ----------
        coordinates : torch.Tensor, shape (n or 1, n_pixels, 2)
        angle : torch.Tensor, shape (n,)
        shift : torch.Tensor, shape (n, 2), or None
            In units of half a window.
        content : torch.Tensor, shape (n, n_latents)

        Returns
        -------
        torch.Tensor, shape (n, n_pixels)
        """
        cos, sin = torch.cos(angle), torch.sin(angle)
        turn = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)
        coordinates = coordinates.expand(len(angle), -1, -1) @ turn
        if shift is not None:
            coordinates = coordinates + shift[:, None]
        hidden = self.from_coordinates(coordinates) + self.from_content(content)[:, None]
        return self.decoder(hidden)[..., 0]

    def coordinates(
        self, offset: Tensor | None = None, window_size: int | None = None, step: float = 1.0
    ) -> Tensor:
        """Coordinates of the pixels about the column.

        Parameters
        ----------
        offset : torch.Tensor, shape (n, 2), optional
            Column minus window centre, (x, y) in px of the network.
        window_size : int, optional
            Width of the window in its own px. If None, that of the fitted ones.
        step : float
            Size of the pixels in px of the network.

        Returns
        -------
        torch.Tensor, shape (n, n_pixels, 2), n = 1 without offset
        """
        size = self.window_size if window_size is None else window_size
        weight = self.from_coordinates.weight
        line = (torch.arange(size, device=weight.device) - (size - 1) / 2) * step
        y, x = torch.meshgrid(line, line, indexing="ij")
        grid = torch.stack([y, -x], -1).reshape(1, -1, 2)
        if offset is not None:
            grid = grid - torch.stack([offset[:, 1], -offset[:, 0]], 1)[:, None]
        return grid / self.half_window

    @property
    def half_window(self) -> float:
        """Half a window in px, from the centre to the middle of the outermost pixel."""
        return (self.window_size - 1) / 2


def image_shift(angle: Tensor, shift: Tensor) -> Tensor:
    """Displacement of the content (x, y) from the shift of the turned coordinates, same unit.

    Parameters
    ----------
    angle : torch.Tensor, shape (n,)
        Turn of the coordinates.
    shift : torch.Tensor, shape (n, 2)

    Returns
    -------
    torch.Tensor, shape (n, 2)
    """
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y = -shift[:, 1], shift[:, 0]
    return -torch.stack([cos * x + sin * y, cos * y - sin * x], 1)


def coordinate_shift(angle: Tensor, displacement: Tensor) -> Tensor:
    """Invert :func:`image_shift`."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y = -displacement[:, 0], -displacement[:, 1]
    return torch.stack([sin * x + cos * y, sin * y - cos * x], 1)


def _convolution(n_in: int, n_out: int, generator: torch.Generator | None) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, 3, padding=1, device="meta")
    bound = (9 * n_in) ** -0.5
    return start_uniform(layer, bound, generator)
