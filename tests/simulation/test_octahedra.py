# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tilts of octahedra, and lamellae read forwards and backwards."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hs_rvae.simulation import simulate_hexagonal, simulate_perovskite

QUIET = dict(
    shift=0.0, strain=0.0, disorder=0.0, scan_jitter=0.0, dose=np.inf, cell=20.0, random_state=3
)


def cages(truth):
    """Sites away from the rim, and the vectors to their four oxygen columns."""
    inner = truth.b_sites[truth.b_sites.edge_distance > 1]
    xy, oxygen = inner[["x", "y"]].to_numpy(), truth.oxygen_sites[["x", "y"]].to_numpy()
    return inner, oxygen[cKDTree(oxygen).query(xy, k=4)[1]] - xy[:, None]


@pytest.mark.parametrize("rotation", [0.0, 23.0])
def test_octahedra_turn_as_the_truth_says(rotation):
    _, truth = simulate_perovskite(
        (300, 300), oxygen=0.3, octahedral_tilt=6, tilt_variation=0.5, rotation=rotation, **QUIET
    )
    inner, arms = cages(truth)
    turn = np.radians(4 * rotation)
    found = np.angle((arms[..., 0] + 1j * arms[..., 1]) ** 4 * np.exp(-1j * turn)).mean(1) / 4
    # Each column is shared with an octahedron whose tilt differs a little.
    assert np.abs(np.degrees(found) - inner.octahedral_tilt).max() < 0.5
    assert 2.9 < inner.octahedral_tilt.abs().min() < inner.octahedral_tilt.abs().max() <= 6
    nearest = cKDTree(inner[["x", "y"]]).query(inner[["x", "y"]], k=2)[1][:, 1]
    signs = np.sign(inner.octahedral_tilt.to_numpy())
    assert (signs[nearest] == -signs).all() and set(truth.b_sites.tilt_domain) == {0}


def test_the_signs_of_tilts_change_places_at_a_wall():
    _, truth = simulate_perovskite(
        (400, 400), oxygen=0.3, octahedral_tilt=6, antiphase_tilts=True, tilt_variation=0.0,
        wall_width=0.5, domain_size=8, **QUIET,
    )  # fmt: skip
    b = truth.b_sites[truth.b_sites.tilt_wall_distance > 1.5]
    assert np.allclose(b.octahedral_tilt.abs(), 6, atol=0.1)
    cell = np.floor((b[["x", "y"]] - b[["x", "y"]].iloc[0]) / 20 + 0.5).sum(axis=1) % 2
    product = np.sign(b.octahedral_tilt) * (1 - 2 * cell) * (1 - 2 * b.tilt_domain)
    assert len(set(product)) == 1 and set(b.tilt_domain) == {0, 1}
    assert truth.b_sites.octahedral_tilt.abs().min() < 3  # within a wall


def test_oxygen_columns_are_drawn_bright_or_dark_only_if_asked_for():
    plain, none = simulate_perovskite((120, 120), **QUIET)
    assert len(none.oxygen_sites) == 0 and not none.b_sites.octahedral_tilt.any()
    bright, truth = simulate_perovskite((120, 120), oxygen=0.4, **QUIET)
    dark, _ = simulate_perovskite((120, 120), oxygen=0.4, dark=True, **QUIET)
    x, y = truth.oxygen_sites[["x", "y"]].to_numpy().round().astype(int).T
    gain = (bright.data - plain.data)[y, x]
    assert 0.3 < gain.min() and gain.max() < 0.7 and len(x) > 60
    assert np.allclose((bright.data + dark.data)[bright.data < 1.2], 1.3)


def test_lamellae_have_both_hands():
    _, truth = simulate_perovskite(
        (500, 500), **QUIET | dict(shift=1.0), order="antiparallel", domain_size=40
    )
    b = truth.b_sites[truth.b_sites.edge_distance > 1]
    assert abs(b.chirality.mean()) < 0.2 and set(b.chirality) == {-1, 1}
    for _, one in b.groupby("variant"):
        assert set(one.chirality) == {-1, 1}
    _, film = simulate_perovskite((120, 120), random_state=0)
    assert not film.b_sites.chirality.any()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (dict(oxygen=-1), "oxygen=-1: give a number"),
        (dict(octahedral_tilt=40), "octahedral_tilt=40: give a number from 0 to 30, degrees"),
        (dict(tilt_variation=2), "tilt_variation=2: give a number from 0 to 1"),
    ],
)
def test_impossible_tilts_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        simulate_perovskite((64, 64), **setting)


def test_a_hexagonal_crystal_has_no_octahedra():
    with pytest.raises(ValueError, match="oxygen and octahedral_tilt"):
        simulate_hexagonal((64, 64), oxygen=0.3)
