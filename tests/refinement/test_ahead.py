# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compilation in the background: once for all processes, the same bits, and in nobody's way."""

import os
import subprocess
import sys
import time

import pytest

from hs_rvae.refinement import ahead

SEARCH = """
import hashlib
import hs_rvae
from hs_rvae.refinement import kernel
image, _ = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
lattice = hs_rvae.find_sublattices(image)
tables = [each.column_table.to_numpy(float).tobytes() for each in lattice.sublattice_list]
misses = sum(kernel.fit_range.stats.cache_misses.values())
print(hashlib.sha256(b"".join(tables)).hexdigest(), misses)
"""

HOLD = """
import sys, time
from pathlib import Path
from hs_rvae.refinement import ahead
with ahead._held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def missing(monkeypatch, tmp_path):
    """No compiled code, a lock in a folder of this test, and a list of the processes begun."""
    begun = []
    monkeypatch.setattr(ahead, "_begun", [])
    monkeypatch.setattr(ahead, "is_missing", lambda: True)
    monkeypatch.setattr(ahead, "_locks", lambda: [tmp_path / "compiling.lock"])
    monkeypatch.setattr(ahead, "_process", begun.append)
    return begun


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "compiling.lock")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_the_first_search_gives_the_bits_of_later_ones_and_compiles_no_fit(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    words = [sys.executable, "-c", SEARCH]
    lines = [
        subprocess.run(words, capture_output=True, text=True, env=environment, check=True).stdout
        for _ in range(2)
    ]
    assert lines[0] == lines[1]
    assert lines[0].split()[1] == "0"


def test_one_process_compiles_for_all(missing, holder):
    ahead.start()
    assert missing == []  # another does it


def test_a_process_that_is_killed_holds_nobody_up(missing, holder):
    begin = time.monotonic()
    holder.kill()
    ahead.finish()
    assert missing == [1, 2]
    assert time.monotonic() - begin < 30


def test_what_another_process_compiles_is_waited_for(missing, holder, monkeypatch):
    looked = []
    monkeypatch.setattr(ahead, "is_missing", lambda: len(looked) < 3 and not looked.append(1))
    ahead.finish()
    assert len(looked) == 3 and missing == []


def test_nothing_is_waited_for_where_no_code_can_be_kept(missing, monkeypatch):
    monkeypatch.setattr(ahead, "_locks", lambda: [])
    ahead.finish()
    assert missing == []


def test_a_folder_that_has_gone_is_no_error(missing, monkeypatch, tmp_path):
    monkeypatch.setattr(ahead, "_locks", lambda: [tmp_path / "gone" / "compiling.lock"])
    ahead.finish()
    assert missing == []


@pytest.mark.parametrize(
    ("name", "value"), [("executable", "/usr/bin/microscope"), ("executable", ""), ("frozen", True)]
)
def test_no_process_is_begun_where_the_interpreter_is_another_program(
    monkeypatch, tmp_path, name, value
):
    monkeypatch.setattr(ahead, "kept_in", lambda: str(tmp_path))
    monkeypatch.setattr(sys, name, value, raising=False)
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: pytest.fail("begun"))
    assert ahead._process(1) is None


def test_what_is_kept_needs_no_process(missing, monkeypatch):
    monkeypatch.setattr(ahead, "is_missing", lambda: False)
    ahead.start()
    ahead.finish()
    assert missing == []
