# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of the angles of many sites."""

import time

import numpy as np

from hs_rvae.variants import find_groups, wrap


def test_angles_of_100_000_sites_are_grouped_in_seconds():
    rng = np.random.default_rng(7)
    std = np.radians(rng.uniform(5, 15, 100_000))
    angle = wrap(np.pi / 2 * rng.integers(4, size=len(std)) + std * rng.standard_normal(len(std)))
    start = time.process_time()
    assert find_groups(angle, std).n_groups == 4
    assert time.process_time() - start < 4
