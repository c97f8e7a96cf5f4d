# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that is killed while it saves: the name opens, and what it opens is whole."""

import os
import random
import signal
import subprocess
import sys
import time

import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

import hs_rvae

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")

#: What a child does: it saves in turn two versions, until it is killed.
CHILD = """
import sys, itertools
import numpy as np
import hs_rvae
what, path = sys.argv[1:]
rng = np.random.default_rng(0)
image, truth = hs_rvae.simulation.simulate_perovskite((260, 260), cell=20.0, random_state=0)
stacks = []
for level in (1.0, 2.0):
    stack = hs_rvae.SubImageStack.from_positions(
        image, truth.b_sites[["x", "y"]], window_size=32, show_progressbar=False)
    stack.sites["level"] = np.full(len(stack.sites), level)
    if what == "stack":
        stack.data = np.full_like(stack.data, level)
    stacks.append(stack)
if what == "model":
    images = rng.normal(size=(60, 16, 16)).astype("float32")
    models = [hs_rvae.RVAE(1, n_init=1, epochs=1, random_state=k) for k in (0, 1)]
    models = [model.fit(images) for model in models]
if what == "report":
    stacks[0].rvae(1, n_init=1, epochs=1, random_state=0)
save = {
    "stack": lambda k: stacks[k].save(path, overwrite=True, show_progressbar=False),
    "table": lambda k: stacks[k].sites.save(path),
    "model": lambda k: models[k].save(path),
    "report": lambda k: stacks[0].report(path),
}[what]
save(0)
print("ready", flush=True)
for k in itertools.cycle((1, 0)):
    save(k)
"""


def whole_stack(path):
    stack = hs.load(path)
    level = set(np.unique(stack.data)) | set(np.unique(stack.sites["level"]))
    assert len(level) == 1 and stack.data.shape[1:] == (32, 32)


def whole_table(path):
    table = pd.read_csv(path)
    assert len(table) > 100 and not table.isna().any(axis=None) and table["level"].nunique() == 1


def whole_model(path):
    assert hs_rvae.RVAE.load(path).window_size_ == 16


def whole_report(path):
    text = path.read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>")


CASES = {
    "stack.hspy": ("stack", whole_stack),
    "stack.zspy": ("stack", whole_stack),
    "model.safetensors": ("model", whole_model),
    "sites.csv": ("table", whole_table),
    "report.html": ("report", whole_report),
}


def kill_while_saving(tmp_path, name, moments, seed):
    """Kill one child after another at random moments; judge what stands under the name."""
    what, judge = CASES[name]
    path, generator = tmp_path / name, random.Random(seed)
    for _ in range(moments):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, what, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        time.sleep(generator.uniform(0, 0.5 if what != "report" else 5.0))
        child.kill()
        child.wait()
        judge(path)
    drafts = [each for each in os.listdir(tmp_path) if each.startswith(".hs_rvae-")]
    assert len(drafts) <= 2  # those of the last child only: each removes its predecessor's


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_three_kills(tmp_path, name):
    kill_while_saving(tmp_path, name, 3, seed=0)


@pytest.mark.sweep
@pytest.mark.parametrize("name", CASES)
def test_twenty_kills(tmp_path, name):
    kill_while_saving(tmp_path, name, 20, seed=1)
