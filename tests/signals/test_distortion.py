# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A distortion that turns, decoded and drawn: its static part, its directions, its strength."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def film(make_film):
    """A film with a disk that is not distorted."""
    return make_film(0, n_cells=30, nonpolar=0.15, position_noise=0.0)


@pytest.fixture(scope="module")
def distorted(film):
    stack = film.stack.deepcopy()
    stack.rvae(epochs=4, random_state=0)
    stack.assign_variants()
    assert stack.rvae_verdict.kind == "variants" and stack.rvae_verdict.rotation == "distortion"
    return stack


@pytest.fixture(scope="module")
def plain(make_film):
    """A film without any distortion."""
    stack = make_film(2, n_cells=24, nonpolar=0.0, shift=0.0).stack
    stack.rvae(epochs=2, random_state=0)
    assert not stack.rvae_verdict.found
    return stack


@pytest.fixture(scope="module")
def turning(make_film):
    stack = make_film(1, n_cells=16, nonpolar=0.0).stack
    stack.rvae(epochs=2, n_init=1, rotation="motif", random_state=0)
    return stack


def test_the_order_amplitude_scales_the_distortion(distorted):
    model = distorted.rvae_model
    latent, angle = np.zeros((3, 2)), np.array([0.3, -1.0, 2.0])
    still = model.inverse_transform(latent)
    whole = model.inverse_transform(latent, angle)
    np.testing.assert_array_equal(model.inverse_transform(latent, angle, order=1.0), whole)
    half = model.inverse_transform(latent, angle, order=[0.5, 0.0, -0.5])
    scale = 1e-5 * np.abs(whole).max()
    np.testing.assert_allclose(half[0], (whole[0] + still[0]) / 2, atol=scale)
    np.testing.assert_allclose(half[1], still[1], atol=scale)
    np.testing.assert_allclose(half[2], 1.5 * still[2] - 0.5 * whole[2], atol=scale)
    with pytest.raises(ValueError, match=r"order has shape \(2,\); a number or \(3,\)"):
        model.inverse_transform(latent, angle, order=[1.0, 1.0])


def test_a_turning_motif_has_no_order(turning):
    model = turning.rvae_model
    one = model.inverse_transform(np.zeros((1, 2)), 0.4)
    np.testing.assert_array_equal(model.inverse_transform(np.zeros((1, 2)), 0.4, order=0.0), one)


def test_residuals_of_undistorted_sites_are_no_larger_than_those_of_others(film, distorted):
    residual = distorted.get_rvae_residual(show_progressbar=False).data
    rms = np.sqrt((residual**2).mean((1, 2)))
    still = (film.sites["variant"] < 0).to_numpy() & (distorted.sites["order_amplitude"] < 0.3)
    assert still.sum() > 50
    # Noise grows with the intensity, which differs by a few percent.
    assert np.median(rms[still]) < 1.1 * np.median(rms[film.interior])
    # With a full distortion they were twice as large.
    full = distorted.deepcopy()
    full.sites.set_many({"order_amplitude": np.ones(len(rms))}, writer="rvae")
    residual = full.get_rvae_residual(show_progressbar=False).data
    assert np.median(np.sqrt((residual**2).mean((1, 2)))[still]) > 1.5 * np.median(rms[still])


def test_the_distortion_is_a_signal_over_the_angle(distorted):
    found = distorted.get_rvae_distortion(12)
    axis = found.axes_manager.navigation_axes[0]
    assert (axis.name, axis.units, axis.size) == ("angle", "rad", 12)
    assert found.axes_manager.signal_shape == distorted.axes_manager.signal_shape
    model, latent = distorted.rvae_model, np.zeros((1, 2))
    expected = model.inverse_transform(latent, axis.axis[5]) - model.inverse_transform(latent)
    np.testing.assert_allclose(found.data[5], expected[0], atol=1e-4 * np.abs(expected).max())
    # Half a turn reverses most of the change.
    one, other = found.data[2].ravel(), found.data[8].ravel()
    assert np.corrcoef(one, other)[0, 1] < -0.5
    still = distorted.get_rvae_manifold((1, 1), (0, 0)).data
    np.testing.assert_allclose(still.squeeze(), model.inverse_transform(latent)[0], rtol=1e-5)


def test_the_distortion_follows_a_moved_zero(distorted):
    moved = distorted.deepcopy()
    moved._rvae_model = distorted.rvae_model
    before = moved.get_rvae_distortion(4).data
    moved._turn_angles(np.pi / 2)
    after = moved.get_rvae_distortion(4).data
    np.testing.assert_allclose(after, np.roll(before, -1, 0), atol=1e-4 * np.abs(before).max())


def test_where_nothing_is_distorted_there_is_no_change(plain, turning):
    assert plain.rvae_model.rotation_ == "distortion"
    assert not plain.get_rvae_distortion(4).data.any()
    with pytest.raises(ValueError, match="the whole motif turns"):
        turning.get_rvae_distortion()
    with pytest.raises(ValueError, match="n_angles=0"):
        plain.get_rvae_distortion(0)


def test_the_manifold_shows_the_static_part_and_the_distortion(distorted, plain, turning):
    ax = distorted.plot_rvae_manifold((3, 4), n_angles=6)
    upper, lower = ax.figure.axes[:2]
    assert upper is ax and ax.get_title() == "Static part over the latents"
    assert len(lower.get_xticks()) == 6 and len(lower.images) == 2
    alone = distorted.plot_rvae_manifold((3, 4), n_angles=0)
    assert len(alone.figure.axes) == 1
    ax = plain.plot_rvae_manifold((3, 4))
    assert ax.get_title() == "Static part: no distortion stands out"
    assert len(ax.figure.axes) == 1
    ax = turning.plot_rvae_manifold((3, 4))
    assert ax.get_title() == "" and len(ax.figure.axes) == 1


def test_titles_name_what_turns(distorted, plain, turning):
    assert distorted.plot_site_map("angle").get_title() == "Direction of the distortion"
    assert turning.plot_angle_histogram().get_title().startswith("Turn of the motif")
    assert plain.plot_polar_map().get_title() == "No distortion stands out from the noise"
    assert distorted.plot_site_map("angle", title="mine").get_title() == "mine"
    assert distorted.plot_site_map("latent_0").get_title() == ""


def test_the_histogram_marks_the_variants_that_were_found(distorted, plain):
    directions = np.degrees(distorted.variants["direction"])
    expected = np.sort(180 - (180 - directions) % 360)
    for variants in ("auto", len(directions)):
        ax = distorted.plot_angle_histogram(variants=variants)
        np.testing.assert_allclose([line.get_xdata()[0] for line in ax.lines], expected)
    assert not distorted.plot_angle_histogram(variants=None).lines
    assert not plain.plot_angle_histogram().lines
    with pytest.raises(ValueError, match="variants='all'"):
        distorted.plot_angle_histogram(variants="all")


@pytest.mark.slow
def test_diagnostics_leave_out_what_was_not_found(plain, distorted):
    found = plain.rvae_diagnostics(n_shuffles=10, random_state=0)
    assert not {"angle", "order_amplitude"} & set(found.table["value"])
    assert "angle and order_amplitude left out: no distortion stands out" in "".join(found.summary)
    found = distorted.rvae_diagnostics(n_shuffles=10, random_state=0)
    assert {"angle", "order_amplitude"} <= set(found.table["value"])


def test_settings_are_compared_with_their_distortions(distorted, plain):
    from hs_rvae.signals.comparison import RVAEComparison

    stacks = {"variants": distorted, "nothing": plain}
    figure = RVAEComparison(None, None, None, stacks).plot(shape=(2, 2), image=False)
    assert len(figure.axes) == 10
    assert "".join(text.get_text() for text in figure.axes[9].texts).startswith("No distortion")
