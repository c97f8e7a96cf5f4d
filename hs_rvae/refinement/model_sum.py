# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled arithmetic of many columns at once: their sum, and the tail they have in common."""

import math

import numpy as np

from .kernel import (
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
    copy,
    dot,
    exponent,
    factorise,
    fast,
    plain,
    substitute,
)


@fast
def _add_gaussian(target, first_row, last_row, p, height, curvature, reach):
    """Add a Gaussian, of `curvature` times the curvatures of `p`, out to `reach` widths.

    Along a row, the ratio of neighbouring pixels changes by a constant factor: two products a
    pixel.
    """
    a, b, c = curvature * p[CURVE_X], curvature * p[CURVE_XY], curvature * p[CURVE_Y]
    determinant = a * c - b * b
    far_x, far_y = reach * math.sqrt(c / determinant), reach * math.sqrt(a / determinant)
    left = max(math.ceil(p[X] - far_x), 0)
    right = min(math.floor(p[X] + far_x), target.shape[1] - 1)
    top = max(math.ceil(p[Y] - far_y), first_row)
    bottom = min(math.floor(p[Y] + far_y), last_row - 1)
    bend = math.exp(-a)
    u = left - p[X]
    for row in range(top, bottom + 1):
        v = row - p[Y]
        value = height * math.exp(-0.5 * (a * u * u + 2.0 * b * u * v + c * v * v))
        ratio = math.exp(-(a * (u + 0.5) + b * v))
        for column in range(left, right + 1):
            target[row, column] += value
            value *= ratio
            ratio *= bend


@plain
def add_models(target, first_row, last_row, parameters, factor, share, width):
    """Add `factor` times the columns (not the planes) to some rows of `target`.

    Rows of `parameters` that are NaN are left out.
    """
    for i in range(len(parameters)):
        p = parameters[i]
        if not math.isfinite(p[HEIGHT]):
            continue
        height = factor * p[HEIGHT]
        _add_gaussian(target, first_row, last_row, p, height * (1.0 - share), 1.0, 4.5)
        if share > 0.0:
            _add_gaussian(target, first_row, last_row, p, height * share, 1.0 / width**2, 3.5)


@plain
def tail_equations(
    residual, first, last, chosen, parameters, begins, neighbours, radius, share, width, sums
):
    """Normal equations of share and width of the tail, with each column's own parameters free.

    Parameters
    ----------
    residual : array (rows, columns)
        Image minus all models.
    first, last : int
        Range of `chosen` to work on.
    chosen : array of int (m,)
        Columns around which the residual is used.
    parameters : array (n, 9)
    begins, neighbours : array of int
        The columns whose tails reach the disk of ``chosen[i]``, itself among them, are
        ``neighbours[begins[i] : begins[i + 1]]``.
    radius : float
        Of the disk.
    share, width : float
    sums : array (m, 7)
        Result: the matrix' elements by share and share, share and width, width and width; the
        vector's by share, by width; the sum of the squared residual and of the weights.
    """
    n = N_PARAMETERS
    rows, columns = residual.shape
    narrow, reach = 1.0 / width**2, radius + 0.5
    block, right = np.zeros((n, n)), np.zeros((3, n))
    j, solution, both = np.zeros(n), np.zeros(n), np.zeros(3)
    for i in range(first, last):
        p = parameters[chosen[i]]
        block[:] = 0.0
        right[:] = 0.0
        sums[i] = 0.0
        top, bottom = max(math.ceil(p[Y] - reach), 0), min(math.floor(p[Y] + reach), rows - 1)
        start, stop = max(math.ceil(p[X] - reach), 0), min(math.floor(p[X] + reach), columns - 1)
        for row in range(top, bottom + 1):
            for column in range(start, stop + 1):
                u, v, r = column - p[X], row - p[Y], residual[row, column]
                w = min(reach - math.sqrt(u * u + v * v), 1.0)
                if w <= 0.0 or not math.isfinite(r):
                    continue
                e = exponent(p, u, v)
                core, tail = (1.0 - share) * math.exp(-e), share * math.exp(-e * narrow)
                slope = p[HEIGHT] * (core + tail * narrow)
                j[HEIGHT] = core + tail
                j[X] = slope * (p[CURVE_X] * u + p[CURVE_XY] * v)
                j[Y] = slope * (p[CURVE_XY] * u + p[CURVE_Y] * v)
                j[CURVE_X], j[CURVE_Y] = -0.5 * slope * u * u, -0.5 * slope * v * v
                j[CURVE_XY] = -slope * u * v
                j[LEVEL], j[SLOPE_X], j[SLOPE_Y] = 1.0, u, v
                by_share, by_width = 0.0, 0.0
                for q in range(begins[i], begins[i + 1]):
                    o = parameters[neighbours[q]]
                    e = exponent(o, column - o[X], row - o[Y])
                    if e * narrow > 8.0:
                        continue
                    tail = math.exp(-e * narrow)
                    by_share += o[HEIGHT] * (tail - math.exp(-e))
                    by_width += o[HEIGHT] * share * tail * 2.0 * e * narrow / width
                both[0], both[1], both[2] = by_share, by_width, r
                for k in range(n):
                    for m in range(3):
                        right[m, k] += w * j[k] * both[m]
                    for m in range(k + 1):
                        block[k, m] += w * j[k] * j[m]
                sums[i, 0] += w * by_share * by_share
                sums[i, 1] += w * by_share * by_width
                sums[i, 2] += w * by_width * by_width
                sums[i, 3] += w * by_share * r
                sums[i, 4] += w * by_width * r
                sums[i, 5] += w * r * r
                sums[i, 6] += w
        if not factorise(block, n):
            sums[i] = 0.0
            continue
        # What the column's own parameters can explain does not count (Schur complement).
        copy(right[0], solution)
        substitute(block, solution, n)
        sums[i, 0] -= dot(right[0], solution, n)
        sums[i, 1] -= dot(right[1], solution, n)
        sums[i, 3] -= dot(right[2], solution, n)
        copy(right[1], solution)
        substitute(block, solution, n)
        sums[i, 2] -= dot(right[1], solution, n)
        sums[i, 4] -= dot(right[2], solution, n)
