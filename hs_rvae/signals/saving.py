# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that stacks are saved to, and files that must not be replaced there."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.checks import shown
from hs_rvae.files import file_of
from hs_rvae.signals.origins import FOLDER_NODE, IMAGE_NODE, MODEL_NODE
from hs_rvae.stores import files_read_by

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal

#: Formats that hold a stack with its table; others are left to HyperSpy.
FORMATS = (".hspy", ".zspy")
_LONGEST = 32  # of endings
# What HyperSpy and Zarr put into the folder of a .zspy, and what file managers add.
_OF_STORES = {".zgroup", ".zattrs", ".zmetadata", "Experiments", "Analysis", ".DS_Store"}
# What saving writes into the metadata; as it was if saving fails.
_NOTED = ("General.FileIO", IMAGE_NODE, MODEL_NODE, FOLDER_NODE)


@contextmanager
def restored_on_failure(signal: SiteSignal) -> Iterator[None]:
    """Take back all notes on a file that was not written after all."""
    known = {name: copy.deepcopy(signal.metadata.get_item(name)) for name in _NOTED}
    places = signal.tmp_parameters.deepcopy()
    try:
        yield
    except BaseException:
        for name, value in known.items():
            node, _, last = name.rpartition(".")
            if value is not None:
                signal.metadata.set_item(name, value)
            elif signal.metadata.has_item(name):
                delattr(signal.metadata.get_item(node), last)
        signal.tmp_parameters = places
        raise


def path_to_save(
    signal: SiteSignal, filename: Any, extension: str | None, file_format: str | None
) -> Path | None:
    """The path that HyperSpy's ``save`` means, or None if it is not a path."""
    if extension is not None and file_format is not None:
        raise ValueError(
            f"Cannot specify both 'extension' and 'file_format': extension={extension!r} is of "
            "older versions of HyperSpy, leave it out."
        )
    if extension is not None and len(extension) > _LONGEST:
        raise ValueError(f"extension={shown(extension)}: it is longer than the ending of any file.")
    if extension is not None and f".{extension.lstrip('.').lower()}" in FORMATS:
        warnings.warn(
            "The 'extension' parameter is deprecated in HyperSpy 2.4: give file_format, or a name "
            "with its ending.",
            FutureWarning,
            stacklevel=5,
        )
    if filename is None:
        known = file_of(signal)
        if known is None:
            return None
        filename = known if known.suffix else known.with_suffix(f".{file_format or 'hspy'}")
    if not isinstance(filename, str | os.PathLike):
        return None
    path = Path(filename).expanduser().absolute()
    name = signal.tmp_parameters.get_item("filename")
    ending = extension or (file_format if str(file_format).lower() in ("hspy", "zspy") else "")
    if path.is_dir() and path.suffix != ".zspy":
        if name is None:
            return path
        ending = ending or file_format or signal.tmp_parameters.get_item("extension", "hspy")
        return path / f"{name.removesuffix('.' + ending)}.{ending.lstrip('.').lower()}"
    if extension is not None:
        return path.with_name(f"{path.stem}.{extension.lstrip('.')}")
    if not path.suffix:
        return path.with_suffix(f".{(ending or file_format or 'hspy').lower()}")
    return path


def check_not_lost(signal: SiteSignal, path: Path, whole: bool, write_dataset: bool) -> None:
    """Refuse to replace files that this stack is made from, or that are not a stack."""
    name, place = f"filename={str(path)!r}", os.path.realpath(path)
    images = signal.image if isinstance(signal.image, list) else [signal.image]
    for image in images:
        if image is None:
            continue
        known = file_of(image)
        if (known is not None and os.path.realpath(known) == place) or (
            image._lazy and place in files_read_by(image.data)
        ):
            raise ValueError(
                f"{name} is the file of the image that these sub-images are from, which would "
                "be lost: give another name."
            )
    if not write_dataset:
        _check_sites_of(signal, path)
    elif not whole and signal._lazy and place in files_read_by(signal.data):
        raise ValueError(
            f"{name} is the file that these sub-images are read from; written in place, it "
            "would be damaged: give another name, or call stack.compute() first."
        )
    if whole and path.is_dir():
        inside = {each.name for each in path.iterdir()}
        if inside and ".zgroup" not in inside or inside - _OF_STORES:
            raise ValueError(
                f"{name} is a folder with other files ({', '.join(sorted(inside)[:5])}), which "
                "would be lost: give another name."
            )


def _check_sites_of(signal: SiteSignal, path: Path) -> None:
    """Refuse to write a table beside the sub-images of other sites."""
    from hyperspy.io import load

    there = load(path, lazy=True)
    try:
        sites, others = signal.sites, getattr(there, "sites", None)
        if (
            sites is None
            or others is None
            or signal.data.shape != there.data.shape
            or not np.array_equal(sites.xy, others.xy, equal_nan=True)
        ):
            raise ValueError(
                f"write_dataset=False: {str(path)!r} holds the sub-images of other sites than "
                "this stack; leave the option out."
            )
    finally:
        if path.suffix == ".hspy":
            there.close_file()


def may_overwrite(path: Path) -> bool:
    """Ask as HyperSpy asks."""
    from hyperspy import io

    return io.path.overwrite(path)
