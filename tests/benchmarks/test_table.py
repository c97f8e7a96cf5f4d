# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every step on the way from an image to latents, as a table with what else does the same.

    pytest tests/benchmarks/test_table.py -s

All in one run on one thread, in processor seconds: other work on the machine disturbs them least.
Ratios compare with a reference in the same run, so that they hold on other machines as well.
"""

import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import fft, ndimage
from threadpoolctl import threadpool_limits

import hs_rvae
from hs_rvae.windows import cut_windows

COUNT = 4000


def seconds(function, *args, **kwargs):
    """Result and processor seconds of a call."""
    start = time.process_time()
    result = function(*args, **kwargs)
    return result, time.process_time() - start


def seconds_of_import(module):
    """Processor seconds of a Python that imports a module, least of three."""
    code = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
            for _ in range(3)]  # fmt: skip
    return min(float(run.stdout) for run in runs)


@pytest.fixture(scope="module")
def film():
    image, truth = hs_rvae.simulation.simulate_perovskite((1900, 1900), random_state=0)
    return image, truth


def cut_by_scipy(image, xy, window_size):
    coefficients = ndimage.spline_filter(image, mode="mirror")
    line = np.arange(window_size) - (window_size - 1) / 2
    windows = np.empty((len(xy), window_size, window_size), np.float32)
    for k, (x, y) in enumerate(xy):
        grid = np.meshgrid(y + line, x + line, indexing="ij")
        windows[k] = ndimage.map_coordinates(coefficients, grid, prefilter=False, mode="mirror")
    return windows


def measure(image, truth):
    """Rows of the table: step, number of sites, seconds, reference, number, seconds."""
    import atomap.api as am

    paper = runpy.run_path(str(Path(__file__).with_name("test_rvae.py")))
    rows = []
    alone, ours = seconds_of_import("hyperspy.api"), seconds_of_import("hyperspy.api, hs_rvae")
    rows.append(("import", 1, max(ours - alone, 1e-3), "import of HyperSpy", 1, alone))

    b = truth.b_sites[truth.b_sites.edge_distance > 1.2]
    xy = b[["x", "y"]].to_numpy()[:COUNT]
    windows, spent = seconds(cut_windows, image.data, xy, 48)
    scipy_windows, reference = seconds(cut_by_scipy, image.data, xy[:500], 48)
    np.testing.assert_allclose(windows[:500], scipy_windows, atol=0.02)
    rows.append(("crop", len(xy), spent, "SciPy, window by window", 500, reference))

    a = truth.a_sites[["x", "y"]].to_numpy().round()
    hs_rvae.refine_columns(image, a[:50], radius=10)  # compiled, and all modules loaded
    hs_rvae.refine_sublattice(am.Sublattice(a[:3], image.data), image, method="atomap")
    _, spent = seconds(hs_rvae.refine_columns, image, a, radius=10, num_workers=1)
    few = am.Sublattice(a[:60], image.data)
    _, reference = seconds(hs_rvae.refine_sublattice, few, image, method="atomap")
    rows.append(("refine", len(a), spent, "Atomap", 60, reference))

    model = hs_rvae.RVAE(output_dimension=2, random_state=0)
    _, spent_fit = seconds(model.fit, windows)
    grid = model._model.grid
    x = torch.as_tensor((windows - model._model.level) / model._model.scale)
    grid.harmonics(x[:10])
    _, spent = seconds(grid.harmonics, x)
    _, reference = seconds(fft.rfft2, windows)
    rows.append(("transform", len(x), spent, "plain FFT of the windows", len(x), reference))

    one_step = paper["seconds_per_step"](2)  # of 32 sub-images, forth and back
    per_epoch = one_step * len(x) / 32
    rows.append(("fit", len(x), spent_fit, "paper's network, one epoch", len(x), per_epoch))

    _, spent_encode = seconds(model.transform, windows)
    network = paper["PaperNetwork"]()
    with torch.no_grad():
        _, reference = seconds(network.encoder, x[:64, None])
    rows.append(("encode", len(x), spent_encode, "paper's network, forth", 64, reference))

    latent = model.transform(windows).latent[:1000]
    rows.append(embedding(latent, spent_encode * 1000 / len(x)))
    return rows


def embedding(latent, reference):
    """t-SNE of latents, which has no peer here: compared with their encoding."""
    from sklearn.manifold import TSNE

    result, spent = seconds(TSNE(random_state=0).fit_transform, latent)
    assert np.isfinite(result).all()
    return "embedding (t-SNE)", len(latent), spent, "encoding of the same", len(latent), reference


def test_the_table(film):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            rows = measure(*film)
    finally:
        torch.set_num_threads(before)
    ratio = {}
    print("\nstep                sites   us/site   reference                      us/site    ratio")
    for step, n, spent, name, n_reference, reference in rows:
        per, per_reference = spent / n * 1e6, reference / n_reference * 1e6
        ratio[step] = per_reference / per
        print(
            f"{step:<18} {n:>6} {per:>9.3g}   {name:<27} {per_reference:>10.3g} {ratio[step]:>8.3g}"
        )
    # Several times below what was measured: only a change of method breaks them.
    assert ratio["import"] > 3
    assert ratio["crop"] > 2
    assert ratio["refine"] > 100
    assert ratio["transform"] > 0.1
    assert ratio["fit"] > 3
    assert ratio["encode"] > 10
