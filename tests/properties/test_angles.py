# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Angles as a group: turns add up, a whole turn does nothing, and everything turns along."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from hs_rvae.simulation import compare_angles
from hs_rvae.variants import find_groups
from hs_rvae.variants.directions import common_offset, wrap

ANGLES = st.floats(-50, 50)
LISTS = st.lists(ANGLES, min_size=1, max_size=30).map(np.array)


def close(angle, other, tolerance=1e-9):
    """Whether directions are the same, up to whole turns."""
    return np.abs(np.angle(np.exp(1j * (np.asarray(angle) - other)))).max() < tolerance


def domains(seed, n, width):
    """Angles in `n` groups, and the groups."""
    rng = np.random.default_rng(seed)
    group = np.arange(240) % n
    return 2 * np.pi / n * group + width * rng.standard_normal(240), group


@given(LISTS, st.integers(-5, 5))
def test_wrapping_keeps_the_direction_and_ends_in_one_turn(angle, turns):
    wrapped = wrap(angle)
    assert (wrapped > -np.pi).all() and (wrapped <= np.pi).all()
    assert close(wrapped, angle)
    np.testing.assert_array_equal(wrap(wrapped), wrapped)
    assert close(wrap(angle + 2 * np.pi * turns), wrapped)


@given(LISTS, ANGLES, ANGLES)
def test_offsets_of_turns_add_up(angle, turn, other):
    first, resultant = common_offset(angle + turn, angle)
    assert close(first, turn, 1e-6) and np.isclose(resultant, 1)
    both, _ = common_offset(angle + turn + other, angle)
    second, _ = common_offset(angle + turn + other, angle + turn)
    assert close(both, first + second, 1e-6)
    back, _ = common_offset(angle, angle + turn)
    assert close(back, -first, 1e-6)


@given(st.integers(0, 10**6), st.integers(2, 6), ANGLES)
def test_groups_are_the_same_after_a_common_turn(seed, n, turn):
    angle, group = domains(seed, n, 0.05)
    still = find_groups(angle, n_groups=n)
    turned = find_groups(angle + turn, n_groups=n)
    variants = still.assign(angle)[0], turned.assign(angle + turn)[0]
    assert adjusted_rand_score(variants[0], group) == 1
    assert adjusted_rand_score(*variants) == 1


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(-7, 7))
def test_a_turn_by_one_group_goes_on_to_the_next(seed, n, steps):
    angle, _ = domains(seed, n, 0.05)
    groups = find_groups(angle, n_groups=n)
    variant = groups.assign(angle)[0]
    turned = groups.assign(angle + 2 * np.pi / n * steps)[0]
    np.testing.assert_array_equal(turned, (variant + steps) % n)


@given(st.integers(0, 10**6), st.integers(2, 6), ANGLES)
def test_a_common_turn_of_all_angles_is_no_error(seed, n, turn):
    wells = 2 * np.pi / n * np.random.default_rng(seed).integers(n, size=60)
    judged = compare_angles(wells + turn, wells, n)
    assert judged["share_right"] == judged["ari"] == 1 and judged["mean_error"] < 1e-4
    assert close(judged["offset"], turn, 1e-6)
