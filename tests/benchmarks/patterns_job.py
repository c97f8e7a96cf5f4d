# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mean patterns of four variants of 4D-STEM data on disk, in a process of its own.

    python tests/benchmarks/patterns_job.py make FILE SIDE
    python tests/benchmarks/patterns_job.py means FILE

The first writes a scan of SIDE x SIDE patterns of 64 x 64 float32. The second reads it for nothing,
which gives the time of reading, and for the means. The figures are printed as JSON: see
test_patterns.py.
"""

import json
import resource
import sys
import time

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np

from hs_rvae import SubImageStack

DETECTOR, CELL, ROWS = 64, 13, 20  # px; rows of the scan in a chunk
OUTSIDE = 12  # of 256 pixels outside the disk have a count
REPEATS = 3  # of reading and of the means, of which the quickest counts


def counts(first, rows, side):
    """Some rows of the scan: a bright disk with counting noise, and single counts outside."""
    rng = np.random.default_rng(first)
    y, x = np.indices((DETECTOR, DETECTOR)) - DETECTOR // 2
    disk = np.hypot(x, y) < 8
    shape = rows, side, DETECTOR, DETECTOR
    patterns = (rng.integers(0, 256, shape, np.uint8) < OUTSIDE).astype(np.float32)
    patterns[..., disk] = rng.poisson(20.0, (rows, side, disk.sum()))
    return patterns


def make(path, side):
    """Write the data, block by block."""
    shape = (side, side, DETECTOR, DETECTOR)
    chunks = (ROWS, ROWS, DETECTOR, DETECTOR)
    signal = hs.signals.Signal2D(da.zeros(shape, chunks=chunks, dtype=np.float32)).as_lazy()
    parts = [
        da.from_delayed(
            dask.delayed(counts, pure=False)(first, min(ROWS, side - first), side),
            (min(ROWS, side - first), side, DETECTOR, DETECTOR),
            np.float32,
        )
        for first in range(0, side, ROWS)
    ]
    signal.data = da.concatenate(parts).rechunk(chunks)
    signal.save(path, chunks=chunks, overwrite=True, show_progressbar=False)


def means(path):
    """Means of four variants, and the figures of the pass."""
    hs.preferences.General.show_progressbar = False
    patterns = hs.load(path, lazy=True)
    side = patterns.data.shape[0]
    line = np.arange(CELL, side - CELL, CELL)
    xy = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2).astype(float)
    rng = np.random.default_rng(0)
    image = hs.signals.Signal2D(rng.random((side, side), dtype=np.float32))
    stack = SubImageStack.from_positions(
        image, xy, window_size=CELL, columns={"variant": np.arange(len(xy)) % 4}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Every chunk once, and no more of it than one number.
    read = patterns.data.map_blocks(lambda block: block[:1, :1, :1, :1] + 0, dtype=np.float32)
    reading, seconds = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        read.compute()
        reading.append(time.perf_counter() - start)
        start = time.perf_counter()
        found = stack.get_cluster_means("variant", patterns, radius=2)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "gigabytes": patterns.data.nbytes / 1e9,
        "sites": len(xy),
        "finite": float(np.isfinite(found.data).mean()),
        "counts": found.metadata.Clusters.counts,
        "reading_s": min(reading),
        "means_s": min(seconds),
        "above_baseline_gb": (peak - before) / 1e6,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]))
    else:
        means(sys.argv[2])
