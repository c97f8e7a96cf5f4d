# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One table of what users wait for: processor and wall seconds, peak memory, threads and load.

    python tests/benchmarks/speed.py [--runs 5] [JOB ...]

Each run is a process of its own with the default settings of threads; medians of the runs are
printed. ``fit-busy`` is ``fit`` while another process keeps one core busy.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # with it, the package is compiled in every run


def prepare(folder):
    """Files of the jobs: a film with positions, one with its raw image, small ones, a frame."""
    import numpy as np

    import hs_rvae

    simulate = hs_rvae.simulation.simulate_perovskite
    image, truth = simulate((4100, 4100), cell=26, rotation=4, random_state=0)
    image.save(folder / "film.hspy")
    positions = truth.b_sites[["x", "y"]].to_numpy()
    noise = np.random.default_rng(0).standard_normal(positions.shape)
    np.save(folder / "positions.npy", positions + 0.1 * noise)
    simulate((4300, 4300), cell=26, random_state=0)[0].save(folder / "raw.hspy")
    simulate((600, 600), cell=26, random_state=0)[0].save(folder / "small.hspy")
    simulate((512, 512), cell=20, random_state=0)[0].save(folder / "frame.hspy")
    (folder / "many").mkdir()
    for seed in range(8):
        simulate((512, 512), cell=20, random_state=seed)[0].save(folder / f"many/{seed}.hspy")


def fit(folder):
    """24,000 sub-images of 48 x 48: cut, fit, encode."""
    import hyperspy.api as hs
    import numpy as np

    import hs_rvae
    import hs_rvae.rvae.estimator  # imports are not part of the job

    image, positions = hs.load(folder / "film.hspy"), np.load(folder / "positions.npy")
    stack_class = hs_rvae.SubImageStack

    def run(positions=positions):
        stack = stack_class.from_positions(image, positions, window_size=48)
        stack.rvae(output_dimension=2, random_state=0)
        return len(stack.sites)

    run(positions[:300])  # what torch imports at the first step is not part of the job
    return run


def find(folder):
    """Raw image of 4300 x 4300 px: two sublattices with displacements."""
    import hyperspy.api as hs

    import hs_rvae

    image = hs.load(folder / "raw.hspy")

    def run(image=image):
        lattice = hs_rvae.find_sublattices(image)
        stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
        return len(stack.sites)

    run(hs.load(folder / "small.hspy"))  # imports and compiled code are loaded
    return run


def frame(folder):
    """A frame of 512 x 512 px with a saved model: columns, sub-images, angles, variants, map."""
    import hyperspy.api as hs
    import matplotlib.pyplot as plt

    import hs_rvae

    image = hs.load(folder / "frame.hspy")
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
    stack.rvae(random_state=0)
    model = stack.rvae_model
    tail = lattice.sublattice_list[0].column_table.attrs["tail"]
    known = {"cell": lattice.crystal.cell, "n_sublattices": 2, "tail": tail, "dark": False}

    def run():
        lattice = hs_rvae.find_sublattices(image, **known)
        stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
        stack.apply_rvae(model)
        stack.assign_variants(4)
        stack.plot_site_map("variant").figure.canvas.draw()
        plt.close("all")
        return len(stack.sites)

    run()
    return run


def command(folder):
    """``hs-rvae analyse`` of an image of 500 columns, from the start of Python."""
    words = [sys.executable, "-m", "hs_rvae", "analyse", str(folder / "small.hspy")]
    known = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}

    def run():
        with tempfile.TemporaryDirectory() as output:
            subprocess.run([*words, "-o", output], check=True, capture_output=True, env=known)
        return 0

    run()  # an installed package has its bytecode
    return run


def many(folder, n_workers=None):
    """8 images of 512 x 512 px from their files to reports, on all cores."""
    import hs_rvae

    def run():
        with tempfile.TemporaryDirectory() as output:
            table = hs_rvae.analyse(str(folder / "many/*"), output, n_workers=n_workers)
        assert (table.error == "").all()
        return int(table.sites.sum())

    return run


def many_on_one(folder):
    """The same in one process."""
    return many(folder, 1)


JOBS = {
    "fit": fit,
    "fit-busy": fit,
    "find": find,
    "frame": frame,
    "command": command,
    "many": many,
    "many-one": many_on_one,
}


def cpu_seconds():
    """Processor seconds of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(name, folder):
    """Run a job in this process, and print its figures."""
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    run = JOBS[name](folder)
    wall, cpu = time.perf_counter(), cpu_seconds()
    sites = run()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(who).ru_maxrss for who in whose) * 1024 / 1e9
    print(json.dumps({"sites": sites, "cpu": cpu, "wall": wall, "peak": peak}))


def in_own_process(name, folder):
    """Figures of one run of a job."""
    script = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if "busy" in name else None
    try:
        run = subprocess.run(script, check=True, capture_output=True, text=True)
    finally:
        if busy is not None:
            busy.kill()
            busy.wait()
    return json.loads(run.stdout.splitlines()[-1]) | {"load": os.getloadavg()[0]}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"of {', '.join(JOBS)}")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="of prepared files")
    parser.add_argument("--measure")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.folder)
        return
    from hs_rvae.threads import count_cores

    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        if not (folder / "many").exists():
            prepare(folder)
        print(f"{count_cores()} cores; OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')!r}")
        print(f"{'job':<10}{'sites':>8}{'CPU s':>8}{'wall s':>8}{'peak GB':>9}{'load':>6}")
        for name in options.jobs or JOBS:
            runs = [in_own_process(name, folder) for _ in range(options.runs)]
            row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            print(f"{name:<10}{row['sites']:>8.0f}{row['cpu']:>8.2f}{row['wall']:>8.2f}"
                  f"{row['peak']:>9.2f}{row['load']:>6.1f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
