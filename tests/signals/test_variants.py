# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A common zero for the angles, and variants where they are defined."""

import re

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
    # Seed 0 has a domain narrower than its wall, whose true direction is that of no variant.
    return fitted(make_film, seed=3, nonpolar=0.25, position_noise=0.0)


@pytest.fixture
def stack(polar_film):
    return polar_film.stack.deepcopy()


def circular_error(a, b):
    return np.degrees(np.abs(np.angle(np.exp(1j * (a - b)))))


def test_angles_of_a_distortion_are_directions_of_displacement(polar_film, stack, caplog):
    before, inside = stack.sites["angle"], polar_film.interior
    assert stack.rvae_verdict.kind == "variants" and stack.rvae_verdict.rotation == "distortion"
    error = circular_error(before[inside], polar_film.true_angle[inside])
    assert error.mean() < 2
    stack.assign_variants()
    offset, agreement = stack.register_angle("displacement")
    # Nothing is turned, so that variants stay; the agreement is that of angles and displacements.
    assert offset == 0 and "variant" in stack.sites
    np.testing.assert_array_equal(stack.sites["angle"], before)
    sites = stack.sites
    x, y, good = sites["displacement_x"], sites["displacement_y"], sites["order_amplitude"] >= 0.5
    cosine = np.cos(before - np.arctan2(y, x))
    expected = np.average(cosine[good], weights=np.hypot(x, y)[good])
    assert agreement == pytest.approx(expected, abs=1e-3) and agreement > 0.95
    assert not caplog.text


def test_registering_to_a_direction_turns_the_most_frequent_angle_there(stack):
    stack.register_angle(np.pi / 4)
    angle = stack.sites["angle"][stack.sites["order_amplitude"] > 0.5]
    near = circular_error(angle, np.pi / 4) < 10
    assert near.mean() > 0.25
    # The commonest angle itself: sites scatter about it by the disorder of their columns.
    mean = np.angle(np.exp(1j * angle[near]).mean())
    assert circular_error(mean, np.pi / 4) < 1
    assert np.median(circular_error(angle[near], np.pi / 4)) < 2


def test_a_number_moves_the_zero_and_comes_back(stack):
    before = stack.sites["angle"]
    offset, _ = stack.register_angle(2.0)
    assert circular_error(stack.sites["angle"], before - offset).max() < 1e-6
    _, agreement = stack.register_angle("displacement")
    assert stack.metadata.Sub_images.rvae.angle_offset == pytest.approx(offset)
    # Moved by hand, the angles are no directions any more, and that is what is found.
    assert np.isnan(agreement) or agreement == pytest.approx(np.cos(offset), abs=0.05)


def test_angles_and_displacements_that_disagree_are_not_registered(stack, caplog):
    rng = np.random.default_rng(0)
    before = stack.sites["angle"].copy()
    stack.sites["displacement_x"] = rng.standard_normal(len(before))
    stack.sites["displacement_y"] = rng.standard_normal(len(before))
    offset, resultant = stack.register_angle("displacement")
    assert offset == 0 and np.isnan(resultant)
    assert re.search(r"disagree \(resultant length -?0\.0", caplog.text)
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


def test_the_number_of_variants_is_counted(polar_film, stack):
    assert stack.assign_variants() == 4
    inside = polar_film.interior & (stack.sites["variant"] >= 0)
    # Numbered by direction: 45, 135, 225 and 315 degrees.
    true = polar_film.sites["variant"].to_numpy()
    assert (stack.sites["variant"][inside] == true[inside]).mean() > 0.98


def test_variants_count_from_the_direction_given(polar_film, stack):
    inside, true = polar_film.interior, polar_film.sites["variant"].to_numpy()
    # The film's variant 0 points along 45 degrees, and they are counted clockwise.
    for n_variants, direction in ((4, 45), (4, 225), ("auto", 140)):
        stack.assign_variants(n_variants, origin=np.radians(direction))
        keep = inside & (stack.sites["variant"] >= 0)
        first = round((direction - 45) / 90)
        assert (stack.sites["variant"][keep] == (true[keep] - first) % 4).mean() > 0.98


def test_another_zero_takes_the_variants_away(stack):
    stack.assign_variants(4)
    stack.register_angle(0.0)
    with pytest.raises(ValueError, match=r"no variants; stack.assign_variants\(\) finds them"):
        len(stack.variants)
    assert "variant" not in stack.sites and "variant_residual" not in stack.sites


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_crystal_without_displacement_has_no_variants(make_film, caplog, seed):
    stack = fitted(make_film, seed=seed, shift=0.0, nonpolar=0.0, tilt=0.0).stack
    assert stack.rvae_verdict.kind == "nothing" and not stack.rvae_verdict.found
    assert (stack.sites["order_amplitude"] == 0).all()
    np.testing.assert_allclose(stack.sites["angle_std"], np.pi / np.sqrt(3), rtol=1e-5)
    for options in ({}, {"n_variants": 4}, {"n_variants": 4, "least_order": 0.0, "origin": 0.5}):
        caplog.clear()
        assert stack.assign_variants(**options) == 0
        assert (stack.sites["variant"] == -1).all() and not len(stack.variants)
        assert np.isnan(stack.sites["variant_residual"]).all()
        assert "No variants: no distortion stands out from the noise (stack.rvae" in caplog.text
    angle = stack.sites["angle"]
    for reference in ("displacement", "template", 0.3):
        caplog.clear()
        offset, resultant = stack.register_angle(reference)
        assert offset == 0 and np.isnan(resultant)
        assert "no site has a defined angle; stack.rvae_verdict gives" in caplog.text
    np.testing.assert_array_equal(stack.sites["angle"], angle)
    with pytest.raises(ValueError, match="nothing to turn back. No distortion stands out"):
        stack.derotate()


def test_order_amplitude_is_about_one_where_polar_and_zero_where_not(polar_film, stack):
    amplitude, std = stack.sites["order_amplitude"], stack.sites["order_amplitude_std"]
    sites = polar_film.sites
    core = ((sites["variant"] == -1) & (sites["wall_distance"] > 2)).to_numpy()
    assert 0.9 < np.median(amplitude[polar_film.interior]) < 1.25
    # A length of two components, each with that error.
    spread = np.sqrt(np.mean(amplitude[core] ** 2) / 2)
    assert 0.7 < spread / np.median(std) < 1.4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.assign_variants(0), "n_variants=0: give a whole number or 'auto', 36 at most"),
        (lambda s: s.assign_variants(2.5), "n_variants=2.5: give a whole number"),
        (lambda s: s.assign_variants(True), "n_variants=True: give a whole number"),
        (lambda s: s.assign_variants("four"), "n_variants='four': give a whole number"),
        (lambda s: s.assign_variants(None), "n_variants=None: give a whole number"),
        (lambda s: s.assign_variants([4]), r"n_variants=\[4\]: give a whole number"),
        (lambda s: s.assign_variants(np.array([2, 4])), r"n_variants=array\(\[2, 4\]\): give"),
        (lambda s: s.assign_variants(10**9), "n_variants=1000000000: .* 36 at most"),
        (lambda s: s.assign_variants(4, motif_symmetry=0), "motif_symmetry=0: .* 1 if none"),
        (lambda s: s.assign_variants(4, 10**9), "motif_symmetry=1000000000: .* 36 at most"),
        (lambda s: s.assign_variants(origin=np.nan), "origin=nan: give a direction in radians"),
        (lambda s: s.assign_variants(origin=np.inf), "origin=inf: give a direction in radians"),
        (lambda s: s.assign_variants(origin=45), "origin=45: .* np.radians turns degrees"),
        (lambda s: s.assign_variants(origin="45"), "origin='45': give a direction in radians"),
        (lambda s: s.assign_variants(origin=[0, 1]), r"origin=\[0, 1\]: give a direction"),
        (lambda s: s.assign_variants(least_order=np.nan), "least_order=nan: give a finite number"),
        (lambda s: s.assign_variants(least_order=-1), "least_order=-1: give a finite number from"),
        (lambda s: s.assign_variants(least_order=None), "least_order=None: give a finite number"),
        (lambda s: s.assign_variants(least_order="low"), "least_order='low': give a finite number"),
        (lambda s: s.register_angle("motif"), "reference='motif': give 'displacement'"),
        (lambda s: s.register_angle(np.nan), "reference=nan: give a direction in radians"),
        (lambda s: s.register_angle(90), "reference=90: .* np.radians turns degrees"),
        (lambda s: s.register_angle(None), "reference=None: give a direction in radians"),
        (
            lambda s: s.register_angle(least_resultant=np.nan),
            "least_resultant=nan: give a number from 0 to 1",
        ),
        (lambda s: s.isig[2:-2, 2:-2]._sites_with("none", "verb()"), "no column 'none'; verb"),
    ],
)
def test_unusable_requests_are_refused(stack, call, message):
    table = stack.sites.to_dataframe()
    with pytest.raises(ValueError, match=message):
        call(stack)
    assert table.equals(stack.sites.to_dataframe())


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
    stack.rvae(output_dimension=1, rotation="motif", epochs=2, random_state=0)
    return stack, stack.sites["image"]


@pytest.mark.slow
@pytest.mark.parametrize("n_variants", [2, "auto"])
def test_grains_of_a_symmetric_motif_are_variants_up_to_its_turns(grains, n_variants, caplog):
    stack, grain = grains
    stack = stack.deepcopy()
    assert stack.rvae_model.lattice_symmetry_ == 4
    assert stack.rvae_model.motif_symmetry_ == 4
    assert stack.rvae_verdict.kind == "turning motif"
    # Angles are known up to 90 degrees: as whole directions none is defined.
    stack.assign_variants(2, motif_symmetry=1)
    assert (stack.sites["variant"] == -1).all()
    assert "known up to turns of 90 degrees, which motif_symmetry=4 allows for" in caplog.text
    assert stack.assign_variants(n_variants, motif_symmetry=4) == 2
    expected = stack.sites["variant"]
    assert stack.assign_variants(n_variants) == 2  # the symmetry is that of the fitted motif
    np.testing.assert_array_equal(stack.sites["variant"], expected)
    assert np.diff(stack.variants["direction"])[0] == pytest.approx(np.pi / 4, abs=0.02)
    variant = stack.sites["variant"]
    assert (variant == -1).mean() < 0.01
    assert adjusted_rand_score(grain, variant) > 0.99
    assert np.abs(stack.sites["variant_residual"]).max() <= np.pi / 8 + 1e-6
    assert np.degrees(np.median(np.abs(stack.sites["variant_residual"]))) < 2


@pytest.mark.slow
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
    stack.rvae(output_dimension=1, rotation="motif", epochs=1, random_state=0)
    assert stack.rvae_verdict.rotation == "motif"
    assert stack.assign_variants("auto", motif_symmetry=2) == 3
    assert adjusted_rand_score(kind[stack.sites["site_index"]], stack.sites["variant"]) > 0.99


def test_a_symmetric_motif_needs_the_model(grains, tmp_path):
    import hyperspy.api as hs

    grains[0].save(tmp_path / "grains.hspy")
    stack = hs.load(tmp_path / "grains.hspy")
    for options in ({"motif_symmetry": 4}, {}):  # the symmetry is kept with the stack
        with pytest.raises(RuntimeError, match=r"apply_rvae\(path\)"):
            stack.assign_variants(2, **options)


def test_angles_that_are_alike_where_displacements_turn_are_not_registered(stack, caplog):
    stack.sites["angle"] = alike = np.full(len(stack.sites), 0.3)
    offset, resultant = stack.register_angle("displacement", overwrite=True)
    assert offset == 0 and np.isnan(resultant) and "disagree" in caplog.text
    assert "rotation=" not in caplog.text and "subtract" not in caplog.text  # nothing is promised
    np.testing.assert_array_equal(stack.sites["angle"], alike)


def test_displacements_of_zero_give_no_direction(stack, caplog):
    caplog.set_level("INFO")
    stack.sites["displacement_x"] = stack.sites["displacement_y"] = np.zeros(len(stack.sites))
    assert np.isnan(stack.register_angle("displacement")[1])
    assert "all displacements are 0" in caplog.text


def test_without_displacements_directions_stay_directions(stack, caplog):
    caplog.set_level("INFO")
    stack.sites.remove("displacement_x", "displacement_y")
    before = stack.sites["angle"]
    offset, resultant = stack.register_angle("displacement")
    assert offset == 0 and np.isnan(resultant)
    assert "The angles are directions in the image; there are no displacements" in caplog.text
    assert "WARNING" not in caplog.text  # nothing is wrong: the angles have their zero
    stack.sites.set("order_amplitude", np.zeros(len(before)))
    for reference in ("displacement", 0.5):
        assert np.isnan(stack.register_angle(reference)[1])
    assert "no site has a defined angle" in caplog.text
    np.testing.assert_array_equal(stack.sites["angle"], before)


def test_a_turning_motif_without_displacements_has_no_zero(grains, caplog):
    stack = grains[0].deepcopy()
    before = stack.sites["angle"]
    offset, resultant = stack.register_angle("displacement")
    assert offset == 0 and np.isnan(resultant)
    assert "need neighbours= when the stack is made" in caplog.text
    np.testing.assert_array_equal(stack.sites["angle"], before)
