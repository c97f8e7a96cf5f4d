# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Polar harmonics of sub-images: computed once, kept where there is room, checked for a fit."""

from __future__ import annotations

import logging
import tempfile
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import psutil
import torch
from torch import Tensor

from .batches import Images, Numbers, block_size, map_blocks, n_blocks
from .device import available_device

if TYPE_CHECKING:
    from ..progress import Progress
    from .geometry import HarmonicGrid

_logger = logging.getLogger(__name__)

_SHARE = 0.25  # of the memory that is free
_AT_ONCE = 512  # sub-images on the processor: what is made on the way stays small
MIN_SITES = 10  # of a fit
_FEW_SITES = 100  # too few for trustworthy uncertainties
# Sites outside this range of the median power (orders above 0: structure, not level) are left out
# of a fit: empty, or far brighter.
_POWER_RANGE = (1e-4, 30.0)


def memory_budget(budget: int | str | None = None) -> int:
    """Bytes that coefficients may take in memory.

    Parameters
    ----------
    budget : int, str or None
        Bytes, or text such as ``"2 GB"``. If None, a quarter of the free memory.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> memory_budget("2 GB")
    2000000000
    """
    if budget is None:
        return int(_SHARE * psutil.virtual_memory().available)
    try:
        if isinstance(budget, bool):
            raise ValueError
        value = int(dask.utils.parse_bytes(budget))
        if value < 0:
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        raise ValueError(
            f"memory_budget={budget!r}: give bytes as a number, text such as '2 GB', or None for a "
            "quarter of the free memory."
        ) from None
    return value


def free_memory(device: torch.device) -> int:
    """Free bytes on a graphics card; 0 for others, whose memory is that of the computer."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


class Coefficients:
    """Storage for one row of complex numbers per sub-image; files on disk are removed on leaving.

    Parameters
    ----------
    budget : int, str or None
        See :func:`memory_budget`.

    Attributes
    ----------
    array : torch.Tensor, numpy.ndarray or zarr.Array of complex64, shape (n, width), or None
        None until :meth:`allocate`.
    """

    def __init__(self, budget: int | str | None = None) -> None:
        self.budget = memory_budget(budget)
        self.array: Any = None
        self._folder: tempfile.TemporaryDirectory | None = None

    def __enter__(self) -> Coefficients:
        return self

    def __exit__(self, *error: object) -> None:
        self.array = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def allocate(
        self, n: int, width: int, device: torch.device | None = None, chunk: int = 2000
    ) -> None:
        """Allocate `array` for n sub-images: on the graphics card, in memory, or on disk.

        The first that has room is taken. On a graphics card, half of the free memory is left for
        computing. On disk, a chunk has `chunk` sub-images; those that are written together need
        not be read again.
        """
        n_bytes = 8 * n * width
        if device is not None and n_bytes <= free_memory(device) / 2:
            self.array = torch.empty((n, width), dtype=torch.complex64, device=device)
            return
        if n_bytes <= self.budget:
            self.array = np.empty((n, width), np.complex64)
            return
        import zarr

        # Where dask spills as well; None is the system's place for temporary files.
        place = dask.config.get("temporary-directory", None)
        self._folder = tempfile.TemporaryDirectory(prefix="hs_rvae-", dir=place)
        _logger.info(
            "rVAE: coefficients of %.3g GB exceed the memory budget of %.3g GB and are kept in the "
            "temporary store %s.",
            n_bytes / 1e9,
            self.budget / 1e9,
            self._folder.name,
        )
        self.array = zarr.open(
            self._folder.name,
            mode="w",
            shape=(n, width),
            chunks=(min(chunk, n), width),
            dtype="complex64",
            compressor=None,  # it would save a twentieth, and take longer than the disk
        )

    def rows(self, index: np.ndarray) -> Tensor | np.ndarray:
        """Some rows in ascending order, as a tensor or an array in memory."""
        if torch.is_tensor(self.array):
            return self.array[torch.as_tensor(index, device=self.array.device)]
        if isinstance(self.array, np.ndarray):
            return self.array[index]
        # A chunk at a time: zarr would read all that it needs before it picks the rows.
        n, chosen = self.array.chunks[0], []
        for start in range(0, len(self.array), n):
            first, last = np.searchsorted(index, (start, start + n))
            if last > first:
                chosen.append(self.array[start : start + n][index[first:last] - start])
        return np.concatenate(chosen)


def read_usable(
    images: Images,
    offsets: np.ndarray | None,
    rows: np.ndarray,
    grid: HarmonicGrid,
    level: Numbers,
    scale: Numbers,
    device: torch.device,
    progress: Progress,
    coefficients: Coefficients | None = None,
) -> tuple[Tensor, np.ndarray]:
    """Read the harmonics of the sites to fit, without those that would spoil the fit.

    Parameters
    ----------
    images : numpy.ndarray or dask.array.Array, shape (n_all, w, w)
    offsets : numpy.ndarray of float32, shape (n_all, 2), or None
    rows : numpy.ndarray of int
        Sub-images to fit.
    grid : HarmonicGrid
    level, scale : float, or numpy.ndarray of shape (n_detectors,)
        Intensity of the images that becomes 0, and the contrast that becomes 1.
    device : torch.device
    progress : Progress
    coefficients : Coefficients, optional
        Filled with the harmonics of all sites.

    Returns
    -------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    used : numpy.ndarray of int, shape (n,)
        Positions in `rows` of the sites that are left.

    Raises
    ------
    ValueError
        If too few sub-images are usable.
    """

    def transform(block: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
        x = harmonics_of(block, offset, grid, level, scale, available_device(device))
        return x.reshape(len(x), -1).cpu().numpy()

    n_left = n_blocks(images, rows if coefficients is None else None)

    def tick() -> None:
        nonlocal n_left
        n_left -= 1
        progress.step("rVAE reading")
        if progress.stopped and n_left > 0:
            raise KeyboardInterrupt("rVAE reading was interrupted: no model has been fitted.")

    width = grid.n_q * grid.n_orders
    options: dict[str, Any] = dict(width=width, dtype=np.complex64, tick=tick, device=device)
    options["name"] = "rvae-harmonics"
    if coefficients is None:
        flat = map_blocks(transform, images, offsets, rows, **options)
    else:
        coefficients.allocate(len(images), width, device, block_size(images))
        map_blocks(transform, images, offsets, out=coefficients.array, **options)
        flat = coefficients.rows(rows)
    flat = torch.as_tensor(flat, device=device)
    finite = torch.isfinite(flat[:, 0])
    used = np.flatnonzero(finite.cpu().numpy())
    harmonics = flat[finite].reshape(-1, grid.n_q, grid.n_orders)
    power = (harmonics[:, :, 1:].abs() ** 2).sum((1, 2))
    low, high = (power.median() * factor for factor in _POWER_RANGE)
    good = (power > low) & (power < high)
    harmonics, used = harmonics[good], used[good.cpu().numpy()]
    _report_usable(len(harmonics), len(flat))
    return harmonics, used


def _report_usable(n_usable: int, n_read: int) -> None:
    """Log the number of sites that are left out of a fit, and warn if few remain."""
    if n_usable < n_read:
        n_left_out = n_read - n_usable
        _logger.log(
            logging.WARNING if n_left_out > 0.05 * n_read else logging.INFO,
            "rVAE: %d of %d sites are left out of the fit: not finite, empty or far brighter than "
            "most. Images that are fitted together need the same intensity scale.",
            n_left_out,
            n_read,
        )
    check_enough(n_usable)
    if n_usable < _FEW_SITES:
        _logger.warning(
            "rVAE: %d sites are few for a model of motif, content and noise; do not trust its "
            "uncertainties.",
            n_usable,
        )


def check_enough(n_usable: int) -> None:
    """Raise ValueError if a fit would have too few sub-images."""
    if n_usable < MIN_SITES:
        raise ValueError(
            f"images: {n_usable} usable sub-images; a fit needs {MIN_SITES} at least. Check "
            "for NaN and masked sites, or apply a model fitted to another image."
        )


def normalised(block: np.ndarray, level: Numbers, scale: Numbers, device: torch.device) -> Tensor:
    """Block of sub-images on a device, with a typical level of 0 and a typical contrast of 1."""
    if isinstance(level, np.ndarray) and isinstance(scale, np.ndarray):
        level, scale = (of[:, None, None].astype(np.float32) for of in (level, scale))
        if torch.is_tensor(block):
            level, scale = (torch.as_tensor(of, device=block.device) for of in (level, scale))
    else:
        level, scale = np.float32(level), np.float32(scale)
    shown = block - level
    shown /= scale
    return torch.as_tensor(shown, device=device)


def harmonics_of(
    block: np.ndarray,
    offset: np.ndarray | None,
    grid: HarmonicGrid,
    level: Numbers,
    scale: Numbers,
    device: torch.device,
) -> Tensor:
    """Harmonics of a block of sub-images; a block of coefficients is only reshaped."""
    if block.ndim == 2:
        return torch.as_tensor(block, device=device).reshape(-1, grid.n_q, grid.n_orders)
    step = _AT_ONCE if device.type == "cpu" else max(len(block), 1)
    parts = []
    for start in range(0, max(len(block), 1), step):
        some = slice(start, start + step)
        at = None if offset is None else torch.as_tensor(offset[some], device=device)
        parts.append(grid.harmonics(normalised(block[some], level, scale, device), at))
    return torch.cat(parts)
