# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of ``hs-rvae analyse`` for the image and its columns."""

import pickle
import re
import shlex
from html import unescape

import h5py
import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

import hs_rvae
from hs_rvae import columns
from hs_rvae.cli import columns as of_columns
from hs_rvae.cli import main
from hs_rvae.cli.arguments import command_line, parser
from hs_rvae.cli.columns import cut_stack
from hs_rvae.cli.reading import calibrate, crop, load_image
from hs_rvae.report.interface import as_command_line


@pytest.fixture(scope="module")
def film(make_film):
    return make_film(1, n_cells=16, nonpolar=0.0)


@pytest.fixture(scope="module")
def image_file(film, tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "film.hspy"
    film.image.save(path)
    return path


@pytest.fixture(scope="module")
def lattice(film):
    return hs_rvae.find_sublattices(film.image)


@pytest.fixture
def lattice_file(lattice, tmp_path):
    lattice.save(str(tmp_path / "lattice.hdf5"))
    return tmp_path / "lattice.hdf5"


def options_of(*words):
    return parser().parse_args(["analyse", *map(str, words)])


def refusal(capsys, *words):
    """The one line that a command ends with."""
    capsys.readouterr()
    assert main(["analyse", *map(str, words)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line.removeprefix("hs-rvae: error: ")


def test_all_options_reach_the_search(image_file, monkeypatch):
    asked = []

    def find_sublattices(image, cell=None, *, dark=None, n_sublattices=None, **more):
        asked.append({"cell": cell, "dark": dark, "n_sublattices": n_sublattices} | more)
        raise ValueError("pass cell= or dark=")

    monkeypatch.setattr(hs_rvae, "find_sublattices", find_sublattices)
    image = load_image(image_file)
    for words, expected in (
        ((), {"cell": None, "dark": None, "n_sublattices": None}),
        (("--cell", "26.5", "--dark"), {"cell": 26.5, "dark": True, "n_sublattices": None}),
        (
            ("--cell=-3,20,20,3", "--bright", "--sublattices", 1),
            {"cell": [[-3.0, 20.0], [20.0, 3.0]], "dark": False, "n_sublattices": 1},
        ),
        (
            ("--method", "network"),
            {"cell": None, "dark": None, "n_sublattices": None, "method": "network"},
        ),
    ):
        with pytest.raises(ValueError, match=f"IMAGE {re.escape(str(image_file))}: pass cell="):
            cut_stack(image, options_of(image_file, *words))
        assert asked.pop() == expected


def test_messages_name_options_of_the_command_line(image_file, tmp_path, capsys):
    line = refusal(capsys, image_file, "--cell", "1,0,1,0", "-o", tmp_path)
    assert "--cell" in line and "two vectors must not be parallel" in line and "cell=" not in line
    line = refusal(capsys, image_file, "--sublattices", 3, "-o", tmp_path)
    assert "--sublattices 3" in line and "n_sublattices" not in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pass cell=, dark= or a lower threshold than 0.1.", "pass --cell, --dark or --bright."),
        ("n_sublattices=2, but no column", "--sublattices 2, but no column"),
        ("Crop to the crystal, check", "Crop to the crystal with --region, check"),
        ("find_columns(image, method='maxima') takes", "--no-lattice takes"),
        ("use method='maxima', or a ColumnNetwork(spacing=...).", "use --method maxima."),
        ("zone_axis=(1, -1, 0) fits", "--zone-axis 1 -1 0 fits"),
        ("the gain=1 of subcell=3 stays", "the gain=1 of subcell=3 stays"),
        ("more starts, n_init=10 in stack.rvae().", "more starts, --starts 10."),
        (
            "data bar. Crop the image with image.isig[:, :512]. There",
            "data bar. Leave them out with --region X0 Y0 X1 Y1. There",
        ),
    ],
)
def test_options_of_python_become_those_of_the_command_line(text, expected):
    assert as_command_line(text) == expected


def test_an_image_is_cropped_and_calibrated(image_file):
    image, whole = load_image(image_file), hs.load(image_file)
    calibrate(image, (0.5, "Å"))
    assert crop(image, [10, 20, 110.0 * 0.5, 220.0 * 0.5]) == (10, 20)
    np.testing.assert_array_equal(image.data, whole.data[20:220, 10:110])
    axis = image.axes_manager.signal_axes[0]
    assert (axis.scale, axis.units, axis.offset) == (0.5, "Å", 5.0)


@pytest.mark.parametrize(
    "region", [(0, 0, 9999, 50), (-5, 0, 50, 50), (50, 0, 20, 50), (0.0, 0.0, 999.0, 1.0)]
)
def test_a_region_beyond_the_image_is_refused(image_file, tmp_path, capsys, region):
    line = refusal(capsys, image_file, "--region", *region, "-o", tmp_path)
    assert line.startswith(f"--region {' '.join(map(str, region))}: this is not a part")
    width, height = hs.load(image_file).axes_manager.signal_shape
    assert f"{width} x {height} px (x from" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scale", "0.015parsnip"), "'parsnip' is no unit of length"),
        (("--scale", "0.015"), "the unit is missing"),
        (("--scale", "nm"), "is not a size above 0"),
        (("--scale", "0nm"), "is not a size above 0"),
        (("--cell", "1,2,3"), "neither one length nor two vectors"),
        (("--region", "1", "2", "3"), "expected 4 arguments"),
        (("--dark", "--bright"), "not allowed with"),
        (("--sublattices", "0"), "is not a whole number from 1 on"),
        (("--zone-axis", "0", "0", "a"), "invalid int value"),
    ],
)
def test_values_that_make_no_sense_are_refused(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        main(["analyse", "film.hspy", *words])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_files_that_are_not_there_and_options_that_exclude_each_other(
    image_file, tmp_path, capsys, monkeypatch
):
    cif = tmp_path / "film.cif"
    cif.touch()
    out = ("-o", tmp_path / "out")
    for words, message in (
        (("--positions", "none.csv"), "--positions none.csv: there is no such file."),
        (("--structure", "none.cif"), "--structure none.cif: there is no such file."),
        (("--zone-axis", 0, 0, 1), "--zone-axis has no meaning without --structure"),
        (("--positions", cif, "--cell", 20), "--cell is about the search for a lattice, which --p"),
        (("--no-lattice", "--structure", cif), "--structure is about the search"),
        (("--no-lattice", "--positions", cif), "exclude each other"),
        (("--reader", "parsnip"), "--reader parsnip: there is no such reader; there are "),
    ):
        assert message in refusal(capsys, image_file, *words, *out)
    monkeypatch.setattr(of_columns.importlib.util, "find_spec", lambda name: None)
    line = refusal(capsys, image_file, "--structure", cif, *out)
    assert "the package ase, which is not installed: pip install ase" in line


def test_a_known_crystal_is_passed_on(image_file, tmp_path, monkeypatch):
    asked = {}

    def find_sublattices(image, *, structure=None, zone_axis=(0, 0, 1)):
        asked.update(structure=structure, zone_axis=zone_axis)
        raise ValueError("no lattice")

    monkeypatch.setattr(hs_rvae, "find_sublattices", find_sublattices)
    image = load_image(image_file)
    options = options_of(image_file, "--structure", "a.cif", "--zone-axis", 1, -1, 0)
    with pytest.raises(ValueError, match="no lattice"):
        cut_stack(image, options)
    assert (str(asked["structure"]), asked["zone_axis"]) == ("a.cif", (1, -1, 0))


def test_without_a_lattice_all_maxima_are_taken(image_file, film, monkeypatch):
    image, options = load_image(image_file), options_of(image_file, "--no-lattice", "--window", 32)
    table = pd.DataFrame(film.positions, columns=["x", "y"])
    asked = []

    def find_columns(image, *, method):
        asked.append(method)
        return table

    monkeypatch.setattr(columns, "find_columns", find_columns)
    stack, chosen = cut_stack(image, options)
    assert chosen == "all maxima" and asked == ["maxima"] and len(stack.sites) > 50
    cut_stack(image, options_of(image_file, "--no-lattice", "--window", 32, "--method", "auto"))
    assert asked[1:] == ["auto"]
    with pytest.raises(ValueError, match="--sublattice B: without a lattice"):
        cut_stack(image, options_of(image_file, "--no-lattice", "--sublattice", "B"))


@pytest.mark.parametrize("kind", ["two.csv", "two.npy", "three.npy", "three.txt", "named.csv"])
def test_positions_come_from_a_file(image_file, film, tmp_path, kind):
    a, b = film.truth.a_sites[["x", "y"]].to_numpy(), film.positions
    both = np.concatenate([np.c_[a, np.zeros(len(a))], np.c_[b, np.ones(len(b))]])
    path = tmp_path / kind
    if kind == "two.csv":
        np.savetxt(path, b, delimiter=",")
    elif kind == "three.txt":
        np.savetxt(path, both)
    elif kind == "named.csv":
        names = np.where(both[:, 2] == 0, "Pb", "Ti")
        pd.DataFrame({"x": both[:, 0], "y": both[:, 1], "element": names}).to_csv(path)
    else:
        np.save(path, b if kind == "two.npy" else both)
    words = {"three": ("--sublattice", "1"), "named": ("--sublattice", "Ti")}
    more = words.get(path.stem, ())
    image = load_image(image_file)
    options = options_of(image_file, "--positions", path, "--window", 32, *more)
    stack, chosen = cut_stack(image, options)
    expected = hs_rvae.SubImageStack.from_positions(film.image, b, 32)
    np.testing.assert_allclose(stack.sites.xy, expected.sites.xy, atol=1e-9)
    assert np.isfinite(stack.sites["displacement_x"]).mean() > 0.8
    assert chosen == (*more, "sites")[1 if more else 0]
    # The positions are those of the whole picture.
    corner = crop(image, [16, 24, 250, 280])
    part, _ = cut_stack(image, options, corner)
    assert 0 < len(part.sites) < len(stack.sites)
    whole = {tuple(xy) for xy in np.round(stack.sites.xy, 6)}
    assert {tuple(xy) for xy in np.round(part.sites.xy + corner, 6)} <= whole


def test_the_sublattice_is_asked_for_where_names_do_not_decide(image_file, film, tmp_path):
    both = np.c_[film.positions, np.arange(len(film.positions)) % 2]
    np.save(tmp_path / "p.npy", both)
    image = load_image(image_file)
    with pytest.raises(ValueError, match=r"has the sublattices 0 and 1: choose .* --sublattice"):
        cut_stack(image, options_of(image_file, "--positions", tmp_path / "p.npy"))


def write_pickle(path):
    with open(path, "wb") as file:
        pickle.dump({0: np.zeros((3, 3))}, file)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("p.npy", write_pickle, "holds Python objects, not one array"),
        ("p.npy", lambda p: np.save(p, {0: 1}, allow_pickle=True), "holds Python objects"),
        ("p.npy", lambda p: p.write_bytes(b""), "is not a complete .npy file"),
        ("p.npy", lambda p: np.save(p, np.zeros((5, 4))), "has the shape (5, 4) of float64"),
        ("p.npy", lambda p: np.save(p, np.zeros(5)), "has the shape (5,) of float64"),
        ("p.npy", lambda p: np.save(p, np.full((3, 2), 1e6)), "none of the positions lies in"),
        ("p.csv", lambda p: np.savetxt(p, np.zeros((5, 4))), "neither the columns x and y nor two"),
        ("p.csv", lambda p: p.write_text("a,b\n1,2\n"), "neither the columns x and y nor two"),
        ("p.txt", lambda p: p.write_bytes(b""), "is not a text file with positions"),
        ("p.hdf5", lambda p: p.write_bytes(b"no"), "is not a file of an Atomap lattice"),
    ],
)
def test_files_without_positions_are_refused(image_file, tmp_path, capsys, name, write, message):
    path = tmp_path / name
    write(path)
    line = refusal(capsys, image_file, "--positions", path, "-o", tmp_path / "out")
    assert line.startswith(f"--positions {path}: ") and message in line
    assert "allow_pickle" not in line.split("(")[0]


def test_a_lattice_of_atomap_is_image_and_positions(lattice, lattice_file, film):
    image = load_image(lattice_file)
    np.testing.assert_array_equal(image.data, film.image.data)
    axis = image.axes_manager.signal_axes[0]
    assert axis.scale == film.image.axes_manager.signal_axes[0].scale and axis.units == "nm"
    options = options_of(lattice_file, "--positions", lattice_file, "--window", 32)
    stack, chosen = cut_stack(image, options)
    expected = hs_rvae.SubImageStack.from_atom_lattice(lattice, window_size=32)
    np.testing.assert_allclose(stack.sites.xy, expected.sites.xy)
    assert chosen == "B" and "sigma_x" in stack.sites
    corner = crop(image, [16, 24, 250, 280])
    part, _ = cut_stack(image, options, corner)
    whole = {tuple(xy) for xy in np.round(stack.sites.xy, 6)}
    assert len(part.sites) and {tuple(xy) for xy in np.round(part.sites.xy + corner, 6)} <= whole


def test_the_image_of_an_atomap_lattice_is_loaded_again(lattice_file, tmp_path):
    image = load_image(lattice_file)
    stack, _ = cut_stack(image, options_of(lattice_file, "--positions", lattice_file))
    stack.save(tmp_path / "stack.zspy")
    again = hs.load(tmp_path / "stack.zspy")
    np.testing.assert_array_equal(again.load_image().data, image.data)


def test_a_file_of_old_hyperspy_is_read(image_file, tmp_path):
    path = tmp_path / "old.hdf5"
    path.write_bytes(image_file.read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["file_format_version"] = "2.0"
    image = load_image(path)
    np.testing.assert_array_equal(image.data, hs.load(image_file).data)
    assert load_image(path, reader="hspy").data.shape == image.data.shape


def test_half_precision_is_analysed(film, tmp_path):
    """Atomap's example images have it."""
    image = film.image.deepcopy()
    image.change_dtype("float16")
    image.save(tmp_path / "half.hspy")
    image = load_image(tmp_path / "half.hspy")
    stack, _ = cut_stack(image, options_of("half.hspy"))
    assert np.isfinite(stack.data).all() and len(stack.sites) > 50


def test_the_command_repeats_itself():
    words = ["analyse", "my image.dm4", "--reader", "hspy", "--scale", "0.015nm"]
    words += ["--region", "0", "1.5", "200", "300", "--cell=-3,20,20,3", "--dark"]
    words += ["--sublattices", "2", "--structure", "a.cif", "--zone-axis", "1", "-1", "0"]
    again = shlex.split(command_line(parser().parse_args(words)))
    assert again[0] == "hs-rvae"
    assert vars(parser().parse_args(again[1:])) == vars(parser().parse_args(words))
    assert command_line(parser().parse_args(["analyze", "a.tif"])).startswith("hs-rvae analyse a.")


@pytest.mark.slow
def test_a_region_with_a_scale_from_start_to_end(image_file, film, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    words = ["--region", "8", "16", "300", "310", "--scale", "20pm", "--starts", "1"]
    assert main(["analyze", str(image_file), *words, "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert " columns: " in printed and "Average cell: a = " in printed.replace("\n", " ")
    text = (out / "film.html").read_text(encoding="utf-8")
    assert text.index('id="columns"') < text.index('id="outcome"') < text.index('id="figures"')
    assert "--scale 20pm --region 8 16 300 310" in unescape(text)
    stack = hs.load(out / "film.zspy")
    np.testing.assert_array_equal(stack.load_image().data, film.image.data[16:310, 8:300])
    assert stack.sites.pixel_units == "pm" and stack.sites.pixel_size == (20.0, 20.0)
    # The lines of Python on the page repeat it.
    script = unescape(re.search(r"<pre>(import .*?)</pre>", text, re.DOTALL)[1])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.hspy").write_bytes(image_file.read_bytes())
    (tmp_path / "sites.csv").write_bytes((out / "film.csv").read_bytes())
    names = {}
    exec(script, names)
    assert names["stack"].sites.to_dataframe().equals(stack.sites.to_dataframe())
