# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cases are what their names say, and the figures of merit count what they should.

``HS_RVAE_SWEEP=1 pytest -m sweep tests/study/test_crystals.py -s`` searches all images, in half an
hour, and writes docs/user_guide/crystals_study.rst.
"""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

_spec = importlib.util.spec_from_file_location("crystals", Path(__file__).with_name("crystals.py"))
crystals = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(crystals)


def as_found(image, grain=None):
    """The table of a search that finds everything, each kind a sublattice."""
    true = image.truth.columns
    names = np.array(list("ABCDEFGH"))[image.kinds[true["place"]]]
    return true[["x", "y"]].assign(name=names, grain=true["grain"] if grain is None else grain)


def test_the_cases_span_what_is_asked():
    assert {"plain", "vacancies", "antiphase", "grains", "zoom", "data bar"} <= set(
        crystals.CONDITIONS
    )
    settings = [dict(spacing=16.0, dose=150.0) | one for one in crystals.CONDITIONS.values()]
    assert min(one["spacing"] for one in settings) == 8
    assert max(one["spacing"] for one in settings) == 100
    judged = [name for name in crystals.CASES if not crystals.reported_only(name)]
    doses = [crystals.CASES[name].settings.get("dose", 150.0) for name in judged]
    assert min(doses) == 30 and max(doses) == 400
    structures = {crystal.split(",")[0] for crystal in crystals.CRYSTALS}
    assert structures == set(crystals.STRUCTURES)
    assert len(crystals.SEEDS) >= 3


@pytest.mark.parametrize("crystal", crystals.CRYSTALS)
def test_images_are_small_and_hold_enough_columns(crystal):
    image = crystals.make(f"{crystal}/plain", 1)
    assert 350 < len(image.truth.columns) < 1100
    assert image.image.data.size < 1e6
    assert image.truth.spacing == 16


def test_an_unknown_case_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'film': give one of perovskite \[001\]/plain"):
        crystals.make("film", 0)


@pytest.mark.parametrize(
    "name",
    ["graphene/plain", "1T layer/grains", "zinc blende [110]/antiphase", "1H layer/data bar"],
)
def test_a_search_that_finds_everything_has_no_faults(name):
    image = crystals.make(name, 1)
    found = crystals.judge_columns(as_found(image), image)
    assert found["found"] == found["kept"] == found["grains"] == 1
    assert found["false"] == found["wrong"] == 0 and found["columns"] > 200
    assert crystals.passed([found])


def test_columns_that_are_lost_false_or_double_are_counted():
    image = crystals.make("graphene/plain", 1)
    table = as_found(image)
    middle = crystals.inner(table, image)
    lost = table.drop(index=np.flatnonzero(middle)[:10])
    found = crystals.judge_columns(lost, image)
    assert found["found"] == pytest.approx(1 - 10 / found["columns"])
    assert not crystals.passed([found])
    beside = table[middle].iloc[:7].assign(x=lambda t: t["x"] + 0.5)
    double = pd.concat([table, beside])
    twice = crystals.judge_columns(double.reset_index(drop=True), image)
    assert twice["false"] == 7 and twice["found"] == 1 and not crystals.passed([twice])
    far = table[middle].iloc[:5].assign(x=lambda t: t["x"] + 0.4 * 16)
    both = pd.concat([table, far], ignore_index=True)
    assert crystals.judge_columns(both, image)["false"] == 5


def test_columns_of_no_lattice_are_kept_but_not_found():
    image = crystals.make("graphene/plain", 1)
    table = as_found(image)
    table.loc[np.flatnonzero(crystals.inner(table, image))[:10], ["name", "grain"]] = "", -1
    found = crystals.judge_columns(table, image)
    assert found["kept"] == 1 and found["found"] < 1 and found["false"] == 0


def test_a_name_that_mixes_kinds_is_wrong_and_more_names_for_one_kind_are_not():
    image = crystals.make("1T layer/plain", 1)
    table = as_found(image)
    one = crystals.judge_columns(table.assign(name="A"), image)
    assert one["wrong"] == pytest.approx(1 / 3, abs=0.02) and one["names"] == 1
    places = table.assign(name=image.truth.columns["place"].astype(str))
    three = crystals.judge_columns(places, image)
    assert three["wrong"] == 0 and three["names"] == 3
    inside = np.flatnonzero(crystals.inner(table, image))
    swapped = table.copy()
    swapped.loc[inside[:4], "name"] = np.where(table["name"][inside[:4]] == "A", "B", "A")
    found = crystals.judge_columns(swapped, image)
    assert found["wrong"] == pytest.approx(4 / found["columns"])


def test_kinds_that_are_nearly_alike_count_as_different_only_in_the_strict_figure():
    image = crystals.make("hexagonal manganite [110]/plain", 1)
    found = crystals.judge_columns(as_found(image), image)
    assert found["wrong"] == 0 and found["strict"] == pytest.approx(1 / 3, abs=0.02)


def test_grains_need_a_label_each():
    image = crystals.make("graphene/grains", 1)
    one = crystals.judge_columns(as_found(image, grain=0), image)
    assert 0.4 < one["grains"] < 0.6
    none = crystals.judge_columns(as_found(image, grain=-1), image)
    assert none["grains"] == 0
    numbers = 7 - image.truth.columns["grain"]
    assert crystals.judge_columns(as_found(image, grain=numbers), image)["grains"] == 1
    fragments = np.where(image.truth.columns["y"] < 100, numbers, 3 * numbers)
    assert crystals.judge_columns(as_found(image, grain=fragments), image)["grains"] < 0.9


def test_defects_are_recalled_claimed_and_measured():
    image = crystals.make("1H layer/ratio 0.75, 2 %, 100 counts", 1)
    table = image.truth.defects.rename(columns={"defect": "kind"}).assign(z=9.0)
    found = crystals.judge_defects(table, image)
    assert found["defects"] == found["claimed"] == found["right"] > 3
    assert found["ratio_error"] == 0
    off = crystals.judge_defects(table.assign(x=table["x"] + 6, ratio=0.8), image)
    assert off["right"] == 0
    less = crystals.judge_defects(table.iloc[:0], image)
    assert less["claimed"] == less["right"] == 0 and less["defects"] == found["defects"]
    other = crystals.judge_defects(table.assign(kind="vacancy"), image)
    assert other["right"] == 0 and other["claimed"] == found["claimed"]


def test_defects_are_judged_where_the_case_has_them(monkeypatch):
    image = crystals.make("graphene/vacancies 3 %, 100 counts", 0)
    table = image.truth.defects.rename(columns={"defect": "kind"})
    monkeypatch.setattr(crystals, "search", lambda *_: (_lattice(as_found(image)), 0.1))
    monkeypatch.setattr(crystals.hs_rvae, "find_defects", lambda lattice, picture: table)
    row = crystals.measure(image)
    assert row["claimed"] == row["right"] == row["defects"] > 5
    assert json.loads(json.dumps(row)) == row
    assert "graphene\n     - vacancies 3 %, 100 counts\n     - 1.000\n     - 1.000\n" in (
        crystals.summarise([row])
    )


def _lattice(table):
    """Atomap's lattice, as far as the study reads it."""
    sublattices = [
        SimpleNamespace(name=name, column_table=rows) for name, rows in table.groupby("name")
    ]
    return SimpleNamespace(sublattice_list=sublattices)


def test_the_structure_is_given_to_the_search(monkeypatch):
    given = {}

    def find(image, show_progressbar, **options):
        given.update(options)
        return _lattice(as_found(image_of_case))

    image_of_case = crystals.make("wurtzite [11-20], O bright/plain", 0)
    monkeypatch.setattr(crystals.hs_rvae, "find_sublattices", find)
    assert crystals.passed([crystals.measure(image_of_case)]) and not given
    assert crystals.passed([crystals.measure(image_of_case, known=True)])
    assert given["zone_axis"] == (1, 1, 0) and set(given["structure"].symbols) == {"Zn", "O"}


def test_an_image_that_ends_the_search_is_a_result(monkeypatch):
    def fail(image, structure):
        raise ValueError("no lattice")

    monkeypatch.setattr(crystals, "search", fail)
    row = crystals.measure(crystals.make("graphene/plain", 0))
    assert row["found"] == 0 and row["error"] == "ValueError: no lattice"
    assert not crystals.passed([row])
    assert "ValueError: no lattice" in crystals.summarise([row])


def test_groups_of_cases_and_ranges_of_seeds_are_spelled_out():
    assert list(crystals.images_of(["graphene/plain:2", "1H layer/8 px:0-1"])) == [
        ("graphene/plain", 2), ("1H layer/8 px", 0), ("1H layer/8 px", 1)
    ]  # fmt: skip
    number = {
        name: len(list(crystals.images_of([f"{name}:0"]))) for name in ("all", "columns", "defects")
    }
    assert number["all"] == len(crystals.CASES) == number["columns"] + number["defects"]
    assert number["columns"] == len(crystals.CRYSTALS) * len(crystals.CONDITIONS)


def test_cases_are_judged_where_the_faintest_column_stands_out():
    case = crystals.CASES["1T layer/30 counts"]
    assert crystals.faintest(case) == pytest.approx(0.193 * np.sqrt(np.pi * 100) * 2.56, rel=0.01)
    left_out = {name for name in crystals.CASES if crystals.reported_only(name)}
    assert {name.split("/")[1] for name in left_out} == {"12 counts", "8 px, 30 counts"}
    assert "graphene/8 px, 30 counts" not in left_out
    assert "1T layer/8 px, 30 counts" in left_out


def test_results_become_tables():
    rows = [
        dict(case="graphene/plain", seed=0, columns=400, found=1.0, wrong=0.0, grains=1.0, false=0,
             strict=0.0, names=1, seconds=0.2),
        dict(case="graphene/plain", seed=1, columns=400, found=0.995, wrong=0.004, grains=1.0,
             false=2, strict=0.0, names=2, seconds=0.4),
        dict(case="graphene/8 px", seed=0, columns=400, found=0.95, wrong=0.0, grains=1.0, false=0,
             strict=0.0, names=1, seconds=0.2),
        dict(case="graphene/12 counts", seed=0, columns=400, found=0.5, wrong=0.0, grains=1.0,
             false=0, strict=0.0, names=1, seconds=0.2),
    ]  # fmt: skip
    table = crystals.summarise(rows)
    for text in (
        "   * - graphene\n     - plain\n     - 2\n     - 99.5\n     - 0.4\n     - 0.0\n",
        "     - 2.5\n     - 1, 2\n     - 0.30\n     - yes\n     - \\-\n",
        "     - (no)\n",
        "1 of 2 cases passed.",
    ):
        assert text in table
    assert "   * - graphene\n     - 99.5 / 0.4\n     - 50.0 / 0.0\n" in crystals.matrix(rows)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "name",
    [
        "perovskite [001]/plain",
        "perovskite [110], O/plain",
        "wurtzite [11-20], O bright/plain",
        "zinc blende [110]/plain",
        "1H layer/30 counts",
        "graphene/grains",
        "perovskite [001]/antiphase",
        "tungsten bronze [001]/plain",
    ],
)
def test_a_handful_of_crystals_is_found(name, seed):
    row = crystals.measure(crystals.make(name, seed))
    print(row)
    assert crystals.passed([row]), row
    assert row["grains"] > 0.99 and row["false"] <= 2, row


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("1T layer/touching columns", 0),
        ("rock salt [110], O/8 px, 30 counts", 0),
        ("rock salt [110], O/8 px, 30 counts", 1),
        ("1T layer/grains", 1),
        ("fluorite [110], O/30 counts", 0),
        ("fluorite [110], O/antiphase", 2),
        ("tungsten bronze [001]/100 px", 1),
    ],
)
def test_images_that_were_hard_are_found(name, seed):
    row = crystals.measure(crystals.make(name, seed))
    assert crystals.passed([row]), row


@pytest.mark.sweep
@pytest.mark.parametrize("known", [False, True])
def test_every_crystal_is_found(known, tmp_path, sweep):
    rows, page = [], sweep("crystals_study")
    group = "columns" if known else "all"
    for name, seed in crystals.images_of([f"{group}:{crystals.SEEDS[0]}-{crystals.SEEDS[-1]}"]):
        rows.append(crystals.measure(crystals.make(name, seed), known))
        with open(tmp_path / "out.jsonl", "a", encoding="utf-8") as lines:
            lines.write(json.dumps(rows[-1]) + "\n")
    print(crystals.summarise(rows))
    if known:
        page.script += ", with structure="
    seconds = sum(row.get("seconds", 0) for row in rows)
    page.write(crystals.matrix(rows), list(crystals.SEEDS), seconds)
    cases = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    failed = [
        name
        for name, of_case in cases.items()
        if not crystals.reported_only(name) and not crystals.passed(of_case)
    ]
    assert not failed
