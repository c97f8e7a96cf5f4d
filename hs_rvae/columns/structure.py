# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sublattices named by the elements of a known crystal, with a check of the calibration."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..sites.units import length_scale
from .column_tables import FoundColumns
from .crystal import Crystal, KnownStructure
from .distortion import average_cell, inside_roi, principal_stretches, stretch_of
from .projection import ProjectedPlace, Projection, checked_zone_axis, project
from .structure_match import FAINT, FoundBasis, Match, best_match, lengths_and_angle

_logger = logging.getLogger(__name__)

_TOLERANCE = 0.03  # of lengths and of a right angle, beyond which a warning comes
_MOST_UNLIKE = 4.0  # cost of the heights of a match, beyond which a warning comes
_SEEN_ALIKE = "Distortion of the scan and strain of the crystal look the same."


@dataclass(frozen=True)
class Calibration:
    """Size (x, y) of a pixel, in nm where its unit is a length.

    Attributes
    ----------
    size : numpy.ndarray of shape (2,)
    calibrated : bool
        If not, pixels are square and have the area 1 if the scales are those of square ones.
    """

    size: np.ndarray
    calibrated: bool

    @classmethod
    def of(cls, pixel_size: tuple[float, float], units: str) -> Calibration:
        """Read the scales and the unit of an image."""
        size = np.abs(np.asarray(pixel_size, dtype=float))
        factor, unit = length_scale(units)
        if unit == "pm":
            return cls(size * factor / 1000, True)
        return cls(size / np.sqrt(size.prod()), False)


def checked_projection(
    structure: Any, zone_axis: Any, correct_distortion: Any
) -> Projection | None:
    """
    Read and project the structure of a search, and refuse unusable options before any work.

    Parameters
    ----------
    structure, zone_axis, correct_distortion
        As in :func:`find_sublattices`.

    Returns
    -------
    Projection or None
        None without a structure.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As :func:`find_sublattices` for these options.
    """
    is_roi = all(hasattr(correct_distortion, side) for side in ("left", "top", "right", "bottom"))
    if not isinstance(correct_distortion, bool | np.bool_) and not is_roi:
        raise TypeError(
            f"correct_distortion={correct_distortion!r}: give True, False or a "
            "hyperspy.api.roi.RectangularROI around the part that is not strained."
        )
    checked_zone_axis(zone_axis)
    if structure is not None:
        return project(structure, zone_axis)
    if correct_distortion is not False:
        raise ValueError(
            "correct_distortion needs structure=: the distortion is that against a known cell."
        )
    return None


def name_by_structure(
    frames: list[FoundColumns], projection: Projection, correct_distortion: Any, image: Any
) -> None:
    """
    Name the sublattices of an image, or of the frames of a series, by their elements.

    Parameters
    ----------
    frames : list of FoundColumns
        Their crystals get ``structure`` and the elements of the places. The ``attrs`` of their
        tables get ``element`` and, where the distortion is corrected, ``distortion``. The names are
        those of the first frame.
    projection : Projection
    correct_distortion : bool or hyperspy.roi.RectangularROI
    image : hyperspy.api.signals.Signal2D or array

    Raises
    ------
    ValueError
        As :func:`named_by_structure`.
    """
    for number, found in enumerate(frames):
        found.crystal = named_by_structure(
            found.crystal, projection, found.tables, image, correct_distortion, loud=not number
        )
        names = elements_of_sublattices(frames[0].crystal)
        for table, element in zip(found.tables, names, strict=False):
            table.attrs["element"] = element
            known = found.crystal.structure
            if known is not None and known.corrected:
                table.attrs["distortion"] = known.stretch.tolist()


def elements_of_sublattices(crystal: Crystal) -> list[str | None]:
    """Elements of each sublattice, in the order of their names; several if it has such places."""
    names: dict[str, dict[str, None]] = {}
    for place in crystal.places:
        names.setdefault(place.name, {}).update({place.element: None} if place.element else {})
    return [" or ".join(elements) or None for elements in names.values()]


def named_by_structure(
    crystal: Crystal,
    projection: Projection,
    tables: list[pd.DataFrame],
    image: Any,
    correct_distortion: Any = False,
    loud: bool = True,
) -> Crystal:
    """
    Name the places of a crystal by the elements of a known one, and compare the cells.

    Parameters
    ----------
    crystal : Crystal
    projection : Projection
    tables : list of pandas.DataFrame
        The ``column_table`` of each sublattice.
    image : hyperspy.api.signals.Signal2D or array
        For the axes that a rectangle is in.
    correct_distortion : bool or hyperspy.roi.RectangularROI
        Part of the image whose cell is that of the structure; True: all of it.
    loud : bool
        Whether the comparison is logged.

    Returns
    -------
    Crystal

    Raises
    ------
    ValueError
        If the structure does not fit, or too few columns are inside the rectangle.
    """
    attrs = tables[0].attrs
    calibration = Calibration.of(attrs["pixel_size"], attrs["pixel_units"])
    cell = crystal.cell * calibration.size
    found = FoundBasis(
        cell,
        np.array([place.position for place in crystal.places], dtype=float),
        np.array([place.height for place in crystal.places], dtype=float),
        np.array([place.count for place in crystal.places], dtype=float),
        calibration.calibrated,
        bool(attrs["dark"]),
    )
    match = best_match(projection, found)
    if match is None:
        raise ValueError(_no_match(projection, cell, crystal, calibration))
    inside = None
    if not isinstance(correct_distortion, bool | np.bool_):
        inside = [inside_roi(table, correct_distortion, image) for table in tables]
    try:
        measured, _, count = average_cell(tables, inside)
    except ValueError as error:
        if inside is None:
            measured, count = crystal.cell, sum(map(len, tables))
        else:
            raise ValueError(
                f"correct_distortion={correct_distortion}: inside it {error}"
            ) from None
    known = _compared(projection, match, measured, calibration, correct_distortion is not False)
    cautions = known.cautions + _doubts(projection, match, crystal)
    known = replace(known, cautions=cautions)
    if loud:
        _log(known, crystal, match, calibration, count, inside is not None)
    places = tuple(
        replace(place, element=element)
        for place, element in zip(crystal.places, match.elements, strict=True)
    )
    return replace(crystal, places=places, structure=known, cautions=(*crystal.cautions, *cautions))


def _compared(
    projection: Projection,
    match: Match,
    measured: np.ndarray,
    calibration: Calibration,
    corrected: bool,
) -> KnownStructure:
    """Compare the measured cell (px) with that of the structure."""
    stretch = stretch_of(match.nominal, measured * calibration.size)
    area = np.sqrt(np.linalg.det(stretch))
    # A pixel by the structure, of the area of those in the image.
    scale = float(np.sqrt(calibration.size.prod()) / area)
    if not calibration.calibrated:
        stretch = stretch / area
    axis = projection.zone_axis
    return KnownStructure(
        projection.formula,
        (-axis[0], -axis[1], -axis[2]) if match.mirrored else axis,
        match.nominal,
        measured,
        scale,
        stretch,
        tuple(projection.places[k] for k in match.missing),
        tuple(projection.places[k] for k in match.faint),
        corrected,
        _off_nominal(projection, match.nominal, measured, calibration, scale),
    )


def _off_nominal(
    projection: Projection,
    nominal: np.ndarray,
    measured: np.ndarray,
    calibration: Calibration,
    scale: float,
) -> tuple[str, ...]:
    """Caution if lengths or the angle differ from those of the structure."""
    wanted, got = _wanted_and_found(nominal, measured, calibration, scale)
    off = [got[0] / wanted[0] - 1, got[1] / wanted[1] - 1, (got[2] - wanted[2]) / 90]
    if max(map(abs, off)) <= _TOLERANCE:
        return ()
    what = "calibration or the scan" if calibration.calibrated else "scan"
    return (
        f"The cell differs from that of {projection.formula} by more than "
        f"{100 * _TOLERANCE:.0f} %: {_cells(got, wanted)}. The {what} is distorted, the crystal is "
        "strained, or the structure is another one.",
    )


def _wanted_and_found(
    nominal: np.ndarray, measured: np.ndarray, calibration: Calibration, scale: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lengths in nm and angle of the cell of the structure, and of the measured one (px)."""
    size = calibration.size * (1 if calibration.calibrated else scale)
    return lengths_and_angle(nominal), lengths_and_angle(measured * size)


def _cells(got: tuple[float, ...], wanted: tuple[float, ...]) -> str:
    """Lengths and angle of two cells, compared in words."""
    lengths = [
        f"{name} {one:.4f} nm instead of {other:.4f} nm ({100 * (one / other - 1):+.1f} %)"
        for name, one, other in zip("ab", got, wanted, strict=False)
    ]
    return f"{', '.join(lengths)}, angle {got[2]:.1f} instead of {wanted[2]:.1f} degrees"


def _doubts(projection: Projection, match: Match, crystal: Crystal) -> tuple[str, ...]:
    """Cautions on the names."""
    cautions = []
    names = [place.name for place in crystal.places]
    if match.missing:
        places = "; ".join(_where(projection.places[k]) for k in match.missing)
        cautions.append(
            f"Columns of {projection.formula} that should be seen were not found: {places}. If the "
            "image shows them, lower threshold or least_height, or pass cell=."
        )
    lost = [name for name, element in zip(names, match.elements, strict=True) if element is None]
    if lost:
        cautions.append(
            f"{projection.formula} has no columns where sublattice {', '.join(lost)} is: it has no "
            "element."
        )
    mixed = [
        f"{name}: {element}"
        for name, element in zip(names, match.elements, strict=True)
        if element is not None and " or " in element
    ]
    if mixed:
        cautions.append(
            f"Sublattices hold columns that differ in {projection.formula} ({'; '.join(mixed)}): "
            "pass cell= or n_sublattices=."
        )
    if match.heights > _MOST_UNLIKE:
        pairs = zip(names, match.elements, strict=True)
        cautions.append(
            "Heights of the columns do not rise with the atomic numbers of "
            f"{', '.join(f'{name}: {element}' for name, element in pairs)}. The structure may be "
            "another one, or the contrast is not that of annular dark field."
        )
    if match.alternative is not None:
        pairs = zip(names, match.alternative, strict=True)
        other = ", ".join(f"{name}: {element}" for name, element in pairs)
        cautions.append(
            f"Places and heights do not decide between the elements: {other} fits nearly as well."
        )
    return tuple(cautions)


def _where(place: ProjectedPlace) -> str:
    x, y = place.position
    return f"{place.element} at ({x:.2f}, {y:.2f}) of the projected cell"


def _log(
    known: KnownStructure,
    crystal: Crystal,
    match: Match,
    calibration: Calibration,
    count: int,
    in_part: bool,
) -> None:
    """Log the names, the lengths and the stretch; warn of differences."""
    pairs = zip(crystal.places, match.elements, strict=True)
    _logger.info(
        "%s along %s (towards the viewer): %s.",
        known.formula,
        list(known.zone_axis),
        ", ".join(f"{place.name} is {element or 'not known'}" for place, element in pairs),
    )
    if known.faint:
        _logger.info(
            "Not found, and perhaps not seen in dark field, being below %.0f %% of the brightest "
            "place: %s.",
            100 * FAINT,
            "; ".join(map(_where, known.faint)),
        )
    wanted, got = _wanted_and_found(known.nominal, known.measured, calibration, known.scale)
    _logger.info(
        "Cell from %d columns%s: %s. By the structure a pixel is %.5g nm wide.",
        count,
        " in the rectangle" if in_part else "",
        _cells(got, wanted),
        known.scale,
    )
    larger, smaller, direction = principal_stretches(known.stretch)
    _logger.info(
        "Stretch against the structure: %+.2f %% along %.0f degrees, %+.2f %% across. %s %s",
        100 * larger,
        direction,
        100 * smaller,
        _SEEN_ALIKE,
        "It is taken out of displacements, cells and angles."
        if known.corrected
        else "Nothing is corrected for it (correct_distortion=False).",
    )
    for caution in known.cautions:
        _logger.warning("%s", caution)


def _no_match(
    projection: Projection, cell: np.ndarray, crystal: Crystal, calibration: Calibration
) -> str:
    """Message for a structure that does not fit."""
    got, wanted = lengths_and_angle(cell), lengths_and_angle(projection.cell)
    unit = "nm" if calibration.calibrated else "px"
    remedy = (
        "the calibration of the image (off by less than 20 %), " if calibration.calibrated else ""
    )
    return (
        f"structure={projection.formula} along {list(projection.zone_axis)} does not match the "
        f"image. Found: cell {got[0]:.4g} x {got[1]:.4g} {unit}, {got[2]:.1f} degrees, with "
        f"{len(crystal.places)} {'place' if len(crystal.places) == 1 else 'places'}. Expected: "
        f"{wanted[0]:.4g} x {wanted[1]:.4g} nm, {wanted[2]:.1f} degrees, with "
        f"{', '.join(place.element for place in projection.places[:6])}. Check {remedy}zone_axis "
        "and the structure; cell= gives the lattice where another one was found."
    )
