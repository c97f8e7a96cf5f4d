# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vacancies, substitutions and interstitials against simulated truth."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import hs_rvae
from hs_rvae.columns.crystal import Grain
from hs_rvae.columns.defects import defects_of_tables
from hs_rvae.columns.empty_places import Columns, find_empty_places

SIZE = 500
SHAPES = {
    "perovskite": {"edge": 26.0, "sigma": 2.9},
    "MoS2": {"edge": 24.0, "sigma": 2.6},
    "graphene": {"edge": 22.0, "sigma": 2.3},
}


def find(damaged):
    return defects_of_tables(damaged.image.astype(float), damaged.tables, damaged.crystal)


def hits(found, truth, kind, margin=26):
    """Numbers found, true, right, listed of a kind, a cell inside the border."""

    def inner(table):
        chosen = table[table.kind == kind][["x", "y"]].to_numpy()
        return chosen, ((chosen > margin) & (chosen < SIZE - margin)).all(axis=1)

    (ours, in_ours), (true, in_true) = inner(found), inner(truth)
    near = np.linalg.norm(ours[:, None] - true[None], axis=2) < 5
    recall, precision = near.any(axis=0)[in_true], near.any(axis=1)[in_ours]
    return np.array([recall.sum(), len(recall), precision.sum(), len(precision)])


@pytest.mark.parametrize("structure", SHAPES)
@pytest.mark.parametrize("dose", [100, 400])
def test_vacancies_and_substitutions_are_found(structure, dose, hand_made):
    total = {"vacancy": np.zeros(4), "substitution": np.zeros(4)}
    for seed, share in enumerate([0.02, 0.03]):
        rng = np.random.default_rng(seed)
        damaged = hand_made.damage(
            structure, rng, dose, share / 2, size=SIZE, contamination=0.3, ramp=0.5,
            **SHAPES[structure],
        )  # fmt: skip
        found = find(damaged)
        for kind in total:
            total[kind] += hits(found, damaged.truth, kind)
    for kind, (recall, true, precision, listed) in total.items():
        assert true > 10 and recall >= 0.95 * true, kind
        assert precision >= 0.95 * listed, kind


@pytest.mark.slow
@pytest.mark.parametrize("structure", SHAPES)
@pytest.mark.parametrize("dose", [30, 300])
@pytest.mark.parametrize("roughness", [0.0, 0.05])
def test_a_perfect_crystal_has_no_defects(structure, dose, roughness, hand_made):
    false, count = 0, 0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        damaged = hand_made.damage(
            structure, rng, dose, 0, size=SIZE, contamination=0.5, ramp=0.8, roughness=roughness,
            **SHAPES[structure],
        )  # fmt: skip
        found = find(damaged)
        false, count = false + len(found), count + found.attrs["n_columns"]
    assert false <= max(2, 0.001 * count)


def test_each_row_names_place_sublattice_and_ratio(hand_made):
    rng = np.random.default_rng(4)
    damaged = hand_made.damage("perovskite", rng, 300, 0.02, size=SIZE, interstitials=4)
    found = find(damaged)
    loose = found[found.kind == "interstitial"]
    assert list(hits(found, damaged.truth, "interstitial")[[0, 2]]) == [
        (damaged.truth.kind == "interstitial").sum(), len(loose)
    ]  # fmt: skip
    assert (loose.sublattice == "").all() and (loose.grain == 0).all()
    assert loose.ratio.to_numpy() == pytest.approx(0.3 / 0.45, abs=0.2)
    truth = damaged.truth[damaged.truth.kind != "interstitial"]
    for row in found[found.kind != "interstitial"].itertuples():
        near = truth.iloc[np.argmin(np.hypot(truth.x - row.x, truth.y - row.y))]
        if np.hypot(near.x - row.x, near.y - row.y) > 3:
            continue
        assert (row.sublattice, row.kind) == (near.sublattice, near.kind)
        assert abs(row.ratio - near.ratio) < 5 * row.ratio_std
        if row.column >= 0:
            table = damaged.tables[row.sublattice]
            assert np.hypot(table.x[row.column] - row.x, table.y[row.column] - row.y) < 3
        else:
            assert row.kind == "vacancy"
    # Each place is listed once.
    gaps = np.hypot(*(found[["x", "y"]].to_numpy()[:, None] - found[["x", "y"]].to_numpy()).T)
    assert (gaps[np.triu_indices(len(found), 1)] > 8).all()


def test_the_tables_are_marked(hand_made):
    damaged = hand_made.damage("perovskite", np.random.default_rng(4), 300, 0.02, size=SIZE)
    found = find(damaged)
    for name, table in damaged.tables.items():
        for number, kind in enumerate(("vacancy", "substitution")):
            rows = found[(found.kind == kind) & (found.sublattice == name) & (found.column >= 0)]
            np.testing.assert_array_equal(
                np.flatnonzero(table.defect == number), np.sort(rows.column)
            )
        assert (table.defect == -1).mean() > 0.9


def lattice_of(damaged):
    members = [
        SimpleNamespace(
            name=name, atom_list=[None] * len(table), x_position=table.x.to_numpy(),
            y_position=table.y.to_numpy(), column_table=table,
        )
        for name, table in damaged.tables.items()
    ]  # fmt: skip
    return SimpleNamespace(sublattice_list=members, image=damaged.image, crystal=damaged.crystal)


def test_a_stack_can_leave_defects_out(hand_made):
    damaged = hand_made.damage("perovskite", np.random.default_rng(4), 300, 0.02, size=SIZE)
    lattice = lattice_of(damaged)
    defects = hs_rvae.find_defects(lattice)
    assert hs_rvae.count_defects(defects) == defects.attrs["counts"]
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, sublattice="B", window_size=40)
    regular = stack.select_sites(stack.sites["defect"] == -1)
    assert 5 < len(stack.sites) - len(regular.sites) < 40
    assert stack.sites.writers["defect"] == "sublattice"


@pytest.mark.parametrize("dark", [False, True])
def test_offset_scale_and_sign_do_not_matter(dark, hand_made):
    damaged = hand_made.damage("MoS2", np.random.default_rng(1), 200, 0.02, size=SIZE, edge=24.0)
    expected = find(damaged)
    lattice = lattice_of(damaged)
    image = 1e4 + 7 * damaged.image * (-1 if dark else 1)
    for table in damaged.tables.values():
        table.attrs["dark"] = dark
    found = hs_rvae.find_defects(lattice, image)
    pd.testing.assert_frame_equal(
        found.drop(columns="height"), expected.drop(columns="height"), rtol=1e-3, atol=1e-3
    )


def test_missing_pixels_hide_columns_but_make_no_defects(hand_made):
    damaged = hand_made.damage("perovskite", np.random.default_rng(1), 200, 0.0, size=SIZE)
    damaged.image[100:180, 200:300] = np.nan
    assert len(find(damaged)) <= 1


def test_borders_and_boundaries_are_no_vacancies(hand_made):
    made = hand_made.make("perovskite", size=SIZE)
    for table in made.tables.values():
        shifted = table.x > 250
        table["grain"] = np.where(abs(table.x - 250) < 20, -1, shifted.astype(int))
        table.loc[shifted, "y"] += 13.0
    cell = made.crystal.cell
    crystal = replace(made.crystal, grains=(Grain(0, cell, 1), Grain(1, cell, 1)))
    empty = find_empty_places(Columns.of(made.tables), crystal, np.empty((0, 2)))
    assert not len(empty.positions)


@pytest.mark.parametrize("structure", [*SHAPES, "wurtzite", "zinc blende", "hexagonal"])
def test_empty_places_are_named_also_in_a_bent_lattice(structure, hand_made):
    made = hand_made.make(structure, size=SIZE, turn=0.2)
    rng = np.random.default_rng(0)
    lost = {}
    for name, table in made.tables.items():
        inside = ((table[["x", "y"]] > 60) & (table[["x", "y"]] < SIZE - 60)).all(axis=1)
        rows = rng.choice(np.flatnonzero(inside), 8, replace=False)
        y = table.y.to_numpy()
        table["x"] += 4 * np.sin(y / 100)
        table[["x", "y"]] += rng.normal(0, 0.3, (len(table), 2))
        lost[name] = table.loc[rows, ["x", "y"]].to_numpy()
        made.tables[name] = table.drop(index=rows).reset_index(drop=True)
    empty = find_empty_places(Columns.of(made.tables), made.crystal, np.empty((0, 2)))
    for name, positions in lost.items():
        ours = empty.positions[empty.sublattice == name]
        assert len(ours) == len(positions)
        gaps = np.linalg.norm(ours[:, None] - positions, axis=2).min(axis=0)
        assert (gaps < 1.5).all()


def test_bad_input_is_refused(hand_made):
    damaged = hand_made.damage("perovskite", np.random.default_rng(1), 200, 0.0, size=SIZE)
    lattice = lattice_of(damaged)
    del lattice.crystal
    with pytest.raises(ValueError, match="lattice has no crystal"):
        hs_rvae.find_defects(lattice)
    for name, value in (
        ("false_alarms", 0), ("minimum_change", 1.0), ("vacancy_height", -1), ("minimum_height", 0)
    ):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            hs_rvae.find_defects(lattice_of(damaged), **{name: value})


def test_the_frames_of_a_series_are_listed_one_after_another(hand_made):
    class Series(list):
        def tables(self, name):
            return [one.sublattice_list["AB".index(name)].column_table for one in self]

    made = [
        hand_made.damage("perovskite", np.random.default_rng(k), 300, 0.02, size=SIZE)
        for k in range(2)
    ]
    defects = hs_rvae.find_defects(Series(lattice_of(one) for one in made))
    counts = [len(find(one)) for one in made]
    assert list(np.bincount(defects.frame)) == counts
    assert sum(defects.attrs["counts"].values()) == len(defects)
    assert all("defect" in one.tables["A"] for one in made)
