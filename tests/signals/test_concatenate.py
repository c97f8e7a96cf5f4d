# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of several images put together."""

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import LazySubImageStack, SubImageStack
from hs_rvae.rvae.batches import rows_to_fit

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


def test_one_pixel_size_in_two_units_is_joined_in_the_first(make_image):
    stacks = []
    for unit, factor in (("nm", 1), ("\u00c5", 10), ("pm", 1000)):
        image, xy = make_image()
        for axis in image.axes_manager.signal_axes:
            axis.scale, axis.offset, axis.units = axis.scale * factor, axis.offset * factor, unit
        stacks.append(SubImageStack.from_positions(image, xy, 24, neighbours=xy + 10))
    joined = hs_rvae.stack(stacks)
    assert joined.sites.pixel_units == "nm" == joined.axes_manager.signal_axes[0].units
    assert joined.sites.pixel_size == stacks[0].sites.pixel_size
    np.testing.assert_allclose(joined.sites.pixel_offset, stacks[0].sites.pixel_offset)
    by_image = joined.sites["displacement_x_calibrated"].reshape(3, -1)
    np.testing.assert_allclose(by_image[1:], by_image[:1].repeat(2, 0))
    rows, other = stacks[0].match_sites(stacks[1], by="position", max_distance=1)
    np.testing.assert_array_equal(rows, other)


def test_pixels_that_do_not_compare_are_not_joined(make_image):
    stacks = []
    for unit in ("nm", ""):
        image, xy = make_image()
        for axis in image.axes_manager.signal_axes:
            axis.units = unit
        stacks.append(SubImageStack.from_positions(image, xy, 24))
    with pytest.raises(ValueError, match="cannot be compared: give the images the same calib"):
        hs_rvae.stack(stacks)


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


# Matching sites ----------------------------------------------------------------------------------


def test_two_window_sizes_are_matched_by_site_index(make_stack):
    small, large = make_stack(1), make_stack(1, window_size=44)
    assert len(large.sites) < len(small.sites)
    rows, rows_large = small.match_sites(large)
    np.testing.assert_array_equal(rows_large, np.arange(len(large.sites)))
    np.testing.assert_array_equal(small.sites.xy[rows], large.sites.xy[rows_large])
    # The other way round, and after a selection in another order.
    shuffled = small.select_sites(np.random.default_rng(0).permutation(len(small.sites)))
    back, back_small = large.match_sites(shuffled)
    np.testing.assert_array_equal(large.sites.xy[back], shuffled.sites.xy[back_small])
    assert len(back) == len(rows)


@pytest.mark.slow
def test_angles_of_two_window_sizes_in_one_dataframe(film):
    stacks = [
        SubImageStack.from_positions(film.image, film.positions, window_size=w) for w in (32, 42)
    ]
    for one in stacks:
        one.rvae(output_dimension=1, random_state=0)
    rows, rows_large = stacks[0].match_sites(stacks[1])
    assert len(rows) == len(stacks[1].sites) < len(stacks[0].sites)
    frame = stacks[0].sites.to_dataframe().iloc[rows].reset_index(drop=True)
    frame["angle_large"] = stacks[1].sites.to_dataframe()["angle"].to_numpy()[rows_large]
    difference = np.exp(1j * (frame["angle"] - frame["angle_large"]))
    # One offset between two models; what is left is the error of both.
    apart = np.degrees(np.abs(np.angle(difference * np.conj(difference.mean()))))
    assert np.median(apart) < 3
    # Without the matching, rows of both tables are different columns of the crystal.
    n = len(rows)
    wrong = np.exp(1j * (stacks[0].sites["angle"][:n] - stacks[1].sites["angle"]))
    assert abs(difference.mean()) > 0.98 > abs(wrong.mean()) + 0.1


def test_images_and_frames_are_never_mixed(films):
    joined = hs_rvae.stack(films)
    last = hs_rvae.stack(films).select_sites(joined.sites["image"] == 1)
    rows, rows_last = joined.match_sites(last)
    np.testing.assert_array_equal(rows, np.arange(54, 74))
    np.testing.assert_array_equal(rows_last, np.arange(20))
    by_position = joined.match_sites(last, by="position", max_distance=0.5)
    np.testing.assert_array_equal(by_position[0], rows)
    with pytest.raises(ValueError, match=r"Only one .* column 'image', with 3 values: .*== 0"):
        joined.match_sites(films[0])
    one = joined.select_sites(joined.sites["image"] == 0)
    assert len(one.match_sites(films[0])[0]) == 54
    for stack, number in ((joined, 0), (last, 1)):
        stack.sites.set("frame", np.full(len(stack.sites), number))
    with pytest.raises(ValueError, match="no site in common"):
        joined.match_sites(last)


def test_two_sublattices_are_matched_by_position(make_image):
    image, xy = make_image(seed=1)
    # A second sublattice 3 px beside the first, in another order and with sites of its own.
    rng = np.random.default_rng(0)
    order = rng.permutation(len(xy))[10:]
    first = SubImageStack.from_positions(image, xy, 24)
    second = SubImageStack.from_positions(image, xy[order] + [3.0, 0.0], 24)
    rows, others = first.match_sites(second, by="position", max_distance=4)
    apart = second.sites.xy[others] - first.sites.xy[rows]
    np.testing.assert_allclose(apart, np.tile([3.0, 0.0], (len(rows), 1)), atol=1e-9)
    assert len(set(rows)) == len(rows) == len(set(others))
    known = set(order[second.sites["site_index"]]) & set(first.sites["site_index"])
    assert set(first.sites["site_index"][rows]) == known
    # Two sites at one: only the nearer is its partner.
    pair = SubImageStack.from_positions(image, xy[27] + [[1.0, 0.0], [-2.0, 0.0]], 24)
    rows, others = first.match_sites(pair, by="position", max_distance=4)
    assert first.sites["site_index"][rows].tolist() == [27] and others.tolist() == [0]


def test_sites_that_cannot_be_matched_are_explained(films, make_image, caplog):
    first, second = films[0].inav[:10], films[0].inav[20:30]
    with pytest.raises(ValueError, match="no site in common.*match by='position'"):
        first.match_sites(second)
    with pytest.raises(ValueError, match=r"nearest pair is 39.* px apart; max_distance=2"):
        first.match_sites(second, by="position", max_distance=2)
    with pytest.raises(ValueError, match="max_distance=None: by='position' needs"):
        first.match_sites(second, by="position")
    with pytest.raises(ValueError, match="by='name' is unknown"):
        first.match_sites(second, by="name")
    with pytest.raises(TypeError, match="other is a ndarray"):
        first.match_sites(np.zeros((3, 2)))
    doubled = first.select_sites([0, 0, 1])
    with pytest.raises(ValueError, match="other has sites with the same site_index"):
        first.match_sites(doubled)
    without = first.deepcopy()
    without.sites.remove("site_index")
    with pytest.raises(ValueError, match="self has no column 'site_index'"):
        without.match_sites(first)
    image, xy = make_image(scale=0.021)
    with pytest.raises(ValueError, match="pixels of 0.02 nm and 0.021 nm"):
        first.match_sites(
            SubImageStack.from_positions(image, xy, 24), by="position", max_distance=2
        )
    moved = first.deepcopy()
    moved.sites["x"] += 10.0
    first.match_sites(moved)
    assert "same site_index are 10.0 px apart" in caplog.text


@pytest.mark.slow
def test_a_fit_that_the_stacks_share_is_kept(film):
    stack = film.stack.deepcopy()
    stack.rvae(output_dimension=1, epochs=1, random_state=0)
    parts = [stack.inav[:100], stack.inav[100:]]
    joined = hs_rvae.stack(parts)
    assert joined.metadata.Sub_images.rvae.angle_offset == 0 and joined.rvae_model
    parts[0].register_angle(1.0)
    assert np.isnan(hs_rvae.stack(parts).metadata.Sub_images.rvae.angle_offset)
    parts[1].rvae(output_dimension=1, epochs=1, random_state=1)
    assert not hs_rvae.stack(parts).metadata.has_item("Sub_images.rvae")


def test_frames_of_different_images_give_the_same_share_of_a_fit(film, monkeypatch):
    stack = film.stack
    counts = {(0, 0): 300, (0, 1): 60, (1, 0): 30, (1, 1): 6}  # (image, frame): sites
    n = sum(counts.values())
    rows = np.arange(n) % len(stack.sites)
    joined = stack.select_sites(rows)
    image, frame = np.repeat(np.array(list(counts)), list(counts.values()), axis=0).T
    joined.sites.set_many({"image": image, "frame": frame})
    fitted = []
    monkeypatch.setattr(
        hs_rvae.rvae.estimator,
        "rows_to_fit",
        lambda *arguments: fitted.append(rows_to_fit(*arguments)) or fitted[-1],
    )
    joined.rvae(output_dimension=1, epochs=1, max_fit_sites=n // 3, random_state=0)
    for place, count in counts.items():
        share = ((image[fitted[0]] == place[0]) & (frame[fitted[0]] == place[1])).sum()
        assert share == pytest.approx(count / 3, abs=1), place
