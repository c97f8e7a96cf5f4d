# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns in the mean window: the middle one, the shell around it, and those beyond the shell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from scipy.optimize import least_squares

from .deformation import shell_inverse

# By this share of the middle's contrast a column rises above the line from it to the middle.
_RISE = 0.05
# Distances of one shell, in units of the nearest of its columns.
_ONE_SHELL = 1.2
_FITTED = 24  # pixels along a side of a window, at least, that peaks are fitted to
_STEPS = 14  # of this fit
_TAIL_WIDTH = 2.4  # of the broad part of a column's shape, in widths of its narrow part


class SmallWindow(ValueError):
    """Error of a window that does not show three columns, or those given, around its middle."""


@dataclass
class WindowColumns:
    """
    Columns in a window as a sum of peaks with a broad tail.

    Attributes
    ----------
    offsets : numpy.ndarray, shape (n_columns, 2)
        Places ``(x, y)`` from the centre of the window, in px: the middle column, its shell, and
        columns beyond.
    n_shell : int
        Number of columns of the shell.
    heights : numpy.ndarray, shape (n_columns,)
    shapes : numpy.ndarray, shape (n_columns, 3)
        xx, yy and xy of the inverse of the width's square, in 1/px^2.
    tail : float
        Share of the broad part.
    background : float
    """

    offsets: np.ndarray
    n_shell: int
    heights: np.ndarray
    shapes: np.ndarray
    tail: float
    background: float

    @property
    def shell(self) -> np.ndarray:
        """Places of the shell's columns, shape (n_shell, 2)."""
        return self.offsets[1 : 1 + self.n_shell]

    @property
    def widths(self) -> np.ndarray:
        """Mean width of each column, in px."""
        xx, yy, xy = self.shapes.T
        return (xx * yy - xy**2) ** -0.25

    def peaks(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Intensities of the columns at places from the centre, shape (n_columns, ...)."""
        return np.stack(
            [
                height * _peak(x - at[0], y - at[1], shape, self.tail)
                for at, height, shape in zip(self.offsets, self.heights, self.shapes, strict=True)
            ]
        )


def find_columns(
    mean: np.ndarray, shell: np.ndarray | None = None, distances: tuple[float, float] | None = None
) -> WindowColumns:
    """
    Find the columns in a mean window.

    Parameters
    ----------
    mean : numpy.ndarray, shape (w, w)
        Mean window, a column at its centre; bright or dark columns.
    shell : numpy.ndarray, shape (n, 2), optional
        Places ``(x, y)`` of the columns of the surroundings, from the centre in px. If None, the
        nearest shell of columns that rise by 5 % of the contrast.
    distances : tuple of float, optional
        Minimum and maximum distance of the shell from the centre, in px. Where no three columns are
        there, the nearest shell counts.

    Returns
    -------
    WindowColumns

    Raises
    ------
    SmallWindow
        If there are fewer than three columns around the middle, or the given ones are outside; it
        is a ValueError.
    ValueError
        If the columns around the middle stand on one line.
    """
    sign = _sign(mean)
    bright = sign * np.asarray(mean, float)
    places = _maxima(bright)
    half = (len(mean) - 1) / 2
    middle = np.hypot(*places.T) < 0.12 * len(mean)
    others = places[~middle]
    inside = np.abs(others).max(axis=1) < half - 1.5 if len(others) else np.zeros(0, bool)
    if shell is None:
        distance = np.hypot(*others[inside].T)
        if not len(distance):
            raise SmallWindow("There is no column around the middle: take larger windows.")
        chosen = distance < _ONE_SHELL * distance.min()
        if distances is not None:
            between = (distance >= distances[0]) & (distance <= distances[1])
            chosen = between if between.sum() >= 3 else chosen
        shell, rest = others[inside][chosen], np.vstack([others[inside][~chosen], others[~inside]])
    else:
        shell = np.asarray(shell, float)
        near = np.linalg.norm(others[:, None] - shell, axis=2).min(axis=1)
        rest = others[near > 0.3 * np.hypot(*shell.T).min()]
    if len(shell) < 3:
        raise SmallWindow(
            f"{len(shell)} columns around the middle: a strain needs three or more; take larger "
            "windows."
        )
    if np.abs(shell).max() > half:
        raise SmallWindow("The sub-images do not reach to the columns around: take larger windows.")
    if np.isnan(shell_inverse(shell)).any():
        raise ValueError("The columns around the middle stand on one line: a strain needs others.")
    # Maxima on the border are flanks of columns outside.
    rest = np.where(np.abs(rest) >= half - 1.5, np.sign(rest) * (half + 2.0), rest)
    order = np.argsort(np.arctan2(shell[:, 1], shell[:, 0]), kind="stable")
    offsets = np.vstack([np.zeros((1, 2)), shell[order], rest])
    return _fit(np.asarray(mean, float), sign, offsets, len(shell))


def fit_columns(mean: np.ndarray, columns: WindowColumns) -> WindowColumns:
    """Fit known columns to another mean window, shape (w, w)."""
    sign = 1 if columns.heights[0] > 0 else -1
    return _fit(mean, sign, columns.offsets, columns.n_shell, columns)


def _sign(mean: np.ndarray) -> int:
    """1 if the middle is brighter than its surroundings, else -1."""
    half = (len(mean) - 1) / 2
    y, x = np.mgrid[: len(mean), : len(mean)] - half
    radius = np.hypot(x, y)
    width = len(mean)
    centre = mean[radius < max(0.06 * width, 1.0)].mean()
    ring = mean[(radius > 0.15 * width) & (radius < 0.22 * width)].mean()
    return 1 if centre >= ring else -1


def _maxima(bright: np.ndarray) -> np.ndarray:
    """Maxima (n, 2) from the centre that rise above the line to the middle; the border counts."""
    width = len(bright)
    half = (width - 1) / 2
    smooth = gaussian_filter(bright, max(0.02 * width, 0.7), mode="nearest")
    size = int(max(0.12 * width, 3)) | 1
    rows, columns = np.nonzero(smooth == maximum_filter(smooth, size, mode="nearest"))
    places = np.stack([columns, rows], 1) - half
    top = smooth[int(half) : int(half) + 2, int(half) : int(half) + 2].max()
    kept = []
    for x, y in places:
        steps = np.linspace(0, 1, 60)
        line = map_coordinates(smooth, [half + y * steps, half + x * steps], order=1)
        if np.hypot(x, y) < 0.12 * width or line[-1] - line.min() > _RISE * (top - line.min()):
            kept.append((x, y))
    return np.array(kept, float).reshape(-1, 2)


def _peak(x: np.ndarray, y: np.ndarray, shape: np.ndarray, tail: float) -> np.ndarray:
    square = shape[0] * x**2 + shape[1] * y**2 + 2 * shape[2] * x * y
    return (1 - tail) * np.exp(-square / 2) + tail * np.exp(-square / (2 * _TAIL_WIDTH**2))


def _fit(
    mean: np.ndarray,
    sign: int,
    offsets: np.ndarray,
    n_shell: int,
    known: WindowColumns | None = None,
) -> WindowColumns:
    """Fit the peaks to the mean window; middle, shell and columns beyond have a shape each."""
    n, half = len(offsets), (len(mean) - 1) / 2
    step = max(len(mean) // _FITTED, 1)
    y, x = np.mgrid[: len(mean) : step, : len(mean) : step].reshape(2, -1) - half
    kind = np.repeat([0, 1, 2], [1, n_shell, n - 1 - n_shell])
    low, high = np.percentile(sign * mean, [2, 99.5])
    scale = max(high - low, 1e-12)
    data = (sign * mean[::step, ::step].ravel() - low) / scale
    width = 0.16 * np.hypot(*offsets[1 : 1 + n_shell].T).min()
    n_kinds = kind.max() + 1
    start = np.zeros(2 * n + 3 * n_kinds + 1)
    start[: 2 * n], start[-1] = offsets.ravel(), 0.1
    start[2 * n : 2 * n + n_kinds] = np.log(1 / width)
    if known is not None:
        start[2 * n : 2 * n + n_kinds] = [
            -np.log(known.widths[kind == k][0]) for k in range(n_kinds)
        ]
        start[-1] = known.tail
    # Columns stay near their maxima.
    stay = 0.002 * np.sqrt(x.size) / width * np.eye(2 * n, len(start))
    peaks = _Peaks(x, y, kind, data)

    def rest(p: np.ndarray) -> np.ndarray:
        return np.concatenate([peaks.at(p).rest, stay @ (p - start)])

    def slopes(p: np.ndarray) -> np.ndarray:
        return np.vstack([peaks.at(p).slopes(), stay])

    steps = _STEPS if known is None else _STEPS // 2
    peaks.at(least_squares(rest, start, jac=slopes, max_nfev=steps).x)
    heights = sign * scale * peaks.heights
    return WindowColumns(
        peaks.offsets, n_shell, heights[:-1], peaks.shapes, peaks.tail, heights[-1] + sign * low
    )


class _Peaks:
    """Sum of peaks on a background, whose heights are always the best ones."""

    def __init__(self, x: np.ndarray, y: np.ndarray, kind: np.ndarray, data: np.ndarray) -> None:
        self.x, self.y, self.kind, self.data = x, y, kind, data

    def at(self, p: np.ndarray) -> _Peaks:
        """The peaks with places, shapes by kind and tail `p`."""
        n = len(self.kind)
        self.offsets = p[: 2 * n].reshape(n, 2)
        size, long, slant = p[2 * n : -1].reshape(3, -1)[:, self.kind]
        self.stretch = np.exp(2 * size)
        self.shapes = np.stack([np.exp(long), np.exp(-long), slant], 1) * self.stretch[:, None]
        self.tail = float(np.clip(p[-1], 0, 0.5))
        self.dx, self.dy = (
            one - at[:, None] for one, at in zip((self.x, self.y), self.offsets.T, strict=True)
        )
        xx, yy, xy = self.shapes.T[..., None]
        self.square = xx * self.dx**2 + yy * self.dy**2 + 2 * xy * self.dx * self.dy
        self.narrow = np.exp(-self.square / 2)
        self.broad = np.exp(-self.square / (2 * _TAIL_WIDTH**2))
        peaks = (1 - self.tail) * self.narrow + self.tail * self.broad
        basis = np.vstack([peaks, np.ones_like(self.x)]).T
        # A little damped: columns beyond the shell may be alike.
        square = basis.T @ basis
        self.inverse = np.linalg.solve(square + 1e-6 * np.trace(square) * np.eye(n + 1), basis.T)
        self.basis, self.heights = basis, self.inverse @ self.data
        self.rest = self.data - basis @ self.heights
        return self

    def slopes(self) -> np.ndarray:
        """Derivatives of the residual by the parameters, with the heights fitted again."""
        xx, yy, xy = self.shapes.T[..., None]
        by_square = (1 - self.tail) * self.narrow + self.tail * self.broad / _TAIL_WIDTH**2
        by_square *= -self.heights[:-1, None] / 2
        by_place = np.stack(
            [-2 * (xx * self.dx + xy * self.dy), -2 * (yy * self.dy + xy * self.dx)], axis=1
        )
        by_shape = np.stack(
            [
                2 * self.square,
                xx * self.dx**2 - yy * self.dy**2,
                2 * self.stretch[:, None] * self.dx * self.dy,
            ]
        )
        by_shape = by_shape * by_square
        kinds = np.eye(self.kind.max() + 1)[self.kind]
        of_kinds = np.einsum("ck,scp->skp", kinds, by_shape).reshape(-1, len(self.x))
        by_tail = self.heights[:-1] @ (self.broad - self.narrow)
        places = (by_place * by_square[:, None]).reshape(-1, len(self.x))
        all_ = np.vstack([places, of_kinds, by_tail]).T
        return self.basis @ (self.inverse @ all_) - all_
