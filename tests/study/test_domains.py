# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains and walls of simulated films, found the way of README, reach their figures.

    python tests/study/test_domains.py OUT.jsonl 0-5    # every case with six seeds
    python tests/study/test_domains.py --table OUT.jsonl  # a table in rst

``pytest -m slow tests/study/test_domains.py`` takes some minutes, two seeds;
``HS_RVAE_SWEEP=1 pytest -m sweep tests/study/test_domains.py`` takes all six, and writes the table
of docs/user_guide/domains.rst.
"""

import json
import sys
import time

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.simulation import simulate_perovskite

SEEDS = range(6)
SHAPE = (1200, 1200)
# A strained crystal would move the walls from the places in the truth.
STRIPES = {"order": "stripes", "domain_size": 30, "shift": 0.6, "strain": 0.0}
DIRECTIONS = (0, 45, 20, 90, 70, 33)  # of walls, by the seed
#: Settings of the films; a width of 0.01 cells is a step.
CASES = {
    "domains, 0.6 px": {"domain_size": 22, "shift": 0.6},
    "domains, 1.0 px": {"domain_size": 22, "shift": 1.0},
    "lamellae, 0.6 px": {"order": "antiparallel", "domain_size": 22, "shift": 0.6},
    **{f"walls of {w:g} cells": {**STRIPES, "wall_width": max(w, 0.01)} for w in (0, 1, 2, 3, 4)},
    "walls of 4 cells, 1.0 px": {**STRIPES, "wall_width": 4.0, "shift": 1.0},
}
SLOW = ("domains, 0.6 px", "lamellae, 0.6 px", "walls of 2 cells", "walls of 4 cells")
LARGE = 200  # sites of domains that are judged
LONG = 20  # cells: walls that are judged; shorter ones have few sites to measure a width with


def analyse(settings, seed):
    """Stack of the B columns with domains, and the truth of the film."""
    if settings.get("order") == "stripes":
        settings = settings | {"wall_direction": DIRECTIONS[seed % len(DIRECTIONS)]}
    image, truth = simulate_perovskite(SHAPE, random_state=seed, **settings)
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image, "B", show_progressbar=False)
    stack.rvae(random_state=0, show_progressbar=False)
    stack.assign_variants()
    return stack, truth


def true_domains(truth, rows, twins):
    """Number of the true domain of each B column in `rows`; -1 without a variant."""
    b = truth.b_sites.iloc[rows]
    variant = b["variant"].to_numpy()
    kind = variant % 2 if twins else variant
    pairs = cKDTree(b[["x", "y"]]).query_pairs(1.2 * truth.cell, output_type="ndarray")
    pairs = pairs[(kind[pairs[:, 0]] == kind[pairs[:, 1]]) & (variant[pairs] >= 0).all(1)]
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(b), len(b)))
    return np.where(variant >= 0, connected_components(links, directed=False)[1], -1)


def measure(name, seed):
    """Counts of large domains and walls against the truth, as a dict."""
    settings = CASES[name]
    stack, truth = analyse(settings, seed)
    start = time.process_time()
    stack.find_domains()
    domains, walls = stack.domains, stack.walls
    found = {"case": name, "seed": seed, "seconds": time.process_time() - start}
    row = cKDTree(truth.b_sites[["x", "y"]]).query(np.asarray(stack.sites.xy))[1]
    true = true_domains(truth, row, settings.get("order") == "antiparallel")
    domain = stack.sites["domain"]
    off = []
    for number, count in enumerate(np.bincount(true[true >= 0])):
        if count >= LARGE:
            here = domain[true == number]
            best = np.bincount(here[here >= 0], minlength=1).argmax() if (here >= 0).any() else -1
            off.append(abs(int((domain == best).sum()) - int(count)) / count)
    found |= {"n_domains": len(domains), "n_walls": len(walls), "count_off": off}
    if len(truth.walls):
        found |= against_walls(walls, truth, stack.sites.pixel_size[0])
    return found


def against_walls(walls, truth, pixel_size):
    """Distances of walls from true straight ones, and differences of their widths, in cells."""
    long = walls[walls["length"] >= LONG * truth.cell * pixel_size]
    line = truth.walls["orientation"].iloc[0]
    normal = np.array([-np.sin(line), np.cos(line)])
    places = long[["x", "y"]].to_numpy() @ normal
    apart = np.abs(places[:, None] - truth.walls[["x", "y"]].to_numpy() @ normal)
    width = truth.walls["width"].iloc[0]
    turned = np.angle(np.exp(2j * (long["orientation"] - line))) / 2
    return {
        "place_off": (apart.min(1) / truth.cell).tolist(),
        "width_off": (long["width"] - width).tolist(),
        "width_std": long["width_std"].tolist(),
        "turned": np.degrees(np.abs(turned)).tolist(),
        "narrow": long["narrow"].astype(bool).tolist(),
    }


def missed(found):
    """Figures that one film misses, with the measured number."""
    limits = {"count_off": 0.03, "place_off": 0.5, "width_off": 0.5}
    largest = {name: max(map(abs, found.get(name, ())), default=0) for name in limits}
    return {name: value for name, value in largest.items() if not value <= limits[name]}


def check(found):
    """Assert the figures of one film."""
    assert not missed(found)


#: A film that misses the figure of 3 %; the page of the study states it.
MISSED = {("domains, 1.0 px", 1): "3.8 % of the sites of a wedge between long walls"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_domains_and_walls_reach_their_figures(name, seed):
    found = measure(name, seed)
    print(found)
    check(found)


#: Domains and walls of the images that ship, as they were counted by eye.
SHIPPED = {"bfo_multislice": (4, 6), "pto_ac": (12, 15), "bfo_lsmo": (4, 2)}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHIPPED, "pto_sto_vortex"])
def test_domains_of_multislice_images(name):
    loaded = getattr(hs_rvae.data, name)()
    image = loaded[0] if isinstance(loaded, tuple) else loaded
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image, "B", show_progressbar=False)
    stack.rvae(random_state=0, show_progressbar=False)
    stack.assign_variants()
    stack.find_domains()
    if name == "pto_sto_vortex":
        assert not len(stack.domains) and not len(stack.walls)
        assert "turns continuously" in stack.domains.attrs["reason"]
        return
    long = stack.walls["length"] >= 4 * np.sqrt(stack.domains["area"] / stack.domains["n_sites"])[0]
    assert abs(len(stack.domains) - SHIPPED[name][0]) <= (1 if name == "pto_ac" else 0)
    assert abs(long.sum() - SHIPPED[name][1]) <= (2 if name == "pto_ac" else 0)
    if name == "bfo_multislice":  # walls are steps
        assert stack.walls["narrow"][long].all()
    if name == "bfo_lsmo":
        assert all(len(variants) == 2 for variants in stack.domains["variants"])


@pytest.mark.sweep
def test_all_films(sweep):
    page = sweep("domains")
    films = [measure(name, seed) for name in CASES for seed in SEEDS]
    page.write(table(films), list(SEEDS))
    misses = {(found["case"], found["seed"]): missed(found) for found in films}
    misses = {film: figures for film, figures in misses.items() if figures}
    assert set(misses) <= set(MISSED), misses


def table(lines):
    """Lines of rst that summarise the measured films."""
    rows = [("film", "films", "domains of 200 sites or more", "number of sites off, mean / maximum",
             "long walls", "place off (cells), mean / maximum",
             "width off (cells), mean / maximum")]  # fmt: skip
    for name in CASES:
        films = [line for line in lines if line["case"] == name]
        if not films:
            continue
        counts = np.array([x for film in films for x in film["count_off"]])
        row = [name, str(len(films)), str(len(counts)), _two(100 * counts, "{:.1f}%")]
        walls = [np.array([x for film in films for x in film.get(key, ())])
                 for key in ("place_off", "width_off")]  # fmt: skip
        if len(walls[0]):
            row += [str(len(walls[0])), _two(walls[0], "{:.2f}"), _two(np.abs(walls[1]), "{:.2f}")]
        rows.append((*row, *[""] * (7 - len(row))))
    text = [".. list-table:: Domains and walls of simulated films", "   :header-rows: 1",
            "   :widths: auto", ""]  # fmt: skip
    for row in rows:
        text += [f"   {'* -' if k == 0 else '  -'} {cell}".rstrip() for k, cell in enumerate(row)]
    return "\n".join(text)


def _two(values, form):
    """Mean and maximum as text."""
    return f"{form.format(values.mean())} / {form.format(values.max())}" if len(values) else ""


if __name__ == "__main__":
    if sys.argv[1] == "--table":
        print(table([json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]))
    else:
        first, last = map(int, sys.argv[2].split("-"))
        for one in range(first, last + 1):
            for case in sys.argv[3:] or CASES:
                line = json.dumps(measure(case, one))
                print(line, flush=True)
                with open(sys.argv[1], "a", encoding="utf-8") as out:
                    out.write(line + "\n")
