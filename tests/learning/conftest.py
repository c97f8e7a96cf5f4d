# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks for the learning verbs: one with real motifs, one with clusters that are known."""

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack


def _small(seed=0, window_size=20):
    from hs_rvae.simulation import simulate_perovskite

    image, truth = simulate_perovskite((300, 280), cell=18.0, domain_size=5, random_state=seed)
    return SubImageStack.from_positions(image, truth.b_sites[["x", "y"]], window_size=window_size)


@pytest.fixture(scope="session")
def small_stack():
    """About 170 sites; must not be changed."""
    return _small()


@pytest.fixture
def stack(small_stack):
    return small_stack.deepcopy()


@pytest.fixture
def lazy(small_stack):
    """The same in four blocks."""
    lazy = small_stack.as_lazy()
    lazy.data = lazy.data.rechunk((50, -1, -1))
    return lazy


@pytest.fixture
def grouped():
    """Sub-images in three groups of 50, 30 and 20 sites, and the groups."""
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat([2, 0, 1], [50, 30, 20]))
    motif = rng.uniform(0, 10, (3, 12, 12))
    data = (motif[group] + 0.3 * rng.standard_normal((100, 12, 12))).astype(np.float32)
    image = hs.signals.Signal2D(np.ones((120, 120), np.float32))
    y, x = np.divmod(np.arange(100), 10)
    stack = SubImageStack.from_positions(
        image, np.stack([10 + 10 * x, 10 + 10 * y], 1), window_size=12
    )
    stack.data = data
    return stack, group
