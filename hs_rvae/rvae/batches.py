# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images in blocks, from memory or from dask, and shuffled batches for training."""

import numpy as np
import torch

_BLOCK_PIXELS = 5_000_000  # per block: 20 MB of float32, 2000 sub-images of 48 x 48


def block_size(images):
    """Number of sub-images in a block."""
    return max(16, _BLOCK_PIXELS // images.shape[1] ** 2)


def map_blocks(function, images, offsets=None, rows=None, *, width, dtype=np.float32):
    """Apply a function to sub-images block by block; of a dask array only blocks are in memory.

    A dask array is computed once as a whole, its blocks in threads, so that what they share (the
    image that windows are cut from) is read once.

    Parameters
    ----------
    function : callable
        ``function(block, offsets) -> (k, width)`` for ``block`` (k, w, w), float32 and finite, and
        ``offsets`` (k, 2) or None.
    images : numpy.ndarray or dask.array.Array, shape (n, w, w)
    offsets : numpy.ndarray, shape (n, 2), optional
    rows : numpy.ndarray of int, optional
        Sub-images wanted; default all.
    width : int
        Columns of the result.
    dtype : numpy.dtype
        Of the result.

    Returns
    -------
    numpy.ndarray, shape (len(rows), width)
        NaN for sub-images with pixels that are not finite.
    """
    size = block_size(images)

    def of_block(block, offset=None):
        result = np.full((len(block), width), np.nan, dtype)
        for start in range(0, len(block), size):
            part = np.ascontiguousarray(block[start : start + size], dtype=np.float32)
            good = np.isfinite(part).all((1, 2))
            if good.any():
                shift = None if offset is None else offset[start : start + size][good]
                result[start : start + size][good] = function(part[good], shift)
        return result

    if rows is not None and len(rows) < len(images):
        offsets = None if offsets is None else offsets[rows]
        if hasattr(images, "dask"):
            images = images[rows]
    else:
        rows = np.arange(len(images))
    if not hasattr(images, "dask"):
        pieces = [slice(start, start + size) for start in range(0, len(rows), size)]
        parts = (None if offsets is None else offsets[piece] for piece in pieces)
        return np.concatenate(
            [of_block(images[rows[p]], part) for p, part in zip(pieces, parts, strict=True)]
        )
    images = images.rechunk({1: -1, 2: -1})
    arrays = []
    if offsets is not None:
        import dask.array as da

        # A third axis, so that blocks of both arrays pair up.
        arrays.append(da.from_array(offsets[:, :, None], chunks=(images.chunks[0], 2, 1)))

    def of_blocks(block, offset=None):
        return of_block(block, None if offset is None else offset[:, :, 0])[:, :, None]

    empty, chunks = np.empty((0, 0, 0), dtype), (images.chunks[0], width, 1)
    result = images.map_blocks(of_blocks, *arrays, dtype=dtype, chunks=chunks, meta=empty)
    return result.compute(scheduler="threads")[:, :, 0]


def n_blocks(images, rows=None):
    """Number of times that :func:`map_blocks` calls its function, about."""
    n = len(images) if rows is None else len(rows)
    return max(-(-n // block_size(images)), len(images.chunks[0]) if hasattr(images, "dask") else 1)


def spread_rows(rows, n, n_runs=8):
    """About n of the rows, in a few runs spread evenly over all: few chunks to read.

    Parameters
    ----------
    rows : numpy.ndarray of int
    n, n_runs : int

    Returns
    -------
    numpy.ndarray of int
    """
    length = -(-n // n_runs)
    starts = np.linspace(0, max(len(rows) - length, 0), n_runs).astype(int)
    return np.unique(np.concatenate([rows[start : start + length] for start in starts]))


def shuffled_batches(n, batch_size, generator):
    """Indices of one epoch in random order, without a last batch of less than half the size.

    Parameters
    ----------
    n, batch_size : int
    generator : torch.Generator

    Yields
    ------
    torch.Tensor of int64
    """
    order = torch.randperm(n, generator=generator)
    for start in range(0, n, batch_size):
        batch = order[start : start + batch_size]
        if start == 0 or len(batch) >= batch_size // 2:
            yield batch
