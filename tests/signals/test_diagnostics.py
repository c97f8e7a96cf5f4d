# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated films in which a latent does, or does not, follow the instrument."""

import logging

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

import hs_rvae

pytestmark = pytest.mark.slow  # fits of seconds each

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


def analysed(make_film, seed, **settings):
    settings = {"n_cells": 30, "cell": 16.0, "domain_size": 8, "nonpolar": 0.0, **settings}
    stack = make_film(seed, **settings).stack
    stack.rvae(output_dimension=2, random_state=seed, show_progressbar=False)
    return stack


def followed(found, quantities):
    """Names of the latents that follow one of the quantities."""
    table = found.table[found.table["follows"] & found.table["quantity"].isin(quantities)]
    return {name for name in table["value"] if name.startswith("latent")}


@pytest.fixture
def trend(film):
    """A film's stack whose columns are known: one latent follows x, one nothing."""
    stack = film.stack.deepcopy()
    rng = np.random.default_rng(0)
    n = len(stack.sites)
    stack.sites.set_many(
        {
            "angle": rng.uniform(-np.pi, np.pi, n),
            "latent_0": stack.sites["x"] + 40 * rng.standard_normal(n),
            "latent_1": rng.standard_normal(n),
        },
        units={"angle": "rad"},
    )
    return stack


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_latent_that_follows_the_thickness_is_named(make_film, seed):
    stack = analysed(make_film, seed, thickness_gradient=0.8)
    found = stack.rvae_diagnostics(n_shuffles=20, random_state=0)
    assert followed(found, ["x"]) and not followed(found, ["y"])
    assert any(
        line.startswith("latent_") and "follows the scan direction x (0.9" in line
        for line in found.summary
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_chemistry_is_not_taken_for_a_scan_direction(make_film, seed):
    stack = analysed(make_film, seed, thickness_gradient=0.0)
    found = stack.rvae_diagnostics(n_shuffles=20, random_state=0)
    assert not followed(found, ["x", "y", "edge distance"])
    # It is seen, but as what it is.
    assert followed(found, ["intensity"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_tilt_is_seen_in_the_shape_of_the_columns(seed):
    # The direction of the tilt changes over 20 cells: 30 cells, with few independent parts, would
    # leave one seed of three undecided.
    def followers(tilt, chemistry):
        image, truth = hs_rvae.simulation.simulate_perovskite(
            (800, 800),
            cell=18.0,
            domain_size=8,
            thickness_gradient=0.0,
            tilt=tilt,
            chemistry=chemistry,
            random_state=seed,
        )
        lattice = hs_rvae.find_sublattices(image)
        stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image, "B")
        stack.rvae(output_dimension=2, random_state=seed)
        found = stack.rvae_diagnostics(n_shuffles=20, random_state=0)
        assert {"ellipticity", "elongation"} <= set(found.table["quantity"])
        row = cKDTree(truth.b_sites[["x", "y"]]).query(stack.sites.xy)[1]
        bright = truth.b_sites["chemistry"].to_numpy()[row]
        names = followed(found, ["ellipticity", "elongation"])
        if not chemistry:
            return names
        # Brighter columns reach further into the fits of others: that is a change of shape, too.
        return {n for n in names if abs(np.corrcoef(stack.sites[n], bright)[0, 1]) < 0.9}

    for chemistry in (0.35, 0.0):
        assert followers(0.4, chemistry)
        assert not followers(0.0, chemistry)


def test_what_follows_is_in_the_table_the_summary_and_the_log(trend, caplog):
    with caplog.at_level(logging.INFO, "hs_rvae"):
        found = trend.rvae_diagnostics(n_shuffles=10, random_state=0)
    assert followed(found, ["x"]) == {"latent_0"} and not followed(found, ["y"])
    assert found.summary[0].startswith("latent_0 follows the scan direction x")
    assert found.summary[0] in caplog.text
    assert list(found.coefficients.index) == ["angle", "latent_0", "latent_1"]


def test_the_same_seed_gives_the_same_table_eager_and_lazy(trend):
    eager, lazy = trend, trend.as_lazy()
    first = eager.rvae_diagnostics(n_shuffles=10, random_state=1)
    again = eager.rvae_diagnostics(n_shuffles=10, random_state=1)
    of_lazy = lazy.rvae_diagnostics(n_shuffles=10, random_state=1)
    assert lazy._lazy  # nothing was computed but the columns
    pd.testing.assert_frame_equal(first.table, again.table)
    pd.testing.assert_frame_equal(first.table, of_lazy.table)
    assert first.summary == of_lazy.summary


def test_measured_intensities_are_written_and_follow_those_of_the_columns(film, trend):
    trend.rvae_diagnostics(n_shuffles=10, random_state=0)
    measured = trend.sites["disk_intensity"]
    assert np.corrcoef(measured, film.sites["amplitude"])[0, 1] > 0.9
    assert np.all(trend.sites["lowest_intensity"] < measured)


def test_columns_of_the_table_go_before_the_sub_images(trend):
    rng = np.random.default_rng(0)
    n = len(trend.sites)
    trend.sites["amplitude"] = trend.sites["latent_1"] ** 2
    trend.sites["background"] = rng.standard_normal(n)
    trend.sites.set_many({"sigma_x": 2 + rng.random(n), "sigma_y": 2 + rng.random(n)})
    trend.sites["rotation"] = rng.uniform(0, np.pi, n)
    found = trend.rvae_diagnostics(n_shuffles=10, random_state=0)
    assert "disk_intensity" not in trend.sites
    assert followed(found, ["intensity"]) == {"latent_1"}
    assert not any("Tilt is left out" in line for line in found.summary)


def test_sites_without_a_defined_angle_are_left_out(trend):
    n = len(trend.sites)
    order = np.where(np.arange(n) % 3 == 0, 0.0, 1.0)
    trend.sites.set_many({"order_amplitude": order, "order_amplitude_std": np.full(n, 0.05)})
    table = trend.rvae_diagnostics(n_shuffles=10, random_state=0).table
    counts = table.groupby("value")["n_sites"].max()
    assert counts["angle"] == (order > 0.5).sum() < counts["latent_0"] == n


def test_what_is_missing_is_said_with_the_verb_that_writes_it(film, trend):
    with pytest.raises(ValueError, match=r"no column 'angle' or 'latent_0'; stack\.rvae\(\)"):
        film.stack.rvae_diagnostics()
    with pytest.raises(ValueError, match="40 of 40 sites have finite values; at least 100"):
        trend.inav[:40].rvae_diagnostics()
    joined = hs_rvae.stack([trend, trend])
    with pytest.raises(ValueError, match=r"joins several images.*select_sites"):
        joined.rvae_diagnostics()
    found = trend.rvae_diagnostics(n_shuffles=10, random_state=0)
    assert "from_atom_lattice() or from_sublattice() writes them" in found.summary[-1]


def test_the_figure_shows_what_was_found_or_finds_it(trend):
    found = trend.rvae_diagnostics(n_shuffles=10, random_state=0)
    given = trend.plot_rvae_diagnostics(found)
    made = trend.plot_rvae_diagnostics(n_shuffles=10, random_state=0)
    texts = [text.get_text() for text in given.texts]
    assert texts == [text.get_text() for text in made.texts]
    assert f"{found.coefficients.loc['latent_0', 'x']:.2f}" in texts
