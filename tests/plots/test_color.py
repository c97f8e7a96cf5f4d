# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv

from hs_rvae.plots import angle_colors, class_colors, polar_colors
from hs_rvae.plots.color import CLASS_COLORS, UNDEFINED_COLOR, _to_oklab, get_colormap

TURN = np.linspace(-np.pi, np.pi, 73)


@pytest.mark.parametrize("amplitude", [-1.0, -0.5, 0.0, 0.5, 1.0])
def test_all_directions_of_one_signed_amplitude_are_equally_light_and_colourful(amplitude):
    lab = _to_oklab(polar_colors(TURN, amplitude, signed=True))
    # sRGB cannot show a few colours at the ends exactly: they are clipped by below 0.02.
    np.testing.assert_allclose(lab[:, 0], 0.61 + 0.26 * amplitude, atol=0.02)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    assert chroma.min() > 0.85 * chroma.max() > 0.03


def test_equal_turns_look_equally_different():
    lab = _to_oklab(polar_colors(TURN, 1.0))
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert steps.max() < 1.1 * steps.min()


def test_equal_steps_of_amplitude_look_equally_different():
    lab = _to_oklab(polar_colors(0.7, np.linspace(0, 1, 11)))
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-3)


def test_the_sign_is_told_by_lightness_and_the_direction_by_hue():
    dark, middle, light = _to_oklab(polar_colors(1.0, [-1, 0, 1], signed=True))
    assert dark[0] < middle[0] - 0.2 < light[0] - 0.4
    hues = [np.arctan2(c[2], c[1]) for c in (dark, middle, light)]
    np.testing.assert_allclose(hues, hues[1], atol=0.05)


def test_a_negative_amplitude_is_no_opposite_direction():
    negative = polar_colors(0.3, -0.8, signed=True)
    opposite = polar_colors(0.3 - np.pi, 0.8, signed=True)
    assert np.abs(negative - opposite).max() > 0.3


def test_zero_amplitude_is_one_grey_for_all_directions():
    colors = polar_colors(TURN, 0.0)
    np.testing.assert_allclose(colors, colors[:1].repeat(len(TURN), 0), atol=1e-9)
    assert rgb_to_hsv(colors)[:, 1].max() < 0.02


def test_the_circle_of_colours_closes():
    for colors in (polar_colors([-np.pi, np.pi]), angle_colors([-np.pi, np.pi])):
        np.testing.assert_allclose(colors[0], colors[1], atol=1e-6)


def test_a_cyclic_map_can_replace_the_hues():
    cmap = get_colormap("twilight")
    np.testing.assert_allclose(polar_colors(0.0, 1.0, cmap=cmap), cmap(0.5)[:3], atol=0.01)
    with pytest.raises(ValueError, match="lightness"):
        polar_colors(0.0, 1.0, signed=True, cmap=cmap)


def test_undefined_directions_have_no_colour():
    assert np.isnan(polar_colors(np.nan, 1.0)).all()
    assert np.isnan(polar_colors(np.nan, 1.0, cmap="twilight")).all()


def test_classes_keep_their_colour_and_differ_from_each_other_and_from_grey():
    np.testing.assert_array_equal(class_colors([5, 2])[1], class_colors([2])[0])
    lab = _to_oklab(np.vstack([class_colors(range(len(CLASS_COLORS))), [UNDEFINED_COLOR]]))
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(lab), 1)]
    assert distance.min() > 0.1  # five times a just noticeable difference


def test_four_variants_stay_apart_for_red_green_blind_readers():
    # Machado, Oliveira, Fernandes (2009): full deuteranopia and protanopia, linear sRGB.
    for blind in (
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]],
    ):  # fmt: skip
        for offset in np.deg2rad(np.arange(0, 90, 5)):
            rgb = angle_colors(offset + np.pi / 2 * np.arange(4))
            linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
            seen = np.clip(linear @ np.transpose(blind), 0, 1)
            seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
            lab = _to_oklab(seen)
            distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(4, 1)]
            assert distance.min() > 0.07  # several just noticeable differences


def test_an_unknown_colour_map_is_named():
    with pytest.raises(ValueError, match="cmap='rainbow_road'"):
        get_colormap("rainbow_road")
    assert get_colormap("viridis") == matplotlib.colormaps["viridis"]
