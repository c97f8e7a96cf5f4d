# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hs_rvae.columns import lattice

CELL = np.array([[20.0, 1.0], [-2.0, 22.0]])


def centred_crystal(n=8, cell=CELL, noise=0.5, seed=0):
    """Positions, indices in half cells, of n x n cells with a column in each centre."""
    steps = np.arange(2 * n + 1)
    index = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    index = index[(index.sum(axis=1) % 2 == 0) & (index[:, 0] % 2 == index[:, 1] % 2)]
    rng = np.random.default_rng(seed)
    positions = index / 2 @ cell + rng.normal(scale=noise, size=index.shape) + 100
    order = rng.permutation(len(index))
    return positions[order], index[order]


def same_up_to_origin(found, true):
    return (np.ptp(found - true, axis=0) == 0).all()


def test_every_column_gets_its_place():
    positions, index = centred_crystal()
    graph = lattice.connect(positions, CELL)
    assert same_up_to_origin(graph.index, index)
    assert graph.consistency() == 1
    assert (graph.part == 0).all()
    inner = ((index > 1) & (index < 15)).all(axis=1)
    assert (graph.neighbours[inner] >= 0).all()


def test_neighbours_are_mutual():
    positions, _ = centred_crystal(noise=3)
    neighbours = lattice.connect(positions, CELL).neighbours
    back = [2, 3, 0, 1, 6, 7, 4, 5]
    rows, steps = np.nonzero(neighbours >= 0)
    ends = neighbours[rows, steps]
    assert (neighbours[ends, np.take(back, steps)] == rows).all()


def test_a_cell_that_is_ten_percent_off_is_corrected_locally():
    positions, index = centred_crystal()
    graph = lattice.connect(positions, CELL * 1.1)
    assert same_up_to_origin(graph.index, index)
    # The mean of all local cells, each known to about noise / sqrt(8).
    np.testing.assert_allclose(np.median(graph.cells, axis=0), CELL, atol=0.5)


def test_a_bent_lattice_is_followed():
    """Cells turn by 20 degrees over the crystal: more than half a cell off a rigid lattice."""
    positions, index = centred_crystal(n=16)
    bend = np.deg2rad(20) / np.ptp(positions[:, 0])
    angle = bend * (positions[:, 0] - positions[:, 0].mean())
    radius = 1 / bend - (positions[:, 1] - positions[:, 1].mean())
    bent = np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1)
    assert same_up_to_origin(lattice.connect(bent, CELL).index, index)


def test_missing_columns_are_holes_and_the_surroundings_are_not():
    positions, index = centred_crystal()
    inner = np.flatnonzero(((index > 2) & (index < 14)).all(axis=1))
    missing = np.random.default_rng(1).choice(inner, 6, replace=False)
    kept = np.setdiff1d(np.arange(len(index)), missing)
    graph = lattice.connect(positions[kept], CELL)
    holes, hole_index, part = lattice.find_holes(graph)
    shift = (graph.index - index[kept])[0]
    expected = {tuple(i) for i in (index[missing] + shift).tolist()}
    assert {tuple(i) for i in hole_index.tolist()} == expected
    assert (part == 0).all()
    for place, xy in zip((hole_index - shift).tolist(), holes, strict=True):
        true = positions[(index == place).all(axis=1)][0]
        assert np.linalg.norm(xy - true) < 2  # a mean of up to 8 neighbours, and 0.5 px of noise


def test_the_empty_centres_of_all_cells_are_holes():
    positions, index = centred_crystal(n=6)
    even = index[:, 0] % 2 == 0
    graph = lattice.connect(positions[even], CELL)
    holes, hole_index, _ = lattice.find_holes(graph)
    assert len(holes) == 36
    assert (hole_index[:, 0] % 2 != graph.index[0, 0] % 2).all()


def test_alternating_heights_are_told_from_chance():
    positions, index = centred_crystal(n=10)
    graph = lattice.connect(positions, CELL)
    rng = np.random.default_rng(2)
    chance = 1 + 0.05 * rng.normal(size=len(index))
    weaker = np.where(index[:, 0] % 2 == 1, 0.8, 1.0)
    inverted = np.where(index[:, 1] > 10, weaker, 1.8 - weaker)
    step = np.where(index[:, 1] > 10, 0.5, 1.0)
    assert graph.alternation(chance) < 0.25
    assert graph.alternation(chance * step) < 0.25
    assert graph.alternation(chance * weaker) > 0.8
    assert graph.alternation(chance * inverted) > 0.6


def test_noise_is_less_regular_than_a_disordered_crystal():
    positions, _ = centred_crystal(n=10, noise=1.2)
    crystal = lattice.connect(positions, CELL).regularity()
    rng = np.random.default_rng(3)
    scattered = rng.uniform(100, 320, (4 * len(positions), 2))
    apart = []
    for xy in scattered:  # maxima are never closer than this
        if not apart or np.min(np.hypot(*(np.array(apart) - xy).T)) > 6:
            apart.append(xy)
    noise = lattice.connect(np.array(apart), CELL).regularity()
    assert np.median(crystal) > 0.6
    assert np.median(noise) < 0.35


def test_parts_that_continue_each_other_are_counted_together():
    positions, index = centred_crystal(n=14)
    kept = (index[:, 0] < 10) | (index[:, 0] > 15)
    graph = lattice.connect(positions[kept], CELL)
    assert graph.part.max() == 1
    assert lattice.join_parts(graph) == 1
    assert same_up_to_origin(graph.index, index[kept])


def test_parts_of_another_crystal_stay_apart():
    positions, index = centred_crystal(n=8)
    shifted = positions + [9 * 20 + 8.0, 3.0]
    graph = lattice.connect(np.vstack([positions, shifted]), CELL)
    assert graph.part.max() == 1
    assert lattice.join_parts(graph) == 2


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_a_few_columns_are_no_lattice_but_no_error(n):
    positions = np.array([[10.0, 10.0], [30.0, 11.0], [300.0, 5.0]])[:n]
    graph = lattice.connect(positions, CELL)
    assert len(graph.part) == n
    assert len(lattice.find_holes(graph)[0]) == 0
    assert graph.alternation(np.ones(n)) == 0
    assert graph.regularity().shape == (n,)
