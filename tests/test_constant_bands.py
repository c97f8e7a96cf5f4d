# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data bars, frames and constant corners of pictures; vacuum and saturation are none of them."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from hs_rvae.constant_bands import describe, find_bands
from hs_rvae.simulation import simulate_perovskite

SHAPE = (200, 240)


def grey(image, black=0.0, white=1.0):
    """An image in 8 bits, its values below and above clipped."""
    low, high = np.quantile(image, [black, white])
    return np.round(255 * np.clip((image - low) / (high - low), 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def film():
    return simulate_perovskite(SHAPE, random_state=0)[0].data


@pytest.fixture(scope="module")
def half_film():
    return simulate_perovskite(SHAPE, vacuum=0.3, random_state=0)[0].data


def bar(background, height=40, width=SHAPE[1]):
    """A data bar with a scale bar, lettering and a rule."""
    picture = Image.new("L", (width, height), background)
    pen, ink = ImageDraw.Draw(picture), 255 - background
    pen.rectangle((20, height - 12, 100, height - 8), fill=ink)
    pen.text((20, 4), "2 nm  HAADF 300 kV  Mag 5.1 Mx", fill=ink)
    pen.line((210, 0, 210, height), fill=ink)
    return np.asarray(picture)


BARS = {
    "black": np.zeros((40, SHAPE[1]), np.uint8),
    "white": np.full((17, SHAPE[1]), 255, np.uint8),
    "grey": np.full((1, SHAPE[1]), 77, np.uint8),
    "black with lettering": bar(0),
    "white with lettering": bar(255, 33),
    "rule above": np.vstack([np.full((2, SHAPE[1]), 255, np.uint8), bar(0)]),
}


@pytest.mark.parametrize("name", BARS)
def test_bars_are_found_on_every_side(name, film):
    height, picture = len(BARS[name]), np.vstack([grey(film), BARS[name]])
    rows, columns = SHAPE
    for turned, inner in [
        (picture, (0, rows, 0, columns)),
        (picture[::-1], (height, rows + height, 0, columns)),
        (picture.T, (0, columns, 0, rows)),
        (picture.T[:, ::-1], (0, columns, height, rows + height)),
        (picture / 255.0, (0, rows, 0, columns)),
    ]:
        bands = find_bands(turned)
        assert bands.inner == inner and not bands.turned
        assert bands.mask.sum() == height * columns


@pytest.mark.parametrize("quality", [75, 90, 95])
@pytest.mark.parametrize("background", [0, 255])
def test_bars_are_found_after_lossy_compression(background, quality, film):
    file = io.BytesIO()
    picture = Image.fromarray(np.vstack([grey(film), bar(background)]))
    picture.save(file, "JPEG", quality=quality)
    assert find_bands(np.asarray(Image.open(file))).inner == (0, *SHAPE[:1], 0, SHAPE[1])


def test_frames_and_bars_within_frames_are_found(film):
    picture = np.pad(np.vstack([grey(film), bar(0)]), 6, constant_values=255)
    assert find_bands(picture).inner == (6, 6 + SHAPE[0], 6, 6 + SHAPE[1])
    moved = ndimage.shift(film, (4.3, -7.6), cval=film.mean())
    assert find_bands(moved).inner == (5, SHAPE[0], 0, SHAPE[1] - 8)
    assert str(find_bands(moved)) == "5 rows at the top, 8 columns at the right"


@pytest.mark.parametrize("angle", [-20, -2, 3, 5, 30, 45])
@pytest.mark.parametrize("reshape", [False, True])
def test_corners_of_a_turned_picture_are_found(angle, reshape, film):
    whole = ndimage.rotate(np.ones(SHAPE), angle, reshape=reshape, order=0) == 0
    picture = ndimage.rotate(film, angle, reshape=reshape, order=1)
    bands = find_bands(picture)
    assert bands.turned and "corners" in str(bands)
    assert (bands.mask & whole).sum() > 0.9 * whole.sum() - 100
    assert not (bands.mask & ~ndimage.binary_dilation(whole, iterations=2)).any()


def test_turned_and_moved_pictures_have_trapezia(film):
    picture = ndimage.affine_transform(film, [[1, 0.06], [0, 1]], offset=(-18, 0), cval=3.0)
    assert find_bands(picture).mask.sum() > 0.95 * (picture == 3.0).sum()


@pytest.mark.parametrize("black", [0.0, 0.05, 0.2, 0.3])
@pytest.mark.parametrize("blur", [0, 0.7, 1.5])
@pytest.mark.parametrize("dose", [1e5, 150.0, 3.0])
def test_vacuum_is_no_band_even_where_it_is_clipped_to_black(dose, blur, black):
    image = simulate_perovskite(SHAPE, vacuum=0.3, dose=dose, random_state=1)[0].data
    image = ndimage.gaussian_filter(image, blur)
    for picture in (grey(image, black), grey(image, black).T, 255 - grey(image, black), image):
        assert find_bands(picture) is None
    turned = ndimage.rotate(grey(image, black), 20, order=1, reshape=False)[45:-45, 45:-45]
    assert find_bands(turned) is None


def test_counts_with_many_zeros_are_no_band(half_film):
    rng = np.random.default_rng(0)
    for dose in (0.02, 0.1, 1, 10):
        counts = rng.poisson(dose * np.clip(half_film / half_film.max() - 0.05, 0, 1))
        assert find_bands(counts) is None


def test_saturated_columns_and_ordinary_images_are_no_band(film):
    for white in (1.0, 0.9, 0.5, 0.2):
        assert find_bands(grey(film, white=white)) is None
    assert find_bands(film) is None


@pytest.mark.parametrize(
    "image",
    [
        np.ones((64, 64)),
        np.arange(100.0) + np.zeros((80, 1)),
        np.eye(100),
        np.full((40, 40), np.nan),
        np.zeros((3, 4), np.uint8),
        np.random.default_rng(0).poisson(0.01, (100, 100)),
    ],
    ids=["constant", "ramp", "unit matrix", "nothing", "tiny", "sparse"],
)
def test_images_of_nothing_are_no_band(image):
    assert find_bands(image) is None


def test_a_bar_under_vacuum_and_missing_pixels_is_found(half_film):
    picture = np.vstack([half_film.T, np.zeros((30, SHAPE[0]), np.float32)])
    picture[:20, :30] = picture[200:210, 50:60] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_bands(picture).inner == (0, SHAPE[1], 0, SHAPE[0])


def test_the_description_names_the_crop(film):
    one = find_bands(np.vstack([film, np.zeros((40, 240))]))
    other = find_bands(np.vstack([np.zeros((12, 240)), film, np.zeros((28, 240))]))
    turned = find_bands(ndimage.rotate(film, 20, reshape=False))
    assert "40 rows at the bottom. Crop the image with image.isig[:, :200]." in describe([one])
    assert "2 of 3 frames" in describe([None, one, other])
    assert "in frame 1 40 rows" in describe([None, one, other])
    assert describe([None, one, other]).endswith("image.isig[:, 12:200].")
    assert "the corners. Set such pixels to NaN, or crop the image." in describe([turned])
    assert describe([None, None]) == ""
