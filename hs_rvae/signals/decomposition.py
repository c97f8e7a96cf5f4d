# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompositions computed in memory by HyperSpy on a copy, or lazily from blocks."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from hs_rvae.learning import decomposition as _decomposition
from hs_rvae.learning import rows as _rows
from hs_rvae.learning import streaming as _streaming
from hs_rvae.learning.algorithms import name_of
from hs_rvae.options import as_seed, own_copy, seeded
from hs_rvae.progress import dask_progress_bar
from hs_rvae.signals.learning_results import decomposition_results, update_results
from hs_rvae.signals.masks import Mask, masks_for_hyperspy, rows_of
from hs_rvae.threads import one_thread

# Algorithms in memory that take a seed.
_SEEDED = (
    *("PCA", "SVD", "NMF", "sparse_pca", "mini_batch_sparse_pca"),
    *("ORPCA", "ORNMF", "RPCA", "MLPCA"),
)


def count_unmasked(axes: Any, masks: tuple[Mask, Mask]) -> list[int]:
    """
    Numbers of sites and of pixels that are not masked.

    Raises
    ------
    ValueError
        If there are none, or only one site.
    """
    if axes.navigation_size < 2:
        raise ValueError(
            "It is not possible to decompose a dataset with navigation_size < 2: it has one "
            "site only."
        )
    counts = [
        size if mask is None else int(np.count_nonzero(~mask))
        for size, mask in zip((axes.navigation_size, axes.signal_size), masks, strict=True)
    ]
    if 0 in counts:
        raise ValueError(
            "All the data are masked, change the mask: navigation_mask leaves "
            f"{counts[0]} sites, signal_mask {counts[1]} pixels; True = excluded."
        )
    return counts


def is_of_hyperspy(
    signal: Any, algorithm: Any, options: dict[str, Any], kwargs: dict[str, Any]
) -> bool:
    """Return True if HyperSpy does a lazy decomposition, because the package has no other."""
    return (
        options["normalize_poissonian_noise"]
        or options["reproject"] is not None
        or options["centre"] == "signal"
        or not {"svd_solver", "var_array", "var_func"}.isdisjoint(options)
        or not set(_decomposition.OF_BLOCKS).isdisjoint(kwargs)
        or (isinstance(algorithm, str) and algorithm not in ("PCA", "SVD", "NMF"))
        or signal.data.dtype.kind == "c"
    )


@one_thread()
def decompose_in_memory(
    signal: Any,
    algorithm: Any,
    masks: tuple[Mask, Mask],
    options: dict[str, Any],
    seed: int | None,
    kwargs: dict[str, Any],
) -> Any:
    """HyperSpy's decomposition of a copy, because its centring and scaling leave rounding."""
    rows = rows_of(signal, masks)
    is_complex = rows.dtype.kind == "c"
    dtype = rows.dtype if rows.dtype.kind in "fc" else _rows.working_type(rows.dtype)
    name, scaled = name_of(algorithm), options["normalize_poissonian_noise"]
    if not is_complex:
        centred = _decomposition.is_centred(algorithm, options["centre"])
        _decomposition.check_values(_rows.summarise(rows), algorithm, centred)
    estimator, kwargs = _prepared(algorithm, seed, kwargs, _SEEDED)
    if estimator == "PCA":
        from sklearn.decomposition import PCA

        estimator, kwargs = PCA(options["output_dimension"], **kwargs), {}
    is_estimator = not isinstance(estimator, str)
    copied = signal._deepcopy_with_new_data(np.array(signal.data, dtype, copy=True))
    with seeded(as_seed(seed)):
        fitted = copied._hyperspy_decomposition(
            algorithm=estimator,
            **options | {"return_info": options["return_info"] or is_estimator},
            **masks_for_hyperspy(signal.axes_manager, masks),
            **kwargs,
        )
    results = copied.learning_results
    results.decomposition_algorithm = name
    if is_estimator:
        _correct_for_estimator(results, fitted, scaled)
    if name == "SVD" and not scaled:
        if not is_complex:
            total = _rows.mean_square(rows, results.mean)
            results.explained_variance_ratio = results.explained_variance / total
        # The scale stands in the loadings, whichever side was longer.
        norms = np.sqrt(np.nansum(results.factors**2, axis=0))
        norms[norms == 0] = 1
        results.factors, results.loadings = results.factors / norms, results.loadings * norms
    update_results(signal.learning_results, results)
    return fitted if options["return_info"] else None


@one_thread()
def decompose_lazily(
    signal: Any,
    algorithm: Any,
    masks: tuple[Mask, Mask],
    options: dict[str, Any],
    by_hyperspy: bool,
    seed: int | None,
    show_progressbar: bool | None,
    kwargs: dict[str, Any],
) -> Any:
    """Decompose blocks one after another, by the package or by HyperSpy."""
    k, name = options["output_dimension"], name_of(algorithm)
    is_name = isinstance(algorithm, str)
    if k is None and is_name and options.get("svd_solver") != "full":
        raise ValueError(
            f"`output_dimension` must be specified for {name!r} on a lazy stack: for example "
            f"stack.decomposition({name!r}, output_dimension=8)."
        )
    rows = rows_of(signal, masks)
    centred = options["centre"] == "navigation" or (is_name and name == "PCA")
    with dask_progress_bar(show_progressbar):
        if signal.data.dtype.kind != "c":
            _decomposition.check_values(_rows.summarise(rows), algorithm, centred)
        if by_hyperspy:
            return _decompose_by_hyperspy(signal, algorithm, masks, options, seed, kwargs)
        if is_name and name in ("PCA", "SVD"):
            found = _streaming.stream_svd(rows, k, centred, seed, as_svd=name == "SVD")
        else:
            estimator, kwargs = _prepared(algorithm, seed, kwargs, ("NMF",))
            if is_name:
                from sklearn.decomposition import NMF

                estimator = NMF(k, **kwargs)
            with seeded(as_seed(seed)):
                found = _streaming.stream_estimator(rows, estimator, random_state=seed)
    results = decomposition_results(found, name, k, masks, signal.axes_manager)
    if found.explained_variance is not None:
        ratio = results.explained_variance_ratio
        elbow = int(signal.estimate_elbow_position(ratio)) if len(ratio) > 1 else 0
        results.number_significant_components = elbow + 1
    update_results(signal.learning_results, results)
    return found.estimator if options["return_info"] else None


def _decompose_by_hyperspy(
    signal: Any,
    algorithm: Any,
    masks: tuple[Mask, Mask],
    options: dict[str, Any],
    seed: int | None,
    kwargs: dict[str, Any],
) -> Any:
    """HyperSpy's lazy decomposition, on a copy that holds the same blocks."""
    import dask.array as da

    copied = signal._deepcopy_with_new_data(signal.data)
    if copied.data.dtype.kind not in "fc":
        copied.data = copied.data.astype(np.float32)
    estimator, kwargs = _prepared(algorithm, seed, kwargs, ("NMF", "ORPCA", "ORNMF"))
    seed = as_seed(seed)
    # HyperSpy gives dask's compressed SVD no seed.
    compressed = partial(da.linalg.svd_compressed, seed=da.random.default_rng(seed))
    with seeded(seed), patch.object(da.linalg, "svd_compressed", compressed):
        info = copied._hyperspy_decomposition(
            algorithm=estimator,
            **options,
            **masks_for_hyperspy(signal.axes_manager, masks),
            **kwargs,
        )
    results = copied.learning_results
    results.decomposition_algorithm = name_of(algorithm)
    update_results(signal.learning_results, results)
    return info


def _prepared(
    algorithm: Any, seed: int | None, kwargs: dict[str, Any], seeded_names: Collection[str]
) -> tuple[Any, dict[str, Any]]:
    """Name with its options, and a seed where it takes one; or a copy of an estimator."""
    if not isinstance(algorithm, str):
        return own_copy(algorithm, seed=seed), kwargs
    if algorithm in seeded_names:
        kwargs = kwargs | {"random_state": as_seed(seed)}
    return algorithm, kwargs


def _correct_for_estimator(results: Any, estimator: Any, scaled: bool) -> None:
    """Set factors that rebuild the data, and shares of the whole variance."""
    if not scaled:
        factors = _decomposition.rebuilding_factors(estimator)
        count = results.factors.shape[1]
        mask = results.signal_mask
        if mask is not None and len(results.factors) == mask.size:
            full = np.full((mask.size, factors.shape[1]), np.nan, factors.dtype)
            full[~mask.ravel()] = factors
            factors = full
        results.factors = factors[:, :count]
    ratio = getattr(estimator, "explained_variance_ratio_", None)
    if ratio is not None:
        results.explained_variance_ratio = ratio
    if results.mean is not None:
        results.centre = "navigation"
