# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The circle of displacements: what is fitted is what displacements were drawn from."""

import numpy as np
import pytest

from hs_rvae.rvae.harmonic.circle import (
    AMPLITUDES,
    N_COARSE,
    N_FINE,
    Circle,
    fit_circle,
    gaussian,
    held_out,
)

ZERO, LENGTH, NOISE = np.array([0.6, -0.35]), 0.8, 0.15


def displacements(seed, wells=(45, 135, 225, 315), n=600, noise=NOISE):
    """Displacements in px in wells (degrees), their zero moved; None: directions at random."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-np.pi, np.pi, n)
    if wells is not None:
        angle = np.radians(np.array(wells)[rng.integers(len(wells), size=n)])
    u = ZERO + LENGTH * np.stack([np.cos(angle), np.sin(angle)], 1)
    return u + noise * rng.standard_normal((n, 2)), angle


def share_near(circle, degrees, reach=30):
    """Probability of angles within `reach` degrees of a direction."""
    angle = 2 * np.pi / len(circle.density) * np.arange(len(circle.density))
    apart = np.angle(np.exp(1j * (angle - np.radians(degrees))))
    return circle.density[np.abs(apart) <= np.radians(reach) + 1e-9].sum()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wells", [(45, 135, 225, 315), (0, 120, 240), None])
def test_zero_length_and_noise_are_recovered(seed, wells):
    circle, value = fit_circle(displacements(seed, wells)[0])
    np.testing.assert_allclose(circle.zero, ZERO, atol=0.06)
    assert circle.length == pytest.approx(LENGTH, rel=0.05)
    # Part of the noise is put down to amplitudes and angles, which may scatter.
    noise = np.sqrt(np.trace(circle.covariance) / 2)
    assert 0.5 * NOISE < noise < 1.1 * NOISE
    assert np.isfinite(value)


@pytest.mark.parametrize("seed", range(4))
def test_the_density_lies_where_the_wells_are(seed):
    circle = fit_circle(displacements(seed, (20, 90, 230))[0])[0]
    shares = [share_near(circle, at) for at in (20, 90, 230)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.08)
    even = fit_circle(displacements(seed, None)[0])[0]
    assert even.density.max() < 3 / N_COARSE
    for one in (circle, even):
        assert one.density.sum() == pytest.approx(1) and one.shares.sum() == pytest.approx(1)


def test_a_zero_that_is_given_stays():
    zero = np.array([0.1, 0.2])
    circle, value = fit_circle(displacements(0)[0], zero=zero)
    np.testing.assert_array_equal(circle.zero, zero)
    assert not circle.free_zero
    assert value < fit_circle(displacements(0)[0])[1] - 0.1  # the wrong zero is less likely
    circle, value = fit_circle(displacements(0)[0], zero=ZERO)
    assert circle.length == pytest.approx(LENGTH, rel=0.05)


def test_a_uniform_density_stays_uniform():
    circle = fit_circle(displacements(0)[0], free_density=False)[0]
    np.testing.assert_array_equal(circle.density, 1 / N_COARSE)


def test_displacements_fitted_are_not_changed():
    u = displacements(0)[0]
    before = u.copy()
    circle = fit_circle(u)[0]
    copy = circle.copy()
    copy.run(u, 3)
    np.testing.assert_array_equal(u, before)
    assert copy.density is not circle.density


def test_densities_integrate_to_1():
    circle = Circle(ZERO, LENGTH, np.array([[0.05, 0.01], [0.01, 0.03]]),
                    np.full(N_COARSE, 1 / N_COARSE), np.full(len(AMPLITUDES), 1 / 6))  # fmt: skip
    line = np.arange(-3, 3, 0.05) + 0.025
    plane = ZERO + np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    for log_density in (
        circle.expect(plane)[1],
        gaussian(plane, ZERO, circle.covariance),
    ):
        assert np.exp(log_density).sum() * 0.05**2 == pytest.approx(1, abs=1e-3)


def test_likelihood_never_falls():
    u = displacements(0)[0]
    circle = fit_circle(u, free_density=False)[0]
    values = [circle.run(u, 1) for _ in range(6)]
    assert (np.diff(values) > -1e-3).all()  # priors of shares and covariance count too


def test_amplitudes_are_those_of_the_displacements():
    circle = fit_circle(displacements(0)[0])[0]
    angle = np.linspace(-3, 3, 40)
    full = circle.zero + circle.length * np.stack([np.cos(angle), np.sin(angle)], 1)
    amplitude, std = circle.amplitude(full, angle)
    np.testing.assert_allclose(amplitude, 1)
    half = circle.amplitude((full + circle.zero) / 2, angle)[0]
    np.testing.assert_allclose(half, 0.5)
    noise = np.sqrt(np.trace(circle.covariance) / 2)
    assert std.mean() == pytest.approx(noise / circle.length, rel=0.1)


def test_a_finer_circle_is_the_same_circle():
    u = displacements(0)[0]
    circle = fit_circle(u)[0]
    fine = circle.finer(u)
    assert len(fine.density) == N_FINE and fine.density.sum() == pytest.approx(1)
    assert fine.length == circle.length
    assert share_near(fine, 45) == pytest.approx(share_near(circle, 45), abs=0.05)


def test_wells_are_likelier_for_sites_left_out_only_where_there_are_wells():
    for wells, at_least, at_most in (((0, 90, 180, 270), 0.3, np.inf), (None, -0.2, 0.02)):
        u = displacements(3, wells)[0]
        free, even = fit_circle(u)[0], fit_circle(u, free_density=False)[0]
        gain = held_out(u, free) - held_out(u, even)
        assert at_least < gain < at_most
        assert held_out(u, even) > held_out(u)  # a ring is not a normal distribution


def test_noise_is_no_circle():
    u = NOISE * np.random.default_rng(0).standard_normal((600, 2))
    assert held_out(u, fit_circle(u)[0]) - held_out(u) < 0.02
