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
from ..refinement.two_sublattices import refine_together
from ..wording import count_of
from .crystal import Crystal, Grain, Place
from .finders import lattice_maxima
from .hidden import hidden_places
from .holes import Sites, find_holes
from .lattice_search import FoundCrystal, find_crystal
from .maxima import Maxima, away_from_gaps, check_sampling, vectors_text
from .search_image import Picture

_logger = logging.getLogger(__name__)

_SHARE = 0.3  # of the cells that must hold columns at a place
_RIM = 0.25  # nearest distances from the border within which no place is filled
_HELD_RADIUS = 0.6  # of the disk of a fit with the shape held, in nearest distances
_OF_ITS_PLACE = 3.0  # times the least height: the same against columns of its own place
_FARTHEST = 0.3  # nearest distances between a column and where its fit started
_RESULTS = ["sigma_x", "sigma_y", "rotation", "amplitude", "volume", "disk_mean", "background"]
_RESULTS += ["residual", "x_std", "y_std", "amplitude_std"]
# A fit of fewer parameters does not help at the border and without pixels.
_HOPELESS = [_refinement.STATUS["edge"], _refinement.STATUS["non_finite"]]


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search, as :func:`~hs_rvae.columns.find_sublattices` describes them."""

    method: Any
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


@dataclass
class FoundColumns:
    """Columns of one image.

    Attributes
    ----------
    tables : list of pandas.DataFrame
        One per sublattice, "A" first.
    crystal : Crystal
    """

    tables: list[pd.DataFrame]
    crystal: Crystal


def find_tables(
    picture: Picture, settings: SearchSettings, show_progressbar: bool | None
) -> FoundColumns:
    """Find and fit the columns of one image."""
    maxima = lattice_maxima(
        picture, settings.method, settings.cell, settings.dark, settings.threshold,
        settings.separation, show_progressbar,
    )  # fmt: skip
    pixels = maxima.distance / picture.stretch.max()
    cautions = check_sampling(pixels, settings.radius)
    found = find_crystal(picture, maxima)
    found.cautions[:0] = cautions
    found, tables = _refine(picture, found, settings, show_progressbar)
    return _finished(picture, found, tables, settings)


def _refine(
    picture: Picture, found: FoundCrystal, settings: SearchSettings, show_progressbar: bool | None
) -> tuple[FoundCrystal, list[pd.DataFrame]]:
    """Fit all columns: the crystal, the table of every sublattice, that of the other maxima."""
    wanted = settings.n_sublattices
    image = picture.measured
    if found.maxima.dark:
        image = -image.astype(np.float64)
    distance = found.maxima.distance / picture.stretch.max()
    searched = not settings.fill_holes
    for _ in range(4):
        columns = _candidates(picture, found, settings.fill_holes)
        tables = _fitted(image, columns, distance, settings, show_progressbar)
        if not searched and (wanted is None or len(found.offsets) < wanted):
            searched = True
            new = _hidden(picture, image, found, tables, settings.least_height)
            if len(new):
                found = found.with_places(new)
                continue
        shares = np.array([table.kept.mean() if len(table) else 0.0 for table in tables[:-1]])
        if len(shares) > 1:
            _logger.info(
                "Share of the places that hold a column: %s.",
                ", ".join(f"{share:.0%}" for share in shares),
            )
        poor = np.flatnonzero(shares < (_SHARE if wanted is None else 1e-9))
        if not len(poor) or len(poor) == len(shares):
            break
        found = found.without(poor)
    if wanted is not None and len(tables) - 1 < wanted:
        cell = vectors_text(found.maxima.cell / picture.stretch)
        raise ValueError(
            f"n_sublattices={wanted}, but no column stands out at other places than {len(shares)} "
            f"of the cells {cell} px: pass cell=, or a lower significance or least_height."
        )
    if len(shares) == 1:
        _logger.info("The crystal has one sublattice.")
    return found, [*tables[:-1][:wanted], tables[-1]]


def _hidden(
    picture: Picture,
    image: np.ndarray,
    found: FoundCrystal,
    tables: list[pd.DataFrame],
    least_height: float,
) -> np.ndarray:
    """Places of the cell whose columns are too faint to be maxima."""
    columns = pd.concat([table[table.status == _refinement.STATUS["ok"]] for table in tables])
    anchors = (found.grain == 0) & (found.place == 0)
    new = hidden_places(
        image,
        columns,
        tables[0].attrs["tail"],
        found.maxima.positions[anchors] / picture.stretch,
        found.cells[anchors] / picture.stretch,
        found.offsets,
        least_height,
    )
    if len(new):
        _logger.info(
            "The average cell has %s more with faint columns: %s.", count_of(len(new), "place"),
            "; ".join(f"({u:.2f}, {v:.2f})" for u, v in new),
        )  # fmt: skip
    return new


def _fitted(
    image: np.ndarray,
    groups: list[pd.DataFrame],
    distance: float,
    settings: SearchSettings,
    show_progressbar: bool | None,
) -> list[pd.DataFrame]:
    """Fit all groups of columns: freely, and with the shape held where that fails."""
    fits = refine_together(
        image,
        {f"columns {k}": table[["x", "y"]].to_numpy() for k, table in enumerate(groups)},
        radius=settings.radius,
        background=settings.background,
        tail=settings.tail,
        disk_radius=settings.disk_radius,
        saturation=settings.saturation,
        show_progressbar=show_progressbar,
    )
    attrs = dict(fits[0].attrs)
    tables = [_with_fit(*pair) for pair in zip(groups, fits, strict=True)]
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


def _candidates(picture: Picture, found: FoundCrystal, fill_holes: bool) -> list[pd.DataFrame]:
    """
    All columns to be fitted: a table for each place, then one for the maxima of no lattice.

    A table has the maxima first, then the places of the lattice without one.
    """
    maxima, known = found.maxima, found.known
    sites = Sites(
        maxima.positions[known], found.place[known], found.grain[known], found.index[known]
    )
    is_maximum = np.ones(len(sites.place), bool)
    if fill_holes:
        holes = find_holes(
            sites, found.cells[known], found.offsets, maxima.distance, maxima.positions[~known]
        )
        inside = _usable(picture, holes.positions, maxima.distance)
        positions = _nearest_faint_maximum(
            holes.positions[inside], maxima.faint, 0.4 * maxima.distance
        )
        sites = Sites(
            np.vstack([sites.positions, positions]),
            np.append(sites.place, holes.place[inside]),
            np.append(sites.grain, holes.grain[inside]),
            np.vstack([sites.index, holes.index[inside]]),
        )
        is_maximum = np.append(is_maximum, np.zeros(inside.sum(), bool))
        _logger.info("%d places of the lattice hold no clear maximum.", inside.sum())
    x, y = (sites.positions / picture.stretch).T
    columns = pd.DataFrame(
        {
            "x": x,
            "y": y,
            "found": is_maximum,
            "grain": sites.grain,
            "i": sites.index[:, 0],
            "j": sites.index[:, 1],
        }
    )
    others = pd.DataFrame(maxima.positions[~known] / picture.stretch, columns=["x", "y"])
    others = others.assign(found=True, grain=-1, i=0, j=0)
    return [columns[sites.place == place] for place in range(len(found.offsets))] + [others]


def _usable(picture: Picture, positions: np.ndarray, distance: float) -> np.ndarray:
    """Mask of the places far enough from the border and from pixels that were not measured."""
    size = (np.array(picture.values.shape[::-1]) - 1) * picture.stretch
    rim = _RIM * distance
    inside = ((positions >= rim) & (positions <= size - rim)).all(axis=1)
    if picture.valid is not None:
        x, y = np.round(positions[inside] / picture.stretch).astype(int).T
        inside[inside] = away_from_gaps(picture.valid, 0.15 * distance)[y, x]
    return inside


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
        table["kept"] = table.found
        empty = np.flatnonzero(mask & ~table.found)
        if len(empty):
            high = _reaches(table.loc[empty], neighbours, settings.least_height)
            # What is left in a vacancy is far fainter than the columns of that place.
            own = table[mask & table.found]
            least = _OF_ITS_PLACE * settings.least_height
            table.loc[empty, "kept"] = high & _reaches(table.loc[empty], own, least)
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
    picture: Picture,
    found: FoundCrystal,
    tables: list[pd.DataFrame],
    settings: SearchSettings,
) -> FoundColumns:
    """Tables with the columns that are kept, in the intensities of the image."""
    dark = found.maxima.dark
    cell = np.median(found.cells[found.grain == 0], axis=0) / picture.stretch
    shares = [float(table.kept.mean()) if len(table) else 0.0 for table in tables]
    finished = []
    for table in tables:
        attrs = table.attrs
        if found.maxima.probability is not None:
            table["probability"] = _probability(picture, found.maxima, table)
        table = table[table.kept].drop(columns=["kept", "start_x", "start_y"])
        table = table.reset_index(drop=True)
        if dark:
            table[["background", "disk_mean"]] *= -1
        table.index.name = "column"
        table.attrs = {
            **attrs,
            "pixel_size": picture.scale,
            "pixel_units": picture.units,
            "cell": cell.tolist(),
            "dark": dark,
            "consistency": found.consistency,
        }
        finished.append(table)
    *finished, unassigned = finished
    if settings.swap and len(finished) == 2:
        finished, shares = finished[::-1], [*shares[1::-1], *shares[2:]]
        found = found.swapped()
    return FoundColumns(finished, _crystal(found, cell, finished, shares, unassigned, picture))


def _probability(picture: Picture, maxima: Maxima, table: pd.DataFrame) -> np.ndarray:
    """Probabilities of the columns that a network found; NaN for the others."""
    starts = table[["start_x", "start_y"]] * picture.stretch
    apart, nearest = cKDTree(maxima.positions).query(starts)
    same = table.found.to_numpy() & (apart < 0.01)
    return np.where(same, maxima.probability[nearest], np.nan)  # type: ignore[index]


def _crystal(
    found: FoundCrystal,
    cell: np.ndarray,
    tables: list[pd.DataFrame],
    shares: list[float],
    unassigned: pd.DataFrame,
    picture: Picture,
) -> Crystal:
    """Summary of the search, from the finished tables."""
    names = sublattice_names(len(tables))
    places = tuple(
        Place(name, (float(u) % 1, float(v) % 1), len(table), _height(table), share)
        for name, (u, v), table, share in zip(
            names, np.round(found.offsets, 6), tables, shares, strict=False
        )
    )
    counts = np.zeros(found.grain.max() + 1, int)
    for table in tables:
        counts += np.bincount(table.grain, minlength=len(counts))
    grains = tuple(
        Grain(
            number,
            np.median(found.cells[found.grain == number], axis=0) / picture.stretch,
            int(count),
        )
        for number, count in enumerate(counts)
        if count
    )
    return Crystal(cell, places, grains, unassigned, len(found.grain), tuple(found.cautions))


def _height(table: pd.DataFrame) -> float:
    height = table.amplitude[table.status == _refinement.STATUS["ok"]]
    return float(height.median()) if len(height) else np.nan


def sublattice_names(count: int) -> list[str]:
    """Names of sublattices: "A" to "Z", then "A1" and so on."""
    letters = [chr(ord("A") + k) for k in range(26)]
    return [letters[k % 26] + (str(k // 26) if k >= 26 else "") for k in range(count)]
