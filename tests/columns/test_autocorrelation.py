# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hs_rvae.columns import autocorrelation
from hs_rvae.simulation import simulate_perovskite


def same_lattice(first, second, tolerance=0.01):
    """Whether two bases span the same lattice: each in whole numbers of the other."""
    steps = np.asarray(first) @ np.linalg.inv(second)
    whole = np.round(steps)
    return np.abs(steps - whole).max() < tolerance and abs(abs(np.linalg.det(whole)) - 1) < 1e-9


def turned(vectors, degrees):
    angle = np.deg2rad(degrees)
    return np.asarray(vectors) @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]


def test_the_reduced_basis_is_shortest_and_spans_the_same_lattice():
    basis = np.array([[7.0, 1.0], [40.0, 9.0]])
    short, long = autocorrelation.reduced(basis)
    assert same_lattice([short, long], basis)
    assert np.linalg.norm(short) <= np.linalg.norm(long)
    assert abs(short @ long) <= short @ short / 2 + 1e-9


@pytest.mark.parametrize("degrees", [0, 20, 44, 90, 135, 200, 300])
def test_upright_vectors_point_right_and_down(degrees):
    first, second = autocorrelation.upright(turned([[10, 0], [0, 12]], degrees))
    assert first[0] >= abs(first[1]) - 1e-9
    assert second[1] > 0
    assert same_lattice([first, second], turned([[10, 0], [0, 12]], degrees))


@pytest.mark.parametrize("aspect", [1.0, 1.3, 1.9, 2.5])
def test_the_centred_cell_of_all_columns_is_the_rectangle(aspect):
    rectangle = turned([[20, 0], [0, 20 * aspect]], 17)
    columns = autocorrelation.reduced([rectangle[0], rectangle.sum(axis=0) / 2])
    best = autocorrelation.centred_cells(columns)[0]
    assert same_lattice(best, rectangle)
    assert abs(best[0] @ best[1]) < 1e-6 * np.linalg.det(rectangle)


@pytest.mark.parametrize("rotation", [0, 12, 45])
@pytest.mark.parametrize("cell", [14, 40])
def test_the_lattice_of_an_image_is_found(cell, rotation):
    image, _ = simulate_perovskite((320, 280), cell=cell, rotation=rotation, random_state=1)
    found, _ = autocorrelation.find_lattice(image.data)
    square = turned([[cell, 0], [0, cell]], rotation)
    # The mean strain of so small an image is up to 1 %, and moves the second vector as well.
    assert same_lattice(found.vectors, square, 0.06) or same_lattice(
        found.vectors,
        autocorrelation.reduced([square.sum(axis=0) / 2, (square[0] - square[1]) / 2]),
        0.06,
    )
    assert found.score > 30 * found.noise


def test_large_images_are_tiled_with_the_same_result():
    x, y = np.meshgrid(np.arange(1500), np.arange(1100))
    image = np.cos(2 * np.pi * x / 23.4) * np.cos(2 * np.pi * y / 31.7)
    image = image.astype(np.float32)
    found, _ = autocorrelation.find_lattice(image)
    whole = autocorrelation.reduced([[23.4 / 2, 31.7 / 2], [23.4 / 2, -31.7 / 2]])
    assert same_lattice(found.vectors, whole, 0.005)


def test_pixels_that_were_not_measured_leave_no_trace():
    image, _ = simulate_perovskite((300, 300), random_state=2)
    valid = np.ones(image.data.shape, bool)
    valid[:, 40:60] = valid[200:, :150] = False
    values = np.where(valid, image.data, image.data[valid].mean())
    with_mask, _ = autocorrelation.find_lattice(values, valid)
    whole, _ = autocorrelation.find_lattice(image.data)
    assert same_lattice(with_mask.vectors, whole.vectors, 0.02)


@pytest.mark.parametrize("smooth", [0, 2, 5])
def test_noise_has_no_lattice(smooth):
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(3).normal(size=(256, 256))
    found, _ = autocorrelation.find_lattice(gaussian_filter(noise, smooth).astype(np.float32))
    # A real crystal has 30 and more.
    assert found is None or found.score < 8 * found.noise


def test_stretched_pixels_give_vectors_in_square_ones():
    x, y = np.meshgrid(np.arange(300), np.arange(300))
    image = np.cos(2 * np.pi * x / 10) ** 2 + np.cos(2 * np.pi * y / 20) ** 2
    stretch = np.array([np.sqrt(2), 1 / np.sqrt(2)])
    found, _ = autocorrelation.find_lattice(image.astype(np.float32), None, stretch)
    lengths = np.linalg.norm(found.vectors, axis=1)
    np.testing.assert_allclose(lengths, 5 * np.sqrt(2), rtol=0.02)
