# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns found by maxima, networks and Atomap in simulated images, for the model card.

HS_RVAE_ATOMAI names the interpreter of an environment with AtomAI 0.8.1, whose U-Net is trained
here with the images of our network, for the same seconds of one processor. Without it, there are
no figures of AtomAI. HS_RVAE_ATOMAI_WEIGHTS names a file that keeps its weights.
"""

import os
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.columns.network.sampling import WORKING_SPACING, sampled, working_shape
from hs_rvae.columns.network.training_data import CELL, CROP, batch_of, prepared
from hs_rvae.simulation import simulate_crystal, simulate_perovskite, simulate_training_images

pytestmark = pytest.mark.sweep

SEEDS = range(2)
SHAPE = (384, 384)
NEAR = 0.3  # distances between nearest columns, from a true to a found column
PEROVSKITE, ROCK_SALT = "perovskite [001]", "rock salt [001]"
LAYER = dict(structure=PEROVSKITE, dose=20, contamination_size=0.8)
GRAINS = dict(structure=ROCK_SALT, spacing=14, grain_angle=30)
CASES = {
    "film, 2 counts": dict(dose=2),
    "film, 4 counts": dict(dose=4),
    "film, 5 counts": dict(dose=5),
    "film, 10 counts": dict(dose=10),
    "film, 30 counts": dict(dose=30),
    "film, 150 counts": dict(dose=150),
    "film, dark, 20 counts": dict(dose=20, dark=True),
    "background 0.5, 10 counts": dict(structure=PEROVSKITE, dose=10, background=0.5),
    "background 2, 10 counts": dict(structure=PEROVSKITE, dose=10, background=2.0),
    "amorphous layer 0.2, 20 counts": dict(contamination=0.2, **LAYER),
    "amorphous layer 0.4, 20 counts": dict(contamination=0.4, **LAYER),
    "amorphous layer 1.2, 20 counts": dict(contamination=1.2, **LAYER),
    "amorphous layer 0.6, 8 counts": dict(contamination=0.6, **LAYER | {"dose": 8}),
    "contamination 1, 20 counts": dict(structure=PEROVSKITE, dose=20, contamination=1.0),
    "vacancies 5 %, 10 counts": dict(structure="1H layer", dose=10, vacancies=0.05),
    "interstitials 3 %, 30 counts": dict(structure="graphene", dose=30, interstitials=0.03),
    "grain boundary, 6 counts": dict(dose=6, **GRAINS),
    "grain boundary, 30 counts": dict(dose=30, **GRAINS),
    "antiphase boundary, 10 counts": dict(structure=PEROVSKITE, dose=10, antiphase=(0.5, 0)),
    "dumbbells, 10 counts": dict(structure="zinc blende [110]", dose=10, spacing=14),
    "light columns, 30 counts": dict(structure="fluorite [110]", dose=30, light_elements=True),
    "wide columns, 30 counts": dict(structure=ROCK_SALT, dose=30, column_width=0.26),
    "9 px apart, 60 counts": dict(structure=ROCK_SALT, dose=60, spacing=9),
    "48 px apart, 2 counts": dict(structure=PEROVSKITE, dose=2, spacing=48),
}
ATOMAI = os.environ.get("HS_RVAE_ATOMAI")
RUN_ATOMAI = Path(__file__).parents[1] / "benchmarks/forerunners/run_atomai_columns.py"
SECONDS = 600  # of one processor: 2000 batches of our network
DISK = 2.2  # px, half of a column in AtomAI's masks; nearest columns are 6 px apart and more
METHODS = ("maxima", "network", "AtomAI", "Atomap")
WIDTHS = (30, *[20] * len(METHODS), 7)
RULE = "   " + "  ".join("=" * width for width in WIDTHS)


def line(*cells):
    """A line of the table."""
    return "   " + "  ".join(f"{c:<{w}}" for c, w in zip(cells, WIDTHS, strict=True)).rstrip()


@pytest.fixture(scope="module")
def table(sweep):
    """Rows by case, to be filled; written if all are there."""
    page, rows = sweep("network_card"), {}
    yield rows
    if rows.keys() == CASES.keys():
        title = "Recall (%), precision (%), and error of the positions (px)"
        names = line("image", *METHODS, "auto")
        lines = [RULE, names, RULE, *rows.values(), RULE]
        page.write("\n".join([f".. table:: {title}", "   :widths: auto", "", *lines, ""]), SEEDS)


def simulated(case, seed):
    """Image, positions of its columns, distance between nearest ones."""
    settings = dict(CASES[case])
    if "structure" in settings:
        name, spacing = settings.pop("structure"), settings.pop("spacing", 16.0)
        image, truth = simulate_crystal(
            SHAPE, name, spacing=spacing, rotation=7.0 * seed, random_state=seed, **settings
        )
        return image, truth.columns[["x", "y"]].to_numpy(float), spacing
    image, truth = simulate_perovskite(SHAPE, rotation=7.0 * seed, random_state=seed, **settings)
    true = np.vstack([truth.a_sites[["x", "y"]], truth.b_sites[["x", "y"]]]).astype(float)
    return image, true, truth.cell / np.sqrt(2)


def crops_and_masks(n):
    """Crops that our network is trained with, and disks at their columns."""
    rng = np.random.default_rng(1)
    images = prepared(simulate_training_images(2000, random_state=1), False, rng)[0]
    crops, targets = batch_of(images, rng.integers(len(images), size=n), rng)
    masks = np.zeros((n, CROP, CROP), bool)
    y, x = np.mgrid[:CROP, :CROP] + 0.5
    for mask, (column, *offset, _) in zip(masks, targets.numpy(), strict=True):
        row, col = np.nonzero(column)
        middle = (np.stack([col, row]) + 0.5 + np.array(offset)[:, row, col]) * CELL
        for at_x, at_y in middle.T:
            mask |= (x - at_x) ** 2 + (y - at_y) ** 2 < DISK**2
    return crops[:, 0].numpy(), masks


def run_atomai(mode, given, out, folder):
    """Run AtomAI in its own environment."""
    np.savez(folder / "given.npz", **given)
    words = [ATOMAI, str(RUN_ATOMAI), mode, str(folder / "given.npz"), str(out)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    print(done.stdout[-200:])


@pytest.fixture(scope="module")
def of_atomai(tmp_path_factory):
    """Columns that AtomAI's U-Net found, px of the image, by case and seed."""
    if not ATOMAI:
        return {}
    folder = tmp_path_factory.mktemp("atomai")
    weights = Path(os.environ.get("HS_RVAE_ATOMAI_WEIGHTS", folder / "weights.pt"))
    if not weights.exists():
        crops, masks = crops_and_masks(6400)
        run_atomai("train", {"crops": crops, "masks": masks, "seconds": SECONDS}, weights, folder)
    keys = [(case, seed) for case in CASES for seed in SEEDS]
    given, steps = {"weights": str(weights)}, []
    for k, (case, seed) in enumerate(keys):
        image, _, spacing = simulated(case, seed)
        steps.append(np.full(2, spacing / WORKING_SPACING))  # the true one
        values = np.asarray(image.data, np.float32) * (-1 if CASES[case].get("dark") else 1)
        rows, columns = (n - n % 8 for n in working_shape(values.shape, steps[-1]))
        given[f"image_{k}"] = sampled(values, steps[-1], (0, rows), (0, columns))
    run_atomai("find", given, folder / "found.npz", folder)
    with np.load(folder / "found.npz") as found:
        return {key: found[f"image_{k}"] * steps[k] - 0.5 for k, key in enumerate(keys)}


def found_by(method, image, spacing, dark, start=None):
    """Refined positions, and whether a network was asked; none where the search refuses."""
    try:
        if method not in ("Atomap", "AtomAI"):
            table = hs_rvae.find_columns(image, method, show_progressbar=False)
            return table[["x", "y"]].to_numpy(), "probability" in table
        from atomap.atom_finding_refining import get_atom_positions

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bright = image.deepcopy()  # Atomap takes bright columns
            values = image.data.astype(float)
            bright.data = values.max() - values if dark else values
            if start is None:
                # It counts in squares: diagonal neighbours are 0.7 of their distance apart.
                start = get_atom_positions(bright, separation=max(int(0.6 * spacing), 2))
        refined = hs_rvae.refine_columns(bright, start, show_progressbar=False)
        return refined[["x", "y"]].to_numpy(), False
    except ValueError:
        return np.empty((0, 2)), False


def scores(found, true, spacing):
    """Counts of true, found and matched columns, and the sum of squared errors."""

    def inside(xy):
        return ((xy > spacing) & (xy < np.array(SHAPE[::-1]) - 1 - spacing)).all(axis=1)

    if len(found) < 2:
        return np.array([inside(true).sum(), 0, 0, 0, 0.0])
    apart, nearest = cKDTree(found).query(true)
    hit = apart < NEAR * spacing
    order = np.argsort(apart)
    first = np.zeros(len(true), bool)
    first[order[np.unique(nearest[order], return_index=True)[1]]] = True
    hit &= first
    used = np.zeros(len(found), bool)
    used[nearest[hit]] = True
    asked = hit & inside(true)
    squares = float((apart[asked] ** 2).sum())
    return np.array(
        [inside(true).sum(), inside(found).sum(), asked.sum(), used[inside(found)].sum(), squares]
    )


@pytest.mark.parametrize("case", CASES)
def test_columns_are_found(case, table, of_atomai):
    totals, chosen = {}, []
    for seed in SEEDS:
        image, true, spacing = simulated(case, seed)
        for method in (*METHODS, "auto"):
            start = of_atomai.get((case, seed), np.empty((0, 2))) if method == "AtomAI" else None
            dark = CASES[case].get("dark", False)
            found, asked = found_by(method, image, spacing, dark, start)
            totals[method] = totals.get(method, 0) + scores(found, true, spacing)
            chosen += [asked] * (method == "auto")
    cells, recalls = [], {}
    for method in METHODS:
        asked, found, hit, right, squares = totals[method]
        recalls[method] = hit / asked, right / max(found, 1)
        text = "\\-"
        if found:
            error = np.sqrt(squares / max(hit, 1))
            text = f"{100 * hit / asked:.1f}, {100 * right / found:.1f}, {error:.2f}"
        cells.append(text)
    names = {0: "maxima", len(SEEDS): "network"}
    table[case] = line(case, *cells, names.get(sum(chosen), "both"))
    print(table[case])
    assert recalls["network"][0] >= 0.9 and recalls["network"][1] >= 0.95
