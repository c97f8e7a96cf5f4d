# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of strain and tilt: domains have them, smooth fields and bent lattices do not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hs_rvae.rvae.harmonic.order_filters import Coordinates
from hs_rvae.rvae.harmonic.order_groups import Groups, find_order_groups
from hs_rvae.rvae.harmonic.orders import THRESHOLDS, Order, Orders, _by_axis
from hs_rvae.rvae.neighbour_test import LatticeOffsets

N = 26


@pytest.fixture(scope="module")
def lattice():
    x, y = np.meshgrid(np.arange(N), np.arange(N))
    xy = 20.0 * np.column_stack([x.ravel(), y.ravel()])
    return x.ravel(), y.ravel(), LatticeOffsets(xy)


def noisy(values, size=0.15, seed=0):
    return values + size * np.random.default_rng(seed).standard_normal(values.shape)


def counts(found):
    return found is not None and (
        found.gain >= THRESHOLDS["groups"]
        and found.apart >= THRESHOLDS["apart"]
        and found.walls >= THRESHOLDS["walls"]
    )


def twins(x, y):
    """Straight walls, about which the window of a site blurs the strain."""
    sign = np.where(((x + y) // 13) % 2, 1.0, -1.0).reshape(N, N)
    return gaussian_filter(sign, 0.5).ravel()


def test_domains_have_groups(lattice):
    x, y, offsets = lattice
    values = noisy(np.column_stack([twins(x, y), np.zeros(N * N)]))
    found = find_order_groups(values, offsets, (2, 3, 4))
    assert counts(found)
    assert np.allclose(np.sort(found.groups.centres[:, 0]), [-1, 1], atol=0.1)
    right = (found.groups.scores(values).argmax(1) == found.groups.centres[:, 0].argmax()) == (
        twins(x, y) > 0
    )
    assert right.mean() > 0.98


def test_a_checkerboard_has_two_groups_without_walls(lattice):
    x, y, offsets = lattice
    found = find_order_groups(noisy(np.where((x + y) % 2, 1.0, -1.0)[:, None]), offsets, (2,))
    assert counts(found) and np.isinf(found.walls)


@pytest.mark.parametrize("seed", range(4))
def test_a_smooth_field_over_domains_does_not_split_their_groups(lattice, seed):
    x, y, offsets = lattice
    field = np.random.default_rng(seed).standard_normal((2, 60, 60))
    field = np.stack([gaussian_filter(one, 3)[17:43, 17:43].ravel() for one in field], 1)
    values = np.column_stack([twins(x, y), np.zeros(N * N)]) + 0.25 * field / field.std()
    found = find_order_groups(noisy(values, 0.1, seed), offsets, (2, 3, 4), THRESHOLDS)
    assert counts(found) and len(found.groups.centres) == 2


@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_field_has_none(lattice, seed):
    field = np.random.default_rng(seed).standard_normal((2, 60, 60))
    field = np.stack([gaussian_filter(one, 3)[17:43, 17:43].ravel() for one in field], 1)
    assert not counts(
        find_order_groups(noisy(field / field.std(), 0.1, seed), lattice[2], (2, 3, 4), THRESHOLDS)
    )


@pytest.mark.parametrize("field", ["bent", "wave"])
def test_a_bent_lattice_and_a_wave_have_none(lattice, field):
    x, _, offsets = lattice
    values = 2 * (x / N) - 1 if field == "bent" else np.sin(2 * np.pi * x / 16)
    values = noisy(np.column_stack([values, np.zeros(N * N)]))
    assert not counts(find_order_groups(values, offsets, (2, 3, 4), THRESHOLDS))


def test_few_sites_have_none():
    offsets = LatticeOffsets(np.zeros((10, 2)))
    assert find_order_groups(np.zeros((10, 1)), offsets, (2,)) is None


def test_groups_of_strain_ascend_from_their_rule_and_those_without_axis_are_last():
    axis = np.radians([-30, 0, 45, 90])
    centres = np.stack([np.cos(2 * axis), np.sin(2 * axis)], 1)
    centres = np.vstack([[[0.1, 0.0]], centres])
    groups = _by_axis(Groups(centres, np.eye(2), np.full(5, 0.2)))
    found = np.degrees(np.arctan2(groups.centres[:, 1], groups.centres[:, 0]) / 2)
    assert np.allclose(np.mod(found[:4], 180), [0, 45, 90, 150])
    assert np.allclose(groups.centres[4], [0.1, 0])


@pytest.fixture
def found():
    """Both order parameters, of a grid with two frequencies and five orders."""
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((3, 2, 5, 2)).astype(np.float32) @ np.array([1, 1j], np.complex64)
    strain = Groups(np.array([[0.01, 0.0], [-0.01, 0.0]]), 1e-6 * np.eye(2), np.full(2, 0.5))
    tilt = Groups(np.array([[-0.1], [0.1]]), np.array([[1e-4]]), np.full(2, 0.5))
    both = (
        Order("strain", bank[:2], np.array([0.001, 0.0]), strain),
        Order("tilt", bank[2:], np.zeros(1), tilt),
    )
    return Orders(both, 1.5, {"strain_predicted": 0.8, "tilt_predicted": 0.6})


def test_axes_tilts_and_groups_are_read(found):
    strain, tilt = found.found
    read = strain.read(np.array([[0.01, 0.0], [0.0, 0.01], [-0.01, 0.0]]))
    assert np.allclose(np.degrees(read[:, 0]), [0, 45, 90])
    assert read[[0, 2], 2].tolist() == [0, 1] and np.allclose(read[:, 3], 1)
    read = tilt.read(np.array([[-0.08], [0.12]]))
    assert read[:, 0].tolist() == [-0.08, 0.12] and read[:, 2].tolist() == [0, 1]


def test_the_columns_are_named_and_the_strongest_comes_first(found):
    rng = np.random.default_rng(1)
    sites = rng.standard_normal((4, 2, 5)) + 1j * rng.standard_normal((4, 2, 5))
    columns = found.columns(found.read(sites))
    names = "strain_angle strain_angle_std strain_variant tilt tilt_std tilt_variant"
    assert list(columns) == names.split()
    assert columns["tilt_variant"].dtype.kind == "i"
    assert found.ranked(0.7) == ("strain", "displacement", "tilt")
    assert np.isnan(Orders(found.found[1:], 1.0, {}, True).in_place_of_angle(
        found.found[1].read(np.ones((2, 1)))
    )[:, 0]).all()  # fmt: skip


def test_a_file_keeps_them(found):
    again = Orders.from_state(*found.state())
    rng = np.random.default_rng(2)
    sites = rng.standard_normal((4, 2, 5)) + 1j * rng.standard_normal((4, 2, 5))
    assert np.array_equal(again.read(sites), found.read(sites))
    assert again.names == found.names and again.evidence == found.evidence


def test_a_window_without_surroundings_has_no_pattern():
    """Windows with the middle column alone: nothing around it turns."""
    coordinates = Coordinates.of(9, 4, 0)
    empty = coordinates(np.zeros((0, 5, 9), complex))
    assert empty.shape == (0, 2 * 5 * len(coordinates.orders))


@pytest.mark.parametrize(
    ("n", "charge", "orders"),
    [(4, 2, [2, 6]), (4, 0, [4, 8]), (6, 2, [2, 4, 8]), (6, 0, [6]), (2, 0, [2, 4, 6, 8])],
)
def test_even_orders_have_the_charge_that_the_lattice_gives_them(n, charge, orders):
    assert Coordinates.of(9, n, charge).orders.tolist() == orders


def test_filters_give_what_rows_of_coordinates_give():
    rng = np.random.default_rng(3)
    sites = rng.standard_normal((4, 2, 9)) + 1j * rng.standard_normal((4, 2, 9))
    coordinates = Coordinates.of(9, 4, 2)
    values = coordinates(sites)
    rows = rng.standard_normal((3, values.shape[1]))
    filters = coordinates.filters(rows, 2, 9)
    found = np.einsum("rqm,nqm->nr", filters.conj(), sites).real
    np.testing.assert_allclose(found, values @ rows.T)
