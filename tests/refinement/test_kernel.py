# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled arithmetic gives what Python makes of the same lines; what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hs_rvae.refinement import (
    STATUS,
    kernel,
    model_sum,
    refine_columns,
    refine_two_sublattices,
)
from hs_rvae.refinement.fixed_width import models_of_columns


def refined():
    """Tables of columns of all kinds: good ones, and one for each way to fail."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :80]
    image = 5 + 0.1 * x + 0.3 * rng.normal(size=x.shape)
    good = np.array([[16.3, 16.1], [40.2, 16.4], [15.8, 40.3], [40.4, 39.7], [64.3, 40.1]])
    for (cx, cy), height in zip(good, (100, 90, 110, 95, 105), strict=True):
        square = ((x - cx) ** 2 + (y - cy) ** 2) / (2 * 2.6**2)
        image += height * (0.9 * np.exp(-square) + 0.1 * np.exp(-square / 2.4**2))
    image += 30 * np.exp(-((x - 28.3) ** 2 + (y - 28.1) ** 2) / (2 * 2.6**2))
    image += 40 * np.exp(-((x - 64) ** 2) / 8)  # a ridge, much longer than wide
    image[2:9, 28:36] = np.nan
    bad = np.array([[0.0, 60.0], [32.0, 5.0], [64.2, 16.0], [76.0, 61.0], [np.nan, 9.0]])
    starts = np.vstack([good + 0.4, bad])
    one = refine_columns(image, starts, radius=7, num_workers=1)
    few = refine_columns(image, good + 2, radius=7, max_iterations=2, num_workers=1)
    near = refine_columns(image, good + 2, radius=7, max_shift=1.0, background="constant")
    clean = np.where(np.isnan(image), 8.0, image)
    two = refine_two_sublattices(clean, good[:4] + 0.4, [[28.0, 28.4]], num_workers=1)
    tables = {"one": one, "few": few, "near": near, "a": two[0], "b": two[1]}
    arrays = {name: table.to_numpy(float) for name, table in tables.items()}
    return arrays | {"sums": sums_of_the_tail(image - 30)}


def sums_of_the_tail(residual):
    """Normal equations of two columns, each of which reaches the other."""
    p = np.zeros((2, kernel.N_PARAMETERS))
    p[:, kernel.HEIGHT], p[:, [kernel.X, kernel.Y]] = 90, [[16.3, 16.1], [28.3, 16.4]]
    p[:, kernel.CURVE_X], p[:, kernel.CURVE_Y] = 0.15, 0.17
    sums, both = np.zeros((2, 7)), np.array([0, 1])
    begins, neighbours = np.array([0, 2, 4]), np.array([0, 1, 1, 0])
    model_sum.tail_equations(residual, 0, 2, both, p, begins, neighbours, 7.0, 0.1, 2.4, sums)
    return sums


@pytest.mark.parametrize("tail", [(0.0, 2.0), (0.2, 2.4)])
def test_models_are_added_row_by_row_out_to_their_reach(tail):
    y, x = np.mgrid[:40, :50]
    p = np.zeros((3, kernel.N_PARAMETERS))
    p[:, kernel.HEIGHT], p[:, [kernel.X, kernel.Y]] = (
        (5, 7, np.nan),
        [[20, 18.3], [49.6, 1.2], [9, 9]],
    )
    p[:, kernel.CURVE_X], p[:, kernel.CURVE_Y], p[:, kernel.CURVE_XY] = 0.15, 0.21, 0.05
    expected = np.zeros(x.shape)
    share, width = tail
    for height, cx, cy, a, b, c in p[:2, :6]:
        u, v = x - cx, y - cy
        e = (a * u**2 + 2 * b * u * v + c * v**2) / 2
        expected += height * ((1 - share) * np.exp(-e) + share * np.exp(-e / width**2))
    added = np.ones(x.shape)
    for first in range(0, 40, 16):
        model_sum.add_models(added, first, min(first + 16, 40), p, 2.0, *tail)
    # Beyond 4.5 widths, or 3.5 of the tail, nothing is added.
    np.testing.assert_allclose(added, 1 + 2 * expected, atol=2 * 7 * (4e-5 + share * 3e-3))
    near = (x - 20) ** 2 + (y - 18.3) ** 2 < 36
    rtol = 1e-3 if share else 1e-12  # the tail of the other column ends before
    np.testing.assert_allclose(added[near], 1 + 2 * expected[near], rtol=rtol)


@pytest.mark.slow
def test_compiled_code_gives_the_numbers_of_python(tmp_path):
    """Sums in another order leave 1e-6, not more."""
    command = [sys.executable, __file__, str(tmp_path / "python.npz")]
    place = os.pathsep.join([str(Path(kernel.__file__).parents[2]), *sys.path])
    subprocess.run(
        command, check=True, env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": place}
    )
    python, compiled = np.load(tmp_path / "python.npz"), refined()
    for name, table in compiled.items():
        np.testing.assert_allclose(python[name], table, rtol=1e-6, atol=1e-6, err_msg=name)
    tables = [table for name, table in compiled.items() if name != "sums"]
    assert compiled["sums"].all()
    endings = {int(number) for table in tables for number in table[:, -1]}
    names = ("ok", "not_converged", "left_region", "edge", "non_finite", "degenerate")
    assert endings >= {STATUS[name] for name in names}


@pytest.mark.parametrize(
    ("curve_xy", "x", "y", "curve_y", "possible"),
    [
        (0.05, 0.0, 0.0, 0.09, True),
        (0.07, 0.0, 0.0, 0.09, False),  # a saddle
        (0.0, 13.9, 0.0, 0.09, True),
        (0.0, 0.0, 14.1, 0.09, False),  # farther off than two radii
        (0.0, 10.0, 10.0, 0.09, False),
        (0.0, 0.0, 0.0, 6.0, True),
        (0.0, 0.0, 0.0, 6.5, False),  # narrower than 0.4 px
    ],
)
def test_a_possible_peak_is_round_enough_and_near(curve_xy, x, y, curve_y, possible):
    p = np.zeros(kernel.N_PARAMETERS)
    p[kernel.CURVE_X], p[kernel.CURVE_XY], p[kernel.CURVE_Y] = 0.04, curve_xy, curve_y
    p[kernel.X], p[kernel.Y] = 3.0 + x, 5.0 + y
    assert kernel._is_possible(p, 3.0, 5.0, 7.0) == possible


def test_curvatures_are_the_eigenvalues():
    p = np.zeros(kernel.N_PARAMETERS)
    p[[kernel.CURVE_X, kernel.CURVE_XY, kernel.CURVE_Y]] = 0.3, 0.2, 0.5
    expected = np.linalg.eigvalsh([[0.3, 0.2], [0.2, 0.5]])
    assert kernel._smallest_and_largest_curvature(p) == pytest.approx(tuple(expected))


def model(p, x, y, share, width):
    """The formula of a column, as the module states it."""
    u, v = x - p[kernel.X], y - p[kernel.Y]
    e = p[kernel.CURVE_X] * u**2 + 2 * p[kernel.CURVE_XY] * u * v + p[kernel.CURVE_Y] * v**2
    peak = (1 - share) * np.exp(-e / 2) + share * np.exp(-e / 2 / width**2)
    plane = p[kernel.LEVEL] + p[kernel.SLOPE_X] * u + p[kernel.SLOPE_Y] * v
    return p[kernel.HEIGHT] * peak + plane


@pytest.mark.parametrize(("x", "y"), [(11.0, 18.0), (15.0, 22.5)])
def test_derivatives_are_those_of_the_model(x, y):
    p, tail, step = np.array([90.0, 12.3, 20.1, 0.12, 0.03, 0.17, 7.0, 0.0, 0.0]), (0.1, 2.4), 1e-5
    found = np.zeros(kernel.N_PARAMETERS)
    model_sum._derivatives_by_column(p, x - p[kernel.X], y - p[kernel.Y], *tail, found)
    change = [model(p + e, x, y, *tail) - model(p - e, x, y, *tail) for e in step * np.eye(9)]
    np.testing.assert_allclose(found, np.array(change) / (2 * step), rtol=1e-6, atol=1e-7)
    two = np.stack([p, p + np.eye(9)[kernel.X] * 4])
    both = np.zeros(3)
    model_sum._derivatives_by_tail(two, np.array([0, 1]), int(x), 18, *tail, both)
    change = [
        sum(model(q, int(x), 18, *(tail + e)) - model(q, int(x), 18, *(tail - e)) for q in two)
        for e in step * np.eye(2)
    ]
    np.testing.assert_allclose(both, [*np.array(change) / (2 * step), 0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("image", "saturation", "words"),
    [(np.full((20, 20), np.nan), None, ":"), (np.ones((20, 20)), 1.0, " below saturation=1:")],
)
def test_an_image_without_pixels_to_fit_is_refused(image, saturation, words):
    with pytest.raises(ValueError, match=f"^image has no finite pixel{words} there"):
        refine_columns(image, [[9.0, 9.0]], radius=5, saturation=saturation)


@pytest.mark.parametrize(("inside", "status"), [(1.0, "edge"), (1.7, "ok")])
@pytest.mark.parametrize("turns", range(4))
def test_a_peak_nearer_to_any_border_than_half_its_width_is_at_the_edge(turns, inside, status):
    y, x = np.mgrid[:50, :50]
    image = 50 * np.exp(-((x - 25) ** 2 + (y - inside) ** 2) / (2 * 2.8**2))
    places = [(25, inside), (inside, 24), (24, 49 - inside), (49 - inside, 25)]
    table = refine_columns(np.rot90(image, turns), [places[turns]], radius=6, num_workers=1)
    assert table["status"][0] == STATUS[status]


@pytest.mark.parametrize(("ratio", "status"), [(3.7, "ok"), (4.3, "degenerate")])
def test_a_column_is_at_most_four_times_longer_than_wide(ratio, status):
    y, x = np.mgrid[:60, :60]
    image = 50 * np.exp(-((x - 30) ** 2 + ((y - 29) / ratio) ** 2) / (2 * 1.5**2))
    table = refine_columns(image, [[30, 29]], radius=13, num_workers=1)
    assert table["status"][0] == STATUS[status]


def test_a_fit_starts_from_the_levels_at_the_centre_and_the_rim():
    y, x = np.mgrid[-7:8, -7:8]
    distance = np.hypot(x, y).ravel()
    values = np.where(distance > 0.75 * 7, 4.0, np.where(distance < 0.35 * 7, 24.0, 1e3))
    pixels = np.array([x.ravel() + 3.0, y.ravel() + 5.0, values, np.zeros(225)])
    p = np.ones(kernel.N_PARAMETERS)
    kernel._start(p, 3.0, 5.0, 7.0, pixels, 225)
    curve = (2.7 / 7) ** 2
    assert p == pytest.approx([1.3 * 20, 3, 5, curve, 0, curve, 4, 0, 0])


def test_the_bar_counts_the_fits_of_all_passes(capsys):
    y, x = np.mgrid[:48, :48]
    a, b = [[12.0, 12.0], [36.0, 12.0], [12.0, 36.0], [36.0, 36.0]], [[24.0, 24.0]]
    image = sum(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 14) for cx, cy in a + b)
    refine_two_sublattices(image, a, b, n_passes=1, num_workers=1, show_progressbar=True)
    bar = capsys.readouterr().err
    assert "(2 fits each)" in bar and "10/10" in bar


def test_without_other_columns_there_is_nothing_to_subtract():
    names = ["x", "y", "sigma_x", "sigma_y", "rotation", "amplitude"]
    pixels = np.zeros((2, 3))
    none = models_of_columns(pixels, pixels, np.zeros((2, 2)), pd.DataFrame(columns=names), (0, 1))
    np.testing.assert_array_equal(none, pixels)


if __name__ == "__main__":
    np.savez(sys.argv[1], **refined())
