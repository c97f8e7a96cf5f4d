# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modes from pixels are as good as fitted positions, or better, and their errors cover.

``HS_RVAE_SWEEP=1 pytest -m sweep tests/study/test_modes.py -s`` measures all films, in about ten
minutes, and writes docs/user_guide/modes_study.rst.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

_spec = importlib.util.spec_from_file_location("modes", Path(__file__).with_name("modes.py"))
study = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(study)


def row(film, dose, pixels, positions, covered):
    """An image on which all quantities have the same figures."""
    of_each = {"pixels": pixels**2, "positions": positions**2, "covered": covered}
    return {"film": film, "dose": dose, "seed": 0, "sites": 100, "seconds": 1.0} | dict.fromkeys(
        study.QUANTITIES, of_each
    )


def test_the_films_span_what_is_asked():
    assert set(study.DOSES) == {12, 30, 100, 400} == set(study.WORST)
    assert len(study.SEEDS) >= 6
    settings = list(study.FILMS.values())
    assert {0.8, 1.2} <= {one["shift"] for one in settings}
    assert any("twin_strain" in one for one in settings)
    assert any("bending" in one for one in settings)


def test_positions_without_faults_have_the_modes_of_the_truth():
    cage = np.array([[-10.0, -10], [10, -10], [10, 10], [-10, 10]])
    gradient = np.array([[0.01, -0.02], [0.02, -0.01]])
    around = np.array([100.0, 50.0]) + cage @ (np.eye(2) + gradient).T
    found = study.modes_of_positions(np.array([[100.5, 50.0]]), around, cage)[0]
    np.testing.assert_allclose(found[:2], [0.5, 0])
    assert found[2] == pytest.approx(np.degrees(0.02), rel=0.01)
    np.testing.assert_allclose(found[3:], [1, -1, 0], atol=0.05)
    assert np.isnan(study.modes_of_positions(np.array([[150.0, 50.0]]), around, cage)).all()


def test_errors_and_coverage_are_judged_by_the_dose():
    film = next(iter(study.FILMS))
    assert study.failed([row(film, 12, 0.99, 1, 0.68), row(film, 400, 1.04, 1, 0.75)]) == []
    assert len(study.failed([row(film, 30, 1.01, 1, 0.68)])) == 3
    assert len(study.failed([row(film, 100, 1.06, 1, 0.68)])) == 3
    assert len(study.failed([row(film, 100, 0.9, 1, 0.58)])) == 3
    text = study.table([row(film, 12, 0.5, 1, 0.7)])
    assert text.count("0.500 / 1.000, 70 %") == 3


@pytest.mark.slow
@pytest.mark.parametrize("dose", [30, 400])
def test_modes_of_two_images_are_no_worse_than_positions(dose):
    rows = [study.measure("twins, 1 %, polar, 0.8 px", dose, seed) for seed in (0, 1)]
    assert study.failed(rows) == [], study.pooled(rows)


@pytest.mark.sweep
def test_modes_are_no_worse_than_positions_in_all_films(tmp_path, sweep):
    rows, page = [], sweep("modes_study")
    for film in study.FILMS:
        for dose in study.DOSES:
            for seed in study.SEEDS:
                rows.append(study.measure(film, dose, seed))
                with open(tmp_path / "out.jsonl", "a", encoding="utf-8") as lines:
                    lines.write(json.dumps(rows[-1]) + "\n")
    text = study.table(rows)
    print(text)
    page.write(text, list(study.SEEDS), sum(one["seconds"] for one in rows))
    assert study.failed(rows) == []
