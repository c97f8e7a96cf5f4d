# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scales of the harmonic model, taken from the data: intensity, frequencies, orders."""

import logging

import numpy as np
import torch

from .geometry import HarmonicGrid

_logger = logging.getLogger(__name__)

_HIGHEST_Q = 0.42  # cycles/px: beyond, cubic interpolation of the windows damps the noise
_SHARE_KEPT = 0.995  # of the variance that sites have in common
_COMMON = 0.2  # least share of the power of order 0 that is common to the sites


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

    Columns are smooth: what the sites have in common ends at some frequency, beyond which each has
    noise of its own. Order 0, which no rotation changes, tells them apart without knowing an angle:
    the power of its mean over the sites against its mean power. The highest frequency is the one
    below which 99.5 % of the common variance lies. Steps and orders follow from it and from the
    window: a disk of radius R carries orders up to 2 pi q R.

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
    power, common = _radial_power(images, fine)
    step = _HIGHEST_Q / fine.n_q
    shared = np.flatnonzero(common > _COMMON)
    last = shared[-1] + 1 if len(shared) else fine.n_q
    # Common power: the mean power less the noise, taken to continue at the level of its end.
    signal = np.clip(power - power[last - 1 : last + 2].min(), 0, None)
    signal[last:] = 0
    kept = np.cumsum(signal) / max(signal.sum(), 1e-30)
    edges = fine.q + step / 2
    if q_max is None:
        q_max = float(edges[min(np.searchsorted(kept, _SHARE_KEPT), len(edges) - 1)])
        q_max = min(max(q_max, 3.0 / w), _HIGHEST_Q)  # three periods across the window at least
    dropped = float(1 - np.interp(q_max, edges, kept))
    n_q = int(np.clip(np.ceil(1.6 * q_max * w), 6, 24))
    max_order = int(np.clip(np.ceil(2 * np.pi * q_max * fine.radius * 0.85), 8, 28))
    return HarmonicGrid(w, q_max, n_q, max_order), dropped


def _radial_power(images, grid):
    """By frequency: power in the disk, and the share of order 0 common to the sites."""
    x = torch.as_tensor(np.ascontiguousarray(images, dtype=np.float32))
    disk = grid.disk()
    x = x - (x * disk).sum((1, 2), keepdim=True) / disk.sum()
    polar = grid.polar(x * disk)
    power = (polar.abs() ** 2).sum(2).median(0).values
    order_0 = polar.real.mean(2)  # the imaginary parts of opposite azimuths cancel
    common = order_0.mean(0) ** 2 / (order_0**2).mean(0).clamp(min=1e-30)
    return power.numpy(), common.numpy()
