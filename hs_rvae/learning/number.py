# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many clusters there are: curves over the number, and what they prefer."""

import logging
from dataclasses import dataclass

import numpy as np

from hs_rvae.learning.clusters import MAX_SITES, make_estimator
from hs_rvae.options import as_seed

_logger = logging.getLogger(__name__)

#: How good a number of clusters is.
METRICS = ("bic", "aic", "silhouette", "gap", "elbow")


@dataclass
class NumberOfClusters:
    """A curve over the number of clusters, and the number chosen from it.

    Attributes
    ----------
    metric : str
    n_clusters : list of int
    values : numpy.ndarray
        Of the metric; of "elbow" the logarithm of the summed squared distances to the centres.
    errors : numpy.ndarray or None
        Standard errors, of "gap" only.
    best : int
    """

    metric: str
    n_clusters: list
    values: np.ndarray
    errors: np.ndarray | None
    best: int


def estimate_number(
    values,
    algorithm="gmm",
    metric="bic",
    *,
    max_clusters=10,
    n_ref=4,
    covariance_type="auto",
    random_state=None,
    progress=iter,
    **kwargs,
):
    """Number of clusters that a metric prefers.

    Parameters
    ----------
    values : numpy.ndarray, shape (n, d)
        A random subset of 5000 rows is used if there are more.
    algorithm : str
        "gmm" for the metrics "bic" and "aic"; any with a given number of clusters for the others.
    metric : {"bic", "aic", "silhouette", "gap", "elbow"}
        Lowest information criterion; highest silhouette; the first number whose gap is not below
        that of the next one less its error; the bend of the summed squared distances.
    max_clusters : int
    n_ref : int
        Uniform reference sets of "gap".
    covariance_type, random_state, **kwargs
        As in :func:`make_estimator`.
    progress : callable
        Wraps the numbers tried.

    Returns
    -------
    NumberOfClusters

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
    if len(values) > MAX_SITES:
        _logger.info("The number of clusters is chosen on %d of %d sites.", MAX_SITES, len(values))
        values = values[np.sort(rng.choice(len(values), MAX_SITES, replace=False))]
    values = np.asarray(values, np.float64)
    first = 2 if metric == "silhouette" or algorithm == "agglomerative" else 1
    numbers = list(range(first, min(max_clusters, len(values) - (metric == "silhouette")) + 1))

    def clustered(data, k):
        return make_estimator(
            algorithm,
            k,
            n_features=data.shape[1],
            covariance_type=covariance_type,
            random_state=seed,
            **kwargs,
        ).fit(data)

    if not numbers:
        raise ValueError(
            f"max_clusters={max_clusters}: the number of clusters of {len(values)} sites cannot be "
            f"estimated by {metric!r}, which tries {first} and more: give n_clusters, or other "
            "options."
        )
    curve, errors = [], []
    references = _references(values, n_ref, rng) if metric == "gap" else []
    for k in progress(numbers):
        fitted = clustered(values, k)
        if metric in ("bic", "aic"):
            curve.append(getattr(fitted.estimator, metric)(fitted.scaled(values)))
        elif metric == "silhouette":
            curve.append(_silhouette(values, fitted.labels_, seed))
        else:
            curve.append(np.log(_within(values, fitted.labels_)))
        if metric == "gap":
            logs = [np.log(_within(data, clustered(data, k).labels_)) for data in references]
            curve[-1] = np.mean(logs) - curve[-1]
            errors.append(np.std(logs) * np.sqrt(1 + 1 / n_ref))
    curve = np.array(curve)
    errors = np.array(errors) if metric == "gap" else None
    best = numbers[_best(metric, curve, errors)]
    if best == numbers[-1] and metric in ("bic", "aic") and best > 1:
        _logger.warning(
            "The %s still falls at %d clusters, the most that were tried: it does not settle on a "
            "number. Raise max_clusters, or choose n_clusters.",
            metric.upper(),
            best,
        )
    return NumberOfClusters(metric, numbers, curve, errors, best)


def _references(values, count, rng):
    """Points spread evenly over the box of the principal axes of some data."""
    centre = values.mean(0)
    axes = np.linalg.svd(values - centre, full_matrices=False)[2]
    along = (values - centre) @ axes.T
    low, high = along.min(0), along.max(0)
    return [rng.uniform(low, high, along.shape) @ axes + centre for _ in range(count)]


def _within(values, labels):
    """Summed squared distances to the centres of the clusters; never quite 0."""
    total = 0.0
    for label in np.unique(labels[labels >= 0]):
        part = values[labels == label]
        total += ((part - part.mean(0)) ** 2).sum()
    return max(total, np.finfo(float).tiny)


def _silhouette(values, labels, seed):
    """Mean silhouette, on at most 2000 sites; -1 if there is but one cluster."""
    from sklearn.metrics import silhouette_score

    if len(np.unique(labels)) < 2:
        return -1.0
    size = None if len(values) <= 2000 else 2000
    return float(silhouette_score(values, labels, sample_size=size, random_state=seed))


def _best(metric, curve, errors):
    """Place of the preferred number on the curve."""
    if metric in ("bic", "aic"):
        return int(curve.argmin())
    if metric == "silhouette":
        return int(curve.argmax())
    if metric == "gap":
        good = curve[:-1] >= curve[1:] - errors[1:]
        return int(good.argmax()) if good.any() else len(curve) - 1
    if len(curve) < 3:
        return 0
    # The point farthest below the line between the ends.
    x = np.linspace(0, 1, len(curve))
    fall = (curve - curve[-1]) / (curve[0] - curve[-1])
    return int((1 - x - fall).argmax())
