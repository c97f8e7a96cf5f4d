# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scales of the harmonic model, taken from the data: intensity, frequencies, orders."""

import logging

import numpy as np
import torch

from .geometry import HarmonicGrid

_logger = logging.getLogger(__name__)

_HIGHEST_Q = 0.42  # cycles/px: beyond, cubic interpolation of the windows damps the noise
_NOISE_BAND = (0.33, 0.42)
_SHARE_KEPT = 0.995  # of the power above the noise


def intensity_scale(images):
    """Typical level and contrast of sub-images, robust against outlying sites.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, w, w)

    Returns
    -------
    level, scale : float
        Medians over the sites of the mean and of the standard deviation inside a sub-image.

    Raises
    ------
    ValueError
        If most sub-images are constant.
    """
    flat = np.asarray(images, np.float64).reshape(len(images), -1)
    level, scale = float(np.median(flat.mean(1))), float(np.median(flat.std(1)))
    if not scale > 1e-9 * abs(level):
        raise ValueError(
            "images: most sub-images are constant, so there is nothing to learn; check that the "
            "positions lie on columns of this image."
        )
    return level, scale


def choose_grid(images, q_max=None):
    """Frequencies and orders that hold what stands above the noise.

    Columns are smooth, so their power falls quickly with frequency; counting noise does not. The
    highest frequency is the one below which 99.5 % of the power above the noise lies. Steps and
    orders follow from it and from the window: a disk of radius R carries orders up to 2 pi q R.

    Parameters
    ----------
    images : numpy.ndarray of float32, shape (n, w, w)
        Normalised sub-images of a few hundred sites.
    q_max : float, optional
        Highest frequency in cycles/px, if it is given.

    Returns
    -------
    grid : HarmonicGrid
    dropped : float
        Share of the variance above the noise that lies beyond the highest frequency.
    """
    w = images.shape[1]
    fine = HarmonicGrid(w, _HIGHEST_Q, int(np.ceil(1.5 * _HIGHEST_Q * w)), 11)
    q, power = _radial_power(images, fine)
    noise = np.median(power[q > _NOISE_BAND[0]])
    # 1.5 times the noise keeps frequencies that a thousand sites together still resolve.
    rises = np.flatnonzero(power > 1.5 * noise)
    last = rises[-1] + 1 if len(rises) else len(q)
    signal = np.clip(power - noise, 0, None) * q
    signal[last:] = 0
    kept = np.cumsum(signal) / max(signal.sum(), 1e-30)
    if q_max is None:
        q_max = float(q[min(np.searchsorted(kept, _SHARE_KEPT), len(q) - 1)] + (q[1] - q[0]) / 2)
        q_max = min(max(q_max, 3.0 / w), _HIGHEST_Q)  # three periods across the window at least
    dropped = float(1 - np.interp(q_max, q, kept))
    n_q = int(np.clip(np.ceil(1.6 * q_max * w), 6, 24))
    radius = fine.radius
    max_order = int(np.clip(np.ceil(2 * np.pi * q_max * radius * 0.85), 8, 28))
    return HarmonicGrid(w, q_max, n_q, max_order), dropped


def _radial_power(images, grid):
    """Mean spectral density of the sub-images inside the disk, without their mean, by frequency."""
    x = torch.as_tensor(np.ascontiguousarray(images, dtype=np.float32))
    disk = grid.disk()
    x = x - (x * disk).sum((1, 2), keepdim=True) / disk.sum()
    harmonics = grid.polar(x * disk)
    power = (harmonics.abs() ** 2).sum(2)
    return grid.q, np.median(power.numpy(), axis=0) / grid.q
