# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Displacements of stacks against the first shell of the crystal that was found."""

from types import SimpleNamespace

import numpy as np
import pytest

from hs_rvae import SubImageStack
from hs_rvae.neighbours import displacement


def lattice_of(made, crystal=True):
    """What find_sublattices returns, of tables that were made by hand."""
    members = [
        SimpleNamespace(
            name=name,
            atom_list=[None] * len(table),
            x_position=table.x.to_numpy(),
            y_position=table.y.to_numpy(),
            column_table=table,
        )
        for name, table in made.tables.items()
    ]
    lattice = SimpleNamespace(sublattice_list=members, image=np.ones((300, 300)))
    if crystal:
        lattice.crystal = made.crystal
    return lattice


def test_stacks_have_displacements_against_the_first_shell(hand_made):
    made = hand_made.make("MoS2")
    table = made.tables["B"]
    row = int(np.argmin(np.hypot(table.x - 150, table.y - 150)))
    table.loc[row, ["x", "y"]] += [0.9, 0.4]
    stack = SubImageStack.from_atom_lattice(lattice_of(made), sublattice="B", window_size=30)
    sites = stack.sites
    here = sites["site_index"] == row
    assert sites["displacement_x"][here] == pytest.approx(0.9)
    assert sites["displacement_y"][here] == pytest.approx(0.4)
    # The site and the mean of three neighbours, each known to 0.1 px.
    assert sites["displacement_std"][here] == pytest.approx(0.1 * np.sqrt(4 / 3))
    assert sites["cell_angle"][here] == pytest.approx(np.pi / 3)
    assert sites.writers["displacement_x"] == "neighbours"


def test_without_a_crystal_the_four_nearest_count(hand_made):
    made = hand_made.make("perovskite")
    rng = np.random.default_rng(0)
    for table in made.tables.values():
        table[["x", "y"]] += rng.normal(0, 0.5, (len(table), 2))
    stacks = [
        SubImageStack.from_atom_lattice(lattice_of(made, crystal), window_size=40)
        for crystal in (True, False)
    ]
    for name in ("displacement_x", "displacement_y", "displacement_std", "cell_a", "cell_angle"):
        np.testing.assert_array_equal(*(stack.sites[name] for stack in stacks))


def test_the_cage_of_a_stack_may_be_chosen(hand_made):
    made = hand_made.make("perovskite with oxygen")
    made.tables["C"]["x"] += 0.5
    made.tables["D"]["x"] += 0.5
    of_a, of_oxygen = (
        SubImageStack.from_atom_lattice(lattice_of(made), window_size=40, cage=cage)
        for cage in (None, ["C", "D"])
    )
    assert np.nanmedian(of_a.sites["displacement_x"]) == pytest.approx(0)
    assert np.nanmedian(of_oxygen.sites["displacement_x"]) == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="this lattice has none"):
        SubImageStack.from_atom_lattice(lattice_of(made, False), window_size=40, cage="A")


def test_a_missing_neighbour_is_not_replaced_by_one_further_away():
    x, y = np.meshgrid(np.arange(0.0, 100, 10), np.arange(0.0, 100, 10))
    a = np.stack([x.ravel(), y.ravel()], axis=1)
    b = a[(a < 85).all(axis=1)] + 5
    lost = 44
    beside = np.abs(b - a[lost]).max(axis=1) < 6
    result = displacement(b, np.delete(a, lost, axis=0))
    np.testing.assert_array_equal(np.isnan(result[:, 0]), beside)
