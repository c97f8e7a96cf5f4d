# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions of an image in the scan of another signal, through their calibrated axes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from hs_rvae.sites import units as _units

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageGrid:
    """Calibration of the image that positions belong to.

    Attributes
    ----------
    pixel_size, pixel_offset : tuple of float
        Scale and offset of x and y.
    unit : str
        Unit of both axes, "" or "px" without calibration.
    shape : tuple of int, optional
        Rows and columns, where they are known.
    """

    pixel_size: tuple[float, float]
    pixel_offset: tuple[float, float]
    unit: str
    shape: tuple[int, int] | None


@dataclass(frozen=True)
class Scan:
    """The scan of a signal: its pixels and their calibration.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    scale, offset : numpy.ndarray of shape (2,)
        Values of x and y.
    unit : str
        Unit of both axes, "" without calibration.
    """

    shape: tuple[int, int]
    scale: np.ndarray
    offset: np.ndarray
    unit: str


def scan_of(signal: Any) -> Scan:
    """
    Find the scan of a signal: its two navigation axes, or both axes of an image.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal
        ``(x, y | ...)``, or an image ``(|x, y)``.

    Returns
    -------
    Scan

    Raises
    ------
    TypeError
        If it is not a signal, or its values are complex or colours.
    ValueError
        If it has other axes, or they are not uniform.
    """
    axes = getattr(signal, "axes_manager", None)
    if axes is None:
        what = f"a list of {len(signal)}" if isinstance(signal, list | tuple) else "a"
        raise TypeError(
            f"signal is {what} {type(signal[0] if what != 'a' else signal).__name__}: pass one "
            "HyperSpy signal of the same scan, such as a spectrum image (x, y | E)."
        )
    if signal.data.dtype.kind not in "iufb":
        raise TypeError(
            f"signal has the dtype {signal.data.dtype}, whose means have no use here: take real "
            "numbers first, for example signal.real, signal.amplitude or one colour channel."
        )
    pair = axes.navigation_axes
    if axes.navigation_dimension == 0 and axes.signal_dimension == 2:
        pair = axes.signal_axes
    elif axes.navigation_dimension != 2:
        names = ", ".join(str(axis.name) for axis in axes.navigation_axes) or "none"
        raise ValueError(
            f"signal={signal!r}: its navigation axes ({names}) are not the x and y of a scan. "
            "Bring the scan there with signal.transpose(navigation_axes=[...]), or choose one "
            "scan of several with inav."
        )
    if not all(axis.is_uniform for axis in pair):
        raise ValueError(
            "signal has a scan axis that is not uniform: interpolate_on_axis makes it uniform."
        )
    x, y = pair
    ratio = _units.length_ratio(y.units, x.units)
    if ratio is None:
        raise ValueError(
            f"signal has scan axes in different units ({_units.printed(x.units)} along x, "
            f"{_units.printed(y.units)} along y): give both the same."
        )
    return Scan(
        (y.size, x.size),
        np.array([x.scale, y.scale * ratio], float),
        np.array([x.offset, y.offset * ratio], float),
        _units.text(x.units),
    )


def transform(grid: ImageGrid, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """
    Factor and shift of x and y from the pixels of an image to those of a scan.

    Parameters
    ----------
    grid : ImageGrid
    scan : Scan

    Returns
    -------
    factor, shift : numpy.ndarray of shape (2,)
        ``placed = positions * factor + shift``, in scan pixels.

    Raises
    ------
    ValueError
        If the two calibrations cannot be compared.
    """
    if _units.is_calibrated(grid.unit) and _units.is_calibrated(scan.unit):
        ratio = _units.length_ratio(grid.unit, scan.unit)
        if ratio is None:
            raise ValueError(
                f"signal has scan axes in {scan.unit}, the image of the sites has axes in "
                f"{grid.unit}: they are not lengths of one kind. Set the units of "
                "signal.axes_manager.navigation_axes."
            )
        size, offset = np.array(grid.pixel_size), np.array(grid.pixel_offset)
        return size * ratio / scan.scale, (offset * ratio - scan.offset) / scan.scale
    if grid.shape is not None and tuple(grid.shape) == scan.shape:
        which = "signal has" if not _units.is_calibrated(scan.unit) else "image of the sites has"
        _logger.info("The %s no calibrated scan axes: positions are taken pixel for pixel.", which)
        return np.ones(2), np.zeros(2)
    known = "of unknown size" if grid.shape is None else f"{grid.shape[1]} x {grid.shape[0]} px"
    raise ValueError(
        f"signal has a scan of {scan.shape[1]} x {scan.shape[0]} px "
        f"({_units.printed(scan.unit)}), the image of the sites is {known} "
        f"({_units.printed(grid.unit)}): without lengths on both sides, only scans of the same "
        "size can be compared. Set scale, offset and units of both."
    )


def place(positions: np.ndarray, grid: ImageGrid, scan: Scan) -> np.ndarray:
    """
    Positions of an image in the pixels of a scan.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels of the image.
    grid : ImageGrid
    scan : Scan

    Returns
    -------
    numpy.ndarray of shape (n, 2)
        ``(x, y)`` in scan pixels; pixel centres are whole numbers.

    Raises
    ------
    ValueError
        If the two calibrations cannot be compared, or no position lies in the scan.
    """
    factor, shift = transform(grid, scan)
    placed = np.asarray(positions, float) * factor + shift
    size = np.array(scan.shape[::-1])
    inside = ((placed > -0.5) & (placed < size - 0.5)).all(axis=1)
    if not inside.any():
        low, high = np.nanmin(placed, axis=0), np.nanmax(placed, axis=0)
        raise ValueError(
            f"signal has a scan of {size[0]} x {size[1]} px and none of the {len(placed)} sites "
            f"lies in it: they are at x = {low[0]:.0f} to {high[0]:.0f}, y = {low[1]:.0f} to "
            f"{high[1]:.0f} scan pixels. Check scale, offset and units of its axes."
        )
    return placed
