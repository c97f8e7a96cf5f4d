# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How soon the explorer shows what was clicked on, with as many sites as the paper has.

``python -m pytest -s tests/benchmarks/test_exploring.py``; wanted: a click below 0.2 s on an idle
machine. The seconds of CPU are printed beside those of the clock: they say what a busy one hides.
"""

import time

import numpy as np
import pytest
from matplotlib.backend_bases import MouseEvent

from hs_rvae import SubImageStack
from hs_rvae.simulation import simulate_perovskite

SIDE = 3150  # px; about 24,000 sites


@pytest.fixture(scope="module")
def stack():
    image, truth = simulate_perovskite((SIDE, SIDE), cell=20.0, nonpolar=0.05, random_state=0)
    stack = SubImageStack.from_positions(image, truth.b_sites[["x", "y"]], window_size=36)
    stack.rvae(epochs=2, n_init=1, random_state=0, show_progressbar=False)
    return stack


def events(ax, path):
    """Press at the first place, move along the others, release at the last."""
    names = ["button_press_event"] + ["motion_notify_event"] * (len(path) - 1)
    for name, place in zip(names + ["button_release_event"], [*path, path[-1]], strict=True):
        where = ax.transData.transform(place)
        held = {"buttons": [1]} if "motion" in name else {"button": 1}
        event = MouseEvent(name, ax.figure.canvas, *where, **held)
        ax.figure.canvas.callbacks.process(name, event)


def seconds(action):
    clock, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - clock, time.process_time() - cpu


def test_a_click_is_shown_at_once(stack):
    explorer = stack.explore()
    explorer.figure.canvas.draw()
    points = stack.sites.xy * stack.sites.pixel_size + stack.sites.pixel_offset
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(points), 21)
    took = []
    for site in chosen:
        took.append(seconds(lambda at=points[site]: events(explorer.map_ax, [at])))
        assert explorer.site == site
    clock, cpu = np.median(took[1:], axis=0)
    print(f"\n{len(points)} sites: a click {clock:.3f} s (CPU {cpu:.3f} s)", end="")
    assert cpu < 0.3
    # A path: what a single movement of the mouse takes.
    low, high = np.quantile(points, (0.4, 0.6), axis=0)
    path = np.linspace(low, high, 40) + 0.1 * rng.standard_normal((40, 2))
    clock, cpu = seconds(lambda: events(explorer.map_ax, path))
    print(f"; a movement of the mouse {clock / 40:.4f} s (CPU {cpu / 40:.4f} s)")
    assert explorer.selection.size > 0 and cpu / 40 < 0.05
