# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Features of the sites of a stack: sub-images, a decomposition, latents, columns, a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.learning import features as _features
from hs_rvae.signals.masks import pixel_mask, rows_of

if TYPE_CHECKING:
    from hyperspy.learn import LearningResults

    from hs_rvae.signals.site_signal import SiteSignal

EMBEDDING = "Sub_images.embedding"


def first_source(signal: SiteSignal, source: Any) -> Any:
    """Choose the given source, or the first available of latents, decomposition and pixels."""
    if source is not None:
        return source
    table = signal.sites
    if table is not None and "latent_0" in table:
        return "rvae"
    return "signal" if signal.learning_results.loadings is None else "decomposition"


def table_features(signal: SiteSignal, source: Any, argument: str) -> np.ndarray:
    """Features of shape (n, d) from columns of the site table, as of `learning.features`."""
    node = signal.metadata.get_item(EMBEDDING)
    embedded = [] if node is None else list(node.columns)
    return _features.table_features(signal.sites, source, argument, embedded)[0]


def loadings_features(
    results: LearningResults, number_of_components: int | None, argument: str
) -> np.ndarray:
    """Loadings of the last decomposition; by default as many as it was asked for."""
    if results.loadings is None:
        raise ValueError(
            f"{argument}='decomposition': there is none yet; call "
            "stack.decomposition('PCA', output_dimension=8) first."
        )
    count = number_of_components or results.output_dimension
    count = count or results.number_significant_components
    return np.asarray(results.loadings)[:, : count or None]


def cluster_features(
    signal: SiteSignal,
    source: Any,
    number_of_components: int | None,
    signal_mask: Any,
    seed: int | None = None,
) -> np.ndarray:
    """
    Features of all sites for clusters.

    Parameters
    ----------
    signal : SubImageStack
    source : str, list of str or BaseSignal
    number_of_components : int or None
    signal_mask : array-like, BaseSignal or None
        Pixels that do not count, of the sub-images or a signal.
    seed : int, optional
        Seed of the principal components that replace the pixels of a lazy stack.

    Returns
    -------
    numpy.ndarray of float, shape (n, d)
    """
    if is_of_hyperspy(source, "bss"):
        return hyperspy_features(signal, source, number_of_components, signal_mask)
    if is_of_hyperspy(source, "decomposition"):
        return loadings_features(signal.learning_results, number_of_components, "cluster_source")
    if is_of_hyperspy(source, "signal"):
        if signal._lazy:  # to estimate a number only
            return _features.pixel_scores(rows_of(signal), seed)
        return _as_float(rows_of(signal, (None, pixel_mask(signal, signal_mask))))
    return table_features(signal, source, "cluster_source")


def is_of_hyperspy(source: Any, *words: str) -> bool:
    """Return True for one of HyperSpy's words; a signal counts as "bss", treated in its way."""
    if hasattr(source, "axes_manager"):
        return "bss" in words
    return isinstance(source, str) and source in words


def hyperspy_features(
    signal: SiteSignal, source: Any, number_of_components: int | None, signal_mask: Any
) -> np.ndarray:
    """Features as HyperSpy takes them from a signal or from unmixing."""
    if isinstance(source, str) and number_of_components is None:
        loadings = signal.learning_results.bss_loadings
        number_of_components = None if loadings is None else loadings.shape[1]
    try:
        values = signal._get_cluster_signal(source, number_of_components, None, signal_mask)
    finally:
        if getattr(source, "unfolded4clustering", False):
            source.fold()
    return _as_float(values.compute() if hasattr(values, "dask") else np.asarray(values))


def _as_float(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind == "f" else values.astype(np.float32)
