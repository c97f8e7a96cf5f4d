# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linear decompositions of sub-images: images can be rebuilt from them.

In memory the work is done by HyperSpy and scikit-learn. What is here serves dask arrays, which are
read block by block, and tells bad input before anything is computed.
"""

from .blocks import as_blocks, mean_square, project, sum_rows, summarise, working_type
from .checks import (
    ALGORITHMS,
    check_algorithm,
    check_dimension,
    check_options,
    check_values,
    column_stem,
)
from .streaming import Components, rebuilding_factors, stream_estimator, stream_svd

__all__ = [
    "ALGORITHMS",
    "Components",
    "as_blocks",
    "check_algorithm",
    "check_dimension",
    "check_options",
    "check_values",
    "column_stem",
    "mean_square",
    "project",
    "rebuilding_factors",
    "stream_estimator",
    "stream_svd",
    "sum_rows",
    "summarise",
    "working_type",
]
