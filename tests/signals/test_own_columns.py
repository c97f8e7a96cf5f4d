# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of users: one in rad or deg is an angle everywhere, a spread is one nowhere."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hs_rvae.learning.features import table_features
from hs_rvae.plots.color_scale import infer_kind


@pytest.fixture
def stack(film):
    """Directions in radians, in degrees from 0 to 360 and as whole degrees; a look-alike."""
    stack = film.stack.inav[:200].deepcopy()
    direction = np.random.default_rng(0).uniform(-np.pi, np.pi, 200)
    direction[7] = np.nan
    degrees = np.mod(np.rad2deg(direction), 360)
    stack.sites.set("direction", direction, "rad")
    stack.sites.set("azimuth", degrees, "deg")
    stack.sites.set("heading", np.rint(np.nan_to_num(degrees)).astype(int), "°")
    stack.sites.set("direction_std", np.full(200, 0.1), "rad")
    stack.sites.set("cell_angle", np.full(200, 1.57), "rad")
    stack.sites.set("bend_residual", 0.01 * direction, "rad")
    yield stack
    plt.close("all")


ANGLES = ["direction", "azimuth", "heading"]


@pytest.mark.parametrize("name", ANGLES)
def test_a_column_in_rad_or_deg_has_cyclic_colours(stack, name):
    ax = stack.plot_site_map(name, image=False)
    (sites,) = [c for c in ax.collections if c.get_gid() == "sites"]
    assert sites.get_cmap().name == "hs_rvae_directions" and sites.get_clim() == (-180, 180)
    assert ax.child_axes[0].get_ylabel() == f"{name} (°)"
    shown, known = sites.get_array(), np.isfinite(stack.sites[name])
    reference = np.rad2deg(stack.sites["direction"][known])
    if name == "heading":
        reference = np.rint(reference)
    difference = np.exp(1j * np.deg2rad(shown)) - np.exp(1j * np.deg2rad(reference))
    assert np.nanmax(np.abs(difference)) < 0.01 and np.abs(shown).max() <= 180


@pytest.mark.parametrize("name", ["direction_std", "cell_angle", "bend_residual"])
def test_spreads_and_residuals_in_rad_are_no_directions(stack, name):
    sites = stack.sites
    assert infer_kind(name, sites[name], "rad") in ("sequential", "signed")
    features, names = table_features(stack.sites, [name, "direction"], "cluster_source")
    assert names == [name, "cos(direction)", "sin(direction)"]
    stack.plot_site_map(name, image=False)


def test_degrees_and_radians_give_the_same_clusters(stack):
    by_radians, names = table_features(stack.sites, ["direction"], "cluster_source")
    by_degrees, _ = table_features(stack.sites, ["azimuth"], "cluster_source")
    assert names == ["cos(direction)", "sin(direction)"]
    np.testing.assert_allclose(by_radians, by_degrees)


def test_degrees_and_radians_give_the_same_figures(stack):
    axes = [stack.plot_scatter("x", name, contours=False) for name in ("direction", "azimuth")]
    for ax, name in zip(axes, ("direction", "azimuth"), strict=True):
        assert ax.get_ylim() == (-180, 180) and ax.get_ylabel() == f"{name} (°)"
    drawn = [[c for c in ax.collections if c.get_gid() == "sites"][0] for ax in axes]
    np.testing.assert_allclose(drawn[0].get_offsets(), drawn[1].get_offsets(), atol=1e-9)
    maps = [stack.plot_polar_map(name, None, image=False) for name in ("direction", "azimuth")]
    drawn = [[c for c in ax.collections if c.get_gid() == "sites"][0] for ax in maps]
    np.testing.assert_allclose(*(c.get_facecolors() for c in drawn), atol=1e-6)
    bars = [stack.plot_angle_histogram(name).patches for name in ("direction", "azimuth")]
    assert [b.get_height() for b in bars[0]] == [b.get_height() for b in bars[1]]


def test_the_explorer_shows_angles_in_degrees(stack):
    explorer = stack.explore("direction", "azimuth", "azimuth", image=False)
    ax = explorer.scatter_ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("direction (°)", "azimuth (°)")
    (cloud,) = [c for c in ax.collections if c.get_gid() == "sites"]
    x, y = cloud.get_offsets().T
    np.testing.assert_allclose(x, y)
    assert explorer._value_text("heading").endswith("°")
    degrees = f"{np.rad2deg(stack.sites['direction'][0]):.4g}°".replace("-", "−")
    assert explorer._value_text("direction") == degrees
    explorer.close()


def test_sub_images_are_turned_back_by_degrees(stack):
    turned = [stack.inav[:5].derotate(name).data for name in ("direction", "azimuth")]
    np.testing.assert_allclose(*turned, atol=1e-3 * np.ptp(turned[0]))


def test_the_axis_of_an_ellipse_is_drawn_over_half_a_turn(stack):
    stack.sites.set("rotation", np.linspace(0, np.pi, 200, endpoint=False), "rad")
    ax = stack.plot_site_map("rotation", image=False)
    (sites,) = [c for c in ax.collections if c.get_gid() == "sites"]
    assert sites.get_cmap().name == "hs_rvae_directions" and sites.get_clim() == (0, 180)
    assert stack.plot_scatter("x", "rotation", contours=False).get_ylim() == (0, 180)


def test_angles_of_a_model_that_were_set_in_degrees_are_refused_by_name(fitted):
    angle = fitted.sites["angle"]
    fitted.sites.set("angle", np.rad2deg(angle), "deg")
    for verb in (fitted.assign_variants, fitted.register_angle):
        with pytest.raises(ValueError, match="'angle' is in 'deg': set it in radians"):
            verb(overwrite=True)
    decoded = fitted.inav[:5].get_rvae_model().data
    fitted.sites.set("angle", angle, "rad")
    np.testing.assert_allclose(decoded, fitted.inav[:5].get_rvae_model().data, rtol=1e-3)
