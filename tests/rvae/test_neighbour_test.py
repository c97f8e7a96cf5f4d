# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other cells predict what belongs to the crystal, and nothing else."""

import numpy as np
import pytest

from hs_rvae.rvae.neighbour_test import EVEN_ORDER, ODD_ORDER, LatticeOffsets, angular_order

A, SIDE = 20.0, 18


def crystal(kind="square", jitter=0.3, seed=0):
    """Positions (n, 2) in px and indices (n, 2) of the sites of a crystal."""
    index = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).reshape(-1, 2)
    steps = {
        "square": [[1, 0], [0, 1]],
        "rectangular": [[1, 0], [0, 1.3]],
        "hexagonal": [[1, 0], [0.5, np.sqrt(0.75)]],
        "turned": [[0.8, 0.6], [-0.6, 0.8]],
    }[kind]
    xy = A * index @ np.array(steps, float)
    return xy + jitter * np.random.default_rng(seed).standard_normal(xy.shape), index


def noise(seed=1, n=SIDE**2):
    return np.random.default_rng(seed).standard_normal((n, 2)) @ [1, 1j]


def order(name, index):
    """Directions of sites in patterns of an order."""
    i, j = index.T
    return {
        "parallel": np.where(i < SIDE / 2, 1.0, 1j),
        "antiparallel": (-1.0) ** i * np.where(j < SIDE / 2, 1.0, 1j),
        "turning": np.exp(2j * np.pi * (i + 2 * j) / 9),
    }[name]


KINDS = ["square", "rectangular", "hexagonal", "turned"]


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_not_predicted(kind):
    offsets = LatticeOffsets(crystal(kind)[0])
    assert offsets.n_pairs > 1000
    shares = [offsets.predicted(noise(seed)) for seed in range(8)]
    assert abs(np.mean(shares)) < 0.05 and max(shares) < 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["parallel", "antiparallel", "turning"])
def test_order_is_predicted_whatever_its_kind(kind, name):
    xy, index = crystal(kind)
    u = order(name, index)
    offsets = LatticeOffsets(xy)
    clean, noisy = offsets.predicted(u + 0.01 * noise()), offsets.predicted(u + 0.5 * noise())
    assert clean > 0.8
    assert 0.25 < noisy < clean


def test_units_zero_and_outliers_do_not_matter():
    xy, index = crystal()
    u = order("turning", index) + 0.3 * noise()
    offsets = LatticeOffsets(xy)
    expected = offsets.predicted(u)
    assert offsets.predicted(1e3 * u + 5 - 2j) == pytest.approx(expected, abs=1e-6)
    assert LatticeOffsets(7 * xy + 100).predicted(u) == pytest.approx(expected, abs=1e-6)
    u[40] = 20
    assert offsets.predicted(u) > 0.5 * expected
    assert offsets.predicted(np.zeros(len(xy), complex)) == 0


def test_noise_of_scan_rows_is_not_counted():
    xy, index = crystal()
    offsets = LatticeOffsets(xy)
    for size, largest in ((1.0, 0.2), (10.0, 0.8)):  # few rows: chance is large, but without bias
        rows = [size * noise(seed, SIDE).real[index[:, 1]] for seed in range(20)]
        shares = [offsets.predicted(row + noise()) for row in rows]
        assert np.mean(shares) < 0.08 and np.median(shares) < 0.03 and max(shares) < largest


@pytest.mark.parametrize("kind", KINDS)
def test_the_cell_is_measured(kind):
    area = {"rectangular": 1.3, "hexagonal": np.sqrt(0.75)}.get(kind, 1.0)
    assert LatticeOffsets(crystal(kind)[0]).cell == pytest.approx(A * np.sqrt(area), rel=0.02)


def test_images_are_compared_within_themselves_only():
    xy, index = crystal()
    both, strata = np.concatenate([xy, xy + 0.3]), np.repeat([3, 8], len(xy))
    apart = LatticeOffsets(both, strata)
    assert apart.n_pairs == 2 * LatticeOffsets(xy).n_pairs
    # One image repeats the noise of the other at the same places; that is no order.
    assert apart.predicted(np.tile(noise(), 2)) < 0.1
    assert apart.predicted(np.tile(order("turning", index), 2)) > 0.8


def test_images_of_two_lattices_have_two_orders():
    (one, index), (other, _) = crystal(), crystal("hexagonal")
    strata = np.repeat([0, 1], len(one))
    offsets = LatticeOffsets(np.concatenate([one, other]), strata)
    u = np.concatenate([order("turning", index), order("antiparallel", index)])
    assert offsets.predicted(u) > 0.8
    assert offsets.predicted(noise(n=len(u))) < 0.1


def test_sites_without_places_have_no_partners():
    xy, index = crystal()
    xy[::3] = np.nan
    offsets = LatticeOffsets(xy)
    assert 0 < offsets.n_pairs < LatticeOffsets(crystal()[0]).n_pairs
    u = order("parallel", index)
    known = offsets.predicted(u)
    u[::3] = noise()[::3]
    assert np.isfinite(known) and np.isfinite(offsets.predicted(u))


@pytest.mark.parametrize("xy", [np.full((50, 2), np.nan), crystal()[0][:15], np.zeros((30, 2))])
def test_without_pairs_nothing_is_predicted(xy):
    offsets = LatticeOffsets(xy)
    assert offsets.n_pairs == 0
    assert offsets.predicted(noise(n=len(xy))) == 0
    assert angular_order(np.linspace(-3, 3, len(xy)), offsets)[0] <= 0


def test_sites_that_are_listed_twice_are_no_reason_to_fail():
    xy, index = crystal()
    offsets = LatticeOffsets(np.concatenate([xy, xy]))
    assert offsets.cell == pytest.approx(A, rel=0.02)
    assert offsets.predicted(np.tile(order("turning", index), 2)) > 0.8


def test_a_line_of_sites_is_no_reason_to_fail():
    xy = np.stack([A * np.arange(60), np.zeros(60)], 1)
    assert LatticeOffsets(xy).predicted(noise(n=60)) < 0.2


@pytest.mark.parametrize("multiple", [1, 2, 3, 4, 6])
def test_the_smallest_multiple_with_order_is_found(multiple):
    xy, index = crystal()
    grain = np.radians(np.where(index[:, 0] < SIDE / 2, 4.0, 4.0 + 140 / multiple))
    open_turn = np.random.default_rng(0).integers(multiple, size=len(xy))
    angle = grain + 2 * np.pi / multiple * open_turn
    share, threshold, found = angular_order(angle, LatticeOffsets(xy))
    assert found == multiple
    assert share > threshold == (ODD_ORDER if multiple % 2 else EVEN_ORDER)


def test_angles_at_random_and_angles_all_alike_have_no_order():
    offsets = LatticeOffsets(crystal()[0])
    share, threshold, _ = angular_order(np.angle(noise()), offsets)
    assert share < 0.2 < threshold
    alike = 0.5 + 0.01 * noise().real
    assert angular_order(alike, offsets) == (0.0, 1.0, 1)
