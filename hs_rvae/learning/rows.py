# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images as rows, read in blocks of about 32 MB."""

import threading
from dataclasses import dataclass

import numpy as np

_BLOCK_BYTES = 2**25


@dataclass
class Summary:
    """What values sub-images have.

    Attributes
    ----------
    low, high : float
        Lowest and highest finite value.
    constant : bool
        Whether all rows are alike.
    bad_rows : numpy.ndarray of int
        Rows with values that are not finite.
    """

    low: float
    high: float
    constant: bool
    bad_rows: np.ndarray


def summarise(flat):
    """Values of sub-images in memory or in dask, read once.

    Parameters
    ----------
    flat : numpy.ndarray or dask.array.Array, shape (n, p)

    Returns
    -------
    Summary
    """
    lock, found = threading.Lock(), []

    def of_block(block, start):
        finite = np.isfinite(block).all(1)
        good = block if finite.all() else block[finite]
        part = [np.inf, -np.inf, None, True]
        if len(good):
            # A copy: a view would keep the block in memory.
            part = [good.min(), good.max(), good[0].copy(), bool((good == good[0]).all())]
        with lock:
            found.append((start, start + np.flatnonzero(~finite), part))

    if hasattr(flat, "dask"):
        for_each_block(of_block, flat)
    else:
        rows = _rows_per_block(flat)
        for start in range(0, len(flat), rows):
            of_block(flat[start : start + rows], start)
    found.sort(key=lambda one: one[0])
    firsts = [part[2] for *_, part in found if part[2] is not None]
    constant = all(part[3] for *_, part in found)
    constant &= all((first == firsts[0]).all() for first in firsts)
    low, high = (float(f(part[i] for *_, part in found)) for i, f in enumerate((min, max)))
    return Summary(low, high, bool(constant), np.concatenate([bad for _, bad, _ in found]))


def as_blocks(images, rows=None, pixels=None):
    """Sub-images as rows of a dask array, in blocks of about 32 MB.

    Parameters
    ----------
    images : dask.array.Array, shape (n, h, w)
    rows, pixels : numpy.ndarray of int, optional
        Sub-images, and pixels of the flattened sub-image, that are wanted.

    Returns
    -------
    dask.array.Array, shape (len(rows), len(pixels))
    """
    images = images.rechunk({axis: -1 for axis in range(1, images.ndim)})
    chunks = (images.chunks[0], (int(np.prod(images.shape[1:])),))
    flat = images.map_blocks(
        lambda block: block.reshape(len(block), -1),
        drop_axis=list(range(2, images.ndim)),
        chunks=chunks,
        dtype=images.dtype,
        meta=np.empty((0, 0), images.dtype),
    )
    if rows is not None:
        flat = flat[rows]
    if pixels is not None:
        flat = flat[:, pixels].rechunk({1: -1})
    if max(flat.chunks[0]) > 2 * _rows_per_block(flat):
        flat = flat.rechunk({0: _rows_per_block(flat)})
    return flat


def _rows_per_block(flat):
    return max(1, _BLOCK_BYTES // (flat.shape[1] * flat.dtype.itemsize))


def for_each_block(function, flat):
    """Call ``function(block, start)`` for all blocks of rows, in threads, in one computation."""

    def call(block, block_info=None):
        function(block, block_info[0]["array-location"][0][0])
        return np.zeros((1, 1), bool)

    chunks = ((1,) * len(flat.chunks[0]), (1,))
    meta = np.empty((0, 0), bool)
    # Threads: the function adds to what it shares with the others.
    flat.map_blocks(call, dtype=bool, chunks=chunks, meta=meta).compute(scheduler="threads")


def mean_square(flat, mean):
    """Sum of squares about a mean that broadcasts, divided by the number of rows.

    Parameters
    ----------
    flat : numpy.ndarray, shape (n, p)
    mean : numpy.ndarray or None

    Returns
    -------
    float
    """
    rows, total = _rows_per_block(flat), 0.0
    for start in range(0, len(flat), rows):
        block = flat[start : start + rows].astype(np.float64)
        if mean is not None:
            block -= mean if len(mean) == 1 else mean[start : start + rows]
        total += float((block * block).sum())
    return total / len(flat)


def project(function, flat, width, dtype):
    """Rows that ``function(block) -> (k, width)`` makes of each block, in memory."""
    result = flat.map_blocks(
        function,
        dtype=dtype,
        chunks=(flat.chunks[0], (width,)),
        meta=np.empty((0, 0), dtype),
    )
    return result.compute(scheduler="threads")


def sum_rows(flat, members):
    """Sums of the rows of several groups, in one reading.

    Parameters
    ----------
    flat : dask.array.Array, shape (n, p)
    members : numpy.ndarray of bool, shape (k, n)

    Returns
    -------
    numpy.ndarray of float64, shape (k, p)
    """
    sums, lock = np.zeros((len(members), flat.shape[1])), threading.Lock()

    def add(block, start):
        weights = members[:, start : start + len(block)]
        # Rows of no group may hold NaN.
        wanted = weights.any(0)
        part = weights[:, wanted].astype(np.float64) @ block[wanted].astype(np.float64)
        with lock:
            sums[:] += part

    for_each_block(add, flat)
    return sums


def working_type(dtype):
    """float32 for data that it holds, else float64."""
    small = dtype.itemsize < 4 or (dtype.kind == "f" and dtype.itemsize == 4)
    return np.dtype(np.float32 if small else np.float64)
