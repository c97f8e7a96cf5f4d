# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of one sublattice against straight lines along its planes."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import numpy as np
import pandas as pd

from ..checks import checked, whole_number
from ..positions import column_table, is_sublattice
from .projection import bezout
from .shells import grain_numbers

COMPONENTS = ("across", "along", "both")


@checked(but=("columns",))
def line_deviation(
    columns: Any,
    direction: Sequence[int] = (1, 0),
    n_ends: int | None = None,
    *,
    component: str = "across",
) -> np.ndarray:
    """
    Deviations of columns from straight lines along the planes of their sublattice.

    Parameters
    ----------
    columns : pandas.DataFrame or Sublattice
        A ``column_table`` of :func:`find_sublattices`, or its sublattice: x, y, i, j and, if there
        are any, grain.
    direction : tuple of int
        Direction of the planes in the image, in cell vectors: (1, 0) is along the first, (1, 1)
        along their sum.
    n_ends : int, optional
        Number of columns at each end of a plane that the line is fitted to; at least 2. Two
        parallel lines are fitted to the two ends, and the reference is halfway between them, so
        that a wall may lie in between. If None, one line is fitted to the whole plane.
    component : {"across", "along", "both"}
        Part of the deviation: perpendicular to the line, along it against equal distances, or both.

    Returns
    -------
    numpy.ndarray of shape (n, 2)
        Vectors ``(x, y)`` in pixels, from the line to the column. NaN for columns of no grain, and
        in planes of fewer than 3 columns, or of fewer than twice `n_ends`.

    Raises
    ------
    TypeError
        If there is no table with these columns.
    ValueError
        If an option is out of range.

    Notes
    -----
    With `n_ends`, the reference is that of ``atom_deviation_from_straight_line_fit`` of TEMUL,
    after J. Gonnissen et al., Advanced Functional Materials 26, 7599 (2016). TEMUL takes the slope
    from the first end only; here both ends share one.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"x": [0.0, 10, 20, 30, 40], "y": [0.0, 0, 3, 0, 0], "i": range(5)})
    >>> line_deviation(table.assign(j=0), n_ends=2)[2]
    array([0., 3.])
    """
    table = column_table(columns) if is_sublattice(columns) else columns
    if not isinstance(table, pd.DataFrame) or not {"x", "y", "i", "j"} <= set(table.columns):
        raise TypeError(
            f"columns is a {type(columns).__name__} without x, y, i and j: pass a column_table "
            "of find_sublattices."
        )
    u, v = _checked_direction(direction)
    if component not in COMPONENTS:
        raise ValueError(f"component={component!r}: take one of {', '.join(COMPONENTS)}.")
    if n_ends is not None:
        n_ends = whole_number(n_ends, "n_ends", 2, ", or None")
    i, j = (table[name].to_numpy(int) for name in "ij")
    grain = grain_numbers(table)
    xy = table[["x", "y"]].to_numpy(float)
    # u s + v t = 1: s i + t j counts the columns along the plane.
    _, s, t = bezout(u, v)
    along, plane = s * i + t * j, u * j - v * i
    deviation = np.full(xy.shape, np.nan)
    usable = np.flatnonzero((grain >= 0) & np.isfinite(xy).all(axis=1))
    order = usable[np.lexsort((along[usable], plane[usable], grain[usable]))]
    keys = np.stack([grain[order], plane[order]], axis=1)
    ends = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    for rows in np.split(order, ends):
        if len(rows) >= max(3, 2 * (n_ends or 0)):
            deviation[rows] = _from_line(xy[rows], along[rows], n_ends, component)
    return deviation


def _checked_direction(direction: Sequence[int]) -> tuple[int, int]:
    """Two whole numbers without a common divisor."""
    try:
        u, v = (int(value) for value in direction)
        whole = (u, v) == tuple(direction) and (u, v) != (0, 0)
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise ValueError(f"direction={direction!r}: give two whole numbers, such as (1, 0).")
    divisor = gcd(u, v)
    return u // divisor, v // divisor


def _from_line(xy: np.ndarray, along: np.ndarray, n_ends: int | None, component: str) -> np.ndarray:
    """Deviations of the columns of one plane, in their order."""
    count = len(along)
    if n_ends is None:
        used = np.arange(count)
        offsets = np.ones((count, 1))
    else:
        used = np.r_[:n_ends, count - n_ends : count]
        offsets = np.repeat(np.eye(2), n_ends, axis=0)
    middle = along[used].mean()
    design = np.column_stack([along[used] - middle, offsets])
    fit = np.linalg.lstsq(design, xy[used], rcond=None)[0]
    step, origin = fit[0], fit[1:].mean(axis=0)
    deviation = xy - origin - (along - middle)[:, None] * step
    unit = step / np.linalg.norm(step)
    parallel = (deviation @ unit)[:, None] * unit
    if component == "both":
        return np.asarray(deviation)
    return np.asarray(parallel if component == "along" else deviation - parallel)
