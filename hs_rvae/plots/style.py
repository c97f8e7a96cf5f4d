# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Matplotlib that change the content of a figure, not its style."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes

from ..checks import checked

P = ParamSpec("P")
R = TypeVar("R")

_SIDES = ("left", "right", "top", "bottom")
#: Settings that turn an image over, hide data or labels, or replace lines by others. Fonts, sizes
#: and colours of the frame remain those of the user.
FIXED: Any = {
    "image.origin": "upper",
    "image.aspect": "equal",
    "image.interpolation": "antialiased",
    "image.interpolation_stage": "data",
    "image.resample": True,
    "image.cmap": "viridis",
    "lines.linestyle": "-",
    "lines.marker": "None",
    "scatter.marker": "o",
    "axes.xmargin": 0.05,
    "axes.ymargin": 0.05,
    "axes.autolimit_mode": "data",
    "xtick.bottom": True,
    "xtick.labelbottom": True,
    "ytick.left": True,
    "ytick.labelleft": True,
    "text.usetex": False,  # names of columns have underscores, labels a per cent sign
    "savefig.bbox": None,
    "savefig.transparent": False,
    **{f"axes.spines.{side}": True for side in _SIDES},
}


def independent(draw: Callable[P, R]) -> Callable[P, R]:
    """
    Make a figure independent of the settings in :data:`FIXED`, whatever stands in matplotlibrc.

    Its arguments are checked before anything is drawn, see :func:`hs_rvae.checks.checked`.

    Parameters
    ----------
    draw : callable
        Draws into axes; may return an artist, axes or a figure.

    Returns
    -------
    callable
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(FIXED):
            result = draw(*args, **kwargs)
            # Limits are chosen when they are first asked for.
            drawn_in = [result] if isinstance(result, Axes) else getattr(result, "axes", ())
            for ax in drawn_in if isinstance(drawn_in, list) else ():
                _ = ax.viewLim
        return result

    return checked(drawn)
