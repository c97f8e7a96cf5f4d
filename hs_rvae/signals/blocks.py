# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images computed block by block, and stacks of what comes out."""

from uuid import uuid4

import dask.array as da
import numpy as np

from hs_rvae import windows as _windows
from hs_rvae.parallel import graph_node as shared
from hs_rvae.progress import explain_interruption as interruptible


class BlocksMixin:
    """Stacks like this one with other sub-images."""

    def _images(self):
        """The sub-images as (n, w, w), also of a single site."""
        return self.data.reshape(-1, *self.data.shape[-2:])

    def _blocks(self):
        """Number of sites in each block of work."""
        images = self._images()
        if self._lazy:
            return images.chunks[0]
        return blocks_of(len(images), images.shape[-1])

    def _rebuilt(self, images, title, lazy_output, show_progressbar):
        """A stack like this one with other sub-images, lazy or computed."""
        lazy = self._lazy if lazy_output is None else lazy_output
        rebuilt = self._deepcopy_with_new_data(images.reshape(self.data.shape))
        rebuilt.metadata.General.title = f"{title} {self.metadata.General.title}"
        rebuilt._lazy = True
        rebuilt._assign_subclass()
        if not lazy:
            with interruptible("Rebuilding sub-images was interrupted: nothing has changed."):
                rebuilt.compute(show_progressbar=show_progressbar)
        return rebuilt


def blocks_of(n, window_size):
    """Numbers of windows in blocks of a size that memory holds many times over."""
    size = _windows.windows_per_block(window_size)
    return tuple(min(size, n - start) for start in range(0, n, size))


def by_block(function, arrays, blocks, size, name):
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
        function=shared(function, f"{name}-model"),
        name=f"{name}-{uuid4().hex}",  # else dask would hash the model
        dtype=np.float32,
        chunks=(blocks, (size,), (size,)),
        meta=np.empty((0, 0, 0), np.float32),
    )


def _of_block(*parts, function):
    return function(*(part[..., 0] if part.shape[2] == 1 else part for part in parts))
