# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the uncertainties of angles are what they say, on films with known variants."""

import numpy as np
import pytest

import hs_rvae
from hs_rvae.rvae.excess_scatter import scatter_about_wells
from hs_rvae.simulation import compare_angles
from hs_rvae.variants import wrap

# Fits of seconds each.
pytestmark = pytest.mark.slow

SETTINGS = {
    "base": {},
    "no strain": {"strain": 0},
    "strain": {"strain": 0.01},
    "low dose": {"dose": 40},
    "small displacement": {"shift": 1.0},
    "large displacement": {"shift": 2.4},
    "two variants": {"n_variants": 2},
    "disorder": {"disorder": 0.2},
    "many walls": {"domain_size": 7},
    "non-polar part": {"nonpolar": 0.25},
}


def errors_in_std(film, n_variants=4):
    """Errors of the angles of interior sites against their variant, in standard deviations."""
    film.stack.rvae(rotation="motif", epochs=1, random_state=0, show_progressbar=False)
    angle, std = film.stack.sites["angle"], film.stack.sites["angle_std"]
    inside = film.interior
    offset = compare_angles(angle[inside], film.true_angle[inside], n_variants)["offset"]
    error = wrap(angle - film.true_angle - offset)[inside]
    return np.abs(error - np.median(error)) / std[inside]


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_intervals_cover_what_they_promise(make_film, setting):
    settings = {"nonpolar": 0.0, **SETTINGS[setting]}
    films = [make_film(seed, **settings) for seed in (11, 12, 13)]
    errors = [errors_in_std(film, settings.get("n_variants", 4)) for film in films]
    # Strain is alike over several cells, so that a single film strays further than its sites say.
    for error in errors:
        assert 0.55 <= (error < 1).mean() <= 0.81
        assert 0.86 <= (error < 1.96).mean() <= 0.99
    error = np.concatenate(errors)
    assert 0.60 <= (error < 1).mean() <= 0.76
    assert 0.90 <= (error < 1.96).mean() <= 0.98


def test_intervals_cover_in_a_small_film(make_film):
    error = errors_in_std(make_film(14, n_cells=40, nonpolar=0.0))
    assert 0.60 <= (error < 1).mean() <= 0.76
    assert 0.90 <= (error < 1.96).mean() <= 0.98


@pytest.mark.parametrize("seed", [14, 15])
def test_intervals_of_a_distortion_cover_and_are_not_far_too_wide(make_film, seed):
    film = make_film(seed, n_cells=30, nonpolar=0.0, shift=1.0)
    film.stack.rvae(1, epochs=1, random_state=0, show_progressbar=False)
    assert film.stack.rvae_verdict.kind == "variants"
    # Angles are directions in the image: no offset is taken off.
    sites, inside = film.stack.sites, film.interior
    error = np.abs(wrap(sites["angle"] - film.true_angle) / sites["angle_std"])[inside]
    assert 0.60 <= (error < 1).mean() <= 0.92
    assert 0.90 <= (error < 1.96).mean()


@pytest.mark.parametrize("n_wells", [1, 2, 4, 6])
def test_scatter_is_what_the_posteriors_lack(n_wells):
    rng = np.random.default_rng(n_wells)
    well = 0.7 + 2 * np.pi / n_wells * rng.integers(n_wells, size=4000)
    std = rng.uniform(0.005, 0.02, 4000)
    angle = wrap(well + std * rng.standard_normal(4000))
    assert scatter_about_wells(angle, std) < 0.005
    angle = wrap(angle + 0.03 * rng.standard_normal(4000))
    assert scatter_about_wells(angle, std) == pytest.approx(0.03, rel=0.1)


def test_angles_without_wells_tell_nothing_about_their_scatter():
    angle = np.linspace(-np.pi, np.pi, 4000, endpoint=False)
    assert scatter_about_wells(angle, np.full(4000, 0.01)) == 0


def test_posterior_agrees_with_the_columns(film):
    stack = film.stack.deepcopy()
    stack.rvae(rotation="motif", epochs=1, random_state=0, show_progressbar=False)
    stack.register_angle(0.5)
    posterior = stack.get_angle_posterior(n_angles=720)
    axis = posterior.axes_manager.signal_axes[0]
    assert (axis.name, axis.units, axis.size) == ("angle", "rad", 720)
    assert posterior.axes_manager.navigation_axes[0].name == "site"
    np.testing.assert_allclose(posterior.data.sum(1), 1, atol=1e-5)
    mean = np.angle(posterior.data @ np.exp(1j * axis.axis))
    # Uncertain by the disorder of the columns, about 0.08 rad.
    sharp = (stack.sites["angle_weight"] > 0.999) & (stack.sites["angle_std"] < 0.12)
    assert sharp.mean() > 0.9
    difference = wrap(mean - stack.sites["angle"])[sharp]
    assert np.abs(difference).max() < 0.01


def test_posterior_of_the_estimator_has_modes_in_order(film, model):
    distribution = model.angle_posterior(film.stack.data[:50], n_angles=90, zero=0.2)
    assert distribution.probability.shape == (50, 90)
    assert (np.diff(distribution.weights, axis=1) <= 1e-6).all()
    np.testing.assert_allclose(distribution.weights.sum(1), 1, atol=1e-5)
    result = model.transform(film.stack.data[:50])
    np.testing.assert_allclose(wrap(distribution.modes[:, 0] + 0.2 - result.angle), 0, atol=1e-5)
    np.testing.assert_allclose(distribution.weights[:, 0], result.angle_weight, atol=1e-6)


@pytest.mark.parametrize("n_angles", [1, 2.5, True])
def test_posterior_refuses_bad_numbers_of_bins(film, model, n_angles):
    with pytest.raises(ValueError, match="n_angles"):
        model.angle_posterior(film.stack.data[:5], n_angles=n_angles)


def test_posterior_needs_angles(film):
    plain = hs_rvae.RVAE(1, rotation=False, epochs=1, random_state=0).fit(film.stack.data)
    assert plain.angle_scatter_ == 0
    with pytest.raises(ValueError, match="rotation=False"):
        plain.angle_posterior(film.stack.data[:5])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("dark", [False, True])
def test_template_points_along_the_displacement(make_film, seed, dark):
    film = make_film(seed, n_cells=30, nonpolar=0.0, dark=dark)
    stack = film.stack
    stack.rvae(rotation="motif", epochs=2, random_state=0, show_progressbar=False)
    _, resultant = stack.register_angle("template")
    inside = film.interior
    error = wrap(stack.sites["angle"] - film.true_angle)[inside]
    assert resultant > 0.99
    assert np.abs(np.median(error)) < np.radians(5)
    again, _ = stack.register_angle("template")
    assert again == pytest.approx(0, abs=1e-6)  # registered once is registered


def test_a_template_without_displacement_is_not_registered_to(make_film, caplog):
    film = make_film(1, n_cells=30, nonpolar=0.0, shift=0.0, tilt=0.0)
    film.stack.rvae(rotation="motif", epochs=1, random_state=0, show_progressbar=False)
    assert np.isnan(film.stack.register_angle("template")[1])
    assert "no displacement" in caplog.text or "defined angle" in caplog.text


def test_score_prefers_sites_like_those_fitted(film, model):
    data = film.stack.data
    noise = np.random.default_rng(0).permuted(data[:60].reshape(60, -1), axis=1)
    assert model.score(data[:60]) > model.score(noise.reshape(data[:60].shape)) + 100


def test_initial_model_is_taken_over_and_refined(film, model):
    warm = hs_rvae.RVAE(2, epochs=2, random_state=5).fit(film.stack.data, initial_model=model)
    assert warm.score(film.stack.data) >= model.score(film.stack.data) - 0.01
    # The zero of the angles is kept, without any registration.
    change = warm.transform(film.stack.data).angle - model.transform(film.stack.data).angle
    assert np.median(np.abs(wrap(change))) < 0.02
    assert "start_agreement" not in warm.history_
    with pytest.raises(TypeError, match="initial_model"):
        hs_rvae.RVAE(2).fit(film.stack.data, initial_model="model")
    with pytest.raises(ValueError, match="px"):
        hs_rvae.RVAE(2).fit(film.stack.data[:, 2:-2, 2:-2], initial_model=model)


def test_starts_report_their_agreement(model):
    agreement = model.history_["start_agreement"]
    assert agreement.shape == model.history_["start_log_likelihood"].shape == (3,)
    best = model.history_["start_log_likelihood"].argmax()
    assert agreement[best] == pytest.approx(1)
    assert (agreement > 0.95).all()


@pytest.mark.slow
def test_number_of_latents_from_held_out_sites(make_film, tmp_path):
    quiet = {"tilt": 0, "thickness_gradient": 0, "strain": 0, "disorder": 0, "scan_jitter": 0}
    film = make_film(3, n_cells=36, nonpolar=0.0, chemistry=0.7, **quiet)
    model = hs_rvae.RVAE("auto", random_state=0).fit(film.stack.data)
    loss = model.history_["output_dimension_loss"]
    assert 1 <= model.n_latents_ <= 4
    assert model.transform(film.stack.data[:5]).latent.shape == (5, model.n_latents_)
    assert (np.diff(loss[: model.n_latents_]) < -1).all()  # each brought more than 1 nat
    assert len(loss) == 8 or loss[-1] >= loss[-2] - 1  # and the next one did not
    again = hs_rvae.RVAE.load(model.save(tmp_path / "auto.safetensors"))
    assert again.n_latents_ == model.n_latents_
    assert again.angle_scatter_ == model.angle_scatter_
