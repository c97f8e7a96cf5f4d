# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, as users call it."""

import re

import hyperspy.api as hs
import pytest

from hs_rvae import RVAE
from hs_rvae.cli import main


def test_the_demo_shows_its_results_against_the_truth_and_writes_them(tmp_path, capsys):
    folder = tmp_path / "results"
    assert main(["demo", "--output", str(folder)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" s")]
    assert [row.split("(")[1].split(")")[0] for row in rows] == ["real", "simulated"]
    for row in rows:
        share = float(re.search(r"([\d.]+)%", row)[1])
        assert share >= 98
    for name in ("dysco3", "film"):
        figures = sorted(p.stem for p in folder.glob(f"{name}_*.png"))
        assert figures == [
            f"{name}_{figure}"
            for figure in ("angle_histogram", "angle_map", "history", "manifold", "polar_map")
        ]
        stack = hs.load(folder / f"{name}.zspy")
        assert type(stack).__name__ == "SubImageStack" and "angle" in stack.sites
        angle = stack.sites["angle"].copy()
        stack.apply_rvae(RVAE.load(folder / f"{name}.safetensors"))
        assert abs(stack.sites["angle"] - angle).max() < 1e-4


def test_an_unwritable_folder_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["demo", "--output", str(tmp_path / "file" / "results")]) == 2
    message = capsys.readouterr().err
    assert "--output" in message and "cannot be written" in message and "another folder" in message


def test_a_command_must_be_named(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2 and "command" in capsys.readouterr().err
