# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed of cutting the paper's stack: 23,340 windows of 48 x 48 pixels from 4300 x 4300.

Run with ``pytest tests/benchmarks``. The bounds are several times what was measured on one core of
a laptop (about 2 s eager, 0.1 s for the graph), so that only a change of method breaks them.
"""

import time

import hyperspy.api as hs
import numpy as np
import pytest
from scipy import ndimage

from hs_rvae import SubImageStack

COUNT, WINDOW, SIDE = 23_340, 48, 4300


@pytest.fixture(scope="module")
def film():
    rng = np.random.default_rng(0)
    image = hs.signals.Signal2D(rng.normal(size=(SIDE, SIDE)).astype(np.float32))
    x, y = np.meshgrid(np.arange(30, SIDE - 30, 27.5), np.arange(30, SIDE - 30, 27.5))
    xy = np.stack([x.ravel(), y.ravel()], axis=1)[:COUNT]
    return image, xy + rng.uniform(-0.5, 0.5, xy.shape)


def timed(function, *args, **kwargs):
    start = time.perf_counter()
    result = function(*args, **kwargs)
    seconds = time.perf_counter() - start
    print(f"{seconds:.3f} s")
    return result, seconds


def test_windows_are_cut_in_seconds(film):
    image, xy = film
    stack, seconds = timed(SubImageStack.from_positions, image, xy, WINDOW)
    assert stack.data.shape == (len(xy), WINDOW, WINDOW)
    assert seconds < 8
    # One window from the middle, against SciPy's slower way.
    x, y = xy[len(xy) // 2]
    grid = np.mgrid[:WINDOW, :WINDOW] - (WINDOW - 1) / 2 + np.array([y, x])[:, None, None]
    corner = np.array([int(y), int(x)]) - 60
    patch = image.data[corner[0] : corner[0] + 120, corner[1] : corner[1] + 120].astype(float)
    expected = ndimage.map_coordinates(patch, grid - corner[:, None, None], order=3, mode="mirror")
    np.testing.assert_allclose(stack.data[len(xy) // 2], expected, atol=1e-5)


def test_the_graph_is_built_at_once_and_computes_the_same(film):
    image, xy = film
    # The first computation of a process imports what dask needs.
    SubImageStack.from_positions(image.as_lazy(), xy[:10], WINDOW)
    for source in (image, image.as_lazy()):
        stack, seconds = timed(SubImageStack.from_positions, source, xy, WINDOW, lazy=True)
        assert seconds < 0.5
        assert len(dict(stack.data.__dask_graph__())) < 200
    eager = SubImageStack.from_positions(image, xy[-500:], WINDOW)
    np.testing.assert_array_equal(stack.data[-500:].compute(), eager.data)
