# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Polar harmonics of all sub-images, computed once: on the graphics card, in memory, or on disk."""

import logging
import tempfile

import dask
import numpy as np
import psutil
import torch

_logger = logging.getLogger(__name__)

_SHARE = 0.25  # of the memory that is free
_CHUNK_BYTES = 2**23


def memory_budget(budget=None):
    """Bytes that coefficients may take in memory.

    Parameters
    ----------
    budget : int, str or None
        Bytes, text such as ``"2 GB"``, or None for a quarter of the memory that is free.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is neither.

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


def free_memory(device):
    """Bytes that are free on a graphics card; 0 for others, whose memory is the computer's."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


class Coefficients:
    """Room for one row of complex numbers per sub-image; a store on disk is removed on leaving.

    Parameters
    ----------
    budget : int, str or None
        See :func:`memory_budget`.

    Attributes
    ----------
    array : torch.Tensor, numpy.ndarray or zarr.Array of complex64, shape (n, width), or None
        None until :meth:`allocate`.
    """

    def __init__(self, budget=None):
        self.budget = memory_budget(budget)
        self.array = None
        self._folder = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.array = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def allocate(self, n, width, device=None):
        """Make `array` for n sub-images: where the model computes, in memory, or on disk.

        The first that has room. On a graphics card, half of what is free is left for the work.
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
        rows = max(1, _CHUNK_BYTES // (8 * width))
        self.array = zarr.open(
            self._folder.name,
            mode="w",
            shape=(n, width),
            chunks=(min(rows, n), width),
            dtype="complex64",
        )

    def rows(self, index):
        """Some rows in ascending order, as a tensor or an array in memory."""
        if torch.is_tensor(self.array):
            return self.array[torch.as_tensor(index, device=self.array.device)]
        if isinstance(self.array, np.ndarray):
            return self.array[index]
        # A chunk at a time: zarr would read all that it needs before it takes anything from them.
        n, chosen = self.array.chunks[0], []
        for start in range(0, len(self.array), n):
            first, last = np.searchsorted(index, (start, start + n))
            if last > first:
                chosen.append(self.array[start : start + n][index[first:last] - start])
        return np.concatenate(chosen)
