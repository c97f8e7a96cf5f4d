# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack in a file: whole, or not at all."""

import copy
import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hs_rvae.files import complete_file, plain
from hs_rvae.progress import progressbar_wanted as shown
from hs_rvae.signals.origins import FOLDER_NODE, IMAGE_NODE, MODEL_NODE, OriginsMixin, file_of
from hs_rvae.stores import files_read_by

# Formats that hold a stack with its table; others are left to HyperSpy.
_FORMATS = (".hspy", ".zspy")
# What HyperSpy and Zarr put into the folder of a .zspy, and what file managers add.
_OF_STORES = {".zgroup", ".zattrs", ".zmetadata", "Experiments", "Analysis", ".DS_Store"}
# What saving writes into the metadata; as it was if saving fails.
_NOTED = ("General.FileIO", IMAGE_NODE, MODEL_NODE, FOLDER_NODE)


class SavingMixin(OriginsMixin):
    """Save stacks."""

    def save(self, filename=None, overwrite=None, extension=None, **kwds):
        """
        Save, as :meth:`~hyperspy.api.signals.BaseSignal.save` does, but whole or not at all.

        A ``.hspy`` or ``.zspy`` is written into a new folder beside, and takes its name when it is
        complete. If it cannot be completed, it is removed, and a file that had the name before is
        as it was. A lazy stack is computed and written block by block. If it reads the file that
        is replaced, it reads the new one afterwards; other lazy stacks that read a ``.zspy`` that
        is replaced raise an error when they are computed.

        The file notes where image and model were saved to or read from: see :meth:`load_image` and
        :meth:`load_rvae_model`.

        Parameters
        ----------
        filename : str or pathlib.Path, optional
            None: the file that the stack was loaded from or saved to.
        overwrite : bool, optional
            None asks if there is such a file already.
        extension : str, optional
        **kwds
            Of HyperSpy.

        Raises
        ------
        ValueError
            If the file holds the image of this stack, or other files inside a ``.zspy``; if a lazy
            stack would be written into the file that it is read from, in another format or in
            place.
        OSError
            If the file cannot be written; it says what is left.
        KeyboardInterrupt
            If it was interrupted; nothing is left behind.

        Examples
        --------
        >>> stack.save("film.zspy")  # doctest: +SKIP
        """
        path = self._path_to_save(filename, extension, kwds.get("file_format"))
        whole = path is not None and path.suffix in _FORMATS
        whole = whole and not {"mode", "write_dataset"} & set(kwds)
        if path is not None and path.exists():
            if overwrite is None:
                overwrite = _may_overwrite(path)
            if not overwrite:
                return
            self._check_not_lost(path, whole, kwds.get("write_dataset", True))
        if not whole:
            super().save(filename, overwrite=overwrite, extension=extension, **kwds)
            return
        for name in ("file_format", "close_file"):
            kwds.pop(name, None)
        kwds.setdefault("show_progressbar", shown(None))
        path.parent.mkdir(parents=True, exist_ok=True)  # as HyperSpy
        reads_it = self._lazy and os.path.realpath(path) in files_read_by(self.data)
        with self._as_it_was_if_failing():
            with complete_file(path, "The stack", folder=path.suffix == ".zspy") as draft:
                self._note_files(path.parent)
                with warnings.catch_warnings():
                    # Between RosettaSciIO and Zarr; nobody who saves a stack can do anything
                    # about it.
                    warnings.filterwarnings("ignore", "The NestedDirectoryStore", FutureWarning)
                    super().save(draft, overwrite=True, **kwds)
        place = {"folder": str(path.parent), "filename": path.stem, "extension": path.suffix}
        self.tmp_parameters.add_dictionary(place)
        if reads_it:
            from hyperspy.io import load

            self.data = load(path, lazy=True).data
            self.tmp_parameters.add_dictionary({f"original_{k}": v for k, v in place.items()})

    @contextmanager
    def _as_it_was_if_failing(self):
        """Take back what HyperSpy and this module note of a file that was not written after all."""
        known = {name: copy.deepcopy(self.metadata.get_item(name)) for name in _NOTED}
        places = self.tmp_parameters.deepcopy()
        try:
            yield
        except BaseException:
            for name, value in known.items():
                node, _, last = name.rpartition(".")
                if value is not None:
                    self.metadata.set_item(name, value)
                elif self.metadata.has_item(name):
                    delattr(self.metadata.get_item(node), last)
            self.tmp_parameters = places
            raise

    def _path_to_save(self, filename, extension, file_format):
        """The path that HyperSpy's ``save`` means, or None if it is not a path."""
        if filename is None:
            known = file_of(self)
            if known is None:
                return None
            filename = known if known.suffix else known.with_suffix(f".{file_format or 'hspy'}")
        if not isinstance(filename, str | os.PathLike):
            return None
        path = Path(filename).expanduser().absolute()
        name = self.tmp_parameters.get_item("filename")
        ending = extension or (file_format if str(file_format).lower() in ("hspy", "zspy") else "")
        if path.is_dir() and path.suffix != ".zspy":
            if name is None:
                return path
            ending = ending or file_format or self.tmp_parameters.get_item("extension", "hspy")
            return path / f"{name.removesuffix('.' + ending)}.{ending.lstrip('.').lower()}"
        if extension is not None:
            return path.with_name(f"{path.stem}.{extension.lstrip('.')}")
        if not path.suffix:
            return path.with_suffix(f".{(ending or file_format or 'hspy').lower()}")
        return path

    def _check_not_lost(self, path, whole, write_dataset):
        """Refuse to replace what this stack is made from, or what is not a stack."""
        name, place = f"filename={str(path)!r}", os.path.realpath(path)
        images = self.image if isinstance(self.image, list) else [self.image]
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
            self._check_sites_of(path)
        elif not whole and self._lazy and place in files_read_by(self.data):
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

    def _check_sites_of(self, path):
        """Refuse to write a table beside the sub-images of other sites."""
        from hyperspy.io import load

        there = load(path, lazy=True)
        try:
            tables = [getattr(each, "sites", None) for each in (self, there)]
            same = self.data.shape == there.data.shape and None not in tables
            if not same or not np.array_equal(*(each.xy for each in tables), equal_nan=True):
                raise ValueError(
                    f"write_dataset=False: {str(path)!r} holds the sub-images of other sites than "
                    "this stack; leave the option out."
                )
        finally:
            if path.suffix == ".hspy":
                there.close_file()

    def _to_dictionary(self, *args, **kwargs):
        dictionary = super()._to_dictionary(*args, **kwargs)
        data = dictionary.pop("data")
        return plain(dictionary) | {"data": data}


def _may_overwrite(path):
    """Ask as HyperSpy asks."""
    from hyperspy import io

    return io.path.overwrite(path)
