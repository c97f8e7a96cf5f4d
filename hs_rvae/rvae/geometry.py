# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images in polar Fourier space, where a rotation is a phase.

With ``c`` the column, ``W`` a soft disk around it and ``u`` a unit vector at azimuth ``phi``::

    F(q, phi) = sqrt(q dq dphi) sum_r W(r) x(r) exp(-2 pi i q u.(r - c))
    H(q, m)   = mean_phi F(q, phi) exp(-i m phi) * sqrt(weight_m),   m = 0 .. M

so that the sum of ``|H|**2`` over ``m >= 0`` is about half the sum of ``|W x|**2`` (a real image
has ``F(phi + pi) = conj(F(phi))``: the other half plane is redundant). Turning the content by
``theta`` (from +x towards +y, clockwise on screen) multiplies ``H(q, m)`` by ``exp(-i m theta)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

_FOLDED = 128  # sub-images that are folded at once: as many as stay in a processor's cache
_REACH = 5  # px that a column may be off the middle of its window

_Array = TypeVar("_Array", np.ndarray, Tensor)


@dataclass(frozen=True)
class HarmonicGrid:
    """Radial frequencies, orders and disk of one window size.

    Attributes
    ----------
    window_size : int
        Width of the sub-images in px.
    q_max : float
        Highest radial frequency, in cycles/px.
    n_q : int
        Number of radial frequencies, at the midpoints of equal steps.
    max_order : int
        Highest angular order M.
    """

    window_size: int
    q_max: float
    n_q: int
    max_order: int
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the matrices, which are large and can be computed again.
        return HarmonicGrid, (self.window_size, self.q_max, self.n_q, self.max_order)

    @property
    def radius(self) -> float:
        """Radius in px at half the height of the disk."""
        return self.window_size / 2 - 1.5 * self.edge

    @property
    def edge(self) -> float:
        """Width in px of the edge of the disk."""
        return max(0.6, 0.025 * self.window_size)

    @property
    def n_phi(self) -> int:
        """Number of azimuths: twice the Nyquist rate of the highest order, even."""
        return 4 * (self.max_order + 1)

    @property
    def n_orders(self) -> int:
        """Number of orders from 0, M + 1."""
        return self.max_order + 1

    @property
    def n_radial(self) -> int:
        """Number of radial frequencies of the sub-images that give the latents."""
        return self.n_q

    @property
    def n_detectors(self) -> int:
        """Number of sub-images of a site."""
        return 1

    @property
    def single(self) -> HarmonicGrid:
        """Grid of the sub-images of one detector."""
        return self

    @property
    def q(self) -> np.ndarray:
        """Radial frequencies in cycles/px, shape (n_q,)."""
        return (np.arange(self.n_q) + 0.5) * self.q_max / self.n_q

    def disk(self, offset: Tensor | None = None) -> Tensor:
        """Soft disk W around the column.

        Parameters
        ----------
        offset : torch.Tensor, shape (n, 2), optional
            Column minus window centre, (x, y) in px. If None, 0.

        Returns
        -------
        torch.Tensor, shape (w, w) or (n, w, w)
        """
        return self._disk_at(*self._pixels(), offset)

    def _disk_at(self, x: Tensor, y: Tensor, offset: Tensor | None) -> Tensor:
        """Disk at pixels (x, y) about the centre of the window."""
        if offset is not None:
            x = x - offset[:, 0, None, None]
            y = y - offset[:, 1, None, None]
        return self.falloff(torch.hypot(x, y))

    def falloff(self, distance: _Array) -> _Array:
        """Value of the disk at distances from the column, in px."""
        tanh: Any = torch.tanh if isinstance(distance, Tensor) else np.tanh
        return 0.5 * (1 - tanh((distance - self.radius) / self.edge))

    def harmonics(self, images: Tensor, offset: Tensor | None = None) -> Tensor:
        """Polar harmonics of sub-images.

        Parameters
        ----------
        images : torch.Tensor, shape (n, w, w)
            Row index first, as in the image.
        offset : torch.Tensor, shape (n, 2), optional
            Column minus window centre, (x, y) in px; None when windows are centred exactly.

        Returns
        -------
        torch.Tensor of complex64, shape (n, n_q, M + 1)
        """
        n = len(images)
        if offset is not None:
            polar = self.polar(images * self.disk(offset.cpu()).to(images.device))
            return self._orders(polar * torch.exp(2j * torch.pi * self._phase(offset)))
        found = images.new_empty((n, self.n_q, self.n_orders, 2))
        matrix = self._matrix("pixels_to_harmonics", images.device)
        matrix = matrix.reshape(-1, self.n_q, self.n_orders, 2)
        # Waves that are even or odd under the two mirrors: real or imaginary, of even or odd order.
        waves = {(y, x): matrix[:, :, (y + x) % 2 :: 2, x] for y in (0, 1) for x in (0, 1)}
        flat = {key: part.reshape(len(part), -1) for key, part in waves.items()}
        step = n if images.is_cuda else _FOLDED
        for start in range(0, n, max(step, 1)):
            some = slice(start, start + step)
            for (y, x), part in self._folded(images[some]).items():
                own = found[some, :, (y + x) % 2 :: 2, x]
                own.copy_((part @ flat[y, x]).reshape(own.shape))
        return torch.view_as_complex(found)

    def _folded(self, images: Tensor) -> dict[tuple[int, int], Tensor]:
        """Fold sub-images (n, w, w) about the middle: sums and differences with mirror images.

        The key is whether a part is odd along y and along x; each has the pixels of a quarter.
        So every harmonic takes a quarter of the multiplications.
        """
        n, half = len(images), self._half
        first, last = slice(half), slice(self.window_size - half, None)
        rows, below = images[:, first], images[:, last].flip(1)
        parts = {}
        for odd_y, strip in enumerate((rows + below, rows - below)):
            left, right = strip[:, :, first], strip[:, :, last].flip(2)
            for odd_x, part in enumerate((left + right, left - right)):
                parts[odd_y, odd_x] = part.reshape(n, -1)
        return parts

    @property
    def _half(self) -> int:
        """Rows of a quarter; the one in the middle of an odd window is folded on itself."""
        return -(-self.window_size // 2)

    def shifted_harmonics(self, images: Tensor, offset: Tensor) -> Tensor:
        """Polar harmonics about columns up to a few px off the middle; the disk moves along.

        Parameters
        ----------
        images : torch.Tensor, shape (n, s, s)
            Windows, or larger ones about the same middle. Pixels beyond them are taken from their
            border.
        offset : torch.Tensor, shape (n, 2)
            Column minus window centre, (x, y) in px, up to 5 px.

        Returns
        -------
        torch.Tensor of complex64, shape (n, n_q, M + 1)
        """
        offset = offset.clamp(-_REACH, _REACH)
        margin = _REACH - (images.shape[1] - self.window_size) // 2
        if margin > 0:
            images = nn.functional.pad(images[:, None], (margin,) * 4, mode="replicate")[:, 0]
        wide = self._cache.setdefault(
            ("wide", images.shape[1]),
            HarmonicGrid(images.shape[1], self.q_max, self.n_q, self.max_order),
        )
        x, y = (p.to(images.device) for p in wide._pixels())
        polar = wide.polar(images * self._disk_at(x, y, offset))
        return self._orders(polar * torch.exp(2j * torch.pi * self._phase(offset)))

    def gradient(self, harmonics: Tensor) -> Tensor:
        """Change of the harmonics per px of movement of the content along x and y, to first order.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)

        Returns
        -------
        torch.Tensor of complex64, shape (n, 2, n_q, M + 1)
        """
        polar = self._polar(harmonics)
        axes = torch.eye(2, device=harmonics.device)
        waves = -2j * torch.pi * self._phase(axes)  # (2, n_q, n_phi / 2)
        return self._orders(polar[:, None] * waves)

    def polar(self, windowed: Tensor) -> Tensor:
        """F(q, phi) on half of the azimuths, of sub-images multiplied by their disks.

        Parameters
        ----------
        windowed : torch.Tensor, shape (n, w, w)

        Returns
        -------
        torch.Tensor of complex64, shape (n, n_q, n_phi / 2)
        """
        flat = windowed.reshape(len(windowed), -1) @ self._matrix(
            "pixels_to_polar", windowed.device
        )
        return torch.view_as_complex(flat.reshape(len(windowed), self.n_q, self.n_phi // 2, 2))

    def images(self, harmonics: Tensor) -> Tensor:
        """Disk-shaped sub-images from polar harmonics, the inverse of :meth:`harmonics`.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)

        Returns
        -------
        torch.Tensor of float32, shape (n, w, w)
            Band-limited, about 0 outside the disk.
        """
        n = len(harmonics)
        flat = as_pairs(harmonics)
        matrix = self._matrix("harmonics_to_pixels", harmonics.device)
        return (flat @ matrix).reshape(n, self.window_size, self.window_size)

    def noise_power(self) -> np.ndarray:
        """Mean power of the harmonics of white noise of unit variance, (n_q, M + 1)."""
        matrix = self._matrix("pixels_to_harmonics", torch.device("cpu")).numpy()
        power = (matrix**2 * (4 * self._folds()[:, None])).sum(0)
        return power.reshape(self.n_q, self.n_orders, 2).sum(-1)

    def mean_image(self, harmonics: Tensor) -> Tensor:
        """Sub-image (w, w) without its disk, from its harmonics (n_q, M + 1).

        Where the disk is nearly 0 it has the mean of the disk's edge.
        """
        disk, image = self.disk(), self.images(harmonics[None])[0]
        inside = disk > 0.05
        image = image / disk.clamp(min=0.05)
        return torch.where(inside, image, image[inside & (disk < 0.5)].mean())

    def turn(self, harmonics: Tensor, angle: Tensor) -> Tensor:
        """Turn the content by `angle` (rad, shape (n,)), from +x towards +y."""
        return align(harmonics, -angle)

    def shift(self, harmonics: Tensor, shift: Tensor) -> Tensor:
        """Move the content by `shift` ((x, y) in px, shape (n, 2)), exact except at the edge."""
        polar = self._polar(harmonics)
        return self._orders(polar * torch.exp(-2j * torch.pi * self._phase(shift)))

    def _pixels(self) -> tuple[Tensor, Tensor]:
        """X and y of the pixels about the centre of the window, each (w, w)."""
        line = torch.arange(self.window_size, dtype=torch.float32) - (self.window_size - 1) / 2
        return line[None, :].expand(len(line), -1), line[:, None].expand(-1, len(line))

    def _azimuths(self) -> np.ndarray:
        return 2 * np.pi * np.arange(self.n_phi // 2) / self.n_phi

    def _phase(self, vector: Tensor) -> Tensor:
        """Q u.vector for every frequency and azimuth of the half plane, (n, n_q, n_phi / 2)."""
        q = torch.as_tensor(self.q, dtype=torch.float32, device=vector.device)
        phi = torch.as_tensor(self._azimuths(), dtype=torch.float32, device=vector.device)
        along = vector[:, :1] * torch.cos(phi) + vector[:, 1:] * torch.sin(phi)
        return q[None, :, None] * along[:, None, :]

    def _orders(self, polar: Tensor) -> Tensor:
        """Transform azimuths of the half plane to orders 0 .. M."""
        return polar @ self._to_orders(polar.device) + polar.conj() @ self._to_orders(
            polar.device, True
        )

    def _to_orders(self, device: torch.device | str, opposite: bool = False) -> Tensor:
        key = ("orders", str(device), opposite)
        if key not in self._cache:
            phi = self._azimuths()[:, None] + np.pi * opposite
            matrix = np.exp(-1j * phi * np.arange(self.n_orders)) / self.n_phi * self._weight()
            self._cache[key] = torch.as_tensor(matrix.astype(np.complex64), device=device)
        return self._cache[key]

    def _weight(self) -> np.ndarray:
        """Square root of the number of azimuths of the half plane in each order."""
        return np.sqrt(np.where(np.arange(self.n_orders) == 0, self.n_phi / 2, self.n_phi))

    def _polar(self, harmonics: Tensor) -> Tensor:
        """Transform orders 0 .. M to azimuths of the half plane."""
        m = np.arange(self.n_orders)
        matrix = np.exp(1j * m[:, None] * self._azimuths()) / self._weight()[:, None]
        positive = torch.as_tensor(matrix.astype(np.complex64), device=harmonics.device)
        negative = positive.conj().clone()
        negative[0] = 0  # order 0 is its own negative
        # For a real image H(q, -m) = (-1)^m conj(H(q, m)).
        sign = torch.as_tensor((-1.0) ** m, dtype=torch.complex64, device=harmonics.device)
        return harmonics @ positive + (harmonics.conj() * sign) @ negative

    def _matrix(self, name: str, device: torch.device) -> Tensor:
        """Matrix between pixels and harmonics, built once per device."""
        key = (name, str(device))
        if key not in self._cache:
            self._cache[key] = torch.as_tensor(getattr(self, "_" + name)(), device=device)
        return self._cache[key]

    def _plane_waves(self, n: int | None = None) -> Iterator[np.ndarray]:
        """Yield sqrt(2 q dq dphi) exp(-2 pi i q u.r) for each q, shape (w * w, n_phi / 2).

        With `n`, for the first n pixels along x and y alone, shape (n * n, n_phi / 2).
        """
        x, y = (p.numpy().astype(float) for p in self._pixels())
        phi = self._azimuths()
        step = (self.q_max / self.n_q) * 2 * np.pi / self.n_phi
        for q in self.q:
            # A wave along x times one along y: exponentials of 2 w pixels, not of w * w.
            along_x = np.exp(-2j * np.pi * q * x[0, :n, None] * np.cos(phi))
            along_y = np.sqrt(q * step) * np.exp(-2j * np.pi * q * y[:n, 0, None] * np.sin(phi))
            yield (along_y[:, None] * along_x).reshape(-1, len(phi))

    def _pixels_to_polar(self) -> np.ndarray:
        """Real and imaginary parts interleaved, (w * w, 2 n_q n_phi / 2), without the disk."""
        return _interleaved(self._plane_waves(), self.window_size**2)

    def _plane_waves_by_order(self, n: int | None = None) -> Iterator[np.ndarray]:
        """Yield the plane waves of each q in orders 0 .. M, shape (w * w or n * n, M + 1)."""
        half, opposite = (self._to_orders("cpu", o).numpy().astype(complex) for o in (False, True))
        for wave in self._plane_waves(n):
            yield wave @ half + wave.conj() @ opposite

    def _folds(self) -> np.ndarray:
        """Number of times (1, 2 or 4) that a pixel of a quarter is in its folded sum, flat."""
        line = np.ones(self._half)
        line[-1] += self.window_size % 2
        return (line[:, None] * line).ravel()

    def _pixels_to_harmonics(self) -> np.ndarray:
        """(pixels of a quarter, 2 n_q (M + 1)), disk included."""
        n = self._half
        factor = (self.disk().numpy()[:n, :n].ravel() / self._folds())[:, None]
        orders = (factor * order for order in self._plane_waves_by_order(n))
        return _interleaved(orders, n * n)

    def _harmonics_to_pixels(self) -> np.ndarray:
        """(2 n_q (M + 1), w * w): the adjoint, twice for the half plane that is not kept."""
        # The conjugate, because Re(a b) = Re a Re b - Im a Im b.
        orders = (2 * order for order in self._plane_waves_by_order())
        return np.ascontiguousarray(_interleaved(orders, self.window_size**2).T)


def _interleaved(columns: Iterable[np.ndarray], n_rows: int) -> np.ndarray:
    """Complex columns for each q as one real matrix: (n_rows, n_q * k * 2)."""
    pairs = [np.stack([c.real, c.imag], -1).astype(np.float32) for c in columns]
    return np.concatenate([p.reshape(n_rows, -1) for p in pairs], 1)


def align(harmonics: Tensor, angle: Tensor) -> Tensor:
    """Turn sites back by their angles, (n,) in radians: into the pose frame."""
    m = torch.arange(harmonics.shape[2], device=harmonics.device)
    return harmonics * torch.exp(1j * angle[:, None] * m)[:, None, :]


def images_on(
    grid: HarmonicGrid,
    harmonics: Tensor,
    window_size: int,
    step: float = 1.0,
    shift: Tensor | None = None,
) -> Tensor:
    """Sub-images of another window or pixel size, from the harmonics of `grid`: no interpolation.

    Parameters
    ----------
    grid : HarmonicGrid
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    window_size : int
        Width of the sub-images to draw, in their own px.
    step : float
        Size of their pixels, in px of the grid.
    shift : torch.Tensor, shape (n, 2), optional
        Displacement of the content (x, y), in px of the sub-images to draw.

    Returns
    -------
    torch.Tensor of float32, shape (n, window_size, window_size)
    """
    same = window_size == grid.window_size and step == 1
    other = grid
    if not same:
        key = ("grid", window_size, step)
        new = HarmonicGrid(window_size, grid.q_max * step, grid.n_q, grid.max_order)
        other = grid._cache.setdefault(key, new)
    if shift is not None:
        harmonics = other.shift(harmonics, shift)
    images = other.images(harmonics) / step
    if same:
        return images
    # Frequencies in steps repeat the disk further out; a larger window must not show that.
    reach = torch.hypot(*other._pixels()) * step < 0.65 * grid.window_size
    return images * reach.to(images.device)


def disk_on(
    grid: HarmonicGrid, window_size: int, step: float = 1.0, offset: np.ndarray | None = None
) -> np.ndarray:
    """Soft disk of `grid` on the pixels of another window.

    Parameters
    ----------
    grid : HarmonicGrid
    window_size : int
        Width of the window in its own px.
    step : float
        Size of its pixels, in px of the grid.
    offset : numpy.ndarray, shape (n, 2), optional
        Column minus window centre, (x, y) in px of the window. If None, 0.

    Returns
    -------
    numpy.ndarray of float32, shape (n, window_size, window_size), n = 1 without offsets
    """
    line = np.arange(window_size, dtype=np.float32) - (window_size - 1) / 2
    x, y = np.zeros((2, 1, 1, 1))
    if offset is not None:
        x, y = np.asarray(offset, np.float32).T[:, :, None, None]
    return grid.falloff(np.hypot(line - x, line[:, None] - y) * step).astype(np.float32)


def waves(angle: Tensor, n_m: int) -> Tensor:
    """exp(i m angle) and its first two derivatives by the angle, as real numbers.

    Returns
    -------
    torch.Tensor, shape (k, 2 (M + 1), 3)
        Real parts of all orders, then imaginary parts.
    """
    m = torch.arange(n_m, device=angle.device, dtype=torch.float32)
    cos, sin = torch.cos(angle[:, None] * m), torch.sin(angle[:, None] * m)
    derivatives = [torch.cat([cos, sin], 1), torch.cat([-m * sin, m * cos], 1)]
    return torch.stack([*derivatives, -torch.cat([m**2 * cos, m**2 * sin], 1)], 2)


def by_order(harmonics: Tensor) -> Tensor:
    """Reorder (n, n_q, M + 1) to contiguous (M + 1, n, n_q)."""
    return harmonics.permute(2, 0, 1).contiguous()


def as_pairs(harmonics: Tensor) -> Tensor:
    """Complex (n, n_q, M + 1) as rows (n, 2 n_q (M + 1)) of real and imaginary parts in turn."""
    return torch.view_as_real(harmonics.contiguous()).flatten(1)


def to_real(harmonics: Tensor) -> Tensor:
    """Complex (n, n_q, M + 1) to real (n, n_q (2 M + 1)): order 0, then pairs per order."""
    pairs = torch.view_as_real(harmonics[:, :, 1:].contiguous()).permute(0, 2, 3, 1)
    return torch.cat([harmonics[:, :, 0].real, pairs.flatten(1)], 1)


def to_complex(real: Tensor, shape: Sequence[int]) -> Tensor:
    """Invert :func:`to_real`; `shape` is (n_q, M + 1)."""
    n_q, n_m = shape
    pairs = real[:, n_q:].reshape(len(real), n_m - 1, 2, n_q).permute(0, 3, 1, 2).contiguous()
    order_0 = torch.complex(real[:, :n_q], torch.zeros_like(real[:, :n_q]))
    return torch.cat([order_0[:, :, None], torch.view_as_complex(pairs)], 2)
