# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of a quantity of sites against a smooth field.

A smooth strain, or a lattice that is bent, is predicted by other cells as well as domains are. So
neighbours do not count here. Domains have few values with sharp walls between them:

* Values of sites that are left out are more likely in few narrow groups than in one broad one.
* The groups stand apart by several scatters. Those into which a bent lattice or a wave can be cut
  do not: the values of a bent one have all sizes.
* Between the groups values change faster from cell to cell than within. In a smooth field the
  change does not depend on the value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..neighbour_test import LatticeOffsets

_OWN = 0.3  # weight of the part of a value that other cells do not predict
_N_ITERATIONS, _N_HELD_OUT, _N_FOLDS = 60, 10, 5
_MAX_SITES = 2000  # of a fit of groups
_MIN_SHARE = 0.05  # of a group
_MORE = 0.05  # nats per site that more groups have to bring
_BETWEEN, _WITHIN = 1 / 3, 1 / 4  # of the way to the next group
_FEW_BETWEEN = 0.02  # share of sites between groups, below which there is no wall to judge
_ASIDE = 0.25  # of a wall's group from the line between two others, in parts of its length
_MIN_MEMBERS, _IN_WALLS = 2, 0.5  # sites of both others around, and share of such sites
_MIN_PAIRS = 3  # of sites around one, that give its change from cell to cell


@dataclass
class Groups:
    """Normal groups of one covariance.

    Attributes
    ----------
    centres : numpy.ndarray, shape (k, d)
    covariance : numpy.ndarray, shape (d, d)
    shares : numpy.ndarray, shape (k,)
    """

    centres: np.ndarray
    covariance: np.ndarray
    shares: np.ndarray

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Log joint density of values (n, d) and groups, (n, k)."""
        white = np.linalg.cholesky(np.linalg.inv(self.covariance))
        # One coordinate and one group at a time: faster than sums over short axes.
        x, centres = (values @ white).T, self.centres @ white
        own = [sum((c - m) ** 2 for c, m in zip(x, middle, strict=True)) for middle in centres]
        constant = np.linalg.slogdet(2 * np.pi * self.covariance)[1]
        return -0.5 * (np.stack(own, 1) + constant) + np.log(self.shares)

    def fitted(self, values: np.ndarray, n_iterations: int) -> Groups:
        """Groups after some iterations of expectation and maximisation."""
        n, middle = len(values), values.mean(0)
        values, total = values - middle, np.atleast_2d(np.cov(values.T, bias=True))
        tiny = 1e-4 * np.trace(total) * np.eye(len(total))
        groups = Groups(self.centres - middle, self.covariance, self.shares)
        for _ in range(n_iterations):
            score = groups.scores(values)
            q = np.exp(score - _log_sum(score)[:, None])
            weight = np.maximum(q.sum(0), 1e-9)
            centres = q.T @ values / weight[:, None]
            between = (centres * weight[:, None] / n).T @ centres
            groups = Groups(centres, total - between + tiny, np.maximum(weight / n, 1e-3))
        return Groups(groups.centres + middle, groups.covariance, groups.shares)

    @property
    def apart(self) -> float:
        """Smallest distance of two groups in scatters of a site."""
        white = np.linalg.solve(np.linalg.cholesky(self.covariance), self.centres.T).T
        distance = np.linalg.norm(white[:, None] - white, axis=2)
        return float(distance[np.triu_indices(len(white), 1)].min(initial=np.inf))


@dataclass
class Found:
    """Best groups of a quantity, and the evidence for them.

    Attributes
    ----------
    groups : Groups
        Groups of the sites' own values.
    gain : float
        Log-likelihood of groups over one normal distribution, of sites left out (nat per site).
    apart : float
        Smallest distance of two groups, in scatters of a value with its neighbours'.
    walls : float
        Change from cell to cell between the groups, in parts of that within; infinite without
        sites between them.
    """

    groups: Groups
    gain: float
    apart: float
    walls: float


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
        None if there are too few sites.
    """
    if len(values) < 20 * max(numbers):
        return None
    calm = values - (1 - _OWN) * unpredicted(values, offsets)
    some = calm
    if len(calm) > _MAX_SITES:
        some = calm[np.sort(np.random.default_rng(0).permutation(len(calm))[:_MAX_SITES])]
    alone = Groups(some.mean(0)[None], np.eye(some.shape[1]), np.ones(1)).fitted(some, 1)
    broad, best = _held_out(some, alone), None
    for number in numbers:
        starts = [_from_centres(some, start) for start in _starts(some, number)]
        tried = [start.fitted(some, _N_ITERATIONS) for start in starts]
        groups = max(tried, key=lambda one: float(_log_sum(one.scores(some)).mean()))
        gain = _held_out(some, groups) - broad
        if groups.shares.min() < _MIN_SHARE or _in_walls(calm, groups, offsets):
            continue
        if best is None or gain > best[1] + _MORE:
            best = groups, gain
    if best is None:
        return None
    groups, gain = best
    way, nearest = _way(calm, groups)
    own = _own_groups(values, way, nearest, groups)
    return Found(own, gain, groups.apart, _walls(values, way, offsets))


def unpredicted(values: np.ndarray, offsets: LatticeOffsets) -> np.ndarray:
    """Values (n, d) less their prediction by a linear map of the other sites."""
    z = values[:, 0] + 1j * (values[:, 1] if values.shape[1] > 1 else 0)
    return offsets.unpredicted(z)[:, : values.shape[1]]


def _way(values: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Part of the way from the nearest centre to the next one, (n,), and the nearest group."""
    white = np.linalg.inv(np.linalg.cholesky(groups.covariance)).T
    v, centres = values @ white, groups.centres @ white
    order = np.linalg.norm(v[:, None] - centres, axis=2).argsort(1)
    first, second = centres[order[:, 0]], centres[order[:, 1]]
    along = second - first
    way = ((v - first) * along).sum(1) / np.maximum((along**2).sum(1), 1e-30)
    return way, order[:, 0]


def _own_groups(values: np.ndarray, way: np.ndarray, nearest: np.ndarray, groups: Groups) -> Groups:
    """Groups of the sites' own values, from those that are clearly in one."""
    k, clear = len(groups.centres), way < _WITHIN
    centres, d = groups.centres.copy(), np.zeros_like(values)
    for number in range(k):
        chosen = clear & (nearest == number)
        if chosen.any():
            centres[number] = values[chosen].mean(0)
        d[chosen] = values[chosen] - centres[number]
    covariance = d[clear].T @ d[clear] / max(clear.sum(), 1)
    covariance = covariance + 1e-6 * np.trace(covariance) * np.eye(len(covariance))
    return Groups(centres, covariance, groups.shares)


def _in_walls(values: np.ndarray, groups: Groups, offsets: LatticeOffsets) -> bool:
    """Return True if a group lies between two others, in value and in place: it is their wall."""
    k = len(groups.centres)
    group = groups.scores(values).argmax(1)
    if k == 2:
        return False
    count = np.zeros(len(values) * k)
    for first, second in offsets.partners:
        for one, other in ((first, second), (second, first)):
            count += np.bincount(one * k + group[other], minlength=len(count))
    around = count.reshape(-1, k)
    for middle in range(k):
        own = around[group == middle] >= _MIN_MEMBERS
        for a in range(k):
            for b in range(a + 1, k):
                if middle in (a, b):
                    continue
                way = groups.centres[b] - groups.centres[a]
                part = (groups.centres[middle] - groups.centres[a]) @ way / (way @ way)
                off = groups.centres[middle] - groups.centres[a] - part * way
                between = 0.2 < part < 0.8 and off @ off < _ASIDE**2 * (way @ way)
                if between and own[:, [a, b]].all(1).mean() > _IN_WALLS:
                    return True
    return False


def _walls(values: np.ndarray, way: np.ndarray, offsets: LatticeOffsets) -> float:
    """Change from cell to cell between the groups, in parts of that within them."""
    n = len(values)
    total, count = np.zeros(n), np.zeros(n)
    for first, second in offsets.partners:
        ahead, behind = np.full((2, n, values.shape[1]), np.nan)
        ahead[first], behind[second] = values[second], values[first]
        change = ((ahead - behind) ** 2).sum(1)
        known = np.isfinite(change)
        total[known] += change[known]
        count[known] += 1
    known = count >= _MIN_PAIRS
    between, within = known & (way > _BETWEEN), known & (way < _WITHIN)
    if between.sum() < _FEW_BETWEEN * n or not within.any():
        return float("inf")
    change = total / np.maximum(count, 1)
    return float(np.sqrt(change[between].mean() / max(change[within].mean(), 1e-30)))


def _from_centres(values: np.ndarray, centres: np.ndarray) -> Groups:
    k = len(centres)
    covariance = np.atleast_2d(np.cov(values.T, bias=True)) / k**2
    return Groups(centres, covariance, np.full(k, 1 / k))


def _starts(values: np.ndarray, number: int) -> list[np.ndarray]:
    """Centres (number, d) to start from: parts along the principal axes, and rings."""
    middle = values.mean(0)
    d = values - middle
    starts = []
    for axis in np.linalg.svd(d, full_matrices=False)[2]:
        along = d @ axis
        part = np.digitize(along, np.quantile(along, np.arange(1, number) / number))
        starts.append(np.stack([values[part == k].mean(0) for k in range(number)]))
    if values.shape[1] == 2 and number > 2:
        for first in (0.0, 0.5):
            phi = 2 * np.pi * (np.arange(number) + first) / number
            ring = np.stack([np.cos(phi), np.sin(phi)], 1)
            starts.append(middle + ring * d.std(0) * np.sqrt(2))
    return starts


def _held_out(values: np.ndarray, groups: Groups) -> float:
    """Mean log density of values left out of a fit, in nats."""
    fold, density = np.arange(len(values)) * 7919 % _N_FOLDS, np.empty(len(values))
    for f in range(_N_FOLDS):
        fitted = groups.fitted(values[fold != f], _N_HELD_OUT)
        density[fold == f] = _log_sum(fitted.scores(values[fold == f]))
    return float(density.mean())


def _log_sum(score: np.ndarray) -> np.ndarray:
    top = score.max(1)
    return top + np.log(np.exp(score - top[:, None]).sum(1))
