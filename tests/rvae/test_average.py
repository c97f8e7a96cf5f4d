# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Angles of deviations from the average sub-image, where it outweighs the distortion."""

import pickle

import numpy as np
import pytest
import torch
from scipy.ndimage import shift as move

import hs_rvae
from hs_rvae import RVAE
from hs_rvae.rvae.harmonic.average import AverageSubImage
from hs_rvae.simulation import compare_angles
from hs_rvae.variants import LEAST_AGREEMENT, agreement

LAYERS = [(6, 1.0, 0.35), (4, 0.6, 0.6)]


def superlattice(seed, displacement, *, aberration=0.2, size=800, dose=150.0, nonpolar=0.0):
    """Stack of a superlattice seen through an aberration, which is the same at all sites.

    A share of the intensity is drawn out to the lower right, as by coma.
    """
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (size, size),
        shift=displacement,
        layers=LAYERS,
        dose=np.inf,
        nonpolar=nonpolar,
        random_state=seed,
    )
    clean = image.data.astype(float)
    blurred = (1 - aberration) * clean + aberration * move(clean, (1.5, 4.0), order=1)
    counts = np.clip(blurred / np.percentile(blurred, 99.9) * dose, 0, None)
    image.data = np.random.default_rng(seed).poisson(counts).astype(np.float32)
    stack = hs_rvae.SubImageStack.from_positions(
        image, truth.b_sites, window_size=46, neighbours=truth.a_sites
    )
    sites = truth.b_sites.iloc[stack.sites["site_index"]]
    polar = (sites["order"] > 0.6).to_numpy() if displacement else np.zeros(len(sites), bool)
    return stack, sites["angle"].to_numpy(), polar


def fit(stack, seed=0, **settings):
    stack.rvae(random_state=seed, epochs=1, show_progressbar=False, **settings)
    return stack.sites["angle"].copy()


def follows(stack):
    sites = stack.sites
    x, y = sites["displacement_x"], sites["displacement_y"]
    good = np.isfinite(x) & np.isfinite(sites["angle"])
    direction, length = np.arctan2(y, x)[good], np.hypot(x, y)[good]
    return agreement(sites["angle"][good], direction, length)


def harmonics(n=200, n_q=6, n_m=7, seed=0):
    rng = torch.Generator().manual_seed(seed)
    parts = torch.randn((2, n, n_q, n_m), generator=rng)
    x = torch.complex(parts[0], parts[1])
    x[:, :, 0] = x[:, :, 0].real.to(x.dtype)
    return x


def test_deviations_have_one_contrast_and_no_average():
    x = harmonics() + 2.0
    average = AverageSubImage.fit(x)
    deviation = average.deviation(x)
    assert torch.equal(deviation[:, :, 0], x[:, :, 0])
    assert deviation[:, :, 1:].mean(0).abs().max() < 1e-4
    brighter = x.clone()
    brighter[:, :, 1:] *= 3
    assert torch.allclose(average.deviation(brighter), deviation, atol=1e-4)


def test_what_goes_linearly_with_order_0_is_part_of_the_average():
    x = harmonics()
    x[:, 0, 0] *= 10  # the main component
    x[:, :, 1:] = 0.01 * x[:, :, 1:] + 5.0
    x[:, :, 1:] += 0.02 * x[:, :1, :1]
    deviation = AverageSubImage.fit(x).deviation(x)[:, :, 1:]
    brightness = x[:, 0, 0].real
    left = torch.einsum("n,nqm->qm", (brightness - brightness.mean()).to(x.dtype), deviation)
    assert left.abs().max() / len(x) < 1e-2


def test_restore_undoes_deviation_where_contrast_goes_with_order_0():
    x = harmonics(n=400)
    contrast = 1 + 0.1 * x[:, 0, 0].real
    x[:, 1:, 0] *= 1e-3
    unit = x[:, :, 1:] / (x[:, :, 1:].abs() ** 2).sum((1, 2)).sqrt()[:, None, None]
    x[:, :, 1:] = unit * contrast[:, None, None]
    average = AverageSubImage.fit(x)
    assert torch.allclose(average.restore(average.deviation(x)), x, atol=2e-3)


def test_an_aberration_hides_the_variants_but_not_from_deviations():
    stack, angle, polar = superlattice(0, 0.6)
    plain = compare_angles(fit(stack)[polar], angle[polar], 4)
    deviations = compare_angles(fit(stack, subtract_average=True)[polar], angle[polar], 4)
    print(plain, deviations)
    assert plain["ari"] < 0.2
    assert deviations["ari"] > 0.8
    stack.register_angle("displacement")
    assert stack.assign_variants() == 4
    assert stack.rvae_model.lattice_symmetry_ == 4


@pytest.mark.slow
@pytest.mark.parametrize("displacement", [0.6, 0.8])
def test_deviations_tell_variants_of_most_superlattices_seen_through_an_aberration(displacement):
    found = []
    for seed in range(6):
        stack, angle, polar = superlattice(seed, displacement)
        found.append(
            [
                compare_angles(fit(stack, **settings)[polar], angle[polar], 4)["ari"]
                for settings in ({}, {"subtract_average": True})
            ]
        )
    plain, deviations = np.array(found).T
    print(plain.round(2), deviations.round(2))
    assert np.median(deviations) > 0.85
    assert deviations.min() > 0.6
    assert np.median(deviations) > np.median(plain)


@pytest.mark.slow
def test_variants_of_films_without_aberration_are_found_as_well(make_film):
    for seed in range(3):
        film = make_film(seed)
        inside = film.interior
        found = fit(film.stack, seed, subtract_average=True)[inside]
        score = compare_angles(found, film.true_angle[inside], 4)
        print(seed, score)
        assert score["ari"] > 0.95


@pytest.mark.slow
def test_sites_without_displacement_have_no_order(make_film):
    film = make_film(0, nonpolar=0.2, n_cells=40)
    fit(film.stack, subtract_average=True)
    order, truth = film.stack.sites["order_amplitude"], film.sites["order"]
    assert np.median(order[truth > 0.9]) == pytest.approx(1, abs=0.15)
    assert np.median(order[truth < 0.05]) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_angles_of_a_superlattice_without_displacement_agree_with_nothing(seed):
    stack, *_ = superlattice(seed, 0.0)
    fit(stack, subtract_average=True)
    assert follows(stack) < 0.6 * LEAST_AGREEMENT


def test_saved_lazy_and_pickled_models_give_the_same(tmp_path):
    stack, *_ = superlattice(1, 1.0, size=420)
    stack.rvae(random_state=0, subtract_average=True, show_progressbar=False)
    angle, latent = stack.sites["angle"].copy(), stack.sites["latent_0"].copy()
    path = stack.rvae_model.save(tmp_path / "model.safetensors")
    loaded = RVAE.load(path)
    assert loaded.subtract_average and loaded.lattice_symmetry_ == 4
    again = loaded.transform(stack.data, stack.sites[["offset_x", "offset_y"]])
    np.testing.assert_allclose(again.angle, angle, atol=1e-4)
    np.testing.assert_allclose(again.latent[:, 0], latent, atol=1e-4)
    decoded = stack.rvae_model.inverse_transform(again.latent, again.angle)
    pickled = pickle.loads(pickle.dumps(stack.rvae_model))
    for copy in (loaded, pickled):
        images = copy.inverse_transform(again.latent, again.angle)
        np.testing.assert_allclose(images, decoded, rtol=1e-5)
    lazy = stack.as_lazy()
    lazy.rvae(random_state=0, subtract_average=True, show_progressbar=False)
    turned = np.angle(np.exp(1j * (lazy.sites["angle"] - angle)))
    assert np.abs(turned).max() < 1e-3


def test_a_turned_image_gives_turned_angles():
    stack, *_ = superlattice(2, 1.0, size=420)
    angle = fit(stack, subtract_average=True)
    turned = stack.deepcopy()
    turned.data = np.rot90(stack.data, axes=(1, 2)).copy()  # counter-clockwise on screen
    difference = fit(turned, subtract_average=True) - angle
    common = np.angle(np.mean(np.exp(1j * difference)))
    spread = np.abs(np.angle(np.exp(1j * (difference - common))))
    assert np.degrees(np.median(spread)) < 2


def test_decoded_sub_images_resemble_the_sites():
    stack, *_ = superlattice(1, 1.0, size=420)
    left = []
    for subtract in (False, True):
        fit(stack, subtract_average=subtract)
        left.append(np.nanstd(stack.get_rvae_residual().data))
    assert left[1] < 1.1 * left[0]


def test_a_fit_that_starts_from_a_model_keeps_its_zero():
    stack, *_ = superlattice(0, 1.0, size=420)
    angle = fit(stack, subtract_average=True)
    model = stack.rvae_model
    again = fit(stack, seed=5, subtract_average=True, initial_model=model)
    assert np.degrees(np.median(np.abs(np.angle(np.exp(1j * (again - angle)))))) < 3
    with pytest.raises(ValueError, match="initial_model has subtract_average=True, this model has"):
        fit(stack, initial_model=model)


@pytest.mark.parametrize(
    "settings", [{"translation": True}, {"architecture": "convolutional"}, {"rotation": False}]
)
def test_the_average_is_only_for_angles_of_the_harmonic_model_without_shifts(film, settings):
    with pytest.raises(ValueError, match="subtract_average=True: only for architecture='harmonic'"):
        RVAE(subtract_average=True, **settings).fit(film.stack.data)


def test_subtract_average_is_true_or_false(film):
    with pytest.raises(ValueError, match="subtract_average='yes': give True or False"):
        RVAE(subtract_average="yes").fit(film.stack.data)
