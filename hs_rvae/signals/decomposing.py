# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompositions computed in memory by HyperSpy on a copy, or lazily from blocks."""

import contextlib
from functools import partial
from unittest.mock import patch

import numpy as np

from hs_rvae.learning import decomposition as _decomposition
from hs_rvae.learning import rows as _rows
from hs_rvae.learning import streaming as _streaming
from hs_rvae.options import as_seed, own_copy, seeded
from hs_rvae.progress import progressbar_wanted
from hs_rvae.signals.learning_results import decomposition_results, update_results
from hs_rvae.signals.masks import masks_for_hyperspy, rows_of

# Columns that are written if the number of components is not said.
_COLUMNS_UNASKED = 10
# In memory, and of lazy stacks.
_SOLVERS = (
    (None, "auto", "full", "arpack", "randomized"),
    (None, "randomized", "incremental", "full"),
)
# They subtract the mean of the sites.
_MEAN_FREE = ("PCA", "sklearn_pca", "sparse_pca", "mini_batch_sparse_pca")
# Algorithms in memory that take a seed.
_SEEDED = (
    *("PCA", "SVD", "NMF", "sparse_pca", "mini_batch_sparse_pca"),
    *("ORPCA", "ORNMF", "RPCA", "MLPCA"),
)


def sorted_out(first, algorithm, output_dimension):
    """Whether to scale, the algorithm and the number, if an algorithm may stand in the first place.

    Examples
    --------
    >>> sorted_out("PCA", 8, None), sorted_out(True, None, 3)
    ((False, 'PCA', 8), (True, 'SVD', 3))
    """
    if isinstance(first, bool | np.bool_):
        return bool(first), "SVD" if algorithm is None else algorithm, output_dimension
    if not _is_algorithm(first):
        raise ValueError(
            f"normalize_poissonian_noise={first!r}: give True or False, or an algorithm in its "
            "place."
        )
    if algorithm is None:
        return False, first, output_dimension
    if _is_algorithm(algorithm):
        raise ValueError(
            f"normalize_poissonian_noise={first!r}: give True or False, because "
            f"algorithm={algorithm!r} is given too; there can be one algorithm."
        )
    if output_dimension is not None:
        raise ValueError(
            f"output_dimension={output_dimension!r}: give it once; {algorithm!r} stands in its "
            f"place after {first!r}."
        )
    return False, first, algorithm


def _is_algorithm(value):
    return isinstance(value, str) or hasattr(value, "fit") or hasattr(value, "fit_transform")


def check_decomposition(algorithm, options, svd_solver, lazy):
    """Raise ValueError for options of a decomposition that cannot be used, or not together."""
    for word, value, known in (
        ("centre", options["centre"], (None, "navigation", "signal")),
        ("reproject", options["reproject"], (None, "navigation", "signal", "both")),
        ("svd_solver", svd_solver, _SOLVERS[lazy]),
    ):
        if value not in known:
            names = ", ".join(map(repr, known[:-1]))
            raise ValueError(f"`{word}` must be {names} or {known[-1]!r}, not {value!r}")
    named = name_of(algorithm)
    centred = options["centre"] is not None or named in _MEAN_FREE
    if options["normalize_poissonian_noise"] and centred and named != "SVD":
        raise ValueError(
            f"normalize_poissonian_noise=True cannot be combined with algorithm={named!r}, "
            "which subtracts a mean: take 'SVD' or 'NMF'."
        )


def count_unmasked(axes, masks):
    """Numbers of sites and of pixels that are left to decompose.

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
        size if mask is None else np.count_nonzero(~mask)
        for size, mask in zip((axes.navigation_size, axes.signal_size), masks, strict=True)
    ]
    if 0 in counts:
        raise ValueError(
            "All the data are masked, change the mask: navigation_mask leaves "
            f"{counts[0]} sites, signal_mask {counts[1]} pixels; True = excluded."
        )
    return counts


def is_of_hyperspy(signal, algorithm, options, kwargs):
    """Whether HyperSpy does a lazy decomposition, because it is not written here."""
    return (
        options["normalize_poissonian_noise"]
        or options["reproject"] is not None
        or options["centre"] == "signal"
        or not {"svd_solver", "var_array", "var_func"}.isdisjoint(options)
        or not {"num_chunks", "get"}.isdisjoint(kwargs)
        or (isinstance(algorithm, str) and algorithm not in ("PCA", "SVD", "NMF"))
        or signal.data.dtype.kind == "c"
    )


def decompose_in_memory(signal, algorithm, masks, options, seed, kwargs):
    """HyperSpy's decomposition of a copy: it centres and scales in place, not to the bit."""
    flat = rows_of(signal, masks)
    dtype = flat.dtype if flat.dtype.kind in "fc" else _rows.working_type(flat.dtype)
    named = name_of(algorithm)
    is_name = isinstance(algorithm, str)
    centred = options["centre"] is not None or (is_name and named in _MEAN_FREE)
    if flat.dtype.kind != "c":
        _decomposition.check_values(_rows.summarise(flat), algorithm, centred)
    estimator, kwargs = _prepared(algorithm, seed, kwargs, _SEEDED)
    if is_name and named == "PCA":
        from sklearn.decomposition import PCA

        estimator, kwargs = PCA(options["output_dimension"], **kwargs), {}
    copied = signal._deepcopy_with_new_data(np.array(signal.data, dtype, copy=True))
    wanted = options["return_info"]
    with seeded(as_seed(seed)):
        fitted = copied._hyperspy_decomposition(
            algorithm=estimator,
            **options | {"return_info": wanted or not isinstance(estimator, str)},
            **masks_for_hyperspy(signal.axes_manager, masks),
            **kwargs,
        )
    results = copied.learning_results
    results.decomposition_algorithm = named
    if not isinstance(estimator, str):
        _correct_for_estimator(results, fitted, options["normalize_poissonian_noise"])
    if named == "SVD" and not options["normalize_poissonian_noise"]:
        if flat.dtype.kind != "c":
            total = _rows.mean_square(flat, results.mean)
            results.explained_variance_ratio = results.explained_variance / total
        # The scale stands in the loadings, whichever side was longer.
        norms = np.sqrt(np.nansum(results.factors**2, axis=0))
        norms[norms == 0] = 1
        results.factors, results.loadings = results.factors / norms, results.loadings * norms
    update_results(signal.learning_results, results)
    return fitted if wanted else None


def decompose_lazily(
    signal, algorithm, masks, options, by_hyperspy, seed, show_progressbar, kwargs
):
    """Stream blocks; what is not written here is HyperSpy's, which streams most of it too."""
    k, named = options["output_dimension"], name_of(algorithm)
    is_name = isinstance(algorithm, str)
    if k is None and is_name and options.get("svd_solver") != "full":
        raise ValueError(
            f"`output_dimension` must be specified for {named!r} on a lazy stack: for example "
            f"stack.decomposition({named!r}, output_dimension=8)."
        )
    flat = rows_of(signal, masks)
    centred = options["centre"] == "navigation" or (is_name and named == "PCA")
    with _progress(show_progressbar):
        if signal.data.dtype.kind != "c":
            _decomposition.check_values(_rows.summarise(flat), algorithm, centred)
        if by_hyperspy:
            return _decompose_by_hyperspy(signal, algorithm, masks, options, seed, kwargs)
        if is_name and named in ("PCA", "SVD"):
            sign_of = "factors" if named == "PCA" else "loadings"
            found = _streaming.stream_svd(flat, k, centred, seed, sign_of)
            if named == "SVD":
                found.as_svd(len(flat))
        else:
            estimator, kwargs = _prepared(algorithm, seed, kwargs, ("NMF",))
            if is_name:
                from sklearn.decomposition import NMF

                estimator = NMF(k, **kwargs)
            with seeded(as_seed(seed)):
                found = _streaming.stream_estimator(flat, estimator, random_state=seed)
    centre = "navigation" if found.mean is not None else None
    k = k or found.factors.shape[1]
    results = decomposition_results(found, named, centre, k, masks, signal.axes_manager)
    if found.explained_variance is not None:
        results.number_significant_components = _elbow(signal, results.explained_variance_ratio)
    update_results(signal.learning_results, results)
    return found.estimator if options["return_info"] else None


def _decompose_by_hyperspy(signal, algorithm, masks, options, seed, kwargs):
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


def _elbow(signal, ratio):
    """Number of components before the bend of the scree plot, as HyperSpy counts them."""
    return int(signal.estimate_elbow_position(ratio)) + 1 if len(ratio) > 1 else 1


def write_loadings(sites, loadings, stem, output_dimension):
    """Loadings as columns, in place of those of an earlier decomposition of this name."""
    if sites is None or loadings is None or np.iscomplexobj(loadings):
        return
    count = loadings.shape[1] if output_dimension else min(_COLUMNS_UNASKED, loadings.shape[1])
    loadings = np.asarray(loadings[:, :count])
    columns = {f"{stem}_{i}": loadings[:, i] for i in range(count)}
    gone = [name for name in sites.numbered(stem) if name not in columns]
    sites.set_many(columns, dict.fromkeys(columns, ""), writer="decomposition", remove=gone)


def name_of(algorithm):
    """Name of an algorithm, or of the class of an estimator."""
    return algorithm if isinstance(algorithm, str) else type(algorithm).__name__


def _prepared(algorithm, seed, kwargs, seeded_names):
    """A name with its options, and a seed where it takes one; or a copy of an estimator."""
    if not isinstance(algorithm, str):
        return own_copy(algorithm, seed=seed), kwargs
    if algorithm in seeded_names:
        kwargs = kwargs | {"random_state": as_seed(seed)}
    return algorithm, kwargs


def _correct_for_estimator(results, estimator, normalised):
    """Factors that rebuild the data, and shares of the whole variance."""
    if not normalised:
        factors = _streaming.rebuilding_factors(estimator)
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


@contextlib.contextmanager
def _progress(show_progressbar):
    """Dask's progress bar, as the user or HyperSpy's preference wants it."""
    if not progressbar_wanted(show_progressbar):
        yield
        return
    from dask.diagnostics import ProgressBar

    with ProgressBar():
        yield
