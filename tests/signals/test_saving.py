# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saved and loaded stacks, in HyperSpy's own formats."""

import os

import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

from hs_rvae import LazySubImageStack, SubImageStack
from hs_rvae import stack as join
from hs_rvae.files import plain


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


# Over the file that is read ---------------------------------------------------


@pytest.fixture
def small(image, xy):
    return SubImageStack.from_positions(image.deepcopy(), xy, window_size=24)


CHANGES = {
    "in another order": lambda s: s.select_sites(np.arange(54)[::-1]),
    "every second": lambda s: s.select_sites(np.arange(0, 54, 2)),
    "a slice": lambda s: s.inav[10:40],
    "pixels cropped": lambda s: s.isig[4:-4, 4:-4],
    "doubled": lambda s: s * 2,
    "the table": lambda s: (s.sites.set("mine", np.arange(54)), s)[1],
    "joined": lambda s: join([s, s.inav[:5].deepcopy()]),
    "joined, one in memory": lambda s: join([s.inav[3:], computed(s)]),
}


def part(*options):
    """All combinations, with both extensions; every third is quick enough for every day.

    The third holds every option, most of them with both extensions.
    """
    for numbers in np.ndindex(*map(len, options), 2):
        values = [list(each)[i] for each, i in zip(options, numbers, strict=False)]
        extension = ("hspy", "zspy")[numbers[-1]]
        marks = () if sum(numbers) % 3 == 0 else pytest.mark.slow
        yield pytest.param(*values, extension, marks=marks)


def computed(stack):
    stack = stack.deepcopy()
    if stack._lazy:
        stack.compute(show_progressbar=False)
    return stack


@pytest.mark.slow
@pytest.mark.parametrize("change, named, extension", list(part(CHANGES, (True, False))))
def test_a_lazy_stack_goes_on_right_after_it_replaced_its_own_file(
    small, tmp_path, change, named, extension
):
    path = tmp_path / f"stack.{extension}"
    small.save(path)
    changed = CHANGES[change](hs.load(path, lazy=True))
    expected = np.asarray(CHANGES[change](small).data)
    if named:
        changed.save(path, overwrite=True)
    else:
        changed.tmp_parameters.add_dictionary(
            {"folder": str(tmp_path), "filename": "stack", "extension": extension}
        )
        changed.save(overwrite=True)
    for one in (changed, changed.inav[1:], hs.load(path, lazy=True), hs.load(path)):
        np.testing.assert_array_equal(np.asarray(one.data), expected[-len(one.sites) :])
        np.testing.assert_array_equal(
            one.sites["site_index"], changed.sites["site_index"][-len(one.sites) :]
        )
    assert changed._lazy and list(tmp_path.iterdir()) == [path]
    changed.save(path, overwrite=True)  # and again
    np.testing.assert_array_equal(np.asarray(changed.data), expected)


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_other_stacks_of_a_replaced_file_are_right_or_refuse(small, tmp_path, extension):
    path = tmp_path / f"stack.{extension}"
    small.save(path)
    first, second = (hs.load(path, lazy=True) for _ in range(2))
    others = [first, second, first.inav[3:9], second.select_sites([5, 2]), join([first, second])]
    changed = first.select_sites(np.arange(54)[::-1])
    kept = [np.asarray(one.data) for one in others]
    changed.save(path, overwrite=True)
    for one, pixels in zip(others, kept, strict=True):
        assert len(one.sites) == len(pixels)
        if extension == "hspy":  # an open HDF5 file stays what it was
            np.testing.assert_array_equal(np.asarray(one.data), pixels)
            continue
        for use in (
            lambda one=one: one.compute(show_progressbar=False),
            lambda one=one: one.save(path, overwrite=True),
            lambda one=one: one.save(tmp_path / "other.zspy"),
        ):
            with pytest.raises(OSError, match="stack.zspy' has been replaced.*load it again"):
                use()
    np.testing.assert_array_equal(np.asarray(changed.data), small.data[::-1])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_image_of_a_stack_is_not_overwritten(image, xy, tmp_path, extension, lazy):
    path = tmp_path / f"film.{extension}"
    image.save(path)
    stack = SubImageStack.from_positions(hs.load(path, lazy=lazy), xy, window_size=24)
    both = join([stack, SubImageStack.from_positions(image.deepcopy(), xy, window_size=24)])
    for one in (stack, stack.inav[3:7], both):
        with pytest.raises(ValueError, match="is the file of the image that these sub-images"):
            one.save(path, overwrite=True)
    np.testing.assert_array_equal(hs.load(path).data, image.data)


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_windows_of_a_lazy_image_that_is_overwritten_are_right_or_refuse(
    image, xy, small, tmp_path, extension, monkeypatch
):
    monkeypatch.setattr("hs_rvae.signals.cutting._SMALL", 0.0)
    path = tmp_path / f"film.{extension}"
    image.save(path)
    lazy = SubImageStack.from_positions(hs.load(path, lazy=True), xy, window_size=24)
    np.testing.assert_allclose(np.asarray(lazy.data), small.data, rtol=1e-5)
    small.save(path, overwrite=True)  # another stack: its image has no file
    if extension == "hspy":
        np.testing.assert_allclose(np.asarray(lazy.data), small.data, rtol=1e-5)
    else:
        with pytest.raises(OSError, match="film.zspy' has been replaced"):
            lazy.compute(show_progressbar=False)


def test_only_the_table_is_written_beside_the_same_sites(small, tmp_path):
    path = tmp_path / "stack.zspy"
    small.save(path)
    lazy = hs.load(path, lazy=True)
    lazy.sites.set("mine", np.arange(54))
    lazy.save(path, overwrite=True, write_dataset=False)
    np.testing.assert_array_equal(hs.load(path).sites["mine"], np.arange(54))
    for other in (lazy.inav[3:], lazy.select_sites(np.arange(54)[::-1])):
        with pytest.raises(ValueError, match="write_dataset=False: .* of other sites"):
            other.save(path, overwrite=True, write_dataset=False)
    with pytest.raises(ValueError, match="written in place, it would be damaged"):
        lazy.save(path, overwrite=True, mode="w")
    np.testing.assert_array_equal(np.asarray(lazy.data), small.data)


# Nothing of the user's is lost ------------------------------------------------


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_files_beside_are_left_alone(small, tmp_path, extension):
    names = [f"stack.{part}.{extension}" for part in ("old", "part", "tmp")]
    names += [f"stack.{extension}.part", f".stack.{extension}"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("mine")
    for _ in range(2):
        small.save(tmp_path / f"stack.{extension}", overwrite=True)
    assert len(list(tmp_path.iterdir())) == len(names) + 1
    assert all((tmp_path / name / "mine").read_text() == "mine" for name in names)


def test_a_folder_with_other_files_is_not_replaced(small, tmp_path):
    path = tmp_path / "stack.zspy"
    path.mkdir()
    small.save(path, overwrite=True)  # an empty one is
    (path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"a folder with other files \(.*notes.txt"):
        small.save(path, overwrite=True)
    (tmp_path / "data.zspy").mkdir()
    (tmp_path / "data.zspy" / "Experiments").write_text("mine")
    with pytest.raises(ValueError, match=r"a folder with other files \(Experiments\)"):
        small.save(tmp_path / "data.zspy", overwrite=True)
    (tmp_path / "taken.hspy").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        small.deepcopy().save(tmp_path / "taken.hspy", overwrite=True)
    small.save(tmp_path / "taken.hspy")  # as HyperSpy: a known name in this folder
    assert [each.name for each in (tmp_path / "taken.hspy").iterdir()] == ["stack.zspy"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_archive_and_a_folder_take_each_other_s_place(small, tmp_path):
    path = tmp_path / "stack.zspy"
    small.save(path, store_type="zip")
    lazy = hs.load(path, lazy=True)
    assert path.is_file()
    changed = lazy.select_sites(np.arange(54)[::-1])
    changed.save(path, overwrite=True)
    assert path.is_dir()
    np.testing.assert_array_equal(np.asarray(changed.data), small.data[::-1])
    np.testing.assert_array_equal(np.asarray(lazy.data), small.data)
    changed.save(path, overwrite=True, store_type="zip")
    np.testing.assert_array_equal(hs.load(path).data, small.data[::-1])
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_that_fails_changes_neither_metadata_nor_the_known_place(
    small, tmp_path, monkeypatch
):
    small.save(tmp_path / "first.hspy")
    before = small.metadata.as_dictionary(), small.tmp_parameters.as_dictionary()
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    for name in ("second.hspy", "second.zspy"):
        with pytest.raises(ZeroDivisionError):
            small.save(tmp_path / "folder" / name)
    after = small.metadata.as_dictionary(), small.tmp_parameters.as_dictionary()
    assert str(before) == str(after)


# What metadata may hold -------------------------------------------------------

VALUES = {
    "text": np.array(["Å"])[0],
    "flag": np.bool_(True),
    "single": np.float32(0.5),
    "number": np.int64(3),
    "text without dimension": np.array("film"),
    "number without dimension": np.array(2.5),
    "list": [np.str_("a"), np.str_("b")],
    "flags": (np.bool_(True), np.bool_(False)),
    "tree": {"inside": {"name": np.str_("a"), "flag": np.bool_(False)}},
    "trees": [{"name": np.str_("a"), "flag": np.bool_(True)}, {"size": np.array(1)}],
    "texts": np.array(["Å", "b"]),
}


@pytest.mark.parametrize(
    "name, where, extension", list(part(VALUES, ("image", "stack", "original_metadata")))
)
def test_values_of_numpy_in_metadata_are_saved(image, xy, tmp_path, name, where, extension):
    if where == "image":
        image.metadata.set_item("Sample.value", VALUES[name])
        image.metadata.set_item("Acquisition_instrument.TEM.value", VALUES[name])
    stack = SubImageStack.from_positions(image, xy, window_size=24)
    node = stack.original_metadata if where == "original_metadata" else stack.metadata
    if where != "image":
        node.set_item("Sample.value", VALUES[name])
    stack.save(tmp_path / f"stack.{extension}")
    loaded = hs.load(tmp_path / f"stack.{extension}")
    node = loaded.original_metadata if where == "original_metadata" else loaded.metadata
    kept = node.Sample.value
    kept = kept.as_dictionary() if hasattr(kept, "as_dictionary") else kept
    assert kept == plain(VALUES[name])


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_names_units_and_titles_of_numpy_are_saved(image, xy, tmp_path, extension, lazy):
    for axis, name in zip(image.axes_manager.signal_axes, "xy", strict=True):
        axis.name, axis.units = np.array([name, "nm"])
        axis.scale = np.float32(0.02)
    image.metadata.General.title = np.array("film")
    image.metadata.Signal.quantity = np.str_("Intensity")
    stack = SubImageStack.from_positions(image, xy, window_size=24, lazy=lazy)
    stack.sites.set(np.str_("mine"), np.ones(54), units=np.str_("nm"))
    stack.metadata.Sub_images.set_item("rvae.intensity_gain", np.float32(1.5))
    for _ in range(2):
        stack.save(tmp_path / f"stack.{extension}", overwrite=True)
        stack = hs.load(tmp_path / f"stack.{extension}", lazy=lazy)
    assert [axis.units for axis in stack.axes_manager.signal_axes] == ["nm", "nm"]
    assert stack.metadata.General.title == "Sub-images of film"
    assert stack.metadata.Signal.quantity == "Intensity"
    assert stack.sites.units["mine"] == "nm"
    assert stack.metadata.Sub_images.rvae.intensity_gain == 1.5


def test_a_saved_table_makes_a_stack_again(image, small, tmp_path):
    small.sites.set("strain", np.linspace(0, 1, 54), units="%")
    path = small.sites.save(tmp_path / "sites.csv")
    columns = pd.read_csv(path)[["strain"]]
    again = SubImageStack.from_positions(image, path, window_size=24, columns=columns)
    np.testing.assert_allclose(again.sites["strain"], small.sites["strain"])
    np.testing.assert_allclose(again.data, small.data, atol=1e-6)
