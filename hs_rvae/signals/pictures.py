# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""More figures of a stack: the image and its parts, one sub-image, scatters with a colour wheel."""

import numpy as np

from hs_rvae import plots
from hs_rvae.parent_image import is_series
from hs_rvae.plots.panels import unit_name
from hs_rvae.signals.origins import IMAGE_NODE


class PicturesMixin:
    """Draw the image, a sub-image, or columns against each other."""

    def plot_image(
        self,
        *,
        image=None,
        region=None,
        boxes=(),
        percentiles=(0.5, 99.5),
        cmap="gray",
        scale_bar=None,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw the parent image, or a part of it, with a scale bar.

        Parameters
        ----------
        image : Signal2D, optional
            By default the parent image; of several, or of a series, the one that all sites are in.
        region, boxes, percentiles, cmap, scale_bar, title, font_size, ax
            As in :func:`hs_rvae.plots.plot_image`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            If the image is not at hand, or an option does not fit.

        Examples
        --------
        >>> stack.plot_image(boxes=[(2, 2, 4, 4)])  # doctest: +SKIP
        >>> stack.plot_image(region=(2, 2, 4, 4))  # doctest: +SKIP
        """
        image = self._image_of_sites() if image is None else image
        if image is None or isinstance(image, list):
            which = "joins several images" if image else "has no image at hand"
            load = "" if image else f" {self._how_to_load(IMAGE_NODE, 'load_image')}."
            raise ValueError(f"The stack {which}: give one with image=, or set stack.image.{load}")
        return plots.plot_image(
            image,
            region=region,
            boxes=boxes,
            percentiles=percentiles,
            cmap=cmap,
            scale_bar=scale_bar,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def _image_of_sites(self):
        """The parent image; the one image or frame that all sites are in, if there is one."""
        image, sites = self.image, self.sites
        several = isinstance(image, list) or is_series(image)
        if not several or sites is None:
            return image
        numbers = np.unique(sites["image" if isinstance(image, list) else "frame"])
        if len(numbers) > 1:
            return image
        number = int(numbers[0])
        return image[number] if isinstance(image, list) else image.inav[number]

    def plot_sub_image(
        self,
        site,
        *,
        limits=None,
        disk=False,
        cmap="gray",
        scale_bar=None,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw one sub-image with a scale bar, for example as an inset.

        Parameters
        ----------
        site : int
            Number of the site.
        limits, disk, cmap, scale_bar, title, font_size, ax
            As in :func:`hs_rvae.plots.plot_sub_image`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        IndexError
            If there is no such site.

        Examples
        --------
        >>> ax = stack.plot_angle_histogram()  # doctest: +SKIP
        >>> stack.plot_sub_image(10, disk=True, ax=ax.inset_axes((0.7, 0.6, 0.3, 0.4)))
        ... # doctest: +SKIP
        """
        count = self.axes_manager.navigation_size or 1
        if not 0 <= site < count:
            raise IndexError(f"site={site!r}: there are {count} sites, counted from 0.")
        extent, unit = self._extent_of_windows()
        data = self.data[site] if self.data.ndim == 3 else self.data
        return plots.plot_sub_image(
            np.asarray(data),
            extent,
            unit,
            limits=limits,
            disk=disk,
            cmap=cmap,
            scale_bar=scale_bar,
            title=title,
            font_size=font_size,
            ax=ax,
        )

    def _extent_of_windows(self):
        """(left, right, bottom, top) of the windows on their axes, and the unit."""
        x, y = self.axes_manager.signal_axes
        left, top = x.offset - x.scale / 2, y.offset - y.scale / 2
        extent = left, left + x.size * x.scale, top + y.size * y.scale, top
        return extent, unit_name(x.units)

    def plot_polar_scatter(
        self,
        x,
        y,
        angle="angle",
        amplitude="latent_0",
        *,
        sign=1,
        signed=None,
        limits=None,
        percentiles=(1, 99),
        cmap=None,
        wheel=True,
        marker_size=None,
        title=None,
        font_size=None,
        ax=None,
    ):
        """Draw one column against another, coloured by direction and amplitude.

        Parameters
        ----------
        x, y : str
            Columns, such as ``"latent_0"`` and ``"latent_1"``, or ``"shift_x"`` and ``"shift_y"``.
        angle, amplitude, sign, signed, limits, percentiles, cmap, wheel, marker_size, title,\
 font_size, ax
            As in :func:`hs_rvae.plots.plot_polar_scatter`.

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
        >>> stack.plot_polar_scatter("latent_0", "latent_1", amplitude="latent_1")
        ... # doctest: +SKIP
        """
        return plots.plot_polar_scatter(
            self._sites_to_plot(),
            x,
            y,
            angle,
            amplitude,
            sign=sign,
            signed=signed,
            limits=limits,
            percentiles=percentiles,
            cmap=cmap,
            wheel=wheel,
            marker_size=marker_size,
            title=title,
            font_size=font_size,
            ax=ax,
        )
