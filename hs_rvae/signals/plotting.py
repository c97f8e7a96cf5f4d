# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a stack: columns of its table, its image and its model, handed to the plots."""

import numpy as np

from hs_rvae import plots
from hs_rvae.masked_arrays import filled


class PlottingMixin:
    """Draw columns of the site table."""

    def plot_site_map(
        self,
        column,
        *,
        image=None,
        frame=None,
        kind=None,
        cmap=None,
        limits=None,
        percentiles=(1, 99),
        marker_size=None,
        scale_bar=None,
        colorbar=True,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw the sites as markers coloured by a column, upon the parent image.

        Parameters
        ----------
        column : str
            Name of a column of :attr:`sites`, such as ``"angle"``.
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            The image to draw upon; by default the parent image if the stack has it. False: none,
            but calibrated axes. Of a series, all its frames.
        frame : int, optional
            The frame of a series to show; None is the first. A new figure has a slider for the
            others, which ``ax.frame_slider`` holds. Colours are the same in all frames;
            :meth:`save_movie` makes a movie of them.
        kind, cmap, limits, percentiles, marker_size, scale_bar, colorbar, title, font_size, ax
            As in :func:`hs_rvae.plots.plot_site_map`.

        Returns
        -------
        matplotlib.axes.Axes

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
        in_frames = "frame" in sites
        return plots.plot_site_map(
            sites,
            column,
            image=self._frames_to_plot(image) if in_frames else self._image_to_plot(image),
            frame=frame,
            frame_labels=self._frame_labels() if in_frames else None,
            kind=kind,
            cmap=cmap,
            limits=limits,
            percentiles=percentiles,
            marker_size=marker_size,
            scale_bar=scale_bar,
            colorbar=colorbar,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def plot_polar_map(
        self,
        angle="angle",
        amplitude="auto",
        *,
        image=None,
        sign=1,
        signed=None,
        limits=None,
        percentiles=(1, 99),
        cmap=None,
        arrows=False,
        wheel=True,
        marker_size=None,
        scale_bar=None,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw the sites as markers coloured by direction and amplitude, with a colour wheel.

        Parameters
        ----------
        angle : str
            Column of angles, or name of a vector such as ``"displacement"``, which reads the
            columns displacement_x and displacement_y, or ``"displacement_calibrated"``.
        amplitude : str or None
            Column of the amplitude, or name of a vector for its length. ``"auto"`` is the length
            of the vector if `angle` names one, else latent_0. None: direction alone.
        image : Signal2D, array-like of shape (ny, nx) or False, optional
            As in :meth:`plot_site_map`.
        sign : {1, -1}
            -1 turns every direction by 180 degrees, for a map of the polarisation where it points
            against the displacement. Which it does is the user's to state.
        signed, limits, percentiles, cmap, arrows, wheel, marker_size, scale_bar, title, font_size,\
 ax
            As in :func:`hs_rvae.plots.plot_polar_map`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        KeyError
            If a column is missing.
        ValueError
            If there is no site table, no finite value, or an option does not fit.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(
        ...     image, truth.b_sites, window_size=40, neighbours=truth.a_sites
        ... )
        >>> ax = stack.plot_polar_map("displacement", sign=-1)
        """
        return plots.plot_polar_map(
            self._sites_to_plot(),
            angle,
            amplitude,
            image=self._image_to_plot(image),
            sign=sign,
            signed=signed,
            limits=limits,
            percentiles=percentiles,
            cmap=cmap,
            arrows=arrows,
            wheel=wheel,
            marker_size=marker_size,
            scale_bar=scale_bar,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def plot_angle_histogram(
        self,
        column="angle",
        *,
        bins=72,
        polar=False,
        fold=1,
        variants=None,
        cmap=None,
        color=None,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw the histogram of an angle over all sites, in degrees.

        Parameters
        ----------
        column : str
            Column of angles in radians.
        bins, polar, fold, variants, cmap, color, title, font_size, ax
            As in :func:`hs_rvae.plots.plot_angle_histogram`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If there is no site table, no finite angle, or an option does not fit.

        Examples
        --------
        >>> stack.plot_angle_histogram(variants=4)  # doctest: +SKIP
        """
        return plots.plot_angle_histogram(
            self._sites_to_plot(),
            column,
            bins=bins,
            polar=polar,
            fold=fold,
            variants=variants,
            cmap=cmap,
            color=color,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def plot_rvae_manifold(
        self,
        shape=(10, 10),
        limits=(-2.0, 2.0),
        axes=(0, 1),
        *,
        normalise="common",
        intensity_limits=None,
        percentiles=(0.5, 99.5),
        cmap="gray",
        gap=0.06,
        colorbar=True,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw sub-images decoded on a grid of two latents, or of the only one.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the grid; a model with one latent has one row.
        limits : tuple of float
            Lowest and highest value of the latents.
        axes : tuple of int
            Numbers of the latents along x and y; further latents are 0.
        normalise, intensity_limits, percentiles, cmap, gap, colorbar, title, font_size, ax
            As in :func:`hs_rvae.plots.plot_manifold`.

        Returns
        -------
        matplotlib.axes.Axes

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
        images, values_y, values_x = self._model_of_sites().manifold(shape, limits, axes)
        return plots.plot_manifold(
            images,
            values_y,
            values_x,
            label_x=f"latent_{axes[0]}",
            label_y=f"latent_{axes[-1]}",
            intensity_label=self.metadata.get_item("Signal.quantity") or "intensity",
            normalise=normalise,
            intensity_limits=intensity_limits,
            percentiles=percentiles,
            cmap=cmap,
            gap=gap,
            colorbar=colorbar,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def plot_rvae_history(self, *, title=None, font_size=None, ax=None):
        """Draw how the angles and the content of the model were fitted, in two panels.

        Parameters
        ----------
        title, font_size, ax
            As in :func:`hs_rvae.plots.plot_history`; `ax` is a sequence of two Axes.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If no model has been fitted or applied.

        Examples
        --------
        >>> stack.plot_rvae_history()  # doctest: +SKIP
        """
        return plots.plot_history(self.rvae_model.history_, title=title, font_size=font_size, ax=ax)

    def _registered_manifold(self, shape, limits):
        """Sub-images over the first latents, in the frame in which the table's angles are 0."""
        manifold = self.get_rvae_manifold(shape, limits)
        values = [axis.axis for axis in manifold.axes_manager.navigation_axes]
        images = manifold.data if len(values) == 2 else manifold.data[None]
        return images, (values[1] if len(values) == 2 else np.zeros(1)), values[0]

    def _sites_to_plot(self):
        sites = self.sites
        if sites is None:
            raise ValueError(
                "The stack has no site table to draw: make it with SubImageStack.from_positions, "
                "or take the windows from a stack that has one."
            )
        return sites

    def _image_to_plot(self, image):
        """Image as a 2-D array, None for none; of the images of a joined stack the one drawn."""
        if image is False:
            return None
        if image is None:
            image = self.image
        if isinstance(image, list):
            numbers = np.unique(self.sites["image"])
            # Several images at once are refused by the plot itself.
            image = image[numbers[0]] if numbers.size == 1 else None
        if image is None:
            return None
        data = getattr(image, "data", image)
        if np.ndim(data) == 3 and "frame" in self.sites:
            # Several frames at once are refused by the plot itself.
            data = data[self.sites["frame"][0]]
        return np.asarray(filled(data))
