# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scatters, means of clusters, curves of their number, and methods side by side."""

import numpy as np
import pytest

from hs_rvae import SiteTable, plots
from hs_rvae.plots.scatter import density


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 400
    cluster = rng.integers(-1, 3, n)
    y, x = np.divmod(np.arange(n), 20)
    angle = rng.uniform(-np.pi, np.pi, n)
    values = {"latent_0": rng.normal(size=n), "latent_1": rng.normal(size=n), "angle": angle}
    values |= {"pca_0": rng.normal(size=n), "pca_1": rng.normal(size=n)}
    values["latent_0"][:7] = np.nan
    return SiteTable.from_columns(
        {"x": 20.0 * x, "y": 20.0 * y, **values, "cluster": cluster}, units={"angle": "rad"}
    )


def drawn(ax):
    return [one for one in ax.collections if one.get_gid() == "sites"][0]


def test_points_stand_at_the_values_of_two_columns(table):
    ax = plots.plot_scatter(table, "latent_0", "latent_1", contours=False)
    known = np.isfinite(table["latent_0"])
    np.testing.assert_array_equal(drawn(ax).get_offsets(), table[["latent_0", "latent_1"]][known])
    assert ax.get_xlabel() == "Latent 0, 7 left out" and ax.get_ylabel() == "Latent 1"


def test_labels_have_the_colours_of_the_map_and_undefined_ones_are_grey(table):
    ax = plots.plot_scatter(table, "latent_0", "latent_1", "cluster", contours=False)
    drawn(ax).update_scalarmappable()
    colors = {tuple(np.round(c[:3], 3)) for c in drawn(ax).get_facecolors()}
    expected = {tuple(np.round(c, 3)) for c in plots.class_colors([0, 1, 2])}
    assert expected <= colors
    names = [text.get_text() for text in ax.child_axes[0].get_yticklabels()]
    assert names == ["undef.", "0", "1", "2"]


def test_angles_are_drawn_in_degrees_on_a_cyclic_map(table):
    ax = plots.plot_scatter(table, "pca_0", "angle", "angle")
    assert ax.get_ylabel() == "Angle (°)"
    assert drawn(ax).get_clim() == (-180, 180)
    cmap = drawn(ax).get_cmap()
    np.testing.assert_allclose(cmap(0.0), cmap(1.0), atol=0.02)


def test_a_kind_of_colours_that_is_unknown_is_refused_as_by_a_map(table):
    for draw, columns in ((plots.plot_scatter, ["pca_0", "pca_1"]), (plots.plot_site_map, [])):
        with pytest.raises(ValueError, match="kind='loud' is unknown: take one of 'angle'"):
            draw(table, *columns, "angle", kind="loud")


def test_lines_of_density_enclose_the_share_that_they_say():
    points = np.random.default_rng(0).normal(size=(4000, 2)) * [1, 30]
    grid_x, grid_y, values, levels = density(points, (0.9, 0.5))
    from scipy.interpolate import RegularGridInterpolator

    at = RegularGridInterpolator((grid_y, grid_x), values)(points[:, ::-1])
    shares = [(at > level).mean() for level in levels]
    np.testing.assert_allclose(shares, [0.9, 0.5], atol=0.02)


def test_lines_of_density_stay_at_groups_that_lie_apart():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, -135], [0.5, -45], [0.0, 45], [0.3, 135]])
    points = np.vstack([centre + rng.normal(size=(300, 2)) * [0.8, 2.0] for centre in centres])
    grid_x, grid_y, values, levels = density(points, (0.9,))
    inside = grid_y[(values > levels[0]).any(1)]
    assert abs(inside[:, None] - centres[:, 1]).min(1).max() < 10  # 5 widths of a group of 2


def test_points_without_a_density_are_drawn_without_lines(table):
    line = SiteTable.from_columns({"x": np.arange(50.0), "y": 2 * np.arange(50.0)})
    assert len(plots.plot_scatter(line, "x", "y").collections) == 1
    few = table.take(np.arange(10, 20))
    assert len(plots.plot_scatter(few, "pca_0", "pca_1").collections) == 1


def test_missing_columns_say_which_call_writes_them(table):
    with pytest.raises(KeyError, match=r"no column 'tsne_0'.*run stack.embedding\(\) first"):
        plots.plot_scatter(table, "tsne_0", "pca_1")
    with pytest.raises(KeyError, match=r"no column 'nmf_1'.*run stack.decomposition\(\) first"):
        plots.plot_scatter(table, "pca_0", "nmf_1")
    table["pca_0"] = np.where(np.isfinite(table["latent_0"]), np.nan, 1.0)
    with pytest.raises(
        ValueError, match="no site has both a finite 'latent_0' and a finite 'pca_0'"
    ):
        plots.plot_scatter(table, "latent_0", "pca_0")


def test_means_show_counts_and_share_one_scale():
    images = np.random.default_rng(0).uniform(size=(5, 12, 12)) + np.arange(5)[:, None, None]
    figure = plots.plot_cluster_means(
        images, [0, 1, 2, 3, 7], [9, 4, 3, 2, 1], pixel_size=0.02, pixel_units="nm"
    )
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["0: 9 sites", "1: 4 sites", "2: 3 sites", "3: 2 sites", "7: 1 site"]
    limits = {ax.images[0].get_clim() for ax in figure.axes if ax.images}
    assert limits == {(images.min(), images.max())}
    color = figure.axes[4].spines["top"].get_edgecolor()[:3]
    np.testing.assert_allclose(color, plots.class_colors([7])[0])
    with pytest.raises(ValueError, match="5 images, 4 labels and 5 counts"):
        plots.plot_cluster_means(images, [0, 1, 2, 3], [9, 4, 3, 2, 1])
    with pytest.raises(ValueError, match=r"images has the shape \(12, 12\)"):
        plots.plot_cluster_means(images[0], [0], [1])


def test_methods_stand_side_by_side_on_the_same_sites(table):
    figure = plots.plot_method_comparison(
        table,
        {"PCA": ("pca_0", "pca_1"), "rVAE": ("latent_0", "latent_1")},
        {"PCA": "cluster", "rVAE": "angle"},
    )
    assert [ax.get_title() for ax in figure.axes[:2]] == ["PCA", "rVAE"]
    assert len(figure.axes) == 4
    assert len(plots.plot_method_comparison(table, ["pca", "latent"], maps=False).axes) == 2
    figure = plots.plot_method_comparison(table, ["pca", "latent", "pca"], "cluster")
    assert [ax.get_title() for ax in figure.axes] == ["PCA", "Latent", ""]  # one map for all
    assert len({ax.get_subplotspec().rowspan.start for ax in figure.axes}) == 1
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(180)
    pairs = {f"method {k}": ("pca_0", "pca_1") for k in range(5)}
    figure = plots.plot_method_comparison(table, pairs, maps=False)
    rows = [ax.get_subplotspec().rowspan.start for ax in figure.axes]
    assert rows == [0, 0, 0, 1, 1]
    assert [len(ax.child_axes) for ax in figure.axes] == [0, 0, 1, 0, 0]  # one bar for all
    with pytest.raises(KeyError, match="no column 'mds_0'"):
        plots.plot_method_comparison(table, ["pca", "mds"])
    with pytest.raises(ValueError, match="methods='pca': give .* texts in a list"):
        plots.plot_method_comparison(table, "pca")
    with pytest.raises(ValueError, match="color names no column for 'latent'"):
        plots.plot_method_comparison(table, ["pca", "latent"], {"pca": "cluster"})


# The verbs of the stack --------------------------------------------------------


def test_the_latent_space_of_a_stack(film, result):
    stack = film.stack.deepcopy()
    with pytest.raises(ValueError, match=r"no latents yet: call stack.rvae\(\)"):
        stack.plot_latent_space()
    stack.sites.set_many(
        {"latent_0": result.latent[:, 0], "angle": result.angle}, units={"angle": "rad"}
    )
    # One latent: against the angle, as in the paper.
    ax = stack.plot_latent_space(None)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Latent 0", "Angle (°)")
    stack.sites["latent_1"] = result.latent[:, 1]
    ax = stack.plot_latent_space()
    assert ax.get_ylabel() == "Latent 1" and drawn(ax).get_clim() == (-180, 180)
    stack.cluster_analysis("rvae", n_clusters=3, n_init=1, random_state=0)
    ax = stack.plot_latent_space("cluster", axes=("latent_1", 0))
    assert ax.get_xlabel() == "Latent 1"
    assert len(stack.plot_cluster_means().axes) >= 3
    stack.plot_site_map("cluster")
    assert len(stack.plot_method_comparison(["latent"]).axes) == 2
    with pytest.raises(ValueError, match=r"axes=\(0,\): give two latents"):
        stack.plot_latent_space(axes=(0,))


def test_a_metric_is_drawn_after_it_was_estimated(film):
    with pytest.raises(ValueError, match="please run `estimate_number_of_clusters` first"):
        film.stack.deepcopy().plot_cluster_metric()
