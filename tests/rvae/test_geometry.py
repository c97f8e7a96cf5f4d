# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Polar Fourier space: turning, shifting and going back are what they claim to be."""

import numpy as np
import pytest
import torch

from hs_rvae.rvae.geometry import HarmonicGrid, images_on, to_complex, to_real, waves

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
