# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of a quantity of sites against a smooth field.

A smooth strain, or a lattice that is bent, is predicted by other cells as well as domains are. So
both are asked to predict a site that is left out, from the sites two to three cells away:

* groups: the group of the site from the groups of the others, its value from the group;
* a field: the value of the site from the values of the others, by the best linear map.

Domains have few values and sharp walls, which no linear map follows. A field has all values, which
no few groups follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..neighbour_test import LatticeOffsets

_COUPLINGS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)  # weights of the groups of the others
_N_PLAIN, _N_COUPLED = 30, 8  # iterations without and with other sites
_BROAD = 2.0  # covariance of what is in no group, in those of all sites
_MIN_SHARE = 0.05  # of a group
_MIN_APART = 2.0  # scatters of a site, between two groups
_MORE = 0.02  # nats per site that one more group has to bring


@dataclass
class Groups:
    """Normal groups of one covariance, and a broad rest.

    Attributes
    ----------
    centres : numpy.ndarray, shape (k, d)
    covariance : numpy.ndarray, shape (d, d)
    shares : numpy.ndarray, shape (k + 1,)
        Of the groups, and of the rest.
    rest : tuple of numpy.ndarray
        Mean (d,) and covariance (d, d) of the rest.
    """

    centres: np.ndarray
    covariance: np.ndarray
    shares: np.ndarray
    rest: tuple[np.ndarray, np.ndarray]

    def log_densities(self, values: np.ndarray) -> np.ndarray:
        """Log density of values (n, d) in each group and in the rest, (n, k + 1)."""
        groups = [log_normal(values - centre, self.covariance) for centre in self.centres]
        return np.stack([*groups, log_normal(values - self.rest[0], self.rest[1])], 1)

    def probabilities(self, values: np.ndarray, log_prior: np.ndarray | None = None) -> np.ndarray:
        """Probability of each group and of the rest, (n, k + 1)."""
        prior = np.log(self.shares) if log_prior is None else log_prior
        return _softmax(self.log_densities(values) + prior)

    @property
    def apart(self) -> float:
        """Least distance of two groups in scatters of a site."""
        white = np.linalg.solve(np.linalg.cholesky(self.covariance), self.centres.T).T
        distance = np.linalg.norm(white[:, None] - white, axis=2)
        return float(distance[np.triu_indices(len(white), 1)].min(initial=np.inf))


@dataclass
class Found:
    """Best groups, and the evidence for them.

    Attributes
    ----------
    groups : Groups
    gain : float
        Log-likelihood of sites left out of the groups less that of a smooth field (nat per site).
    probability : numpy.ndarray, shape (n, k + 1)
        Of the groups of each site, from its own value and the sites around it.
    alternation : float
        Mean correlation of the groups of the nearest offsets that differ; below 0 they alternate.
    """

    groups: Groups
    gain: float
    probability: np.ndarray


def find_order_groups(
    values: np.ndarray, offsets: LatticeOffsets, numbers: tuple[int, ...]
) -> Found | None:
    """Groups of values against a smooth field.

    Parameters
    ----------
    values : numpy.ndarray, shape (n, d)
        One or two numbers for each site.
    offsets : LatticeOffsets
    numbers : tuple of int
        Numbers of groups to try, ascending.

    Returns
    -------
    Found or None
        None if no number of groups has groups that stand apart.
    """
    n, missed = len(values), _missed(values, offsets)
    field = _two_widths(missed)
    best: Found | None = None
    for number in numbers:
        tried = [_fit(values, start, offsets) for start in _starts(values, number)]
        groups, value = max(tried, key=lambda one: one[1])
        value, probability = _with_field(groups, values, missed, offsets)
        n_more = number * (values.shape[1] + 1)
        gain = value - field - 0.5 * n_more * np.log(n) / n
        if groups.apart < _MIN_APART or groups.shares[:-1].min() < _MIN_SHARE:
            continue
        if best is None or gain > best.gain + _MORE:
            best = Found(groups, float(gain), probability)
    return best


def _missed(values: np.ndarray, offsets: LatticeOffsets) -> np.ndarray:
    """Values less what a linear map of the other sites predicts, (n, d)."""
    z = values[:, 0] + 1j * (values[:, 1] if values.shape[1] > 1 else 0)
    return offsets.unpredicted(z)[:, : values.shape[1]]


def _with_field(
    groups: Groups, values: np.ndarray, missed: np.ndarray, offsets: LatticeOffsets
) -> tuple[float, np.ndarray]:
    """Log-likelihood of sites left out of groups with a field upon them, and probabilities.

    A site is the centre of its group, and what the field upon the groups is by the other sites. In
    a wall it is what the field of the values themselves is.
    """
    density = groups.log_densities(values)
    own = _softmax(density + np.log(groups.shares))
    known = own[:, :-1] / np.maximum(own[:, :-1].sum(1, keepdims=True), 1e-30)
    left = values - known @ groups.centres
    predicted = left - left.mean(0) - _missed(left, offsets) + left.mean(0)
    inside, wall = groups.covariance, 2.0 * np.atleast_2d(np.cov(missed.T, bias=True))
    tiny = 1e-6 * np.trace(groups.rest[1]) * np.eye(len(inside))
    d = [values - centre - predicted for centre in groups.centres]
    for _ in range(12):
        score = np.stack([*(log_normal(one, inside) for one in d), log_normal(missed, wall)], 1)
        own = _softmax(score + np.log(groups.shares))
        prior, value = _from_others(score, own, offsets)
        q = _softmax(score + prior)
        inside = sum((w[:, None] * one).T @ one for w, one in zip(q.T, d, strict=False))
        inside = inside / max(q[:, :-1].sum(), 1e-9) + tiny
        w = q[:, -1]
        wall = (w[:, None] * missed).T @ missed / max(w.sum(), 1e-9) + tiny
    return value, q


def _fit(
    values: np.ndarray, centres: np.ndarray, offsets: LatticeOffsets
) -> tuple[Groups, float]:
    """Groups and log-likelihood of sites left out, from a start of the centres."""
    overall = values.mean(0), np.atleast_2d(np.cov(values.T, bias=True))
    k = len(centres)
    shares = np.append(np.full(k, 0.9 / k), 0.1)
    scatter = overall[1] / k**2
    groups = Groups(centres, scatter, shares, (overall[0], overall[1]))
    for _ in range(_N_PLAIN):
        groups = _moved(groups, values, groups.probabilities(values))
    for _ in range(_N_COUPLED):
        density = groups.log_densities(values)
        prior, value = _from_others(density, _softmax(density + np.log(groups.shares)), offsets)
        groups = _moved(groups, values, groups.probabilities(values, prior))
    return groups, value


def _moved(groups: Groups, values: np.ndarray, probability: np.ndarray) -> Groups:
    """Groups fitted to the probabilities of the sites."""
    weight = probability.sum(0)
    own = probability[:, :-1]
    centres = own.T @ values / np.maximum(weight[:-1, None], 1e-9)
    covariance = np.zeros((values.shape[1],) * 2)
    for centre, share in zip(centres, own.T, strict=True):
        d = values - centre
        covariance += (share[:, None] * d).T @ d
    covariance /= max(own.sum(), 1e-9)
    covariance += 1e-6 * np.trace(groups.rest[1]) * np.eye(len(covariance))
    shares = np.maximum(weight / weight.sum(), 1e-3)
    return Groups(centres, covariance, shares / shares.sum(), groups.rest)


def _from_others(
    density: np.ndarray, own: np.ndarray, offsets: LatticeOffsets
) -> tuple[np.ndarray, float]:
    """Log prior (n, k) of each site by the other sites, and the log-likelihood it gives.

    Parameters
    ----------
    density, own : numpy.ndarray, shape (n, k)
        Log density of each site in each group, and its probabilities by itself.
    offsets : LatticeOffsets
    """
    shares = np.maximum(own.mean(0), 1e-3)
    field = np.zeros_like(own)
    for first, second in offsets.partners:
        together = own[first].T @ own[second] + 1.0
        expected = np.outer(together.sum(1), together.sum(0)) / together.sum()
        coupling = np.log(together / expected)
        for k, part in enumerate((own[second] @ coupling.T).T):
            field[:, k] += np.bincount(first, part, len(own))
        for k, part in enumerate((own[first] @ coupling).T):
            field[:, k] += np.bincount(second, part, len(own))
    best: tuple[float, np.ndarray] | None = None
    for weight in _COUPLINGS:
        prior = np.log(shares) + weight * field
        prior = prior - _log_sum(prior)[:, None]
        value = float(_log_sum(density + prior).mean())
        if best is None or value > best[0]:
            best = value, prior
    assert best is not None
    return best[1], best[0]


def _starts(values: np.ndarray, number: int) -> list[np.ndarray]:
    """Centres (number, d) to start from: quantiles along the principal axes, and far apart ones."""
    d = values - values.mean(0)
    axes = np.linalg.svd(d, full_matrices=False)[2]
    levels = (np.arange(number) + 0.5) / number
    starts = []
    for axis in axes:
        along = d @ axis
        nearest = np.digitize(along, np.quantile(along, np.arange(1, number) / number))
        starts.append(np.stack([values[nearest == k].mean(0) for k in range(number)]))
    if values.shape[1] == 2 and number > 2:
        for first in (0.0, 0.5):
            phi = 2 * np.pi * (np.arange(number) + first) / number
            ring = np.stack([np.cos(phi), np.sin(phi)], 1) * d.std(0) * np.sqrt(2)
            starts.append(values.mean(0) + ring)
    return starts


def _two_widths(missed: np.ndarray) -> float:
    """Mean log density of vectors under two normal distributions about 0."""
    covariance = np.atleast_2d(np.cov(missed.T, bias=True))
    both, share = [0.5 * covariance, 3.0 * covariance], np.array([0.8, 0.2])
    for _ in range(30):
        score = np.stack([log_normal(missed, one) for one in both], 1) + np.log(share)
        q = _softmax(score)
        share = np.maximum(q.mean(0), 1e-3)
        tiny = 1e-6 * np.trace(covariance) * np.eye(len(covariance))
        both = [(w[:, None] * missed).T @ missed / max(w.sum(), 1e-9) + tiny for w in q.T]
    return float(_log_sum(score).mean())


def log_normal(d: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Log density of rows about 0 under a normal distribution."""
    own = np.einsum("ni,ij,nj->n", d, np.linalg.inv(covariance), d)
    return -0.5 * (own + np.linalg.slogdet(2 * np.pi * covariance)[1])


def _log_sum(score: np.ndarray) -> np.ndarray:
    top = score.max(1)
    return top + np.log(np.exp(score - top[:, None]).sum(1))


def _softmax(score: np.ndarray) -> np.ndarray:
    return np.exp(score - _log_sum(score)[:, None])
