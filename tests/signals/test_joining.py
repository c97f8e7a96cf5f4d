# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of several images put together."""

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import LazySubImageStack, SubImageStack

pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore:FutureWarning")


@pytest.fixture
def make_stack(make_image):
    def make(seed, **options):
        image, xy = make_image(title=f"film {seed}", seed=seed)
        return SubImageStack.from_positions(image, xy, **{"window_size": 24} | options)

    return make


@pytest.fixture
def films(make_stack):
    return [make_stack(1), make_stack(2).inav[:20], make_stack(3).inav[7]]


def test_joined_stacks_keep_their_rows_and_images(films):
    joined = hs_rvae.stack(films)
    assert type(joined) is SubImageStack
    assert joined.axes_manager.navigation_shape == (75,)
    np.testing.assert_array_equal(joined.sites["image"], [0] * 54 + [1] * 20 + [2])
    assert joined.sites["image"].dtype == np.int64
    assert [one is two for one, two in zip(joined.image, [f.image for f in films], strict=True)]
    start = 0
    for film in films:
        part = joined.inav[start : start + len(film.sites)]
        np.testing.assert_array_equal(part.data, film.data.reshape(-1, 24, 24))
        for name in film.sites.columns:
            np.testing.assert_array_equal(part.sites[name], film.sites[name])
        start += len(film.sites)
    assert joined.sites.units == films[0].sites.units | {"image": ""}
    x = joined.axes_manager["x"]
    assert (x.scale, x.units, x.offset) == (0.02, "nm", pytest.approx(-11.5 * 0.02))
    assert joined.metadata.General.title == "; ".join(f"Sub-images of film {i}" for i in (1, 2, 3))
    assert joined.metadata.Sub_images.window_size == 24


def test_one_lazy_stack_makes_the_joined_one_lazy(films):
    expected = hs_rvae.stack(films).data
    films[1] = films[1].as_lazy()
    joined = hs_rvae.stack(films)
    assert type(joined) is LazySubImageStack
    np.testing.assert_array_equal(joined.data.compute(), expected)


def test_joining_joined_stacks_keeps_images_apart(films):
    joined = hs_rvae.stack([hs_rvae.stack(films[:2]), films[2]])
    np.testing.assert_array_equal(joined.sites["image"], [0] * 54 + [1] * 20 + [2])
    assert [image.metadata.General.title for image in joined.image] == [
        "film 1",
        "film 2",
        "film 3",
    ]
    # One image alone, without the others at hand.
    second = hs_rvae.stack(films[:2]).select_sites(np.arange(54, 74))
    second.image = None
    again = hs_rvae.stack([second, films[2]])
    np.testing.assert_array_equal(again.sites["image"], [1] * 20 + [2])
    assert again.image[:2] == [None, None] and again.image[2] is films[2].image


def test_columns_that_only_some_have_are_filled(films):
    films[0].sites.set("angle", np.ones(54), units="rad")
    films[1].sites.set("variant", np.arange(20))
    sites = hs_rvae.stack(films).sites
    assert sites.units["angle"] == "rad" and sites["variant"].dtype == np.int64
    assert np.isfinite(sites["angle"]).sum() == 54
    assert (sites["variant"] == -1).sum() == 55


def test_the_model_is_kept_if_it_is_the_same(films):
    model = object()
    for film in films:
        film._rvae_model = model
    assert hs_rvae.stack(films)._rvae_model is model
    films[0]._rvae_model = object()
    assert hs_rvae.stack(films)._rvae_model is None


def test_a_region_needs_one_image(films):
    films[0].image.axes_manager[0].offset = 7.0
    films[0] = SubImageStack.from_positions(films[0].image, films[0].sites, 24)
    joined = hs_rvae.stack(films)
    roi = hs.roi.RectangularROI(7.0, -1.0, 8.0, 0.0)
    with pytest.raises(ValueError, match=r"joins 3 images: choose one .*sites\['image'\] == 0"):
        joined.select_sites(roi)
    first = joined.select_sites(joined.sites["image"] == 0)
    np.testing.assert_array_equal(
        first.select_sites(roi).sites.xy, films[0].select_sites(roi).sites.xy
    )


def test_joined_stacks_are_saved_and_loaded(films, tmp_path):
    joined = hs_rvae.stack(films)
    joined.save(tmp_path / "joined.zspy")
    loaded = hs.load(tmp_path / "joined.zspy")
    np.testing.assert_array_equal(loaded.sites["image"], joined.sites["image"])
    assert loaded.image is None


@pytest.mark.parametrize("size", [26, 22])
def test_other_windows_are_not_joined(films, make_stack, size):
    with pytest.raises(ValueError, match=rf"\({size}, {size}\) pixels, .* of \(24, 24\): cut"):
        hs_rvae.stack([films[0], make_stack(4, window_size=size)])


def test_other_pixel_sizes_are_not_joined(films, make_image):
    image, xy = make_image(scale=0.021)
    other = SubImageStack.from_positions(image, xy, 24)
    with pytest.raises(
        ValueError, match=r"stacks\[1\] has pixels of 0.021 nm, stacks\[0\] of 0.02"
    ):
        hs_rvae.stack([films[0], other])


def test_columns_in_other_units_are_not_joined(films):
    films[1].sites.set("x", films[1].sites["x"], units="nm")
    with pytest.raises(ValueError, match=r"column 'x' has different units.*\['nm', 'px'\]"):
        hs_rvae.stack(films)


def test_only_stacks_with_sites_are_joined(films, image, caplog):
    with pytest.raises(TypeError, match=r"stacks\[1\] is a Signal2D"):
        hs_rvae.stack([films[0], image])
    with pytest.raises(ValueError, match=r"stacks\[1\] has no site table"):
        hs_rvae.stack([films[0], films[0].mean("site")])


def test_there_must_be_something_to_join():
    with pytest.raises(ValueError, match="stacks is empty"):
        hs_rvae.stack([])
