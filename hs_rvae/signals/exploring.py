# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walk through the sites of a stack: the map as navigator, and the explorer.

The one place where figures and HyperSpy's navigation (``axes_manager.events``) are tied together.
"""

from functools import partial

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from hs_rvae import plots
from hs_rvae.exceptions import ModelMismatch
from hs_rvae.plots.markers import column_values, site_points
from hs_rvae.signals import selection as _selection
from hs_rvae.sites import units as _units

_N_ANGLES = 180
_NO_MODEL = "no model at hand:\nstack.rvae() or\nstack.apply_rvae(path)"


class ExploringMixin:
    """Figures that answer to the mouse."""

    def plot(self, navigator="auto", *args, color=None, image=None, **kwargs):
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
            `color` or `image` is given.
        KeyError
            If there is no such column.

        Examples
        --------
        >>> navigator = stack.plot(navigator="sites", color="angle")  # doctest: +SKIP
        >>> part = navigator.select_sites()  # doctest: +SKIP
        """
        if not (isinstance(navigator, str) and navigator == "sites"):
            for name, value in (("color", color), ("image", image)):
                if value is not None:
                    raise ValueError(f"{name} is for the map of sites: add navigator='sites'.")
            self._plot_upright(navigator, *args, **kwargs)
            _close_no_other(self._plot)
            return None
        self._sites_to_explore()
        if color is not None:
            column_values(self.sites, color)  # before a window is opened
        self._plot_upright(None, *args, **kwargs)
        shown = self._plot
        _close_no_other(shown)
        navigator = plots.SiteNavigator(
            self.sites,
            color,
            image=self._image_to_plot(image),
            take=self.select_sites,
            resolve=self._numbers_of,
        )
        self._follow(navigator)
        closing = []

        def signal_closed():
            closing.append(True)
            navigator.close()

        # The two close together, as HyperSpy's own windows do.
        navigator.on_close(lambda: closing or shown.close())
        shown.signal_plot.events.closed.connect(signal_closed, [])
        return navigator

    def _plot_upright(self, *args, **kwargs):
        """HyperSpy's plot, which leaves the side of the first row to matplotlibrc."""
        with matplotlib.rc_context({"image.origin": "upper"}):
            super().plot(*args, **kwargs)

    def explore(self, x="latent_0", y="latent_1", color="angle", *, image=None):
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
        self._sites_to_explore()
        extent, unit = self._extent_of_windows()
        explorer = plots.Explorer(
            self.sites,
            x,
            y,
            color,
            self._details_of,
            extent=extent,
            unit=unit,
            image=self._image_to_plot(image),
            take=self.select_sites,
            resolve=self._numbers_of,
        )
        self._follow(explorer)
        return explorer

    def _sites_to_explore(self):
        site_points(self._sites_to_plot())  # of one image and one frame?
        self._check_site_axis()

    def _numbers_of(self, sites):
        """Numbers of the sites that a mask, numbers or a ROI choose."""
        if _selection.is_roi(sites):
            sites = self._sites_in_roi(sites)
        return _selection.site_indices(sites, self.axes_manager.navigation_size)

    def _follow(self, navigator):
        """Tie the figure to the position of HyperSpy's navigation, both ways, and to its keys."""
        manager = self.axes_manager

        def lead(site):
            if manager.indices != (site,):
                manager.indices = (site,)

        def follow():
            navigator.show(manager.indices[0])

        navigator.show(manager.indices[0])
        navigator.on_site(lead)
        manager.events.indices_changed.connect(follow, [])
        canvas = navigator.figure.canvas
        keys = canvas.mpl_connect("key_press_event", manager.key_navigator)

        def let_go():
            manager.events.indices_changed.disconnect(follow)
            canvas.mpl_disconnect(keys)

        navigator.on_close(let_go)

    def _details_of(self, site):
        """Sub-image, reconstruction and angle posterior of one site, for the explorer."""
        one = self.select_sites([site])
        one._rvae_model = self._rvae_model
        if one._lazy:
            one.compute(show_progressbar=False)
        found = {"sub_image": one.data[0], "model": _NO_MODEL}
        found["posterior"] = self._posterior_of_table(site)
        if self._rvae_model is None:
            return found
        try:
            decode, pose = one._decoder()  # get_rvae_model() without dask, which takes longer
            found["model"] = decode(pose)[0]
        except ModelMismatch as error:
            found["model"] = str(error)
        if not self._rvae_model.rotation:
            return found
        try:
            posterior = one.get_angle_posterior(_N_ANGLES)
        except ModelMismatch:  # the normal distribution of the table remains
            return found
        if np.isfinite(posterior.data).all():
            angle = posterior.axes_manager.signal_axes[0].axis
            found["posterior"] = angle, posterior.data[0]
        return found

    def _posterior_of_table(self, site):
        """Normal distribution around the circle, of the columns angle and angle_std."""
        sites = self.sites
        if "angle" not in sites or "angle_std" not in sites:
            return "no angles:\nstack.rvae() or\nstack.apply_rvae(path)"
        mean, std = (
            _units.radians(sites[name][site], sites.units[name]) for name in ("angle", "angle_std")
        )
        if not np.isfinite([mean, std]).all():
            return "this site has no angle"
        angle = -np.pi + 2 * np.pi * (np.arange(_N_ANGLES) + 0.5) / _N_ANGLES
        away = np.angle(np.exp(1j * (angle - mean)))
        density = np.exp(-0.5 * (away / max(std, 1e-3)) ** 2)
        return angle, density / max(density.sum(), 1e-300)


def _close_no_other(shown):
    """Let HyperSpy's figures close themselves only.

    HyperSpy 2.5 forgets its figure before ``plt.close``, which then closes the active one: the
    explorer, or whatever else the user looks at.
    """
    for part in (shown.signal_plot, shown.navigator_plot):
        if part is not None:
            part.close = partial(_close_alone, part)


def _close_alone(part):
    figure = part.get_mpl_figure()
    part._on_close()
    if figure is not None:
        plt.close(figure)
