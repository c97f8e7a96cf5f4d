# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory and time of decompositions, embeddings and clusters of large stacks.

Each case runs in a process of its own, so that the peak of its memory is its own. Run it alone:
``pytest tests/benchmarks/test_learning.py -s``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hs_rvae

START = """
import json, resource, sys, time
import dask.array as da, numpy as np
import hyperspy.api as hs
import sklearn.decomposition, sklearn.mixture, sklearn.manifold
from hs_rvae import LazySubImageStack, SiteTable

hs.preferences.General.show_progressbar = False
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # bytes, on Linux

def now():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

n, w, block = int(sys.argv[1]), 48, 2000
rng = np.random.default_rng(0)
motif = rng.uniform(1, 9, (4, w, w)).astype("float32")

def make(block_info=None):
    start, stop = block_info[None]["array-location"][0]
    own = np.random.default_rng(start)
    group = own.integers(0, 4, stop - start)
    noise = own.standard_normal((stop - start, w, w), dtype="float32")
    scale = own.uniform(0.8, 1.2, (stop - start, 1, 1)).astype("float32")
    return np.maximum(scale * motif[group] + noise, 0)

chunks = ((block,) * (n // block) + ((n % block,) if n % block else ()), (w,), (w,))
data = da.map_blocks(make, chunks=chunks, dtype="float32", meta=np.empty((0, 0, 0), "float32"))
stack = LazySubImageStack(data)
y, x = np.divmod(np.arange(n), 500)
stack._set_sites(SiteTable.from_columns({"x": 26.0 * x, "y": 26.0 * y}))
truth = np.concatenate(
    [np.random.default_rng(s).integers(0, 4, min(block, n - s)) for s in range(0, n, block)]
)
begin, found = now(), {}

def timed(name, call):
    start = time.perf_counter()
    call()
    found[name] = time.perf_counter() - start
    gigabytes = round((peak() - begin) / 1e9, 2)
    print(name, round(found[name], 1), "s; peak above start", gigabytes, "GB", file=sys.stderr)
"""
END = """
from sklearn.metrics import adjusted_rand_score
if "cluster" in stack.sites:
    found["ari"] = adjusted_rand_score(truth, stack.sites["cluster"])
found["gigabytes"] = (peak() - begin) / 1e9
print(json.dumps(found))
"""


def measure(work, n_sites):
    """Seconds by name, and peak memory above start, of some lines of code."""
    root = Path(hs_rvae.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", START + work + END, str(n_sites)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(root), "MPLBACKEND": "agg"},
    )
    return json.loads(result.stdout.strip().splitlines()[-1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("algorithm", ["PCA", "NMF"])
def test_200_000_lazy_sub_images_are_decomposed_and_clustered_in_little_memory(algorithm):
    found = measure(
        f"""
timed("{algorithm}", lambda: stack.decomposition("{algorithm}", 4, random_state=0))
timed("GMM", lambda: stack.cluster_analysis(
    "decomposition", algorithm="gmm", n_clusters=4, random_state=0))
""",
        200_000,
    )
    assert found["gigabytes"] < 1.5  # of 1.8 GB of sub-images
    assert found["ari"] > 0.99


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("algorithm, seconds", [("tsne", 240), ("isomap", 240)])
def test_23_340_sites_are_embedded_in_minutes(algorithm, seconds):
    """As many as in the paper; about three minutes on two cores that do nothing else."""
    found = measure(
        f"""
timed("PCA", lambda: stack.decomposition("PCA", 8, random_state=0))
timed("{algorithm}", lambda: stack.embedding("{algorithm}", "decomposition", random_state=0))
assert np.isfinite(stack.sites[["{algorithm}_0", "{algorithm}_1"]]).all()
""",
        23_340,
    )
    assert found[algorithm] < seconds
    assert found["gigabytes"] < 4
