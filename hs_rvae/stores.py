# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files behind dask arrays: their paths, and a guard against their replacement.

An open HDF5 file continues to give its own data when another one takes its name. A Zarr store is a
folder that is read by name at every access. Another folder of that name gives other pixels, and a
missing folder gives zeros.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def files_read_by(array: Any) -> set[str]:
    """
    Files and folders that a dask array reads when it is computed.

    Parameters
    ----------
    array : dask.array.Array or numpy.ndarray
        Sources are HDF5 datasets and Zarr arrays; other readers are not seen.

    Returns
    -------
    set of str
        Real paths.
    """
    paths = set()
    for source in _sources(array):
        file = getattr(source, "file", None)  # of HDF5; false if it is closed
        path = file.filename if file else getattr(getattr(source, "store", None), "path", None)
        if isinstance(path, str | os.PathLike):
            paths.add(os.path.realpath(path))
    return paths


def guarded(array: Any) -> Any:
    """
    Make an array that refuses to be read once a store behind it has been replaced.

    Parameters
    ----------
    array : dask.array.Array

    Returns
    -------
    dask.array.Array
        Computing it raises OSError when a Zarr store that it reads was written anew, moved or
        removed since this call. An array that reads none is returned as it is.
    """
    written = {}
    for source in _sources(array):
        folder = getattr(getattr(source, "store", None), "path", None)
        if isinstance(folder, str) and os.path.isdir(folder):
            file = os.path.join(folder, source.path, ".zarray")
            if os.path.isfile(file):
                written[folder, file] = os.stat(file).st_mtime_ns
    if not written:
        return array
    stores = tuple((*names, time) for names, time in written.items())
    return array.map_blocks(_unless_replaced, written=stores, dtype=array.dtype, meta=array._meta)


def _sources(array: Any) -> Iterator[Any]:
    """Objects in the graph of a dask array that its blocks are read from."""
    for layer in getattr(getattr(array, "dask", None), "layers", {}).values():
        if hasattr(layer, "indices"):  # blockwise: its sources have a layer of their own
            continue
        for value in layer.values():
            value = getattr(value, "value", value)
            if hasattr(value, "dtype") and hasattr(value, "shape"):
                yield value


def _unless_replaced(block: np.ndarray, written: Sequence[tuple[str, str, int]]) -> np.ndarray:
    """Return the block if its store is still the one that was opened."""
    for folder, file, time in written:
        try:
            same = os.stat(file).st_mtime_ns == time
        except FileNotFoundError:
            same = False
        if not same:
            raise OSError(
                f"{folder!r} has been replaced or removed since these pixels were to be read from "
                "it: load it again with hyperspy.api.load(path, lazy=True)."
            )
    return block
