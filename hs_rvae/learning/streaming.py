# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Factors and scores of rows in dask, read block by block and never held in memory together."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from hs_rvae.learning.decomposition import rebuilding_factors
from hs_rvae.learning.rows import for_each_block, map_blocks, working_type
from hs_rvae.options import random_subset

_logger = logging.getLogger(__name__)

# Size of the random subset for algorithms that need all their sites at once.
MAX_FIT_SITES = 20_000
# The matrix of moments of more pixels takes more memory and time than repeated reading.
_MAXIMUM_PIXELS = 64**2


@dataclass
class Components:
    """
    Factors and scores of a linear decomposition.

    Attributes
    ----------
    factors : numpy.ndarray of shape (n_pixels, k)
    loadings : numpy.ndarray of shape (n_sites, k)
    explained_variance, explained_variance_ratio : numpy.ndarray of shape (k,) or None
        The ratio is taken to the variance of all sites and pixels; without centring, to their
        mean square.
    mean : numpy.ndarray of shape (n_pixels,) or (1, n_pixels), or None
    estimator : object or None
        The fitted estimator, where there is one.
    """

    factors: np.ndarray
    loadings: np.ndarray
    explained_variance: np.ndarray | None = None
    explained_variance_ratio: np.ndarray | None = None
    mean: np.ndarray | None = None
    estimator: Any = None


def stream_svd(
    rows: Any,
    n_components: int,
    centred: bool = True,
    random_state: int | np.random.Generator | None = None,
    as_svd: bool = False,
) -> Components:
    """
    PCA or SVD of rows that are read block by block, twice.

    It is exact, from the matrix of moments of the pixels. More than 4096 pixels take dask's
    compressed SVD with four power iterations, which reads the rows ten times.

    Parameters
    ----------
    rows : dask.array.Array of shape (n, p)
        Finite rows, from :func:`~hs_rvae.learning.rows.as_blocks`.
    n_components : int
    centred : bool
        True subtracts the mean row first: PCA. False is SVD.
    random_state : int, numpy.random.Generator or None
        Seed of the compressed SVD.
    as_svd : bool
        HyperSpy's conventions for SVD instead of scikit-learn's for PCA: in each component, the
        largest loading is positive, not the largest element of the factor. Variances about a mean
        are divided by n, not n - 1; without a mean, always by n. The mean is a row.

    Returns
    -------
    Components
    """
    (n, p), dtype = rows.shape, working_type(rows.dtype)
    solve = _from_moments if p <= _MAXIMUM_PIXELS else _compressed
    mean, power, factors, total = solve(rows, n_components, centred, random_state)
    if not as_svd:
        factors = factors * _signs(factors)
    shift, matrix = mean.astype(dtype), np.ascontiguousarray(factors, dtype)

    def scores(block: np.ndarray) -> np.ndarray:
        return (block.astype(dtype, copy=False) - shift) @ matrix

    loadings = map_blocks(scores, rows, n_components, dtype)
    if as_svd:
        signs = _signs(loadings)
        factors, loadings = factors * signs, loadings * signs
    return Components(
        factors.astype(dtype),
        loadings,
        power / (max(n - 1, 1) if centred and not as_svd else n),
        power / total,
        (shift[None] if as_svd else shift) if centred else None,
    )


def _signs(columns: np.ndarray) -> np.ndarray:
    """Sign of the element of each column that is largest in modulus."""
    largest = np.abs(columns).argmax(0)
    return np.where(columns[largest, np.arange(columns.shape[1])] < 0, -1, 1).astype(columns.dtype)


def _from_moments(
    rows: Any, k: int, centred: bool, random_state: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Mean, squared singular values, right vectors and sum of squares, from products of pixels."""
    from scipy.linalg import eigh

    (n, p), dtype = rows.shape, working_type(rows.dtype)
    sums, products = np.zeros(p), np.zeros((p, p))
    lock = threading.Lock()

    def add(block: np.ndarray, start: int) -> None:
        block = block.astype(dtype, copy=False)
        # About a common level the products keep their digits.
        level = block.mean(0)
        block = block - level
        part = block.T @ block
        rest, level = block.sum(0, dtype=np.float64), level.astype(np.float64)
        cross = np.outer(level, rest + len(block) / 2 * level)
        with lock:
            sums[:] += rest + len(block) * level
            products[:] += part
            products[:] += cross
            products[:] += cross.T

    for_each_block(add, rows)
    mean = sums / n if centred else np.zeros(p)
    total = np.trace(products) - n * (mean @ mean)
    products -= n * np.outer(mean, mean)
    power, factors = eigh(products, subset_by_index=(p - k, p - 1), overwrite_a=True)
    return mean, np.maximum(power[::-1], 0), factors[:, ::-1], total


def _compressed(
    rows: Any, k: int, centred: bool, random_state: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return the same by dask's randomised algorithm."""
    import dask.array as da

    mean = np.zeros(rows.shape[1])
    if centred:
        mean = rows.mean(0, dtype=np.float64).compute(scheduler="threads")
    rows = rows - mean.astype(rows.dtype if rows.dtype.kind == "f" else np.float32)
    rng = np.random.default_rng(random_state)
    seed = da.random.RandomState(int(rng.integers(2**31)))
    _, s, vt = da.linalg.svd_compressed(rows, k, n_power_iter=4, seed=seed, compute=False)
    total = da.square(rows.astype(np.float64)).sum()
    s, vt, total = da.compute(s, vt, total, scheduler="threads")
    return mean, s.astype(np.float64) ** 2, vt.T.astype(np.float64), total


def stream_estimator(
    rows: Any,
    estimator: Any,
    *,
    max_fit_sites: int = MAX_FIT_SITES,
    random_state: int | np.random.Generator | None = None,
) -> Components:
    """
    Fit an estimator to rows in dask, and transform them block by block.

    With ``partial_fit`` it is fitted to all blocks in turn. Without, it is fitted to a random
    subset of the rows; up to `max_fit_sites` rows the result is that of ``fit_transform`` of all.

    Parameters
    ----------
    rows : dask.array.Array of shape (n, p)
        Finite rows, from :func:`~hs_rvae.learning.rows.as_blocks`.
    estimator : object
        Estimator of scikit-learn, with ``transform`` and ``components_``.
    max_fit_sites : int
    random_state : int, numpy.random.Generator or None
        Seed of the subset.

    Returns
    -------
    Components
    """
    n, dtype = len(rows), working_type(rows.dtype)
    loadings = None
    if hasattr(estimator, "partial_fit"):
        rows = rows.rechunk({0: -(-n // len(rows.chunks[0]))}, balance=True)
        for block in rows.blocks:
            estimator.partial_fit(block.compute(scheduler="threads").astype(dtype, copy=False))
    else:
        chosen = random_subset(n, max_fit_sites, random_state)
        sample = (rows if len(chosen) == n else rows[chosen]).compute(scheduler="threads")
        sample = sample.astype(dtype, copy=False)
        if hasattr(estimator, "fit_transform"):
            loadings = estimator.fit_transform(sample)
        else:
            estimator.fit(sample)
        del sample
        if len(chosen) < n:
            loadings = None
            _logger.info(
                "%s: components from a random subset of %d of %d sites; all sites are projected.",
                type(estimator).__name__,
                len(chosen),
                n,
            )
    factors = rebuilding_factors(estimator)
    if loadings is None:
        lock = threading.Lock()

        def transform(block: np.ndarray) -> np.ndarray:
            with lock:  # estimators need not be safe in threads
                return estimator.transform(block.astype(dtype, copy=False)).astype(dtype)

        loadings = map_blocks(transform, rows, factors.shape[1], dtype)
    return Components(
        factors,
        loadings,
        getattr(estimator, "explained_variance_", None),
        getattr(estimator, "explained_variance_ratio_", None),
        getattr(estimator, "mean_", None),
        estimator,
    )
