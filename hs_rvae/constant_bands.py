# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a picture that were not measured: data bars, frames, and corners filled after a turn.

They begin at the border of the picture, are constant to the last digit except for lettering, and
end along a straight line. Vacuum has noise, or ends where columns begin, not along a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_OUTERMOST = 0.5  # of the pixels of the outermost line that are the same
_LETTERING = 0.2  # of those of a line with lettering, which JPEG blurs
_CONSTANT = 0.98  # of those of a line of another value, such as a rule below the picture
_BLURRED = 0.15  # of the range of values: how far JPEG carries a pixel of the last line
_MAXIMUM_SHARE = 0.5  # of a picture: more is no band
_MINIMUM_LENGTH = 16  # px of a line, of what is left of a picture
_LINES_AFTER = 8  # lines after a band that are compared with its last
_CELL, _AGAIN = 64, 0.9  # px that hold a cell, and share of the constant pixels of its lines
_DROP, _AT_ONCE = 0.3, 0.7  # of the constant pixels after a band, and share of it in one line
_STRAIGHT = 0.9  # of the outline of a corner within a pixel of a straight line
_MINIMUM_AREA, _MINIMUM_SIDE = 32, 2  # px of area, and of the shorter side
_STEP, _STEP_AT_CORNER = 0.2, 0.5  # vacuum goes over into a crystal by degrees


@dataclass
class Bands:
    """Constant parts of one picture.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the picture.
    inner : tuple of int
        First and end of the rows, then of the columns, of what lies between the bands.
    turned : bool
        Corners inside `inner` are constant too.
    mask : numpy.ndarray of bool, shape (rows, columns), or None
        True where nothing was measured.
    """

    shape: tuple
    inner: tuple
    turned: bool
    mask: np.ndarray | None

    def __str__(self) -> str:
        top, bottom, left, right = self.inner
        counts = (
            (top, "row", "top"),
            (self.shape[0] - bottom, "row", "bottom"),
            (left, "column", "left"),
            (self.shape[1] - right, "column", "right"),
        )
        parts = [f"{n} {line}{'s' * (n > 1)} at the {side}" for n, line, side in counts if n]
        return ", ".join(parts + ["the corners"] * self.turned)


def describe(found: Sequence[Bands | None]) -> str:
    """
    Sentences about constant bands, with the remedy in the words of HyperSpy.

    Parameters
    ----------
    found : list of Bands or None
        Bands of an image, or of each frame of a series; None where there are none.

    Returns
    -------
    str
        Empty if there are none at all.
    """
    some = [bands for bands in found if bands is not None]
    if not some:
        return ""
    tops, bottoms, lefts, rights = zip(*(bands.inner for bands in some), strict=True)
    rows, columns = some[0].shape
    ranges = [(max(lefts), min(rights), columns), (max(tops), min(bottoms), rows)]
    crop = ", ".join(f"{first or ''}:{end if end < size else ''}" for first, end, size in ranges)
    remedy = "Set such pixels to NaN, or crop the image"
    if crop != ":, :":
        remedy = f"Crop the image with image.isig[{crop}]"
    subject, example = "image has", ""
    if len(found) > 1:
        subject = f"{len(some)} of {len(found)} frames have"
        example = f"in frame {found.index(some[0])} "
    return (
        f"{subject} constant parts where nothing was measured, such as a data bar: "
        f"{example}{some[0]}. {remedy}."
    )


def may_have_bands(outline: Sequence[np.ndarray]) -> bool:
    """
    Return True if the outermost lines of a picture suggest bands or constant corners.

    Parameters
    ----------
    outline : sequence of four numpy.ndarray
        First and last row, first and last column.

    Examples
    --------
    >>> may_have_bands([np.arange(30), np.zeros(30), np.arange(30), np.arange(30)])
    True
    """
    lines = [np.ravel(line) for line in outline]
    return any(
        np.mean(line == _middle(line)) >= _OUTERMOST
        or max(_length(line == line[0]), _length(line[::-1] == line[-1])) >= _MINIMUM_LENGTH
        for line in lines
    )


def find_bands(image: np.ndarray) -> Bands | None:
    """
    Find the constant bands and corners of a picture.

    Parameters
    ----------
    image : numpy.ndarray of shape (rows, columns)
        Real numbers.

    Returns
    -------
    Bands or None
        None if there are none, or nothing lies between them.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> picture = np.vstack([rng.integers(50, 200, (60, 80)), np.zeros((12, 80), int)])
    >>> bands = find_bands(picture)
    >>> str(bands), bands.inner
    ('12 rows at the bottom', (0, 60, 0, 80))
    """
    outline = image[:1], image[-1:], image[:, :1], image[:, -1:]
    if min(image.shape) < _MINIMUM_LENGTH or not may_have_bands(outline):
        return None
    bounds = [[0, image.shape[0]], [0, image.shape[1]]]
    found = True
    while found:
        found = False
        for axis, side in ((0, 0), (0, 1), (1, 0), (1, 1)):
            part = image[slice(*bounds[0]), slice(*bounds[1])]
            if min(part.shape) < _MINIMUM_LENGTH:
                return None
            lines, step = (part if axis == 0 else part.T), (1, -1)[side]
            number = _band(lines[::step])
            bounds[axis][side] += step * number
            found |= number > 0
    mask = np.ones(image.shape, bool)
    inner = tuple(slice(*each) for each in bounds)
    mask[inner] = False
    turned = False
    for flip in ((slice(None, None, y), slice(None, None, x)) for y in (1, -1) for x in (1, -1)):
        corner = _corner(image[inner][flip])
        if corner is not None:
            mask[inner][flip][tuple(map(slice, corner.shape))] |= corner
            turned = True
    if not mask.any():
        return None
    return Bands(image.shape, (*bounds[0], *bounds[1]), turned, mask)


def _band(lines: np.ndarray) -> int:
    """
    Count the first lines that are a band.

    Parameters
    ----------
    lines : array of shape (n, length)
        What is left of a picture, the outermost line first.

    Returns
    -------
    int
    """
    most = int(_MAXIMUM_SHARE * len(lines))
    values: list[Any] = []  # the constant value of each line
    shares: list[Any] = []  # its share of the pixels of the line
    for line in lines[:most]:
        value = _middle(line)
        share = np.mean(line == value)
        if values and share < _CONSTANT:
            value, share = values[-1], np.mean(line == values[-1])
        if share < _LETTERING or (not values and share < _OUTERMOST):
            break
        values.append(value)
        shares.append(share)
    # Lettering has ends of its own, and vacuum ends line by line: the last sudden end counts.
    for end in range(len(shares), 0, -1):
        value, share = values[end - 1], shares[end - 1]
        if share - np.mean(lines[end] == value) < _AT_ONCE * _DROP:
            continue
        after = np.mean(lines[end : end + _CELL] == value, axis=1)
        drop = np.mean(shares[max(end - _LINES_AFTER // 2, 0) : end]) - after[:_LINES_AFTER].mean()
        sudden = drop >= _DROP and share - after[0] >= _AT_ONCE * drop
        off = np.abs(lines[end - 1 : end + 2 * _LINES_AFTER] - np.float64(value))
        off = np.where(np.isfinite(off), off, 0)
        last, off = off[0], off[1:]
        plain = np.mean(last <= _BLURRED * off.max(initial=0)) >= _CONSTANT
        # Between the rows of columns of a clipped image there are such lines again and again.
        if plain and sudden and after.max() < _AGAIN and _step(off.mean(axis=1)) > _STEP:
            return end
    return 0


def _corner(part: np.ndarray) -> np.ndarray | None:
    """
    Mask of the constant triangle, or trapezium, that begins at the first pixel of a picture.

    Parameters
    ----------
    part : array of shape (rows, columns)

    Returns
    -------
    numpy.ndarray of bool, or None
        Mask of the rectangle around it; None if there is none.
    """
    value = part[0, 0]
    if not np.isfinite(value):
        return None
    if min(_length(line == value) for line in (part[0], part[:, 0])) < _MINIMUM_SIDE:
        return None
    mask = _below_a_line(part, value)
    if mask is None:
        mask = _below_a_line(part.T, value)
        mask = None if mask is None else mask.T
    return mask


def _below_a_line(part: np.ndarray, value: Any) -> np.ndarray | None:
    """Mask of the pixels of a value between the first line and one of 45 degrees or less."""
    width = _length(part[0] == value)
    if width < _MINIMUM_LENGTH:
        return None
    deepest = _length(part[:, 0] == value)
    block = part[: deepest + 2 * _LINES_AFTER, :width]
    depths = np.array([_length(column) for column in (block == value).T])
    width = int(np.argmin(depths)) + 1  # after a turn about its middle, it rises again
    block, depths, x = block[:, :width], depths[:width], np.arange(width)
    if width < _MINIMUM_LENGTH or depths.sum() < _MINIMUM_AREA:
        return None
    inner = slice(width // 10, -(width // 10))
    slope, start = np.polyfit(x[inner], depths[inner], 1)
    off = np.abs(start + slope * x - depths)
    if not -1.1 < slope < 0 or np.mean(off <= 1) < _STRAIGHT:
        return None
    rows = np.minimum(depths + np.arange(1, 2 * _LINES_AFTER)[:, None], len(block) - 1)
    off = np.median(np.abs(block[rows, x] - np.float64(value)), axis=1)
    if not _step(off) > _STEP_AT_CORNER:
        return None
    return np.arange(len(block))[:, None] < depths


def _step(off: np.ndarray) -> float:
    """Deviation of the first line after a band from its value, relative to lines further in."""
    return off[0] / max(np.median(off[_LINES_AFTER : 2 * _LINES_AFTER]), 1e-300)


def _middle(line: np.ndarray) -> Any:
    """The value that more than half of a line have, if one has; NaN if that is not finite."""
    value = np.partition(line, len(line) // 2)[len(line) // 2]
    return value if np.isfinite(value) else np.nan


def _length(constant: np.ndarray) -> int:
    """Count the first values that are True."""
    return int(np.argmin(np.append(constant, False)))
