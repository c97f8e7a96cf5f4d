# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, as users call it."""

import gc
import re

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae
from hs_rvae import RVAE
from hs_rvae.cli import main
from hs_rvae.cli.one import register
from hs_rvae.cli.reading import load_image
from hs_rvae.cli.summary import outcome


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Nothing is fetched and nothing was: no server, an empty cache, no copy of the user's."""
    from hs_rvae.data import fetching

    monkeypatch.setattr(fetching, "SERVER", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr(fetching, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("HS_RVAE_DATA", raising=False)


def rows_of(said):
    """Lines of the demo's table: name of the sample, share of sites in the right variant."""
    return re.findall(r"^(.*?) {2,}.*?([\d.]+)% .* s$", said, re.MULTILINE)


def check_sample(folder, name):
    figures = sorted(p.stem for p in folder.glob(f"{name}_*.png"))
    assert figures == [
        f"{name}_{figure}"
        for figure in ("angle_histogram", "angle_map", "history", "manifold", "polar_map")
    ]
    assert (folder / f"{name}.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    stack = hs.load(folder / f"{name}.zspy")
    assert type(stack).__name__ == "SubImageStack" and "angle" in stack.sites
    angle = stack.sites["angle"].copy()
    stack.apply_rvae(RVAE.load(folder / f"{name}.safetensors"))
    assert abs(stack.sites["angle"] - angle).max() < 1e-4


@pytest.mark.slow
def test_the_demo_shows_its_results_against_the_truth_without_a_network(
    tmp_path, capsys, no_network
):
    folder = tmp_path / "results"
    assert main(["demo", "--output", str(folder)]) == 0
    said = capsys.readouterr().out
    rows = rows_of(said)
    assert [name for name, _ in rows] == ["BiFeO3 (multislice)", "film (simulated)"]
    assert min(float(share) for _, share in rows) >= 98
    (line,) = (line for line in said.splitlines() if "left out" in line)
    assert line.startswith("DyScO3, real image: left out. http://127.0.0.1:9/xinhuolin/AtomSegNet/")
    assert "set the environment variable HS_RVAE_DATA" in line
    assert not (tmp_path / "cache").exists() or not any((tmp_path / "cache").iterdir())
    assert said.count("The distortion has distinct directions: variants.") == 2
    assert said.rstrip().endswith(f"Open {folder.resolve() / 'mosaic.html'} first.")
    assert said.count("4 variants: ") == 2 and "arbitrary" not in said
    for name in ("mosaic", "film"):
        check_sample(folder, name)
    assert not any(folder.glob("dysco3*"))


def test_the_demo_adds_the_real_image_where_there_is_a_copy(tmp_path, capsys, monkeypatch, dysco3):
    from hs_rvae.cli import demo

    for name in ("_mosaic", "_simulated_film"):
        monkeypatch.setattr(demo, name, lambda seed: None)
    assert main(["demo", "--output", str(tmp_path)]) == 0
    ((name, share),) = rows_of(capsys.readouterr().out)
    assert name == "DyScO3 (real)" and float(share) >= 98
    check_sample(tmp_path, "dysco3")


def test_an_unwritable_folder_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["demo", "--output", str(tmp_path / "file" / "results")]) == 2
    message = capsys.readouterr().err
    assert "--output" in message and "cannot be written" in message and "another folder" in message


def noise(path):
    hs.signals.Signal2D(np.random.default_rng(0).normal(size=(200, 200))).save(path)


def constant(path):
    hs.signals.Signal2D(np.ones((100, 100), np.uint8)).save(path)


def several_images(path):
    hs.signals.Signal2D(np.random.default_rng(0).random((3, 64, 64))).save(path)


def spectrum(path):
    hs.signals.Signal1D(np.random.default_rng(0).random(200)).save(path)


def garbage(path):
    path.write_bytes(b"no image" * 100)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("none.tif", None, "there is no such file"),
        ("garbage.hspy", garbage, "HyperSpy cannot read it"),
        ("garbage.tif", garbage, "HyperSpy cannot read it"),
        ("garbage.dm4", garbage, "HyperSpy cannot read it"),
        ("garbage.xyz", garbage, "HyperSpy cannot read it"),
        (
            "garbage.png",
            garbage,
            "(not PNG: damaged, or of another kind than its name suggests)",
        ),
        ("empty.tif", lambda path: path.write_bytes(b""), "HyperSpy cannot read it"),
        ("noise.hspy", noise, "lattice"),
        ("constant.tif", constant, "image is constant"),
        ("several.hspy", several_images, "navigation axes (3,): pass a single image"),
        ("spectrum.hspy", spectrum, "one 2-D image (| x, y) is wanted"),
    ],
)
def test_an_image_that_cannot_be_analysed_is_refused_in_one_line(
    tmp_path, capfd, name, write, message
):
    path = tmp_path / name
    if write:
        write(path)
    capfd.readouterr()
    assert main(["analyse", str(path), "--output", str(tmp_path / "results")]) == 2
    said = capfd.readouterr()
    (line,) = (said.out + said.err).strip().splitlines()
    assert line.startswith(f"hs-rvae: error: IMAGE {path}: ") and message in line
    assert not any((tmp_path / "results").iterdir())


def test_a_file_of_several_signals_is_refused(tmp_path, capsys, monkeypatch):
    (tmp_path / "two.dm4").touch()
    monkeypatch.setattr(hs, "load", lambda path: [hs.signals.Signal2D(np.ones((9, 9)))] * 2)
    assert main(["analyse", str(tmp_path / "two.dm4"), "-o", str(tmp_path)]) == 2
    assert "holds 2 signals" in capsys.readouterr().err


def test_of_several_signals_one_is_chosen(monkeypatch, tmp_path):
    path = tmp_path / "velox.emd"
    path.touch()
    image, spectra = hs.signals.Signal2D(np.ones((9, 9))), hs.signals.Signal1D(np.ones((3, 3, 5)))
    image.metadata.General.title = "HAADF"
    monkeypatch.setattr(hs, "load", lambda path: [spectra, image])
    assert load_image(path) is image  # the only image
    assert load_image(path, number=1) is image
    with pytest.raises(ValueError, match=r"--signal 2: .* holds 2 signals .*1: HAADF \(9, 9\)"):
        load_image(path, number=2)
    monkeypatch.setattr(hs, "load", lambda path: [image, image])
    with pytest.raises(ValueError, match=r"holds 2 signals \(0: HAADF .*Choose one with --signal"):
        load_image(path)
    monkeypatch.setattr(hs, "load", lambda path: image)
    with pytest.raises(ValueError, match="--signal 3: .* holds one signal only"):
        load_image(path, number=3)


def test_a_colour_picture_is_read_as_grey(tmp_path):
    from imageio.v3 import imwrite

    colours = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    imwrite(tmp_path / "colours.tif", colours)
    image = load_image(tmp_path / "colours.tif")
    np.testing.assert_allclose(image.data, colours.mean(2))
    with pytest.raises(TypeError, match=r"colour picture \(R, G, B\).*mean") as error:
        hs_rvae.find_sublattices(hs.load(tmp_path / "colours.tif"))
    names = {"image": hs.load(tmp_path / "colours.tif")}
    exec(str(error.value).split("grey: ")[1], names)
    np.testing.assert_allclose(names["image"].data, colours.mean(2))


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and hs_rvae.__version__ in capsys.readouterr().out


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 0
    assert "usage: hs-rvae" in (text := capsys.readouterr().out) and "analyse images" in text


@pytest.fixture(scope="module")
def plain(make_film):
    """A film without any distortion."""
    stack = make_film(2, n_cells=24, nonpolar=0.0, shift=0.0).stack
    stack.rvae(epochs=2, n_init=1, random_state=0)
    return stack


def test_the_summary_has_the_verdict_the_variants_and_the_evidence(film):
    stack = film.stack.deepcopy()
    stack.rvae(epochs=2, random_state=0)
    agreement = register(stack)
    stack.assign_variants()
    lines = outcome(stack, agreement)
    assert " ".join(lines).startswith(stack.rvae_verdict.sentence)
    head = next(k for k, line in enumerate(lines) if line.split()[:2] == ["variant", "direction"])
    for k, row in enumerate(stack.variants.itertuples()):
        number, direction, sign = lines[head + 1 + k].split()[:3]
        degrees = 180 - (180 - np.rad2deg(row.direction)) % 360
        assert int(number) == row.Index and sign == "±"
        assert float(direction.replace("−", "-")) == pytest.approx(degrees, abs=0.006)
    (head,) = (line for line in lines if line.split() == ["evidence", "value", "threshold"])
    assert max(map(len, lines)) <= 102


@pytest.mark.slow
def test_the_summary_claims_nothing_where_nothing_was_found(plain):
    assert register(plain) is None
    plain.assign_variants()
    said = "\n".join(outcome(plain))
    assert said.startswith("No distortion stands out from the noise.")
    assert "registered" not in said and "arbitrary" not in said and " variants" not in said


def test_a_command_leaves_the_search_for_cycles_as_it_was(tmp_path, capsys):
    before = gc.get_threshold()
    assert main(["analyse", str(tmp_path / "none.hspy"), "--output", str(tmp_path)]) == 2
    assert gc.get_threshold() == before
