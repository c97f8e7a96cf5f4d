# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of the options of analyse(), refused before the first image is read.

The command line has refused its own while it read them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks import finite_number, is_whole_number, shown, whole_number
from ..columns.maxima import usable_cell
from ..columns.projection import checked_zone_axis
from ..sites import units as _units
from .reading import checked_reader


def checked_values(given: dict[str, Any]) -> dict[str, Any]:
    """
    Values that hold for any image, as the steps of the analysis take them.

    Parameters
    ----------
    given : dict of str to object
        Arguments of :func:`hs_rvae.analyse` by name.

    Returns
    -------
    dict of str to object
        ``scale``, ``region``, ``cell`` and ``zone_axis``.

    Raises
    ------
    ValueError
        Names the argument.
    """
    for name in ("output_dimension", "n_clusters"):
        if given[name] not in (None, "auto"):
            whole_number(given[name], name, 1, " or 'auto'")
    for name, minimum in (("signal", 0), ("n_sublattices", 1)):
        if given[name] is not None:
            whole_number(given[name], name, minimum)
    window = given["window_size"]
    if window is not None and not window > 0:
        raise ValueError(f"window_size={window}: give a size above 0.")
    if given["reader"] is not None:
        checked_reader(given["reader"])
    known = {"scale": _scale, "region": _region, "cell": _cell, "zone_axis": _zone_axis}
    return {name: None if given[name] is None else of(given[name]) for name, of in known.items()}


def _scale(scale: Any) -> tuple[float, str]:
    size, unit = scale if isinstance(scale, tuple | list) and len(scale) == 2 else (0, "")
    if not finite_number(size) or not size > 0 or not isinstance(unit, str):
        raise ValueError(
            f"scale={shown(scale)}: give the size of a pixel, above 0, and its unit, such as "
            "(0.015, 'nm')."
        )
    if _units.picometres(unit) is None:
        raise ValueError(
            f"scale={shown(scale)}: {unit!r} is not a unit of length; give nm, pm or Å."
        )
    return float(size), unit


def _region(region: Any) -> list[int | float]:
    edges = list(region) if isinstance(region, tuple | list | np.ndarray) else []
    if len(edges) != 4 or not all(finite_number(edge) for edge in edges):
        raise ValueError(
            f"region={shown(region)}: give four numbers, left, top, right and bottom: integers are "
            "pixels, others in units of the image."
        )
    return [int(edge) if is_whole_number(edge, -np.inf) else float(edge) for edge in edges]


def _cell(cell: Any) -> Any:
    return usable_cell(cell).tolist()


def _zone_axis(zone_axis: Any) -> list[int]:
    return list(checked_zone_axis(zone_axis))
