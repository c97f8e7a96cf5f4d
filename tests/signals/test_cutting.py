# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a stack: what comes in, what is dropped, what is refused."""

import logging
from types import SimpleNamespace

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

from hs_rvae import LazySubImageStack, SubImageStack, find_sublattices
from hs_rvae.signals import cutting
from hs_rvae.simulation import simulate_perovskite

INFO = {"level": logging.INFO, "logger": "hs_rvae"}


def square_lattice(shape=(150, 200), cell=20.0):
    """Corners of square cells over an image, (x, y) in px."""
    x, y = np.meshgrid(np.arange(5, shape[1], cell), np.arange(5, shape[0], cell))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def sublattice(xy, image=None, **attributes):
    """Anything with the attributes of an Atomap Sublattice."""
    return SimpleNamespace(
        atom_list=[None] * len(xy),
        x_position=xy[:, 0],
        y_position=xy[:, 1],
        original_image=None if image is None else image.data.copy(),
        image=None if image is None else np.zeros_like(image.data),
        pixel_size=0.02,
        units="nm",
        **attributes,
    )


def test_axes_are_those_of_the_image_with_the_column_at_zero(stack):
    (site,), (x, y) = stack.axes_manager.navigation_axes, stack.axes_manager.signal_axes
    assert (site.name, site.size) == ("site", 54)
    assert [(a.name, a.units, a.scale, a.size) for a in (x, y)] == [
        ("x", "nm", 0.02, 24),
        ("y", "nm", 0.02, 24),
    ]
    assert x.offset == y.offset == pytest.approx(-11.5 * 0.02)
    assert stack.data.dtype == np.float32


def test_every_column_is_on_the_middle_of_its_window(stack):
    stack.compute() if stack._lazy else None
    middle = stack.data[:, 10:14, 10:14]
    # The profile of a column centred at 11.5, its neighbours 20 px away included; 1e-3: spline.
    expected = 0.1 + np.exp(-(np.add.outer(*2 * [(np.arange(4) - 1.5) ** 2])) / (2 * 2.5**2))
    np.testing.assert_allclose(middle, np.broadcast_to(expected, middle.shape), atol=1e-3)


def test_the_table_starts_with_index_and_position(stack, xy):
    sites = stack.sites
    assert sites.columns == ("site_index", "x", "y", "offset_x", "offset_y")
    assert sites.units == dict.fromkeys(sites.columns, "px") | {"site_index": ""}
    np.testing.assert_array_equal(sites.xy, xy[sites["site_index"]])
    assert not sites[["offset_x", "offset_y"]].any()
    assert (sites.pixel_size, sites.pixel_units) == ((0.02, 0.02), "nm")
    assert sites.pixel_offset == (3.0, -1.0)


def test_lazy_follows_the_image_unless_told(image, xy):
    lazy_image = image.as_lazy()
    made = {
        (source._lazy, lazy): SubImageStack.from_positions(source, xy, 24, lazy=lazy)
        for source in (image, lazy_image)
        for lazy in (None, True, False)
    }
    for (of_lazy, lazy), stack in made.items():
        expected = of_lazy if lazy is None else lazy
        assert type(stack) is (LazySubImageStack if expected else SubImageStack)
        np.testing.assert_array_equal(np.asarray(stack.data), made[False, None].data)
        np.testing.assert_array_equal(stack.sites.xy, made[False, None].sites.xy)
    assert isinstance(LazySubImageStack.from_positions(image, xy, 24), LazySubImageStack)


def test_a_large_lazy_image_is_read_when_the_stack_is_computed(monkeypatch):
    monkeypatch.setattr(cutting, "_SMALL", 0.0)
    reads = []

    def read(block, block_info):
        reads.append(block_info[0]["chunk-location"])
        return block

    # Whole numbers are finite, and the outline shows no data bar: nothing else to look at before.
    data = np.random.default_rng(0).integers(0, 255, (100, 120), np.uint8)
    data = da.from_array(data, chunks=25).map_blocks(read, dtype=np.uint8)
    image = hs.signals.Signal2D(data).as_lazy()
    reads.clear()
    stack = SubImageStack.from_positions(image, [[40.0, 40.0], [60.0, 50.0]], 16)
    assert not {(1, 1), (1, 2), (2, 1), (2, 2)} & set(reads) and len(reads) == len(set(reads))
    stack.compute()
    assert (1, 1) in reads and stack.data.shape == (2, 16, 16)


def test_the_outline_of_a_long_lazy_image_is_that_of_its_ends(monkeypatch):
    monkeypatch.setattr(cutting, "_SMALL", 0.0)
    reads = []

    def read(block, block_info):
        reads.append(block_info[0]["chunk-location"][0])
        return block

    def lazy(data):
        chunks = da.from_array(data, chunks=(50, 120)).map_blocks(read, dtype=np.uint8)
        reads.clear()
        return SubImageStack.from_positions(hs.signals.Signal2D(chunks).as_lazy(), xy, 16).sites

    data = np.random.default_rng(0).integers(0, 255, (400, 120), np.uint8)
    xy = np.array([[25.0, 200.0], [60.0, 50.0], [60.0, 200.0]])
    assert len(lazy(data)) == 3 and set(reads) == {0, 1, 6, 7}
    data[:, :20] = 7
    assert list(lazy(data)["site_index"]) == [1, 2] and set(reads) == set(range(8))


def test_nearest_keeps_what_remains_of_the_position(image, xy):
    stack = SubImageStack.from_positions(image, xy, 24, centring="nearest")
    sites = stack.sites
    x, y = (sites["x"] - 11.5 - sites["offset_x"])[7], (sites["y"] - 11.5 - sites["offset_y"])[7]
    assert x == round(x) and y == round(y) and sites["offset_x"].any()
    x, y = int(x), int(y)
    np.testing.assert_array_equal(stack.data[7], image.data[y : y + 24, x : x + 24])
    assert stack.metadata.Sub_images.centring == "nearest"


def test_window_size_in_units_and_from_the_lattice(image, xy):
    assert SubImageStack.from_positions(image, xy, 0.5).data.shape[-2:] == (25, 25)
    default = SubImageStack.from_positions(image, xy)
    # Positions jitter by 0.5 px about a spacing of 20 px: nearest neighbours are a little closer.
    assert 34 <= default.data.shape[-1] <= 37
    assert default.metadata.Sub_images.window_size == default.data.shape[-1]


def test_positions_as_table_and_as_row_and_column(image, xy):
    frame = pd.DataFrame(xy, columns=["x", "y"])
    for stack in (
        SubImageStack.from_positions(image, frame, 24),
        SubImageStack.from_positions(image, xy[:, ::-1], 24, order="rc"),
    ):
        np.testing.assert_array_equal(stack.sites.xy, xy[stack.sites["site_index"]])


def test_the_classes_of_atomai_become_a_column(image, xy):
    number = np.arange(len(xy)) % 3
    given = {0: np.c_[xy[:, ::-1], number.astype(float)]}
    stack = SubImageStack.from_positions(image, given, 24, neighbours=given)
    np.testing.assert_array_equal(stack.sites["class"], number[stack.sites["site_index"]])
    np.testing.assert_array_equal(stack.sites.xy, xy[stack.sites["site_index"]])
    own = SubImageStack.from_positions(image, given, 24, columns={"class": number + 5})
    assert own.sites["class"].min() == 5
    series = SubImageStack.from_positions(hs.stack([image, image]), {0: given[0], 1: given[0]}, 24)
    assert series.sites["frame"].max() == 1 and "class" in series.sites


def test_further_columns_follow_their_sites(image, xy):
    stack = SubImageStack.from_positions(
        image, xy, 24, columns={"row": np.arange(len(xy)), "q": xy[:, 0] * 2}, units={"q": "e"}
    )
    np.testing.assert_array_equal(stack.sites["row"], stack.sites["site_index"])
    np.testing.assert_array_equal(stack.sites["q"], stack.sites["x"] * 2)
    assert stack.sites.units["q"] == "e" and stack.sites["row"].dtype == np.int64


def test_an_array_is_an_uncalibrated_image(image, xy):
    stack = SubImageStack.from_positions(image.data, xy, 24.0)
    assert stack.data.shape[-1] == 24 and stack.sites.pixel_units == "px"
    assert isinstance(stack.image, hs.signals.Signal2D)
    lazy = SubImageStack.from_positions(da.from_array(image.data), xy, 24)
    assert isinstance(lazy, LazySubImageStack)


def test_the_stack_knows_its_image_and_how_it_was_cut(image, xy):
    image.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 300.0)
    stack = SubImageStack.from_positions(image, xy, 24)
    assert stack.image is image
    assert stack.metadata.General.title == "Sub-images of film"
    node = stack.metadata.Sub_images
    assert (node.window_size, node.centring, node.edge, node.image_title) == (
        24,
        "subpixel",
        "drop",
        "film",
    )
    assert stack.metadata.Acquisition_instrument.TEM.beam_energy == 300.0


# What is dropped


def test_dropped_sites_are_counted_by_reason(image, xy, caplog):
    image.data[60:70, 60:70] = np.nan
    strange = [[np.nan, 40.0], [500.0, 40.0], xy[20]]
    with caplog.at_level(**INFO):
        stack = SubImageStack.from_positions(image, np.vstack([xy, strange]), 24)
    kept = stack.sites["site_index"]
    assert len(stack.data) == len(kept) == len(stack.sites)
    assert kept.max() < len(xy)
    assert np.isfinite(stack.data).all()
    gone = np.setdiff1d(np.arange(len(xy)), kept)
    at_border = ((xy < 11.5) | (xy > np.array([199, 149]) - 11.5)).any(axis=1)
    on_nan = (np.abs(xy - 64.5) < 4.5 + 12.5).all(axis=1)
    np.testing.assert_array_equal(gone, np.flatnonzero(at_border | on_nan))
    (record,) = caplog.records
    message = record.getMessage()
    for part in (
        f"{len(kept)} of {len(xy) + 3} sites are kept",
        f"{at_border.sum()} have a window that leaves the image",
        f"{on_nan.sum()} have a window with non-finite pixels",
        "1 have a non-finite position",
        "1 lie outside the image",
        "1 repeat another position",
        "site_index",
    ):
        assert part in message


def test_nan_pixels_drop_the_same_sites_lazily(image, xy):
    image.data[60:70, 60:70] = np.nan
    eager = SubImageStack.from_positions(image, xy, 24)
    lazy = SubImageStack.from_positions(image.as_lazy(), xy, 24)
    np.testing.assert_array_equal(eager.sites["site_index"], lazy.sites["site_index"])
    lazy.compute()
    np.testing.assert_array_equal(eager.data, lazy.data)


@pytest.mark.parametrize("kind", ["eager", "lazy", "series", "lazy series"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_windows_over_a_data_bar_are_dropped_with_a_warning(image, xy, kind, dtype, caplog):
    grey = (200 * image.data).astype(dtype)
    bar = np.zeros((30, grey.shape[1]), dtype)
    bar[10:20, 20:90] = 255
    clean = SubImageStack.from_positions(grey, xy, 24)
    picture = hs.signals.Signal2D(np.vstack([grey, bar]))
    if "series" in kind:
        picture = hs.stack([hs.signals.Signal2D(np.vstack([grey, 0 * bar + 7])), picture])
    picture = picture.as_lazy() if "lazy" in kind else picture
    caplog.clear()
    given = [xy, xy] if "series" in kind else xy
    stack = SubImageStack.from_positions(picture, given, 24)
    for frame in (0, 1) if "series" in kind else (0,):
        some = stack.sites["frame"] == frame if "frame" in stack.sites else slice(None)
        np.testing.assert_array_equal(stack.sites["site_index"][some], clean.sites["site_index"])
    text = caplog.records[0].getMessage()
    assert caplog.records[0].levelno == logging.WARNING
    assert f"30 rows at the bottom. Crop the image with image.isig[:, :{len(grey)}]." in text
    assert "windows over them are dropped" in text
    caplog.clear()
    again = SubImageStack.from_positions(picture.isig[:, : len(grey)], given, 24)
    assert not caplog.records and len(again.sites) == len(stack.sites)


def test_few_dropped_sites_are_no_warning_most_are(image, xy, caplog):
    SubImageStack.from_positions(image, xy, 24)
    assert not caplog.records
    SubImageStack.from_positions(image, xy, 100)
    assert "have a window that leaves the image" in caplog.text


def test_repeated_positions_are_dropped_with_a_warning(image, xy, caplog):
    stack = SubImageStack.from_positions(image, np.vstack([xy, xy[10:13]]), 24)
    assert len(stack.sites) == 54 and "3 repeat another position" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


def test_columns_found_twice_are_counted_in_a_warning(image, caplog):
    corners = square_lattice()
    inner = corners[((corners > 20) & (corners < 120)).all(axis=1)]
    SubImageStack.from_positions(image, np.vstack([corners, inner[:1] + 5.5]), 24)
    assert not caplog.records  # 7.8 px of 20: a neighbour, if a strange one
    stack = SubImageStack.from_positions(image, np.vstack([corners, inner[:3] + [4.5, 0.0]]), 24)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    count = len(stack.sites)
    assert f"6 of {count} sites are closer to another one than a quarter" in record.getMessage()


def test_a_single_site_makes_a_stack_with_a_warning(image, caplog):
    stack = SubImageStack.from_positions(image, [[80.0, 60.0]], 24)
    assert stack.axes_manager.navigation_shape == (1,) and len(stack.sites) == 1
    assert "a single site: models and maps need more" in caplog.text


def test_a_small_window_is_warned_of_if_neighbours_are_known(image, xy, caplog):
    others = xy + 10.0  # 14 px away along the diagonal
    SubImageStack.from_positions(image, xy, 32, neighbours=others)
    SubImageStack.from_positions(image, xy, 24)
    assert not caplog.records
    SubImageStack.from_positions(image, xy, 24, neighbours=sublattice(others))
    assert "(radius 11.0 px)" in caplog.text and "window_size=35 would" in caplog.text


# Neighbours


@pytest.mark.parametrize("kind", ["array", "table", "sublattice"])
def test_neighbours_of_positions_give_displacements_and_cells(image, kind):
    a, b = square_lattice(), square_lattice() + 10.0 + [1.2, -0.7]
    made = {
        "array": lambda xy: xy,
        "table": lambda xy: pd.DataFrame(xy, columns=["x", "y"]),
        "sublattice": sublattice,
    }[kind]
    sites = SubImageStack.from_positions(image, made(b), 40, neighbours=made(a)).sites
    np.testing.assert_allclose(sites["displacement_x"], 1.2)
    np.testing.assert_allclose(sites["displacement_y"], -0.7)
    np.testing.assert_allclose(sites["displacement_x_calibrated"], 1.2 * 20)  # 0.02 nm/px
    assert sites.units["displacement_x_calibrated"] == "pm"
    np.testing.assert_allclose(sites[["cell_a", "cell_b"]], 20)
    assert "displacement_std" not in sites
    assert "displacement_x" not in SubImageStack.from_positions(image, b, 40).sites


def test_neighbours_are_in_the_order_of_the_positions(image):
    a, b = square_lattice(), square_lattice() + 10.0 + [1.2, -0.7]
    stack = SubImageStack.from_positions(image, b[:, ::-1], 40, order="rc", neighbours=a[:, ::-1])
    np.testing.assert_allclose(stack.sites["displacement_x"], 1.2)


def test_positions_as_their_own_neighbours_are_one_sublattice(image, caplog):
    xy = square_lattice()
    moved = np.flatnonzero(((xy > 60) & (xy < 80)).all(axis=1))
    xy[moved] += [2.0, 0.0]
    sites = SubImageStack.from_positions(image, xy, 48, neighbours=xy.copy()).sites
    own = SubImageStack.from_sublattice(sublattice(xy), image, 48).sites
    assert not caplog.records
    for name in ("displacement_x", "displacement_y", "cell_a", "cell_angle"):
        np.testing.assert_array_equal(sites[name], own[name])
    site = np.isin(sites["site_index"], moved)
    assert site.sum() == 1 and sites["displacement_x"][site] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda xy: xy.round(3), id="rounded"),
        pytest.param(lambda xy: xy[::-1] + 0.2 * _noise(xy), id="fitted again"),
        pytest.param(lambda xy: np.vstack([xy, xy + [300, 0]]), id="with more columns"),
        pytest.param(lambda xy: np.vstack([xy, xy + 0.1 * _noise(xy)]), id="listed twice"),
        pytest.param(lambda xy: pd.DataFrame(xy + 1e-3, columns=["x", "y"]), id="table"),
        pytest.param(lambda xy: sublattice(xy - 1e-3), id="sublattice"),
    ],
)
def test_a_site_is_never_its_own_neighbour(image, other):
    xy = square_lattice() + 0.3 * _noise(square_lattice(), seed=1)
    own = SubImageStack.from_positions(image, xy, 24, neighbours=xy).sites
    sites = SubImageStack.from_positions(image, xy, 24, neighbours=other(xy)).sites
    for name in ("displacement_x", "displacement_y", "cell_a", "cell_b", "cell_angle"):
        np.testing.assert_allclose(sites[name], own[name], atol=0.8)  # four times the error
    assert np.isfinite(own["displacement_x"]).sum() > 20


def test_a_few_sites_have_all_columns_for_neighbours(image):
    xy = square_lattice()
    few = xy[[20, 21, 25]]  # in the middle
    sites = SubImageStack.from_positions(image, few, 24, neighbours=xy).sites
    np.testing.assert_allclose(sites[["displacement_x", "displacement_y"]], 0, atol=1e-9)
    np.testing.assert_allclose(sites[["cell_a", "cell_b"]], 20)


def test_frames_of_a_series_are_not_their_own_neighbours(image):
    series = hs.stack([image, image])
    xy = square_lattice()
    sites = SubImageStack.from_positions(
        series, [xy, xy + 1], 24, neighbours=[xy + 1e-3, xy + 1]
    ).sites
    np.testing.assert_allclose(sites["cell_a"][np.isfinite(sites["cell_a"])], 20, atol=0.01)
    assert np.nanmax(np.abs(sites["displacement_x"])) < 0.01


def test_a_window_too_small_for_one_sublattice_is_warned_of(image, xy, caplog):
    SubImageStack.from_positions(image, xy, 24, neighbours=xy.round(3))
    assert "20.5 px away: window_size=50 would" in caplog.text


def _noise(xy, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, xy.shape)


def test_errors_of_refined_tables_reach_the_displacement(image):
    def table(xy, error):
        return pd.DataFrame(xy, columns=["x", "y"]).assign(x_std=error, y_std=error)

    a, b = square_lattice(), square_lattice() + 10.0
    sites = SubImageStack.from_positions(image, table(b, 0.2), 40, neighbours=table(a, 0.1)).sites
    np.testing.assert_allclose(sites["displacement_std"], np.sqrt(0.2**2 + 0.1**2 / 4))


def test_columns_of_the_user_s_replace_those_from_neighbours(image):
    a = square_lattice()
    sites = SubImageStack.from_positions(
        image, a + 10.0, 40, neighbours=a, columns={"displacement_x": np.full(len(a), 7.0)}
    ).sites
    assert (sites["displacement_x"] == 7).all() and (sites["displacement_y"] == 0).all()
    assert sites.units["displacement_x"] == "px"


def test_each_axis_has_its_own_scale(image):
    """Square cells of 0.4 nm, imaged with pixels half as high as wide."""
    x, y = image.axes_manager.signal_axes
    x.scale, y.scale = 0.04, 0.02
    a = square_lattice() * [0.5, 1.0]
    a = np.vstack([a, a + [100.0, 0.0]])
    sites = SubImageStack.from_positions(
        image, a + [5.0, 10.0] + [1.0, 1.0], 24, neighbours=a
    ).sites
    inner = np.isfinite(sites["displacement_x"])
    assert inner.sum() > 40
    for name, expected in {
        "displacement_x": 1.0,
        "displacement_y": 1.0,
        "displacement_x_calibrated": 40.0,
        "displacement_y_calibrated": 20.0,
        "cell_a": 10.0,
        "cell_b": 20.0,
    }.items():
        np.testing.assert_allclose(sites[name][inner], expected, err_msg=name)
    assert sites.pixel_size == (0.04, 0.02)


# Atomap


@pytest.fixture(scope="module")
def crystal(tmp_path_factory):
    """A simulated perovskite, its two sublattices, and Atomap's file of them."""
    image, truth = simulate_perovskite((200, 260), cell=22.0, random_state=0)
    lattice = find_sublattices(image)
    path = tmp_path_factory.mktemp("lattice") / "lattice.hdf5"
    lattice.save(str(path))
    return SimpleNamespace(image=image, truth=truth, lattice=lattice, path=path)


@pytest.mark.parametrize("as_text", [True, False])
def test_a_file_of_atomap_s_gives_the_stack_of_its_lattice(crystal, as_text):
    path = str(crystal.path) if as_text else crystal.path
    made = SubImageStack.from_atom_lattice
    stack = made(path, image=crystal.image, sublattice="B", window_size=36)
    expected = made(crystal.lattice, image=crystal.image, sublattice="B", window_size=36)
    np.testing.assert_array_equal(stack.data, expected.data)
    kept = {"sigma_x", "sigma_y", "rotation", "displacement_x", "displacement_y_calibrated"}
    for name in kept:
        np.testing.assert_allclose(stack.sites[name], expected.sites[name], err_msg=name)
        assert stack.sites.units[name] == expected.sites.units[name]
    assert np.isfinite(stack.sites["sigma_x"]).mean() > 0.9
    # Atomap's file has no column_table and no amplitudes: nothing is made up for them.
    assert not {"x_std", "displacement_std", "amplitude"} & set(stack.sites.columns)


def test_a_lattice_that_atomap_has_loaded_is_the_same_as_its_file(crystal):
    from atomap.api import load_atom_lattice_from_hdf5

    lattice = load_atom_lattice_from_hdf5(str(crystal.path), construct_zone_axes=False)
    made = SubImageStack.from_atom_lattice
    loaded = made(lattice, image=crystal.image, sublattice="A", window_size=36)
    named = made(crystal.path, image=crystal.image, sublattice="A", window_size=36)
    np.testing.assert_array_equal(loaded.sites.xy, named.sites.xy)
    assert loaded.sites.columns == named.sites.columns


def test_a_file_of_atomap_s_brings_its_image_and_scale(crystal):
    """Without image=: the file keeps the raw image and the scale of the sublattices."""
    stack = SubImageStack.from_atom_lattice(crystal.path, sublattice="B", window_size=36)
    expected = SubImageStack.from_atom_lattice(crystal.lattice, crystal.image, "B", 36)
    np.testing.assert_allclose(stack.data, expected.data, rtol=1e-6)
    assert stack.sites.pixel_units == "nm"
    assert stack.sites.pixel_size == expected.sites.pixel_size


def test_three_sublattices_of_a_file_come_in_their_own_order(tmp_path):
    """Atomap 0.4.2 lists c, a, b as b, c, a."""
    am = pytest.importorskip("atomap.api")
    image, corners = np.ones((150, 200)), square_lattice()
    lattice = am.Atom_Lattice(image)
    for name, move in {"c": 0.0, "a": 5.0, "b": 10.0}.items():
        lattice.sublattice_list.append(am.Sublattice(corners + move, image, name=name))
    lattice.save(str(tmp_path / "three.hdf5"))
    for number, (name, move) in enumerate({"c": 0.0, "a": 5.0, "b": 10.0}.items()):
        for chosen in (number, name):
            stack = SubImageStack.from_atom_lattice(
                tmp_path / "three.hdf5", sublattice=chosen, window_size=16
            )
            np.testing.assert_array_equal(
                stack.sites.xy, (corners + move)[stack.sites["site_index"]]
            )


def test_files_of_something_else_are_refused(crystal, image, xy, tmp_path):
    (tmp_path / "text.hdf5").write_text("x,y\n1,2\n")
    image.save(tmp_path / "image.hspy")
    for name in ("text.hdf5", "image.hspy"):
        with pytest.raises(ValueError, match=f"{name}' is not a file of an Atomap lattice.*save"):
            SubImageStack.from_atom_lattice(tmp_path / name, image, "B")
    with pytest.raises(FileNotFoundError, match="lattice='.*none.hdf5': there is no such file"):
        SubImageStack.from_atom_lattice(tmp_path / "none.hdf5", image, "B")
    with pytest.raises(ValueError, match="'C' names 0 sublattices; there are .*0: 'A', 1: 'B'"):
        SubImageStack.from_atom_lattice(crystal.path, crystal.image, "C")
    with pytest.raises(ValueError, match="not a text file.*is for from_atom_lattice"):
        SubImageStack.from_positions(crystal.image, crystal.path)


def test_without_an_image_both_pixel_sizes_of_a_sublattice_are_kept(image):
    a, b = two_sublattices()
    b.column_table.attrs["pixel_size"] = (0.02, 0.03)
    lattice = SimpleNamespace(sublattice_list=[a, b], image=image.data)
    sites = SubImageStack.from_atom_lattice(lattice, sublattice="B", window_size=24).sites
    assert sites.pixel_size == (0.02, 0.03)
    np.testing.assert_allclose(sites["displacement_y_calibrated"], -0.7 * 30)


def test_sublattice_is_cut_from_the_named_image(image, xy):
    given = sublattice(xy, image)
    given.original_image[:] = 7  # subtracted, filtered: never trusted
    stack = SubImageStack.from_sublattice(given, image=image, window_size=24)
    expected = SubImageStack.from_positions(image, xy, 24)
    np.testing.assert_array_equal(stack.data, expected.data)
    assert stack.image is image


def test_fitted_shapes_become_columns(image, xy):
    given = sublattice(xy, sigma_x=np.full(len(xy), 2.5), sigma_y=np.full(len(xy), 2.4))
    given.rotation = np.linspace(0, 1, len(xy))
    sites = SubImageStack.from_sublattice(given, image, 24).sites
    assert sites.columns[5:8] == ("sigma_x", "sigma_y", "rotation")
    assert (sites.units["sigma_x"], sites.units["rotation"]) == ("px", "rad")
    np.testing.assert_allclose(sites["rotation"], given.rotation[sites["site_index"]])


def two_sublattices(shape=(150, 200), cell=20.0, moved=(1.2, -0.7), error=0.1):
    """A on the corners of cells, B in them and `moved`, as duck-typed sublattices of a lattice."""
    corners = square_lattice(shape, cell)
    a, b = sublattice(corners), sublattice(corners + cell / 2 + moved)
    for each, name, size in ((a, "A", error), (b, "B", 2 * error)):
        each.name = name
        each.column_table = pd.DataFrame(
            {"x": each.x_position, "y": each.y_position, "x_std": size, "y_std": size}
        )
    return a, b


def test_a_lattice_gives_displacements_and_cells(image):
    a, b = two_sublattices()
    lattice = SimpleNamespace(sublattice_list=[a, b], image=image.data)
    sites = SubImageStack.from_atom_lattice(lattice, image, "B", 24).sites
    np.testing.assert_allclose(sites["displacement_x"], 1.2)
    np.testing.assert_allclose(sites["displacement_y"], -0.7)
    # 0.02 nm/px
    np.testing.assert_allclose(sites["displacement_x_calibrated"], 1.2 * 20)
    assert sites.units["displacement_x"] == "px"
    assert sites.units["displacement_x_calibrated"] == "pm"
    np.testing.assert_allclose(sites[["cell_a", "cell_b"]], 20)
    np.testing.assert_allclose(sites["cell_angle"], np.pi / 2)
    # sqrt(sB^2 + sA^2 / 4) with sA = 0.1 and sB = 0.2
    np.testing.assert_allclose(sites["displacement_std"], np.sqrt(0.2**2 + 0.1**2 / 4))


def test_one_sublattice_is_displaced_against_itself(image):
    a, _ = two_sublattices()
    stack = SubImageStack.from_sublattice(a, image, 24)
    inner = np.isfinite(stack.sites["displacement_x"])
    assert inner.sum() > 20
    np.testing.assert_allclose(stack.sites["displacement_x"][inner], 0, atol=1e-9)
    np.testing.assert_allclose(stack.sites["cell_a"][inner], 20)


def test_a_table_that_the_columns_have_left_is_not_believed(image):
    a, _ = two_sublattices()
    a.x_position = a.x_position + 1.0  # as Atomap does when it refines again
    sites = SubImageStack.from_sublattice(a, image, 24).sites
    assert "x_std" not in sites and "displacement_std" not in sites


def test_a_lone_sublattice_without_image_is_cut_from_its_original_with_a_warning(image, xy, caplog):
    stack = SubImageStack.from_sublattice(sublattice(xy, image), window_size=0.48)
    assert "another sublattice may have been subtracted" in caplog.text
    np.testing.assert_array_equal(stack.data, SubImageStack.from_positions(image, xy, 24).data)
    assert stack.sites.pixel_units == "nm"
    with pytest.raises(ValueError, match="Pass image="):
        SubImageStack.from_sublattice(sublattice(xy))


def test_an_image_of_another_shape_than_the_sublattice_s_is_warned_of(image, xy, caplog):
    SubImageStack.from_sublattice(sublattice(xy, image), image.isig[:180, :], 24)
    assert "check that the positions belong to it" in caplog.text


def test_lattice_gives_the_chosen_sublattice_and_its_neighbours(image, xy, caplog):
    a, b = sublattice(xy, name="A"), sublattice(xy[20:] + 10.0, name="B")
    lattice = SimpleNamespace(sublattice_list=[a, b], image=image.data)
    stack = SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B", window_size=24)
    np.testing.assert_array_equal(stack.sites.xy, (xy[20:] + 10.0)[stack.sites["site_index"]])
    assert "window_size=35 would" in caplog.text
    caplog.clear()
    from_lattice = SubImageStack.from_atom_lattice(lattice, sublattice=1, window_size=40)
    assert from_lattice.sites.pixel_units == "nm" and not caplog.records
    by_default = SubImageStack.from_atom_lattice(lattice, image=image, window_size=40)
    np.testing.assert_array_equal(by_default.sites.xy, from_lattice.sites.xy)
    lattice.image = None
    with pytest.raises(ValueError, match="the lattice holds none"):
        SubImageStack.from_atom_lattice(lattice, sublattice="A")


def test_atomap_objects_make_a_stack(image, xy):
    am = pytest.importorskip("atomap.api")
    fitted = am.Sublattice(xy[((xy > 20) & (xy < 90)).all(axis=1)], image, name="A")
    fitted.find_nearest_neighbors(nearest_neighbors=3)
    fitted.refine_atom_positions_using_2d_gaussian(percent_to_nn=0.4)
    bare = am.Sublattice(xy + 10.0, image, name="B")
    lattice = am.Atom_Lattice(image, sublattice_list=[fitted, bare])
    stack = SubImageStack.from_atom_lattice(lattice, image=image, sublattice="A", window_size=32)
    assert len(stack.sites) == 16
    # Columns were rendered with sigma = 2.5 px.
    np.testing.assert_allclose(stack.sites[["sigma_x", "sigma_y"]], 2.5, rtol=0.1)
    assert {"rotation", "amplitude"} <= set(stack.sites.columns)
    without_image = SubImageStack.from_atom_lattice(lattice, sublattice="B", window_size=32)
    assert "sigma_x" not in without_image.sites
    np.testing.assert_array_equal(
        without_image.data, SubImageStack.from_positions(image, xy + 10.0, 32).data
    )


# What is refused


def bad_images():
    good = np.ones((60, 80))
    series = hs.signals.Signal2D(np.ones((3, 60, 80)))
    scan = hs.signals.Signal2D(np.ones((2, 3, 60, 80)))
    nonuniform = hs.signals.Signal2D(
        good, axes=[{"axis": np.arange(60) ** 2.0}, {"size": 80, "scale": 1.0}]
    )
    two_units = hs.signals.Signal2D(good)
    two_units.axes_manager[0].units = "nm"
    return [
        ([[1, 2], [3, 4]], TypeError, "image is a list"),
        (np.ones(60), ValueError, r"image has 1 dimension: pass one 2-D image"),
        (hs.signals.Signal1D(good), ValueError, "2-D image .* is wanted"),
        (
            series,
            ValueError,
            "holds 3 images: for a series give a list with one entry for each frame",
        ),
        (scan, ValueError, r"navigation axes \(3, 2\): pass a single image"),
        (hs.signals.ComplexSignal2D(good * 1j), TypeError, "complex128.*take its real part"),
        (hs.signals.Signal2D(good.astype(object)), TypeError, "object: convert it to real"),
        (hs.signals.Signal2D(good * np.nan), ValueError, "no finite pixel"),
        (hs.signals.Signal2D(good * np.nan).as_lazy(), ValueError, "no finite pixel"),
        (nonuniform, ValueError, "non-uniform axis"),
        (two_units, ValueError, r"different units: .* nm along x, .* \(none\) along y"),
    ]


@pytest.mark.parametrize(("image", "error", "match"), bad_images())
def test_what_is_no_single_real_image_is_refused(image, error, match):
    with pytest.raises(error, match=match):
        SubImageStack.from_positions(image, [[40.0, 30.0]], 16)


@pytest.mark.parametrize(
    ("positions", "options", "error", "match"),
    [
        ([], {}, ValueError, "positions is empty"),
        ([[80.0, 60.0]], {"window_size": None}, ValueError, "give window_size"),
        ([[500.0, 400.0]], {}, ValueError, "None of the 1 .* 1 lie outside the image"),
        ([[3.0, 3.0]], {}, ValueError, "1 have a window that leaves the image"),
        ([[60.0, 180.0], [30.0, 120.0]], {}, ValueError, "only if swapped"),
        ([[80.0, 60.0]], {"window_size": 151}, ValueError, "larger than the image"),
        ([[80.0, 60.0]], {"window_size": 7}, ValueError, "the smallest is 8"),
        ([[80.0, 60.0]], {"centring": "pixel"}, ValueError, "use 'subpixel' or 'nearest'"),
        ([[80.0, 60.0]], {"columns": {"x": [1.0]}}, ValueError, "must not contain 'x'"),
        ([[80.0, 60.0]], {"columns": {"q": [1, 2]}}, ValueError, "has 2 values for 1 positions"),
    ],
)
def test_impossible_positions_and_options_are_refused(image, positions, options, error, match):
    with pytest.raises(error, match=match):
        SubImageStack.from_positions(image, positions, **{"window_size": 24} | options)


def test_a_progress_bar_is_shown_on_request(image, xy, capsys):
    SubImageStack.from_positions(image, xy, 24, show_progressbar=True)
    assert "Cutting sub-images" in capsys.readouterr().err
    SubImageStack.from_positions(image, xy, 24)
    assert not capsys.readouterr().err
