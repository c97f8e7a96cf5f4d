# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of the sites of a stack, under HyperSpy's verbs."""

import inspect
import logging
from functools import partial

import numpy as np
from hyperspy.external.progressbar import progressbar

from hs_rvae.options import as_seed, own_copy, seeded
from hs_rvae.progress import progressbar_wanted as shown
from hs_rvae.signals.cluster_results import ClusterResultsMixin
from hs_rvae.signals.recording import recorded
from hs_rvae.signals.sources import SourcesMixin

_logger = logging.getLogger(__name__)

_OF_HYPERSPY = ("signal", "decomposition", "bss")


class ClusteringMixin(ClusterResultsMixin, SourcesMixin):
    """Group the sites."""

    @recorded
    def cluster_analysis(
        self,
        cluster_source=None,
        source_for_centers=None,
        preprocessing=None,
        preprocessing_kwargs=None,
        number_of_components=None,
        navigation_mask=None,
        signal_mask=None,
        algorithm=None,
        return_info=False,
        *,
        n_clusters="auto",
        covariance_type="auto",
        max_clusters=10,
        column="cluster",
        random_state=None,
        overwrite=False,
        **kwargs,
    ):
        """Group the sites into clusters.

        Writes the column ``cluster``: 0 is the largest cluster, -1 are sites that are masked or
        have no finite values. ``cluster_probability`` is the probability of the label where the
        algorithm knows one (mixtures, HDBSCAN), else NaN. HyperSpy's
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
            ``["latent_0", "angle"]``. None: the first of ``"rvae"``, ``"decomposition"`` and
            ``"signal"`` that there is.
        source_for_centers : str or BaseSignal, optional
            What the mean of a cluster is made of. None: as in HyperSpy the `cluster_source`, of
            latents, embeddings and columns the sub-images.
        preprocessing : {"standard", "norm", "minmax"}, object or None
            Scaling as in HyperSpy. Without it, columns that are listed are divided each by its
            standard deviation, and an angle enters as cosine and sine, times the root of 2;
            components of one space (latents, loadings, embeddings, pixels) keep their relative
            size.
        preprocessing_kwargs : dict, optional
        number_of_components : int, optional
            Of the decomposition. None: all that were asked for.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = excluded.
        signal_mask : numpy.ndarray of bool, optional
            Pixels that do not count, of ``"signal"`` or a signal.
        algorithm : str or object, optional
            ``"gmm"`` (mixture of Gaussians), ``"bayesian_gmm"`` (`n_clusters` is the most),
            ``"kmeans"``, ``"minibatchkmeans"``, ``"agglomerative"``, ``"spectralclustering"``,
            ``"hdbscan"`` (finds the number itself), or an estimator of scikit-learn, which stays
            as it is: a copy is fitted. None: ``"kmeans"`` for HyperSpy's sources, ``"gmm"`` for
            the others.
        return_info : bool
            Return the fitted estimator.
        n_clusters : int or "auto"
            "auto": by the Bayesian information criterion for ``"gmm"``, else by the silhouette,
            up to `max_clusters`. Not used by an estimator object.
        covariance_type : {"auto", "full", "tied", "diag", "spherical"}
            Of mixtures. "auto": full up to 16 features, else diagonal.
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
            If a source has not been computed (the message says which call makes it), there are
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
        from hs_rvae import clustering as rooms

        if self.sites is not None:
            columns = (column, f"{column}_probability")
            self.sites.check_free(columns, "stack.cluster_analysis", "cluster_analysis", overwrite,
                                  "name another, column=...")  # fmt: skip
        cluster_source = self._first_source(cluster_source)
        algorithm = self._algorithm_for(cluster_source, algorithm)
        rooms.check_algorithm(
            algorithm, kwargs, inspect.signature(self.cluster_analysis).parameters
        )
        rooms.check_preprocessing(preprocessing, preprocessing_kwargs)
        # An estimator brings its own seed.
        own_seed = random_state is None and not isinstance(algorithm, str)
        seed = None if own_seed else as_seed(random_state)
        if isinstance(cluster_source, str) and cluster_source == "signal" and self._lazy:
            found = self._cluster_pixels_lazily(
                algorithm, n_clusters, navigation_mask, signal_mask, seed, kwargs
            )
            scaled, good, estimator = found
            centres_of = source_for_centers or "signal"
        else:
            features, own = self._features(
                cluster_source, number_of_components, navigation_mask, signal_mask
            )
            good = np.isfinite(features).all(1) if features.dtype.kind == "f" else None
            good = np.ones(len(features), bool) if good is None else good
            mask = self._site_mask(navigation_mask)
            if mask is not None:
                good &= ~mask
            said = f"cluster_source={cluster_source!r}" if own else "cluster_source"
            rooms.check_features(features[good], said)
            scaled = self._scaled(features[good], preprocessing, preprocessing_kwargs, seed)
            n_clusters = self._number_for(
                algorithm, n_clusters, scaled, covariance_type, max_clusters, seed
            )
            rooms.say_cost(algorithm, len(scaled))
            estimator = rooms.make_estimator(
                algorithm,
                n_clusters,
                n_features=scaled.shape[1],
                covariance_type=covariance_type,
                random_state=seed,
                **kwargs,
            )
            with seeded(as_seed(seed)):
                estimator.fit(scaled)
            centres_of = source_for_centers or ("signal" if own else cluster_source)
        self._store_clusters(estimator, algorithm, scaled, good, centres_of, number_of_components)
        self._write_clusters(estimator, good, column)
        return estimator.estimator if return_info else None

    def estimate_number_of_clusters(
        self,
        cluster_source=None,
        max_clusters=10,
        preprocessing=None,
        preprocessing_kwargs=None,
        number_of_components=None,
        navigation_mask=None,
        signal_mask=None,
        algorithm=None,
        metric=None,
        n_ref=4,
        show_progressbar=None,
        *,
        covariance_type="auto",
        random_state=None,
        **kwargs,
    ):
        """Estimate how many clusters there are; :meth:`plot_cluster_metric` draws the curve.

        Parameters
        ----------
        cluster_source, preprocessing, preprocessing_kwargs, number_of_components
            As in :meth:`cluster_analysis`.
        navigation_mask, signal_mask
            As in :meth:`cluster_analysis`.
        max_clusters : int
            The most that are tried.
        algorithm : str, optional
            None: ``"gmm"`` for ``"bic"`` and ``"aic"``, else ``"kmeans"``.
        metric : {"bic", "aic", "silhouette", "gap", "elbow"}, optional
            ``"bic"``, ``"aic"``: lowest information criterion of a mixture of Gaussians.
            ``"silhouette"``: how much nearer a site is to its own cluster than to the next.
            ``"gap"``: against sites spread evenly. ``"elbow"``: bend of the summed squared
            distances. None: ``"bic"``, or ``"gap"`` if another algorithm is named.
        n_ref : int
            Reference sets of ``"gap"``.
        show_progressbar : bool, optional
            None follows HyperSpy's preference.
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
        from hs_rvae import clustering as rooms

        whole = isinstance(max_clusters, int | np.integer) and not isinstance(max_clusters, bool)
        if not whole or max_clusters < 2:
            raise ValueError(
                f"max_clusters={max_clusters!r}: The max number of clusters, max_clusters, must be "
                "specified and be >= 2."
            )
        if metric is None:
            metric = "bic" if algorithm in (None, "gmm") else "gap"
        if algorithm is None:
            algorithm = "gmm" if metric in ("bic", "aic") else "kmeans"
        counted = [name for name in rooms.ALGORITHMS if name != "hdbscan"]
        if not isinstance(algorithm, str) or algorithm not in counted:
            raise ValueError(
                "Estimate number of clusters only works with supported clustering algorithms, not "
                f"{algorithm!r}: {', '.join(map(repr, counted))}."
            )
        rooms.check_algorithm(
            algorithm, kwargs, inspect.signature(self.estimate_number_of_clusters).parameters
        )
        rooms.check_preprocessing(preprocessing, preprocessing_kwargs, names_only=True)
        seed = as_seed(random_state)
        cluster_source = self._first_source(cluster_source)
        features, _ = self._features(
            cluster_source, number_of_components, navigation_mask, signal_mask, seed
        )
        good = np.isfinite(features).all(1)
        mask = self._site_mask(navigation_mask)
        good = good if mask is None else good & ~mask
        rooms.check_features(features[good], f"cluster_source={cluster_source!r}")
        scaled = self._scaled(features[good], preprocessing, preprocessing_kwargs, seed)
        found = rooms.estimate_number(
            scaled,
            algorithm,
            metric,
            max_clusters=max_clusters,
            n_ref=n_ref,
            covariance_type=covariance_type,
            random_state=seed,
            progress=partial(
                progressbar, disable=not shown(show_progressbar), leave=True, desc="Clusters"
            ),
            **kwargs,
        )
        self._store_metric(found)
        return found.best

    def get_cluster_means(self, column="cluster"):
        """Mean sub-image of each cluster, or of each value of any column of labels.

        Parameters
        ----------
        column : str
            Integer column; -1 is left out.

        Returns
        -------
        hyperspy.api.signals.Signal2D
            Navigation axis ``cluster``; ``metadata.Clusters`` has ``labels`` and ``counts``.

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If it holds no labels, or none but -1.

        Examples
        --------
        >>> stack.get_cluster_means("variant")  # doctest: +SKIP
        """
        from hyperspy.signals import Signal2D

        table = self.sites
        if table is None or column not in table:
            raise KeyError(
                f"There is no column {column!r}; stack.cluster_analysis(column={column!r}) writes "
                "one."
            )
        values = table[column]
        if values.dtype.kind != "i":
            raise ValueError(
                f"column={column!r} holds no labels, which are whole numbers: take one that "
                "stack.cluster_analysis() or stack.assign_variants() wrote."
            )
        labels, counts = np.unique(values[values >= 0], return_counts=True)
        if not len(labels):
            raise ValueError(
                f"column={column!r}: all sites are undefined (-1): take another column."
            )
        members = np.stack([values == label for label in labels])
        means = self._sums_of(members) / counts[:, None]
        shape = self.axes_manager._signal_shape_in_array
        axes = [{"name": "cluster", "size": len(labels), "navigate": True}]
        axes += [
            axis.get_axis_dictionary() | {"navigate": False}
            for axis in reversed(self.axes_manager.signal_axes)
        ]
        signal = Signal2D(means.reshape(-1, *shape), axes=axes)
        signal.metadata.General.title = f"Means of {column}"
        signal.metadata.set_item("Signal.quantity", self.metadata.get_item("Signal.quantity"))
        signal.metadata.add_dictionary(
            {"Clusters": {"labels": labels.tolist(), "counts": counts.tolist()}}
        )
        return signal

    # Sources -----------------------------------------------------------------

    def _first_source(self, source):
        """The source, or the first there is of latents, decomposition and pixels."""
        if source is not None:
            return source
        table = self.sites
        if table is not None and "latent_0" in table:
            return "rvae"
        return "signal" if self.learning_results.loadings is None else "decomposition"

    @staticmethod
    def _algorithm_for(source, algorithm):
        if algorithm is not None:
            return algorithm
        of_hyperspy = hasattr(source, "axes_manager") or (
            isinstance(source, str) and source in _OF_HYPERSPY
        )
        return "kmeans" if of_hyperspy else "gmm"

    def _features(self, source, n_components, navigation_mask, signal_mask, seed=None):
        """Features (n, d) of all sites, and whether they come from the site table."""
        self._site_mask(navigation_mask)
        if hasattr(source, "axes_manager") or (isinstance(source, str) and source == "bss"):
            return self._features_of_hyperspy(source, n_components, signal_mask), False
        if isinstance(source, str) and source == "decomposition":
            return self._loadings_features(n_components, "cluster_source"), False
        if isinstance(source, str) and source == "signal":
            if self._lazy:  # to estimate a number only
                return self._pixel_scores(seed), False
            pixels = self._pixel_mask(signal_mask)
            flat = self._rows_of(self.data, (None, pixels))
            return (flat if flat.dtype.kind == "f" else flat.astype(np.float32)), False
        return self._table_features(source, "cluster_source")[0], True

    def _scaled(self, features, preprocessing, options, seed):
        """Features as HyperSpy scales them; an estimator of the caller's stays as it is."""
        if preprocessing is not None and not isinstance(preprocessing, str):
            preprocessing = own_copy(preprocessing, "preprocessing", seed)
        with seeded(as_seed(seed)):
            return self._scale_data_for_clustering(features, preprocessing, options)

    def _features_of_hyperspy(self, source, n_components, signal_mask):
        """Features as HyperSpy takes them from a signal or from unmixing."""
        if isinstance(source, str) and n_components is None:
            n_components = self.learning_results.bss_loadings
            n_components = None if n_components is None else n_components.shape[1]
        unfolded = None
        try:
            unfolded = source if hasattr(source, "axes_manager") else None
            values = self._get_cluster_signal(source, n_components, None, signal_mask)
        finally:
            if getattr(unfolded, "unfolded4clustering", False):
                unfolded.fold()
        values = values.compute() if hasattr(values, "dask") else np.asarray(values)
        return values if values.dtype.kind == "f" else values.astype(np.float32)

    def _number_for(self, algorithm, n_clusters, scaled, covariance_type, most, random_state):
        """Number of clusters as given, or chosen."""
        from hs_rvae import clustering as rooms

        if not isinstance(algorithm, str) or algorithm == "hdbscan":
            return None
        if isinstance(n_clusters, str) and n_clusters == "auto":
            if algorithm == "bayesian_gmm":
                return min(most, len(scaled))
            found = rooms.estimate_number(
                scaled,
                algorithm,
                "bic" if algorithm == "gmm" else "silhouette",
                max_clusters=most,
                covariance_type=covariance_type,
                random_state=random_state,
            )
            self._store_metric(found)
            _logger.info("%d clusters, by %s.", found.best, found.metric)
            return found.best
        rooms.check_number(n_clusters, len(scaled))
        return n_clusters
