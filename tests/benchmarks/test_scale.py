# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""24,000, 100,000 and 1,000,000 lazy sub-images: memory that stays flat, time in proportion.

    pytest tests/benchmarks/test_scale.py -s

takes about 15 minutes on two idle cores and 2 GB of disk for what is temporary. Each job
(``scale_job.py``) runs in a process of its own, whose peak memory the operating system reports.
Processor seconds are compared, as other work on the machine disturbs them least.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hs_rvae

JOB = Path(__file__).with_name("scale_job.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (4096, 4096), rotation=4, dose=np.inf, random_state=0
    )
    np.save(folder / "frame.npy", (image.data * 150).astype(np.float32))
    np.save(folder / "positions.npy", truth.b_sites[["x", "y"]].to_numpy())
    return folder


def test_memory_stays_flat_and_time_grows_in_proportion(folder):
    figures = {}
    for n in (24_000, 100_000, 1_000_000):
        job = [sys.executable, str(JOB), str(folder), str(n)]
        run = subprocess.run(job, check=True, capture_output=True, text=True)
        figures[n] = json.loads(run.stdout.splitlines()[-1])
        print(f"\n{n} sites")
        print("\n".join(f"{name:>18}: {value:.4g}" for name, value in figures[n].items()))
    small = figures[24_000]
    for n, job in figures.items():
        assert job["sites"] == n and job["finite"] == 1 and job["lazy"]
        assert job["peak_gb"] < 1.5
        for step in ("transform", "encode"):
            per_site = job[f"{step}_cpu_s"] / n / (small[f"{step}_cpu_s"] / 24_000)
            print(f"{n} sites, {step}: {per_site:.2f} times the processor time per site")
            assert per_site < 1.3
