# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows are linear in the image, and follow its shifts and turns, wherever they are cut."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hs_rvae.lazy_windows import cut_frames_lazy
from hs_rvae.windows import cut_windows, window_is_inside, window_offsets

SHAPE = (41, 53)  # rows and columns differ, so that swapped axes show
WIDTH = 11
CENTRINGS = st.sampled_from(["subpixel", "nearest"])


def images():
    """Noise of any seed."""
    return st.integers(0, 2**32 - 1).map(
        lambda number: np.random.default_rng(number).normal(size=SHAPE)
    )


def positions(margin=(WIDTH + 1) / 2 + 3):
    """Positions whose windows lie inside the image."""
    x = st.floats(margin, SHAPE[1] - 1 - margin)
    y = st.floats(margin, SHAPE[0] - 1 - margin)
    return st.lists(st.tuples(x, y), min_size=1, max_size=6).map(np.array)


@given(images(), images(), positions(), st.floats(-9, 9), CENTRINGS)
def test_windows_are_linear_in_the_image(image, other, xy, factor, centring):
    both = cut_windows(image + factor * other, xy, WIDTH, centring)
    parts = cut_windows(image, xy, WIDTH, centring), cut_windows(other, xy, WIDTH, centring)
    np.testing.assert_allclose(both, parts[0] + factor * parts[1], atol=2e-5)


@given(images(), positions(), CENTRINGS)
def test_a_transposed_image_has_transposed_windows(image, xy, centring):
    cut = cut_windows(image, xy, WIDTH, centring)
    turned = cut_windows(np.ascontiguousarray(image.T), xy[:, ::-1], WIDTH, centring)
    np.testing.assert_allclose(turned, cut.swapaxes(1, 2), atol=2e-6)


@given(images(), positions(), st.integers(0, 5), st.integers(0, 5))
def test_windows_follow_the_image_by_whole_pixels(image, xy, right, down):
    wide = np.pad(image, ((down, 0), (right, 0)), mode="wrap")
    cut = cut_windows(image, xy, WIDTH, "nearest")
    # Numbers that are halfway between pixels may fall to either side after an addition.
    kept = (np.abs(xy % 1 - 0.5) > 1e-9).all(axis=1)
    moved = cut_windows(wide, xy + (right, down), WIDTH, "nearest")
    np.testing.assert_array_equal(moved[kept], cut[kept])


@given(images(), positions(), CENTRINGS, st.integers(5, 60), st.integers(5, 60))
def test_a_lazy_image_has_the_same_windows_whatever_its_chunks(image, xy, centring, rows, columns):
    lazy = da.from_array(image, chunks=(rows, columns))
    cut = cut_windows(image, xy, WIDTH, centring)
    np.testing.assert_array_equal(np.asarray(cut_frames_lazy([lazy], [xy], WIDTH, centring)), cut)


@given(
    images(),
    st.tuples(st.floats(-9, SHAPE[1] + 9), st.floats(-9, SHAPE[0] + 9)),
    st.integers(8, 30),
    CENTRINGS,
)
def test_a_window_is_cut_if_it_is_inside_and_refused_if_not(image, position, width, centring):
    xy = np.array([position])
    if window_is_inside(xy, width, SHAPE, centring)[0]:
        cut = cut_windows(image, xy, width, centring)
        assert cut.shape == (1, width, width) and np.isfinite(cut).all()
        assert np.abs(window_offsets(xy, width, SHAPE, centring)).max() <= 0.5 + 1e-6
    else:
        with pytest.raises(ValueError, match="1 of 1 windows leave the image"):
            cut_windows(image, xy, width, centring)
