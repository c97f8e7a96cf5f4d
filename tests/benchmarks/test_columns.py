# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a raw image of 4096 x 4096 pixels to 24,000 + 24,000 refined columns and displacements.

Run with ``pytest tests/benchmarks -s``. The bounds are twice what was measured on two cores.
"""

import subprocess
import sys

CODE = """
import resource, sys, time
import numpy as np
import hs_rvae
from scipy.spatial import cKDTree

image, truth = hs_rvae.simulation.simulate_perovskite(
    (4096, 4096), cell=26.1, rotation=2, random_state=0
)
small, _ = hs_rvae.simulation.simulate_perovskite((128, 128), random_state=0)
hs_rvae.find_sublattices(small)  # what is compiled and imported once

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
start = time.perf_counter()
lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
found = time.perf_counter() - start
a, b = (s.column_table[["x", "y"]].to_numpy() for s in lattice.sublattice_list)
vectors = hs_rvae.neighbours.displacement(b, a)
total = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

shares, errors = [], []
for columns, sites in ((a, truth.a_sites), (b, truth.b_sites)):
    xy = sites[["x", "y"]].to_numpy()
    xy = xy[((xy > 26) & (xy < 4069)).all(axis=1)]
    distance, nearest = cKDTree(columns).query(xy)
    shares.append(float((distance < 4).mean()))
    errors.append(float(np.sqrt(((columns[nearest] - xy)[distance < 4] ** 2).mean())))
print(f"{len(a)} A, {len(b)} B: {found:.1f} s, with displacements {total:.1f} s, "
      f"peak {peak:.2f} GB ({before:.2f} GB before), found {shares}, rms {errors} px")
print(total, peak, *shares, int(np.isfinite(vectors).all(axis=1).sum()))
"""


def test_a_large_image_takes_seconds_and_little_memory():
    # In a process of its own: the peak of memory is that of the whole process.
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    print(result.stdout)
    total, peak, share_a, share_b, displaced = map(float, result.stdout.split()[-5:])
    assert share_a > 0.995 and share_b > 0.98
    assert displaced > 23_000
    assert total < 60
    assert peak < 3.0
