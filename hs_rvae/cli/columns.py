# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns of a command: found, read from a file, or taken without a lattice."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from ..image_files import HDF5
from ..position_files import read_sublattices
from ..positions import default_name, inside_image, pick_sublattice
from ..report.columns import COLUMNS_NODE, listed, record_of

_OF_SEARCH = ("cell", "dark", "bright", "sublattices", "structure", "zone_axis", "method")


def check_options(options: argparse.Namespace) -> None:
    """
    Refuse options that exclude one another, and files that are not there.

    Parameters
    ----------
    options : argparse.Namespace

    Raises
    ------
    FileNotFoundError, ValueError
        The message names the option.
    """
    for name in ("model", "positions", "structure"):
        path = getattr(options, name)
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"--{name} {path}: there is no such file.")
    if options.zone_axis is not None and options.structure is None:
        raise ValueError("--zone-axis has no meaning without --structure FILE.")
    instead = {"positions": options.positions is not None, "no-lattice": options.no_lattice}
    chosen = [f"--{name}" for name, given in instead.items() if given]
    if len(chosen) > 1:
        raise ValueError("--positions and --no-lattice exclude each other: give one of them.")
    unused = [name for name in _OF_SEARCH if getattr(options, name) not in (None, False)]
    if options.no_lattice:
        unused = [name for name in unused if name not in ("dark", "bright", "method")]
    if chosen and unused:
        raise ValueError(
            f"--{unused[0].replace('_', '-')} is about the search for a lattice, which "
            f"{chosen[0]} replaces: give one of them."
        )
    if options.structure is not None and importlib.util.find_spec("ase") is None:
        raise ValueError(
            f"--structure {options.structure}: CIF files are read with the package ase, which is "
            "not installed: pip install ase"
        )


def cut_stack(
    image: Any, options: argparse.Namespace, start: tuple[int, int] = (0, 0)
) -> tuple[Any, str]:
    """
    Make the stack of sub-images that the options ask for.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D
    options : argparse.Namespace
    start : tuple of int
        First pixel (x, y) of the image in the picture that positions of a file are in.

    Returns
    -------
    stack : SubImageStack
    chosen : str
        Name of the sublattice.
    """
    from ..signals.sub_image_stack import SubImageStack

    if options.no_lattice:
        return _without_lattice(image, options), "all maxima"
    if options.positions is not None and options.positions.suffix.lower() not in HDF5:
        return _from_file(image, options, start)
    if options.positions is None:
        lattice = _found(image, options)
    else:
        lattice = _from_atomap(image, options.positions, start)
    chosen = _chosen_member(options, lattice)
    stack = SubImageStack.from_atom_lattice(
        lattice, image=image, sublattice=chosen, window_size=options.window
    )
    return stack, chosen.name


def _chosen_member(options: argparse.Namespace, lattice: Any) -> Any:
    """The sublattice that is analysed, by its name or, in a known crystal, by its element."""
    try:
        return pick_sublattice(lattice, options.sublattice)[0]
    except ValueError:
        names = [
            f"{one.name} ({one.element})" if getattr(one, "element", None) else one.name
            for one in lattice.sublattice_list
        ]
        raise ValueError(_choose(options, names)) from None


def _choose(options: argparse.Namespace, names: list[str]) -> str:
    """Message about a sublattice that is not there, or not named."""
    where = "this image" if options.positions is None else str(options.positions)
    known = listed(names)
    if options.sublattice is None:
        return f"{where} has the sublattices {known}: choose one of them with --sublattice."
    return f"--sublattice {options.sublattice}: {where} has {known}; choose one of them."


def _chosen(options: argparse.Namespace, names: list[str]) -> str:
    """Name of the sublattice of a file that is analysed."""
    chosen = options.sublattice or default_name(names)
    if chosen is None or chosen not in names:
        raise ValueError(_choose(options, names))
    return chosen


def _found(image: Any, options: argparse.Namespace) -> Any:
    """The lattice that a search finds."""
    import hs_rvae

    search: dict[str, Any] = {}
    if options.cell is not None:
        search["cell"] = options.cell
    if options.dark or options.bright:
        search["dark"] = options.dark
    if options.method is not None:
        search["method"] = options.method
    if options.sublattices is not None:
        search["n_sublattices"] = options.sublattices
    if options.structure is not None:
        search["structure"] = options.structure
        if options.zone_axis is not None:
            search["zone_axis"] = tuple(options.zone_axis)
    try:
        return hs_rvae.find_sublattices(image, **search)
    except (TypeError, ValueError) as error:
        raise ValueError(f"IMAGE {options.image}: {error}") from error


def _without_lattice(image: Any, options: argparse.Namespace) -> Any:
    """Sub-images around all maxima."""
    from .. import columns
    from ..signals.sub_image_stack import SubImageStack

    if options.sublattice is not None:
        raise ValueError(
            f"--sublattice {options.sublattice}: without a lattice there are no sublattices."
        )
    dark = {"dark": options.dark} if options.dark or options.bright else {}
    try:
        table: Any = columns.find_columns(image, method=options.method or "maxima", **dark)
    except (TypeError, ValueError) as error:
        raise ValueError(f"IMAGE {options.image}: {error}") from error
    stack = SubImageStack.from_positions(image, table, options.window)
    stack.metadata.set_item(
        COLUMNS_NODE, record_of({"all maxima": table[["x", "y"]].to_numpy()}, 0)
    )
    return stack


def _from_file(image: Any, options: argparse.Namespace, start: tuple[int, int]) -> tuple[Any, str]:
    """Sub-images around the positions of a text or .npy file."""
    from ..signals.sub_image_stack import SubImageStack

    try:
        groups = read_sublattices(options.positions)
    except ValueError as error:
        raise ValueError(_of_option(options.positions, error, "positions")) from error
    inside = {name: _inside(xy - start, image) for name, xy in groups.items()}
    groups = {name: xy for name, xy in inside.items() if len(xy)}
    if not groups:
        raise ValueError(
            f"--positions {options.positions}: none of the positions lies in the image of "
            f"{image.data.shape[1]} x {image.data.shape[0]} px; give x and y in pixels."
        )
    chosen = _chosen(options, list(groups))
    others = [xy for name, xy in groups.items() if name != chosen]
    stack = SubImageStack.from_positions(
        image,
        groups[chosen],
        options.window,
        neighbours=others[0] if len(others) == 1 else groups[chosen],
    )
    stack.metadata.set_item(COLUMNS_NODE, record_of(groups, list(groups).index(chosen)))
    return stack, chosen


def _of_option(path: Path, error: Exception, argument: str) -> str:
    """An error about a file, with the option in place of the argument."""
    text = str(error).removeprefix(f"{argument}={str(path)!r} ")
    return f"--positions {path}: {text}"


def _inside(xy: np.ndarray, image: Any) -> np.ndarray:
    """Positions on a pixel of the image."""
    return xy[inside_image(xy, image.data.shape)]


def _from_atomap(image: Any, path: Path, start: tuple[int, int]) -> Any:
    """The lattice in a file of Atomap, moved into the region that is analysed."""
    from ..signals.cutting import atom_lattice

    try:
        lattice = atom_lattice(path)
    except ValueError as error:
        raise ValueError(_of_option(path, error, "lattice")) from error
    for number, sublattice in enumerate(lattice.sublattice_list):
        sublattice.name = sublattice.name or str(number)
        if start == (0, 0) and np.shape(sublattice.original_image) == image.data.shape:
            continue
        for atom in sublattice.atom_list:
            atom.pixel_x -= start[0]
            atom.pixel_y -= start[1]
        xy = np.array([(atom.pixel_x, atom.pixel_y) for atom in sublattice.atom_list])
        kept = inside_image(xy.reshape(-1, 2), image.data.shape)
        atoms = zip(sublattice.atom_list, kept, strict=True)
        sublattice.atom_list = [atom for atom, inside in atoms if inside]
        sublattice.original_image = sublattice.image = np.asarray(image.data)
    lattice.sublattice_list = [one for one in lattice.sublattice_list if one.atom_list]
    if not lattice.sublattice_list:
        raise ValueError(f"--positions {path}: none of its columns lies in the image.")
    return lattice
