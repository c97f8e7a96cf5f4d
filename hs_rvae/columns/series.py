# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sublattices of every frame of a series."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

from .. import parent_image as _parent_image
from ..checks import is_whole_number, shown
from ..constant_bands import Bands
from ..masked_arrays import filled
from ..parallel import run_tasks
from ..positions import of_element, sublattice_listing
from ..refinement.atomap_objects import as_atom_lattice
from ..refinement.fitting import refinement_progress
from .column_tables import FoundColumns, SearchSettings, find_tables, sublattice_names
from .crystal import Crystal
from .failed_fits import warn_of_failed_fits
from .search_image import Picture, warn_of_bands


class LatticeSeries(Sequence):
    """
    Sublattices of the frames of a series.

    A sequence of Atomap lattices, each made when it is asked for: ``lattices[3]`` is the
    ``Atom_Lattice`` of frame 3 with its image. The tables of all frames are in memory.

    Parameters
    ----------
    frames : list of FoundColumns
        The ``column_table`` of each sublattice of each frame, and the crystal.
    image : hyperspy.api.signals.Signal2D
        The series.

    Examples
    --------
    >>> import hs_rvae
    >>> series, _ = hs_rvae.simulation.simulate_series((200, 200), 2, random_state=0)
    >>> lattices = hs_rvae.find_sublattices(series)
    >>> lattices
    <LatticeSeries, 2 frames, sublattices: A, B>
    >>> lattices[1].sublattice_list[0].name
    'A'
    >>> [len(table) > 10 for table in lattices.tables("B")]
    [True, True]
    """

    def __init__(self, frames: list[FoundColumns], image: Any) -> None:
        self.frames = frames
        self.image = image

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, frame: Any) -> Any:
        """
        Lattice of one frame, or a list of those of a slice.

        Raises
        ------
        IndexError
            If there is no such frame.
        """
        if isinstance(frame, slice):
            return [self[k] for k in range(*frame.indices(len(self)))]
        if not is_whole_number(frame, -sys.maxsize):
            raise TypeError(f"frame={shown(frame)}: give a whole number or a slice.")
        if not -len(self) <= frame < len(self):
            raise IndexError(f"frame={shown(frame)}: there are the frames 0 to {len(self) - 1}.")
        frame = range(len(self))[frame]
        raw = np.asarray(_frame(self.image, frame))
        found = self.frames[frame]
        return as_atom_lattice(found.tables, raw, self.names, found.crystal)

    def __repr__(self) -> str:
        return f"<LatticeSeries, {len(self)} frames, sublattices: {', '.join(self.names)}>"

    @property
    def crystals(self) -> list[Crystal]:
        """The crystal of each frame."""
        return [found.crystal for found in self.frames]

    @property
    def names(self) -> list[str]:
        """Names of the sublattices."""
        return sublattice_names(len(self.frames[0].tables))

    def tables(self, sublattice: str | int) -> list[pd.DataFrame]:
        """
        Tables of one sublattice, one per frame.

        Parameters
        ----------
        sublattice : str or int
            Name, element where the structure is known, or number.

        Returns
        -------
        list of pandas.DataFrame

        Raises
        ------
        ValueError
            If there is no such sublattice.
        """
        if not isinstance(sublattice, str) and not is_whole_number(sublattice, -np.inf):
            raise ValueError(f"sublattice={shown(sublattice)}: give a name or a number.")
        number: Any = self.names.index(sublattice) if sublattice in self.names else sublattice
        elements = [table.attrs.get("element") for table in self.frames[0].tables]
        if isinstance(number, str) and len(own := of_element(elements, number)) == 1:
            number = own[0]
        if number not in range(len(self.names)):
            raise ValueError(
                f"sublattice={sublattice!r}: there are {sublattice_listing(self.names, elements)}"
            )
        return [frame.tables[number] for frame in self.frames]


def find_in_series(
    image: Any, settings: SearchSettings, show_progressbar: bool | None
) -> LatticeSeries:
    """
    Find the sublattices of all frames, with the cell and the shape of columns of the first one.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D
        ``(n | x, y)``, eager or lazy.
    settings : SearchSettings
    show_progressbar : bool or None

    Returns
    -------
    LatticeSeries

    Raises
    ------
    ValueError
        As :func:`hs_rvae.find_sublattices`; the message names the frame.
    """
    import dask

    calibration = _parent_image.calibration(image)
    n_frames, token = len(image.data), uuid4().hex
    frames: list[Any] = [None] * n_frames
    bands: list[Bands | None] = [None] * n_frames
    with refinement_progress(n_frames, show_progressbar, "Finding columns") as tick:
        frames[0], bands[0] = _find(np.asarray(_frame(image, 0)), 0, calibration, settings)
        tick()
        attrs = frames[0].tables[0].attrs
        settings = replace(
            settings,
            cell=attrs["cell"],
            dark=attrs["dark"],
            n_sublattices=len(frames[0].tables),
            tail=attrs["tail"],
            radius=attrs["radius"],
            disk_radius=attrs["disk_radius"],
        )

        def done(number: int, result: Any) -> None:
            frames[number + 1], bands[number + 1] = result
            tick()

        tasks = [
            dask.delayed(_find, pure=False)(
                _frame(image, k),
                k,
                calibration,
                settings,
                dask_key_name=f"find-columns-{token}-{k}",
            )
            for k in range(1, n_frames)
        ]
        run_tasks(tasks, done)
    warn_of_bands(bands)
    warn_of_failed_fits([found.tables for found in frames])
    return LatticeSeries(frames, image)


def _frame(image: Any, number: int) -> Any:
    """Pixels of one frame: an array, or dask's only block of it."""
    frame = filled(image.data[number])
    return frame.rechunk(frame.shape) if hasattr(frame, "dask") else frame


def _find(
    data: Any, number: int, calibration: tuple[tuple[float, float], str], settings: SearchSettings
) -> tuple[FoundColumns, Bands | None]:
    try:
        picture = Picture.of(np.asarray(data), calibration)
        found = find_tables(picture, settings, show_progressbar=False)
        return found, picture.bands and replace(picture.bands, mask=None)
    except ValueError as error:
        raise ValueError(f"frame {number}: {error}") from error
