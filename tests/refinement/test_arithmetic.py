# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic of the refinement against the formulas that its modules state."""

import numpy as np
import pandas as pd
import pytest

from hs_rvae.refinement import kernel, model_sum, refine_columns, refine_two_sublattices, tail
from hs_rvae.refinement.aperture import checked_disk_radius, disk_means
from hs_rvae.refinement.fitting import principal_axes
from hs_rvae.refinement.fixed_width import fit_with_shape_held, models_of_columns
from hs_rvae.refinement.kernel import (
    CURVE_X,
    CURVE_XY,
    CURVE_Y,
    HEIGHT,
    LEVEL,
    N_PARAMETERS,
    SLOPE_X,
    SLOPE_Y,
    X,
    Y,
)
from hs_rvae.refinement.two_sublattices import _radius

COLUMN = np.array([90.0, 12.3, 10.1, 0.12, 0.03, 0.17, 7.0, 0.4, -0.3])
RADIUS = 6.0


def peak(p, x, y, share, width):
    """A column without its plane."""
    u, v = x - p[X], y - p[Y]
    e = (p[CURVE_X] * u**2 + 2 * p[CURVE_XY] * u * v + p[CURVE_Y] * v**2) / 2
    return p[HEIGHT] * ((1 - share) * np.exp(-e) + share * np.exp(-e / width**2))


def model(p, x, y, share, width):
    """A column and the plane under it."""
    plane = p[LEVEL] + p[SLOPE_X] * (x - p[X]) + p[SLOPE_Y] * (y - p[Y])
    return peak(p, x, y, share, width) + plane


def derivatives(function, at, step=1e-5):
    """Derivatives by each element, as columns."""
    steps = step * np.eye(len(at))
    return np.stack([function(at + e) - function(at - e) for e in steps], axis=-1) / (2 * step)


def disk(cx, cy, radius, shape):
    """Pixels (x, y) of a disk, and their weights."""
    y, x = np.indices(shape)
    weight = np.minimum(radius + 0.5 - np.hypot(x - cx, y - cy), 1.0)
    inside = weight > 0
    return x[inside].astype(float), y[inside].astype(float), weight[inside]


@pytest.mark.parametrize(("share", "slope_weight"), [(0.0, 0.0), (0.15, 0.0), (0.15, 40.0)])
def test_equations_of_a_fit_are_those_of_least_squares(share, slope_weight):
    x, y, weight = disk(12.0, 10.0, RADIUS, (22, 26))
    rng = np.random.default_rng(0)
    z = model(COLUMN + 0.05 * rng.standard_normal(9), x, y, share, 2.4)
    pixels, n = np.stack([x, y, z, np.sqrt(weight)]), N_PARAMETERS
    rows, normal = np.zeros((n + 2, len(x))), np.zeros((n + 1, n + 1))
    cost = kernel._linearise(COLUMN, share, 2.4, slope_weight, pixels, len(x), rows, normal)
    hessian, gradient = normal[:n, :n], normal[n, :n]

    def sum_of_squares(p):
        left = z - model(p, x, y, share, 2.4)
        return (weight * left**2).sum() + slope_weight * (p[SLOPE_X] ** 2 + p[SLOPE_Y] ** 2)

    assert cost == pytest.approx(sum_of_squares(COLUMN))
    np.testing.assert_allclose(gradient, -derivatives(sum_of_squares, COLUMN) / 2, rtol=1e-5)
    j = derivatives(lambda p: model(p, x, y, share, 2.4), COLUMN)
    expected = (weight * j.T) @ j
    expected[[SLOPE_X, SLOPE_Y], [SLOPE_X, SLOPE_Y]] += slope_weight
    lower = np.tril_indices(n)
    np.testing.assert_allclose(hessian[lower], expected[lower], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("slope_weight", [0.0, 40.0])
def test_variances_are_those_of_the_sandwich_estimator(slope_weight):
    """Each pixel's own squared residual stands for its variance, enlarged by its leverage (HC2)."""
    x, y, weight = disk(12.0, 10.0, RADIUS, (22, 26))
    rng, n, share = np.random.default_rng(0), N_PARAMETERS, 0.15
    z = model(COLUMN, x, y, share, 2.4) + rng.standard_normal(len(x))
    pixels, found = np.stack([x, y, z, np.sqrt(weight)]), np.zeros(kernel.N_DIAGNOSTICS)
    square = np.zeros((n + 1, n + 1))
    work = np.zeros((n + 2, len(x))), square, square.copy(), square[:n].copy(), np.zeros(n)
    cost = kernel._linearise(COLUMN, share, 2.4, slope_weight, pixels, len(x), *work[:2])
    assert kernel._errors(slope_weight, cost, pixels, len(x), *work, True, found)
    j = np.sqrt(weight)[:, None] * derivatives(lambda p: model(p, x, y, share, 2.4), COLUMN)
    residual = np.sqrt(weight) * (z - model(COLUMN, x, y, share, 2.4))
    held, slopes = np.zeros(n), [SLOPE_X, SLOPE_Y]
    held[slopes] = slope_weight
    inverse = np.linalg.inv(j.T @ j + np.diag(held))
    leverage = np.einsum("qi,ij,qj->q", j, inverse, j)
    middle = (j.T * residual**2 / (1 - leverage)) @ j
    # The prior is a measurement of each slope, with the variance of a pixel.
    assert cost == pytest.approx((residual**2).sum() + slope_weight * sum(COLUMN[slopes] ** 2))
    middle += np.diag(held) * cost / (weight.sum() - n)
    variances = np.diag(inverse @ middle @ inverse)
    expected = [np.sqrt(cost / weight.sum()), *variances[[HEIGHT, X, Y, SLOPE_X, SLOPE_Y]]]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_models_are_added_wherever_they_reach(share):
    """Out to 4.5 widths, and 3.5 of the tail; a column without numbers adds nothing."""
    many = np.stack([COLUMN, COLUMN, COLUMN, COLUMN])
    many[1:, X], many[1:, Y] = [-2.5, 41.0, 20.0], [30.2, 38.5, 20.0]  # also from outside
    many[3, HEIGHT] = np.nan
    y, x = np.indices((40, 40))
    expected = 1.0 - 2.0 * sum(peak(p, x, y, share, 1.8) for p in many[:3])
    image = np.ones((40, 40))
    model_sum.add_models(image, 0, 25, many, -2.0, share, 1.8)
    assert (image[25:] == 1).all()  # of other threads
    model_sum.add_models(image, 25, 40, many, -2.0, share, 1.8)
    np.testing.assert_allclose(image, expected, atol=2 * 90 * np.exp(-(3.5**2) / 2) * share + 0.01)
    # A tail ends where 0.2 % of its height are left: little beside another column.
    near = peak(COLUMN, x, y, 0.0, 1.0) > 1
    np.testing.assert_allclose(image[near], expected[near], rtol=0.01)


def test_principal_axes_make_up_the_curvatures():
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.standard_normal((2, 2))
        a, b, c = (root @ root.T + 0.1 * np.eye(2))[[0, 0, 1], [0, 1, 1]]
        along, across, angle = principal_axes(*np.array([[a], [b], [c]]))
        assert 0 <= angle[0] < np.pi
        # From +x towards -y: y goes down.
        axes = np.array(
            [[np.cos(angle[0]), np.sin(angle[0])], [-np.sin(angle[0]), np.cos(angle[0])]]
        )
        found = axes @ np.diag([along[0] ** -2, across[0] ** -2]) @ axes.T
        np.testing.assert_allclose(found, [[a, b], [b, c]], rtol=1e-9, atol=1e-9)
        assert abs(np.cos(angle[0])) >= np.sqrt(0.5) - 1e-9  # the axis nearest to x


@pytest.mark.parametrize(("cx", "cy"), [(12.3, 10.1), (2.4, 10.1), (12.3, 19.4)])
@pytest.mark.parametrize("share", [0.0, 0.15])
def test_pixels_of_a_disk_have_the_column_put_back(cx, cy, share):
    """What was subtracted for the fits of the others; pixels at the rim count by degrees."""
    x, y, weight = disk(cx, cy, RADIUS, (22, 26))
    own = COLUMN.copy()
    own[[X, Y]] = cx, cy
    image = np.random.default_rng(0).random((22, 26))
    image[10, 11] = np.nan
    good = np.isfinite(image[y.astype(int), x.astype(int)])
    pixels = np.zeros((4, 400))
    options = RADIUS, share, 2.4, own.copy(), pixels
    assert kernel._disk(image, own, True, True, *options) == (kernel.OK, good.sum())
    found = pixels[:, : good.sum()]
    np.testing.assert_array_equal(found[:2], [x[good], y[good]])
    whole = image[y.astype(int), x.astype(int)] + peak(own, x, y, share, 2.4)
    np.testing.assert_allclose(found[2], whole[good], rtol=1e-9)
    np.testing.assert_allclose(found[3] ** 2, weight[good], atol=1e-12)
    assert kernel._gather(image, cx, cy, RADIUS, pixels) == (good.sum(), (~good).sum())
    np.testing.assert_array_equal(
        pixels[2, : good.sum()], image[y.astype(int), x.astype(int)][good]
    )


def test_equations_of_the_tail_leave_to_each_column_what_it_can_explain():
    """Least squares for share and width, beside which the parameters of the column are free."""
    rng, share, width = np.random.default_rng(0), 0.1, 2.4
    two = np.stack([COLUMN, COLUMN])
    two[1, [X, Y]] += 9.0, 2.0
    image = rng.standard_normal((22, 34))
    sums, both = np.zeros((1, 7)), np.array([0, 1])
    model_sum.tail_equations(
        image, 0, 1, np.array([0]), two, np.array([0, 2]), both, RADIUS, share, width, sums
    )
    x, y, w = disk(COLUMN[X], COLUMN[Y], RADIUS, image.shape)
    r = image[y.astype(int), x.astype(int)]
    own = derivatives(lambda p: model(p, x, y, share, width), COLUMN)
    of_tail = derivatives(lambda t: sum(peak(p, x, y, *t) for p in two), np.array([share, width]))
    root = np.sqrt(w)[:, None]
    basis = np.linalg.qr(root * own)[0]
    free = root * of_tail - basis @ (basis.T @ (root * of_tail))
    matrix, vector = free.T @ free, free.T @ (root[:, 0] * r)
    expected = [matrix[0, 0], matrix[0, 1], matrix[1, 1], *vector, (w * r**2).sum(), w.sum()]
    np.testing.assert_allclose(sums[0], expected, rtol=1e-4)


@pytest.mark.parametrize("binning", [1, 2, 3])
def test_columns_of_a_binned_part_are_where_its_pixels_say(binning):
    p = np.zeros((3, N_PARAMETERS))
    p[:, HEIGHT], p[:, CURVE_X], p[:, CURVE_XY], p[:, CURVE_Y] = 100.0, 0.04, 0.008, 0.03
    p[:, [X, Y]] = [[40.3, 35.7], [14.0, 30.0], [60.0, 79.0]]  # the others outside of the part
    y, x = np.indices((90, 100))
    columns, rows = (16, 76), (12, 72)
    image = tail._binned(peak(p[0], x, y, 0, 1)[slice(*rows), slice(*columns)], binning)
    part = tail._part(p, columns, rows, binning)
    assert len(part.parameters) == 1
    own = part.parameters[0]
    v, u = np.indices(image.shape)
    # A mean over b pixels flattens the top by (b**2 - 1) / 24 times its curvatures.
    np.testing.assert_allclose(image, peak(own, u, v, 0, 1), atol=0.3 * (binning**2 - 1) + 1e-9)
    moment = np.array([(image * u).sum(), (image * v).sum()]) / image.sum()
    np.testing.assert_allclose(own[[X, Y]], moment, atol=0.01)
    np.testing.assert_array_equal(part.starts[0], own[[X, Y]])


@pytest.mark.parametrize(
    ("x", "y", "inside"),
    [(10.0, 20.0, True), (49.0, 59.0, True), (9.9, 30.0, False), (49.2, 30.0, False),
     (30.0, 19.9, False), (30.0, 59.2, False)],
)  # fmt: skip
def test_a_part_has_the_columns_between_its_outermost_pixels(x, y, inside):
    p = np.zeros((1, N_PARAMETERS))
    p[0, [X, Y]] = x, y
    assert len(tail._part(p, (10, 50), (20, 60), 1).parameters) == inside


def test_a_column_that_begins_at_its_place_still_gets_its_width():
    """A step that moves nothing is no reason to end as long as the fit gets better."""
    y, x = np.indices((41, 41))
    for sigma in (1.2, 2.9, 4.0):
        image = 50 * np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / (2 * sigma**2))
        table = refine_columns(image, [[20.0, 20.0]], radius=8, num_workers=1)
        assert table.sigma_x[0] == pytest.approx(sigma, rel=1e-3)
        assert table.amplitude[0] == pytest.approx(50, rel=1e-3)


def test_a_volume_is_the_sum_of_a_column_over_all_pixels():
    y, x = np.indices((121, 121))
    for tail_of_columns in ((0.0, 2.0), (0.2, 2.4)):
        p = COLUMN.copy()
        p[[X, Y]] = 60.3, 59.6
        image = 5.0 + peak(p, x, y, *tail_of_columns)
        table, _ = refine_two_sublattices(
            image, [p[[X, Y]]], [], radius=9, tail=tail_of_columns, background="constant"
        )
        assert table.volume[0] == pytest.approx((image - 5).sum(), rel=0.01)


def test_two_sublattices_that_overlap_are_fitted_exactly():
    """Each with the other subtracted, tails and all."""
    y, x = np.indices((48, 48))
    a = np.array([[12.2, 12.4], [36.1, 11.8], [11.7, 36.3], [35.8, 36.1]])
    b = np.array([[24.6, 23.7]])
    columns = np.tile(COLUMN, (5, 1))
    columns[:, [X, Y]], columns[:, HEIGHT] = np.vstack([a, b]), [90, 80, 85, 95, 40]
    image = 7.0 + sum(peak(p, x, y, 0.1, 2.4) for p in columns)
    tables = refine_two_sublattices(
        image, a + 0.4, b - 0.4, radius=7, tail=(0.1, 2.4), background="constant", n_passes=6
    )
    found = np.vstack([table[["x", "y", "amplitude"]] for table in tables])
    np.testing.assert_allclose(found, columns[:, [X, Y, HEIGHT]], rtol=3e-3)


def test_a_disk_that_is_fitted_reaches_a_third_of_the_way_to_the_next_column():
    """0.38 distances in a sublattice, at most 0.6 to the nearest column of any."""
    square = np.array([[12.0, 12.0], [36.0, 12.0], [12.0, 36.0], [36.0, 36.0]])
    assert _radius([square]) == pytest.approx(0.38 * 24)
    assert _radius([square, np.array([[24.0, 24.0]])]) == pytest.approx(0.38 * 24)
    assert _radius([square, square + [10.0, 0.0]]) == pytest.approx(0.6 * 10)


def test_the_mean_of_a_disk_weighs_its_rim_by_degrees():
    image = np.random.default_rng(0).random((22, 26))
    image[3, 20] = np.nan
    places = np.array([[12.3, 10.1], [19.0, 5.0], [2.4, 10.0], [12.0, 17.9], [np.nan, 9.0]])
    found = disk_means(image, *places.T, 4.0)
    px, py, weight = disk(12.3, 10.1, 4.0, image.shape)
    expected = np.average(image[py.astype(int), px.astype(int)], weights=weight)
    assert found[0] == pytest.approx(expected)
    assert np.isnan(found[1:]).all()  # a missing pixel, beyond a border, no place


@pytest.mark.parametrize("radius", [0.5, 2.0, 500.0])
def test_a_disk_has_the_radius_that_is_given(radius):
    assert checked_disk_radius(radius, 9.0) == radius
    assert checked_disk_radius(None, 9.0) == pytest.approx(6.0)
    for wrong in (0.4, 501.0, np.nan):
        with pytest.raises(ValueError, match="disk_radius=.*give 0.5 to 500 pixels"):
            checked_disk_radius(wrong, 9.0)


# Fits of a held shape


def ellipses(n=5):
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.uniform(5, 35, (n, 2)), columns=["x", "y"])
    table["sigma_x"], table["sigma_y"] = rng.uniform(2, 4, (2, n))
    table["rotation"], table["amplitude"] = rng.uniform(0, np.pi, n), rng.uniform(5, 50, n)
    return table


def drawn(table, x, y, share, wider):
    """Elliptical columns; `rotation` turns from +x towards -y, up on the screen."""
    total = np.zeros(np.shape(x))
    for row in table.itertuples():
        turn = np.array([[np.cos(row.rotation), -np.sin(row.rotation)],
                         [np.sin(row.rotation), np.cos(row.rotation)]])  # fmt: skip
        inverse = turn.T @ np.diag([row.sigma_x**-2, row.sigma_y**-2]) @ turn
        offset = np.stack([x - row.x, y - row.y])
        e = np.einsum("i...,ij,j...->...", offset, inverse, offset) / 2
        total += row.amplitude * ((1 - share) * np.exp(-e) + share * np.exp(-e / wider**2))
    return total


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("n", [1, 5])
def test_models_of_other_columns_are_their_sum(n, share):
    table = ellipses(n)
    starts = np.array([[10.0, 12.0], [30.0, 25.0]])
    dy, dx = np.mgrid[-4:5, -4:5]
    px, py = (starts[:, k, None] + d.ravel() for k, d in enumerate((dx, dy)))
    found = models_of_columns(px, py, starts, table, (share, 2.0))
    np.testing.assert_allclose(found, drawn(table, px, py, share, 2.0), rtol=1e-9)


def faint(shape=(40, 40), place=(21.3, 19.6), height=6.0, sigma=2.5, level=30.0):
    y, x = np.indices(shape)
    return level + height * np.exp(
        -((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * sigma**2)
    )  # fmt: skip


def test_neighbours_with_a_missing_number_are_left_out():
    image = faint()
    others = ellipses(4)
    whole = fit_with_shape_held(image, np.array([[21.0, 20.0]]), 2.5, 7.0, others)
    for name in ("sigma_x", "amplitude"):
        more = pd.concat([others, others.iloc[:1].assign(x=20.0, y=21.0, **{name: np.nan})])
        found = fit_with_shape_held(image, np.array([[21.0, 20.0]]), 2.5, 7.0, more)
        for key, value in whole.items():
            np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("place", [(3.4, 20.6), (20.6, 4.2)])
def test_a_mirrored_image_has_mirrored_fits_up_to_the_border(place):
    """Also in the last row and column of pixels."""
    image = faint(place=place) + 0.3 * np.random.default_rng(0).standard_normal((40, 40))
    start, none = np.round(place)[None], ellipses(1).iloc[:0]
    here = fit_with_shape_held(image, start, 2.5, 7.0, none)
    there = fit_with_shape_held(image[::-1, ::-1], 39 - start, 2.5, 7.0, none)
    assert np.isfinite(here["x"]).all()
    for key in here:
        value = 39 - there[key] if key in ("x", "y") else there[key]
        np.testing.assert_allclose(here[key], value, rtol=1e-6, err_msg=key)


def test_a_background_and_a_residual_are_those_of_the_image():
    noise = 0.5 * np.random.default_rng(1).standard_normal((40, 40))
    none = ellipses(1).iloc[:0]
    fit = fit_with_shape_held(faint() + noise, np.array([[21.0, 20.0]]), 2.5, 8.0, none)
    assert fit["background"][0] == pytest.approx(30.0, abs=0.2)
    # 201 pixels and six parameters.
    assert fit["residual"][0] == pytest.approx(0.5, rel=0.1)
    exact = fit_with_shape_held(faint(), np.array([[21.0, 20.0]]), 2.5, 8.0, none)
    assert exact["residual"][0] < 1e-3 and exact["amplitude"][0] == pytest.approx(6.0, rel=1e-3)
