# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Share and width of the tail that all columns of an image have in common.

An electron probe has a tail, and thick columns widen it. On the place of a displaced column of a
light sublattice, the tails of the heavy columns around it have a slope: unless they are subtracted,
the displacement comes out too large.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from ..neighbours import nearest_neighbour_distance
from . import kernel, model_sum
from .fitting import NO_TAIL, Fit, Options, add_models, in_threads

_logger = logging.getLogger(__name__)

_FIRST_GUESS = (0.08, 2.2)
_WIDTH_PRIOR = (2.4, 0.6)  # mean, standard deviation; counts only if there is hardly any tail
_SHARES, _WIDTHS = (0.0, 0.5), (1.4, 4.0)  # what is believed
# Lengths in nearest-neighbour distances, 0.7 of the edge of a cell with a column in its centre.
_WINDOW = 40.0  # side of the part of the image that is used: some 800 cells
_MARGIN = 2.5  # of that part, where tails of columns outside matter
_DISK = 0.75  # radius around each column: disks of this size leave no pixel out
_REACH = 2.6  # of the tails that matter in a disk
_MAXIMUM_COLUMNS, _MINIMUM_COLUMNS = 500, 20  # columns looked at
_COARSEST = 12.0  # pixels in a nearest-neighbour distance: finer images are binned, tails are wide
_MISFIT = 1.5  # columns whose residual is so much larger than usual stand on a step or a defect
_ROUNDS = 8


def estimate_tail(
    remainder: np.ndarray, fits: Sequence[Fit], options: Options
) -> tuple[float, float]:
    """
    Share and width of the tail, from some hundred columns in the middle of the crystal.

    Gauss-Newton on all pixels around the columns. The parameters of each column, and a plane under
    it, are free at the same time, so that the noise they have fitted is not taken for a tail.
    After each step the columns are fitted anew.

    Parameters
    ----------
    remainder : array (rows, columns)
        Image minus the models, without tails, of all fitted columns. Not changed.
    fits : sequence of Fit
        The fitted columns. Not changed.
    options : Options

    Returns
    -------
    share : float
        Share of the peak height; 0 if there are too few columns for an estimate.
    width : float
        In units of the column's own width.
    """
    fitted = [fit.parameters[np.isfinite(fit.parameters[:, kernel.HEIGHT])] for fit in fits]
    positions = np.concatenate(fitted)[:, [kernel.X, kernel.Y]]
    if len(positions) < _MINIMUM_COLUMNS:
        _logger.info("%d columns are too few to tell whether they have a tail.", len(positions))
        return NO_TAIL
    spacing = nearest_neighbour_distance(positions)
    columns, rows = _window(positions, _WINDOW * spacing, remainder.shape)
    binning = max(int(spacing / _COARSEST), 1)
    spacing /= binning
    remainder = _binned(remainder[slice(*rows), slice(*columns)], binning)
    parts = [_part(parameters, columns, rows, binning) for parameters in fitted]
    # The same pixels for the columns as for the tail: both lessen the same sum of squares.
    options = replace(options, radius=_DISK * spacing, max_shift=_DISK * spacing)
    tail, new = NO_TAIL, _FIRST_GUESS
    for _ in range(_ROUNDS):
        for part in parts:
            add_models(remainder, part.parameters, 1.0, tail, options.num_workers)
            add_models(remainder, part.parameters, -1.0, new, options.num_workers)
            part.run(
                remainder, options, new, kernel.NO_SLOPE, subtracted=True, with_variances=False
            )  # fmt: skip
        tail = new
        step = _step(remainder, parts, spacing, tail, options)
        if step is None:
            _logger.info("Too few regular columns to tell whether they have a tail.")
            return NO_TAIL
        new, errors = step
        if (np.abs(np.subtract(new, tail)) < 0.25 * errors).all():
            break
    _logger.info(
        "Tail of the columns: %.3f of the height (standard error %.3f), %.2f times as wide (%.2f).",
        new[0], errors[0], new[1], errors[1],
    )  # fmt: skip
    return new


def _window(positions: np.ndarray, side: float, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Columns and rows (first, end) of the part of the image around its middle column."""
    middle = np.median(positions, axis=0)
    # In a ring-shaped crystal the median is nowhere.
    middle = positions[np.argmin(((positions - middle) ** 2).sum(axis=1))]
    ranges = []
    for centre, size in zip(middle, shape[::-1], strict=True):
        first = int(np.clip(centre - side / 2, 0, max(size - side, 0)))
        ranges.append((first, int(min(first + side, size))))
    return ranges


def _binned(image: np.ndarray, binning: int) -> np.ndarray:
    """Means of blocks of pixels; the caller's own array."""
    rows, columns = (n // binning for n in image.shape)
    blocks = image[: rows * binning, : columns * binning]
    return blocks.reshape(rows, binning, columns, binning).mean(axis=(1, 3))


def _part(
    parameters: np.ndarray, columns: tuple[int, int], rows: tuple[int, int], binning: int
) -> Fit:
    """Fitted columns inside a part of the image, in its coordinates."""
    corner = np.array([columns[0], rows[0]])
    size = (np.array([columns[1], rows[1]]) - corner) // binning
    positions = (parameters[:, [kernel.X, kernel.Y]] - corner - (binning - 1) / 2) / binning
    inside = ((positions >= 0) & (positions <= size - 1)).all(axis=1)
    part = Fit.from_starts(positions[inside])
    part.parameters = parameters[inside]
    part.parameters[:, [kernel.X, kernel.Y]] = part.starts
    part.parameters[:, kernel.CURVE_X : kernel.CURVE_Y + 1] *= binning**2
    return part


def _step(
    remainder: np.ndarray,
    parts: list[Fit],
    spacing: float,
    tail: tuple[float, float],
    options: Options,
) -> tuple[tuple[float, float], np.ndarray] | None:
    """One step of Gauss-Newton: the new tail and its standard errors; None if little is known."""
    parameters = np.concatenate([part.parameters for part in parts])
    positions = parameters[:, [kernel.X, kernel.Y]]
    border = np.minimum(positions, np.array(remainder.shape[::-1]) - 1 - positions).min(axis=1)
    regular = np.concatenate([_regular(part) for part in parts])
    chosen = np.flatnonzero(regular & (border > _MARGIN * spacing))
    if len(chosen) < _MINIMUM_COLUMNS:
        return None
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(_MAXIMUM_COLUMNS, len(chosen))).astype(int)]
    near = cKDTree(positions).query_ball_point(positions[chosen], _REACH * spacing)
    begins = np.concatenate([[0], np.cumsum([len(each) for each in near])])
    neighbours = np.concatenate(near).astype(np.int64)
    sums = np.zeros((len(chosen), 7))

    def work(first: int, last: int) -> None:
        model_sum.tail_equations(
            remainder,
            first,
            last,
            chosen,
            parameters,
            begins,
            neighbours,
            options.radius,
            *tail,
            sums,
        )

    in_threads(work, len(chosen), 32, options.num_workers)
    total = sums.sum(axis=0)
    variance = total[5] / total[6]
    mean, deviation = _WIDTH_PRIOR
    prior = variance / deviation**2
    matrix = np.array([[total[0], total[1]], [total[1], total[2] + prior]])
    covariance = np.linalg.inv(matrix)
    change = covariance @ (total[3], total[4] + prior * (mean - tail[1]))
    new = (
        float(np.clip(tail[0] + change[0], *_SHARES)),
        float(np.clip(tail[1] + change[1], *_WIDTHS)),
    )
    return new, np.sqrt(variance * np.diag(covariance))


def _regular(part: Fit) -> np.ndarray:
    """Columns that are fitted about as well as others of their kind."""
    if not part.ok.any():
        return part.ok
    residual = part.diagnostics[:, kernel.RESIDUAL]
    return part.ok & (residual < _MISFIT * np.median(residual[part.ok]))
