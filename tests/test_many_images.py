# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many images by one call or command: failures, a second run, and one model of all."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hs_rvae
from hs_rvae.cli import main, many, workers
from hs_rvae.cli import one as one_image
from hs_rvae.cli.arguments import command_line, parser


class Verdict:
    kind, found, notes, rotation = "variants", True, ("Few pairs.",), "distortion"


class Stack:
    """What the summary asks of a stack."""

    rvae_verdict = Verdict()

    def __init__(self, path):
        self.sites = pd.DataFrame({"x": np.arange(7.0)})
        self.path = path


@pytest.fixture
def work(monkeypatch):
    """The analysis of an image in place of which its name is noted; those named "bad" fail."""
    done = []

    def analyse_image(options, name):
        done.append(name)
        if name.startswith("bad"):
            raise ValueError(f"IMAGE {options.image}: no columns; pass n_sublattices=1.")
        (options.output / f"{name}.csv").write_text("site,x\n", encoding="utf-8")
        return Stack(options.image), None

    row = {"columns": 9, "sites": 7, "verdict": "variants", "variants": 1, "shares": "0: 100 %"}
    monkeypatch.setattr(one_image, "analyse_image", analyse_image)
    monkeypatch.setattr(
        "hs_rvae.report.summary.row_of",
        lambda stack, file, seconds: row | {"file": file, "cautions": "Few.", "seconds": 0.5},
    )
    return done


@pytest.fixture
def files(tmp_path):
    """Three images in two folders, two of them of one name."""
    paths = [tmp_path / "a" / "film.tif", tmp_path / "a" / "bad.tif", tmp_path / "b" / "film.tif"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"pixels")
    return paths


def test_a_failing_image_is_named_and_does_not_stop_the_others(work, files, tmp_path):
    table = hs_rvae.analyse(files, tmp_path / "out", n_workers=1)
    assert work == ["film", "bad", "film_2"]
    assert list(table.columns) == [
        *("file", "columns", "sites", "verdict", "variants", "shares", "cautions", "seconds"),
        "error",
    ]
    assert list(table.file) == [str(path) for path in files]
    assert table.error[1] == f"IMAGE {files[1]}: no columns; pass --sublattices 1."
    assert list(table.sites) == [7, 0, 7] and not table.error[0] and not table.error[2]
    kept = pd.read_csv(tmp_path / "out" / "hs_rvae_summary.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(kept, table)
    page = (tmp_path / "out" / "hs_rvae_summary.html").read_text(encoding="utf-8")
    assert 'href="film_2.html"' in page and "bad.tif" in page and "14 sites" in page


@pytest.mark.slow
def test_a_second_run_analyses_what_is_left_or_has_changed(work, files, tmp_path):
    out = tmp_path / "out"
    first = hs_rvae.analyse(files, out, n_workers=1)
    work.clear()
    pd.testing.assert_frame_equal(hs_rvae.analyse(files, out, n_workers=1), first)
    assert work == ["bad"]  # what failed is tried again
    work.clear()
    files[2].write_bytes(b"other pixels")
    hs_rvae.analyse(files, out, n_workers=1)
    assert work == ["bad", "film_2"]
    work.clear()
    hs_rvae.analyse(files[:1], out, n_workers=1, window_size=32)
    assert work == ["film"]  # other options
    work.clear()
    (out / "film.hs_rvae.json").write_text("{", encoding="utf-8")  # damaged
    hs_rvae.analyse(files[:1], out, n_workers=1, window_size=32)
    assert work == ["film"]


@pytest.mark.slow
def test_the_summary_of_an_interrupted_run_has_what_was_done(work, files, tmp_path, monkeypatch):
    analysed = one_image.analyse_image

    def analyse_image(options, name):
        if name == "film_2":
            raise KeyboardInterrupt
        return analysed(options, name)

    monkeypatch.setattr(one_image, "analyse_image", analyse_image)
    with pytest.raises(KeyboardInterrupt):
        hs_rvae.analyse(files, tmp_path / "out", n_workers=1)
    kept = pd.read_csv(tmp_path / "out" / "hs_rvae_summary.csv")
    assert list(kept.file) == [str(path) for path in files[:2]]


@pytest.mark.slow
def test_the_command_takes_several_images(work, files, tmp_path, capsys):
    words = ["analyse", *map(str, files), "-o", str(tmp_path / "out"), "--workers", "1"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "2 of 3 images are analysed. The summary is" in said.out
    assert "bad.tif: no columns" in said.err
    work.clear()
    table = hs_rvae.analyse(files, tmp_path / "out", n_workers=1)
    assert work == ["bad"] and len(table) == 3  # the call goes on where the command stopped


def test_the_line_that_repeats_a_command_names_all_images():
    words = ["analyse", "a b.tif", "c.tif"]
    assert command_line(parser().parse_args(words)).startswith("hs-rvae analyse 'a b.tif' c.tif ")


def test_paths_may_hold_placeholders(files, tmp_path):
    found = many.paths_of(str(tmp_path / "*" / "film.t?f"))
    assert found == [files[0], files[2]]
    assert many.paths_of("nowhere/*.tif") == [Path("nowhere/*.tif")]  # it fails by its name
    with pytest.raises(ValueError, match="images: there is none"):
        hs_rvae.analyse([])
    for wrong in ([3], [""], None, b"film.tif"):
        with pytest.raises(ValueError, match="images=.*: give a path, or several"):
            hs_rvae.analyse(wrong)
    with pytest.raises(ValueError, match="output='': give a folder"):
        hs_rvae.analyse(files, "")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"model": "m.safetensors"}, "model m.safetensors: there is no such file"),
        ({"joint": True, "model": "m.safetensors"}, "joint fits a model, model applies one"),
        ({"zone_axis": (1, 1, 0)}, "zone_axis has no meaning without structure FILE"),
        ({"lattice": False, "n_sublattices": 2}, "n_sublattices is about the search"),
        ({"n_workers": 0}, "n_workers=0"),
        ({"output_dimension": "many"}, "output_dimension"),
        ({"signal": -1}, "signal=-1: give a whole number of 0 or more"),
        ({"signal": []}, "signal=.*: give a whole number"),
        ({"reader": "nobody"}, "reader nobody: there is no such reader"),
        ({"scale": "0.1nm"}, "scale='0.1nm': give the size of a pixel, above 0, and its unit"),
        ({"scale": (-1.0, "nm")}, "scale=.*above 0"),
        ({"scale": (float("nan"), "nm")}, "scale=.*above 0"),
        ({"scale": (0.1, "K")}, "scale=.*'K' is not a unit of length"),
        ({"region": (0, 0, 5)}, "region=.*: give four numbers"),
        ({"region": (0, 0, float("nan"), 9)}, "region=.*: give four numbers"),
        ({"cell": -3.0}, "cell must be a length or two vectors .*, not -3.0"),
        ({"cell": True}, "cell must be a length or two vectors"),
        ({"cell": np.eye(3)}, "cell must be a length or two vectors"),
        ({"n_sublattices": 0}, "n_sublattices=0"),
        ({"window_size": -1}, "window_size=-1: give a size above 0"),
    ],
)
def test_options_are_refused_in_the_words_of_python(options, message, files, tmp_path, monkeypatch):
    monkeypatch.setattr(one_image, "cut_image", lambda options: pytest.fail("it began"))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        hs_rvae.analyse(files, tmp_path / "out", **{"n_workers": 1} | options)
    assert not list(tmp_path.glob("out/*"))


def test_numbers_of_numpy_are_numbers(work, files, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(many, "check_options", seen.append)
    region = np.array([1, 2, 30, 40])
    hs_rvae.analyse(files, tmp_path / "out", region=region, cell=np.eye(2) * 9, n_workers=1)
    assert seen[0].region == [1, 2, 30, 40] and seen[0].cell == [[9, 0], [0, 9]]
    assert all(type(edge) is int for edge in seen[0].region)  # others are in units of the image


def test_jobs_run_in_processes_and_errors_come_back_as_text():
    found = dict(workers.results_of(json.loads, [("[1, 2]",), ("{",), ("3",)], n_workers=2))
    assert found[0] == [1, 2] and found[2] == 3
    assert found[1].startswith("Expecting property name")


def test_a_process_that_dies_is_found(monkeypatch):
    def pool(function, jobs, n_workers):
        for number, job in jobs.items():
            if job == ("deadly",):
                raise BrokenProcessPool
            yield number, job

    monkeypatch.setattr(workers, "_pool", pool)
    found = dict(workers.results_of(None, [("a",), ("deadly",), ("b",)], n_workers=2))
    assert found[0] == ("a",) and found[2] == ("b",)
    assert "try fewer workers" in found[1]


@pytest.fixture(scope="module")
def films(make_film, tmp_path_factory):
    """Files of three simulated films."""
    folder = tmp_path_factory.mktemp("films")
    for seed in range(3):
        make_film(seed, n_cells=12, nonpolar=0.0).image.save(folder / f"film_{seed}.hspy")
    return folder


@pytest.mark.slow
def test_images_are_analysed_with_one_model_of_all(films, tmp_path):
    paths = [films / "film_0.hspy", films / "film_1.hspy"]
    table = hs_rvae.analyse(paths, tmp_path, joint=True, n_workers=1)
    assert list(table.error) == ["", ""] and (table.sites > 80).all()
    model = hs_rvae.RVAE.load(tmp_path / "hs_rvae_joint.safetensors")
    assert model.n_sites_fit_ == table.sites.sum()
    for path in paths:
        own = hs_rvae.RVAE.load(tmp_path / f"{path.stem}.safetensors")
        assert own.fit_id_ == model.fit_id_
    page = (tmp_path / "film_0.html").read_text(encoding="utf-8")
    assert "--model" in page


SCRIPT = """
import sys
import hs_rvae
hs_rvae.analyse(sys.argv[1], sys.argv[2], n_workers=2)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(films, tmp_path):
    """By a script without a guard of its main part."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    images, out, whole = str(films / "*.hspy"), tmp_path / "out", tmp_path / "whole"
    run = subprocess.Popen([sys.executable, script, images, out], start_new_session=True)
    while not list(out.glob("*.hs_rvae.json")):
        assert run.poll() is None
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    first = {path: path.stat().st_mtime_ns for path in out.glob("*.hs_rvae.json")}
    assert 0 < len(first) < 3
    table = hs_rvae.analyse(images, out, n_workers=2)
    assert (table.error == "").all() and len(table) == 3
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in first.items())
    hs_rvae.analyse(images, whole, n_workers=1)
    for path in whole.glob("film_?.csv"):
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_images_go_to_the_workers_of_a_cluster(work, films, tmp_path):
    from dask.distributed import LocalCluster

    options = {"n_workers": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(**options) as cluster:
        table = hs_rvae.analyse(
            films / "film_0.hspy", tmp_path, scheduler=cluster.scheduler_address
        )
    assert list(table.error) == [""] and work == ["film_0"]
