# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Atomap's objects: sublattices refined by us or by Atomap, lattices made from tables."""

from __future__ import annotations

import contextlib
import gc
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..checks import checked
from ..positions import is_sublattice
from ..progress import progressbar_wanted
from ..threads import one_thread
from . import fitting, kernel
from .aperture import checked_disk_radius, disk_means
from .single_columns import default_radius, refine_columns

_logger = logging.getLogger(__name__)

_COLORS = ("red", "blue", "green", "orange", "purple", "cyan", "magenta", "yellow")
# Atomap's names for the columns of a table.
_OF_ATOMAP = {
    "x": "pixel_x",
    "y": "pixel_y",
    "sigma_x": "sigma_x",
    "sigma_y": "sigma_y",
    "rotation": "rotation",
    "volume": "amplitude_gaussian",
}


@checked
@one_thread()
def refine_sublattice(
    sublattice: Any,
    image: Any,
    method: str = "fast",
    radius: float | None = None,
    background: str = "plane",
    *,
    disk_radius: float | None = None,
    max_shift: float | None = None,
    saturation: float | None = None,
    max_iterations: int = 60,
    num_workers: int | None = None,
    show_progressbar: bool | None = None,
) -> pd.DataFrame:
    """
    Refine the columns of an Atomap sublattice, in place.

    Parameters
    ----------
    sublattice : atomap.sublattice.Sublattice
        Its columns are the starts. Columns with ``refine_position = False`` stay where they are.
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)
        The image to fit; the sublattice's own may have had other columns subtracted.
    method : {"fast", "atomap"}
        "fast" is :func:`refine_columns`; "atomap" calls Atomap's centre of mass, then its 2-D
        Gaussians: some hundred times slower, without errors, residuals and `background`.
    radius : float, optional
        Radius of the disk that is fitted, in pixels. If None, 0.42 nearest-neighbour distances
        ("fast"), or 0.4 distances of each column to its nearest neighbour ("atomap").
    disk_radius : float, optional
        Radius of the disk in which ``disk_mean`` is taken, in pixels. If None, two thirds of
        `radius`.
    background, max_shift, saturation, max_iterations, num_workers
        As in :func:`refine_columns`; for "fast" only.
    show_progressbar : bool, optional
        If None, HyperSpy's preference.

    Returns
    -------
    pandas.DataFrame
        As :func:`refine_columns` returns, one row per column in the order of ``atom_list``; also as
        ``sublattice.column_table``.

    Raises
    ------
    TypeError
        If `sublattice` is not a sublattice, or the image has no real numbers.
    ValueError
        As :func:`refine_columns`; for an unknown `method`; with "atomap", if pixels are not
        finite, which stops Atomap halfway.

    Notes
    -----
    Every column's ``pixel_x``, ``pixel_y``, ``sigma_x``, ``sigma_y``, ``rotation`` and
    ``amplitude_gaussian`` (in Atomap the volume, not the peak height) are set, and the old position
    goes into its history, as Atomap does it. A column whose fit failed keeps its position and
    gets the amplitude 0, Atomap's mark.

    Examples
    --------
    >>> import atomap.api as am
    >>> import hs_rvae
    >>> sublattice = am.dummy_data.get_simple_cubic_sublattice()
    >>> table = hs_rvae.refine_sublattice(sublattice, sublattice.image)
    >>> int((table.status == 0).sum()) == len(sublattice.atom_list)
    True
    """
    if not is_sublattice(sublattice):
        raise TypeError(
            f"sublattice is a {type(sublattice).__name__}; an Atomap Sublattice (with atom_list "
            "and x_position) is needed. Use refine_columns for arrays."
        )
    if method == "atomap":
        table = _refine_by_atomap(sublattice, image, radius, disk_radius, show_progressbar)
    elif method == "fast":
        table = refine_columns(
            image, sublattice, radius, background, disk_radius=disk_radius, max_shift=max_shift,
            saturation=saturation, max_iterations=max_iterations, num_workers=num_workers,
            show_progressbar=show_progressbar,
        )  # fmt: skip
        table = _with_fixed_columns(sublattice, table)
        fill_sublattice(sublattice, table)
    else:
        raise ValueError(f"method={method!r} is unknown: use 'fast' or 'atomap'.")
    sublattice.column_table = table
    return table


def fill_sublattice(sublattice: Any, table: pd.DataFrame) -> None:
    """
    Write the results of a fit into the columns of an Atomap sublattice.

    Parameters
    ----------
    sublattice : atomap.sublattice.Sublattice
        Changed in place.
    table : pandas.DataFrame
        As :func:`refine_columns` or :func:`refine_two_sublattices` returns, one row per column.

    Raises
    ------
    ValueError
        If the table has another number of rows.
    """
    atoms = sublattice.atom_list
    if len(table) != len(atoms):
        raise ValueError(
            f"table has {len(table)} rows, the sublattice {len(atoms)} columns: refine the "
            "positions of this sublattice."
        )
    # Atomap draws Gaussians without tails: the one of the same peak height.
    volume = 2 * np.pi * table.sigma_x * table.sigma_y * table.amplitude
    rows = zip(
        atoms, table.x.tolist(), table.y.tolist(), table.sigma_x.tolist(), table.sigma_y.tolist(),
        table.rotation.tolist(), volume.tolist(), table.status.tolist(), strict=True,
    )  # fmt: skip
    for atom, x, y, sigma_x, sigma_y, rotation, amplitude, status in rows:
        if status == kernel.FIXED:
            continue
        atom.old_pixel_x_list.append(atom.pixel_x)
        atom.old_pixel_y_list.append(atom.pixel_y)
        atom._gaussian_fitted = status == kernel.OK
        if status != kernel.OK:
            atom.amplitude_gaussian = 0.0
            continue
        atom.pixel_x, atom.pixel_y = x, y
        atom.sigma_x, atom.sigma_y, atom.rotation = sigma_x, sigma_y, rotation
        atom.amplitude_gaussian = amplitude


def as_atom_lattice(
    tables: list[pd.DataFrame], raw: np.ndarray, names: Sequence[str], crystal: Any = None
) -> Any:
    """
    Make an Atomap lattice of the tables of its sublattices.

    Parameters
    ----------
    tables : list of pandas.DataFrame
        The table of each sublattice.
    raw : numpy.ndarray of shape (rows, columns)
        The image, which all objects share.
    names : sequence of str
        Names of the sublattices.
    crystal : Crystal, optional
        What the search found, as ``lattice.crystal``.

    Returns
    -------
    atomap.atom_lattice.Atom_Lattice
        Each sublattice has its ``column_table``.
    """
    Atom_Lattice, Sublattice = _classes_of_atomap()
    sizes, units = (tables[0].attrs[name] for name in ("pixel_size", "pixel_units"))
    scale = abs(sizes[0])
    if not np.isclose(scale, abs(sizes[1]), rtol=1e-3):
        _logger.warning(
            "The pixels are not square (%g and %g %s): the sublattices have the pixel size along x "
            "only, column_table.attrs['pixel_size'] has both.", *sizes, units,
        )  # fmt: skip
    # Given the image, Atomap would copy it for each sublattice and print about negative values.
    nothing = np.zeros((2, 2))
    sublattices = []
    with _without_collection():
        for number, (name, table) in enumerate(zip(names, tables, strict=True)):
            color = _COLORS[number % len(_COLORS)]
            sublattice = Sublattice(
                table[["x", "y"]].to_numpy(), nothing, name=name, color=color, pixel_size=scale,
                units=units,
            )  # fmt: skip
            sublattice.image = sublattice.original_image = raw
            fill_sublattice(sublattice, table)
            sublattice.column_table, sublattice.element = table, table.attrs.get("element")
            sublattices.append(sublattice)
    lattice = Atom_Lattice(nothing, sublattice_list=sublattices)
    lattice.image = lattice.original_image = raw
    lattice.pixel_size, lattice.units = scale, units
    lattice.crystal = crystal
    return lattice


def _classes_of_atomap() -> tuple[Any, Any]:
    """Classes of lattices and sublattices; its interface would load eXSpy and SymPy as well."""
    with warnings.catch_warnings():
        # Atomap's imports warn of names of HyperSpy's: users cannot change that.
        warnings.simplefilter("ignore")
        try:
            import atomap.tools  # noqa: F401  its modules import one another, from this one on
            from atomap.atom_lattice import Atom_Lattice
            from atomap.sublattice import Sublattice
        except ImportError:  # another version
            from atomap.api import Atom_Lattice, Sublattice
    return Atom_Lattice, Sublattice


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the search for cycles while many objects are made that stay."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _with_fixed_columns(sublattice: Any, table: pd.DataFrame) -> pd.DataFrame:
    """Undo the fits of columns that must not move."""
    fixed = ~_free(sublattice)
    if fixed.any():
        attrs = table.attrs
        # Columns without a fit keep their starts.
        alone = (
            fitting.Fit.from_starts(sublattice.atom_positions).table().assign(status=kernel.FIXED)
        )
        table = table.where(pd.Series(~fixed), alone)
        table.attrs = attrs
    return table


def _free(sublattice: Any) -> np.ndarray:
    free = [getattr(atom, "refine_position", True) for atom in sublattice.atom_list]
    return np.array(free, dtype=bool)


def _refine_by_atomap(
    sublattice: Any,
    image: Any,
    radius: float | None,
    disk_radius: float | None,
    show_progressbar: bool | None,
) -> pd.DataFrame:
    """Refine with Atomap, then collect its results in a table."""
    data = fitting.image_array(image)
    if not np.isfinite(data).all():
        raise ValueError(
            "image has pixels that are not finite, which Atomap cannot fit: use method='fast', or "
            "fill them."
        )
    starts = fitting.starting_positions(sublattice, "xy", data.shape)
    disk_radius = checked_disk_radius(disk_radius, radius or default_radius(starts))
    atoms = sublattice.atom_list
    if any(atom.nearest_neighbor_list is None for atom in atoms):
        sublattice.find_nearest_neighbors(nearest_neighbors=min(9, len(atoms)))
    show = progressbar_wanted(show_progressbar)
    sublattice.refine_atom_positions_using_center_of_mass(data, show_progressbar=show)
    sublattice.refine_atom_positions_using_2d_gaussian(
        data, mask_radius=radius, show_progressbar=show
    )
    values = {
        name: np.array([getattr(atom, attribute) for atom in atoms], dtype=np.float64)
        for name, attribute in _OF_ATOMAP.items()
    }
    fit = fitting.Fit.from_starts(np.stack([values.pop("x"), values.pop("y")], axis=1))
    table = fit.table()
    table.attrs |= {"radius": radius, "disk_radius": disk_radius}
    good = _free(sublattice) & (values["volume"] != 0) & np.isfinite(fit.starts).all(axis=1)
    for name, each in values.items():
        table[name] = np.where(good, each, np.nan)
    table["amplitude"] = table.volume / (2 * np.pi * table.sigma_x * table.sigma_y)
    x, y = fit.starts.T.copy()
    means = disk_means(data, x, y, disk_radius)
    table["disk_mean"] = np.where(good, means, np.nan)
    table["status"] = np.where(good, kernel.OK, kernel.NOT_CONVERGED)
    table.loc[~_free(sublattice), "status"] = kernel.FIXED
    return table
