# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of one kind that are displaced in turns are one sublattice, in the cell of the others."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.columns.displaced import join_mixed, joined_places, parent_of
from hs_rvae.columns.grains import Assembly
from hs_rvae.simulation import ProjectedStructure, simulate_crystal, simulate_perovskite

CELL = np.array([[40.0, 0.0], [0.0, 40.0]])
DISTANCE = 28.3


def superlattice(pattern, moved="B", amount=0.1, ratio=0.4, direction=(1, 0)):
    """Perovskite whose A or B columns are displaced along x in units of its edge, by a pattern."""
    signs = np.array([[{"+": 1, "-": -1, "0": 0}[sign] for sign in row] for row in pattern])
    rows, columns = signs.shape
    basis = []
    for y in range(rows):
        for x in range(columns):
            step = amount * signs[y, x] * np.array(direction)
            for name, centre, height in (("A", 0.0, 1.0), ("B", 0.5, ratio)):
                u, v = np.array([x, y]) + centre + (step if name == moved else 0)
                basis.append((u / columns, v / rows, height))
    return ProjectedStructure([(0.4 * columns, 0), (0, 0.4 * rows)], basis)


def kinds_of(lattice, positions, kinds, reach):
    """Share of the true columns that have a name, and of these whose name means another kind."""
    tables = [sublattice.column_table[["x", "y"]] for sublattice in lattice.sublattice_list]
    names = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    apart, near = cKDTree(np.concatenate(tables)).query(positions)
    there = apart < reach
    counts = np.zeros((len(tables), 2), int)
    np.add.at(counts, (names[near[there]], kinds[there]), 1)
    return there.mean(), 1 - counts.max(axis=1).sum() / counts.sum()


@pytest.mark.parametrize(
    ("cell", "shift"),
    [(16, 0.5), (16, 1.1), (26, 1.0), (26, 1.4), (26, 1.8)]
    + [pytest.param(*each, marks=pytest.mark.slow) for each in [(26, 2.2), (40, 2.5), (40, 3.0)]],
)
def test_antiparallel_lamellae_have_two_sublattices(cell, shift):
    image, truth = simulate_perovskite(
        (20 * cell, 20 * cell), cell=cell, order="antiparallel", shift=shift, random_state=0
    )
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    sites = (truth.a_sites, truth.b_sites)
    xy = np.concatenate([each[["x", "y"]] for each in sites])
    kinds = np.repeat([0, 1], [len(each) for each in sites])
    inside = ((xy > cell) & (xy < 19 * cell)).all(axis=1)
    found, wrong = kinds_of(lattice, xy[inside], kinds[inside], 0.2 * cell)
    assert len(lattice.sublattice_list) == 2
    assert np.linalg.norm(lattice.crystal.cell, axis=1) == pytest.approx(cell, rel=0.02)
    assert wrong == 0 and found > 0.98
    assert not lattice.crystal.cautions


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [["+-"], ["++--"], ["+-", "-+"], ["+0-0"]], ids="/".join)
@pytest.mark.parametrize("moved", ["A", "B"])
@pytest.mark.parametrize("amount", [0.04, 0.08])
@pytest.mark.parametrize("direction", [(1, 0), (0, 1)])
def test_rows_and_checkerboards_of_displacements_are_no_kinds(pattern, moved, amount, direction):
    structure = superlattice(pattern, moved, amount, direction=direction)
    # The spacing is that of the nearest columns, which the displacement brings together.
    a = 26.0
    places = np.array([each[:2] for each in structure.basis]) @ np.array(structure.cell) / 0.4
    around = [
        places + [i, j] @ np.array(structure.cell) / 0.4 for i in (-1, 0, 1) for j in (-1, 0, 1)
    ]
    nearest = cKDTree(np.concatenate(around)).query(places, k=2)[0][:, 1].min()
    image, truth = simulate_crystal(
        (416, 416), structure, spacing=a * nearest, column_width=0.2, random_state=1
    )
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    true = truth.columns
    xy, kinds = true[["x", "y"]].to_numpy(), true["place"].to_numpy() % 2
    inside = ((xy > a) & (xy < 416 - a)).all(axis=1)
    found, wrong = kinds_of(lattice, xy[inside], kinds[inside], 0.2 * a)
    assert len(lattice.sublattice_list) == 2
    assert found > 0.98 and wrong == 0


def assembly_of(places, counts, cells=60):
    """Columns at places of the cell, some of them empty, with a height for each place."""
    place = np.concatenate([np.full(count, k) for k, count in enumerate(counts)])
    return Assembly(np.zeros(len(place), int), place, [np.array(places, float)])


def parent(places, heights, counts=None):
    counts = [60] * len(places) if counts is None else counts
    found = assembly_of(places, counts)
    rng = np.random.default_rng(0)
    height = np.asarray(heights)[found.place] * (1 + 0.03 * rng.normal(size=len(found.place)))
    return parent_of(found.fractions[0], found.place, CELL * [[2], [1]], height, DISTANCE)


ROWS = [(0, 0), (0.5, 0), (0.25 + 0.06, 0.5), (0.75 - 0.06, 0.5)]


def test_the_columns_that_stay_show_the_cell_of_the_crystal():
    found = parent(ROWS, [1, 1, 0.4, 0.4])
    assert abs(np.linalg.det(found.steps)) == pytest.approx(0.5)
    assert len(found.fractions) == 2 and found.number.tolist() == [0, 0, 1, 1]
    apart = (found.fractions[1] - found.fractions[0]) % 1
    assert apart == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    "heights",
    [[1, 1, 0.4, 0.46], [1, 0.95, 0.4, 0.4], [1, 1, 1, 1]],
    ids=["moved ones differ", "others differ", "one kind"],
)
def test_places_of_several_kinds_are_no_order_of_displacements(heights):
    assert parent(ROWS, heights) is None


def test_a_cell_of_equal_places_that_are_a_lattice_is_too_large():
    found = parent([(0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5)], [1, 1, 1, 1])
    assert abs(np.linalg.det(found.steps)) == pytest.approx(0.25) and len(found.fractions) == 1
    assert parent([(0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5)], [1, 1, 1, 0.95]) is None


def test_a_basis_whose_columns_all_have_moved_stays():
    wurtzite = [(0.04, 0), (0.46, 0), (0.25 + 0.04, 0.5), (0.75 - 0.04, 0.5)]
    assert parent(wurtzite, [1, 1, 0.4, 0.4]) is None
    far = [(0, 0), (0.5, 0), (0.25 + 0.12, 0.5), (0.75 - 0.12, 0.5)]
    assert parent(far, [1, 1, 0.4, 0.4]) is None


def test_places_that_columns_take_in_turns_are_one():
    places = [(0, 0), (0.4, 0.5), (0.6, 0.5)]
    cells = np.broadcast_to(CELL, (120, 2, 2))
    height = np.array([1, 0.4, 0.4])
    found = assembly_of(places, [60, 30, 30])
    joined = joined_places(found, cells, height[found.place], DISTANCE)
    assert np.bincount(joined.place).tolist() == [60, 60]
    assert joined.fractions[0][1] == pytest.approx([0.5, 0.5])
    differ = joined_places(found, cells, np.array([1, 0.4, 0.6])[found.place], DISTANCE)
    assert len(differ.fractions[0]) == 3
    both = assembly_of(places, [60, 60, 60])  # filled together: two columns of a dumb-bell
    cells = np.broadcast_to(CELL, (180, 2, 2))
    assert len(joined_places(both, cells, height[both.place], DISTANCE).fractions[0]) == 3


def lattices(moved, second, cell=CELL):
    """Two grains of a lattice; the columns of the second stand at a place of the first one's."""
    index = np.stack(np.meshgrid(np.arange(12), np.arange(12), indexing="ij"), -1).reshape(-1, 2)
    positions = np.concatenate([index @ CELL, (index[second] + moved) @ CELL])
    grain = np.repeat([0, 1], [len(index), second.sum()])
    zeros = np.zeros(len(grain), int)
    cells = np.broadcast_to(CELL, (len(grain), 2, 2)).copy()
    cells[grain == 1] = cell
    return Assembly(grain, zeros, [np.zeros((1, 2)), np.zeros((1, 2))]), positions, cells


def test_grains_whose_columns_stand_among_each_other_are_one():
    everywhere = np.ones(144, bool)
    for cell in (CELL, CELL * [[2], [1]]):
        found, positions, cells = lattices((0.5, 0.5), everywhere, cell)
        heights = np.where(found.grain == 0, 1, 0.4)
        one = join_mixed(found, positions, cells, heights, DISTANCE)
        assert not one.grain.any() and np.bincount(one.place).tolist() == [144, 144]
        assert one.fractions[0][1] == pytest.approx([0.5, 0.5])
        assert np.allclose(cells, CELL)


def test_an_island_beside_a_grain_stays_a_grain():
    island = np.zeros((12, 12), bool)
    island[:5, :5] = True
    found, positions, cells = lattices((0.5, 0.5), island.ravel())
    away = found.grain == 1
    positions[away] += [600, 0]
    heights = np.ones(len(found.grain))
    two = join_mixed(found, positions, cells, heights, DISTANCE)
    assert (two.grain == found.grain).all()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "sublattices"), [("wurtzite [11-20]", 4)])
def test_crystals_of_several_places_keep_them(name, sublattices):
    image, _ = simulate_crystal((360, 360), name, light_elements=True, random_state=1)
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    assert len(lattice.sublattice_list) == sublattices
