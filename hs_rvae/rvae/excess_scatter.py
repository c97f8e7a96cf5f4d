# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far angles scatter beyond what their posteriors say."""

import numpy as np
import scipy.optimize

from hs_rvae.variants import count_variants, nearest_wells, wrap

_FEWEST = 50
_ONE_SIGMA = 0.6827
_LEAST_RESULTANT = 0.8


def scatter_about_wells(angle, std):
    """Standard deviation that posteriors lack, from the angles themselves.

    The posterior knows the noise that is the same everywhere. Counting noise, which is strongest on
    the columns, and strain, which turns the cells, come on top. Where angles lie in wells, their
    scatter about the wells shows it: the answer s makes 68.27 % of the angles lie within
    sqrt(std^2 + s^2) of the median of their well. No truth and no label is used.

    Parameters
    ----------
    angle, std : numpy.ndarray, shape (n,)
        Defined angles and the widths of their posteriors, in radians.

    Returns
    -------
    float
        In radians; 0 if the angles lie in no wells, so that nothing can be said.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> angle = np.pi / 2 * rng.integers(4, size=5000) + 0.03 * rng.standard_normal(5000)
    >>> round(scatter_about_wells(angle, np.full(5000, 0.01)), 2)
    0.03
    """
    n_wells = count_variants(angle) if len(angle) >= _FEWEST else 0
    if not n_wells or np.abs(np.mean(np.exp(1j * n_wells * angle))) < _LEAST_RESULTANT:
        return 0.0
    well, residual, _ = nearest_wells(angle, n_wells)
    for k in range(n_wells):
        if (well == k).any():
            residual[well == k] -= np.median(residual[well == k])
    residual = np.abs(wrap(residual))

    def excess(variance):
        return np.quantile(residual / np.sqrt(std**2 + variance), _ONE_SIGMA) - 1

    if excess(0.0) <= 0:
        return 0.0
    return float(np.sqrt(scipy.optimize.brentq(excess, 0.0, np.pi**2)))


def scatter_of_distorted(angle, std, amplitude, amplitude_std):
    """:func:`scatter_about_wells` of the sites that are clearly distorted.

    Parameters
    ----------
    angle, std, amplitude : torch.Tensor, shape (n,)
        Angles (rad), the widths of their posteriors, order amplitudes.
    amplitude_std : float

    Returns
    -------
    float
        In radians; 0 if nothing can be said.
    """
    if not np.isfinite(amplitude_std):
        return 0.0
    defined = amplitude > max(0.5, 3 * amplitude_std)
    return scatter_about_wells(*(t[defined].double().cpu().numpy() for t in (angle, std)))
