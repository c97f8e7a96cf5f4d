# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv

from hs_rvae.plots import angle_colors, class_colors, polar_colors
from hs_rvae.plots.color import CLASS_COLORS, UNDEFINED_COLOR, _to_oklab, get_colormap

TURN = np.linspace(-np.pi, np.pi, 73)


def test_equal_turns_look_equally_different():
    lab = _to_oklab(polar_colors(TURN, 1.0))
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert steps.max() < 1.5 * steps.mean()


def test_equal_steps_of_amplitude_look_equally_different():
    lab = _to_oklab(polar_colors(0.7, np.linspace(0, 1, 11)))
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-3)


def test_a_signed_amplitude_runs_from_weak_to_full_colours():
    full = angle_colors(TURN)
    np.testing.assert_allclose(polar_colors(TURN, 1.0, signed=True), full, atol=1e-6)
    weak, middle = (_to_oklab(polar_colors(TURN, a, signed=True)) for a in (-1.0, 0.0))
    np.testing.assert_allclose((weak + _to_oklab(full)) / 2, middle, atol=1e-3)
    # Opposite directions differ everywhere.
    assert np.linalg.norm(weak[:37] - weak[36:], axis=1).min() > 0.1


def test_a_negative_amplitude_is_no_opposite_direction():
    negative = polar_colors(0.3, -0.8, signed=True)
    opposite = polar_colors(0.3 - np.pi, 0.8, signed=True)
    assert np.abs(negative - opposite).max() > 0.2


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
    np.testing.assert_allclose(
        polar_colors(0.0, 1.0, signed=True, cmap=cmap), cmap(0.5)[:3], atol=0.01
    )


def test_undefined_directions_have_no_colour():
    assert np.isnan(polar_colors(np.nan, 1.0)).all()
    assert np.isnan(polar_colors(np.nan, 1.0, cmap="twilight")).all()


def test_classes_keep_their_colour_and_differ_from_each_other_and_from_grey():
    np.testing.assert_array_equal(class_colors([5, 2])[1], class_colors([2])[0])
    lab = _to_oklab(np.vstack([class_colors(range(len(CLASS_COLORS))), [UNDEFINED_COLOR]]))
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(lab), 1)]
    assert distance.min() > 0.1  # five times a just noticeable difference


# Machado, Oliveira, Fernandes (2009): severity 1, in linear sRGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def seen(rgb, vision):
    """OKLab of colours as readers see them."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(VISION[vision]), 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return _to_oklab(rgb)


def four_variants(degrees):
    return angle_colors(np.deg2rad(degrees + 90 * np.arange(4)))


@pytest.mark.parametrize("vision", VISION)
def test_four_variants_stay_apart_at_any_offset(vision):
    for offset in np.arange(0, 90, 0.5):
        lab = seen(four_variants(offset), vision)
        distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(4, 1)]
        assert distance.min() >= 0.15, offset


@pytest.mark.parametrize("offset", [0, 45])
def test_variants_along_axes_and_diagonals_differ_in_grey_prints(offset):
    lightness = np.sort(_to_oklab(four_variants(offset))[:, 0])
    assert np.diff(lightness).min() >= 0.05


def test_angles_and_polar_maps_share_their_colours():
    np.testing.assert_allclose(polar_colors(TURN), angle_colors(TURN), atol=1e-6)


def test_an_unknown_colour_map_is_named():
    with pytest.raises(ValueError, match="cmap='rainbow_road'"):
        get_colormap("rainbow_road")
    assert get_colormap("viridis") == matplotlib.colormaps["viridis"]
