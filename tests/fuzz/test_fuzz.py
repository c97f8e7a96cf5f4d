# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every public callable with hostile arguments: a result, or an error that names the argument."""

import importlib.util
import inspect
import json
import os
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

HERE = Path(__file__).parent
# Their arguments are those of HyperSpy, of scikit-learn or of nobody, or are checked at the call.
UNCHECKED = {
    "LazySubImageStack", "RVAE", "SubImageStack", "SiteTable", "cli.main", "plots.Explorer",
    "set_log_level",
    "columns.LatticeSeries", "columns.LatticeSeries.__getitem__", "columns.LatticeSeries.tables",
    "plots.SiteNavigator", "SiteTable.__contains__", "SiteTable.__getitem__", "SiteTable.__len__",
}  # fmt: skip
# Without arguments, or of any object.
FREE = (
    "data.", "sites.units.text", "sites.units.is_calibrated", "sites.units.printed",
    "sites.units.picometres", "sites.units.length_ratio", "sites.units.is_angle",
)  # fmt: skip


def module(name):
    """A module of this folder."""
    sys.path.insert(0, str(HERE))
    try:
        spec = importlib.util.spec_from_file_location(f"fuzz_{name}", HERE / f"{name}.py")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    finally:
        sys.path.remove(str(HERE))
    return loaded


def is_checked(function):
    """Whether checks stand before a function, at any depth of its decorators."""
    while function is not None:
        if getattr(function, "__checked__", False):
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def test_checks_stand_at_every_public_door():
    open_doors = []
    for name, door in module("doors").doors().items():
        function = door.function.__init__ if inspect.isclass(door.function) else door.function
        parameters = [key for key in door.signature.parameters if key != "self"]
        if name in UNCHECKED or name.startswith(FREE) or not parameters:
            continue
        if not is_checked(function):
            open_doors.append(name)
    assert not open_doors


def test_every_door_has_a_valid_call():
    doors = module("doors")
    usual, own = doors.usual(MagicMock()), doors.own(MagicMock())
    for name, door in doors.doors().items():
        if name not in doors.SKIPPED:
            doors.valid_values(door, usual, own)


@pytest.mark.parametrize("ended", ["during the call", "after the call"])
def test_the_end_of_a_process_is_a_crash_of_its_last_call(tmp_path, ended):
    path, call = tmp_path / "lines.jsonl", {"number": 6, "door": "stack", "changed": "by=0"}
    lines = [{"number": 4}, {"number": 4, "ending": "passed", "message": ""}, call]
    if ended == "after the call":
        lines.append(call | {"ending": "refused", "message": "by=0: no"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert module("fuzz").note_crash(path, 139) == 6
    noted = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert noted[:3] == lines[:3] and len(noted) == 4
    assert noted[3]["ending"] == "crash" and noted[3]["message"].startswith("status 139")
    path.write_text("", encoding="utf-8")
    with pytest.raises(RuntimeError, match="before the first call"):
        module("fuzz").note_crash(path, 139)


def test_a_seed_gives_the_same_hostile_values():
    hostile = module("hostile")
    rng = hostile.np.random.default_rng
    names = [hostile.hostile(valid, rng(3))[0] for valid in (0.5, "x", None, [1, 2])]
    again = [hostile.hostile(valid, rng(3))[0] for valid in (0.5, "x", None, [1, 2])]
    assert names == again


def run(tmp_path, calls, seed):
    """Faults of a run."""
    fuzz = module("fuzz")
    results = fuzz.run(tmp_path / "results.jsonl", calls, seed, workers=os.cpu_count() or 1)
    assert len(results) == calls
    return [result for result in results if result["ending"] not in fuzz.GOOD], fuzz


@pytest.mark.slow  # new doors change what a seed draws: see docs/dev/testing.rst
def test_500_hostile_calls_end_well(tmp_path):
    faults, fuzz = run(tmp_path, 500, seed=0)
    assert not faults, fuzz.table(faults, 20)


@pytest.mark.sweep
def test_20_000_hostile_calls_end_well(tmp_path):
    faults, fuzz = run(tmp_path, 20_000, seed=1)
    assert not faults, fuzz.table(faults, 100)
