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
from ..refinement.two_sublattices import refine_together
from ..wording import count_of
from .crystal import Crystal, Grain, Place
from .faint_columns import STARTS, settle_faint_columns
from .finders import lattice_maxima
from .hidden import hidden_places, nearest_of_places
from .holes import Sites, find_holes
from .lattice_search import FoundCrystal, find_crystal
from .maxima import Maxima, away_from_gaps, check_sampling, vectors_text
from .saturated import columns_cut_off, warn_of_saturation
from .search_image import Picture

_logger = logging.getLogger(__name__)

_SHARE = 0.3  # of the cells that must hold columns at a place
_MANY = 0.75  # of the places of a sublattice, fewer of which leave the cell in doubt
_EACH = 3  # such sublattices at most have a warning each
_RIM = 0.25  # nearest distances from the border within which no place is filled


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
    cut_off = columns_cut_off(picture, maxima)
    if cut_off:
        cautions += warn_of_saturation(
            picture, maxima, settings.saturation, settings.cell is not None
        )
    found = find_crystal(picture, maxima, settings.cell is not None)
    found.cautions[:0] = cautions
    found, tables = _refine(picture, found, settings, cut_off, show_progressbar)
    return _finished(picture, found, tables, settings)


def _refine(
    picture: Picture,
    found: FoundCrystal,
    settings: SearchSettings,
    cut_off: bool,
    show_progressbar: bool | None,
) -> tuple[FoundCrystal, list[pd.DataFrame]]:
    """Fit all columns: the crystal, the table of every sublattice, that of the other maxima."""
    wanted = settings.n_sublattices
    image = picture.measured
    if found.maxima.dark:
        image = -image.astype(np.float64)
    distance = found.maxima.distance / picture.stretch.max()
    nearest = distance
    # What fits leave of peaks that are cut off looks like columns between them.
    searched = not settings.fill_holes or cut_off
    for _ in range(4):
        columns = _candidates(picture, found, settings.fill_holes)
        tables = _fitted(image, columns, (distance, nearest), settings, show_progressbar)
        if not searched and (wanted is None or len(found.offsets) < wanted):
            searched = True
            new = _hidden(picture, image, found, tables, settings.least_height)
            if len(new):
                found = found.with_places(new)
                cell = found.maxima.cell / picture.stretch
                nearest = min(distance, nearest_of_places(found.offsets, cell))
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
    distances: tuple[float, float],
    settings: SearchSettings,
    show_progressbar: bool | None,
) -> list[pd.DataFrame]:
    """
    Fit all groups of columns: freely, and with the shape held where that fails.

    `distances` are those of nearest maxima and of nearest places of the lattice, in pixels.
    """
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
    tables = settle_faint_columns(
        image, tables, attrs["tail"], distances, settings.significance, settings.least_height
    )
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
    predicted = sites.positions
    if fill_holes:
        holes = find_holes(
            sites, found.cells[known], found.offsets, maxima.distance, maxima.positions[~known],
            (np.array(picture.values.shape[::-1]) - 1) * picture.stretch,
        )  # fmt: skip
        holes = holes.where(_usable(picture, holes.positions, maxima.distance))
        predicted = np.vstack([predicted, holes.positions])
        holes.positions = _nearest_faint_maximum(
            holes.positions, maxima.faint, 0.4 * maxima.distance
        )
        sites = sites.joined(holes)
        is_maximum = np.append(is_maximum, np.zeros(len(holes.place), bool))
        _logger.info("%d places of the lattice hold no clear maximum.", len(holes.place))
    x, y = (sites.positions / picture.stretch).T
    place_x, place_y = (predicted / picture.stretch).T
    columns = pd.DataFrame(
        {
            "x": x,
            "y": y,
            "place_x": place_x,
            "place_y": place_y,
            "found": is_maximum,
            "grain": sites.grain,
            "i": sites.index[:, 0],
            "j": sites.index[:, 1],
        }
    )
    others = pd.DataFrame(maxima.positions[~known] / picture.stretch, columns=["x", "y"])
    others = others.assign(place_x=others.x, place_y=others.y, found=True, grain=-1, i=0, j=0)
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
            _add_network_columns(table, found.maxima, picture)
        table = table[table.kept].drop(columns=["kept", *STARTS])
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
    found.cautions += _doubts_of_places(shares[: len(finished)])
    return FoundColumns(finished, _crystal(found, cell, finished, shares, unassigned, picture))


def _add_network_columns(table: pd.DataFrame, maxima: Maxima, picture: Picture) -> None:
    """Probability and class of the columns that a network found; NaN and "" for the others."""
    starts = table[["start_x", "start_y"]] * picture.stretch
    apart, nearest = cKDTree(maxima.positions).query(starts)
    same = table.found.to_numpy() & (apart < 0.01)
    table["probability"] = np.where(same, maxima.probability[nearest], np.nan)  # type: ignore[index]
    if maxima.labels is not None:
        table["class"] = np.where(same, maxima.labels[nearest], "")


def _doubts_of_places(shares: list[float]) -> list[str]:
    """Warn of sublattices with many empty places: one by one, or of all where they are many."""
    names = sublattice_names(len(shares))
    poor = [(name, share) for name, share in zip(names, shares, strict=True) if share < _MANY]
    texts = [
        f"Only {share:.0%} of the places of sublattice {name} hold a column: it is faint, or has "
        "vacancies. If full and empty places take turns, pass the larger cell with cell=. If they "
        "lie in different parts of the image, there are two phases: crop to one."
        for name, share in poor
    ]
    if len(poor) > _EACH:
        texts = [
            f"{len(poor)} of {len(shares)} sublattices ({', '.join(name for name, _ in poor)}) "
            f"have columns at {min(share for _, share in poor):.0%} to "
            f"{max(share for _, share in poor):.0%} of their places. Two phases whose cells nearly "
            "coincide have such a cell in common, and its names mean little: crop to one phase, or "
            "pass its cell with cell=. A crystal without a period has no such cell: use "
            "find_columns, which asks for no lattice."
        ]
    for text in texts:
        _logger.warning("%s", text)
    return texts


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
