# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clustering estimators by name, with labels ordered by size."""

import logging

import numpy as np

from hs_rvae.options import as_seed, options_of, own_copy, refuse_class, refuse_unknown

_logger = logging.getLogger(__name__)

#: Algorithms by name, HyperSpy's among them.
ALGORITHMS = (
    *("gmm", "bayesian_gmm", "kmeans", "minibatchkmeans"),
    *("agglomerative", "spectralclustering", "hdbscan"),
)
MIXTURES = ("gmm", "bayesian_gmm")
# They compare all pairs of sites.
_OF_PAIRS = ("agglomerative", "spectralclustering")
# Sites on which a number of clusters is chosen: more of them change little and take long.
MAX_SITES = 5000
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
            # HyperSpy's words, with its spelling, which its tests ask for.
            raise AttributeError(
                f"Fited cluster estimator {self.estimator} has no attribute 'labels_', nor "
                "predict(): take one that labels the sites it was fitted to."
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
        One of :data:`ALGORITHMS`, or an estimator, of which a copy is taken.
    n_clusters : int
        Not for "hdbscan"; of "bayesian_gmm" the most there may be.
    n_features : int
    covariance_type : {"auto", "full", "tied", "diag", "spherical"}
        Of mixtures. "auto" is "full" up to 16 features, else "diag".
    random_state : int, numpy.random.Generator or None
    **kwargs
        To the estimator, if it is named. Unless they say otherwise, mixtures are started 5 times
        and k-means 10 times, and the best result is kept.

    Returns
    -------
    SizeOrdered

    Raises
    ------
    ValueError
        If the algorithm is unknown.
    TypeError
        If it has no such option, or is a class.
    """
    check_algorithm(algorithm, kwargs)
    if not isinstance(algorithm, str):
        seed = None if random_state is None else as_seed(random_state)
        return SizeOrdered(own_copy(algorithm, seed=seed))
    random_state = as_seed(random_state)
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


def check_algorithm(algorithm, options, own=()):
    """Raise unless the algorithm is known, and has these options.

    Parameters
    ----------
    algorithm : str or object
    options : dict
        For the estimator of a name.
    own : iterable of str
        Options of the verb, which may be what was meant.

    Raises
    ------
    ValueError
        If the algorithm is unknown.
    TypeError
        If it has no such option, or is a class.
    """
    if not isinstance(algorithm, str):
        refuse_class(algorithm)
        if not hasattr(algorithm, "fit"):
            raise ValueError(
                f"algorithm={algorithm!r}: The clustering method should be either {ALGORITHMS} or "
                "a class which has a fit() method and labels_ attribute for results"
            )
        name = f"algorithm={type(algorithm).__name__}"
        remedy = f"{name} is an estimator: set {', '.join(options)} in it"
        refuse_unknown(options, (), name, own=own, remedy=remedy)
        return
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"algorithm={algorithm!r} is unknown: take one of "
            f"{', '.join(map(repr, ALGORITHMS))}, or an estimator of scikit-learn."
        )
    from sklearn import cluster, mixture

    classes = {
        "gmm": mixture.GaussianMixture,
        "bayesian_gmm": mixture.BayesianGaussianMixture,
        "kmeans": cluster.KMeans,
        "minibatchkmeans": cluster.MiniBatchKMeans,
        "agglomerative": cluster.AgglomerativeClustering,
        "spectralclustering": cluster.SpectralClustering,
        "hdbscan": cluster.HDBSCAN,
    }
    taken = ("n_clusters", "n_components", "random_state", "covariance_type")
    refuse_unknown(
        options,
        options_of(classes[algorithm], *taken),
        f"algorithm={algorithm!r}",
        own=own,
        instead={"n_components": "n_clusters"},
    )


def say_cost(algorithm, n_sites):
    """Tell in the log what algorithms that compare all pairs of sites will need."""
    if algorithm in _OF_PAIRS and n_sites > MAX_SITES:
        _logger.warning(
            "%s compares all pairs of %d sites: about %.1f GB and minutes. 'gmm' and 'kmeans' grow "
            "with the number of sites only.",
            algorithm,
            n_sites,
            8e-9 * n_sites**2 * (0.5 if algorithm == "agglomerative" else 3),
        )
