# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A common zero for the angles, and variants where they are defined."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import hs_rvae


def fitted(make_film, seed=0, **settings):
    """A film whose stack has angles, and the true displacements as columns."""
    film = make_film(seed, **{"n_cells": 32, "cell": 18.0, "domain_size": 9, **settings})
    film.stack.rvae(output_dimension=1, epochs=2, random_state=seed)
    names = ["displacement_x", "displacement_y"]
    film.stack.sites.set_many(
        {name: film.sites[name].to_numpy() for name in names}, units=dict.fromkeys(names, "px")
    )
    return film


@pytest.fixture(scope="module")
def polar_film(make_film):
    return fitted(make_film, nonpolar=0.25)


@pytest.fixture
def stack(polar_film):
    return polar_film.stack.deepcopy()


def circular_error(a, b):
    return np.degrees(np.abs(np.angle(np.exp(1j * (a - b)))))


def test_registered_angles_are_directions_of_displacement(polar_film, stack):
    offset, resultant = stack.register_angle("displacement")
    assert resultant > 0.95
    inside = polar_film.interior
    error = circular_error(stack.sites["angle"][inside], polar_film.true_angle[inside])
    assert error.mean() < 2
    again, _ = stack.register_angle("displacement")
    assert abs(again) < 1e-6  # nothing left to do


def test_registering_to_a_direction_turns_the_commonest_angle_there(stack):
    stack.register_angle(np.pi / 4)
    angle = stack.sites["angle"][stack.sites["order_amplitude"] > 0.5]
    near = circular_error(angle, np.pi / 4) < 10
    assert near.mean() > 0.25
    assert np.median(circular_error(angle[near], np.pi / 4)) < 1


def test_angles_and_displacements_that_disagree_are_not_registered(stack, caplog):
    rng = np.random.default_rng(0)
    before = stack.sites["angle"].copy()
    stack.sites["displacement_x"] = rng.standard_normal(len(before))
    stack.sites["displacement_y"] = rng.standard_normal(len(before))
    offset, resultant = stack.register_angle("displacement")
    assert offset == 0 and np.isnan(resultant)
    assert "disagree (resultant length 0.0" in caplog.text
    np.testing.assert_array_equal(stack.sites["angle"], before)


def test_variants_agree_with_the_truth_and_stay_undefined_where_nothing_is_polar(polar_film, stack):
    assert stack.assign_variants(n_variants=4) == 4
    variant, sites = stack.sites["variant"], polar_film.sites
    assert variant.dtype == np.int64
    inside = polar_film.interior
    assert (variant[inside] == -1).mean() <= 0.03
    core = ((sites["variant"] == -1) & (sites["wall_distance"] > 2)).to_numpy()
    assert (variant[core] == -1).mean() >= 0.90
    keep = inside & (variant >= 0)
    assert adjusted_rand_score(sites["variant"][keep], variant[keep]) >= 0.98
    assert stack.sites.units["variant_residual"] == "rad"
    assert np.isnan(stack.sites["variant_residual"][variant == -1]).all()
    assert np.nanmax(np.abs(stack.sites["variant_residual"])) <= np.pi / 4 + 1e-6


def test_the_number_of_variants_is_counted(stack):
    assert stack.assign_variants() == 4


def test_variants_after_registration_count_from_the_direction_given(polar_film, stack):
    stack.register_angle("displacement")
    stack.assign_variants(4, origin=np.radians(45))
    inside = polar_film.interior & (stack.sites["variant"] >= 0)
    # The film's variant 0 points along 45 degrees, and they are counted clockwise.
    assert (stack.sites["variant"][inside] == polar_film.sites["variant"][inside]).mean() > 0.98


def test_registering_again_takes_the_variants_away(stack):
    stack.assign_variants(4)
    stack.register_angle(0.0)
    assert "variant" not in stack.sites and "variant_residual" not in stack.sites


@pytest.mark.parametrize("seed", [0, 1])
def test_a_crystal_without_displacement_has_no_variants(make_film, caplog, seed):
    film = fitted(make_film, seed=seed, shift=0.0, nonpolar=0.0, tilt=0.0)
    film.stack.assign_variants(n_variants=4)
    variant = film.stack.sites["variant"]
    assert (variant == -1).mean() >= 0.95
    assert "No variants" in caplog.text


def test_order_amplitude_is_about_one_where_polar_and_zero_where_not(polar_film, stack):
    amplitude, std = stack.sites["order_amplitude"], stack.sites["order_amplitude_std"]
    sites = polar_film.sites
    core = ((sites["variant"] == -1) & (sites["wall_distance"] > 2)).to_numpy()
    assert 0.9 < np.median(amplitude[polar_film.interior]) < 1.25
    # Each site takes the angle that fits it best, which biases nothing upwards a little.
    assert abs(np.median(amplitude[core])) < 0.2
    assert 0.7 < amplitude[core].std() / np.median(std) < 1.4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.assign_variants(0), "n_variants=0: give a whole number or 'auto'"),
        (lambda s: s.assign_variants(2.5), "n_variants=2.5"),
        (lambda s: s.assign_variants(4, motif_symmetry=0), "motif_symmetry=0"),
        (lambda s: s.register_angle("motif"), "reference='motif'"),
        (lambda s: s.isig[2:-2, 2:-2]._sites_with("none", "verb()"), "no column 'none'; verb"),
    ],
)
def test_unusable_requests_are_refused(stack, call, message):
    with pytest.raises(ValueError, match=message):
        call(stack)


def test_angles_come_first(make_film):
    stack = make_film(3, n_cells=12, cell=18.0).stack
    for call in (stack.register_angle, stack.assign_variants):
        with pytest.raises(ValueError, match=r"no column 'angle'; stack.rvae\(\) writes it"):
            call()


# Motifs that look the same when turned


@pytest.fixture(scope="module")
def grains(make_film):
    """Two grains of an undistorted square lattice, 45 degrees apart; the grain of each site."""
    settings = {"n_cells": 22, "cell": 18.0, "shift": 0.0, "nonpolar": 0.0, "tilt": 0.0}
    films = [make_film(seed, rotation=45.0 * seed, **settings) for seed in range(2)]
    stack = hs_rvae.stack([film.stack for film in films])
    stack.rvae(output_dimension=1, epochs=2, random_state=0)
    return stack, stack.sites["image"]


@pytest.mark.parametrize("n_variants", [2, "auto"])
def test_grains_of_a_symmetric_motif_are_variants_up_to_its_turns(grains, n_variants):
    stack, grain = grains
    stack = stack.deepcopy()
    assert stack.rvae_model.lattice_symmetry_ == 4
    stack.assign_variants(2)  # angles are known up to 90 degrees: none is defined
    assert (stack.sites["variant"] == -1).mean() > 0.95
    assert stack.assign_variants(n_variants, motif_symmetry=4) == 2
    variant = stack.sites["variant"]
    assert (variant == -1).mean() < 0.01
    assert adjusted_rand_score(grain, variant) > 0.99
    assert np.abs(stack.sites["variant_residual"]).max() <= np.pi / 8 + 1e-6
    assert np.degrees(np.median(np.abs(stack.sites["variant_residual"]))) < 2


def test_the_origin_of_a_symmetric_motif_is_a_direction(grains):
    stack = grains[0].deepcopy()
    stack.assign_variants(2, motif_symmetry=4)
    before = stack.sites["variant"]
    first = stack.sites["angle"][before == 1][0]
    stack.assign_variants(2, motif_symmetry=4, origin=first)
    np.testing.assert_array_equal(stack.sites["variant"], 1 - before)


def test_dumbbells_have_half_a_circle():
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=300)
    y, x = np.mgrid[:32, :32] - 15.5
    direction = np.radians(20) + np.pi / 3 * kind + np.pi * rng.integers(2, size=300)
    u = np.stack([np.cos(direction), np.sin(direction)])[:, :, None, None]
    images = sum(
        np.exp(-((x - s * u[0]) ** 2 + (y - s * u[1]) ** 2) / 2 / 2.5**2) for s in (-5.0, 5.0)
    )
    images += 0.05 * rng.standard_normal(images.shape)
    image = np.block([[images[20 * j + i] for i in range(20)] for j in range(15)])
    grid = np.stack(np.meshgrid(32 * np.arange(20) + 15.5, 32 * np.arange(15) + 15.5), -1)
    stack = hs_rvae.SubImageStack.from_positions(image, grid.reshape(-1, 2), window_size=32)
    stack.rvae(output_dimension=1, epochs=1, random_state=0)
    assert stack.assign_variants("auto", motif_symmetry=2) == 3
    assert adjusted_rand_score(kind[stack.sites["site_index"]], stack.sites["variant"]) > 0.99


def test_a_symmetric_motif_needs_the_model(grains, tmp_path):
    import hyperspy.api as hs

    grains[0].save(tmp_path / "grains.hspy")
    stack = hs.load(tmp_path / "grains.hspy")
    with pytest.raises(RuntimeError, match=r"apply_rvae\(path\)"):
        stack.assign_variants(2, motif_symmetry=4)


def test_angles_that_are_alike_where_displacements_turn_are_warned_of(stack, caplog):
    stack.sites["angle"] = np.full(len(stack.sites), 0.3)
    stack.register_angle("displacement", least_resultant=0, overwrite=True)
    assert "stack.rvae(subtract_average=True) takes it away" in caplog.text


def test_weak_distortions_count_if_angles_follow_displacements(stack, caplog):
    stack.sites["order_amplitude_std"] = np.full(len(stack.sites), 0.2)  # 5 standard deviations
    assert stack.assign_variants() == 4
    stack.sites.remove("displacement_x", "displacement_y")
    assert stack.assign_variants() == 0
    assert "No variants" in caplog.text


def test_displacements_of_zero_give_no_direction(stack, caplog):
    stack.sites["displacement_x"] = stack.sites["displacement_y"] = np.zeros(len(stack.sites))
    assert np.isnan(stack.register_angle("displacement")[1])
    assert "all displacements are 0" in caplog.text


def test_without_displacements_nothing_is_registered(stack, caplog):
    stack.sites.remove("displacement_x", "displacement_y")
    before = stack.sites["angle"]
    offset, resultant = stack.register_angle("displacement")
    assert offset == 0 and np.isnan(resultant)
    assert "need neighbours= when the stack is made" in caplog.text
    stack.sites.set("order_amplitude", np.zeros(len(before)))
    for reference in ("displacement", 0.5):
        assert np.isnan(stack.register_angle(reference)[1])
    assert "no site has a defined angle" in caplog.text
    np.testing.assert_array_equal(stack.sites["angle"], before)
