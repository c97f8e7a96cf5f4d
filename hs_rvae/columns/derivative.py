# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that are derivatives, such as one component of differential phase contrast."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

_logger = logging.getLogger(__name__)

# Bright spots beside dark ones: no side of the distribution is the longer one. Images of columns
# have a skewness of 0.3 and more.
_LARGEST_SKEWNESS = 0.2
# A derivative of round columns has two to five times as much slope along its direction as across;
# images of columns have up to 1.5.
_MINIMUM_ANISOTROPY = 1.8
_SIDE = 1024  # px that are judged


def looks_like_derivative(values: np.ndarray, spacing: float) -> bool:
    """
    Return True if an image has lobes of both signs along one direction at its columns.

    Parameters
    ----------
    values : numpy.ndarray of shape (rows, columns)
        Finite values.
    spacing : float
        Shortest lattice vector in pixels.

    Returns
    -------
    bool
    """
    part = np.asarray(values[:_SIDE, :_SIDE], float)
    part = gaussian_filter(part, 0.07 * spacing) - gaussian_filter(part, 0.56 * spacing)
    square = np.mean(part**2)
    if not square > 0:
        return False
    skewness = np.mean(part * part * part) / square**1.5
    if abs(skewness) >= _LARGEST_SKEWNESS:
        return False
    slope_y, slope_x = np.gradient(part)
    tensor = np.cov(np.stack([slope_x.ravel(), slope_y.ravel()]))
    small, large = np.linalg.eigvalsh(tensor)
    return bool(large > _MINIMUM_ANISOTROPY * small)


def warn_of_derivative(image: Any, values: np.ndarray, cell: Any) -> None:
    """Warn of an image that is a component of a vector, by its signal type or by its look."""
    spacing = float(np.linalg.norm(np.asarray(cell, float), axis=1).min())
    named = getattr(image, "_signal_type", "") in ("dpc", "beam_shift")
    if named or looks_like_derivative(values, spacing):
        _logger.warning(
            "The image resembles a derivative, such as one component of differential phase "
            "contrast: bright and dark lobes stand beside the columns, not on them, and turning "
            "it does not turn what it shows. Take the magnitude or the integrated phase: "
            "get_magnitude_signal() or phase_retrieval() in pyxem."
        )
