# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a decomposition is computed: in memory by HyperSpy on a copy, lazily by streaming blocks."""

import contextlib
from functools import partial
from unittest.mock import patch

import numpy as np

from hs_rvae.options import as_seed, own_copy, seeded
from hs_rvae.progress import progressbar_wanted as shown
from hs_rvae.signals.learning_results import ResultsMixin
from hs_rvae.signals.masks import MasksMixin

# Columns that are written if the number of components is not said.
_COLUMNS_UNASKED = 10
# They subtract the mean of the sites.
MEAN_FREE = ("PCA", "sklearn_pca", "sparse_pca", "mini_batch_sparse_pca")
# Algorithms in memory that take a seed.
_SEEDED = (
    *("PCA", "SVD", "NMF", "sparse_pca", "mini_batch_sparse_pca"),
    *("ORPCA", "ORNMF", "RPCA", "MLPCA"),
)


class DecomposingMixin(ResultsMixin, MasksMixin):
    """Compute a decomposition whose options have been checked."""

    def _decompose_in_memory(self, algorithm, masks, options, seed, kwargs):
        """HyperSpy's decomposition of a copy: it centres and scales in place, not to the bit."""
        from hs_rvae import decomposition as rooms

        flat = self._rows_of(self.data, masks)
        dtype = flat.dtype if flat.dtype.kind in "fc" else rooms.working_type(flat.dtype)
        named = _name_of(algorithm)
        is_name = isinstance(algorithm, str)
        centred = options["centre"] is not None or (is_name and named in MEAN_FREE)
        if flat.dtype.kind != "c":
            rooms.check_values(rooms.summarise(flat), algorithm, centred)
        estimator, kwargs = _prepared(algorithm, seed, kwargs, _SEEDED)
        if is_name and named == "PCA":
            from sklearn.decomposition import PCA

            estimator, kwargs = PCA(options["output_dimension"], **kwargs), {}
        copied = self._deepcopy_with_new_data(np.array(self.data, dtype, copy=True))
        wanted = options["return_info"]
        with seeded(as_seed(seed)):
            fitted = super(DecomposingMixin, copied).decomposition(
                algorithm=estimator,
                **options | {"return_info": wanted or not isinstance(estimator, str)},
                **self._masks_for_hyperspy(masks),
                **kwargs,
            )
        results = copied.learning_results
        results.decomposition_algorithm = named
        if not isinstance(estimator, str):
            _correct_for_estimator(results, fitted, options["normalize_poissonian_noise"])
        if named == "SVD" and not options["normalize_poissonian_noise"]:
            if flat.dtype.kind != "c":
                total = rooms.mean_square(flat, results.mean)
                results.explained_variance_ratio = results.explained_variance / total
            # The scale stands in the loadings, whichever side was longer.
            norms = np.sqrt(np.nansum(results.factors**2, axis=0))
            norms[norms == 0] = 1
            results.factors, results.loadings = results.factors / norms, results.loadings * norms
        self._update_results(results)
        return fitted if wanted else None

    def _is_hyperspys(self, algorithm, options, kwargs):
        """Whether HyperSpy does a lazy decomposition, because it is not written here."""
        return (
            options["normalize_poissonian_noise"]
            or options["reproject"] is not None
            or options["centre"] == "signal"
            or not {"svd_solver", "var_array", "var_func"}.isdisjoint(options)
            or not {"num_chunks", "get"}.isdisjoint(kwargs)
            or (isinstance(algorithm, str) and algorithm not in ("PCA", "SVD", "NMF"))
            or self.data.dtype.kind == "c"
        )

    def _decompose_lazy(
        self, algorithm, masks, options, by_hyperspy, seed, show_progressbar, kwargs
    ):
        """Stream blocks; what is not written here is HyperSpy's, which streams most of it too."""
        from hs_rvae import decomposition as rooms

        k, named = options["output_dimension"], _name_of(algorithm)
        is_name = isinstance(algorithm, str)
        if k is None and is_name and options.get("svd_solver") != "full":
            raise ValueError(
                f"`output_dimension` must be specified for {named!r} on a lazy stack: for example "
                f"stack.decomposition({named!r}, output_dimension=8)."
            )
        flat = self._rows_of(self.data, masks)
        centred = options["centre"] == "navigation" or (is_name and named == "PCA")
        with _progress(show_progressbar):
            if self.data.dtype.kind != "c":
                rooms.check_values(rooms.summarise(flat), algorithm, centred)
            if by_hyperspy:
                return self._decompose_by_hyperspy(algorithm, masks, options, seed, kwargs)
            if is_name and named in ("PCA", "SVD"):
                sign_of = "factors" if named == "PCA" else "loadings"
                found = rooms.stream_svd(flat, k, centred, seed, sign_of)
                if named == "SVD":
                    found.as_svd(len(flat))
            else:
                estimator, kwargs = _prepared(algorithm, seed, kwargs, ("NMF",))
                if is_name:
                    from sklearn.decomposition import NMF

                    estimator = NMF(k, **kwargs)
                with seeded(as_seed(seed)):
                    found = rooms.stream_estimator(flat, estimator, random_state=seed)
        centre = "navigation" if found.mean is not None else None
        k = k or found.factors.shape[1]
        self._fill_decomposition(found, named, centre, k, masks)
        return found.estimator if options["return_info"] else None

    def _decompose_by_hyperspy(self, algorithm, masks, options, seed, kwargs):
        """HyperSpy's lazy decomposition, on a copy that holds the same blocks."""
        import dask.array as da

        copied = self._deepcopy_with_new_data(self.data)
        if copied.data.dtype.kind not in "fc":
            copied.data = copied.data.astype(np.float32)
        estimator, kwargs = _prepared(algorithm, seed, kwargs, ("NMF", "ORPCA", "ORNMF"))
        seed = as_seed(seed)
        # HyperSpy gives dask's compressed SVD no seed.
        compressed = partial(da.linalg.svd_compressed, seed=da.random.default_rng(seed))
        with seeded(seed), patch.object(da.linalg, "svd_compressed", compressed):
            info = super(DecomposingMixin, copied).decomposition(
                algorithm=estimator, **options, **self._masks_for_hyperspy(masks), **kwargs
            )
        results = copied.learning_results
        results.decomposition_algorithm = _name_of(algorithm)
        self._update_results(results)
        return info

    def _write_loadings(self, stem, output_dimension):
        """Loadings as columns, in place of those of an earlier decomposition of this name."""
        sites, loadings = self.sites, self.learning_results.loadings
        if sites is None or loadings is None or np.iscomplexobj(loadings):
            return
        count = loadings.shape[1] if output_dimension else min(_COLUMNS_UNASKED, loadings.shape[1])
        loadings = np.asarray(loadings[:, :count])
        columns = {f"{stem}_{i}": loadings[:, i] for i in range(count)}
        gone = [name for name in sites.numbered(stem) if name not in columns]
        sites.set_many(columns, dict.fromkeys(columns, ""), writer="decomposition", remove=gone)


def _name_of(algorithm):
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
    from hs_rvae.decomposition import rebuilding_factors

    if not normalised:
        factors = rebuilding_factors(estimator)
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
    if not shown(show_progressbar):
        yield
        return
    from dask.diagnostics import ProgressBar

    with ProgressBar():
        yield
