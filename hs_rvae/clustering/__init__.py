# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of sites: mixtures of Gaussians, k-means and others, and how many there are.

Arrays in, labels out. The work is scikit-learn's; what is here orders labels by size, scales
columns of different kinds, and draws the curves from which a number of clusters is chosen.
"""

from .estimators import (
    ALGORITHMS,
    MIXTURES,
    SizeOrdered,
    check_algorithm,
    make_estimator,
    say_cost,
)
from .features import check_features, check_number, check_preprocessing, scale_columns
from .number import METRICS, NumberOfClusters, estimate_number

__all__ = [
    "ALGORITHMS",
    "METRICS",
    "MIXTURES",
    "NumberOfClusters",
    "SizeOrdered",
    "check_algorithm",
    "check_features",
    "check_number",
    "check_preprocessing",
    "estimate_number",
    "make_estimator",
    "say_cost",
    "scale_columns",
]
