# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a stack: its table, image and model, passed to the functions of ``plots``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from hs_rvae import plots
from hs_rvae.checks import is_number, shown
from hs_rvae.masked_arrays import filled
from hs_rvae.plots.color_scale import label_colors
from hs_rvae.plots.manifold import plot_with_distortion
from hs_rvae.plots.markers import column_values, site_points
from hs_rvae.progress import progressbar_wanted
from hs_rvae.report.columns import columns_of
from hs_rvae.signals import exploring as _exploring
from hs_rvae.signals import series as _series
from hs_rvae.signals.channels import check_one_detector, first_image, image_in_list, image_of_sites
from hs_rvae.signals.deformation import reference_of
from hs_rvae.signals.domains import DomainMethods
from hs_rvae.signals.learning import LearningMethods
from hs_rvae.signals.origins import IMAGE_NODE, how_to_load
from hs_rvae.signatures import takes_options
from hs_rvae.sites import units as _units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hs_rvae.diagnostics import Diagnostics

# Of the sub-images over the latents where a distortion turns, by the verdict.
_TITLES_OF_MANIFOLD = {
    "one direction": "Static part, with the distortion of all sites",
    "nothing": "Static part: no distortion stands out",
}


class FigureMethods(DomainMethods, LearningMethods):
    """Draw sites, sub-images, models and clusters."""

    # Maps ----------------------------------------------------------------------

    @takes_options(plots.plot_site_map, ("sites", "frame_labels"))
    def plot_site_map(self, *, image: Any = None, **options: Any) -> Axes:
        """Draw the sites as markers coloured by a column, on the parent image.

        Parameters
        ----------
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            The image below the sites. If None, the parent image if the stack has it. If False,
            the map has no image, but calibrated axes. For a series, all its frames.
        frame : int, optional
            The frame of a series to show. If None, the first. A new figure has a slider for the
            others, ``ax.frame_slider``. Colours are the same in all frames; :meth:`save_movie`
            makes a movie of them.

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If there is no site table, no finite value, or an option does not fit.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> xy = truth.b_sites[["x", "y"]]
        >>> stack = hs_rvae.SubImageStack.from_positions(image, xy, window_size=32)
        >>> ax = stack.plot_site_map("x")
        """
        sites = self._sites_to_plot()
        if "frame" in sites:
            options["frame_labels"] = _series.frame_labels(self)
        options = self._options_for_angles(options["column"], options)
        if "frame" in sites:
            return plots.plot_site_map(sites, image=_series.frames_to_plot(self, image), **options)
        return plots.plot_site_map(sites, image=self._image_to_plot(image), **options)

    @takes_options(plots.save_movie, ("sites", "frame_labels", "title"))
    def save_movie(
        self,
        path: str | os.PathLike[str],
        column: str,
        *,
        image: Any = None,
        show_progressbar: bool | None = None,
        **options: Any,
    ) -> Path:
        """Save the site maps of the frames as a movie, all with the same colours.

        Parameters
        ----------
        path : str or pathlib.Path
            Ending in ``.gif``, or in ``.mp4`` where the program ffmpeg is installed.
        column : str
            Name of a column of :attr:`sites`, such as ``"variant"``.
        image : Signal2D, array-like of shape (n_frames, ny, nx) or False, optional
            As in :meth:`plot_site_map`.
        show_progressbar : bool, optional
            If None, as HyperSpy's preference.

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If the stack is not cut from a series, or an option does not fit.
        RuntimeError
            If there is no ffmpeg for an MP4.

        Examples
        --------
        >>> stack.save_movie("switching.gif", "variant")  # doctest: +SKIP
        """
        sites = self._sites_to_plot()
        if "frame" not in sites:
            raise ValueError("The stack has no column 'frame': a movie needs a series.")
        return plots.save_movie(
            path,
            sites,
            column,
            image=_series.frames_to_plot(self, image),
            frame_labels=_series.frame_labels(self),
            show_progressbar=progressbar_wanted(show_progressbar),
            **options,
        )

    @takes_options(plots.plot_polar_map)
    def plot_polar_map(self, *, image: Any = None, **options: Any) -> Axes:
        """Draw the sites as markers coloured by direction and amplitude, with a colour wheel.

        Parameters
        ----------
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            As in :meth:`plot_site_map`.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(
        ...     image, truth.b_sites, window_size=40, neighbours=truth.a_sites
        ... )
        >>> ax = stack.plot_polar_map("displacement", sign=-1)
        """
        image = self._image_to_plot(image)
        options = self._options_for_angles(options["angle"], options)
        return plots.plot_polar_map(self._sites_to_plot(), image=image, **options)

    @takes_options(plots.plot_domains, ("sites", "domains", "walls"))
    def plot_domains(self, *, image: Any = None, **options: Any) -> Axes:
        """Draw the domains that :meth:`find_domains` found, and the walls as lines.

        Parameters
        ----------
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            As in :meth:`plot_site_map`, of one image or frame.

        Raises
        ------
        RuntimeError
            If the domains have not been found yet.
        KeyError
            If there is no such column.
        ValueError
            If the stack holds several images or frames, or an option does not fit.

        Examples
        --------
        >>> stack.plot_domains()  # doctest: +SKIP
        """
        tables, image = (self.domains, self.walls), self._image_to_plot(image)
        return plots.plot_domains(self._sites_to_plot(), *tables, image=image, **options)

    @takes_options(plots.plot_modes, ("sites", "reference"))
    def plot_modes(self, *, image: Any = None, **options: Any) -> Figure:
        """Draw maps of displacement, rotation and strain, as :meth:`measure_modes` found them.

        Parameters
        ----------
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            As in :meth:`plot_site_map`.

        Examples
        --------
        >>> stack.plot_modes()  # doctest: +SKIP
        """
        sites, options["image"] = self._sites_to_plot(), self._image_to_plot(image)
        return plots.plot_modes(sites, reference=reference_of(self), **options)

    @takes_options(plots.plot_method_comparison)
    def plot_method_comparison(self, *, image: Any = None, **options: Any) -> Figure:
        """Draw several methods on the same sites, side by side: scatters, and maps below.

        Parameters
        ----------
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            As in :meth:`plot_site_map`.

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
        image = self._image_to_plot(image)
        return plots.plot_method_comparison(self._sites_to_plot(), image=image, **options)

    # One column, or two --------------------------------------------------------

    @takes_options(plots.plot_angle_histogram)
    def plot_angle_histogram(
        self,
        column: str = "angle",
        *,
        variants: str | int | Sequence[float] | None = "auto",
        **options: Any,
    ) -> Axes:
        """Draw the histogram of an angle over all sites, in degrees.

        Parameters
        ----------
        variants : "auto", int or sequence of float, optional
            Directions that dashed lines mark. "auto": those of :attr:`variants`, if
            :meth:`assign_variants` found any. Angles in radians: these. A number: as many equally
            spaced directions that fit best, unless there are as many variants. If None, no lines.

        Examples
        --------
        >>> stack.plot_angle_histogram()  # doctest: +SKIP
        """
        marked = self._directions_to_mark(column, variants)
        options = self._options_for_angles(column, options)
        return plots.plot_angle_histogram(self._sites_to_plot(), column, variants=marked, **options)

    @takes_options(plots.plot_scatter)
    def plot_scatter(self, **options: Any) -> Axes:
        """Draw one column of the site table against another, coloured by a third.

        Examples
        --------
        >>> stack.plot_scatter("tsne_0", "tsne_1", "cluster")  # doctest: +SKIP
        """
        return plots.plot_scatter(self._sites_to_plot(), **options)

    @takes_options(plots.plot_polar_scatter)
    def plot_polar_scatter(self, **options: Any) -> Axes:
        """Draw one column against another, coloured by direction and amplitude.

        Examples
        --------
        >>> stack.plot_polar_scatter("latent_0", "latent_1", amplitude="latent_1")
        ... # doctest: +SKIP
        """
        options = self._options_for_angles(options["angle"], options, titled=False)
        return plots.plot_polar_scatter(self._sites_to_plot(), **options)

    @takes_options(plots.plot_scatter, ("sites", "x", "y", "equal"))
    def plot_latent_space(
        self,
        color: str | None = "angle",
        axes: tuple[int | str, int | str] = (0, 1),
        **options: Any,
    ) -> Axes:
        """Draw two content latents of the rVAE against each other.

        Parameters
        ----------
        color : str or None
            Column of the colours: ``"angle"`` on a cyclic map, ``"cluster"`` ...
        axes : tuple of int or str
            Numbers of the latents along x and y, or names of columns. For a model with one
            latent, the default draws the latent against the angle.

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
        if np.ndim(axes) != 1 or len(axes) != 2:
            raise ValueError(f"axes={shown(axes)}: give two latents, by number or by name.")
        axes = tuple(axes)
        if axes == (0, 1) and "latent_1" not in sites and "angle" in sites:
            axes = ("latent_0", "angle")
        if len(axes) != 2:
            raise ValueError(f"axes={axes!r}: give two latents, such as (0, 1).")
        x, y = (axis if isinstance(axis, str) else f"latent_{axis}" for axis in axes)
        return plots.plot_scatter(sites, x, y, color, **options)

    # The model and what it found -----------------------------------------------

    @takes_options(
        plots.plot_manifold,
        ("images", "values_y", "values_x", "label_x", "label_y", "intensity_label"),
    )
    def plot_rvae_manifold(
        self,
        shape: tuple[int, int] = (5, 5),
        limits: tuple[float, float] = (-2.0, 2.0),
        axes: tuple[int, int] = (0, 1),
        *,
        n_angles: int = 8,
        **options: Any,
    ) -> Axes:
        """Draw sub-images decoded on a grid of two latents, or of the only one.

        Where a distortion turns, they are the static part. In a new figure two rows follow: the
        sub-image at latents 0 with the distortion in each direction, and the change it makes.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the grid; a model with one latent has one row.
        limits : tuple of float
            Lowest and highest value of the latents.
        axes : tuple of int
            Numbers of the latents along x and y; further latents are 0.
        n_angles : int
            Number of directions of the distortion. If 0, the static part alone.

        Returns
        -------
        matplotlib.axes.Axes
            That of the grid; the rows of the distortion are ``ax.figure.axes[1]``.

        Raises
        ------
        RuntimeError
            If no model has been fitted or applied.
        ValueError
            If the model has no such latents, or an option does not fit.

        Examples
        --------
        >>> stack.plot_rvae_manifold(axes=(0, 2))  # doctest: +SKIP
        """
        model = self._model_to_decode()
        images, values_y, values_x = model.manifold(shape, limits, axes)
        options |= {"label_x": f"Latent {axes[0]}", "label_y": f"Latent {axes[-1]}"}
        options["intensity_label"] = self._intensity_label()
        verdict = self.rvae_verdict
        if verdict is None or verdict.rotation != "distortion" or options["ax"] is not None:
            return plots.plot_manifold(images, values_y, values_x, **options)
        if options["title"] is None:
            options["title"] = _TITLES_OF_MANIFOLD.get(verdict.kind, "Static part over the latents")
        if verdict.kind not in ("variants", "continuous") or not n_angles:
            return plots.plot_manifold(images, values_y, values_x, **options)
        distortion = self._distortion_to_plot(n_angles)
        return plot_with_distortion((images, values_y, values_x), distortion, options)

    @takes_options(plots.plot_history, ("history",))
    def plot_rvae_history(self, **options: Any) -> Figure:
        """Draw the progress of the fit of the model, angles and content, in two panels.

        Raises
        ------
        RuntimeError
            If no model has been fitted or applied.

        Examples
        --------
        >>> stack.plot_rvae_history()  # doctest: +SKIP
        """
        return plots.plot_history(self.rvae_model.history_, **options)

    @takes_options(plots.plot_diagnostics, ("table",))
    def plot_rvae_diagnostics(
        self,
        diagnostics: Diagnostics | None = None,
        *,
        n_shuffles: int = 30,
        max_sites: int = 1000,
        random_state: int | np.random.Generator | None = None,
        **options: Any,
    ) -> Axes:
        """Draw the dependence of angle and latents on the instrument, as a table of colours.

        Parameters
        ----------
        diagnostics : hs_rvae.diagnostics.Diagnostics, optional
            The result of :meth:`rvae_diagnostics`. If None, it is called with the next three
            parameters.
        n_shuffles, max_sites, random_state
            As in :meth:`rvae_diagnostics`.

        Raises
        ------
        ValueError
            As in :meth:`rvae_diagnostics`.

        Examples
        --------
        >>> found = stack.rvae_diagnostics(random_state=0)  # doctest: +SKIP
        >>> ax = stack.plot_rvae_diagnostics(found)  # doctest: +SKIP
        """
        if diagnostics is None:
            diagnostics = self.rvae_diagnostics(
                n_shuffles=n_shuffles, max_sites=max_sites, random_state=random_state
            )
        return plots.plot_diagnostics(diagnostics.table, **options)

    # Clusters ------------------------------------------------------------------

    @takes_options(
        plots.plot_cluster_means,
        ("images", "labels", "counts", "colors", "pixel_size", "pixel_units", "intensity_label"),
    )
    def plot_cluster_means(self, column: str = "cluster", **options: Any) -> Figure:
        """Draw the mean sub-image of each cluster with the number of its sites.

        Parameters
        ----------
        column : str
            Column of labels, from :meth:`cluster_analysis` or :meth:`assign_variants`.

        Raises
        ------
        KeyError, ValueError
            As in :meth:`get_cluster_means`.

        Examples
        --------
        >>> stack.plot_cluster_means()  # doctest: +SKIP
        """
        means = self.get_cluster_means(column)
        labels = list(means.metadata.Clusters.labels)
        axis = means.axes_manager.signal_axes[0]
        calibrated = _units.is_calibrated(axis.units)
        return plots.plot_cluster_means(
            means.data,
            labels,
            list(means.metadata.Clusters.counts),
            colors=label_colors(self.sites, column, labels),
            pixel_size=abs(axis.scale) if calibrated else None,
            pixel_units=axis.units if calibrated else "px",
            intensity_label=self._intensity_label(),
            **options,
        )

    @takes_options(plots.plot_cluster_metric, ("n_clusters", "values", "metric", "best"))
    def plot_cluster_metric(self, **options: Any) -> Axes:
        """Draw the curve behind the last estimate of the number of clusters.

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
            **options,
        )

    # Images --------------------------------------------------------------------

    @takes_options(plots.plot_image, ())
    def plot_image(self, *, image: Any = None, **options: Any) -> Axes:
        """Draw the parent image, or a part of it, with a scale bar.

        Parameters
        ----------
        image : Signal2D, optional
            If None, the parent image. In a stack of several images, or of a series, the one that
            all sites belong to.

        Raises
        ------
        ValueError
            If the image is not available, or an option does not fit.

        Examples
        --------
        >>> stack.plot_image(boxes=[(2, 2, 4, 4)])  # doctest: +SKIP
        >>> stack.plot_image(region=(2, 2, 4, 4))  # doctest: +SKIP
        """
        return plots.plot_image(self._one_image(image), **options)

    @takes_options(plots.plot_columns, ("lattice",))
    def plot_columns(self, *, image: Any = None, **options: Any) -> Axes:
        """Draw all columns of the parent image as open circles, one colour for each sublattice.

        They are those of the lattice that the stack was made of; otherwise the sites.

        Parameters
        ----------
        image : Signal2D, optional
            If None, the parent image, as in :meth:`plot_image`.

        Examples
        --------
        >>> stack.plot_columns(region=(2, 2, 4, 4))  # doctest: +SKIP
        """
        return plots.plot_columns(columns_of(self)[0], image=self._one_image(image), **options)

    @takes_options(plots.plot_sub_image, ("image", "extent", "unit"))
    def plot_sub_image(self, site: int, **options: Any) -> Axes:
        """Draw one sub-image with a scale bar, for example as an inset.

        Parameters
        ----------
        site : int
            Number of the site.

        Raises
        ------
        IndexError
            If there is no such site.
        ValueError
            If the stack has several detectors.

        Examples
        --------
        >>> ax = stack.plot_angle_histogram()  # doctest: +SKIP
        >>> stack.plot_sub_image(10, disk=True, ax=ax.inset_axes((0.7, 0.6, 0.3, 0.4)))
        ... # doctest: +SKIP
        """
        check_one_detector(self)
        count = self.axes_manager.navigation_size or 1
        if not 0 <= site < count:
            raise IndexError(f"site={site!r}: there are {count} sites, counted from 0.")
        image = self.data[site] if self.data.ndim == 3 else self.data
        return plots.plot_sub_image(np.asarray(image), *self._extent_of_windows(), **options)

    # Walk through the sites ----------------------------------------------------

    def plot(
        self,
        navigator: Any = "auto",
        *args: Any,
        color: str | None = None,
        image: Any = None,
        **kwargs: Any,
    ) -> plots.SiteNavigator | None:
        """Plot the sub-images, with HyperSpy's navigator or with a map of the sites.

        Parameters
        ----------
        navigator : str, BaseSignal or None
            ``"sites"``: the parent image with its sites. A click goes to a site, a path drawn
            around sites chooses them, the arrow keys go through them. Everything else as in
            :meth:`hyperspy.api.signals.Signal2D.plot`.
        *args
            Passed to HyperSpy.
        color : str, optional
            Column that colours the sites of the map, with ``navigator="sites"``.
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            The image of the map, as in :meth:`plot_site_map`.
        **kwargs
            Passed to HyperSpy.

        Returns
        -------
        hs_rvae.plots.SiteNavigator or None
            With ``"sites"`` the map; its ``select_sites()`` gives a stack of the chosen sites.

        Raises
        ------
        ValueError
            With ``"sites"``, if the stack has no site table or no navigation axis; without, if
            `color` or `image` is given. If HyperSpy has no such navigator.
        KeyError
            If there is no such column.

        Examples
        --------
        >>> navigator = stack.plot(navigator="sites", color="angle")  # doctest: +SKIP
        >>> part = navigator.select_sites()  # doctest: +SKIP
        """
        if not (isinstance(navigator, str) and navigator == "sites"):
            _exploring.check_navigator(navigator, color, image)
            self._plot_upright(navigator, *args, **kwargs)
            _exploring.close_alone(self._plot)
            return None
        self._sites_to_explore()
        if color is not None:
            column_values(self.sites, color)  # before a window is opened
        self._plot_upright(None, *args, **kwargs)
        window = self._plot
        _exploring.close_alone(window)
        navigator = plots.SiteNavigator(
            self.sites,
            color,
            image=self._image_to_plot(image),
            take=self.select_sites,
            resolve=self._numbers_of,
        )
        _exploring.link(navigator, self.axes_manager)
        closing = []

        def signal_closed() -> None:
            closing.append(True)
            navigator.close()

        # The two close together, as HyperSpy's own windows do.
        navigator.on_close(lambda: closing or window.close())
        window.signal_plot.events.closed.connect(signal_closed, [])
        return navigator

    def _plot_upright(self, *args: Any, **kwargs: Any) -> None:
        """HyperSpy's plot with the first row at the top, whatever matplotlibrc has."""
        with matplotlib.rc_context({"image.origin": "upper"}):
            super().plot(*args, **kwargs)

    def explore(
        self, x: str = "latent_0", y: str = "latent_1", color: str = "angle", *, image: Any = None
    ) -> plots.Explorer:
        """Walk through the sites: map, scatter of two columns, and all about one site.

        The map and the scatter are linked: a click on either goes to a site, a path drawn around
        sites chooses them in both (with shift: in addition; escape lets go), the arrow keys go
        through them. Below stand the sub-image, its reconstruction, the posterior of the angle
        and the row of the table. Windows opened by ``stack.plot()`` follow, and lead.

        Parameters
        ----------
        x, y : str
            Columns of the scatter.
        color : str
            Column that colours map and scatter.
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            The image of the map, as in :meth:`plot_site_map`.

        Returns
        -------
        hs_rvae.plots.Explorer
            Its ``select_sites()`` gives a stack of the chosen sites; ``select(sites)`` chooses by
            mask, numbers or ROI.

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If the stack has no site table or no navigation axis, or sites of several images or
            frames; or if a column has no finite value.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
        >>> explorer = stack.explore(x="x", y="y", color="x")
        >>> explorer.select(stack.sites["x"] > 150)
        >>> bool(explorer.select_sites().sites["x"].min() > 150)
        True
        >>> explorer.close()
        """
        check_one_detector(self)
        self._sites_to_explore()
        extent, unit = self._extent_of_windows()
        explorer = plots.Explorer(
            self.sites,
            x,
            y,
            color,
            partial(_exploring.details_of, self),
            extent=extent,
            unit=unit,
            image=self._image_to_plot(image),
            take=self.select_sites,
            resolve=self._numbers_of,
        )
        _exploring.link(explorer, self.axes_manager)
        return explorer

    def _sites_to_explore(self) -> None:
        site_points(self._sites_to_plot())  # of one image and one frame?
        self._check_site_axis()

    # What is passed to the plots -----------------------------------------------

    def _options_for_angles(
        self, column: str, options: dict[str, Any], *, titled: bool = True
    ) -> dict[str, Any]:
        """Options of a figure of a column: for the angle of the model, its name and its limits."""
        verdict = self.rvae_verdict
        if column == "variant" and verdict is not None and verdict.rotation == "distortion":
            options["class_labels"] = options["class_labels"] or "arrows"
        if column != "angle" or verdict is None:
            return options
        if self._known_without_distortion():
            options["least_order"] = None
        if titled and options["title"] is None and options["ax"] is None:
            options["title"] = verdict.title
        return options

    def _directions_to_mark(self, column: str, variants: Any) -> Any:
        """Directions that a histogram of angles marks, in radians."""
        number = is_number(variants)
        if not (number or isinstance(variants, str)):
            return variants
        if isinstance(variants, str) and variants != "auto":
            raise ValueError(f"variants={variants!r}: give 'auto', a number or angles in radians.")
        found = np.zeros(0)
        if column == "angle" and "variant" in self._sites_to_plot():
            with suppress(ValueError):  # of the user's own column
                found = self.variants["direction"].to_numpy()
        found = found[np.isfinite(found)]  # joined stacks may have none in common
        if not len(found):
            return variants if number else None
        if number and len(found) != variants:
            return variants
        fold = self._motif_symmetry()
        turns = 2 * np.pi / fold * np.arange(fold)
        return (found[:, None] + turns).ravel()

    def _distortion_to_plot(self, n_angles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sub-images with the distortion in each direction, the changes it makes, directions."""
        model, zero = self._model_to_decode(), self._applied()["angle_offset"]
        angles = 2 * np.pi / n_angles * np.arange(n_angles)
        latent = np.zeros((n_angles, model.n_latents_))
        images = model.inverse_transform(latent, angles + zero)
        return images, images - model.inverse_transform(latent), angles

    def _registered_manifold(
        self, shape: tuple[int, int], limits: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sub-images over the first latents, in the frame of angle 0 in the table."""
        manifold = self.get_rvae_manifold(shape, limits)
        values = [axis.axis for axis in manifold.axes_manager.navigation_axes]
        images = manifold.data if len(values) == 2 else manifold.data[None]
        return images, (values[1] if len(values) == 2 else np.zeros(1)), values[0]

    def _image_to_plot(self, image: Any) -> np.ndarray | None:
        """Image as a 2-D array, None for none; of the images of a joined stack the one drawn."""
        if image is False:
            return None
        if image is None:
            image = first_image(self)
        if isinstance(image, list | tuple):
            image = image_in_list(image, self.sites)
        if image is None:
            return None
        data = getattr(image, "data", image)
        if np.ndim(data) == 3 and "frame" in self.sites:
            # Several frames at once are refused by the plot itself.
            data = data[self.sites["frame"][0]]
        return np.asarray(filled(data))

    def _one_image(self, image: Any) -> Any:
        """The given image, or the parent image if it is one."""
        image = image_of_sites(self) if image is None else image
        if image is None or isinstance(image, list):
            which = "joins several images" if image else "has no image"
            load = "" if image else f" {how_to_load(self, IMAGE_NODE, 'load_image')}."
            raise ValueError(f"The stack {which}: give one with image=, or set stack.image.{load}")
        return image

    def _intensity_label(self) -> str:
        return self.metadata.get_item("Signal.quantity") or "intensity"

    def _extent_of_windows(self) -> tuple[tuple[float, float, float, float], str]:
        """(left, right, bottom, top) of the windows on their axes, and the unit."""
        x, y = self.axes_manager.signal_axes
        left, top = x.offset - x.scale / 2, y.offset - y.scale / 2
        extent = left, left + x.size * x.scale, top + y.size * y.scale, top
        return extent, _units.printed(x.units)
