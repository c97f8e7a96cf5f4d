# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scales of the harmonic model, taken from the data: intensity, frequencies, orders."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.sparse

from .geometry import HarmonicGrid

_HIGHEST_Q = 0.42  # cycles/px: beyond, cubic interpolation of the windows damps the noise
_SHARE_KEPT = 0.995  # of the variance that sites have in common
_COMMON = 0.2  # minimum share of the power of order 0 that is common to the sites


def intensity_scale(images: np.ndarray) -> tuple[float, float]:
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
        If most sub-images are constant, or there is none.
    """
    if not len(images):
        raise ValueError("images: there is no finite sub-image; check the image for NaN.")
    flat = np.asarray(images, np.float64).reshape(len(images), -1)
    level, scale = float(np.median(flat.mean(1))), float(np.median(flat.std(1)))
    if not scale > 1e-9 * abs(level):
        raise ValueError(
            "images: most sub-images are constant, so there is nothing to learn; check that the "
            "positions lie on columns of this image."
        )
    return level, scale


def choose_grid(images: np.ndarray, q_max: float | None = None) -> tuple[HarmonicGrid, float]:
    """Choose the frequencies and orders that contain the signal above the noise.

    Columns are smooth: the common signal of the sites ends at some frequency, beyond which there is
    only noise. Order 0, which no rotation changes, separates the two without any angle: the power
    of its mean over the sites is compared with its mean power. The highest frequency is the one
    below which 99.5 % of the common variance lies. Steps and orders follow from it and from the
    window: a disk of radius R carries orders up to 2 pi q R.

    Parameters
    ----------
    images : numpy.ndarray of float32, shape (n, w, w)
        Normalised sub-images of a few hundred sites.
    q_max : float, optional
        Highest frequency in cycles/px. If None, it is chosen from the images.

    Returns
    -------
    grid : HarmonicGrid
    dropped : float
        Share of the variance above the noise that lies beyond the highest frequency.

    Raises
    ------
    ValueError
        If the highest frequency is too low for one period across the window.
    """
    w = images.shape[1]
    if q_max is not None and q_max * w < 1:
        raise ValueError(
            f"q_max={q_max:g}: one period across a window of {w} px has {1 / w:.3g} cycles/px; "
            "give that or more."
        )
    edges, power, common = _radial_power(images)
    shared = np.flatnonzero(common > _COMMON)
    last = shared[-1] + 1 if len(shared) else len(power)
    # Common power: the mean power less the noise, taken to continue at the level of its end.
    signal = np.clip(power - power[last - 1 : last + 2].min(), 0, None) * edges
    signal[last:] = 0
    kept = np.cumsum(signal) / max(signal.sum(), 1e-30)
    if q_max is None:
        q_max = float(edges[min(int(np.searchsorted(kept, _SHARE_KEPT)), len(edges) - 1)])
        q_max = min(max(q_max, 3.0 / w), _HIGHEST_Q)  # three periods across the window at least
    dropped = float(1 - np.interp(q_max, edges, kept))
    n_q = int(np.clip(np.ceil(1.6 * q_max * w), 6, 24))
    radius = HarmonicGrid(w, q_max, n_q, 8).radius
    max_order = int(np.clip(np.ceil(2 * np.pi * q_max * radius * 0.85), 8, 28))
    return HarmonicGrid(w, q_max, n_q, max_order), dropped


def _radial_power(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power in the disk by frequency, and the share of order 0 common to the sites.

    Returns
    -------
    edges : numpy.ndarray, shape (k,)
        Upper edges of bins of frequency, in cycles/px.
    power, common : numpy.ndarray, shape (k,)
        Median over the sites of the mean power; share of the mean site in the power of the
        azimuthal mean.
    """
    w = images.shape[1]
    size = scipy.fft.next_fast_len(int(1.5 * w), real=True)  # finer than 1 / w
    disk = HarmonicGrid(w, _HIGHEST_Q, 6, 8).disk().numpy()
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    step = 1 / (1.5 * w)
    bins = (np.hypot(x, y) / step).astype(int)
    n_bins = int(_HIGHEST_Q / step)
    used = bins < n_bins
    centre = np.exp(2j * np.pi * (x + y) * (w - 1) / 2)[used]  # phases about the column
    share = scipy.sparse.coo_array((np.ones(used.sum()), (bins[used], np.arange(used.sum()))))
    share = scipy.sparse.diags_array(1 / share.sum(1)) @ share.tocsr()
    powers, means = [], []
    for block in np.array_split(images, max(1, len(images) // 64)):
        level = (block * disk).sum((1, 2), keepdims=True) / disk.sum()
        wave = scipy.fft.rfft2(((block - level) * disk).astype(np.float32), (size, size))
        wave = (wave[:, used] * centre).T
        powers.append(share @ np.abs(wave) ** 2)
        means.append(share @ wave.real)
    power, order_0 = np.concatenate(powers, 1), np.concatenate(means, 1)
    common = order_0.mean(1) ** 2 / np.maximum((order_0**2).mean(1), 1e-30)
    return step * np.arange(1, n_bins + 1), np.median(power, 1), common
