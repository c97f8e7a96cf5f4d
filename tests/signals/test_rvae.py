# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rVAE verbs of a stack."""

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae.simulation import compare_angles


@pytest.fixture
def stack(film):
    """A stack of its own for every test."""
    return film.stack.deepcopy()


def test_rvae_writes_named_columns_with_units(film, stack):
    before = stack.data.copy()
    stack.rvae(output_dimension=2, random_state=0)
    expected = [
        "angle",
        "angle_std",
        "angle_weight",
        "latent_0",
        "latent_0_std",
        "latent_1",
        "latent_1_std",
    ]
    expected += ["order_amplitude", "order_amplitude_std", "log_likelihood"]
    assert list(stack.sites.columns[-10:]) == expected
    units = stack.sites.units
    assert units["angle"] == units["angle_std"] == "rad" and units["log_likelihood"] == "nat"
    assert units["latent_0"] == ""
    np.testing.assert_array_equal(stack.data, before)
    found = compare_angles(stack.sites["angle"][film.interior], film.true_angle[film.interior], 4)
    assert found["ari"] >= 0.98


def test_a_new_fit_replaces_the_columns_of_the_old_one(stack):
    stack.rvae(output_dimension=3, epochs=1, random_state=0)
    stack.rvae(output_dimension=1, epochs=1, random_state=0)
    latents = [name for name in stack.sites.columns if name.startswith("latent")]
    assert latents == ["latent_0", "latent_0_std"]


def test_masked_sites_stay_out_and_are_nan(stack):
    mask = np.zeros(len(stack.sites), bool)
    mask[:40] = True  # True = excluded, as in HyperSpy
    stack.rvae(output_dimension=1, epochs=1, navigation_mask=mask, random_state=0)
    assert stack.rvae_model.n_sites_fit_ == (~mask).sum()
    np.testing.assert_array_equal(np.isnan(stack.sites["angle"]), mask)
    np.testing.assert_array_equal(np.isnan(stack.sites["latent_0"]), mask)
    with pytest.raises(ValueError, match="navigation_mask has the shape .*True = excluded"):
        stack.rvae(navigation_mask=mask[:-1])
    with pytest.raises(ValueError, match="navigation_mask excludes all sites"):
        stack.rvae(navigation_mask=np.ones(len(mask), bool))
    as_signal = hs.signals.BaseSignal(mask).T
    stack.apply_rvae(stack.rvae_model, navigation_mask=as_signal)
    np.testing.assert_array_equal(np.isnan(stack.sites["angle"]), mask)


@pytest.mark.slow
def test_apply_on_another_stack_and_from_a_file(tmp_path, stack, make_film):
    stack.rvae(output_dimension=2, random_state=0)
    path = stack.rvae_model.save(tmp_path / "model.safetensors")
    other = make_film(5, n_cells=24, cell=18.0, domain_size=8, nonpolar=0.0)
    other.stack.apply_rvae(path)
    found = compare_angles(
        other.stack.sites["angle"][other.interior], other.true_angle[other.interior], 4
    )
    assert found["ari"] >= 0.98
    again = stack.deepcopy()
    again.apply_rvae(str(path))
    np.testing.assert_array_equal(again.sites["angle"], stack.sites["angle"])
    with pytest.raises(TypeError, match="model is a dict"):
        stack.apply_rvae({})


def test_the_model_follows_and_a_loaded_stack_says_how_to_get_it_back(tmp_path, stack):
    with pytest.raises(RuntimeError, match=r"call stack.rvae\(\)"):
        stack.rvae_model  # noqa: B018  the property raises
    stack.rvae(output_dimension=1, epochs=1, random_state=0)
    model = stack.rvae_model
    for follower in (stack.inav[:10], stack.deepcopy(), stack.as_lazy(), stack.isig[2:-2, 2:-2]):
        assert follower.rvae_model is model
    stack.save(tmp_path / "stack.hspy")
    loaded = hs.load(tmp_path / "stack.hspy")
    np.testing.assert_array_equal(loaded.sites["angle"], stack.sites["angle"])
    with pytest.raises(RuntimeError, match=r"load_rvae_model\(path\) reads it"):
        loaded.rvae_model  # noqa: B018  the property raises
    loaded.apply_rvae(model)
    assert loaded.rvae_model is model


@pytest.mark.slow
def test_a_lazy_stack_gives_the_same_and_stays_lazy(film, stack):
    positions = film.stack.sites.xy
    lazy = hs_rvae.SubImageStack.from_positions(
        film.image, positions, window_size=stack.data.shape[-1], lazy=True
    )
    lazy.data = lazy.data.rechunk((128, -1, -1))
    lazy.rvae(output_dimension=1, random_state=0)
    assert lazy._lazy
    stack.rvae(output_dimension=1, random_state=0)
    difference = np.exp(1j * (lazy.sites["angle"] - stack.sites["angle"]))[film.interior]
    assert np.abs(np.angle(difference)).max() < 1e-3


def test_windows_cut_at_whole_pixels_are_centred_by_the_model(film, stack):
    nearest = hs_rvae.SubImageStack.from_positions(
        film.image, film.stack.sites.xy, window_size=stack.data.shape[-1], centring="nearest"
    )
    nearest.rvae(output_dimension=1, random_state=0)
    found = compare_angles(nearest.sites["angle"][film.interior], film.true_angle[film.interior], 4)
    assert found["ari"] >= 0.98


def test_an_rvae_needs_square_windows_and_a_table(stack):
    with pytest.raises(ValueError, match="30 x 32 px; an rVAE needs square ones"):
        stack.isig[1:-1, :].rvae()
    stack._leave_sites()
    with pytest.raises(ValueError, match="no site table"):
        stack.rvae()


def test_columns_off_the_middle_of_their_windows_are_refused(stack):
    with pytest.raises(ValueError, match="up to 4.0 px off the middle"):
        stack.isig[:-8, :-8].rvae()


def test_pixels_that_are_not_square_are_warned_of(stack, caplog):
    stack.axes_manager["x"].scale *= 2
    stack.rvae(output_dimension=1, epochs=1, random_state=0)
    assert "not square" in caplog.text


def test_without_rotation_no_angle_is_claimed(stack):
    stack.rvae(output_dimension=1, rotation=False, epochs=1, random_state=0)
    assert "angle" not in stack.sites and "latent_0" in stack.sites


def test_an_interrupted_encoding_keeps_the_fitted_model(stack, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    from hs_rvae.rvae.harmonic.model import HarmonicModel

    monkeypatch.setattr(HarmonicModel, "encode", interrupted)
    before = stack.sites.columns
    with pytest.raises(KeyboardInterrupt, match=r"the site table is as it was.*apply_rvae\("):
        stack.rvae(output_dimension=1, epochs=1, random_state=0)
    assert stack.sites.columns == before
    monkeypatch.undo()
    stack.apply_rvae(stack.rvae_model, show_progressbar=False)
    assert np.isfinite(stack.sites["angle"]).all()


def test_an_rvae_needs_more_than_a_site(stack):
    with pytest.raises(ValueError, match="1 usable sub-images; a fit needs 10 at least"):
        stack.inav[:1].rvae()
    assert "angle" not in stack.sites


def test_a_failed_fit_leaves_the_table_as_it_was(stack):
    stack.rvae(output_dimension=1, epochs=1, random_state=0)
    columns, model = stack.sites.columns, stack.rvae_model
    with pytest.raises(ValueError, match="output_dimension=0"):
        stack.rvae(output_dimension=0)
    assert stack.sites.columns == columns and stack.rvae_model is model


@pytest.mark.slow
def test_hyperspys_preference_shows_the_bar(capfd, monkeypatch, stack):
    monkeypatch.setattr(hs.preferences.General, "show_progressbar", True)
    stack.rvae(output_dimension=1, epochs=1, random_state=0)
    assert "rVAE" in capfd.readouterr().err
    stack.rvae(output_dimension=1, epochs=1, random_state=0, show_progressbar=False)
    assert "rVAE" not in capfd.readouterr().err
