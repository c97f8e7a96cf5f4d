# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in files: HyperSpy's readers, and files ``.hdf5`` of Atomap and of old HyperSpy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

#: Endings that several kinds of files share.
HDF5 = (".hdf5", ".h5")
# Names of the image in a file of an Atomap lattice, the newest first.
_IMAGES = ("image_data", "image_data0", "original_image_data")


def load_signals(
    path: str | os.PathLike[str], reader: str | None = None, *, lazy: bool = False
) -> Any:
    """
    Load a file as ``hyperspy.api.load`` does, and files ``.hdf5`` by their content.

    Parameters
    ----------
    path : str or pathlib.Path
    reader : str, optional
        Name of a reader of HyperSpy. If None, the ending and the content decide.
    lazy : bool
        Whether to leave the pixels in the file. Atomap's images are always loaded.

    Returns
    -------
    hyperspy.api.signals.BaseSignal or list of them
        A file of an Atomap lattice gives its image, with the pixel size of its sublattices.

    Raises
    ------
    Exception
        Whatever a reader raises.
    """
    import hyperspy.api as hs

    path = Path(path)
    chosen = reader
    if reader is None and path.suffix.lower() in HDF5 and path.is_file():
        if is_atom_lattice(path):
            return _image_of_lattice(path)
        if _is_of_hyperspy(path):
            chosen = "HSPY"
    options = {name: value for name, value in (("file_format", chosen), ("lazy", lazy)) if value}
    loaded = hs.load(path, **options)
    if chosen:
        for signal in loaded if isinstance(loaded, list) else [loaded]:
            signal.tmp_parameters.set_item("reader", chosen)
    return loaded


def reader_names() -> list[str]:
    """Names of the readers that HyperSpy has, in alphabetical order."""
    from rsciio import IO_PLUGINS

    return sorted((plugin["name"] for plugin in IO_PLUGINS), key=str.lower)


def is_atom_lattice(path: str | os.PathLike[str]) -> bool:
    """Return True for a file that Atomap's ``Atom_Lattice.save`` wrote."""
    return bool(lattice_groups(path))


def lattice_groups(path: str | os.PathLike[str]) -> list[tuple[str, dict[str, Any]]]:
    """
    Sublattices in a file of an Atomap lattice.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    list of (str, dict)
        Name of the group and its attributes, in the order of the file; empty for other files.
    """
    import h5py

    if not h5py.is_hdf5(path):
        return []
    with h5py.File(path) as file:
        return [
            (name, dict(group.attrs))
            for name, group in file.items()
            if isinstance(group, h5py.Group) and "atom_positions" in group
        ]


def _is_of_hyperspy(path: Path) -> bool:
    """Return True for the format that HyperSpy calls ``.hspy`` today."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return file.attrs.get("file_format") == "HyperSpy"


def image_node(path: str | os.PathLike[str]) -> str:
    """Name of the image in a file of an Atomap lattice."""
    import h5py

    with h5py.File(path) as file:
        whole = next((name for name in _IMAGES if name in file), None)
    return whole or f"{lattice_groups(path)[0][0]}/original_image_data"


def _image_of_lattice(path: Path) -> Any:
    """The image of an Atomap lattice as a signal."""
    import h5py
    from hyperspy.signals import Signal2D

    node = image_node(path)
    with h5py.File(path) as file:
        image = Signal2D(file[node][:])
    attributes = lattice_groups(path)[0][1]
    unit = attributes.get("units", "")
    for axis in image.axes_manager.signal_axes:
        axis.scale = float(attributes.get("pixel_size", 1.0)) or 1.0
        axis.units = unit.decode() if isinstance(unit, bytes) else str(unit)
    image.metadata.General.title = path.stem
    image.tmp_parameters.set_item("atomap_node", node)
    return image
