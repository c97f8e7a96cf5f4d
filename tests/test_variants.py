# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registering angles and finding their groups, on numbers alone."""

import numpy as np
import pytest

from hs_rvae.variants import (
    MOST_GIVEN,
    common_offset,
    find_groups,
    groups_in_walls,
    measured_groups,
    nearest_wells,
    wrap,
)


def angles_about(degrees, n=500, spread=3.0, seed=0):
    """Angles (rad) about given directions, alike in number, and the number of the direction."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(len(degrees), size=n)
    return np.radians(np.asarray(degrees)[kind] + spread * rng.standard_normal(n)), kind


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


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 8])
def test_equally_spaced_groups_are_counted(n):
    degrees = 23 + 360 / n * np.arange(n)
    angle, kind = angles_about(degrees, seed=n)
    groups = find_groups(angle)
    assert groups.n_groups == n
    variant = groups.assign(angle)[0]
    for k in range(n):  # each group is one of the directions, and each direction one of the groups
        assert (
            variant[kind == k] == np.bincount(variant[kind == k] + 1).argmax() - 1
        ).mean() > 0.98
    assert len(np.unique(variant[variant >= 0])) == n


@pytest.mark.parametrize("apart", [20, 40, 60, 68, 75, 80, 90, 100, 112, 120, 140, 160, 180])
def test_two_groups_are_two_whatever_lies_between_them(apart):
    rng = np.random.default_rng(0)
    angle = np.r_[rng.normal(0, 0.02, 500), rng.normal(np.radians(apart), 0.02, 500)]
    groups = find_groups(angle)
    assert groups.n_groups == 2
    np.testing.assert_allclose(np.degrees(groups.centres), [0, apart], atol=0.3)
    variant, residual, _ = groups.assign(angle)
    assert (variant == np.repeat([0, 1], 500)).mean() > 0.98
    # No variant stands where no angle is: the spread of a group is 1.1 degrees.
    assert np.degrees(np.nanmedian(np.abs(residual))) < 1.2


def test_a_rare_group_at_an_odd_place_keeps_its_own_direction():
    common, kind = angles_about([10.0, 78.0], 700)
    groups = find_groups(np.r_[common, np.radians(201 + 3 * np.sin(np.arange(40.0)))])
    np.testing.assert_allclose(np.degrees(groups.centres), [10, 78, 201], atol=1.5)
    shares = np.r_[np.bincount(kind), 40] / 740
    np.testing.assert_allclose(groups.shares, shares, atol=0.01)
    assert (groups.precision < groups.widths / 4).all() and groups.evidence_fewer > 0


@pytest.mark.parametrize("modulation", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_angles_that_turn_continuously_have_no_groups(seed, modulation):
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-np.pi, np.pi, 3000)
    angle = angle[rng.uniform(0, 1 + modulation, 3000) < 1 + modulation * np.cos(2 * angle)]
    assert find_groups(angle).n_groups == 0


def test_no_angles_have_no_groups():
    for angle in ([], [np.nan] * 50, [0.1, 0.2]):
        groups = find_groups(angle)
        assert groups.n_groups == 0 and (groups.assign(angle)[0] == -1).all()


@pytest.mark.parametrize("first", [-45, 0, 30, 45, 90])
@pytest.mark.parametrize("n", [2, 4])
def test_numbers_stay_if_all_angles_turn_by_some_degrees(n, first):
    # Wells along axes or diagonals, and those of three-fold crystals; the cut lies elsewhere.
    angle, kind = angles_about(first + 360 / n * np.arange(n))
    assigned = []
    for degrees in (-6, -2, 0, 2, 6):
        turned = wrap(angle + np.radians(degrees))
        assigned.append(find_groups(turned).assign(turned)[0])
    for other in assigned[1:]:
        assert (assigned[0] == other).mean() > 0.98
    for k in range(n):
        assert len(np.unique(assigned[2][(kind == k) & (assigned[2] >= 0)])) == 1


def test_numbers_ascend_from_the_direction_given():
    angle, _ = angles_about([45, 135, 225, 315])
    np.testing.assert_allclose(np.degrees(find_groups(angle).centres), [45, 135, 225, 315], atol=1)
    turned = find_groups(angle, origin=np.radians(140))
    np.testing.assert_allclose(np.degrees(turned.centres), [135, 225, 315, 405], atol=1)
    given = find_groups(angle, n_groups=4, origin=np.radians(140))
    np.testing.assert_allclose(np.degrees(given.centres), [140, 230, 320, 410], atol=1e-9)


def test_an_uncertain_angle_or_one_between_groups_has_no_number():
    angle, _ = angles_about([0, 90, 180, 270])
    groups = find_groups(angle, np.full(len(angle), 0.05))
    at = np.radians([0, 45, 0, np.nan])
    std = np.array([0.05, 0.05, 1.0, 0.05])
    assert groups.assign(at, std)[0].tolist() == [0, -1, -1, -1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": 0}, "n_groups=0: give a whole number from 1 to 36 or 'auto'"),
        ({"n_groups": 10**9}, "n_groups=1000000000: give a whole number from 1 to 36 or 'auto'"),
        ({"n_groups": True}, "n_groups=True"),
        ({"fold": 0}, "fold=0: give a whole number from 1 to 36"),
        ({"least_share": 1.0}, "least_share=1.0: give a number from 0 to 1"),
        ({"std": [0.1]}, r"got shapes \(3,\), \(1,\)"),
    ],
)
def test_unusable_options_are_refused(options, message):
    assert MOST_GIVEN == 36
    with pytest.raises(ValueError, match=message):
        find_groups([0.1, 0.2, 0.3], **options)


def test_a_group_between_two_others_in_space_and_angle_is_a_wall():
    x, y = (values.ravel() for values in np.meshgrid(np.arange(30.0), np.arange(20.0)))
    xy = np.column_stack([x, y])
    between = np.select([x < 14, x < 16], [0, 1], 2)
    assert groups_in_walls(xy, between, np.radians([0, 45, 90])) == [1]
    domain = np.select([x < 10, x < 20], [0, 1], 2)  # as broad as the others
    assert groups_in_walls(xy, domain, np.radians([0, 45, 90])) == []
    assert groups_in_walls(xy, between, np.radians([0, 120, 240])) == []  # no angle between two


def test_labelled_angles_are_measured_across_the_cut():
    angle = np.array([np.pi - 0.1, -np.pi + 0.1, 1.0, np.nan])
    centres, precision, widths = measured_groups(angle, np.array([0, 0, 2, 2]))
    assert abs(centres[0]) == pytest.approx(np.pi) and centres[2] == pytest.approx(1.0)
    assert np.isnan(centres[1]) and widths[0] == pytest.approx(0.1)
    assert precision[0] == pytest.approx(0.1 / np.sqrt(2))
    assert not len(measured_groups(angle, np.full(4, -1))[0])


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
