# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variants of order parameters other than the displacement."""

from __future__ import annotations

import numpy as np

from hs_rvae.variants import AngleGroups, from_first, measured_groups


def groups_of_labels(angle: np.ndarray, label: np.ndarray, fold: int) -> AngleGroups:
    """Groups of angles that have labels already.

    Parameters
    ----------
    angle : numpy.ndarray, shape (n,)
        In radians, known up to turns of 360 / fold degrees; NaN where there is none.
    label : numpy.ndarray of int, shape (n,)
        Group of each, -1 = none.
    fold : int

    Returns
    -------
    AngleGroups
        Directions are NaN for groups without angles.

    Examples
    --------
    >>> angle = np.radians([88.0, -88.0, 1.0, -1.0])
    >>> np.degrees(groups_of_labels(angle, np.array([1, 1, 0, 0]), 2).centres).round(3)
    array([ 0., 90.])
    """
    centres, precision, widths = np.array(measured_groups(fold * angle, label)) / fold
    centres = from_first(centres, fold)
    sizes = np.bincount(label[label >= 0], minlength=len(centres))
    shares = sizes / max(sizes.sum(), 1)
    none = float((label < 0).mean())
    evidence = (np.nan,) * 4
    return AngleGroups(centres, widths, shares, precision, none, *evidence, fold=fold)
