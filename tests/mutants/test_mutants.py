# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small changes of the code are noticed by its tests."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_SPEC = importlib.util.spec_from_file_location("mutants_of_modules", HERE / "mutants.py")
mutants = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(mutants)

SOURCE = '''
"""Not a number: 5."""
import logging

def longest(rows: list[int] = 3, least=0.5) -> int:
    """At most 7."""
    if rows < 2 and not least:
        raise ValueError(f"rows={rows + 1}: give 2")
    logging.info("kept %d", rows - 1)
    rows += 1
    return -rows * 2
'''


def test_each_change_is_one_of_the_code(tmp_path):
    (tmp_path / "module.py").write_text(SOURCE, encoding="utf-8")
    assert mutants.mutants(tmp_path / "module.py")[0] == [
        "5: 3 -> 4",
        "5: 0.5 -> 1.0",
        "7: if rows < 2 and (not least): -> if not (rows < 2 and (not least)):",
        "7: rows < 2 and (not least) -> rows < 2 or not least",
        "7: rows < 2 -> rows <= 2",
        "7: 2 -> 3",
        "7: not least -> least",
        "8: raise ValueError(f'rows={rows + 1}: give 2') -> pass",
        "10: rows += 1 -> rows -= 1",
        "10: 1 -> 2",
        "11: return -rows * 2 -> return None",
        "11: -rows * 2 -> -rows / 2",
        "11: -rows -> rows",
        "11: 2 -> 3",
    ]


def test_every_mutant_is_python(tmp_path):
    (tmp_path / "module.py").write_text(SOURCE, encoding="utf-8")
    count = len(mutants.mutants(tmp_path / "module.py")[0])
    trees = [mutants.mutants(tmp_path / "module.py", number)[1] for number in range(count)]
    assert len({ast.unparse(tree) for tree in trees}) == len(trees)
    for tree in trees:
        compile(tree, "module.py", "exec")


LOADED = """
import functools

LIMIT = 3

def kept(function):
    @functools.wraps(function)
    def inner(*values):
        return function(*values)
    return inner

class Row:
    @property
    @kept
    def width(self):
        return LIMIT + 1

def sums(rows):
    if len(
        rows
    ) > 2:
        return [row + 1 for row in rows]
    return []
"""


def mutant(path, change):
    number = [line.split(": ", 1)[1] for line in mutants.mutants(path)[0]].index(change)
    return mutants.mutants(path, number)[1]


def exchange(path, change):
    code = mutants.changed_function(path, mutant(path, change))
    mutants.exchange(code, mutants.held({str(path)}))


def test_a_loaded_function_is_exchanged_wherever_it_is_held(tmp_path):
    path = tmp_path / "loaded.py"
    path.write_text(LOADED, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("loaded", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    sums, row = loaded.sums, loaded.Row()
    assert row.width == 4 and sums([1, 2, 3]) == [2, 3, 4]
    exchange(path, "LIMIT + 1 -> LIMIT - 1")
    exchange(path, "row + 1 -> row - 1")
    assert row.width == 2 and sums([1, 2, 3]) == [0, 1, 2]
    assert mutants.changed_function(path, mutant(path, "3 -> 4")) is None  # of the module


def test_a_compiled_function_is_compiled_anew_with_all_that_call_it(tmp_path):
    path = tmp_path / "compiled.py"
    path.write_text(
        "import numba\n\n@numba.njit(cache=True)\ndef inner(x):\n    return x + 1\n\n"
        "@numba.njit(cache=True)\ndef outer(x):\n    return inner(x)\n",
        encoding="utf-8",
    )

    def load(name):
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    assert load("compiled").outer(2) == 3  # kept from now on
    again = load("compiled")
    exchange(path, "x + 1 -> x - 1")
    assert again.outer(2) == 1
    assert load("compiled").outer(2) == 3  # nothing of the mutant was kept


def test_lines_of_a_statement_are_all_of_it_but_not_its_body(tmp_path):
    (tmp_path / "loaded.py").write_text(LOADED, encoding="utf-8")
    assert mutants.lines_of(tmp_path / "loaded.py", 20) == range(19, 22)
    assert mutants.lines_of(tmp_path / "loaded.py", 22) == range(22, 23)


def test_quick_tests_come_first_and_those_of_a_file_together():
    baseline = mutants.Baseline()
    baseline.seconds = {"b::1": 0.2, "b::2": 0.1, "a::1": 0.2, "a::2": 5.0, "b::3": 1.0}
    assert baseline.order(baseline.seconds) == ["a::1", "b::2", "b::1", "b::3", "a::2"]
    baseline.setup = {"a": 3.0}  # all tests of the file wait for it
    assert baseline.order(baseline.seconds)[:3] == ["b::2", "b::1", "b::3"]
    baseline.setup = {}
    baseline.kills.update({"a::2": 2, "c::1": 5})
    assert baseline.order(baseline.seconds) == ["a::2", "a::1", "b::2", "b::1", "b::3"]


@pytest.mark.parametrize(
    ("code", "ending"),
    [("True", "survived"), ("False", "killed"), ("os.kill(os.getpid(), 15)", "killed")],
)
def test_a_fork_tells_how_it_ended(code, ending):
    assert mutants.in_fork(lambda: eval(code, {"os": os}), 60)[0] == ending


def test_a_fork_that_takes_too_long_is_slow_and_one_that_fails_is_an_error():
    assert mutants.in_fork(lambda: time.sleep(60) is None, 0.2)[0] == "slow"
    with pytest.raises(RuntimeError, match="The program itself"):
        mutants.in_fork(lambda: 1 / 0, 60)


@pytest.mark.parametrize("part", mutants.PARTS)
def test_a_part_names_files_that_exist(part):
    for names in mutants.PARTS[part]:
        assert all((mutants.ROOT / name).exists() for name in names)


def test_a_seed_gives_the_same_sample():
    first, again = (mutants.sample("positions", 3, seed=1) for _ in range(2))
    assert first == again and len(first) == 3


def test_survivors_are_found_again_where_they_stand_now(tmp_path):
    file, change, number = mutants.sample("positions", 1, seed=1)[0]
    line, text = change.split(": ", 1)
    moved = {"part": "positions", "file": file, "change": f"{int(line) + 3}: {text}"}
    rows = [moved | {"ending": ending} for ending in ("survived", "killed")]
    rows.append(moved | {"ending": "survived", "change": "1: nothing -> like it"})
    path = tmp_path / "results"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert mutants.survivors("positions", path) == [(file, change, number)]


@pytest.mark.sweep
@pytest.mark.parametrize("part", mutants.PARTS)
def test_tests_notice_most_mutants(part, tmp_path):
    """In a process of its own, in which the package is not loaded."""
    command = [sys.executable, str(HERE / "mutants.py"), part, "--to", str(tmp_path / "lines")]
    subprocess.run(command, check=True, cwd=mutants.ROOT)
    lines = (tmp_path / "lines").read_text(encoding="utf-8").splitlines()
    results = [json.loads(line) for line in lines]
    survivors = [result["change"] for result in results if result["ending"] == "survived"]
    assert len(results) == 100
    assert len(survivors) <= 15, survivors
