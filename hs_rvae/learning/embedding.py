# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Embeddings in a few dimensions that keep neighbours or distances: t-SNE, MDS, Isomap.

Unlike decompositions they cannot be undone: no image can be rebuilt from them. Those that compare
all pairs of sites are fitted to a random subset, and the other sites are placed afterwards.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hs_rvae.checks import whole_number
from hs_rvae.learning import algorithms as _algorithms
from hs_rvae.options import as_seed, options_of, own_copy, random_subset, seeded
from hs_rvae.threads import count_threads, one_thread

_logger = logging.getLogger(__name__)

ALGORITHMS = ("tsne", "mds", "isomap")
#: Sites that are fitted by default; sites beyond are placed among them.
MAX_SITES = {"tsne": 50_000, "sklearn_tsne": 5_000, "mds": 1_500, "isomap": 4_000}
_METHODS = {
    "tsne": "t-SNE (openTSNE)",
    "sklearn_tsne": "t-SNE (scikit-learn)",
    "mds": "MDS",
    "isomap": "Isomap",
}
_BYTES_PER_PAIR = {"mds": 40, "isomap": 24}
# Rows that are placed at once: they need this times the number of fitted sites.
_BLOCK = 2000
# Threads of fewer sites would mostly wait for each other.
_FEW_SITES = 2000


@dataclass
class Embedding:
    """
    Coordinates of sites, and their origin.

    Attributes
    ----------
    coordinates : numpy.ndarray of shape (n, k)
        NaN for sites that could not be placed.
    fitted : numpy.ndarray of int
        Rows of the sites that were fitted.
    method : str
        Algorithm in words, with the number of fitted sites.
    estimator : object
        The fitted estimator.
    """

    coordinates: np.ndarray
    fitted: np.ndarray
    method: str
    estimator: Any


def has_opentsne() -> bool:
    """Return True if openTSNE, an extra, is installed."""
    from importlib.util import find_spec

    return find_spec("openTSNE") is not None


@one_thread(openmp=False)
def embed(
    values: np.ndarray,
    algorithm: Any,
    output_dimension: int = 2,
    *,
    max_sites: int | None = None,
    random_state: int | np.random.Generator | None = None,
    n_jobs: int | None = None,
    **kwargs: Any,
) -> Embedding:
    """
    Coordinates of sites in few dimensions.

    Parameters
    ----------
    values : numpy.ndarray of shape (n, d)
        Finite features.
    algorithm : {"tsne", "mds", "isomap"} or object
        An object is an estimator of scikit-learn with ``fit_transform``; a copy of it is fitted.
    output_dimension : int
        Number of coordinates; an estimator has its own.
    max_sites : int, optional
        Sites that are fitted. If None, 50,000 for t-SNE (openTSNE), 1,500 for MDS, 4,000 for
        Isomap, all for an estimator.
    random_state : int, numpy.random.Generator or None
        Seed of subset and algorithm. NumPy's global generator is neither used nor changed.
    n_jobs : int, optional
        Number of threads. If None, all there are; t-SNE of fewer than 2,000 sites takes one.
    **kwargs
        Options of openTSNE's or scikit-learn's estimator, if it is named.

    Returns
    -------
    Embedding

    Raises
    ------
    ValueError
        If the algorithm is unknown or a number does not fit.
    TypeError
        If the algorithm does not have such an option, or is a class.
    ImportError
        If there are too many sites for scikit-learn's t-SNE and openTSNE is not installed.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(200, 5))
    >>> embed(values, "isomap", max_sites=100, random_state=0).coordinates.shape
    (200, 2)
    """
    check_options(algorithm, kwargs, output_dimension, max_sites)
    n = len(values)
    if n < 4:
        raise ValueError(f"An embedding needs at least 4 sites, not {n}: mask or leave out fewer.")
    if (values == values[0]).all():
        raise ValueError("All sites have the same values: there is nothing to embed.")
    kind = algorithm if isinstance(algorithm, str) else ""
    if kind == "tsne" and not has_opentsne():
        kind = "sklearn_tsne"
        if max_sites is None and n > MAX_SITES[kind]:
            raise ImportError(
                f't-SNE of {n} sites needs openTSNE: pip install "hs_rvae[tsne]". Without it, '
                "scikit-learn's t-SNE can take a random subset, for example with max_sites="
                f"{MAX_SITES[kind]}; the other sites get no coordinates (NaN)."
            )
    seed = as_seed(random_state)
    rng = np.random.default_rng(seed)
    rng.integers(2**31)  # the subset is drawn second
    fitted = random_subset(n, MAX_SITES.get(kind, n) if max_sites is None else max_sites, rng)
    if kind in _BYTES_PER_PAIR:
        _logger.info(
            "%s compares all pairs of %d sites (of %d): about %.1f GB; time and memory grow with "
            "the square (max_sites).",
            kind,
            len(fitted),
            n,
            1e-9 * _BYTES_PER_PAIR[kind] * len(fitted) ** 2,
        )
    if kind:
        estimator = _estimator(kind, len(fitted), output_dimension, seed, n_jobs, kwargs)
    else:
        estimator = own_copy(algorithm, seed=None if random_state is None else seed)
    others = np.setdiff1d(np.arange(n), fitted)
    with seeded(seed):
        estimator, placed = _fit(kind, estimator, values[fitted])
        rest = _place(kind, estimator, values[fitted], placed, values[others])
    coordinates = np.full((n, placed.shape[1]), np.nan)
    coordinates[fitted] = placed
    method = _METHODS.get(kind, type(estimator).__name__)
    if len(others):
        if rest is not None:
            coordinates[others] = rest
        _log_placed(method, n, len(fitted), rest is not None, max_sites is not None)
        method += f"; {len(fitted)} of {n} sites fitted"
    return Embedding(coordinates, fitted, method, estimator)


def check_options(
    algorithm: Any,
    options: Mapping[str, Any],
    output_dimension: Any = 2,
    max_sites: Any = None,
    verb_options: Iterable[str] = (),
) -> None:
    """
    Refuse an unknown algorithm, options that it does not have, and numbers that do not fit.

    Parameters
    ----------
    algorithm : str or object
    options : Mapping of str to object
        Options for the estimator of a name.
    output_dimension, max_sites : int
    verb_options : iterable of str
        Options of the method of the stack, one of which may have been meant.

    Raises
    ------
    ValueError
        If the algorithm is unknown or a number does not fit.
    TypeError
        If the algorithm does not have such an option, or is a class.
    """
    _algorithms.check_algorithm(algorithm, ALGORITHMS, "fit_transform")
    known: set[str] = set()
    if isinstance(algorithm, str):
        kind = "sklearn_tsne" if algorithm == "tsne" and not has_opentsne() else algorithm
        known = options_of(_class_of(kind), "n_components", "random_state", "n_jobs")
    verb_options = (*verb_options, "output_dimension", "random_state")
    _algorithms.check_options(algorithm, options, known, verb_options)
    whole_number(output_dimension, "output_dimension")
    if max_sites is not None:
        whole_number(max_sites, "max_sites")


def _class_of(kind: str) -> Any:
    if kind == "tsne":
        from openTSNE import TSNE

        return TSNE
    from sklearn import manifold

    return {"sklearn_tsne": manifold.TSNE, "mds": manifold.MDS, "isomap": manifold.Isomap}[kind]


def _estimator(
    kind: str, n: int, k: int, seed: int, n_jobs: int | None, options: dict[str, Any]
) -> Any:
    """Estimator of a name for n sites, with defaults that suit so few or many of them."""
    estimator = _class_of(kind)
    accepted = options_of(estimator)
    defaults: dict[str, Any] = {"n_components": k, "random_state": seed, "n_jobs": n_jobs}
    if kind == "tsne":
        defaults["n_jobs"] = n_jobs or (1 if n < _FEW_SITES else count_threads())
    if kind == "sklearn_tsne":
        defaults["init"] = "pca"
    if kind in ("tsne", "sklearn_tsne"):
        defaults["perplexity"] = min(30.0, (n - 1) / 3)
    if kind == "isomap":
        defaults["n_neighbors"] = min(12, n - 1)
    if kind == "mds":
        # scikit-learn has "init" of MDS since 1.8.
        defaults |= {"n_init": 1, "init": "classical_mds"}
    return estimator(**{name: defaults[name] for name in defaults if name in accepted} | options)


def _fit(kind: str, estimator: Any, values: np.ndarray) -> tuple[Any, np.ndarray]:
    """Fitted estimator, and coordinates of the sites that it was fitted to."""
    if kind == "tsne":
        estimator = estimator.fit(values)
        return estimator, np.asarray(estimator)
    if kind != "isomap":
        return estimator, np.asarray(estimator.fit_transform(values))
    from scipy.sparse import SparseEfficiencyWarning
    from scipy.sparse.csgraph import connected_components

    with warnings.catch_warnings():
        # One line replaces them; SciPy has a warning for every bridge between two groups.
        warnings.filterwarnings("ignore", "The number of connected components", UserWarning)
        warnings.filterwarnings("ignore", category=SparseEfficiencyWarning)
        placed = estimator.fit_transform(values)
    groups = connected_components(estimator.nbrs_.kneighbors_graph(), directed=False)[0]
    if groups > 1:
        _logger.warning(
            "Isomap: the sites fall into %d groups that their %d nearest neighbours do not "
            "connect. Distances between groups mean little; n_neighbors=%d may connect them.",
            groups,
            estimator.n_neighbors,
            3 * estimator.n_neighbors,
        )
    return estimator, placed


def _place(
    kind: str, estimator: Any, values: np.ndarray, placed: np.ndarray, others: np.ndarray
) -> np.ndarray | None:
    """Coordinates of sites that were not fitted; None if the estimator cannot place them."""
    if not len(others):
        return None
    if kind == "mds":
        return place_among(values, placed, others)
    if not hasattr(estimator, "transform"):
        return None
    size = len(others) if kind == "tsne" else _BLOCK
    starts = range(0, len(others), size)
    return np.concatenate([np.asarray(estimator.transform(others[i : i + size])) for i in starts])


def _log_placed(method: str, n: int, n_fitted: int, placed: bool, asked: bool) -> None:
    """Log the number of fitted sites; a subset that was asked for is not a warning."""
    others = ", the others placed among them (max_sites)."
    if not placed:
        others = "; the others get no coordinates (NaN), because it cannot place new sites."
    level = logging.INFO if placed and asked else logging.WARNING
    _logger.log(level, "%s: %d of %d sites are fitted%s", method, n_fitted, n, others)


def place_among(
    landmarks: np.ndarray, placed: np.ndarray, others: np.ndarray, n_iterations: int = 100
) -> np.ndarray:
    """
    Coordinates of new sites that keep their distances to landmarks best.

    Each site alone minimises its own part of the stress of metric MDS, by majorisation (the Guttman
    transform with the landmarks held), from the mean of its three nearest landmarks.

    Parameters
    ----------
    landmarks : numpy.ndarray of shape (m, d)
    placed : numpy.ndarray of shape (m, k)
        Coordinates of the landmarks.
    others : numpy.ndarray of shape (n, d)
    n_iterations : int

    Returns
    -------
    numpy.ndarray of shape (n, k)

    References
    ----------
    J. de Leeuw, in Recent Developments in Statistics, North Holland (1977), 133: majorisation.

    Examples
    --------
    >>> points = np.random.default_rng(0).normal(size=(50, 2))
    >>> new = place_among(points[:40], points[:40], points[40:])
    >>> bool(np.abs(new - points[40:]).max() < 1e-3)
    True
    """
    from sklearn.metrics import pairwise_distances

    found = []
    for start in range(0, len(others), _BLOCK):
        wanted = pairwise_distances(others[start : start + _BLOCK], landmarks)
        nearest = np.argpartition(wanted, min(3, wanted.shape[1] - 1), axis=1)[:, :3]
        at = placed[nearest].mean(1)
        for _ in range(n_iterations):
            distance = np.maximum(pairwise_distances(at, placed), 1e-12)
            ratio = wanted / distance
            # Mean over landmarks of z_j + ratio_j (at - z_j).
            moved = placed.mean(0) + (at * ratio.sum(1)[:, None] - ratio @ placed) / len(placed)
            step = np.abs(moved - at).max()
            at = moved
            if step < 1e-5 * (np.abs(placed).max() or 1.0):
                break
        found.append(at)
    return np.concatenate(found)
