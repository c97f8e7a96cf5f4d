# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images cut with dask on request, from the parts of the image that they need.

The work on a block of windows is that of :mod:`hs_rvae.windows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from hs_rvae import windows as _windows

if TYPE_CHECKING:
    import dask.array as da

# Minimum width of a tile, in pixels.
_TILE = 1024


def cut_frames_lazy(
    frames: Sequence[Any],
    positions: Sequence[np.ndarray],
    window_size: int,
    centring: str = "subpixel",
) -> da.Array:
    """
    Cut windows from the frames of a series when they are asked for.

    Parameters
    ----------
    frames : sequence of numpy.ndarray or dask.array.Array of shape (rows, columns)
        Only those with positions are looked at.
    positions : list of numpy.ndarray of shape (n_i, 2)
        For each frame.
    window_size, centring
        As in :func:`hs_rvae.windows.cut_windows`.

    Returns
    -------
    dask.array.Array of shape (n, w, w), float32
        One frame after another, one task per block of windows; no block holds windows of two
        frames. From a dask image, a block reads the tiles that its windows lie in, with a border.
        Tiles are chunks put together until they are about 1000 pixels wide; each is prepared once
        in one computation. Ordered positions, for example row by row, then need a part of a large
        image at a time. An image in memory is prepared once.
    """
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    blocks, counts = [], []
    for k, xy in enumerate(positions):
        if len(xy):
            for task, count in _tasks(frames[k], xy, window_size, centring):
                blocks.append(task)
                counts.append(count)
    # Put together here rather than by dask, so that the tasks keep their name.
    name = f"cut-windows-{uuid4().hex}"
    layer: dict[Any, Any] = {(name, k, 0, 0): block.key for k, block in enumerate(blocks)}
    graph = HighLevelGraph.from_collections(name, layer, dependencies=blocks)
    chunks = (tuple(counts), (window_size,), (window_size,))
    return da.Array(graph, name, chunks=chunks, dtype=np.float32)


def _tasks(
    image: Any, positions: np.ndarray, window_size: int, centring: str
) -> Iterator[tuple[Any, int]]:
    """Yield the task of each block of windows of an image, and the number of windows."""
    import dask
    import dask.array as da

    positions = _windows._windows_inside(positions, window_size, image.shape, centring)
    first, fraction = _windows._first_pixels(positions, window_size, image.shape, centring)
    token = uuid4().hex
    tiles: _Tiles | _OneTile
    if isinstance(image, da.Array):
        tiles = _Tiles(image, window_size, centring, token)
    else:
        tiles = _OneTile(image, centring, token)
    number = tiles.number(first)
    block = _windows.windows_per_block(window_size)
    for start in range(0, len(positions), block):
        some = slice(start, start + block)
        needed, which = np.unique(number[some], return_inverse=True)
        # One array: its rows are cheap to send to another process.
        where = np.column_stack([first[some], fraction[some], which])
        task = dask.delayed(_cut_from_tiles, pure=False)(
            where,
            [tiles.origin(k) for k in needed],
            [tiles.source(k) for k in needed],
            window_size,
            centring,
            dask_key_name=f"cut-windows-{token}-{start}",
        )
        yield task, len(where)


class _OneTile:
    """An image in memory as the only tile."""

    def __init__(self, image: np.ndarray, centring: str, token: str) -> None:
        import dask

        kept = _InMemory(image, centring)
        self._source = dask.delayed(_InMemory.source, pure=False)(
            kept, dask_key_name=f"prepare-image-{token}"
        )

    def number(self, first: np.ndarray) -> np.ndarray:
        return np.zeros(len(first), dtype=np.intp)

    def origin(self, number: int) -> tuple[int, int]:
        return 0, 0

    def source(self, number: int) -> Any:
        return self._source


class _Tiles:
    """A dask image in tiles, each read and prepared on its own, when it is needed."""

    def __init__(self, image: da.Array, window_size: int, centring: str, token: str) -> None:
        self.image, self.centring, self.token = image, centring, token
        # The spline reaches a pixel beyond the windows, and its coefficients
        # depend on more distant pixels, less and less.
        self.before = 0 if centring == "nearest" else _windows._MARGIN + _windows.REACH
        self.after = window_size + self.before
        self.edges = [_tile_edges(chunks) for chunks in image.chunks]
        self._sources: dict[int, Any] = {}

    def number(self, first: np.ndarray) -> np.ndarray:
        row, column = (
            np.searchsorted(edges, one, side="right") - 1
            for edges, one in zip(self.edges, first.T[::-1], strict=True)
        )
        return row * len(self.edges[1]) + column

    def origin(self, number: int) -> tuple[int, int]:
        """First pixel (x, y) of the part of the image that a tile is made from."""
        rows, columns = self._parts(number)
        return columns.start, rows.start

    def source(self, number: int) -> Any:
        import dask

        if number not in self._sources:
            part = self.image[self._parts(number)]
            # Not optimised: tiles must go on sharing the chunks that they have in common.
            pixels = part.rechunk(part.shape).to_delayed(optimize_graph=False).item()
            self._sources[number] = dask.delayed(_windows._source, pure=False)(
                pixels, self.centring, dask_key_name=f"prepare-tile-{self.token}-{number}"
            )
        return self._sources[number]

    def _parts(self, number: int) -> tuple[slice, ...]:
        place = np.unravel_index(number, [len(edges) for edges in self.edges])
        parts = []
        for k, edges, size in zip(place, self.edges, self.image.shape, strict=True):
            end = edges[k + 1] if k + 1 < len(edges) else size
            start = int(max(edges[k] - self.before, 0))
            parts.append(slice(start, int(min(end + self.after, size))))
        return tuple(parts)


def _tile_edges(chunks: tuple[int, ...]) -> np.ndarray:
    """Starts of tiles along one axis: chunks put together until they are wide enough."""
    ends = np.cumsum(chunks)
    edges = [0]
    for end in ends[:-1]:
        if end - edges[-1] >= _TILE and ends[-1] - end >= _TILE:
            edges.append(int(end))
    return np.array(edges)


class _InMemory:
    """An image in memory, and the spline coefficients that windows are cut from."""

    def __init__(self, image: np.ndarray, centring: str) -> None:
        self.image, self.centring = image, centring
        self._source: np.ndarray | None = None

    def source(self) -> np.ndarray:
        if self._source is None:
            self._source = _windows._source(self.image, self.centring)
        return self._source

    def __getstate__(self) -> dict[str, Any]:
        # Another process computes its own: half as much to send.
        return self.__dict__ | {"_source": None}

    def __dask_tokenize__(self) -> tuple[str, int]:
        return type(self).__name__, id(self)


def _cut_from_tiles(
    where: np.ndarray,
    origins: Sequence[tuple[int, int]],
    sources: Sequence[np.ndarray],
    window_size: int,
    centring: str,
) -> np.ndarray:
    """Windows (n, w, w) of one block, whose pixels may lie in several tiles.

    `where` has first pixel (x, y), fraction (x, y) and place in `sources` of each window.
    """
    first, tile = where[:, :2].astype(np.intp), where[:, 4].astype(np.intp)
    if len(sources) == 1:
        return _windows._cut_block(
            first - origins[0], where[:, 2:4], sources[0], window_size, centring
        )
    windows = np.empty((len(where), window_size, window_size), dtype=np.float32)
    for k, (origin, source) in enumerate(zip(origins, sources, strict=True)):
        some = tile == k
        windows[some] = _windows._cut_block(
            first[some] - origin, where[some, 2:4], source, window_size, centring
        )
    return windows
