# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The working pixel size: a scan of distances, until the columns stand as far apart as assumed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from scipy.spatial import cKDTree

from .inference import Detections
from .sampling import WORKING_SPACING

_logger = logging.getLogger(__name__)

_FINEST = 5.0  # px between nearest columns
_STEP = 1.25  # between the distances that are tried
_FITS = (0.78, 1.28)  # ratio of the distance found and the one assumed
_SURE = 0.6  # mean probability of the columns that settles the distance
_NEARLY = 0.75  # of the highest mean probability
_FAINT = 0.1  # probability below which a column does not count for the mean
_FEWEST = 6  # columns
_PART = 30.0  # assumed distances along the side of a part of the image

Detect = Callable[[np.ndarray, np.ndarray], Detections]


def find_spacing(image: np.ndarray, stretch: np.ndarray, detect: Detect, finest: float) -> float:
    """
    Find the distance of nearest columns.

    At the right distance the network is sure of its columns, and they stand as far apart as was
    assumed. At twice the distance, pairs of columns may look like one. The smallest distance that
    fits is taken.

    Parameters
    ----------
    image : numpy.ndarray of float32, shape (rows, columns)
        With bright columns.
    stretch : numpy.ndarray, shape (2,)
        Size (x, y) of a pixel in units in which its area is 1.
    detect : callable
        Columns of an image for a working pixel of a size (x, y).
    finest : float
        Pixels that were recorded, in pixels of the image: no distance is below 5 of them.

    Returns
    -------
    float
        In units in which pixels are square; NaN if none fits.
    """
    tried: list[tuple[float, float]] = []
    assumed = _FINEST * finest
    while assumed < min(image.shape) / 3:
        found, sure = _measured(image, stretch, detect, assumed)
        if _FITS[0] < found / assumed < _FITS[1]:
            tried.append((found, sure))
        assumed *= _STEP
    if not tried:
        return float("nan")
    least = min(_SURE, _NEARLY * max(sure for _, sure in tried))
    spacing = next(found for found, sure in tried if sure >= least)
    again, _ = _measured(image, stretch, detect, spacing)
    if _FITS[0] < again / spacing < _FITS[1]:
        spacing = again
    _logger.info("Nearest columns are %.3g px apart.", spacing)
    return spacing


def _measured(
    image: np.ndarray, stretch: np.ndarray, detect: Detect, assumed: float
) -> tuple[float, float]:
    """Distance of nearest columns where one is assumed, and the mean of their probabilities."""
    apart, probabilities = [], []
    for part in _parts(image, stretch, assumed):
        found = detect(part, assumed / WORKING_SPACING / stretch)
        probabilities.append(found.probability[found.probability > _FAINT])
        xy = found.positions[found.probability > 0.5] * stretch
        if len(xy) > 1:
            apart.append(cKDTree(xy).query(xy, k=2)[0][:, 1])
    if sum(map(len, apart)) < _FEWEST:
        return float("nan"), 0.0
    distance = float(np.quantile(np.concatenate(apart), 0.3))
    return distance, float(np.concatenate(probabilities).mean())


def _parts(image: np.ndarray, stretch: np.ndarray, assumed: float) -> list[np.ndarray]:
    """The image, or the middles of it and of its quarters where it is large."""
    sizes = [
        min(int(np.ceil(_PART * assumed / s)), n)
        for n, s in zip(image.shape, stretch[::-1], strict=True)
    ]
    middles = [(0.5, 0.5)]
    if min(n / size for n, size in zip(image.shape, sizes, strict=True)) > 1.5:
        middles += [(y, x) for y in (0.25, 0.75) for x in (0.25, 0.75)]
    parts = []
    for middle in middles:
        first = [
            int(np.clip(n * m - size / 2, 0, n - size))
            for n, m, size in zip(image.shape, middle, sizes, strict=True)
        ]
        parts.append(image[first[0] : first[0] + sizes[0], first[1] : first[1] + sizes[1]])
    return parts
