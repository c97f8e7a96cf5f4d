# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear complete or not at all, and values as files hold them."""

from __future__ import annotations

import ctypes
import glob
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

_REMOVALS = 40  # attempts to remove a draft,
_PAUSE = 0.05  # s, between them


@contextmanager
def complete_file(
    path: str | os.PathLike[str], what: str = "The file", *, folder: bool = False
) -> Iterator[Path]:
    """
    Give a draft that takes the place of `path` when it is complete.

    The draft is not there yet: a file, or a folder, of the same name is to be made in a new
    folder beside `path`. So it has the permissions of a new file, and no other file is touched.
    A file that is replaced hands its permissions on; of a link, the file that it names is
    replaced. If the draft cannot be completed, it is removed.

    Parameters
    ----------
    path : str or pathlib.Path
    what : str
        What is saved, for messages.
    folder : bool
        Whether a folder at `path` may be replaced.

    Yields
    ------
    pathlib.Path
        The draft.

    Raises
    ------
    OSError
        If the file cannot be written; the message names the state left behind.
    KeyboardInterrupt
        If it was interrupted, likewise.

    Examples
    --------
    >>> with complete_file("notes.txt") as draft:  # doctest: +SKIP
    ...     draft.write_text("All of it.")
    """
    place = check_place(path, folder=folder)
    earlier = "the file that was there is as it was" if place.exists() else "no file is left"
    _remove_drafts_of_the_dead(place.parent)
    folder_of_draft = Path(tempfile.mkdtemp(prefix=_prefix(), dir=place.parent))
    try:
        draft = folder_of_draft / place.name
        yield draft
        if place.exists():
            shutil.copymode(place, draft)
        _put_in_place(draft, place)
    except OSError as error:
        if not error.errno:
            raise OSError(f"{what} could not be saved ({error}); {earlier}.") from error
        raise OSError(
            error.errno,
            f"{what} could not be saved ({os.strerror(error.errno)}); {earlier}. Save it where "
            "there is space and the permission to write",
            str(path),
        ) from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Saving {str(path)!r} was interrupted: {earlier}, and it can be saved again."
        ) from None
    finally:
        _remove(folder_of_draft)


def _remove(folder: Path) -> None:
    """Remove a folder, even if threads of an interrupted write still put files into it."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE)


def check_place(path: str | os.PathLike[str], *, folder: bool = False) -> Path:
    """
    Make sure that a file can be written, before minutes of work depend on it.

    Parameters
    ----------
    path : str or pathlib.Path
    folder : bool
        Whether a folder at `path` may be replaced.

    Returns
    -------
    pathlib.Path
        Where it will be, links followed.

    Raises
    ------
    OSError
        If it cannot be written; the message gives the reason.
    """
    place = Path(os.path.realpath(path))
    if place.is_dir() and not folder:
        raise IsADirectoryError(f"path={str(path)!r} is a folder: give the name of a file in it.")
    if place.exists() and not (place.is_file() or place.is_dir()):
        raise OSError(f"path={str(path)!r} is not a file: give another name.")
    try:
        if place.exists() and not os.access(place, os.W_OK):
            raise PermissionError(None, "it is write-protected")
        os.rmdir(tempfile.mkdtemp(prefix=_prefix(), dir=place.parent))
    except OSError as error:
        raise type(error)(
            f"path={str(path)!r} cannot be written ({error.strerror}): choose a folder that "
            "exists and can be written."
        ) from error
    return place


def _prefix() -> str:
    """Beginning of the names of this process's drafts."""
    return f".hs_rvae-{platform.node()}-{os.getpid()}-"


def _remove_drafts_of_the_dead(folder: Path) -> None:
    """Remove drafts that processes of this user and machine left behind as they were killed."""
    import psutil

    beginning = f".hs_rvae-{platform.node()}-"
    for draft in folder.glob(f"{glob.escape(beginning)}*"):
        # More parts are those of another machine, whose name begins with the name of this one.
        own = re.fullmatch(r"(\d+)-[^-]+", draft.name.removeprefix(beginning), re.ASCII)
        with suppress(OSError):
            theirs = hasattr(os, "getuid") and draft.lstat().st_uid != os.getuid()
            if own and not theirs and not psutil.pid_exists(int(own[1])):
                shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(draft: Path, place: Path) -> None:
    """Give the draft its name; the old or the new one has it at any moment."""
    if not place.is_dir() and not (place.exists() and draft.is_dir()):
        os.replace(draft, place)
        return
    if _exchange(draft, place):  # the earlier one goes with the folder of the draft
        return
    aside = Path(tempfile.mkdtemp(prefix=_prefix(), dir=place.parent))
    earlier = aside / place.name
    try:
        os.replace(place, earlier)
        os.replace(draft, place)
    except BaseException:
        if earlier.exists():
            os.replace(earlier, place)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two files in one step; False where the system has no such call.

    Python offers no call for it. Folders cannot replace each other, so the only other way has a
    moment at which neither has the name.
    """
    # Name of the call, AT_FDCWD, and RENAME_EXCHANGE or RENAME_SWAP.
    calls = {"linux": ("renameat2", -100, 2), "darwin": ("renameatx_np", -2, 2)}
    if sys.platform not in calls:
        return False
    name, here, flag = calls[sys.platform]
    folder = ctypes.c_int(here)
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError):
        return False
    return not call(folder, os.fsencode(one), folder, os.fsencode(other), ctypes.c_uint(flag))


def plain(value: Any) -> Any:
    """
    A value as files hold it: NumPy's scalars become those of Python, at any depth.

    Parameters
    ----------
    value : object
        Lists, tuples and dictionaries are followed. Arrays of text with letters beyond ASCII,
        which HDF5 and Zarr refuse, become lists; other arrays and objects stay as they are.

    Returns
    -------
    object

    Examples
    --------
    >>> plain({"units": np.str_("nm"), "range": (np.float32(0.5), np.array(2))})
    {'units': 'nm', 'range': (0.5, 2)}
    """
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(each) for each in value)
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "Mm":
            value = value.astype(str)
        if not value.ndim and value.dtype.names is None:
            return value.item()
        if value.ndim and _refused(value):
            return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return str(value)
    return value


def _refused(array: np.ndarray) -> bool:
    """Return True for arrays of text, or of mixed scalars, that files do not accept."""
    if array.dtype.kind == "U":
        return not "".join(array.flat).isascii()
    kinds = (str, bytes, int, float, complex, np.generic, type(None))
    return array.dtype.kind == "O" and all(isinstance(each, kinds) for each in array.flat)


def file_of(signal: Any) -> Path | None:
    """
    The file that a signal was loaded from or saved to last.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal

    Returns
    -------
    pathlib.Path or None
        None if it is not known.
    """
    known = signal.tmp_parameters
    folder, name = known.get_item("folder"), known.get_item("filename")
    ending = str(known.get_item("extension", "")).lstrip(".")
    # HyperSpy notes a wrong folder, and no ending, for all signals of a file but the first.
    if folder is None or name is None or not ending:
        return None
    return Path(folder) / f"{name}.{ending}"
