# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack in a file: whole, or not at all."""

import os
import shutil
import warnings
from pathlib import Path

# Formats that hold a stack with its table; others are left to HyperSpy.
_FORMATS = (".hspy", ".zspy")


class SavingMixin:
    """Save stacks."""

    def save(self, filename=None, overwrite=None, extension=None, **kwds):
        """
        Save, as :meth:`~hyperspy.api.signals.BaseSignal.save` does, under the name at the end only.

        A ``.hspy`` or ``.zspy`` is written under another name beside, ``name.part.hspy``, and takes
        its own name when it is complete. If it cannot be completed, it is removed, and a file that
        had the name before is as it was. A lazy stack is computed and written block by block.

        Parameters
        ----------
        filename : str or pathlib.Path, optional
        overwrite : bool, optional
            None asks if there is such a file already.
        extension : str, optional
        **kwds
            Of HyperSpy.

        Raises
        ------
        OSError
            If the file cannot be written; it says what is left.
        KeyboardInterrupt
            If it was interrupted; nothing is left behind.

        Examples
        --------
        >>> stack.save("film.zspy")  # doctest: +SKIP
        """
        path = _target(filename, extension, kwds)
        if path is None or (overwrite is False and path.exists()):
            super().save(filename, overwrite=overwrite, extension=extension, **kwds)
            return
        if overwrite is None and path.exists() and not _may_overwrite(path):
            return
        draft = path.with_name(f"{path.stem}.part{path.suffix}")
        earlier = "the file that was there is as it was" if path.exists() else "no file is left"
        try:
            with warnings.catch_warnings():
                # Between RosettaSciIO and Zarr; nobody who saves a stack can do anything about it.
                warnings.filterwarnings("ignore", "The NestedDirectoryStore", FutureWarning)
                super().save(draft, overwrite=True, **kwds)
            _put_in_place(draft, path)
        except BaseException as error:
            _remove(draft)
            if isinstance(error, OSError):
                reason = os.strerror(error.errno) if error.errno else error  # h5py: ten lines
                raise OSError(
                    error.errno,
                    f"The stack could not be saved ({reason}); {earlier}. Save it where there is "
                    "space and the permission to write",
                    str(path),
                ) from error
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(
                    f"Saving {str(path)!r} was interrupted: {earlier}, and the stack can be saved "
                    "again."
                ) from None
            raise
        self.tmp_parameters.filename = path.stem


def _target(filename, extension, kwds):
    """The path that will be written, or None where HyperSpy is to decide."""
    if not isinstance(filename, str | os.PathLike):
        return None
    if {"mode", "write_dataset", "file_format"} & set(kwds):
        return None
    path = Path(filename).expanduser().absolute()
    if extension is not None:
        path = path.with_name(f"{path.stem}.{extension.lstrip('.')}")
    elif not path.suffix and not path.is_dir():
        path = path.with_suffix(".hspy")
    return path if path.suffix in _FORMATS else None


def _may_overwrite(path):
    """Ask as HyperSpy asks."""
    from hyperspy import io

    return io.path.overwrite(path)


def _put_in_place(draft, path):
    """Give the draft its name; a folder of that name is out of the way only for a moment."""
    if path.is_dir():
        old = path.with_name(f"{path.stem}.old{path.suffix}")
        _remove(old)
        os.replace(path, old)
        try:
            os.replace(draft, path)
        except OSError:
            os.replace(old, path)
            raise
        _remove(old)
    else:
        os.replace(draft, path)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
