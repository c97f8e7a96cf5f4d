# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains, alternating patterns and walls of made-up labels."""

import warnings

import numpy as np
import pytest

from hs_rvae.domains import Measured, domain_tables, find_domains, walls
from hs_rvae.domains.alternation import find_alternation
from hs_rvae.domains.lattice import site_lattice
from hs_rvae.domains.walls import find_walls, fit_profile

CELL = 20.0


def sites(n=(24, 30), turn=0.0, noise=0.0, basis=((1, 0), (0, 1))):
    """Places (i, j) as columns (x, y), and positions in px."""
    j, i = np.indices(n)
    cells = np.column_stack([i.ravel(), j.ravel()]).astype(float)
    c, s = np.cos(turn), np.sin(turn)
    xy = CELL * cells @ np.array(basis, float) @ np.array([[c, s], [-s, c]])
    return cells, xy + noise * np.random.default_rng(0).standard_normal(xy.shape)


def measured(xy, label, **parts):
    return Measured(xy, np.asarray(label, int), parts.pop("strata", {}), **parts)


def lamellae(cells, sign):
    """++-- across one of the diagonals."""
    return (np.mod(cells[:, 0] - sign * cells[:, 1], 4) < 2).astype(int)


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.2])
def test_a_domain_is_connected_on_the_lattice_in_any_orientation(turn):
    cells, xy = sites(turn=turn, noise=0.6)
    label = (cells[:, 0] >= 12).astype(int)
    label[cells[:, 0] >= 20] = 0  # the same variant again, apart
    domain, alternates = find_domains(measured(xy, label))
    assert not alternates
    assert np.bincount(domain).tolist() == [288, 240, 192]
    domains, walls = domain_tables(measured(xy, label), domain)
    assert domains["neighbours"].tolist() == [[2], [2], [0, 1]]
    assert domains["variants"].tolist() == [[0], [0], [1]]
    assert walls["length"].to_numpy() == pytest.approx(2 * [24 * CELL], rel=0.03)
    assert not walls["charged"].any() and walls["width"].isna().all()


def test_diagonal_contact_does_not_connect():
    cells, xy = sites((8, 8))
    quarter = (cells[:, 0] < 4) == (cells[:, 1] < 4)
    domain, _ = find_domains(measured(xy, quarter))
    assert np.bincount(domain).tolist() == [16, 16, 16, 16]


def test_hexagonal_sites_have_six_neighbours():
    cells, xy = sites((20, 20), basis=((1, 0), (0.5, np.sqrt(0.75))))
    lattice = site_lattice(xy)
    assert len(lattice.steps) == 3
    assert len(lattice.pairs) == 19 * 20 * 2 + 19 * 19
    label = (cells[:, 1] >= 10).astype(int)
    _, walls = domain_tables(measured(xy, label), find_domains(measured(xy, label))[0])
    assert walls["length"].item() == pytest.approx(20 * CELL, rel=0.04)


def test_flat_rectangular_cells_have_four_neighbours():
    _, xy = sites((20, 20), basis=((1.6, 0), (0, 1)), noise=0.4)
    lattice = site_lattice(xy)
    assert len(lattice.steps) == 2 and len(lattice.pairs) == 2 * 19 * 20


def test_min_sites_leaves_small_groups_out():
    cells, xy = sites()
    label = np.where((cells[:, 0] < 2) & (cells[:, 1] < 2), 1, 0)
    assert find_domains(measured(xy, label), 4)[0].max() == 1
    domain, _ = find_domains(measured(xy, label), 5)
    assert domain.max() == 0 and (domain < 0).sum() == 4


def test_domains_end_at_grains_images_and_frames():
    cells, xy = sites()
    grain = (cells[:, 0] >= 15).astype(int)
    domain, _ = find_domains(measured(xy, 0 * grain, grain=grain))
    assert np.bincount(domain).tolist() == [360, 360]
    domains, walls = domain_tables(measured(xy, 0 * grain, grain=grain), domain)
    assert domains["neighbours"].tolist() == [[], []] and not len(walls)
    twice = measured(
        np.tile(xy, (2, 1)), np.tile(grain, 2), strata={"frame": np.repeat([0, 1], len(xy))}
    )
    domain, _ = find_domains(twice)
    domains, walls = domain_tables(twice, domain)
    assert domains["frame"].tolist() == [0, 0, 1, 1]
    assert domains["domain"].tolist() == [0, 1, 0, 1]
    assert walls["frame"].tolist() == [0, 1] and walls["wall"].tolist() == [0, 0]


def test_sites_without_a_grain_are_in_no_domain():
    cells, xy = sites()
    grain = np.where(cells[:, 0] < 10, -1, 0)
    domain, _ = find_domains(measured(xy, 0 * grain, grain=grain))
    assert ((domain < 0) == (grain < 0)).all()


def test_no_lattice_means_no_domains():
    xy = np.random.default_rng(0).uniform(0, 100, (5, 2))
    domain, _ = find_domains(measured(xy, np.zeros(5)))
    assert (domain == -1).all()
    row = np.column_stack([CELL * np.arange(30), np.zeros(30)])
    assert (find_domains(measured(row, np.zeros(30)))[0] == -1).all()


@pytest.mark.parametrize(
    ("pattern", "n_phases"),
    [
        (lambda c: (c[:, 0] + c[:, 1]) % 2, 2),  # checkerboard
        (lambda c: c[:, 0] % 2, 2),  # rows
        (lambda c: lamellae(c, 1), 4),
    ],
)
def test_antiphase_walls_separate_the_phases_of_a_pattern(pattern, n_phases):
    cells, xy = sites(noise=0.4)
    shifted = cells + np.array([1, 0]) * (cells[:, [0]] >= 14)
    label = pattern(shifted).astype(int)
    wrong = np.random.default_rng(1).random(len(label)) < 0.02
    label[wrong] = 1 - label[wrong]
    angle = np.pi * label + 0.3
    found = measured(xy, label, angle=angle)
    alternation = find_alternation(site_lattice(xy), label)
    assert len(alternation.patterns) == n_phases and set(alternation.kinds) == {0}
    domain, alternates = find_domains(found)
    assert alternates and domain.max() == 1
    assert (domain[~wrong & (cells[:, 0] < 14)] == 1).mean() > 0.98
    domains, walls = domain_tables(found, domain)
    assert domains["variants"].tolist() == [[0, 1], [0, 1]]
    assert domains["direction"].to_numpy() == pytest.approx(0.3, abs=1e-6)
    assert walls["kind"].tolist() == ["antiphase"]
    assert walls["x"].item() == pytest.approx(13.5 * CELL, abs=0.3 * CELL)
    assert walls["angle"].item() == pytest.approx(0, abs=1e-6)


def test_twins_of_lamellae_are_two_patterns():
    cells, xy = sites((30, 40))
    label = np.where(cells[:, 0] < 18, 2 * lamellae(cells, 1), 1 + 2 * lamellae(cells, -1))
    angle = np.pi / 4 + np.pi / 2 * label
    found = measured(xy, label, angle=angle)
    domain, alternates = find_domains(found)
    assert alternates and np.bincount(domain[domain >= 0]).tolist() == [660, 540]
    domains, walls = domain_tables(found, domain)
    assert domains["variants"].tolist() == [[1, 3], [0, 2]]
    assert walls["kind"].tolist() == ["variants"]
    assert walls["angle"].item() == pytest.approx(np.pi / 2)


def test_domains_and_noise_do_not_alternate():
    cells, xy = sites()
    lattice = site_lattice(xy)
    stripes = (cells[:, 0] // 5).astype(int) % 2
    noise = np.random.default_rng(0).integers(0, 2, len(xy))
    assert find_alternation(lattice, stripes) is None
    assert find_alternation(lattice, noise) is None


@pytest.mark.parametrize("width", [0.01, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("turn", [0.0, 0.5])
def test_place_and_width_of_a_wall(width, turn):
    cells, xy = sites((30, 44), turn=turn)
    rng = np.random.default_rng(3)
    across = cells[:, 0] + 0.3 * cells[:, 1] - 26.2
    across /= np.hypot(1, 0.3)
    wave = np.tanh(across / width)
    u = np.stack([0.8 * wave, 0.0 * wave], 1) + rng.normal(0, 0.1, (len(xy), 2))
    label = np.where(np.abs(wave) < 0.5, -1, (across > 0).astype(int))
    found = measured(xy, label, displacement=u, displacement_unit="px", pixel_size=0.1)
    domain, _ = find_domains(found)
    assert (domain == (across > 0)).mean() > 0.97 or (domain == (across < 0)).mean() > 0.97
    _, walls = domain_tables(found, domain)
    assert len(walls) == 1
    wall = walls.iloc[0]
    place = (
        np.array([wall["x"], wall["y"]])
        / CELL
        @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    )
    assert abs((place[0] + 0.3 * place[1] - 26.2) / np.hypot(1, 0.3)) < 0.5
    assert wall["width"] == pytest.approx(width, abs=0.5)
    assert wall["width_std"] < 0.5
    assert wall["narrow"] == (wall["width"] < 0.5)
    length = 0.1 * CELL * 30 * np.hypot(1, 0.3)
    assert wall["length"] == pytest.approx(length, rel=0.06)


@pytest.mark.parametrize(("polarity", "sign"), [(1, 1), (-1, -1)])
def test_walls_head_to_head_are_positive_along_the_polarisation(polarity, sign):
    cells, xy = sites()
    rng = np.random.default_rng(0)
    right = cells[:, 0] >= 15
    u = np.where(right, -1.0, 1.0)[:, None] * [1.0, 0.0] + rng.normal(0, 0.1, (len(xy), 2))
    head = measured(xy, right, displacement=u, displacement_unit="pm")
    _, walls = domain_tables(head, find_domains(head)[0], polarity)
    assert walls["charged"].item() and walls["charge"].item() == sign
    assert abs(walls["jump"].item()) == pytest.approx(2, abs=0.1)
    assert walls["jump_std"].item() < 0.1
    assert walls.attrs["units"]["jump"] == "pm"
    along = measured(xy, right, displacement=u[:, ::-1])
    _, walls = domain_tables(along, find_domains(along)[0], polarity)
    assert not walls["charged"].item() and walls["charge"].item() == 0
    assert "charge" not in domain_tables(along, find_domains(along)[0])[1]


def test_a_wall_that_turns_is_divided():
    cells, xy = sites((30, 30))
    corner = (cells > 14).all(1)
    u = np.where(corner, -1.0, 1.0)[:, None] * [1.0, 0.0]
    u = u + np.random.default_rng(0).normal(0, 0.05, u.shape)
    found = measured(xy, corner, displacement=u)
    _, walls = domain_tables(found, find_domains(found)[0], 1)
    assert len(walls) == 2
    assert sorted(walls["charged"]) == [False, True]


def test_a_layer_without_displacement_is_no_wall():
    cells, xy = sites((24, 40))
    x = cells[:, 0] - 19.5
    wide = np.tanh(x / 4)
    u = np.stack([wide, 0 * wide], 1) + np.random.default_rng(0).normal(0, 0.05, (len(x), 2))
    label = np.where(np.abs(wide) < 0.5, -1, (x > 0).astype(int))
    assert (find_domains(measured(xy, label, displacement=u))[0] >= 0).all()
    layer = np.where(np.abs(x) < 2.2, 0.0, np.sign(x))
    u = np.stack([layer, 0 * layer], 1) + np.random.default_rng(0).normal(0, 0.05, (len(x), 2))
    domain, _ = find_domains(measured(xy, label, displacement=u))
    assert ((domain < 0) == (label < 0)).all()


def test_areas_and_lengths_are_calibrated():
    cells, xy = sites((10, 12))
    label = (cells[:, 0] >= 6).astype(int)
    found = measured(xy, label, pixel_size=0.02, pixel_unit="nm")
    domains, walls = domain_tables(found, find_domains(found)[0])
    assert domains["area"].to_numpy() == pytest.approx(60 * (CELL * 0.02) ** 2, rel=0.01)
    assert walls["length"].item() == pytest.approx(10 * CELL * 0.02, rel=0.02)
    assert domains.attrs["units"]["area"] == "nm²" and walls.attrs["units"]["length"] == "nm"


def test_lengths_and_directions_are_those_in_the_specimen():
    cells, xy = sites(turn=0.3)
    u = np.where(cells[:, [0]] >= 15, -1.0, 1.0) * [np.cos(0.3), np.sin(0.3)]
    square = measured(xy, cells[:, 0] >= 15, displacement=u)
    aspect = (0.5, 2.0)
    flat = measured(xy / aspect, cells[:, 0] >= 15, displacement=u, aspect=aspect)
    domains, walls = domain_tables(square, find_domains(square)[0], 1)
    of_flat = domain_tables(flat, find_domains(flat)[0], 1)
    same = ["n_sites", "area", "direction"]
    np.testing.assert_allclose(of_flat[0][same], domains[same])
    same = ["length", "orientation", "jump", "charge"]
    np.testing.assert_allclose(of_flat[1][same].astype(float), walls[same].astype(float))
    for table, expected in zip(of_flat, (domains, walls), strict=True):
        np.testing.assert_allclose(table[["x", "y"]].to_numpy() * aspect, expected[["x", "y"]])
    segments = of_flat[1]["segments"].item() * aspect
    np.testing.assert_allclose(segments, walls["segments"].item())


def test_a_domain_without_displacements_at_the_border_is_kept_in_silence():
    cells, xy = sites()
    x = cells[:, 0]
    u = np.where(x[:, None] >= 3, -1.0, 1.0) * [1.0, 0.0]
    u[x < 2] = np.nan
    found = measured(xy, np.select([x < 2, x > 3], [0, 1], -1), displacement=u)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        domain, _ = find_domains(found)
        domain_tables(found, domain)
    assert np.bincount(domain).tolist() == [27 * 24, 3 * 24]


def test_a_place_of_the_pattern_without_a_mean_does_not_end_the_profile():
    cells, xy = sites((20, 24))
    wave = np.tanh((cells[:, 0] - 11.5) / 2)
    u = np.column_stack([wave, 0 * wave])
    expected = np.stack([np.full_like(u, one) * [1, 0] for one in (-1.0, 1.0)])
    expected[1, ::50] = np.nan
    wall = find_walls(site_lattice(xy), (wave > 0).astype(int), u, expected)[0]
    assert wall.width == pytest.approx(2, abs=0.2)


def test_a_profile_has_errors_that_cover():
    rng = np.random.default_rng(0)
    x = np.repeat(np.arange(-9.5, 10), 8)
    within = []
    for _ in range(60):
        value = np.tanh((x - 0.2) / 1.5) + rng.normal(0, 0.3, len(x))
        _, width, error = fit_profile(x, value, np.ones(len(x)))
        within.append(abs(width - 1.5) < error)
    assert 0.55 <= np.mean(within) <= 0.85


def broad_wall(cells, width, noise, seed=0):
    """Displacements across a wall of some width at 14.5 cells, and the labels of noisy sites."""
    rng = np.random.default_rng(seed)
    across = np.tanh((cells[:, 0] - 14.5) / width)
    moved = np.column_stack([across, 0 * across]) + noise * rng.standard_normal((len(cells), 2))
    return moved, np.where(np.abs(moved[:, 0]) < 0.3, -1, (moved[:, 0] > 0).astype(int))


@pytest.mark.parametrize("seed", range(3))
def test_a_broad_wall_is_even_though_single_sites_are_in_doubt(seed):
    cells, xy = sites()
    moved, label = broad_wall(cells, 4.0, 0.3, seed)
    domain, _ = find_domains(measured(xy, label, displacement=moved))
    count = np.bincount(domain + 1)
    assert len(count) == 3 and count[0] < 18  # single sites with the label of the other
    right = (cells[:, 0] > 14.5) == (domain == domain[-1])
    assert right.mean() > 0.97
    assert np.abs(count[1:] - 360).max() < 0.03 * 360
    moved[:, 0], label = moved[:, 1], np.maximum(label, 0)  # labels of something else stay
    kept, _ = find_domains(measured(xy, label, displacement=moved), 1)
    assert all(len(np.unique(label[kept == k])) == 1 for k in np.unique(kept))


def test_parts_of_one_variant_that_meet_in_a_wall_are_one_domain():
    cells, xy = sites()
    moved, label = broad_wall(cells, 1.0, 0.0)
    gap = (cells[:, 1] >= 11) & (cells[:, 1] < 13) & (cells[:, 0] > 14)
    label[gap] = -1
    domain, _ = find_domains(measured(xy, label, displacement=moved))
    assert np.unique(domain).tolist() == [0, 1]


def test_thick_walls_of_lamellae_belong_to_the_domains_beside_them():
    cells, xy = sites((30, 40))
    rise = (1 + np.tanh((cells[:, 0] - 19.5) / 4.0))[:, None] / 2
    wells = np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    signs = [2 * lamellae(cells, sign)[:, None] - 1 for sign in (1, -1)]
    moved = signs[0] * wells[0] * (1 - rise) + signs[1] * wells[1] * rise
    clear = np.abs(rise[:, 0] - 0.5) > 0.35
    label = np.where(rise[:, 0] < 0.5, lamellae(cells, 1), 2 + lamellae(cells, -1))
    domain, alternates = find_domains(measured(xy, np.where(clear, label, -1), displacement=moved))
    assert alternates and np.bincount(domain + 1).tolist() == [0, 600, 600]


def test_a_rough_wall_is_measured_with_all_sites_beside_it():
    cells, xy = sites((40, 40))
    rng = np.random.default_rng(0)
    across = np.tanh((cells[:, 0] - 19.5) / 3.0)
    moved = np.column_stack([across, 0 * across])
    rough = (cells[:, 0] + rng.choice([-1, 0, 1], 40)[cells[:, 1].astype(int)] > 19.5).astype(int)
    wall = find_walls(site_lattice(xy), rough, moved)[0]
    assert wall.width == pytest.approx(3.0, abs=0.15)


def test_a_fit_of_a_profile_takes_the_sites_in_any_order():
    """Also where the width is not resolved, and many are equally good."""
    rng = np.random.default_rng(0)
    for width, noise in ((0.1, 0.0), (0.1, 0.1), (1.5, 0.1), (6.0, 0.0)):
        x = np.round(rng.uniform(-14, 14, 150)) + 0.5
        value = np.tanh((x - 0.2) / width) + noise * rng.standard_normal(150)
        order = rng.permutation(150)
        found = fit_profile(x, value, np.ones(150))
        again = fit_profile(x[order], value[order], np.ones(150))
        np.testing.assert_allclose(again, found, rtol=1e-6)


def test_profiles_of_a_fit_are_hyperbolic_tangents():
    x = np.linspace(-90, 90, 101)
    known = np.tanh((x - walls._SHIFTS[:, None]) / walls._WIDTHS[:, None, None])
    np.testing.assert_allclose(walls._waves(x), known, atol=1e-14)
