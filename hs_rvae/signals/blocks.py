# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images computed block by block, and stacks of the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask.array as da
import numpy as np

from hs_rvae import windows as _windows
from hs_rvae.parallel import graph_node, without_cluster
from hs_rvae.progress import explain_interruption

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal


def with_images(
    signal: SiteSignal,
    function: Callable[..., Any],
    arrays: list[Any],
    name: str,
    title: str,
    lazy_output: bool | None,
    show_progressbar: bool | None,
) -> SiteSignal:
    """A stack like `signal` with the sub-images that a function computes, lazy or in memory.

    Parameters
    ----------
    signal : SubImageStack
    function : callable
        Function of blocks of `arrays`; returns sub-images of the same size.
    arrays : list of numpy.ndarray or dask.array.Array
        With one row per site.
    name : str
        Name of the tasks.
    title : str
        Put before the title of the stack.
    lazy_output : bool or None
        If None, as the stack is.
    show_progressbar : bool or None
        If None, as HyperSpy's preference.

    Returns
    -------
    SubImageStack or LazySubImageStack
    """
    images = signal._images()
    size = images.shape[-1]
    blocks = images.chunks[0] if signal._lazy else blocks_of(len(images), size)
    computed = by_block(function, arrays, blocks, size, name)
    stack = signal._deepcopy_with_new_data(computed.reshape(signal.data.shape))
    stack.metadata.General.title = f"{title} {signal.metadata.General.title}"
    stack._lazy = True
    stack._assign_subclass()
    if not (signal._lazy if lazy_output is None else lazy_output):
        with explain_interruption("Rebuilding sub-images was interrupted: nothing has changed."):
            stack.compute(show_progressbar=show_progressbar, **without_cluster())
    return stack


def blocks_of(n: int, window_size: int) -> tuple[int, ...]:
    """Numbers of windows in blocks of a size that memory holds many times over."""
    size = _windows.windows_per_block(window_size)
    return tuple(min(size, n - start) for start in range(0, n, size))


def by_block(
    function: Callable[..., Any], arrays: list[Any], blocks: tuple[int, ...], size: int, name: str
) -> Any:
    """Dask array (n, size, size) of `function` applied to the blocks of arrays over sites.

    The tasks are called `name`. The function travels once, not with every block.
    """
    pieces = []
    for array in arrays:
        # Columns come with a third axis, so that their blocks pair up with those of images.
        array = array if array.ndim == 3 else array[:, :, None]
        pieces.append(da.asarray(array).rechunk((blocks, -1, -1)))
    return da.map_blocks(
        _of_block,
        *pieces,
        function=graph_node(function, f"{name}-model"),
        name=f"{name}-{uuid4().hex}",  # else dask would hash the model
        dtype=np.float32,
        chunks=(blocks, (size,), (size,)),
        meta=np.empty((0, 0, 0), np.float32),
    )


def _of_block(*parts: np.ndarray, function: Callable[..., Any]) -> Any:
    return function(*(part[..., 0] if part.shape[2] == 1 else part for part in parts))
