# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of microscopes: what is in them arrives in the stack, the report and the command."""

import importlib.util
from html import unescape
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack, find_sublattices
from hs_rvae.cli import main
from hs_rvae.simulation import simulate_perovskite

# Beside this file; imported so, because tests are no package.
_spec = importlib.util.spec_from_file_location(
    "image_files", Path(__file__).with_name("image_files.py")
)
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)

SCALE = (0.015, 0.0145)  # nm, along x and y
TYPES = ("u1", "u2", "i4", "f4")


@pytest.fixture(scope="module")
def film():
    return simulate_perovskite((240, 280), cell=20.0, nonpolar=0.0, random_state=0)


def as_type(data, dtype):
    """Grey levels of an image in 0 to 250, so that every type holds them."""
    data = 250 * (data - data.min()) / np.ptp(data)
    return data.astype(dtype) if dtype == "f4" else data.round().astype(dtype)


def write(path, data, scale=SCALE, units="nm"):
    """One image, in the format of the ending."""
    ending = Path(path).suffix
    if ending in (".dm3", ".dm4"):
        files.write_dm(path, {"HAADF": data}, scale=scale, units=units)
    elif ending == ".ser":
        files.write_ser(path, data, scale=np.multiply(scale, 1e-9))
    else:
        unit = "m" if units else ""
        files.write_velox(
            path, {"HAADF": data}, scale=np.multiply(scale, 1e-9 if unit else 1), unit=unit
        )
    return path


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("ending", ["dm3", "dm4", "ser", "emd"])
def test_pixels_and_calibration_of_a_microscope_s_file_arrive_in_the_stack(
    tmp_path, film, ending, dtype
):
    image, truth = film
    data = as_type(image.data, dtype)
    loaded = hs.load(write(tmp_path / f"image.{ending}", data))
    np.testing.assert_array_equal(loaded.data, data)
    # RosettaSciIO before 0.15 makes float64 of this one.
    assert ending == "emd" or loaded.data.dtype == np.dtype(dtype)
    stack = SubImageStack.from_positions(loaded, truth.b_sites[["x", "y"]], window_size=0.54)
    for axis, scale in zip(stack.axes_manager.signal_axes, SCALE, strict=True):
        assert axis.units == "nm" and axis.scale == pytest.approx(scale)
    assert stack.sites.pixel_units == "nm"
    np.testing.assert_allclose(stack.sites.pixel_size, SCALE, rtol=1e-6)


def test_lazy_files_give_the_same_stack(tmp_path, film):
    image, truth = film
    data = as_type(image.data, "u2")
    for ending in ("dm3", "dm4", "ser"):
        path = write(tmp_path / f"image.{ending}", data)
        eager, lazy = (
            SubImageStack.from_positions(hs.load(path, lazy=lazy), truth.b_sites[["x", "y"]])
            for lazy in (False, True)
        )
        assert lazy._lazy
        np.testing.assert_allclose(lazy.data.compute(), eager.data, rtol=1e-5)


def check_report(folder, name, size, lines):
    """What the page says about the image, and how it says to repeat the analysis."""
    page = unescape((folder / f"{Path(name).stem}.html").read_text(encoding="utf-8"))
    assert f"{size} px, pixels of 0.015 nm" in page and name in page
    for line in lines:
        assert line in page
    assert hs.load(folder / f"{Path(name).stem}.zspy").sites.pixel_units == "nm"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["dm3", "dm4", "ser", "emd"])
def test_analyse_goes_from_a_microscope_s_file_to_a_report(tmp_path, film, ending, capsys):
    path = write(tmp_path / f"mine.{ending}", as_type(film[0].data, "u2"), (0.015, 0.015))
    assert main(["analyse", str(path), "--latent", "1", "-o", str(tmp_path / "out")]) == 0
    assert "sub-images of 36 px around B" in capsys.readouterr().out
    lines = [f"hs.load('mine.{ending}')\n"]
    check_report(tmp_path / "out", path.name, "280 x 240", lines)


def analyse(capsys, path, *options):
    """What the command says about a file that it refuses."""
    out = path.parent / "out"
    assert main(["analyse", str(path), *options, "-o", str(out)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"hs-rvae: error: IMAGE {path}: ") and not any(out.iterdir())
    return line


@pytest.fixture
def two_detectors(tmp_path, film):
    data = as_type(film[0].data, "u2")
    images = {"HAADF": data, "BF": data[:, :220]}
    files.write_dm(tmp_path / "two.dm4", images, scale=(0.015, 0.015), thumbnail=data[::4, ::4])
    files.write_velox(tmp_path / "two.emd", images)
    return tmp_path


@pytest.mark.parametrize("ending", ["dm4", "emd"])
def test_of_several_images_one_must_be_named(two_detectors, ending, capsys):
    path = two_detectors / f"two.{ending}"
    out = two_detectors / "out"
    for options, message in (([], "Choose one with --signal"), (["--signal", "2"], "--signal 2")):
        assert main(["analyse", str(path), *options, "-o", str(out)]) == 2
        (said,) = capsys.readouterr().err.strip().splitlines()
        assert message in said and "0: HAADF (280, 240); 1: BF (220, 240)" in said


@pytest.mark.slow
def test_the_named_image_is_analysed(two_detectors):
    options = ["--signal", "1", "--latent", "1", "-o", str(two_detectors / "out")]
    assert main(["analyse", str(two_detectors / "two.dm4"), *options]) == 0
    lines = ["--signal 1", "hs.load('two.dm4')[1]"]
    check_report(two_detectors / "out", "two.dm4", "220 x 240", lines)
    stack = hs.load(two_detectors / "out" / "two.zspy")
    assert stack.load_image().metadata.General.title == "BF"


def test_thumbnails_spectra_and_colour_images_beside_the_image_are_passed_over(tmp_path, film):
    from hs_rvae.cli.reading import load_image as _load

    data = as_type(film[0].data, "i4")
    colour = np.dstack([as_type(data, "u1")] * 3)
    images = {"overlay": colour, "HAADF": data, "series": np.stack([data] * 2)}
    files.write_dm(tmp_path / "image.dm4", images, thumbnail=as_type(data[::4, ::4], "u1"))
    image = _load(tmp_path / "image.dm4")
    assert image.metadata.General.title == "HAADF" and (image.data == data).all()
    assert image.tmp_parameters.number_in_file == 1
    files.write_dm(tmp_path / "one.dm3", {"HAADF": data}, thumbnail=colour[::4, ::4])
    assert (_load(tmp_path / "one.dm3").data == data).all()


@pytest.mark.parametrize("ending", ["dm4", "ser", "emd"])
def test_a_series_of_frames_is_refused_with_the_remedy(tmp_path, film, ending, capsys):
    frames = np.stack([as_type(film[0].data, "u2")] * 3)
    said = analyse(capsys, write(tmp_path / f"series.{ending}", frames))
    assert "has navigation axes (3,)" in said and "inav[0]" in said
    assert "find_sublattices(series)" in said


@pytest.mark.parametrize("ending", ["png", "dm4"])
def test_a_colour_picture_becomes_grey_whatever_its_opacity(tmp_path, film, ending):
    from matplotlib.image import imsave

    from hs_rvae.cli.reading import load_image as _load

    grey = as_type(film[0].data, "u1")
    colour = np.dstack([grey, grey // 2, grey])
    path = tmp_path / f"colour.{ending}"
    if ending == "png":
        imsave(path, colour)
    else:
        files.write_dm(path, {"screen": colour})
    image = _load(path)
    np.testing.assert_allclose(image.data, colour.mean(axis=2))
    assert image.axes_manager.signal_shape == (280, 240)


@pytest.mark.parametrize("ending", ["dm3", "emd"])
def test_an_image_without_calibration_is_analysed_in_pixels(tmp_path, film, ending, capsys):
    image, truth = film
    path = write(tmp_path / f"image.{ending}", as_type(image.data, "f4"), (1.0, 1.0), units="")
    stack = SubImageStack.from_positions(hs.load(path), truth.b_sites[["x", "y"]], window_size=36)
    assert stack.sites.pixel_size == (1.0, 1.0)
    # 0.7 of a unit is nothing to cut windows of.
    options = ["--window", "0.7", "-o", str(tmp_path / "out")]
    assert main(["analyse", str(path), *options]) == 2
    assert "--window 0.7" in capsys.readouterr().err


def test_pixels_that_are_not_square_are_said(tmp_path, film, caplog):
    path = write(tmp_path / "oblong.dm4", as_type(film[0].data, "f4"), (0.01, 0.02))
    find_sublattices(hs.load(path))
    assert "The pixels are not square (0.01 and 0.02 nm)" in caplog.text


def test_the_report_of_a_colour_picture_repeats_its_conversion(tmp_path, film, monkeypatch):
    from matplotlib.image import imsave

    from hs_rvae.cli.reading import load_image as _load
    from hs_rvae.report.script import make_script
    from hs_rvae.report.text import about_image

    grey = as_type(film[0].data, "u1")
    imsave(tmp_path / "colour.png", np.dstack([grey, grey // 2, grey]))
    image = _load(tmp_path / "colour.png")
    monkeypatch.chdir(tmp_path)
    stack = SubImageStack.from_positions(image, [[100.0, 100.0], [120.0, 130.0]])
    facts = about_image(stack)
    assert ("colours", "mean of red, green and blue") in facts
    found = {}
    lines = make_script(stack, image, dict(facts)).text.splitlines()
    exec("\n".join(line for line in lines if line.startswith(("import", "image"))), found)
    np.testing.assert_allclose(found["image"].data, image.data)
