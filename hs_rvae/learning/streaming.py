# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Factors and scores of rows in dask, which are read block by block and never held as a whole."""

import logging
import threading
from dataclasses import dataclass

import numpy as np

from hs_rvae.learning.rows import for_each_block, project, working_type

_logger = logging.getLogger(__name__)

# Factors are found on a random subset of this many sites where an algorithm must see them at once.
MAX_FIT_SITES = 20_000
# The matrix of moments of more pixels takes more memory and time than repeated reading.
_MOST_PIXELS = 64**2


@dataclass
class Components:
    """Factors and scores of a linear decomposition.

    Attributes
    ----------
    factors : numpy.ndarray, shape (n_pixels, k)
    loadings : numpy.ndarray, shape (n_sites, k)
    explained_variance, explained_variance_ratio : numpy.ndarray of shape (k,) or None
        The ratio is taken to the variance of all sites and pixels (without centring: to their
        mean square).
    mean : numpy.ndarray of shape (n_pixels,) or None
    estimator : object or None
        The fitted estimator, where there is one.
    """

    factors: np.ndarray
    loadings: np.ndarray
    explained_variance: np.ndarray | None = None
    explained_variance_ratio: np.ndarray | None = None
    mean: np.ndarray | None = None
    estimator: object = None

    def as_svd(self, n_sites):
        """Write the mean as a row and divide variances by n, as HyperSpy does for SVD."""
        if self.mean is not None:
            self.explained_variance = self.explained_variance * max(n_sites - 1, 1) / n_sites
            self.mean = self.mean[None]


def stream_svd(flat, n_components, centred=True, random_state=None, sign_of="factors"):
    """PCA or SVD of rows that are read block by block, twice.

    Exact: from the matrix of moments of the pixels (of more than 4096 pixels: dask's compressed
    SVD with four power iterations, which reads the rows ten times).

    Parameters
    ----------
    flat : dask.array.Array, shape (n, p)
        From :func:`as_blocks`; finite.
    n_components : int
    centred : bool
        Subtract the mean row first: PCA. Else SVD.
    random_state : int, numpy.random.Generator or None
        Of the compressed SVD.
    sign_of : {"factors", "loadings"}
        Of each component the element of these that is largest in modulus is positive:
        scikit-learn's rule for PCA, HyperSpy's for SVD.

    Returns
    -------
    Components
        Variances about a mean are divided by n - 1, others by n.
    """
    (n, p), dtype = flat.shape, working_type(flat.dtype)
    sums, square = _moments(flat, dtype, p <= _MOST_PIXELS)
    mean = sums / n if centred else np.zeros(p)
    total = (np.trace(square) if square.ndim == 2 else square.sum()) - n * (mean @ mean)
    if square.ndim == 2:
        from scipy.linalg import eigh

        square -= n * np.outer(mean, mean)
        power, factors = eigh(square, subset_by_index=(p - n_components, p - 1), overwrite_a=True)
        power, factors = np.maximum(power[::-1], 0), factors[:, ::-1]
    else:
        power, factors = _compressed(flat, mean, n_components, random_state)
    factors = factors * (_signs(factors) if sign_of == "factors" else 1)
    shift, matrix = mean.astype(dtype), np.ascontiguousarray(factors, dtype)
    loadings = project(
        lambda block: (block.astype(dtype, copy=False) - shift) @ matrix, flat, n_components, dtype
    )
    if sign_of == "loadings":
        turn = _signs(loadings)
        factors, loadings = factors * turn, loadings * turn
    return Components(
        factors.astype(dtype),
        loadings,
        power / (max(n - 1, 1) if centred else n),
        power / total,
        shift if centred else None,
    )


def _signs(columns):
    """Sign of the element of each column that is largest in modulus."""
    largest = np.abs(columns).argmax(0)
    return np.where(columns[largest, np.arange(columns.shape[1])] < 0, -1, 1).astype(columns.dtype)


def _moments(flat, dtype, mixed):
    """Sums (p,) and sums of squares (p,), or of all products (p, p), of the rows."""
    p = flat.shape[1]
    sums, square = np.zeros(p), np.zeros((p, p) if mixed else p)
    lock = threading.Lock()

    def add(block, start):
        block = block.astype(dtype, copy=False)
        # About a common level the products keep their digits.
        level = block.mean(0)
        block = block - level
        part = block.T @ block if mixed else (block * block).sum(0)
        rest, level = block.sum(0, dtype=np.float64), level.astype(np.float64)
        with lock:
            sums[:] += rest + len(block) * level
            square[:] += part
            if mixed:
                cross = np.outer(level, rest + len(block) / 2 * level)
                square[:] += cross
                square[:] += cross.T
            else:
                square[:] += level * (2 * rest + len(block) * level)

    for_each_block(add, flat)
    return sums, square


def _compressed(flat, mean, n_components, random_state):
    """Squared singular values and right vectors by dask's randomised algorithm."""
    import dask.array as da

    rng = np.random.default_rng(random_state)
    seed = da.random.RandomState(int(rng.integers(2**31)))
    _, s, vt = da.linalg.svd_compressed(
        flat - mean.astype(flat.dtype if flat.dtype.kind == "f" else np.float32),
        n_components,
        n_power_iter=4,
        seed=seed,
        compute=False,
    )
    s, vt = da.compute(s, vt, scheduler="threads")
    return s.astype(np.float64) ** 2, vt.T.astype(np.float64)


def stream_estimator(flat, estimator, *, max_fit_sites=MAX_FIT_SITES, random_state=None):
    """Fit an estimator to rows in dask, and transform them block by block.

    With ``partial_fit`` it sees all blocks once. Without, it is fitted to a random subset of the
    rows; up to `max_fit_sites` rows the result is that of ``fit_transform`` of all.

    Parameters
    ----------
    flat : dask.array.Array, shape (n, p)
        From :func:`as_blocks`; finite.
    estimator : object
        Of scikit-learn, with ``transform`` and ``components_``.
    max_fit_sites : int
    random_state : int, numpy.random.Generator or None
        Seed of the subset.

    Returns
    -------
    Components
    """
    n, dtype = len(flat), working_type(flat.dtype)
    loadings = None
    if hasattr(estimator, "partial_fit"):
        flat = flat.rechunk({0: -(-n // len(flat.chunks[0]))}, balance=True)
        for block in flat.blocks:
            estimator.partial_fit(block.compute(scheduler="threads").astype(dtype, copy=False))
    else:
        chosen = subset(n, max_fit_sites, random_state)
        sample = (flat if len(chosen) == n else flat[chosen]).compute(scheduler="threads")
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

        def transform(block):
            with lock:  # estimators need not be safe in threads
                return estimator.transform(block.astype(dtype, copy=False)).astype(dtype)

        loadings = project(transform, flat, factors.shape[1], dtype)
    return Components(
        factors,
        loadings,
        getattr(estimator, "explained_variance_", None),
        getattr(estimator, "explained_variance_ratio_", None),
        getattr(estimator, "mean_", None),
        estimator,
    )


def subset(n, most, random_state):
    """Rising indices of a random subset of at most `most` of n."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(random_state).choice(n, most, replace=False))


def rebuilding_factors(estimator):
    """Factors (p, k) with which scores @ factors.T + mean is what an estimator says of the data.

    ``components_`` of most estimators; where it is something else (FastICA's unmixing, whitened
    PCA), the matrix that undoes ``transform``.

    Parameters
    ----------
    estimator : object
        A fitted estimator, pipeline or search of scikit-learn.

    Raises
    ------
    AttributeError
        If it has no ``components_``.
    """
    last = estimator
    if hasattr(last, "steps"):
        last = last[-1]
    elif hasattr(last, "best_estimator_"):
        last = last.best_estimator_
    if not hasattr(last, "components_"):
        raise AttributeError(
            f"Fitted estimator {last} has no attribute 'components_', which a decomposition needs; "
            "stack.embedding() takes estimators without."
        )
    if getattr(last, "mixing_", None) is not None:
        return np.asarray(last.mixing_)
    factors = np.asarray(last.components_).T
    if getattr(last, "whiten", False) is True and hasattr(last, "explained_variance_"):
        factors = factors * np.sqrt(last.explained_variance_)
    return factors
