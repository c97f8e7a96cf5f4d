# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script in README reaches its report on any image."""

import logging
import re
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae

README = Path(__file__).parents[1] / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="needs the source tree")

PEROVSKITE = {"shape": (300, 300), "cell": 20.0, "domain_size": 6}


def perovskite(**settings):
    settings = PEROVSKITE | {"random_state": 0} | settings
    return hs_rvae.simulation.simulate_perovskite(settings.pop("shape"), **settings)[0]


def lattice_of(vectors, motif, noise=True, size=256, sigma=2.8):
    """One Gaussian column at each place of a motif, heights beside the places."""
    i, j = np.mgrid[-40:40, -40:40].reshape(2, -1)
    rows, columns = np.mgrid[:size, :size]
    pixels = np.full((size, size), 10.0)
    for (u, v), height in motif:
        xy = np.stack([i + u, j + v], axis=1) @ np.asarray(vectors, float) + [3.0, 5.0]
        for x, y in xy[((xy > -15) & (xy < size + 15)).all(axis=1)]:
            pixels += height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    pixels = np.random.default_rng(0).poisson(pixels).astype(float) if noise else pixels
    return hs.signals.Signal2D(pixels)


def with_nan_border():
    image = perovskite()
    image.data = image.data.astype(float)
    image.data[:40], image.data[:, -30:] = np.nan, np.nan
    return image


HEXAGONAL = [[22.0, 0.0], [11.0, 19.05]]
IMAGES = {
    "four variants": lambda: perovskite(shape=(420, 420)),  # 5 of 169 sites are no group
    "no distortion": lambda: perovskite(shift=0.0, tilt=0.0, nonpolar=0.0),
    "no noise": lambda: perovskite(
        dose=np.inf, shift=0.0, tilt=0.0, nonpolar=0.0, scan_jitter=0.0, chemistry=0.0
    ),
    "one sublattice": lambda: lattice_of([[18, 0], [0, 18]], [((0, 0), 300)]),
    "one sublattice, no noise": lambda: lattice_of([[18, 0], [0, 18]], [((0, 0), 300)], False),
    "honeycomb": lambda: lattice_of(HEXAGONAL, [((0, 0), 400), ((1 / 3, 1 / 3), 120)]),
    "hexagonal layers": lambda: hs_rvae.simulation.simulate_hexagonal(
        (280, 280), shift=0.0, tilt=0.0, random_state=0
    )[0],
    "NaN border": with_nan_border,
    "null of multislice": lambda: hs_rvae.data.sto_null()[0],
}
QUICK = ["four variants"]


def script():
    """The lines of Python under "Your own image"."""
    section = README.read_text(encoding="utf-8").partition("## Your own image")[2]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def test_the_script_has_the_steps_of_the_work():
    lines = script()
    for step in ("find_sublattices", "rvae", "register_angle", "assign_variants", "report"):
        assert f"{step}(" in lines


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in IMAGES],
)
def test_the_script_reaches_its_report_on_any_image(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    IMAGES[name]().save("my_image.hspy")
    names = {}
    exec(script().replace("my_image.dm4", "my_image.hspy"), names)
    stack = names["stack"]
    for file in ("variants.png", "angle.png", "report.html", "my_model.safetensors"):
        assert (tmp_path / file).stat().st_size > 1000
    assert len(hs.load("my_stack.zspy").sites) == len(stack.sites) > 20
    assert np.isfinite(stack.sites["order_amplitude"]).all()
    if name == "four variants":
        # The fourth has eleven sites, some of them in walls: too few for a group of their own.
        assert set(np.unique(stack.sites["variant"])) >= {0, 1, 2}
        assert stack.rvae_verdict.kind == "variants"


def test_too_few_columns_for_a_model_are_an_error_that_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.ERROR)
    perovskite(shape=(90, 90)).save("my_image.hspy")
    with pytest.raises(ValueError, match=r"columns|a fit needs 10"):
        exec(script().replace("my_image.dm4", "my_image.hspy"), {})
    assert not list(tmp_path.glob("*.html")) and not list(tmp_path.glob("*.png"))
