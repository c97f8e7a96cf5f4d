# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One job of a given number of lazy sub-images, in a process of its own: see test_scale.py.

    python tests/benchmarks/scale_job.py FOLDER N_SITES [MEMORY_BUDGET]

FOLDER holds ``frame.npy``, the expected counts of one frame of about 4096 x 4096, and
``positions.npy``. Frames are made when they are read: the one frame, moved by whole pixels, with
counting noise of its own. The figures are printed as JSON.
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
from hs_rvae.rvae.harmonic import model

ROWS = 1024  # of a chunk of a frame
SPENT = []  # processor seconds of each chunk, where others would read a file
SEAM = 40  # px about the seam of a moved frame without sites


def count(path, number, first, move):
    """Some rows of a frame, uint16; workers read the file rather than being sent its contents."""
    start = time.thread_time()
    base = np.load(path, mmap_mode="r")
    rng = np.random.default_rng([number, first])
    rows = (np.arange(first, min(first + ROWS, len(base))) - move[1]) % len(base)
    expected = np.roll(base[rows], move[0], axis=1)
    # Like Poisson's within half a count at the 30 counts of the background, and much faster.
    noise = rng.standard_normal(expected.shape, dtype=np.float32)
    counts = np.rint(np.maximum(expected + noise * np.sqrt(expected), 0)).astype(np.uint16)
    SPENT.append(time.thread_time() - start)
    return counts


def lazy_series(base, positions, n_sites, seed=0):
    """Lazy frames, and the positions in each of them, `n_sites` in all."""
    rng = np.random.default_rng(seed)
    frames, xy = [], []
    size = np.array(base.shape[::-1])
    left = n_sites
    while left > 0:
        move = rng.integers(0, size)
        parts = [
            da.from_delayed(
                dask.delayed(count, pure=False)(base.filename, len(frames), first, move),
                shape=(min(ROWS, size[1] - first), size[0]),
                dtype=np.uint16,
            )
            for first in range(0, size[1], ROWS)
        ]
        frames.append(da.concatenate(parts))
        moved = (positions + move) % size
        far = np.abs(moved - move).min(axis=1) > SEAM
        inside = ((moved > SEAM) & (moved < size - SEAM)).all(axis=1)
        order = np.lexsort((moved[:, 0], moved[:, 1] // 64))
        chosen = moved[order][(far & inside)[order]][:left]
        xy.append(chosen)
        left -= len(chosen)
    series = hs.signals.Signal2D(da.stack(frames)).as_lazy()
    for axis in series.axes_manager.signal_axes:
        axis.scale, axis.units = 0.015, "nm"
    return series, xy


class Clock:
    """Wall and processor seconds of calls."""

    def __init__(self):
        self.seconds = {}

    def around(self, name, function):
        def timed(*args, **kwargs):
            wall, cpu = time.perf_counter(), time.process_time()
            result = function(*args, **kwargs)
            self.seconds[name] = time.perf_counter() - wall, time.process_time() - cpu
            return result

        return timed


def main(folder, n_sites, memory_budget="1 GB"):
    """Run the job and print its figures."""
    hs.preferences.General.show_progressbar = False
    base = np.load(f"{folder}/frame.npy", mmap_mode="r")
    series, xy = lazy_series(base, np.load(f"{folder}/positions.npy"), n_sites)
    clock = Clock()
    model.read_usable = clock.around("transform", model.read_usable)
    model.HarmonicModel.encode = clock.around("encode", model.HarmonicModel.encode)
    cut = clock.around("build", SubImageStack.from_positions)
    run = clock.around("rvae", SubImageStack.rvae)
    stack = cut(series, xy, window_size=48)
    run(stack, output_dimension=2, random_state=0, memory_budget=memory_budget)
    assert stack.rvae_verdict.rotation == "distortion"
    figures = {
        "sites": len(stack.sites),
        "frames": len(xy),
        "gigabytes": stack.data.nbytes / 1e9,
        "finite": float(np.isfinite(stack.sites["angle"]).mean()),
        "lazy": bool(stack._lazy),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    figures["frames_cpu_s"] = sum(SPENT)  # of both passes: of building, and of the transform
    for name, (wall, cpu) in clock.seconds.items():
        figures[f"{name}_wall_s"], figures[f"{name}_cpu_s"] = wall, cpu
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
