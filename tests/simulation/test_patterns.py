# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of displacements: directions, shares, vortices, antiparallel lamellae, polar layers."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.neighbours import displacement
from hs_rvae.simulation import (
    simulate_4dstem,
    simulate_hexagonal,
    simulate_perovskite,
    simulate_series,
)

STILL = dict(strain=0, disorder=0)


def measured(truth):
    """B columns minus the mean of their A neighbours, away from the border."""
    inner = truth.b_sites[truth.b_sites.edge_distance > 1.5]
    xy = inner[["x", "y"]].to_numpy()
    return inner, displacement(xy, truth.a_sites[["x", "y"]].to_numpy())


def test_four_directions_by_name_are_the_four_variants():
    image, truth = simulate_perovskite((300, 300), random_state=3)
    named, same = simulate_perovskite((300, 300), directions=(45, 135, 225, 315), random_state=3)
    # Directions in degrees and steps of pi / 2 may differ in the last bit.
    assert np.mean(image.data != named.data) < 1e-4
    assert np.array_equal(truth.b_sites.variant, same.b_sites.variant)


def test_variants_have_the_directions_asked_for():
    mirrored = [20, -20, 110, 70, 200, 160, 290, 250]
    _, truth = simulate_perovskite(
        (900, 900), directions=mirrored, rotation=5, domain_size=7, random_state=1
    )
    b = truth.b_sites
    assert truth.n_variants == 8 and set(b.variant) == set(range(8))
    wells = np.radians(np.array(mirrored) + 5)
    assert np.allclose(np.exp(1j * b.angle), np.exp(1j * wells[b.variant]))
    clear = b[truth.interior()]
    direction = np.arctan2(clear.displacement_y, clear.displacement_x)
    assert np.abs(np.angle(np.exp(1j * (direction - clear.angle)))).max() < 0.05


@pytest.mark.parametrize("simulate", [simulate_perovskite, simulate_hexagonal])
def test_one_direction_is_one_domain_without_walls(simulate):
    _, truth = simulate((300, 300), directions=[30], shift=1.5, random_state=0)
    b = truth.b_sites
    assert truth.n_variants == 1 and set(b.variant) == {0}
    assert np.isinf(b.wall_distance).all()
    turn = np.radians(30)
    assert np.allclose(b.displacement_x, 1.5 * np.cos(turn))
    assert np.allclose(b.displacement_y, 1.5 * np.sin(turn))


def test_shares_of_the_domains_are_met():
    shares = [0.7, 0.2, 0.1, 0.0]
    _, truth = simulate_perovskite((1200, 1200), shares=shares, domain_size=4, random_state=0)
    found = np.bincount(truth.b_sites.variant, minlength=4) / len(truth.b_sites)
    # 133 domains, whose areas differ.
    assert np.abs(found - shares).max() < 0.08
    assert found[3] == 0


def test_equal_shares_are_what_no_shares_are():
    one, two = (
        simulate_perovskite((200, 200), shares=s, domain_size=4, random_state=2)[1].b_sites
        for s in (None, [3, 3, 3, 3])
    )
    assert np.bincount(one.variant).min() > 0 and np.bincount(two.variant).min() > 0


def test_vortices_turn_through_all_directions_and_vanish_in_their_cores():
    _, truth = simulate_perovskite(
        (1000, 1000),
        order="vortices",
        shift=2,
        domain_size=9.7,
        wall_width=2,
        random_state=0,
        **STILL,
    )
    b = truth.b_sites
    assert truth.n_variants == 1 and set(b.variant) == {0}
    assert b.order.max() == pytest.approx(1) and b.order.min() < 0.4
    assert (b.order > 0.999).mean() > 0.5
    filled = np.histogram(b.angle, bins=36, range=(-np.pi, np.pi))[0]
    assert filled.min() > 0
    inner, found = measured(truth)
    assert np.allclose(found, inner[["displacement_x", "displacement_y"]], atol=1e-6)
    # Neighbours turn slowly: a circle of a diameter of 9.7 cells has 30 cells on its rim.
    xy = b[["x", "y"]].to_numpy()
    _, near = cKDTree(xy).query(xy, k=2)
    step = np.abs(np.angle(np.exp(1j * (b.angle - b.angle.to_numpy()[near[:, 1]]))))
    assert np.median(step) < np.radians(20)


def test_rotated_vortices_turn_with_the_lattice():
    _, truth = simulate_perovskite((600, 600), order="vortices", rotation=30, random_state=0)
    b = truth.b_sites[truth.b_sites.order > 0.99]
    assert np.allclose(np.arctan2(b.displacement_y, b.displacement_x), b.angle)


def test_antiparallel_lamellae_are_two_cells_wide_along_both_diagonals():
    cell = 20
    _, truth = simulate_perovskite(
        (900, 900), cell=cell, order="antiparallel", shift=0.8, random_state=0, **STILL
    )
    assert truth.n_variants == 4 and set(truth.b_sites.variant) == {0, 1, 2, 3}
    inner, found = measured(truth)
    assert np.allclose(found, inner[["displacement_x", "displacement_y"]], atol=1e-6)
    clear = inner[inner.wall_distance > 4]
    assert np.allclose(clear.order, 1, atol=0.02)
    direction = np.arctan2(clear.displacement_y, clear.displacement_x)
    assert np.abs(np.angle(np.exp(1j * (direction - clear.angle)))).max() < 0.05
    xy = clear[["x", "y"]].to_numpy()
    tree, variant = cKDTree(xy), clear.variant.to_numpy()
    for twin, along in ((0, (1, 1)), (1, (-1, 1))):
        of_twin = variant % 2 == twin
        for step, share in ((1, 0.5), (2, 1.0), (4, 0.0)):
            # Steps of one, two and four cells across the lamellae, along an edge of the cell.
            distance, k = tree.query(xy[of_twin] + [step * cell, 0], distance_upper_bound=2)
            there = np.isfinite(distance)
            turned = variant[of_twin][there] != variant[k[there]]
            assert turned.mean() == pytest.approx(share, abs=0.08)
        distance, k = tree.query(xy[of_twin] + cell * np.array(along), distance_upper_bound=2)
        there = np.isfinite(distance)
        assert there.any() and (variant[of_twin][there] == variant[k[there]]).all()


def test_lamellae_are_those_of_the_multislice_superlattice():
    _, truth = hs_rvae.data.bfo_lsmo()
    twin, variant = truth["twin"], truth["variant"]
    i, j = np.floor(truth["b_ij"]).astype(int).T
    _, film = simulate_perovskite(
        (700, 700), cell=20, order="antiparallel", random_state=0, domain_size=20, **STILL
    )
    b = film.b_sites[film.b_sites.wall_distance > 1]
    ours = ((b[["x", "y"]] - b[["x", "y"]].iloc[0]) / 20).round().to_numpy().astype(int)
    for which, along in ((0, (1, -1)), (1, (1, 1))):
        patterns = []
        for cells, its_variant in (
            (np.stack([i, j], 1)[twin == which], variant[twin == which]),
            (ours[b.variant % 2 == which], b.variant.to_numpy()[b.variant % 2 == which]),
        ):
            polar = its_variant >= 0
            phase = np.mod(cells[polar] @ along, 4)
            pattern = [set(its_variant[polar][phase == k].tolist()) for k in range(4)]
            assert all(len(variants) == 1 for variants in pattern)
            patterns.append("".join(str(variants.pop()) for variants in pattern))
        assert patterns[0] in 2 * patterns[1]  # from another cell on


def test_among_antiparallel_lamellae_the_a_columns_move():
    options = dict(order="antiparallel", random_state=4, scan_jitter=0, **STILL)
    still, moved = (simulate_perovskite((400, 400), shift=s, **options)[1] for s in (0, 0.75))
    b = [t.b_sites[["x", "y"]].to_numpy() for t in (still, moved)]
    assert np.array_equal(*b)
    distance, _ = cKDTree(still.a_sites[["x", "y"]]).query(moved.a_sites[["x", "y"]])
    assert np.quantile(distance, 0.75) == pytest.approx(1.5, abs=0.02)  # away from walls


def test_layers_without_displacement_have_no_variant():
    layers = [(6, 1.0, 0.35), (4, 0.6, 0.6, 0.0)]
    _, truth = simulate_perovskite(
        (600, 600), cell=20, layers=layers, rotation=10, chemistry=0, thickness_gradient=0,
        random_state=0, **STILL,
    )  # fmt: skip
    b = truth.b_sites
    bright = b.amplitude > 0.475
    assert np.array_equal(b.variant < 0, bright)
    assert 0.35 < bright.mean() < 0.45
    assert b.angle[bright].isna().all()
    deep = b.wall_distance > 1.5
    assert b.order[bright & deep].max() < 0.1
    assert b.order[~bright & deep].min() > 0.9
    inner, found = measured(truth)
    assert np.allclose(found, inner[["displacement_x", "displacement_y"]], atol=1e-6)


def test_a_layer_may_be_displaced_in_part():
    layers = [(8, 1.0, 0.35, 1.0), (8, 1.0, 0.35, 0.5)]
    _, truth = simulate_perovskite(
        (800, 800), cell=20, layers=layers, directions=[0], wall_width=0.3, random_state=0
    )
    assert set(truth.b_sites.variant) == {0}
    share = np.histogram(truth.b_sites.order, bins=[0, 0.49, 0.51, 0.99, 1.01])[0]
    assert share[0] == 0 and share[1] > 0.35 * share.sum() and share[3] > 0.35 * share.sum()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (dict(order="checks"), "order='checks': give one of domains, stripes, vortices, antiparal"),
        (dict(directions=[]), r"directions=\[\]: give one number or more, in degrees"),
        (dict(directions=[0, np.nan]), "directions="),
        (dict(directions=[0], order="vortices"), "order='vortices' has its own; give None"),
        (dict(shares=[1, 1]), r"shares=\[1, 1\]: give 4 numbers of 0 or more"),
        (dict(shares=[1, 1, -1, 0]), "shares="),
        (dict(shares=[0, 0, 0, 0]), "one share above 0"),
        (dict(shares=[1.0], order="vortices"), "shares=.*order='vortices' has none; give None"),
        (dict(shares=[1, 1, 1, 1], order="antiparallel"), "give 2 numbers"),
        (dict(layers=[(3, 1.0)]), r"layers=\[\(3, 1.0\)\]: give \(cells, height of A"),
        (dict(layers=[(3, 1.0, 0.3, 1.5)]), "share of the displacement, 0 to 1"),
        (dict(layers=[]), "one layer or more"),
    ],
)
def test_impossible_patterns_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        simulate_perovskite((64, 64), **setting)


@pytest.mark.parametrize(
    "positions", [3, [3, 4], [[1, 2], [3, 4], [5, 6]], [], [[np.nan, 1]], [[1, 99]], "nowhere"]
)
def test_places_of_the_probe_lie_in_the_film(positions):
    setting = {"cell": 26, "detector": 16, "random_state": 0}
    if np.shape(positions) == (3, 2):
        patterns, _ = simulate_4dstem((60, 60), positions=positions, **setting)
        assert patterns.data.shape == (3, 16, 16)
        return
    with pytest.raises((ValueError, OSError), match="positions"):
        simulate_4dstem((60, 60), positions=positions, **setting)


def test_lamellae_need_the_diagonals_of_a_cell():
    with pytest.raises(ValueError, match="order='antiparallel': lamellae need the diagonals"):
        simulate_hexagonal((64, 64), order="antiparallel")


@pytest.mark.parametrize("order", ["vortices", "antiparallel"])
def test_series_have_patterns_as_well(order):
    series, truths = simulate_series((150, 160), 2, order=order, random_state=0)
    assert series.data.shape == (2, 150, 160)
    assert len(truths) == 2


@pytest.mark.parametrize("name", ["aberration", "directions", "mistilt"])
def test_a_series_refuses_the_settings_that_it_does_not_have(name):
    with pytest.raises(TypeError, match=f"has no option {name}"):
        simulate_series((64, 64), **{name: 0.1})
