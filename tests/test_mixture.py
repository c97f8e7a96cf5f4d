# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Densities of angles: peaks over a background, counted by classes of uncertainty."""

import numpy as np
import pytest

from hs_rvae.variants import find_groups, wrap
from hs_rvae.variants.groups import _choose, _in_parts, _measure, _no_groups, _precision, _separate
from hs_rvae.variants.mixture import (
    BIN,
    BINS,
    N_BINS,
    Counts,
    Mixture,
    _improve,
    _inserted,
    broad_density,
    count_angles,
    equally_spaced,
    fit,
    fit_next,
    log_likelihood,
)


def counted(angle, std=None, weights=None):
    angle = wrap(angle)
    return count_angles(angle, std, np.ones(len(angle)) if weights is None else weights)


def two_classes(narrow, broad, n=4000, centre=0.4, seed=0):
    """One peak; half of the sites scatter by one width (rad), half by the other."""
    std = np.repeat([narrow, broad], n // 2)
    return centre + std * np.random.default_rng(seed).standard_normal(n), std


def one_peak(counts, centre=0.4, width=0.2, share=0.9):
    one = np.ones(1)
    return Mixture(centre * one, width * one, share * one, 1 - share, counts.ratios)


def test_bins_are_half_a_degree_from_minus_to_plus_pi():
    assert np.degrees(BIN) == pytest.approx(0.5) and len(BINS) == N_BINS
    assert BINS[0] - BIN / 2 == pytest.approx(-np.pi) and BINS.sum() == pytest.approx(0)


def test_sites_without_uncertainties_are_of_one_class():
    counts = counted(np.linspace(-3, 3, 50))
    assert counts.sites.shape == (1, N_BINS) and not len(counts.edges)
    assert counts.ratios.tolist() == [1.0] and counts.total == 50


def test_weights_count_as_many_sites_as_they_are_worth():
    """As many as would give a mean of the same error."""
    weights = np.r_[np.full(10, 3.0), np.full(40, 0.5), np.zeros(9)]
    counts = counted(np.linspace(-3, 3, 59), weights=weights)
    assert counts.total == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    first = counts.sites[0, int((np.pi - 3) / BIN)]
    assert first == pytest.approx(counts.total * 3 / weights.sum())


def test_classes_have_equal_numbers_of_sites_and_the_widths_of_their_uncertainties():
    std = np.repeat([0.1, 0.2, 0.4], 100)
    counts = counted(np.zeros(300), std)
    assert counts.sites.sum(axis=1).tolist() == [100, 100, 100]
    np.testing.assert_allclose(counts.ratios, [0.1, 0.2, 0.4] / np.sqrt(np.mean(std**2)))
    assert counts.of_class(np.array([0.05, 0.2, 0.4, 2.0])).tolist() == [0, 1, 2, 2]
    extreme = counted(np.zeros(300), np.repeat([1e-4, 0.2, 0.4], 100))
    assert extreme.ratios[0] == 0.2  # of the common width, at least


@pytest.mark.parametrize("tail", [0.0, 0.2])
def test_a_peak_holds_its_share_and_scatters_by_its_total_width(tail):
    ratios = np.array([0.6, 1.4])
    peak = Mixture(np.array([0.3]), np.array([0.1]), np.array([0.7]), 0.3, ratios, tail)
    np.testing.assert_allclose(peak.density().sum(axis=1) * BIN, 1)
    alone = peak.parts()[2].sum(axis=2)[0]
    assert np.allclose(alone.sum(axis=1) * BIN, 1)
    spread = np.sqrt((alone * (BINS - 0.3) ** 2).sum(axis=1) * BIN)
    np.testing.assert_allclose(spread, ratios * peak.total_widths, rtol=1e-3)


def test_densities_at_angles_are_those_on_the_bins():
    mixture = Mixture(
        np.array([0.3, -2.0]), np.array([0.1, 0.2]), np.array([0.5, 0.4]), 0.1,
        np.array([0.8, 1.3]), 0.15,
    )  # fmt: skip
    for group in range(2):
        at = mixture.peaks_at(BINS, np.full(N_BINS, group)).sum(axis=1) + 0.1 / (2 * np.pi)
        np.testing.assert_allclose(at, mixture.density()[group], rtol=1e-3, atol=1e-6)


def test_peaks_that_are_left_out_leave_their_sites_to_the_background():
    mixture = Mixture(np.arange(3.0), np.full(3, 0.1), np.array([0.2, 0.3, 0.4]), 0.1, np.ones(1))
    left = mixture.without([0, 2])
    assert left.centres.tolist() == [1.0] and left.background == pytest.approx(0.7)
    np.testing.assert_allclose(left.density().sum() * BIN, 1)


def test_a_fit_never_gets_less_likely():
    rng = np.random.default_rng(1)
    angle = np.r_[rng.normal(0, 0.2, 300), rng.normal(2, 0.3, 200), rng.uniform(-3, 3, 100)]
    counts = counted(angle)
    mixture = Mixture(np.array([0.5, 1.5]), np.full(2, 0.4), np.full(2, 0.3), 0.4, np.ones(1))
    before = -np.inf
    for _ in range(30):
        mixture, found = _improve(mixture, counts, fixed=False)
        assert found > before - 0.05  # widths are drawn a little to their common one
        before = found
    np.testing.assert_allclose(mixture.centres, [0, 2], atol=0.05)
    np.testing.assert_allclose(mixture.shares, [1 / 2, 1 / 3], atol=0.04)
    assert mixture.background == pytest.approx(1 / 6, abs=0.05)


@pytest.mark.parametrize("tail", [0.0, 0.2])
def test_a_mixture_that_the_sites_are_drawn_from_stays(tail):
    """With any number of classes: shares, widths, tails and the background are those of sites."""
    ratios, sites = np.array([0.5, 1.3]), np.array([4e4, 6e4])
    ratios /= np.sqrt(np.average(ratios**2, weights=sites))
    truth = Mixture(
        np.array([0.2, 2.0]), np.array([0.1, 0.2]), np.array([0.5, 0.3]), 0.2, ratios, tail
    )
    counts = Counts(truth.density() * BIN * sites[:, None], ratios, np.array([0.1]))
    mixture = truth
    for _ in range(5):
        mixture, _ = _improve(mixture, counts, fixed=False)
    np.testing.assert_allclose(mixture.centres, truth.centres, atol=1e-3)
    np.testing.assert_allclose(mixture.widths, truth.widths, rtol=0.01)
    np.testing.assert_allclose(mixture.shares, truth.shares, atol=1e-3)
    np.testing.assert_allclose(mixture.ratios, truth.ratios, rtol=0.01)
    assert mixture.background == pytest.approx(0.2, abs=1e-3)
    assert mixture.tail == pytest.approx(tail, abs=0.01)


def test_widths_of_classes_are_measured_from_many_sites():
    """Uncertainties are known roughly: the scatter of the classes says how much more one is."""
    angle, std = two_classes(0.06, 0.18)
    counts = count_angles(angle, np.repeat([0.1, 0.12], 2000), np.ones(4000), n_classes=2)
    assert counts.ratios[1] / counts.ratios[0] < 1.3  # what the uncertainties say
    found, _ = fit(one_peak(counts), counts)
    assert found.ratios[1] / found.ratios[0] == pytest.approx(3, rel=0.05)
    np.testing.assert_allclose(found.total_widths[0] * found.ratios, [0.06, 0.18], rtol=0.05)
    assert np.mean(found.ratios**2) == pytest.approx(1, abs=0.01)  # both classes are as large


def test_a_class_without_sites_keeps_the_width_that_is_expected():
    counts = counted(np.random.default_rng(0).normal(0.4, 0.1, 2000))
    sites = np.stack([counts.sites[0], np.zeros(N_BINS)])
    empty = Counts(sites, np.array([1.0, 3.0]), np.array([0.2]))
    found, _ = fit(one_peak(empty), empty)
    assert found.ratios[1] / found.ratios[0] == pytest.approx(3, rel=0.05)


def test_a_class_of_twenty_sites_is_halfway_to_its_own_width():
    """Between the variance that is expected and that of its sites."""
    many = np.random.default_rng(0).normal(0, 0.1, 20_000)
    twenty = 0.4 * np.linspace(-1, 1, 20)
    sites = np.concatenate([counted(many).sites, counted(twenty).sites])
    expected = np.array([1.0, 2.0])
    counts = Counts(sites, expected, np.array([0.15]))
    start = Mixture(np.zeros(1), np.full(1, 0.1), np.ones(1), 0.0, expected, 0.0)
    found, _ = _improve(start, counts, fixed=True)
    own = np.average(BINS**2, weights=sites[1]) / np.average(BINS**2, weights=sites[0])
    assert (found.ratios[1] / found.ratios[0]) ** 2 == pytest.approx((4 + own) / 2, rel=2e-3)


def test_a_peak_of_five_sites_is_halfway_to_the_common_width():
    counts = counted(np.r_[np.random.default_rng(0).normal(0, 0.1, 9995), np.full(5, 2.0)])
    shares = np.array([0.9995, 0.0005])
    start = Mixture(np.array([0.0, 2.0]), np.full(2, 0.1), shares, 0.0, np.ones(1), 0.0)
    found, _ = _improve(start, counts, fixed=True)
    assert found.widths[1] ** 2 == pytest.approx(found.widths[0] ** 2 / 2, rel=0.02)


def test_a_peak_is_neither_narrower_than_a_degree_nor_wider_than_sixty():
    even = np.linspace(-np.pi, np.pi, 3000, endpoint=False)
    for std in (None, np.repeat([0.5, 1.0], 1500)):
        counts = counted(even, std)
        start = one_peak(counts, width=1.0)
        wide = fit(start, counts, fixed=True)[0]
        assert np.degrees(wide.widths[0]) <= 60 + 1e-9
        counts = counted(np.zeros(3000), std)
        assert np.degrees(fit(one_peak(counts), counts)[0].widths[0]) >= 1 - 1e-9


def test_where_sites_stand_out_a_peak_is_begun():
    """Also where a far larger peak is somewhat off: its noise is larger."""
    rng = np.random.default_rng(0)
    angle = np.r_[rng.normal(0, 0.2, 20_000), rng.normal(2.0, 0.1, 400)]
    counts = counted(angle)
    known = Mixture(np.zeros(1), np.full(1, 0.23), np.full(1, 0.97), 0.03, np.ones(1), 0.0)
    starts = _inserted(known, counts)
    assert [round(np.degrees(start.widths[1])) for start in starts] == [4, 10, 20]
    for start in starts:
        assert start.centres[0] == 0 and start.centres[1] == pytest.approx(2.0, abs=0.15)
        assert start.shares[1] == pytest.approx(400 / 20_400, abs=0.02)
        assert start.shares.sum() + start.background == pytest.approx(1, abs=0.02)


def test_a_first_peak_begins_with_the_share_of_its_sites():
    rng = np.random.default_rng(0)
    for share in (0.1, 0.3):
        n = int(5000 * share)
        angle = np.r_[rng.normal(1.0, np.radians(10), n), rng.uniform(-np.pi, np.pi, 5000 - n)]
        start = _inserted(None, counted(angle))[1]
        # A peak as wide as the window is seen at the root of two of its width.
        assert start.shares[0] == pytest.approx(share / np.sqrt(2), rel=0.25)
        assert start.centres[0] == pytest.approx(1.0, abs=0.15)


def test_equally_spaced_peaks_do_not_touch():
    counts = counted(np.zeros(10))
    for n_peaks in (1, 4, 12, 36):
        start = equally_spaced(counts, n_peaks, 0.3)
        assert start.widths.max() <= 0.35 and n_peaks * start.widths[0] < 1.5
        assert start.centres[0] == 0.3
        assert start.shares.sum() + start.background == pytest.approx(1)
        np.testing.assert_allclose(np.diff(start.centres), 2 * np.pi / n_peaks)


def test_equally_spaced_peaks_begin_where_the_angles_are():
    angle = 0.2 + np.pi / 2 * np.arange(4).repeat(5)
    assert equally_spaced(counted(angle), 4).centres[0] % (np.pi / 2) == pytest.approx(0.2, abs=BIN)


def test_the_next_peak_makes_the_angles_likelier():
    rng = np.random.default_rng(0)
    angle = rng.choice([0.0, 1.5, 3.0], 900) + 0.15 * rng.standard_normal(900)
    counts, found, mixture = counted(angle), [], None
    for n_peaks in (1, 2, 3):
        mixture, level = fit_next(mixture, counts)
        assert len(mixture.centres) == n_peaks
        assert level == pytest.approx(log_likelihood(counts.sites, mixture.density()), abs=0.1)
        found.append(level)
    assert np.diff(found).min() > 100
    np.testing.assert_allclose(np.sort(wrap(mixture.centres)), [0, 1.5, 3.0], atol=0.03)


@pytest.mark.parametrize("periods", [1, 2])
def test_a_broad_density_follows_what_varies_slowly(periods):
    density = 1 + 0.7 * np.cos(periods * BINS)
    counts = Counts(1000 * density[None], np.ones(1), np.zeros(0))
    found = broad_density(counts)
    assert found.sum() * BIN == pytest.approx(1, abs=1e-6)
    # The fit ends where all sites together gain a thousandth of a nat.
    np.testing.assert_allclose(2 * np.pi * found, density, atol=0.04)
    sharp = broad_density(counted(np.zeros(100)))
    assert sharp.max() < 1.1 / (np.sqrt(2 * np.pi) * np.radians(40))


# The choice of groups


def test_as_few_peaks_as_none_surpasses():
    assert _choose(np.array([0.0, 5.0, 7.5])) == 0  # each more costs, the first the most
    assert _choose(np.array([0.0, 6.0])) == 1
    assert _choose(np.array([0.0, 5.0, 8.0])) == 1  # two more would do, and one has most of it
    assert _choose(np.array([0.0, 1.0, 1.0, 30.0])) == 3  # three at once
    assert _choose(np.array([0.0, 50.0, 51.0, 52.0])) == 1


def test_no_more_groups_than_asked_for_but_as_many():
    rng = np.random.default_rng(0)
    angle = np.radians([0, 90, 180, 270])[rng.integers(4, size=600)] + 0.1 * rng.normal(size=600)
    assert [find_groups(angle, most_groups=n).n_groups for n in (4, 3)] == [4, 3]


def test_two_groups_three_widths_apart_are_mostly_told_apart_by_120_sites():
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        angle = np.radians(45 * rng.integers(2, size=120) + 15 * rng.standard_normal(120))
        found.append(find_groups(angle).n_groups)
    assert set(found) <= {1, 2} and found.count(2) >= 6


def test_without_groups_no_angle_belongs_to_one():
    variant, residual, probability = _no_groups(1).assign([0.3, np.nan])
    assert variant.tolist() == [-1, -1] and np.isnan(residual).all()
    assert probability[0] == 0 and np.isnan(probability[1])


def test_how_far_a_group_reaches_depends_on_the_uncertainty_of_an_angle():
    rng = np.random.default_rng(0)
    std = np.radians(rng.choice([3.0, 12.0], 1000))
    angle = rng.choice([0.0, np.pi / 2], 1000) + std * rng.standard_normal(1000)
    angle[:100] = rng.uniform(-np.pi, np.pi, 100)
    groups = find_groups(angle, std)
    ask = np.radians([22.0, 22.0])
    variant, _, probability = groups.assign(ask, np.radians([3.0, 12.0]))
    assert variant.tolist() == [-1, 0] and probability[0] < 0.2 < 0.6 < probability[1]


def test_evidence_over_a_broad_density_is_that_over_fewer_for_one_group():
    rng = np.random.default_rng(0)
    groups = find_groups(rng.normal(0.5, 0.15, 400))
    assert groups.n_groups == 1
    assert 0 < groups.evidence_broad < groups.evidence
    assert groups.evidence_fewer == groups.evidence_broad


def test_an_error_of_a_centre_is_the_width_over_the_root_of_the_sites():
    angle = np.r_[np.random.default_rng(0).normal(0, 0.1, 1600), 2 + np.zeros(9)]
    for std in (None, np.full(len(angle), 0.1)):
        groups = find_groups(angle[:1600], None if std is None else std[:1600])
        assert groups.precision[0] == pytest.approx(0.1 / 40, rel=0.05)


def test_a_group_of_two_peaks_is_as_wide_as_both_together():
    counts = counted(np.zeros(100))
    two = Mixture(np.array([0.9, 1.3]), np.full(2, 0.1), np.array([0.3, 0.6]), 0.1, np.ones(1), 0.0)
    centre, width, share = _measure(two, [0, 1], counts)
    # Two thirds of its sites are at 1.3.
    assert centre == pytest.approx(1.3 - 0.4 / 3, abs=0.003) and share == pytest.approx(0.9)
    assert width == pytest.approx(np.hypot(0.1, 0.4 * np.sqrt(2 / 9)), rel=0.01)


def test_one_more_peak_is_no_better_on_sites_that_it_has_not_seen():
    rng = np.random.default_rng(0)
    groups = find_groups(rng.choice([0.0, 2.0], 600) + 0.1 * rng.standard_normal(600))
    assert groups.n_groups == 2 and abs(groups.evidence_more) < 0.01 < groups.evidence_fewer


def test_groups_that_are_given_stay_there_for_their_evidence_too():
    angle = np.random.default_rng(0).choice([0.3, 0.3 + np.pi], 400)
    angle = angle + 0.2 * np.random.default_rng(1).standard_normal(400)
    found = [find_groups(angle, n_groups=2, origin=0.3 + off).evidence for off in (0, 0.4, 0.8)]
    assert found[0] > found[1] + 0.3 and found[1] > found[2] + 0.3


def test_parts_of_the_sites_are_of_one_size_and_together_all():
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, 500)
    std = np.repeat([0.1, 0.3], 250)
    counts = counted(angle, std)
    parts = _in_parts(angle, std, np.ones(500), counts)
    assert [part.total for part in parts] == [100] * 5
    np.testing.assert_allclose(sum(part.sites for part in parts), counts.sites)


def test_a_peak_in_the_flank_of_another_is_none_of_its_own():
    counts = counted(np.zeros(1000))
    two = Mixture(np.array([0.0, 0.25]), np.full(2, 0.2), np.full(2, 0.45), 0.1, np.ones(1), 0.0)
    assert [sorted(peaks) for peaks in _separate(two, counts, 12, 0.02, 0.0)] == [[0, 1]]
    apart = Mixture(np.array([0.0, 1.5]), np.full(2, 0.2), np.full(2, 0.45), 0.1, np.ones(1), 0.0)
    assert _separate(apart, counts, 12, 0.02, 0.0) == [[0], [1]]
    assert [sorted(peaks) for peaks in _separate(apart, counts, 12, 0.02, 1.6)] == [[0, 1]]
    assert _precision(apart, [[0], [1]], counts)[0] > 0
