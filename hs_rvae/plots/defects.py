# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defects of a crystal, as open markers on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patheffects import Stroke

from . import layout
from .image import in_units_of_axes, plot_image, room_of_legend
from .panels import finish_axes, font_size_for
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Name, marker and colour of Okabe and Ito: they differ in form, too.
_MARKERS = {
    "vacancy": ("Vacancies", "x", "#D55E00"),
    "brighter": ("Brighter", "o", "#F0E442"),
    "fainter": ("Fainter", "o", "#56B4E9"),
    "interstitial": ("Additional", "^", "#009E73"),
}
_NEEDED = ("kind", "x", "y", "ratio")


@independent
def plot_defects(
    image: Any,
    defects: Any,
    *,
    region: Any = None,
    marker_size: float = 5.0,
    legend: bool = True,
    scale_bar: bool | str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw vacancies, substitutions and interstitials on the image.

    Vacancies are crosses, substitutions circles (brighter or fainter than their sublattice),
    interstitials triangles. The markers are open, so that the image stays visible.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or numpy.ndarray
        (ny, nx).
    defects : pandas.DataFrame
        As :func:`hs_rvae.find_defects` returns it, of one image.
    region : RectangularROI or tuple of float, optional
        As in :func:`hs_rvae.plots.plot_image`.
    marker_size : float
        Diameter in points.
    legend : bool
        Whether to name the markers, with their number in the whole image.
    scale_bar, title, font_size, ax
        As in :func:`hs_rvae.plots.plot_image`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a column of `defects` is missing, or as :func:`hs_rvae.plots.plot_image`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> table = pd.DataFrame({"kind": ["vacancy"], "x": [8.0], "y": [4.0], "ratio": [0.02]})
    >>> ax = plot_defects(np.random.default_rng(0).random((16, 16)), table)
    """
    missing = [name for name in _NEEDED if name not in getattr(defects, "columns", ())]
    if missing:
        raise ValueError(
            f"defects has no column {missing[0]!r}: pass the table that find_defects returns"
        )
    points = in_units_of_axes(image, np.column_stack([defects["x"], defects["y"]]).astype(float))
    font_size, new = font_size_for(font_size, ax), ax is None
    ax = plot_image(image, region=region, scale_bar=scale_bar, font_size=font_size, ax=ax)
    kind = np.asarray(defects["kind"], dtype=object)
    brighter = np.asarray(defects["ratio"], dtype=float) > 1
    kind = np.where(kind == "substitution", np.where(brighter, "brighter", "fainter"), kind)
    handles = []
    limits = ax.get_xlim(), ax.get_ylim()
    for name, (label, marker, color) in _MARKERS.items():
        chosen = kind == name
        if not chosen.any():
            continue
        (drawn,) = ax.plot(
            *points[chosen].T,
            linestyle="none",
            marker=marker,
            markersize=marker_size,
            markerfacecolor="none",
            markeredgecolor=color,
            markeredgewidth=1.1,
            label=f"{label} ({chosen.sum():,})",
            gid=f"defects {name}",
            # A dark rim: colours are seen on bright columns as well.
            path_effects=[Stroke(linewidth=2.0, foreground="black"), Stroke()],
        )
        handles.append(drawn)
    ax.set(xlim=limits[0], ylim=limits[1])
    if legend and handles:
        low = room_of_legend(ax, scale_bar, font_size, new)
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, 0), ncols=2,
                  bbox_transform=layout.below_axes(ax, low), fontsize=font_size - 1,
                  labelcolor="black", facecolor="0.5", handletextpad=0.2, columnspacing=1.2,
                  borderpad=0.3, borderaxespad=0.5)  # fmt: skip
    return finish_axes(ax, title, font_size, fit=new)
