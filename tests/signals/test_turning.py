# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images turned back by their angles."""

import numpy as np
import pytest

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.signals.turning import turn


def radii(window_size):
    """Distance of each pixel from the middle of the window."""
    line = np.arange(window_size) - (window_size - 1) / 2
    return np.hypot(line, line[:, None])


@pytest.mark.parametrize("cell", [18.0, 26.0])
def test_turned_and_turned_back_a_sub_image_is_the_same(cell):
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (300, 300), cell=cell, dose=np.inf, scan_jitter=0.0, random_state=0
    )
    data = SubImageStack.from_positions(image, truth.b_sites).data
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, len(data))
    none = np.zeros((len(data), 2))
    again = turn(turn(data, angle, none, None), -angle, none, None)
    inside = radii(data.shape[-1]) < data.shape[-1] / 2 - 2
    error = np.sqrt(np.mean((again - data)[:, inside] ** 2, axis=1))
    assert (error < 0.01 * data[:, inside].std(axis=1)).all()


def test_turning_agrees_with_the_model_in_direction_and_centre(model, result):
    latent, angle = result.latent[:20], result.angle[:20]
    offset = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 2))
    turned = turn(model.inverse_transform(latent, angle, offset), -angle, offset)
    expected = model.inverse_transform(latent)
    inside = radii(model.window_size_) < model._model.grid.radius - 2
    error = (turned - expected)[:, inside]
    assert np.sqrt(np.mean(error**2)) < 5e-3 * expected[:, inside].std()


def test_after_registration_the_common_frame_points_along_x(film, fitted):
    truth = film.sites[["displacement_x", "displacement_y"]].to_numpy()
    fitted.sites.set_many({"displacement_x": truth[:, 0], "displacement_y": truth[:, 1]})
    fitted.register_angle("displacement")
    turned = fitted.derotate()
    assert turned.metadata.General.title.startswith("Turned back: ")
    mean = turned.data[film.interior].mean(0)
    middle = (len(mean) - 1) / 2
    along_x, along_y = mean[round(middle)], mean[:, round(middle)]
    right, left = (np.argmax(line[-10:]) for line in (along_x, along_x[::-1]))
    below, above = (np.argmax(line[-10:]) for line in (along_y, along_y[::-1]))
    # The B column is displaced by 1.8 px along +x: of the four A columns around it, on the axes in
    # this frame, the right one is nearer and the left one farther.
    assert 2 <= left - right <= 5 and abs(below - above) <= 1
    known = fitted.deepcopy()
    known.sites["direction"] = film.true_angle
    expected = known.derotate("direction").data[film.interior].mean(0)
    inside = radii(len(mean)) < len(mean) / 2 - 1
    assert np.corrcoef(mean[inside], expected[inside])[0, 1] > 0.99
    assert np.corrcoef(mean.T[::-1][inside], expected[inside])[0, 1] < 0.9
    # In one frame, all sites look alike: far more of the variance is common to them.
    common = [one[film.interior].mean(0)[inside].var() for one in (turned.data, fitted.data)]
    spread = [one[film.interior][:, inside].var(0).mean() for one in (turned.data, fitted.data)]
    assert common[0] > common[1] and spread[0] < 0.5 * spread[1]


def test_what_is_outside_the_circle_is_filled(fitted):
    outside = radii(fitted.data.shape[-1]) > (fitted.data.shape[-1] - 1) / 2 + 1e-6
    assert (fitted.inav[:5].derotate().data[:, outside] == 0).all()
    assert np.isnan(fitted.inav[:5].derotate(fill_value=np.nan).data[:, outside]).all()


def test_turned_back_is_turned_back_once(fitted):
    turned = fitted.inav[:30].derotate()
    for verb in ("derotate", "get_rvae_model", "get_rvae_residual"):
        with pytest.raises(ValueError, match="turned back already"):
            getattr(turned, verb)()
    with pytest.raises(ValueError, match="turned back already"):
        hs_rvae.stack([turned, turned]).derotate()
    # Encoded as they are, they have angles of their own: near 0.
    turned.apply_rvae(fitted.rvae_model)
    assert np.median(np.abs(turned.sites["angle"])) < np.radians(3)
    assert turned.get_rvae_model().data.shape == turned.data.shape


def test_turning_back_needs_angles_and_square_windows(film, fitted, caplog):
    with pytest.raises(ValueError, match="column='angle': .*rvae"):
        film.stack.derotate()
    with pytest.raises(ValueError, match="30 x 32 px"):
        fitted.isig[1:-1, :].derotate()
    stretched = fitted.inav[:3].deepcopy()
    stretched.axes_manager["x"].scale *= 2
    stretched.derotate()
    assert "not square" in caplog.text


def test_windows_of_whole_pixels_are_centred_as_they_turn(film, fitted):
    nearest = SubImageStack.from_positions(
        film.image, film.stack.sites.xy, window_size=32, centring="nearest",
        columns={"angle": fitted.sites["angle"]},
    )  # fmt: skip
    turned = nearest.derotate()
    assert not turned.sites[["offset_x", "offset_y"]].any()
    expected = fitted.derotate().data
    inside = radii(32) < 13
    close = np.sqrt(np.mean((turned.data - expected)[:, inside] ** 2))
    # Cubic windows and one turn of degree 5 differ in how they damp the noise, not in place.
    assert close < 0.12 * expected[:, inside].std()
