# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Density of angles on the circle: peaks over a uniform background, or broad and smooth.

Angles are counted in half-degree bins, apart for sites of small and large uncertainty (classes), so
that the time does not grow with the number of sites. Everything is deterministic.
"""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np

from .directions import wrap

N_BINS = 720
BIN = 2 * np.pi / N_BINS
BINS = -np.pi + (np.arange(N_BINS) + 0.5) * BIN  # their centres, in radians

# A peak is the sum of two wrapped normal distributions: uncertainties of sites are known roughly.
_SCALES = np.array([1.0, 2.5])
_MAXIMUM_TAIL = 0.3  # share of the wider one
_NARROWEST, _WIDEST = np.deg2rad([1.0, 60.0])  # widths of a peak
_PRIOR_SITES = 5  # a peak of that many sites is halfway to the width of all peaks
_CLASS_SITES = 20  # a class of that many sites is halfway to the width that is found for it
_MINIMUM_BACKGROUND = 1e-4
# Widths of the kernels of a broad density: follows a modulation 1 + 0.75 cos(2 angle) exactly.
_BROAD = np.deg2rad(40.0)
_N_BROAD = 24
_CONVERGED = 1e-3  # nats, all sites together


@dataclasses.dataclass(frozen=True)
class Counts:
    """Numbers of sites per bin of the angle, for each class of sites of similar uncertainty."""

    sites: np.ndarray
    """(n_classes, N_BINS), weights scaled to the number of sites that they are worth."""
    ratios: np.ndarray
    """(n_classes,), expected width of a peak in the class over its width in all sites."""
    edges: np.ndarray
    """(n_classes - 1,), uncertainties between the classes, in radians."""

    @property
    def total(self) -> float:
        """Number of sites."""
        return float(self.sites.sum())

    def of_class(self, std: np.ndarray) -> np.ndarray:
        """Classes of sites with these uncertainties (rad)."""
        return np.searchsorted(self.edges, std)


def count_angles(
    angle: np.ndarray, std: np.ndarray | None, weights: np.ndarray, n_classes: int = 3
) -> Counts:
    """Count finite angles per bin, and per class of uncertainty.

    Parameters
    ----------
    angle : numpy.ndarray, shape (n,)
        In radians.
    std : numpy.ndarray, shape (n,), optional
        Uncertainties, in radians.
    weights : numpy.ndarray, shape (n,)
    n_classes : int

    Returns
    -------
    Counts

    Examples
    --------
    >>> counts = count_angles(np.array([0.0, 0.1]), None, np.ones(2))
    >>> counts.sites.shape, counts.total
    ((1, 720), 2.0)
    """
    bins = np.mod(np.floor((angle + np.pi) / BIN), N_BINS).astype(int)
    edges = np.zeros(0)
    if std is not None and len(std):
        edges = np.unique(np.quantile(std, np.arange(1, n_classes) / n_classes))
    group = np.searchsorted(edges, std) if std is not None else np.zeros(len(bins), int)
    shape = (len(edges) + 1, N_BINS)
    place = np.ravel_multi_index((group, bins), shape)
    worth = weights.sum() / max((weights**2).sum(), 1e-300)
    sites = np.bincount(place, weights * worth, np.prod(shape)).reshape(shape)
    ratios = np.ones(len(sites))
    total = sites.sum(axis=1)
    if std is not None and np.any(std):
        variance = np.bincount(group, weights * worth * std**2, len(sites))
        mean = variance.sum() / total.sum()
        ratios = np.sqrt(np.where(total > 0, variance / np.maximum(total, 1e-300), mean) / mean)
    return Counts(sites, np.clip(ratios, 0.2, 5.0), edges)


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Peaks over a uniform background."""

    centres: np.ndarray
    """(n_peaks,), in radians."""
    widths: np.ndarray
    """(n_peaks,), standard deviations of the inner parts of the peaks (rad)."""
    shares: np.ndarray
    """(n_peaks,), shares of the sites."""
    background: float
    """Share of the sites in the background."""
    ratios: np.ndarray
    """(n_classes,), width in a class of sites over `widths`."""
    tail: float = 0.05
    """Share of the wider part of every peak, 2.5 times as wide."""

    @property
    def total_widths(self) -> np.ndarray:
        """(n_peaks,), standard deviations with the wider parts (rad)."""
        return self.widths * np.sqrt(1 - self.tail + self.tail * _SCALES[1] ** 2)

    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances, variances and densities of the two parts of every peak, on the bins.

        Returns
        -------
        distance : numpy.ndarray, shape (n_peaks, N_BINS)
            From the centre, in radians.
        variance : numpy.ndarray, shape (n_peaks, n_classes, 2)
        density : numpy.ndarray, shape (n_peaks, n_classes, 2, N_BINS)
            The two parts together integrate to 1.
        """
        distance = wrap(BINS - self.centres[:, None])
        variance = (self.widths[:, None, None] * self.ratios[:, None] * _SCALES) ** 2
        density = np.exp(-(distance[:, None, None, :] ** 2) / (2 * variance[..., None]))
        mass = np.maximum(density.sum(axis=-1), 1e-300) * BIN
        density *= (np.array([1 - self.tail, self.tail]) / mass)[..., None]
        return distance, variance, density

    def peaks_at(self, angle: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Densities of the peaks at angles, times their shares, shape (n, n_peaks)."""
        distance = wrap(angle[:, None] - self.centres)
        found = np.zeros(distance.shape)
        for scale, part in zip(_SCALES, (1 - self.tail, self.tail), strict=True):
            width = self.widths * self.ratios[group][:, None] * scale
            found += part * np.exp(-((distance / width) ** 2) / 2) / (np.sqrt(2 * np.pi) * width)
        return found * self.shares

    def density(self) -> np.ndarray:
        """Density of the angles of each class on the bins, shape (n_classes, N_BINS)."""
        peaks = (self.parts()[2].sum(axis=2) * self.shares[:, None, None]).sum(axis=0)
        return peaks + self.background / (2 * np.pi)

    def without(self, peaks: list[int]) -> Mixture:
        """Leave peaks out; their sites go to the background."""
        kept = np.setdiff1d(np.arange(len(self.centres)), peaks)
        more = self.background + self.shares[peaks].sum()
        return dataclasses.replace(
            self,
            centres=self.centres[kept],
            widths=self.widths[kept],
            shares=self.shares[kept],
            background=float(more),
        )


def log_likelihood(sites: np.ndarray, density: np.ndarray) -> float:
    """Log-likelihood of counts, in nats."""
    return float((sites * np.log(np.maximum(density, 1e-300))).sum())


def _improve(mixture: Mixture, counts: Counts, fixed: bool) -> tuple[Mixture, float]:
    """One step of expectation and maximization; the log-likelihood is that before the step."""
    distance, variance, part = mixture.parts()
    part *= mixture.shares[:, None, None, None]
    density = part.sum(axis=(0, 2)) + mixture.background / (2 * np.pi)
    found = log_likelihood(counts.sites, density)
    part *= (counts.sites / np.maximum(density, 1e-300))[:, None, :]
    sites = part.sum(axis=-1)
    centres = mixture.centres
    if not fixed:
        moved = (np.einsum("kcjb,kb->kcj", part, distance) / variance).sum(axis=(1, 2))
        centres = centres + moved / np.maximum((sites / variance).sum(axis=(1, 2)), 1e-300)
    squares = np.einsum("kcjb,kb->kcj", part, distance**2)
    of_peak = sites.sum(axis=(1, 2))
    scaled = (squares / (mixture.ratios[:, None] * _SCALES) ** 2).sum(axis=(1, 2))
    all_peaks = scaled.sum() / max(of_peak.sum(), 1e-300)
    width2 = (scaled + _PRIOR_SITES * all_peaks) / (of_peak + _PRIOR_SITES)
    width2 = np.clip(width2, _NARROWEST**2, _WIDEST**2)
    ratios = mixture.ratios
    if len(ratios) > 1:
        of_class = sites.sum(axis=(0, 2))
        ratio2 = (squares / (width2[:, None, None] * _SCALES**2)).sum(axis=(0, 2))
        ratio2 = (ratio2 + _CLASS_SITES * counts.ratios**2) / (of_class + _CLASS_SITES)
        mean = (of_class * ratio2).sum() / max(of_class.sum(), 1e-300)
        ratios = np.sqrt(ratio2 / mean) if mean > 0 else ratios
        width2 = np.clip(width2 * mean, _NARROWEST**2, _WIDEST**2)
    shares = of_peak / counts.total
    background = 0.0 if fixed else max(1 - float(shares.sum()), _MINIMUM_BACKGROUND)
    tail = min(float(sites[..., 1].sum() / max(sites.sum(), 1e-300)), _MAXIMUM_TAIL)
    return Mixture(centres, np.sqrt(width2), shares, background, ratios, tail), found


def fit(
    start: Mixture, counts: Counts, n_steps: int = 300, *, fixed: bool = False
) -> tuple[Mixture, float]:
    """Fit peaks over a uniform background by expectation and maximization.

    Parameters
    ----------
    start : Mixture
    counts : Counts
    n_steps : int
        Maximum number of steps.
    fixed : bool
        Whether the centres stay, and there is no background.

    Returns
    -------
    mixture : Mixture
    log_likelihood : float
        In nats.

    Examples
    --------
    >>> angle = np.repeat([-0.1, 0.0, 0.1, 1.9, 2.0, 2.1], 20)
    >>> counts = count_angles(angle, None, np.ones(120))
    >>> start = Mixture(np.array([0.3, 2.3]), np.full(2, 0.3), np.full(2, 0.4), 0.2, np.ones(1))
    >>> fit(start, counts)[0].centres.round(1)
    array([0., 2.])
    """
    mixture, best = start, -np.inf
    for _ in range(n_steps):
        improved, found = _improve(mixture, counts, fixed)
        if found - best < _CONVERGED:
            return mixture, found
        best, mixture = found, improved
    return mixture, best


def _inserted(mixture: Mixture | None, counts: Counts) -> list[Mixture]:
    """Starts with one more peak, where most sites stand out from the mixture, at three widths."""
    if mixture is None:
        none = np.zeros(0)
        mixture = Mixture(none, none, none, 1.0, counts.ratios)
    found = counts.sites.sum(axis=0)
    density = (mixture.density() * counts.sites.sum(axis=1)[:, None]).sum(axis=0)
    frequency = np.arange(N_BINS // 2 + 1)
    starts = []
    for width in np.deg2rad([4.0, 10.0, 20.0]):
        kernel = np.exp(-(frequency**2) * width**2 / 2)
        smooth, expected = (
            np.fft.irfft(np.fft.rfft(values) * kernel, N_BINS) for values in (found, density * BIN)
        )
        noise = np.sqrt(np.maximum(expected, 0) + 1e-3 * counts.total / N_BINS)
        place = int(np.argmax((smooth - expected) / noise))
        excess = (smooth - expected)[place] * width * np.sqrt(2 * np.pi) / BIN
        share = np.clip(excess / counts.total, 0.02, 0.5)
        starts.append(
            dataclasses.replace(
                mixture,
                centres=np.append(mixture.centres, BINS[place]),
                widths=np.append(mixture.widths, width),
                shares=np.append(mixture.shares * (1 - share), share),
                background=max(mixture.background * (1 - share), 0.01),
            )
        )
    return starts


def equally_spaced(counts: Counts, n_peaks: int, origin: float | None = None) -> Mixture:
    """Equally spaced peaks to start a fit from.

    Parameters
    ----------
    counts : Counts
    n_peaks : int
    origin : float, optional
        Direction of a peak, in radians. If None, the peaks fit the angles best.

    Returns
    -------
    Mixture

    Examples
    --------
    >>> counts = count_angles(np.array([0.5, 0.5 + np.pi]), None, np.ones(2))
    >>> equally_spaced(counts, 2).centres.round(1)
    array([0.5, 3.6])
    """
    if origin is None:
        moment = (counts.sites.sum(axis=0) * np.exp(1j * n_peaks * BINS)).sum()
        origin = float(np.angle(moment)) / n_peaks
    centres = origin + 2 * np.pi / n_peaks * np.arange(n_peaks)
    width = min(0.35, 1.2 / n_peaks)
    shares = np.full(n_peaks, 0.9 / n_peaks)
    return Mixture(centres, np.full(n_peaks, width), shares, 0.1, counts.ratios)


def fit_next(mixture: Mixture | None, counts: Counts) -> tuple[Mixture, float]:
    """Fit one peak more than a mixture has, from several starts; its log-likelihood (nats)."""
    n_peaks = 1 + (0 if mixture is None else len(mixture.centres))
    starts = _inserted(mixture, counts)
    if n_peaks in (2, 3, 4, 6, 8):
        starts.append(equally_spaced(counts, n_peaks))
    tried = [fit(start, counts, 20) for start in starts]
    return fit(max(tried, key=lambda found: found[1])[0], counts)


@cache
def _kernels() -> np.ndarray:
    places = 2 * np.pi / _N_BROAD * np.arange(_N_BROAD)
    kernels = np.exp(-((wrap(BINS - places[:, None]) / _BROAD) ** 2) / 2)
    return kernels / (kernels.sum(axis=1, keepdims=True) * BIN)


def broad_density(counts: Counts) -> np.ndarray:
    """Most likely density without any feature narrower than 40 degrees (standard deviation).

    Parameters
    ----------
    counts : Counts

    Returns
    -------
    numpy.ndarray, shape (N_BINS,)

    Examples
    --------
    >>> angle = np.linspace(-np.pi, np.pi, 7200, endpoint=False)
    >>> density = broad_density(count_angles(angle, None, np.ones(7200)))
    >>> (2 * np.pi * density).round(2)[[0, 100]]
    array([1., 1.])
    """
    sites, kernels = counts.sites.sum(axis=0), _kernels()
    shares, best = np.full(_N_BROAD, 1 / _N_BROAD), -np.inf
    for _ in range(300):
        density = shares @ kernels
        found = log_likelihood(sites, density)
        if found - best < _CONVERGED:
            break
        best = found
        shares = shares * (kernels @ (sites / density)) / counts.total
    return density
