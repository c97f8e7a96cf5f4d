# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images read as harmonics, and which of them a fit can use."""

import logging

import numpy as np
import torch

from .batches import map_blocks, n_blocks
from .device import here

_logger = logging.getLogger(__name__)

_FEWEST_SITES = 10
_FEW_TO_TRUST = 100
# Sites outside this range of the median power (orders above 0: structure, not level) are left out
# of a fit: empty, or far brighter.
_POWER_RANGE = (1e-4, 30.0)


def read_usable(images, offsets, rows, grid, level, scale, device, progress, coefficients=None):
    """Harmonics of the sites to fit, without those that would spoil the fit, and which are left.

    `coefficients` are filled with those of all sites.
    """

    def transform(block, offset):
        x = harmonics_of(block, offset, grid, level, scale, here(device))
        return x.reshape(len(x), -1).cpu().numpy()

    left = n_blocks(images, rows if coefficients is None else None)

    def tick():
        nonlocal left
        left -= 1
        progress.step("rVAE reading")
        if progress.stopped and left > 0:
            raise KeyboardInterrupt("rVAE reading was interrupted: no model has been fitted.")

    width = grid.n_q * grid.n_orders
    options = dict(width=width, dtype=np.complex64, tick=tick, name="rvae-harmonics")
    options["device"] = device
    if coefficients is None:
        flat = map_blocks(transform, images, offsets, rows, **options)
    else:
        coefficients.allocate(len(images), width, device)
        map_blocks(transform, images, offsets, out=coefficients.array, **options)
        flat = coefficients.rows(rows)
    n_seen, flat = len(flat), torch.as_tensor(flat, device=device)
    finite = torch.isfinite(flat[:, 0])
    used = np.flatnonzero(finite.cpu().numpy())
    harmonics = flat[finite].reshape(-1, grid.n_q, grid.n_orders)
    power = (harmonics[:, :, 1:].abs() ** 2).sum((1, 2))
    low, high = (power.median() * factor for factor in _POWER_RANGE)
    good = (power > low) & (power < high)
    harmonics, used = harmonics[good], used[good.cpu().numpy()]
    if len(harmonics) < n_seen:
        left_out = n_seen - len(harmonics)
        _logger.log(
            logging.WARNING if left_out > 0.05 * n_seen else logging.INFO,
            "rVAE: %d of %d sites are left out of the fit: not finite, empty or far brighter than "
            "most. Images that are fitted together need the same intensity scale.",
            left_out,
            n_seen,
        )
    check_enough(len(harmonics))
    if len(harmonics) < _FEW_TO_TRUST:
        _logger.warning(
            "rVAE: %d sites are few for a model of motif, content and noise; do not trust its "
            "uncertainties.",
            len(harmonics),
        )
    return harmonics, used


def check_enough(n_usable):
    """Raise ValueError if a fit would have too few sub-images."""
    if n_usable < _FEWEST_SITES:
        raise ValueError(
            f"images: {n_usable} usable sub-images; a fit needs {_FEWEST_SITES} at least. Check "
            "for NaN and masked sites, or apply a model fitted to another image."
        )


def harmonics_of(block, offset, grid, level, scale, device):
    """Harmonics of a block of sub-images on the device; taken as they are if known already."""
    if block.ndim == 2:
        return torch.as_tensor(block, device=device).reshape(-1, grid.n_q, grid.n_orders)
    x = torch.as_tensor((block - np.float32(level)) / np.float32(scale), device=device)
    return grid.harmonics(x, None if offset is None else torch.as_tensor(offset, device=device))
