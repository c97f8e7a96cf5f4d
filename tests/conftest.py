# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that several tests share."""

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


def _copy_of(load):
    """A real image of another project, if this machine has a copy; nothing is fetched."""
    try:
        return load()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def dysco3():
    """The real image of DyScO3."""
    return _copy_of(hs_rvae.data.dysco3)


@pytest.fixture
def pto_sro():
    """The real image of a PbTiO3/SrRuO3 superlattice."""
    return _copy_of(hs_rvae.data.pto_sro)


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
