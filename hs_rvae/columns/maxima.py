# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maxima of an image, and the lattice they ask for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial import cKDTree

from ..checks import shown
from . import autocorrelation as _cells
from . import cell_choice as _choice
from . import peaks as _peaks
from .search_image import Picture
from .translations import connect

_logger = logging.getLogger(__name__)

_BAND = 0.14  # width of the band-pass, in shortest lattice vectors: columns are 0.11 cells wide
_NOISE = 4.0  # standard deviations that a maximum must stand out from the noise
_SEPARATION = 2.85  # widths of the band-pass between two maxima
_OTHER_SCALE = 1.9  # ratio of the shortest vectors of lattices of different scales
_NEARLY = 0.75  # of the share of maxima that the best scale explains
_LARGE = 8.0  # columns of a cell that the grains of an image may have nearly in common
_FINER = 1.3  # ratio of the distance of columns and a lattice vector that is none
_MAY_BE_FEW = 100  # columns, too few of which may have neighbours around them
_WIDTH_LEFT = 1.5  # px, of the band-pass after pixels are joined
_FEW_PIXELS, _TOO_FEW_PIXELS = 8.0, 5.0  # between nearest columns


@dataclass
class Maxima:
    """Maxima of an image that stand out, and the lattice they ask for.

    Attributes
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in units in which pixels are square.
    heights : numpy.ndarray of shape (n,)
        In the band-passed image.
    faint : numpy.ndarray of shape (m, 2)
        Maxima that do not stand out.
    cell : numpy.ndarray of shape (2, 2)
        Lattice vectors; the first candidate until one is chosen.
    distance : float
        Distance of nearest columns.
    width : float
        Width of the band-pass.
    dark : bool
        Columns are dark on a bright background.
    undecided : bool
        There are too few columns to decide whether kinds alternate at one place of the cell.
    mixed : bool
        Heights repeat after several cells, and the cell could not be enlarged to that.
    noise : numpy.ndarray of shape (n,)
        Standard deviation of the noise of the band-passed image at the positions.
    probability : numpy.ndarray of shape (n,) or None
        Probability of a column, where a network found them.
    labels : numpy.ndarray of str, shape (n,), or None
        Classes, where the network has some.
    """

    positions: np.ndarray
    heights: np.ndarray
    faint: np.ndarray
    cell: np.ndarray
    distance: float
    width: float
    dark: bool
    noise: np.ndarray
    undecided: bool = False
    mixed: bool = False
    probability: np.ndarray | None = None
    labels: np.ndarray | None = None


#: Finds the columns of an image that may have some lattices: a function of the image and of these.
Finder = Callable[[Picture, list[np.ndarray]], Maxima]


def find_maxima(
    picture: Picture,
    cell: Any,
    dark: bool | None,
    threshold: float,
    separation: float | None,
    finder: Finder | None = None,
) -> Maxima:
    """
    Find the maxima of an image, and the smallest cell with one kind at every place.

    Parameters
    ----------
    picture : Picture
    cell, dark, threshold, separation
        As in :func:`find_sublattices`.
    finder : callable, optional
        Finds the columns instead.

    Returns
    -------
    Maxima

    Raises
    ------
    ValueError
        If the image shows no lattice or fewer than three maxima, or the cell does not fit.
    """
    candidates, given = lattice_candidates(picture, cell)
    if finder is not None:
        maxima = finder(picture, candidates)
        own = [each for each in candidates if _shortest([each]) * _FINER > maxima.distance]
        return _choose(picture, maxima, own or candidates, given)
    candidates = _of_one_scale(picture, candidates, dark, threshold)
    maxima = _with_cell(picture, candidates, given, dark, threshold, separation)
    columns = [each for each in candidates if _shortest([each]) * _FINER > maxima.distance]
    if given is None and columns and len(columns) < len(candidates):
        # Vectors much shorter than the distance of columns are noise, seen with a band-pass for it.
        maxima = _with_cell(picture, columns, None, dark, threshold, separation)
    return maxima


def _shortest(candidates: list[np.ndarray]) -> float:
    return float(min(np.linalg.norm(each, axis=1).min() for each in candidates))


def _with_cell(
    picture: Picture,
    candidates: list[np.ndarray],
    given: np.ndarray | None,
    dark: bool | None,
    threshold: float,
    separation: float | None,
) -> Maxima:
    """Find maxima for some lattices, and choose the cell."""
    shortest = _shortest(candidates)
    maxima = maxima_of(picture, candidates, shortest, dark, threshold, separation)
    if len(maxima.positions) < 3:
        raise ValueError(
            f"{len(maxima.positions)} maxima stand out from the image: they do not form a lattice. "
            f"Pass cell=, dark= or a lower threshold than {threshold:g}."
        )
    return _choose(picture, maxima, candidates, given)


def _choose(
    picture: Picture, maxima: Maxima, candidates: list[np.ndarray], given: np.ndarray | None
) -> Maxima:
    """Choose the cell of maxima."""
    if given is not None:
        chosen = given
    else:
        chosen, joined = _choice.choose_cell(
            candidates, maxima.positions, maxima.heights, maxima.distance
        )
        large = abs(np.linalg.det(chosen)) > _LARGE * maxima.distance**2
        several = large or joined < _choice.ONE_GRAIN
        if several:
            local = candidates_of_tiles(picture, maxima) + _candidates_of_whole(picture, maxima)
            if local:
                chosen, _ = _choice.choose_cell(
                    local + candidates, maxima.positions, maxima.heights, maxima.distance
                )
    maxima.cell = _cells.upright(chosen)
    # Shorter vectors of other candidates do not count.
    shortest = float(np.linalg.norm(_cells.reduced(chosen)[0]))
    maxima.distance = nearest_distance(maxima.positions, shortest)
    if given is None and len(maxima.positions) < _MAY_BE_FEW:
        reach = 0.4 * maxima.distance
        maxima.undecided = connect(maxima.positions, maxima.cell, reach).few_to_order()
    if given is None:
        maxima.mixed = _choice.mixes_kinds(
            maxima.positions, maxima.heights, maxima.cell, maxima.distance
        )
    return maxima


def nearest_distance(positions: np.ndarray, shortest: float) -> float:
    """Distance of nearest columns, no more than the shortest lattice vector."""
    if len(positions) < 3:
        return shortest
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    # Some maxima of noise stand nearer to columns than columns do.
    return min(float(np.quantile(nearest, 0.3)), shortest)


def candidates_of_tiles(
    picture: Picture, maxima: Maxima, valid: np.ndarray | None = None
) -> list[np.ndarray]:
    """Lattices of parts of an image: of single grains, perhaps, where the whole has several."""
    valid = picture.valid if valid is None else valid
    found: list[np.ndarray] = []
    for parts in (2, 3):
        steps = [np.linspace(0, n * (1 - 1 / parts), 2 * parts - 1).astype(int)
                 for n in picture.values.shape]  # fmt: skip
        for row in steps[0]:
            for column in steps[1]:
                tile = (
                    slice(row, row + min(picture.values.shape[0] // parts, 1024)),
                    slice(column, column + min(picture.values.shape[1] // parts, 1024)),
                )
                inside = None if valid is None else valid[tile]
                if inside is not None and inside.mean() < 0.3:
                    continue
                for each in _cells.candidate_lattices(
                    picture.values[tile], inside, picture.stretch, maxima.width
                )[0]:
                    if not any(_cells.same_lattice(each.vectors, other) for other in found):
                        found.append(each.vectors)
    return found


def _candidates_of_whole(picture: Picture, maxima: Maxima) -> list[np.ndarray]:
    """
    Lattices of a large image with large columns: their cells may not fit into a tile twice.

    Pixels are joined, so that the image is one tile, as far as the columns allow.
    """
    side = max(picture.values.shape) / _cells.TILE
    step = int(min(np.ceil(side), maxima.width / picture.stretch.max() / _WIDTH_LEFT))
    if step < 2:
        return []
    rows, columns = (n // step for n in picture.values.shape)
    blocks = (rows, step, columns, step)
    values = picture.values[: rows * step, : columns * step].reshape(blocks).mean(axis=(1, 3))
    valid = picture.valid
    if valid is not None:
        valid = valid[: rows * step, : columns * step].reshape(blocks).min(axis=(1, 3))
    found = _cells.candidate_lattices(values, valid, picture.stretch, maxima.width / step)[0]
    return [each.vectors * step for each in found]


def _of_one_scale(
    picture: Picture, candidates: list[np.ndarray], dark: bool | None, threshold: float
) -> list[np.ndarray]:
    """
    Leave out lattices much finer than that of the columns: texture, or pixels made up by a program.

    Each scale is judged by the maxima of its own band-pass, in the middle of the image.
    """
    candidates = sorted(candidates, key=lambda vectors: np.linalg.norm(vectors, axis=1).min())
    lengths = np.array([np.linalg.norm(vectors, axis=1).min() for vectors in candidates])
    breaks = np.flatnonzero(lengths[1:] > _OTHER_SCALE * lengths[:-1]) + 1
    if not len(breaks):
        return candidates
    rows, columns = (slice(max(n // 2 - 512, 0), n // 2 + 512) for n in picture.values.shape)
    valid = None if picture.valid is None else picture.valid[rows, columns]
    if valid is not None and not valid.any():
        return candidates
    part = replace(picture, values=picture.values[rows, columns], valid=valid)
    shares, scales = [], []
    for group in np.split(np.arange(len(candidates)), breaks):
        chosen = [candidates[k] for k in group]
        maxima = maxima_of(part, chosen, lengths[group[0]], dark, threshold, None)
        scales.append((maxima, chosen, lengths[group[-1]] * _OTHER_SCALE))
        shares.append(_share_explained(maxima, chosen))
    for k, (maxima, chosen, longest) in enumerate(scales):
        if shares[k] < _NEARLY * max(shares) and len(maxima.positions) > 2:
            # Turned grains have a coarser lattice nearly in common; the image repeats itself by it.
            tiles = [
                each for each in candidates_of_tiles(part, maxima)
                if np.linalg.norm(each, axis=1).min() < longest
            ]  # fmt: skip
            shares[k] = _share_explained(maxima, chosen + tiles)
            if shares[k] >= _NEARLY * max(shares):
                return chosen + tiles + candidates[([0, *breaks])[k] :]
        if shares[k] >= _NEARLY * max(shares):
            return candidates[([0, *breaks])[k] :]
    return candidates


def _share_explained(maxima: Maxima, candidates: list[np.ndarray]) -> float:
    """Share of the maxima that a lattice joins, in all its orientations among the candidates."""
    if len(maxima.positions) < 3:
        return 0.0
    return _choice.share_of_shapes(candidates, maxima.positions, maxima.heights, maxima.distance)


def maxima_of(
    picture: Picture,
    candidates: list[np.ndarray],
    shortest: float,
    dark: bool | None,
    threshold: float,
    separation: float | None,
) -> Maxima:
    """Find the maxima that stand out, in the band-pass that suits columns of such lattices."""
    stretch = picture.stretch
    values = picture.values
    if picture.valid is not None:
        values = _peaks.filled(values, picture.valid, shortest)
    area = min(abs(np.linalg.det(each)) for each in candidates)
    width = _BAND * shortest
    if dark is None:
        middle = tuple(slice(max(n // 2 - 700, 0), n // 2 + 700) for n in values.shape)
        dark = _peaks.are_dark(_peaks.band_passed(values[middle], width, stretch))
        _logger.info("Columns are %s than their surroundings.", "darker" if dark else "brighter")
    width = _peaks.column_width(values, area, width, stretch, dark, picture.enlarged)
    passed = _peaks.band_passed(values, width, stretch)
    if dark:
        passed *= -1
    if separation is None:
        separation = _SEPARATION * width
        _logger.info("Maxima closer than %.3g px count as one column.", separation)
    separation = float(separation)
    measured = None if picture.valid is None else away_from_gaps(picture.valid, 0.15 * shortest)
    positions, heights = _peaks.local_maxima(passed, separation, stretch, measured)
    del passed
    noise = _peaks.noise_of_band_pass(
        values, positions, width, int(2 * shortest) + 1, picture.enlarged
    )
    size = values.size if picture.valid is None else picture.valid.sum()
    typical = _peaks.typical_height(heights, size / area)
    clear = heights > np.maximum(_NOISE * noise, threshold * typical)
    positions = positions * stretch
    distance = nearest_distance(positions[clear], shortest)
    return Maxima(
        positions[clear], heights[clear], positions[~clear], candidates[0], distance, width, dark,
        noise[clear],
    )  # fmt: skip


def band_pass_at(
    picture: Picture, x: np.ndarray, y: np.ndarray, spacing: float, dark: bool
) -> tuple[float, np.ndarray, np.ndarray]:
    """
    Heights of known columns in the band-passed image.

    Parameters
    ----------
    picture : Picture
    x, y : numpy.ndarray of int, shape (n,)
        Pixels of the columns.
    spacing : float
        Distance of nearest columns.
    dark : bool

    Returns
    -------
    width : float
        Width of the band-pass.
    heights, noise : numpy.ndarray, shape (n,)
        Largest value within a pixel, and the standard deviation of the noise.
    """
    values = picture.values
    if picture.valid is not None:
        values = _peaks.filled(values, picture.valid, spacing)
    width = _BAND * spacing
    passed = _peaks.band_passed(values, width, picture.stretch)
    if dark:
        passed *= -1
    heights = maximum_filter(passed, size=3)[y, x].astype(np.float64)
    noise = _peaks.noise_of_band_pass(
        values, np.stack([x, y], 1), width, int(2 * spacing) + 1, picture.enlarged
    )
    return width, heights, noise


def check_sampling(distance: float, radius: float | None) -> list[str]:
    """
    Refuse images with too few pixels between columns, warn of those with few.

    Parameters
    ----------
    distance : float
        Distance of nearest columns, in pixels.
    radius : float or None
        Radius of the fits, if it was given.

    Returns
    -------
    list of str
        Warnings, which were logged.

    Raises
    ------
    ValueError
        Below 5 px, unless a radius is given.
    """
    if distance < _TOO_FEW_PIXELS and radius is None:
        raise ValueError(
            f"The columns are only {distance:.3g} px apart, and {_TOO_FEW_PIXELS:g} are needed: "
            "enlarge the image, as with scipy.ndimage.zoom(image, 2). Pass radius=2 to fit them as "
            "they are, or cell= if this is not their distance."
        )
    if distance < _FEW_PIXELS:
        text = (
            f"The columns are only {distance:.3g} px apart: below {_FEW_PIXELS:g} px, neighbours "
            "pull at the positions of each other. A finer scan is better."
        )
        _logger.warning("%s", text)
        return [text]
    return []


def lattice_candidates(picture: Picture, cell: Any) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Lattices that the image may have, and the one that was asked for with `cell`."""
    stretch = picture.stretch
    if cell is not None:
        cell = _checked_cell(cell, picture)
    if cell is not None and cell.shape == (2, 2):
        cell = _cells.upright(cell * stretch)
        return [cell], cell
    width = None if cell is None else 0.11 * float(cell)
    found, widths = _cells.candidate_lattices(
        picture.values, picture.valid, stretch, width, 0.9 * picture.enlarged
    )
    if not found:
        best = _cells.find_lattice(picture.values, picture.valid, stretch, width)[0]
        text = "none" if best is None else f"{best.score:.2f} with {vectors_text(best.vectors)} px"
        raise ValueError(
            "No lattice was found in the image. Crop to the crystal, check that the image holds at "
            "least two cells each way, or pass cell= in pixels. (The autocorrelation has no "
            f"regular peaks at any of the {len(widths)} band-passes tried, {_range(widths)} px "
            f"wide; best mean autocorrelation: {text}.)"
        )
    _logger.info(
        "The image repeats itself with the vectors %s px (mean autocorrelation %.2f).",
        vectors_text(found[0].vectors / stretch), found[0].score,
    )  # fmt: skip
    vectors = [each.vectors for each in found]
    if cell is None:
        return vectors, None
    choices = [_cells.upright(each) for each in vectors]
    choices += _cells.centred_cells(vectors[0])[:1]
    edges = [np.sqrt(abs(np.linalg.det(choice))) for choice in choices]
    misfits = [abs(np.log(edge / float(cell))) for edge in edges]
    if min(misfits) > np.log(1.25):
        listed = " or ".join(f"{edge:.4g}" for edge in sorted({float(f"{e:.4g}") for e in edges}))
        raise ValueError(
            f"cell={float(cell):g} px does not fit the lattice of the image, whose cells have "
            f"edges of {listed} px."
        )
    return vectors, choices[int(np.argmin(misfits))]


def usable_cell(cell: Any) -> np.ndarray:
    """
    Refuse anything but a length, or two vectors (x, y).

    Parameters
    ----------
    cell : object

    Returns
    -------
    numpy.ndarray, shape () or (2, 2)

    Raises
    ------
    ValueError
        Names the cell.
    """
    try:
        values = np.asarray(np.nan if isinstance(cell, str | bytes | bool) else cell, float)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    usable = np.isfinite(values).all() and (values > 0 if values.shape == () else values.any())
    if values.shape not in ((), (2, 2)) or not usable:
        raise ValueError(
            f"cell must be a length or two vectors (x, y), in pixels, not {shown(cell)}."
        )
    return values


def _checked_cell(cell: Any, picture: Picture) -> np.ndarray:
    """A length or two vectors as an array."""
    stretch = picture.stretch
    size = np.array(picture.values.shape[::-1]) * stretch
    cell = usable_cell(cell)
    if cell.shape == (2, 2):
        vectors = cell * stretch
        area = abs(np.linalg.det(vectors))
        if area < 0.1 * np.prod(np.linalg.norm(vectors, axis=1)):
            raise ValueError(f"cell={vectors_text(cell)}: the two vectors must not be parallel.")
        if (2 * np.abs(vectors).max(axis=0) > size).any():
            raise ValueError(
                f"image ({picture.values.shape[1]} x {picture.values.shape[0]} px) is smaller than "
                f"two cells of {vectors_text(cell)} px."
            )
    return cell


def away_from_gaps(valid: np.ndarray, distance: float) -> np.ndarray:
    """Pixels whose surroundings were measured too."""
    side = 2 * int(np.ceil(distance)) + 1
    return minimum_filter(valid, size=side, mode="nearest")


def vectors_text(vectors: np.ndarray) -> str:
    """Two vectors for people to read."""
    return " and ".join(f"({x:.4g}, {y:.4g})" for x, y in vectors)


def _range(widths: list[float]) -> str:
    return f"{widths[0]:.3g}" if len(widths) == 1 else f"{min(widths):.3g} to {max(widths):.3g}"
