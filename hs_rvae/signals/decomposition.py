# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decomposition of a stack, under HyperSpy's verb, without HyperSpy 2.5 changing the data."""

import contextlib
import logging
import re

import numpy as np
from hyperspy.api import preferences

from hs_rvae.signals.learning_results import ResultsMixin

_logger = logging.getLogger(__name__)

# Columns that are written if the number of components is not said.
_COLUMNS_UNASKED = 10
_MEAN_FREE = ("PCA", "sklearn_pca", "sparse_pca", "mini_batch_sparse_pca")


class DecompositionMixin(ResultsMixin):
    """Linear decompositions of the sub-images."""

    def decomposition(
        self,
        normalize_poissonian_noise=False,
        algorithm="SVD",
        output_dimension=None,
        centre=None,
        auto_transpose=True,
        navigation_mask=None,
        signal_mask=None,
        var_array=None,
        var_func=None,
        reproject=None,
        return_info=False,
        print_info=False,
        svd_solver=None,
        *,
        random_state=None,
        show_progressbar=None,
        **kwargs,
    ):
        """Decompose the sub-images into a few factors, images too, that add up to them.

        HyperSpy's :meth:`~hyperspy.api.signals.BaseSignal.decomposition`, with these differences:
        the data never change, integer data are taken (as float32 or float64), ``"PCA"``,
        ``"SVD"`` and ``"NMF"`` mean the same for eager and lazy stacks, and the loadings also
        become columns of :attr:`sites`: ``pca_0``, ``pca_1`` ..., ``nmf_0`` ... All else that
        HyperSpy offers works on the results: ``plot_decomposition_factors``,
        ``get_decomposition_loadings``, ``get_decomposition_model``, ``plot_scree_plot`` ...

        Parameters
        ----------
        normalize_poissonian_noise : bool
            Scale the data for noise that goes as counts first; not with a mean (``"PCA"``,
            `centre`). A name or estimator in this first place is the `algorithm`, a number after
            it the `output_dimension`: ``stack.decomposition("PCA", 8)``.
        algorithm : str or object
            ``"PCA"`` (``"sklearn_pca"`` means the same): components of the deviations from the
            mean sub-image. ``"SVD"``: without subtracting the mean. ``"NMF"``: nothing negative.
            ``"ORPCA"``, ``"ORNMF"``; in memory also ``"sparse_pca"``,
            ``"mini_batch_sparse_pca"``, ``"MLPCA"``, ``"RPCA"``. Or an estimator of
            scikit-learn with ``components_``.
        output_dimension : int, optional
            Number of components. None: all, of which the first ten become columns; lazy stacks
            need a number.
        centre : {None, "navigation", "signal"}
            What ``"SVD"`` subtracts first: the mean sub-image, or the mean of each one.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = excluded: NaN in loadings and columns.
        signal_mask : numpy.ndarray of bool, shape (n_rows, n_columns), or BaseSignal, optional
            Pixels, in the order of the data; True = excluded: NaN in the factors.
        auto_transpose, var_array, var_func, reproject
            As in HyperSpy.
        return_info : bool
            Return the estimator (or what HyperSpy returns).
        print_info : bool
            Print what was done; it is logged in any case.
        svd_solver : str, optional
            As in HyperSpy. None: HyperSpy's ``"auto"`` in memory; for lazy stacks exact, from one
            matrix of all pixels (see Notes).
        random_state : int, numpy.random.Generator or None
            Seed of algorithms and subsets that are random.
        show_progressbar : bool, optional
            Of lazy stacks. None follows HyperSpy's preference.
        **kwargs
            To the algorithm.

        Returns
        -------
        object or None
            See `return_info`.

        Raises
        ------
        ValueError
            If algorithm, number of components or masks are not usable, sites have pixels that are
            not finite, all sub-images are the same, or ``"NMF"`` gets negative values.
        NotImplementedError
            If the algorithm needs the stack in memory.

        Notes
        -----
        A lazy stack is read block by block, once to check its values. PCA and SVD read it twice
        more and are exact (of windows beyond 64 x 64 px: ten times more, by dask's compressed
        SVD). NMF, and estimators without ``partial_fit``, are fitted to a random subset of at most
        20,000 sites, estimators with ``partial_fit`` to all blocks in turn; then all sites are
        projected. ORPCA and ORNMF are HyperSpy's work, which has progress bars of its own.

        The explained variance ratio is the share of the variance of the data (in HyperSpy, of the
        components that were kept).

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=32)
        >>> stack.decomposition("PCA", output_dimension=3, random_state=0)
        >>> [name for name in stack.sites.columns if name.startswith("pca")]
        ['pca_0', 'pca_1', 'pca_2']
        >>> stack.get_decomposition_model().data.shape == stack.data.shape
        True
        """
        from hs_rvae import decomposition as rooms

        if not isinstance(normalize_poissonian_noise, bool | np.bool_):
            first = normalize_poissonian_noise
            if not isinstance(algorithm, str):
                output_dimension = algorithm
            algorithm, normalize_poissonian_noise = first, False
        rooms.check_algorithm(algorithm, self._lazy)
        if isinstance(algorithm, str) and algorithm == "sklearn_pca":
            algorithm = "PCA"
        for word, value, known in (
            ("centre", centre, (None, "navigation", "signal")),
            ("reproject", reproject, (None, "navigation", "signal", "both")),
        ):
            if value not in known:
                names = ", ".join(map(repr, known[:-1]))
                raise ValueError(f"`{word}` must be {names} or {known[-1]!r}, not {value!r}")
        if self.axes_manager.navigation_size < 2:
            raise ValueError(
                "It is not possible to decompose a dataset with navigation_size < 2: it has one "
                "site only."
            )
        name = algorithm if isinstance(algorithm, str) else type(algorithm).__name__
        centred = centre is not None or name in _MEAN_FREE
        if normalize_poissonian_noise and centred and name != "SVD":
            raise ValueError(
                f"normalize_poissonian_noise=True cannot be combined with algorithm={name!r}, "
                "which subtracts a mean: take 'SVD' or 'NMF'."
            )
        masks = self._flat_masks(navigation_mask, signal_mask)
        axes = self.axes_manager
        counts = [
            size if mask is None else np.count_nonzero(~mask)
            for size, mask in zip((axes.navigation_size, axes.signal_size), masks, strict=True)
        ]
        if 0 in counts:
            raise ValueError("All the data are masked, change the mask.")
        rooms.check_dimension(output_dimension, *counts)
        options = {
            "normalize_poissonian_noise": bool(normalize_poissonian_noise),
            "output_dimension": output_dimension,
            "centre": centre,
            "auto_transpose": auto_transpose,
            "reproject": reproject,
            "return_info": return_info,
            "print_info": print_info,
        }
        if self._lazy:
            # HyperSpy hands these on to any algorithm, even if they are None.
            given = {"var_array": var_array, "var_func": var_func}
            options |= {k: v for k, v in given.items() if v is not None}
            info = self._decompose_lazy(
                algorithm, masks, options, svd_solver, random_state, show_progressbar, kwargs
            )
        else:
            options |= {"var_array": var_array, "var_func": var_func}
            options["svd_solver"] = svd_solver or "auto"
            info = self._decompose_in_memory(algorithm, masks, options, random_state, kwargs)
        _logger.info(
            "%s: %d components of %d sites, %d pixels each.",
            name, self.learning_results.factors.shape[1], *counts,
        )  # fmt: skip
        self._write_loadings(rooms.column_stem(algorithm), output_dimension)
        return info

    def get_decomposition_model(self, components=None, chunks="auto", lazy_output=None):
        """Sub-images as some components of the decomposition, and the mean, make them.

        Parameters
        ----------
        components : int or list of int, optional
            So many components, or these; None = all.
        chunks, lazy_output
            As in HyperSpy.

        Returns
        -------
        SubImageStack or LazySubImageStack

        Examples
        --------
        >>> stack.get_decomposition_model(3)  # doctest: +SKIP
        """
        results = self.learning_results
        if results.factors is None:
            raise RuntimeError("No decomposition yet: call stack.decomposition('PCA').")
        mean, kept = self._mean_of_model(), results.mean
        # HyperSpy 2.5 takes any mean for one value per site.
        results.mean = None
        try:
            model = super().get_decomposition_model(components, chunks, lazy_output)
        finally:
            results.mean = kept
        if mean is not None:
            model.data = model.data + mean
            model.learning_results.mean = kept
        return model

    # Masks -------------------------------------------------------------------

    def _flat_masks(self, navigation_mask, signal_mask):
        """Flat masks of sites and pixels, True = excluded; None where there is none."""
        axes = self.axes_manager
        return (
            _flat_mask(
                "navigation_mask",
                navigation_mask,
                axes._navigation_shape_in_array,
                axes.navigation_shape,
                "signal",
            ),
            _flat_mask(
                "signal_mask",
                signal_mask,
                axes._signal_shape_in_array,
                axes._signal_shape_in_array,
                "navigation",
            ),
        )

    def _masks_for_hyperspy(self, masks):
        """The same masks as signals, whose orientation HyperSpy cannot mistake."""
        from hyperspy.signals import BaseSignal

        axes, given = self.axes_manager, {}
        if masks[0] is not None:
            given["navigation_mask"] = BaseSignal(masks[0].reshape(axes._navigation_shape_in_array))
            given["navigation_mask"] = given["navigation_mask"].T
        if masks[1] is not None:
            given["signal_mask"] = BaseSignal(masks[1].reshape(axes._signal_shape_in_array))
        return given

    # Work --------------------------------------------------------------------

    def _decompose_in_memory(self, algorithm, masks, options, random_state, kwargs):
        """HyperSpy's decomposition of a copy: it centres and scales in place, not to the bit."""
        from hs_rvae import decomposition as rooms

        flat = self._rows_of(self.data, masks)
        dtype = flat.dtype if flat.dtype.kind in "fc" else rooms.working_type(flat.dtype)
        centred = options["centre"] is not None or algorithm in _MEAN_FREE
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
        fitted = super(DecompositionMixin, copied).decomposition(
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
        info = super(DecompositionMixin, copied).decomposition(
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

    def _rows_of(self, data, masks):
        """Sub-images as rows of pixels, without what is masked; (n, p), of NumPy or dask."""
        from hs_rvae import decomposition as rooms

        keep = [None if mask is None else np.flatnonzero(~mask) for mask in masks]
        axes = self.axes_manager
        if hasattr(data, "dask"):
            if axes.navigation_dimension != 1:
                data = self._data_aligned_with_axes
                data = data.reshape(axes.navigation_size or 1, *axes._signal_shape_in_array)
            return rooms.as_blocks(data, *keep)
        if axes.navigation_dimension > 1 or axes.signal_dimension != data.ndim - 1:
            data = self._data_aligned_with_axes
        flat = data.reshape(axes.navigation_size or 1, -1)
        flat = flat if keep[0] is None else flat[keep[0]]
        return flat if keep[1] is None else flat[:, keep[1]]

    def _write_loadings(self, stem, output_dimension):
        """Loadings as columns, in place of those of an earlier decomposition of this name."""
        sites, loadings = self.sites, self.learning_results.loadings
        if sites is None or loadings is None or np.iscomplexobj(loadings):
            return
        count = loadings.shape[1] if output_dimension else min(_COLUMNS_UNASKED, loadings.shape[1])
        loadings = np.asarray(loadings[:, :count])
        old = [name for name in sites.columns if re.fullmatch(rf"{stem}_\d+", name)]
        columns = {f"{stem}_{i}": loadings[:, i] for i in range(count)}
        sites.set_many(columns)
        gone = [name for name in old if name not in columns]
        if gone:
            sites.remove(*gone)


def _flat_mask(name, mask, shape, numpy_shape, other):
    """A mask of the user's as a flat array in the order of the data.

    Parameters
    ----------
    name : str
    mask : array-like, BaseSignal or None
    shape : tuple of int
        Of the data.
    numpy_shape : tuple of int
        Expected of an array.
    other : {"signal", "navigation"}
        Axes that a mask given as a signal must not have.
    """
    if mask is None:
        return None
    values = mask
    if hasattr(mask, "axes_manager"):
        wrong = getattr(mask.axes_manager, f"{other}_dimension")
        if wrong:
            raise ValueError(
                f"{name}: the {name.replace('_', ' ')} signal must have the `{other}_dimension` "
                f"equal to 0, not {wrong}: transpose it, for example with {name}.T."
            )
        values, numpy_shape = mask.data, shape
        order = "in the order of the data"
    else:
        order = "True = excluded"
    if hasattr(values, "dask"):
        values = values.compute()
    values = np.asarray(values)
    if values.shape != tuple(numpy_shape):
        turned = values.shape == tuple(numpy_shape)[::-1] and len(numpy_shape) > 1
        raise ValueError(
            f"{name} has the shape {values.shape}; {tuple(numpy_shape)} is expected ({order})."
            + (" Transpose it: rows come first." if turned else "")
        )
    if values.dtype != bool:
        raise ValueError(f"{name} has the dtype {values.dtype}; bool is expected, True = excluded.")
    if values.ndim > 1 and numpy_shape != shape:
        values = values.T
    return values.ravel()


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
    if show_progressbar is None:
        show_progressbar = preferences.General.show_progressbar
    if not show_progressbar:
        yield
        return
    from dask.diagnostics import ProgressBar

    with ProgressBar():
        yield
