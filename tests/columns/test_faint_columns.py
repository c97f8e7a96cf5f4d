# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns that noise hides one by one are found where the lattice has places for them."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.simulation import simulate_crystal

SPACING = 8.0


def oxide(seed, **settings):
    """Rock salt along [110]: oxygen columns have about five standard errors."""
    return simulate_crystal(
        (160, 160), "rock salt [110]", spacing=SPACING, rotation=10 * seed, dose=30.0, dark=True,
        light_elements=True, random_state=seed, **settings,
    )  # fmt: skip


def distances(lattice, sites):
    """From each site to the nearest column with a name."""
    found = np.vstack([s.column_table[["x", "y"]] for s in lattice.sublattice_list])
    return cKDTree(found).query(sites[["x", "y"]])[0]


@pytest.mark.parametrize("seed", [0, 3])
def test_nearly_all_columns_are_found(seed):
    image, truth = oxide(seed)
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    true = truth.columns
    inside = true[["x", "y"]].apply(lambda each: each.between(9, 150)).all(axis=1)
    assert (distances(lattice, true[inside]) < 0.3 * SPACING).mean() > 0.98
    assert len(lattice.sublattice_list) == 2
    held = lattice.sublattice_list[1].column_table
    assert np.isfinite(held.loc[held.shape_held, ["x_std", "amplitude", "background"]]).all(
        axis=None
    )


def test_vacancies_stay_empty():
    image, truth = oxide(1, vacancies=0.06)
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    empty = truth.defects[truth.defects["defect"] == "vacancy"]
    inside = empty[["x", "y"]].apply(lambda each: each.between(9, 150)).all(axis=1)
    assert inside.sum() >= 8
    assert (distances(lattice, empty[inside]) > 0.4 * SPACING).mean() > 0.8
