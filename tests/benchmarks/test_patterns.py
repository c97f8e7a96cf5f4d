# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mean patterns of four variants of 4D-STEM data on disk: one pass, memory that stays flat.

    pytest tests/benchmarks/test_patterns.py -s
    HS_RVAE_SWEEP=1 pytest -m sweep tests/benchmarks/test_patterns.py -s

The first measures 655 MB, the second ten times as much, which takes a few minutes. Each job
(``patterns_job.py``) runs in a process of its own.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

JOB = Path(__file__).with_name("patterns_job.py")


def run(*args):
    job = [sys.executable, "-W", "ignore", str(JOB), *map(str, args)]
    return subprocess.run(job, check=True, capture_output=True, text=True).stdout


def measured(path, side):
    run("make", path, side)
    figures = json.loads(run("means", path).splitlines()[-1])
    print("\n" + "\n".join(f"{name:>18}: {value}" for name, value in figures.items()))
    return figures


def check(figures):
    assert figures["finite"] == 1 and len(figures["counts"]) == 4
    assert figures["above_baseline_gb"] <= 0.5
    assert figures["means_s"] <= 2 * figures["reading_s"]


def test_means_take_one_pass_and_little_memory(tmp_path):
    figures = measured(tmp_path / "patterns.zspy", 200)
    assert figures["gigabytes"] > 0.65
    check(figures)


@pytest.mark.sweep
def test_ten_times_the_data_take_the_same_memory(tmp_path):
    small = measured(tmp_path / "small.zspy", 200)
    large = measured(tmp_path / "large.zspy", 632)
    assert large["gigabytes"] > 6.5
    check(large)
    assert large["above_baseline_gb"] < small["above_baseline_gb"] + 0.2
