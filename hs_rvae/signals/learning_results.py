# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""HyperSpy's ``learning_results``: how they follow the sites, and what is filled in.

The one place that touches how they are kept. HyperSpy (2.4, 2.5) drops them when sites are chosen,
keeps them unchanged when a stack is cropped in place, and leaves dask arrays in them after lazy
loading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.learn import LearningResults
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hs_rvae.learning.streaming import Components

# With one row, or one column, per site.
_ROWS = ("loadings", "bss_loadings", "navigation_mask")
# Sums and centres of clusters hold for the sites that they were made from.
_OF_CLUSTERS = tuple(name for name in vars(LearningResults) if name.startswith("cluster_"))
_OF_CLUSTERS += ("number_of_clusters", "estimated_number_of_clusters")
_MORE_OF_CLUSTERS = (
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
    skipped = _OF_CLUSTERS + _MORE_OF_CLUSTERS
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
    centre: str | None,
    output_dimension: int,
    masks: tuple[Any, Any],
    axes: Any,
) -> LearningResults:
    """A decomposition made here as HyperSpy stores its own.

    Parameters
    ----------
    components : Components
        Of the sites and pixels that are not masked.
    algorithm : str
    centre : str or None
    output_dimension : int
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
    results.centre = centre
    results.decomposition_algorithm = algorithm
    results.output_dimension = output_dimension
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


def mean_to_add(results: LearningResults, axes: Any) -> NDArray[Any] | None:
    """The mean that was subtracted, in the shape that adds to the data; None if none."""
    if results.mean is None:
        return None
    mean = np.asarray(results.mean)
    if mean_is_of_sites(results):
        return mean.reshape(axes._navigation_shape_in_array + (1,) * axes.signal_dimension)
    return mean.reshape(axes._signal_shape_in_array)


def mean_is_of_sites(results: LearningResults) -> bool:
    """Whether each sub-image had a mean of its own, rather than all the same image."""
    if results.mean is None:
        return False
    mean = np.asarray(results.mean)
    return results.centre == "signal" and mean.ndim > 1 and mean.shape[-1] == 1


def _expanded(values: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Rows of what is not masked, with NaN where it is."""
    if mask is None:
        return values
    full = np.full((len(mask), values.shape[1]), np.nan, values.dtype)
    full[~mask] = values
    return full


def _is_of_decomposition(name: str) -> bool:
    """Whether a name of HyperSpy's results belongs to a decomposition, not to clusters."""
    return (
        not name.startswith("_")
        and "cluster" not in name
        and not callable(getattr(LearningResults, name))
    )
