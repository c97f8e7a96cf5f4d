# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Covariances of harmonics: isotropic noise, one Hermitian block per order, and a few factors.

Vectors are in the order of :func:`~hs_rvae.rvae.geometry.to_real`.
"""

from __future__ import annotations

from collections.abc import Sequence

import scipy.linalg
import torch
from torch import Tensor

from ..threads import one_thread
from .geometry import to_complex

# Floor of the noise per order: share of the mean power of that order, of the overall mean.
_FLOOR = (0.05, 1e-3)


@one_thread()
def factor_analysis(
    covariance: Tensor,
    shape: Sequence[int],
    n_factors: int,
    smallest: float | Tensor = 0.0,
    n_iterations: int = 3,
) -> tuple[Tensor, Tensor]:
    """Split a pose-frame covariance into isotropic noise and factors.

    Parameters
    ----------
    covariance : torch.Tensor of float64, shape (D, D)
        Covariance, in the order of :func:`to_real`.
    shape : tuple of int
        (n_q, M + 1).
    n_factors : int
    smallest : float
        Minimum variance of the noise, for sites without noise.
    n_iterations : int

    Returns
    -------
    noise : torch.Tensor of complex64, shape (M + 1, n_q, n_q)
    factors : torch.Tensor of complex64, shape (J, n_q, M + 1)
    """
    smallest = torch.as_tensor(smallest, dtype=covariance.dtype, device=covariance.device)
    noise = _project_isotropic(covariance, shape, smallest)
    factors = covariance[:, :0]
    for _ in range(n_iterations if n_factors else 0):
        value, root = torch.linalg.eigh(noise)
        half = (root * value.sqrt()[:, None, :]) @ root.conj().transpose(1, 2)
        inverse = (root * value.rsqrt()[:, None, :]) @ root.conj().transpose(1, 2)
        white = _apply_blocks(inverse, _apply_blocks(inverse, covariance).T)
        value, vector = _leading(0.5 * (white + white.T), n_factors)
        factors = _apply_blocks(half, vector * (value - 1).clamp(min=0).sqrt())
        noise = _project_isotropic(covariance - factors @ factors.T, shape, smallest)
    if not factors.shape[1]:
        return noise.to(torch.complex64), noise.new_zeros((0, *shape), dtype=torch.complex64)
    return noise.to(torch.complex64), to_complex(factors.T.float(), shape)


def _leading(matrix: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest eigenvalues of a symmetric matrix and their vectors."""
    last = len(matrix) - 1
    value, vector = scipy.linalg.eigh(matrix.cpu().numpy(), subset_by_index=[last - k + 1, last])
    return torch.as_tensor(value, device=matrix.device), torch.as_tensor(
        vector, device=matrix.device
    )


def positive(blocks: Tensor, minimum: float | Tensor) -> Tensor:
    """Raise the eigenvalues of Hermitian blocks to `minimum` or above."""
    value, vector = torch.linalg.eigh(0.5 * (blocks + blocks.conj().transpose(1, 2)))
    value = value.clamp(min=minimum).to(vector.dtype)
    return (vector * value[:, None, :]) @ vector.conj().transpose(1, 2)


def _project_isotropic(covariance: Tensor, shape: Sequence[int], smallest: Tensor) -> Tensor:
    """Nearest covariance that commutes with every rotation: a Hermitian block per order."""
    n_q, n_m = shape
    order_0 = covariance[:n_q, :n_q].to(torch.complex128)
    pairs = covariance[n_q:, n_q:].reshape(n_m - 1, 2, n_q, n_m - 1, 2, n_q)
    pairs = torch.diagonal(pairs, dim1=0, dim2=3)  # (2, n_q, 2, n_q, M)
    even = (pairs[0, :, 0] + pairs[1, :, 1]) / 2
    odd = (pairs[1, :, 0] - pairs[0, :, 1]) / 2
    blocks = torch.complex(even, odd).permute(2, 0, 1)
    blocks = torch.cat([order_0[None], blocks])
    minimum = torch.maximum(1e-4 * torch.diagonal(covariance).mean(), smallest)
    return with_floor(positive(blocks, minimum))


def _apply_blocks(blocks: Tensor, x: Tensor) -> Tensor:
    """Apply a complex matrix per order, (M + 1, n_q, n_q), to real columns (D, k)."""
    n_m, n_q, _ = blocks.shape
    order_0 = blocks[0].real @ x[:n_q]
    pairs = x[n_q:].reshape(n_m - 1, 2, n_q, -1)
    real, imaginary = blocks[1:].real, blocks[1:].imag
    pairs = torch.stack(
        [
            real @ pairs[:, 0] - imaginary @ pairs[:, 1],
            imaginary @ pairs[:, 0] + real @ pairs[:, 1],
        ],
        1,
    )
    return torch.cat([order_0, pairs.reshape(len(x) - n_q, -1)])


def with_floor(noise: Tensor) -> Tensor:
    """Add a floor to the noise, so that orders without signal carry little weight."""
    trace = torch.diagonal(noise, dim1=1, dim2=2).real.sum(1) / noise.shape[1]
    floor = _FLOOR[0] * trace + _FLOOR[1] * trace.mean()
    eye = torch.eye(noise.shape[1], dtype=noise.dtype, device=noise.device)
    noise = noise + floor[:, None, None] * eye
    noise[0] = noise[0].real.to(noise.dtype)
    return noise
