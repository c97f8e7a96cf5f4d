# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``hs-rvae demo``: samples with a known truth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ..files import complete_file
from .results import check_results, save_stack
from .summary import outcome


def run_demo(folder: Path, seed: int) -> None:
    """Every sample, its files, and the table."""
    samples = {"mosaic": _mosaic, "film": _simulated_film, "dysco3": _real_image}
    rows, pages = [], []
    for name in samples:
        check_results(folder, name)
    for name, analyse in samples.items():
        start = time.perf_counter()
        result = analyse(seed)
        if result is None:
            continue
        title, stack, comparison = result
        stack.assign_variants()
        _write(stack, folder, name, title)
        pages.append(folder.resolve() / f"{name}.html")
        print("\n".join(f"  {line}" for line in outcome(stack)))
        rows.append((title, len(stack.sites), comparison, time.perf_counter() - start))

    print(f"\n{'':26}{'sites':>8}{'compared':>10}{'variants':>10}{'in the right one':>18}"
          f"{'ARI':>8}{'angle error':>13}{'offset':>11}{'time':>8}")  # fmt: skip
    for title, n, found, seconds in rows:
        print(f"{title:26}{n:8d}{found['compared']:10d}{found['variants']:10d}"
              f"{found['share_right']:17.1%} {found['ari']:8.3f}{found['mean_error']:9.2f} deg"
              f"{np.degrees(found['offset']):7.1f} deg"
              f"{seconds:6.0f} s")  # fmt: skip
    print(
        "\nSimulated images are compared with the variants they were made of, away from walls and "
        "borders;\nDyScO3 with the direction of the fitted A-column shifts. The offset is taken "
        f"off all angles first.\nReports, figures, stacks and models are in {folder.resolve()}."
    )
    if pages:
        print(f"Open {pages[0]} first.")


def _mosaic(seed: int) -> tuple[str, Any, dict[str, Any]]:
    """BiFeO3, multislice: the B columns, from the raw image."""
    from scipy.spatial import cKDTree

    import hs_rvae

    print("BiFeO3, multislice image: columns are found and refined, sub-images cut around B.")
    image, truth = hs_rvae.data.bfo_multislice()
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
    stack.rvae(random_state=seed)

    cells = cKDTree(truth["cell_centre_xy_warped"])
    _, cell = cells.query(stack.sites.xy)
    # Away from walls and from what is not polar: the eight neighbours have the same label.
    _, near = cells.query(cells.data[cell], k=9)
    label = truth["label"][cell]
    inside = (truth["label"][near] == label[:, None]).all(axis=1) & (label < 4)
    dx, dy = truth["B_shift_angstrom_xy"][cell[inside]].T
    found = hs_rvae.simulation.compare_angles(stack.sites["angle"][inside], np.arctan2(dy, dx), 4)
    return "BiFeO3 (multislice)", stack, found | {"compared": int(inside.sum()), "variants": 4}


def _real_image(seed: int) -> tuple[str, Any, dict[str, Any]] | None:
    """DyScO3: the A columns; None if the image cannot be had."""
    import hs_rvae

    try:
        image = hs_rvae.data.dysco3(allow_download=True)
    except (OSError, ValueError) as error:
        print(f"DyScO3, real image: left out. {error}")
        return None
    print("DyScO3, real image: columns are found and refined, sub-images cut around A.")
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_sublattice(lattice.get_sublattice("A"), image=image)
    stack.rvae(random_state=seed)

    # Lines of A columns shift up and down in turn: the sign is the truth that fitting can give.
    shift = stack.sites["displacement_y"]
    known = np.isfinite(shift)
    truth = np.where(shift > 0, np.pi / 2, -np.pi / 2)
    found = hs_rvae.simulation.compare_angles(stack.sites["angle"][known], truth[known], 2)
    return "DyScO3 (real)", stack, found | {"compared": int(known.sum()), "variants": 2}


def _simulated_film(seed: int) -> tuple[str, Any, dict[str, Any]]:
    """A film with four variants and a non-polar region; positions are true to 0.1 px."""
    import hs_rvae

    print("Simulated film: four variants, walls, a non-polar disk, chemistry, tilt, noise.")
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (1300, 1300), rotation=12, nonpolar=0.1, random_state=seed
    )
    sites = truth.b_sites
    jitter = 0.1 * np.random.default_rng(seed).standard_normal((len(sites), 2))
    stack = hs_rvae.SubImageStack.from_positions(image, sites[["x", "y"]].to_numpy() + jitter)
    stack.rvae(random_state=seed)

    index = stack.sites["site_index"]
    inside = truth.interior()[index]
    true_angle = sites["angle"].to_numpy()[index]
    found = hs_rvae.simulation.compare_angles(
        stack.sites["angle"][inside], true_angle[inside], truth.n_variants
    )
    counts = {"compared": int(inside.sum()), "variants": truth.n_variants}
    return "film (simulated)", stack, found | counts


def _write(stack: Any, folder: Path, name: str, title: str) -> None:
    """Model, stack, figures and report of one sample."""
    import matplotlib.pyplot as plt

    save_stack(stack, folder, name)
    figures = {
        "angle_map": lambda: stack.plot_site_map("angle"),
        "polar_map": lambda: stack.plot_polar_map(angle="angle", amplitude="order_amplitude"),
        "angle_histogram": lambda: stack.plot_angle_histogram(),
        "manifold": lambda: stack.plot_rvae_manifold(),
        "history": lambda: stack.plot_rvae_history(),
    }
    for figure_name, draw in figures.items():
        figure = draw().figure  # that of axes, or itself
        with complete_file(folder / f"{name}_{figure_name}.png", "The figure") as draft:
            figure.savefig(draft, dpi=300)
        plt.close(figure)
    stack.report(folder / f"{name}.html", title=title)
