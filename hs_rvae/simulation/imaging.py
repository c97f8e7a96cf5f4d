# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intensities of an image of simulated columns, in units of the peak of an A column."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import shift as _moved

# Of the probe's tail, in column widths (7 px for 2.9 px in measured HAADF images).
_TAIL_WIDTH = 2.4
_BACKGROUND = 0.2  # thermal diffuse scattering between the columns, in units of an A column
_VACUUM = 0.02  # what the detector counts without a crystal, likewise
_TRANSMITTED = 1.3  # bright-field background that dark columns are taken from, likewise


def sum_of_columns(
    shape: tuple[int, int],
    xy: np.ndarray,
    peak: np.ndarray,
    sigma: float,
    tilt: np.ndarray,
    tilt_angle: np.ndarray,
    jitter: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sum of elliptical Gaussians with a tail, each row read with its own horizontal offset."""
    reach = int(np.ceil(3.5 * _TAIL_WIDTH * sigma))
    image = np.zeros((shape[0] + 2 * reach, shape[1] + 2 * reach), np.float32)
    row_offset = (jitter * rng.standard_normal(image.shape[0])).astype(np.float32)
    span = np.arange(-reach, reach + 1, dtype=np.float32)
    centre = np.round(xy).astype(int)
    inside = ((centre >= -reach) & (centre < np.array(shape[::-1]) + reach)).all(1)
    cos, sin = np.cos(tilt_angle), np.sin(tilt_angle)
    for n in np.flatnonzero(inside):
        cx, cy = centre[n] + reach
        rows = slice(max(cy - reach, 0), cy + reach + 1)
        columns = slice(max(cx - reach, 0), cx + reach + 1)
        dx = (span + (centre[n, 0] - xy[n, 0]))[None, columns.start - cx + reach :]
        dy = (span + (centre[n, 1] - xy[n, 1]))[rows.start - cy + reach :, None]
        target = image[rows, columns]
        dx, dy = dx[:, : target.shape[1]], dy[: target.shape[0]]
        dx = dx + row_offset[rows][:, None]
        along, across = cos[n] * dx + sin[n] * dy, cos[n] * dy - sin[n] * dx
        square = (along / (1 + tilt[n])) ** 2 + across**2
        square *= -0.5 / sigma**2
        target += peak[n] * (0.88 * np.exp(square) + 0.12 * np.exp(square / _TAIL_WIDTH**2))
    return image[reach:-reach, reach:-reach].copy()


def background(shape: tuple[int, int], vacuum: float, sigma: float) -> float | np.ndarray:
    """Intensity between the columns: lower where there is no crystal."""
    if not vacuum:
        return _BACKGROUND
    distance = (1 - vacuum) * shape[1] - np.arange(shape[1])
    inside = 0.5 * (1 + np.tanh(distance / (2 * sigma)))
    return (_VACUUM + (_BACKGROUND - _VACUUM) * inside).astype(np.float32)


def bright_field(image: np.ndarray) -> np.ndarray:
    """Columns that take intensity from a transmitted background instead of adding to it."""
    return np.maximum(_TRANSMITTED - image, _VACUUM)


def elongation(
    tilt: np.ndarray, tilt_angle: np.ndarray, mistilt: tuple[float, float], sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Elongation of columns, and its direction, when a mistilt draws them out as well."""
    x, y = mistilt
    drawn_out = np.sqrt(1 + (x**2 + y**2) / sigma**2) - 1
    both = tilt * np.exp(2j * tilt_angle) + drawn_out * np.exp(2j * np.arctan2(y, x))
    return np.abs(both), np.angle(both) / 2


def aberrated(image: np.ndarray, share: float, move: tuple[float, float]) -> np.ndarray:
    """Image by a probe with a side lobe: a share of the intensity is moved by (x, y) px."""
    lobe = _moved(image.astype(float), move[::-1], order=1, mode="nearest")
    return ((1 - share) * image + share * lobe).astype(np.float32)
