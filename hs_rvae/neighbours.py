# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours of columns: distances, displacements from them, cells that they span.

Positions are in pixels, ``(x, y)``, y down, as in :mod:`hs_rvae.positions`.
"""

import numpy as np
from scipy.spatial import cKDTree

# Neighbours that leave a gap of this angle or more stand on one side of a site: an edge of the
# image or a missing column. Four neighbours of a square cell leave 90 degrees, three leave 120.
_LARGEST_GAP = np.deg2rad(150)


def nearest_neighbour_distance(positions):
    """
    Median distance of a column to its nearest neighbour, in pixels.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels; non-finite positions are left out, repeated ones count once.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        With fewer than two positions.
    """
    finite = positions[np.isfinite(positions).all(axis=1)]
    finite = np.unique(np.round(finite, 3), axis=0)
    if len(finite) < 2:
        raise ValueError(
            f"{len(finite)} position(s) have no nearest-neighbour distance: give window_size "
            "as an int (pixels) or a float (units of the axis)."
        )
    return float(np.median(cKDTree(finite).query(finite, k=2)[0][:, 1]))


def crowded(positions):
    """
    Which positions have another one within a quarter of the nearest-neighbour distance.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, all finite.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        The distance is the median over all positions.

    Examples
    --------
    >>> crowded(np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0], [10.0, 9.0]]))
    array([False, False, False,  True,  True])
    """
    if len(positions) < 3:
        return np.zeros(len(positions), dtype=bool)
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    return nearest < np.median(nearest) / 4


def nearest_shell_distance(positions, neighbours):
    """
    Distance to the nearest columns of another sublattice, in pixels.

    For every position the farthest of its (up to four) nearest `neighbours` counts, so that a
    displaced site is judged by the columns it moves away from; neighbours 1.4 times farther
    than the nearest belong to the next shell. The median over the positions is returned, NaN if
    there are no neighbours.
    """
    neighbours = neighbours[np.isfinite(neighbours).all(axis=1)]
    if not len(neighbours):
        return np.nan
    near = min(4, len(neighbours))
    distances = cKDTree(neighbours).query(positions, k=[*range(1, near + 1)])[0]
    shell = np.where(distances <= 1.4 * distances[:, :1], distances, 0.0)
    return float(np.median(shell.max(axis=1)))


def displacement(positions, neighbours=None, k=4):
    """
    Non-centrosymmetry vectors: each position minus the mean of its nearest neighbours.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, for example of the B columns of a perovskite.
    neighbours : numpy.ndarray of shape (m, 2), optional
        Positions of the other sublattice, for example A. None takes the neighbours from
        `positions` themselves.
    k : int
        Number of neighbours.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), pixels. NaN unless the neighbours enclose the position (largest angular
        gap below 150 degrees), as at edges and beside missing columns.

    Notes
    -----
    This is the vector of AIP Advances 12, 105122 (2022), Fig. 1b. It points along the movement
    of the column; its sign against the polarisation depends on the material.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [8.0, 8.0]])
    >>> displacement(np.array([[4.5, 3.0]]), corners)
    array([[ 0.5, -1. ]])
    """
    positions, vectors = _enclosing_neighbours(positions, neighbours, k)
    return -vectors.mean(axis=1)


def local_cells(positions, neighbours=None):
    """
    Cell vectors around each position, from its four nearest neighbours.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, for example of the B columns of a perovskite.
    neighbours : numpy.ndarray of shape (m, 2), optional
        Positions of the other sublattice, whose columns are the corners of a cell around each
        position. None takes the neighbours from `positions` themselves, which lie a cell away.

    Returns
    -------
    a, b : numpy.ndarray
        Shape (n, 2), pixels: ``a`` is the vector within 45 degrees of +x, ``b`` the one that
        follows towards +y. NaN unless the neighbours enclose the position.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 9.0], [8.0, 9.0]])
    >>> local_cells(np.array([[4.5, 3.0]]), corners)
    (array([[8., 0.]]), array([[0., 9.]]))
    """
    _, vectors = _enclosing_neighbours(positions, neighbours, 4)
    if neighbours is None:  # opposite neighbours lie two cells apart
        first, second = (vectors[:, i] - vectors[:, i + 2] for i in (0, 1))
    else:  # opposite edges of the quadrilateral
        edges = [vectors[:, (i + 1) % 4] - vectors[:, i] for i in range(4)]
        first, second = edges[0] - edges[2], edges[1] - edges[3]
    # Each up to its sign, and the two in either order: take the one that is more along x.
    swap = np.abs(first[:, 0] * second[:, 1]) < np.abs(first[:, 1] * second[:, 0])
    a, b = np.where(swap[:, None], second, first), np.where(swap[:, None], first, second)
    return a * np.sign(a[:, :1]) / 2, b * np.sign(b[:, 1:]) / 2


def _enclosing_neighbours(positions, neighbours, k):
    """Positions as an array, and vectors to their k nearest neighbours by azimuth, (n, k, 2).

    The vectors are NaN unless the neighbours enclose the position.
    """
    positions = np.asarray(positions, dtype=np.float64)
    own = neighbours is None
    others = positions if own else np.asarray(neighbours, dtype=np.float64)
    result = np.full((len(positions), k, 2), np.nan)
    usable = np.flatnonzero(np.isfinite(positions).all(axis=1))
    sources = np.flatnonzero(np.isfinite(others).all(axis=1))
    if len(sources) < k + own or not len(usable):
        return positions, result
    tree = cKDTree(others[sources])
    _, index = tree.query(positions[usable], k=k + own)
    index = sources[index.reshape(len(usable), -1)]
    if own:
        # A site is its own nearest neighbour, but not first among exact duplicates.
        itself = index == usable[:, None]
        itself[~itself.any(axis=1), -1] = True
        index = index[~itself].reshape(len(usable), k)
    vectors = others[index] - positions[usable, None, :]
    azimuth = np.arctan2(vectors[..., 1], vectors[..., 0])
    order = np.argsort(azimuth, axis=1)
    vectors = np.take_along_axis(vectors, order[..., None], axis=1)
    azimuth = np.take_along_axis(azimuth, order, axis=1)
    gaps = np.diff(azimuth, axis=1, append=azimuth[:, :1] + 2 * np.pi)
    enclosed = gaps.max(axis=1) < _LARGEST_GAP
    result[usable[enclosed]] = vectors[enclosed]
    return positions, result
