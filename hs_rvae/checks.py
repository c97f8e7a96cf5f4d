# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of arguments that many functions share."""

import numpy as np


def is_whole_number(value: object, minimum: int = 1) -> bool:
    """
    Return True for an integer that reaches a minimum; booleans do not count.

    Examples
    --------
    >>> is_whole_number(3), is_whole_number(np.int64(0)), is_whole_number(2.0)
    (True, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return bool(value >= minimum)


def finite_number(value: object, minimum: float = -np.inf, maximum: float = np.inf) -> bool:
    """
    Return True for a real number within limits; booleans, NaN and infinity do not count.

    Examples
    --------
    >>> finite_number(0.5), finite_number(np.float32(2), maximum=1), finite_number("0.5")
    (True, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(np.isfinite(value) and minimum <= value <= maximum)


def whole_number(value: object, name: str, minimum: int = 1, alternative: str = "") -> int:
    """
    Refuse anything but a whole number.

    Parameters
    ----------
    value : object
    name : str
        Name of the argument, for the message.
    minimum : int
    alternative : str
        Other values that the caller accepts, for the message: ``" or 'auto'"``.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is not an integer, or below the minimum.

    Examples
    --------
    >>> whole_number(np.int64(3), "n_frames")
    3
    >>> whole_number(0.5, "n_frames")
    Traceback (most recent call last):
    ValueError: n_frames=0.5: give a whole number of 1 or more.
    """
    if not is_whole_number(value, minimum):
        raise ValueError(
            f"{name}={value!r}: give a whole number of {minimum} or more{alternative}."
        )
    return int(value)  # type: ignore[call-overload]
