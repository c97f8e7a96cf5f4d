# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns of an image in words and tables: sublattices, cell, fits, maxima left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hs_rvae.sites import units as _units

#: Node of a stack's metadata with the columns that its search found.
COLUMNS_NODE = "Sub_images.columns"
_NO_LATTICE = ""  # name of the group of columns that belong to no lattice


def record_of(lattice: Any, chosen: int | None = None) -> dict[str, Any]:
    """
    Columns that a search found, in plain values that the metadata of a stack keep.

    Parameters
    ----------
    lattice : Atom_Lattice or Mapping of str to array-like of shape (n, 2)
        A lattice with ``crystal`` (:class:`hs_rvae.columns.crystal.Crystal`) or without, or names
        with positions ``(x, y)`` in px.
    chosen : int, optional
        Number of the sublattice that sub-images are cut around.

    Returns
    -------
    dict
        ``x``, ``y`` (px), ``group`` (number of the sublattice, -1 for columns of no lattice) of all
        columns, and ``about``, a text of JSON.
    """
    crystal = getattr(lattice, "crystal", None)
    members = _members(lattice)
    tables = {name: table for name, (_, table) in members.items()}
    positions = [xy for xy, _ in members.values()]
    groups = [np.full(len(xy), k) for k, xy in enumerate(positions)]
    if crystal is not None and len(crystal.unassigned):
        positions.append(crystal.unassigned[["x", "y"]].to_numpy(float))
        groups.append(np.full(len(positions[-1]), -1))
    x, y = np.concatenate([*positions, np.zeros((0, 2))]).T.copy()
    places: dict[str, list[Any]] = {}
    for place in () if crystal is None else crystal.places:
        places.setdefault(place.name, []).append(place)
    about: dict[str, Any] = {
        "sublattices": [
            _about_sublattice(name, len(xy), tables[name], places.get(name, []))
            for name, (xy, _) in members.items()
        ],
        "cell": _cell(crystal, tables),
        "chosen": chosen,
        "grains": [] if crystal is None else [int(grain.count) for grain in crystal.grains],
    }
    known = getattr(crystal, "structure", None)
    if known is not None:
        axis = " ".join(str(int(index)) for index in known.zone_axis)
        about["structure"] = f"{known.formula} along [{axis}]"
    if crystal is not None and crystal.n_maxima:
        on_lattice = sum(int(table["found"].sum()) for table in tables.values() if _has_fits(table))
        about["left_out"] = max(0, int(crystal.n_maxima) - on_lattice)
        about["n_maxima"] = int(crystal.n_maxima)
    return {"x": x, "y": y, "group": np.concatenate([*groups, np.zeros(0, int)]).astype(int),
            "about": json.dumps(about)}  # fmt: skip


def _members(lattice: Any) -> dict[str, tuple[np.ndarray, Any]]:
    """Positions and table of each sublattice by its name."""
    if isinstance(lattice, Mapping):
        return {name: (np.asarray(xy, float).reshape(-1, 2), None) for name, xy in lattice.items()}
    members = {}
    for k, one in enumerate(lattice.sublattice_list):
        name = getattr(one, "name", "") or str(k)
        xy = np.stack([np.asarray(one.x_position), np.asarray(one.y_position)], axis=1)
        table = getattr(one, "column_table", None)
        members[name if name not in members else f"{name} {k}"] = (xy.astype(float), table)
    return members


def _has_fits(table: Any) -> bool:
    return table is not None and {"found", "status", "shape_held"} <= set(table.columns)


def _about_sublattice(name: str, count: int, table: Any, places: Sequence[Any]) -> dict[str, Any]:
    """Numbers of one sublattice with one or several places in the cell."""
    about: dict[str, Any] = {"name": name, "count": count}
    if places:
        elements = dict.fromkeys(place.element for place in places if place.element)
        about |= {
            "place": [[float(value) for value in place.position] for place in places],
            "height": float(np.median([place.height for place in places])),
            "occupied": float(np.mean([place.occupied for place in places])),
            "element": " or ".join(elements) or None,
        }
    elif table is not None and "amplitude" in table and np.isfinite(table["amplitude"]).any():
        about["height"] = float(table["amplitude"].median())
    if _has_fits(table):
        held = table["shape_held"].to_numpy(bool)
        about |= {"failed": int((table["status"] != 0).sum()), "held": int(held.sum())}
    return about


def _cell(crystal: Any, tables: Mapping[str, Any]) -> list[list[float]] | None:
    """Average cell vectors in px."""
    if crystal is not None:
        return np.asarray(crystal.cell, float).tolist()
    known = [table.attrs.get("cell") for table in tables.values() if table is not None]
    return next((np.asarray(cell, float).tolist() for cell in known if cell is not None), None)


def columns_of(stack: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """
    Positions of the columns of a stack's image by sublattice, and the numbers about them.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    positions : dict of str to numpy.ndarray of shape (n, 2)
        In px; "" names columns of no lattice. The sites, if nothing else is known.
    about : dict
        Empty if nothing else is known.
    """
    node = stack.metadata.get_item(COLUMNS_NODE)
    if node is None:
        return {"sites": np.asarray(stack._sites_to_plot().xy)}, {}
    about = json.loads(node.about)
    xy = np.stack([np.asarray(node.x, float), np.asarray(node.y, float)], axis=1)
    group = np.asarray(node.group)
    names = [one["name"] for one in about["sublattices"]]
    positions = {name: xy[group == k] for k, name in enumerate(names)} | {
        _NO_LATTICE: xy[group == -1]
    }
    return {name: each for name, each in positions.items() if len(each)}, about


def sentences(stack: Any) -> list[str]:
    """
    Counts of the columns, the share left out and the average cell, in sentences.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of str
    """
    positions, about = columns_of(stack)
    if not about:
        return [f"{len(stack.sites):,} positions were given; no search for columns is known."]
    counts = [f"{len(xy):,} {name}" for name, xy in positions.items() if name != _NO_LATTICE]
    total = sum(len(xy) for name, xy in positions.items() if name != _NO_LATTICE)
    lines = [f"{total:,} columns: {listed(counts)}."]
    if len(counts) == 1:
        lines = [f"{total:,} columns of one sublattice, {next(iter(positions))}."]
    if "structure" in about:
        lines.append(f"The known crystal is {about['structure']}.")
    if len(about["grains"]) > 1:
        grains = [f"{count:,}" for count in about["grains"]]
        lines.append(f"They lie in {len(grains)} grains of {listed(grains)} columns.")
    if outside := len(positions.get(_NO_LATTICE, ())):
        lines.append(f"{outside:,} more belong to no lattice (crosses).")
    if "n_maxima" in about:
        share = about["left_out"] / about["n_maxima"]
        lines.append(
            f"{about['left_out']:,} of {about['n_maxima']:,} maxima of the image ({share:.1%}) "
            "are left out."
        )
    fits = [one for one in about["sublattices"] if "failed" in one]
    if fits:
        failed, held = (sum(one[name] for one in fits) for name in ("failed", "held"))
        lines.append(
            f"The fit failed for {failed:,} ({failed / max(total, 1):.1%}); {held:,} "
            f"({held / max(total, 1):.1%}) were fitted with their shape held."
        )
    if about.get("chosen") is not None:
        chosen = about["sublattices"][about["chosen"]]
        lines.append(
            f"{len(stack.sites):,} of the {chosen['count']:,} {chosen['name']} have a sub-image."
        )
    return [*lines, *_about_cell(stack, about)]


def listed(words: Sequence[str]) -> str:
    """
    Words with commas, the last one after "and".

    Parameters
    ----------
    words : sequence of str
        One or more.

    Returns
    -------
    str

    Examples
    --------
    >>> listed(["A", "B", "C"])
    'A, B and C'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _about_cell(stack: Any, about: Mapping[str, Any]) -> list[str]:
    """Lengths and angle of the average cell."""
    if about.get("cell") is None:
        return []
    pixels = np.asarray(about["cell"])
    sizes = stack.sites.pixel_size
    a, b = np.linalg.norm(pixels, axis=1)
    vectors = pixels * sizes
    angle = np.rad2deg(np.arctan2(*_cross_and_dot(*vectors)))
    text = f"Average cell: a = {a:.2f} px, b = {b:.2f} px"
    if _units.is_calibrated(stack.sites.pixel_units):
        factor, unit = _units.length_scale(stack.sites.pixel_units)
        lengths = np.linalg.norm(vectors, axis=1) * factor
        text = (
            f"Average cell: a = {lengths[0]:.4g} {unit} ({a:.2f} px), "
            f"b = {lengths[1]:.4g} {unit} ({b:.2f} px)"
        )
    return [f"{text}, angle {angle:.2f}°."]


def _cross_and_dot(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    return abs(float(a[0] * b[1] - a[1] * b[0])), float(a @ b)


def rows(stack: Any) -> list[tuple[str, ...]]:
    """
    Sublattices as rows of a table.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of tuple of str
        Name, columns and what else is known of each; the first row has the names of the columns.
        Empty without a search.
    """
    _, about = columns_of(stack)
    if not about:
        return []
    formats: dict[str, Callable[[Any], str]] = {
        "element": str,
        "count": "{:,}".format,
        "place": lambda places: ", ".join(f"({u:.3f}, {v:.3f})" for u, v in places),
        "occupied": "{:.1%}".format,
        "height": "{:.4g}".format,
        "failed": "{:,}".format,
        "held": "{:,}".format,
    }
    titles = {
        "count": "columns",
        "place": "place in the cell",
        "occupied": "cells occupied",
        "height": "median height",
        "failed": "fit failed",
        "held": "shape held",
    }
    members = about["sublattices"]
    known = [name for name in formats if any(member.get(name) is not None for member in members)]
    table = [("sublattice", *(titles.get(name, name) for name in known))]
    for member in members:
        values = ("" if member.get(name) is None else formats[name](member[name]) for name in known)
        table.append((member["name"], *values))
    return table
