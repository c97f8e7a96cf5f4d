# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows cut from tiles of a dask image: the same as from the whole, from as little as needed."""

import dask.array as da
import numpy as np
import pytest

from hs_rvae import lazy_windows, windows
from hs_rvae.lazy_windows import cut_frames_lazy
from hs_rvae.windows import cut_windows

SHAPE = (310, 420)


def cut_windows_lazy(image, positions, *options):
    return cut_frames_lazy([image], [positions], *options)


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(lazy_windows, "_TILE", 100)
    monkeypatch.setattr(windows, "_BLOCK_BYTES", 0)  # 16 windows a block, the least


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 100, SHAPE).astype(np.float32)


def positions(n=200, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform((15, 15), np.array(SHAPE[::-1]) - 16, (n, 2))


@pytest.mark.parametrize("centring", ["subpixel", "nearest"])
@pytest.mark.parametrize("chunks", [(50, 70), (100, 420), (310, 37)])
def test_windows_across_tiles_are_those_of_the_whole_image(small_tiles, image, chunks, centring):
    xy = positions()
    lazy = cut_windows_lazy(da.from_array(image, chunks=chunks), xy, 24, centring).compute()
    # To the last digit of a float32: beyond the border of a tile, a spline sees 1e-18 of a pixel.
    np.testing.assert_allclose(lazy, cut_windows(image, xy, 24, centring), rtol=3e-7)


def test_windows_near_missing_pixels_are_those_of_the_whole_image(small_tiles, image):
    image[90:130, 200:215] = np.nan
    xy = positions()
    far = ~windows.window_touches(np.isnan(image), xy, 24)
    lazy = cut_windows_lazy(da.from_array(image, chunks=(50, 70)), xy[far], 24).compute()
    np.testing.assert_allclose(lazy, cut_windows(image, xy[far], 24), rtol=3e-7)


def read_chunks(image, chunks, make):
    """Chunks (row, column) that are read when ``make(lazy image)`` is computed."""
    read = []

    def note(block, block_info=None):
        if block.size and block_info:
            read.append(tuple(int(k) for k in block_info[0]["chunk-location"]))
        return block

    lazy = da.from_array(image, chunks=chunks).map_blocks(note, dtype=image.dtype)
    windows_of = make(lazy)
    assert not read, "nothing is read before it is asked for"
    windows_of.compute(scheduler="synchronous")
    return read


def test_a_block_of_windows_reads_only_the_chunks_around_it(small_tiles, image):
    corner = np.array([[20.0, 20.0], [60.5, 40.0]])
    read = read_chunks(image, (50, 70), lambda lazy: cut_windows_lazy(lazy, corner, 24))
    assert set(read) == {(row, column) for row in range(4) for column in range(3)}
    assert len(read) == len(set(read))
    everything = (-(-SHAPE[0] // 50)) * (SHAPE[1] // 70)
    assert len(read) < everything / 3


def test_a_pass_over_all_sites_reads_each_chunk_once(small_tiles, image):
    xy = positions(400)
    xy = xy[np.lexsort((xy[:, 0], xy[:, 1] // 25))]
    read = read_chunks(image, (100, 105), lambda lazy: cut_windows_lazy(lazy, xy, 24))
    assert len(set(read)) == 16
    assert len(read) == len(set(read)), "tiles share chunks in one computation"


def test_frames_without_positions_are_not_looked_at(image):
    frames = [None, da.from_array(image), None]
    xy = [np.empty((0, 2)), positions(5), np.empty((0, 2))]
    lazy = cut_frames_lazy(frames, xy, 24)
    np.testing.assert_array_equal(lazy.compute(), cut_windows(image, xy[1], 24))


def test_tasks_are_named_after_their_work(small_tiles, image):
    from dask.utils import key_split

    lazy = cut_windows_lazy(da.from_array(image, chunks=100), positions(40), 24)
    assert {"cut-windows", "prepare-tile"} <= {key_split(k) for k in lazy.__dask_graph__()}


@pytest.mark.parametrize("chunk", [20, 99, 100, 101, 250])
def test_tiles_are_whole_chunks_no_smaller_than_need_be(small_tiles, chunk):
    chunks = (chunk,) * (1000 // chunk) + (1000 % chunk,) * bool(1000 % chunk)
    edges = [*lazy_windows._tile_edges(chunks), 1000]
    assert set(edges) <= {0, *np.cumsum(chunks)}
    widths = np.diff(edges)
    assert widths.min() >= 100 and widths[:-1].max() < 100 + chunk
