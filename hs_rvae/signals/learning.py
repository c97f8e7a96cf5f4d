# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The learning methods of a stack besides the rVAE: decompositions, embeddings, clusters.

They have HyperSpy's names. HyperSpy 2.5 changes the data in a decomposition; these methods do not.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.checks import checked, is_whole_number, naming
from hs_rvae.learning import clusters as _clusters
from hs_rvae.learning import decomposition as _decomposition
from hs_rvae.learning import embedding as _embedding
from hs_rvae.learning import features as _features
from hs_rvae.learning import number as _number
from hs_rvae.learning.algorithms import column_stem, name_of
from hs_rvae.learning.rows import sum_rows, summarise
from hs_rvae.options import as_seed, own_copy, seeded
from hs_rvae.signals import learning_results as _results
from hs_rvae.signals import regional as _regional
from hs_rvae.signals import sources as _sources
from hs_rvae.signals.decomposition import (
    count_unmasked,
    decompose_in_memory,
    decompose_lazily,
    is_of_hyperspy,
)
from hs_rvae.signals.masks import flat_masks, pixel_mask, rows_of, site_mask, table_mask
from hs_rvae.signals.recording import recorded
from hs_rvae.signals.site_signal import SiteSignal

if TYPE_CHECKING:
    from hs_rvae.sites import SiteTable

_logger = logging.getLogger(__name__)

_OF_HYPERSPY = ("signal", "decomposition", "bss")
# Columns that are written if the number of components is not given.
_DEFAULT_COLUMNS = 10


class LearningMethods(SiteSignal):
    """Decompose, embed and cluster sub-images."""

    @checked(but=("navigation_mask", "signal_mask", "output_dimension"))
    @recorded
    def decomposition(
        self,
        normalize_poissonian_noise: Any = False,
        algorithm: Any = None,
        output_dimension: int | None = None,
        centre: str | None = None,
        auto_transpose: bool = True,
        navigation_mask: Any = None,
        signal_mask: Any = None,
        var_array: np.ndarray | None = None,
        var_func: Any = None,
        reproject: str | None = None,
        return_info: bool = False,
        print_info: bool = False,
        svd_solver: str | None = None,
        *,
        random_state: int | np.random.Generator | None = None,
        show_progressbar: bool | None = None,
        overwrite: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Decompose the sub-images into factor images and loadings.

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
            mean sub-image. ``"SVD"``, the default: without subtracting the mean. ``"NMF"``: nothing
            negative. ``"ORPCA"``, ``"ORNMF"``; in memory also ``"sparse_pca"``,
            ``"mini_batch_sparse_pca"``, ``"MLPCA"``, ``"RPCA"``. Or an estimator of
            scikit-learn with ``components_``, which stays as it is: a copy is fitted.
        output_dimension : int, optional
            Number of components. If None, all, and the first ten become columns; lazy stacks
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
            As in HyperSpy. If None, HyperSpy's ``"auto"`` in memory; for lazy stacks exact, from
            one matrix of all pixels (see Notes).
        random_state : int, numpy.random.Generator or None
            Seed of algorithms and subsets that are random: the same seed gives the same result.
            NumPy's global generator is neither used nor changed.
        show_progressbar : bool, optional
            Progress bar for lazy stacks. If None, as HyperSpy's preference.
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
        normalize_poissonian_noise, algorithm, output_dimension = _decomposition.sort_arguments(
            normalize_poissonian_noise, algorithm, output_dimension
        )
        _decomposition.check_algorithm(algorithm, self._lazy)
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
        by_hyperspy = self._lazy and is_of_hyperspy(self, algorithm, options, kwargs)
        verb_options = inspect.signature(self.decomposition).parameters
        _decomposition.check_options(
            algorithm, kwargs, self._lazy, by_hyperspy, svd_solver, verb_options
        )
        stem, sites = column_stem(algorithm), self.sites
        if sites is not None:
            numbered = sites.numbered(stem)
            sites.check_free(numbered, "stack.decomposition", "decomposition", overwrite)
        _decomposition.check_pretreatment(algorithm, options, svd_solver, self._lazy)
        masks = flat_masks(self, navigation_mask, signal_mask)
        counts = count_unmasked(self.axes_manager, masks)
        _decomposition.check_dimension(output_dimension, *counts)
        if self._lazy:
            info = decompose_lazily(
                self, algorithm, masks, options, by_hyperspy, seed, show_progressbar, kwargs
            )
        else:
            info = decompose_in_memory(self, algorithm, masks, options, seed, kwargs)
        results = self.learning_results
        _logger.info(
            "%s: %d components of %d sites, %d pixels each.",
            name_of(algorithm), results.factors.shape[1], *counts,
        )  # fmt: skip
        loadings = results.loadings
        if sites is not None and loadings is not None and not np.iscomplexobj(loadings):
            count = None if output_dimension else _DEFAULT_COLUMNS
            _write_numbered(sites, stem, np.asarray(loadings[:, :count]), "decomposition")
        return info

    def _hyperspy_decomposition(self, **options: Any) -> Any:
        """HyperSpy's own decomposition, for copies, because it changes the data."""
        return super().decomposition(**options)

    def get_decomposition_model(
        self,
        components: int | list[int] | None = None,
        chunks: Any = "auto",
        lazy_output: bool | None = None,
    ) -> Any:
        """Reconstruct the sub-images from selected components, and the mean.

        Parameters
        ----------
        components : int or list of int, optional
            Number of components, or the numbers of some. If None, all.
        chunks, lazy_output
            As in HyperSpy.

        Returns
        -------
        SubImageStack or LazySubImageStack

        Raises
        ------
        RuntimeError
            If there is no decomposition yet.
        ValueError
            If it has no such component.

        Examples
        --------
        >>> stack.get_decomposition_model(3)  # doctest: +SKIP
        """
        results = self.learning_results
        if results.factors is None:
            raise RuntimeError("No decomposition yet: call stack.decomposition('PCA').")
        _results.check_components(results, components)
        mean, kept = _results.mean_to_add(results, self.axes_manager), results.mean
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

    @recorded
    def embedding(
        self,
        algorithm: Any = "tsne",
        source: str | list[str] | None = None,
        output_dimension: int = 2,
        *,
        max_sites: int | None = None,
        number_of_components: int | None = None,
        navigation_mask: Any = None,
        random_state: int | np.random.Generator | None = None,
        n_jobs: int | None = None,
        return_info: bool = False,
        overwrite: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Place the sites in a plane so that similar ones are close.

        Writes the columns ``tsne_0``, ``tsne_1`` (``mds_0`` ..., ``isomap_0`` ...). Unlike a
        decomposition it cannot be undone, and distances between far groups mean little.

        Parameters
        ----------
        algorithm : {"tsne", "mds", "isomap"} or object
            Or an estimator of scikit-learn with ``fit_transform``; the columns are named after
            its class. It stays as it is: a copy is fitted.
        source : str or list of str, optional
            What sites are compared by. ``"signal"``: the sub-images, by their first 50 principal
            components. ``"decomposition"``: loadings of the last decomposition. ``"rvae"``: the
            content latents. The stem of numbered columns (``"pca"``), or a list of columns, each
            divided by its standard deviation, angles as cosine and sine. If None, the
            decomposition if there is one; otherwise the sub-images.
        output_dimension : int
            Number of columns; an estimator has its own.
        max_sites : int, optional
            Sites that are fitted: a random subset if there are more; the others are placed
            afterwards. If None, 50,000 for t-SNE, 1,500 for MDS, 4,000 for Isomap.
        number_of_components : int, optional
            Number of components of the decomposition. If None, all that were asked for.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = excluded: NaN in the columns.
        random_state : int, numpy.random.Generator or None
            Seed of the subset and of the algorithm: the same seed gives the same coordinates.
            NumPy's global generator is neither used nor changed.
        n_jobs : int, optional
            Number of threads. If None, all.
        return_info : bool
            Return the fitted estimator.
        overwrite : bool
            Whether columns of yours, or of another method, under these names are replaced.
        **kwargs
            To the estimator, for example ``perplexity`` or ``n_neighbors``.

        Returns
        -------
        object or None

        Raises
        ------
        ValueError
            If the algorithm or source is unknown, or has not been computed; the message names
            the call for it. If there are fewer than 4 sites, or a column that is not an
            embedding's would be replaced.
        KeyError
            If a column of a list is missing.
        TypeError
            If the algorithm does not have such an option, or is a class.
        ImportError
            If t-SNE of more than 5,000 sites is asked for without openTSNE
            (``pip install "hs_rvae[tsne]"``).

        Notes
        -----
        t-SNE is openTSNE's where it is installed, which grows with the number of sites; else
        scikit-learn's, which cannot place new sites. MDS places new sites where their distances
        to the fitted ones are kept best; Isomap by scikit-learn's own transform. Both compare all
        pairs of the fitted sites; the log has the memory for that.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=32)
        >>> stack.embedding("isomap", source="signal", random_state=0)
        >>> stack.sites[["isomap_0", "isomap_1"]].shape == (len(stack.sites), 2)
        True
        """
        verb_options = inspect.signature(self.embedding).parameters
        _embedding.check_options(algorithm, kwargs, output_dimension, max_sites, verb_options)
        table = self.sites
        if table is None:
            raise ValueError(
                "An embedding is written into the site table, which this stack lacks: make it "
                "with SubImageStack.from_positions."
            )
        stem = column_stem(algorithm)
        table.check_free(table.numbered(stem), "stack.embedding", "embedding", overwrite)
        if source is None:
            source = "signal" if self.learning_results.loadings is None else "decomposition"
        mask = table_mask(table, navigation_mask)
        # An estimator has its own seed: its input must not vary either.
        own_seed = random_state is None and not isinstance(algorithm, str)
        seed = 0 if own_seed else as_seed(random_state)
        if isinstance(source, str) and source == "signal":
            values = _features.pixel_scores(rows_of(self), seed)
        elif isinstance(source, str) and source == "decomposition":
            results = self.learning_results
            values = _sources.loadings_features(results, number_of_components, "source")
        else:
            values = _sources.table_features(self, source, "source")
        good = np.isfinite(values).all(1)
        if mask is not None:
            good &= ~mask
        if not good.any():
            raise ValueError(f"source={source!r}: no site is left; all are masked or undefined.")
        found = _embedding.embed(
            np.ascontiguousarray(values[good]),
            algorithm,
            output_dimension,
            max_sites=max_sites,
            random_state=None if own_seed else seed,
            n_jobs=n_jobs,
            **kwargs,
        )
        full = np.full((len(table), found.coordinates.shape[1]), np.nan)
        full[good] = found.coordinates
        self.metadata.set_item(
            _sources.EMBEDDING,
            {
                "columns": _write_numbered(table, stem, full, "embedding"),
                "method": found.method,
                "source": source if isinstance(source, str) else list(source),
            },
        )
        return found.estimator if return_info else None

    @recorded
    def cluster_analysis(
        self,
        cluster_source: Any = None,
        source_for_centers: Any = None,
        preprocessing: Any = None,
        preprocessing_kwargs: dict[str, Any] | None = None,
        number_of_components: int | None = None,
        navigation_mask: Any = None,
        signal_mask: Any = None,
        algorithm: Any = None,
        return_info: bool = False,
        *,
        n_clusters: Any = "auto",
        covariance_type: str = "auto",
        max_clusters: int = 10,
        column: str = "cluster",
        random_state: int | np.random.Generator | None = None,
        overwrite: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Group the sites into clusters.

        Writes the column ``cluster``: 0 is the largest cluster, -1 are sites that are masked or
        have no finite values. ``cluster_probability`` is the probability of the label where the
        algorithm gives one (mixtures, HDBSCAN); otherwise NaN. HyperSpy's
        :meth:`~hyperspy.api.signals.BaseSignal.cluster_analysis` with more sources and
        algorithms; ``get_cluster_labels``, ``get_cluster_signals``, ``plot_cluster_results``
        work on the last analysis.

        Parameters
        ----------
        cluster_source : str, list of str or BaseSignal, optional
            What sites are compared by. ``"rvae"``: the content latents. ``"decomposition"``:
            loadings of the last decomposition. ``"embedding"``: the last embedding.
            ``"signal"``: the pixels. ``"bss"`` or a signal as in HyperSpy. The stem of numbered
            columns, for example ``"tsne"``, or a list of columns such as
            ``["latent_0", "angle"]``. If None, the first available of ``"rvae"``,
            ``"decomposition"`` and ``"signal"``.
        source_for_centers : str or BaseSignal, optional
            Source of the mean of a cluster. If None, as in HyperSpy the `cluster_source`; for
            latents, embeddings and columns the sub-images.
        preprocessing : {"standard", "norm", "minmax"}, object or None
            Scaling as in HyperSpy. Without it, columns that are listed are divided each by its
            standard deviation, and an angle enters as cosine and sine, times the root of 2;
            components of one space (latents, loadings, embeddings, pixels) keep their relative
            size.
        preprocessing_kwargs : dict, optional
            Options of a scaling that is named.
        number_of_components : int, optional
            Number of components of the decomposition. If None, all that were asked for.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = excluded.
        signal_mask : numpy.ndarray of bool, optional
            Pixels of ``"signal"`` or a signal that do not count.
        algorithm : str or object, optional
            ``"gmm"`` (mixture of Gaussians), ``"bayesian_gmm"`` (`n_clusters` is the most),
            ``"kmeans"``, ``"minibatchkmeans"``, ``"agglomerative"``, ``"spectralclustering"``,
            ``"hdbscan"`` (finds the number itself), or an estimator of scikit-learn, which stays
            as it is: a copy is fitted. If None, ``"kmeans"`` for HyperSpy's sources, ``"gmm"`` for
            the others.
        return_info : bool
            Return the fitted estimator.
        n_clusters : int or "auto"
            "auto": by the Bayesian information criterion for ``"gmm"``, by the silhouette
            for others, up to `max_clusters`. Not used by an estimator object.
        covariance_type : {"auto", "full", "tied", "diag", "spherical"}
            Covariance of mixtures. "auto": full up to 16 features, diagonal beyond.
        max_clusters : int
        column : str
            Name of the column, to keep several analyses; probabilities go to
            ``{column}_probability``.
        random_state : int, numpy.random.Generator or None
            The same seed gives the same labels. NumPy's global generator is neither used nor
            changed.
        overwrite : bool
            Whether columns of yours, or of another method, under these names are replaced.
        **kwargs
            To the estimator, for example ``n_init``.

        Returns
        -------
        object or None

        Raises
        ------
        ValueError
            If a source has not been computed (the message names the call for it), there are
            fewer than 2 sites or fewer than clusters, all sites are alike, an algorithm is
            unknown, or a column that is not of clusters would be replaced.
        KeyError
            If a column of a list is missing.
        TypeError
            If the algorithm or the scaling does not have such an option, or is a class.
        NotImplementedError
            If the pixels of a lazy stack are to be clustered by an algorithm that needs all of
            them at once.

        Notes
        -----
        A lazy stack: from latents, loadings, embeddings and columns all is as in memory, and means
        of clusters are summed block by block. From ``"signal"`` k-means becomes mini-batch
        k-means, which reads the stack three times; for mixtures decompose first.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=32)
        >>> stack.decomposition("PCA", 4, random_state=0)
        >>> stack.cluster_analysis("decomposition", algorithm="gmm", n_clusters=4, random_state=0)
        >>> sorted(set(stack.sites["cluster"].tolist()))
        [0, 1, 2, 3]
        """
        table = self.sites
        if table is not None:
            columns = (column, f"{column}_probability")
            table.check_free(columns, "stack.cluster_analysis", "cluster_analysis", overwrite,
                             "name another, column=...")  # fmt: skip
        cluster_source = _sources.first_source(self, cluster_source)
        of_hyperspy = _sources.is_of_hyperspy(cluster_source, *_OF_HYPERSPY)
        if algorithm is None:
            algorithm = "kmeans" if of_hyperspy else "gmm"
        verb_options = inspect.signature(self.cluster_analysis).parameters
        _clusters.check_algorithm(algorithm, kwargs, verb_options)
        _features.check_preprocessing(preprocessing, preprocessing_kwargs)
        # An estimator has its own seed.
        own_seed = random_state is None and not isinstance(algorithm, str)
        seed = None if own_seed else as_seed(random_state)
        curve = None
        if self._lazy and _sources.is_of_hyperspy(cluster_source, "signal"):
            values, good, found = self._cluster_pixels_lazily(
                algorithm, n_clusters, navigation_mask, signal_mask, seed, kwargs
            )
        else:
            values, good = self._cluster_values(
                cluster_source, number_of_components, navigation_mask, signal_mask,
                preprocessing, preprocessing_kwargs, seed,
            )  # fmt: skip
            n_clusters, curve = _number.choose_number(
                values, algorithm, n_clusters, max_clusters, covariance_type, seed
            )
            _clusters.log_cost(algorithm, len(values))
            options: dict[str, Any] = {"covariance_type": covariance_type, "random_state": seed}
            found = _clusters.cluster(values, algorithm, n_clusters, **options | kwargs)
        centres_of = source_for_centers or (cluster_source if of_hyperspy else "signal")
        _results.store_clusters(
            self, found, algorithm, values, good, centres_of, number_of_components
        )
        if curve is not None:
            _results.store_metric(self.learning_results, curve)
        if table is not None:
            _write_clusters(table, found, good, column)
        return found.estimator if return_info else None

    def _cluster_values(
        self,
        source: Any,
        number_of_components: int | None,
        navigation_mask: Any,
        signal_mask: Any,
        preprocessing: Any,
        preprocessing_kwargs: dict[str, Any] | None,
        seed: int | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scaled features of the sites that can be clustered, and a mask of these sites."""
        mask = site_mask(self, navigation_mask)
        features = _sources.cluster_features(self, source, number_of_components, signal_mask, seed)
        good = np.isfinite(features).all(1)
        if mask is not None:
            good &= ~mask
        values = features[good]
        label = "a signal" if hasattr(source, "axes_manager") else repr(source)
        alike = len(values) > 0 and bool((values == values[0]).all())
        _features.check_features(len(values), alike, f"cluster_source={label}")
        if preprocessing is not None and not isinstance(preprocessing, str):
            preprocessing = own_copy(preprocessing, "preprocessing", seed)
        with seeded(as_seed(seed)):
            values = self._scale_data_for_clustering(values, preprocessing, preprocessing_kwargs)
        return values, good

    def _cluster_pixels_lazily(
        self,
        algorithm: Any,
        n_clusters: Any,
        navigation_mask: Any,
        signal_mask: Any,
        seed: int | None,
        kwargs: dict[str, Any],
    ) -> tuple[Any, np.ndarray, _clusters.Clusters]:
        """Rows in dask that can be clustered, a mask of these sites, and their clusters."""
        if not isinstance(algorithm, str) or algorithm not in ("kmeans", "minibatchkmeans"):
            raise NotImplementedError(
                f"algorithm={name_of(algorithm)!r} needs all pixels of all sites at once, which a "
                "lazy stack does not hold: call stack.decomposition('PCA', output_dimension=8) "
                "and take cluster_source='decomposition', or algorithm='minibatchkmeans'."
            )
        _clusters.check_algorithm("minibatchkmeans", kwargs)
        rows = rows_of(self, (None, pixel_mask(self, signal_mask)))
        mask = site_mask(self, navigation_mask)
        summary = summarise(rows)
        good = np.ones(len(rows), bool) if mask is None else ~mask
        good[summary.bad_rows] = False
        n_sites = int(good.sum())
        _features.check_features(n_sites, summary.constant, "cluster_source='signal'")
        if isinstance(n_clusters, str):
            raise ValueError(
                f"n_clusters={n_clusters!r}: give a number for the pixels of a lazy stack, for "
                "example that of estimate_number_of_clusters('signal', metric='elbow')."
            )
        _clusters.check_number(n_clusters, n_sites)
        rows = rows if good.all() else rows[np.flatnonzero(good)]
        return rows, good, _clusters.cluster_blocks(rows, n_clusters, seed, **kwargs)

    @checked(but=("max_clusters",))
    def estimate_number_of_clusters(
        self,
        cluster_source: Any = None,
        max_clusters: int = 10,
        preprocessing: Any = None,
        preprocessing_kwargs: dict[str, Any] | None = None,
        number_of_components: int | None = None,
        navigation_mask: Any = None,
        signal_mask: Any = None,
        algorithm: str | None = None,
        metric: str | None = None,
        n_ref: int = 4,
        show_progressbar: bool | None = None,
        *,
        covariance_type: str = "auto",
        random_state: int | np.random.Generator | None = None,
        **kwargs: Any,
    ) -> int:
        """Estimate the number of clusters; :meth:`plot_cluster_metric` draws the curve.

        Parameters
        ----------
        cluster_source, preprocessing, preprocessing_kwargs, number_of_components
            As in :meth:`cluster_analysis`.
        navigation_mask, signal_mask
            As in :meth:`cluster_analysis`.
        max_clusters : int
            The largest number that is tried.
        algorithm : str, optional
            If None, ``"gmm"`` for ``"bic"`` and ``"aic"``, ``"kmeans"`` for the others.
        metric : {"bic", "aic", "silhouette", "gap", "elbow"}, optional
            ``"bic"``, ``"aic"``: lowest information criterion of a mixture of Gaussians.
            ``"silhouette"``: how much nearer a site is to its own cluster than to the next.
            ``"gap"``: against sites spread evenly. ``"elbow"``: bend of the summed squared
            distances. If None, ``"bic"``, or ``"gap"`` if another algorithm is named.
        n_ref : int
            Reference sets of ``"gap"``.
        show_progressbar : bool, optional
            If None, as HyperSpy's preference.
        covariance_type, random_state, **kwargs
            As in :meth:`cluster_analysis`.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            As in :meth:`cluster_analysis`; or if no number can be estimated from so few sites.
        KeyError, TypeError
            As in :meth:`cluster_analysis`.

        Notes
        -----
        At most 5,000 sites, a random subset, are used. Criteria count Gaussians: a curved or
        continuous distribution, such as a gradient of composition, needs several of them, so
        that the number grows with the number of sites.

        Examples
        --------
        >>> stack.estimate_number_of_clusters("rvae", metric="bic")  # doctest: +SKIP
        5
        """
        if not is_whole_number(max_clusters, 2):
            raise ValueError(
                f"max_clusters={max_clusters!r}: The max number of clusters, max_clusters, must be "
                "specified and be >= 2."
            )
        if metric is None:
            metric = "bic" if algorithm in (None, "gmm") else "gap"
        if algorithm is None:
            algorithm = "gmm" if metric in ("bic", "aic") else "kmeans"
        counted = [name for name in _clusters.ALGORITHMS if name != "hdbscan"]
        if not isinstance(algorithm, str) or algorithm not in counted:
            raise ValueError(
                "Estimate number of clusters only works with supported clustering algorithms, not "
                f"{algorithm!r}: {', '.join(map(repr, counted))}."
            )
        verb_options = inspect.signature(self.estimate_number_of_clusters).parameters
        _clusters.check_algorithm(algorithm, kwargs, verb_options)
        _features.check_preprocessing(preprocessing, preprocessing_kwargs, names_only=True)
        seed = as_seed(random_state)
        values, _ = self._cluster_values(
            _sources.first_source(self, cluster_source), number_of_components, navigation_mask,
            signal_mask, preprocessing, preprocessing_kwargs, seed,
        )  # fmt: skip
        found = _number.estimate_number(
            values,
            algorithm,
            metric,
            max_clusters=max_clusters,
            n_ref=n_ref,
            covariance_type=covariance_type,
            random_state=seed,
            show_progressbar=show_progressbar,
            **kwargs,
        )
        _results.store_metric(self.learning_results, found)
        return found.best

    def get_cluster_means(
        self,
        column: str = "cluster",
        source: Any = None,
        radius: Any = None,
        *,
        statistic: str = "mean",
        region: str = "disk",
        about: str = "column",
        num_workers: int | None = None,
        show_progressbar: bool | None = None,
    ) -> Any:
        """Mean of each cluster, or of each value of any column of labels.

        The mean is that of the sub-images, or of another signal of the same scan: a spectrum image,
        4D-STEM data, the image of another detector.

        Parameters
        ----------
        column : str
            Integer column; -1 is left out.
        source : hyperspy.api.signals.BaseSignal, optional
            Signal ``(x, y | ...)`` of the same scan, eager or lazy; see :meth:`get_site_signals`.
            If None, the sub-images.
        radius, region, about, statistic, num_workers, show_progressbar
            As in :meth:`get_site_signals`; they need `source`. Each site counts once, whatever the
            number of its pixels.

        Returns
        -------
        hyperspy.api.signals.Signal2D or BaseSignal
            Navigation axis named after the column, then the signal axes; of the class and with the
            metadata of `source`. ``metadata.Clusters`` has ``labels``, ``counts`` (sites that were
            averaged) and ``left_out`` (sites whose region leaves the scan). With `source`,
            ``metadata.Signal.Noise_properties.variance`` holds the variance of the means, where
            HyperSpy's fits use it: from the scatter between sites, for counts at least Poisson's,
            NaN for labels of one site.

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If it holds no labels, or none but -1; if the scan of `source` and the image cannot be
            compared, or the region is wrong.
        TypeError
            If `source` is not a signal.

        Examples
        --------
        >>> stack.get_cluster_means("variant")  # doctest: +SKIP
        >>> stack.get_cluster_means("variant", spectrum_image, radius=3)  # doctest: +SKIP
        """
        choice = _regional.Choice(radius, region, about, statistic)
        if source is not None:
            with naming("source"):
                return _regional.label_means(
                    self, source, column, choice, num_workers, show_progressbar
                )
        if choice != _regional.Choice():
            raise ValueError(
                "radius=, statistic=, region= and about= choose pixels of another signal: pass it "
                "as source=."
            )
        labels, members = _regional.label_members(self, column)
        means = sum_rows(rows_of(self), members) / members.sum(axis=1)[:, None]
        return _regional.means_of_images(self, means, column, labels, members)


def _write_numbered(sites: SiteTable, stem: str, values: np.ndarray, writer: str) -> list[str]:
    """Write columns stem_0, stem_1 ... in place of all earlier ones; returns their names."""
    columns = {f"{stem}_{i}": column for i, column in enumerate(values.T)}
    stale = [name for name in sites.numbered(stem) if name not in columns]
    sites.set_many(columns, dict.fromkeys(columns, ""), writer=writer, remove=stale)
    return list(columns)


def _write_clusters(
    sites: SiteTable, found: _clusters.Clusters, good: np.ndarray, column: str
) -> None:
    """Write labels and their probabilities; sites that were not clustered get -1 and NaN."""
    labels, probabilities = np.full(len(good), -1), np.full(len(good), np.nan)
    labels[good], probabilities[good] = found.labels, found.probabilities
    values = {column: labels, f"{column}_probability": probabilities}
    sites.set_many(values, dict.fromkeys(values, ""), writer="cluster_analysis")
    if (labels < 0).any():
        _logger.info("%d sites are in no cluster (-1).", (labels < 0).sum())
