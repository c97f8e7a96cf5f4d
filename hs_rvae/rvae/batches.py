# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images in blocks, from memory or from dask, and shuffled batches for training."""

import numpy as np
import torch

BLOCK = 2048  # sub-images per block: 19 MB of 48 x 48 float32


def iterate_blocks(images, rows=None):
    """Blocks of sub-images as float32 arrays, a dask array one chunk at a time.

    Parameters
    ----------
    images : numpy.ndarray or dask.array.Array, shape (n, w, w)
    rows : numpy.ndarray of int, optional
        Ascending indices of the sub-images wanted; default all.

    Yields
    ------
    index : numpy.ndarray of int, shape (k,)
        Position of the block's sub-images in `images`.
    block : numpy.ndarray of float32, shape (k, w, w)
    """
    for start, stop, wanted in _chunks(images, rows):
        block = images[start:stop]
        if hasattr(block, "compute"):
            block = block.compute()
        if len(wanted) < len(block):
            block = block[wanted - start]
        for part in range(0, len(wanted), BLOCK):
            piece = slice(part, part + BLOCK)
            yield wanted[piece], np.ascontiguousarray(block[piece], dtype=np.float32)


def n_blocks(images, rows=None):
    """Number of blocks that :func:`iterate_blocks` yields."""
    return sum(-(-len(wanted) // BLOCK) for _, _, wanted in _chunks(images, rows))


def _chunks(images, rows):
    """Start and stop of the chunks that hold wanted rows, and these rows."""
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    sizes = images.chunks[0] if hasattr(images, "dask") else (BLOCK,) * -(-len(images) // BLOCK)
    start = 0
    for size in sizes:
        wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + size)]
        if len(wanted):
            yield start, start + size, wanted
        start += size


def spread_rows(rows, n, n_runs=8):
    """About n of the rows, in a few runs spread evenly over all: few chunks to read, no corner left out.

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
