# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from hs_rvae.plots import plot_color_wheel, plot_polar_map, plot_polar_scatter, polar_colors
from hs_rvae.sites import SiteTable

# Directions as seen on the screen, y up in Matplotlib's display coordinates.
SCREEN = {
    "right": (1, 0),
    "right-down": (1, -1),
    "down": (0, -1),
    "left-down": (-1, -1),
    "left": (-1, 0),
    "left-up": (-1, 1),
    "up": (0, 1),
    "right-up": (1, 1),
}


def wheel_of(ax):
    return next(a for a in ax.child_axes if a.get_gid() == "color wheel")


def caption_of(ax):
    return next(t.get_text() for t in wheel_of(ax).texts if "\n" in t.get_text())


def pixel(figure, at):
    """RGB of a rendered figure at display coordinates (y up)."""
    figure.canvas.draw()
    buffer = np.asarray(figure.canvas.buffer_rgba())
    x, y = np.rint(at).astype(int)
    return buffer[buffer.shape[0] - 1 - y, x, :3] / 255


@pytest.mark.slow
@pytest.mark.parametrize("amplitude", [0.9, -0.6])
@pytest.mark.parametrize("direction", SCREEN)
def test_the_wheel_shows_a_direction_where_it_points_on_the_screen(direction, amplitude):
    """The colour of a site equals that of the wheel in the direction in which the site points."""
    dx, dy = SCREEN[direction]
    columns = {
        "x": [0.0, 40.0, 0.0],
        "y": [0.0, 0.0, 40.0],
        "angle": [np.arctan2(-dy, dx)] * 3,  # y of the table points down
        "latent_0": [amplitude] * 3,
    }
    sites = SiteTable.from_columns(columns, units={"angle": "rad"})
    signed = amplitude < 0
    ax = plot_polar_map(sites, limits=(-1, 1) if signed else (0, 1))
    figure = ax.figure
    figure.set_dpi(400)
    site = pixel(figure, ax.transData.transform([0, 0]))
    wheel = wheel_of(ax)
    # The signed ring runs from -1 at radius 0.22 to 1 at radius 1.
    radius = 0.22 + 0.78 * (amplitude + 1) / 2 if signed else amplitude
    centre, rim = wheel.transData.transform([[0, 0], [1, 0]])
    step = np.array([dx, dy]) / np.hypot(dx, dy) * (rim - centre)[0]
    # One pixel of the wheel is up to 0.01 in amplitude and 8-bit colours differ by 0.004.
    np.testing.assert_allclose(pixel(figure, centre + radius * step), site, atol=0.03)


def test_the_marks_of_the_wheel_stand_where_the_angles_point_on_the_screen():
    _, ax = plt.subplots()
    plot_color_wheel(ax)
    at = {t.get_text(): ax.transData.transform(t.get_position()) for t in ax.texts}
    centre = ax.transData.transform([0, 0])
    assert at["0°"][0] > centre[0] and at["180°"][0] < centre[0]
    assert at["down = 90°"][1] < centre[1] < at["−90°"][1]


def test_markers_have_the_polar_colours_of_their_vectors(sites, artist_by_gid):
    ax = plot_polar_map(sites, "displacement", limits=(0, 4))
    colors = artist_by_gid(ax, "sites").get_facecolors()[:, :3]
    angle = np.arctan2(sites["displacement_y"], sites["displacement_x"])
    np.testing.assert_allclose(colors, polar_colors(angle, 0.5))
    assert len(colors) == len(sites)


def test_a_signed_latent_is_scaled_symmetrically_between_percentiles(sites, artist_by_gid):
    ax = plot_polar_map(sites, percentiles=(5, 95))
    defined = np.isfinite(sites["angle"])
    latent = sites["latent_0"][defined]
    bound = np.abs(np.percentile(latent, (5, 95))).max()
    expected = polar_colors(sites["angle"][defined], latent / bound, signed=True)
    np.testing.assert_allclose(artist_by_gid(ax, "sites").get_facecolors()[:, :3], expected)
    assert caption_of(ax) == (
        f"Latent 0\ninner, weak −{bound:.3g}\nline 0\nouter, full {bound:.3g}"
    )


def test_the_caption_of_a_vector_states_unit_and_percentile(sites):
    ax = plot_polar_map(sites, "displacement")
    assert caption_of(ax) == "|displacement| (px)\ncentre 0\nrim 2"


def test_against_the_sign_every_direction_is_turned_by_half(sites, artist_by_gid):
    angle = np.arctan2(sites["displacement_y"], sites["displacement_x"])
    ax = plot_polar_map(sites, "displacement", sign=-1, limits=(0, 4), arrows=True)
    colors = artist_by_gid(ax, "sites").get_facecolors()[:, :3]
    np.testing.assert_allclose(colors, polar_colors(angle + np.pi, 0.5))
    arrows = next(c for c in ax.collections if isinstance(c, matplotlib.quiver.Quiver))
    pointing = np.stack([arrows.U, arrows.V], axis=1)
    vectors = sites[["displacement_x", "displacement_y"]]
    np.testing.assert_allclose(
        pointing / np.hypot(*pointing.T)[:, None], -vectors / np.hypot(*vectors.T)[:, None]
    )
    # The wheel is a legend of directions: the same, with the caption that says what they are.
    plain = plot_polar_map(sites, "displacement", limits=(0, 4))
    np.testing.assert_array_equal(*(wheel_of(a).images[0].get_array() for a in (ax, plain)))
    assert caption_of(ax) == caption_of(plain) + "\ndirection:\n−displacement"


@pytest.mark.parametrize("amplitude", ["latent_0", None])
def test_an_angle_is_turned_as_well(sites, artist_by_gid, amplitude):
    ax = plot_polar_map(sites, amplitude=amplitude, sign=-1)
    turned = SiteTable.from_columns(
        {name: sites[name] for name in sites.columns} | {"angle": sites["angle"] + np.pi}
    )
    expected = artist_by_gid(plot_polar_map(turned, amplitude=amplitude), "sites")
    np.testing.assert_allclose(
        artist_by_gid(ax, "sites").get_facecolors(), expected.get_facecolors(), atol=1e-9
    )
    assert caption_of(ax).endswith("direction:\nangle + 180°")


@pytest.mark.parametrize("sign", [0, 2, -0.5, "-"])
def test_a_sign_is_one_of_two(sites, sign):
    with pytest.raises(ValueError, match="sign=.*: give (1, or -1|a whole number)"):
        plot_polar_map(sites, "displacement", sign=sign)


@pytest.mark.parametrize("name", ["displacement", "displacement_calibrated", "angle"])
def test_directions_are_those_on_the_map_if_pixels_are_not_square(name, artist_by_gid):
    """Pixels twice as wide as high: one pixel to the right and one down is (2, 1) on the map."""
    columns = {
        "x": [0.0, 10.0, 20.0],
        "y": [0.0, 20.0, 40.0],
        "displacement_x": [1.0] * 3,
        "displacement_y": [1.0] * 3,
        "displacement_x_calibrated": [40.0] * 3,
        "displacement_y_calibrated": [20.0] * 3,
        "angle": [np.pi / 4] * 3,
    }
    units = {"displacement_x": "px", "displacement_y": "px", "angle": "rad"}
    units |= {"displacement_x_calibrated": "pm", "displacement_y_calibrated": "pm"}
    sites = SiteTable.from_columns(columns, units, pixel_size=(0.04, 0.02), pixel_units="nm")
    ax = plot_polar_map(sites, name, amplitude=None, arrows=True)
    colors = artist_by_gid(ax, "sites").get_facecolors()[:, :3]
    np.testing.assert_allclose(colors, [polar_colors(np.arctan2(1, 2))] * 3)
    arrows = next(c for c in ax.collections if isinstance(c, matplotlib.quiver.Quiver))
    np.testing.assert_allclose(arrows.U, 2 * arrows.V)
    if name == "displacement_calibrated":
        # The unit says it: the long name would not fit beside the map.
        caption = caption_of(plot_polar_map(sites, name, sign=-1))
        assert caption.startswith("|displacement| (pm)") and caption.endswith("\n−displacement")


def test_given_limits_are_stated_without_percentiles(sites):
    assert caption_of(plot_polar_map(sites, limits=(-1, 3))) == (
        "Latent 0\ninner, weak −1\nline 1\nouter, full 3"
    )


def test_without_sign_the_modulus_is_shown(sites, artist_by_gid):
    ax = plot_polar_map(sites, signed=False, limits=(0, 1))
    defined = np.isfinite(sites["angle"])
    expected = polar_colors(sites["angle"][defined], np.abs(sites["latent_0"][defined]))
    np.testing.assert_allclose(artist_by_gid(ax, "sites").get_facecolors()[:, :3], expected)


def test_order_below_zero_is_noise_and_has_no_colour(sites, artist_by_gid):
    order = np.linspace(-0.3, 1.2, len(sites))
    sites.set("order_amplitude", order)
    ax = plot_polar_map(sites, "angle", "order_amplitude", limits=(0, 1), least_order=None)
    defined = np.isfinite(sites["angle"])
    expected = polar_colors(sites["angle"][defined], np.clip(order, 0, 1)[defined])
    np.testing.assert_allclose(artist_by_gid(ax, "sites").get_facecolors()[:, :3], expected)


def test_a_vector_gives_the_amplitude_of_an_angle(sites):
    ax = plot_polar_map(sites, amplitude="displacement")
    assert caption_of(ax).startswith("|displacement| (px)")


def test_directions_alone_have_full_colour_and_no_caption(sites, artist_by_gid):
    ax = plot_polar_map(sites, amplitude=None)
    defined = np.isfinite(sites["angle"])
    np.testing.assert_allclose(
        artist_by_gid(ax, "sites").get_facecolors()[:, :3], polar_colors(sites["angle"][defined])
    )
    assert all("\n" not in t.get_text() for t in wheel_of(ax).texts)


def test_sites_without_angle_or_amplitude_are_grey(sites, artist_by_gid):
    sites.set("latent_0", np.where(np.arange(len(sites)) == 0, np.nan, sites["latent_0"]))
    ax = plot_polar_map(sites)
    assert len(artist_by_gid(ax, "undefined sites").get_offsets()) == 4
    assert len(artist_by_gid(ax, "sites").get_offsets()) == len(sites) - 4


def test_arrows_point_along_the_vectors_on_the_screen(sites):
    ax = plot_polar_map(sites, "displacement", arrows=True)
    quiver = next(c for c in ax.collections if isinstance(c, matplotlib.quiver.Quiver))
    ax.figure.canvas.draw()
    x, y = sites["displacement_x"], sites["displacement_y"]
    # The tip is the vertex furthest along the arrow; the paths are in the display's orientation.
    for k in (0, 60, 120, len(sites) - 1):
        shape = quiver.get_transform().transform(quiver.get_paths()[k].vertices)
        screen = np.array([x[k], -y[k]]) / np.hypot(x[k], y[k])
        along, across = shape @ screen, shape @ [-screen[1], screen[0]]
        assert np.ptp(along) > 2 * np.ptp(across)
        tip, tail = across[along > along.max() - 1e-6], across[along < along.min() + 0.01]
        assert np.ptp(tip) < 1e-6 < np.ptp(tail)  # pointed end first


def test_the_wheel_stands_beside_the_map_and_hides_no_site(sites, image):
    ax = plot_polar_map(sites, image=image)
    ax.figure.canvas.draw()
    wheel = wheel_of(ax)
    texts = [t.get_window_extent() for t in wheel.texts]
    assert min(t.x0 for t in texts) > ax.get_window_extent().x1
    assert max(t.x1 for t in texts) < ax.figure.bbox.x1
    assert not any(a.overlaps(b) for i, a in enumerate(texts) for b in texts[:i])
    assert not plot_polar_map(sites, image=image, wheel=False).child_axes


def test_a_wheel_can_be_drawn_alone():
    _, ax = plt.subplots()
    rgba = plot_color_wheel(ax, "unsigned").get_array()
    assert rgba[0, 0, 3] == 0  # outside the disk
    np.testing.assert_allclose(rgba[250, 450, :3], polar_colors(0.0, 400 / 501), atol=0.01)
    with pytest.raises(ValueError, match="style='flat'"):
        plot_color_wheel(ax, "flat")


def test_missing_columns_are_answered_with_what_would_write_them(sites):
    sites.remove("latent_0")
    with pytest.raises(KeyError, match=r"'latent_0'.*stack\.rvae\(\)"):
        plot_polar_map(sites)
    sites.remove("displacement_x")
    with pytest.raises(KeyError, match="neighbours=.*displacement_x, displacement_y"):
        plot_polar_map(sites, "displacement")


def test_angles_and_amplitudes_that_never_meet_are_refused(sites):
    half = np.arange(len(sites)) < 50
    sites.set("angle", np.where(half, 1.0, np.nan), "rad")
    sites.set("latent_0", np.where(half, np.nan, 1.0))
    with pytest.raises(ValueError, match="no site has both"):
        plot_polar_map(sites)


def test_a_polar_scatter_has_the_colours_of_the_map(sites, artist_by_gid):
    ax = plot_polar_scatter(sites, "latent_0", "angle", amplitude="latent_0")
    cloud = artist_by_gid(ax, "sites")
    on_map = artist_by_gid(plot_polar_map(sites, amplitude="latent_0"), "sites")
    np.testing.assert_allclose(cloud.get_facecolor(), on_map.get_facecolor())
    known = np.isfinite(sites["angle"])
    expected = np.column_stack([sites["latent_0"], np.rad2deg(sites["angle"])])[known]
    np.testing.assert_allclose(cloud.get_offsets(), expected)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Latent 0", "Angle (°)")
    assert "Latent 0" in ax.child_axes[0].texts[-1].get_text()


def test_a_polar_scatter_draws_into_given_axes_and_names_what_is_missing(sites):
    _, axes = plt.subplots(1, 2)
    drawn = plot_polar_scatter(sites, "x", "y", "displacement", "displacement", ax=axes[1])
    assert drawn is axes[1] and len(plt.get_fignums()) == 1
    assert not plot_polar_scatter(sites, "x", "y", wheel=False).child_axes
    with pytest.raises(KeyError, match="latent_5"):
        plot_polar_scatter(sites, "latent_5", "y")


def test_a_flat_map_has_its_wheel_below_and_the_whole_width(sites):
    strip = sites.take(np.abs(sites["y"] - 150) < 45)
    image = np.random.default_rng(0).random((300, 400))
    ax = plot_polar_map(strip, "displacement", image=None)
    ax.figure.canvas.draw()
    box, wheel = ax.get_window_extent(), ax.child_axes[0].get_window_extent()
    assert wheel.y1 < box.y0 and box.width > 0.8 * ax.figure.bbox.width
    assert any("|displacement|" in text.get_text() for text in ax.child_axes[0].texts)
    beside = plot_polar_map(sites, "displacement", image=image)
    beside.figure.canvas.draw()
    assert beside.child_axes[0].get_window_extent().x0 > beside.get_window_extent().x1


def test_directions_without_order_are_grey_and_counted(sites, artist_by_gid):
    order = np.where(np.arange(len(sites)) % 3, 1.0, 0.1)
    sites.remove("variant")
    sites.set("order_amplitude", order)
    known = np.isfinite(sites["angle"]) & (order > 0.5)
    ax = plot_polar_map(sites)
    assert len(artist_by_gid(ax, "sites").get_offsets()) == known.sum()
    assert caption_of(ax).endswith(f"grey, undefined:\n{(~known).sum()} sites")
    sites.set("order_amplitude", np.zeros(len(sites)))
    ax = plot_polar_map(sites)  # all of them
    assert caption_of(ax).endswith(f"grey, undefined:\n{len(sites)} sites")
    # A displacement is measured, whatever the model finds.
    assert "undefined" not in caption_of(plot_polar_map(sites, "displacement"))
