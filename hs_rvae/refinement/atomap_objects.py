# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refinement of Atomap's sublattices, by us or by Atomap."""

import numpy as np
import pandas as pd

from ..parallel import shown
from ..positions import is_sublattice
from . import fitting, kernel
from .aperture import checked_disk_radius, disk_means
from .single_columns import default_radius, refine_columns

# Where Atomap keeps what a table holds.
_OF_ATOMAP = {
    "x": "pixel_x",
    "y": "pixel_y",
    "sigma_x": "sigma_x",
    "sigma_y": "sigma_y",
    "rotation": "rotation",
    "volume": "amplitude_gaussian",
}


def refine_sublattice(
    sublattice,
    image,
    method="fast",
    radius=None,
    background="plane",
    *,
    disk_radius=None,
    max_shift=None,
    saturation=None,
    max_iterations=60,
    num_workers=None,
    show_progressbar=None,
):
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
        Of the disk that is fitted, in pixels. None: 0.42 nearest-neighbour distances ("fast"),
        0.4 distances of each column to its nearest neighbour ("atomap").
    disk_radius : float, optional
        Of the disk in which ``disk_mean`` is taken, in pixels. None: two thirds of `radius`.
    background, max_shift, saturation, max_iterations, num_workers
        As in :func:`refine_columns`; for "fast" only.
    show_progressbar : bool, optional
        None: HyperSpy's preference.

    Returns
    -------
    pandas.DataFrame
        As :func:`refine_columns` returns, one row per column in the order of ``atom_list``; also as
        ``sublattice.column_table``.

    Raises
    ------
    TypeError
        If `sublattice` is no sublattice, or the image has no real numbers.
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


def fill_sublattice(sublattice, table):
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


def _with_fixed_columns(sublattice, table):
    """Take back what was fitted to columns that must not move."""
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


def _free(sublattice):
    free = [getattr(atom, "refine_position", True) for atom in sublattice.atom_list]
    return np.array(free, dtype=bool)


def _refine_by_atomap(sublattice, image, radius, disk_radius, show_progressbar):
    """Atomap's own refinement, then a table of what it leaves in the columns."""
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
    show = shown(show_progressbar)
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
    means = disk_means(data, *fit.starts.T.copy(), disk_radius)
    table["disk_mean"] = np.where(good, means, np.nan)
    table["status"] = np.where(good, kernel.OK, kernel.NOT_CONVERGED)
    table.loc[~_free(sublattice), "status"] = kernel.FIXED
    return table
