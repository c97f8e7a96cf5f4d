# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images in blocks, from memory or from dask, and shuffled batches for training."""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import dask
import numpy as np
import torch
from numpy.typing import DTypeLike
from scipy.spatial import cKDTree
from torch import Tensor

from ..parallel import active_client, graph_node, run_tasks
from ..threads import keep_number_of_new_threads, one_thread, side_by_side
from .torch_state import in_default_torch_state

_logger = logging.getLogger(__name__)

#: Sub-images (n, w, w), or (n, n_detectors, w, w), a NumPy or dask array; inside the room also
#: their coefficients (n, k), a NumPy or zarr array or a tensor.
Images: TypeAlias = Any
#: A number, or one for each detector.
Numbers: TypeAlias = Any

_Piece = TypeVar("_Piece")
_Block = TypeVar("_Block")

_PATCH = 100  # sites of a patch of neighbours
_BLOCK_PIXELS = 5_000_000  # per block: 20 MB of float32, 2000 sub-images of 48 x 48
_BLOCK_SITES = 1000  # per block of coefficients on the processor: enough blocks for all threads
_TRIMMED = 8  # blocks of a dask array after which freed memory goes back to the system


def block_size(images: Images) -> int:
    """Number of sub-images in a block."""
    if images.ndim == 2 and not (torch.is_tensor(images) and images.is_cuda):
        return _BLOCK_SITES
    return max(16, _BLOCK_PIXELS // int(np.prod(images.shape[1:])))


def map_blocks(
    function: Callable[..., np.ndarray],
    images: Images,
    offsets: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    *,
    width: int,
    dtype: DTypeLike = np.float32,
    out: Any = None,
    tick: Callable[[], object] | None = None,
    name: str = "rvae-blocks",
    device: torch.device | None = None,
    threads_inside: bool = False,
) -> Any:
    """Apply a function to sub-images block by block; only blocks of a dask array are in memory.

    A dask array is computed once as a whole, so that what its blocks share (the image that windows
    are cut from) is read once: in threads, or on the workers of dask.distributed. Its chunks do
    not change the result: they are put together to the blocks of an array in memory. Several
    blocks are in work at once, each on one thread.

    Parameters
    ----------
    function : callable
        ``function(block, offsets) -> (k, width)`` for ``block`` (k, w, w), float32 and finite, and
        ``offsets`` (k, 2) or None. Workers get a copy of it.
    images : numpy.ndarray or dask.array.Array, shape (n, w, w)
        Alternatively their coefficients, complex64 (n, k): a NumPy or zarr array, or a tensor.
    offsets : numpy.ndarray, shape (n, 2), optional
    rows : numpy.ndarray of int, optional
        Sub-images to read. If None, all.
    width : int
        Columns of the result.
    dtype : numpy.dtype
        Type of the result.
    out : array of shape (n, width), optional
        Destination of the result: a NumPy or zarr array, or a tensor.
    tick : callable, optional
        Called after every block.
    name : str
        Name of the tasks on the dashboard of dask.
    device : torch.device, optional
        A graphics card to which arrays in memory are copied block by block, the next one while
        the function works on this one. Several blocks of a dask array are read at once anyhow.
    threads_inside : bool
        Work on one block of an array in memory after the other, with torch's threads inside.

    Returns
    -------
    numpy.ndarray, shape (len(rows), width), or `out`
        NaN for sub-images with pixels that are not finite.
    """
    work = _Work(function, width, dtype, block_size(images))
    if rows is not None and len(rows) < len(images):
        offsets = None if offsets is None else offsets[rows]
        if hasattr(images, "dask"):
            images = images[rows]
    else:
        rows = None
    n = len(images) if rows is None or hasattr(images, "dask") else len(rows)
    out = np.empty((n, width), dtype) if out is None else out
    if hasattr(images, "dask"):
        _map_dask(work, images, offsets, out, tick, name)
        return out

    pieces = [slice(start, start + work.size) for start in range(0, n, work.size)]

    def read(piece: slice) -> np.ndarray | Tensor:
        block = images[piece] if rows is None else images[rows[piece]]
        if on_host or torch.is_tensor(block):
            return block
        kept = block if np.iscomplexobj(block) else np.ascontiguousarray(block, dtype=np.float32)
        return torch.from_numpy(kept).pin_memory().to(device, non_blocking=True)

    def both(piece: slice) -> np.ndarray:
        return work(read(piece), None if offsets is None else offsets[piece])

    on_host = device is None or device.type == "cpu"
    results: Iterator[np.ndarray]
    if on_host and not threads_inside:
        results = side_by_side(both, pieces)
    else:
        work.threads_inside = threads_inside
        blocks = zip(pieces, prefetch(read, pieces), strict=True)
        results = (
            work(block, None if offsets is None else offsets[piece]) for piece, block in blocks
        )
    for piece, result in zip(pieces, results, strict=True):
        out[piece] = torch.from_numpy(result) if torch.is_tensor(out) else result
        if tick is not None:
            tick()
    return_freed_memory()
    return out


class _Work:
    """A function on sub-images, applied to pieces of a block of any size."""

    def __init__(
        self, function: Callable[..., np.ndarray], width: int, dtype: DTypeLike, size: int
    ) -> None:
        self.function, self.width, self.dtype, self.size = function, width, dtype, size
        self.threads_inside = False

    @in_default_torch_state  # of the thread or worker that it runs on
    def __call__(self, block: np.ndarray | Tensor, offsets: np.ndarray | None = None) -> np.ndarray:
        if self.threads_inside:
            return self._apply(block, offsets)
        with one_thread():
            return self._apply(block, offsets)

    def _apply(self, block: np.ndarray | Tensor, offsets: np.ndarray | None) -> np.ndarray:
        result = np.full((len(block), self.width), np.nan, self.dtype)
        for start in range(0, len(block), self.size):
            piece = slice(start, start + self.size)
            part = block[piece]
            if torch.is_tensor(part):
                good = torch.isfinite(part).reshape(len(part), -1).all(1).cpu().numpy()
            else:
                if not np.iscomplexobj(part):
                    part = np.ascontiguousarray(part, dtype=np.float32)
                good = np.isfinite(part).reshape(len(part), -1).all(1)
            shift = None if offsets is None else offsets[piece]
            if good.all():  # without a copy
                result[piece] = self.function(part, shift)
            elif good.any():
                shift = None if shift is None else shift[good]
                result[piece][good] = self.function(part[good], shift)
        return result


def _map_dask(
    work: Any,
    images: Images,
    offsets: np.ndarray | None,
    out: Any,
    tick: Callable[[], object] | None,
    name: str,
) -> None:
    """Do the work of :func:`map_blocks` for a dask array, in the blocks of an array in memory."""
    # Sums of products depend on the number of rows in their last digits.
    whole = dict.fromkeys(range(1, images.ndim), -1)
    images = images.rechunk({0: work.size} | whole, method="tasks")
    ends = np.cumsum(images.chunks[0])
    pieces = [slice(int(end - n), int(end)) for end, n in zip(ends, images.chunks[0], strict=True)]
    token = uuid4().hex
    if active_client() is not None:
        work = graph_node(work, f"{name}-model")
    work = dask.delayed(work, pure=False, traverse=False)
    tasks = [
        dask.delayed(_apply, pure=False)(
            work,
            block,
            None if offsets is None else offsets[piece],
            dask_key_name=f"{name}-{token}-{k}",
        )
        for k, (piece, block) in enumerate(zip(pieces, images.to_delayed().ravel(), strict=True))
    ]

    left = len(pieces)

    def done(number: int, result: np.ndarray) -> None:
        nonlocal left
        out[pieces[number]] = torch.from_numpy(result) if torch.is_tensor(out) else result
        left -= 1
        if left % _TRIMMED == 0:
            return_freed_memory()
        if tick is not None:
            tick()

    try:
        run_tasks(tasks, done)
    finally:
        keep_number_of_new_threads()


def return_freed_memory() -> None:
    """Return freed memory to the system; glibc would keep it for each thread."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def _apply(work: _Work, block: np.ndarray, offsets: np.ndarray | None) -> np.ndarray:
    return work(block, offsets)


def prefetch(read: Callable[[_Piece], _Block], pieces: Sequence[_Piece]) -> Iterator[_Block]:
    """Yield `read(piece)` for each piece; a thread reads the next one in the meantime."""
    if len(pieces) < 2:
        yield from map(read, pieces)
        return
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, pieces[0])
        for piece in pieces[1:]:
            block = coming.result()
            coming = reader.submit(read, piece)
            yield block
        yield coming.result()


def n_blocks(images: Images, rows: np.ndarray | None = None) -> int:
    """Approximate number of times that :func:`map_blocks` calls its function."""
    n = len(images) if rows is None else len(rows)
    return -(-n // block_size(images))


def spread_rows(rows: np.ndarray, n: int, n_runs: int = 8) -> np.ndarray:
    """Choose about n of the rows, in a few runs spread evenly over all: few chunks to read.

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


def spread_sample(images: Images, rows: np.ndarray, n: int = 512) -> np.ndarray:
    """About n of the sub-images `rows` in memory, float32, spread evenly over all.

    Parameters
    ----------
    images : numpy.ndarray or dask.array.Array, shape (n_all, w, w)
    rows : numpy.ndarray of int
    n : int

    Returns
    -------
    numpy.ndarray of float32, shape (about n, w, w)
    """
    sample = images[spread_rows(rows, n)]
    return np.asarray(sample.compute() if hasattr(sample, "compute") else sample, np.float32)


def rows_to_fit(
    n: int,
    maximum: int,
    generator: torch.Generator,
    strata: np.ndarray | None = None,
    positions: np.ndarray | None = None,
) -> np.ndarray:
    """Ascending indices of the sites to fit: all, or `maximum` of them at random.

    Parameters
    ----------
    n, maximum : int
    generator : torch.Generator
    strata : numpy.ndarray of int, shape (n,), optional
        Group label of each site; all groups contribute the same fraction.
    positions : numpy.ndarray, shape (n, 2), optional
        Positions (x, y) in px. If given, the sites are patches at random places, so that most of
        them have the neighbours that test their angles.

    Returns
    -------
    numpy.ndarray of int
    """
    if n <= maximum:
        return np.arange(n)
    chosen = torch.randperm(n, generator=generator).numpy()
    if positions is not None:
        chosen = _in_patches(chosen, positions, strata)
    groups = ""
    if strata is not None:
        chosen, n_strata = in_equal_shares(chosen, np.asarray(strata))
        groups = f", of {n_strata} images or frames in equal shares" * (n_strata > 1)
    _logger.info("rVAE: fitted to %d of %d sites, chosen at random%s.", maximum, n, groups)
    return np.sort(chosen[:maximum])


def _in_patches(order: np.ndarray, positions: np.ndarray, strata: np.ndarray | None) -> np.ndarray:
    """Reorder rows into patches of neighbours; the first rows of `order` are the middles.

    Parameters
    ----------
    order : numpy.ndarray of int, shape (n,)
        All rows in random order.
    positions : numpy.ndarray, shape (n, 2)
    strata : numpy.ndarray of int, shape (n,), or None

    Returns
    -------
    numpy.ndarray of int, shape (n,)
    """
    strata = np.zeros(len(order), int) if strata is None else np.asarray(strata)
    free = np.ones(len(order), bool)
    trees = {}
    for stratum in np.unique(strata):
        rows = np.flatnonzero((strata == stratum) & np.isfinite(positions).all(1))
        if len(rows):
            trees[stratum] = rows, cKDTree(positions[rows])
    patches = []
    for middle in order:
        if not free[middle]:
            continue
        patch = np.array([middle])
        if np.isfinite(positions[middle]).all():
            rows, tree = trees[strata[middle]]
            k = min(_PATCH, len(rows))
            patch = rows[np.atleast_1d(tree.query(positions[middle], k=k)[1])]
            patch = patch[free[patch]]
        free[patch] = False
        patches.append(patch)
    return np.concatenate(patches)


def in_equal_shares(order: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, int]:
    """Reorder rows so that the first k contain the same share of each stratum, for any k.

    Parameters
    ----------
    order : numpy.ndarray of int, shape (n,)
        All rows in random order.
    strata : numpy.ndarray of int, shape (n,)
        Group labels of rows 0, 1, ...

    Returns
    -------
    order : numpy.ndarray of int, shape (n,)
    n_strata : int

    Examples
    --------
    >>> order, _ = in_equal_shares(np.arange(8), np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    >>> [int((order[:4] == k).sum()) for k in (6, 7)]
    [1, 0]
    """
    _, group, count = np.unique(strata[order], return_inverse=True, return_counts=True)
    by_group = np.argsort(group, kind="stable")
    place = np.empty(len(order))
    place[by_group] = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    return order[np.argsort((place + 0.5) / count[group], kind="stable")], len(count)


def shuffled_batches(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the batches of one epoch, without a last one of less than half the size.

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
