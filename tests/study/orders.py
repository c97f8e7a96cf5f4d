# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of merit of strain, tilts and parity on films, and on crystals without any of them.

    python tests/study/orders.py twins_0.02:0 tilt_5:0-5 smooth_0.01:0

Films have 30 x 30 cells of 26 px. Sites are the B columns, with an error of 0.1 px.
"""

import sys
import time
import warnings
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.simulation import simulate_perovskite

SEEDS = range(6)
N_CELLS, CELL, WINDOW = 30, 26, 48
FROM_WALLS, FROM_BORDER = 1.5, 1.0  # cells, as for films of displacements
#: The tilts of octahedra need their oxygen, as annular bright field shows it.
OXYGEN = dict(oxygen=0.2, dark=True)


@dataclass(frozen=True)
class Case:
    """Settings of a film, and the order parameters expected in it."""

    settings: dict = field(default_factory=dict)
    expected: tuple[str, ...] = ()


def _cases():
    cases = {}
    for twins in (2, 4):
        for strain, smooth in ((0.01, 0.002), (0.02, 0.005), (0.03, 0.005)):
            settings = dict(twin_strain=strain, strain=smooth, n_twins=twins)
            cases[f"twins{twins}_{strain}"] = Case(settings, ("strain",))
    cases["twins2_0.01_dose30"] = Case(dict(twin_strain=0.01, strain=0.002, dose=30.0), ("strain",))
    for tilt in (3.0, 5.0, 8.0):
        cases[f"tilt_{tilt:g}"] = Case(dict(octahedral_tilt=tilt, **OXYGEN), ("tilt",))
    cases["tilt_5_bright"] = Case(dict(octahedral_tilt=5.0, oxygen=0.2), ("tilt",))
    cases["tilt_5_dose30"] = Case(dict(octahedral_tilt=5.0, dose=30.0, **OXYGEN), ("tilt",))
    cases["polar_tilt"] = Case(
        dict(shift=0.8, octahedral_tilt=5.0, **OXYGEN), ("displacement", "tilt")
    )
    cases["polar_twins"] = Case(
        dict(shift=0.8, twin_strain=0.02, strain=0.005), ("displacement", "strain")
    )
    cases["lamellae"] = Case(dict(shift=0.8, order="antiparallel"), ("displacement", "parity"))
    # Nothing of the kind.
    for strain in (0.005, 0.01, 0.015, 0.02):
        cases[f"smooth_{strain}"] = Case(dict(strain=strain))
    for bending in (1.0, 2.0, 4.0, 8.0):
        cases[f"bending_{bending:g}"] = Case(dict(bending=bending, strain=0.002))
    cases["plain"] = Case()
    cases["plain_oxygen"] = Case(OXYGEN)
    cases["plain_dose30"] = Case(dict(dose=30.0))
    cases["plain_tilted_columns"] = Case(dict(tilt=0.2))
    cases["polar"] = Case(dict(shift=0.8), ("displacement",))
    cases["vortices"] = Case(
        dict(shift=0.8, order="vortices", domain_size=9.75, wall_width=1.1), ("displacement",)
    )
    return cases


CASES = _cases()
#: Forty crystals without variants, by case and seed.
NULLS = [(f"smooth_{s}", k) for k in range(3) for s in (0.005, 0.01, 0.015, 0.02)][:10]
NULLS += [(f"bending_{b}", k) for k in range(3) for b in (1, 2, 4, 8)][:10]
NULLS += [
    (name, k)
    for k in range(5)
    for name in ("plain", "plain_oxygen", "plain_dose30", "plain_tilted_columns")
]


def make(name, seed):
    """Stack of a film, and the rows of the true B columns of its sites."""
    rng = np.random.default_rng(seed + 1000)
    settings = dict(shift=0.0, rotation=float(rng.uniform(-6, 6)), cell=CELL, dose=100.0)
    settings |= CASES[name].settings
    size = N_CELLS * CELL
    image, truth = simulate_perovskite((size, size), random_state=seed, **settings)
    true = truth.b_sites[["x", "y"]].to_numpy()
    stack = hs_rvae.SubImageStack.from_positions(
        image,
        true + 0.1 * rng.standard_normal(true.shape),
        window_size=WINDOW,
        neighbours=truth.a_sites[["x", "y"]].to_numpy(),
        show_progressbar=False,
    )
    return stack, truth.b_sites.iloc[cKDTree(true).query(stack.sites.xy)[1]]


def right_share(label, true):
    """Share of the sites whose label is that of the variant most of its sites belong to."""
    known = label >= 0
    counts = np.zeros((int(label.max(initial=0)) + 1, int(true.max()) + 1))
    np.add.at(counts, (label[known], true[known]), 1)
    return float(counts.max(axis=1).sum() / max(known.sum(), 1))


def measure(name, seed, epochs=2):
    """Figures of merit of one film, by name; the latents, which are not judged, train shortly."""
    stack, true = make(name, seed)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack.rvae(1, random_state=seed, epochs=epochs, show_progressbar=False)
    row = {"case": name, "seed": seed, "seconds": time.process_time() - start}
    row["n_variants"] = stack.assign_variants()
    verdict, sites = stack.rvae_verdict, stack.sites
    names = set(verdict.order_parameters) if verdict.found else set()
    names |= {"parity"} & set(sites.columns)
    row |= {"kind": verdict.kind, "found": tuple(sorted(names))}
    row["as_expected"] = names == set(CASES[name].expected)
    border = true["edge_distance"].to_numpy() > FROM_BORDER
    if "strain_variant" in sites and "strain_variant" in true:
        judged = border & (true["strain_wall_distance"].to_numpy() > FROM_WALLS)
        apart = sites["strain_angle"] - true["strain_angle"].to_numpy()
        apart = np.degrees(np.angle(np.exp(2j * apart))) / 2
        row["strain_right"] = right_share(
            sites["strain_variant"][judged], true["strain_variant"].to_numpy()[judged]
        )
        row["axis_error"] = float(np.abs(apart[judged]).mean())
    if "tilt" in sites and "octahedral_tilt" in true:
        judged = border & (true["tilt_wall_distance"].to_numpy() > FROM_WALLS)
        tilt, known = np.degrees(sites["tilt"])[judged], true["octahedral_tilt"].to_numpy()[judged]
        row["tilt_signs"] = float((np.sign(tilt) == np.sign(known)).mean())
        row["tilt_r2"] = float(np.corrcoef(tilt, known)[0, 1] ** 2)
        row["tilt_slope"] = float(np.polyfit(known, tilt, 1)[0])
    if "parity" in sites:
        judged = border & (true["wall_distance"].to_numpy() > FROM_WALLS)
        hand = 2 * sites["parity"] - 1
        row["parity_right"] = float((hand == true["chirality"].to_numpy())[judged].mean())
    return row


def table(rows):
    """Rows of the study as a table in rst, one line for each case."""
    head = ["film", "films", "found", "variants of strain, right", "error of the axis (degrees)",
            "signs of tilt, right", "R2 of the tilt", "parity, right"]  # fmt: skip
    lines = [".. list-table:: Strain, tilts and parity", "   :header-rows: 1", ""]
    keys = ("strain_right", "axis_error", "tilt_signs", "tilt_r2", "parity_right")
    listed = [head]
    for name in dict.fromkeys(row["case"] for row in rows):
        own = [row for row in rows if row["case"] == name]
        kinds = sorted({", ".join(row["found"]) or "nothing" for row in own})
        values = [[row[key] for row in own if key in row] for key in keys]
        shown = [f"{np.mean(v):.3g} / {np.min(v):.3g}" if v else "" for v in values]
        if values[1]:
            shown[1] = f"{np.mean(values[1]):.1f}"
        listed.append([name, str(len(own)), "; ".join(kinds), *shown])
    for cells in listed:
        lines += [f"   {'*' if k == 0 else ' '} - {cell}".rstrip() for k, cell in enumerate(cells)]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    for word in sys.argv[1:]:
        case, _, seeds = word.partition(":")
        first, _, last = (seeds or "0").partition("-")
        for number in range(int(first), int(last or first) + 1):
            print(measure(case, number), flush=True)
