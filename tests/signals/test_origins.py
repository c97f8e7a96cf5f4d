# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image and model of a loaded stack: where they are, and whether they are the right ones."""

import shutil

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack
from hs_rvae import stack as join


@pytest.fixture
def film_file(image, tmp_path):
    (tmp_path / "data").mkdir()
    image.save(tmp_path / "data" / "film.hspy")
    return tmp_path / "data" / "film.hspy"


@pytest.fixture(params=["eager", "lazy"])
def cut(request, film_file, xy):
    lazy = request.param == "lazy"
    return SubImageStack.from_positions(hs.load(film_file, lazy=lazy), xy, window_size=24)


@pytest.mark.slow
@pytest.mark.parametrize("extension", ["hspy", "zspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_loaded_stack_brings_its_image_back(cut, film_file, tmp_path, image, extension, lazy):
    cut.save(tmp_path / f"stack.{extension}")
    loaded = hs.load(tmp_path / f"stack.{extension}", lazy=lazy)
    assert loaded.image is None
    with pytest.raises(ValueError, match=r"load_image\(\) reads it from '.*film.hspy'"):
        loaded.plot_image()
    found = loaded.load_image()
    assert loaded.image is found and found._lazy is lazy
    np.testing.assert_array_equal(np.asarray(found.data), image.data)
    assert loaded.inav[3:5].image is found
    assert loaded.load_image(lazy=False)._lazy is False


def test_an_image_saved_after_it_was_cut_is_found(image, xy, tmp_path):
    stack = SubImageStack.from_positions(image, xy, window_size=24)
    stack.save(tmp_path / "before.hspy")
    image.save(tmp_path / "film.zspy")
    stack.save(tmp_path / "after.hspy")
    with pytest.raises(ValueError, match=r"has noted no file of the image: stack.load_image"):
        hs.load(tmp_path / "before.hspy").load_image()
    for name in ("before", "after"):
        loaded = hs.load(tmp_path / f"{name}.hspy")
        path = "film.zspy" if name == "before" else None  # beside the stack
        np.testing.assert_array_equal(loaded.load_image(path).data, image.data)


def test_stack_and_image_may_move_together(cut, film_file, tmp_path, image):
    (tmp_path / "results").mkdir()
    cut.save(tmp_path / "results" / "stack.zspy")
    (tmp_path / "new").mkdir()
    for name in ("data", "results"):
        shutil.move(tmp_path / name, tmp_path / "new" / name)
    loaded = hs.load(tmp_path / "new" / "results" / "stack.zspy")
    np.testing.assert_array_equal(np.asarray(loaded.load_image().data), image.data)
    shutil.move(tmp_path / "new" / "data" / "film.hspy", tmp_path / "new" / "results")
    np.testing.assert_array_equal(np.asarray(loaded.load_image().data), image.data)
    (tmp_path / "new" / "results" / "film.hspy").unlink()
    with pytest.raises(FileNotFoundError, match=r"looked for .*film.hspy.*another place"):
        loaded.load_image()
    with pytest.raises(FileNotFoundError, match="none.hspy"):
        loaded.load_image("none.hspy")


def other_shape(image):
    return image.isig[:-3, :]


def other_scale(image):
    image.axes_manager.signal_axes[0].scale *= 2
    return image


def other_units(image):
    for axis in image.axes_manager.signal_axes:
        axis.units = "Å"
    return image


def other_pixels(image):
    return image * 2


def no_image(image):
    return image.sum(0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (other_shape, r"the shape \(150, 197\) instead of \(150, 200\)"),
        (other_scale, r"pixels of 0.04 x 0.02 nm instead of 0.02 x 0.02 nm"),
        (other_units, r"pixels of .*Å instead of .* nm"),
        (other_pixels, "other pixels"),
        (no_image, "the shape"),
    ],
)
def test_another_image_is_not_taken(film_file, xy, tmp_path, image, change, text):
    stack = SubImageStack.from_positions(hs.load(film_file), xy, window_size=24)
    stack.save(tmp_path / "stack.hspy")
    change(image.deepcopy()).save(film_file, overwrite=True)
    loaded = hs.load(tmp_path / "stack.hspy")
    for path in (None, film_file):
        with pytest.raises(ValueError, match=f"film.hspy' is not the image of this stack.*{text}"):
            loaded.load_image(path)
    assert loaded.image is None


def test_of_several_signals_the_one_that_fits_is_taken(image, xy, tmp_path, monkeypatch):
    from hyperspy import io

    image.save(tmp_path / "film.hspy")
    stack = SubImageStack.from_positions(hs.load(tmp_path / "film.hspy"), xy, window_size=24)
    signals = [image.sum(0), image * 2, image.deepcopy()]
    monkeypatch.setattr(io, "load", lambda path, lazy=False: signals)
    assert stack.load_image() is signals[2]
    signals.append(image.deepcopy())
    with pytest.raises(ValueError, match="holds 2 such images"):
        stack.load_image()
    stack.metadata.Sub_images.image_file.set_item("number", 3)
    assert stack.load_image() is signals[3]


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_a_joined_stack_brings_all_its_images_back(make_image, tmp_path, extension):
    stacks = []
    for k in range(3):
        image, xy = make_image(seed=k, title=f"film {k}")
        image.save(tmp_path / f"film_{k}.hspy")
        stacks.append(SubImageStack.from_positions(image, xy, window_size=24))
    both = join([join(stacks[:2]), stacks[2]])
    both.save(tmp_path / f"both.{extension}")
    loaded = hs.load(tmp_path / f"both.{extension}")
    images = loaded.load_image()
    assert [image.metadata.General.title for image in images] == ["film 0", "film 1", "film 2"]
    paths = [tmp_path / f"film_{k}.hspy" for k in (0, 2, 1)]
    with pytest.raises(ValueError, match="film_2.hspy' is not the image.*other pixels"):
        loaded.load_image(paths)
    with pytest.raises(ValueError, match="the stack has 3 images; give a list of as many"):
        loaded.load_image(paths[0])
    assert loaded.image is images
    old = loaded.deepcopy()
    del old.metadata.Sub_images.image_file  # of an earlier version
    with pytest.raises(ValueError, match="has noted no file of image 0"):
        old.load_image()
    assert len(old.load_image([paths[0], paths[2], paths[1]])) == 3


def test_a_series_is_an_image(tmp_path):
    import hs_rvae

    series, truths = hs_rvae.simulation.simulate_series((128, 128), 2, random_state=0)
    series.save(tmp_path / "series.hspy")
    xy = [truth.b_sites[["x", "y"]] for truth in truths]
    stack = SubImageStack.from_positions(hs.load(tmp_path / "series.hspy"), xy, window_size=24)
    stack.save(tmp_path / "stack.zspy")
    loaded = hs.load(tmp_path / "stack.zspy")
    assert loaded.load_image().data.shape == (2, 128, 128)


# The model --------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_a_loaded_stack_brings_its_model_back(fitted, tmp_path, extension):
    fitted.register_angle(0.4)
    fitted.rvae_model.save(tmp_path / "model.safetensors")
    fitted.save(tmp_path / f"stack.{extension}")
    expected, sites = fitted.get_rvae_model().data, fitted.sites.to_dataframe()
    (tmp_path / "new").mkdir()
    for name in ("model.safetensors", f"stack.{extension}"):
        shutil.move(tmp_path / name, tmp_path / "new" / name)
    loaded = hs.load(tmp_path / "new" / f"stack.{extension}")
    with pytest.raises(RuntimeError, match=r"load_rvae_model\(\) reads it from '.*model.safetens"):
        loaded.get_rvae_model()
    model = loaded.load_rvae_model(device="cpu")
    assert loaded.rvae_model is model and model.path_.parent == tmp_path / "new"
    np.testing.assert_allclose(loaded.get_rvae_model().data, expected, rtol=1e-5)
    assert loaded.sites.to_dataframe().equals(sites)  # registered as it was


def test_a_model_that_was_read_from_a_file_is_known_too(fitted, tmp_path):
    path = fitted.rvae_model.save(tmp_path / "model.safetensors")
    other = fitted.inav[:100]
    other.apply_rvae(path)
    other.save(tmp_path / "stack.hspy")
    assert hs.load(tmp_path / "stack.hspy").load_rvae_model().path_ == path
    other.rvae(output_dimension=1, epochs=1, n_init=1, random_state=0)  # not saved yet
    assert other.rvae_model.path_ is None
    other.save(tmp_path / "stack.hspy", overwrite=True)
    with pytest.raises(ValueError, match=r"has noted no file of the model: .*model\(path\)"):
        hs.load(tmp_path / "stack.hspy").load_rvae_model()
    other.rvae_model.save(tmp_path / "stack.safetensors")  # of the same name
    assert hs.load(tmp_path / "stack.hspy").load_rvae_model().n_latents_ == 1


@pytest.mark.slow
def test_another_model_is_not_taken(fitted, tmp_path):
    path = fitted.rvae_model.save(tmp_path / "model.safetensors")
    fitted.save(tmp_path / "stack.hspy")
    loaded = hs.load(tmp_path / "stack.hspy")
    options = {"epochs": 1, "n_init": 1, "random_state": 0}
    for stack, settings, text in (
        (fitted, {"output_dimension": 1}, "output_dimension=1 instead of 2"),
        (fitted, {"rotation": False}, "rotation=False instead of 'distortion'"),
        (fitted, {"rotation": "motif"}, "rotation='motif' instead of 'distortion'"),
        (fitted.inav[:200], {}, "n_sites_fit=200 instead of 512"),
        (fitted.isig[2:-2, 2:-2], {}, "window_size=28 instead of 32"),
    ):
        one = stack.deepcopy()
        one.rvae(**options, **settings)
        one.rvae_model.save(path)
        with pytest.raises(ValueError, match=f"is not the model that wrote the site table.*{text}"):
            loaded.load_rvae_model()
    assert loaded._rvae_model is None
    fitted.rvae_model.save(path)
    loaded.sites.remove("latent_1")
    with pytest.raises(ValueError, match="lacks latent_1"):
        loaded.load_rvae_model()
    loaded.metadata.Sub_images.__delattr__("rvae")
    with pytest.raises(ValueError, match="no results of a model: stack.apply_rvae"):
        loaded.load_rvae_model(path)
    assert loaded._rvae_model is None


def test_joined_stacks_of_one_model_bring_it_back(fitted, tmp_path):
    fitted.rvae_model.save(tmp_path / "model.safetensors")
    fitted.save(tmp_path / "one.hspy")
    both = join([fitted, fitted.inav[:30]])
    both.save(tmp_path / "both.hspy")
    loaded = hs.load(tmp_path / "both.hspy")
    loaded.load_rvae_model()
    assert loaded.get_rvae_model().data.shape == both.data.shape


def test_another_fit_with_the_same_settings_is_refused(film, fitted, tmp_path):
    other = film.stack.deepcopy()
    other.rvae(output_dimension=2, random_state=1)
    other.rvae_model.save(tmp_path / "other.safetensors")
    before = fitted.rvae_model
    with pytest.raises(ValueError, match="another fit, with the same settings"):
        fitted.load_rvae_model(tmp_path / "other.safetensors")
    assert fitted.rvae_model is before
