# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hs_rvae.columns import peaks

SQUARE = np.array([1.0, 1.0])


def spots(positions, heights, shape=(80, 90), width=2.5):
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape)
    for (cx, cy), height in zip(positions, heights, strict=True):
        image += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
    return image.astype(np.float32)


def test_spots_are_found_to_a_fraction_of_a_pixel_up_to_the_border():
    true = np.array([[20.3, 30.8], [50.0, 31.4], [70.6, 2.4], [2.6, 60.0], [87.4, 77.1]])
    passed = peaks.band_passed(spots(true, [5, 3, 4, 4, 4]) + 100, 2.5, SQUARE)
    found, heights = peaks.local_maxima(passed, 8, SQUARE)
    found = found[heights > 0.1]
    assert len(found) == len(true)
    nearest = np.linalg.norm(found[:, None] - true, axis=2).argmin(axis=0)
    # Reflection at the border bends the filter there.
    np.testing.assert_allclose(found[nearest][:2], true[:2], atol=0.1)
    np.testing.assert_allclose(found[nearest][2:], true[2:], atol=0.6)


def test_of_two_near_maxima_the_higher_one_stays_whatever_the_direction():
    for angle in np.deg2rad([0, 30, 45]):
        other = np.array([40, 40]) + 9 * np.array([np.cos(angle), np.sin(angle)])
        passed = peaks.band_passed(spots([[40, 40], other], [2, 5], width=2), 2, SQUARE)
        near, _ = peaks.local_maxima(passed, 9.5, SQUARE)
        far, heights = peaks.local_maxima(passed, 8.5, SQUARE)
        assert np.linalg.norm(near[0] - other) < 0.5
        assert (heights > 0.3).sum() == 2
        assert np.linalg.norm(near - [40, 40], axis=1).min() > 2


def test_a_slope_and_an_offset_make_no_maxima():
    y, x = np.mgrid[:64, :64]
    passed = peaks.band_passed((0.5 + x / 64 - y / 100).astype(np.float32), 3, SQUARE)
    # Of an offset, one part in a thousand is left: the kernel ends at four widths.
    assert np.abs(passed[12:-12, 12:-12]).max() < 3e-3


def test_the_noise_of_the_band_pass_is_known():
    rng = np.random.default_rng(0)
    sigma = np.where(np.arange(400) < 200, 1.0, 5.0)
    image = (rng.normal(size=(400, 400)) * sigma).astype(np.float32)
    passed = peaks.band_passed(image, 2.5, SQUARE)
    noise = peaks.noise_of_band_pass(image, np.array([[100.0, 200.0], [300.0, 200.0]]), 2.5, 40)
    # 200 x 400 pixels hold about 1,000 independent values: 3 % each.
    np.testing.assert_allclose(noise[0], passed[:, :190].std(), rtol=0.1)
    np.testing.assert_allclose(noise[1], passed[:, 210:].std(), rtol=0.1)


@pytest.mark.parametrize("sign", [1, -1])
def test_dark_columns_are_recognised(sign):
    grid = [[x, y] for x in range(10, 90, 13) for y in range(10, 80, 13)]
    passed = peaks.band_passed(sign * spots(grid, np.ones(len(grid))), 2, SQUARE)
    assert peaks.are_dark(passed) == (sign < 0)


def test_gaps_are_filled_smoothly():
    y, x = np.mgrid[:100, :100]
    image = (50 + 0.1 * x).astype(np.float32)
    valid = np.ones(image.shape, bool)
    valid[40:50, 40:50] = False
    filled = peaks.filled(np.where(valid, image, 0), valid, 5)
    assert np.abs(filled - image).max() < 1.5
    assert (filled[valid] == image[valid]).all()


def test_the_typical_height_is_that_of_columns_and_not_of_specks_or_noise():
    heights = np.concatenate([[500, 300], np.full(100, 10.0), np.full(100, 3.0), np.full(900, 0.1)])
    assert peaks.typical_height(heights, 200) == 10
    assert peaks.typical_height(np.empty(0), 200) == 0


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_maxima_do_not_depend_on_the_blocks_that_they_are_found_in(rows, monkeypatch):
    passed = np.random.default_rng(0).normal(size=(65, 40)).astype(np.float32)
    valid = np.random.default_rng(1).random(passed.shape) > 0.2
    whole = peaks.local_maxima(passed, 2.5, SQUARE, valid)
    monkeypatch.setattr(peaks, "_ROWS", rows)
    for one, other in zip(whole, peaks.local_maxima(passed, 2.5, SQUARE, valid), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(whole[0]) > 50
