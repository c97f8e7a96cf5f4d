# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other signals of the scan at the sites of a stack: against the truth of simulated spectra."""

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.simulation import simulate_perovskite, simulate_spectrum_image

FILM = {"cell": 13.0, "domain_size": 5, "chemistry": 0.0, "random_composition": 0.0}


@pytest.fixture(scope="module")
def film():
    return simulate_spectrum_image((160, 160), n_channels=64, random_state=0, **FILM)


@pytest.fixture(scope="module")
def stack(film):
    image, _, truth = film
    b = truth.film.b_sites
    return SubImageStack.from_positions(
        image,
        b,
        window_size=26,
        neighbours=truth.film.a_sites,
        columns={"variant": b["variant"].to_numpy()},
    )


def test_every_site_has_its_signal(film, stack):
    _, spectra, _ = film
    found = stack.get_site_signals(spectra, radius=2)
    assert found.axes_manager.navigation_shape == (len(stack.sites),)
    assert type(found) is type(spectra) and found.metadata.Signal.quantity == "X-rays (Counts)"
    assert found.axes_manager.signal_axes[0].units == "keV"
    y, x = np.rint(stack.sites.xy[5]).astype(int)[::-1]
    dy, dx = np.mgrid[-2:3, -2:3]
    disk = dx**2 + dy**2 <= 4
    own = spectra.data[y + dy[disk], x + dx[disk]]
    np.testing.assert_allclose(found.data[5], own.mean(axis=0), rtol=1e-6)
    total = stack.get_site_signals(spectra, radius=2, statistic="sum")
    np.testing.assert_array_equal(total.data[5], own.sum(axis=0))
    nearest = stack.get_site_signals(spectra)
    np.testing.assert_array_equal(nearest.data[5], spectra.data[y, x])


def test_lazy_spectra_stay_lazy_unless_asked(film, stack):
    _, spectra, _ = film
    lazy = spectra.as_lazy()
    lazy.rechunk(nav_chunks=(50, 60), sig_chunks=20)
    found = stack.get_site_signals(lazy, radius=2)
    assert found._lazy
    eager = stack.get_site_signals(spectra, radius=2)
    np.testing.assert_array_equal(np.asarray(found.data), eager.data)
    assert not stack.get_site_signals(lazy, radius=2, lazy_output=False)._lazy
    assert stack.get_site_signals(spectra, radius=2, lazy_output=True)._lazy
    for workers in (1, 2):
        means = stack.get_cluster_means("variant", lazy, radius=2, num_workers=workers)
        np.testing.assert_allclose(
            means.data, stack.get_cluster_means("variant", spectra, radius=2).data
        )


def test_means_have_labels_counts_and_variance(film, stack):
    _, spectra, _ = film
    means = stack.get_cluster_means("variant", spectra, radius=2)
    labels, counts = np.unique(stack.sites["variant"], return_counts=True)
    defined = labels >= 0
    node = means.metadata.Clusters
    assert node.labels == labels[defined].tolist() and node.counts == counts[defined].tolist()
    axis = means.axes_manager.navigation_axes[0]
    assert axis.name == "variant" and axis.size == defined.sum()
    variance = means.get_noise_variance()
    assert variance.data.shape == means.data.shape
    sites = stack.get_site_signals(spectra, radius=2)
    own = sites.data[stack.sites["variant"] == labels[defined][0]]
    np.testing.assert_allclose(means.data[0], own.mean(axis=0), rtol=1e-5)
    assert (variance.data[0] >= own.var(axis=0, ddof=1) / len(own) * 0.999).all()


def test_sublattices_have_the_spectra_of_their_elements(film):
    image, spectra, truth = film
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    means = hs_rvae.get_sublattice_means(lattice, spectra, radius=2)
    assert means.metadata.Clusters.labels == ["A", "B"]
    a_line, b_line = (int(np.argmax(each)) for each in truth.spectra[:2])
    assert means.data[0, a_line] > 3 * means.data[1, a_line]
    assert means.data[1, b_line] > 3 * means.data[0, b_line]
    # Against the expectation in the same regions: within three standard errors.
    expected = hs.signals.Signal1D(truth.expected())
    for one, like in zip(
        expected.axes_manager.navigation_axes, spectra.axes_manager.navigation_axes, strict=True
    ):
        one.scale, one.units = like.scale, like.units
    wanted = hs_rvae.get_sublattice_means(lattice, expected, radius=2).data
    error = np.sqrt(means.get_noise_variance().data)
    counts = np.array(means.metadata.Clusters.counts)[:, None] * means.data * 13
    off = np.abs(means.data - wanted)[counts >= 20] / error[counts >= 20]
    assert (off < 3).mean() >= 0.98 and 0.55 < (off < 1).mean() < 0.82


def test_another_step_and_a_roi_see_the_same_places(film, stack):
    image, _, _ = film
    whole = stack.get_site_signals(image, radius=0.03)
    part = image.isig[20:140, 30:150]
    roi = stack.get_site_signals(part, radius=0.03)
    inside = np.isfinite(roi.data)
    assert 0 < inside.sum() < len(inside)
    np.testing.assert_allclose(roi.data[inside], whole.data[inside], rtol=1e-6)
    coarse = image.rebin(scale=(2, 2)) / 4
    similar = stack.get_site_signals(coarse, radius=0.03)
    good = np.isfinite(similar.data) & np.isfinite(whole.data)
    np.testing.assert_allclose(similar.data[good].mean(), whole.data[good].mean(), rtol=0.05)
    background = np.median(image.data)
    assert whole.data[good].mean() > 1.3 * background


def test_a_mean_cell_keeps_displacement_and_spectrum(film, stack):
    image, spectra, truth = film
    cell = stack.get_mean_cell(spectra, window_size=13)
    assert cell.axes_manager.navigation_shape == (13, 13, len(cell.metadata.Clusters.labels))
    assert type(cell) is type(spectra)
    axes = cell.axes_manager.navigation_axes
    assert axes[0].units == "nm" and axes[0].offset == pytest.approx(-6 * axes[0].scale)
    picture = stack.get_mean_cell(image, window_size=26)
    means = stack.get_cluster_means("variant")
    assert picture.axes_manager.signal_shape == (26, 26)
    assert picture.axes_manager.navigation_axes[0].name == "variant"
    # The windows of the stack are interpolated, these are copies of pixels.
    assert np.corrcoef(picture.data.ravel(), means.data.ravel())[0, 1] > 0.97
    smooth = stack.get_mean_cell(image, window_size=26, centring="subpixel")
    assert np.corrcoef(smooth.data.ravel(), means.data.ravel())[0, 1] > 0.99
    total = cell.data.sum(axis=-1)
    assert (cell.get_noise_variance().data >= 0).all() and np.isfinite(total).all()


def test_a_mean_cell_turned_back_has_one_direction():
    image, truth = simulate_perovskite((400, 400), random_state=1)
    b = truth.b_sites
    stack = SubImageStack.from_positions(
        image,
        b,
        window_size=40,
        columns={"variant": np.where(b["variant"] >= 0, 0, -1), "angle": b["angle"].to_numpy()},
        units={"angle": "rad"},
    )
    cell = stack.get_mean_cell(image, derotate=True, window_size=40)
    by_hand = stack.derotate("angle").get_cluster_means("variant")
    inner = np.hypot(*np.mgrid[-19.5:20, -19.5:20]) < 17
    assert np.corrcoef(cell.data[0][inner], by_hand.data[0][inner])[0, 1] > 0.98
    straight = stack.get_mean_cell(image, window_size=40)
    assert np.corrcoef(straight.data[0][inner], by_hand.data[0][inner])[0, 1] < 0.97


def test_means_of_sub_images_keep_metadata_and_name(film, stack):
    stack = stack.deepcopy()
    stack.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 300.0)
    means = stack.get_cluster_means("variant")
    assert means.axes_manager.navigation_axes[0].name == "variant"
    assert means.metadata.Acquisition_instrument.TEM.beam_energy == 300.0
    with pytest.raises(ValueError, match="radius=, statistic=, region= and about= choose pixels"):
        stack.get_cluster_means("variant", radius=3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"statistic": "median"}, "statistic='median': give 'mean' or 'sum'"),
        ({"about": "site"}, "about='site': give 'column' or 'cage'"),
        ({"radius": 0}, "radius=0"),
        ({"radius": 90}, "radius=90: the region is wider"),
    ],
)
def test_wrong_options_are_refused(film, stack, options, match):
    with pytest.raises(ValueError, match=match):
        stack.get_site_signals(film[1], **options)


def test_overlapping_regions_are_named(film, stack, caplog):
    stack.get_site_signals(film[1], radius=8)
    assert "belong to the regions of two or more sites" in caplog.text
    caplog.clear()
    stack.get_site_signals(film[1], region="cell")
    assert "two or more sites" not in caplog.text


def test_the_cage_is_the_column_without_its_displacement(film, stack):
    image = film[0]
    about = stack.get_site_signals(image, about="cage")
    moved = stack.sites[["displacement_x", "displacement_y"]]
    known = np.isfinite(moved).all(axis=1)
    assert np.isnan(about.data[~known]).all() and np.isfinite(about.data[known]).all()
    x, y = np.rint((stack.sites.xy - moved)[known]).astype(int).T
    np.testing.assert_array_equal(about.data[known], image.data[y, x])
    bare = SubImageStack.from_positions(image, stack.sites.xy, window_size=26)
    with pytest.raises(ValueError, match="about='cage' needs the columns displacement_x"):
        bare.get_site_signals(image, about="cage")


def test_recut_keeps_sites_table_and_writers(film, stack):
    image = film[0]
    other = stack.recut(image * -2.0, window_size=20)
    assert other.data.shape == (len(stack.sites), 20, 20)
    assert other.sites.writers == stack.sites.writers and other.sites.units == stack.sites.units
    np.testing.assert_array_equal(other.sites["variant"], stack.sites["variant"])
    np.testing.assert_array_equal(other.sites["site_index"], stack.sites["site_index"])
    with pytest.raises(ValueError, match="150 x 160 px, the image of the stack 160 x 160 px"):
        stack.recut(image.isig[:150, :])
    fewer = stack.recut(image, window_size=60)
    assert len(fewer.sites) < len(stack.sites)
    assert set(fewer.sites["site_index"]) < set(stack.sites["site_index"])


def test_a_joined_stack_names_the_choice_of_one_image(film, stack):
    both = hs_rvae.stack([stack, stack])
    with pytest.raises(ValueError, match=r"joins sites of 2 images.*select_sites"):
        both.get_site_signals(film[1])
    one = both.select_sites(both.sites["image"] == 0)
    assert one.get_site_signals(film[1]).data.shape == (len(stack.sites), 64)


@pytest.mark.parametrize("given", ["table", "frame"])
def test_columns_of_another_stack_come_with_units_and_writers(film, stack, given):
    columns = stack.sites if given == "table" else stack.sites.to_dataframe()
    other = SubImageStack.from_positions(film[0], stack.sites.xy, window_size=20, columns=columns)
    np.testing.assert_array_equal(other.sites["variant"], stack.sites["variant"])
    assert other.sites.units["displacement_x"] == "px"
    assert other.sites.writers["displacement_x"] == "neighbours"


def test_cells_of_sublattices_end_at_columns_of_their_own(film):
    image = film[0]
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    whole = hs_rvae.get_sublattice_means(lattice, image, region="cell")
    alone = SubImageStack.from_positions(
        image, lattice.sublattice_list[1], window_size=26, columns=None
    )
    each = alone.get_site_signals(image, region="cell")
    assert np.nanmean(each.data) == pytest.approx(whole.data[1], rel=0.01)
