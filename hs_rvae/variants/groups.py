# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of angles: any number, any spacing, chosen by evidence."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from hs_rvae.checks import is_whole_number

from .directions import FIRST_DIRECTION, from_first, wrap
from .mixture import (
    BIN,
    N_BINS,
    Counts,
    Mixture,
    broad_density,
    count_angles,
    equally_spaced,
    fit,
    fit_next,
    log_likelihood,
)

#: Maximum number of equally spaced groups, and of turns that leave an angle open: 10 degrees apart.
MAXIMUM_GROUPS = 36
_MAXIMUM_STD = np.pi / 3  # an angle less certain than that says nothing about groups
_GROUP_WIDTH = np.deg2rad(32.0)  # a wider peak is background: a direction that turns
_MINIMUM_SITES = 8.0  # in a group
_VALLEY = 0.9  # highest density between two groups over the lower of their peaks
# Evidence in nats. Angles from a broad density reach 3.5 n + 4 with n peaks in 1 % of trials, for
# 60 to 20,000 sites. One peak too many that is a group of its own reaches 5, two 7, in 2 % of
# trials; more where peaks of many sites are not quite normal.
_GROUPS_COST, _GROUPS_COST_PER_PEAK = 5.0, 3.5
_MORE_COST, _MORE_COST_PER_PEAK = 2.9, 2.5
_COST_PER_LOG, _COST_FROM = 0.1, 1000.0
_PATIENCE = 3  # peaks added without evidence, before the search ends
_PEAKS_PER_GROUP = 2  # a lopsided group may need that many
_CLOSEST = np.deg2rad(18.0)  # sites beside a wall gather closer than this to their variant
_RESOLVED = 2.5  # typical uncertainties of an angle between groups to which single sites can belong
_N_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class AngleGroups:
    """Groups of angles on the circle, by number; made by :func:`find_groups`."""

    centres: np.ndarray
    """(n_groups,), mean directions in radians, ascending from -22.5 degrees (or from `origin`)."""
    widths: np.ndarray
    """(n_groups,), standard deviations in radians."""
    shares: np.ndarray
    """(n_groups,), shares of the sites."""
    precision: np.ndarray
    """(n_groups,), standard errors of `centres` in radians."""
    background: float
    """Share of the sites in no group."""
    evidence: float
    """Held-out log-likelihood per site over that of a uniform circle, in nats."""
    evidence_broad: float
    """The same over a smooth density without features narrower than 40 degrees."""
    evidence_fewer: float
    """The same over the best mixture of one group fewer; `evidence_broad` for one group."""
    evidence_more: float
    """The same over a mixture with one more peak; NaN if the groups are given."""
    fold: int = 1
    """Angles are known up to turns of 360 / fold degrees."""
    given: bool = False
    """Whether the groups are equally spaced on request."""
    mixture: Mixture | None = None
    """Density behind the groups, of angles times `fold`; None without groups."""
    members: tuple[tuple[int, ...], ...] = ()
    """Peaks of `mixture` that make up each group."""
    edges: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    """Uncertainties between the classes of `mixture`, times `fold` (rad)."""

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.centres)

    def assign(
        self,
        angle: ArrayLike,
        std: ArrayLike | None = None,
        *,
        least_probability: float = 0.5,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Group of each angle.

        Parameters
        ----------
        angle : array-like, shape (n,)
            In radians.
        std : array-like, shape (n,), optional
            Uncertainties of the angles, in radians. An angle as uncertain as half the distance to
            the neighbouring group, or as 60 degrees, has no group. If None, all are alike.
        least_probability : float
            Minimum probability of the group. Groups that were given take the nearest angles at any
            probability.

        Returns
        -------
        variant : numpy.ndarray of int, shape (n,)
            Number of the group. -1 if the angle or its uncertainty is NaN, or if the angle lies
            between groups or in the background.
        residual : numpy.ndarray, shape (n,)
            Angle minus centre in radians; NaN where `variant` is -1.
        probability : numpy.ndarray, shape (n,)
            Probability of the most likely group, or of the nearest one if groups are given; NaN
            where the angle is NaN.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> angle = 1.2 * rng.integers(2, size=200) + 0.1 * rng.standard_normal(200)
        >>> groups = find_groups(angle)
        >>> groups.assign([0.05, 1.1, -2.0, np.nan])[0]
        array([ 0,  1, -1, -1])
        """
        angle = np.asarray(angle, float)
        variant = np.full(angle.shape, -1)
        residual, probability = np.full(angle.shape, np.nan), np.full(angle.shape, np.nan)
        defined = np.isfinite(angle)
        if self.mixture is None or not defined.any():
            return variant, residual, np.where(defined, 0.0, np.nan)
        std = np.zeros(angle.shape) if std is None else np.asarray(std, float)
        near = self._probabilities(angle[defined], std[defined])
        apart = wrap(self.fold * (angle[defined, None] - self.centres)) / self.fold
        group = near.argmax(axis=1)
        if self.given:
            group, least_probability = np.abs(apart).argmin(axis=1), 0.0
        likely = near[np.arange(len(group)), group]
        probability[defined] = likely
        maximum_std = np.minimum(_half_gaps(self.centres, self.fold), _MAXIMUM_STD / self.fold)
        certain = std[defined] < maximum_std[group]
        kept = certain & (likely >= least_probability)
        places = np.flatnonzero(defined)[kept]
        variant[places] = group[kept]
        residual[places] = apart[kept, group[kept]]
        return variant, residual, probability

    def _probabilities(self, angle: np.ndarray, std: np.ndarray) -> np.ndarray:
        """Probability of each group, shape (n, n_groups)."""
        mixture = self.mixture
        assert mixture is not None
        if std.any():
            classes = np.searchsorted(self.edges, self.fold * std)
        else:
            middle = int(np.argmin(np.abs(np.log(mixture.ratios))))
            classes = np.full(angle.shape, middle)
        peaks = mixture.peaks_at(self.fold * angle, classes)
        total = peaks.sum(axis=1) + mixture.background / (2 * np.pi)
        groups = np.stack([peaks[:, list(peak)].sum(axis=1) for peak in self.members], axis=1)
        return groups / np.maximum(total, 1e-300)[:, None]


def find_groups(
    angle: ArrayLike,
    std: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    *,
    fold: int = 1,
    n_groups: int | str = "auto",
    origin: float | None = None,
    most_groups: int = 12,
    least_share: float = 0.02,
) -> AngleGroups:
    """Find the groups that angles lie in.

    The density of the angles is fitted by peaks over a uniform background. Peaks are added as long
    as the likelihood grows by more than chance allows. Peaks without a valley between them are one
    group, and so are peaks closer than 18 degrees or 2.5 typical uncertainties. If a smooth, broad
    density fits as well, there are no groups: a direction that turns continuously has none.

    Parameters
    ----------
    angle : array-like, shape (n,)
        In radians; NaN = unknown.
    std : array-like, shape (n,), optional
        Uncertainties of the angles, in radians, known roughly. Their scale is free: sites of small
        and large uncertainty are kept apart, and the scatter of both is measured.
    weights : array-like, shape (n,), optional
        Weights of the sites; only their ratios matter.
    fold : int
        n if angles are known up to turns of 360 / n degrees.
    n_groups : int or "auto"
        Number of equally spaced groups. "auto" finds groups of any spacing, or none.
    origin : float, optional
        Direction of group 0, in radians. If groups are found, the group nearest to it is group 0.
        If None, numbers ascend from -22.5 degrees (towards +y), so that wells along the axes or
        the diagonals keep their numbers when they move by some degrees.
    most_groups : int
        Maximum number of groups to find.
    least_share : float
        Minimum share of a group that is found, 0 to 1.

    Returns
    -------
    AngleGroups

    Raises
    ------
    ValueError
        If an option is out of range, or the shapes differ.

    Notes
    -----
    Evidence is measured on five parts of the sites in turn, each by a fit to the others. A fixed
    permutation makes the parts, so that the same angles give the same numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> angle = np.radians([10, 78])[rng.integers(2, size=500)] + 0.1 * rng.standard_normal(500)
    >>> groups = find_groups(angle)
    >>> np.degrees(groups.centres).round(), groups.evidence_fewer > 0
    (array([10., 77.]), True)
    >>> find_groups(rng.uniform(-np.pi, np.pi, 500)).n_groups
    0
    >>> np.degrees(find_groups(angle, n_groups=2, origin=0.0).centres)
    array([  0., 180.])
    """
    _check_options(fold, n_groups, most_groups, least_share)
    angles, stds, worth = _informative(angle, std, weights, fold)
    if not len(angles):
        return _no_groups(fold)
    counts = count_angles(angles, stds, worth)
    start = None if origin is None else fold * origin
    if n_groups != "auto":
        mixture, _ = fit(equally_spaced(counts, int(n_groups), start), counts, fixed=True)
        members = [[k] for k in range(int(n_groups))]
        rivals: dict[str, Mixture | None] = {}
    else:
        apart = fold * _CLOSEST
        if stds is not None:
            apart = max(apart, _RESOLVED * float(np.median(stds)))
        found = _search(counts, most_groups, least_share, apart)
        if found is None:
            return _no_groups(fold)
        mixture, members, rivals = found
    parts = _in_parts(angles, stds, worth, counts)
    evidence = _evidence(mixture, rivals, parts, fixed=n_groups != "auto")
    return _numbered(mixture, members, counts, evidence, fold, start, n_groups != "auto")


def _informative(
    angle: ArrayLike, std: ArrayLike | None, weights: ArrayLike | None, fold: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Angles and uncertainties times `fold`, and weights, of the sites that can tell groups."""
    angles = np.asarray(angle, float)
    stds = np.zeros(angles.shape) if std is None else np.asarray(std, float)
    worth = np.ones(angles.shape) if weights is None else np.asarray(weights, float)
    if angles.ndim != 1 or stds.shape != angles.shape or worth.shape != angles.shape:
        raise ValueError(
            "angle, std and weights must be 1-D and of one length; got shapes "
            f"{angles.shape}, {stds.shape} and {worth.shape}."
        )
    used = np.isfinite(angles) & (fold * stds < _MAXIMUM_STD) & np.isfinite(worth) & (worth > 0)
    return fold * angles[used], None if std is None else fold * stds[used], worth[used]


def _check_options(fold: int, n_groups: int | str, most_groups: int, least_share: float) -> None:
    numbers = {"fold": fold, "most_groups": most_groups}
    if n_groups != "auto":
        numbers["n_groups"] = n_groups  # type: ignore[assignment]
    for name, value in numbers.items():
        if not is_whole_number(value) or value > MAXIMUM_GROUPS:
            also = " or 'auto'" if name == "n_groups" else ""
            raise ValueError(
                f"{name}={value!r}: give a whole number from 1 to {MAXIMUM_GROUPS}{also}."
            )
    if not 0 <= least_share < 1:
        raise ValueError(f"least_share={least_share!r}: give a number from 0 to 1.")


def _search(
    counts: Counts, most_groups: int, least_share: float, apart: float
) -> tuple[Mixture, list[list[int]], dict[str, Mixture | None]] | None:
    """Best mixture, the peaks of its groups, and mixtures to compare with; None without groups.

    Groups closer than `apart` (rad) are one.
    """
    if counts.total < _MINIMUM_SITES:
        return None
    dearer = 1 + _COST_PER_LOG * max(np.log(counts.total / _COST_FROM), 0.0)
    tried: list[tuple[Mixture, float]] = []
    best = 0
    while len(tried) < _PEAKS_PER_GROUP * most_groups and len(tried) <= best + _PATIENCE:
        tried.append(fit_next(tried[-1][0] if tried else None, counts))
        best = _choose(np.array([found for _, found in tried]) / dearer)
    mixture, found = tried[best]
    more = tried[best + 1][0] if best + 1 < len(tried) else None
    if more is not None:  # the way down may end higher than the way up
        for peak in range(best + 2):
            other, level = fit(more.without([peak]), counts, 30)
            if level > found:
                mixture, found = fit(other, counts)
    broad = log_likelihood(counts.sites, broad_density(counts))
    if found - broad < _GROUPS_COST + _GROUPS_COST_PER_PEAK * (best + 1):
        return None
    members = _separate(mixture, counts, most_groups, least_share, apart)
    if not members:
        return None
    fewer = None
    if len(members) > 1:
        without = [fit(mixture.without(peaks), counts, 60) for peaks in members]
        fewer = max(without, key=lambda pair: pair[1])[0]
    return mixture, members, {"fewer": fewer, "more": more}


def _choose(found: np.ndarray) -> int:
    """Index of the mixture with the fewest peaks that no larger one surpasses."""
    for best in range(len(found)):
        gained = found[best + 1 :] - found[best]
        added = np.arange(1, len(gained) + 1)
        if not (gained > _MORE_COST + _MORE_COST_PER_PEAK * added).any():
            break
    return best


def _separate(
    mixture: Mixture, counts: Counts, most_groups: int, least_share: float, apart: float
) -> list[list[int]]:
    """Peaks of each group: those that are close, or have no valley between them, are one."""
    spread = np.sqrt(np.average(mixture.ratios**2, weights=counts.sites.sum(axis=1)))
    narrow = np.flatnonzero(mixture.widths * spread < _GROUP_WIDTH)
    order = narrow[np.argsort(wrap(mixture.centres[narrow]))]
    sharpest = int(np.argmin(mixture.ratios))
    peaks = mixture.parts()[2][:, sharpest].sum(axis=1) * mixture.shares[:, None]
    density = peaks[order].sum(axis=0)
    groups = [[int(k)] for k in order]
    while len(groups) > 1:
        tops = [max(_bins(mixture.centres[g]), key=lambda b: density[b]) for g in groups]
        valleys = []
        for low, high in zip(tops, tops[1:] + tops[:1], strict=True):
            arc = np.arange(low, low + ((high - low) % N_BINS) + 1) % N_BINS
            valley = density[arc].min() / max(min(density[low], density[high]), 1e-300)
            valleys.append(np.inf if len(arc) * BIN < apart else valley)
        shallow = int(np.argmax(valleys))
        if valleys[shallow] < _VALLEY and len(groups) <= most_groups:
            break
        joined = groups.pop((shallow + 1) % len(groups))
        groups[shallow - (shallow == len(groups))] += joined
    minimum_share = max(least_share, _MINIMUM_SITES / counts.total)
    return [peaks for peaks in groups if mixture.shares[peaks].sum() >= minimum_share]


def _bins(angle: np.ndarray) -> list[int]:
    return np.mod(np.floor((angle + np.pi) / BIN), N_BINS).astype(int).tolist()


def _in_parts(
    angle: np.ndarray, std: np.ndarray | None, weights: np.ndarray, counts: Counts
) -> list[Counts]:
    """Counts of five parts of the sites, from a fixed permutation."""
    part = np.arange(len(angle)) % _N_FOLDS
    part = np.random.default_rng(0).permutation(part)
    classes = np.zeros(len(angle), int) if std is None else counts.of_class(std)
    worth = counts.total / max(weights.sum(), 1e-300)
    sites = np.zeros((_N_FOLDS, *counts.sites.shape))
    np.add.at(sites, (part, classes, np.array(_bins(angle))), weights * worth)
    return [dataclasses.replace(counts, sites=held) for held in sites]


def _evidence(
    mixture: Mixture,
    rivals: dict[str, Mixture | None],
    parts: list[Counts],
    *,
    fixed: bool,
) -> dict[str, float]:
    """Held-out log-likelihood of the mixture over that of its rivals, in nats per site."""
    total = sum(part.total for part in parts)
    held = dict.fromkeys(["best", "uniform", "broad", *rivals], 0.0)
    for part in parts:
        others = sum(other.sites for other in parts) - part.sites
        if not part.total or not others.any():
            continue
        train = dataclasses.replace(part, sites=others)
        held["uniform"] += part.total * -np.log(2 * np.pi)
        held["broad"] += log_likelihood(part.sites, broad_density(train))
        for name, rival in {"best": mixture, **rivals}.items():
            if rival is not None:
                found, _ = fit(rival, train, 40, fixed=fixed and name == "best")
                held[name] += log_likelihood(part.sites, found.density())
    if not total:
        return dict.fromkeys(["uniform", "broad", "fewer", "more"], np.nan)
    evidence = {name: float((held["best"] - held[name]) / total) for name in held}
    for name in ("fewer", "more"):
        if rivals.get(name) is None:
            evidence[name] = np.nan
    return evidence


def _numbered(
    mixture: Mixture,
    members: list[list[int]],
    counts: Counts,
    evidence: dict[str, float],
    fold: int,
    origin: float | None,
    given: bool,
) -> AngleGroups:
    """Bring groups into the order of their numbers, and measure them."""
    measured = np.array([_measure(mixture, peaks, counts) for peaks in members])
    centres = measured[:, 0] / fold
    if origin is None:
        first = FIRST_DIRECTION
    elif given:
        first = origin / fold
    else:
        away = np.abs(wrap(measured[:, 0] - origin))
        first = centres[int(np.argmin(away))]
    centres = from_first(centres, fold, first)
    order = np.argsort(centres)
    fewer = evidence.get("fewer", np.nan)
    if not given and len(members) == 1:
        fewer = evidence["broad"]
    return AngleGroups(
        centres=centres[order],
        widths=measured[order, 1] / fold,
        shares=measured[order, 2],
        precision=_precision(mixture, members, counts)[order] / fold,
        background=max(1 - float(measured[:, 2].sum()), 0.0),
        evidence=evidence["uniform"],
        evidence_broad=evidence["broad"],
        evidence_fewer=fewer,
        evidence_more=evidence.get("more", np.nan),
        fold=int(fold),
        given=given,
        mixture=mixture,
        members=tuple(tuple(members[k]) for k in order),
        edges=counts.edges,
    )


def _measure(mixture: Mixture, peaks: list[int], counts: Counts) -> tuple[float, float, float]:
    """Centre (rad), width (rad) and share of a group."""
    shares = mixture.shares[peaks]
    weights = shares / shares.sum() if shares.sum() else np.full(len(peaks), 1 / len(peaks))
    mean = (weights * np.exp(1j * mixture.centres[peaks])).sum()
    centre = mixture.centres[peaks[0]] if len(peaks) == 1 else np.angle(mean)
    spread2 = np.average(mixture.ratios**2, weights=counts.sites.sum(axis=1))
    apart = wrap(mixture.centres[peaks] - centre)
    width = np.sqrt((weights * (mixture.total_widths[peaks] ** 2 * spread2 + apart**2)).sum())
    return float(centre), float(width), float(shares.sum())


def _precision(mixture: Mixture, members: list[list[int]], counts: Counts) -> np.ndarray:
    """Standard errors of the centres of groups (rad), from the Fisher information; NaN if empty."""
    distance, variance, part = mixture.parts()
    part *= mixture.shares[:, None, None, None]
    pull = (part / variance[..., None]).sum(axis=2) * distance[:, None, :]
    density = np.maximum(mixture.density(), 1e-300)
    score = np.stack([pull[peaks].sum(axis=0) for peaks in members]) / density
    expected = counts.sites.sum(axis=1)[:, None] * density * BIN
    information = np.einsum("kcb,lcb,cb->kl", score, score, expected)
    filled = np.flatnonzero(np.diag(information) > 0)
    precision = np.full(len(members), np.nan)
    inverse = np.linalg.pinv(information[np.ix_(filled, filled)], hermitian=True)
    precision[filled] = np.sqrt(np.diag(inverse))
    return precision


def _half_gaps(centres: np.ndarray, fold: int) -> np.ndarray:
    """Half the distance from each group to the nearest other, or once around the circle (rad)."""
    circle = 2 * np.pi / fold
    if len(centres) == 1:
        return np.full(1, circle / 2)
    gaps = np.mod(np.roll(centres, -1) - centres, circle)
    return np.minimum(gaps, np.roll(gaps, 1)) / 2


def _no_groups(fold: int) -> AngleGroups:
    none = np.zeros(0)
    return AngleGroups(none, none, none, none, 1.0, 0.0, 0.0, np.nan, 0.0, fold=int(fold))
