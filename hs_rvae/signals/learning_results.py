# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""HyperSpy's ``learning_results``: they are filled in here, and made to follow the sites.

No other module touches their attributes. HyperSpy (2.4, 2.5) drops them when sites are chosen,
keeps them unchanged when a stack is cropped in place, and leaves dask arrays in them after lazy
loading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.learn import LearningResults
from numpy.typing import NDArray

from hs_rvae.checks import naming, shown
from hs_rvae.learning import clusters as _clusters
from hs_rvae.learning.algorithms import name_of
from hs_rvae.learning.rows import sum_rows
from hs_rvae.signals.masks import rows_of
from hs_rvae.signals.sources import hyperspy_features, is_of_hyperspy

if TYPE_CHECKING:
    from hs_rvae.learning.number import NumberOfClusters
    from hs_rvae.learning.streaming import Components
    from hs_rvae.signals.site_signal import SiteSignal

# Results with one row, or one column, per site.
_ROWS = ("loadings", "bss_loadings", "navigation_mask")
# Sums and centres of clusters hold for the sites that they were made from.
_OF_CLUSTERS = tuple(name for name in vars(LearningResults) if name.startswith("cluster_"))
_OF_CLUSTERS += ("number_of_clusters", "estimated_number_of_clusters")
_BY_CLUSTER = (
    "cluster_labels",
    "cluster_sum_signals",
    "cluster_centroid_signals",
    "cluster_distances",
    "cluster_centroids",
)


def results_of_sites(results: LearningResults, rows: NDArray[Any]) -> LearningResults:
    """The decomposition of some of the sites, without clusters.

    Parameters
    ----------
    results : hyperspy.learn.LearningResults
    rows : numpy.ndarray of int
        Numbers of the sites.

    Returns
    -------
    hyperspy.learn.LearningResults
    """
    kept = LearningResults()
    skipped = _OF_CLUSTERS + _BY_CLUSTER
    for name, value in vars(results).items():
        if name in skipped or value is None:
            continue
        if name in _ROWS or (name == "mean" and mean_is_of_sites(results)):
            value = np.asarray(value).reshape(len(results.loadings), -1)[rows]
            value = value[:, 0] if name == "navigation_mask" else value
        setattr(kept, name, value)
    return kept


def decomposition_results(
    components: Components,
    algorithm: str,
    output_dimension: int | None,
    masks: tuple[Any, Any],
    axes: Any,
) -> LearningResults:
    """A decomposition made here as HyperSpy stores its own.

    Parameters
    ----------
    components : Components
        Components of the sites and pixels that are not masked.
    algorithm : str
    output_dimension : int or None
        If None, the number of factors.
    masks : tuple of numpy.ndarray of bool or None
        Flat masks of sites and of pixels, True = excluded.
    axes : hyperspy.axes.AxesManager

    Returns
    -------
    hyperspy.learn.LearningResults
    """
    results = LearningResults()
    sites, pixels = masks
    results.factors = _expanded(components.factors, pixels)
    results.loadings = _expanded(components.loadings, sites)
    results.mean = components.mean
    results.centre = None if components.mean is None else "navigation"
    results.decomposition_algorithm = algorithm
    results.output_dimension = output_dimension or components.factors.shape[1]
    results.poissonian_noise_normalized = False
    results.unfolded = False
    if components.explained_variance is not None:
        ratio = components.explained_variance_ratio
        results.explained_variance = components.explained_variance
        results.explained_variance_ratio = ratio
    if sites is not None:
        results.navigation_mask = sites.reshape(axes._navigation_shape_in_array)
    if pixels is not None:
        results.signal_mask = pixels.reshape(axes._signal_shape_in_array)
    return results


def update_results(known: LearningResults, results: LearningResults) -> None:
    """Put a decomposition into known results; an earlier unmixing goes, clusters stay."""
    fresh = {k: None for k in vars(LearningResults) if _is_of_decomposition(k)}
    values = {k: v for k, v in vars(results).items() if k not in _OF_CLUSTERS}
    mean, mask = values.get("mean"), values.get("signal_mask")
    if mean is not None and mask is not None:
        mean = np.asarray(mean)
        if mean.size == np.count_nonzero(~np.asarray(mask)):
            values["mean"] = _expanded(mean.reshape(-1, 1), np.ravel(mask))[:, 0]
    vars(known).update(fresh | values)


def check_components(results: LearningResults, components: Any) -> None:
    """Refuse numbers of components that a decomposition does not have."""
    known = results.factors.shape[1]
    if isinstance(components, list) and any(not -known <= each < known for each in components):
        raise ValueError(f"components={shown(components)}: there are {known}, counted from 0.")


def store_clusters(
    signal: SiteSignal,
    found: _clusters.Clusters,
    algorithm: Any,
    values: Any,
    good: NDArray[np.bool_],
    centres_of: Any,
    number_of_components: int | None,
) -> None:
    """
    Fill in members, sums, the site nearest to the centre, and distances of clusters.

    Parameters
    ----------
    signal : SubImageStack
    found : Clusters
    algorithm : str or object
    values : numpy.ndarray or dask.array.Array of shape (m, d)
        Features of the sites that were clustered.
    good : numpy.ndarray of bool, shape (n,)
        Sites that were clustered, m of them.
    centres_of : str or BaseSignal
        Source of the sums and of the sites nearest to the centres.
    number_of_components : int or None
    """
    results = signal.learning_results
    count = len(found.order)
    members = np.zeros((count, len(good)), bool)
    members[:, good] = found.labels == np.arange(count)[:, None]
    distances = np.full((count, len(good)), np.nan)
    centres, between = _clusters.centres_and_distances(values, found)
    distances[:, good] = between.T
    nearest = np.nanargmin(np.where(members, distances, np.inf), axis=1)
    if is_of_hyperspy(centres_of, "signal"):
        rows = rows_of(signal)
        sums, centre_signals = sum_rows(rows, members), rows[nearest]
        if hasattr(centre_signals, "dask"):
            centre_signals = centre_signals.compute()
    elif isinstance(centres_of, str) and centres_of in ("decomposition", "bss"):
        stem = "" if centres_of == "decomposition" else "bss_"
        loadings, factors = (getattr(results, f"{stem}{name}") for name in ("loadings", "factors"))
        if loadings is None:
            raise ValueError(
                f"source_for_centers={centres_of!r}: there is none yet; call "
                "stack.decomposition() first."
            )
        k = number_of_components or factors.shape[1]
        loadings, factors = np.asarray(loadings)[:, :k], np.asarray(factors)[:, :k]
        sums = np.stack([np.nansum(loadings[m], 0) for m in members]) @ factors.T
        centre_signals = loadings[nearest] @ factors.T
    else:
        with naming("source_for_centers"):
            rows = hyperspy_features(signal, centres_of, number_of_components, None)
        sums, centre_signals = np.stack([rows[m].sum(0) for m in members]), rows[nearest]
    stored = (members, sums, centre_signals, distances, centres)
    named = dict(zip(_BY_CLUSTER, stored, strict=True))
    named |= {"cluster_algorithm": name_of(algorithm), "number_of_clusters": count}
    vars(results).update(named)


def store_metric(results: LearningResults, found: NumberOfClusters) -> None:
    """Fill in a number of clusters, and the curve it was chosen from."""
    vars(results).update(
        cluster_metric=found.metric,
        cluster_metric_index=list(found.n_clusters),
        cluster_metric_data=found.values,
        estimated_number_of_clusters=found.best,
    )


def mean_to_add(results: LearningResults, axes: Any) -> NDArray[Any] | None:
    """Subtracted mean in the shape that adds to the data; None if there is none."""
    if results.mean is None:
        return None
    mean = np.asarray(results.mean)
    if mean_is_of_sites(results):
        return mean.reshape(axes._navigation_shape_in_array + (1,) * axes.signal_dimension)
    return mean.reshape(axes._signal_shape_in_array)


def mean_is_of_sites(results: LearningResults) -> bool:
    """Return True if each sub-image had a mean of its own, rather than all the same image."""
    if results.mean is None:
        return False
    mean = np.asarray(results.mean)
    return results.centre == "signal" and mean.ndim > 1 and mean.shape[-1] == 1


def _expanded(values: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Rows without a mask as all rows, NaN where they are masked."""
    if mask is None:
        return values
    full = np.full((len(mask), values.shape[1]), np.nan, values.dtype)
    full[~mask] = values
    return full


def _is_of_decomposition(name: str) -> bool:
    """Return True for a name of HyperSpy's results that belongs to a decomposition."""
    return (
        not name.startswith("_")
        and "cluster" not in name
        and not callable(getattr(LearningResults, name))
    )
