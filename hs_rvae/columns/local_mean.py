# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heights of columns against the local mean of their own sublattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.spatial import cKDTree

from ..neighbours import LARGEST_GAP, largest_gap
from .heights import Heights

_NEIGHBOURS = 24  # of the own sublattice: two shells and more each way
_FEWEST = 6  # neighbours that make a mean
_ALL_KINDS = 8  # nearest columns of any sublattice, whose heights may vary together
_ROUNDS = 4  # of the robust fit
_CUT = 4.5  # robust standard deviations beyond which a neighbour does not count
_IN_A_BIN, _BINS = 80, 3  # columns of similar noise whose scatter is measured, and such bins
_INSIDE = 2.5  # standard deviations within which values are no outliers
_OF_INSIDE = 0.9546  # standard deviation of a normal scatter that is cut off there
_TO_SIGMA = 1.4826  # standard deviations of a normal scatter in its median absolute deviation


@dataclass(frozen=True)
class Comparison:
    """Heights against the local mean.

    Attributes
    ----------
    ratio : numpy.ndarray of shape (n,)
        Height over the local mean; NaN where there are too few neighbours, and at a rim.
    ratio_std : numpy.ndarray of shape (n,)
        Standard error of the ratio.
    z : numpy.ndarray of shape (n,)
        Difference from the local mean in its standard errors.
    """

    ratio: np.ndarray
    ratio_std: np.ndarray
    z: np.ndarray


def compare_with_neighbours(
    positions: np.ndarray, heights: Heights, sublattice: np.ndarray, grain: np.ndarray
) -> Comparison:
    """
    Compare each height with the neighbours of its own sublattice and grain.

    A plane is fitted to the heights of the nearest 24 columns, robustly, so that a ramp of the
    thickness and other odd columns do not matter. If columns of all sublattices vary together, as
    under contamination, what they share is taken out as well. The scatter that remains in a
    sublattice gives the standard error: a part that is the same everywhere, such as roughness, and
    a part in proportion to the noise of the image at the place.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    heights : Heights
    sublattice : numpy.ndarray of str, shape (n,)
    grain : numpy.ndarray of int, shape (n,)
        Columns of no grain, -1, are not compared.

    Returns
    -------
    Comparison
    """
    n = len(positions)
    ratio, noise = np.full(n, np.nan), np.full(n, np.nan)
    for name in np.unique(sublattice):
        for number in np.unique(grain[grain >= 0]):
            rows = np.flatnonzero(
                (sublattice == name) & (grain == number) & np.isfinite(heights.height)
            )
            if len(rows) > _FEWEST:
                ratio[rows], noise[rows] = _against_plane(positions[rows], heights, rows)
    ratio = _without_shared(positions, ratio, grain)
    ratio_std = np.full(n, np.nan)
    for name in np.unique(sublattice):
        own = (sublattice == name) & np.isfinite(ratio) & (noise > 0)
        if own.any():
            ratio_std[own] = _scatter(ratio[own] - 1, noise[own])
    with np.errstate(invalid="ignore", divide="ignore"):
        return Comparison(ratio, ratio_std, (ratio - 1) / ratio_std)


def _against_plane(
    positions: np.ndarray, heights: Heights, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ratio to the local mean of one sublattice of one grain, and its noise from the image."""
    height, weight, variance = (each[rows] for each in vars(heights).values())
    # What lies beyond a rim is not in the fit: heights there are neither judged nor a reference.
    around = cKDTree(positions).query(positions, k=min(_ALL_KINDS, len(rows) - 1) + 1)[1][:, 1:]
    inside = largest_gap(positions[around] - positions[:, None]) < LARGEST_GAP
    if inside.sum() <= _FEWEST:
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    k = min(_NEIGHBOURS, int(inside.sum()) - 1)
    distance, nearest = cKDTree(positions[inside]).query(positions, k=k + 1)
    # The nearest one of a column inside is itself.
    own = distance[:, :1] == 0
    nearest = np.flatnonzero(inside)[np.where(own, nearest[:, 1:], nearest[:, :-1])]
    reach = distance[:, -1:].clip(1e-9)
    steps = (positions[nearest] - positions[:, None]) / reach[..., None]
    design = np.concatenate([np.ones((*steps.shape[:2], 1)), steps], axis=2)
    values = height[nearest]
    mean = np.median(values, axis=1)
    left = values - mean[:, None]
    for _ in range(_ROUNDS):
        scale = _TO_SIGMA * np.median(np.abs(left), axis=1, keepdims=True) + 1e-12
        weights = np.clip(1 - (left / (_CUT * scale)) ** 2, 0, None) ** 2
        normal = np.einsum("nk,nki,nkj->nij", weights, design, design)
        # Slopes are held near zero: with few neighbours, or all on one line, a mean remains.
        normal += np.diag([1e-9, 0.1, 0.1])
        right = np.einsum("nk,nki,nk->ni", weights, design, values)
        fit = np.linalg.solve(normal, right[..., None])[..., 0]
        left = values - np.einsum("nki,ni->nk", design, fit)
    mean = fit[:, 0]
    lever = np.linalg.inv(normal)[:, 0, 0]
    local = np.median(variance[nearest], axis=1)
    positive = inside & (mean > 0.05 * np.median(height))
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = np.sqrt(local / weight * (1 + lever)) / mean
        return np.where(positive, height / mean, np.nan), np.where(positive, noise, np.nan)


def _scatter(change: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Standard deviation of each relative change: one of all, and a multiple of its noise."""
    order = np.argsort(noise)
    bins = np.array_split(order, int(np.clip(len(order) // _IN_A_BIN, 1, _BINS)))
    square = np.array([_sigma(change[each]) ** 2 for each in bins])
    mean = np.array([np.median(noise[each] ** 2) for each in bins])
    if len(bins) == 1:
        return np.asarray(np.sqrt(square[0] / mean[0]) * noise)
    # The variance of a variance is its square.
    weight = 1 / np.maximum(square, 1e-300)
    constant, share = nnls(np.column_stack([weight, mean * weight]), square * weight)[0]
    return np.asarray(np.sqrt(constant + share * noise**2))


def _sigma(values: np.ndarray) -> float:
    """Standard deviation of the values within 2.5 of them, corrected for the cut."""
    middle = np.median(values)
    sigma = _TO_SIGMA * float(np.median(np.abs(values - middle)))
    for _ in range(_ROUNDS):
        inside = values[np.abs(values - middle) <= _INSIDE * sigma]
        middle, sigma = inside.mean(), float(inside.std()) / _OF_INSIDE
    return sigma


def _without_shared(positions: np.ndarray, ratio: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Ratios divided by the change that the nearest columns of all kinds share, if any."""
    rows = np.flatnonzero(np.isfinite(ratio))
    if len(rows) < 5 * _ALL_KINDS:
        return ratio
    nearest = cKDTree(positions[rows]).query(positions[rows], k=_ALL_KINDS + 1)[1][:, 1:]
    change = ratio[rows] - 1
    around = np.where(grain[rows][nearest] == grain[rows, None], change[nearest], np.nan)
    shared = np.nan_to_num(np.nanmedian(np.column_stack([around, np.zeros(len(rows))]), axis=1))
    limit = 3 * _TO_SIGMA * np.median(np.abs(change))
    clipped = np.clip(change, -limit, limit)
    square = float((np.clip(shared, -limit, limit) ** 2).sum())
    slope = float(np.clip((clipped * shared).sum() / square, 0, 1)) if square > 0 else 0.0
    result = ratio.copy()
    if slope > 0.2:  # chance gives less
        result[rows] = ratio[rows] / np.maximum(1 + slope * shared, 0.1)
    return result
