# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decomposition of a stack, under HyperSpy's verb, without HyperSpy 2.5 changing the data."""

import inspect
import logging

import numpy as np

from hs_rvae.options import as_seed
from hs_rvae.signals.decomposing import MEAN_FREE, DecomposingMixin
from hs_rvae.signals.recording import recorded

_logger = logging.getLogger(__name__)

# In memory, and of lazy stacks.
_SOLVERS = (
    (None, "auto", "full", "arpack", "randomized"),
    (None, "randomized", "incremental", "full"),
)


class DecompositionMixin(DecomposingMixin):
    """Linear decompositions of the sub-images."""

    @recorded
    def decomposition(
        self,
        normalize_poissonian_noise=False,
        algorithm=None,
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
        overwrite=False,
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
            it the `output_dimension`: ``stack.decomposition("PCA", 8)``; then neither is given
            again.
        algorithm : str or object, optional
            ``"PCA"`` (``"sklearn_pca"`` means the same): components of the deviations from the
            mean sub-image. ``"SVD"`` (None): without subtracting the mean. ``"NMF"``: nothing
            negative. ``"ORPCA"``, ``"ORNMF"``; in memory also ``"sparse_pca"``,
            ``"mini_batch_sparse_pca"``, ``"MLPCA"``, ``"RPCA"``. Or an estimator of
            scikit-learn with ``components_``, which stays as it is: a copy is fitted.
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
            Return the fitted estimator (or what HyperSpy returns).
        print_info : bool
            Print what was done; it is logged in any case.
        svd_solver : str, optional
            As in HyperSpy. None: HyperSpy's ``"auto"`` in memory; for lazy stacks exact, from one
            matrix of all pixels (see Notes).
        random_state : int, numpy.random.Generator or None
            Seed of algorithms and subsets that are random: the same seed gives the same result.
            NumPy's global generator is neither used nor changed.
        show_progressbar : bool, optional
            Of lazy stacks. None follows HyperSpy's preference.
        overwrite : bool
            Whether columns of yours, or of another method, under these names are replaced.
        **kwargs
            To the algorithm, if it is named.

        Returns
        -------
        object or None
            See `return_info`.

        Raises
        ------
        TypeError
            If the algorithm does not have such an option, or is a class.
        ValueError
            If algorithm, number of components or masks are not usable, two algorithms are given,
            sites have pixels that are not finite, all sub-images are the same, ``"NMF"`` gets
            negative values, or a column that is not the decomposition's would be replaced.
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

        normalize_poissonian_noise, algorithm, output_dimension = _sorted_out(
            normalize_poissonian_noise, algorithm, output_dimension
        )
        rooms.check_algorithm(algorithm, self._lazy)
        if isinstance(algorithm, str) and algorithm == "sklearn_pca":
            algorithm = "PCA"
        seed = None if random_state is None else as_seed(random_state)
        options = {
            "normalize_poissonian_noise": normalize_poissonian_noise,
            "output_dimension": output_dimension,
            "centre": centre,
            "auto_transpose": auto_transpose,
            "reproject": reproject,
            "return_info": return_info,
            "print_info": print_info,
        }
        given = {"var_array": var_array, "var_func": var_func, "svd_solver": svd_solver}
        options |= {name: value for name, value in given.items() if value is not None}
        by_hyperspy = self._lazy and self._is_hyperspys(algorithm, options, kwargs)
        own = inspect.signature(self.decomposition).parameters
        rooms.check_options(algorithm, kwargs, self._lazy, by_hyperspy, svd_solver, own)
        stem, sites = rooms.column_stem(algorithm), self.sites
        if sites is not None:
            numbered = sites.numbered(stem)
            sites.check_free(numbered, "stack.decomposition", "decomposition", overwrite)
        for word, value, known in (
            ("centre", centre, (None, "navigation", "signal")),
            ("reproject", reproject, (None, "navigation", "signal", "both")),
            ("svd_solver", svd_solver, _SOLVERS[self._lazy]),
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
        centred = centre is not None or name in MEAN_FREE
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
            raise ValueError(
                "All the data are masked, change the mask: navigation_mask leaves "
                f"{counts[0]} sites, signal_mask {counts[1]} pixels; True = excluded."
            )
        rooms.check_dimension(output_dimension, *counts)
        if self._lazy:
            info = self._decompose_lazy(
                algorithm, masks, options, by_hyperspy, seed, show_progressbar, kwargs
            )
        else:
            info = self._decompose_in_memory(algorithm, masks, options, seed, kwargs)
        _logger.info(
            "%s: %d components of %d sites, %d pixels each.",
            name, self.learning_results.factors.shape[1], *counts,
        )  # fmt: skip
        self._write_loadings(stem, output_dimension)
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

        Raises
        ------
        RuntimeError
            If there is no decomposition yet.

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


def _sorted_out(first, algorithm, output_dimension):
    """Whether to scale, the algorithm and the number, if an algorithm may stand in the first place.

    Examples
    --------
    >>> _sorted_out("PCA", 8, None), _sorted_out(True, None, 3)
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
