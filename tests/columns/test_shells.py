# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""First shells from the basis of a crystal, and displacements by them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hs_rvae.columns.crystal import Grain
from hs_rvae.columns.shells import cage_around, find_shells
from hs_rvae.neighbours import displacement, local_cells


@pytest.mark.parametrize(
    ("structure", "site", "members", "absolute"),
    [
        ("perovskite", "B", "AAAA", True),
        ("perovskite", "A", "BBBB", True),
        ("perovskite with oxygen", "B", "AAAA", True),
        ("perovskite with oxygen", "C", "AABB", True),
        ("MoS2", "A", "BBB", True),
        ("MoS2", "B", "AAA", True),
        ("graphene", "A", "AAA", True),
        ("zinc blende", "B", "AAA", False),
        ("zinc blende", "A", "BBB", False),
        ("wurtzite", "B", "AAA", False),
        ("hexagonal", "A", "AAAAAA", True),
        ("square", "A", "AAAA", True),
        ("rectangle", "A", "AAAA", True),
    ],
)
def test_the_shell_encloses_the_site(structure, site, members, absolute, hand_made):
    for shell in find_shells(hand_made.make(structure).crystal, site):
        assert "".join(sorted(shell.members)) == members
        assert absolute == (not shell.reference.any())


def test_the_cage_may_be_chosen(hand_made):
    crystal = hand_made.make("perovskite with oxygen").crystal
    (shell,) = find_shells(crystal, "B", ["C", "D"])
    assert sorted(shell.members) == ["C", "C", "D", "D"]
    (shell,) = find_shells(crystal, "B", "B")
    assert shell.members == ("B",) * 4
    with pytest.raises(ValueError, match="^cage='O': there is no such .* has A, B, C, D"):
        find_shells(crystal, "B", "O")


@pytest.mark.parametrize("moved", [(0.0, 0.0), (0.06, 0.06), (0.14, 0.14), (0.0, 0.1)])
def test_a_site_displaced_alike_in_all_cells_keeps_its_cage(moved, hand_made):
    places = [("A", (0, 0), 1.0), ("B", (0.5 + moved[0], 0.5 + moved[1]), 0.4)]
    made = hand_made.make("perovskite", places=places)
    (shell,) = find_shells(made.crystal, "B")
    assert shell.members == ("A",) * 4 and not shell.reference.any()
    result = cage_around("B", made.tables, made.crystal).displacement
    inside = np.isfinite(result).all(axis=1)
    np.testing.assert_allclose(
        result[inside], np.broadcast_to(26 * np.array(moved), result[inside].shape), atol=1e-9
    )


def test_displacements_of_a_perovskite_are_those_from_the_four_nearest(hand_made):
    made, rng = hand_made.make("perovskite", size=400), np.random.default_rng(0)
    for table in made.tables.values():
        table[["x", "y"]] += rng.normal(0, 0.6, (len(table), 2))
    a, b = (made.tables[name][["x", "y"]].to_numpy() for name in "AB")
    cage = cage_around("B", made.tables, made.crystal)
    np.testing.assert_array_equal(cage.displacement, displacement(b, a))
    for ours, theirs in zip((cage.a, cage.b), local_cells(b, a), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(cage.displacement).all(axis=1).sum() > 150


@pytest.mark.parametrize("structure", ["MoS2", "graphene", "zinc blende", "wurtzite", "hexagonal"])
@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_a_site_that_moves_is_measured_against_its_cage(structure, turn, hand_made):
    made = hand_made.make(structure, turn=turn)
    name = "A" if structure in ("graphene", "hexagonal") else "B"
    table = made.tables[name]
    middle = int(np.argmin(np.hypot(table.x - 150, table.y - 150)))
    table.loc[middle, ["x", "y"]] += [1.2, -0.7]
    cage = cage_around(name, made.tables, made.crystal)
    np.testing.assert_allclose(cage.displacement[middle], [1.2, -0.7], atol=1e-9)
    others = np.delete(cage.displacement, middle, axis=0)
    far = np.isfinite(others).all(axis=1)
    assert far.mean() > 0.6
    if name == "B":
        np.testing.assert_allclose(others[far], 0, atol=1e-9)
        cells = np.stack([cage.a, cage.b], axis=1)[np.isfinite(cage.a).all(axis=1)]
        np.testing.assert_allclose(
            cells, np.broadcast_to(made.crystal.cell, cells.shape), atol=1e-9
        )


def test_a_shell_with_a_missing_column_gives_nothing(hand_made):
    made = hand_made.make("perovskite")
    a, b = made.tables["A"], made.tables["B"]
    near = np.hypot(a.x - 156, a.y - 156).to_numpy()
    lost = int(np.argmin(near))
    place = a.loc[lost, ["x", "y"]].to_numpy(float)
    before = np.isfinite(cage_around("B", made.tables, made.crystal).displacement[:, 0])
    made.tables["A"] = a.drop(index=lost).reset_index(drop=True)
    after = np.isfinite(cage_around("B", made.tables, made.crystal).displacement[:, 0])
    beside = np.hypot(b.x - place[0], b.y - place[1]) < 20
    assert beside.sum() == 4
    np.testing.assert_array_equal(after, before & ~beside)


def test_no_vector_crosses_a_boundary(hand_made):
    made = hand_made.make("perovskite")
    for table in made.tables.values():
        table["grain"] = np.where(table.x < 140, 0, np.where(table.x < 160, -1, 1))
    cell = made.crystal.cell
    crystal = replace(made.crystal, grains=(Grain(0, cell, 1), Grain(1, cell, 1)))
    b = made.tables["B"]
    found = np.isfinite(cage_around("B", made.tables, crystal).displacement[:, 0])
    a = made.tables["A"]
    for row in np.flatnonzero(found):
        around = np.hypot(a.x - b.x[row], a.y - b.y[row]) < 20
        assert around.sum() == 4 and (a.grain[around] == b.grain[row]).all()
        assert b.grain[row] >= 0
    assert found[b.grain == 0].any() and found[b.grain == 1].any()


def test_tables_without_columns_give_nothing(hand_made):
    made = hand_made.make("perovskite")
    made.tables["A"] = made.tables["A"].iloc[:0]
    assert np.isnan(cage_around("B", made.tables, made.crystal).displacement).all()
    made.tables["B"] = pd.DataFrame({"x": [np.nan], "y": [3.0], "grain": [0]})
    assert np.isnan(cage_around("B", made.tables, made.crystal).displacement).all()
