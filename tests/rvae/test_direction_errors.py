# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of directions are found from displacements, and intervals cover what they promise."""

import numpy as np
import pytest

from hs_rvae.rvae.harmonic.circle import AMPLITUDES, N_FINE, Circle, fit_circle, smoothed
from hs_rvae.rvae.harmonic.direction_errors import (
    DirectionErrors,
    most_probable,
    noise_of_turns,
)
from hs_rvae.rvae.neighbour_test import LatticeOffsets

SIDE = 40
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
PARTNERS = LatticeOffsets(10.0 * np.stack([COLUMNS.ravel(), ROWS.ravel()], 1)).partners
WELL = 2 * (ROWS >= SIDE // 2) + (COLUMNS >= SIDE // 2)  # four square domains


def displacements(seed, length=0.5, noise=0.08, real=0.05, well=WELL):
    """True displacements (n, 2) about the diagonals, and those with noise."""
    rng = np.random.default_rng(seed)
    angle = np.pi / 4 + np.pi / 2 * well.ravel()
    true = length * np.stack([np.cos(angle), np.sin(angle)], 1)
    true += real * rng.standard_normal(true.shape)
    return true, true + noise * rng.standard_normal(true.shape)


def scatter(errors):
    return np.hypot(errors.noise, errors.real)


def test_scatter_is_not_that_of_the_sites_far_off_their_well():
    # Chosen by length, sites of short displacements would scatter by a tenth more.
    _, u = displacements(0, length=0.3)
    errors = DirectionErrors.of_wells(fit_circle(u, zero=np.zeros(2))[0], u, PARTNERS, None)
    assert scatter(errors) == pytest.approx(np.hypot(0.08, 0.05), rel=0.05)
    assert errors.systematic == 0


def test_walls_do_not_count_as_scatter():
    # Two cells on either side of a wall, six of ten, are displaced at random as well.
    in_domain = np.stack([ROWS % 10, COLUMNS % 10])
    beside = ((in_domain < 2) | (in_domain > 7)).any(0).ravel()
    well = 2 * (ROWS // 10 % 2) + COLUMNS // 10 % 2
    _, u = displacements(1, well=well)
    u[beside] += 0.15 * np.random.default_rng(2).standard_normal((beside.sum(), 2))
    circle = fit_circle(u, zero=np.zeros(2))[0]
    far, all_sites = (scatter(DirectionErrors.of_wells(circle, u, p, None)) for p in (PARTNERS, []))
    clean = np.hypot(0.08, 0.05)
    assert far < 1.2 * clean
    assert all_sites > 1.4 * clean


@pytest.mark.parametrize("off", [0.0, 0.04])
def test_wells_turned_against_measured_positions_are_less_certain(off):
    true, u = displacements(3)
    measured = true + 0.1 * np.random.default_rng(4).standard_normal(true.shape)
    u = 1.1 * u + [off, 0]  # of another scale, about another zero
    circle = fit_circle(u, zero=np.zeros(2))[0]
    errors = DirectionErrors.of_wells(circle, u, PARTNERS, measured)
    assert errors.systematic == pytest.approx(off / np.sqrt(2), abs=0.01)  # across the diagonals


def test_a_circle_without_wells_has_no_errors():
    density = np.full(36, 1 / 36)
    circle = Circle(np.zeros(2), 1.0, 0.01 * np.eye(2), density, np.full(6, 1 / 6))
    assert DirectionErrors.of_wells(circle, np.zeros((5, 2)), [], None) is None


@pytest.mark.parametrize("share", [0.3, 0.4, 0.5])
def test_intervals_cover_whatever_the_share_of_real_deviations(share):
    noise, real = 0.1 * np.sqrt([1 - share, share])
    covered = []
    for seed in range(4):
        true, u = displacements(seed, length=0.8, noise=noise, real=real)
        circle = fit_circle(u, zero=np.zeros(2))[0]
        errors = DirectionErrors.of_wells(circle, u, PARTNERS, None)
        fine = circle.finer(u)
        angle, std, density, width, amplitude = most_probable(fine.score(u), N_FINE)
        np.testing.assert_allclose(density.sum(1), 1, rtol=1e-4)
        assert (width <= std).all()
        std = std * errors.over_widths(fine, u, width, amplitude)
        error = np.abs(np.angle(np.exp(1j * (angle - np.arctan2(true[:, 1], true[:, 0])))))
        covered.append([(error < std).mean(), (error < 1.96 * std).mean()])
    mean = np.mean(covered, 0)
    assert 0.60 <= mean[0] <= 0.76 and 0.90 <= mean[1] <= 0.98


def test_a_posterior_has_its_width_and_its_amplitude():
    density = smoothed((np.arange(N_FINE) == 0).astype(float), np.radians(3))
    shares = (AMPLITUDES == 1) + 1e-9
    circle = Circle(np.zeros(2), 1.0, 0.05**2 * np.eye(2), density, shares / shares.sum())
    score = circle.score(np.array([[1.0, 0.0]]))
    angle, std, _, width, amplitude = most_probable(score, N_FINE)
    assert angle == pytest.approx(0, abs=1e-6)
    assert std == pytest.approx((np.radians(3) ** -2 + 0.05**-2) ** -0.5, rel=0.03)
    assert width == pytest.approx(std, rel=0.05)
    assert amplitude == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("noise", [0.03, 0.1])
def test_noise_is_told_from_directions_that_turn(noise):
    positions = 10.0 * np.stack([COLUMNS.ravel(), ROWS.ravel()], 1)
    x, y = 2 * np.pi * positions.T / 250
    u = np.stack([np.sin(x) * np.cos(y), -np.cos(x) * np.sin(y)], 1)
    u += noise * np.random.default_rng(6).standard_normal(u.shape)
    partners = LatticeOffsets(positions).with_next_cells().partners
    assert noise_of_turns(u, partners) == pytest.approx(noise, rel=0.12)
    assert noise_of_turns(u[:30], []) is None
