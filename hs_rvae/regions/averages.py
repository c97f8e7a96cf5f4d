# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums over the pixels of regions, block by block, in one pass over the data.

The data of a scan have two axes of the scan, y and x, then those of the signal, which are flattened
here into channels. Eager data are taken in bands of rows, lazy ones chunk by chunk. Each block is
read once; only sites that lie in several blocks are kept until the last of them has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from hs_rvae.parallel import run_tasks
from hs_rvae.progress import explain_interruption, progress_bar

_BLOCK = 32 * 2**20  # bytes of eager data at a time


@dataclass(frozen=True)
class GroupMeans:
    """Means over the members of groups.

    Attributes
    ----------
    means : numpy.ndarray of shape (n_groups, channels)
        NaN for groups without members.
    variance : numpy.ndarray of shape (n_groups, channels)
        Variance of the means from the scatter between members, for counts at least Poisson's; NaN
        for groups of one member.
    """

    means: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class _Block:
    """A part of the scan and of the signal, and the sites that have pixels in it."""

    index: tuple[slice, ...]
    channels: np.ndarray
    sites: np.ndarray
    members: csr_matrix


def site_sums(
    data: Any,
    members: csr_matrix,
    done: Callable[[np.ndarray, np.ndarray, np.ndarray], None],
    description: str,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> None:
    """
    Sum the pixels of every site, and hand over each sum once it is complete.

    Parameters
    ----------
    data : numpy.ndarray or dask.array.Array of shape (rows, columns, ...)
    members : scipy.sparse.csr_matrix of shape (n_sites, rows * columns)
    done : callable
        ``done(sites, channels, sums)``, one call at a time, with sums (sites, channels) in double
        precision. Sites without pixels never come.
    description : str
        Text of the progress bar, which counts blocks.
    show_progressbar : bool, optional
        If None, as HyperSpy's preference.
    num_workers : int, optional
        Threads that read lazy data. If None, dask decides.
    """
    blocks = list(_blocks(data, members))
    pieces = np.zeros(members.shape[0], int)
    for block in blocks:
        if block.channels[0] == 0:
            pieces[block.sites] += 1
    waiting: dict[tuple[int, int], tuple[np.ndarray, int]] = {}

    def hand_over(number: int, sums: np.ndarray) -> None:
        block = blocks[number]
        complete = pieces[block.sites] == 1
        for k in np.flatnonzero(~complete):
            key = int(block.sites[k]), int(block.channels[0])
            total, missing = waiting.pop(key, (0.0, pieces[block.sites[k]]))
            if missing > 1:
                waiting[key] = total + sums[k], missing - 1
            else:
                sums[k] += total
                complete[k] = True
        if complete.any():
            done(block.sites[complete], block.channels, sums[complete])
        bar.update()

    with (
        explain_interruption(f"{description} was interrupted: nothing has been changed."),
        progress_bar(description, show_progressbar, total=len(blocks)) as bar,
    ):
        if hasattr(data, "dask"):
            _run_lazily(data, blocks, hand_over, num_workers)
        else:
            for number, block in enumerate(blocks):
                hand_over(number, _sums(data[block.index], block.members))


def _run_lazily(
    data: Any, blocks: list[_Block], done: Callable[[int, Any], None], num_workers: int | None
) -> None:
    import dask

    node = dask.delayed(_sums, pure=False, traverse=False)
    tasks = [node(data[block.index], block.members) for block in blocks]
    limited = nullcontext() if num_workers is None else dask.config.set(num_workers=num_workers)
    with limited:
        run_tasks(tasks, done)


def _sums(values: Any, members: csr_matrix) -> np.ndarray:
    """Sums (sites, channels) over the pixels of a block."""
    values = np.asarray(values)
    flat = values.reshape(members.shape[1], -1)
    if len(members.indices) and not _covers(members):
        used = np.unique(members.indices)
        flat, members = flat[used], members[:, used]
    return np.asarray(members @ flat.astype(np.float64))


def _covers(members: csr_matrix) -> bool:
    """Return True if nearly all pixels of a block are used."""
    return len(members.indices) > 0.9 * members.shape[1]


def _blocks(data: Any, members: csr_matrix) -> Iterator[_Block]:
    """Blocks that hold pixels of any site, as the data are chunked."""
    n_rows, n_columns = data.shape[:2]
    shape = data.shape[2:]
    if hasattr(data, "dask"):
        chunks = data.chunks
    else:
        row_size = max(data[:1].nbytes, 1)
        step = max(1, int(_BLOCK // row_size))
        chunks = (_steps(n_rows, step), (n_columns,), *((n,) for n in shape))
    edges = [np.concatenate([[0], np.cumsum(sizes)]) for sizes in chunks]
    spans = [
        [slice(int(a), int(b)) for a, b in zip(edge[:-1], edge[1:], strict=True)] for edge in edges
    ]
    numbers = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
    by_pixel = members.tocsc()
    for rows, columns in product(*spans[:2]):
        y, x = np.mgrid[rows, columns]
        pixels = (y * n_columns + x).ravel()
        part = by_pixel[:, pixels].tocsr()
        sites = np.flatnonzero(np.diff(part.indptr))
        if not len(sites):
            continue
        part = part[sites]
        for signal in product(*spans[2:]):
            yield _Block((rows, columns, *signal), numbers[signal].ravel(), sites, part)


def _steps(length: int, step: int) -> tuple[int, ...]:
    whole, rest = divmod(length, step)
    return (step,) * whole + ((rest,) if rest else ())


def site_means(
    data: Any,
    members: csr_matrix,
    statistic: str,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> np.ndarray:
    """
    Mean or sum of the signal over the pixels of each site.

    Parameters
    ----------
    data, members, show_progressbar, num_workers
        As in :func:`site_sums`.
    statistic : {"mean", "sum"}

    Returns
    -------
    numpy.ndarray of shape (n_sites, channels)
        NaN for sites without pixels. Single precision for data of two bytes or less and for single
        precision, else double.
    """
    channels = int(np.prod(data.shape[2:], dtype=int))
    result = np.full((members.shape[0], channels), np.nan, np.result_type(data.dtype, np.float32))
    count = np.diff(members.indptr)[:, None]

    def write(sites: np.ndarray, numbers: np.ndarray, sums: np.ndarray) -> None:
        result[np.ix_(sites, numbers)] = sums / count[sites] if statistic == "mean" else sums

    site_sums(data, members, write, "Averaging at the sites", show_progressbar, num_workers)
    return result


def lazy_site_means(data: Any, members: csr_matrix, statistic: str) -> Any:
    """
    Mean or sum of the signal over the pixels of each site, as a dask array.

    Parameters
    ----------
    data : dask.array.Array of shape (rows, columns, ...)
    members, statistic
        As in :func:`site_means`.

    Returns
    -------
    dask.array.Array of shape (n_sites, ...)
        Each chunk of `data` is read once if all is computed at once.
    """
    import dask
    import dask.array as da

    dtype = np.result_type(data.dtype, np.float32)
    node = dask.delayed(_sums, pure=False, traverse=False)
    blocks = list(_blocks(data, members))
    sums = [node(data[block.index], block.members) for block in blocks]
    width = max(1, int(np.prod([sizes[0] for sizes in data.chunks[2:]], dtype=int)))
    step = max(1, int(_BLOCK // (width * dtype.itemsize)))
    heights = _steps(members.shape[0], step)
    count = np.diff(members.indptr)
    signals = [[slice(a, b) for a, b in _spans(sizes)] for sizes in data.chunks[2:]]

    def gather(first: int, height: int, signal: tuple[slice, ...]) -> Any:
        sites, parts = [], []
        for block, total in zip(blocks, sums, strict=True):
            inside = (block.sites >= first) & (block.sites < first + height)
            if block.index[2:] == signal and inside.any():
                sites.append((np.flatnonzero(inside), block.sites[inside] - first))
                parts.append(total)
        shape = (height, *(s.stop - s.start for s in signal))
        divisor = count[first : first + height] if statistic == "mean" else count[:0]
        value = dask.delayed(_gathered)(parts, sites, shape, divisor, dtype.str)
        return da.from_delayed(value, shape, dtype)

    def nested(first: int, height: int, chosen: tuple[slice, ...]) -> Any:
        depth = len(chosen)
        if depth == len(signals):
            return gather(first, height, chosen)
        return [nested(first, height, (*chosen, s)) for s in signals[depth]]

    return da.block([nested(a, b - a, ()) for a, b in _spans(heights)])


def _spans(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    ends = np.cumsum(sizes).tolist()
    return [(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _gathered(
    parts: list[np.ndarray],
    sites: list[tuple[np.ndarray, np.ndarray]],
    shape: tuple[int, ...],
    divisor: np.ndarray,
    dtype: str,
) -> np.ndarray:
    """Join the sums of several blocks into one chunk of sites."""
    total = np.zeros((shape[0], int(np.prod(shape[1:], dtype=int))))
    known = np.zeros(shape[0], bool)
    for part, (rows, places) in zip(parts, sites, strict=True):
        total[places] += part[rows]
        known[places] = True
    if len(divisor):
        total /= np.maximum(divisor, 1)[:, None]
    total[~known] = np.nan
    return total.reshape(shape).astype(dtype)


def group_means(
    data: Any,
    members: csr_matrix,
    groups: csr_matrix,
    statistic: str = "mean",
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> GroupMeans:
    """
    Mean of the signal over the sites of each group.

    Parameters
    ----------
    data, members, show_progressbar, num_workers
        As in :func:`site_sums`.
    groups : scipy.sparse.csr_matrix of shape (n_groups, n_sites)
        Weight of each site in each group, 0 for sites that do not belong to it.
    statistic : {"mean", "sum"}
        What a site's value is: the mean or the sum over its pixels.

    Returns
    -------
    GroupMeans
    """
    channels = int(np.prod(data.shape[2:], dtype=int))
    pixels = np.maximum(np.diff(members.indptr), 1)
    usable = np.diff(members.indptr) > 0
    groups = (groups @ _diagonal(usable)).tocsc()
    total, square, poisson = (np.zeros((groups.shape[0], channels)) for _ in range(3))
    of_counts = data.dtype.kind in "iub"
    whole = True

    def add(sites: np.ndarray, numbers: np.ndarray, sums: np.ndarray) -> None:
        nonlocal whole
        if not of_counts and whole:
            whole = bool((sums >= 0).all() and (sums == np.rint(sums)).all())
        divisor = pixels[sites][:, None] if statistic == "mean" else 1.0
        weights, values = groups[:, sites], sums / divisor
        squares = weights.multiply(weights)
        total[:, numbers] += weights @ values
        square[:, numbers] += weights @ values**2
        poisson[:, numbers] += squares @ (values / divisor)

    site_sums(data, members, add, "Averaging over the sites", show_progressbar, num_workers)
    weight = np.asarray(groups.sum(axis=1))
    weight_square = np.asarray(groups.multiply(groups).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = weight**2 / weight_square
        means = np.where(weight > 0, total / weight, np.nan)
        scatter = np.maximum(square / weight - means**2, 0) / (effective - 1)
        variance = np.where(effective > 1 + 1e-9, scatter, np.nan)
        if of_counts or whole:
            variance = np.fmax(
                variance, np.where(effective > 1 + 1e-9, poisson / weight**2, np.nan)
            )
    return GroupMeans(means, variance)


def _diagonal(mask: np.ndarray) -> csr_matrix:
    index = np.arange(len(mask))
    return csr_matrix((mask.astype(float), (index, index)), shape=(len(mask),) * 2)
