# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Common parts of all refinements: the image as numbers, checks, threads, the table of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..checks import finite_number, whole_number
from ..masked_arrays import filled
from ..positions import as_positions, check_positions_fit
from ..progress import explain_interruption, progress_bar
from ..sites import columns
from ..threads import count_threads, side_by_side
from . import ahead, kernel, model_sum
from .aperture import MAXIMUM_RADIUS, checked_disk_radius, disk_means

#: What the numbers in the column ``status`` of a table mean.
STATUS = {
    "ok": kernel.OK,
    "not_converged": kernel.NOT_CONVERGED,
    "left_region": kernel.LEFT_REGION,
    "edge": kernel.EDGE,
    "non_finite": kernel.NON_FINITE,
    "degenerate": kernel.DEGENERATE,
    "no_peak": kernel.NO_PEAK,
    "fixed": kernel.FIXED,
}

#: Units of the columns of a table; intensities are in the units of the image.
UNITS = {
    name: columns.unit(name)
    for name in ("x", "y", "sigma_x", "sigma_y", "rotation", "x_std", "y_std")
}

#: Share and width of the tail of columns that are plain Gaussians.
NO_TAIL = (0.0, 2.4)

_MINIMUM_RADIUS = 2.0  # px
_BLOCK = 128  # columns that a thread takes at a time: some milliseconds


@dataclass
class Options:
    """Options of the fits of a refinement."""

    radius: float
    disk_radius: float
    max_shift: float
    max_iterations: int
    num_workers: int


@dataclass
class Fit:
    """Columns, the starts of their fits and the results: one row per column."""

    starts: np.ndarray
    parameters: np.ndarray
    diagnostics: np.ndarray
    status: np.ndarray

    @classmethod
    def from_starts(cls, starts: np.ndarray) -> Fit:
        """Columns that are not fitted yet."""
        n = len(starts)
        return cls(
            starts,
            np.full((n, kernel.N_PARAMETERS), np.nan),
            np.full((n, kernel.N_DIAGNOSTICS), np.nan),
            np.full(n, kernel.NOT_CONVERGED),
        )

    @property
    def ok(self) -> np.ndarray:
        """Mask of the columns with a good fit."""
        return self.status == kernel.OK

    def run(
        self,
        image: np.ndarray,
        options: Options,
        tail: tuple[float, float] = NO_TAIL,
        slope_weight: float | np.ndarray = 0.0,
        tick: Callable[[int], None] | None = None,
        subtracted: bool = False,
        with_variances: bool = True,
    ) -> None:
        """Fit all columns, each on its own.

        With `subtracted`, the models of the columns fitted before are missing from `image`; then
        the new ones are, where a fit went well. Variances of parameters take a fifth of the time.
        """
        old = self.parameters.copy()
        # Columns one after another would be another type to numba, and compiled for again.
        starts = np.ascontiguousarray(self.starts)
        slope_weight = np.broadcast_to(np.float64(slope_weight), len(old)).copy()
        add_own = np.isfinite(old[:, kernel.HEIGHT]) & subtracted

        def work(first: int, last: int) -> None:
            kernel.fit_range(
                image, first, last, starts, old, add_own, options.radius, *tail, slope_weight,
                options.max_shift, options.max_iterations, with_variances, self.parameters,
                self.diagnostics, self.status, *kernel.room_to_work(options.radius),
            )  # fmt: skip

        in_threads(work, len(self.starts), _BLOCK, options.num_workers, tick)
        if subtracted:
            add_models(image, old, 1.0, tail, options.num_workers)
            add_models(image, self.parameters, -1.0, tail, options.num_workers)

    def table(
        self,
        tail: tuple[float, float] = NO_TAIL,
        image: np.ndarray | None = None,
        options: Options | None = None,
    ) -> pd.DataFrame:
        """
        Table of the results; a column without a good fit has its start and NaN.

        Without `image` and `options`, there are no means of disks.
        """
        p = np.where(self.ok[:, None], self.parameters, np.nan)
        d = np.where(self.ok[:, None], self.diagnostics, np.nan)
        sigma_x, sigma_y, rotation = principal_axes(
            p[:, kernel.CURVE_X], p[:, kernel.CURVE_XY], p[:, kernel.CURVE_Y]
        )
        share, width = tail
        height = p[:, kernel.HEIGHT]
        means = np.full(len(p), np.nan)
        if image is not None and options is not None:
            x, y = p[:, [kernel.X, kernel.Y]].T.copy()
            means = disk_means(image, x, y, options.disk_radius)
        table = pd.DataFrame(
            {
                "x": np.where(self.ok, p[:, kernel.X], self.starts[:, 0]),
                "y": np.where(self.ok, p[:, kernel.Y], self.starts[:, 1]),
                "sigma_x": sigma_x,
                "sigma_y": sigma_y,
                "rotation": rotation,
                "amplitude": height,
                "volume": 2 * np.pi * sigma_x * sigma_y * height * (1 - share + share * width**2),
                "disk_mean": means,
                "background": p[:, kernel.LEVEL],
                "residual": d[:, kernel.RESIDUAL],
                "x_std": np.sqrt(d[:, kernel.VAR_X]),
                "y_std": np.sqrt(d[:, kernel.VAR_Y]),
                "amplitude_std": np.sqrt(d[:, kernel.VAR_HEIGHT]),
                "status": self.status,
            }
        )
        table.attrs = {
            "units": dict(UNITS),
            "tail": tuple(tail),
            "radius": getattr(options, "radius", None),
            "disk_radius": getattr(options, "disk_radius", None),
        }
        return table


def add_models(
    image: np.ndarray,
    parameters: np.ndarray,
    factor: float,
    tail: tuple[float, float],
    num_workers: int,
) -> None:
    """Add `factor` times the models of columns to an image, in place."""
    if not len(parameters):
        return

    def work(first_row: int, last_row: int) -> None:
        model_sum.add_models(image, first_row, last_row, parameters, factor, *tail)

    strip = max(-(-len(image) // (4 * num_workers)), 64)
    in_threads(work, len(image), strip, num_workers)


def copied(image: np.ndarray, num_workers: int) -> np.ndarray:
    """Copy of an image by threads: the first use of so much memory takes time."""
    copy = np.empty_like(image)

    def work(first_row: int, last_row: int) -> None:
        copy[first_row:last_row] = image[first_row:last_row]

    in_threads(work, len(image), 256, num_workers)
    return copy


def principal_axes(
    curve_x: np.ndarray, curve_xy: np.ndarray, curve_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Widths and angle of an ellipse given by its curvatures.

    Returns
    -------
    sigma_x, sigma_y : numpy.ndarray
        Along the principal axis nearest to x, and along the other.
    rotation : numpy.ndarray
        Angle of the axis of `sigma_x`, in [0, pi), from +x towards -y: counter-clockwise on the
        screen, as in Atomap.
    """
    turn = 0.5 * np.arctan2(2 * curve_xy, curve_x - curve_y)
    turn = np.where(np.abs(turn) > np.pi / 4, turn - np.copysign(np.pi / 2, turn), turn)
    cos, sin = np.cos(turn), np.sin(turn)
    along = curve_x * cos**2 + 2 * curve_xy * cos * sin + curve_y * sin**2
    across = curve_x * sin**2 - 2 * curve_xy * cos * sin + curve_y * cos**2
    rotation = np.mod(-turn, np.pi)
    # -1e-17 modulo pi is pi.
    return along**-0.5, across**-0.5, np.where(rotation >= np.pi, 0.0, rotation)


def image_array(image: Any, saturation: float | None = None) -> np.ndarray:
    """
    The image as a C-contiguous, writable float64 array; a lazy one is computed once.

    Pixels at or above `saturation` become NaN, and so do masked ones.
    """
    data = image.data if hasattr(image, "axes_manager") else image
    if hasattr(data, "dask"):
        data = data.compute()
    array = np.asarray(filled(data))
    if array.dtype.kind not in "iufb":
        raise TypeError(
            f"image has the type {array.dtype}; real numbers are needed: take the modulus, the "
            "phase or one channel."
        )
    if array.ndim != 2:
        raise ValueError(
            f"image has the shape {array.shape}; one 2-D image (rows, columns) is needed: choose "
            "one with inav, or average."
        )
    if not array.size:
        raise ValueError(f"image has the shape {array.shape}: it has no pixels.")
    if saturation is not None and not finite_number(saturation):
        raise ValueError(f"saturation={saturation!r}: give a number, or None for no saturation.")
    measured = np.isfinite(array)
    if saturation is not None:
        measured &= array < saturation
    if not measured.any():
        why = "" if saturation is None else f" below saturation={saturation:g}"
        raise ValueError(f"image has no finite pixel{why}: there is nothing to fit.")
    if saturation is not None:
        return np.where(array >= saturation, np.nan, array).astype(np.float64)
    # A read-only array would be another type to numba, and compiled for again.
    return np.require(array, np.float64, ["C", "A", "W"])


def starting_positions(
    positions: Any, order: str, shape: tuple[int, ...], name: str = "positions"
) -> np.ndarray:
    """Positions as (n, 2) of (x, y), refused if they fit the image only when swapped."""
    try:
        xy = as_positions(positions, order)
        check_positions_fit(xy, shape)
    except (TypeError, ValueError, FileNotFoundError) as error:
        text = str(error).replace("positions", name, 1)
        raise type(error)(text if name in text else f"{name}: {text}") from None
    return xy


def checked_default_radius(radius: float, distance: float) -> float:
    """Refuse a radius that is too small because columns, at this distance, are too close."""
    if radius < _MINIMUM_RADIUS:
        raise ValueError(
            f"The columns are only {distance:.3g} px apart: the disk of a fit would have a radius "
            f"of {radius:.3g} px, and needs {_MINIMUM_RADIUS:g}. Pass "
            f"radius={_MINIMUM_RADIUS:g}, or take an image with finer pixels."
        )
    return radius


def make_options(
    radius: float,
    disk_radius: float | None,
    max_shift: float | None,
    max_iterations: int,
    num_workers: int | None,
) -> Options:
    """Check the options of a fit and fill in the defaults."""
    if not _MINIMUM_RADIUS <= radius <= MAXIMUM_RADIUS:
        raise ValueError(
            f"radius={radius!r}: give {_MINIMUM_RADIUS:g} to {MAXIMUM_RADIUS:g} pixels, best 2.5 "
            "to 4 times the width (sigma) of a column."
        )
    if max_shift is None:
        max_shift = radius
    elif not max_shift > 0:
        raise ValueError(f"max_shift={max_shift!r}: give a positive number of pixels.")
    max_iterations = whole_number(max_iterations, "max_iterations")
    if num_workers is None:
        num_workers = count_threads()
    else:
        num_workers = whole_number(num_workers, "num_workers")
    disk_radius = checked_disk_radius(disk_radius, radius)
    return Options(float(radius), disk_radius, float(max_shift), max_iterations, num_workers)


def slope_weight_of(background: str) -> float:
    """Prior weight of the slopes of the background."""
    if background not in ("plane", "constant"):
        raise ValueError(f"background={background!r} is unknown: use 'plane' or 'constant'.")
    return 0.0 if background == "plane" else kernel.NO_SLOPE


def in_threads(
    work: Callable[[int, int], None],
    count: int,
    block: int,
    num_workers: int,
    tick: Callable[[int], None] | None = None,
) -> None:
    """
    Call ``work(first, last)`` for all blocks of a range.

    Parameters
    ----------
    work : callable
        Releases the GIL and writes to its own part of the results.
    count, block : int
        Length of the range and of a block.
    num_workers : int
        1 runs in the calling thread.
    tick : callable, optional
        Called with the length of each block that is done.
    """

    def one(first: int) -> int:
        last = min(first + block, count)
        work(first, last)
        return last - first

    for done in side_by_side(one, range(0, count, block), num_workers):
        if tick:
            tick(done)


@contextmanager
def refinement_progress(
    total: int, show_progressbar: bool | None, text: str = "Refining columns"
) -> Iterator[Callable[..., None]]:
    """
    Show the progress of a refinement; an interruption leaves everything unchanged.

    Parameters
    ----------
    total : int
        Number of fits.
    show_progressbar : bool or None
    text : str

    Yields
    ------
    callable
        Adds a number of fits that are done.
    """
    note = " (compiling, once per installation)" if ahead.is_missing() else ""
    with (
        explain_interruption(f"{text} was interrupted: nothing has been changed."),
        progress_bar(text + note, show_progressbar, total=total) as bar,
    ):

        def tick(count: int = 1) -> None:
            if note and not bar.n:
                bar.set_description(text, refresh=False)
            bar.update(count)

        if note:
            ahead.finish()
        yield tick
