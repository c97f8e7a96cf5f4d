# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import LogNorm, to_rgba
from scipy.spatial import cKDTree

from hs_rvae.plots import angle_colors, class_colors, plot_site_map
from hs_rvae.plots.color import UNDEFINED_COLOR
from hs_rvae.plots.color_scale import infer_kind
from hs_rvae.sites import SiteTable


def face_colors(collection):
    """RGB of every marker, as it will be drawn."""
    collection.update_scalarmappable()
    return collection.get_facecolors()[:, :3]


def colorbar_of(ax):
    return next(a for a in ax.child_axes if a.get_gid() == "colorbar")


def test_markers_stand_at_the_calibrated_positions(sites, artist_by_gid):
    ax = plot_site_map(sites, "x")
    offsets = artist_by_gid(ax, "sites").get_offsets()
    np.testing.assert_allclose(offsets, sites.xy * 0.02 + [1.0, -2.0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (nm)", "y (nm)")


def test_the_map_has_the_orientation_and_extent_of_the_image_plot(sites, image):
    ax = plot_site_map(sites, "angle", image=image)
    shown = ax.images[0]
    assert shown.origin == "upper"
    # Half a pixel beyond the first and the last pixel centre, y down, with the offset.
    np.testing.assert_allclose(shown.get_extent(), [0.99, 8.99, 3.99, -2.01])
    np.testing.assert_allclose([*ax.get_xlim(), *ax.get_ylim()], [0.99, 8.99, 3.99, -2.01])
    assert ax.get_aspect() == 1.0
    np.testing.assert_array_equal(shown.get_array(), image)


def test_a_site_lies_on_its_pixel_of_the_image(sites):
    image = np.zeros((300, 400))
    x, y = sites.xy[10]
    image[int(np.rint(y)), int(np.rint(x))] = 1
    ax = plot_site_map(sites.take([10]), "x", image=image)
    left, right, bottom, top = ax.images[0].get_extent()
    row, column = np.argwhere(ax.images[0].get_array())[0]
    at = (left + (column + 0.5) * (right - left) / 400, top + (row + 0.5) * (bottom - top) / 300)
    site = [c for c in ax.collections if c.get_gid() == "sites"][0].get_offsets()[0]
    np.testing.assert_allclose(site, at, atol=0.5 * 0.02)  # rounded to the pixel


def test_without_an_image_y_still_points_down_and_all_markers_are_inside(sites):
    ax = plot_site_map(sites, "x")
    bottom, top = ax.get_ylim()
    assert bottom > sites["y"].max() * 0.02 - 2.0
    assert top < sites["y"].min() * 0.02 - 2.0
    assert not ax.images


def test_markers_nearly_touch_and_do_not_overlap(sites, artist_by_gid):
    ax = plot_site_map(sites, "x")
    diameter = artist_by_gid(ax, "sites").get_widths()[0]
    points = sites.xy * 0.02
    nearest = cKDTree(points).query(points, k=2)[0][:, 1].min()
    assert 0.9 * nearest < diameter < nearest


@pytest.mark.parametrize("width", [2.0, 9.0])
def test_markers_keep_their_size_on_the_lattice_at_any_figure_size(sites, image, width):
    figure, ax = plt.subplots(figsize=(width, width))
    plot_site_map(sites, "x", image=image, ax=ax, colorbar=False)
    figure.canvas.draw()
    markers = next(c for c in ax.collections if c.get_gid() == "sites")
    drawn = markers.get_transforms()[0] @ [2, 0, 0]  # across the unit circle, before the scale
    drawn = markers.get_transform().transform([drawn[:2]])[0][0]
    cell = np.diff(ax.transData.transform([[0, 0], [0.4, 0]])[:, 0])[0]
    assert drawn / cell == pytest.approx(0.95, abs=0.01)


def test_angles_have_the_colours_of_a_cyclic_map(sites, artist_by_gid):
    ax = plot_site_map(sites, "angle")
    defined = np.isfinite(sites["angle"])
    colors = face_colors(artist_by_gid(ax, "sites"))
    assert len(colors) == defined.sum()
    # A map of 256 colours: neighbours differ by below 0.03.
    np.testing.assert_allclose(colors, angle_colors(sites["angle"][defined]), atol=0.03)
    bar = colorbar_of(ax)
    assert bar.get_ylabel() == "Angle (°)"
    np.testing.assert_allclose(bar.get_yticks(), [-180, -90, 0, 90, 180])


def test_angles_of_a_symmetric_motif_are_folded_into_one_period(sites, artist_by_gid):
    ax = plot_site_map(sites, "angle", limits=(0, np.pi / 2))
    # All four domains are a quarter turn apart.
    colors = face_colors(artist_by_gid(ax, "sites"))
    middle = matplotlib.colormaps["hs_rvae_directions"](0.5)[:3]
    assert np.abs(colors - middle).max() < 0.55
    assert np.abs(colors.mean(axis=0) - middle).max() < 0.05


def test_sites_without_a_value_are_grey(sites, artist_by_gid):
    grey = artist_by_gid(plot_site_map(sites, "angle"), "undefined sites")
    np.testing.assert_allclose(grey.get_offsets(), sites.xy[-3:] * 0.02 + [1.0, -2.0])
    np.testing.assert_allclose(grey.get_facecolors(), [to_rgba(UNDEFINED_COLOR)])


def test_the_order_amplitude_is_sequential_also_where_noise_makes_it_negative():
    assert infer_kind("order_amplitude", np.array([-0.1, 1.0]), "") == "sequential"


def test_signed_columns_have_zero_in_the_middle_of_a_diverging_map(sites, artist_by_gid):
    markers = artist_by_gid(plot_site_map(sites, "latent_0"), "sites")
    latent = sites["latent_0"][:-3]
    bound = np.abs(np.percentile(latent, (1, 99))).max()
    assert (markers.norm.vmin, markers.norm.vmax) == pytest.approx((-bound, bound))
    assert markers.cmap.name == "coolwarm"


@pytest.mark.parametrize(
    ("options", "label", "extend"),
    [
        ({"percentiles": (0, 100)}, "x (px)", "neither"),
        ({"percentiles": (0, 90)}, "x (px)", "max"),
        ({"percentiles": (5, 90)}, "x (px)", "both"),
        ({"limits": (150, 500)}, "x (px)", "min"),
    ],
)
def test_the_colour_bar_states_name_and_unit_and_points_to_what_lies_beyond(
    sites, artist_by_gid, options, label, extend
):
    ax = plot_site_map(sites, "x", **options)
    assert colorbar_of(ax).get_ylabel() == label
    assert artist_by_gid(ax, "sites").colorbar.extend == extend


def test_errors_that_differ_by_many_times_have_logarithmic_colours(sites, artist_by_gid):
    ax = plot_site_map(sites, "angle_std")
    assert not isinstance(artist_by_gid(ax, "sites").norm, LogNorm)  # 0.01 to 0.1 rad
    n = len(sites)
    sites.set_many({"angle_std": np.geomspace(0.01, 1, n)}, units={"angle_std": "rad"})
    ax = plot_site_map(sites, "angle_std")
    drawn = artist_by_gid(ax, "sites")
    assert isinstance(drawn.norm, LogNorm) and drawn.get_clim()[1] == pytest.approx(57.3, rel=0.1)
    labels = [text.get_text() for text in ax.child_axes[0].get_yticklabels()]
    assert labels == ["1", "2", "5", "10", "20", "50"]
    ax = plot_site_map(sites, "angle_std", kind="sequential")
    assert not isinstance(artist_by_gid(ax, "sites").norm, LogNorm)
    with pytest.raises(ValueError, match="kind='logarithmic' needs values and limits above 0"):
        plot_site_map(sites, "displacement_x", kind="logarithmic")


def test_radians_are_shown_in_degrees(sites, artist_by_gid):
    ax = plot_site_map(sites, "angle_std", limits=(0.0, np.pi / 18))
    assert colorbar_of(ax).get_ylabel() == "Angle, standard deviation (°)"
    markers = artist_by_gid(ax, "sites")
    np.testing.assert_allclose(markers.get_array(), np.rad2deg(sites["angle_std"]))
    assert (markers.norm.vmin, markers.norm.vmax) == pytest.approx((0.0, 10.0))


def test_variants_have_the_colours_of_their_directions(sites, artist_by_gid):
    ax = plot_site_map(sites, "variant")
    colors, variant = face_colors(artist_by_gid(ax, "sites")), sites["variant"]
    turn = np.exp(1j * sites["angle"])
    labels = ["undef."]
    for label in range(4):
        mean = np.angle(np.nanmean(turn[variant == label]))
        expected = angle_colors(mean)[None].repeat((variant == label).sum(), 0)
        np.testing.assert_allclose(colors[variant == label], expected)
        labels.append(f"{label}: {np.rad2deg(mean):.0f}°".replace("-", "−"))
    np.testing.assert_allclose(colors[variant == -1][0], UNDEFINED_COLOR)
    bar = colorbar_of(ax)
    assert [t.get_text() for t in bar.get_yticklabels()] == labels
    assert bar.get_ylabel() == "Variant"


def test_variants_may_be_named_by_arrows_or_in_words(sites):
    for given, expected in (
        ("arrows", ["undef.", "0: ↘", "1: ↙", "2: ↖", "3: ↗"]),
        ({0: "a", 2: "b"}, ["undef.", "a", "1: 135°", "b", "3: −45°"]),
    ):
        bar = colorbar_of(plot_site_map(sites, "variant", class_labels=given))
        assert [t.get_text() for t in bar.get_yticklabels()] == expected
    with pytest.raises(ValueError, match="class_labels='names'"):
        plot_site_map(sites, "variant", class_labels="names")


def test_labels_without_a_common_direction_have_colours_of_classes(sites, artist_by_gid):
    sites = sites.take(range(len(sites)))
    sites["cluster"] = sites["variant"]
    sites["variant"] = np.arange(len(sites)) % 3
    for column in ("cluster", "variant"):
        ax = plot_site_map(sites, column)
        colors, label = face_colors(artist_by_gid(ax, "sites")), sites[column]
        np.testing.assert_allclose(colors[label >= 0], class_colors(label[label >= 0]))
        names = [t.get_text() for t in colorbar_of(ax).get_yticklabels()]
        assert names[-3:] == [str(k) for k in np.unique(label)[-3:]]


def test_a_domain_has_the_colour_of_its_variant(sites, artist_by_gid):
    sites = sites.take(range(len(sites)))
    sites["domain"] = 3 - sites["variant"].clip(0)
    drawn = [face_colors(artist_by_gid(plot_site_map(sites, name), "sites"))
             for name in ("domain", "variant")]  # fmt: skip
    known = sites["variant"] >= 0
    np.testing.assert_allclose(drawn[0][known], drawn[1][known])


def test_a_label_has_the_same_colour_when_others_are_missing(sites, artist_by_gid):
    two = sites.take(sites["variant"] == 2)
    colors = face_colors(artist_by_gid(plot_site_map(two, "variant"), "sites"))
    all_colors = face_colors(artist_by_gid(plot_site_map(sites, "variant"), "sites"))
    np.testing.assert_allclose(colors, all_colors[sites["variant"] == 2])


def test_an_index_is_no_label(sites, artist_by_gid):
    ax = plot_site_map(sites.take(range(5)), "site_index")
    assert artist_by_gid(ax, "sites").cmap.name == "viridis"


def test_the_scale_bar_has_a_round_length_and_hides_no_site(sites, image, artist_by_gid):
    ax = plot_site_map(sites, "angle", image=image)
    ax.figure.canvas.draw()
    bar = artist_by_gid(ax, "scale bar")
    line, text = bar.get_child().get_children()
    assert text.get_text() == "2 nm"  # of 8 nm
    ends = ax.transData.transform([(0, 0), (2, 0)])
    assert line.get_window_extent().width == pytest.approx(np.ptp(ends[:, 0]), abs=1)
    below, map_ = bar.get_window_extent(), ax.get_window_extent()
    assert below.y1 <= map_.y0 and below.x0 == pytest.approx(map_.x0, abs=5)


def test_a_scale_bar_upon_the_map_is_in_the_corner_that_is_named(sites, image, artist_by_gid):
    ax = plot_site_map(sites, "angle", image=image, scale_bar="lower right")
    bar = artist_by_gid(ax, "scale bar")
    assert bar.loc == 4  # Matplotlib's code of "lower right"
    assert bar.txt_label.get_text() == "2 nm"


def test_the_scale_bar_replaces_ticks_only_on_an_image(sites, image):
    on_image, plain = plot_site_map(sites, "x", image=image), plot_site_map(sites, "x")
    assert len(on_image.get_xticks()) == 0
    assert len(plain.get_xticks()) > 2
    assert not [a for a in plain.artists if a.get_gid() == "scale bar"]
    bare = plot_site_map(sites, "x", image=image, scale_bar=False)
    assert not [a for a in bare.artists if a.get_gid() == "scale bar"]


def test_it_draws_into_given_axes_and_returns_them(sites, image):
    figure, axes = plt.subplots(1, 2)
    assert plot_site_map(sites, "angle", image=image, ax=axes[1]) is axes[1]
    assert plt.get_fignums() == [figure.number]
    assert not axes[0].collections


def test_settings_of_matplotlib_stay_as_they_are(sites, image):
    before = dict(matplotlib.rcParams)
    plot_site_map(sites, "angle", image=image)
    assert dict(matplotlib.rcParams) == before


def test_a_new_figure_is_one_column_wide_and_holds_everything(sites, image):
    for shown in (image, None):
        ax = plot_site_map(sites, "latent_0", image=shown)
        assert ax.figure.get_size_inches()[0] * 25.4 == pytest.approx(85)
        ax.figure.canvas.draw()
        inside = ax.figure.bbox.padded(1).get_points()
        extent = ax.get_tightbbox().get_points()
        assert (extent[0] >= inside[0]).all() and (extent[1] <= inside[1]).all()


def test_the_colour_bar_of_a_flat_map_lies_below_it(sites, image):
    ax = plot_site_map(sites.take(sites["y"] < 80), "x", image=image[:90])
    ax.figure.canvas.draw()
    bar = colorbar_of(ax)
    assert bar.get_window_extent().y1 < ax.get_window_extent().y0
    assert bar.get_xlabel() == "x (px)"


def test_a_single_site_is_drawn(sites, image, artist_by_gid):
    ax = plot_site_map(sites.take([0]), "angle", image=image)
    assert len(artist_by_gid(ax, "sites").get_offsets()) == 1


def test_a_missing_column_is_answered_with_the_columns_and_the_call_that_writes_it(sites):
    sites.remove("angle")
    with pytest.raises(KeyError, match=r"no column 'angle': run stack\.rvae\(\).*site_index, x, y"):
        plot_site_map(sites, "angle")
    with pytest.raises(KeyError, match=r"no column 'angel'\. It has"):  # nothing writes this one
        plot_site_map(sites, "angel")


def test_a_column_without_any_value_is_refused(sites):
    sites.set("empty", np.full(len(sites), np.nan))
    with pytest.raises(ValueError, match="'empty' has no finite value"):
        plot_site_map(sites, "empty")


def test_sites_of_several_images_are_refused(sites):
    sites.set("image", (sites["x"] > 200).astype(int))
    with pytest.raises(ValueError, match="2 images.*select_sites"):
        plot_site_map(sites, "angle")
    plot_site_map(sites.take(sites["image"] == 1), "angle")


def test_an_image_that_is_too_small_or_no_image_is_refused(sites, image):
    with pytest.raises(ValueError, match="sites reach"):
        plot_site_map(sites, "angle", image=image.T)
    with pytest.raises(ValueError, match="2-D array"):
        plot_site_map(sites, "angle", image=image[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "round"}, "kind='round'"),
        ({"limits": (1, 0)}, "limits="),
        ({"percentiles": (99, 1)}, "percentiles="),
        ({"scale_bar": "middle"}, "scale_bar='middle'"),
        ({"marker_size": -1}, "marker_size=-1"),
        ({"cmap": "nothing"}, "cmap='nothing'"),
        ({"kind": "labels"}, "whole numbers"),
    ],
)
def test_options_that_do_not_fit_are_named_and_leave_no_figure(sites, options, message):
    with pytest.raises(ValueError, match=message):
        plot_site_map(sites, "latent_0", **options)
    assert not plt.get_fignums()


def test_axes_of_the_wrong_kind_are_refused(sites):
    _, axes = plt.subplots(1, 2)
    with pytest.raises(TypeError, match="one matplotlib Axes"):
        plot_site_map(sites, "angle", ax=axes)
    _, polar = plt.subplots(subplot_kw={"projection": "polar"})
    with pytest.raises(TypeError, match="rectilinear"):
        plot_site_map(sites, "angle", ax=polar)


def test_a_table_without_calibration_is_drawn_in_pixels():
    sites = SiteTable.from_columns({"x": [1.0, 5.0], "y": [2.0, 2.0]})
    assert plot_site_map(sites, "x").get_xlabel() == "x (px)"


def test_angles_without_order_are_grey_and_counted(sites, artist_by_gid):
    order = np.where(np.arange(len(sites)) % 3, 1.0, 0.1)
    variant = sites["variant"]
    sites.remove("variant")
    sites.set("order_amplitude", order)
    known = np.isfinite(sites["angle"]) & (order > 0.5)
    ax = plot_site_map(sites, "angle")
    assert len(artist_by_gid(ax, "sites").get_offsets()) == known.sum()
    assert len(artist_by_gid(ax, "undefined sites").get_offsets()) == (~known).sum()
    assert ax.child_axes[0].get_ylabel() == f"Angle (°), grey: {(~known).sum()} undefined"
    ax = plot_site_map(sites, "angle", least_order=None)
    assert len(artist_by_gid(ax, "sites").get_offsets()) == np.isfinite(sites["angle"]).sum()
    # Sites with a variant have an angle, as in grains that no distortion tells apart.
    sites.set("variant", variant)
    ax = plot_site_map(sites, "angle", least_order=2.0)
    filled = np.isfinite(sites["angle"]) & (variant >= 0)
    assert len(artist_by_gid(ax, "sites").get_offsets()) == filled.sum()


def test_a_map_without_any_defined_angle_is_all_grey(sites, artist_by_gid):
    sites.remove("variant")
    sites.set("order_amplitude", np.zeros(len(sites)))
    ax = plot_site_map(sites, "angle")
    assert len(artist_by_gid(ax, "undefined sites").get_offsets()) == len(sites)
    assert ax.child_axes[0].get_ylabel() == f"Angle (°), grey: {len(sites)} undefined"


def test_circles_become_octagons_only_where_there_are_very_many(sites, artist_by_gid, monkeypatch):
    circles = artist_by_gid(plot_site_map(sites, "x"), "sites")
    monkeypatch.setattr("hs_rvae.plots.markers._MANY", len(sites) - 1)
    octagons = artist_by_gid(plot_site_map(sites, "x"), "sites")
    assert len(octagons.get_paths()[0].vertices) == 9 < len(circles.get_paths()[0].vertices)
    x, y = octagons.get_paths()[0].vertices.T
    area = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
    assert area == pytest.approx(np.pi, rel=1e-3)
