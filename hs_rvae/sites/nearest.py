# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances between neighbouring positions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from ..threads import count_threads


def nearest_distances(positions: np.ndarray) -> np.ndarray:
    """
    Distance to the nearest of the other positions.

    The answers for the last positions are kept, because every map asks for them.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        Finite.

    Returns
    -------
    numpy.ndarray of shape (n,)
        Read-only; infinite for a position alone.

    Examples
    --------
    >>> nearest_distances(np.array([[0.0, 0.0], [3.0, 0.0], [9.0, 0.0]]))
    array([3., 3., 6.])
    """
    return _nearest_distances(np.ascontiguousarray(positions, np.float64).tobytes())


@lru_cache(maxsize=3)
def _nearest_distances(positions: bytes) -> np.ndarray:
    xy = np.frombuffer(positions).reshape(-1, 2)
    nearest = cKDTree(xy).query(xy, k=2, workers=count_threads())[0][:, 1].copy()
    nearest.flags.writeable = False
    return nearest
