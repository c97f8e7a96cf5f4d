# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of sites from their own values and those of their lattice neighbours.

Domains are larger than a cell, and a tilt alternates. So the groups of two neighbours go together,
and where single sites are noisy, the values of those around one help to tell its group. How well
groups go together is not assumed. For each step of the lattice it is the most likely joint
probability of the groups of all pairs, from their own values. Each neighbour counts with its own
value only, so that nothing spreads from site to site.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_MIN_PAIRS = 50  # of one step, whose joint probability is measured
_MAX_PAIRS = 4000  # from which it is measured
_N_ITERATIONS, _SETTLED = 100, 1e-4  # of expectation and maximisation
_TINY = 1e-4  # minimum probability of a pair of groups


def groups_among_neighbours(
    scores: np.ndarray, shares: np.ndarray, steps: Iterable[np.ndarray]
) -> np.ndarray:
    """
    Most likely group of each site, from its own value and those of its neighbours.

    Parameters
    ----------
    scores : numpy.ndarray, shape (n, k)
        Log joint density of the value of each site and each group.
    shares : numpy.ndarray, shape (k,)
        Probability of the groups in these densities.
    steps : iterable of numpy.ndarray of int, shape (m, 2)
        Neighbours by step of the lattice; the second of a pair is one step away from the first.

    Returns
    -------
    numpy.ndarray of int, shape (n,)

    Examples
    --------
    The value of one site is a little nearer to those of the other domain:

    >>> scores = np.where(np.arange(200)[:, None] < 100, [0.0, -3.0], [-3.0, 0.0])
    >>> scores[50] = [-1.0, 0.0]
    >>> row = np.arange(200)
    >>> found = groups_among_neighbours(scores, np.full(2, 0.5), [np.array([row[:-1], row[1:]]).T])
    >>> int(found[50]), np.flatnonzero(np.diff(found)).tolist()
    (0, [99])
    """
    likelihood = np.exp(scores - scores.max(axis=1, keepdims=True)) / np.maximum(shares, _TINY)
    total = scores.copy()
    for pairs in steps:
        if len(pairs) < _MIN_PAIRS:
            continue
        first, second = pairs.T
        joint = np.maximum(_joint(likelihood, pairs), _TINY)
        for one, other, both in ((first, second, joint), (second, first, joint.T)):
            given = both / both.sum(axis=1, keepdims=True)
            np.add.at(total, one, np.log(np.maximum(likelihood[other] @ given.T, 1e-300)))
    return total.argmax(axis=1)


def _joint(likelihood: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Most likely probabilities (k, k) of the groups of both sites of a pair."""
    some = pairs[:: -(-len(pairs) // _MAX_PAIRS)]
    both = likelihood[some[:, 0], :, None] * likelihood[some[:, 1], None, :]
    k = likelihood.shape[1]
    joint = np.full((k, k), 1 / k**2)
    for _ in range(_N_ITERATIONS):
        weight = both * joint
        before, joint = joint, (weight / weight.sum(axis=(1, 2), keepdims=True)).mean(axis=0)
        if np.abs(joint - before).max() < _SETTLED:
            break
    return joint
