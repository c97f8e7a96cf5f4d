# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small changes of the code are noticed by its tests."""

import ast
import importlib.util
import json
import subprocess
import sys
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


@pytest.mark.parametrize("part", mutants.PARTS)
def test_a_part_names_files_that_exist(part):
    for names in mutants.PARTS[part]:
        assert all((mutants.ROOT / name).exists() for name in names)


def test_a_seed_gives_the_same_sample():
    first, again = (mutants.sample("positions", 3, seed=1) for _ in range(2))
    assert first == again and len(first) == 3


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
