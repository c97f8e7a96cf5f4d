# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled arithmetic of many columns at once: their sum, and the tail they have in common."""

from __future__ import annotations

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
    door,
    dot,
    exponent,
    factorise,
    fast,
    plain,
    substitute,
)


@fast
def _add_gaussian(
    target: np.ndarray,
    first_row: int,
    last_row: int,
    p: np.ndarray,
    height: float,
    curvature: float,
    reach: float,
    line: np.ndarray,
) -> None:
    """Add a Gaussian, of `curvature` times the curvatures of `p`, out to `reach` widths.

    Down a column of pixels, the ratio of neighbouring ones changes by a constant factor: two
    products a pixel, on all pixels of a row at once. `line` has two rows to work in.
    """
    a, b, c = curvature * p[CURVE_X], curvature * p[CURVE_XY], curvature * p[CURVE_Y]
    determinant = a * c - b * b
    far_x, far_y = reach * math.sqrt(c / determinant), reach * math.sqrt(a / determinant)
    left = max(math.ceil(p[X] - far_x), 0)
    width = min(math.floor(p[X] + far_x), target.shape[1] - 1) + 1 - left
    top = max(math.ceil(p[Y] - far_y), first_row)
    bottom = min(math.floor(p[Y] + far_y), last_row - 1)
    if top > bottom:
        return
    value, ratio, bend, v = line[0], line[1], math.exp(-c), top - p[Y]
    for k in range(width):
        u = left + k - p[X]
        value[k] = height * math.exp(-0.5 * (a * u * u + 2.0 * b * u * v + c * v * v))
        ratio[k] = math.exp(-(c * (v + 0.5) + b * u))
    for i in range(top, bottom + 1):
        row = target[i, left:]
        for k in range(width):
            row[k] += value[k]
            value[k] *= ratio[k]
            ratio[k] *= bend


def add_models(
    target: np.ndarray,
    first_row: int,
    last_row: int,
    parameters: np.ndarray,
    factor: float,
    share: float,
    width: float,
) -> None:
    """Add `factor` times the columns (not the planes) to some rows of `target`.

    Rows of `parameters` that are NaN are left out.
    """
    line = np.empty((2, target.shape[1]))
    sum_of_models(target, first_row, last_row, parameters, factor, share, width, line)


@door
def sum_of_models(
    target: np.ndarray,
    first_row: int,
    last_row: int,
    parameters: np.ndarray,
    factor: float,
    share: float,
    width: float,
    line: np.ndarray,
) -> None:
    """Compiled part of `add_models`; `line` has two rows to work in."""
    for i in range(len(parameters)):
        p = parameters[i]
        if not math.isfinite(p[HEIGHT]):
            continue
        height = factor * p[HEIGHT]
        _add_gaussian(target, first_row, last_row, p, height * (1.0 - share), 1.0, 4.5, line)
        if share > 0.0:
            _add_gaussian(target, first_row, last_row, p, height * share, 1.0 / width**2, 3.5, line)


def tail_equations(
    residual: np.ndarray,
    first: int,
    last: int,
    chosen: np.ndarray,
    parameters: np.ndarray,
    begins: np.ndarray,
    neighbours: np.ndarray,
    radius: float,
    share: float,
    width: float,
    sums: np.ndarray,
) -> None:
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
        Radius of the disk.
    share, width : float
    sums : array (m, 7)
        Result: the matrix' elements by share and share, share and width, width and width; the
        vector's by share, by width; the sum of the squared residual and of the weights.
    """
    block, others = np.zeros((N_PARAMETERS, N_PARAMETERS)), np.zeros((6, N_PARAMETERS))
    sums_of_tails(
        residual, first, last, chosen, parameters, begins, neighbours, radius, share, width, sums,
        block, others,
    )  # fmt: skip


@door
def sums_of_tails(
    residual: np.ndarray,
    first: int,
    last: int,
    chosen: np.ndarray,
    parameters: np.ndarray,
    begins: np.ndarray,
    neighbours: np.ndarray,
    radius: float,
    share: float,
    width: float,
    sums: np.ndarray,
    block: np.ndarray,
    right: np.ndarray,
) -> None:
    """Compiled part of `tail_equations`, with arrays to work in."""
    n = N_PARAMETERS
    rows, columns = residual.shape
    reach = radius + 0.5
    j, solution, both = right[3], right[4], right[5]
    for i in range(first, last):
        p = parameters[chosen[i]]
        near = neighbours[begins[i] : begins[i + 1]]
        for k in range(n):
            for m in range(n):
                block[k, m] = 0.0
            for m in range(3):
                right[m, k] = 0.0
        for k in range(7):
            sums[i, k] = 0.0
        top, bottom = max(math.ceil(p[Y] - reach), 0), min(math.floor(p[Y] + reach), rows - 1)
        start, stop = max(math.ceil(p[X] - reach), 0), min(math.floor(p[X] + reach), columns - 1)
        for row in range(top, bottom + 1):
            for column in range(start, stop + 1):
                u, v, r = column - p[X], row - p[Y], residual[row, column]
                w = min(reach - math.sqrt(u * u + v * v), 1.0)
                if w <= 0.0 or not math.isfinite(r):
                    continue
                _derivatives_by_column(p, u, v, share, width, j)
                _derivatives_by_tail(parameters, near, column, row, share, width, both)
                both[2] = r
                _add_pixel(w, j, both, block, right, sums[i])
        if factorise(block, n):
            _subtract_explained(block, right, solution, sums[i])
        else:
            for k in range(7):
                sums[i, k] = 0.0


@plain
def _derivatives_by_column(
    p: np.ndarray, u: float, v: float, share: float, width: float, j: np.ndarray
) -> None:
    """Derivatives `j` of the model at a pixel by the parameters of its own column."""
    narrow = 1.0 / width**2
    e = exponent(p, u, v)
    core, tail = (1.0 - share) * math.exp(-e), share * math.exp(-e * narrow)
    slope = p[HEIGHT] * (core + tail * narrow)
    j[HEIGHT] = core + tail
    j[X] = slope * (p[CURVE_X] * u + p[CURVE_XY] * v)
    j[Y] = slope * (p[CURVE_XY] * u + p[CURVE_Y] * v)
    j[CURVE_X], j[CURVE_Y] = -0.5 * slope * u * u, -0.5 * slope * v * v
    j[CURVE_XY] = -slope * u * v
    j[LEVEL], j[SLOPE_X], j[SLOPE_Y] = 1.0, u, v


@plain
def _derivatives_by_tail(
    parameters: np.ndarray,
    near: np.ndarray,
    column: int,
    row: int,
    share: float,
    width: float,
    both: np.ndarray,
) -> None:
    """Derivatives of the model at a pixel by share and width, summed over the columns `near`."""
    narrow = 1.0 / width**2
    by_share, by_width = 0.0, 0.0
    for q in range(len(near)):
        o = parameters[near[q]]
        e = exponent(o, column - o[X], row - o[Y])
        if e * narrow > 8.0:
            continue
        tail = math.exp(-e * narrow)
        by_share += o[HEIGHT] * (tail - math.exp(-e))
        by_width += o[HEIGHT] * share * tail * 2.0 * e * narrow / width
    both[0], both[1] = by_share, by_width


@plain
def _add_pixel(
    w: float,
    j: np.ndarray,
    both: np.ndarray,
    block: np.ndarray,
    right: np.ndarray,
    total: np.ndarray,
) -> None:
    """Add a pixel of weight `w`: `both` has its derivatives by share and width, and its residual.

    `block` and `right` are the equations of the column's own parameters.
    """
    for k in range(N_PARAMETERS):
        for m in range(3):
            right[m, k] += w * j[k] * both[m]
        for m in range(k + 1):
            block[k, m] += w * j[k] * j[m]
    by_share, by_width, r = both[0], both[1], both[2]
    total[0] += w * by_share * by_share
    total[1] += w * by_share * by_width
    total[2] += w * by_width * by_width
    total[3] += w * by_share * r
    total[4] += w * by_width * r
    total[5] += w * r * r
    total[6] += w


@plain
def _subtract_explained(
    block: np.ndarray, right: np.ndarray, solution: np.ndarray, total: np.ndarray
) -> None:
    """Subtract the part that the column's own parameters can explain (Schur complement)."""
    n = N_PARAMETERS
    copy(right[0], solution)
    substitute(block, solution, n)
    total[0] -= dot(right[0], solution, n)
    total[1] -= dot(right[1], solution, n)
    total[3] -= dot(right[2], solution, n)
    copy(right[1], solution)
    substitute(block, solution, n)
    total[2] -= dot(right[1], solution, n)
    total[4] -= dot(right[2], solution, n)
