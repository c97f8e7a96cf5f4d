# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled arithmetic of the refinement: one column at a time, straight from the image.

A column is ``H [(1 - s) exp(-E) + s exp(-E / k**2)]``, ``E = (a u**2 + 2 b u v + c v**2) / 2``,
with ``(u, v)`` a pixel minus the centre: an elliptical Gaussian of peak height ``H`` and, with a
share ``s`` > 0, a tail ``k`` times as wide. The curvatures ``a, b, c`` (inverse of the covariance)
are fitted instead of two widths and an angle, because the angle of a round column does not exist.
Under it lies a plane, whose slopes may be held near zero.

The kernels are serial and release the GIL, so that threads can call them on ranges of columns.
There is no ``prange``: called from the threads of dask it can end the process.
"""

from __future__ import annotations

import math

import numpy as np

from .compiling import compiled, inner

# A row of parameters.
HEIGHT, X, Y, CURVE_X, CURVE_XY, CURVE_Y, LEVEL, SLOPE_X, SLOPE_Y = range(9)
N_PARAMETERS = 9

# A row of what else is known of a fit: rms of the residual, and variances of parameters.
RESIDUAL, VAR_HEIGHT, VAR_X, VAR_Y, VAR_SLOPE_X, VAR_SLOPE_Y = range(6)
N_DIAGNOSTICS = 6
_WITH_VARIANCE = (HEIGHT, X, Y, SLOPE_X, SLOPE_Y)

OK, NOT_CONVERGED, LEFT_REGION, EDGE, NON_FINITE, DEGENERATE, NO_PEAK, FIXED = range(8)

#: A slope of this much prior weight does not move.
NO_SLOPE = 1e30

_MINIMUM_SIGMA = 0.4  # px; a narrower peak lies between the pixels
_MAXIMUM_RATIO = 4.0  # of the two widths, as in Atomap
_MINIMUM_OF_DISK = 0.5  # less of it says little of both x and y
_OFF_CENTRE = 0.3  # px; a disk farther off its column is moved there
_MAXIMUM_MOVES = 5

# Sums may be taken in any order, but NaN stays NaN.
_ANY_ORDER = {"reassoc", "contract", "nsz"}

door = compiled(nogil=True, error_model="numpy")
_fast_door = compiled(nogil=True, error_model="numpy", fastmath=_ANY_ORDER)
plain = inner(nogil=True, error_model="numpy")
fast = inner(nogil=True, error_model="numpy", fastmath=_ANY_ORDER)
_kept = inner(nogil=True, error_model="numpy", fastmath=_ANY_ORDER, keep=True)


@fast
def dot(a: np.ndarray, b: np.ndarray, count: int) -> float:
    """Sum of the products of the first `count` elements."""
    total = 0.0
    for q in range(count):
        total += a[q] * b[q]
    return total


@fast
def _add_times(a, factor, result, count):
    for q in range(count):
        result[q] += factor * a[q]


@fast
def _dots_of_two(a, b, c, d, count):
    """Products of each of two rows with each of two others: half the reading of four `dot`."""
    ac, ad, bc, bd = 0.0, 0.0, 0.0, 0.0
    for q in range(count):
        ac += a[q] * c[q]
        ad += a[q] * d[q]
        bc += b[q] * c[q]
        bd += b[q] * d[q]
    return ac, ad, bc, bd


@fast
def _products(rows, count, products):
    """Products of all pairs of rows, into the lower triangle; their number is even."""
    for k in range(0, len(products), 2):
        for m in range(0, k + 1, 2):
            ac, ad, bc, bd = _dots_of_two(rows[k], rows[k + 1], rows[m], rows[m + 1], count)
            products[k, m], products[k, m + 1] = ac, ad
            products[k + 1, m], products[k + 1, m + 1] = bc, bd


@fast
def copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy an array: assigned to a slice, it would cost seconds to compile an error message."""
    for k in range(len(target)):
        target[k] = source[k]


@fast
def factorise(matrix: np.ndarray, n: int) -> bool:
    """Cholesky factor, in the lower triangle; False unless the matrix is positive definite."""
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                matrix[i, i] = math.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    return True


@fast
def substitute(factor: np.ndarray, vector: np.ndarray, n: int) -> None:
    """Solve for a vector, in place, with the factor of `factorise`."""
    for i in range(n):
        total = vector[i]
        for k in range(i):
            total -= factor[i, k] * vector[k]
        vector[i] = total / factor[i, i]
    for i in range(n - 1, -1, -1):
        total = vector[i]
        for k in range(i + 1, n):
            total -= factor[k, i] * vector[k]
        vector[i] = total / factor[i, i]


@fast
def exponent(p: np.ndarray, u: float, v: float) -> float:
    """E of a column, at an offset from its centre."""
    return 0.5 * (p[CURVE_X] * u * u + 2.0 * p[CURVE_XY] * u * v + p[CURVE_Y] * v * v)


@fast
def _smallest_and_largest_curvature(p):
    determinant = p[CURVE_X] * p[CURVE_Y] - p[CURVE_XY] ** 2
    mean = 0.5 * (p[CURVE_X] + p[CURVE_Y])
    largest = mean + math.sqrt(max(mean * mean - determinant, 0.0))
    return determinant / largest, largest


@fast
def _gather(image, cx, cy, radius, pixels):
    """Copy the finite pixels of the disk around (cx, cy) as x, y, value, root of the weight.

    Returns how many there are, and how many are not finite.
    """
    rows, columns = image.shape
    reach = radius + 0.5
    top, bottom = max(math.ceil(cy - reach), 0), min(math.floor(cy + reach), rows - 1)
    left, right = max(math.ceil(cx - reach), 0), min(math.floor(cx + reach), columns - 1)
    count, bad = 0, 0
    for i in range(top, bottom + 1):
        for j in range(left, right + 1):
            # Pixels enter and leave a moving disk by degrees, not at once.
            weight = min(reach - math.sqrt((i - cy) ** 2 + (j - cx) ** 2), 1.0)
            if weight <= 0.0:
                continue
            z = image[i, j]
            if not math.isfinite(z):
                bad += 1
                continue
            pixels[0, count] = j
            pixels[1, count] = i
            pixels[2, count] = z
            pixels[3, count] = math.sqrt(weight)
            count += 1
    return count, bad


@fast
def _add_own(own, share, narrow, pixels, count):
    """Put the model of a column back into the values of its pixels."""
    x, y, z = pixels[0], pixels[1], pixels[2]
    core, tail = own[HEIGHT] * (1.0 - share), own[HEIGHT] * share
    cx, cy, a, b, c = own[X], own[Y], own[CURVE_X], own[CURVE_XY], own[CURVE_Y]
    for q in range(count):
        u, v = x[q] - cx, y[q] - cy
        e = 0.5 * (a * u * u + 2.0 * b * u * v + c * v * v)
        z[q] += core * _exp_of_minus(e) + tail * _exp_of_minus(e * narrow)


@fast
def _exp_of_minus(e):
    """exp(-e) for e >= 0 as (1 - e / 256 + ...)**256: without branches, so that loops vectorise.

    The relative error is below 1e-13 up to 5, and below 1e-9 up to 20.
    """
    y = min(e, 60.0) * (-1.0 / 256.0)
    z = 1.0 + y * (1.0 + y * (0.5 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720))))))
    for _ in range(8):
        z *= z
    return z


@fast
def _linearise(p, share, width, slope_weight, pixels, count, rows, normal):
    """J'WJ and, as one more row, J'Wr at the parameters `p`; returns the cost.

    Row k of `rows` becomes the weighted derivative by parameter k, row N_PARAMETERS the weighted
    residual.
    """
    z, w, residual = pixels[2], pixels[3], rows[N_PARAMETERS]
    u, v, shape = rows[SLOPE_X], rows[SLOPE_Y], rows[HEIGHT]
    exponents, tail, slope = rows[X], rows[Y], rows[LEVEL]
    a, b, c, height = p[CURVE_X], p[CURVE_XY], p[CURVE_Y], p[HEIGHT]
    level, slope_x, slope_y = p[LEVEL], p[SLOPE_X], p[SLOPE_Y]
    # Many loops with one result each: more would not be vectorised.
    x, y = pixels[0], pixels[1]
    for q in range(count):
        u[q] = x[q] - p[X]
    for q in range(count):
        v[q] = y[q] - p[Y]
    for q in range(count):
        exponents[q] = 0.5 * (a * u[q] * u[q] + 2.0 * b * u[q] * v[q] + c * v[q] * v[q])
    for q in range(count):
        shape[q] = w[q] * (1.0 - share) * _exp_of_minus(exponents[q])
    if share > 0.0:
        narrow = 1.0 / width**2
        for q in range(count):
            tail[q] = w[q] * share * _exp_of_minus(narrow * exponents[q])
        for q in range(count):
            slope[q] = height * (shape[q] + narrow * tail[q])
        for q in range(count):
            shape[q] += tail[q]
    else:
        for q in range(count):
            slope[q] = height * shape[q]
    for q in range(count):
        plane = level + slope_x * u[q] + slope_y * v[q]
        residual[q] = w[q] * (z[q] - plane) - height * shape[q]
    by_x, by_y = rows[X], rows[Y]
    # The plane is anchored at the centre.
    for q in range(count):
        by_x[q] = slope[q] * (a * u[q] + b * v[q]) - w[q] * slope_x
    for q in range(count):
        by_y[q] = slope[q] * (b * u[q] + c * v[q]) - w[q] * slope_y
    by_a, by_b, by_c = rows[CURVE_X], rows[CURVE_XY], rows[CURVE_Y]
    for q in range(count):
        by_a[q] = -0.5 * slope[q] * u[q] * u[q]
    for q in range(count):
        by_b[q] = -slope[q] * u[q] * v[q]
    for q in range(count):
        by_c[q] = -0.5 * slope[q] * v[q] * v[q]
    by_level = rows[LEVEL]
    for q in range(count):
        by_level[q] = w[q]
    for q in range(count):
        u[q] *= w[q]
    for q in range(count):
        v[q] *= w[q]
    _products(rows, count, normal)
    for k in (SLOPE_X, SLOPE_Y):
        normal[k, k] += slope_weight
        normal[N_PARAMETERS, k] -= slope_weight * p[k]
    prior = slope_weight * (slope_x**2 + slope_y**2)
    return normal[N_PARAMETERS, N_PARAMETERS] + prior


@fast
def _start(p, cx, cy, radius, pixels, count):
    """A round column: height and level from the pixels near the centre and those at the rim."""
    low, n_low, high, n_high, highest = 0.0, 0, 0.0, 0, -math.inf
    for q in range(count):
        highest = max(highest, pixels[2, q])
        distance = math.sqrt((pixels[0, q] - cx) ** 2 + (pixels[1, q] - cy) ** 2)
        if distance > 0.75 * radius:
            low += pixels[2, q]
            n_low += 1
        elif distance < 0.35 * radius:
            high += pixels[2, q]
            n_high += 1
    level = low / max(n_low, 1)
    # A saturated peak has no pixels.
    top = high / n_high if n_high > 0 else highest
    for k in range(N_PARAMETERS):
        p[k] = 0.0
    p[LEVEL] = level
    # Without height, nothing depends on the position.
    p[HEIGHT] = max(1.3 * (top - level), 1e-3 * abs(level))
    p[X], p[Y] = cx, cy
    p[CURVE_X] = p[CURVE_Y] = (2.7 / radius) ** 2


@fast
def _is_possible(p, cx, cy, radius):
    """Return True if the curvatures are those of a peak, and the centre has not run away."""
    if not (p[CURVE_X] > 0.0 and p[CURVE_X] * p[CURVE_Y] - p[CURVE_XY] ** 2 > 0.0):
        return False
    _, largest = _smallest_and_largest_curvature(p)
    near = (p[X] - cx) ** 2 + (p[Y] - cy) ** 2 < (2.0 * radius) ** 2
    return near and largest < 1.0 / _MINIMUM_SIGMA**2


@fast
def _step(p, cx, cy, radius, damping, normal, factor, step, trial):
    """Damped step from `p` to `trial`; False if there is none, or to no possible column."""
    n = N_PARAMETERS
    for k in range(n):
        for m in range(k):
            factor[k, m] = normal[k, m]
        factor[k, k] = normal[k, k] * (1.0 + damping) + 1e-300
        step[k] = normal[n, k]
    if not factorise(factor, n):
        return False
    substitute(factor, step, n)
    for k in range(n):
        trial[k] = p[k] + step[k]
    return _is_possible(trial, cx, cy, radius)


@_kept
def _errors(
    slope_weight, cost, pixels, count, rows, normal, middle, factor, column, with_variances,
    diagnostics,
):  # fmt: skip
    """Rms residual and variances of parameters; False if the fit determines too little.

    Each pixel's own squared residual stands for its variance (sandwich estimator), enlarged by what
    the fit has taken from it (HC2): counted electrons scatter more on a column than beside it.
    """
    n = N_PARAMETERS
    for k in range(n):
        copy(normal[k], factor[k])
    if not factorise(factor, n):
        return False
    weight, residual, leverage = pixels[3], rows[n], rows[n + 1]
    total = dot(weight, weight, count)
    diagnostics[RESIDUAL] = math.sqrt(cost / total)
    if not with_variances:
        return True
    for q in range(count):
        leverage[q] = 0.0
    # To coordinates where the Hessian is 1.
    for k in range(n):
        row, scale = rows[k], 1.0 / factor[k, k]
        for m in range(k):
            _add_times(rows[m], -factor[k, m], row, count)
        for q in range(count):
            row[q] *= scale
        for q in range(count):
            leverage[q] += row[q] * row[q]
    for q in range(count):
        residual[q] /= math.sqrt(max(1.0 - leverage[q], 0.1))
    for k in range(n):
        row = rows[k]
        for q in range(count):
            row[q] *= residual[q]
    _products(rows, count, middle)
    # The prior is one more measurement of each slope.
    variance = slope_weight * cost / max(total - n, 1.0)
    for k in range(n):
        for m in range(k + 1):
            middle[m, k] = middle[k, m]
    for slope in (SLOPE_X, SLOPE_Y):
        _unit_in_coordinates(factor, slope, column)
        for k in range(n):
            for m in range(n):
                middle[k, m] += variance * column[k] * column[m]
    for i in range(len(_WITH_VARIANCE)):
        _unit_in_coordinates(factor, _WITH_VARIANCE[i], column)
        value = 0.0
        for k in range(n):
            for m in range(n):
                value += column[k] * middle[k, m] * column[m]
        diagnostics[VAR_HEIGHT + i] = value
    return True


@fast
def _unit_in_coordinates(factor, which, column):
    """Solve for a unit vector with the lower factor alone."""
    for k in range(len(column)):
        total = 1.0 if k == which else 0.0
        for m in range(k):
            total -= factor[k, m] * column[m]
        column[k] = total / factor[k, k]


@fast
def _place(start, own, add_own, image, p):
    """Put into `p` where to begin; returns OK, NON_FINITE, or EDGE outside the image."""
    p[X], p[Y] = start[0], start[1]
    if not (math.isfinite(p[X]) and math.isfinite(p[Y])):
        return NON_FINITE
    if add_own:
        copy(own, p)
    rows, columns = image.shape
    outside = p[X] < -0.5 or p[Y] < -0.5 or p[X] > columns - 0.5 or p[Y] > rows - 0.5
    return EDGE if outside else OK


@_kept
def _disk(image, own, add_own, is_new, radius, share, width, p, pixels):
    """Gather the pixels around `p` and, of a new column, make `p` a start.

    Returns OK, NON_FINITE or EDGE, and the number of pixels.
    """
    count, bad = _gather(image, p[X], p[Y], radius, pixels)
    if count < max(_MINIMUM_OF_DISK * math.pi * radius**2, N_PARAMETERS + 1.0):
        return (NON_FINITE if bad > 0 else EDGE), count
    if add_own:
        _add_own(own, share, 1.0 / width**2, pixels, count)
    elif is_new:
        _start(p, p[X], p[Y], radius, pixels, count)
    return OK, count


@fast
def _shape(p, radius, image):
    """Return OK, EDGE or the fault of a fitted column; at an edge it keeps its numbers."""
    if not p[HEIGHT] > 0.0:
        return NO_PEAK
    smallest, largest = _smallest_and_largest_curvature(p)
    if largest > _MAXIMUM_RATIO**2 * smallest or smallest < 1.0 / (2.0 * radius) ** 2:
        return DEGENERATE
    if largest > 0.99 / _MINIMUM_SIGMA**2:
        return DEGENERATE
    # A peak on the border is seen from one side only.
    rows, columns = image.shape
    border = min(p[X], p[Y], columns - 1 - p[X], rows - 1 - p[Y])
    return EDGE if border < 0.5 / math.sqrt(largest) else OK


def room_to_work(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arrays for `fit_range` to work in, of one thread; made there, they take time to compile."""
    n, most = N_PARAMETERS, int(2 * radius + 3) ** 2
    shapes = (n + 2, most), (4, most), (3, n + 1, n + 1), (4, n)
    rows, pixels, squares, vectors = map(np.zeros, shapes)
    return rows, pixels, squares, vectors


@_fast_door
def fit_range(
    image: np.ndarray,
    first: int,
    last: int,
    starts: np.ndarray,
    own: np.ndarray,
    add_own: np.ndarray,
    radius: float,
    share: float,
    width: float,
    slope_weight: np.ndarray,
    max_shift: float,
    max_iterations: int,
    with_variances: bool,
    parameters: np.ndarray,
    diagnostics: np.ndarray,
    status: np.ndarray,
    rows: np.ndarray,
    pixels: np.ndarray,
    squares: np.ndarray,
    vectors: np.ndarray,
) -> None:
    """Fit the columns first ... last - 1, each on its own; a failed one leaves its rows alone.

    With ``add_own[i]``, `image` is what is left after the models of all columns were subtracted,
    and the column's own one, ``own[i]``, is put back for its fit. The last four arrays are those of
    `room_to_work`.

    A fit descends (Levenberg-Marquardt, with the pixels held), moves the disk to where the column
    is, and descends again. The functions called from here take most of the time to compile, once
    more for each function between.
    """
    normal, new_normal, factor = squares[0], squares[1], squares[2]
    step, trial, p, d = vectors[0], vectors[1], vectors[2], vectors[3]
    for i in range(first, last):
        result = _place(starts[i], own[i], add_own[i], image, p)
        weight, moves, count, cost = slope_weight[i], 0, 0, 0.0
        while result == OK:
            result, count = _disk(
                image, own[i], add_own[i], moves == 0, radius, share, width, p, pixels
            )
            if result != OK:
                break
            cx, cy = p[X], p[Y]
            copy(p, trial)
            result, cost, damping, steps, possible = NOT_CONVERGED, math.inf, 1e-3, 0, True
            while True:
                new_cost = math.inf
                if possible:
                    new_cost = _linearise(
                        trial, share, width, weight, pixels, count, rows, new_normal
                    )
                at_last = damping > 1e8
                if new_cost <= cost or steps == 0 or at_last:
                    moved, gain = max(abs(step[X]), abs(step[Y])), cost - new_cost
                    cost = new_cost
                    copy(trial, p)
                    for k in range(N_PARAMETERS + 1):
                        copy(new_normal[k], normal[k])
                    if at_last or (steps > 0 and moved < 1e-3 and gain <= 1e-5 * cost):
                        result = OK
                        break
                    damping = max(0.1 * damping, 1e-9) if steps > 0 else damping
                else:
                    damping *= 10.0
                    if damping > 1e8 and possible:
                        copy(p, trial)  # no step helps: the minimum to rounding
                        continue
                if damping > 1e8 or steps == max_iterations:  # the wall of what is possible
                    result = DEGENERATE if damping > 1e8 else NOT_CONVERGED
                    break
                steps += 1
                possible = _step(p, cx, cy, radius, damping, normal, factor, step, trial)
            if not math.sqrt((p[X] - starts[i, 0]) ** 2 + (p[Y] - starts[i, 1]) ** 2) <= max_shift:
                result = LEFT_REGION
            off = math.sqrt((p[X] - cx) ** 2 + (p[Y] - cy) ** 2)
            if result != OK or off < _OFF_CENTRE or moves == _MAXIMUM_MOVES:
                break
            moves += 1
        for k in range(N_DIAGNOSTICS):
            d[k] = math.nan
        if result == OK:
            result = _shape(p, radius, image)
            if (result == OK or result == EDGE) and not _errors(
                weight, cost, pixels, count, rows, normal, new_normal, factor, step,
                with_variances, d,
            ):  # fmt: skip
                result = DEGENERATE
        status[i] = result
        if math.isfinite(d[RESIDUAL]):
            copy(p, parameters[i])
            copy(d, diagnostics[i])
