# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns whose peaks a detector, or a program that stretches contrast, has cut off."""

from __future__ import annotations

import logging

import numpy as np

from .maxima import Maxima
from .search_image import Picture

_logger = logging.getLogger(__name__)

_PLATEAU = 3  # of the nine pixels of a peak at the limit of the data: it is cut off
_MANY = 0.1  # of the columns
_LEVELS = 16  # values in an image: fewer are counts, many of which are equal by chance


def columns_cut_off(picture: Picture, maxima: Maxima) -> bool:
    """
    Return True if many columns are cut off at the limit of the data.

    Parameters
    ----------
    picture : Picture
    maxima : Maxima
    """
    return _share_cut_off(picture, maxima) >= _MANY


def _share_cut_off(picture: Picture, maxima: Maxima) -> float:
    """Share of columns with a plateau at the limit of the data; 0 where it has few values."""
    raw = _measured(picture)
    if len(np.unique(raw[:: max(1, raw.size // 100_000)])) < _LEVELS:
        return 0.0
    limit = raw.min() if maxima.dark else raw.max()
    x, y = np.round(maxima.positions / picture.stretch).astype(int).T
    steps = np.arange(-1, 2)
    rows = np.clip(y[:, None, None] + steps[:, None], 0, picture.raw.shape[0] - 1)
    columns = np.clip(x[:, None, None] + steps, 0, picture.raw.shape[1] - 1)
    return float(((picture.raw[rows, columns] == limit).sum(axis=(1, 2)) >= _PLATEAU).mean())


def _measured(picture: Picture) -> np.ndarray:
    return picture.raw.ravel() if picture.valid is None else picture.raw[picture.valid]


def warn_of_saturation(
    picture: Picture, maxima: Maxima, saturation: float | None, cell_given: bool
) -> list[str]:
    """
    Warn of columns that are cut off, unless the user's arguments take care of them.

    Parameters
    ----------
    picture : Picture
    maxima : Maxima
    saturation : float or None
        As in :func:`find_sublattices`.
    cell_given : bool
        Kinds are parted by a cell of the user.

    Returns
    -------
    list of str
        Warnings, which were logged.
    """
    advice = [] if cell_given else ["cell= where kinds of columns share a name"]
    raw = _measured(picture)
    limit = raw.min() if maxima.dark else raw.max()
    if saturation is None and not maxima.dark:
        advice = [f"saturation={limit:g} for better positions", *advice]
    if not advice:
        return []
    which = "lowest" if maxima.dark else "highest"
    text = (
        f"The detector is saturated: {(raw == limit).mean():.1%} of the pixels have the {which} "
        f"value {limit:g}, which cuts off {_share_cut_off(picture, maxima):.0%} of the columns. "
        "Kinds that differ in height may share a name. Record the image with less gain, or pass "
        f"{' and '.join(advice)}."
    )
    _logger.warning("%s", text)
    return [text]
