# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of strain and tilt with what the neighbours of a site say."""

import numpy as np
import pytest

from hs_rvae.signals.other_orders import among_neighbours

N, SHARES = 30, np.array([0.5, 0.5])
Y, X = np.mgrid[:N, :N].reshape(2, -1)
XY = 20.0 * np.column_stack([X, Y])
PATTERNS = {
    "domains": X >= N // 2,
    "alternating": (X + Y) % 2 == 1,
    "rows": Y % 2 == 1,
    "antiphase": (X + Y + (X >= N // 2)) % 2 == 1,
}


def scores_of(group, scatter, seed):
    """Scores of two groups at 0 and 1, of values that scatter."""
    value = group + scatter * np.random.default_rng(seed).standard_normal(len(group))
    return np.log(SHARES) - (value[:, None] - [0, 1]) ** 2 / (2 * scatter**2)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neighbours_settle_what_single_sites_leave_open(pattern, seed):
    group = PATTERNS[pattern]
    scores = scores_of(group, 0.35, seed)
    alone = (scores.argmax(1) == group).mean()
    found = among_neighbours({"tilt_variant": (scores, SHARES)}, XY, None)["tilt_variant"]
    assert alone < 0.95
    assert (found == group).mean() > 0.985


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neighbours_change_nothing_where_groups_are_at_random(seed):
    group = np.random.default_rng(9 + seed).random(N * N) < 0.5
    scores = scores_of(group, 0.35, seed)
    found = among_neighbours({"parity": (scores, SHARES)}, XY, None)["parity"]
    alone = scores.argmax(1)
    assert (found == alone).mean() > 0.97
    assert (found == group).mean() > (alone == group).mean() - 0.01


def test_a_single_cell_that_is_certain_stays():
    group = PATTERNS["domains"].copy()
    group[5 * N + 5] = True
    scores = scores_of(group, 0.12, 0)
    scores[5 * N + 5] = [-30.0, 0.0]
    found = among_neighbours({"strain_variant": (scores, SHARES)}, XY, None)["strain_variant"]
    assert np.array_equal(found == 1, group)


def test_images_are_apart_and_sites_without_scores_have_no_group():
    group = PATTERNS["domains"]
    scores = scores_of(np.concatenate([group, ~group]), 0.12, 0)
    scores[7] = np.nan
    xy, strata = np.concatenate([XY, XY]), np.repeat([0, 1], N * N)
    found = among_neighbours({"strain_variant": (scores, SHARES)}, xy, strata)["strain_variant"]
    assert found[7] == -1
    known = np.arange(len(xy)) != 7
    assert np.array_equal(found[known] == 1, np.concatenate([group, ~group])[known])


def test_without_a_lattice_the_own_value_counts():
    xy = np.random.default_rng(0).uniform(0, 400, (6, 2))
    scores = scores_of(np.arange(6) % 2, 0.3, 0)
    found = among_neighbours({"strain_variant": (scores, SHARES)}, xy, None)["strain_variant"]
    assert np.array_equal(found, scores.argmax(1))
    assert among_neighbours({}, xy, None) == {}
