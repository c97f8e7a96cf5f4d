# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harmonics of sub-images turn by phases: the turns of the plane act on them as a group."""

from functools import cache

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hs_rvae.rvae.geometry import HarmonicGrid, align, by_order, to_complex, to_real

ANGLES = st.floats(-20, 20)
SEEDS = st.integers(0, 2**32 - 1)
WIDTHS = st.sampled_from([12, 15, 20])


@cache
def grid_of(width):
    return HarmonicGrid(width, 0.2, 5, 6)


def images_of(seed, width, n=3):
    """Noise without its finest details, which no grid of harmonics holds."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(n, width, width)))
    fine = np.hypot(np.fft.fftfreq(width)[:, None], np.fft.rfftfreq(width)) > 0.2
    return torch.tensor(np.fft.irfft2(np.where(fine, 0, spectrum), (width, width)).astype("f4"))


def harmonics_of(seed, width):
    return grid_of(width).harmonics(images_of(seed, width))


@given(SEEDS, WIDTHS)
def test_real_and_complex_form_hold_the_same(seed, width):
    harmonics = harmonics_of(seed, width)
    again = to_complex(to_real(harmonics), harmonics.shape[1:])
    torch.testing.assert_close(again[:, :, 1:], harmonics[:, :, 1:], rtol=0, atol=0)
    torch.testing.assert_close(again[:, :, 0].real, harmonics[:, :, 0].real, rtol=0, atol=0)
    torch.testing.assert_close(by_order(harmonics).permute(1, 2, 0), harmonics, rtol=0, atol=0)


@given(SEEDS, WIDTHS, ANGLES, ANGLES)
def test_turns_add_up(seed, width, first, second):
    harmonics = harmonics_of(seed, width)
    turned = align(align(harmonics, torch.full((3,), first)), torch.full((3,), second))
    once = align(harmonics, torch.full((3,), first + second))
    torch.testing.assert_close(turned, once, rtol=0, atol=2e-4 * float(harmonics.abs().max()))
    back = align(turned, torch.full((3,), -first - second))
    torch.testing.assert_close(back, harmonics, rtol=0, atol=2e-4 * float(harmonics.abs().max()))
    torch.testing.assert_close(turned.abs(), harmonics.abs(), rtol=1e-4, atol=1e-4)


@given(SEEDS, WIDTHS, st.integers(-5, 5))
def test_a_quarter_turn_of_the_pixels_is_one_of_the_harmonics(seed, width, quarters):
    grid, images = grid_of(width), images_of(seed, width)
    harmonics = grid.harmonics(images)
    turned = grid.harmonics(torch.rot90(images, quarters, (1, 2)).contiguous())
    # rot90 turns from y towards x where the rows run down: against the angle of the harmonics.
    expected = grid.turn(harmonics, torch.full((3,), -quarters * np.pi / 2))
    scale = float(harmonics.abs().max())
    torch.testing.assert_close(turned, expected.to(turned.dtype), rtol=0, atol=2e-3 * scale)


@given(SEEDS, SEEDS, WIDTHS, st.floats(-5, 5))
def test_harmonics_and_images_are_linear(seed, other, width, factor):
    grid = grid_of(width)
    first, second = images_of(seed, width), images_of(other, width)
    both = grid.harmonics(first + factor * second)
    one, two = grid.harmonics(first), factor * grid.harmonics(second)
    # The parts may nearly cancel: rounding is that of the larger one.
    scale = 1e-4 * float(torch.maximum(one.abs().max(), two.abs().max()))
    torch.testing.assert_close(both, one + two, rtol=0, atol=scale)
    drawn, one, two = grid.images(both), grid.images(one), grid.images(two)
    scale = 1e-4 * float(torch.maximum(one.abs().max(), two.abs().max()))
    torch.testing.assert_close(drawn, one + two, rtol=0, atol=scale)
