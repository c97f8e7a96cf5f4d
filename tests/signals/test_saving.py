# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saved and loaded stacks, in HyperSpy's own formats."""

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import LazySubImageStack, SubImageStack


@pytest.fixture
def stack(stack):
    stack.sites.set_many(
        {"angle": np.linspace(-3, 3, 54), "variant": np.arange(54) % 4 - 1},
        units={"angle": "rad"},
    )
    stack._rvae_model = object()
    return stack


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_stack_comes_back_from_a_file(stack, tmp_path, extension, lazy):
    path = tmp_path / f"stack.{extension}"
    stack.save(path)
    loaded = hs.load(path, lazy=lazy)
    assert type(loaded) is (LazySubImageStack if lazy else SubImageStack)
    np.testing.assert_array_equal(np.asarray(loaded.data), np.asarray(stack.data))
    for name in stack.sites.columns:
        np.testing.assert_array_equal(loaded.sites[name], stack.sites[name])
        assert loaded.sites[name].dtype == stack.sites[name].dtype
    for kept in ("columns", "units", "pixel_size", "pixel_units", "pixel_offset"):
        assert getattr(loaded.sites, kept) == getattr(stack.sites, kept)
    assert loaded.metadata.Sub_images.window_size == 24
    assert loaded.axes_manager.as_dictionary() == stack.axes_manager.as_dictionary()
    assert loaded.image is None and loaded._rvae_model is None


@pytest.mark.filterwarnings("error::FutureWarning")
def test_saving_brings_no_warning_of_other_packages_about_each_other(stack, tmp_path):
    stack.save(tmp_path / "stack.zspy")


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_loaded_stack_is_as_good_as_new(stack, tmp_path, extension, lazy):
    path = tmp_path / f"stack.{extension}"
    stack.save(path)
    loaded = hs.load(path, lazy=lazy)
    loaded.sites["angle"] = np.zeros(54)
    loaded.sites.set("cluster", np.arange(54))
    part = loaded.inav[10:20].select_sites([3, 1])
    np.testing.assert_array_equal(part.sites["cluster"], [13, 11])
    loaded.image = stack.image
    roi = hs.roi.CircleROI(5.0, 0.6, 0.7)
    np.testing.assert_array_equal(
        loaded.select_sites(roi).sites.xy, stack.select_sites(roi).sites.xy
    )
    if lazy:
        loaded.compute()
        assert type(loaded) is SubImageStack and loaded.sites["cluster"][5] == 5
    again = tmp_path / f"again.{extension}"
    loaded.save(again)
    assert hs.load(again).sites["cluster"][-1] == 53


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_a_single_site_comes_back_from_a_file(stack, tmp_path, extension):
    path = tmp_path / f"site.{extension}"
    stack.inav[7].save(path)
    loaded = hs.load(path)
    assert len(loaded.sites) == 1
    np.testing.assert_array_equal(loaded.sites["angle"], stack.sites["angle"][7:8])


def test_image_and_model_are_not_written(tmp_path):
    image = hs.signals.Signal2D(np.random.default_rng(0).normal(size=(600, 600)))  # 2.9 MB
    stack = SubImageStack.from_positions(image, [[100.0, 100.0], [200.0, 150.0]], 16)
    stack._rvae_model = np.random.default_rng(1).normal(size=(600, 600))
    path = tmp_path / "stack.hspy"
    stack.save(path)
    assert path.stat().st_size < 300_000
