# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masked arrays: wherever they come in, a masked value is NaN, or refused with the remedy."""

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import RVAE, SubImageStack
from hs_rvae.masked_arrays import filled, is_masked

pytestmark = pytest.mark.slow  # fits of seconds each

SHAPE = (200, 220)
HIDDEN = np.broadcast_to(np.arange(SHAPE[1]) < 80, SHAPE)


@pytest.fixture(scope="module")
def film():
    image, truth = hs_rvae.simulation.simulate_perovskite(SHAPE, random_state=0)
    return np.round(image.data * 100), truth.b_sites[["x", "y"]].to_numpy()


@pytest.fixture
def pixels(film):
    return np.where(HIDDEN, 1e4, film[0])  # what lies under a mask is anything


def as_signal(data):
    signal = hs.signals.Signal2D(data)
    return signal.as_lazy() if hasattr(data, "dask") else signal


MASKED = {
    "float": lambda pixels: np.ma.masked_array(pixels, HIDDEN),
    "integer": lambda pixels: np.ma.masked_array(pixels.astype(np.uint16), HIDDEN),
    "dask": lambda pixels: da.from_array(np.ma.masked_array(pixels, HIDDEN), chunks=90),
    "dask integer": lambda pixels: da.ma.masked_array(
        da.from_array(pixels.astype(np.int32), chunks=90), HIDDEN
    ),
}


@pytest.mark.parametrize("kind", MASKED)
def test_masked_pixels_of_an_image_are_nan(kind, pixels, film):
    nan = SubImageStack.from_positions(np.where(HIDDEN, np.nan, pixels), film[1], 40)
    image = as_signal(MASKED[kind](pixels))
    stack = SubImageStack.from_positions(image, film[1], 40)
    assert stack._lazy == image._lazy
    np.testing.assert_array_equal(stack.sites["site_index"], nan.sites["site_index"])
    stack.compute() if stack._lazy else None
    np.testing.assert_allclose(stack.data, nan.data, atol=1e-3)
    assert is_masked(image.data) and not is_masked(stack.image.data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MASKED)
def test_no_column_is_found_under_a_mask(kind, pixels):
    expected = hs_rvae.find_sublattices(np.where(HIDDEN, np.nan, pixels)).sublattice_list
    for image in (as_signal(MASKED[kind](pixels)), MASKED[kind](pixels)):
        found = hs_rvae.find_sublattices(image).sublattice_list
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.atom_positions, other.atom_positions, atol=1e-3)


@pytest.mark.parametrize("kind", MASKED)
def test_masked_frames_of_a_series_are_nan(kind, pixels, film):
    one = MASKED[kind](pixels)
    series = as_signal(da.stack([one, one]) if hasattr(one, "dask") else np.ma.stack([one, one]))
    stack = SubImageStack.from_positions(series, [film[1], film[1]], 40)
    assert len(stack.sites) and stack.sites["x"].min() > 99
    lattices = hs_rvae.find_sublattices(series)
    assert min(table.x.min() for table in lattices.tables("B")) > 79


def test_an_image_without_a_masked_pixel_is_as_it_is(film):
    image = np.ma.masked_array(film[0].astype(np.uint16), False)
    assert filled(image).dtype == np.uint16
    plain = SubImageStack.from_positions(film[0], film[1], 40)
    masked = SubImageStack.from_positions(as_signal(image), film[1], 40)
    np.testing.assert_array_equal(masked.data, plain.data)


def test_masked_pixels_are_left_out_of_a_fit(pixels, film):
    table = hs_rvae.refine_columns(np.ma.masked_array(pixels, HIDDEN), film[1], radius=6)
    nan = hs_rvae.refine_columns(np.where(HIDDEN, np.nan, pixels), film[1], radius=6)
    np.testing.assert_array_equal(table, nan)


def test_masked_positions_get_no_window(film):
    image, xy = film
    away = np.ma.masked_array(xy, np.tile((np.arange(len(xy)) < 20)[:, None], 2))
    for given in (away, da.from_array(away, chunks=10), {"x": away[:, 0], "y": away[:, 1]}):
        assert SubImageStack.from_positions(image, given, 40).sites["site_index"].min() >= 20
    assert (hs_rvae.refine_columns(image, away, radius=6).status[:20] == 4).all()
    # A column of one coordinate is no column either.
    half = np.ma.masked_array(xy, np.c_[np.arange(len(xy)) < 20, np.zeros(len(xy))])
    assert SubImageStack.from_positions(image, half, 40).sites["site_index"].min() >= 20


def test_masked_neighbours_are_none(film):
    image, xy = film
    few = np.ma.masked_array(xy + 13, np.broadcast_to((xy[:, :1] < 120), xy.shape))
    sites = SubImageStack.from_positions(image, xy, 40, neighbours=few).sites
    assert np.isnan(sites["displacement_x"][sites["x"] < 110]).all()
    assert np.isfinite(sites["displacement_x"]).any()


def test_masked_values_of_a_column_are_nan(film):
    image, xy = film
    number = np.ma.masked_array(np.arange(len(xy)), np.arange(len(xy)) % 2)
    stack = SubImageStack.from_positions(image, xy, 40, columns={"number": number})
    odd = stack.sites["site_index"] % 2 == 1
    stack.sites["later"] = np.ma.masked_array(np.ones(len(odd)), odd)
    stack.sites.set_many({"label": np.ma.masked_array(np.ones(len(odd), int), odd)})
    for name in ("number", "later", "label"):
        np.testing.assert_array_equal(np.isnan(stack.sites[name]), odd)


def test_masked_sub_images_are_nan_in_a_stack(film):
    stack = SubImageStack.from_positions(film[0], film[1], 40)
    first = np.arange(len(stack.sites))[:, None, None] == 0
    stack.data = np.ma.masked_array(stack.data, np.broadcast_to(first, stack.data.shape))
    assert not is_masked(stack.data) and np.isnan(stack.data[0]).all()
    with pytest.raises(ValueError, match="1 sites have pixels that are not finite"):
        stack.decomposition("PCA", output_dimension=2)
    masked = np.ma.masked_array(np.ones((5, 16, 16)), False)
    masked[1, 3] = np.ma.masked
    signal = hs.signals.Signal2D(masked)
    signal.set_signal_type("sub_image_stack")
    assert np.isnan(signal.data[1]).sum() == 16


def test_masks_are_followed_by_a_model_or_refused():
    masked = np.ma.masked_array(np.ones((20, 16, 16)), False)
    model = RVAE(1, epochs=1)
    for images, remedy in [
        (masked, r"images\.filled\(np\.nan\)"),
        (masked.astype(int), r"images\.astype\(float\)\.filled\(np\.nan\)"),
        (da.from_array(masked), r"dask\.array\.ma\.filled\("),
    ]:
        with pytest.raises(ValueError, match="images is a masked array.*" + remedy):
            model.fit(images)
    plain, two = masked.data, np.ma.zeros((20, 2))
    with pytest.raises(ValueError, match=r"offsets is a masked array.*offsets\.filled"):
        model.fit(plain, offsets=two)
    with pytest.raises(ValueError, match=r"strata is a masked array"):
        model.fit(plain, strata=np.ma.zeros(20, int))


def test_a_mask_of_a_mask_is_refused(film):
    stack = SubImageStack.from_positions(film[0], film[1], 40)
    choice = np.ma.masked_array(stack.sites["x"], stack.sites["x"] > 150) > 100
    for call in (
        lambda: stack.select_sites(choice),
        lambda: stack.decomposition("PCA", output_dimension=2, navigation_mask=choice),
        lambda: stack.cluster_analysis("decomposition", navigation_mask=choice),
    ):
        with pytest.raises(ValueError, match=r"is a masked array.*\.filled\(False\)"):
            call()


def test_masked_pixels_do_not_set_the_grey_values_of_a_figure(pixels, film):
    masked = np.ma.masked_array(pixels, HIDDEN)
    ax = hs_rvae.plots.plot_image(masked)
    assert ax.images[0].get_clim()[1] < film[0].max() + 1
    stack = SubImageStack.from_positions(film[0], film[1], 40)
    ax = stack.plot_site_map("x", image=masked)
    assert ax.images[0].get_clim()[1] < film[0].max() + 1
