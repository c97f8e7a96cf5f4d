# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refinement of columns one by one."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from ..checks import checked
from ..neighbours import nearest_neighbour_distance
from ..threads import one_thread
from ..wording import count_of
from . import fitting

_logger = logging.getLogger(__name__)

_NEIGHBOUR_DISTANCES = 0.42  # default radius; 0.3 of the edge of a cell with a column in the centre


@checked
@one_thread()
def refine_columns(
    image: Any,
    positions: Any,
    radius: float | None = None,
    background: str = "plane",
    *,
    order: str = "xy",
    disk_radius: float | None = None,
    max_shift: float | None = None,
    saturation: float | None = None,
    max_iterations: int = 60,
    num_workers: int | None = None,
    show_progressbar: bool | None = None,
) -> pd.DataFrame:
    """
    Refine positions of atomic columns by fits of 2-D elliptical Gaussians.

    Each column is fitted on its own, in the disk of `radius` around it, by least squares
    (Levenberg-Marquardt); the disk follows the column. For the two sublattices of a crystal,
    :func:`refine_two_sublattices` is 1.2 to 1.4 times more precise.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)
        Bright columns on a darker background; pass ``-image`` for dark ones. A lazy image is
        computed once. Pixels that are not finite are left out.
    positions : array-like of shape (n, 2), DataFrame, or Atomap Sublattice
        Where the fits start: ``(x, y)`` in pixels. They may be off by half of `radius`.
    radius : float, optional
        Radius of the disk, in pixels, 2 or more. If None, 0.42 nearest-neighbour distances of the
        positions. A good disk ends where the next column of any kind begins.
    background : {"plane", "constant"}
        Under a column. A plane costs precision where the disk is small; a constant takes the slope
        of a neighbour's tail for a displacement.
    order : {"xy", "rc"}
        What the two numbers of a position are: ``(x, y)``, or ``(row, column)``.
    disk_radius : float, optional
        Radius of the disk in which ``disk_mean`` is taken, in pixels. If None, two thirds of
        `radius`; with its default, disks of neighbouring columns then do not overlap.
    max_shift : float, optional
        Columns that move further from their start, in pixels, are flagged. If None, `radius`.
    saturation : float, optional
        Pixels of this value or more are left out, as those that are not finite.
    max_iterations : int
        Maximum number of steps of the fit of one column.
    num_workers : int, optional
        Number of threads. If None, all cores, or one if called from a thread other than the main
        one, for example in a dask task.
    show_progressbar : bool, optional
        If None, HyperSpy's preference.

    Returns
    -------
    pandas.DataFrame
        One row per position, in the same order, with the columns

        ``x``, ``y``
            Position (px).
        ``sigma_x``, ``sigma_y``
            Widths (px) along the principal axis nearest to x, and across it.
        ``rotation``
            Angle (rad) of the axis of ``sigma_x``, in [0, pi), from +x towards -y:
            counter-clockwise on the screen, as in Atomap.
        ``amplitude``, ``volume``, ``background``
            Peak height above the background, sum over the plane (image units times px²), and
            the background at the centre.
        ``disk_mean``
            Mean of the image in the disk of `disk_radius` about the position (image units). The
            background is included. NaN if the disk has pixels that are not finite,
            saturated or outside the image.
        ``residual``
            Root mean square of image minus fit in the disk.
        ``x_std``, ``y_std``, ``amplitude_std``
            Standard errors, from the residual of each pixel and the Jacobian.
        ``status``
            0 = ``"ok"``; :data:`hs_rvae.refinement.STATUS` names the others. A column that is not
            ok keeps its start, and NaN elsewhere: ``"not_converged"``, ``"left_region"`` (moved
            further than `max_shift`), ``"edge"`` (on the border of the image, or more than half of
            the disk outside), ``"non_finite"`` (too few finite pixels, or a position that is not),
            ``"degenerate"`` (as narrow as a pixel, as wide as the disk, or four times longer than
            wide), ``"no_peak"`` (not above the background). :func:`refine_sublattice` also has
            ``"fixed"``, for columns that must not move.

    Raises
    ------
    TypeError
        If image or positions are not real numbers.
    ValueError
        If the image is not 2-D, the positions fit it only if swapped, or an option has a value
        that makes no sense.
    FileNotFoundError
        If a path has no file.

    Notes
    -----
    The first use compiles the fit, once per installation: some seconds on two free cores.

    See Also
    --------
    refine_two_sublattices, refine_sublattice

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((128, 128), random_state=0)
    >>> inner = truth.b_sites[truth.b_sites.edge_distance > 0.5]
    >>> table = hs_rvae.refine_columns(image, inner[["x", "y"]].round(), radius=8)
    >>> int((table.status == 0).sum()), len(inner)
    (16, 16)
    """
    slope_weight = fitting.slope_weight_of(background)
    data = fitting.image_array(image, saturation)
    xy = fitting.starting_positions(positions, order, data.shape)
    fit = fitting.Fit.from_starts(xy)
    if not len(xy):
        return fit.table()
    if radius is None:
        radius = default_radius(xy)
    options = fitting.make_options(radius, disk_radius, max_shift, max_iterations, num_workers)
    with fitting.refinement_progress(len(xy), show_progressbar) as tick:
        fit.run(data, options, slope_weight=slope_weight, tick=tick)
    _logger.info(
        "%d of %d columns refined, radius %.3g px; means in disks of %.3g px.",
        fit.ok.sum(), len(xy), options.radius, options.disk_radius,
    )  # fmt: skip
    return fit.table(image=data, options=options)


def default_radius(xy: np.ndarray) -> float:
    """Radius of a disk, in pixels, from the distances between columns of one kind."""
    try:
        distance = nearest_neighbour_distance(xy)
    except ValueError:
        raise ValueError(
            f"positions: {count_of(len(xy), 'position')} without a nearest-neighbour distance: "
            "give radius in pixels."
        ) from None
    return fitting.checked_default_radius(_NEIGHBOUR_DISTANCES * distance, distance)
