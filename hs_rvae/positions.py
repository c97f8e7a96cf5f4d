# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Column positions: arrays or Atomap objects in, ``(n, 2)`` arrays of ``(x, y)`` out.

Positions are in pixels, ``(x, y)`` = (column index, row index) of the image, pixel centres at
integers, y down. Atomap objects are recognised by their attributes; Atomap is never imported.
"""

import os
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd

from hs_rvae.neighbours import (  # noqa: F401  scripts import them from here too
    crowded,
    displacement,
    local_cells,
    nearest_neighbour_distance,
    nearest_shell_distance,
)
from hs_rvae.sites import columns as _columns

#: Units of the columns that positions and sublattices bring.
POSITION_UNITS = {
    name: _columns.unit(name)
    for name in ("x", "y", "sigma_x", "sigma_y", "rotation", "amplitude", "x_std", "y_std")
}


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
        with open(path, encoding="utf-8") as file:
            comments = sum(1 for _ in takewhile(lambda line: line.startswith("#"), file))
        table = pd.read_csv(path, skiprows=comments)  # a name may contain "#"
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
