# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images as rows of pixels, in memory or in dask, read in blocks of about 32 MB."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_BLOCK_BYTES = 2**25


@dataclass
class Summary:
    """
    Range of the values of rows.

    Attributes
    ----------
    low, high : float
        Lowest and highest value of the finite rows.
    constant : bool
        Whether all finite rows are the same.
    bad_rows : numpy.ndarray of int
        Rows with values that are not finite.
    """

    low: float
    high: float
    constant: bool
    bad_rows: np.ndarray


def summarise(rows: Any) -> Summary:
    """
    Range of the values of rows, in one reading.

    Parameters
    ----------
    rows : numpy.ndarray or dask.array.Array of shape (n, p)

    Returns
    -------
    Summary

    Examples
    --------
    >>> summarise(np.array([[1.0, 2.0], [1.0, 2.0], [np.nan, 0.0]]))
    Summary(low=1.0, high=2.0, constant=True, bad_rows=array([2]))
    """
    lows: list[np.ndarray] = []
    highs: list[np.ndarray] = []
    bad: list[np.ndarray] = []

    def add(block: np.ndarray, start: int) -> None:
        finite = np.isfinite(block).all(1)
        bad.append(start + np.flatnonzero(~finite))
        if finite.any():
            good = block if finite.all() else block[finite]
            lows.append(good.min(0))
            highs.append(good.max(0))

    for_each_block(add, rows)
    bad_rows = np.sort(np.concatenate(bad))
    if not lows:
        return Summary(np.inf, -np.inf, True, bad_rows)
    low, high = np.min(lows, 0), np.max(highs, 0)
    return Summary(float(low.min()), float(high.max()), bool((low == high).all()), bad_rows)


def as_blocks(
    images: Any, sites: np.ndarray | None = None, pixels: np.ndarray | None = None
) -> Any:
    """
    Sub-images as rows of a dask array, in blocks of about 32 MB.

    Parameters
    ----------
    images : dask.array.Array of shape (n, h, w)
    sites, pixels : numpy.ndarray of int, optional
        Sub-images, and pixels of the flattened sub-image, to keep. If None, all.

    Returns
    -------
    dask.array.Array of shape (len(sites), len(pixels))
    """
    images = images.rechunk({axis: -1 for axis in range(1, images.ndim)})
    rows = images.map_blocks(
        lambda block: block.reshape(len(block), -1),
        drop_axis=list(range(2, images.ndim)),
        chunks=(images.chunks[0], (int(np.prod(images.shape[1:])),)),
        dtype=images.dtype,
        meta=np.empty((0, 0), images.dtype),
    )
    if sites is not None:
        rows = rows[sites]
    if pixels is not None:
        rows = rows[:, pixels].rechunk({1: -1})
    if max(rows.chunks[0]) > 2 * _rows_per_block(rows):
        rows = rows.rechunk({0: _rows_per_block(rows)})
    return rows


def _rows_per_block(rows: Any) -> int:
    return max(1, _BLOCK_BYTES // (rows.shape[1] * rows.dtype.itemsize))


def for_each_block(function: Callable[[np.ndarray, int], None], rows: Any) -> None:
    """Call ``function(block, start)`` for all blocks of rows; those of dask in threads, once."""
    if not hasattr(rows, "dask"):
        size = _rows_per_block(rows)
        for start in range(0, len(rows), size):
            function(rows[start : start + size], start)
        return

    def call(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        function(block, block_info[0]["array-location"][0][0])
        return np.zeros((1, 1), bool)

    chunks = ((1,) * len(rows.chunks[0]), (1,))
    meta = np.empty((0, 0), bool)
    # In threads, because the function adds to variables that all blocks share.
    rows.map_blocks(call, dtype=bool, chunks=chunks, meta=meta).compute(scheduler="threads")


def map_blocks(
    function: Callable[[np.ndarray], np.ndarray], rows: Any, width: int, dtype: Any
) -> np.ndarray:
    """Rows of shape (n, width) in memory: ``function(block)`` of each block of a dask array."""
    result = rows.map_blocks(
        function, dtype=dtype, chunks=(rows.chunks[0], (width,)), meta=np.empty((0, 0), dtype)
    )
    return result.compute(scheduler="threads")


def mean_square(rows: np.ndarray, mean: np.ndarray | None) -> float:
    """
    Sum of squares about a mean that broadcasts, divided by the number of rows.

    Parameters
    ----------
    rows : numpy.ndarray of shape (n, p)
    mean : numpy.ndarray of shape (1, p) or (n, 1), or None
    """
    squares = []

    def add(block: np.ndarray, start: int) -> None:
        block = block.astype(np.float64)
        if mean is not None:
            block -= mean if len(mean) == 1 else mean[start : start + len(block)]
        squares.append(float((block * block).sum()))

    for_each_block(add, rows)
    return sum(squares) / len(rows)


def sum_rows(rows: Any, members: np.ndarray) -> np.ndarray:
    """
    Sums of the rows of several groups, in one reading.

    Parameters
    ----------
    rows : numpy.ndarray or dask.array.Array of shape (n, p)
        Rows of no group may hold NaN.
    members : numpy.ndarray of bool, shape (k, n)

    Returns
    -------
    numpy.ndarray of float64, shape (k, p)
    """
    if not hasattr(rows, "dask"):
        return np.stack([rows[group].sum(0, dtype=np.float64) for group in members])
    sums, lock = np.zeros((len(members), rows.shape[1])), threading.Lock()

    def add(block: np.ndarray, start: int) -> None:
        weights = members[:, start : start + len(block)]
        needed = weights.any(0)
        part = weights[:, needed].astype(np.float64) @ block[needed].astype(np.float64)
        with lock:
            sums[:] += part

    for_each_block(add, rows)
    return sums


def working_type(dtype: np.dtype) -> np.dtype:
    """Choose float32 for data that it holds exactly, and float64 otherwise."""
    small = dtype.itemsize < 4 or (dtype.kind == "f" and dtype.itemsize == 4)
    return np.dtype(np.float32 if small else np.float64)
