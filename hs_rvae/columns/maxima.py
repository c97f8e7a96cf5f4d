# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns that are maxima of an image, and their places in the lattice."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import minimum_filter

from . import autocorrelation as _cells
from . import lattice as _lattice
from . import peaks as _peaks
from .search_image import Picture

_logger = logging.getLogger(__name__)

_BAND = 0.14  # width of the band-pass, in shortest lattice vectors: columns are 0.11 cells wide
_PERIODIC = 8.0  # a lattice stands this far out of the autocorrelation of noise
_ALTERNATING = 0.4  # of the two colours; chance gives 0.1
_FEWER = 0.6  # of one colour than of the other: the faint ones were missed
_NOISE = 4.0  # standard deviations that a maximum must stand out of the noise
_FEWEST = 6  # columns of a part of a crystal
_MANY_LEFT_OUT = 0.1  # of the maxima
_REGULAR = 0.4  # crystals have more than 0.6, linked maxima of noise about 0.2


@dataclass
class FoundColumns:
    """Columns that are maxima of an image.

    Attributes
    ----------
    graph : ColumnGraph
        Graph of the maxima that stand out and form a lattice.
    heights : numpy.ndarray of shape (n,)
        In the band-passed image.
    faint : numpy.ndarray of shape (m, 2)
        Maxima that do not stand out, ``(x, y)`` in pixels.
    distance : float
        Distance of the nearest columns, in the units of `graph`.
    dark : bool
        Columns are dark on a bright background.
    """

    graph: _lattice.ColumnGraph
    heights: np.ndarray
    faint: np.ndarray
    distance: float
    dark: bool


def find_columns(
    picture: Picture, cell: Any, dark: bool | None, threshold: float, separation: float | None
) -> FoundColumns:
    """
    Find the lattice, the maxima on it and their neighbours.

    Parameters
    ----------
    picture : Picture
    cell, dark, threshold, separation
        As in :func:`find_sublattices`.

    Returns
    -------
    FoundColumns
    """
    stretch = picture.stretch
    vectors, cell = _lattice_vectors(picture, cell)
    shortest = float(np.linalg.norm(vectors[0]))
    width = _BAND * shortest
    values = picture.values
    if picture.valid is not None:
        values = _peaks.filled(values, picture.valid, shortest)
    passed = _peaks.band_passed(values, width, stretch)
    if dark is None:
        dark = _peaks.are_dark(passed)
        _logger.info("Columns are %s than their surroundings.", "darker" if dark else "brighter")
    if dark:
        passed *= -1
    if separation is None:
        separation = 0.4 * shortest
        _logger.info("Maxima closer than %.3g px count as one column.", separation)
    separation = float(separation)
    measured = None if picture.valid is None else away_from_gaps(picture.valid, 0.15 * shortest)
    positions, heights = _peaks.local_maxima(passed, separation, stretch, measured)
    del passed
    noise = _peaks.noise_of_band_pass(values, positions, width, int(2 * shortest) + 1)
    area = values.size if picture.valid is None else picture.valid.sum()
    typical = _peaks.typical_height(heights, area / abs(np.linalg.det(vectors)))
    clear = heights > np.maximum(_NOISE * noise, threshold * typical)
    graph = _connect(positions[clear] * stretch, heights[clear], vectors, cell)
    graph, heights = _crystal_only(graph, heights[clear])
    if not len(heights):
        raise ValueError(
            f"{clear.sum()} maxima stand out of the image, but they do not form a lattice with the "
            f"vectors {vectors_text(vectors / stretch)} px: pass cell=, dark= or a lower threshold "
            f"than {threshold:g}."
        )
    n_parts = _lattice.join_parts(graph)
    _logger.info(
        "%d columns are maxima of the image, in %d part(s). Neighbours agree on the sublattices to "
        "%.4f.", len(heights), n_parts, graph.consistency(),
    )  # fmt: skip
    left_out = int(clear.sum()) - len(heights)
    many = left_out > _MANY_LEFT_OUT * clear.sum()
    _logger.log(
        logging.WARNING if many else logging.INFO,
        "%d of %d maxima of the image fit no lattice with the vectors %s px and are left out.%s",
        left_out, clear.sum(), vectors_text(vectors / stretch),
        " If they are columns, crop to them, or pass cell=." if many else "",
    )  # fmt: skip
    distance = _lattice.nearest_distance(np.median(graph.cells, axis=0))
    return FoundColumns(graph, heights, positions[~clear], distance, dark)


def _crystal_only(
    graph: _lattice.ColumnGraph, heights: np.ndarray
) -> tuple[_lattice.ColumnGraph, np.ndarray]:
    """Leave out maxima of noise that happen to be linked, and parts of a few columns."""
    for _ in range(5):
        size = np.bincount(graph.part, minlength=1)
        kept = (graph.regularity() > _REGULAR) & (size[graph.part] >= _FEWEST)
        kept &= (graph.neighbours >= 0).sum(axis=1) >= 2
        graph, heights = graph.take(kept), heights[kept]
        if kept.all() or not kept.any():
            break
    return graph, heights


def _lattice_vectors(picture: Picture, cell: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Lattice of all columns, and the cell of one sublattice where it was given."""
    stretch = picture.stretch
    size = np.array(picture.values.shape[::-1]) * stretch
    if cell is not None:
        user_cell = cell
        try:
            cell = np.asarray(cell, float)
        except (TypeError, ValueError):
            cell = np.array(np.nan)
        usable = np.isfinite(cell).all() and (cell > 0 if cell.shape == () else cell.any())
        if cell.shape not in ((), (2, 2)) or not usable:
            raise ValueError(
                f"cell must be a length or two vectors (x, y), in pixels, not {user_cell!r}."
            )
    if cell is not None and cell.shape == (2, 2):
        cell = _cells.upright(cell * stretch)
        area = abs(np.linalg.det(cell))
        if area < 0.1 * np.prod(np.linalg.norm(cell, axis=1)):
            raise ValueError(f"cell={vectors_text(cell)}: the two vectors must not be parallel.")
        if (2 * np.abs(cell).max(axis=0) > size).any():
            raise ValueError(
                f"image ({picture.values.shape[1]} x {picture.values.shape[0]} px) is smaller than "
                f"two cells of {vectors_text(cell / stretch)} px."
            )
        # With a column in the centre, the nearest columns are half a diagonal apart.
        return _cells.reduced([cell.sum(axis=0) / 2, (cell[0] - cell[1]) / 2]), cell
    width = None if cell is None else 0.11 * float(cell)
    found, widths = _cells.find_lattice(picture.values, picture.valid, stretch, width)
    if found is None or found.score < _PERIODIC * found.noise:
        best = (
            "none" if found is None else f"{found.score:.2f} with {vectors_text(found.vectors)} px"
        )
        raise ValueError(
            "No lattice was found in the image: its autocorrelation has no regular peaks at any of "
            f"the {len(widths)} band-passes tried ({_range(widths)} px wide; best mean "
            f"autocorrelation: {best}). Crop to the crystal, check that the image holds at least "
            "two cells each way, or pass cell= in pixels."
        )
    _logger.info(
        "The image repeats itself with the vectors %s px (mean autocorrelation %.2f).",
        vectors_text(found.vectors / stretch), found.score,
    )  # fmt: skip
    if cell is None:
        return found.vectors, None
    choices = [_cells.upright(found.vectors), *_cells.centred_cells(found.vectors)[:1]]
    edges = [np.sqrt(abs(np.linalg.det(choice))) for choice in choices]
    misfits = [abs(np.log(edge / float(cell))) for edge in edges]
    if min(misfits) > np.log(1.25):
        raise ValueError(
            f"cell={float(cell):g} px does not fit the lattice of the image, whose cells have "
            f"edges of {' or '.join(f'{edge:.4g}' for edge in edges)} px."
        )
    return found.vectors, choices[int(np.argmin(misfits))]


def _connect(
    positions: np.ndarray, heights: np.ndarray, vectors: np.ndarray, cell: np.ndarray | None
) -> _lattice.ColumnGraph:
    """Neighbours for the given cell, or for the cell that the columns ask for."""
    if cell is not None:
        return _lattice.connect(positions, cell)
    for centred in _cells.centred_cells(vectors)[:1]:
        graph = _lattice.connect(positions, centred)
        alternation, fewer = graph.alternation(heights), graph.share_of_fewer()
        if alternation > _ALTERNATING or fewer < _FEWER:
            _logger.info(
                "Columns on every other place of the lattice differ (alternation of heights %.2f, "
                "the rarer kind %.2f times as many): the cell has a centre.", alternation, fewer,
            )  # fmt: skip
            return graph
    return _lattice.connect(positions, _cells.upright(vectors))


def away_from_gaps(valid: np.ndarray, distance: float) -> np.ndarray:
    """Pixels whose surroundings were measured too."""
    side = 2 * int(np.ceil(distance)) + 1
    return minimum_filter(valid, size=side, mode="nearest")


def vectors_text(vectors: np.ndarray) -> str:
    """Two vectors for people to read."""
    return " and ".join(f"({x:.4g}, {y:.4g})" for x, y in vectors)


def _range(widths: list[float]) -> str:
    return f"{widths[0]:.3g}" if len(widths) == 1 else f"{min(widths):.3g} to {max(widths):.3g}"
