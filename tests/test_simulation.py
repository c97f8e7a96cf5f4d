# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the simulator says it made is what is in the image."""

import dataclasses
import inspect

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from hs_rvae.simulation import (
    compare_angles,
    simulate_hexagonal,
    simulate_perovskite,
    simulate_series,
)
from hs_rvae.simulation.distortions import dislocation_field
from hs_rvae.simulation.film_settings import FilmSettings


def test_the_image_is_calibrated_and_in_counts():
    image, truth = simulate_perovskite((200, 260), pixel_size=0.02, random_state=0)
    assert image.data.shape == (200, 260)
    x, y = image.axes_manager.signal_axes
    assert (x.name, x.units, x.scale) == ("x", "nm", 0.02) and y.scale == 0.02
    assert np.array_equal(image.data, np.round(image.data))
    assert truth.b_sites.x.max() <= 259 and truth.b_sites.y.max() <= 199


def test_columns_are_where_the_truth_says():
    image, truth = simulate_perovskite(
        (300, 400), dose=np.inf, scan_jitter=0, tilt=0, rotation=11, random_state=3
    )
    for table in (truth.a_sites, truth.b_sites):
        inner = table[table.x.between(10, 389) & table.y.between(10, 289)]
        # The gradient of the image vanishes on a column, but for its neighbours' tails.
        here = inner[["y", "x"]].to_numpy().T
        step = 0.5
        for axis in (0, 1):
            move = np.zeros((2, 1))
            move[axis] = step
            after, before = (map_coordinates(image.data, here + s * move, order=3) for s in (1, -1))
            curvature = 2 * map_coordinates(image.data, here, order=3) - after - before
            off = (after - before) / (2 * step) / (curvature / step**2)
            assert np.abs(off).max() < 0.35
            assert np.abs(off).mean() < 0.12


def test_dose_is_the_counts_at_the_peak_of_an_a_column():
    image, truth = simulate_perovskite(
        (400, 400), dose=500, thickness_gradient=0, tilt=0, random_state=0
    )
    inner = truth.a_sites[truth.a_sites.x.between(5, 394) & truth.a_sites.y.between(5, 394)]
    peak = image.data[inner.y.round().astype(int), inner.x.round().astype(int)]
    # Background 0.2 and the tails of the neighbours come on top.
    assert 1.1 * 500 < np.median(peak) < 1.35 * 500


def test_displacements_have_the_length_and_the_directions_asked_for():
    shift = 2.0
    _, truth = simulate_perovskite((900, 900), shift=shift, rotation=20, random_state=1)
    b = truth.b_sites[truth.interior()]
    length = np.hypot(b.displacement_x, b.displacement_y)
    assert np.allclose(length, shift, rtol=0.02)
    assert np.allclose(
        np.exp(1j * np.arctan2(b.displacement_y, b.displacement_x)), np.exp(1j * b.angle), atol=0.03
    )
    wells = np.sort(np.degrees(np.unique(b.angle)) % 360)
    assert np.allclose(wells, [65, 155, 245, 335])


def test_b_stands_off_its_neighbours_by_the_displacement():
    from hs_rvae.neighbours import displacement

    _, truth = simulate_perovskite((500, 500), strain=0, disorder=0, random_state=2)
    inner = truth.b_sites[truth.b_sites.edge_distance > 1.5]
    measured = displacement(inner[["x", "y"]].to_numpy(), truth.a_sites[["x", "y"]].to_numpy())
    assert np.allclose(measured, inner[["displacement_x", "displacement_y"]], atol=1e-6)


def test_the_non_polar_disk_has_the_share_asked_for():
    _, truth = simulate_perovskite((1000, 1000), nonpolar=0.25, random_state=0)
    b = truth.b_sites
    assert (b.variant == -1).mean() == pytest.approx(0.25, abs=0.02)
    assert b.angle[b.variant == -1].isna().all()
    core = (b.variant == -1) & (b.wall_distance > 2)
    assert b.order[core].max() < 0.05


def test_seeds_decide():
    one, two, other = (simulate_perovskite((150, 150), random_state=s)[0].data for s in (0, 0, 1))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


@pytest.mark.parametrize("n_variants", [3, 6])
def test_hexagonal_variants_are_equally_spaced(n_variants):
    _, truth = simulate_hexagonal((700, 700), n_variants=n_variants, domain_size=7, random_state=0)
    wells = np.sort(np.degrees(truth.b_sites.angle.unique()) % 360)
    assert np.allclose(np.diff(wells), 360 / n_variants)
    from scipy.spatial import cKDTree

    inner = truth.b_sites[truth.b_sites.edge_distance > 1.5]
    distance, _ = cKDTree(truth.a_sites[["x", "y"]]).query(inner[["x", "y"]], k=7)
    assert distance[:, 5].max() < 1.25 * 26 / np.sqrt(3) < distance[:, 6].min()  # six A around B


def test_compare_angles_is_blind_to_one_offset_and_sees_everything_else():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 400) * np.pi / 2 - 0.3
    found = true + 2.0 + np.radians(3) * rng.standard_normal(400)
    result = compare_angles(found, true, 4)
    assert result["ari"] == 1 and result["share_right"] == 1
    assert result["mean_error"] == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.15)
    wrong = found.copy()
    wrong[:40] += np.pi / 2
    result = compare_angles(wrong, true, 4)
    assert result["share_right"] == pytest.approx(0.9) and result["ari"] < 0.85
    assert compare_angles(rng.uniform(-3, 3, 400), true, 4)["ari"] < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate_perovskite(n_variants=3), "n_variants=3: a square lattice has 2 or 4"),
        (lambda: simulate_hexagonal(n_variants=4), "n_variants=4: a hexagonal lattice has 3 or 6"),
        (lambda: simulate_perovskite(cell=0), "cell=0: give a positive number"),
        (lambda: simulate_perovskite(dose=-1), "dose=-1"),
    ],
)
def test_impossible_crystals_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("simulate", "name"),
    [(simulate_hexagonal, "colour"), (simulate_series, "colour"), (simulate_series, "tilt")],
)
def test_unknown_parameters_of_other_crystals_and_series_are_refused(simulate, name):
    with pytest.raises(TypeError, match=rf"has no option {name}; it has a"):
        simulate(**{name: 0.1})


def test_other_crystals_have_the_defaults_of_the_perovskite():
    in_signature = inspect.signature(simulate_perovskite).parameters
    for field in dataclasses.fields(FilmSettings):
        assert in_signature[field.name].default == field.default, field.name
    assert {"shape"} == set(in_signature) - {
        field.name for field in dataclasses.fields(FilmSettings)
    }


def test_options_that_are_not_used_change_nothing():
    plain, _ = simulate_perovskite((120, 140), random_state=5)
    same, _ = simulate_perovskite(
        (120, 140), aspect=1.0, b_amplitude=0.35, layers=None, vacuum=0.0, dark=False,
        one_sublattice=False, dislocation=None, random_state=5,
    )  # fmt: skip
    assert np.array_equal(plain.data, same.data)


def test_b_columns_can_be_faint_or_missing():
    quiet = dict(chemistry=0.0, thickness_gradient=0.0, random_state=1)
    _, faint = simulate_perovskite((200, 200), b_amplitude=0.1, **quiet)
    ratio = faint.b_sites.amplitude.mean() / faint.a_sites.amplitude.mean()
    assert abs(ratio - 0.1) < 0.005  # columns scatter by 5 %, about 60 of them
    _, lone = simulate_perovskite((200, 200), one_sublattice=True, **quiet)
    assert len(lone.b_sites) == 0 and len(lone.a_sites) > 40


def test_a_rectangular_cell_is_longer_along_its_second_edge():
    _, truth = simulate_perovskite((300, 300), cell=20, aspect=1.5, strain=0, random_state=2)
    xy = truth.a_sites[["x", "y"]].to_numpy()
    steps = xy - xy[np.hypot(*(xy - 150).T).argmin()]
    right = steps[(np.abs(steps[:, 1]) < 3) & (steps[:, 0] > 3)][:, 0].min()
    down = steps[(np.abs(steps[:, 0]) < 3) & (steps[:, 1] > 3)][:, 1].min()
    assert abs(right - 20) < 0.5 and abs(down - 30) < 0.5  # disorder is 0.05 px


def test_layers_follow_the_second_edge_and_can_invert_the_contrast():
    _, truth = simulate_perovskite(
        (400, 300), cell=20, rotation=15, layers=[(3, 1.0, 0.2), (2, 0.3, 0.6)], strain=0,
        chemistry=0, thickness_gradient=0, random_state=3,
    )  # fmt: skip
    down = np.array([-np.sin(np.radians(15)), np.cos(np.radians(15))])
    for table, heights in ((truth.a_sites, (1.0, 0.3)), (truth.b_sites, (0.2, 0.6))):
        along = table[["x", "y"]].to_numpy() @ down / 20
        first = np.abs(table.amplitude - heights[0]) < np.abs(table.amplitude - heights[1])
        # Along the edge, every fifth row has the height of the row where the count starts.
        row = np.round(along - along[0]).astype(int) % 5
        shares = np.array([first[row == n].mean() for n in range(5)])
        assert sorted(np.round(shares)) == [0, 0, 1, 1, 1]
        assert np.abs(shares - np.round(shares)).max() < 0.02


def test_vacuum_is_empty_and_dark_crystals_are_bright_there():
    options = dict(vacuum=0.4, dose=np.inf, scan_jitter=0, random_state=4)
    image, truth = simulate_perovskite((150, 300), **options)
    assert truth.a_sites.x.max() < 0.62 * 300
    empty = image.data[:, 250:]
    assert np.ptp(empty) < 1e-3 and empty.mean() < 0.03
    dark, _ = simulate_perovskite((150, 300), dark=True, **options)
    bright = image.data < 1.2
    np.testing.assert_allclose((dark.data + image.data)[bright], 1.3, rtol=1e-5)


def test_around_a_dislocation_the_crystal_closes_but_for_one_cell():
    core, turn = np.array([200.0, 210.0]), np.radians(30)
    edge, normal = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    # Either side of the glide plane, before and behind the core.
    for side, burgers in ((-1, 20 * edge), (1, np.zeros(2))):
        points = core + side * 90 * edge + np.array([[0.001], [-0.001]]) * normal
        below, above = dislocation_field(points, core, cell=20, rotation=30)
        np.testing.assert_allclose(below - above, burgers, atol=0.01)
    plain, crossed = (
        simulate_perovskite((420, 400), dislocation=where, strain=0, random_state=6)[1].a_sites
        for where in (None, core)
    )
    nearest = [
        cKDTree(xy).query(xy, k=2)[0][:, 1] for xy in (t[["x", "y"]] for t in (plain, crossed))
    ]
    # Beside the core columns are squeezed together by b / (4 pi r), far from it they are as before.
    assert nearest[1].min() < 0.95 * nearest[0].min()
    assert np.hypot(*(crossed[["x", "y"]].to_numpy()[nearest[1].argmin()] - core)) < 3 * 26
    assert abs(np.median(nearest[1]) - np.median(nearest[0])) < 0.5


@pytest.mark.parametrize("setting", [{"vacuum": 1.0}, {"vacuum": -0.1}, {"aspect": 0.0}])
def test_impossible_options_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        simulate_perovskite((64, 64), **setting)
