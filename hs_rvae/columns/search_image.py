# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that columns are searched in: checked, in memory, with its scales."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import parent_image as _parent_image
from ..constant_bands import Bands, describe, find_bands
from ..masked_arrays import filled
from ..threads import side_by_side

_logger = logging.getLogger(__name__)

_SMALLEST = 16  # px
_FOR_ATOMAP = {"b1": np.uint8, "f2": np.float32}  # it cannot work with these types
_LIMIT = 5.0  # in distances of the 99.5th percentile from the median: columns stay far below
_ROWS = 64  # that are worked on at a time, in the fast memory


@dataclass
class Picture:
    """One image in memory.

    Attributes
    ----------
    raw : numpy.ndarray of shape (rows, columns)
        As measured, a copy.
    values : numpy.ndarray of float32, shape (rows, columns)
        The same for the search: shifted and scaled, zero where nothing was measured, single bright
        or dark specks cut off.
    valid : numpy.ndarray of bool or None
        Where values are finite and were measured; None if everywhere.
    bands : Bands or None
        Constant bands, such as a data bar, where nothing was measured.
    scale : tuple of float
        Size (x, y) of a pixel.
    units : str
        Unit of the scale; "pixel" without calibration, as Atomap has it.
    stretch : numpy.ndarray of shape (2,)
        Size (x, y) of a pixel in units in which its area is 1.
    enlarged : int
        Pixels along the side of one that was recorded: more than 1 where a picture was enlarged by
        repeating its pixels.
    """

    raw: np.ndarray
    values: np.ndarray
    valid: np.ndarray | None
    scale: tuple
    units: str
    stretch: np.ndarray
    bands: Bands | None = None
    enlarged: int = 1

    @property
    def measured(self) -> np.ndarray:
        """The image with NaN where it has constant bands."""
        if self.bands is None or self.bands.mask is None:
            return self.raw
        return np.where(self.bands.mask, np.nan, self.raw)

    @classmethod
    def of(cls, image: Any, calibration: tuple[tuple[float, float], str] | None = None) -> Picture:
        """Check a signal or an array and load it; `calibration` of an array: scale and units."""
        data = _parent_image.image_data(image)
        if hasattr(data, "compute"):
            data = filled(data.compute())
        # A copy: the lattice must not change with the user's image, nor the image with the lattice.
        raw = np.array(data, dtype=_FOR_ATOMAP.get(data.dtype.kind + str(data.dtype.itemsize)))
        raw = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        if not raw.size:
            raise ValueError(f"image is empty: its shape is {raw.shape}.")
        if min(raw.shape) < _SMALLEST:
            raise ValueError(
                f"image ({raw.shape[1]} x {raw.shape[0]} px) is too small to hold two cells: at "
                f"least {_SMALLEST} pixels each way are needed."
            )
        finite = np.isfinite(raw)
        valid = None if finite.all() else finite
        if valid is not None and not valid.any():
            raise ValueError("image has no finite pixel: all values are NaN or infinite.")
        bands = find_bands(raw)
        if bands is not None and bands.mask is not None:
            valid = finite & ~bands.mask
        values = _standardised(raw, valid)
        scale, units = calibration or _parent_image.calibration(image)
        ratio = np.sqrt(abs(scale[0] / scale[1]))
        stretch = np.array([ratio, 1 / ratio])
        enlarged = _enlargement(raw)
        if enlarged > 1:
            _logger.info("The picture was enlarged: about %d equal pixels side by side.", enlarged)
        return cls(raw, values, valid, scale, units or "pixel", stretch, bands, enlarged)


def _enlargement(raw: np.ndarray) -> int:
    """Length of the runs of equal rows and columns, rounded up; 1 in an image as recorded."""
    runs = []
    for axis in (0, 1):
        lines = raw if axis == 0 else raw.T
        # A data bar must not hide it, nor a constant region show it.
        part = lines[:, lines.shape[1] // 4 : max(3 * lines.shape[1] // 4, 1)]
        # Most rows differ in a few pixels already.
        few = slice(None, None, max(part.shape[1] // 16, 1))
        equal = np.flatnonzero((part[1:, few] == part[:-1, few]).all(axis=1))
        count = int((part[equal + 1] == part[equal]).all(axis=1).sum())
        runs.append(len(lines) / max(len(lines) - 1 - count, 1))
    return int(np.ceil(min(runs) - 0.05)) if min(runs) > 1.5 else 1


def _standardised(raw: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Values as float32 with median 0, most of them within 1, all within `_LIMIT`."""
    inside = raw.ravel() if valid is None else raw[valid]
    if inside.min() == inside.max():
        raise ValueError(f"image is constant ({inside[0]:g}): there are no columns in it.")
    sample = inside[:: max(1, inside.size // 1_000_000)].astype(np.float64)
    low, middle, high = np.percentile(sample, [0.5, 50, 99.5])
    spread = max(high - middle, middle - low)
    if not spread > 0:
        middle, spread = sample.mean(), max(sample.std(), np.ptp(sample) / _LIMIT)
    values = np.empty(raw.shape, np.float32)

    def work(first: int) -> None:
        rows = slice(first, first + _ROWS)
        # In double precision: a large offset must not cost the digits that show columns.
        some = raw[rows].astype(np.float64)
        some -= middle
        some /= spread
        if valid is not None:
            some[~valid[rows]] = 0
        values[rows] = np.clip(some, -_LIMIT, _LIMIT, out=some)

    for _ in side_by_side(work, range(0, len(raw), _ROWS)):
        pass
    return values


def warn_of_bands(found: Sequence[Bands | None]) -> None:
    """Warn of constant bands, of an image or of the frames of a series."""
    if text := describe(found):
        _logger.warning("%s There no columns are looked for.", text)
