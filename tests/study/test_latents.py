# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents show everything but the direction of the distortion.

``pytest -m slow tests/study/test_latents.py`` measures the main films with two seeds.
``HS_RVAE_SWEEP=1 pytest -m sweep tests/study/test_latents.py`` measures all films with six seeds
and writes the table in docs/user_guide/latents_study.rst.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest


def _module(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


latents = _module("latents")

SEEDS = range(6)
#: Polar films; in lamellae the surroundings show more than the direction of a site.
POLAR = ("polar", "chemistry", "aberrated", "polar_tilts")
CHANCE, MORE = 0.25, 0.1
#: Number of latents, quantity, minimum mean of the seeds.
MINIMUM = {
    "tilts": [("recommended", "tilt", 0.9), ("recommended", "tilt_sign", 0.97)],
    "tilts_dark": [("recommended", "tilt", 0.9), ("recommended", "tilt_sign", 0.97)],
    "polar_tilts": [("recommended", "tilt", 0.9), ("recommended", "tilt_sign", 0.97)],
    "chirality": [("two", "chirality", 0.95)],
    "mirrored_motif": [("recommended", "chirality", 0.95)],
}


def judge(name, rows):
    """Compare the films of one name with their figures."""
    for method, what, minimum in MINIMUM.get(name, ()):
        found = np.mean([row["figures"][method][what] for row in rows])
        assert found >= minimum, (name, method, what, found)
    if name == "chemistry":
        for row in rows:
            known = row["figures"]["intensity"]["chemistry"]
            assert row["figures"]["two"]["chemistry"] >= 0.9 * known, row
    if name in (*POLAR, "pto_ac"):
        for method in ("two", "recommended")[name == "polar_tilts" :]:  # two are too few there
            found = [row["figures"][method] for row in rows]
            variant, chance = (
                np.mean([one[what] for one in found]) for what in ("variant", "variant_chance")
            )
            assert variant <= chance + MORE, (name, method, variant, chance)


def judge_joined(row):
    """Variants of a film are not predicted from other films; pixels predict them."""
    for method in ("two", "recommended"):
        assert row["figures"][method]["variant"] <= CHANCE + MORE, row
    assert row["figures"]["pca"]["variant"] > 0.8, row


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tilts", "chirality", "polar"])
def test_latents_of_two_films(name):
    judge(name, [latents.measure(name, seed) for seed in (0, 1)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["polar", "aberrated"])
def test_latents_do_not_show_the_variants_of_another_film(name):
    judge_joined(latents.measure_joined(name))


@pytest.mark.sweep
def test_latents_of_all_films(sweep, tmp_path):
    page, path, found = sweep("latents_study"), tmp_path / "latents.jsonl", {}
    words = [(name, seed) for name in latents.FILMS for seed in SEEDS]
    with path.open("w", encoding="utf-8") as file:
        for name, number in [*words, ("pto_ac", 60), ("pto_ac", 12)]:
            row = latents.measure(name, number)
            found.setdefault(name, []).append(row)
            file.write(json.dumps(row) + "\n")
        joined = [latents.measure_joined(name) for name in (*POLAR, "chirality")]
        file.writelines(json.dumps(row) + "\n" for row in joined)
    page.write(latents.summarise(path), list(SEEDS))
    for name, rows in found.items():
        judge(name, rows)
    for row in joined[: len(POLAR)]:
        judge_joined(row)
