# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns whose free fit failed, and places of the lattice that hold one or none."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from .. import refinement as _refinement
from ..refinement.fixed_width import fit_with_shape_held
from .heights import measure_heights, typical_shape

_RADIUS = 0.6  # of the disk of a fit with the shape held, in nearest distances
_FARTHEST = 0.3  # nearest distances between a column and where its fit started
_FROM_PLACE = 0.4  # nearest distances between a column that is no maximum and its place
_SPREAD = 0.1  # nearest distances, standard deviation of columns about the places of the lattice
_OF_ITS_PLACE = 3.0  # times the least height: the same against columns of its own place
_MOSTLY = 0.75  # share of the places that hold a column: an empty one is the exception,
_FAINT = 8.0  # and noise hides columns of so many standard errors
_HALF = 0.5  # of the height of a column: what is higher is more likely one than not
_KNOTS = 4.0  # nearest distances between the knots of a common background
_RESULTS = ["sigma_x", "sigma_y", "rotation", "amplitude", "volume", "disk_mean", "background"]
_RESULTS += ["residual", "x_std", "y_std", "amplitude_std"]
#: Where the first fit of each column started, and where the lattice has a place for it.
STARTS = ["start_x", "start_y", "place_x", "place_y"]
# A fit of fewer parameters does not help at the border and without pixels.
_HOPELESS = [_refinement.STATUS["edge"], _refinement.STATUS["non_finite"]]


def settle_faint_columns(
    image: np.ndarray,
    tables: list[pd.DataFrame],
    tail: tuple[float, float],
    distances: tuple[float, float],
    significance: float,
    least_height: float,
) -> list[pd.DataFrame]:
    """
    Fit with the shape held where the free fit failed, and select the columns to keep.

    Maxima are kept, with the status of their fit. Places of the lattice without a maximum are kept
    if one of the fits finds a significant peak there that reaches `least_height`. The last fit is
    held near the place.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
        With bright columns.
    tables : list of pandas.DataFrame
        Free fits with ``found`` and `STARTS`, one table for each place.
    tail : tuple of float
        Share and width of the tails of columns.
    distances : tuple of float
        Distance of nearest maxima and of nearest places of the lattice, in pixels.
    significance, least_height : float
        As in :func:`find_sublattices`.

    Returns
    -------
    list of pandas.DataFrame
        With the new columns ``shape_held`` and ``kept``.
    """
    wide, distance = distances
    good = [_has_peak(table, significance, distance) for table in tables]
    widths = [_typical_width(table[mask]) for table, mask in zip(tables, good, strict=True)]
    widths = [width or max(w or 0 for w in widths) for width in widths]
    neighbours = pd.concat([table[mask] for table, mask in zip(tables, good, strict=True)])
    tables = [table.copy() for table in tables]
    for table, mask, width in zip(tables, good, widths, strict=True):
        table["shape_held"] = False
        if width:
            for names, spread in (STARTS[:2], np.inf), (STARTS[2:], _SPREAD * distance):
                at_places = np.isfinite(spread)
                retried = ~mask & ~table.status.isin(_HOPELESS) & ~(at_places & table.found)
                held = table.loc[retried, ["found", *STARTS]]
                if not len(held):
                    continue
                starts = held[names].to_numpy()
                fit = fit_with_shape_held(
                    image, starts, width, _RADIUS * wide, neighbours, tail, spread
                )
                held[STARTS[:2]] = starts
                held = held.assign(**fit, **_round_shape(width, fit["amplitude"], tail))
                held = held[_has_peak(held, significance, distance)]
                table.loc[held.index, held.columns] = held
                mask[held.index] = True
    _fit_heights_together(image, tables, good, tail, distance, significance)
    for table, mask in zip(tables, good, strict=True):
        _give_up(table, ~mask & (_moved(table) >= _FARTHEST * distance))
        table["kept"] = table.found
        empty = np.flatnonzero(mask & ~table.found)
        if len(empty):
            high = _reaches(table.loc[empty], neighbours[neighbours.found], least_height)
            # What is left in a vacancy is far fainter than the columns of that place.
            own = table[mask & table.found]
            own_least = _OF_ITS_PLACE * least_height
            table.loc[empty, "kept"] = high & _reaches(table.loc[empty], own, own_least)
    return tables


def _fit_heights_together(
    image: np.ndarray,
    tables: list[pd.DataFrame],
    good: list[np.ndarray],
    tail: tuple[float, float],
    distance: float,
    significance: float,
) -> None:
    """
    Fit the heights of all columns at once, where faint ones fill most places of the lattice.

    A background for each column costs a quarter of its significance, and a common one hardly any.
    Places that no fit has filled are filled where at least half a column is significant.
    """
    known = pd.concat([table[mask] for table, mask in zip(tables, good, strict=True)])
    clear = known[known.amplitude > _FAINT * known.amplitude_std]
    shape = typical_shape(clear if len(clear) else known)
    for table, mask in zip(tables, good, strict=True):
        empty = np.flatnonzero(~mask & ~table.found & ~table.status.isin(_HOPELESS))
        own = table[mask]
        faint = (own.amplitude / own.amplitude_std).median() < _FAINT
        if not len(empty) or not faint or mask.mean() < _MOSTLY:
            continue
        places = table.loc[empty, STARTS[2:]].to_numpy()
        positions = np.vstack([known[["x", "y"]], places])
        heights = measure_heights(
            image, positions, np.tile(shape, (len(positions), 1, 1)), tail, _KNOTS * distance
        )
        height, weight = heights.height[len(known) :], heights.weight[len(known) :]
        # One column has too few pixels for its own variance.
        variance = np.nanmedian(heights.variance)
        error = np.sqrt(variance / np.maximum(weight, 1e-300))
        held = table.loc[empty, ["found", *STARTS]].assign(
            x=places[:, 0], y=places[:, 1], start_x=places[:, 0], start_y=places[:, 1],
            x_std=_SPREAD * distance,
            y_std=_SPREAD * distance, amplitude=height, amplitude_std=error,
            background=own.background.median(), residual=own.residual.median(),
            **_round_shape(np.linalg.det(shape) ** 0.25, height, tail),
        )  # fmt: skip
        held = held[_has_peak(held, significance, distance) & _reaches(held, own, _HALF)]
        table.loc[held.index, held.columns] = held
        mask[held.index] = True


def _round_shape(
    width: float, amplitude: np.ndarray, tail: tuple[float, float]
) -> dict[str, object]:
    """Results that a fit with the shape held takes from elsewhere."""
    share, wider = tail
    return {
        "sigma_x": width,
        "sigma_y": width,
        "rotation": 0.0,
        "volume": 2 * np.pi * width**2 * amplitude * (1 - share + share * wider**2),
        "status": _refinement.STATUS["ok"],
        "shape_held": True,
    }


def _give_up(table: pd.DataFrame, lost: np.ndarray) -> None:
    """Empty the rows whose fits all failed, one of them without noticing: it ended elsewhere."""
    if not lost.any():
        return
    table.loc[lost, "status"] = _refinement.STATUS["left_region"]
    table.loc[lost, ["x", "y"]] = table.loc[lost, STARTS[:2]].to_numpy()
    table.loc[lost, _RESULTS] = np.nan


def _reaches(table: pd.DataFrame, columns: pd.DataFrame, least_height: float) -> np.ndarray:
    """Mask of the columns as high as a share of the four nearest of others, in the median."""
    if not len(columns):
        return np.ones(len(table), bool)
    nearest = cKDTree(columns[["x", "y"]]).query(
        table[["x", "y"]], k=[*range(1, min(4, len(columns)) + 1)]
    )[1]
    height = np.median(columns.amplitude.to_numpy()[nearest], axis=1)
    return (table.amplitude > least_height * height).to_numpy()


def _typical_width(table: pd.DataFrame) -> float | None:
    """Median width of columns that are maxima, or of all if none is; None without any."""
    maxima = table[table.found] if table.found.any() else table
    return float(np.sqrt(maxima.sigma_x * maxima.sigma_y).median()) if len(maxima) else None


def _moved(table: pd.DataFrame) -> pd.Series:
    """Distance of each fitted position from its start."""
    return np.hypot(table.x - table.start_x, table.y - table.start_y)


def _has_peak(table: pd.DataFrame, significance: float, distance: float) -> np.ndarray:
    """Mask of the columns whose fit found a significant peak near its start, and its place."""
    good = (table.status == _refinement.STATUS["ok"]) & (_moved(table) < _FARTHEST * distance)
    away = np.hypot(table.x - table.place_x, table.y - table.place_y)
    good &= table.found | (away < _FROM_PLACE * distance)
    good &= table.amplitude > significance * table.amplitude_std
    return np.array(good)
