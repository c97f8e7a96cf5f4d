# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One crystal under several settings."""

import numpy as np
import pytest

import hs_rvae
from hs_rvae.signals.comparison import _shift_share

# Fits of seconds each.
pytestmark = pytest.mark.slow

FAST = {"output_dimension": 1, "epochs": 1, "n_init": 1}


@pytest.fixture(scope="module")
def stack(film):
    """The film's sites with their displacements."""
    neighbours = film.truth.a_sites[["x", "y"]]
    return hs_rvae.SubImageStack.from_positions(
        film.image, film.stack.sites.xy, window_size=30, neighbours=neighbours
    )


@pytest.fixture(scope="module")
def comparison(stack):
    settings = {
        "still": FAST,
        "moved": FAST | {"translation": True},
        "small": FAST | {"window_size": 22},
    }
    return hs_rvae.compare_rvae(stack, settings, n_variants=4)


@pytest.mark.slow
def test_settings_agree_on_what_the_crystal_is(comparison):
    for matrix in (comparison.angle_agreement, comparison.variant_agreement):
        assert list(matrix.index) == list(matrix.columns) == ["still", "moved", "small"]
        np.testing.assert_allclose(np.diag(matrix), 1)
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    # Angles of the distortion keep the disorder of their columns (10 degrees between both models);
    # with shifts the whole motif turns, and angles are drawn to wells.
    assert comparison.angle_agreement.loc["still", "moved"] > 0.97
    assert comparison.variant_agreement.to_numpy().min() > 0.9


@pytest.mark.slow
def test_the_table_says_what_was_fitted_and_how_well(comparison, stack):
    table = comparison.table
    assert list(table["window_size"]) == [30, 30, 22]
    assert list(table["translation"]) == [False, True, False]
    assert (table["n_variants"] == 4).all()
    assert np.isfinite(table["log_likelihood"].astype(float)).all()
    assert table.loc["still", "n_held_out"] == round(0.15 * len(stack.sites))
    assert table.loc["still", "shift_rms"] == 0 and 0 < table.loc["moved", "shift_rms"] < 0.5
    # The displacement is 1.8 px and belongs to the angle.
    assert abs(table.loc["moved", "shift_share"]) < 0.1
    one = comparison.stacks["still"]
    assert one.rvae_model.n_sites_fit_ == len(stack.sites) - table.loc["still", "n_held_out"]


def test_angles_of_all_settings_have_the_zero_of_the_displacements(comparison):
    for one in comparison.stacks.values():
        sites = one.sites
        direction = np.arctan2(sites["displacement_y"], sites["displacement_x"])
        turn = np.exp(1j * (sites["angle"] - direction))[sites["order_amplitude"] > 0.8]
        assert abs(np.degrees(np.angle(turn.mean()))) < 5
        assert np.isfinite(sites["angle"]).all()  # also of the sites held out


def test_the_stack_itself_is_left_alone(stack, comparison):
    assert "angle" not in stack.sites and stack._rvae_model is None
    assert "angle" in comparison.stacks["still"].sites


def test_settings_stand_side_by_side(comparison):
    figure = comparison.plot(shape=(2, 3))
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["still", "moved", "small"]


def test_the_share_of_the_displacement_in_the_shift():
    rng = np.random.default_rng(0)
    moved = rng.normal(size=(100, 2))
    columns = dict(zip(["displacement_x", "displacement_y"], moved.T, strict=True))
    shift = dict(zip(["shift_x", "shift_y"], -0.4 * moved.T, strict=True))
    sites = hs_rvae.SiteTable.from_columns(columns | shift)
    assert _shift_share(sites, True) == pytest.approx(0.4)
    assert _shift_share(sites, False) == 0
    assert np.isnan(_shift_share(hs_rvae.SiteTable.from_columns(shift), True))


def test_the_papers_settings_are_three_and_its_windows_two(stack):
    from hs_rvae.signals import comparison

    settings = comparison._settings_of(stack, "paper", "convolutional")
    shapes = [(s["output_dimension"], s.get("translation", False)) for s in settings.values()]
    assert shapes == [(2, False), (1, True), (2, True)]
    assert settings["translation, 1 latent"]["shift_prior"] == pytest.approx(0.1 * 14.5)
    windows = comparison._settings_of(stack, "windows", "harmonic")
    assert [s["window_size"] for s in windows.values()] == [30, 20]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ("papers", ValueError, "settings='papers': give 'paper', 'windows' or a mapping"),
        ({}, ValueError, "settings is empty"),
        ([1], TypeError, "settings is a list"),
        ({"a": 3}, TypeError, r"settings\['a'\] is a int"),
        ({"a": {"latent_dim": 2}}, ValueError, "holds 'latent_dim'; stack.rvae.. has"),
        ({"a": {}, "b": {"epochs": 0}}, ValueError, r"^settings\['b'\]: epochs=0: give a whole"),
    ],
)
def test_unusable_settings_are_refused(stack, settings, error, message):
    with pytest.raises(error, match=message):
        hs_rvae.compare_rvae(stack, settings)


def test_unusable_stacks_and_shares_are_refused(stack):
    with pytest.raises(TypeError, match="give a SubImageStack"):
        hs_rvae.compare_rvae(stack.data)
    with pytest.raises(ValueError, match="held_out=1.5"):
        hs_rvae.compare_rvae(stack, held_out=1.5)
    with pytest.raises(ValueError, match="held_out='some': give a share"):
        hs_rvae.compare_rvae(stack, held_out="some")
    with pytest.raises(ValueError, match="n_variants=0: give a whole number or 'auto'"):
        hs_rvae.compare_rvae(stack, n_variants=0)
    with pytest.raises(ValueError, match="random_state='0': give a whole number"):
        hs_rvae.compare_rvae(stack, random_state="0")
    with pytest.raises(ValueError, match="of [0-9]+ sites; 5 are needed"):
        hs_rvae.compare_rvae(stack, held_out=0.005)
    alone = stack._deepcopy_with_new_data(stack.data)
    alone._image = None
    with pytest.raises(ValueError, match="has no parent image"):
        hs_rvae.compare_rvae(alone, "windows")


@pytest.mark.slow
def test_the_convolutional_model_shares_the_verbs_of_a_stack(tmp_path, film):
    small = hs_rvae.SubImageStack.from_positions(
        film.image, film.stack.sites.xy[:60], window_size=15, lazy=True, centring="nearest"
    )
    small.rvae(architecture="convolutional", translation=True, epochs=1, random_state=0)
    names = small.sites.columns
    assert {"angle", "shift_x", "shift_y_std", "shift_x_calibrated", "latent_1"} <= set(names)
    path = small.rvae_model.save(tmp_path / "model.safetensors")
    before = small.sites["angle"]
    small.apply_rvae(path)
    np.testing.assert_allclose(small.sites["angle"], before, atol=1e-5)
    # Angles of 60 sites and one epoch: nothing tests them, and they are all alike.
    verdict = small.rvae_verdict
    assert verdict.rotation == "motif" and not verdict.tested and verdict.notes
    assert "no other cells were available" in verdict.sentence
    assert small.assign_variants() <= 1
    modelled, residual = small.get_rvae_model().data, small.get_rvae_residual().data
    assert modelled.shape == residual.shape == small.data.shape
    small.plot_rvae_manifold((2, 2))
    small.plot_rvae_history()
    small.get_angle_posterior(24)
