# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of sites by estimators of scikit-learn, with labels ordered by size."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hs_rvae.checks import whole_number
from hs_rvae.learning import algorithms as _algorithms
from hs_rvae.learning.rows import map_blocks
from hs_rvae.options import as_seed, options_of, own_copy, seeded
from hs_rvae.threads import one_thread

_logger = logging.getLogger(__name__)

MIXTURES = ("gmm", "bayesian_gmm")
#: Algorithms by name, HyperSpy's among them.
ALGORITHMS = (
    *MIXTURES,
    *("kmeans", "minibatchkmeans", "agglomerative", "spectralclustering", "hdbscan"),
)
_DEFAULTS: dict[str, dict[str, Any]] = {
    "gmm": {"n_init": 5, "max_iter": 500},
    "bayesian_gmm": {"n_init": 5, "max_iter": 500},
    "kmeans": {"n_init": 10},
    "minibatchkmeans": {"n_init": 10},
    "hdbscan": {"copy": True},
}
# More sites than this make algorithms that compare all pairs of them slow.
_MANY_SITES = 5000
# Full covariances of more features have more parameters than sites.
_MAXIMUM_FULL = 16
# Times that mini-batch k-means reads the rows of a lazy stack, and rows at once.
_PASSES = 3
_BATCH = 1024


@dataclass
class Clusters:
    """
    Labels of sites, and the estimator that found them.

    Attributes
    ----------
    estimator : object
        The fitted estimator.
    labels : numpy.ndarray of int, shape (n,)
        0 is the largest cluster; -1 where the estimator leaves a site out (HDBSCAN's noise).
    probabilities : numpy.ndarray of shape (n,)
        Probability of the label, where the estimator gives one; otherwise NaN.
    order : numpy.ndarray of int, shape (k,)
        The estimator's own labels in the new order.
    """

    estimator: Any
    labels: np.ndarray
    probabilities: np.ndarray
    order: np.ndarray


@one_thread()
def cluster(
    values: np.ndarray,
    algorithm: Any,
    n_clusters: int | None = None,
    *,
    covariance_type: str = "auto",
    random_state: int | np.random.Generator | None = None,
    **kwargs: Any,
) -> Clusters:
    """
    Fit an estimator to sites, and order its labels by size.

    Parameters
    ----------
    values : numpy.ndarray of shape (n, d)
    algorithm : str or object
        One of :data:`ALGORITHMS`, or an estimator, a copy of which is fitted.
    n_clusters : int, optional
        Number of clusters; the maximum for "bayesian_gmm"; not used by "hdbscan" and estimators.
    covariance_type : {"auto", "full", "tied", "diag", "spherical"}
        Covariance of mixtures. "auto" is "full" up to 16 features, "diag" beyond.
    random_state : int, numpy.random.Generator or None
        If None, an estimator has its own seed.
    **kwargs
        Options of the estimator, if it is named. By default mixtures are started 5 times and
        k-means 10 times, and the best result is kept.

    Returns
    -------
    Clusters

    Raises
    ------
    ValueError
        If the algorithm is unknown, or finds no cluster.
    TypeError
        If it does not have such an option, or is a class.
    AttributeError
        If an estimator gives no labels.

    Examples
    --------
    >>> values = np.array([[0.0], [5.0], [5.1], [4.9]])
    >>> cluster(values, "kmeans", 2, random_state=0).labels
    array([1, 0, 0, 0])
    """
    values = np.asarray(values)
    estimator = make_estimator(
        algorithm, n_clusters, values.shape[1], covariance_type, random_state, kwargs
    )
    if isinstance(algorithm, str) and algorithm in MIXTURES:
        values = on_common_scale(values)
    with seeded(as_seed(random_state)):
        estimator.fit(values)
    labels = getattr(estimator, "labels_", None)
    if labels is None and hasattr(estimator, "predict"):
        labels = estimator.predict(values)
    if labels is None:
        # HyperSpy's words, with its spelling.
        raise AttributeError(
            f"Fited cluster estimator {estimator} has no attribute 'labels_', nor predict(): take "
            "one that labels the sites it was fitted to."
        )
    labels, order = order_by_size(np.asarray(labels), type(estimator).__name__)
    probabilities = np.full(len(labels), np.nan)
    if hasattr(estimator, "predict_proba"):
        probabilities = estimator.predict_proba(values).max(1)
    elif hasattr(estimator, "probabilities_"):  # HDBSCAN
        probabilities = np.asarray(estimator.probabilities_, float)
    return Clusters(estimator, labels, probabilities, order)


@one_thread()
def cluster_blocks(
    rows: Any,
    n_clusters: int,
    random_state: int | np.random.Generator | None = None,
    **kwargs: Any,
) -> Clusters:
    """
    Mini-batch k-means of rows in dask, read three times and once more for the labels.

    Parameters
    ----------
    rows : dask.array.Array of shape (n, p)
    n_clusters : int
    random_state : int, numpy.random.Generator or None
    **kwargs
        Options of scikit-learn's ``MiniBatchKMeans``.

    Returns
    -------
    Clusters
    """
    model = make_estimator(
        "minibatchkmeans", n_clusters, rows.shape[1], "auto", random_state, kwargs
    )
    size = max(-(-len(rows) // len(rows.chunks[0])), n_clusters)
    rows = rows.rechunk({0: size}, balance=True)
    for _ in range(_PASSES):
        for block in rows.blocks:
            block = block.compute(scheduler="threads").astype(np.float32, copy=False)
            for start in range(0, len(block), _BATCH):
                if len(block) - start >= n_clusters:
                    model.partial_fit(block[start : start + _BATCH])

    def predict(block: np.ndarray) -> np.ndarray:
        return model.predict(block.astype(np.float32, copy=False))[:, None]

    labels = map_blocks(predict, rows, 1, np.int32)[:, 0]
    labels, order = order_by_size(labels, type(model).__name__)
    return Clusters(model, labels, np.full(len(labels), np.nan), order)


def on_common_scale(values: np.ndarray) -> np.ndarray:
    """
    Values divided by their common root mean square deviation.

    Mixtures add a constant to variances, which is then small whatever the unit.
    """
    values = values.astype(np.float64)
    spread = np.sqrt(values.var(0).mean())
    return values / spread if spread > 0 else values


def order_by_size(labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """
    Order labels by the sizes of the clusters; of equal ones the first site's comes first.

    Parameters
    ----------
    labels : numpy.ndarray of int, shape (n,)
        -1 marks sites without a cluster.
    name : str
        Name of the estimator, for the message.

    Returns
    -------
    labels : numpy.ndarray of int, shape (n,)
    order : numpy.ndarray of int, shape (k,)
        The old labels in the new order.

    Raises
    ------
    ValueError
        If there is no cluster.

    Examples
    --------
    >>> order_by_size(np.array([7, 3, 3, -1]), "HDBSCAN")
    (array([ 1,  0,  0, -1]), array([3, 7]))
    """
    old, first, count = np.unique(labels, return_index=True, return_counts=True)
    old, first, count = (part[old >= 0] for part in (old, first, count))
    if not len(old):
        raise ValueError(
            f"{name} finds no cluster: all sites are noise. Lower min_cluster_size, or take "
            "another algorithm."
        )
    order = old[np.lexsort((first, -count))]
    place = np.full(int(order.max()) + 1, -1)
    place[order] = np.arange(len(order))
    return np.where(labels >= 0, place[np.maximum(labels, 0)], -1), order


def centres_and_distances(values: Any, found: Clusters) -> tuple[np.ndarray, np.ndarray]:
    """
    Centres of clusters, and the distance of each site to each.

    Parameters
    ----------
    values : numpy.ndarray or dask.array.Array of shape (n, d)
    found : Clusters

    Returns
    -------
    centres : numpy.ndarray of shape (k, d)
    distances : numpy.ndarray of shape (n, k)
    """
    from sklearn.metrics import pairwise_distances

    count = len(found.order)
    if not hasattr(values, "dask"):
        centres = np.stack([values[found.labels == i].mean(0) for i in range(count)])
        return centres, pairwise_distances(values, centres)
    centres = found.estimator.cluster_centers_[found.order]
    distances = map_blocks(lambda b: pairwise_distances(b, centres), values, count, np.float32)
    return centres, distances


def _classes() -> dict[str, Any]:
    from sklearn import cluster, mixture

    kinds = (
        *(mixture.GaussianMixture, mixture.BayesianGaussianMixture),
        *(cluster.KMeans, cluster.MiniBatchKMeans, cluster.AgglomerativeClustering),
        *(cluster.SpectralClustering, cluster.HDBSCAN),
    )
    return dict(zip(ALGORITHMS, kinds, strict=True))


def make_estimator(
    algorithm: Any,
    n_clusters: int | None,
    n_features: int,
    covariance_type: str,
    random_state: Any,
    options: dict[str, Any],
) -> Any:
    """Estimator of a name, or a copy of the caller's; the arguments are those of `cluster`."""
    check_algorithm(algorithm, options)
    if not isinstance(algorithm, str):
        return own_copy(algorithm, seed=None if random_state is None else as_seed(random_state))
    if covariance_type == "auto":
        covariance_type = "full" if n_features <= _MAXIMUM_FULL else "diag"
    count = "n_components" if algorithm in MIXTURES else "n_clusters"
    settings = {
        count: n_clusters,
        "covariance_type": covariance_type,
        "random_state": as_seed(random_state),
    }
    made = _classes()[algorithm]
    accepted = options_of(made)
    settings = {name: value for name, value in settings.items() if name in accepted}
    return made(**_DEFAULTS.get(algorithm, {}) | settings | options)


def check_algorithm(
    algorithm: Any, options: Mapping[str, Any], verb_options: Iterable[str] = ()
) -> None:
    """
    Refuse an unknown algorithm, and options that it does not have.

    Parameters
    ----------
    algorithm : str or object
    options : Mapping of str to object
        Options for the estimator of a name.
    verb_options : iterable of str
        Options of the method of the stack, one of which may have been meant.

    Raises
    ------
    ValueError
        If the algorithm is unknown.
    TypeError
        If it does not have such an option, or is a class.
    """
    _algorithms.check_algorithm(algorithm, ALGORITHMS, "fit")
    known: set[str] = set()
    if isinstance(algorithm, str):
        reserved = ("n_clusters", "n_components", "random_state", "covariance_type")
        known = options_of(_classes()[algorithm], *reserved)
    _algorithms.check_options(algorithm, options, known, verb_options, "n_clusters")


def check_number(n_clusters: Any, n_sites: int) -> None:
    """
    Refuse a number of clusters that cannot be made of so few sites.

    Examples
    --------
    >>> check_number(9, 4)
    Traceback (most recent call last):
    ValueError: n_clusters=9 is more than the 4 sites that can be clustered.
    """
    if whole_number(n_clusters, "n_clusters", alternative=", or 'auto'") > n_sites:
        raise ValueError(
            f"n_clusters={n_clusters} is more than the {n_sites} sites that can be clustered."
        )


def log_cost(algorithm: Any, n_sites: int) -> None:
    """Warn in the log of the memory for algorithms that compare all pairs of many sites."""
    per_pair = {"agglomerative": 4e-9, "spectralclustering": 24e-9}
    if isinstance(algorithm, str) and algorithm in per_pair and n_sites > _MANY_SITES:
        _logger.warning(
            "%s compares all pairs of %d sites: about %.1f GB and minutes. 'gmm' and 'kmeans' grow "
            "with the number of sites only.",
            algorithm,
            n_sites,
            per_pair[algorithm] * n_sites**2,
        )
