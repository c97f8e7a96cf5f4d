# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a decomposition is computed: in memory by HyperSpy on a copy, lazily by streaming blocks."""

import contextlib

import numpy as np

from hs_rvae.parallel import shown
from hs_rvae.signals.learning_results import ResultsMixin
from hs_rvae.signals.masks import MasksMixin

# Columns that are written if the number of components is not said.
_COLUMNS_UNASKED = 10
# They subtract the mean of the sites.
MEAN_FREE = ("PCA", "sklearn_pca", "sparse_pca", "mini_batch_sparse_pca")


class DecomposingMixin(ResultsMixin, MasksMixin):
    """Compute a decomposition whose options have been checked."""

    def _decompose_in_memory(self, algorithm, masks, options, random_state, kwargs):
        """HyperSpy's decomposition of a copy: it centres and scales in place, not to the bit."""
        from hs_rvae import decomposition as rooms

        flat = self._rows_of(self.data, masks)
        dtype = flat.dtype if flat.dtype.kind in "fc" else rooms.working_type(flat.dtype)
        centred = options["centre"] is not None or algorithm in MEAN_FREE
        if flat.dtype.kind != "c":
            rooms.check_values(rooms.summarise(flat), algorithm, centred)
        named, estimator = algorithm, algorithm
        if isinstance(algorithm, str):
            kwargs = _with_random_state(algorithm, random_state, kwargs)
            if algorithm == "PCA":
                from sklearn.decomposition import PCA

                estimator, kwargs = PCA(options["output_dimension"], **kwargs), {}
        else:
            _seed(algorithm, random_state)
            named = type(algorithm).__name__
        copied = self._deepcopy_with_new_data(np.array(self.data, dtype, copy=True))
        wanted = options["return_info"]
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

    def _decompose_lazy(
        self, algorithm, masks, options, solver, random_state, show_progressbar, kwargs
    ):
        """Stream blocks; what is not written here is HyperSpy's, which streams most of it too."""
        from hs_rvae import decomposition as rooms

        k = options["output_dimension"]
        named = algorithm if isinstance(algorithm, str) else type(algorithm).__name__
        if k is None and isinstance(algorithm, str) and solver != "full":
            raise ValueError(
                f"`output_dimension` must be specified for {named!r} on a lazy stack: for example "
                f"stack.decomposition({named!r}, output_dimension=8)."
            )
        special = options["normalize_poissonian_noise"] or options["reproject"] is not None
        special |= options["centre"] == "signal" or solver is not None
        special |= not {"var_array", "var_func"}.isdisjoint(options)
        special |= not {"num_chunks", "get"}.isdisjoint(kwargs)
        streamed = not isinstance(algorithm, str) or algorithm in ("PCA", "SVD", "NMF")
        special |= self.data.dtype.kind == "c"
        flat = self._rows_of(self.data, masks)
        centred = options["centre"] == "navigation" or algorithm == "PCA"
        with _progress(show_progressbar):
            if self.data.dtype.kind != "c":
                rooms.check_values(rooms.summarise(flat), algorithm, centred)
            if special or not streamed:
                if isinstance(algorithm, str):
                    kwargs = _with_random_state(algorithm, random_state, kwargs)
                return self._decompose_by_hyperspy(algorithm, masks, options, solver, kwargs)
            if named in ("PCA", "SVD") and isinstance(algorithm, str):
                if kwargs:
                    raise TypeError(
                        f"{named} of a lazy stack takes no {', '.join(kwargs)}: the exact solution "
                        "has no such options."
                    )
                sign_of = "factors" if named == "PCA" else "loadings"
                found = rooms.stream_svd(flat, k, centred, random_state, sign_of)
                if named == "SVD":
                    found.as_svd(len(flat))
            else:
                estimator = algorithm
                if isinstance(algorithm, str):
                    from sklearn.decomposition import NMF

                    kwargs = _with_random_state(algorithm, random_state, kwargs)
                    estimator = NMF(k, **kwargs)
                else:
                    _seed(estimator, random_state)
                found = rooms.stream_estimator(flat, estimator, random_state=random_state)
        centre = "navigation" if found.mean is not None else None
        k = k or found.factors.shape[1]
        self._fill_decomposition(found, named, centre, k, masks)
        return found.estimator if options["return_info"] else None

    def _decompose_by_hyperspy(self, algorithm, masks, options, solver, kwargs):
        """HyperSpy's lazy decomposition, on a copy that holds the same blocks."""
        copied = self._deepcopy_with_new_data(self.data)
        if copied.data.dtype.kind not in "fc":
            copied.data = copied.data.astype(np.float32)
        info = super(DecomposingMixin, copied).decomposition(
            algorithm=algorithm,
            **options,
            **self._masks_for_hyperspy(masks),
            **({} if solver is None else {"svd_solver": solver}),
            **kwargs,
        )
        results = copied.learning_results
        if not isinstance(algorithm, str):
            results.decomposition_algorithm = type(algorithm).__name__
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


def _with_random_state(algorithm, random_state, kwargs):
    """Options of a named algorithm, with the seed where it takes one."""
    takes = ("PCA", "NMF", "sparse_pca", "mini_batch_sparse_pca", "ORPCA", "RPCA")
    if random_state is None or "random_state" in kwargs or algorithm not in takes:
        return kwargs
    return kwargs | {"random_state": _as_seed(random_state)}


def _seed(estimator, random_state):
    """Give an estimator the seed, if one is asked for and it takes one."""
    if random_state is not None and hasattr(estimator, "random_state"):
        estimator.random_state = _as_seed(random_state)


def _as_seed(random_state):
    """scikit-learn takes no generators of NumPy."""
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return random_state


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
