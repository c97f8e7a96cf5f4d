# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stretch of an image against a known cell, and vectors and directions without it.

A stretch is symmetric, because turns of the scan and of the crystal look the same. It is kept in
the axes of the image, ``(x, y)`` in units in which pixels are square.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .shells import grain_numbers

#: Columns of a site table that keep the stretch which was taken out.
STRETCH = ("stretch_xx", "stretch_xy", "stretch_yy")
_FEWEST = 12  # columns that a cell is fitted to
_OUTLIER = 4.0  # robust standard deviations


def stretch_of(nominal: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """
    Find the stretch that a turned and perhaps mirrored cell has undergone.

    Parameters
    ----------
    nominal, measured : numpy.ndarray of shape (2, 2)
        Cell vectors ``(x, y)``, one per row.

    Returns
    -------
    numpy.ndarray of shape (2, 2)
        Symmetric: after a turn of the nominal vectors it gives the measured ones.

    Examples
    --------
    >>> stretch_of(np.eye(2), np.array([[0.0, 1.1], [-1.0, 0.0]]))
    array([[1. , 0. ],
           [0. , 1.1]])
    """
    turned, sizes, _ = np.linalg.svd(np.linalg.solve(nominal, measured).T)
    stretch = turned @ np.diag(sizes) @ turned.T
    return (stretch + stretch.T) / 2 + 0.0


def principal_stretches(stretch: np.ndarray) -> tuple[float, float, float]:
    """
    Compute the larger and the smaller stretch, and the direction of the larger one.

    Returns
    -------
    larger, smaller : float
        Relative changes: 0.01 is 1 % longer.
    direction : float
        In degrees from +x to +y, from 0 to 180.

    Examples
    --------
    >>> larger, smaller, direction = principal_stretches(np.diag([1.0, 1.02]))
    >>> round(larger, 6), round(smaller, 6), round(direction, 6)
    (0.02, 0.0, 90.0)
    """
    sizes, axes = np.linalg.eigh(stretch)
    direction = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) % 180)
    return float(sizes[1] - 1), float(sizes[0] - 1), direction


def without_stretch(
    vectors: np.ndarray, stretch: np.ndarray, pixel_size: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """
    Take a stretch out of vectors.

    Parameters
    ----------
    vectors : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels.
    stretch : numpy.ndarray of shape (2, 2)
    pixel_size : tuple of float
        Size (x, y) of a pixel in any unit; its sign does not count.

    Returns
    -------
    numpy.ndarray of shape (n, 2)
        In pixels.

    Examples
    --------
    >>> without_stretch(np.array([[2.2, 1.0]]), np.diag([1.1, 1.0]))
    array([[2., 1.]])
    """
    size = np.abs(pixel_size)
    return np.linalg.solve(stretch, (vectors * size).T).T / size


def directions_without_stretch(
    angle: np.ndarray, stretch: np.ndarray, angle_std: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """
    Take stretches out of directions.

    Parameters
    ----------
    angle : numpy.ndarray of shape (n,)
        In radians from +x to +y.
    stretch : numpy.ndarray of shape (2, 2) or (n, 2, 2)
    angle_std : numpy.ndarray of shape (n,), optional
        Standard deviations, which change with the directions.

    Returns
    -------
    angle : numpy.ndarray of shape (n,)
        Within pi of the given ones.
    angle_std : numpy.ndarray of shape (n,) or None

    Examples
    --------
    >>> angle, _ = directions_without_stretch(np.array([np.pi / 4]), np.diag([2.0, 1.0]))
    >>> float(np.tan(angle[0]).round(6))
    2.0
    """
    inverse = np.linalg.inv(stretch)
    arrow = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    back = np.einsum("...ij,...j->...i", np.broadcast_to(inverse, (len(angle), 2, 2)), arrow)
    turn = arrow[:, 0] * back[:, 1] - arrow[:, 1] * back[:, 0]
    changed = angle + np.arctan2(turn, (arrow * back).sum(axis=1))
    if angle_std is None:
        return changed, None
    return changed, angle_std * np.abs(np.linalg.det(inverse)) / (back**2).sum(axis=1)


def average_cell(
    tables: list[pd.DataFrame], inside: list[np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """
    Fit one lattice to all columns of the grain that has most of them.

    Parameters
    ----------
    tables : list of pandas.DataFrame
        The ``column_table`` of each sublattice.
    inside : list of numpy.ndarray of bool, optional
        The columns to use.

    Returns
    -------
    cell : numpy.ndarray of shape (2, 2)
        Vectors ``(x, y)`` in pixels, one per row.
    std : numpy.ndarray of shape (2, 2)
        Standard errors.
    count : int
        Number of columns.

    Raises
    ------
    ValueError
        If there are too few columns.
    """
    found, places = [], []
    for number, table in enumerate(tables):
        grain = grain_numbers(table)
        used = (grain >= 0) & (table.status == 0).to_numpy()
        used &= True if inside is None else inside[number]
        found.append(table.loc[used, ["x", "y"]].to_numpy())
        ij = table.loc[used, ["i", "j"]].to_numpy()
        places.append(np.column_stack([ij, grain[used], np.full(len(ij), number)]))
    xy, ij = np.concatenate(found), np.concatenate(places)
    if len(ij):
        largest = np.bincount(ij[:, 2]).argmax()
        xy, ij = xy[ij[:, 2] == largest], ij[ij[:, 2] == largest]
    used = np.ones(len(ij), bool)
    design = np.column_stack([ij[:, :2], ij[:, 3:] == np.arange(len(tables))]).astype(float)
    for _ in range(3):
        if used.sum() < _FEWEST or np.linalg.matrix_rank(design[used][:, :3]) < 3:
            raise ValueError(
                f"there are {int(used.sum())} columns of one lattice, too few for its cell: at "
                f"least {_FEWEST}, in two directions, are needed."
            )
        solution = np.linalg.lstsq(design[used], xy[used], rcond=None)[0]
        off = xy - design @ solution
        spread = 1.4826 * np.median(np.abs(off[used]), axis=0) + 1e-9
        used = (np.abs(off) < _OUTLIER * np.maximum(spread, 0.05)).all(axis=1)
    inverse = np.linalg.pinv(design[used].T @ design[used])
    std = np.sqrt(np.maximum(np.diag(inverse)[:2, None], 0)) * off[used].std(axis=0)
    return solution[:2], std, int(used.sum())


def inside_roi(table: pd.DataFrame, roi: Any, image: Any) -> np.ndarray:
    """
    Find the columns inside a rectangle.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns x and y, px.
    roi : hyperspy.roi.RectangularROI
        In the units of the axes of the image.
    image : hyperspy.api.signals.Signal2D or array
        An array counts pixels.

    Returns
    -------
    numpy.ndarray of bool
    """
    xy = table[["x", "y"]].to_numpy()
    if hasattr(image, "axes_manager"):
        axes = image.axes_manager.signal_axes
        xy = xy * [axis.scale for axis in axes] + [axis.offset for axis in axes]
    low, high = np.array([roi.left, roi.top]), np.array([roi.right, roi.bottom])
    return ((xy >= np.minimum(low, high)) & (xy <= np.maximum(low, high))).all(axis=1)
