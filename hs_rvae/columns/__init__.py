# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search for the atomic columns of an image: lattice, maxima, sublattices, defects."""

from typing import TYPE_CHECKING, Any

from .defects import count_defects, find_defects
from .planes import line_deviation
from .series import LatticeSeries
from .sublattices import find_sublattices
from .without_lattice import find_columns

if TYPE_CHECKING:
    from .network.column_network import ColumnNetwork
    from .network.training import train_network

__all__ = [
    "ColumnNetwork",
    "LatticeSeries",
    "count_defects",
    "find_columns",
    "find_defects",
    "find_sublattices",
    "line_deviation",
    "train_network",
]


def __getattr__(name: str) -> Any:
    """Load the network, and PyTorch with it, when it is asked for."""
    if name == "ColumnNetwork":
        from .network.column_network import ColumnNetwork

        return ColumnNetwork
    if name == "train_network":
        from .network.training import train_network

        return train_network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
