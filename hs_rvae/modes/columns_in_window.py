# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns in the mean window: the middle one, the shell around it, and those beyond the shell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from scipy.optimize import least_squares

# Of the middle's contrast, by which a column rises above the line from it to the middle.
_RISE = 0.05
# Distances of one shell, in units of the nearest of its columns.
_ONE_SHELL = 1.2
_TAIL_WIDTH = 2.4  # of the broad part of a column's shape, in widths of its narrow part


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
    mean: np.ndarray, shell: np.ndarray | None = None, maximum_distance: float | None = None
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
    maximum_distance : float, optional
        Distance from the centre, in px, beyond which columns are not counted to a shell.

    Returns
    -------
    WindowColumns

    Raises
    ------
    ValueError
        If there are fewer than three columns around the middle.
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
        if maximum_distance is not None:
            distance = np.where(distance > maximum_distance, np.inf, distance)
        if not len(distance):
            raise ValueError("There is no column around the middle: take larger windows.")
        chosen = distance < _ONE_SHELL * distance.min()
        shell, rest = others[inside][chosen], np.vstack([others[inside][~chosen], others[~inside]])
    else:
        shell = np.asarray(shell, float)
        near = np.linalg.norm(others[:, None] - shell, axis=2).min(axis=1)
        rest = others[near > 0.3 * np.hypot(*shell.T).min()]
    if len(shell) < 3:
        raise ValueError(
            f"{len(shell)} columns around the middle: a strain needs three or more; take larger "
            "windows."
        )
    # Maxima on the border are flanks of columns outside.
    rest = np.where(np.abs(rest) >= half - 1.5, np.sign(rest) * (half + 2.0), rest)
    order = np.argsort(np.arctan2(shell[:, 1], shell[:, 0]), kind="stable")
    offsets = np.vstack([np.zeros((1, 2)), shell[order], rest])
    return _fit(np.asarray(mean, float), sign, offsets, len(shell))


def _sign(mean: np.ndarray) -> int:
    """1 if the middle is brighter than what is around it, else -1."""
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


def _fit(mean: np.ndarray, sign: int, offsets: np.ndarray, n_shell: int) -> WindowColumns:
    """Fit the peaks to the mean window; middle, shell and columns beyond have a shape each."""
    n, half = len(offsets), (len(mean) - 1) / 2
    y, x = np.mgrid[: len(mean), : len(mean)] - half
    kind = np.repeat([0, 1, 2], [1, n_shell, n - 1 - n_shell])
    low, high = np.percentile(sign * mean, [2, 99.5])
    scale = max(high - low, 1e-12)
    data = (sign * mean - low) / scale
    width = 0.16 * np.hypot(*offsets[1 : 1 + n_shell].T).min()
    n_kinds = kind.max() + 1
    start = np.concatenate(
        [offsets.ravel(), np.full(n_kinds, np.log(1 / width)), np.zeros(2 * n_kinds), [0.1]]
    )

    def parts(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        at, shape = p[: 2 * n].reshape(n, 2), p[2 * n : -1].reshape(3, n_kinds)
        stretch = np.exp(2 * shape[0])
        shapes = np.stack(
            [stretch * np.exp(shape[1]), stretch * np.exp(-shape[1]), stretch * shape[2]], 1
        )
        return at, shapes[kind], float(np.clip(p[-1], 0, 0.5))

    def basis(p: np.ndarray) -> np.ndarray:
        at, shapes, tail = parts(p)
        columns = [
            _peak(x - a[0], y - a[1], shape, tail).ravel()
            for a, shape in zip(at, shapes, strict=True)
        ]
        return np.stack([*columns, np.ones(x.size)], 1)

    def heights(matrix: np.ndarray) -> np.ndarray:
        square = matrix.T @ matrix
        return np.linalg.solve(
            square + 1e-6 * np.trace(square) / len(square) * np.eye(len(square)),
            matrix.T @ data.ravel(),
        )

    def rest(p: np.ndarray) -> np.ndarray:
        matrix = basis(p)
        # Columns stay near their maxima.
        stay = 0.02 * np.sqrt(x.size) * (p - start)[: 2 * n] / width / 10
        return np.concatenate([data.ravel() - matrix @ heights(matrix), stay])

    p = least_squares(rest, start, max_nfev=25).x
    at, shapes, tail = parts(p)
    height = heights(basis(p))
    return WindowColumns(
        at, n_shell, sign * scale * height[:-1], shapes, tail, sign * (scale * height[-1] + low)
    )
