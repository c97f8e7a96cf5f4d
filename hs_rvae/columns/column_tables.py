# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the columns of one image: maxima and holes of the lattice, fitted and sorted."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from .. import refinement as _refinement
from ..refinement.aperture import disk_means
from ..refinement.fitting import image_array
from ..refinement.fixed_width import fit_with_shape_held
from . import lattice as _lattice
from .maxima import FoundColumns, away_from_gaps, find_columns, vectors_text
from .search_image import Picture

_logger = logging.getLogger(__name__)

_CORE = 0.2  # radius of the disk that tells the brightness of a column, in nearest distances
_SHARE = 0.3  # of the half-cell places that must hold columns if there are two sublattices
_RIM = 0.25  # nearest distances from the border within which no place is filled
_HELD_RADIUS = 0.6  # of the disk of a fit with the shape held, in nearest distances
_FARTHEST = 0.3  # nearest distances between a column and where its fit started
_RESULTS = ["sigma_x", "sigma_y", "rotation", "amplitude", "volume", "disk_mean", "background"]
_RESULTS += ["residual", "x_std", "y_std", "amplitude_std"]
# A fit of fewer parameters does not help at the border and without pixels.
_HOPELESS = [_refinement.STATUS["edge"], _refinement.STATUS["non_finite"]]


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search, as :func:`~hs_rvae.columns.find_sublattices` describes them."""

    cell: Any
    dark: bool | None
    n_sublattices: int | None
    swap: bool
    threshold: float
    separation: float | None
    fill_holes: bool
    significance: float
    least_height: float
    radius: float | None
    background: str
    tail: tuple[float, float] | None
    disk_radius: float | None
    saturation: float | None


def find_tables(
    picture: Picture, settings: SearchSettings, show_progressbar: bool | None
) -> list[pd.DataFrame]:
    """Find and fit the columns of one image; returns the tables of A and, if it exists, of B."""
    found = find_columns(
        picture, settings.cell, settings.dark, settings.threshold, settings.separation
    )
    tables = _refine(picture, found, settings, show_progressbar)
    if settings.swap and len(tables) == 2:
        tables = tables[::-1]
    return _finished(picture, found, tables)


def _refine(
    picture: Picture, found: FoundColumns, settings: SearchSettings, show_progressbar: bool | None
) -> list[pd.DataFrame]:
    """Fit all columns; returns the tables of A and, if there is one, of B."""
    n_sublattices = settings.n_sublattices
    columns = _candidates(picture, found, settings.fill_holes)
    image = -picture.measured.astype(np.float64) if found.dark else picture.measured
    distance = found.distance / picture.stretch.max()
    both = [columns[columns.is_a], columns[~columns.is_a]]
    if len(both[1]):
        tables = _fitted(image, both, distance, settings, show_progressbar)
        share = tables[1].kept.mean()
        _logger.info("%.0f %% of the places of B columns hold one.", 100 * share)
        if n_sublattices == 2 and not share:
            cell = vectors_text(np.median(found.graph.cells, axis=0) / picture.stretch)
            raise ValueError(
                "n_sublattices=2, but no column stands out in the centres of the cells "
                f"{cell} px: pass cell=, or a lower significance or least_height."
            )
        if n_sublattices == 2 or share >= _SHARE:
            return tables[:n_sublattices]
        _logger.info("The crystal has one sublattice.")
    return _fitted(image, [both[0], both[1][:0]], distance, settings, show_progressbar)[:1]


def _fitted(
    image: np.ndarray,
    both: list[pd.DataFrame],
    distance: float,
    settings: SearchSettings,
    show_progressbar: bool | None,
) -> list[pd.DataFrame]:
    """Fit both sublattices: freely, and with the shape held where that fails."""
    a_starts, b_starts = (table[["x", "y"]].to_numpy() for table in both)
    fits = _refinement.refine_two_sublattices(
        image,
        a_starts,
        b_starts,
        radius=settings.radius,
        background=settings.background,
        tail=settings.tail,
        disk_radius=settings.disk_radius,
        saturation=settings.saturation,
        show_progressbar=show_progressbar,
    )
    attrs = dict(fits[0].attrs)
    tables = [_with_fit(*pair) for pair in zip(both, fits, strict=True)]
    tables = _second_chance(image, tables, attrs["tail"], distance, settings)
    if any(table.shape_held.any() for table in tables):
        data = image_array(image, settings.saturation)
        for table in tables:
            held = table.index[table.shape_held]
            x, y = table.loc[held, ["x", "y"]].to_numpy().T.copy()
            table.loc[held, "disk_mean"] = disk_means(data, x, y, attrs["disk_radius"])
    for table in tables:
        table.attrs = attrs
    return tables


def _candidates(picture: Picture, found: FoundColumns, fill_holes: bool) -> pd.DataFrame:
    """All columns to be fitted: maxima, then places of the lattice without one."""
    graph = found.graph
    index, part, positions = graph.index, graph.part, graph.positions
    is_maximum = np.ones(len(part), bool)
    if fill_holes:
        holes, hole_index, hole_part = _lattice.find_holes(graph)
        size = (np.array(picture.values.shape[::-1]) - 1) * picture.stretch
        rim = _RIM * found.distance
        inside = ((holes >= rim) & (holes <= size - rim)).all(axis=1)
        if picture.valid is not None:
            x, y = np.round(holes[inside] / picture.stretch).astype(int).T
            inside[inside] = away_from_gaps(picture.valid, 0.15 * found.distance)[y, x]
        holes, hole_index, hole_part = holes[inside], hole_index[inside], hole_part[inside]
        holes = _nearest_faint_maximum(holes, found.faint * picture.stretch, 0.4 * found.distance)
        positions = np.vstack([positions, holes])
        index, part = np.vstack([index, hole_index]), np.append(part, hole_part)
        is_maximum = np.append(is_maximum, np.zeros(len(holes), bool))
        _logger.info("%d places of the lattice hold no clear maximum.", len(holes))
    odd_is_a = _odd_is_brighter(picture, graph, found.dark)
    # Count from an A column: its indices are even.
    index = index + odd_is_a[part][:, None]
    x, y = (positions / picture.stretch).T
    return pd.DataFrame(
        {
            "x": x,
            "y": y,
            "is_a": index[:, 0] % 2 == 0,
            "found": is_maximum,
            "i": index[:, 0] // 2,
            "j": index[:, 1] // 2,
            "part": part,
        }
    )


def _odd_is_brighter(picture: Picture, graph: _lattice.ColumnGraph, dark: bool) -> np.ndarray:
    """
    Find the parts of the crystal whose odd columns are brighter in the median (darker if dark).

    The mean of a small disk is compared, because a saturated peak cannot mislead it.
    """
    distance = _lattice.nearest_distance(np.median(graph.cells, axis=0))
    reach = int(np.ceil(_CORE * distance / picture.stretch.min()))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.hypot(dx * picture.stretch[0], dy * picture.stretch[1]) <= _CORE * distance
    x, y = np.round(graph.positions / picture.stretch).astype(int).T
    rows = np.clip(y[:, None] + dy[disk], 0, picture.values.shape[0] - 1)
    columns = np.clip(x[:, None] + dx[disk], 0, picture.values.shape[1] - 1)
    brightness = picture.values[rows, columns].mean(axis=1) * (-1 if dark else 1)
    odd_is_brighter = np.zeros(graph.part.max() + 1, int)
    for part in np.unique(graph.part):
        inside = graph.part == part
        medians = [
            np.median(brightness[some]) if some.any() else -np.inf
            for some in (inside & ~graph.odd, inside & graph.odd)
        ]
        odd_is_brighter[part] = medians[1] > medians[0]
        if part == 0 and np.isfinite(medians).all():
            # From the level of the whole image: the raw zero is anywhere.
            level = np.median(picture.values) * (-1 if dark else 1)
            _logger.info(
                "A is the %s sublattice: median contrast %.3g, that of B %.3g.",
                "darker" if dark else "brighter", max(medians) - level, min(medians) - level,
            )  # fmt: skip
    return odd_is_brighter


def _nearest_faint_maximum(holes: np.ndarray, faint: np.ndarray, reach: float) -> np.ndarray:
    """Start from a faint maximum where a hole has one."""
    if not len(holes) or not len(faint):
        return holes
    distance, nearest = cKDTree(faint).query(holes, distance_upper_bound=reach)
    has_one = np.isfinite(distance)
    holes = holes.copy()
    holes[has_one] = faint[nearest[has_one]]
    return holes


def _with_fit(table: pd.DataFrame, fit: pd.DataFrame) -> pd.DataFrame:
    """Join the results of a fit and the columns of the table before it."""
    known = table.rename(columns={"x": "start_x", "y": "start_y"}).reset_index(drop=True)
    fit = fit.reset_index(drop=True)
    fit.attrs = {}
    return pd.concat([fit, known], axis=1)


def _second_chance(
    image: np.ndarray,
    tables: list[pd.DataFrame],
    tail: tuple[float, float],
    distance: float,
    settings: SearchSettings,
) -> list[pd.DataFrame]:
    """
    Fit with the shape held where the free fit failed, and select the columns to keep.

    Maxima are kept, with the status of their fit. Places of the lattice without a maximum are kept
    if one of the fits finds a significant peak there that reaches `least_height`.

    Returns
    -------
    list of pandas.DataFrame
        With the new columns ``shape_held`` and ``kept``.
    """
    significance = settings.significance
    good = [_has_peak(table, significance, distance) for table in tables]
    widths = [_typical_width(table[mask]) for table, mask in zip(tables, good, strict=True)]
    neighbours = pd.concat([table[mask] for table, mask in zip(tables, good, strict=True)])
    decided = []
    for table, mask, width in zip(tables, good, widths, strict=True):
        width = width or max(w or 0 for w in widths)
        table = table.copy()
        table["shape_held"] = False
        retried = np.flatnonzero(~mask & ~table.status.isin(_HOPELESS))
        if len(retried) and width:
            starts = table.loc[retried, ["start_x", "start_y"]].to_numpy()
            fit = pd.DataFrame(
                fit_with_shape_held(
                    image, starts, width, _HELD_RADIUS * distance, neighbours, tail
                ),
                index=retried,
            )
            fit["sigma_x"] = fit["sigma_y"] = width
            fit["rotation"] = 0.0
            share, wider = tail
            fit["volume"] = 2 * np.pi * width**2 * fit.amplitude * (1 - share + share * wider**2)
            fit["status"] = _refinement.STATUS["ok"]
            fit["shape_held"] = True
            fit[["start_x", "start_y"]] = starts
            fit = fit[_has_peak(fit, significance, distance)]
            table.loc[fit.index, fit.columns] = fit
            mask[fit.index] = True
        # Both fits failed, one of them without noticing: it ended on something else.
        lost = ~mask & (_moved(table) >= _FARTHEST * distance)
        table.loc[lost, "status"] = _refinement.STATUS["left_region"]
        table.loc[lost, ["x", "y"]] = table.loc[lost, ["start_x", "start_y"]].to_numpy()
        table.loc[lost, _RESULTS] = np.nan
        table["kept"] = table.found | (mask & _reaches(table, neighbours, settings.least_height))
        decided.append(table)
    return decided


def _reaches(table: pd.DataFrame, columns: pd.DataFrame, least_height: float) -> np.ndarray:
    """Mask of the columns as high as a share of the four nearest maxima, in the median."""
    maxima = columns[columns.found]
    if not len(maxima):
        return np.ones(len(table), bool)
    nearest = cKDTree(maxima[["x", "y"]]).query(
        table[["x", "y"]], k=[*range(1, min(4, len(maxima)) + 1)]
    )[1]
    height = np.median(maxima.amplitude.to_numpy()[nearest], axis=1)
    return (table.amplitude > least_height * height).to_numpy()


def _typical_width(table: pd.DataFrame) -> float | None:
    """Median width of columns that are maxima, or of all if none is; None without any."""
    maxima = table[table.found] if table.found.any() else table
    return float(np.sqrt(maxima.sigma_x * maxima.sigma_y).median()) if len(maxima) else None


def _moved(table: pd.DataFrame) -> pd.Series:
    """Distance of each fitted position from its start."""
    return np.hypot(table.x - table.start_x, table.y - table.start_y)


def _has_peak(table: pd.DataFrame, significance: float, distance: float) -> np.ndarray:
    """Mask of the columns whose fit found a significant peak near its start."""
    good = (table.status == _refinement.STATUS["ok"]) & (_moved(table) < _FARTHEST * distance)
    good &= table.amplitude > significance * table.amplitude_std
    return np.array(good)


def _finished(
    picture: Picture, found: FoundColumns, tables: list[pd.DataFrame]
) -> list[pd.DataFrame]:
    """Tables with the columns that are kept, in the intensities of the image."""
    graph = found.graph
    finished = []
    for table in tables:
        attrs = table.attrs
        table = table[table.kept].drop(columns=["is_a", "kept", "start_x", "start_y"])
        table = table.reset_index(drop=True)
        if found.dark:
            table[["background", "disk_mean"]] *= -1
        table.index.name = "column"
        table.attrs = {
            **attrs,
            "pixel_size": picture.scale,
            "pixel_units": picture.units,
            "cell": (np.median(graph.cells, axis=0) / picture.stretch).tolist(),
            "dark": found.dark,
            "consistency": graph.consistency(),
        }
        finished.append(table)
    return finished
