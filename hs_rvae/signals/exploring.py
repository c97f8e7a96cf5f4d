# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures and HyperSpy's navigation (``axes_manager.events``) tied together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hs_rvae.checks import shown
from hs_rvae.exceptions import ModelMismatch
from hs_rvae.sites import units as _units

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal
    from hs_rvae.sites import SiteTable

#: Bins of the angle in which the explorer draws a posterior.
N_ANGLES = 180
#: Navigators that HyperSpy knows by name.
_NAVIGATORS = ("auto", "slider", "spectrum", "data")
#: Text in the place of a reconstruction.
NO_MODEL = "no model:\nstack.rvae() or\nstack.apply_rvae(path)"


def link(figure: Any, manager: Any) -> None:
    """Tie a figure to the position of HyperSpy's navigation, both ways, and to its keys.

    Parameters
    ----------
    figure : SiteNavigator or Explorer
    manager : hyperspy.axes.AxesManager
        The manager of the stack.
    """

    def lead(site: int) -> None:
        indices = (*manager.indices[:-1], site)  # the site comes after a detector
        if manager.indices != indices:
            manager.indices = indices

    def follow() -> None:
        figure.show(manager.indices[-1])

    figure.show(manager.indices[-1])
    figure.on_site(lead)
    manager.events.indices_changed.connect(follow, [])
    canvas = figure.figure.canvas
    keys = canvas.mpl_connect("key_press_event", manager.key_navigator)

    def unlink() -> None:
        manager.events.indices_changed.disconnect(follow)
        canvas.mpl_disconnect(keys)

    figure.on_close(unlink)


def check_navigator(navigator: Any, color: Any, image: Any) -> None:
    """Refuse navigators that HyperSpy does not take, and options of the map of sites."""
    for name, value in (("color", color), ("image", image)):
        if value is not None:
            raise ValueError(f"{name} is for the map of sites: add navigator='sites'.")
    of_hyperspy = isinstance(navigator, str) and navigator in _NAVIGATORS
    if not (of_hyperspy or navigator is None or isinstance(navigator, BaseSignal)):
        raise ValueError(
            f"navigator={shown(navigator)}: give one of 'sites', "
            f"{', '.join(map(repr, _NAVIGATORS))}, a signal, or None for no navigator."
        )


def angle_density(sites: SiteTable, site: int) -> tuple[NDArray[Any], NDArray[Any]] | str:
    """Normal distribution around the circle, from the columns angle and angle_std of one site.

    Parameters
    ----------
    sites : SiteTable
    site : int

    Returns
    -------
    tuple of numpy.ndarray, or str
        Angles and probabilities; the reason if there is none.
    """
    if "angle" not in sites or "angle_std" not in sites:
        return "no angles:\nstack.rvae() or\nstack.apply_rvae(path)"
    mean, std = (
        _units.radians(sites[name][site], sites.units[name]) for name in ("angle", "angle_std")
    )
    if not np.isfinite([mean, std]).all():
        return "this site has no angle"
    angle = -np.pi + 2 * np.pi * (np.arange(N_ANGLES) + 0.5) / N_ANGLES
    away = np.angle(np.exp(1j * (angle - mean)))
    density = np.exp(-0.5 * (away / max(std, 1e-3)) ** 2)
    return angle, density / max(density.sum(), 1e-300)


def close_alone(windows: Any) -> None:
    """Make HyperSpy's windows close themselves only.

    HyperSpy 2.5 forgets its figure before ``plt.close``, which then closes the active one: the
    explorer, or any other figure of the user.

    Parameters
    ----------
    windows : hyperspy.drawing.mpl_he.MPL_HyperExplorer
    """
    for part in (windows.signal_plot, windows.navigator_plot):
        if part is not None:
            part.close = partial(_close, part)


def _close(part: Any) -> None:
    figure = part.get_mpl_figure()
    part._on_close()
    if figure is not None:
        plt.close(figure)


def details_of(stack: SiteSignal, site: int) -> dict[str, Any]:
    """Sub-image, reconstruction and angle posterior of one site, for the explorer."""
    one = stack.select_sites([site])
    one._rvae_model = stack._rvae_model
    if one._lazy:
        one.compute(show_progressbar=False)
    found = {"sub_image": one.data[0], "model": NO_MODEL}
    found["posterior"] = angle_density(stack.sites, site)
    if stack._rvae_model is None:
        return found
    try:
        decode, pose = one._decoder()  # get_rvae_model() without dask, which takes longer
        found["model"] = decode(pose)[0]
    except ModelMismatch as error:
        found["model"] = str(error)
    if not stack._rvae_model.rotation:
        return found
    try:
        posterior = one.get_angle_posterior(N_ANGLES)
    except ModelMismatch:  # the normal distribution of the table remains
        return found
    if np.isfinite(posterior.data).all():
        angle = posterior.axes_manager.signal_axes[0].axis
        found["posterior"] = angle, posterior.data[0]
    return found
