# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defects of simulated crystals, from the image to the table, for the page on defects."""

import numpy as np
import pytest

import hs_rvae

STRUCTURES = {
    "perovskite [001]": "perovskite [001]",
    "1H layer": "MoS2, 1H",
    "graphene": "graphene",
}
DOSES = (30, 100, 200, 400)
SEEDS = range(3)
SIZE, RIM, NEAR = 480, 24, 4  # px: of the image, left out at its border, between found and true
# Vacancies, substitutions, height of these: 1 to 3 % of the columns; the last one is perfect.
KINDS = [(0.01, 0.01, 0.75), (0.015, 0.015, 1.3), (0.0, 0.0, 0.75)]
WIDTHS = (18, 6, 9, 9, 9, 9, 8)
RULE = "   " + "  ".join("=" * width for width in WIDTHS)

pytestmark = pytest.mark.sweep


@pytest.fixture(scope="module")
def table(sweep):
    """Rows by structure and dose, to be filled; written if all are there."""
    page, rows = sweep("defects"), {}
    yield rows
    if len(rows) == len(STRUCTURES) * len(DOSES):
        names = row("crystal", "dose", "V recall", "V prec.", "S recall", "S prec.", "false")
        title = (
            "Recall and precision (%) of vacancies (V) and substitutions (S); false alarms in "
            "1,000 columns of a perfect crystal"
        )
        lines = [RULE, names, RULE, *rows.values(), RULE]
        page.write("\n".join([f".. table:: {title}", "   :widths: auto", "", *lines, ""]), SEEDS)


def row(*cells):
    return "   " + "  ".join(
        str(cell).ljust(width) if k == 0 else str(cell).rjust(width)
        for k, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )


def score(found, true, kind):
    """Numbers found, true, right and listed, away from the border."""
    ours, theirs = (
        table[table[name] == kind][["x", "y"]].to_numpy(float)
        for table, name in ((found, "kind"), (true, "defect"))
    )
    near = np.linalg.norm(ours[:, None] - theirs, axis=2) < NEAR
    inner = [((xy > RIM) & (xy < SIZE - RIM)).all(axis=1) for xy in (ours, theirs)]
    found_true, right = near.any(axis=0)[inner[1]], near.any(axis=1)[inner[0]]
    return np.array([found_true.sum(), len(found_true), right.sum(), len(right)])


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("dose", DOSES)
def test_defects_are_found(structure, dose, table):
    counts = {"vacancy": np.zeros(4), "substitution": np.zeros(4)}
    false = columns = 0
    for seed in SEEDS:
        for vacancies, substitutions, ratio in KINDS:
            image, truth = hs_rvae.simulation.simulate_crystal(
                (SIZE, SIZE), structure, dose=dose, contamination=0.3, thickness_gradient=0.4,
                vacancies=vacancies, substitutions=substitutions, substitution_ratio=ratio,
                random_state=seed,
            )  # fmt: skip
            found = hs_rvae.find_defects(hs_rvae.find_sublattices(image), image)
            if not vacancies:
                false, columns = false + len(found), columns + found.attrs["n_columns"]
                continue
            for kind in counts:
                counts[kind] += score(found, truth.defects, kind)
    shares = [100 * a / b for each in counts.values() for a, b in (each[:2], each[2:])]
    table[structure, dose] = row(
        STRUCTURES[structure], dose, *(f"{share:.1f}" for share in shares),
        f"{1000 * false / columns:.1f}",
    )  # fmt: skip
    if dose >= 100:
        assert min(shares) >= 95 and false <= 1e-3 * columns
