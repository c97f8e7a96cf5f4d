# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of the pixels of lazy stacks, and clusters stored as HyperSpy stores them."""

import logging

import numpy as np

from hs_rvae.learning import clusters as _clusters
from hs_rvae.learning import features as _features
from hs_rvae.learning import number as _number
from hs_rvae.learning import rows as _rows
from hs_rvae.signals.masks import pixel_mask, rows_of, site_mask
from hs_rvae.signals.sources import hyperspy_features

_logger = logging.getLogger(__name__)

_BY_CLUSTER = (
    "cluster_labels",
    "cluster_sum_signals",
    "cluster_centroid_signals",
    "cluster_distances",
    "cluster_centroids",
)
# Times that mini-batch k-means reads a lazy stack.
_PASSES = 3


def cluster_pixels_lazily(signal, algorithm, n_clusters, mask, signal_mask, seed, kwargs):
    """Mini-batch k-means of blocks of sub-images, which are never all in memory."""
    if not isinstance(algorithm, str) or algorithm not in ("kmeans", "minibatchkmeans"):
        name = algorithm if isinstance(algorithm, str) else type(algorithm).__name__
        raise NotImplementedError(
            f"algorithm={name!r} needs all pixels of all sites at once, which a lazy stack "
            "does not hold: call stack.decomposition('PCA', output_dimension=8) and take "
            "cluster_source='decomposition', or algorithm='minibatchkmeans'."
        )
    _clusters.check_algorithm("minibatchkmeans", kwargs)
    pixels = pixel_mask(signal, signal_mask)
    flat = rows_of(signal, (None, pixels))
    summary = _rows.summarise(flat)
    good = np.ones(len(flat), bool)
    good[summary.bad_rows] = False
    excluded = site_mask(signal, mask)
    good = good if excluded is None else good & ~excluded
    if good.sum() == 1:
        raise ValueError("cluster_source='signal': clusters need at least 2 sites, not 1.")
    if summary.constant:
        raise ValueError(
            "cluster_source='signal': all sites have the same values, there are no clusters."
        )
    if isinstance(n_clusters, str):
        raise ValueError(
            f"n_clusters={n_clusters!r}: give a number for the pixels of a lazy stack, for "
            "example that of estimate_number_of_clusters('signal', metric='elbow')."
        )
    _features.check_number(n_clusters, int(good.sum()))
    flat = flat if good.all() else flat[np.flatnonzero(good)]
    estimator = _clusters.make_estimator(
        "minibatchkmeans", n_clusters, n_features=flat.shape[1], random_state=seed, **kwargs
    )
    model = estimator.estimator
    size = max(-(-len(flat) // len(flat.chunks[0])), n_clusters)
    flat = flat.rechunk({0: size}, balance=True)
    for _ in range(_PASSES):
        for block in flat.blocks:
            block = block.compute(scheduler="threads").astype(np.float32, copy=False)
            for start in range(0, len(block), 1024):
                if len(block) - start >= n_clusters:
                    model.partial_fit(block[start : start + 1024])
    labels = _rows.project(
        lambda block: model.predict(block.astype(np.float32, copy=False))[:, None],
        flat,
        1,
        np.int32,
    )[:, 0]
    estimator.set_labels(labels)
    estimator.probabilities_ = np.full(len(labels), np.nan)
    return flat, good, estimator


def number_for(results, algorithm, n_clusters, scaled, covariance_type, most, random_state):
    """Number of clusters as given, or chosen."""
    if not isinstance(algorithm, str) or algorithm == "hdbscan":
        return None
    if isinstance(n_clusters, str) and n_clusters == "auto":
        if algorithm == "bayesian_gmm":
            return min(most, len(scaled))
        found = _number.estimate_number(
            scaled,
            algorithm,
            "bic" if algorithm == "gmm" else "silhouette",
            max_clusters=most,
            covariance_type=covariance_type,
            random_state=random_state,
        )
        store_metric(results, found)
        _logger.info("%d clusters, by %s.", found.best, found.metric)
        return found.best
    _features.check_number(n_clusters, len(scaled))
    return n_clusters


def store_clusters(signal, estimator, algorithm, scaled, good, centres_of, n_components):
    """Fill HyperSpy's results: members, sums, the site nearest to the centre, distances."""
    labels = estimator.labels_
    count = int(labels.max()) + 1
    members = np.zeros((count, len(good)), bool)
    members[:, good] = labels == np.arange(count)[:, None]
    distances = np.full((count, len(good)), np.nan)
    if hasattr(scaled, "dask"):
        centres = estimator.estimator.cluster_centers_[estimator.order_]
        parts = _rows.project(lambda block: _distances(block, centres), scaled, count, np.float32)
    else:
        centres = np.stack([scaled[labels == i].mean(0) for i in range(count)])
        parts = _distances(scaled, centres)
    distances[:, good] = parts.T
    nearest = np.nanargmin(np.where(members, distances, np.inf), axis=1)
    if isinstance(centres_of, str) and centres_of == "signal":
        sums, centre_signals = sums_of(signal, members), _sub_images(signal, nearest)
    elif isinstance(centres_of, str) and centres_of in ("decomposition", "bss"):
        stem = "" if centres_of == "decomposition" else "bss_"
        loadings = getattr(signal.learning_results, f"{stem}loadings")
        factors = getattr(signal.learning_results, f"{stem}factors")
        if loadings is None:
            raise ValueError(
                f"source_for_centers={centres_of!r}: there is none yet; call "
                "stack.decomposition() first."
            )
        k = n_components or factors.shape[1]
        loadings, factors = np.asarray(loadings)[:, :k], np.asarray(factors)[:, :k]
        sums = np.stack([np.nansum(loadings[m], 0) for m in members]) @ factors.T
        centre_signals = loadings[nearest] @ factors.T
    else:
        rows = hyperspy_features(signal, centres_of, n_components, None)
        sums, centre_signals = np.stack([rows[m].sum(0) for m in members]), rows[nearest]
    name = algorithm if isinstance(algorithm, str) else type(algorithm).__name__
    stored = (members, sums, centre_signals, distances, centres)
    values = dict(zip(_BY_CLUSTER, stored, strict=True))
    values |= {"cluster_algorithm": name, "number_of_clusters": count}
    vars(signal.learning_results).update(values)


def store_metric(results, found):
    """Fill HyperSpy's results: a number of clusters and the curve it was chosen from."""
    vars(results).update(
        cluster_metric=found.metric,
        cluster_metric_index=list(found.n_clusters),
        cluster_metric_data=found.values,
        estimated_number_of_clusters=found.best,
    )


def write_clusters(table, estimator, good, column):
    """Write labels and their probabilities into a site table."""
    labels = np.full(len(good), -1)
    probability = np.full(len(good), np.nan)
    labels[good], probability[good] = estimator.labels_, estimator.probabilities_
    values = {column: labels, f"{column}_probability": probability}
    table.set_many(values, dict.fromkeys(values, ""), writer="cluster_analysis")
    left_out = int((labels < 0).sum())
    if left_out:
        _logger.info("%d sites are in no cluster (-1).", left_out)


def sums_of(signal, members):
    """Sums (k, p) of the sub-images of each cluster, of dask block by block."""
    flat = rows_of(signal)
    if not hasattr(flat, "dask"):
        return np.stack([flat[m].sum(0, dtype=np.float64) for m in members])

    return _rows.sum_rows(flat, members)


def _sub_images(signal, numbers):
    """Some sub-images (k, p), in memory."""
    flat = rows_of(signal)
    rows = flat[numbers]
    return rows.compute() if hasattr(rows, "dask") else rows


def _distances(values, centres):
    """Distances (n, k) of rows to centres."""
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(values, centres)
