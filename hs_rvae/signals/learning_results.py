# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""HyperSpy's ``learning_results``: how they follow the sites, and what is filled in.

The one place that touches how they are kept. HyperSpy (2.4, 2.5) drops them when sites are chosen,
keeps them unchanged when a stack is cropped in place, and leaves dask arrays in them after lazy
loading.
"""

import numpy as np
from hyperspy.learn import LearningResults

from hs_rvae.stores import guarded

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


class ResultsMixin:
    """Results of decompositions follow the sites of a stack."""

    def _load_dictionary(self, file_data_dict):
        super()._load_dictionary(file_data_dict)
        # Straight from a file: what is made from it later needs no other guard.
        if hasattr(self.data, "dask") and len(self.data.dask.layers) <= 2:
            self.data = guarded(self.data)
        # HyperSpy's figures cannot draw what a lazily loaded file leaves.
        for name, value in vars(self.learning_results).items():
            if hasattr(value, "dask"):
                setattr(self.learning_results, name, value.compute())

    def _site_numbers(self):
        """A signal with the number of each site, to be sliced as the stack is."""
        from hyperspy.signals import BaseSignal

        axes = self.axes_manager
        numbers = np.arange(max(axes.navigation_size, 1)).reshape(
            axes._navigation_shape_in_array or (1,)
        )
        signal = BaseSignal(numbers).T if axes.navigation_dimension else BaseSignal(numbers)
        for own, axis in zip(
            axes.navigation_axes, signal.axes_manager.navigation_axes, strict=False
        ):
            axis.scale, axis.offset, axis.units = own.scale, own.offset, own.units
        return signal

    def _hand_results_to(self, other, rows):
        """Give `other`, some of the sites, the decomposition of these; clusters are left out."""
        own = self.learning_results
        if own.loadings is None:
            return
        kept = LearningResults()
        skipped = _OF_CLUSTERS + _MORE_OF_CLUSTERS
        for name, value in vars(own).items():
            if name in skipped or value is None:
                continue
            of_sites = name in _ROWS or (name == "mean" and mean_is_of_sites(own))
            if of_sites:
                value = np.asarray(value).reshape(len(own.loadings), -1)[rows]
                value = value[:, 0] if name == "navigation_mask" else value
            setattr(kept, name, value)
        other.learning_results = kept

    def _drop_results(self):
        """Forget results that do not belong to the sub-images any more."""
        self.learning_results = LearningResults()

    def _fill_decomposition(self, components, algorithm, centre, output_dimension, masks):
        """Store a decomposition made here as HyperSpy stores its own.

        Parameters
        ----------
        components : Components
            Of the sites and pixels that are not masked.
        algorithm : str
        centre : str or None
        output_dimension : int
        masks : tuple of numpy.ndarray of bool or None
            Flat masks of sites and of pixels, True = excluded.
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
            results.number_significant_components = self._elbow(ratio)
        axes = self.axes_manager
        if sites is not None:
            results.navigation_mask = sites.reshape(axes._navigation_shape_in_array)
        if pixels is not None:
            results.signal_mask = pixels.reshape(axes._signal_shape_in_array)
        self._update_results(results)

    def _elbow(self, ratio):
        """Number of components before the bend of the scree plot, as HyperSpy counts them."""
        return int(self.estimate_elbow_position(ratio)) + 1 if len(ratio) > 1 else 1

    def _update_results(self, results):
        """Take over a decomposition; the unmixing of an earlier one goes, clusters stay."""
        fresh = {k: None for k in vars(LearningResults) if _is_of_decomposition(k)}
        values = {k: v for k, v in vars(results).items() if k not in _OF_CLUSTERS}
        mean, mask = values.get("mean"), values.get("signal_mask")
        if mean is not None and mask is not None:
            mean = np.asarray(mean)
            if mean.size == np.count_nonzero(~np.asarray(mask)):
                values["mean"] = _expanded(mean.reshape(-1, 1), np.ravel(mask))[:, 0]
        vars(self.learning_results).update(fresh | values)

    def _mean_of_model(self):
        """The mean that was subtracted, in the shape that adds to the data; None if none."""
        results = self.learning_results
        if results.mean is None:
            return None
        mean, axes = np.asarray(results.mean), self.axes_manager
        if mean_is_of_sites(results):
            return mean.reshape(axes._navigation_shape_in_array + (1,) * axes.signal_dimension)
        return mean.reshape(axes._signal_shape_in_array)


def mean_is_of_sites(results):
    """Whether each sub-image had a mean of its own, rather than all the same image."""
    if results.mean is None:
        return False
    mean = np.asarray(results.mean)
    return results.centre == "signal" and mean.ndim > 1 and mean.shape[-1] == 1


def _expanded(values, mask):
    """Rows of what is not masked, with NaN where it is."""
    if mask is None:
        return values
    full = np.full((len(mask), values.shape[1]), np.nan, values.dtype)
    full[~mask] = values
    return full


def _is_of_decomposition(name):
    """Whether a name of HyperSpy's results belongs to a decomposition, not to clusters."""
    return (
        not name.startswith("_")
        and "cluster" not in name
        and not callable(getattr(LearningResults, name))
    )
