# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of merit of `stack.measure_modes` beside fitted positions, on films with truth.

    python tests/study/modes.py OUT.jsonl 0-5        # every film and dose with six seeds
    python tests/study/modes.py OUT.jsonl 0-1 30 400   # some doses
    python tests/study/modes.py --table OUT.jsonl    # table in rst

Displacement, rotation and strain are compared with those of the true columns of the same cage.
Those of fitted positions are the least squares of the positions that `find_sublattices` found in
the same image. Rotation and strain are those against the mean of the image, in both and in truth.
One line per image is added to OUT.jsonl.
"""

import argparse
import json
import time
import warnings
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.modes import rotation_and_strain, shell_inverse

SEEDS = range(6)
DOSES = (12, 30, 100, 400)
#: Settings of each film.
FILMS = {
    "polar, 0.8 px": dict(shift=0.8),
    "polar, 1.2 px": dict(shift=1.2),
    "twins, 1 %, polar, 0.8 px": dict(shift=0.8, twin_strain=0.01),
    "bending, 2°": dict(shift=1e-6, bending=2.0),
}
QUANTITIES = ("displacement", "rotation", "strain")
UNITS = {"displacement": "px", "rotation": "°", "strain": "%"}
_PARTS = {"displacement": slice(0, 2), "rotation": slice(2, 3), "strain": slice(3, 6)}
_FACTORS = np.array([1, 1, 180 / np.pi, 100, 100, 100])
SIZE = 480  # px
RIM = 1.2  # cells from the border, within which nothing is judged
NEAR = 0.2  # cells from a true column: a column further away is not that one
#: Maximum ratio of errors by the dose, and the share of sites within one standard error.
WORST = {12: 1.0, 30: 1.0, 100: 1.05, 400: 1.05}
COVERED = (0.60, 0.76)


class Modes(NamedTuple):
    """Six modes (n, 6) of sites: true, from pixels with errors, and from positions."""

    true: np.ndarray
    pixels: np.ndarray
    errors: np.ndarray
    positions: np.ndarray


def modes_of_positions(sites, cage, offsets):
    """Displacement, rotation and strain of columns around sites; NaN where one is missing."""
    distance, row = cKDTree(cage).query(sites[:, None] + offsets)
    there = distance.max(axis=1) < 0.4 * np.linalg.norm(offsets, axis=1).min()
    moved = cage[row] - sites[:, None] - offsets
    gradient = np.swapaxes(shell_inverse(offsets) @ moved, -1, -2)
    rotation, strain = rotation_and_strain(gradient)
    found = np.column_stack([sites - cage[row].mean(axis=1), rotation, strain]) * _FACTORS
    return np.where(there[:, None], found, np.nan)


def measured(film, dose, seed):
    """Modes of the judged sites of an image, in px, degrees and %."""
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (SIZE, SIZE), dose=float(dose), random_state=seed, **FILMS[film]
    )
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image, "B", show_progressbar=False)
    offsets = stack.measure_modes(show_progressbar=False)
    sites, a = stack.sites, lattice.sublattice_list[0]
    names = [f"mode_{name}" for name in ("displacement_x", "displacement_y", "rotation")]
    names += [f"mode_strain_{name}" for name in ("xx", "yy", "xy")]
    pixels, errors = sites[names], sites[[f"{name}_std" for name in names]]
    positions = modes_of_positions(sites.xy, np.column_stack([a.x_position, a.y_position]), offsets)
    true_b, true_a = (one[["x", "y"]].to_numpy() for one in (truth.b_sites, truth.a_sites))
    distance, row = cKDTree(true_b).query(sites.xy)
    true = modes_of_positions(true_b[row], true_a, offsets)
    judged = (distance < NEAR * truth.cell) & (truth.b_sites["edge_distance"].to_numpy()[row] > RIM)
    judged &= np.isfinite(np.hstack([true, pixels, positions])).all(axis=1)
    true, pixels, errors, positions = (one[judged] for one in (true, pixels, errors, positions))
    for one in (true, pixels, positions):
        one[:, 2:] -= one[:, 2:].mean(axis=0)
    return Modes(true, pixels, errors, positions)


def measure(film, dose, seed):
    """Mean squares of the errors, and shares within one standard error, of an image."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modes = measured(film, dose, seed)
    row = {"film": film, "dose": dose, "seed": seed, "sites": len(modes.true)}
    for name in QUANTITIES:
        part = _PARTS[name]
        off = modes.pixels[:, part] - modes.true[:, part]
        row[name] = {
            "pixels": float((off**2).mean()),
            "positions": float(((modes.positions - modes.true)[:, part] ** 2).mean()),
            "covered": float((np.abs(off) < modes.errors[:, part]).mean()),
        }
    return row | {"seconds": time.process_time() - start}


def pooled(rows):
    """Errors and coverage by film, dose and quantity, over the images."""
    found = {}
    for film in FILMS:
        for dose in DOSES:
            some = [row for row in rows if (row["film"], row["dose"]) == (film, dose)]
            for name in QUANTITIES if some else ():
                pixels, positions, covered = (
                    np.average([row[name][key] for row in some], weights=[r["sites"] for r in some])
                    for key in ("pixels", "positions", "covered")
                )
                found[film, dose, name] = (np.sqrt(pixels), np.sqrt(positions), covered)
    return found


def failed(rows):
    """Films, doses and quantities that miss their figure."""
    return [
        key
        for key, (pixels, positions, covered) in pooled(rows).items()
        if not (pixels <= WORST[key[1]] * positions and COVERED[0] <= covered <= COVERED[1])
    ]


def table(rows):
    """Table of all films in rst."""
    found = pooled(rows)
    lines = [
        ".. list-table:: Errors (rms) from pixels / from fitted positions, and share within one "
        "standard error",
        "   :header-rows: 1",
        "",
        "   * - film",
        "     - counts",
        *(f"     - {name} ({UNITS[name]})" for name in QUANTITIES),
    ]
    for film in FILMS:
        for dose in DOSES:
            if (film, dose, "strain") not in found:
                continue
            lines += [f"   * - {film}", f"     - {dose}"]
            for name in QUANTITIES:
                pixels, positions, covered = found[film, dose, name]
                lines.append(f"     - {pixels:.3f} / {positions:.3f}, {100 * covered:.0f} %")
    return "\n".join(lines) + "\n"


def main():
    """Measure images, or print the table of those that were measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("out")
    parser.add_argument("seeds", nargs="?", default="0-5")
    parser.add_argument("doses", nargs="*", type=int, default=DOSES)
    options = parser.parse_args()
    if options.table:
        with open(options.out, encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        print(table(rows), failed(rows), sep="\n")
        return
    first, last = (int(one) for one in options.seeds.split("-"))
    for seed in range(first, last + 1):
        for film in FILMS:
            for dose in options.doses or DOSES:
                row = measure(film, dose, seed)
                with open(options.out, "a", encoding="utf-8") as lines:
                    lines.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
