# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units: calibrated axes, lengths in picometres, angles in degrees.

Pint reads the units, with the registry that HyperSpy uses for its axes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from hs_rvae.checks import checked

# An axis in one of these, or without unit, counts pixels. Pint would take "px" for 1/96 inch.
_PIXELS = {"", "px", "pix", "pixel", "pixels", "<undefined>", "none"}
# Spellings of files that Pint does not know, or takes for another unit (A: ampere).
# Those of most images; Pint, which knows the others, takes a second to load.
_PICOMETRES = {"pm": 1.0, "nm": 1e3, "um": 1e6, "µm": 1e6, "mm": 1e9, "m": 1e12}
_ANGSTROM = {"a", "å", "ang", "angstrom", "angstroms", "ångström", "ångstrom"}


def text(unit: object) -> str:
    """
    A unit as text, "" where there is none or it is the pixel.

    Parameters
    ----------
    unit : object
        Unit of an axis; HyperSpy has an object of its own for "not defined".

    Returns
    -------
    str

    Examples
    --------
    >>> text("nm"), text("pixel"), text(None)
    ('nm', '', '')
    """
    unit = unit.strip() if isinstance(unit, str) else ""
    return "" if unit.lower() in _PIXELS else str(unit)


def is_calibrated(unit: object) -> bool:
    """
    Return True if lengths in this unit are more than a count of pixels.

    Examples
    --------
    >>> is_calibrated("nm"), is_calibrated("px"), is_calibrated("")
    (True, False, False)
    """
    return text(unit) != ""


def printed(unit: object) -> str:
    """
    The unit of an axis for a figure; "px" where the axis is not calibrated.

    Examples
    --------
    >>> printed("um"), printed("pixels")
    ('µm', 'px')
    """
    return text(unit).replace("um", "µm") or "px"


def picometres(unit: object) -> float | None:
    """
    Picometres in one unit of length; None if the unit is not a length.

    Examples
    --------
    >>> picometres("nm"), picometres("Å"), picometres("1/nm"), picometres("px")
    (1000.0, 100.0, None, None)
    """
    return _picometres(text(unit))


@lru_cache
def _picometres(unit: str) -> float | None:
    if unit.lower() in _ANGSTROM:
        return 100.0
    if not unit:
        return None
    if unit in _PICOMETRES:
        return _PICOMETRES[unit]
    import pint

    registry = pint.get_application_registry()
    try:
        length = registry.Quantity(1.0, unit).to("pm").magnitude
    except Exception:  # Pint has many: unknown, not a length, not an expression
        return None
    return float(f"{length:.12g}")


@checked
def length_scale(unit: str) -> tuple[float, str]:
    """
    Factor and unit for calibrated lengths: picometres where that is possible.

    Parameters
    ----------
    unit : str

    Returns
    -------
    factor : float
    unit : str
        "pm", or the unit as it is if it is not a length.

    Examples
    --------
    >>> length_scale("nm"), length_scale("1/nm")
    ((1000.0, 'pm'), (1.0, '1/nm'))
    """
    factor = picometres(unit)
    return (1.0, unit) if factor is None else (factor, "pm")


def length_ratio(unit: object, other: object) -> float | None:
    """
    Size of one unit of length in another; None if they cannot be compared.

    Examples
    --------
    >>> length_ratio("nm", "Å"), length_ratio("nm", "s")
    (10.0, None)
    """
    if text(unit) == text(other):
        return 1.0
    size, other_size = picometres(unit), picometres(other)
    return None if size is None or other_size is None else size / other_size


def is_angle(unit: object) -> bool:
    """
    Return True for the radian and the degree, the units of directions.

    Smaller units, such as mrad, measure tilts that never come round.

    Examples
    --------
    >>> is_angle("rad"), is_angle("°"), is_angle("mrad")
    (True, True, False)
    """
    return _degrees(unit) is not None


@checked
def in_radians(unit: str) -> bool:
    """Return True if angles in this unit are radians; "" is taken for radians."""
    return unit == "" or _degrees(unit) not in (None, 1.0)


@checked
def degrees(values: ArrayLike, unit: str) -> np.ndarray:
    """
    Angles in degrees; values in "" are taken for radians.

    Parameters
    ----------
    values : array-like of float
    unit : str

    Returns
    -------
    numpy.ndarray

    Examples
    --------
    >>> degrees([3.0], "deg"), degrees([0.0], "rad")
    (array([3.]), array([0.]))
    """
    return np.asarray(values, dtype=float) * (_degrees(unit) or 180 / np.pi)


@checked
def radians(values: ArrayLike, unit: str) -> np.ndarray:
    """
    Angles in radians; values in "" are taken for radians.

    Parameters
    ----------
    values : array-like of float
    unit : str

    Returns
    -------
    numpy.ndarray

    Examples
    --------
    >>> radians([180.0], "deg")
    array([3.14159265])
    """
    values = np.asarray(values, dtype=float)
    return values * (np.pi / 180) if _degrees(unit) == 1.0 else values


def _degrees(unit: object) -> float | None:
    """Degrees in an angle's unit, None for any other unit."""
    unit = unit.strip().lower() if isinstance(unit, str) else ""
    if unit in ("rad", "radian", "radians"):
        return 180 / np.pi
    return 1.0 if unit in ("deg", "degree", "degrees", "°") else None
