# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A warning where most free fits of columns fail."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

_logger = logging.getLogger(__name__)

_ENOUGH = 0.5  # of the free fits that must succeed


def warn_of_failed_fits(tables: Sequence[Sequence[Any]]) -> None:
    """
    Warn if fewer than half of the free fits of a sublattice succeeded.

    Only maxima of the image count: a place of the lattice without one holds a faint column at best.

    Parameters
    ----------
    tables : list of list of pandas.DataFrame
        The ``column_table`` of each sublattice of each image.
    """
    maxima = [[table[table.found] for table in one] for one in tables]
    counts = {"fits": 0, "free": 0, "held": 0}
    for table in (table for one in maxima for table in one):
        counts["fits"] += len(table)
        counts["free"] += int(((table.status == 0) & ~table.shape_held).sum())
        counts["held"] += int(table.shape_held.sum())
    if counts["fits"] and counts["free"] < _ENOUGH * counts["fits"]:
        _logger.warning(
            "Only %d of %d free fits of columns succeeded; for %d the shape was held. Positions "
            "and heights are poor, or these maxima are not columns: look at them with "
            "hs_rvae.plots.plot_columns(lattice).",
            counts["free"],
            counts["fits"],
            counts["held"],
        )
