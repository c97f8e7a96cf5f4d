# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels of a scan that belong to each site: nearest pixel, disk, ring or cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from hs_rvae.checks import finite_number, is_whole_number
from hs_rvae.neighbours import nearest_neighbour_distance
from hs_rvae.regions.placing import Scan

#: Radius at which cells without neighbours end, in nearest-neighbour distances of the lattice.
CELL_LIMIT = 0.75


@dataclass(frozen=True)
class Regions:
    """Pixels of each site.

    Attributes
    ----------
    members : scipy.sparse.csr_matrix of shape (n_sites, n_pixels)
        1 for each pixel of a site, rows of the scan one after the other; empty for sites that are
        left out.
    complete : numpy.ndarray of bool, shape (n_sites,)
        False where the region leaves the scan or its centre is unknown.
    overlap : float
        Share of the pixels in regions that belong to two or more.
    offset : numpy.ndarray of shape (n_sites, 2)
        Middle of the pixels of a site less its centre, ``(x, y)`` in scan pixels; NaN where
        incomplete.
    """

    members: csr_matrix
    complete: np.ndarray
    overlap: float
    offset: np.ndarray


def check_region(region: str, radius: Any) -> None:
    """Refuse an unknown region, and a radius that does not suit it."""
    if region not in ("disk", "cell", "ring"):
        raise ValueError(f"region={region!r}: give 'disk', 'cell' or 'ring'.")
    if region == "ring":
        pair: tuple[Any, Any] = (None, None)
        if isinstance(radius, tuple | list) and len(radius) == 2:
            pair = (radius[0], radius[1])
        kinds = {is_whole_number(value, 0) for value in pair}
        if not all(finite_number(v, 0) for v in pair) or not pair[0] < pair[1] or len(kinds) != 1:
            raise ValueError(
                f"radius={radius!r}: a ring needs radius=(inner, outer), both whole numbers of "
                "scan pixels or both floats in units of its axes, the inner one smaller."
            )
    elif region == "cell":
        if radius is not None:
            raise ValueError(
                f"radius={radius!r}: region='cell' has no radius, it takes the pixels nearest to "
                "each site. Leave it out."
            )
    elif radius is not None and not (finite_number(radius, 0) and radius > 0):
        raise ValueError(
            f"radius={radius!r}: give a positive whole number of scan pixels, a positive float in "
            "units of the scan's axes, or None for the nearest pixel."
        )


def regions_of(
    centres: np.ndarray, scan: Scan, region: str, radius: Any, kinds: np.ndarray | None = None
) -> Regions:
    """
    Find the pixels of every site.

    Parameters
    ----------
    centres : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in scan pixels; NaN for sites that have none.
    scan : Scan
    region : {"disk", "cell", "ring"}
    radius : int, float, tuple or None
        See :func:`check_region`. Whole numbers count from the pixel nearest to the site, floats
        from the site itself.
    kinds : numpy.ndarray of int, shape (n,), optional
        Sublattice of each site: a cell ends beside cells of its own sublattice. If None, all sites
        are of one.

    Returns
    -------
    Regions

    Raises
    ------
    ValueError
        If the region is larger than the scan.
    """
    check_region(region, radius)
    known = np.isfinite(centres).all(axis=1)
    if region == "cell":
        kinds = np.zeros(len(centres), int) if kinds is None else kinds
        parts = [_cells(centres, known & (kinds == kind), scan) for kind in np.unique(kinds[known])]
        rows, pixels = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        complete = np.any([part[2] for part in parts], axis=0)
    else:
        rows, pixels, complete = _disks(centres, known, scan, region, radius)
    used = complete[rows]
    rows, pixels = rows[used], pixels[used]
    size = int(np.prod(scan.shape))
    members = csr_matrix((np.ones(len(rows)), (rows, pixels)), shape=(len(centres), size))
    count = np.bincount(pixels, minlength=1)
    overlap = float((count > 1).sum() / max((count > 0).sum(), 1))
    return Regions(members, complete, overlap, _middle(rows, pixels, centres, scan) - centres)


def _middle(rows: np.ndarray, pixels: np.ndarray, centres: np.ndarray, scan: Scan) -> np.ndarray:
    """Mean place (n_sites, 2) of the pixels of each site, in scan pixels; NaN without any."""
    place = np.stack([pixels % scan.shape[1], pixels // scan.shape[1]])
    count = np.bincount(rows, minlength=len(centres))
    total = np.stack([np.bincount(rows, each, len(centres)) for each in place], axis=1)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)


def _disks(
    centres: np.ndarray, known: np.ndarray, scan: Scan, region: str, radius: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Site and pixel of each member of the disks or rings, and a mask of the complete ones."""
    inner, outer = radius if region == "ring" else (-1, 0 if radius is None else radius)
    in_pixels = is_whole_number(outer, 0)
    steps = np.ones(2) if in_pixels else np.abs(scan.scale)
    reach = np.floor(outer / steps + (0 if in_pixels else 0.5)).astype(int)
    if (2 * reach + 1 > scan.shape[::-1]).any():
        raise ValueError(
            f"radius={radius!r}: the region is wider than the scan of {scan.shape[1]} x "
            f"{scan.shape[0]} px."
        )
    nearest = np.where(known[:, None], np.floor(centres + 0.5), -1e6)
    start = np.zeros_like(centres) if in_pixels else np.where(known[:, None], centres - nearest, 0)
    dy, dx = np.mgrid[-reach[1] : reach[1] + 1, -reach[0] : reach[0] + 1].reshape(2, 1, -1)
    distance = np.hypot((dx - start[:, :1]) * steps[0], (dy - start[:, 1:]) * steps[1])
    chosen = (distance <= outer) & (distance > inner if inner > 0 else True)
    if region == "disk":
        chosen |= (dx == 0) & (dy == 0)  # a disk between pixels still has its nearest one
    x, y = nearest[:, :1] + dx, nearest[:, 1:] + dy
    inside = (x >= 0) & (y >= 0) & (x < scan.shape[1]) & (y < scan.shape[0])
    complete = known & ~(chosen & ~inside).any(axis=1) & chosen.any(axis=1)
    chosen &= inside
    rows, _ = np.nonzero(chosen)
    return rows, (y[chosen] * scan.shape[1] + x[chosen]).astype(np.int64), complete


def _cells(
    centres: np.ndarray, known: np.ndarray, scan: Scan
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Site and pixel of each member of the Voronoi cells, and a mask of the complete ones."""
    steps = np.abs(scan.scale)
    sites = np.flatnonzero(known)
    lengths = centres[sites] * steps
    limit = CELL_LIMIT * nearest_neighbour_distance(lengths)
    tree = cKDTree(lengths)
    rows, pixels = [], []
    columns = np.arange(scan.shape[1])
    for first in range(0, scan.shape[0], 256):
        y, x = np.meshgrid(
            np.arange(first, min(first + 256, scan.shape[0])), columns, indexing="ij"
        )
        grid = np.stack([x.ravel(), y.ravel()], axis=1)
        _, nearest = tree.query(grid * steps, distance_upper_bound=limit)
        found = nearest < len(sites)
        rows.append(sites[nearest[found]])
        pixels.append(grid[found, 1] * scan.shape[1] + grid[found, 0])
    row, pixel = np.concatenate(rows), np.concatenate(pixels)
    y, x = np.divmod(pixel, scan.shape[1])
    border = (x == 0) | (y == 0) | (x == scan.shape[1] - 1) | (y == scan.shape[0] - 1)
    count = np.bincount(row, minlength=len(centres))
    complete = known & (count > 0) & (np.bincount(row, border, minlength=len(centres)) == 0)
    return row, pixel, complete
