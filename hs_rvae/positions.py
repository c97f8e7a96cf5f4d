# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Column positions: arrays or Atomap objects in, ``(n, 2)`` arrays of ``(x, y)`` out.

Positions are in pixels, ``(x, y)`` = (column index, row index) of the image, pixel centres at
integers, y down. Atomap objects are recognised by their attributes; Atomap is never imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.checks import has_attribute, is_whole_number
from hs_rvae.masked_arrays import filled
from hs_rvae.position_files import read_positions
from hs_rvae.sites import columns as _columns

if TYPE_CHECKING:
    import pandas as pd


#: Units of the columns that positions and sublattices bring.
POSITION_UNITS = {
    name: _columns.unit(name)
    for name in ("x", "y", "sigma_x", "sigma_y", "rotation", "amplitude", "x_std", "y_std")
}


def as_positions(positions: Any, order: str = "xy") -> np.ndarray:
    """
    Positions as an ``(n, 2)`` array of ``(x, y)`` in pixels.

    Parameters
    ----------
    positions : array-like of shape (n, 2), table with the columns ``x`` and ``y``, Sublattice, \
            signal, dict or path
        Positions in pixels. A table is a pandas ``DataFrame``, a
        :class:`~hs_rvae.sites.SiteTable` or a dictionary with the keys ``x`` and ``y``; a
        sublattice is Atomap's; a signal is what HyperSpy's ``find_peaks`` returns for one image.
        A dictionary ``{0: array}`` is AtomAI's, with rows ``(row, column, class)``. A path names
        a ``.npy`` file of an array, or a text file (:func:`~hs_rvae.position_files.read_positions`)
        with columns called ``x`` and ``y``, as
        :meth:`SiteTable.save <hs_rvae.sites.SiteTable.save>` writes it, or two numbers a line.
    order : {"xy", "rc"}
        What the two numbers of a row are: ``(x, y)``, or ``(row, column)`` = ``(y, x)``.
        Not used for tables, sublattices, signals and dictionaries, which say what they are.
        AtomAI's coordinates are "rc", also taken out of their dictionary.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), float64, ``(x, y)``. Non-finite values are kept; masked ones become NaN.

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
        positions = read_positions(positions)
    if getattr(positions, "ragged", False):
        positions, order = _found_peaks(positions), "rc"
    if is_from_atomai(positions):
        positions, order = _of_one_image(positions)[:, :2], "rc"
    names = getattr(positions, "columns", positions if isinstance(positions, Mapping) else None)
    if is_sublattice(positions):
        array = _of_atomap(positions)
        order = "xy"
    elif names is not None and "x" in names and "y" in names:
        array = _side_by_side(positions["x"], positions["y"])
        order = "xy"
    elif isinstance(positions, Mapping):
        raise TypeError(
            f"positions is a dictionary with the keys {', '.join(map(repr, positions)) or 'none'}: "
            "give 'x' and 'y', in pixels, or AtomAI's {0: array}."
        )
    else:
        array = np.asarray(filled(positions))
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
        raise ValueError(_wrong_shape(array.shape))
    array = array.astype(np.float64)
    return array[:, ::-1].copy() if order == "rc" else array


def _wrong_shape(shape: tuple[int, ...]) -> str:
    remedy = "write a single position as [[x, y]]."
    if len(shape) == 2 and shape[1] > 2:
        remedy = (
            "pass the two that are positions, as in xy[:, :2], with order='rc' if rows come first. "
            "A class is for columns={'class': xy[:, 2]}."
        )
    elif len(shape) == 2:
        remedy = "pass one row for each."
    if len(shape) == 2 and shape[0] == 2 and shape[1] > 3:
        remedy = "turn them over, as in xy.T."
    return f"positions must have the shape (n, 2), one (x, y) per column, not {shape}: {remedy}"


def is_from_atomai(positions: Any) -> bool:
    """Return True for AtomAI's dictionary, from image number to rows (row, column, class)."""
    if not isinstance(positions, Mapping) or not positions:
        return False
    return all(is_whole_number(key, 0) for key in positions)


def position_classes(positions: Any) -> dict[str, np.ndarray]:
    """
    The classes that AtomAI gives to its coordinates.

    Parameters
    ----------
    positions
        As :func:`as_positions` takes them, of one image.

    Returns
    -------
    dict
        ``{"class": array of int, shape (n,)}``; empty for all but AtomAI's dictionary.

    Examples
    --------
    >>> position_classes({0: np.array([[7.0, 3.0, 1.0], [9.0, 4.0, 0.0]])})
    {'class': array([1, 0])}
    """
    if not is_from_atomai(positions):
        return {}
    array = _of_one_image(positions)
    return {"class": np.rint(array[:, 2]).astype(np.int64)} if array.shape[1] == 3 else {}


def _of_one_image(positions: Mapping[int, Any]) -> np.ndarray:
    """Coordinates of the one image in AtomAI's dictionary."""
    if len(positions) > 1:
        first = next(iter(positions))
        raise ValueError(
            f"positions has the coordinates of {len(positions)} images: choose those of this one, "
            f"as in {{0: positions[{first}]}}."
        )
    array = np.asarray(filled(*positions.values()))
    if array.size == 0:
        return np.empty((0, 3))
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise ValueError(
            f"positions is a dictionary of an array of the shape {array.shape}; AtomAI's has rows "
            "(row, column, class). Pass an array of (x, y)."
        )
    return array


def _side_by_side(x: Any, y: Any) -> np.ndarray:
    x, y = np.asarray(filled(x)), np.asarray(filled(y))
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"positions has x of the shape {x.shape} and y of the shape {y.shape}: give rows of "
            "numbers that are equally long."
        )
    return np.stack([x, y], axis=1)


def _found_peaks(signal: Any) -> np.ndarray:
    """The (row, column) peaks of one image from HyperSpy's find_peaks."""
    peaks = np.asarray(signal.data).ravel()
    if len(peaks) != 1:
        raise ValueError(
            f"positions holds the peaks of {len(peaks)} images; choose one, as in peaks.inav[0]."
        )
    return np.asarray(peaks[0])


def is_sublattice(candidate: Any) -> bool:
    """Return True for an object with the attributes of an Atomap ``Sublattice``."""
    return hasattr(candidate, "atom_list") and has_attribute(candidate, "x_position")


def _of_atomap(sublattice: Any) -> np.ndarray:
    """Positions (x, y) in px, shape (n, 2), of the columns of a sublattice."""
    return _side_by_side(sublattice.x_position, sublattice.y_position)


def sublattice_positions(sublattice: Any) -> dict[str, np.ndarray]:
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
        If the object does not have the attributes of a sublattice.
    """
    if not is_sublattice(sublattice):
        raise TypeError(
            f"sublattice is a {type(sublattice).__name__}; an Atomap Sublattice (with atom_list "
            "and x_position) is needed. Use from_positions for arrays, from_atom_lattice for "
            "an Atom_Lattice."
        )
    now = _of_atomap(sublattice).astype(np.float64)
    columns = dict(zip("xy", now.T.copy(), strict=True))
    table = _table_of(sublattice, now)
    if table is not None:
        numbers = table.select_dtypes(["number", "bool"])
        return columns | {name: numbers[name].to_numpy() for name in numbers}
    return columns | _fitted_shapes(sublattice, len(columns["x"]))


def column_table(sublattice: Any) -> pd.DataFrame | None:
    """The ``column_table`` of a sublattice, or None if it has none that fits its columns.

    It counts only while it describes the columns as they are: Atomap may have moved them since.
    """
    return _table_of(sublattice, None)


def _table_of(sublattice: Any, now: np.ndarray | None) -> pd.DataFrame | None:
    """The ``column_table`` of a sublattice whose columns are at positions (n, 2)."""
    table = getattr(sublattice, "column_table", None)
    if table is None:
        return None
    now = _of_atomap(sublattice) if now is None else now
    return table if len(table) == len(now) and np.allclose(table[["x", "y"]], now) else None


def _fitted_shapes(sublattice: Any, count: int) -> dict[str, np.ndarray]:
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


def pick_sublattice(atom_lattice: Any, sublattice: Any = None) -> tuple[Any, list[Any]]:
    """
    One sublattice of an Atomap lattice.

    Parameters
    ----------
    atom_lattice : atomap.atom_lattice.Atom_Lattice
        Or any object with ``sublattice_list``.
    sublattice : int, str, Sublattice or None
        Index, name, element where the structure is known, or the sublattice itself. If None, the
        only one, or "B", or "A".

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
    elements = [getattr(member, "element", None) for member in members]
    listing = sublattice_listing(names, elements) or "none"
    if not members:
        raise ValueError("The lattice has no sublattices.")
    if sublattice is None:
        matches = [names.index(default_name(names))] if default_name(names) is not None else []
        problem = f"The lattice has {len(members)} sublattices: choose one with sublattice="
    elif isinstance(sublattice, str):
        matches = [i for i, name in enumerate(names) if name == sublattice]
        matches = matches or of_element(elements, sublattice)
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


def of_element(elements: Sequence[str | None], wanted: str) -> list[int]:
    """
    Numbers of the sublattices of an element: those named so, otherwise those that contain it.

    Examples
    --------
    >>> of_element(["Sr", "Ti/O", "O"], "O"), of_element(["Sr", "Ti/O", "O"], "Ti")
    ([2], [1])
    """
    exact = [i for i, element in enumerate(elements) if element == wanted]
    return exact or [
        i for i, element in enumerate(elements) if wanted in (element or "").split("/")
    ]


def sublattice_listing(names: Sequence[str], elements: Sequence[str | None]) -> str:
    """Numbers, names and elements of sublattices, for messages."""
    return ", ".join(
        f"{i}: {name!r}" + (f" ({element})" if element else "")
        for i, (name, element) in enumerate(zip(names, elements, strict=True))
    )


def default_name(names: Sequence[str]) -> str | None:
    """
    Name of the sublattice that is taken if none is chosen: the only one, or "B", or "A".

    Parameters
    ----------
    names : list of str

    Returns
    -------
    str or None
        None if there is no such name.
    """
    if len(names) == 1:
        return names[0]
    return next((name for name in ("B", "A") if name in names), None)


def check_positions_fit(positions: np.ndarray, image_shape: tuple[int, ...]) -> None:
    """
    Refuse positions that fit the image only if x and y are swapped.

    Single positions outside the image pass: their windows are dropped later.

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


def inside_image(positions: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Mask of the ``(x, y)`` that lie on a pixel of an image of shape ``(rows, columns)``."""
    rows, columns = image_shape
    with np.errstate(invalid="ignore"):
        inside = (positions >= -0.5) & (positions <= (columns - 0.5, rows - 0.5))
    return np.asarray(inside.all(axis=1))
