# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pandas as pd
import pytest

from hs_rvae.refinement.fixed_width import fit_with_shape_held

WIDTH, RADIUS = 2.8, 9.0


def crystal(height, noise, seed=0, tail=(0.0, 1.0), n=12):
    """Strong columns on a square lattice, faint ones near the centres of its cells."""
    rng = np.random.default_rng(seed)
    i, j = np.meshgrid(np.arange(n), np.arange(n))
    strong = np.stack([i.ravel(), j.ravel()], axis=1) * 26.0 + 20
    strong += rng.uniform(-0.5, 0.5, strong.shape)
    faint = np.array([[i, j] for i in range(n - 1) for j in range(n - 1)]) * 26.0 + 33
    faint += rng.uniform(-1, 1, faint.shape)
    y, x = np.mgrid[: 26 * n + 20, : 26 * n + 20]
    image = 30 + 0.02 * x + noise * rng.normal(size=x.shape)
    share, wider = tail
    for (cx, cy), peak in [*((p, 100.0) for p in strong), *((p, height) for p in faint)]:
        square = ((x - cx) ** 2 + (y - cy) ** 2) / (2 * WIDTH**2)
        image += peak * ((1 - share) * np.exp(-square) + share * np.exp(-square / wider**2))
    others = pd.DataFrame({"x": strong[:, 0], "y": strong[:, 1]})
    others[["sigma_x", "sigma_y", "rotation", "amplitude"]] = WIDTH, WIDTH, 0.0, 100.0
    starts = np.round(faint + rng.uniform(-1.5, 1.5, faint.shape))
    return image, faint, starts, others


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_without_noise_position_and_height_are_exact(scale):
    image, faint, starts, others = crystal(6.0, 0.0)
    others["amplitude"] *= scale
    fit = fit_with_shape_held(image * scale, starts, WIDTH, RADIUS, others)
    np.testing.assert_allclose(np.stack([fit["x"], fit["y"]], axis=1), faint, atol=0.02)
    np.testing.assert_allclose(fit["amplitude"] / scale, 6.0, rtol=0.01)


def test_the_tail_of_neighbours_is_subtracted():
    tail = (0.12, 2.4)
    image, faint, starts, others = crystal(6.0, 0.0, tail=tail)
    fit = fit_with_shape_held(image, starts, WIDTH, RADIUS, others, tail)
    without = fit_with_shape_held(image, starts, WIDTH, RADIUS, others)
    # Of a faint column's own tail, some goes to the height and some to the background.
    assert (fit["amplitude"] > 6 * 0.88).all() and (fit["amplitude"] < 6).all()
    assert np.median(without["amplitude"]) < 0.9 * np.median(fit["amplitude"])


def test_standard_errors_are_those_of_repeated_measurements():
    image, faint, starts, others = crystal(15.0, 3.0)
    fit = fit_with_shape_held(image, starts, WIDTH, RADIUS, others)
    pull = (fit["x"] - faint[:, 0]) / fit["x_std"]
    height_pull = (fit["amplitude"] - 15) / fit["amplitude_std"]
    # 121 columns: the standard deviation is known to 7 %, and neighbours' share of the noise adds.
    assert 0.8 < np.std(pull) < 1.25
    assert 0.8 < np.std(height_pull) < 1.25
    assert abs(np.mean(height_pull)) < 0.3


def test_where_nothing_is_there_nothing_is_significant():
    image, _, starts, others = crystal(0.0, 3.0, seed=1)
    fit = fit_with_shape_held(image, starts, WIDTH, RADIUS, others)
    assert np.mean(fit["amplitude"] > 3 * fit["amplitude_std"]) < 0.05


def test_a_position_that_is_known_before_holds_a_fit_as_far_as_noise_asks():
    image, faint, _, others = crystal(6.0, 3.0)
    free = fit_with_shape_held(image, faint, WIDTH, RADIUS, others)
    held = fit_with_shape_held(image, faint, WIDTH, RADIUS, others, spread=0.5)
    errors = [np.hypot(fit["x"] - faint[:, 0], fit["y"] - faint[:, 1]) for fit in (free, held)]
    assert np.sqrt((errors[1] ** 2).mean()) < 0.7 * np.sqrt((errors[0] ** 2).mean())
    assert abs(np.mean(held["amplitude"]) - 6.0) < 0.5
    assert (held["x_std"] < 0.55).all()
    clear, faint, starts, others = crystal(60.0, 0.1)
    moved = fit_with_shape_held(clear, faint + [1.0, 0.0], WIDTH, RADIUS, others, spread=0.5)
    np.testing.assert_allclose(np.stack([moved["x"], moved["y"]], axis=1), faint, atol=0.05)


def test_pixels_that_are_missing_are_left_out():
    image, faint, starts, others = crystal(10.0, 0.0)
    image[:, ::7] = np.nan
    image[30:36, 30:36] = np.nan
    fit = fit_with_shape_held(image, starts, WIDTH, RADIUS, others)
    error = np.hypot(fit["x"] - faint[:, 0], fit["y"] - faint[:, 1])
    assert np.nanmax(error) < 0.05
    outside = fit_with_shape_held(image, np.array([[-5.0, 10.0]]), WIDTH, RADIUS, others)
    assert np.isnan(outside["x"]).all()
