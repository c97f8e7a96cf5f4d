# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same column in the frames of a series: positions linked to tracks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from hs_rvae.masked_arrays import filled
from hs_rvae.neighbours import mutual_nearest, nearest_neighbour_distance

_logger = logging.getLogger(__name__)

_MAXIMUM_STEP = 0.4  # nearest-neighbour distances: beyond, a column may be taken for its neighbour


def link_frames(
    positions: Sequence[Any], max_distance: float | None = None, drift: Any = None
) -> tuple[list[np.ndarray], np.ndarray]:
    """
    Link positions of the frames of a series.

    A position continues the track that was last seen nearest to it, if it is in turn the position
    nearest to that track. Tracks of columns that are missing in some frames continue when they come
    back. Drift is followed from frame to frame.

    Parameters
    ----------
    positions : list of numpy.ndarray of shape (n_i, 2)
        ``(x, y)`` in pixels, one array per frame.
    max_distance : float, optional
        Maximum movement of a column from frame to frame, apart from the drift, in pixels. If None,
        0.4 nearest-neighbour distances.
    drift : array-like of shape (n_frames, 2), optional
        Place of the specimen in each frame, ``(x, y)`` in pixels. If None, it is estimated from the
        positions. This needs steps below half a nearest-neighbour distance, because a larger step
        can bring a lattice onto itself.

    Returns
    -------
    tracks : list of numpy.ndarray of int64, shape (n_i,)
        Number of the track of each position; a new column starts a new track.
    drift : numpy.ndarray of shape (n_frames, 2)
        As given, or as found.

    Raises
    ------
    ValueError
        If `drift` or `max_distance` is not usable.

    Examples
    --------
    >>> y, x = np.mgrid[:3, :3] * 20.0
    >>> first = np.column_stack([x.ravel(), y.ravel()])
    >>> tracks, drift = link_frames([first, first[1:] + [3.0, 1.0]])
    >>> tracks[1]
    array([1, 2, 3, 4, 5, 6, 7, 8])
    >>> drift[1]
    array([3., 1.])
    """
    positions = [np.asarray(filled(xy), float).reshape(-1, 2) for xy in positions]
    if max_distance is None:
        max_distance = _default_distance(positions)
    elif isinstance(max_distance, bool) or not 0 < max_distance < np.inf:
        raise ValueError(f"max_distance={max_distance!r}: give a positive number of pixels.")
    user_drift = None
    if drift is not None:
        user_drift = np.asarray(filled(drift), float)
        if user_drift.shape != (len(positions), 2) or not np.isfinite(user_drift).all():
            raise ValueError(
                f"drift has the shape {user_drift.shape}: ({len(positions)}, 2) finite numbers are "
                "expected, the place (x, y) of the specimen in each frame."
            )
    known = np.empty((0, 2))  # where each track was last seen, without drift
    tracks, followed = [], np.zeros((len(positions), 2))
    for k, xy in enumerate(positions):
        if user_drift is not None:
            followed[k] = user_drift[k]
        elif k:
            followed[k] = _follow(xy, known, followed[k - 1], max_distance)
        still = xy - followed[k]
        number = np.full(len(xy), -1, dtype=np.int64)
        if len(known) and len(xy):
            nearest, distance, mutual = mutual_nearest(still, known)
            same = mutual & (distance <= max_distance)
            number[same] = nearest[same]
            known[number[same]] = still[same]
        new = number < 0
        number[new] = len(known) + np.arange(new.sum())
        known = np.vstack([known, still[new]])
        tracks.append(number)
    if len(positions) > 1:
        seen = np.bincount(np.concatenate(tracks), minlength=1)
        _logger.info(
            "%d tracks in %d frames, %d of them in every frame; the specimen drifts up to %.3g px.",
            len(known), len(positions), (seen == len(positions)).sum(),
            np.linalg.norm(followed - followed[0], axis=1).max(),
        )  # fmt: skip
    return tracks, followed


def _follow(
    xy: np.ndarray, known: np.ndarray, last: np.ndarray, max_distance: float, n_iterations: int = 5
) -> np.ndarray:
    """Drift of a frame: the median step of the positions to the nearest known ones."""
    if not len(xy) or not len(known):
        return last
    tree, drift = cKDTree(known), last.copy()
    for _ in range(n_iterations):
        distance, nearest = tree.query(xy - drift)
        near = distance <= max(max_distance, np.median(distance))
        step = np.median((xy - drift - known[nearest])[near], axis=0)
        drift += step
        if np.abs(step).max() < 1e-3:
            break
    return drift


def _default_distance(positions: list[np.ndarray]) -> float:
    largest = max(positions, key=len, default=np.empty((0, 2)))
    try:
        return _MAXIMUM_STEP * nearest_neighbour_distance(largest)
    except ValueError:
        return 1.0
