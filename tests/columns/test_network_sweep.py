# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns found by maxima, by the network and by Atomap in simulated images, for the model card."""

import warnings

import numpy as np
import pytest
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.simulation import simulate_crystal, simulate_perovskite

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
WIDTHS = (30, *[20] * 3, 7)
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
        names = line("image", "maxima", "network", "Atomap", "auto")
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


def found_by(method, image, spacing, dark):
    """Refined positions, and whether a network was asked; none where the search refuses."""
    try:
        if method != "Atomap":
            table = hs_rvae.find_columns(image, method, show_progressbar=False)
            return table[["x", "y"]].to_numpy(), "probability" in table
        from atomap.atom_finding_refining import get_atom_positions

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bright = image.deepcopy()  # Atomap takes bright columns
            values = image.data.astype(float)
            bright.data = values.max() - values if dark else values
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
def test_columns_are_found(case, table):
    totals, chosen = {}, []
    for seed in SEEDS:
        image, true, spacing = simulated(case, seed)
        for method in ("maxima", "network", "Atomap", "auto"):
            found, asked = found_by(method, image, spacing, CASES[case].get("dark", False))
            totals[method] = totals.get(method, 0) + scores(found, true, spacing)
            chosen += [asked] * (method == "auto")
    cells, recalls = [], {}
    for method in ("maxima", "network", "Atomap"):
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
