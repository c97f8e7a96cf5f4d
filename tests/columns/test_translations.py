# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hs_rvae.columns import grains, translations

CELL = np.array([[20.0, 1.0], [-2.0, 22.0]])


def crystal(n=10, cell=CELL, noise=0.5, seed=0):
    """Positions and indices of n x n columns, one a cell."""
    index = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(seed)
    positions = index @ cell + rng.normal(scale=noise, size=index.shape) + 100
    order = rng.permutation(len(index))
    return positions[order], index[order]


def test_translations_join_all_columns_and_both_ways():
    positions, index = crystal()
    links = translations.connect(positions, CELL * 1.05, 8)
    inner = ((index > 0) & (index < 9)).all(axis=1)
    assert (links.neighbours[inner] >= 0).all()
    rows, steps = np.nonzero(links.neighbours >= 0)
    ends = links.neighbours[rows, steps]
    np.testing.assert_array_equal(index[ends] - index[rows], translations.STEPS[steps])
    np.testing.assert_allclose(np.median(links.cells, axis=0), CELL, atol=0.5)


def test_an_order_is_told_from_chance_from_layers_and_from_a_step():
    positions, index = crystal(24)
    links = translations.connect(positions, CELL, 8)
    chance = 1 + 0.05 * np.random.default_rng(2).normal(size=len(index))
    rows = index[:, 1]
    for heights in (
        chance,
        chance * np.where(rows % 7 < 4, 1, 0.4),
        chance * np.where(rows > 9, 1, 0.5),
    ):
        assert links.order(heights)[1] < 0.35
    for wave, which in (
        ((0.5, 0.5), index.sum(axis=1) % 2), ((0, 0.5), rows % 2), ((0, 1 / 3), rows % 3 == 0)
    ):  # fmt: skip
        found, share, depth = links.order(chance * np.where(which, 0.8, 1.0))
        assert found == wave and share > 0.6 and depth > 0.05


def test_columns_between_others_are_of_their_grain_and_beside_them_of_another():
    positions, index = crystal(12)
    between = positions + CELL.sum(axis=0) / 2
    left, right = index[:, 0] < 6, index[:, 0] >= 6
    for shifted, count in (
        (np.vstack([positions, between]), 1),
        (np.vstack([positions[left], between[right]]), 2),
    ):
        links = translations.connect(shifted, CELL, 5)
        piece = links.pieces(links.regularity() > 0.4, 6)
        found = grains.assemble(links, piece, 14)
        assert found.grain.max() + 1 == count
        assert [len(f) for f in found.fractions] == ([2] if count == 1 else [1, 1])


def test_cells_are_numbered():
    positions, index = crystal(9)
    links = translations.connect(positions, CELL, 8)
    found, part = grains.number_cells(
        positions, links.cells, np.zeros(81, int), np.zeros((81, 2)), 20
    )
    assert (part == 0).all() and (np.ptp(found - index, axis=0) == 0).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_columns_are_no_lattice_but_no_error(n):
    positions = np.array([[10.0, 10.0], [30.0, 11.0], [300.0, 5.0]])[:n]
    links = translations.connect(positions, CELL, 8)
    assert links.regularity().shape == (n,)
    assert links.order(np.ones(n))[1] == 0
    assert (links.pieces(np.ones(n, bool), 6) == -1).all()
