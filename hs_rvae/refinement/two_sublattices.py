# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refinement of sublattices, each column with all others subtracted."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from ..checks import checked, whole_number
from ..neighbours import distinct, nearest_neighbour_distance
from ..threads import one_thread
from ..wording import count_of
from . import fitting, kernel
from .fitting import NO_TAIL, Fit
from .tail import estimate_tail

_logger = logging.getLogger(__name__)

# Default radius: in nearest-neighbour distances of a sublattice, and at most of all columns.
_OF_SUBLATTICE, _OF_ALL = 0.38, 0.6
_MINIMUM_COLUMNS = 20  # columns that give the usual slopes
_CLEAR_SLOPE = 9.0  # squared, in variances: a slope like this is no noise (1 % of the columns)


@checked(but=("tail",))
@one_thread()
def refine_two_sublattices(
    image: Any,
    a_positions: Any,
    b_positions: Any,
    radius: float | None = None,
    background: str = "plane",
    *,
    order: str = "xy",
    tail: tuple[float, float] | None = None,
    n_passes: int = 2,
    disk_radius: float | None = None,
    max_shift: float | None = None,
    saturation: float | None = None,
    max_iterations: int = 60,
    num_workers: int | None = None,
    show_progressbar: bool | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Refine the columns of two sublattices, each with all the others subtracted.

    Columns of different sublattices overlap: the tails of heavy columns have a slope where a light
    column is, which adds to its displacement. Here the heavy sublattice is fitted and subtracted,
    then the light one; the tail that all columns have in common is estimated from the image; then
    each column is fitted again, with the models of all other columns, tails and all, subtracted.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)
        Bright columns on a darker background; pass ``-image`` for dark ones. A lazy image is
        computed once. Pixels that are not finite are left out.
    a_positions, b_positions : array-like of shape (n, 2), DataFrame, or Atomap Sublattice
        Where the fits start: ``(x, y)`` in pixels. A is the brighter sublattice. Either may be
        empty.
    radius : float, optional
        Radius of the disk that is fitted, in pixels. If None, 0.38 nearest-neighbour distances of
        a sublattice.
    background : {"plane", "constant"}
        Under a column, once the others are subtracted. The slopes of the planes are held near
        zero as closely as those of the other columns are, apart from noise; slopes that stand
        out stay free. So a plane costs hardly any precision where the background is flat.
    order : {"xy", "rc"}
        What the two numbers of a position are: ``(x, y)``, or ``(row, column)``.
    tail : tuple of float, optional
        Share of the peak height and width (in units of the column's width) of the tail of each
        column; ``(0, 2)`` for none. If None, estimated.
    n_passes : int
        How often the columns are fitted after the tail is known.
    disk_radius, max_shift, saturation, max_iterations, num_workers, show_progressbar
        As in :func:`refine_columns`.

    Returns
    -------
    a_table, b_table : pandas.DataFrame
        As :func:`refine_columns` returns, with the widths of the columns without their tails and
        the volumes with them; ``attrs["tail"]`` has share and width of the tail,
        ``attrs["radius"]`` the radius.

    Raises
    ------
    TypeError, ValueError
        As :func:`refine_columns`, or if `tail` or `n_passes` is not valid.
    FileNotFoundError
        If a path has no file.

    Notes
    -----
    The tail is a Gaussian, the same for all columns in units of their widths. Where that is a poor
    description, as with columns of very different thickness, compare with ``tail=(0, 2)``.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    >>> tables = hs_rvae.refine_two_sublattices(image, truth.a_sites, truth.b_sites)
    >>> [len(table) for table in tables] == [len(truth.a_sites), len(truth.b_sites)]
    True
    """
    starts = {"a_positions": a_positions, "b_positions": b_positions}
    a_table, b_table = refine_together(
        image, starts, radius, background, order=order, tail=tail, n_passes=n_passes,
        disk_radius=disk_radius, max_shift=max_shift, saturation=saturation,
        max_iterations=max_iterations, num_workers=num_workers,
        show_progressbar=show_progressbar,
    )  # fmt: skip
    return a_table, b_table


def refine_together(
    image: Any,
    positions: dict[str, Any],
    radius: float | None = None,
    background: str = "plane",
    *,
    order: str = "xy",
    tail: tuple[float, float] | None = None,
    n_passes: int = 2,
    disk_radius: float | None = None,
    max_shift: float | None = None,
    saturation: float | None = None,
    max_iterations: int = 60,
    num_workers: int | None = None,
    show_progressbar: bool | None = None,
) -> list[pd.DataFrame]:
    """
    Refine the columns of any number of sublattices, each with all the others subtracted.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)
    positions : dict of array-like of shape (n, 2)
        Where the fits start, the brightest sublattice first. Messages have the names.
    radius, background, order, tail, n_passes, disk_radius, max_shift, saturation, max_iterations, \
num_workers, show_progressbar
        As in :func:`refine_two_sublattices`.

    Returns
    -------
    list of pandas.DataFrame
        One per sublattice.

    Raises
    ------
    ValueError, TypeError
        As :func:`refine_two_sublattices`.
    """
    slope_weight = fitting.slope_weight_of(background)
    tail = _checked_tail(tail)
    n_passes = whole_number(n_passes, "n_passes")
    data = fitting.image_array(image, saturation)
    starts = [
        fitting.starting_positions(xy, order, data.shape, name) for name, xy in positions.items()
    ]
    fits = [fitting.Fit.from_starts(xy) for xy in starts]
    count = sum(map(len, starts))
    if not count:
        return [fit.table() for fit in fits]
    if radius is None:
        radius = _radius(starts)
    options = fitting.make_options(radius, disk_radius, max_shift, max_iterations, num_workers)
    remainder = fitting.copied(data, options.num_workers)
    with fitting.refinement_progress(
        (n_passes + 1) * count, show_progressbar, f"Refining columns ({n_passes + 1} fits each)"
    ) as tick:
        for fit in fits:
            fit.run(
                remainder, options, slope_weight=slope_weight, tick=tick, with_variances=False
            )  # fmt: skip
            fitting.add_models(remainder, fit.parameters, -1.0, NO_TAIL, options.num_workers)
        if tail is None:
            tail = estimate_tail(remainder, fits, options)
        for fit in fits:
            fitting.add_models(remainder, fit.parameters, 1.0, NO_TAIL, options.num_workers)
            fitting.add_models(remainder, fit.parameters, -1.0, tail, options.num_workers)
        weights: list[float | np.ndarray] = [slope_weight] * len(fits)
        for _ in range(n_passes):
            for i, fit in enumerate(fits):
                fit.run(remainder, options, tail, weights[i], tick, subtracted=True)
                if background == "plane":
                    weights[i] = _slope_weights(fit)
    _logger.info(
        "%s columns refined, radius %.3g px; means in disks of %.3g px.",
        " and ".join(f"{fit.ok.sum()} of {len(fit.ok)}" for fit in fits), options.radius,
        options.disk_radius,
    )  # fmt: skip
    return [fit.table(tail, data, options) for fit in fits]


def _checked_tail(tail: Any) -> tuple[float, float] | None:
    if tail is None:
        return None
    try:
        share, width = (float(value) for value in tail)
    except (TypeError, ValueError):
        share = width = np.nan
    if not (0 <= share < 1 and 1 < width < np.inf):
        raise ValueError(
            f"tail={tail!r}: give (share, width) with 0 <= share < 1 and width > 1, or None."
        )
    return share, width


def _radius(starts: list[np.ndarray]) -> float:
    """Default radius: nearly up to the columns of the other sublattice."""
    starts = [distinct(xy[np.isfinite(xy).all(axis=1)]) for xy in starts]
    distances = [nearest_neighbour_distance(xy) for xy in starts if len(xy) > 1]
    everything = distinct(np.concatenate(starts))
    if not distances or len(everything) < 2:
        raise ValueError(
            f"{count_of(len(everything), 'position')} without neighbours of their own sublattice: "
            "give radius in pixels."
        )
    choices = [
        (_OF_SUBLATTICE * min(distances), min(distances)),
        (_OF_ALL * (nearest := nearest_neighbour_distance(everything)), nearest),
    ]
    return fitting.checked_default_radius(*min(choices))


def _slope_weights(fit: Fit) -> float | np.ndarray:
    """Prior weight of the slopes of each column, from the slopes of all.

    Slopes scatter by noise, whose variance is known, and with the background. What the background
    does to most columns is the prior's variance, except where a column's own slope is clear.
    """
    if fit.ok.sum() < _MINIMUM_COLUMNS:
        return 0.0
    slopes = fit.parameters[:, [kernel.SLOPE_X, kernel.SLOPE_Y]]
    variances = fit.diagnostics[:, [kernel.VAR_SLOPE_X, kernel.VAR_SLOPE_Y]]
    noise = np.median(variances[fit.ok])
    scatter = (1.4826 * np.median(np.abs(slopes[fit.ok]))) ** 2
    common = max(scatter - noise, 1e-3 * noise)
    clear = 0.5 * ((slopes**2).sum(axis=1) - _CLEAR_SLOPE * variances.mean(axis=1))
    variance = np.fmax(common, clear)
    return np.median(fit.diagnostics[fit.ok, kernel.RESIDUAL]) ** 2 / variance
