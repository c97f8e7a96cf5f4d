# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The learning verbs of a stack besides the rVAE, and the figures of what they find."""

from hs_rvae import plots
from hs_rvae.signals.clustering import ClusteringMixin
from hs_rvae.signals.decomposition import DecompositionMixin
from hs_rvae.signals.embedding import EmbeddingMixin
from hs_rvae.sites import units as _units


class LearningMixin(DecompositionMixin, EmbeddingMixin, ClusteringMixin):
    """Decompose, embed and cluster sub-images, and draw what comes out."""

    def plot_scatter(
        self,
        x,
        y,
        color=None,
        *,
        contours=True,
        kind=None,
        cmap=None,
        limits=None,
        percentiles=(1, 99),
        marker_size=None,
        alpha=None,
        colorbar=True,
        equal=False,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw one column of the site table against another, coloured by a third.

        Parameters
        ----------
        x, y : str
            Columns of :attr:`sites`.
        color : str, optional
            Column of the colours.
        contours, kind, cmap, limits, percentiles, marker_size, alpha, colorbar, equal, title, \
font_size, ax
            As in :func:`hs_rvae.plots.plot_scatter`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        KeyError, ValueError
            If a column is missing or has no finite value.

        Examples
        --------
        >>> stack.plot_scatter("tsne_0", "tsne_1", "cluster")  # doctest: +SKIP
        """
        return plots.plot_scatter(
            self._sites_to_plot(),
            x,
            y,
            color,
            contours=contours,
            kind=kind,
            cmap=cmap,
            limits=limits,
            percentiles=percentiles,
            marker_size=marker_size,
            alpha=alpha,
            colorbar=colorbar,
            equal=equal,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def plot_latent_space(
        self,
        color="angle",
        axes=(0, 1),
        *,
        contours=True,
        kind=None,
        cmap=None,
        limits=None,
        percentiles=(1, 99),
        marker_size=None,
        alpha=None,
        colorbar=True,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw two content latents of the rVAE against each other.

        Parameters
        ----------
        color : str or None
            Column of the colours: ``"angle"`` on a cyclic map, ``"cluster"`` ...
        axes : tuple of int or str
            Numbers of the latents along x and y, or names of columns. Of a model with one latent
            the default draws the latent against the angle.
        contours, kind, cmap, limits, percentiles, marker_size, alpha, colorbar, title, \
font_size, ax
            As in :func:`hs_rvae.plots.plot_scatter`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            If there are no latents yet.
        KeyError
            If there is no such latent or column.

        Examples
        --------
        >>> stack.plot_latent_space(color="cluster")  # doctest: +SKIP
        """
        sites = self._sites_to_plot()
        if "latent_0" not in sites:
            raise ValueError(
                "There are no latents yet: call stack.rvae() or stack.apply_rvae(path) first."
            )
        axes = tuple(axes)
        if axes == (0, 1) and "latent_1" not in sites and "angle" in sites:
            axes = ("latent_0", "angle")
        if len(axes) != 2:
            raise ValueError(f"axes={axes!r}: give two latents, such as (0, 1).")
        x, y = (axis if isinstance(axis, str) else f"latent_{axis}" for axis in axes)
        return plots.plot_scatter(
            sites,
            x,
            y,
            color,
            contours=contours,
            kind=kind,
            cmap=cmap,
            limits=limits,
            percentiles=percentiles,
            marker_size=marker_size,
            alpha=alpha,
            colorbar=colorbar,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def plot_cluster_means(
        self,
        column="cluster",
        *,
        n_columns=None,
        cmap="gray",
        intensity_limits=None,
        colorbar=True,
        title=None,
        font_size=None,
        figure=None,
    ):
        """Draw the mean sub-image of each cluster with the number of its sites.

        Parameters
        ----------
        column : str
            Column of labels: of :meth:`cluster_analysis`, or variants.
        n_columns, cmap, intensity_limits, colorbar, title, font_size, figure
            As in :func:`hs_rvae.plots.plot_cluster_means`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        KeyError, ValueError
            As in :meth:`get_cluster_means`.

        Examples
        --------
        >>> stack.plot_cluster_means()  # doctest: +SKIP
        """
        means = self.get_cluster_means(column)
        axis = means.axes_manager.signal_axes[0]
        calibrated = _units.is_calibrated(axis.units)
        return plots.plot_cluster_means(
            means.data,
            list(means.metadata.Clusters.labels),
            list(means.metadata.Clusters.counts),
            pixel_size=abs(axis.scale) if calibrated else None,
            pixel_units=axis.units if calibrated else "px",
            n_columns=n_columns,
            cmap=cmap,
            intensity_limits=intensity_limits,
            colorbar=colorbar,
            intensity_label=self.metadata.get_item("Signal.quantity") or "intensity",
            title=title,
            font_size=font_size,
            figure=figure,
        )

    def plot_cluster_metric(self, *, title=None, font_size=None, ax=None):
        """Draw the curve from which the last number of clusters was chosen.

        Parameters
        ----------
        title, font_size, ax
            As in :func:`hs_rvae.plots.plot_cluster_metric`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            If no number was estimated yet.

        Examples
        --------
        >>> stack.plot_cluster_metric()  # doctest: +SKIP
        """
        results = self.learning_results
        if results.cluster_metric_data is None:
            raise ValueError(
                "Cluster metrics not estimated, please run `estimate_number_of_clusters` first."
            )
        return plots.plot_cluster_metric(
            results.cluster_metric_index,
            results.cluster_metric_data,
            results.cluster_metric,
            results.estimated_number_of_clusters,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def plot_method_comparison(
        self,
        methods,
        color="cluster",
        *,
        image=None,
        maps=True,
        contours=True,
        cmap=None,
        font_size=None,
        figure=None,
    ):
        """Draw several methods on the same sites, side by side: scatters, and maps below.

        Parameters
        ----------
        methods, color, maps, contours, cmap, font_size, figure
            As in :func:`hs_rvae.plots.plot_method_comparison`.
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            As in :meth:`plot_site_map`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        KeyError
            If a column is missing.
        ValueError
            If options do not fit, or the stack holds several images or frames.

        Examples
        --------
        >>> stack.plot_method_comparison(["pca", "tsne", "latent"], "angle")  # doctest: +SKIP
        """
        return plots.plot_method_comparison(
            self._sites_to_plot(),
            methods,
            color,
            image=self._image_to_plot(image),
            maps=maps,
            contours=contours,
            cmap=cmap,
            font_size=font_size,
            figure=figure,
        )
