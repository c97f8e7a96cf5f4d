# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances to the nearest of the other positions."""

import numpy as np
import pytest

from hs_rvae.sites.nearest import nearest_distances


def test_distances_are_computed_once_for_equal_positions():
    xy = np.random.default_rng(0).uniform(0, 100, (200, 2))
    apart = np.hypot(*(xy[:, None] - xy).T)
    np.fill_diagonal(apart, np.inf)
    found = nearest_distances(xy)
    np.testing.assert_allclose(found, apart.min(0), rtol=1e-12)
    assert nearest_distances(xy.copy()) is found
    assert nearest_distances(np.asfortranarray(xy)) is found
    assert nearest_distances(2 * xy) is not found


def test_nobody_can_change_what_others_get():
    found = nearest_distances(np.zeros((1, 2)))
    assert np.isinf(found).all()
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1.0
