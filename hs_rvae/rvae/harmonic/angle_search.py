# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fit of the angles: a blind search or a start that is known, then the pose model, reported."""

import logging

import numpy as np

from .. import pose
from ..excess_scatter import scatter_of_distorted
from . import random_starts

_logger = logging.getLogger(__name__)


def fit_angles(harmonics, options, generator, progress, start=None):
    """Template and covariance, and what the search for them reports, in nats."""
    history, starts = [], {}

    def report(value):
        progress.step("rVAE angles")
        return progress.stopped

    def report_likelihood(value):
        history.append(value)
        progress.step("rVAE angles", {"log_likelihood": value})
        return progress.stopped

    if start is not None:
        model = start
    elif options.rotation:
        model, starts = random_starts.fit_blind(
            harmonics, generator, n_restarts=options.n_init, report=report
        )
        _report_starts(**starts)
    else:
        model = random_starts.without_angles(harmonics)
    if not progress.stopped:
        n_factors = min(options.n_factors, len(harmonics) // 20)
        model = pose.fit_pose(harmonics, model, n_factors=n_factors, report=report_likelihood)
    history = {"pose_log_likelihood": np.array(history)}
    return model, history | {f"start_{name}": values for name, values in starts.items()}


def _report_starts(log_likelihood, agreement):
    """Say how far the random starts of the search for angles agree."""
    near = log_likelihood > log_likelihood.max() - 1
    disagree = int((near & (agreement < 0.9)).sum())
    _logger.log(
        logging.WARNING if disagree else logging.INFO,
        "rVAE: of %d random starts, %d are as likely as the best within 1 nat per site, %d of them "
        "with other angles (agreement %s).",
        len(near),
        near.sum(),
        disagree,
        ", ".join(f"{a:.2f}" for a in agreement),
    )


def scatter_of_posterior(posterior, amplitude, order):
    """Scatter of the angles of distorted sites, see :func:`scatter_about_wells`."""
    if posterior.modes.shape[1] == 1:  # angles held at 0
        return 0.0
    sure = posterior.weights[:, 0] > 0.9
    parts = (t[sure] for t in (posterior.angle, posterior.std, amplitude))
    return scatter_of_distorted(*parts, order.std)
