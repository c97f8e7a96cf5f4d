# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cases are what their names say, and the figures of merit measure what they should.

``pytest -m sweep tests/study -s`` measures all cases, which takes an hour of one processor.
"""

import importlib.util
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

from hs_rvae.verdict import Verdict

_spec = importlib.util.spec_from_file_location("study", Path(__file__).with_name("study.py"))
study = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(study)
cases = study.cases

VERDICTS = {"variants", "continuous", "one direction", "turning motif", "nothing"}


@pytest.fixture(autouse=True)
def temporary_files(tmp_path_factory, monkeypatch):
    """A folder for images that the tests of one run share."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.getbasetemp()))


def test_there_are_enough_crystals_without_displacement():
    nulls = [case for name, case in cases.CASES.items() if name.startswith("null_")]
    assert len(nulls) * len(cases.SEEDS) >= 100
    assert not set(cases.SEEDS) & set(cases.HELD_OUT_SEEDS)
    assert len(cases.SEEDS) == len(cases.HELD_OUT_SEEDS) == 6
    doses = [case.settings.get("dose", 150.0) for case in nulls]
    assert min(doses) == 12 and max(doses) == 400
    assert all(not case.settings["shift"] for case in nulls)


def test_every_case_expects_a_verdict():
    for name, case in cases.CASES.items():
        assert set(case.expected) <= VERDICTS and case.expected
        assert name.startswith("null_") == ("nothing" in case.expected)


def test_an_unknown_case_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'film': give one of film_0.3, film_0.4"):
        cases.make("film", 0)


def test_an_image_is_made_once_and_read_again(monkeypatch):
    made = cases.make("null_given", 3)
    monkeypatch.setattr(cases, "_simulate", lambda case, seed: pytest.fail("made again"))
    read = cases.make("null_given", 3)
    assert np.array_equal(made.image.data, read.image.data)
    assert read.image.axes_manager[0].units == "nm" and read.image.axes_manager[0].scale == 0.015
    assert made.truth.a_sites.equals(read.truth.a_sites)
    assert made.truth.b_sites.equals(read.truth.b_sites)
    assert np.array_equal(made.positions, read.positions)
    assert not read.judged.any()


def test_given_positions_have_the_errors_of_the_case():
    film = cases.make("film_0.4", 0)
    for found, true in (
        (film.positions, film.truth.b_sites),
        (film.neighbours, film.truth.a_sites),
    ):
        error = found - true[["x", "y"]].to_numpy()
        assert np.std(error) == pytest.approx(0.1, rel=0.1)
    assert film.window == 48


# Displacement vectors need no model: their figures tell whether the images are still the same.
@pytest.mark.parametrize(
    ("name", "ari", "error"),
    [("film_0.4", 0.947, 15.1), ("vortices_0.6", None, 10.4), ("hexagonal6_0.6", 0.973, 9.7)],
)
def test_displacement_vectors_have_known_errors(name, ari, error):
    found = study.vectors(cases.make(name, 0))
    assert found["defined"] == 1
    assert found["error"] == pytest.approx(error, abs=0.1)
    assert found.get("ari") == (None if ari is None else pytest.approx(ari, abs=0.001))


def test_directions_are_judged_with_and_without_an_offset():
    variant = np.repeat(np.arange(4), 50)
    true = variant * np.pi / 2 - 3
    angle = true + np.radians(5) * np.tile([-1, 1], 100)
    found = study.directions(angle, true, variant)
    assert found["ari"] == found["ari_offset"] == found["within45"] == found["defined"] == 1
    assert found["error"] == pytest.approx(5)
    turned = study.directions(angle + np.pi / 2, true, variant)
    assert turned["error"] == pytest.approx(90)
    assert turned["error_offset"] == pytest.approx(5)
    assert turned["ari"] == turned["ari_offset"] == 1  # all in a neighbouring well
    angle[:50] = np.nan
    assert study.directions(angle, true, variant)["defined"] == 0.75
    assert study.directions(angle[:50], true[:50], variant[:50]) == {"defined": 0.0}
    assert "ari" not in study.directions(angle[50:100], true[50:100], variant[50:100])


def test_wells_need_not_be_equally_spaced():
    variant = np.array([0, 0, 1, 1])
    true = np.radians([20.0, 20.0, -20.0, -20.0])
    label = study.nearest_wells(np.radians([50.0, 2.0, -2.0, -90.0]), true, variant)
    assert label.tolist() == [0, 0, 1, 1]


def test_intervals_that_are_right_cover_what_they_promise():
    truth = cases.make("film_1.2", 0).truth
    b, a = (t[["x", "y"]].to_numpy() for t in (truth.b_sites, truth.a_sites))
    x, y = study.displacement(b, a).T
    rng = np.random.default_rng(1)
    std = rng.uniform(0.05, 0.2, len(b))
    angle = np.arctan2(y, x) + std * rng.standard_normal(len(b))
    found = study.coverage(angle, std, truth, np.arange(len(b)), False)
    assert found["coverage68"] == pytest.approx(0.68, abs=0.05)  # 700 sites: 0.018
    assert found["coverage95"] == pytest.approx(0.95, abs=0.03)
    narrow = study.coverage(angle, std / 10, truth, np.arange(len(b)), False)
    assert narrow["coverage95"] < 0.3


@pytest.mark.slow
def test_a_clear_film_is_measured_from_end_to_end():
    found = study.measure(cases.make("found_0.8", 0))
    assert json.loads(json.dumps(found)) == found
    assert found["right"] and found["verdict"] == "variants" and found["wells"] == 4
    assert found["judged"] > 400 and found["defined"] == 1
    assert found["ari"] > 0.98 and found["variant_ari"] > 0.98 and found["vectors_ari"] > 0.98
    assert found["undefined"] < 0.1
    assert found["order"] > 0.8 > 0.4 > found["order_undistorted"]
    assert 0 < found["rvae_s"] < found["all_s"]


def test_a_verdict_of_the_stack_counts(monkeypatch):
    verdict = Verdict("nothing", "distortion")
    stack = study.cut(cases.make("film_1.2", 0)).inav[:200]
    monkeypatch.setattr(type(stack), "rvae_verdict", verdict, raising=False)
    assert study.analyse(stack)["verdict"] == "nothing"


def test_groups_of_cases_and_ranges_of_seeds_are_spelled_out():
    assert list(study.films_of(["film_0.3:2", "null_given:0-1"])) == [
        ("film_0.3", 2), ("null_given", 0), ("null_given", 1)
    ]  # fmt: skip
    number = {name: len(list(study.films_of([f"{name}:0"]))) for name in ("all", "nulls")}
    assert number["all"] == len(cases.CASES) > number["nulls"] > 90


def test_results_become_tables(tmp_path):
    rows = [
        dict(
            case="film_0.4", seed=0, verdict="variants", right=True, ari=0.9, error=9.0, order=1.0
        ),
        dict(case="film_0.4", seed=1, verdict="nothing", right=False, ari=0.8, error=11.0),
        dict(case="film_0.4", seed=1, verdict="continuous", right=False, ari=0.7, error=11.0),
        dict(case="null_given", seed=0, verdict="nothing", right=True, claimed=0.01),
        dict(case="null_given", seed=1, right=False, error_message="ValueError()"),
    ]
    file = tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = study.summarise(file)
    print(table)
    for text in (
        "   * - film_0.4\n     - 2\n     - 0.800 / 0.700\n     - 10.0\n",
        "     - continuous 1\n",
        "   * - null_given\n     - 2\n     - error 1\n     - 1.0%\n",
        "   * - all\n     - 2\n     - error 1\n",
    ):
        assert text in table


@pytest.mark.sweep
@pytest.mark.parametrize("group", ["distortions", "nulls"])
def test_all_cases_can_be_measured(group, tmp_path):
    file = tmp_path / "out.jsonl"
    for name, seed in study.films_of([f"{group}:{cases.SEEDS[0]}-{cases.SEEDS[-1]}"]):
        row = study.measure(cases.make(name, seed))
        with open(file, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
    print(study.summarise(file))
