# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of the turning distortion: its angles follow the image, and nothing else changes them."""

import dask.array as da
import numpy as np
import pytest
import torch

from hs_rvae import RVAE

SETTINGS = {"output_dimension": 1, "epochs": 1, "random_state": 0}
FIELDS = ("angle", "angle_std", "angle_weight", "latent", "latent_std", "log_likelihood",
          "order_amplitude", "order_amplitude_std")  # fmt: skip


def apart(a, b):
    """Differences of angles in degrees."""
    return np.degrees(np.angle(np.exp(1j * (a - b))))


def in_scatters(a, b):
    """Differences of the angles of two results, in standard deviations of these differences."""
    return np.abs(apart(a.angle, b.angle)) / np.degrees(np.hypot(a.angle_std, b.angle_std))


@pytest.fixture(scope="module")
def crystal(make_film):
    """A film of few cells."""
    settings = dict(cell=18.0, domain_size=6, shift=1.0, nonpolar=0.0)
    return make_film(0, n_cells=22, window_cells=1.7, **settings)


@pytest.fixture(scope="module")
def images(crystal):
    return crystal.stack.data


@pytest.fixture(scope="module")
def positions(crystal):
    return crystal.stack.sites.xy


@pytest.fixture(scope="module")
def model(images, positions):
    return RVAE(**SETTINGS).fit(images, positions=positions)


@pytest.fixture(scope="module")
def result(model, images):
    return model.transform(images)


@pytest.fixture(scope="module")
def clear(result):
    """Sites whose angle is known well."""
    return result.angle_std < np.radians(12)


def assert_equal(result, other):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(result, name), getattr(other, name), err_msg=name)


def test_most_angles_are_known_well(clear, result, crystal):
    assert clear.mean() > 0.7
    error = np.abs(apart(result.angle, crystal.true_angle))[crystal.interior]
    assert np.median(error) < 8 and (error < 45).mean() > 0.97
    assert np.median(result.order_amplitude[crystal.interior]) == pytest.approx(1, abs=0.15)


# The same numbers ------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 7, 50, -1])
def test_chunks_of_lazy_images_change_no_digit(chunk, images, positions, model, result):
    lazy = da.from_array(images, chunks=(chunk, -1, -1))
    other = RVAE(**SETTINGS).fit(lazy, positions=positions)
    assert other.fit_id_ == model.fit_id_
    assert_equal(other.transform(lazy), result)


@pytest.mark.slow
def test_chunks_change_no_digit_of_a_subset_in_several_blocks(
    images, positions, model, result, monkeypatch
):
    monkeypatch.setattr("hs_rvae.rvae.batches._BLOCK_PIXELS", 100 * images[0].size)
    settings = SETTINGS | {"max_fit_sites": 300}
    fits = [
        RVAE(**settings).fit_transform(stack, positions=positions)
        for stack in (images, da.from_array(images, chunks=(37, 20, -1)))
    ]
    assert_equal(*fits)
    assert np.abs(apart(fits[0].angle, result.angle)).mean() < 10


def test_saved_and_loaded_models_agree(model, images, result, tmp_path):
    loaded = RVAE.load(model.save(tmp_path / "model.safetensors"))
    assert_equal(loaded.transform(images), result)
    assert loaded.fit_id_ == model.fit_id_
    assert loaded.verdict_ == model.verdict_ and str(loaded.verdict_) == str(model.verdict_)
    assert loaded.rotation_ == "distortion" and loaded.angle_scatter_ == model.angle_scatter_
    assert loaded.lattice_symmetry_ == model.lattice_symmetry_ == 4
    latent = np.ones((2, 1))
    np.testing.assert_array_equal(
        loaded.inverse_transform(latent, 0.3), model.inverse_transform(latent, 0.3)
    )


def test_the_global_generators_are_left_alone(images, positions, model):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    again = RVAE(**SETTINGS).fit(images, positions=positions)
    assert again.fit_id_ == model.fit_id_
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


# What changes no angle ---------------------------------------------------------


def test_the_order_of_the_sites_does_not_matter(images, positions, result, clear):
    order = np.random.default_rng(0).permutation(len(images))
    other = RVAE(**SETTINGS).fit(images[order], positions=positions[order])
    assert other.verdict_.kind == "variants"
    found = other.transform(images)
    difference = apart(found.angle, result.angle)
    # Sums in another order make another top of a flat posterior the highest, at 3 of 419 sites.
    assert (np.abs(difference[clear]) < 0.1).mean() > 0.99
    assert in_scatters(found, result)[clear].max() < 1.5


def test_units_of_the_intensity_do_not_matter(images, positions, result, clear):
    other = RVAE(**SETTINGS).fit_transform(2000 * images + 500, positions=positions)
    difference = np.abs(apart(other.angle, result.angle))
    # Rounding makes another top of a flat posterior the highest, at few sites.
    assert (difference[clear] < 0.1).mean() > 0.99
    assert in_scatters(other, result)[clear].max() < 1.5
    moved = np.abs(other.order_amplitude - result.order_amplitude)
    assert (moved < 0.01).mean() > 0.99 and moved.max() < 0.1  # the amplitude is along the angle


def test_the_place_of_the_image_does_not_matter(images, positions, result):
    other = RVAE(**SETTINGS).fit_transform(images, positions=positions + [1000.0, -300.0])
    assert np.abs(apart(other.angle, result.angle)).max() < 0.1


def test_a_fit_to_patches_has_nearly_the_same_angles(images, positions, result, clear):
    model = RVAE(**SETTINGS, max_fit_sites=250).fit(images, positions=positions)
    assert model.n_sites_fit_ == 250 and model.rotation_ == "distortion"
    difference = np.abs(apart(model.transform(images).angle, result.angle))[clear]
    assert np.median(difference) < 5 and (difference < 30).mean() > 0.97


def test_sites_of_unknown_place_are_fitted_all_the_same(images, positions, result, clear):
    places = positions.copy()
    places[::5] = np.nan
    model = RVAE(**SETTINGS).fit(images, positions=places)
    assert model.rotation_ == "distortion" and model.n_sites_fit_ == len(images)
    assert 0 < model.verdict_.evidence["n_pairs"] < 2500
    difference = np.abs(apart(model.transform(images).angle, result.angle))[clear]
    assert np.median(difference) < 2


def test_sites_that_cannot_be_used_do_no_harm(images, positions, result, clear):
    odd = images.copy()
    odd[3, 5, 5], odd[7] = np.nan, 12.0
    odd[11] *= 1e6
    model = RVAE(**SETTINGS).fit(odd, positions=positions)
    assert model.n_sites_fit_ == len(images) - 3
    other = model.transform(odd)
    assert np.isnan(other.angle[3]) and np.isnan(other.latent[3]).all()
    clear = clear.copy()
    clear[[3, 7, 11]] = False
    assert np.median(np.abs(apart(other.angle, result.angle))[clear]) < 2


@pytest.mark.slow
def test_joined_images_are_compared_within_themselves(images, positions, model, result, clear):
    both, places = np.concatenate([images, images]), np.concatenate([positions, positions])
    strata = np.repeat([0, 1], len(images))
    joined = RVAE(**SETTINGS).fit(both, positions=places, strata=strata)
    assert joined.verdict_.evidence["n_pairs"] == 2 * model.verdict_.evidence["n_pairs"]
    difference = np.abs(apart(joined.transform(images).angle, result.angle))[clear]
    assert np.median(difference) < 3


# What moves the angles ----------------------------------------------------------

MOVES = {  # of images, of positions, of angles
    "turned": (lambda i: np.rot90(i, axes=(1, 2)), lambda x, y: (y, -x), lambda a: a - np.pi / 2),
    "half turn": (lambda i: i[:, ::-1, ::-1], lambda x, y: (-x, -y), lambda a: a + np.pi),
    "mirrored": (lambda i: i[:, :, ::-1], lambda x, y: (-x, y), lambda a: np.pi - a),
}


@pytest.mark.slow
@pytest.mark.parametrize("move", MOVES)
def test_angles_follow_the_image(move, images, positions, result, clear):
    of_images, of_positions, of_angles = MOVES[move]
    moved, places = of_images(images).copy(), np.stack(of_positions(*positions.T), 1)
    other = RVAE(**SETTINGS).fit_transform(moved, positions=places)
    difference = np.abs(apart(other.angle, of_angles(result.angle)))[clear]
    # Other scan rows, so that other pairs of sites judge.
    assert np.median(difference) < 2 and (difference < 20).mean() > 0.98
    amplitude = np.corrcoef(other.order_amplitude, result.order_amplitude)[0, 1]
    assert amplitude > 0.95


def test_a_fit_goes_on_from_another(images, positions, model, result, clear):
    other = RVAE(**SETTINGS | {"random_state": 7})
    other.fit(images, positions=positions, initial_model=model)
    assert other.rotation_ == "distortion" and "start_agreement" not in other.history_
    assert np.abs(apart(other.transform(images).angle, result.angle))[clear].max() < 1
    with pytest.raises(ValueError, match="initial_model has rotation='distortion'"):
        RVAE(rotation="motif").fit(images, positions=positions, initial_model=model)


def test_measured_displacements_need_no_more_than_a_place(
    images, positions, result, clear, crystal
):
    measured = crystal.sites[["displacement_x", "displacement_y"]].to_numpy().copy()
    measured[::4] = np.nan
    other = RVAE(**SETTINGS).fit(images, positions=positions, displacements=measured)
    found = other.transform(images)
    assert np.median(np.abs(apart(found.angle, result.angle))[clear]) < 5
    # Without an aberration the zero comes from the sub-images alone.
    assert (found.angle_pixels is None) == (other._model.distortion.pixels_only is None)


# Likelihoods, posteriors, decoded images ------------------------------------------


def test_likelihoods_prefer_sites_like_those_fitted(model, images):
    noise = np.random.default_rng(0).permuted(images[:60].reshape(60, -1), axis=1)
    score = model.score(images[:60])
    assert np.isfinite(score) and score > model.score(noise.reshape(images[:60].shape)) + 100


def test_posteriors_sum_to_1_and_their_first_modes_are_the_angles(model, images, result):
    posterior = model.angle_posterior(images, n_angles=360, zero=0.25)
    np.testing.assert_allclose(posterior.probability.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(posterior.weights.sum(1), 1, atol=1e-5)
    # The angle is the most probable one, whose mode has nearly always the largest weight.
    assert (np.diff(posterior.weights, axis=1) <= 1e-6).all(1).mean() > 0.98
    modes = posterior.modes[:, 0] + 0.25
    # Modes are those of a grid, between whose points angles are interpolated.
    assert np.abs(apart(modes, result.angle)).max() < 2.5
    np.testing.assert_allclose(posterior.weights[:, 0], result.angle_weight, atol=1e-6)
    mean = np.angle(posterior.probability @ np.exp(1j * posterior.angles)) + 0.25
    sharp = (result.angle_weight > 0.99) & (result.angle_std < np.radians(12))
    assert np.abs(apart(mean, result.angle))[sharp].max() < 5


def test_angles_are_in_range_and_uncertainties_sensible(result):
    assert result.angle.min() > -np.pi and result.angle.max() <= np.float32(np.pi)
    assert (result.angle_std > 0).all()
    assert (result.order_amplitude_std > 0).all() and (result.latent_std > 0).all()
    assert np.isfinite(result.log_likelihood).all() and result.angle_pixels is None


def test_decoded_images_are_static_without_an_angle_and_distorted_with_one(model, images, result):
    latent = np.zeros((4, 1))
    static = model.inverse_transform(latent)
    assert np.isfinite(static).all() and (static == static[0]).all()
    angle = np.pi / 2 * np.arange(4) + np.pi / 4
    change = (model.inverse_transform(latent, angle) - static).reshape(4, -1)
    # Opposite displacements change the image in opposite ways, those across in other ways.
    alike = np.corrcoef(change)
    assert alike[0, 2] < -0.5 and alike[1, 3] < -0.5
    assert np.abs(alike[0, 1]) < 0.6
    # The part along the angle of a site brings the rebuilt image closer to the site.
    distorted = model.inverse_transform(result.latent, result.angle)
    plain = model.inverse_transform(result.latent)
    data, disk = images, model._model.grid.disk().numpy() > 0.99
    missed = [((data - rebuilt)[:, disk] ** 2).mean() for rebuilt in (distorted, plain)]
    assert missed[0] < missed[1]


def test_a_film_of_an_aberrated_probe_has_a_zero_of_its_own(make_film):
    film = make_film(1, n_cells=22, window_cells=1.7, cell=18.0, domain_size=5, shift=1.2,
                     nonpolar=0.0, aberration=0.3, aberration_shift=(3.0, 1.0))  # fmt: skip
    stack = film.stack
    measured = film.sites[["displacement_x", "displacement_y"]].to_numpy()
    model = RVAE(**SETTINGS)
    model.fit(stack.data, positions=stack.sites.xy, displacements=measured)
    assert model.rotation_ == "distortion"
    found = model.transform(stack.data)
    error = np.abs(apart(found.angle, film.true_angle))[film.interior]
    assert np.median(error) < 15
    if model._model.distortion.pixels_only is not None:
        assert found.angle_pixels.shape == found.angle.shape
        assert np.isfinite(found.angle_pixels).all()


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2))])
def test_displacements_on_a_line_keep_the_length_of_their_circle(make_film, seed):
    film = make_film(seed, n_variants=2, shift=1.8)
    sites = film.stack.sites
    model = RVAE(**SETTINGS).fit(film.stack.data, positions=sites.xy)
    assert model.verdict_.kind == "variants"
    order = model.transform(film.stack.data).order_amplitude
    assert np.median(order) > 0.5
