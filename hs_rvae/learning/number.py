# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Number of clusters, from curves of a metric over it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from hs_rvae.learning.clusters import Clusters, check_number, cluster, on_common_scale
from hs_rvae.options import as_seed, random_subset
from hs_rvae.progress import progress_bar
from hs_rvae.threads import one_thread

_logger = logging.getLogger(__name__)

#: Metrics of a number of clusters.
METRICS = ("bic", "aic", "silhouette", "gap", "elbow")
# More sites change the curve little and take long; so do they the silhouette.
_MAX_SITES = 5000
_MAX_SITES_SILHOUETTE = 2000


@dataclass
class NumberOfClusters:
    """
    A curve over the number of clusters, and the number chosen from it.

    Attributes
    ----------
    metric : str
    n_clusters : list of int
    values : numpy.ndarray
        Values of the metric. Those of "elbow" are logarithms of the summed squared distances to
        the centres.
    errors : numpy.ndarray or None
        Standard errors, for "gap" only.
    best : int
    """

    metric: str
    n_clusters: list[int]
    values: np.ndarray
    errors: np.ndarray | None
    best: int


@one_thread()
def estimate_number(
    values: np.ndarray,
    algorithm: str = "gmm",
    metric: str = "bic",
    *,
    max_clusters: int = 10,
    n_ref: int = 4,
    covariance_type: str = "auto",
    random_state: int | np.random.Generator | None = None,
    show_progressbar: bool | None = False,
    **kwargs: Any,
) -> NumberOfClusters:
    """
    Number of clusters that a metric prefers.

    Parameters
    ----------
    values : numpy.ndarray of shape (n, d)
        If there are more than 5000 rows, a random subset of that size is used.
    algorithm : str
        "gmm" for the metrics "bic" and "aic"; any with a given number of clusters for the others.
    metric : {"bic", "aic", "silhouette", "gap", "elbow"}
        Lowest information criterion; highest silhouette; the first number whose gap is not below
        that of the next one less its error; the bend of the summed squared distances.
    max_clusters : int
    n_ref : int
        Number of uniform reference sets for "gap".
    covariance_type, random_state, **kwargs
        As in :func:`~hs_rvae.learning.clusters.cluster`.
    show_progressbar : bool, optional
        If None, HyperSpy's preference decides.

    Returns
    -------
    NumberOfClusters

    Raises
    ------
    ValueError
        If the metric is unknown or does not go with the algorithm, or there are too few sites.

    References
    ----------
    Silhouette: P. J. Rousseeuw, J. Comput. Appl. Math. 20, 53 (1987). Gap: R. Tibshirani, G.
    Walther, T. Hastie, J. R. Stat. Soc. B 63, 411 (2001).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = rng.normal(size=(300, 2)) + 9 * rng.integers(0, 3, (300, 1))
    >>> estimate_number(values, max_clusters=5, random_state=0).best
    3
    """
    if metric not in METRICS:
        raise ValueError(
            f"metric={metric!r} is unknown: take one of {', '.join(map(repr, METRICS))}."
        )
    if metric in ("bic", "aic") and algorithm != "gmm":
        raise ValueError(
            f"metric={metric!r} needs algorithm='gmm', not {algorithm!r}: other algorithms have no "
            "likelihood. Take 'silhouette', 'gap' or 'elbow'."
        )
    rng = np.random.default_rng(as_seed(random_state))
    seed = int(rng.integers(2**31))
    if len(values) > _MAX_SITES:
        _logger.info("The number of clusters is chosen on %d of %d sites.", _MAX_SITES, len(values))
    values = np.asarray(values[random_subset(len(values), _MAX_SITES, rng)], np.float64)
    first = 2 if metric == "silhouette" or algorithm == "agglomerative" else 1
    numbers = list(range(first, min(max_clusters, len(values) - (metric == "silhouette")) + 1))
    if not numbers:
        raise ValueError(
            f"max_clusters={max_clusters}: the number of clusters of {len(values)} sites cannot be "
            f"estimated by {metric!r}, which tries {first} and more: give n_clusters, or other "
            "options."
        )

    def fit(data: np.ndarray, k: int) -> Clusters:
        options: dict[str, Any] = {
            "covariance_type": covariance_type,
            "random_state": seed,
        } | kwargs
        return cluster(data, algorithm, k, **options)

    curve, spreads = [], []
    references = _references(values, n_ref, rng) if metric == "gap" else []
    for k in progress_bar("Clusters", show_progressbar, iterable=numbers):
        found = fit(values, k)
        if metric in ("bic", "aic"):
            curve.append(getattr(found.estimator, metric)(on_common_scale(values)))
        elif metric == "silhouette":
            curve.append(_silhouette(values, found.labels, seed))
        else:
            curve.append(_log_within(values, found.labels))
        if metric == "gap":
            logs = [_log_within(data, fit(data, k).labels) for data in references]
            curve[-1] = np.mean(logs) - curve[-1]
            spreads.append(np.std(logs) * np.sqrt(1 + 1 / n_ref))
    errors = np.array(spreads) if metric == "gap" else None
    best = numbers[_best(metric, np.array(curve), errors)]
    if best == numbers[-1] and metric in ("bic", "aic") and best > 1:
        _logger.warning(
            "The %s still falls at %d clusters, the most that were tried: it does not settle on a "
            "number. Raise max_clusters, or choose n_clusters.",
            metric.upper(),
            best,
        )
    return NumberOfClusters(metric, numbers, np.array(curve), errors, best)


def choose_number(
    values: np.ndarray,
    algorithm: Any,
    n_clusters: Any,
    max_clusters: int,
    covariance_type: str,
    random_state: int | None,
) -> tuple[int | None, NumberOfClusters | None]:
    """
    Number of clusters that is given, or estimated.

    Parameters
    ----------
    values : numpy.ndarray of shape (n, d)
    algorithm : str or object
    n_clusters : int or "auto"
        "auto" takes the Bayesian information criterion for "gmm", the silhouette for others.
    max_clusters : int
        Also the number for "bayesian_gmm", which leaves clusters empty.
    covariance_type, random_state
        As in :func:`~hs_rvae.learning.clusters.cluster`.

    Returns
    -------
    n_clusters : int or None
        None if the algorithm finds the number.
    curve : NumberOfClusters or None
        None if the number is not estimated.
    """
    if not isinstance(algorithm, str) or algorithm == "hdbscan":
        return None, None
    if not isinstance(n_clusters, str) or n_clusters != "auto":
        check_number(n_clusters, len(values))
        return n_clusters, None
    if algorithm == "bayesian_gmm":
        return min(max_clusters, len(values)), None
    curve = estimate_number(
        values,
        algorithm,
        "bic" if algorithm == "gmm" else "silhouette",
        max_clusters=max_clusters,
        covariance_type=covariance_type,
        random_state=random_state,
    )
    _logger.info("%d clusters, by %s.", curve.best, curve.metric)
    return curve.best, curve


def _references(values: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Points spread evenly over the box of the principal axes of some data."""
    centre = values.mean(0)
    axes = np.linalg.svd(values - centre, full_matrices=False)[2]
    along = (values - centre) @ axes.T
    low, high = along.min(0), along.max(0)
    return [rng.uniform(low, high, along.shape) @ axes + centre for _ in range(count)]


def _log_within(values: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of the summed squared distances to the centres; finite for a sum of 0 too."""
    parts = (values[labels == label] for label in np.unique(labels[labels >= 0]))
    total = sum(((part - part.mean(0)) ** 2).sum() for part in parts)
    return float(np.log(max(total, np.finfo(float).tiny)))


def _silhouette(values: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Mean silhouette of at most 2000 sites; -1 for a single cluster."""
    from sklearn.metrics import silhouette_score

    if len(np.unique(labels)) < 2:
        return -1.0
    size = None if len(values) <= _MAX_SITES_SILHOUETTE else _MAX_SITES_SILHOUETTE
    return float(silhouette_score(values, labels, sample_size=size, random_state=seed))


def _best(metric: str, curve: np.ndarray, errors: np.ndarray | None) -> int:
    """Place of the preferred number on the curve."""
    if metric in ("bic", "aic"):
        return int(curve.argmin())
    if metric == "silhouette":
        return int(curve.argmax())
    if errors is not None:
        good = curve[:-1] >= curve[1:] - errors[1:]
        return int(good.argmax()) if good.any() else len(curve) - 1
    if len(curve) < 3:
        return 0
    # The point furthest below the line between the ends.
    x = np.linspace(0, 1, len(curve))
    fall = (curve - curve[-1]) / (curve[0] - curve[-1])
    return int((1 - x - fall).argmax())
