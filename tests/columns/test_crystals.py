# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crystals of all kinds: every column under a name that means one kind."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import zoom

import hs_rvae
from hs_rvae.columns import autocorrelation
from hs_rvae.columns.holes import steps_from

sys.path.insert(0, str(Path(__file__).parent))
import zoo

SHAPE = (320, 320)


def check(lattice, xy, kinds, distance, shape=SHAPE, found=0.99, wrong=0.005, strays=0):
    share, mixed, stray, names = zoo.judge(lattice, xy, kinds, shape, distance)
    assert share >= found and mixed <= wrong and stray <= strays
    return names


@pytest.mark.slow
@pytest.mark.parametrize("dose", [30, 400])
@pytest.mark.parametrize("name", zoo.CRYSTALS)
def test_every_kind_has_names_of_its_own(name, dose):
    image, xy, kinds = zoo.simulate(name, 16, SHAPE, dose, seed=1, jitter=0.3)
    lattice = hs_rvae.find_sublattices(image)
    names = check(lattice, xy, kinds, 16)
    assert len(names) <= len(zoo.CRYSTALS[name][1])
    places = lattice.crystal.places
    assert [place.name for place in places] == names
    assert places[0].position == (0, 0) and len(lattice.crystal.grains) == 1
    assert sum(place.count for place in places) == lattice.crystal.grains[0].count


@pytest.mark.parametrize("name", ["graphene", "1H layer"])
def test_holes_of_honeycombs_are_no_dark_columns(name):
    for dark in (False, True):
        image, xy, kinds = zoo.simulate(name, 18, SHAPE, seed=2, dark=dark)
        lattice = hs_rvae.find_sublattices(image)
        check(lattice, xy, kinds, 18)
        assert lattice.sublattice_list[0].column_table.attrs["dark"] == dark


@pytest.mark.parametrize(
    ("name", "shift"), [("hexagonal", (0.5, 0.5)), ("hexagonal", (0, 0.5)), ("graphene", (0.5, 0))]
)
def test_an_antiphase_boundary_parts_two_grains(name, shift):
    halves = [
        zoo.crystal(name, 16, SHAPE, region=lambda x, y: x < 160),
        zoo.crystal(name, 16, SHAPE, region=lambda x, y: x >= 160, shift=shift),
    ]
    xy, kinds, heights = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    lattice = hs_rvae.find_sublattices(zoo.image_of(xy, heights, 3.2, SHAPE, 100))
    check(lattice, xy, kinds, 16)
    assert len(lattice.crystal.grains) == 2
    table = lattice.sublattice_list[0].column_table
    left, right = (
        np.bincount(table.grain[side]).argmax() for side in (table.x < 150, table.x > 170)
    )
    assert left != right


def test_an_antiphase_boundary_that_exchanges_kinds_parts_grains_and_inverted_layers_do_not():
    halves = [
        zoo.crystal("perovskite 001", 16, SHAPE, region=lambda x, y: x < 160),
        zoo.crystal("perovskite 001", 16, SHAPE, region=lambda x, y: x >= 160, shift=(0.5, 0.5)),
    ]
    xy, kinds, heights = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    lattice = hs_rvae.find_sublattices(zoo.image_of(xy, heights, 3.2, SHAPE, 100))
    assert check(lattice, xy, kinds, 16) == ["A", "B"]
    assert len(lattice.crystal.grains) == 2
    # The same contrast, but the bright columns of one side are fainter than those of the other.
    heights = np.where(xy[:, 0] < 160, heights, 0.7 * heights)
    lattice = hs_rvae.find_sublattices(zoo.image_of(xy, heights, 3.2, SHAPE, 100))
    assert len(lattice.crystal.grains) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_two_grains_with_oxygen_seen_have_the_same_names(seed):
    name, shape = "perovskite 001, O seen", (400, 400)
    halves = [
        zoo.crystal(name, 16, shape, turn=0, region=lambda x, y: x < 192),
        zoo.crystal(name, 16, shape, turn=17, region=lambda x, y: x >= 208),
    ]
    xy, kinds, heights = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    image = zoo.image_of(xy, heights, 2.6, shape, 200, seed=seed)
    lattice = hs_rvae.find_sublattices(image)
    assert len(check(lattice, xy, kinds, 16, shape, found=0.98)) == 4
    assert len(lattice.crystal.grains) == 2


@pytest.mark.slow
def test_a_grain_that_is_turned_has_the_same_names():
    halves = [
        zoo.crystal("perovskite 001", 16, (400, 400), region=lambda x, y: x < 196),
        zoo.crystal("perovskite 001", 16, (400, 400), turn=32, region=lambda x, y: x >= 204),
    ]
    xy, kinds, heights = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    lattice = hs_rvae.find_sublattices(zoo.image_of(xy, heights, 3.2, (400, 400), 100))
    names = check(lattice, xy, kinds, 16, (400, 400), found=0.98, wrong=0.01, strays=2)
    assert names == ["A", "B"] and len(lattice.crystal.grains) == 2


@pytest.mark.slow
@pytest.mark.parametrize("order", [0, 1])
def test_the_period_of_the_crystal_wins_over_the_pixels(order):
    image, xy, kinds = zoo.simulate("perovskite 001", 12, (240, 240), 400)
    grey = np.round(255 * image / image.max())
    large = zoom(grey, 3, order=order, grid_mode=True, mode="nearest").round().astype(np.uint8)
    check(hs_rvae.find_sublattices(large), 3 * xy + 1, kinds, 36, large.shape)


def test_few_pixels_between_columns_are_warned_of_and_too_few_refused(caplog):
    image, _, _ = zoo.simulate("hexagonal", 7, (160, 160), 400)
    with caplog.at_level(logging.WARNING, "hs_rvae"):
        lattice = hs_rvae.find_sublattices(image)
    assert "px apart" in caplog.text and lattice.crystal.cautions
    image, _, _ = zoo.simulate("hexagonal", 4.4, (160, 160), 400)
    with pytest.raises(ValueError, match=r"only 4.\d* px apart.*zoom"):
        hs_rvae.find_sublattices(image)


def test_all_columns_are_found_without_a_lattice():
    image, xy, _ = zoo.simulate("tungsten bronze", 16, SHAPE, seed=3)
    table = hs_rvae.find_columns(image)
    inner = ((xy > 16) & (xy < 303)).all(axis=1)
    distance = zoo.cKDTree(table[["x", "y"]]).query(xy[inner])[0]
    assert (distance < 2).mean() > 0.99
    assert {"amplitude", "sigma_x", "x_std", "status"} <= set(table.columns)
    stack = hs_rvae.SubImageStack.from_positions(image, table[["x", "y"]], window_size=16)
    assert len(stack.sites) > 200
    with pytest.raises(ValueError, match="method='unet' is unknown"):
        hs_rvae.find_columns(image, method="unet")


@pytest.mark.parametrize("name", zoo.CRYSTALS)
def test_the_columns_of_every_other_place_enclose_a_hole(name):
    cell, sites = zoo.CRYSTALS[name]
    cell, offsets = np.array(cell), np.array([site[:2] for site in sites]) % 1
    for place in range(len(offsets)):
        goals, cells = steps_from(place, offsets, cell)
        for other in set(range(len(offsets))) - {place}:
            steps = (cells + offsets[goals] - offsets[place])[goals == other] @ cell
            angles = np.sort(np.arctan2(steps[:, 1], steps[:, 0]))
            gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
            assert gaps.max() < np.deg2rad(186)


@pytest.mark.parametrize("turn", [0, 11.3])
def test_faint_columns_between_touching_ones_are_found(turn):
    image, _ = hs_rvae.simulation.simulate_crystal(
        (260, 260), "1T layer", spacing=16, column_width=0.26, dose=400, rotation=turn,
        random_state=0,
    )  # fmt: skip
    sublattices = hs_rvae.find_sublattices(image).sublattice_list
    assert [sublattice.name for sublattice in sublattices] == ["A", "B", "C"]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [dict(strain=0.05), dict(b_amplitude=0.8)])
def test_kinds_of_strained_crystals_and_of_near_equal_columns(settings, compare):
    image, truth = hs_rvae.simulation.simulate_perovskite((512, 512), random_state=3, **settings)
    found = compare(hs_rvae.find_sublattices(image), truth, image.data.shape)
    assert (found.wrong, found.stray) == (0, 0) and min(found.A, found.B) > 0.98


def test_another_phase_has_places_of_its_own():
    simulate = hs_rvae.simulation.simulate_perovskite
    one, _ = simulate((320, 320), random_state=0)
    other, _ = simulate((320, 320), random_state=1, cell=22, rotation=20, one_sublattice=True)
    lattice = hs_rvae.find_sublattices(np.hstack([one.data[:, :160], other.data[:, 160:]]))
    grains = [set(each.column_table.grain) for each in lattice.sublattice_list]
    assert len(lattice.crystal.grains) == 2 and grains[0] == grains[1] != grains[2]
    assert [place.name for place in lattice.crystal.places] == ["A", "B", "C"]


@pytest.mark.parametrize("width", [0.14, 0.2, 0.28])
def test_touching_columns_of_one_kind_have_no_others_between_them(width):
    xy, _, heights = zoo.crystal("hexagonal", 22, (240, 240))
    image = zoo.image_of(xy, heights, width * 22, (240, 240), 400)
    assert len(hs_rvae.find_sublattices(image).sublattice_list) == 1


def test_cells_that_fit_no_tile_are_found(monkeypatch):
    monkeypatch.setattr(autocorrelation, "TILE", 160)
    image, xy, kinds = zoo.simulate("tungsten bronze", 16, SHAPE, 400, seed=1)
    check(hs_rvae.find_sublattices(image), xy, kinds, 16)


def test_too_few_columns_to_order_are_named(caplog):
    image, _ = hs_rvae.simulation.simulate_perovskite((80, 80), random_state=0)
    lattice = hs_rvae.find_sublattices(image)
    assert "are too few to decide whether every other one is of another kind" in caplog.text
    assert len(lattice.sublattice_list) == len(lattice.crystal.cautions) == 1


@pytest.mark.slow
def test_two_phases_that_one_larger_cell_explains_are_warned_of():
    image, _ = hs_rvae.simulation.simulate_crystal(
        (420, 620), "perovskite [001]", second_phase="fluorite [110]", dose=100, random_state=1
    )
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    apart = len(lattice.crystal.grains) > 1
    assert apart or any("two phases: crop" in text for text in lattice.crystal.cautions)
