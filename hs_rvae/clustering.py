# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of sites: mixtures of Gaussians, k-means and others, and how many there are.

Arrays in, labels out. The work is scikit-learn's; what is here orders labels by size, scales
columns of different kinds, and draws the curves from which a number of clusters is chosen.
"""

import logging
from dataclasses import dataclass

import numpy as np

_logger = logging.getLogger(__name__)

#: Algorithms by name, HyperSpy's among them.
ALGORITHMS = (
    *("gmm", "bayesian_gmm", "kmeans", "minibatchkmeans"),
    *("agglomerative", "spectralclustering", "hdbscan"),
)
#: How good a number of clusters is.
METRICS = ("bic", "aic", "silhouette", "gap", "elbow")
MIXTURES = ("gmm", "bayesian_gmm")
# They compare all pairs of sites.
_OF_PAIRS = ("agglomerative", "spectralclustering")
# Sites on which a number of clusters is chosen: more of them change little and take long.
_MAX_SITES = 5000
_FEW_VALUES = 200_000
# Full covariances of more features have more parameters than sites.
_MOST_FULL = 16


class SizeOrdered:
    """Any clustering estimator, with labels ordered by size: 0 is the largest cluster.

    Parameters
    ----------
    estimator : object
        Of scikit-learn: with ``labels_`` after ``fit``, or ``predict``.
    common_scale : bool
        Divide all features by one number first, so that what an algorithm adds to variances is
        small whatever the unit.

    Attributes
    ----------
    labels_ : numpy.ndarray of int, shape (n,)
        -1 where the estimator leaves a site out (HDBSCAN's noise).
    probabilities_ : numpy.ndarray, shape (n,)
        Of the label, where the estimator knows one; else NaN.
    order_ : numpy.ndarray of int
        The estimator's own labels in the new order.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> values = np.array([[0.0], [5.0], [5.1], [4.9]])
    >>> SizeOrdered(KMeans(2, n_init=1, random_state=0)).fit(values).labels_
    array([1, 0, 0, 0])
    """

    def __init__(self, estimator, common_scale=False):
        self.estimator = estimator
        self.common_scale = common_scale

    def fit(self, values, y=None):
        """Fit and order.

        Parameters
        ----------
        values : numpy.ndarray, shape (n, d)
        y : None
            Not used.

        Returns
        -------
        SizeOrdered
        """
        values = self.scaled(np.asarray(values))
        with _threads_for(values):
            self.estimator.fit(values)
        labels = getattr(self.estimator, "labels_", None)
        if labels is None and hasattr(self.estimator, "predict"):
            labels = self.estimator.predict(values)
        if labels is None:
            raise AttributeError(
                f"Fited cluster estimator {self.estimator} has no attribute 'labels_'"
            )
        self.set_labels(np.asarray(labels))
        if hasattr(self.estimator, "predict_proba"):
            self.probabilities_ = self.estimator.predict_proba(values).max(1)
        elif hasattr(self.estimator, "probabilities_"):  # HDBSCAN
            self.probabilities_ = np.asarray(self.estimator.probabilities_, float)
        else:
            self.probabilities_ = np.full(len(labels), np.nan)
        return self

    def scaled(self, values):
        """Values divided by their common root mean square deviation, if that is wanted."""
        if not self.common_scale:
            return values
        values = values.astype(np.float64)
        spread = np.sqrt(values.var(0).mean())
        return values / spread if spread > 0 else values

    def set_labels(self, labels):
        """Keep labels in the order of their sizes; of equal ones the first site's comes first."""
        if not (labels >= 0).any():
            raise ValueError(
                f"{type(self.estimator).__name__} finds no cluster: all sites are noise. Lower "
                "min_cluster_size, or take another algorithm."
            )
        found, first, count = np.unique(labels, return_index=True, return_counts=True)
        real = found >= 0
        found, first, count = found[real], first[real], count[real]
        order = np.lexsort((first, -count))
        place = np.full(int(found.max()) + 1, -1)
        self.order_ = found[order]
        place[self.order_] = np.arange(len(found))
        self.labels_ = np.where(labels >= 0, place[np.maximum(labels, 0)], -1)


def _threads_for(values):
    """One thread where the data are so small that threads would mostly wait for each other."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if values.size < _FEW_VALUES else None)


def make_estimator(
    algorithm, n_clusters, *, n_features, covariance_type="auto", random_state=None, **kwargs
):
    """Estimator of scikit-learn by name.

    Parameters
    ----------
    algorithm : str or object
        One of :data:`ALGORITHMS`, or an estimator, which is passed on.
    n_clusters : int
        Not for "hdbscan"; of "bayesian_gmm" the most there may be.
    n_features : int
    covariance_type : {"auto", "full", "tied", "diag", "spherical"}
        Of mixtures. "auto" is "full" up to 16 features, else "diag".
    random_state : int, numpy.random.Generator or None
    **kwargs
        To the estimator. Unless they say otherwise, mixtures are started 5 times and k-means 10
        times, and the best result is kept.

    Returns
    -------
    SizeOrdered

    Raises
    ------
    ValueError
        If the algorithm is unknown.
    """
    if isinstance(random_state, np.random.Generator):
        random_state = int(random_state.integers(2**31))
    if not isinstance(algorithm, str):
        if not hasattr(algorithm, "fit"):
            raise ValueError(
                f"algorithm={algorithm!r}: The clustering method should be either {ALGORITHMS} or "
                "a class which has a fit() method and labels_ attribute for results"
            )
        if random_state is not None and hasattr(algorithm, "random_state"):
            algorithm.random_state = random_state
        return SizeOrdered(algorithm)
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"algorithm={algorithm!r} is unknown: take one of "
            f"{', '.join(map(repr, ALGORITHMS))}, or an estimator of scikit-learn."
        )
    from sklearn import cluster, mixture

    if algorithm in MIXTURES:
        if covariance_type == "auto":
            covariance_type = "full" if n_features <= _MOST_FULL else "diag"
        kinds = {"gmm": mixture.GaussianMixture, "bayesian_gmm": mixture.BayesianGaussianMixture}
        defaults = {"n_init": 5, "max_iter": 500}
        options = {"covariance_type": covariance_type, "random_state": random_state}
        options |= {"n_components": n_clusters}
        return SizeOrdered(kinds[algorithm](**defaults | options | kwargs), True)
    seed = {"random_state": random_state}
    if algorithm == "kmeans":
        return SizeOrdered(cluster.KMeans(n_clusters, **{"n_init": 10} | seed | kwargs))
    if algorithm == "minibatchkmeans":
        return SizeOrdered(cluster.MiniBatchKMeans(n_clusters, **{"n_init": 10} | seed | kwargs))
    if algorithm == "agglomerative":
        return SizeOrdered(cluster.AgglomerativeClustering(n_clusters, **kwargs))
    if algorithm == "spectralclustering":
        return SizeOrdered(cluster.SpectralClustering(n_clusters, **seed | kwargs))
    return SizeOrdered(cluster.HDBSCAN(**{"copy": True} | kwargs))


def check_number(n_clusters, n_sites):
    """Raise ValueError unless so many clusters can be made of so many sites.

    Examples
    --------
    >>> check_number(9, 4)
    Traceback (most recent call last):
    ValueError: n_clusters=9 is more than the 4 sites that can be clustered.
    """
    whole = isinstance(n_clusters, int | np.integer) and not isinstance(n_clusters, bool)
    if not whole or n_clusters < 1:
        raise ValueError(f"n_clusters={n_clusters!r}: give a whole number from 1 on, or 'auto'.")
    if n_clusters > n_sites:
        raise ValueError(
            f"n_clusters={n_clusters} is more than the {n_sites} sites that can be clustered."
        )


def check_features(values, source):
    """Raise ValueError if there is nothing to tell sites apart by."""
    if not len(values):
        raise ValueError(
            f"{source}: no site is left; all are masked or have values that are not finite."
        )
    if len(values) > 1 and (values == values[0]).all():
        raise ValueError(f"{source}: all sites have the same values, there are no clusters.")


def say_cost(algorithm, n_sites):
    """Tell in the log what algorithms that compare all pairs of sites will need."""
    if algorithm in _OF_PAIRS and n_sites > _MAX_SITES:
        _logger.warning(
            "%s compares all pairs of %d sites: about %.1f GB and minutes. 'gmm' and 'kmeans' grow "
            "with the number of sites only.",
            algorithm,
            n_sites,
            8e-9 * n_sites**2 * (0.5 if algorithm == "agglomerative" else 3),
        )


def scale_columns(columns, angles=None):
    """Columns of different kinds and units as features of comparable size.

    Each column is divided by its standard deviation. An angle becomes its cosine and sine, times
    the root of 2, whatever the angles are: both have unit variance if directions are spread over
    the turn, and directions that are all alike tell nothing.

    Parameters
    ----------
    columns : Mapping of str to numpy.ndarray, shape (n,)
    angles : Mapping of str to int, optional
        Those that are angles, in radians: 1 if the period is a whole turn, 2 if it is half a turn
        (the axis of an ellipse).

    Returns
    -------
    features : numpy.ndarray, shape (n, d)
        NaN where a column is.
    names : list of str
        For example ``"latent_0"``, ``"cos(angle)"``, ``"sin(angle)"``.

    Examples
    --------
    >>> features, names = scale_columns({"angle": np.array([3.14, -3.14, 0.0])}, {"angle": 1})
    >>> names
    ['cos(angle)', 'sin(angle)']
    >>> bool(np.linalg.norm(features[0] - features[1]) < 0.01)
    True
    """
    features, names, angles = [], [], angles or {}
    for name, values in columns.items():
        if name in angles:
            fold = angles[name]
            pair = np.stack([np.cos(fold * values), np.sin(fold * values)], 1)
            spread = np.sqrt(0.5)
            turned = name if fold == 1 else f"{fold} {name}"
            names += [f"cos({turned})", f"sin({turned})"]
        else:
            pair = np.asarray(values, float)[:, None]
            spread = np.nanstd(pair)
            names.append(name)
        rounding = 1e-12 * np.nanmax(np.abs(pair), initial=0)
        features.append(pair / spread if spread > rounding else pair * 0.0)
    return np.concatenate(features, axis=1), names


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
    rng = np.random.default_rng(random_state)
    seed = int(rng.integers(2**31))
    if len(values) > _MAX_SITES:
        _logger.info("The number of clusters is chosen on %d of %d sites.", _MAX_SITES, len(values))
        values = values[np.sort(rng.choice(len(values), _MAX_SITES, replace=False))]
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
