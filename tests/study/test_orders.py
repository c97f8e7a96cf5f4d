# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strain, tilts and parity are found in films that have them, and in no others.

``pytest -m slow tests/study/test_orders.py`` measures the main films with two seeds.
``HS_RVAE_SWEEP=1 pytest -m sweep tests/study/test_orders.py`` measures all of them, and forty
crystals without variants, and writes docs/user_guide/orders_study.rst.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

_spec = importlib.util.spec_from_file_location(
    "study_orders", Path(__file__).with_name("orders.py")
)
orders = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = orders  # dataclasses look for their module
_spec.loader.exec_module(orders)

#: Films with as much noise as signal, which are measured and not judged.
REPORTED = ("tilt_3", "tilt_5_dose30")


def test_labels_count_by_the_variant_that_most_of_their_sites_have():
    label, true = np.array([0, 0, 0, 1, 1, -1]), np.array([1, 1, 0, 0, 0, 0])
    assert orders.right_share(label, true) == 4 / 5


def test_there_are_forty_crystals_without_variants():
    assert len(set(orders.NULLS)) == 40
    assert sum(name.startswith("smooth") for name, _ in orders.NULLS) == 10
    assert sum(name.startswith("bending") for name, _ in orders.NULLS) == 10
    assert not any(orders.CASES[name].expected for name, _ in orders.NULLS)


def check(row):
    print(row)
    assert row["as_expected"]
    assert row.get("strain_right", 1) >= 0.97
    assert row.get("tilt_signs", 1) >= 0.97
    assert row.get("parity_right", 1) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["twins2_0.01", "twins4_0.01", "tilt_5", "polar_tilt", "polar_twins", "lamellae"]
)
def test_order_parameters_are_found_in_two_films(name):
    for seed in (0, 1):
        check(orders.measure(name, seed))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"),
    [("twins2_0.02", 2), ("twins2_0.03", 5), ("polar_twins", 4), ("lamellae", 4)],
)
def test_films_that_were_hard(name, seed):
    check(orders.measure(name, seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smooth_0.02", "bending_4", "plain_oxygen", "polar"])
def test_none_are_found_where_there_are_none(name):
    for seed in (0, 1):
        assert orders.measure(name, seed)["as_expected"]


@pytest.mark.sweep
def test_all_films(sweep):
    page = sweep("orders_study")
    films = [name for name, case in orders.CASES.items() if case.expected]
    rows = [orders.measure(name, seed) for name in films for seed in orders.SEEDS]
    nulls = [orders.measure(name, seed) for name, seed in orders.NULLS]
    page.write(orders.table(rows + nulls), list(orders.SEEDS))
    assert all(row["as_expected"] for row in nulls)
    for row in rows:
        if row["case"] not in REPORTED:
            check(row)
