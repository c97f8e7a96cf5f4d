# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Polar Fourier space: turning, shifting and going back are what they claim to be."""

import numpy as np
import pytest
import torch

from hs_rvae.rvae.geometry import HarmonicGrid, disk_on, images_on, to_complex, to_real, waves

GRID = HarmonicGrid(41, q_max=0.12, n_q=12, max_order=18)


def blobs(centres, width=4.5, size=41, offset=(0.0, 0.0)):
    """Gaussian columns at `centres` (x, y) about a column that is `offset` off the middle."""
    line = np.arange(size) - (size - 1) / 2
    image = np.zeros((size, size))
    for x, y, height in centres:
        dx, dy = line[None, :] - x - offset[0], line[:, None] - y - offset[1]
        image += height * np.exp(-(dx**2 + dy**2) / (2 * width**2))
    return torch.as_tensor(image[None], dtype=torch.float32)


def turned(centres, angle):
    """The same columns turned from +x towards +y."""
    cos, sin = np.cos(angle), np.sin(angle)
    return [(cos * x - sin * y, sin * x + cos * y, h) for x, y, h in centres]


MOTIF = [(0.0, 0.0, 1.0), (8.0, 3.0, 0.7), (-5.0, 7.0, 0.5)]


def relative(a, b):
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("angle", [0.3, np.pi / 2, -2.0])
def test_turning_the_content_is_a_phase(angle):
    harmonics = GRID.harmonics(blobs(MOTIF))
    expected = GRID.harmonics(blobs(turned(MOTIF, angle)))
    # A rotation by any angle is exact but for pixels at the rim of the disk.
    assert relative(GRID.turn(harmonics, torch.tensor([angle])), expected) < 2e-3


def test_rot90_of_the_pixels_is_a_turn_by_minus_90_degrees():
    image = blobs(MOTIF) + 0.1 * torch.randn(
        (1, 41, 41), generator=torch.Generator().manual_seed(0)
    )
    harmonics = GRID.harmonics(image)
    expected = GRID.harmonics(torch.rot90(image, 1, (1, 2)))
    assert relative(GRID.turn(harmonics, torch.tensor([-np.pi / 2])), expected) < 1e-5


def test_half_the_squared_norm_is_kept():
    image = blobs(MOTIF)
    energy = float((image * GRID.disk()).square().sum())
    assert 2 * float(GRID.harmonics(image).abs().square().sum()) == pytest.approx(energy, rel=0.02)


def test_images_are_the_inverse_inside_the_disk():
    image = blobs(MOTIF)
    back = GRID.images(GRID.harmonics(image))
    assert relative(back, image * GRID.disk()) < 0.02


def test_a_larger_window_of_coarser_pixels_shows_the_disk_once():
    harmonics = GRID.harmonics(blobs(MOTIF))
    images = images_on(GRID, harmonics, 61, step=2.0)
    line = 2.0 * (torch.arange(61) - 30)
    distance = torch.hypot(line[:, None], line[None, :])
    assert not images[0][distance > 0.65 * 41].any()
    disk = (GRID.disk() > 0.5)[::2, ::2]
    assert relative(images[0, 20:41, 20:41][disk], GRID.images(harmonics)[0, ::2, ::2][disk]) < 0.02


def test_an_offset_column_gives_the_harmonics_of_a_centred_one():
    offset = torch.tensor([[0.4, -0.3]])
    shifted = blobs(MOTIF, offset=(0.4, -0.3))
    # Both phase and disk follow the column; 1e-3 is what sampling of the disk's edge leaves.
    assert relative(GRID.harmonics(shifted, offset), GRID.harmonics(blobs(MOTIF))) < 2e-3


def test_shift_moves_the_content():
    moved = GRID.shift(GRID.harmonics(blobs(MOTIF)), torch.tensor([[1.0, -0.5]]))
    centres = [(x + 1.0, y - 0.5, h) for x, y, h in MOTIF]
    assert relative(moved, GRID.harmonics(blobs(centres))) < 5e-3


def test_real_numbers_hold_the_same_as_complex_ones():
    harmonics = GRID.harmonics(blobs(MOTIF).expand(3, -1, -1))
    real = to_real(harmonics)
    assert real.shape == (3, 12 * 37)
    assert torch.equal(
        to_complex(real, (12, 19)), harmonics.real + 1j * _without_order_0(harmonics)
    )


def _without_order_0(harmonics):
    imaginary = harmonics.imag.clone()
    assert imaginary[:, :, 0].abs().max() < 1e-5  # a real image has a real order 0
    imaginary[:, :, 0] = 0
    return imaginary


def test_waves_come_with_their_derivatives():
    angle = torch.tensor([0.7])
    step = 1e-3
    values = waves(torch.tensor([0.7 - step, 0.7 + step]), 6)
    first = (values[1] - values[0])[:, :2] / (2 * step)
    assert torch.allclose(first, waves(angle, 6)[0, :, 1:], atol=2e-2)


def test_the_disk_falls_from_one_to_nothing_inside_the_window():
    disk = GRID.disk()
    assert disk[20, 20] == pytest.approx(1.0, abs=1e-6)
    assert disk[0].max() < 0.12 and disk[:, -1].max() < 0.12
    assert GRID.falloff(np.array(GRID.radius)) == pytest.approx(0.5)
    at_edge = GRID.falloff(GRID.radius + GRID.edge * np.array([-1.0, 1.0]))
    assert at_edge == pytest.approx([0.5 * (1 + np.tanh(1)), 0.5 * (1 - np.tanh(1))])
    assert GRID.radius == pytest.approx(41 / 2 - 1.5 * GRID.edge)
    small = HarmonicGrid(12, q_max=0.12, n_q=4, max_order=4)
    assert (small.edge, GRID.edge) == pytest.approx((0.6, 1.025))  # a pixel samples it at least


@pytest.mark.parametrize("size", [41, 45, 51, 61])
def test_windows_of_any_size_give_the_harmonics_about_a_column_far_off_the_middle(size):
    """A window without the pixels beyond it has those of its border instead."""
    offset = torch.tensor([[3.0, -2.0]])
    # Above a background, so that pixels that are not there would be seen.
    wide = 1 + blobs(MOTIF, size=size, offset=(3.0, -2.0))
    found = GRID.shifted_harmonics(wide, offset)
    expected = GRID.harmonics(1 + blobs(MOTIF))
    # 5e-4 is what single precision leaves of sums over a background; without the border, 0.016.
    assert relative(found, expected) < 3e-3
    still = GRID.shifted_harmonics(1 + blobs(MOTIF, size=size), torch.zeros(1, 2))
    assert relative(still, expected) < 3e-3


@pytest.mark.parametrize("size", [43, 45, 47])
def test_a_window_with_some_of_the_pixels_beyond_it_gets_the_others_from_its_border(size):
    place = (4.8, -4.6)
    found = GRID.shifted_harmonics(1 + blobs(MOTIF, size=size, offset=place), torch.tensor([place]))
    # Without a border 0.034, 0.018 and 0.005.
    assert relative(found, GRID.harmonics(1 + blobs(MOTIF))) < 3e-3


def test_a_column_further_off_than_the_margin_is_treated_as_at_the_margin():
    image = blobs(MOTIF, size=61)
    far, margin = torch.tensor([[9.0, -9.0]]), torch.tensor([[5.0, -5.0]])
    assert torch.equal(GRID.shifted_harmonics(image, far), GRID.shifted_harmonics(image, margin))


def test_white_noise_has_the_power_that_is_predicted():
    noise = torch.randn((4000, 41, 41), generator=torch.Generator().manual_seed(0))
    measured = GRID.harmonics(noise).abs().square().mean(0).numpy()
    # The mean of 4,000 squares has a standard error of 2 %.
    np.testing.assert_allclose(measured, GRID.noise_power(), rtol=0.12, atol=1e-5)


def test_an_even_image_is_even_without_its_disk():
    found = GRID.mean_image(GRID.harmonics(torch.full((1, 41, 41), 2.0))[0])
    inside = GRID.disk() > 0.5
    # Frequencies from half a step on: an even image is kept to a few per cent.
    assert found[inside].mean() == pytest.approx(2.0, rel=0.1)
    corners = found[GRID.disk() <= 0.05]
    assert len(corners) and torch.equal(corners, corners[:1].expand(len(corners)))
    edge = found[(GRID.disk() > 0.05) & (GRID.disk() < 0.5)].mean()
    assert corners[0] == pytest.approx(float(edge))


def test_a_grid_is_its_four_numbers():
    GRID.harmonics(blobs(MOTIF))  # which keeps matrices
    assert HarmonicGrid(41, q_max=0.12, n_q=12, max_order=18) == GRID
    assert "cache" not in repr(GRID)
    assert GRID.q == pytest.approx(0.01 * (np.arange(12) + 0.5))
    # Of one detector; grids of several are made of these.
    assert (GRID.single, GRID.n_detectors, GRID.n_radial) == (GRID, 1, 12)


def test_azimuths_are_more_than_the_highest_order_needs():
    assert GRID.n_phi >= 4 * GRID.max_order and GRID.n_phi % 4 == 0
    assert HarmonicGrid(41, 0.12, 12, max_order=0).n_phi >= 4


def test_the_gradient_is_the_change_of_a_small_shift():
    harmonics = GRID.harmonics(blobs(MOTIF))
    for k, step in enumerate(torch.tensor([[[0.02, 0.0]], [[0.0, 0.02]]])):
        change = (GRID.shift(harmonics, step) - GRID.shift(harmonics, -step)) / 0.04
        assert relative(GRID.gradient(harmonics)[:, k], change) < 1e-3


@pytest.mark.parametrize("offset", [None, np.array([[0.4, -0.3], [2.0, 1.0]])])
def test_the_disk_of_another_window_is_the_same_disk(offset):
    wanted = GRID.disk(None if offset is None else torch.as_tensor(offset)).numpy()
    same = disk_on(GRID, 41, offset=offset)
    np.testing.assert_allclose(same, wanted[None] if offset is None else wanted, atol=1e-5)
    half = None if offset is None else offset / 2
    np.testing.assert_allclose(disk_on(GRID, 21, 2.0, half), same[:, ::2, ::2], atol=1e-5)


def test_images_on_the_same_window_are_those_of_the_grid_and_move_with_a_shift():
    harmonics = GRID.harmonics(blobs(MOTIF))
    assert torch.equal(images_on(GRID, harmonics, 41), GRID.images(harmonics))
    shift = torch.tensor([[1.0, -0.5]])
    moved = images_on(GRID, harmonics, 41, shift=shift)
    assert torch.equal(moved, GRID.images(GRID.shift(harmonics, shift)))
    half = images_on(GRID, harmonics, 21, 2.0, shift / 2)  # in px of twice the size
    disk = GRID.disk()[::2, ::2] > 0.5
    assert relative(2 * half[0][disk], 2 * moved[0, ::2, ::2][disk]) < 0.02


@pytest.mark.parametrize("size", [20, 21])
def test_harmonics_are_the_sum_over_pixels_that_defines_them(size):
    grid = HarmonicGrid(size, 0.2, 4, 5)
    images = np.random.default_rng(0).standard_normal((3, size, size))
    y, x = np.indices((size, size)) - (size - 1) / 2
    disk = grid.falloff(np.hypot(x, y))
    phi = 2 * np.pi * np.arange(grid.n_phi) / grid.n_phi
    waves = np.exp(-2j * np.pi * grid.q[:, None, None, None]
                   * (x[..., None] * np.cos(phi) + y[..., None] * np.sin(phi)))  # fmt: skip
    polar = np.einsum("nyx,qyxp->nqp", images * disk, waves)
    orders = polar @ np.exp(-1j * phi[:, None] * np.arange(6)) / grid.n_phi
    step = grid.q_max / grid.n_q * 2 * np.pi / grid.n_phi
    weight = np.sqrt(np.where(np.arange(6) == 0, grid.n_phi / 2, grid.n_phi))
    expected = np.sqrt(grid.q[:, None] * step) * orders * weight
    found = grid.harmonics(torch.as_tensor(images, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())
