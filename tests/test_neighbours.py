# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours: distances, displacements, cells."""

import numpy as np
import pytest

from hs_rvae.neighbours import (
    crowded,
    displacement,
    distinct,
    local_cells,
    nearest_neighbour_distance,
    nearest_shell_distance,
)


def square_lattice(n=6, a=10.0):
    x, y = np.meshgrid(np.arange(n) * a, np.arange(n) * a)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def test_nearest_neighbour_distance_is_the_lattice_parameter():
    positions = np.vstack([square_lattice(), square_lattice(), [[np.nan, 3.0]]])
    assert nearest_neighbour_distance(positions) == pytest.approx(10.0)


def test_one_position_has_no_neighbour_distance():
    with pytest.raises(ValueError, match="give window_size"):
        nearest_neighbour_distance(np.array([[1.0, 2.0], [np.nan, 0.0]]))


def test_crowded_positions_lie_within_a_quarter_of_a_distance():
    positions = np.vstack([square_lattice(), [[12.0, 10.0], [33.0, 30.0]]])
    # 2 px from (10, 10), 3 px from (30, 30), in a lattice of 10 px.
    np.testing.assert_array_equal(np.flatnonzero(crowded(positions)), [7, 36])
    assert not crowded(np.array([[0.0, 0.0], [1.0, 0.0]])).any()


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 1.0])
@pytest.mark.parametrize("apart", [0.05, 0.3, 1.5])
def test_columns_found_twice_are_crowded_however_many_they_are(share, apart):
    columns = square_lattice(12)
    twice = columns[: int(share * len(columns))]
    both = np.vstack([columns, twice + [apart, -apart]])
    expected = np.isin(np.arange(len(both)) % len(columns), np.arange(len(twice)))
    np.testing.assert_array_equal(crowded(both), expected)
    assert nearest_neighbour_distance(both) == pytest.approx(10.0, rel=0.02)


def test_columns_of_many_tables_are_crowded():
    rng = np.random.default_rng(0)
    tables = np.vstack([square_lattice(12) + rng.normal(0, 0.3, (144, 2)) for _ in range(5)])
    assert crowded(tables).mean() > 0.99
    assert nearest_neighbour_distance(tables) == pytest.approx(10.0, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_small_crystals_and_pairs_of_columns_are_not_crowded(seed):
    rng = np.random.default_rng(seed)
    crystals = [square_lattice(3) + 10 * rng.integers(0, 1000, 2) for _ in range(40)]
    assert not crowded(np.unique(np.vstack(crystals), axis=0)).any()
    dumbbells = square_lattice(10, 38.4)
    assert not crowded(np.vstack([dumbbells, dumbbells + [13.6, 0]])).any()


def test_distinct_positions_are_the_unique_rows():
    rng = np.random.default_rng(0)
    xy = np.concatenate([rng.integers(-3, 4, (60, 2)) / 4, rng.normal(size=(20, 2))])
    xy = np.concatenate([xy, xy[:30] + 1e-5])
    np.testing.assert_array_equal(distinct(xy[::2]), np.unique(np.round(xy[::2], 3), axis=0))


def test_nearest_shell_is_the_corner_distance_of_a_square_cell():
    a = square_lattice()
    b = a[(a < 45).all(axis=1)] + 5.0
    assert nearest_shell_distance(b, a) == pytest.approx(5 * np.sqrt(2))
    # A displaced site is judged by the columns it moves away from.
    assert nearest_shell_distance(b + [1.0, 0.0], a) == pytest.approx(np.hypot(6, 5))
    # Two neighbours at most: no invented third.
    assert nearest_shell_distance(np.array([[5.0, 5.0]]), a[:2]) == pytest.approx(5 * np.sqrt(2))
    assert np.isnan(nearest_shell_distance(b, np.array([[np.nan, 1.0]])))
    # A column is not its own neighbour.
    assert nearest_shell_distance(a, a.round(1) + 0.01) == pytest.approx(10, abs=0.02)
    assert np.isnan(nearest_shell_distance(a[:1], a[:1]))


def test_displacement_is_the_movement_of_the_site():
    a = square_lattice()
    b = a[(a < 45).all(axis=1)] + 5.0
    moved = b + [1.5, -0.75]
    result = displacement(moved, a)
    np.testing.assert_allclose(result, np.broadcast_to([1.5, -0.75], b.shape), atol=1e-12)


def test_displacement_is_undefined_at_edges_and_beside_missing_columns():
    a = square_lattice()
    corner = (a == 0).all(axis=1)
    b = np.array([[5.0, 5.0], [15.0, 15.0], [-5.0, 25.0], [np.nan, 3.0]])
    defined = np.isfinite(displacement(b, a[~corner])).all(axis=1)
    np.testing.assert_array_equal(defined, [False, True, False, False])


def test_displacement_within_one_sublattice_leaves_the_site_itself_out():
    a = square_lattice()
    inner = ((a > 0) & (a < 50)).all(axis=1)
    a[14] += [2.0, 0.0]
    result = displacement(a)
    assert np.isfinite(result[inner]).all() and np.isnan(result[~inner]).all()
    np.testing.assert_allclose(result[14], [2.0, 0.0])
    np.testing.assert_allclose(result[13], [-0.5, 0.0])


def test_displacement_of_too_few_columns_is_nan():
    assert np.isnan(displacement(np.array([[3.0, 5.0], [4.0, 6.5], [9.25, 1.0]]))).all()


def test_local_cells_of_a_turned_rectangle():
    turn = np.radians(20)
    a = 12 * np.array([np.cos(turn), np.sin(turn)])
    b = 15 * np.array([-np.sin(turn), np.cos(turn)])
    i, j = np.meshgrid(np.arange(-4, 5), np.arange(-4, 5))
    corners = i.reshape(-1, 1) * a + j.reshape(-1, 1) * b + 100
    centres = corners + (a + b) / 2 + np.array([0.8, -0.5])
    for found_a, found_b in (local_cells(centres, corners), local_cells(corners)):
        inner = np.isfinite(found_a[:, 0])
        assert inner.sum() >= 49
        np.testing.assert_allclose(found_a[inner], np.broadcast_to(a, (inner.sum(), 2)))
        np.testing.assert_allclose(found_b[inner], np.broadcast_to(b, (inner.sum(), 2)))
