# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""All columns of an image, refined, without a lattice."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from .. import parent_image as _parent_image
from ..checks import checked
from ..refinement import ahead
from ..refinement.two_sublattices import refine_together
from ..threads import one_thread
from . import autocorrelation as _cells
from .derivative import warn_of_derivative
from .finders import all_maxima, checked_method
from .maxima import Maxima, check_sampling, maxima_of
from .search_image import Picture, warn_of_bands

_logger = logging.getLogger(__name__)

_LARGEST = 40  # columns that the shorter side of an image holds at least, if nothing repeats


@checked
@one_thread()
def find_columns(
    image: Any,
    method: Any = "maxima",
    *,
    dark: bool | None = None,
    threshold: float = 0.1,
    separation: float | None = None,
    radius: float | None = None,
    background: str = "plane",
    tail: tuple[float, float] | None = None,
    disk_radius: float | None = None,
    saturation: float | None = None,
    show_progressbar: bool | None = None,
) -> pd.DataFrame | list[pd.DataFrame]:
    """
    Find and refine all atomic columns of an image, whatever their lattice.

    For boundaries, defects, several phases and two-dimensional materials. Every maximum that
    stands out is a column; each is refined with all others subtracted. The table goes on to
    :meth:`SubImageStack.from_positions`.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)
        One image, or a series. A lazy one is computed once, a lazy series frame by frame. Pixels
        that are not finite or masked count as not measured, and so do constant bands at the border,
        such as a data bar.
    method : {"maxima", "network", "auto"} or ColumnNetwork
        How columns are found: as maxima of the band-passed image, or by a trained network: that of
        the package or one of your own, see :class:`~hs_rvae.columns.ColumnNetwork`. "auto" takes
        the network where a tenth of the maxima are lower than eight standard deviations of the
        noise, or are less than 5 px apart, or there are none.
    dark : bool, optional
        Columns are darker than their surroundings. If None, the image decides.
    threshold : float
        Minimum height of a maximum in the band-passed image, in units of that of strong columns. A
        network has a minimum probability instead.
    separation : float, optional
        The fainter one of two maxima closer than this, in pixels, is dropped. If None, 2.85 widths
        of the columns, or 0.45 of the distance of nearest columns with a network.
    radius, background, tail, disk_radius, saturation
        Options of the fit and of ``disk_mean``, as in :func:`refine_two_sublattices`.
    show_progressbar : bool, optional
        If None, HyperSpy's preference.

    Returns
    -------
    pandas.DataFrame, or list of pandas.DataFrame for a series
        One row per column, the results of :func:`refine_columns`: ``x``, ``y``, ``amplitude``,
        ``sigma_x``, ``sigma_y``, ``rotation``, ``x_std``, ``y_std``, ``status`` and others. For
        dark columns, heights and volumes are depths, as positive numbers. With a network,
        ``probability`` is that of a column at the place, and ``class`` the most probable of its
        classes, if it has some. Its ``attrs`` hold
        ``radius``, ``disk_radius`` and ``tail`` of the fit, ``units``, ``pixel_size`` (x, y),
        ``pixel_units`` and ``dark``.

    Raises
    ------
    ValueError
        If the image is not one 2-D image, is empty or constant, shows no maxima, or has fewer than
        5 px between columns; if `method` is unknown.
    TypeError
        If its values are not real numbers, or `method` is of another kind.

    See Also
    --------
    find_sublattices : With names of the sublattices, grains and places without a column.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    >>> table = hs_rvae.find_columns(image)
    >>> stack = hs_rvae.SubImageStack.from_positions(image, table[["x", "y"]], window_size=24)
    """
    method = checked_method(method)
    ahead.start()
    image = _parent_image.as_image(image)
    _parent_image.refuse_detectors(image)
    options: dict[str, Any] = {
        "method": method, "dark": dark, "threshold": threshold, "separation": separation,
        "radius": radius, "background": background, "tail": tail, "disk_radius": disk_radius,
        "saturation": saturation, "show_progressbar": show_progressbar,
    }  # fmt: skip
    if not _parent_image.is_series(image):
        return _columns_of(image, **options)
    tables = []
    for k in range(image.axes_manager.navigation_size):
        try:
            tables.append(_columns_of(image.inav[k], **options))
        except ValueError as error:
            raise ValueError(f"frame {k}: {error}") from error
    return tables


def _columns_of(
    image: Any,
    method: Any,
    dark: bool | None,
    threshold: float,
    separation: float | None,
    radius: float | None,
    background: str,
    tail: tuple[float, float] | None,
    disk_radius: float | None,
    saturation: float | None,
    show_progressbar: bool | None,
) -> pd.DataFrame:
    """Table of the columns of one image."""
    picture = Picture.of(image)
    warn_of_bands([picture.bands])
    maxima = all_maxima(
        picture, method, dark, separation, show_progressbar,
        lambda: _maxima_of(picture, dark, threshold, separation),
    )  # fmt: skip
    positions = maxima.positions / picture.stretch
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    check_sampling(float(np.median(nearest)), radius)
    warn_of_derivative(image, picture.values, np.eye(2) * np.median(nearest))
    measured = -picture.measured.astype(np.float64) if maxima.dark else picture.measured
    (table,) = refine_together(
        measured, {"columns": positions}, radius, background, tail=tail, disk_radius=disk_radius,
        saturation=saturation, show_progressbar=show_progressbar,
    )  # fmt: skip
    if maxima.dark:
        table[["background", "disk_mean"]] *= -1
    if maxima.probability is not None:
        table["probability"] = maxima.probability
    if maxima.labels is not None:
        table["class"] = maxima.labels
    table.index.name = "column"
    table.attrs |= {
        "pixel_size": picture.scale, "pixel_units": picture.units, "dark": maxima.dark
    }  # fmt: skip
    _logger.info("%d columns were found.", len(table))
    return table


def _maxima_of(
    picture: Picture, dark: bool | None, threshold: float, separation: float | None
) -> Maxima:
    """Maxima of an image that stand out, in the band-pass that suits its period."""
    lattices, _ = _cells.candidate_lattices(
        picture.values, picture.valid, picture.stretch, narrowest=0.9 * picture.enlarged
    )
    vectors = [each.vectors for each in lattices] or [_of_nothing(picture)]
    shortest = min(np.linalg.norm(each, axis=1).min() for each in vectors)
    maxima = maxima_of(picture, vectors, shortest, dark, threshold, separation)
    if len(maxima.positions) < 2:
        raise ValueError(
            f"{len(maxima.positions)} maxima stand out from the image: pass dark= or a lower "
            f"threshold than {threshold:g}."
        )
    return maxima


def _of_nothing(picture: Picture) -> np.ndarray:
    """A cell for an image that does not repeat itself: columns are narrower than its band-pass."""
    return np.eye(2) * min(picture.values.shape) / _LARGEST * 4
