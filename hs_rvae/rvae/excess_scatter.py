# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Excess scatter of the angles over their posterior widths."""

from __future__ import annotations

import numpy as np
import scipy.optimize
from torch import Tensor

from hs_rvae.variants import find_groups, wrap

_MIN_SITES = 50
_ONE_SIGMA = 0.6827


def scatter_about_wells(angle: np.ndarray, std: np.ndarray) -> float:
    """Standard deviation missing in the posteriors, from the scatter of the angles.

    The posterior contains the noise that is the same everywhere. Counting noise, which is strongest
    on the columns, and strain, which turns the cells, come in addition. If angles lie in wells,
    their scatter about the wells shows it: s is chosen such that 68.27 % of the angles lie within
    sqrt(std^2 + s^2) of the median of their well. Neither truth nor labels are used.

    Parameters
    ----------
    angle, std : numpy.ndarray, shape (n,)
        Defined angles and the widths of their posteriors, in radians.

    Returns
    -------
    float
        In radians; 0 if the angles do not lie in wells, so that there is no estimate.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> angle = np.pi / 2 * rng.integers(4, size=5000) + 0.03 * rng.standard_normal(5000)
    >>> round(scatter_about_wells(angle, np.full(5000, 0.01)), 2)
    0.03
    """
    groups = find_groups(angle, std) if len(angle) >= _MIN_SITES else None
    if groups is None or not groups.n_groups:
        return 0.0
    group, residual, _ = groups.assign(angle, least_probability=0.0)
    for k in range(groups.n_groups):
        if (group == k).any():
            residual[group == k] -= np.median(residual[group == k])
    used = np.isfinite(residual)
    residual, std = np.abs(wrap(residual[used])), std[used]

    def excess(variance: float) -> float:
        return np.quantile(residual / np.sqrt(std**2 + variance), _ONE_SIGMA) - 1

    if excess(0.0) <= 0:
        return 0.0
    return float(np.sqrt(scipy.optimize.brentq(excess, 0.0, np.pi**2)))


def scatter_of_distorted(
    angle: Tensor, std: Tensor, amplitude: Tensor, amplitude_std: float
) -> float:
    """Apply :func:`scatter_about_wells` to the sites that are clearly distorted.

    Parameters
    ----------
    angle, std, amplitude : torch.Tensor, shape (n,)
        Angles (rad), the widths of their posteriors, order amplitudes.
    amplitude_std : float

    Returns
    -------
    float
        In radians; 0 if there is no estimate.
    """
    if not np.isfinite(amplitude_std):
        return 0.0
    defined = amplitude > max(0.5, 3 * amplitude_std)
    angles, widths = (t[defined].double().cpu().numpy() for t in (angle, std))
    return scatter_about_wells(angles, widths)
