# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Column positions: arrays or Atomap objects in, ``(n, 2)`` arrays of ``(x, y)`` out.

Positions are in pixels, ``(x, y)`` = (column index, row index) of the image, pixel centres at
integers, y down. Atomap objects are recognised by their attributes; Atomap is never imported.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

#: Units of the columns that positions and sublattices bring.
POSITION_UNITS = {
    "x": "px",
    "y": "px",
    "sigma_x": "px",
    "sigma_y": "px",
    "rotation": "rad",
    "amplitude": "",
    "x_std": "px",
    "y_std": "px",
}

# Neighbours that leave a gap of this angle or more stand on one side of a site: an edge of the
# image or a missing column. Four neighbours of a square cell leave 90 degrees, three leave 120.
_LARGEST_GAP = np.deg2rad(150)


def as_positions(positions, order="xy"):
    """
    Positions as an ``(n, 2)`` array of ``(x, y)`` in pixels.

    Parameters
    ----------
    positions : array-like of shape (n, 2), table with the columns ``x`` and ``y``, Sublattice, \
            signal or path
        Positions in pixels. A table is a pandas ``DataFrame`` or a
        :class:`~hs_rvae.sites.SiteTable`; a sublattice is Atomap's; a signal is what HyperSpy's
        ``find_peaks`` returns for one image. A path names a ``.npy`` file of an array, or a text
        file with commas: with a header that names ``x`` and ``y`` (as
        :meth:`SiteTable.save <hs_rvae.sites.SiteTable.save>` writes it), or two numbers a line.
    order : {"xy", "rc"}
        What the two numbers of a row are: ``(x, y)``, or ``(row, column)`` = ``(y, x)``.
        Not used for tables, sublattices and signals, which say what they are. AtomAI's
        coordinates are "rc".

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), float64, ``(x, y)``. Non-finite values are kept.

    Raises
    ------
    ValueError
        If the shape is not (n, 2), or `order` is unknown.
    TypeError
        If the positions are not real numbers.

    Examples
    --------
    >>> as_positions([[3, 5], [4, 6]], order="rc")
    array([[5., 3.],
           [6., 4.]])
    """
    if order not in ("xy", "rc"):
        raise ValueError(f"order={order!r} is unknown: use 'xy' or 'rc' (row, column).")
    if isinstance(positions, str | os.PathLike):
        positions = _read_positions(Path(positions))
    if getattr(positions, "ragged", False):
        positions, order = _found_peaks(positions), "rc"
    names = getattr(positions, "columns", None)
    if is_sublattice(positions):
        array = np.stack([positions.x_position, positions.y_position], axis=1)
        order = "xy"
    elif names is not None and "x" in names and "y" in names:
        array = np.stack([np.asarray(positions["x"]), np.asarray(positions["y"])], axis=1)
        order = "xy"
    else:
        array = np.asarray(positions)
    if hasattr(positions, "sublattice_list"):
        raise TypeError(
            f"positions is a {type(positions).__name__}: SubImageStack.from_atom_lattice takes it, "
            "or pass one of its sublattices, positions.sublattice_list[0]."
        )
    if array.dtype.kind not in "iufb" and array.size:
        raise TypeError(f"positions must be real numbers, not {array.dtype}.")
    if array.size == 0:
        array = np.empty((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(
            f"positions must have the shape (n, 2), one (x, y) per column, not {array.shape}; "
            "write a single position as [[x, y]]."
        )
    array = array.astype(np.float64)
    return array[:, ::-1].copy() if order == "rc" else array


def _read_positions(path):
    """An array or a table from a file."""
    if not path.is_file():
        raise FileNotFoundError(f"positions={str(path)!r}: there is no such file.")
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    try:
        table = pd.read_csv(path, comment="#")
        if {"x", "y"} <= set(table.columns):
            return table
        table = pd.read_csv(path, comment="#", header=None)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"positions={str(path)!r} is no text file with positions ({error}). A file of an "
            "Atomap lattice is for from_atom_lattice."
        ) from error
    if table.shape[1] != 2 or not all(kind in "iuf" for kind in map(_kind, table.dtypes)):
        raise ValueError(
            f"positions={str(path)!r} has neither the columns x and y nor two numbers a line."
        )
    return table.to_numpy()


def _kind(dtype):
    return getattr(dtype, "kind", "O")


def _found_peaks(signal):
    """The (row, column) peaks of one image from HyperSpy's find_peaks."""
    peaks = np.asarray(signal.data).ravel()
    if len(peaks) != 1:
        raise ValueError(
            f"positions holds the peaks of {len(peaks)} images; choose one, as in peaks.inav[0]."
        )
    return np.asarray(peaks[0])


def is_sublattice(candidate):
    """Whether the object looks like an Atomap ``Sublattice``."""
    return hasattr(candidate, "atom_list") and hasattr(candidate, "x_position")


def sublattice_positions(sublattice):
    """
    Positions and fitted shapes of the columns of an Atomap sublattice.

    Parameters
    ----------
    sublattice : atomap.sublattice.Sublattice
        Or any object with ``atom_list``, ``x_position`` and ``y_position``.

    Returns
    -------
    dict of str to numpy.ndarray
        ``x`` and ``y`` in pixels and, where at least one column was fitted, ``sigma_x`` and
        ``sigma_y`` (px), ``rotation`` (rad, of the ``sigma_x`` axis, in [0, pi), from +x towards
        -y as Atomap counts it, against the sense of ``angle``) and ``amplitude`` (volume of the
        Gaussian). Atomap's placeholders for columns without a successful fit are NaN. A
        sublattice with a ``column_table`` gives that table's columns instead, where
        ``amplitude`` is the height of the peak. :data:`POSITION_UNITS` has the units.

    Raises
    ------
    TypeError
        If the object does not look like a sublattice.
    """
    if not is_sublattice(sublattice):
        raise TypeError(
            f"sublattice is a {type(sublattice).__name__}; an Atomap Sublattice (with atom_list "
            "and x_position) is needed. Use from_positions for arrays, from_atom_lattice for "
            "an Atom_Lattice."
        )
    columns = {
        "x": np.asarray(sublattice.x_position, dtype=np.float64),
        "y": np.asarray(sublattice.y_position, dtype=np.float64),
    }
    table = column_table(sublattice)
    if table is not None:
        numbers = table.select_dtypes(["number", "bool"])
        return columns | {name: numbers[name].to_numpy() for name in numbers}
    return columns | _fitted_shapes(sublattice, len(columns["x"]))


def column_table(sublattice):
    """The ``column_table`` of a sublattice, or None if it has none that fits its columns.

    It counts only while it describes the columns as they are: Atomap may have moved them since.
    """
    table = getattr(sublattice, "column_table", None)
    if table is None or len(table) != len(sublattice.x_position):
        return None
    now = np.stack([sublattice.x_position, sublattice.y_position], axis=1)
    return table if np.allclose(table[["x", "y"]], now) else None


def _fitted_shapes(sublattice, count):
    """Columns of the Gaussian fit, NaN where Atomap left its placeholders; {} without a fit."""
    names = {
        "sigma_x": "sigma_x",
        "sigma_y": "sigma_y",
        "rotation": "rotation",
        "amplitude": "atom_amplitude_gaussian2d",
    }
    shapes = {}
    for name, attribute in names.items():
        values = getattr(sublattice, attribute, None)
        if values is not None and len(values) == count:
            shapes[name] = np.array(values, dtype=np.float64)
    if "sigma_x" not in shapes or "sigma_y" not in shapes:
        return {}
    missing = (shapes["sigma_x"] == 1) & (shapes["sigma_y"] == 1)
    if "amplitude" in shapes:
        # 1 is the value before any fit, 0 marks a fit that failed; files keep no amplitude.
        missing |= shapes["amplitude"] == 0
        shapes["amplitude"][shapes["amplitude"] == 1] = np.nan
    for values in shapes.values():
        values[missing] = np.nan
    return {name: values for name, values in shapes.items() if np.isfinite(values).any()}


def pick_sublattice(atom_lattice, sublattice=None):
    """
    One sublattice of an Atomap lattice.

    Parameters
    ----------
    atom_lattice : atomap.atom_lattice.Atom_Lattice
        Or any object with ``sublattice_list``.
    sublattice : int, str, Sublattice or None
        Index, name, or the sublattice itself. None is allowed if there is only one.

    Returns
    -------
    sublattice : atomap.sublattice.Sublattice
        The chosen one.
    others : list
        All other sublattices of the lattice.

    Raises
    ------
    TypeError, ValueError
        If there is no such lattice or sublattice; the message lists the names there are.
    """
    if not hasattr(atom_lattice, "sublattice_list"):
        raise TypeError(
            f"lattice is a {type(atom_lattice).__name__}; an Atomap Atom_Lattice (with "
            "sublattice_list) is needed. Use from_sublattice for a single Sublattice."
        )
    members = list(atom_lattice.sublattice_list)
    names = [getattr(member, "name", "") for member in members]
    listing = ", ".join(f"{i}: {name!r}" for i, name in enumerate(names)) or "none"
    if not members:
        raise ValueError("The lattice has no sublattices.")
    if sublattice is None:
        matches = list(range(len(members)))
        problem = f"The lattice has {len(members)} sublattices: say which with sublattice="
    elif isinstance(sublattice, str):
        matches = [i for i, name in enumerate(names) if name == sublattice]
        problem = f"sublattice={sublattice!r} names {len(matches)} sublattices; there are"
    elif is_sublattice(sublattice):
        matches = [i for i, member in enumerate(members) if member is sublattice]
        problem = "The given sublattice is not part of the lattice; there are"
    else:
        try:
            matches = [range(len(members))[sublattice]]
        except (IndexError, TypeError):
            matches = []
        problem = f"There is no sublattice={sublattice!r}; there are"
    if len(matches) != 1:
        raise ValueError(f"{problem} ({listing}).")
    return members[matches[0]], [m for i, m in enumerate(members) if i != matches[0]]


def check_positions_fit(positions, image_shape):
    """
    Refuse positions that fit the image only if x and y are swapped.

    Single positions outside the image are no error here: their windows are dropped later.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels.
    image_shape : tuple of int
        ``(rows, columns)``.

    Raises
    ------
    ValueError
        If the positions do not fit as given but do when swapped.
    """
    finite = positions[np.isfinite(positions).all(axis=1)]
    outside = int((~inside_image(finite, image_shape)).sum())
    outside_swapped = int((~inside_image(finite[:, ::-1], image_shape)).sum())
    # All fit when swapped, or nearly all and far more than as given.
    if outside > 0 and outside_swapped <= min(0.02 * len(finite), outside / 5):
        rows, columns = image_shape
        raise ValueError(
            f"positions fit the image ({columns} columns, {rows} rows) only if swapped: "
            f"{outside} of {len(finite)} lie outside as (x, y), {outside_swapped} as "
            "(row, column). Pass order='rc', or swap the two numbers."
        )


def inside_image(positions, image_shape):
    """Which ``(x, y)`` lie on a pixel of an image of shape ``(rows, columns)``."""
    rows, columns = image_shape
    with np.errstate(invalid="ignore"):
        return ((positions >= -0.5) & (positions <= (columns - 0.5, rows - 0.5))).all(axis=1)


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
    of the column; its sign against the polarization depends on the material.

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
