# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated films for the tests of the model; the core of the suite; tables of the sweeps."""

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import hs_rvae


def _make_film(seed, *, n_cells=46, window_cells=1.8, position_noise=0.1, **settings):
    """A film, its stack of B sub-images, and the truth of the sites that are in it."""
    settings = {"cell": 20.0, "nonpolar": 0.08, **settings}
    side = round(n_cells * settings["cell"])
    simulate = hs_rvae.simulation.simulate_perovskite
    image, truth = simulate((side, side), random_state=seed, **settings)
    positions = truth.b_sites[["x", "y"]].to_numpy()
    positions = positions + position_noise * np.random.default_rng(seed).standard_normal(
        positions.shape
    )
    window = round(window_cells * settings["cell"])
    stack = hs_rvae.SubImageStack.from_positions(image, positions, window_size=window)
    index = stack.sites["site_index"]
    return SimpleNamespace(
        image=image,
        truth=truth,
        positions=positions,
        stack=stack,
        sites=truth.b_sites.iloc[index].reset_index(drop=True),
        interior=truth.interior()[index],
        true_angle=truth.b_sites["angle"].to_numpy()[index],
    )


@pytest.fixture(scope="session")
def make_film():
    """A function that simulates a film and cuts its B sub-images."""
    return _make_film


@pytest.fixture(scope="session")
def film():
    """A small film; its stack must not be changed."""
    return _make_film(0, n_cells=24, cell=18.0, domain_size=8, nonpolar=0.0)


@pytest.fixture(scope="session")
def model(film):
    """A model fitted to the small film; it must not be changed."""
    return hs_rvae.RVAE(output_dimension=2, random_state=0).fit(film.stack.data)


@pytest.fixture(scope="session")
def result(film, model):
    """What the model says about the small film."""
    return model.transform(film.stack.data)


class _Sweep:
    """A table of a sweep, on its way into a page of the documentation."""

    def __init__(self, page, script):
        self.page, self.script = page, script
        self._start = time.process_time()

    def write(self, table, seeds):
        """Print the table; if HS_RVAE_SWEEP is set, write it between the marks of the page."""
        print(table)
        if not os.environ.get("HS_RVAE_SWEEP"):
            return
        git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        output = subprocess.run(git, cwd=self.page.parent, capture_output=True, check=True).stdout
        minutes = (time.process_time() - self._start) / 60
        origin = (
            f"Commit {output.decode().strip()}, seeds {seeds[0]} to {seeds[-1]}, {minutes:.0f} "
            f"minutes of one processor; written by ``pytest -m sweep {self.script}``."
        )
        begin, end = f".. begin of {self.script}\n", f".. end of {self.script}\n"
        before, rest = self.page.read_text(encoding="utf-8").split(begin)
        after = rest.split(end)[1]
        self.page.write_text(
            f"{before}{begin}\n{table}\n{origin}\n\n{end}{after}", encoding="utf-8"
        )


@pytest.fixture(scope="module")
def sweep(request):
    """A function of the name of a page: its table, timed from now on."""
    root = Path(__file__).parents[1]
    script = request.path.relative_to(root).as_posix()
    return lambda page: _Sweep(root / "docs" / "user_guide" / f"{page}.rst", script)
