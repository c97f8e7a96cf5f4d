# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registering angles and counting wells, on numbers alone."""

import numpy as np
import pytest

from hs_rvae.variants import common_offset, count_variants, nearest_wells, wrap


def test_wrap_includes_plus_pi_only():
    np.testing.assert_allclose(wrap([np.pi, -np.pi, 4.0]), [np.pi, np.pi, 4.0 - 2 * np.pi])


def test_common_offset_is_a_weighted_circular_mean():
    reference = np.array([0.0, 1.0, 2.0, 3.0])
    angle = wrap(reference + 3.0)
    angle[3] += 2.0  # one that does not belong, without weight
    offset, resultant = common_offset(angle, reference, weights=[1, 1, 1, 0])
    assert offset == pytest.approx(3.0) and resultant == pytest.approx(1.0)
    random = np.random.default_rng(0).uniform(-np.pi, np.pi, 2000)
    assert common_offset(random, np.zeros(2000))[1] < 0.1


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_wells_are_counted(n):
    rng = np.random.default_rng(n)
    angle = 0.4 + 2 * np.pi / n * rng.integers(0, n, 500) + 0.05 * rng.standard_normal(500)
    assert count_variants(angle) == n


def test_two_of_four_wells_90_degrees_apart_are_counted_as_four():
    angle = np.repeat([0.2, 0.2 + np.pi / 2], 50)
    assert count_variants(angle) == 4


def test_scattered_angles_have_no_wells():
    assert count_variants(np.random.default_rng(0).uniform(-np.pi, np.pi, 1000)) == 0
    assert count_variants(np.array([])) == 0


def test_nearest_wells_count_clockwise_from_the_origin():
    angle = np.array([0.1, np.pi / 2, -np.pi / 2 + 0.2, np.pi, np.nan])
    variant, residual, _ = nearest_wells(angle, 4, origin=0.0)
    assert list(variant) == [0, 1, 3, 2, -1]
    np.testing.assert_allclose(residual[:4], [0.1, 0, 0.2, 0], atol=1e-12)


def test_wells_without_origin_fit_the_angles():
    angle = 0.3 + np.repeat([0, np.pi / 2, np.pi], 20)
    variant, residual, origin = nearest_wells(angle, 4)
    assert origin == pytest.approx(0.3) and np.abs(residual).max() < 1e-9
    assert list(np.unique(variant)) == [0, 1, 2]
