# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variants of order parameters other than the displacement."""

from __future__ import annotations

import numpy as np

from hs_rvae.domains.lattice import site_lattice
from hs_rvae.variants import (
    AngleGroups,
    from_first,
    groups_among_neighbours,
    measured_groups,
)


def among_neighbours(
    groups: dict[str, tuple[np.ndarray, np.ndarray]], xy: np.ndarray, strata: np.ndarray | None
) -> dict[str, np.ndarray]:
    """
    Groups of sites from their own values and those of their lattice neighbours, by name.

    Parameters
    ----------
    groups : dict of str to tuple of numpy.ndarray, shape (n, k) and (k,)
        Scores of the groups, NaN for sites without, and shares of the groups.
    xy : numpy.ndarray, shape (n, 2)
        Positions in px.
    strata : numpy.ndarray of int, shape (n,), or None
        Number of the image or frame of each site.

    Returns
    -------
    dict of str to numpy.ndarray of int, shape (n,)
        -1 = none. Where the sites of an image are on no lattice, their own values alone count.
    """
    if not groups:
        return {}
    strata = np.zeros(len(xy), int) if strata is None else strata
    found = {name: np.full(len(xy), -1) for name in groups}
    for stratum in np.unique(strata):
        own = (strata == stratum) & np.isfinite(xy).all(axis=1)
        for name, (scores, shares) in groups.items():
            rows = np.flatnonzero(own & np.isfinite(scores).all(axis=1))
            if len(rows):
                lattice = site_lattice(xy[rows])
                steps = []
                if lattice is not None:
                    steps = [lattice.along(kind) for kind in range(len(lattice.steps))]
                found[name][rows] = groups_among_neighbours(scores[rows], shares, steps)
    return found


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
