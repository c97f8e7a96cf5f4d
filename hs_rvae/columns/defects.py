# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defects of a crystal: vacancies, substitutions, interstitials."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.special import ndtri

from ..checks import checked
from ..neighbours import LARGEST_GAP, largest_gap
from ..threads import one_thread
from .crystal import Crystal
from .empty_places import (
    FILLED,
    Columns,
    find_empty_places,
    places_at_the_border,
    shortest_distance,
)
from .heights import Heights, measure_heights, typical_shape
from .local_mean import Comparison, compare_with_neighbours
from .search_image import Picture

_logger = logging.getLogger(__name__)

#: Kinds of defects, in the order of the numbers in the column ``defect`` of the tables.
KINDS = ("vacancy", "substitution", "interstitial")
_KNOTS = 1.4  # typical distances of two columns: distance of the knots of the background
_FAULTS = 0.5  # false alarms that are expected in an image, at most
_SURE = 1.0  # standard deviations that an interstitial must stand out further: it may be anywhere
_AROUND = 8  # nearest columns that decide whether a place is inside a grain


@checked
@one_thread()
def find_defects(
    lattice: Any,
    image: Any = None,
    *,
    false_alarms: float = 1e-4,
    minimum_change: float = 0.15,
    vacancy_height: float = 0.35,
    minimum_height: float = 0.15,
) -> pd.DataFrame:
    """
    Find missing columns, additional columns, and columns of another height than their neighbours.

    The heights of all columns, and those at places without a column, are fitted to the image at
    once, with the typical shape of their sublattice, on a smooth background. Each is compared with
    the heights of the nearest columns of its own sublattice and grain.

    Parameters
    ----------
    lattice : Atom_Lattice or LatticeSeries
        As :func:`find_sublattices` returns it, with its ``crystal``. The column ``defect`` of each
        ``column_table`` is written: 0 for a vacancy that holds a faint column, 1 for a
        substitution, -1 for all others.
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns), optional
        If None, the image of the lattice.
    false_alarms : float
        Accepted share of regular columns in the result, if the scatter of the heights is normal. In
        large images it is lower, so that half a column is expected.
    minimum_change : float
        Smallest difference from the local mean that counts, as a share of it.
    vacancy_height : float
        Height below which a place is empty, as a share of the local mean.
    minimum_height : float
        Smallest height of an interstitial, as a share of that of the faintest sublattice.

    Returns
    -------
    pandas.DataFrame
        One row for each defect, with the columns

        ``kind``
            "vacancy", "substitution" or "interstitial".
        ``x``, ``y``
            Position in pixels. For a vacancy, the place of the lattice.
        ``sublattice``, ``grain``
            Name and number; an interstitial has the sublattice "".
        ``column``
            Row in the ``column_table``, or in ``crystal.unassigned`` for an interstitial; -1 for a
            place without one.
        ``height``
            Peak height, in the intensity of the image.
        ``ratio``, ``ratio_std``
            Height over the local mean of the sublattice, with its standard error; for an
            interstitial, over the median of the faintest sublattice.
        ``z``
            Difference from the local mean in standard deviations. For an interstitial, height over
            its standard error.
        ``frame``
            Number of the image; of a series only.

        Its ``attrs`` hold ``counts`` (see :func:`count_defects`), ``threshold`` (in standard
        deviations), ``n_columns`` and ``n_places``.

    Raises
    ------
    ValueError
        If the lattice has no crystal, no column has a fitted shape, the image is not one 2-D
        image, or an option is out of range.

    Notes
    -----
    The standard deviation is the robust scatter of the sublattice, scaled with the local noise, so
    that roughness and scan noise are part of it. A column that has lost some of its atoms is a
    substitution, because heights alone do not separate the two.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    >>> lattice = hs_rvae.find_sublattices(image)
    >>> defects = hs_rvae.find_defects(lattice, image)  # doctest: +SKIP
    """
    _check_options(false_alarms, minimum_change, vacancy_height, minimum_height)
    options = (false_alarms, minimum_change, vacancy_height, minimum_height)
    if hasattr(lattice, "tables"):
        frames = [
            find_defects(
                one,
                None if image is None else image.inav[k],
                false_alarms=false_alarms,
                minimum_change=minimum_change,
                vacancy_height=vacancy_height,
                minimum_height=minimum_height,
            ).assign(frame=k)
            for k, one in enumerate(lattice)
        ]
        return _joined(frames)
    crystal = getattr(lattice, "crystal", None)
    if crystal is None:
        raise ValueError(
            "lattice has no crystal, which has the places of columns: pass what "
            "find_sublattices returns."
        )
    tables = {s.name: s.column_table for s in lattice.sublattice_list}
    picture = Picture.of(lattice.image if image is None else image)
    values = picture.measured.astype(np.float64)
    if any(table.attrs.get("dark") for table in tables.values()):
        values = -values
    defects = defects_of_tables(values, tables, crystal, *options)
    counts, n_columns = defects.attrs["counts"], defects.attrs["n_columns"]
    _logger.info(
        "%d of %d places hold no column, %d of %d columns stand out from their sublattice, %d "
        "columns are at no place.", counts["vacancy"], defects.attrs["n_places"],
        counts["substitution"], n_columns, counts["interstitial"],
    )  # fmt: skip
    return defects


def defects_of_tables(
    image: np.ndarray,
    tables: dict[str, pd.DataFrame],
    crystal: Crystal,
    false_alarms: float = 1e-4,
    minimum_change: float = 0.15,
    vacancy_height: float = 0.35,
    minimum_height: float = 0.15,
) -> pd.DataFrame:
    """
    Defects of a crystal, from the tables of its columns.

    Parameters
    ----------
    image : numpy.ndarray of float, shape (rows, columns)
        Columns are bright; NaN where nothing was measured.
    tables : dict of str to pandas.DataFrame
        ``column_table`` of each sublattice; their column ``defect`` is written.
    crystal : Crystal
    false_alarms, minimum_change, vacancy_height, minimum_height
        As in :func:`find_defects`.

    Returns
    -------
    pandas.DataFrame
        As from :func:`find_defects`, without ``frame``.

    Raises
    ------
    ValueError
        If no column has a fitted shape.
    """
    columns = Columns.of(tables)
    loose = crystal.unassigned[["x", "y"]].to_numpy(float)
    loose_rows = np.flatnonzero(np.isfinite(loose).all(axis=1))
    loose = loose[loose_rows]
    empty = find_empty_places(columns, crystal, loose)
    positions = np.concatenate([columns.positions, empty.positions, loose])
    names = np.concatenate([columns.sublattice, empty.sublattice])
    grains = np.concatenate([columns.grain, empty.grain])
    rows = np.concatenate([columns.row, np.full(len(empty.grain), -1)])
    beyond = places_at_the_border(columns, crystal, image.shape)
    everything = np.concatenate([positions, beyond])
    heights = _heights(image, everything, names, len(loose) + len(beyond), tables, crystal)
    n = len(names)
    known = heights.part(slice(n))
    compared = compare_with_neighbours(positions[:n], known, names, grains)
    measured = np.isfinite(compared.z)
    threshold = _threshold(int(measured.sum()), false_alarms)
    lost = measured & (compared.ratio < vacancy_height) & (compared.z < -threshold)
    changed = measured & (np.abs(compared.z) > threshold) & ~lost
    changed &= np.abs(compared.ratio - 1) > minimum_change
    kind = np.where(lost, 0, np.where(changed, 1, -1))
    for name, table in tables.items():
        own = (names == name) & (rows >= 0)
        table["defect"] = -1
        table.iloc[rows[own], table.columns.get_loc("defect")] = kind[own]
    listed = np.flatnonzero(kind >= 0)
    found = _table(listed, kind, positions, names, grains, rows, known.height, compared)
    additional = _interstitials(
        loose, loose_rows, heights.part(slice(n, n + len(loose))), known, columns,
        threshold + _SURE, minimum_height, crystal,
    )  # fmt: skip
    some = additional is not None and len(additional)
    defects = pd.concat([found, additional], ignore_index=True) if some else found
    defects.attrs = {
        "counts": count_defects(defects),
        "threshold": threshold,
        "n_columns": len(columns.row),
        "n_places": n,
    }
    return defects


@checked
def count_defects(defects: pd.DataFrame) -> dict[str, int]:
    """
    Count the defects of each kind.

    Parameters
    ----------
    defects : pandas.DataFrame
        As :func:`find_defects` returns it.

    Returns
    -------
    dict of str to int
        Numbers of "vacancy", "substitution" and "interstitial".

    Examples
    --------
    >>> import pandas as pd
    >>> count_defects(pd.DataFrame({"kind": ["vacancy", "substitution", "vacancy"]}))
    {'vacancy': 2, 'substitution': 1, 'interstitial': 0}
    """
    return {kind: int((defects["kind"] == kind).sum()) for kind in KINDS}


def _check_options(
    false_alarms: float, minimum_change: float, vacancy_height: float, minimum_height: float
) -> None:
    """Refuse options out of range."""
    if not 0 < false_alarms < 0.5:
        raise ValueError(f"false_alarms={false_alarms!r}: give a share from 0 to 0.5.")
    for name, value in (("minimum_change", minimum_change), ("vacancy_height", vacancy_height)):
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value!r}: give a share of the local mean, from 0 to 1.")
    if not minimum_height > 0:
        raise ValueError(f"minimum_height={minimum_height!r}: give a positive share.")


def _threshold(count: int, false_alarms: float) -> float:
    """Limit of regular columns, in standard deviations, for `count` of them."""
    return float(-ndtri(min(false_alarms, _FAULTS / max(count, 1)) / 2))


def _heights(
    image: np.ndarray,
    positions: np.ndarray,
    names: np.ndarray,
    n_loose: int,
    tables: dict[str, pd.DataFrame],
    crystal: Crystal,
) -> Heights:
    """Heights of named columns and empty places, then of `n_loose` others."""
    shapes = {name: typical_shape(table) for name, table in tables.items()}
    good = [shape for shape in shapes.values() if np.isfinite(shape).all()]
    if not good:
        raise ValueError("No column has a fitted shape: there are no heights to compare.")
    typical = np.median(good, axis=0)
    shapes = {name: s if np.isfinite(s).all() else typical for name, s in shapes.items()}
    each = np.array([shapes[name] for name in names] + [typical] * n_loose).reshape(-1, 2, 2)
    tail = next((table.attrs["tail"] for table in tables.values() if "tail" in table.attrs), None)
    area = abs(np.linalg.det(crystal.cell)) / max(len(crystal.places), 2)
    knots = _KNOTS * float(np.sqrt(area))
    return measure_heights(image, positions, each, tail or (0.0, 1.0), knots)


def _table(
    listed: np.ndarray,
    kind: np.ndarray,
    positions: np.ndarray,
    names: np.ndarray,
    grains: np.ndarray,
    rows: np.ndarray,
    height: np.ndarray,
    compared: Comparison,
) -> pd.DataFrame:
    """Rows of the result for columns and empty places."""
    return pd.DataFrame(
        {
            "kind": [KINDS[k] for k in kind[listed]],
            "x": positions[listed, 0],
            "y": positions[listed, 1],
            "sublattice": names[listed].astype(object),
            "grain": grains[listed],
            "column": rows[listed],
            "height": height[listed],
            "ratio": compared.ratio[listed],
            "ratio_std": compared.ratio_std[listed],
            "z": compared.z[listed],
        }
    )


def _interstitials(
    positions: np.ndarray,
    rows: np.ndarray,
    heights: Heights,
    known: Heights,
    columns: Columns,
    threshold: float,
    minimum_height: float,
    crystal: Crystal,
) -> pd.DataFrame | None:
    """Rows of the result for loose columns at no place of the lattice, inside a grain."""
    inside = columns.grain >= 0
    if not len(positions) or inside.sum() < _AROUND:
        return None
    tree = cKDTree(columns.positions[inside])
    distance, nearest = tree.query(positions, k=_AROUND)
    grain = columns.grain[inside][nearest]
    steps = columns.positions[inside][nearest] - positions[:, None]
    edge = np.sqrt(abs(np.linalg.det(crystal.cell)))
    good = (grain == grain[:, :1]).all(axis=1) & (distance[:, 0] < edge)
    good &= largest_gap(steps) < LARGEST_GAP
    good &= distance[:, 0] > FILLED * shortest_distance(crystal)
    height = heights.height
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(heights.variance / heights.weight)
        z = height / error
    medians = [
        np.nanmedian(known.height[: len(columns.row)][columns.sublattice == name])
        for name in np.unique(columns.sublattice)
    ]
    faintest = float(min(medians))
    good &= (z > threshold) & (height > minimum_height * faintest)
    listed = np.flatnonzero(good)
    compared = Comparison(height / faintest, error / faintest, z)
    kind, names = np.full(len(positions), 2), np.full(len(positions), "")
    return _table(listed, kind, positions, names, grain[:, 0], rows, height, compared)


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The results of the frames of a series as one table."""
    defects = pd.concat(frames, ignore_index=True)
    defects.attrs = {
        "counts": count_defects(defects),
        "threshold": max(frame.attrs["threshold"] for frame in frames),
        "n_columns": sum(frame.attrs["n_columns"] for frame in frames),
        "n_places": sum(frame.attrs["n_places"] for frame in frames),
    }
    return defects
