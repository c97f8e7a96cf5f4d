# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb that embeds the sites of a stack in a plane."""

import inspect

import numpy as np

from hs_rvae.options import as_seed
from hs_rvae.signals.recording import recorded
from hs_rvae.signals.sources import EMBEDDING, SourcesMixin


class EmbeddingMixin(SourcesMixin):
    """Embeddings that keep neighbours or distances."""

    @recorded
    def embedding(
        self,
        algorithm="tsne",
        source=None,
        output_dimension=2,
        *,
        max_sites=None,
        number_of_components=None,
        navigation_mask=None,
        random_state=None,
        n_jobs=None,
        return_info=False,
        overwrite=False,
        **kwargs,
    ):
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
            divided by its standard deviation, angles as cosine and sine. None: the
            decomposition if there is one, else the sub-images.
        output_dimension : int
            Number of columns; an estimator has its own.
        max_sites : int, optional
            Sites that are fitted: a random subset if there are more; the others are placed
            afterwards. None: 50,000 for t-SNE, 1,500 for MDS, 4,000 for Isomap.
        number_of_components : int, optional
            Of the decomposition. None: all that were asked for.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = excluded: NaN in the columns.
        random_state : int, numpy.random.Generator or None
            Seed of the subset and of the algorithm: the same seed gives the same coordinates.
            NumPy's global generator is neither used nor changed.
        n_jobs : int, optional
            Threads. None: all.
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
            If the algorithm or source is unknown, or has not been computed; the message says
            which call makes it. If there are fewer than 4 sites, or a column that is not an
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
        pairs of the fitted sites; the log says what that takes.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=32)
        >>> stack.embedding("isomap", source="signal", random_state=0)
        >>> stack.sites[["isomap_0", "isomap_1"]].shape == (len(stack.sites), 2)
        True
        """
        from hs_rvae.decomposition import column_stem
        from hs_rvae.embedding import check_options, embed

        own = inspect.signature(self.embedding).parameters
        check_options(algorithm, kwargs, output_dimension, max_sites, own)
        table = self.sites
        if table is None:
            raise ValueError(
                "An embedding is written into the site table, and this stack has none: make it "
                "with SubImageStack.from_positions."
            )
        stem = column_stem(algorithm)
        table.check_free(table.numbered(stem), "stack.embedding", "embedding", overwrite)
        if source is None:
            source = "signal" if self.learning_results.loadings is None else "decomposition"
        mask = self._table_mask(navigation_mask)
        # An estimator brings its own seed: what it is given should not vary either.
        own_seed = random_state is None and not isinstance(algorithm, str)
        seed = 0 if own_seed else as_seed(random_state)
        if isinstance(source, str) and source == "signal":
            values = self._pixel_scores(seed)
        elif isinstance(source, str) and source == "decomposition":
            values = self._loadings_features(number_of_components, "source")
        else:
            values = self._table_features(source, "source")[0]
        good = np.isfinite(values).all(1)
        if mask is not None:
            good &= ~mask
        if not good.any():
            raise ValueError(f"source={source!r}: no site is left; all are masked or undefined.")
        found = embed(
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
        columns = {f"{stem}_{i}": full[:, i] for i in range(full.shape[1])}
        gone = [name for name in table.numbered(stem) if name not in columns]
        table.set_many(columns, dict.fromkeys(columns, ""), writer="embedding", remove=gone)
        self.metadata.set_item(
            EMBEDDING,
            {
                "columns": list(columns),
                "method": found.method,
                "source": source if isinstance(source, str) else list(source),
            },
        )
        return found.estimator if return_info else None
