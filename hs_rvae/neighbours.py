# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours of columns: distances, displacements from them, cells that they span.

Positions are in pixels, ``(x, y)``, y down, as in :mod:`hs_rvae.positions`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .sites.nearest import nearest_distances
from .wording import count_of

#: Neighbours that leave a gap of this angle or more stand on one side of a site: an edge of the
#: image or a missing column. Four neighbours of a square cell leave 90 degrees, three leave 120.
LARGEST_GAP = np.deg2rad(150)
# Times the median: distance of the outermost neighbour. Without it another column takes the place
# of a missing one; sites of strong displacement have 1.28.
_FARTHEST_NEIGHBOUR = 1.35
# A neighbour within this share of the nearest distance is the site itself, from another table.
_ITSELF = 0.05
# Positions within this share of the nearest-neighbour distance are one column, found twice.
_TWICE = 0.25
# Median nearest distances that entries of one column may lie apart.
_FARTHEST = 4
# Fewer columns do not show whether they form a lattice.
_FEWEST = 4
_LATTICE_REACH = 4.2  # of lattice vectors, in nearest distances
_LATTICE_BIN = 0.06  # of the histogram of distance vectors, in nearest distances


def nearest_neighbour_distance(positions: np.ndarray) -> float:
    """
    Median distance of a column to its nearest neighbour, in pixels.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels; non-finite positions are left out. Columns that are listed twice, at
        nearly the same place, count once, however many they are.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        With fewer than two positions.
    """
    finite = positions[np.isfinite(positions).all(axis=1)]
    finite = distinct(finite)
    if len(finite) < 2:
        raise ValueError(
            f"{count_of(len(finite), 'position')} without a nearest-neighbour distance: give "
            "window_size as an int (pixels) or a float (units of the axis)."
        )
    return _distance_between(finite)


def _distance_between(finite: np.ndarray) -> float:
    """Median distance of columns to their nearest neighbour, of two or more distinct positions."""
    distance, reach = median_spacing(finite), 2
    while reach <= _FARTHEST:
        merged = _merged(finite, reach * distance)
        if merged is None:  # a longer reach links no less
            break
        if len(merged):
            finite, distance, reach = merged, median_spacing(merged), 1
        reach *= 2
    return distance


def distinct(positions: np.ndarray) -> np.ndarray:
    """Different finite positions, to a thousandth of a pixel, sorted by x and then by y."""
    return _unique_rows(np.round(positions, 3))


def _unique_rows(xy: np.ndarray) -> np.ndarray:
    """Different rows of (n, 2), sorted by the first number and then by the second."""
    # Pairs of numbers are sorted faster as complex numbers than as rows.
    pairs = np.ascontiguousarray(xy, np.float64).view(np.complex128)
    return np.unique(pairs).view(np.float64).reshape(-1, 2)


def median_spacing(positions: np.ndarray) -> float:
    """Median distance to the nearest of the other positions."""
    return float(np.median(nearest_distances(positions)))


def _merged(positions: np.ndarray, reach: float) -> np.ndarray | None:
    """Centres of groups of positions linked within `reach`; empty unless they form a wide lattice.

    None if they form fewer than four groups.

    Then most columns are listed twice, and `reach` separates the entries of one column from those
    of the next.
    Groups that lie anywhere may as well be small crystals.
    """
    pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray")
    group = linked_groups(pairs, len(positions))
    if group.max() + 1 < _FEWEST:
        return None
    centres = group_means(positions, group)
    width = 2 * np.quantile(np.linalg.norm(positions - centres[group], axis=1), 0.9)
    nearest = cKDTree(centres).query(centres, k=2)[0][:, 1]
    typical = np.median(nearest)
    regular = np.mean(np.abs(nearest - typical) < 0.25 * typical) > 0.5
    return centres if regular and width < _TWICE * typical else centres[:0]


def linked_groups(pairs: np.ndarray, n: int) -> np.ndarray:
    """
    Number the groups of columns that pairs link, directly or by others.

    Parameters
    ----------
    pairs : numpy.ndarray of int, shape (m, 2)
    n : int
        Number of columns.

    Returns
    -------
    numpy.ndarray of int, shape (n,)
        From 0, in the order of the first column of each group.

    Examples
    --------
    >>> linked_groups(np.array([[0, 2], [2, 3]]), 4).tolist()
    [0, 1, 0, 0]
    """
    links = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1])


def group_means(positions: np.ndarray, group: np.ndarray) -> np.ndarray:
    """
    Mean position of each group.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
    group : numpy.ndarray of int, shape (n,)
        As :func:`linked_groups` returns it.

    Returns
    -------
    numpy.ndarray of shape (k, 2)
    """
    count = np.bincount(group)
    return np.stack([np.bincount(group, each) / count for each in positions.T], axis=1)


def crowded(positions: np.ndarray) -> np.ndarray:
    """
    Find positions with another one within a quarter of the nearest-neighbour distance.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, all finite.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        The distance is that of :func:`nearest_neighbour_distance`.

    Examples
    --------
    >>> crowded(np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0], [10.0, 9.0]]))
    array([False, False, False,  True,  True])
    """
    finite = distinct(positions)
    if len(finite) < 3:
        return np.zeros(len(positions), dtype=bool)
    return nearest_distances(positions) < _TWICE * _distance_between(finite)


def neighbour_pairs(positions: np.ndarray, distance: float) -> np.ndarray:
    """
    Pairs of positions that are nearer to one another than a distance.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        Finite.
    distance : float

    Returns
    -------
    numpy.ndarray of int, shape (m, 2)
        In ascending order, the smaller number first.

    Examples
    --------
    >>> neighbour_pairs(np.array([[0.0, 0.0], [3.0, 0.0], [9.0, 0.0]]), 4.0)
    array([[0, 1]])
    """
    pairs = cKDTree(positions).query_pairs(distance, output_type="ndarray")
    return pairs[np.lexsort(pairs.T[::-1])]


def mutual_nearest(positions: Any, others: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Find the pairs of positions of two sets that are nearest to one another.

    Parameters
    ----------
    positions, others : numpy.ndarray of shape (n, d) and (m, d)
        Finite, not empty.

    Returns
    -------
    nearest : numpy.ndarray of int, shape (n,)
        Row of `others` nearest to each position.
    distance : numpy.ndarray of shape (n,)
    mutual : numpy.ndarray of bool, shape (n,)
        True where the position is also the one nearest to that row.

    Examples
    --------
    >>> nearest, distance, mutual = mutual_nearest([[0.0, 0.0], [4.0, 0.0]], [[3.0, 0.0]])
    >>> nearest, mutual
    (array([0, 0]), array([False,  True]))
    """
    distance, nearest = cKDTree(others).query(positions)
    _, back = cKDTree(positions).query(others)
    return nearest, distance, back[nearest] == np.arange(len(nearest))


def nearest_shell_distance(positions: np.ndarray, neighbours: np.ndarray) -> float:
    """
    Distance to the nearest columns of another sublattice, in pixels.

    Each position has up to four nearest `neighbours`. The most distant of them counts, so that a
    displaced site is judged by the columns it moves away from. Neighbours beyond 1.4 times the
    nearest distance belong to the next shell. A neighbour that is the position itself does not
    count (see :func:`displacement`). The median over the positions is returned, NaN if there are
    no neighbours.
    """
    distances = _nearest(positions, neighbours, 4)[0]
    distances = distances[np.isfinite(distances[:, 0])]
    if not len(distances):
        return np.nan
    shell = np.where(distances <= 1.4 * distances[:, :1], distances, 0.0)
    return float(np.median(shell.max(axis=1)))


def _nearest(
    positions: np.ndarray, neighbours: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    The k nearest neighbours of each position, without those that are the position itself.

    Parameters
    ----------
    positions, neighbours : numpy.ndarray of shape (n, 2) and (m, 2)
        Non-finite ones have no neighbours and are none. Neighbours at nearly the same place are
        one.
    k : int

    Returns
    -------
    distance : numpy.ndarray of shape (n, k)
        Infinite where there are fewer.
    vectors : numpy.ndarray of shape (n, k, 2)
        From the position to its neighbours, NaN where there are fewer.
    itself : numpy.ndarray of bool, shape (n,)
        Which positions are among the neighbours.
    """
    distance, vectors = (
        np.full((len(positions), k), np.inf),
        np.full((len(positions), k, 2), np.nan),
    )
    itself = np.zeros(len(positions), dtype=bool)
    usable = np.isfinite(positions).all(axis=1)
    neighbours = neighbours[np.isfinite(neighbours).all(axis=1)]
    if not usable.any() or not len(neighbours):
        return distance, vectors, itself
    spacing = _nearest_distance(positions[usable], neighbours)
    reach = _ITSELF * spacing
    repeated = cKDTree(neighbours).query_pairs(reach, output_type="ndarray")[:, 1]
    neighbours = np.delete(neighbours, repeated, axis=0)
    tree = cKDTree(neighbours)
    if np.mean(tree.query(positions[usable])[0] <= reach) > 0.5:
        reach = _TWICE * spacing  # one lattice, measured twice: nothing else is so near
    count = tree.query_ball_point(positions[usable], reach, return_length=True)
    itself[usable] = count > 0
    near, index = tree.query(positions[usable], k=[*range(1, k + int(count.max()) + 1)])
    # Those within reach come first, and are passed over.
    column = np.minimum(count[:, None] + np.arange(k), near.shape[1] - 1)
    near, index = (np.take_along_axis(each, column, axis=1) for each in (near, index))
    near[count[:, None] + np.arange(k) >= tree.n] = np.inf
    found = np.isfinite(near)
    steps = neighbours[np.where(found, index, 0)] - positions[usable, None]
    distance[usable], vectors[usable] = near, np.where(found[..., None], steps, np.nan)
    return distance, vectors, itself


def _nearest_distance(*tables: np.ndarray) -> float:
    """Nearest distance of the table where it is smaller: others may list few columns, far apart."""
    measurable = [xy for xy in tables if len(distinct(xy)) > 1]
    return min(map(nearest_neighbour_distance, measurable), default=0.0)


def lattice_vectors(xy: np.ndarray) -> tuple[np.ndarray, float]:
    """
    Two shortest lattice vectors, and the square root of the area of their cell.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, all finite, two or more of them.

    Returns
    -------
    basis : numpy.ndarray of shape (2, 2)
        One vector per row, in pixels.
    size : float
        In pixels. Without a lattice, the nearest-neighbour distance.

    Examples
    --------
    >>> y, x = np.indices((8, 8))
    >>> vectors, size = lattice_vectors(np.column_stack([9.0 * x.ravel(), 10.0 * y.ravel()]))
    >>> np.abs(vectors), round(size, 1)
    (array([[ 9.,  0.],
           [ 0., 10.]]), 9.5)
    """
    xy = _unique_rows(xy)
    tree = cKDTree(xy)
    near = median_spacing(xy)
    pairs = tree.query_pairs(_LATTICE_REACH * near, output_type="ndarray")
    apart = xy[pairs[:, 1]] - xy[pairs[:, 0]]
    apart = np.concatenate([apart, -apart]) / near
    half = _LATTICE_REACH + 0.2
    edges = np.arange(-half, half + _LATTICE_BIN / 2, _LATTICE_BIN)
    density = gaussian_filter(np.histogram2d(apart[:, 0], apart[:, 1], [edges, edges])[0], 1.5)
    peak = (density == maximum_filter(density, 7)) & (density > 0.4 * density.max())
    peaks = edges[np.argwhere(peak)] + _LATTICE_BIN / 2
    if not len(peaks):
        return near * np.eye(2), near
    peaks = peaks[np.argsort(np.hypot(*peaks.T).round(2), kind="stable")]
    first = peaks[0]
    area = np.abs(first[0] * peaks[:, 1] - first[1] * peaks[:, 0])
    across = peaks[area > 0.35 * np.hypot(*first) * np.hypot(*peaks.T)]
    second = across[0] if len(across) else 1e3 * np.array([-first[1], first[0]])
    basis = np.stack([first, second])
    for k, vector in enumerate(basis):
        off = apart - vector
        close = np.einsum("ij,ij->i", off, off) < 0.25**2
        if close.any():
            basis[k] = np.median(apart[close], 0)
    basis = basis * near
    area = abs(np.linalg.det(basis))
    return basis, float(np.sqrt(area)) if area < 10 * near**2 else near


def displacement(
    positions: np.ndarray, neighbours: np.ndarray | None = None, k: int = 4
) -> np.ndarray:
    """
    Non-centrosymmetry vectors: each position minus the mean of its nearest neighbours.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, for example of the B columns of a perovskite.
    neighbours : numpy.ndarray of shape (m, 2), optional
        Positions of the other sublattice, for example A. None takes the neighbours from
        `positions` themselves. A neighbour within 0.05 nearest distances of a position is the
        position itself, as another table may have it, and does not count.
    k : int
        Number of neighbours.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), pixels. NaN unless the neighbours enclose the position (largest angular
        gap below 150 degrees), as at edges and beside missing columns; and where the outermost
        neighbour is further away than 1.35 times its usual distance.

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
    vectors, _ = _enclosing_neighbours(positions, neighbours, k)
    return -vectors.mean(axis=1)


def local_cells(
    positions: np.ndarray, neighbours: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Cell vectors around each position, from its four nearest neighbours.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, for example of the B columns of a perovskite.
    neighbours : numpy.ndarray of shape (m, 2), optional
        Positions of the other sublattice, whose columns are the corners of a cell around each
        position. None takes the neighbours from `positions` themselves, which lie a cell away;
        so do neighbours among which most of the positions are (see :func:`displacement`).

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
    return cells_of_four(*_enclosing_neighbours(positions, neighbours, 4))


def cells_of_four(vectors: np.ndarray, one_lattice: bool) -> tuple[np.ndarray, np.ndarray]:
    """
    Cell vectors around sites from the vectors to four neighbours.

    Parameters
    ----------
    vectors : numpy.ndarray of shape (n, 4, 2)
        To the neighbours, by azimuth, in pixels.
    one_lattice : bool
        Whether the neighbours lie a cell away, not on the corners of a cell around the site.

    Returns
    -------
    a, b : numpy.ndarray of shape (n, 2)
        As from :func:`local_cells`.
    """
    if one_lattice:  # opposite neighbours lie two cells apart
        first, second = (vectors[:, i] - vectors[:, i + 2] for i in (0, 1))
    else:  # opposite edges of the quadrilateral
        edges = [vectors[:, (i + 1) % 4] - vectors[:, i] for i in range(4)]
        first, second = edges[0] - edges[2], edges[1] - edges[3]
    # Each up to its sign, and the two in either order: take the one that is more along x.
    swap = np.abs(first[:, 0] * second[:, 1]) < np.abs(first[:, 1] * second[:, 0])
    a, b = np.where(swap[:, None], second, first), np.where(swap[:, None], first, second)
    return a * np.sign(a[:, :1]) / 2, b * np.sign(b[:, 1:]) / 2


def _enclosing_neighbours(
    positions: np.ndarray, neighbours: np.ndarray | None, k: int
) -> tuple[np.ndarray, bool]:
    """Vectors to the k nearest neighbours by azimuth, (n, k, 2); True if all are of one lattice.

    The vectors are NaN unless the neighbours enclose the position.
    """
    positions = np.asarray(positions, dtype=np.float64)
    others = positions if neighbours is None else np.asarray(neighbours, dtype=np.float64)
    distance, vectors, itself = _nearest(positions, others, k)
    vectors = sorted_by_azimuth(vectors)
    vectors[~(largest_gap(vectors) < LARGEST_GAP)] = np.nan
    with np.errstate(invalid="ignore"):
        enclosed = np.isfinite(vectors).all(axis=(1, 2))
    if enclosed.any():
        farthest = distance[:, -1]
        vectors[enclosed & (farthest > _FARTHEST_NEIGHBOUR * np.median(farthest[enclosed]))] = (
            np.nan
        )
    finite = np.isfinite(positions).all(axis=1)
    return vectors, bool(itself[finite].sum() > finite.sum() / 2)


def sorted_by_azimuth(vectors: np.ndarray) -> np.ndarray:
    """
    Vectors of each site in the order of their directions.

    Parameters
    ----------
    vectors : numpy.ndarray of shape (n, k, 2)

    Returns
    -------
    numpy.ndarray of shape (n, k, 2)
    """
    order = np.argsort(np.arctan2(vectors[..., 1], vectors[..., 0]), axis=1)
    return np.take_along_axis(vectors, order[..., None], axis=1)


def largest_gap(vectors: np.ndarray) -> np.ndarray:
    """
    Largest angle between neighbouring directions: below half a turn, they enclose the site.

    Parameters
    ----------
    vectors : numpy.ndarray of shape (n, k, 2)
        In any order.

    Returns
    -------
    numpy.ndarray of shape (n,)
        In radians; NaN where a vector is.
    """
    azimuth = np.sort(np.arctan2(vectors[..., 1], vectors[..., 0]), axis=1)
    gaps = np.diff(azimuth, axis=1, append=azimuth[:, :1] + 2 * np.pi)
    return np.asarray(gaps.max(axis=1))
