# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows: size, place, sub-pixel accuracy, dask."""

import dask
import dask.array as da
import numpy as np
import pytest
from scipy import ndimage

from hs_rvae import windows
from hs_rvae.lazy_windows import cut_frames_lazy
from hs_rvae.windows import cut_windows, resolve_window_size

# Rows and columns differ so that swapped axes show.
SHAPE = (90, 130)
# Standard deviations in x and y of the rendered column: as narrow as columns in HAADF images are
# (2 to 3 px), and different so that swapped axes show.
SIGMA = np.array([2.0, 3.0])


def cut_windows_lazy(image, positions, *options):
    return cut_frames_lazy([image], [positions], *options)


def gaussian(shape, centre):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-0.5 * (((x - centre[0]) / SIGMA[0]) ** 2 + ((y - centre[1]) / SIGMA[1]) ** 2))


def ideal_window(window_size):
    """What a window centred on the column must show."""
    return gaussian((window_size, window_size), ((window_size - 1) / 2,) * 2)


@pytest.mark.parametrize("window_size", [31, 32])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_column_sits_on_the_window_centre(window_size, lazy):
    cut = cut_windows_lazy if lazy else cut_windows
    for position in [(60.0, 40.0), (61.5, 39.5), (80.27, 33.81), (44.999, 50.001)]:
        result = np.asarray(cut(gaussian(SHAPE, position), np.array([position]), window_size))
        assert result.shape == (1, window_size, window_size) and result.dtype == np.float32
        # A cubic spline of a Gaussian with sigma 2 px is off by 8e-4 of its height at most.
        np.testing.assert_allclose(result[0], ideal_window(window_size), atol=1e-3)


def test_nearest_pixel_centring_would_fail_that_test():
    position = (80.27, 33.81)
    result = cut_windows(gaussian(SHAPE, position), np.array([position]), 31, centring="nearest")
    assert np.abs(result[0] - ideal_window(31)).max() > 0.05


# Whole groups of lines, groups with a rest, and less than a group.
@pytest.mark.parametrize("window_size", [8, 17, 24, 35])
def test_windows_agree_with_interpolation_by_scipy(window_size):
    rng = np.random.default_rng(1)
    image = rng.normal(size=SHAPE) + 500
    # Up to the very edge of the image, where the spline is mirrored.
    first = (window_size - 1) / 2
    last = np.array(SHAPE[::-1]) - 1 - first
    positions = rng.uniform(first, last, size=(200, 2))
    positions[:4] = [[first, first], last, [first, last[1]], [last[0], first]]
    result = cut_windows(image, positions, window_size)
    grid = np.mgrid[:window_size, :window_size] - first
    for window, (x, y) in zip(result, positions, strict=True):
        expected = ndimage.map_coordinates(
            image, grid + np.array([y, x])[:, None, None], order=3, mode="mirror"
        )
        # float32 keeps 3e-5 of numbers near 500.
        np.testing.assert_allclose(window, expected, atol=5e-4)


@pytest.mark.parametrize("shape", [(8, 9), (31, 70), (1100, 70), (40, 2100)])
def test_coefficients_are_those_of_scipy_to_the_last_digit(shape):
    image = np.random.default_rng(1).poisson(100, shape).astype(np.uint16)
    once = ndimage.spline_filter1d(image, 3, 0, output=np.float32, mode="mirror")
    both = ndimage.spline_filter1d(once, 3, 1, output=np.float32, mode="mirror")
    np.testing.assert_array_equal(windows._source(image, "subpixel"), np.pad(both, 2, "reflect"))


@pytest.mark.parametrize("window_size", [16, 17])
def test_nearest_copies_pixels_and_says_what_remains(window_size):
    image = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    positions = np.array([[60.2, 40.4], [30.9, 20.6]])
    result = cut_windows(image, positions, window_size, centring="nearest")
    offsets = windows.window_offsets(positions, window_size, SHAPE, "nearest")
    assert np.abs(offsets).max() <= 0.5
    for window, position, offset in zip(result, positions, offsets, strict=True):
        x, y = np.rint(position - offset - (window_size - 1) / 2).astype(int)
        np.testing.assert_array_equal(window, image[y : y + window_size, x : x + window_size])
        # The column is at the window's centre plus the offset.
        np.testing.assert_allclose((x, y) + offset + (window_size - 1) / 2, position)


def test_subpixel_windows_have_no_offset():
    assert not windows.window_offsets(np.array([[60.2, 40.4]]), 16, SHAPE).any()


@pytest.mark.parametrize("centring", ["subpixel", "nearest"])
def test_a_few_windows_of_a_large_image_are_those_of_all(centring, monkeypatch):
    image = np.random.default_rng(0).normal(1e3, 50, (700, 800)).astype(np.float32)
    y, x = np.mgrid[20.0:680:40, 20.0:780:40]
    positions = np.stack([x.ravel(), y.ravel()], axis=1) + 0.37
    positions[0], positions[-1] = (15, 15), (784, 684)  # in the corners
    all_of_them = cut_windows(image, positions, 31, centring)
    some = np.array([0, 100, len(positions) - 1])
    monkeypatch.setattr(windows, "_spline_coefficients", small(windows._spline_coefficients))
    few = cut_windows(image, positions[some], 31, centring)
    np.testing.assert_array_equal(few, all_of_them[some])


def small(prepare):
    """The same function, of images below 150 x 150 px only."""

    def checked(image, *out):
        assert max(image.shape) < 150
        return prepare(image, *out)

    return checked


@pytest.mark.parametrize("centring", ["subpixel", "nearest"])
@pytest.mark.parametrize("dtype", [np.uint8, ">i2", np.float32, np.float64, bool])
def test_lazy_equals_eager(centring, dtype, monkeypatch):
    monkeypatch.setattr(windows, "_BLOCK_BYTES", 0)  # 16 windows a block, the least
    rng = np.random.default_rng(2)
    image = rng.uniform(0, 100, size=SHAPE).astype(dtype)
    positions = rng.uniform((20, 20), (70, 60), size=(50, 2))
    eager = cut_windows(image, positions, 24, centring)
    assert eager.any()
    for source in (image, da.from_array(image, chunks=(30, 40))):
        lazy = cut_windows_lazy(source, positions, 24, centring)
        assert lazy.chunks == ((16, 16, 16, 2), (24,), (24,)) and lazy.dtype == np.float32
        np.testing.assert_array_equal(lazy.compute(), eager)


def test_there_is_one_task_per_block_not_per_site():
    positions = np.random.default_rng(3).uniform(30, 59, size=(20_000, 2))
    lazy = cut_windows_lazy(np.zeros(SHAPE, np.float32), positions, 48)
    assert lazy.npartitions == -(-len(positions) // windows.windows_per_block(48))
    assert len(dict(lazy.__dask_graph__())) < 4 * lazy.npartitions + 4


@pytest.mark.parametrize("window_size", [40, 48, 200])
def test_a_block_of_windows_fills_its_share_of_the_memory(window_size):
    count, each = windows.windows_per_block(window_size), 4 * window_size**2
    assert count * each <= windows._BLOCK_BYTES < (count + 1) * each
    assert windows.windows_per_block(8) == 4096  # at most


def test_an_image_in_memory_is_filtered_once(monkeypatch):
    calls = []
    original = windows._source
    monkeypatch.setattr(windows, "_source", lambda *args: calls.append(1) or original(*args))
    monkeypatch.setattr(windows, "_BLOCK_BYTES", 0)
    lazy = cut_windows_lazy(np.ones(SHAPE), np.full((40, 2), 40.0), 24)
    assert not calls
    for block in lazy.blocks:
        block.compute()
    assert len(calls) == 1


def test_lazy_windows_can_be_computed_in_other_processes():
    image = gaussian(SHAPE, (60.3, 40.6))
    positions = np.array([[60.3, 40.6], [50.0, 45.0]])
    lazy = cut_windows_lazy(image, positions, 24)
    lazy.compute()
    cloudpickle = pytest.importorskip("cloudpickle")
    with dask.config.set(scheduler="synchronous"):
        again = cloudpickle.loads(cloudpickle.dumps(lazy)).compute()
    np.testing.assert_array_equal(again, cut_windows(image, positions, 24))


@pytest.mark.parametrize("centring", ["subpixel", "nearest"])
@pytest.mark.parametrize("window_size", [20, 21])
def test_windows_inside_are_those_that_need_no_pixel_outside(window_size, centring):
    half = (window_size - 1) / 2
    inside = np.array([[half, half], [SHAPE[1] - 1 - half, SHAPE[0] - 1 - half]])
    assert windows.window_is_inside(inside, window_size, SHAPE, centring).all()
    step = 0.01 if centring == "subpixel" else 0.51
    outside = np.vstack([inside + [[-step, 0], [step, 0]], inside + [[0, -step], [0, step]]])
    outside = np.vstack([outside, [[np.nan, 40.0], [40.0, np.inf]]])
    assert not windows.window_is_inside(outside, window_size, SHAPE, centring).any()


def test_windows_that_leave_the_image_are_not_cut():
    for cut in (cut_windows, cut_windows_lazy):
        with pytest.raises(ValueError, match="1 of 2 windows leave the image"):
            cut(np.zeros(SHAPE), np.array([[40.0, 40.0], [40.0, 3.0]]), 16)


@pytest.mark.parametrize("centring", ["subpixel", "nearest"])
def test_windows_that_touch_hidden_pixels_are_found(centring):
    hidden = np.zeros(SHAPE, dtype=bool)
    hidden[50, 70:73] = True
    positions = np.random.default_rng(4).uniform(12, (117, 77), size=(2000, 2))
    touching = windows.window_touches(hidden, positions, 16, centring)
    # Cut from the mask itself: with linear weights, a window that uses a hidden pixel is not 0.
    start = positions - 7.5
    if centring == "nearest":
        start = np.rint(start)
    first, last = np.floor(start), np.ceil(start + 15)
    (x0, y0), (x1, y1) = first.T, last.T
    expected = (x0 <= 72) & (x1 >= 70) & (y0 <= 50) & (y1 >= 50)
    assert 20 < expected.sum() < 300
    np.testing.assert_array_equal(touching, expected)


def test_a_nan_changes_no_window_beside_it():
    image = gaussian(SHAPE, (60.3, 40.6)) + gaussian(SHAPE, (85.0, 40.0))
    positions = np.array([[60.3, 40.6]])
    clean = cut_windows(image, positions, 25)
    broken = image.copy()
    broken[30:50, 74:80] = np.nan  # the window ends between pixels 72 and 73
    broken[0, 0] = np.inf
    result = cut_windows(broken, positions, 25)
    # Filling with the nearest pixels disturbs the spline's last interval by a few per mille.
    np.testing.assert_allclose(result, clean, atol=5e-3)
    np.testing.assert_allclose(result[..., :-4], clean[..., :-4], atol=1e-4)


def test_whole_images_of_finite_pixels_have_no_mask():
    assert windows.nonfinite_pixels(np.zeros(SHAPE, np.uint8)) is None
    assert windows.nonfinite_pixels(np.zeros(SHAPE)) is None
    image = np.zeros(SHAPE)
    image[3, 7] = np.nan
    for source in (image, da.from_array(image, chunks=20)):
        mask = windows.nonfinite_pixels(source)
        assert isinstance(mask, np.ndarray) and mask.sum() == 1 and mask[3, 7]


@pytest.mark.parametrize(
    ("window_size", "expected"),
    [
        (48, 48),
        (np.int32(48), 48),
        (np.uint8(48), 48),
        (0.8, 40),
        (np.float32(0.8), 40),
        (0.811, 41),
        (8, 8),  # the smallest
        (None, 19),  # 1.85 * 10.2 px = 18.9 px
    ],
)
def test_int_is_pixels_and_float_is_units(window_size, expected):
    x, y = np.meshgrid(np.arange(5) * 10.2, np.arange(5) * 10.2)
    positions = np.stack([x.ravel(), y.ravel()], axis=1)
    result = resolve_window_size(window_size, positions, 0.02)
    assert result == expected and type(result) is int


def test_unequal_scales_give_their_geometric_mean():
    assert resolve_window_size(0.8, None, (0.01, 0.04)) == 40


@pytest.mark.parametrize(
    ("window_size", "error", "match"),
    [
        ("48", TypeError, r"window_size='48' must be an int"),
        (True, TypeError, "must be an int"),
        (7, ValueError, r"window_size=7 \(pixels\) makes a window of 7 pixels; the smallest is 8"),
        (0, ValueError, "window of 0 pixels"),
        (-20, ValueError, "window of -20 pixels"),
        (0.1, ValueError, r"window_size=0.1 \(axis units, 0.02 per pixel\) makes .* 5 pixels"),
        (np.nan, ValueError, "not a window size"),
    ],
)
def test_impossible_window_sizes_are_refused(window_size, error, match):
    with pytest.raises(error, match=match):
        resolve_window_size(window_size, None, 0.02)


def test_a_window_larger_than_the_image_is_refused():
    windows.check_window_fits(90, SHAPE)
    with pytest.raises(ValueError, match=r"91 pixels is larger than the image \(130 columns, 90"):
        windows.check_window_fits(91, SHAPE)


def test_unknown_centring_is_refused():
    with pytest.raises(ValueError, match="use 'subpixel' or 'nearest'"):
        cut_windows(np.zeros(SHAPE), np.array([[40.0, 40.0]]), 16, centring="pixel")
