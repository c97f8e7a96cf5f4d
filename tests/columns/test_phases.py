# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phases and twins whose cells have much in common."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.columns.column_tables import _doubts_of_places
from hs_rvae.columns.translations import connect
from hs_rvae.simulation import ProjectedStructure, simulate_crystal

STO = ProjectedStructure([(0.3905, 0), (0, 0.3905)], [(0, 0, 1.0), (0.5, 0.5, 0.5)])
EDGE, HEIGHT = 0.5411 / np.sqrt(2), 0.5411
#: CeO2 along [110], on either edge: seven cells of SrTiO3 are five of it, or the edges are alike.
CERIA = {
    "upright": ProjectedStructure([(EDGE, 0), (0, HEIGHT)], [(0, 0, 1.0), (0.5, 0.5, 1.0)]),
    "lying": ProjectedStructure([(HEIGHT, 0), (0, EDGE)], [(0, 0, 1.0), (0.5, 0.5, 1.0)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("orientation", CERIA)
@pytest.mark.parametrize("direction", [0, 90])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_phases_with_nearly_common_cells_are_two(orientation, direction, seed):
    image, truth = simulate_crystal(
        (440, 440), STO, spacing=16.5, second_phase=CERIA[orientation],
        boundary=(220, 220, direction), random_state=seed,
    )  # fmt: skip
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    assert len(lattice.crystal.grains) == 2 and len(lattice.sublattice_list) == 3
    true = truth.columns[truth.columns["boundary_distance"] > 1.5 * 16.5]
    for sublattice in lattice.sublattice_list:
        apart, near = cKDTree(true[["x", "y"]]).query(sublattice.column_table[["x", "y"]])
        kinds = true[["grain", "place"]].to_numpy()[near[apart < 4]]
        kinds[kinds[:, 0] == 1, 1] = 0  # both places of the second phase are one kind
        count = np.unique(kinds, axis=0, return_counts=True)[1]
        assert count.max() > 0.99 * count.sum()
    assert not any("places of sublattice" in text for text in lattice.crystal.cautions)


def test_rows_without_steps_across_are_no_crystal():
    cell = np.array([[20.0, 0.0], [0.0, 20.0]])
    i, j = (each.ravel() for each in np.meshgrid(np.arange(15), np.arange(10), indexing="ij"))
    lattice = connect(np.stack([20.0 * i, 20.0 * j], axis=1), cell, 8.0)
    rows = connect(np.stack([20.0 * i, 33.0 * j], axis=1), cell, 8.0)
    assert np.median(lattice.regularity()) > 0.8
    assert not rows.regularity().any()


@pytest.mark.slow
def test_a_twin_that_is_a_mirror_image_is_a_grain():
    cell = np.array([[28.0, 0.0], [6.0, 24.0]])
    steps = np.stack(np.meshgrid(np.arange(-30, 30), np.arange(-30, 30)), -1).reshape(-1, 2)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:420, :420]
    image = np.full(x.shape, 0.2)
    for height, place in ((1.0, 0.0), (0.5, 0.5)):
        xy = (steps + place) @ cell + 210
        xy = xy[((xy > -20) & (xy < [440, 209])).all(axis=1)]
        for cx, cy in np.concatenate([xy, xy * [1, -1] + [0, 418]]):
            image += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 3.4**2))
    lattice = hs_rvae.find_sublattices(
        rng.poisson(150 * image).astype(float), show_progressbar=False
    )
    assert len(lattice.crystal.grains) == 2 and len(lattice.sublattice_list) == 2
    assert len(lattice.crystal.unassigned) < 5


def test_many_half_empty_sublattices_have_one_warning():
    each = _doubts_of_places([1.0, 0.5, 0.6])
    assert len(each) == 2 and all("crop to one" in text for text in each)
    (text,) = _doubts_of_places([1.0, 0.5, 0.6, 0.55, 0.7])
    assert text.startswith("4 of 5 sublattices (B, C, D, E) have columns at 50% to 70% of their")
    assert "Two phases" in text and "cell=" in text and "find_columns" in text
    assert not _doubts_of_places([1.0] * 8)
