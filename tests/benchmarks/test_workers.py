# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two workers of dask.distributed against one, one thread each, in the same run.

    pytest tests/benchmarks/test_workers.py -s

Meaningful on a machine with two idle cores; the load is printed.
"""

import os
import time

import numpy as np
import pytest

import hs_rvae

distributed = pytest.importorskip(
    "distributed", reason="needs dask.distributed: pip install hs_rvae[distributed]"
)


@pytest.fixture(scope="module")
def series():
    series, truths = hs_rvae.simulation.simulate_series((1024, 1024), 16, random_state=0)
    lazy = series.as_lazy()
    lazy.data = lazy.data.rechunk((1, -1, -1))
    return lazy, [truth.b_sites[["x", "y"]] for truth in truths]


def job(series, model):
    """Columns of all frames, then angles and latents of all sites; seconds of both."""
    start = time.perf_counter()
    lattices = hs_rvae.find_sublattices(series[0])
    middle = time.perf_counter()
    stack = hs_rvae.SubImageStack.from_positions(*series, window_size=48)
    begin = time.perf_counter()
    stack.apply_rvae(model)
    return lattices, stack, {"refine": middle - start, "encode": time.perf_counter() - begin}


def test_two_workers_are_faster_than_one_and_give_the_same(series):
    here = hs_rvae.SubImageStack.from_positions(*series, window_size=48)
    here.rvae(random_state=0)
    model = here.rvae_model
    spent = {}
    for n_workers in (1, 2, 1, 2):
        with (
            distributed.LocalCluster(
                n_workers=n_workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            client.run(hs_rvae_is_loaded)
            lattices, stack, times = job(series, model)
        for name in ("angle", "latent_0", "latent_1"):
            difference = stack.sites[name] - here.sites[name]
            if name == "angle":
                difference = np.angle(np.exp(1j * difference))
            np.testing.assert_allclose(difference, 0, atol=1e-5 * np.abs(here.sites[name]).max())
        for step, value in times.items():
            spent[step, n_workers] = min(value, spent.get((step, n_workers), np.inf))
    print(f"\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {len(here.sites)} sites")
    for step in ("refine", "encode"):
        one, two = spent[step, 1], spent[step, 2]
        print(f"{step}: {one:.1f} s and {two:.1f} s, {one / two:.2f} times faster")
    if os.getloadavg()[0] > os.cpu_count() + 1:
        pytest.skip("the machine is busy: the ratio says nothing")
    assert spent["refine", 1] / spent["refine", 2] > 1.6
    assert spent["encode", 1] / spent["encode", 2] > 1.6


def hs_rvae_is_loaded():
    """Libraries and compiled functions, which the first call would pay for."""
    import hs_rvae

    image, _ = hs_rvae.simulation.simulate_perovskite((128, 128), random_state=0)
    hs_rvae.find_sublattices(image, show_progressbar=False)
    return hs_rvae.RVAE is not None
