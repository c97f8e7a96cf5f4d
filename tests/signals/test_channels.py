# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of several detectors of one scan: slices, files, lazy ones, models."""

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import LazySubImageStack, SubImageStack
from hs_rvae.exceptions import ModelMismatch

WINDOW = 30


def _film():
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (240, 240), cell=18.0, domain_size=5, random_state=0
    )
    other = image._deepcopy_with_new_data(500.0 - image.data + 5 * _noise(image.data.shape))
    image.metadata.General.title, other.metadata.General.title = "ADF", "BF"
    return hs.stack([image, other]), truth


def _noise(shape):
    return np.random.default_rng(1).normal(size=shape)


@pytest.fixture(scope="module")
def film():
    return _film()


def _cut(film, **options):
    images, truth = film
    return SubImageStack.from_positions(
        images, truth.b_sites[["x", "y"]], window_size=WINDOW, neighbours=truth.a_sites,
        **{"channels": True} | options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def uncut(film):
    return _cut(film)


@pytest.fixture(scope="module")
def fitted(film):
    stack = _cut(film)
    stack.rvae(1, epochs=3, random_state=0)
    return stack


@pytest.fixture
def stack(uncut):
    return uncut.deepcopy()


def _alone(film, k):
    """The stack of one detector, cut without the others."""
    return _cut((film[0].inav[k], film[1]), channels=False)


def _same(one, other):
    np.testing.assert_array_equal(one.data, other.data)
    assert one.sites.columns == other.sites.columns
    np.testing.assert_array_equal(
        one.sites[list(one.sites.columns)], other.sites[list(one.sites.columns)]
    )


# Making ------------------------------------------------------------------------


def test_every_detector_is_cut_as_if_alone(film, stack):
    n = len(stack.sites)
    assert [axis.name for axis in stack.axes_manager.navigation_axes] == ["detector", "site"]
    assert stack.axes_manager.navigation_shape == (2, n)
    assert stack.data.shape == (n, 2, WINDOW, WINDOW)
    assert "detectors: ADF, BF" in repr(stack) and f"{n} sites" in repr(stack)
    for k in (0, 1):
        _same(stack.inav[k], _alone(film, k))


@pytest.mark.slow
def test_a_lattice_and_a_sublattice_give_channels_too(film):
    images, _ = film
    lattice = hs_rvae.find_sublattices(images.inav[0], show_progressbar=False)
    of_lattice = SubImageStack.from_atom_lattice(lattice, images, "B", WINDOW, channels=True)
    alone = SubImageStack.from_atom_lattice(lattice, images.inav[1], "B", WINDOW)
    _same(of_lattice.inav[1], alone)
    sublattice = lattice.sublattice_list[1]
    of_sublattice = SubImageStack.from_sublattice(sublattice, images, WINDOW, channels=["a", "b"])
    assert of_sublattice.inav[1].data.shape == alone.data.shape
    assert "detectors: a, b" in repr(of_sublattice)


def test_sites_without_a_window_in_one_detector_are_left_out_of_all(film):
    images = film[0].deepcopy()
    images.data[1, 100:104, 100:104] = np.nan
    stack = _cut((images, film[1]))
    whole = _cut(film)
    assert 0 < len(stack.sites) < len(whole.sites)
    assert np.isfinite(stack.data).all()
    np.testing.assert_array_equal(stack.sites["site_index"], stack.inav[1].sites["site_index"])


def test_titles_that_repeat_give_numbers():
    image = hs.signals.Signal2D(np.random.default_rng(0).random((64, 64)))
    stack = SubImageStack.from_positions(
        hs.stack([image, image]), [[30, 30], [40, 31]], 16, channels=True
    )
    assert "detectors: 0, 1" in repr(stack)


def test_bad_channels_are_refused(film):
    images, truth = film
    with pytest.raises(ValueError, match="2 different names"):
        _cut(film, channels=["ADF"])
    with pytest.raises(ValueError, match=r"hyperspy\.api\.stack"):
        _cut((images.inav[0], truth))
    with pytest.raises(ValueError, match=r"hyperspy\.api\.stack"):
        SubImageStack.from_atom_lattice(None, channels=True)
    with pytest.raises(ValueError, match="channels=True"):
        _cut(film, channels=False)
    vectors = images.deepcopy()
    vectors.axes_manager.navigation_axes[0].name = "beam shift"
    with pytest.raises(ValueError, match="components of a vector"):
        _cut((vectors, truth))


# Slices ------------------------------------------------------------------------


def test_the_first_index_is_the_detector_and_leaves_the_table_whole(film, stack):
    part = stack.inav[1]
    assert part.axes_manager.navigation_shape == (len(stack.sites),)
    np.testing.assert_array_equal(part.data, stack.data[:, 1])
    np.testing.assert_array_equal(part.sites["x"], stack.sites["x"])
    np.testing.assert_array_equal(part.image.data, film[0].data[1])
    assert part.metadata.General.title.endswith("detector BF")
    np.testing.assert_array_equal(stack.inav[-1].data, part.data)


def test_the_second_index_slices_the_table(stack):
    part = stack.inav[:, 2:4]
    assert part.axes_manager.navigation_shape == (2, 2)
    np.testing.assert_array_equal(part.data, stack.data[2:4])
    np.testing.assert_array_equal(part.sites["site_index"], stack.sites["site_index"][2:4])
    again = part.inav[0, 1:]
    np.testing.assert_array_equal(again.sites["site_index"], stack.sites["site_index"][3:4])
    np.testing.assert_array_equal(again.data, stack.data[3:4, 0])


def test_one_detector_of_one_site(stack):
    part = stack.inav[0, 2]
    assert part.axes_manager.navigation_dimension == 0
    np.testing.assert_array_equal(part.data, stack.data[2, 0])
    np.testing.assert_array_equal(part.sites["x"], stack.sites["x"][2:3])


def test_all_detectors_of_one_site(stack):
    part = stack.inav[:, 2]
    assert part.axes_manager.navigation_shape == (2,)
    np.testing.assert_array_equal(part.sites["x"], stack.sites["x"][2:3])
    np.testing.assert_array_equal(part.inav[1].data, stack.data[2, 1])
    with pytest.raises(ValueError, match="no navigation axis"):
        part.select_sites([0])


def test_some_detectors(film):
    images = hs.stack([film[0].inav[0], film[0].inav[1], film[0].inav[0]])
    stack = _cut((images, film[1]), channels=["a", "b", "c"])
    part = stack.inav[1:]
    assert "detectors: b, c" in repr(part) and len(part.image.data) == 2
    assert part.inav[0].metadata.Sub_images.detector == "b"
    assert "detectors: b" in repr(stack.inav[1:2])
    assert len(stack.inav[1:2].sites) == len(stack.sites)


@pytest.mark.slow
@pytest.mark.parametrize("slices", [slice(None, None, -1), slice(None, None, 2), slice(2, 0, -1)])
def test_detectors_in_other_steps_keep_their_names_and_images(film, tmp_path, slices):
    images = hs.stack([film[0].inav[0], film[0].inav[1], film[0].inav[0] * 2])
    images.save(tmp_path / "images.hspy")
    stack = _cut((hs.load(tmp_path / "images.hspy"), film[1]), channels=["a", "b", "c"])
    part = stack.inav[slices]
    assert list(part.metadata.Sub_images.detectors) == ["a", "b", "c"][slices]
    np.testing.assert_array_equal(part.data, stack.data[:, slices])
    np.testing.assert_array_equal(part.image.data, images.data[slices])
    part.save(tmp_path / "part.zspy")
    loaded = hs.load(tmp_path / "part.zspy")
    np.testing.assert_array_equal(loaded.load_image().data, images.data[slices])


def test_values_of_the_site_axis_slice_both(stack):
    part = stack.select_sites(np.arange(5, 20)).inav[:, 3.0:6.0]
    np.testing.assert_array_equal(part.sites["x"], stack.sites["x"][8:11])
    np.testing.assert_array_equal(part.data, stack.data[8:11])


def test_sites_are_chosen_by_numbers_and_regions(stack):
    chosen = stack.select_sites([5, 3])
    np.testing.assert_array_equal(chosen.data, stack.data[[5, 3]])
    np.testing.assert_array_equal(chosen.sites["x"], stack.sites["x"][[5, 3]])
    inner = stack.select_sites(hs.roi.CircleROI(cx=1.8, cy=1.8, r=0.8))
    assert 0 < len(inner.sites) < len(stack.sites) and inner.data.shape[1] == 2


def test_verbs_of_hyperspy_keep_the_table_or_leave_it(stack):
    n = len(stack.sites)
    assert len(stack.mean("detector").sites) == n
    assert stack.mean("site").sites is None
    np.testing.assert_array_equal((stack * 2).sites["x"], stack.sites["x"])
    np.testing.assert_array_equal(stack.isig[4:-4, 4:-4].sites["x"], stack.sites["x"])
    assert stack.transpose(navigation_axes=["site", "detector"]).sites is None
    first, second = stack.split("site", number_of_parts=2)
    np.testing.assert_array_equal(second.sites["x"][:1], stack.sites["x"][len(first.sites)])
    stack.axes_manager.indices = (1, 3)
    current = stack.get_current_signal()
    np.testing.assert_array_equal(current.data, stack.data[3, 1])
    assert current.sites["x"] == stack.sites["x"][3]
    stack.crop("site", 2, 10)
    assert len(stack.sites) == 8
    for change in (lambda: stack.crop("detector", 0, 1), lambda: stack.split("detector")):
        with pytest.raises(ValueError, match=r"stack\.inav\["):
            change()


# Files and lazy stacks -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("extension", ["hspy", "zspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_file_keeps_detectors_table_and_origins(film, fitted, tmp_path, extension, lazy):
    images = film[0].deepcopy()
    images.save(tmp_path / "images.hspy")
    stack = fitted.deepcopy()
    stack.image = images
    stack.rvae_model.save(tmp_path / "model.safetensors")
    stack.save(tmp_path / f"stack.{extension}")
    loaded = hs.load(tmp_path / f"stack.{extension}", lazy=lazy)
    assert isinstance(loaded, LazySubImageStack if lazy else SubImageStack)
    np.testing.assert_array_equal(np.asarray(loaded.data), stack.data)
    part = loaded.inav[1, 2:5]
    np.testing.assert_array_equal(part.sites["angle"], stack.sites["angle"][2:5])
    np.testing.assert_array_equal(np.asarray(part.load_image().data), film[0].data[1])
    assert loaded.load_image().data.shape == film[0].data.shape
    part.load_rvae_model(tmp_path / "model.safetensors")
    model = part.get_rvae_model(lazy_output=False)
    np.testing.assert_allclose(model.data, fitted.inav[1].get_rvae_model().data[2:5], rtol=1e-4)


def test_a_saved_part_finds_its_image(film, tmp_path):
    images = film[0].deepcopy()
    images.save(tmp_path / "images.hspy")
    stack = _cut((hs.load(tmp_path / "images.hspy"), film[1]), channels=["a", "b"])
    stack.inav[1].save(tmp_path / "part.zspy")
    loaded = hs.load(tmp_path / "part.zspy")
    np.testing.assert_array_equal(loaded.load_image().data, film[0].data[1])


def test_a_lazy_stack_is_the_same_and_stays_lazy(film, fitted):
    lazy = _cut((film[0].as_lazy(), film[1]))
    assert isinstance(lazy, LazySubImageStack)
    np.testing.assert_array_equal(lazy.inav[1, 2:4].data.compute(), fitted.data[2:4, 1])
    lazy.rvae(1, epochs=3, random_state=0)
    assert lazy._lazy and lazy.rvae_model.fit_id_ == fitted.rvae_model.fit_id_
    np.testing.assert_array_equal(lazy.sites["angle"], fitted.sites["angle"])


# Models --------------------------------------------------------------------------


def test_a_joint_fit_decodes_every_detector(fitted):
    assert fitted.rvae_verdict.kind == "variants"
    for k in (0, 1):
        part = fitted.inav[k]
        left = part.get_rvae_residual().data[:, 8:-8, 8:-8]
        assert left.std() < 0.7 * part.data[:, 8:-8, 8:-8].std()
        assert part.get_rvae_manifold((1, 3)).data.shape[-2:] == (WINDOW, WINDOW)
        assert part.get_rvae_distortion(4).data.shape == (4, WINDOW, WINDOW)
    with pytest.raises(ValueError, match=r"stack\.inav\[0\]"):
        fitted.get_rvae_model()


def test_variants_and_posteriors_are_those_of_the_sites(fitted):
    stack = fitted.deepcopy()
    stack.assign_variants(4)
    assert (stack.inav[1].sites["variant"] == stack.sites["variant"]).all()
    posterior = stack.get_angle_posterior(36)
    assert posterior.data.shape == (len(stack.sites), 36)
    with pytest.raises(ModelMismatch, match="stack of all of them"):
        stack.inav[0].get_angle_posterior(36)


@pytest.mark.slow
@pytest.mark.parametrize("channel", [1, "BF"])
def test_one_channel_is_fitted_as_if_alone(film, stack, channel):
    stack.rvae(1, epochs=2, random_state=0, channel=channel)
    alone = _alone(film, 1)
    alone.rvae(1, epochs=2, random_state=0)
    np.testing.assert_array_equal(stack.sites["angle"], alone.sites["angle"])
    np.testing.assert_array_equal(stack.inav[1].get_rvae_model().data, alone.get_rvae_model().data)
    assert stack.get_angle_posterior(36).data.shape == (len(stack.sites), 36)
    with pytest.raises(ModelMismatch, match="fitted to the detector BF"):
        stack.inav[0].get_rvae_model()


def test_models_are_applied_to_the_detectors_they_were_fitted_to(fitted, stack):
    stack.apply_rvae(fitted.rvae_model)
    np.testing.assert_array_equal(stack.sites["angle"], fitted.sites["angle"])
    assert np.isfinite(stack.inav[1].get_rvae_model().data).all()
    with pytest.raises(ModelMismatch, match="stack of all of them"):
        stack.inav[0].apply_rvae(fitted.rvae_model)
    alone = stack.inav[0].deepcopy()
    alone.rvae(1, epochs=1, random_state=0)
    with pytest.raises(ModelMismatch, match="channel=0"):
        stack.apply_rvae(alone.rvae_model)
    stack.apply_rvae(alone.rvae_model, channel="ADF")
    np.testing.assert_array_equal(stack.sites["angle"], alone.sites["angle"])
    with pytest.raises(ModelMismatch, match="one detector"):
        stack.apply_rvae(fitted.rvae_model, rescale_intensity=True)


def test_a_joint_model_takes_other_pixels(fitted, stack):
    finer = stack.deepcopy()
    for axis in finer.axes_manager.signal_axes:
        axis.scale *= 1.02
    finer.apply_rvae(fitted.rvae_model)
    apart = np.angle(np.exp(1j * (finer.sites["angle"] - fitted.sites["angle"])))
    assert np.median(np.abs(apart)) < 0.1


def test_latents_are_those_of_the_named_channel(stack):
    stack.rvae(1, epochs=1, random_state=0, latent_channel="BF")
    assert stack.rvae_model.latent_channel == 1
    for channel, option in ((2, "channel"), ("DF", "channel"), ("DF", "latent_channel")):
        with pytest.raises(ValueError, match=f"{option}=.*'ADF', 'BF'"):
            stack.rvae(1, **{option: channel})
    with pytest.raises(ValueError, match="the stack has one detector"):
        stack.inav[0].rvae(1, channel=0)


def test_a_mask_leaves_sites_out(stack):
    mask = stack.sites["x"] > 200
    stack.rvae(1, epochs=1, random_state=0, navigation_mask=mask)
    np.testing.assert_array_equal(np.isnan(stack.sites["angle"]), mask)


def test_recut_stacks_agree(film, fitted):
    one = fitted.inav[0].deepcopy()
    other = one.recut(film[0].inav[1])
    for each in (one, other):
        each.rvae(1, epochs=1, random_state=0)
        each.assign_variants(4)
    both = (one.sites["variant"] >= 0) & (other.sites["variant"] >= 0)
    assert (one.sites["variant"] == other.sites["variant"])[both].mean() >= 0.97


def test_several_stacks_of_channels_are_not_joined(stack):
    with pytest.raises(ValueError, match=r"stack\.inav\[0\]"):
        hs_rvae.stack([stack, stack])
