# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth behind a simulated image, and the agreement of angles with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..checks import check_methods, checked
from ..masked_arrays import filled

#: Columns of the table of straight walls.
WALLS = ("x", "y", "orientation", "width", "variant_1", "variant_2")
_COLUMN = ["x", "y", "amplitude"]
_MOST_WELLS = 360  # of compared angles


@check_methods
@dataclass
class SimulatedTruth:
    """Columns that a simulated image was made from.

    Attributes
    ----------
    a_sites, b_sites, oxygen_sites : pandas.DataFrame
        One row per column inside the image; no oxygen unless it is imaged. Columns ``x``, ``y``
        (px, as imaged without scan jitter), ``amplitude`` (peak height, units of an A column)
        and, in ``b_sites``, ``displacement_x``, ``displacement_y`` (px, from the centre of the A
        columns around it), ``variant`` (-1 = not polar), ``angle`` (rad, direction of the variant,
        NaN = not polar), ``order`` (length of the displacement in units of ``shift``),
        ``chemistry`` (-1 to 1),
        ``wall_distance`` (cells, infinite without walls) and ``edge_distance`` (cells). Among
        vortices all polar columns are variant 0, and ``angle`` is the direction of the column.
        ``rotation`` (rad, positive from +x towards +y) and ``strain_xx``, ``strain_yy``,
        ``strain_xy`` (the tensor's) are those of the A columns around the column, against their
        places at rest. Films with ``twin_strain`` have ``strain_variant``, ``strain_angle`` (rad,
        the axis, -pi/2 to pi/2) and ``strain_wall_distance`` (cells) as well.
        ``chirality`` is 1 or -1 among lamellae, else 0: the sign of the rotation of the four A
        columns, from +x towards +y. Octahedra have ``octahedral_tilt`` (degrees, from +x towards
        +y), ``tilt_domain`` (antiphase domain 0 or 1, -1 = no tilts) and ``tilt_wall_distance``
        (cells, infinite without walls).
    n_variants : int
        Number of variants, in equally spaced directions unless you gave others; 1 for vortices.
    cell : float
        Lattice parameter in px.
    walls : pandas.DataFrame
        Straight walls of stripes; empty for other patterns and in a series. Columns ``x``, ``y``
        (the place on it nearest to the middle of the image, px), ``orientation`` (of the line,
        rad, modulo pi), ``width`` (w of tanh(distance / w), cells), ``variant_1`` and
        ``variant_2``.
    """

    a_sites: pd.DataFrame
    b_sites: pd.DataFrame
    n_variants: int
    cell: float
    walls: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(WALLS)))
    oxygen_sites: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_COLUMN))

    @checked
    def interior(self, distance: float = 2.0) -> np.ndarray:
        """Polar B sites away from walls and from the border of the image.

        Parameters
        ----------
        distance : float
            Minimum distance from both, in cells.

        Returns
        -------
        numpy.ndarray of bool, shape (n_sites,)
        """
        b = self.b_sites
        return (
            (b.variant >= 0) & (b.wall_distance > distance) & (b.edge_distance > distance)
        ).to_numpy()


@check_methods
@dataclass
class CrystalTruth:
    """Columns that a simulated image of a crystal was made from.

    Attributes
    ----------
    columns : pandas.DataFrame
        One row per column inside the image. Columns ``x``, ``y`` (px, as imaged without scan
        jitter), ``amplitude`` (peak height, units of the brightest column), ``ratio`` (height in
        units of the usual column, not 1 for substitutions), ``place`` (number of the place in the
        cell), ``name`` (elements), ``kind`` (the same for places that a shift, turn or mirror of
        the crystal maps on each other), ``i``, ``j`` (cell of its grain), ``grain`` (0 or 1) and
        ``boundary_distance`` (px, infinite without a boundary). Interstitials have place, kind and
        grain -1.
    missing : pandas.DataFrame
        Places without a column, likewise, without ``amplitude`` and ``ratio``.
    cells : tuple of numpy.ndarray, shape (2, 2)
        Cell vectors ``(x, y)`` of each grain in px, one per row.
    spacing : float
        Distance between nearest columns, in px.
    """

    columns: pd.DataFrame
    missing: pd.DataFrame
    cells: tuple[np.ndarray, ...]
    spacing: float

    @property
    def defects(self) -> pd.DataFrame:
        """Defects of all kinds.

        Columns ``x``, ``y`` (px), ``defect`` ("vacancy", "substitution" or "interstitial"),
        ``ratio`` (NaN except for substitutions), ``name`` and ``grain``.
        """
        columns = self.columns
        parts = {
            "vacancy": self.missing.assign(ratio=np.nan),
            "substitution": columns[(columns["ratio"] != 1) & (columns["place"] >= 0)],
            "interstitial": columns[columns["place"] < 0].assign(ratio=np.nan),
        }
        names = ["x", "y", "defect", "ratio", "name", "grain"]
        tables = [table.assign(defect=kind)[names] for kind, table in parts.items()]
        return pd.concat(tables, ignore_index=True)


@checked
def compare_angles(angle: Any, true_angle: Any, n_variants: int) -> dict[str, float]:
    """Compare angles with the truth after one global offset.

    The rVAE's angle has an arbitrary zero. One offset for all sites, the circular mean of the
    differences, removes it; then each angle is assigned to the nearest of the true wells.

    Parameters
    ----------
    angle, true_angle : numpy.ndarray, shape (n_sites,)
        In radians; true angles are those of the wells.
    n_variants : int
        Number of equally spaced wells.

    Returns
    -------
    dict
        ``ari`` (adjusted Rand index of nearest well against true variant), ``mean_error``
        (degrees, mean absolute difference), ``share_right`` (share of sites in the right well),
        ``offset`` (rad).

    Raises
    ------
    ValueError
        If the shapes differ, or there are more than 360 wells.

    Examples
    --------
    >>> import numpy as np
    >>> true = np.repeat([0, np.pi / 2, np.pi, -np.pi / 2], 5)
    >>> compare_angles(true + 1.0, true, 4)["ari"]
    1.0
    """
    from sklearn.metrics import adjusted_rand_score

    if n_variants > _MOST_WELLS:
        raise ValueError(f"n_variants={n_variants}: give at most {_MOST_WELLS} wells.")
    angle, true_angle = (np.asarray(filled(one), float) for one in (angle, true_angle))
    if angle.ndim != 1 or angle.shape != true_angle.shape:
        raise ValueError(
            f"angle has the shape {angle.shape}, true_angle {true_angle.shape}: give (n,) of both."
        )
    finite = np.isfinite(angle) & np.isfinite(true_angle)
    angle, true_angle = angle[finite], true_angle[finite]
    difference = np.exp(1j * (angle - true_angle))
    # First the well (the most frequent difference), then the offset inside it: a plain mean would
    # be drawn away by sites in the wrong well.
    inside = np.angle(np.mean(difference**n_variants)) / n_variants
    wells = inside + 2 * np.pi * np.arange(n_variants) / n_variants
    votes = [
        (np.cos(np.angle(difference * np.exp(-1j * w))) > np.cos(np.pi / n_variants)).sum()
        for w in wells
    ]
    offset = wells[int(np.argmax(votes))]
    width = 2 * np.pi / n_variants
    origin = np.angle(np.mean(np.exp(1j * n_variants * true_angle))) / n_variants
    found = np.round((angle - offset - origin) / width).astype(int) % n_variants
    true = np.round((true_angle - origin) / width).astype(int) % n_variants
    error = np.abs(np.angle(difference * np.exp(-1j * offset)))
    return {
        "ari": float(adjusted_rand_score(true, found)),
        "mean_error": float(np.degrees(error.mean())),
        "share_right": float((found == true).mean()),
        "offset": float(np.angle(np.exp(1j * offset))),
    }
