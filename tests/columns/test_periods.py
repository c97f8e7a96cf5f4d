# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders in height that repeat after several cells, and what only resembles them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.columns import translations
from hs_rvae.columns.periods import long_order
from hs_rvae.simulation import ProjectedStructure, simulate_crystal

CELL = np.array([[20.0, 1.0], [-2.0, 22.0]])
#: Kinds of columns in a cell of an order, and how many there are.
ORDERS = [
    ["A", "B"], ["A", "A", "B"], ["A", "A", "B", "B"], ["A", "A", "A", "B"], ["BA", "AA"],
    ["BA", "AA", "AA"], ["BA", "AB", "AA"], ["AB", "AB", "BA", "BA"], ["AB", "BA"],
    ["AABB", "AABB", "BBAA", "BBAA"], ["BAA", "AAA", "AAA"], ["BAAA", "AAAA", "AAAA", "AAAA"],
    ["AABB", "BAAB", "BBAA", "ABBA"],
]  # fmt: skip


def columns(n, seed=0):
    """Places (n * n, 2) of columns in their lattice, those that translations join, and noise."""
    index = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), -1).reshape(-1, 2)
    rng = np.random.default_rng(seed)
    links = translations.connect(index @ CELL + rng.normal(scale=0.5, size=index.shape), CELL, 8)
    return index, links, rng


def heights_of(order, index, ratio):
    rows = np.array([list(row) for row in order])
    kinds = rows[index[:, 1] % len(rows), index[:, 0] % rows.shape[1]]
    return np.where(kinds == "A", 1.0, ratio), kinds


@pytest.mark.parametrize("order", ORDERS, ids="/".join)
@pytest.mark.parametrize("ratio, scatter", [(0.5, 0.06), (0.85, 0.04), (1.5, 0.06)])
def test_the_cell_of_an_order_has_one_kind_at_each_place(order, ratio, scatter):
    index, links, rng = columns(24)
    heights, kinds = heights_of(order, index, ratio)
    cell = long_order(links, heights * (1 + scatter * rng.normal(size=len(index))))
    whole = np.round(index @ np.linalg.inv(cell) % 1, 6) % 1
    places = np.unique(whole, axis=0, return_inverse=True)[1].ravel()
    for place in range(places.max() + 1):
        assert len(set(kinds[places == place])) == 1
    assert abs(round(np.linalg.det(cell))) <= len(order) * len(order[0])


def test_an_order_is_found_on_both_sides_of_an_antiphase_boundary():
    index, links, rng = columns(30)
    moved = np.where(index[:, :1] > 14, index + [0, 2], index)
    heights, _ = heights_of(["A", "A", "B", "B"], moved, 0.6)
    cell = long_order(links, heights * (1 + 0.05 * rng.normal(size=len(index))))
    assert abs(round(np.linalg.det(cell))) == 4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [13, 30])
def test_chance_layers_and_smooth_changes_are_no_order(n, seed):
    index, links, rng = columns(n, seed)
    chance = 1 + 0.03 * rng.normal(size=len(index))
    row = index[:, 1]
    assert long_order(links, chance) is None
    for period in (5, 6, 7, 8, 9, 12):
        for high in (1, 2, 4):
            assert long_order(links, chance * np.where(row % period < high, 1, 0.5)) is None
    field = gaussian_filter(rng.normal(size=(n, n)), 1.5)[index[:, 0], index[:, 1]]
    for factor in (
        np.where(row > n / 3, 1, 0.5),  # a step
        1 + index.sum(axis=1) / n,  # a ramp
        1 + 0.2 * field / field.std(),  # dirt
    ):
        assert long_order(links, chance * factor) is None


@pytest.mark.parametrize("seed", range(3))
def test_thirty_rows_of_any_brightness_are_no_order(seed):
    index, links, rng = columns(30, seed)  # a few rows may alternate by chance
    assert long_order(links, (1 + 0.2 * rng.normal(size=30))[index[:, 1]]) is None


@pytest.mark.parametrize("n", [24, 30])
@pytest.mark.parametrize("order", ORDERS[1:4], ids="/".join)
def test_weak_rows_are_an_order_where_single_columns_drown(n, order):
    index, links, rng = columns(n, 1)
    heights, _ = heights_of(order, index, 0.85)
    cell = long_order(links, heights * (1 + 0.08 * rng.normal(size=len(index))))
    assert abs(round(np.linalg.det(cell))) == len(order)


@pytest.mark.parametrize("order", [ORDERS[10], ORDERS[11]], ids="/".join)
def test_one_column_of_many_is_an_order_where_it_drowns_in_the_noise(order):
    found = []
    for seed in range(6):
        index, links, rng = columns(28, seed)
        heights, _ = heights_of(order, index, 0.85)
        cell = long_order(links, heights * (1 + 0.08 * rng.normal(size=len(index))))
        found.append(cell is not None and abs(round(np.linalg.det(cell))) == order_size(order))
    assert sum(found) >= 5


def order_size(order):
    return len(order) * len(order[0])


@pytest.mark.parametrize("n", [20, 26])
@pytest.mark.parametrize("scatter", [0.05, 0.09])
@pytest.mark.parametrize("kind", ["rows that cross", "layers that cross", "substitutions", "dirt"])
def test_noise_without_a_period_hides_no_lone_column(kind, n, scatter):
    for seed in range(5):
        index, links, rng = columns(n, seed)
        (column, row), noise = index.T, 1 + scatter * rng.normal(size=len(index))
        field = gaussian_filter(rng.normal(size=(n, n)), 0.7)[index[:, 0], index[:, 1]]
        factor = {
            "rows that cross": 1 + 0.1 * (rng.normal(size=n)[row] + rng.normal(size=n)[column]),
            "layers that cross": np.where(row % rng.integers(5, 13) < 2, 1, 0.8)
            * np.where(column % rng.integers(5, 13) < 2, 1, 0.8),
            "substitutions": np.where(rng.random(len(index)) < 0.06, 0.7, 1.0),
            "dirt": 1 + 0.15 * field / field.std(),
        }[kind]
        assert long_order(links, factor * noise) is None


@pytest.mark.parametrize("scatter", [0.05, 0.15])
@pytest.mark.parametrize("kind", ["rows at random", "smooth rows", "dirt", "layers"])
def test_noisy_rows_without_a_period_are_no_order(kind, scatter):
    for seed in range(6):
        index, links, rng = columns(24, seed)
        row, noise = index[:, 1], 1 + scatter * rng.normal(size=len(index))
        field = gaussian_filter(rng.normal(size=(24, 24)), 1.5)[index[:, 0], index[:, 1]]
        smooth = gaussian_filter(rng.normal(size=24), 0.7)
        factor = {
            "rows at random": 1 + 0.1 * rng.normal(size=24)[row],
            "smooth rows": 1 + 0.15 * smooth[row] / smooth.std(),
            "dirt": 1 + 0.2 * field / field.std(),
            "layers": np.where(row % rng.integers(5, 13) < rng.integers(1, 5), 1, 0.7),
        }[kind]
        assert long_order(links, factor * noise) is None


def test_a_wave_that_gets_out_of_step_is_no_order():
    index, links, rng = columns(30)
    chance = 1 + 0.03 * rng.normal(size=len(index))
    assert long_order(links, chance * (1 + 0.2 * np.sin(2 * np.pi * index[:, 1] / 3.6))) is None


def _ordered(order, ratio):
    rows, length = len(order), len(order[0])
    basis = [
        ((x + 0.5) / length, (y + 0.5) / rows, 1.0 if order[y][x] == "A" else ratio)
        for y in range(rows)
        for x in range(length)
    ]
    return ProjectedStructure([(0.4 * length, 0), (0, 0.4 * rows)], basis)


@pytest.mark.slow
@pytest.mark.parametrize("ratio, dose", [(0.7, 30.0), (0.7, 400.0), (0.85, 30.0)])
@pytest.mark.parametrize("order", ORDERS[2:], ids="/".join)
def test_no_sublattice_of_an_image_mixes_two_kinds(order, ratio, dose):
    image, truth = simulate_crystal(
        (420, 420), _ordered(order, ratio), rotation=7, dose=dose, random_state=1
    )
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    true = truth.columns
    for sublattice in lattice.sublattice_list:
        found = sublattice.column_table[["x", "y"]]
        near, row = cKDTree(true[["x", "y"]]).query(found)
        names = true["name"].to_numpy()[row[near < 4]]
        assert np.unique(names, return_counts=True)[1].max() > 0.99 * len(names)
    assert not any("mixes kinds" in text for text in lattice.crystal.cautions)


def test_an_order_that_a_small_image_cannot_name_gives_a_warning():
    image, _ = simulate_crystal(
        (190, 190), _ordered(["BAAA", "AAAA", "AAAA", "AAAA"], 0.6), random_state=1
    )
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    named = len(lattice.sublattice_list) > 1
    assert named or any("mixes kinds" in text for text in lattice.crystal.cautions)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_a_cell_whose_places_are_half_empty_is_not_taken(dark):
    edge, height = 0.5, 0.5 * np.sqrt(0.75)
    places = [(0.5, 0, 1.0), (0, 0.5, 1.0), (0.5, 0.5, 1.0)]
    kagome = ProjectedStructure([(edge, 0), (-edge / 2, height)], places)
    image, _ = simulate_crystal((420, 420), kagome, dose=100, dark=dark, random_state=0)
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    assert len(lattice.sublattice_list) == 3
    assert min(place.occupied for place in lattice.crystal.places) > 0.95
