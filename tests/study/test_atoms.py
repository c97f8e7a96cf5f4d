# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The projected structures of the simulator are projections of real crystals."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hs_rvae.simulation import simulate_crystal
from hs_rvae.simulation.structures import STRUCTURES

_spec = importlib.util.spec_from_file_location("atoms", Path(__file__).with_name("atoms.py"))
atoms = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(atoms)


def surroundings(xy, elements, centre):
    """Distances to the nearest columns and their elements, of columns near a point, as a set."""
    tree = cKDTree(xy)
    found = set()
    for n in tree.query_ball_point(centre, 8.0):
        apart, row = tree.query(xy[n], k=40)
        shells = sorted(
            (round(float(d) / 0.05), "".join(sorted(elements[m])))
            for d, m in zip(apart, row, strict=True)
            if d < 4.5
        )
        found.add(("".join(sorted(elements[n])), tuple(shells)))
    return found


def alike(one, other):
    """True if the columns have the same elements and their distances agree within 0.1 Angstrom."""
    return (
        one[0] == other[0]
        and len(one[1]) == len(other[1])
        and all(abs(a[0] - b[0]) <= 2 for a, b in zip(one[1], other[1], strict=True))
        and sorted(name for _, name in one[1]) == sorted(name for _, name in other[1])
    )


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_projection_of_the_atoms_has_the_columns_of_the_simulator(name):
    xy, elements = atoms.projected(name)
    if "manganite" in name:  # the simulator leaves out its oxygen, even where others are imaged
        keep = [n for n, one in enumerate(elements) if one != {"O"}]
        xy, elements = xy[keep], [elements[n] - {"O"} for n in keep]
    _, truth = simulate_crystal(
        (700, 700), name, spacing=20.0, light_elements=True, strain=0, disorder=0, dose=np.inf
    )
    cell = np.asarray(STRUCTURES[name].cell)
    scale = 10 * np.linalg.norm(cell[0]) / np.linalg.norm(truth.cells[0][0])
    there = truth.columns[["x", "y"]].to_numpy() * scale
    named = [set(re.findall("[A-Z][a-z]?", one)) for one in truth.columns["name"]]
    expected = surroundings(xy, elements, (0, 0))
    found = surroundings(there, named, there.mean(axis=0))
    assert found and expected
    assert all(any(alike(one, other) for other in expected) for one in found)
    assert all(any(alike(one, other) for other in found) for one in expected)
