# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions, their groups and the walls between them, on numbers alone."""

import numpy as np
import pytest

from hs_rvae.variants import (
    common_offset,
    find_groups,
    folded_std,
    groups_in_walls,
    measured_groups,
    wrap,
)
from hs_rvae.variants.groups import _half_gaps, _no_groups


def angles_about(wells, n=600, width=8.0, seed=0, shares=None):
    """Angles scattered about wells, both in degrees."""
    rng = np.random.default_rng(seed)
    well = rng.choice(len(wells), size=n, p=shares)
    return wrap(np.radians(np.array(wells)[well] + width * rng.standard_normal(n))), well


# Directions -------------------------------------------------------------------


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


def test_turns_of_the_motif_do_not_count_as_scatter():
    modes = np.array([[0.1, 0.1 + np.pi, 0.3]])
    weights, widths = np.array([[0.5, 0.3, 0.2]]), np.full((1, 3), 0.02)
    assert folded_std(modes, weights, widths, 2)[0] == pytest.approx(np.hypot(0.02, 0.2**1.5))
    assert folded_std(modes, weights, widths, 1)[0] > 1


# Groups of any number and spacing -------------------------------------------


def scattered(rng, centres, n_sites, scatter, *, shares=None, outliers=0.05):
    """Angles about `centres` (degrees), with an uncertainty per site that is known roughly."""
    centres = np.radians(centres)
    std = np.radians(rng.uniform(*scatter, n_sites))
    angle = rng.choice(centres, n_sites, p=shares) + std * rng.standard_normal(n_sites)
    outside = rng.random(n_sites) < outliers
    angle[outside] = rng.uniform(-np.pi, np.pi, outside.sum())
    return wrap(angle), std * rng.lognormal(0, 0.2, n_sites)


def from_density(rng, n_sites, periods, modulation):
    """Angles from 1 + modulation cos(periods angle)."""
    angle = rng.uniform(-np.pi, np.pi, 20 * n_sites)
    height = 1 + modulation * np.cos(periods * angle)
    return angle[rng.uniform(0, 1 + modulation, len(angle)) < height][:n_sites]


@pytest.mark.parametrize(
    "centres, shares, scatter, n_sites",
    [
        ([0], None, (5, 20), 100),
        ([0, 180], None, (5, 20), 100),
        ([0, 90], None, (5, 20), 200),
        ([0, 68], None, (5, 12), 200),
        ([0, 70.5], None, (5, 20), 2000),
        ([0, 120, 240], None, (5, 20), 200),
        ([0, 90, 180, 270], None, (5, 20), 400),
        ([0, 90, 180, 270], [0.8, 0.1, 0.05, 0.05], (5, 12), 800),
        ([0, 60, 120, 180, 240, 300], None, (5, 12), 1000),
        ([0, 40, 90, 130, 180, 220, 270, 310], None, (5, 10), 2000),
    ],
)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_groups_are_found(centres, shares, scatter, n_sites, known, seed):
    rng = np.random.default_rng(seed)
    truth = np.array(centres) + rng.uniform(0, 360)
    angle, std = scattered(rng, truth, n_sites, scatter, shares=shares, outliers=0.08)
    groups = find_groups(angle, std if known else None)
    assert groups.n_groups == len(centres)
    apart = wrap(groups.centres[:, None] - np.radians(truth))
    nearest = np.abs(apart).argmin(axis=1)
    assert len(set(nearest)) == len(centres)
    error = apart[np.arange(len(nearest)), nearest]
    assert np.abs(error / groups.precision).max() < 5
    assert groups.evidence > 0 and groups.evidence_fewer > 0


@pytest.mark.slow
@pytest.mark.parametrize("n_sites", [60, 120, 2000])
@pytest.mark.parametrize("periods, modulation", [(1, 0.0), (1, 0.9), (2, 0.7)])
def test_directions_that_turn_continuously_have_no_groups(n_sites, periods, modulation):
    rng = np.random.default_rng(n_sites)
    found = [find_groups(from_density(rng, n_sites, periods, modulation)) for _ in range(5)]
    assert [groups.n_groups for groups in found] == [0] * 5


@pytest.mark.parametrize("degrees", [20, 40, 68, 75, 90, 112, 140, 180])
def test_sharp_peaks_at_any_distance_are_two_groups(degrees):
    rng = np.random.default_rng(0)
    angle = np.r_[rng.normal(0, 0.02, 500), rng.normal(np.radians(degrees), 0.02, 500)]
    groups = find_groups(angle)
    np.testing.assert_allclose(np.degrees(groups.centres), [0, degrees], atol=0.5)
    assert np.median(np.abs(groups.assign(angle)[1])) < 0.02


def test_peaks_closer_than_they_are_wide_are_one_group():
    rng = np.random.default_rng(0)
    angle = np.radians(rng.normal([0, 12], 10, (4000, 2)).ravel())
    assert find_groups(angle).n_groups == 1


@pytest.mark.slow
@pytest.mark.parametrize("turn", [0, 45])
def test_numbers_of_wells_on_axes_and_diagonals_survive_a_turn_of_degrees(turn):
    rng = np.random.default_rng(1)
    angle, std = scattered(rng, turn + np.arange(4) * 90, 1000, (3, 8))
    numbers = [
        find_groups(angle + np.radians(more), std).assign(angle + np.radians(more), std)[0]
        for more in (-6, -2, 2, 6)
    ]
    for other in numbers[1:]:
        both = (numbers[0] >= 0) & (other >= 0)
        assert both.mean() > 0.9 and (numbers[0][both] == other[both]).all()
    centres = find_groups(angle, std).centres
    np.testing.assert_allclose(np.degrees(centres), turn + np.arange(4) * 90, atol=3)


def test_group_0_is_nearest_to_the_origin():
    angle, std = scattered(np.random.default_rng(2), [10, 80, 200], 600, (3, 8))
    groups = find_groups(angle, std, origin=np.radians(75))
    np.testing.assert_allclose(np.degrees(groups.centres), [80, 200, 370], atol=2)


def test_angles_known_up_to_turns_of_the_motif():
    rng = np.random.default_rng(3)
    angle, std = scattered(rng, [5, 40], 800, (1, 4), outliers=0.02)
    turned = wrap(angle + np.pi / 2 * rng.integers(4, size=800))
    groups = find_groups(turned, std, fold=4)
    np.testing.assert_allclose(np.degrees(groups.centres), [5, 40], atol=1)
    variant, residual, _ = groups.assign(turned, std)
    assert (
        np.array_equal(variant, groups.assign(angle, std)[0]) and np.bincount(variant + 1)[0] < 60
    )
    assert np.nanmax(np.abs(residual)) < np.pi / 8


def test_undefined_and_ambiguous_angles_have_no_group():
    angle, std = scattered(np.random.default_rng(4), [0, 90], 1000, (5, 8))
    groups = find_groups(angle, std)
    ask = np.radians([1, 88, 200, np.nan, 1, 1])
    variant, residual, probability = groups.assign(ask, np.radians([6, 6, 6, 6, 50, np.nan]))
    assert list(variant) == [0, 1, -1, -1, -1, -1]
    assert np.isfinite(residual).tolist() == [True, True] + [False] * 4
    assert probability[0] > 0.9 and probability[2] < 0.1 and np.isnan(probability[3])


def test_groups_are_the_same_every_time_and_in_any_unit_of_weight():
    angle, std = scattered(np.random.default_rng(5), [0, 90, 130], 1500, (4, 9))
    first, again = find_groups(angle, std), find_groups(angle, std)
    heavy = find_groups(angle, std, np.full(1500, 7.0))
    assert np.array_equal(first.centres, again.centres) and first.evidence == again.evidence
    np.testing.assert_allclose(first.centres, heavy.centres, atol=1e-9)
    cut = find_groups(angle, std, (np.abs(wrap(angle - 1.57)) > 0.4).astype(float))
    assert cut.n_groups == 2


def test_equally_spaced_groups_on_request_are_the_nearest_wells():
    rng = np.random.default_rng(6)
    angle, _ = scattered(rng, [20, 110, 200], 300, (3, 8), outliers=0)
    for origin in (None, np.radians(110)):
        groups = find_groups(angle, n_groups=4, origin=origin)
        well = np.round((angle - groups.centres[0]) / (np.pi / 2))
        residual = wrap(angle - groups.centres[0] - well * np.pi / 2)
        variant, apart, _ = groups.assign(angle)
        assert np.array_equal(variant, well % 4)
        np.testing.assert_allclose(apart, residual, atol=1e-9)
    assert np.degrees(groups.centres).round().tolist() == [110, 200, 290, 380]
    assert np.isnan(groups.precision[2]) and groups.shares[2] < 1e-3


@pytest.mark.parametrize("angle", [[], [np.nan, np.nan], [0.1, 0.1, 0.1]])
def test_few_angles_have_no_groups(angle):
    groups = find_groups(angle)
    assert groups.n_groups == 0
    assert (groups.assign(angle)[0] == -1).all()


@pytest.mark.parametrize(
    "options",
    [{"fold": 0}, {"n_groups": 0}, {"n_groups": "many"}, {"least_share": 1}, {"std": [0.1]}],
)
def test_unusable_options_of_groups_are_refused(options):
    with pytest.raises(ValueError, match="give a|of one length"):
        find_groups([0.1, 0.2], **options)


# Groups -----------------------------------------------------------------------

WELLS = [
    (50,),
    (0, 180),
    (45, 135),
    (0, 120, 240),
    (45, 135, 225, 315),
    (0, 60, 120, 180, 240, 300),
    (20, 70, 110, 160, 200, 250, 290, 340),
    (10, 80, 220),
]


@pytest.mark.parametrize("wells", WELLS)
def test_groups_of_any_number_and_spacing_are_found(wells):
    angle, well = angles_about(wells, n=150 * len(wells), seed=len(wells))
    groups = find_groups(angle)
    assert groups.n_groups == len(wells)
    # Numbers ascend from -22.5 degrees.
    expected = np.sort([w - 360 if w >= 337.5 else w for w in wells])
    apart = np.degrees(wrap(groups.centres - np.radians(expected)))
    assert np.abs(apart).max() < 2.5
    np.testing.assert_allclose(np.degrees(groups.widths), 8, atol=2)
    np.testing.assert_allclose(groups.shares, 1 / len(wells), atol=0.05)
    assert groups.evidence > 0 and groups.evidence_fewer > 0
    variant, residual, probability = groups.assign(angle)
    order = np.argsort([w - 360 if w >= 337.5 else w for w in wells]).argsort()
    assert (variant == order[well]).mean() > 0.93
    assert np.abs(residual[variant >= 0]).max() < np.radians(60)
    assert ((probability >= 0) & (probability <= 1 + 1e-9)).all()


@pytest.mark.parametrize("seed", range(5))
def test_angles_without_wells_have_no_groups(seed):
    rng = np.random.default_rng(seed)
    assert find_groups(rng.uniform(-np.pi, np.pi, 1000)).n_groups == 0
    broad = wrap(0.9 * rng.standard_normal(1000))  # a direction that turns about a mean
    assert find_groups(broad).n_groups == 0
    few = find_groups(rng.uniform(-np.pi, np.pi, 5))
    assert few.n_groups == 0
    variant, residual, _ = few.assign([0.0, np.nan])
    assert list(variant) == [-1, -1] and np.isnan(residual).all()


def test_unequal_shares_are_measured():
    angle, _ = angles_about((0, 90, 180, 270), 1500, shares=[0.8, 0.1, 0.05, 0.05])
    np.testing.assert_allclose(find_groups(angle).shares, [0.8, 0.1, 0.05, 0.05], atol=0.02)


def test_groups_turn_with_the_angles_and_keep_their_numbers_when_they_move_a_little():
    angle, _ = angles_about((45, 135, 225, 315))
    before, after = find_groups(angle), find_groups(wrap(angle + np.radians(7)))
    moved = np.degrees(wrap(after.centres - before.centres))
    np.testing.assert_allclose(moved, 7, atol=0.5)
    assert (before.assign(angle)[0] == after.assign(angle + np.radians(7))[0]).all()


def test_angles_known_up_to_turns_have_groups_up_to_turns():
    angle, well = angles_about((10, 50))
    open_turn = np.random.default_rng(1).integers(4, size=len(angle))
    groups = find_groups(angle + np.pi / 2 * open_turn, fold=4)
    assert groups.n_groups == 2
    np.testing.assert_allclose(np.degrees(groups.centres), [10, 50], atol=2)
    variant = groups.assign(angle + np.pi / 2 * open_turn)[0]
    assert (variant[variant >= 0] == well[variant >= 0]).mean() > 0.98


def test_equally_spaced_groups_are_given_on_request():
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, 500)
    groups = find_groups(angle, n_groups=4, origin=np.radians(45))
    np.testing.assert_allclose(np.degrees(groups.centres), [45, 135, 225, 315], atol=1e-6)
    assert groups.given and (groups.assign(angle)[0] >= 0).all()
    free = find_groups(angles_about((20, 110))[0], n_groups=4)
    np.testing.assert_allclose(np.degrees(free.centres) % 90, 20, atol=2)


def test_uncertain_angles_have_no_group_and_do_not_count():
    angle, well = angles_about((0, 90, 180, 270), 800)
    std = np.full(800, np.radians(8))
    std[::2] = np.pi / np.sqrt(3)
    angle[::2] = np.random.default_rng(3).uniform(-np.pi, np.pi, 400)
    angle[1] = np.nan
    groups = find_groups(angle, std)
    assert groups.n_groups == 4 and groups.background < 0.05
    variant = groups.assign(angle, std)[0]
    assert (variant[::2] == -1).all() and variant[1] == -1
    assert (variant[3::2] == well[3::2]).mean() > 0.97


def test_the_same_angles_give_the_same_groups():
    angle, _ = angles_about((0, 90, 200))
    one, other = find_groups(angle), find_groups(angle.copy())
    np.testing.assert_array_equal(one.centres, other.centres)
    assert one.evidence == other.evidence


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": 0}, "n_groups=0: give a whole number from 1 to 36 or 'auto'"),
        ({"n_groups": True}, "n_groups=True"),
        ({"fold": 1.5}, "fold=1.5"),
        ({"most_groups": 0}, "most_groups=0"),
        ({"least_share": 1.0}, "least_share=1.0"),
        ({"std": np.zeros(3)}, "of one length"),
    ],
)
def test_unusable_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        find_groups(np.zeros(20), **options)


# Walls ------------------------------------------------------------------------


def lamellae(widths, numbers, height=20):
    """Positions and numbers of sites in stripes of these widths, in cells."""
    number = np.repeat(numbers, widths)
    x, y = np.meshgrid(np.arange(len(number), dtype=float), np.arange(float(height)))
    return np.stack([x.ravel(), y.ravel()], 1), np.tile(number, height)


def test_a_group_between_two_others_is_a_wall_and_a_domain_is_none():
    centres = np.radians([0.0, 45.0, 90.0])
    wall = lamellae([12, 2, 12], [0, 1, 2])
    assert groups_in_walls(*wall, centres) == [1]
    domain = lamellae([12, 12, 12], [0, 1, 2])
    assert groups_in_walls(*domain, centres) == []
    assert groups_in_walls(*wall, np.radians([0.0, 90.0, 180.0])) == []  # too far from both
    assert groups_in_walls(wall[0], np.minimum(wall[1], 1), centres[:2]) == []


def test_a_group_that_lies_in_the_domains_of_a_close_one_is_none():
    xy, number = lamellae([12, 12], [0, 2])
    number[::17] = np.where(number[::17] == 0, 1, number[::17])  # single sites of the first
    assert groups_in_walls(xy, number, np.radians([0.0, 24.0, 90.0])) == [1]
    assert groups_in_walls(xy, number, np.radians([0.0, 40.0, 90.0])) == []
    grown = lamellae([6, 6, 12], [0, 1, 2], height=6)
    grown[1][grown[0][:, 1] < 3] = np.where(grown[0][:, 0] < 12, 0, 2)[grown[0][:, 1] < 3]
    assert groups_in_walls(*grown, np.radians([0.0, 24.0, 90.0])) == []  # a domain of its own


def test_a_broad_wall_is_found_by_the_scatter_of_its_directions():
    xy, number = lamellae([16, 5, 16], [0, 1, 2])
    centres = np.radians([0.0, 45.0, 90.0])
    assert groups_in_walls(xy, number, centres) == []
    assert groups_in_walls(xy, number, centres, widths=np.radians([4.0, 4.0, 4.0])) == []
    assert groups_in_walls(xy, number, centres, widths=np.radians([4.0, 7.0, 4.0])) == [1]


def test_walls_lie_within_one_image_and_sites_without_place_do_not_count():
    xy, number = lamellae([12, 2, 12], [0, 1, 2])
    centres = np.radians([0.0, 45.0, 90.0])
    unknown = xy.copy()
    unknown[::7] = np.nan
    assert groups_in_walls(unknown, number, centres) == [1]
    assert groups_in_walls(xy, number, centres, strata=number) == []


def test_labelled_angles_are_measured_across_the_cut():
    angle = np.array([np.pi - 0.1, -np.pi + 0.1, 1.0, np.nan])
    centres, precision, widths = measured_groups(angle, np.array([0, 0, 2, 2]))
    assert abs(centres[0]) == pytest.approx(np.pi) and centres[2] == pytest.approx(1.0)
    assert np.isnan(centres[1]) and widths[0] == pytest.approx(0.1)
    assert precision[0] == pytest.approx(0.1 / np.sqrt(2))
    assert not len(measured_groups(angle, np.full(4, -1))[0])


def test_half_a_gap_reaches_to_the_nearest_group_or_around_the_circle():
    assert _half_gaps(np.array([0.3]), 2) == pytest.approx([np.pi / 2])
    assert _half_gaps(np.array([0.1, 1.1, 3.1]), 1) == pytest.approx([0.5, 0.5, 1.0])
    around = _half_gaps(np.array([-3.0, 0.0, 3.0]), 1)  # past the seam
    assert around == pytest.approx([np.pi - 3, 1.5, np.pi - 3])


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_angles_are_in_the_background_as_often_as_the_background_is_large(share):
    """The mean probability of no group is the share of the sites in none, as of any mixture."""
    angle, _ = angles_about([0, 90, 180, 270], n=1200, width=6.0)
    rng = np.random.default_rng(1)
    loose = rng.random(len(angle)) < share
    angle[loose] = rng.uniform(-np.pi, np.pi, loose.sum())
    groups = find_groups(angle)
    probability = groups._probabilities(angle, np.zeros(len(angle))).sum(axis=1)
    assert groups.n_groups == 4 and groups.background == pytest.approx(share, abs=0.06)
    assert 1 - probability.mean() == pytest.approx(groups.background, abs=0.02)


def test_evidence_is_the_gain_over_a_uniform_circle_in_nats():
    width = np.radians(8.0)
    angle, _ = angles_about([30], n=3000)
    groups = find_groups(angle)
    expected = np.log(2 * np.pi) - 0.5 * np.log(2 * np.pi * np.e * width**2)
    assert groups.n_groups == 1 and groups.evidence == pytest.approx(expected, abs=0.06)
    assert _no_groups(1).background == 1  # without groups, all sites are in none
