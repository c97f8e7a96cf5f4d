# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harmonics of sub-images by charge, and the pattern of a displacement in them.

Under the turns of an n-fold lattice the order m of the harmonics counts as m modulo n, folded to a
charge c in (-n/2, n/2]. Orders that fold to -c enter as ``X_-m = (-1)^m conj(X_m)``. A vector
along theta has charge 1: for n > 2 its pattern is ``exp(-i theta) t`` with one complex pattern t,
for lattices of lower symmetry the patterns of x and y are independent. Strain has charge 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from ..geometry import HarmonicGrid

# Power of even orders that are no multiples of 4 (6), in parts of those that are, up to which a
# lattice is square (hexagonal).
_STRAINED = 0.1
_MIN_EXCESS = 2.0  # of the mean power of orders n, 2 n, ... over that of the others
_RESOLVED = 0.2  # of the largest noise power: coefficients that the disk resolves
_NOISE_QUANTILE = 0.05  # of the scatter of coefficients: those that are noise alone
_BLUR = 0.7  # px, of the mean sub-image


def lattice_symmetry(power: np.ndarray) -> int:
    """Symmetry n of the lattice (1, 2, 3, 4 or 6) from the power of orders 1 ... M of the mean."""
    m = np.arange(1, len(power) + 1)
    excess = {}
    for n in (2, 3, 4, 6):
        others = power[m % n != 0].mean()
        excess[n] = float(power[m % n == 0].mean() / max(others, 1e-30))
    n = max(excess, key=excess.__getitem__)
    for higher in (4, 6):  # with a small strain
        others = power[(m % 2 == 0) & (m % higher != 0)].sum()
        if n == 2 and others < _STRAINED * power[m % higher == 0].sum():
            n = higher
    return n if excess[n] >= _MIN_EXCESS else 1


def as_numbers(harmonics: np.ndarray) -> np.ndarray:
    """Harmonics (n, n_q, M + 1) as rows of real and imaginary parts in turn."""
    flat = np.ascontiguousarray(harmonics).reshape(len(harmonics), -1)
    return flat.view(flat.real.dtype)


def contrasts(harmonics: np.ndarray) -> np.ndarray:
    """Root power of the orders above 0 of each site, (n,)."""
    n, n_q = harmonics.shape[:2]
    parts = as_numbers(harmonics).reshape(n, n_q, -1)[:, :, 2:]
    power = np.einsum("nqk,nqk->n", parts, parts)
    return np.sqrt(np.maximum(power, 1e-30))


def coherence(harmonics: np.ndarray, n: int, noise_power: np.ndarray) -> float:
    """Share of the power of the lattice's orders that the sites have in common, without noise.

    It is near 1 in one crystal and low where the lattice turns from site to site.

    Parameters
    ----------
    harmonics : numpy.ndarray, shape (n_sites, n_q, M + 1)
        At the same contrast.
    n : int
        Symmetry of the lattice.
    noise_power : numpy.ndarray, shape (n_q, M + 1)
        Power of the harmonics of white noise of unit variance.

    Returns
    -------
    float
    """
    mean = harmonics.mean(0)
    scatter = (np.abs(harmonics - mean) ** 2).mean(0)
    noise = noise_variance(scatter, noise_power) * noise_power
    lattice = slice(max(n, 2), None, max(n, 2))
    common = (np.abs(mean[:, lattice]) ** 2).sum()
    varying = max(float((scatter - noise)[:, lattice].sum()), 0.0)
    return float(common / max(common + varying, 1e-30))


def noise_variance(scatter: np.ndarray, noise_power: np.ndarray) -> float:
    """Variance of the white noise in sub-images.

    Parameters
    ----------
    scatter : numpy.ndarray, shape (n_q, M + 1)
        Mean square of the harmonics of sites about their mean.
    noise_power : numpy.ndarray, shape (n_q, M + 1)
        Power of the harmonics of white noise of unit variance.

    Returns
    -------
    float
    """
    seen = noise_power > _RESOLVED * noise_power.max()
    seen[:, 0] = False
    return np.quantile(scatter[seen] / noise_power[seen], _NOISE_QUANTILE)


def charge_of(m: int, n: int) -> int:
    """Charge of order m under the turns of an n-fold lattice, with its sign."""
    return (m + (n - 1) // 2) % n - (n - 1) // 2


def charged_orders(n_orders: int, n: int, charge: int) -> list[tuple[int, bool]]:
    """Orders (m, conjugate) of a charge; with n = 1 every order above 0."""
    orders = []
    for m in range(1, n_orders):
        own = charge_of(m, n)
        if n == 1 or own == charge:
            orders.append((m, False))
        elif own == -charge:
            orders.append((m, True))
    return orders


def of_charge(harmonics: np.ndarray, n: int, charge: int) -> np.ndarray:
    """Complex coordinates (n_sites, k) of a charge, from harmonics (n_sites, n_q, M + 1)."""
    parts = [
        (-1) ** m * harmonics[:, :, m].conj() if conjugate else harmonics[:, :, m]
        for m, conjugate in charged_orders(harmonics.shape[2], n, charge)
    ]
    return np.concatenate(parts, 1)


def as_real(z: np.ndarray) -> np.ndarray:
    """Real and imaginary parts side by side."""
    return np.concatenate([z.real, z.imag], -1)


def as_complex(y: np.ndarray) -> np.ndarray:
    """Complex numbers from :func:`as_real`."""
    k = y.shape[-1] // 2
    return y[..., :k] + 1j * y[..., k:]


def vector_pattern(t: np.ndarray) -> np.ndarray:
    """Patterns of a vector along x and y, (2, 2 k), from the complex pattern t of n > 2."""
    return np.stack([as_real(t), as_real(-1j * t)])


@dataclass(frozen=True)
class ChargeBasis:
    """Principal components of the coordinates of one charge.

    Attributes
    ----------
    n, charge : int
    components : numpy.ndarray
        For n > 2 complex, (k_all, k). For n = 1 and 2 real, (2 k_all, 2 k): the components of real
        and imaginary parts.
    n_orders : int
        M + 1 of the harmonics.
    """

    n: int
    charge: int
    components: np.ndarray
    n_orders: int

    @classmethod
    def fit(cls, harmonics: np.ndarray, n: int, charge: int, k: int) -> ChargeBasis:
        """Find the first k components of harmonics (n_sites, n_q, M + 1), or fewer."""
        z = of_charge(harmonics, n, charge)
        d = z - z.mean(0)
        if n <= 2:
            d, k = as_real(d), 2 * k
        vectors = np.linalg.eigh(d.T @ d.conj() / len(d))[1][:, ::-1][:, :k]
        return cls(n, charge, vectors, harmonics.shape[2])

    @property
    def tied(self) -> bool:
        """Return True if the pattern of x gives that of y."""
        return self.n > 2

    @property
    def k(self) -> int:
        """Number of complex components."""
        return self.components.shape[1] // (1 if self.tied else 2)

    def coordinates(self, harmonics: np.ndarray) -> np.ndarray:
        """Real coordinates of sites, (n_sites, 2 k)."""
        return self._project(of_charge(harmonics, self.n, self.charge))

    def _project(self, z: np.ndarray) -> np.ndarray:
        if self.tied:
            return as_real(z @ self.components.conj())
        return as_real(z) @ self.components

    def first(self, k: int) -> np.ndarray:
        """Columns of the coordinates that belong to the first k components."""
        k = min(k, self.k)
        columns = np.arange(k)
        return np.concatenate([columns, self.k + columns]) if self.tied else np.arange(2 * k)

    def pair(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Coordinates (2, 2 k) of the patterns, (k_all,), of a vector along x and along y."""
        if self.tied:
            return vector_pattern((x + 1j * y) / 2 @ self.components.conj())
        return self._project(np.stack([x, y]))

    def filters(self, rows: np.ndarray, columns: np.ndarray, n_q: int) -> np.ndarray:
        """Filters F with ``rows @ coordinates[columns] = Re sum conj(F) X``.

        Parameters
        ----------
        rows : numpy.ndarray, shape (r, len(columns))
        columns : numpy.ndarray of int
            From :meth:`first`.
        n_q : int
            Radial frequencies of the harmonics X, (n_q, M + 1).

        Returns
        -------
        numpy.ndarray of complex, shape (r, n_q, M + 1)
        """
        full = np.zeros((len(rows), 2 * self.k))
        full[:, columns] = rows
        if self.tied:
            weights = as_complex(full) @ self.components.T
        else:
            weights = as_complex(full @ self.components.T)
        filters = np.zeros((len(rows), n_q, self.n_orders), complex)
        orders = charged_orders(self.n_orders, self.n, self.charge)
        for (m, conjugate), w in zip(orders, np.split(weights, len(orders), 1), strict=True):
            filters[:, :, m] += (-1) ** m * w.conj() if conjugate else w
        return filters

    def shrunk(self, covariance: np.ndarray, n: float) -> np.ndarray:
        """Covariance of n sites, slightly closer to one that commutes with turns (or diagonal)."""
        d = len(covariance) // 2
        if self.tied:
            even = (covariance[:d, :d] + covariance[d:, d:]) / 2
            odd = (covariance[d:, :d] - covariance[:d, d:]) / 2
            target = np.block([[even, -odd], [odd, even]])
        else:
            target = np.diag(np.diag(covariance))
        return (n * covariance + 2 * d * target) / (n + 2 * d)

    def regress(
        self, y: np.ndarray, e: np.ndarray, power: np.ndarray, before: np.ndarray
    ) -> np.ndarray:
        """Patterns T (2, 2 k) of ``y = S + e T + noise``.

        Parameters
        ----------
        y : numpy.ndarray, shape (n_sites, 2 k)
        e, power : numpy.ndarray, shapes (n_sites, 2), (2, 2)
            Mean of the vector of each site, and the mean square over the sites.
        before : numpy.ndarray, shape (2, 2 k)
            Patterns to keep where the vectors have one direction only.
        """
        n, mean = len(y), e.mean(0)
        if self.tied:
            z, c = as_complex(y), e[:, 0] - 1j * e[:, 1]
            cross = (c.conj()[:, None] * z).mean(0) - c.mean().conj() * z.mean(0)
            return vector_pattern(cross / max(np.trace(power) - (mean**2).sum(), 1e-12))
        spread = power - np.outer(mean, mean)
        weak = 0.02 * np.trace(spread) * np.eye(2)
        cross = e.T @ y / n - np.outer(mean, y.mean(0))
        return np.linalg.solve(spread + weak, cross + weak @ before)


def left_over(y: np.ndarray, e: np.ndarray, power: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Covariance (2 k, 2 k) of y without the patterns; arguments as for `regress`."""
    mean, d = e.mean(0), y - y.mean(0)
    cross = (d.T @ (e - mean) / len(y)) @ patterns
    turning = patterns.T @ (power - np.outer(mean, mean)) @ patterns
    covariance = d.T @ d / len(y) - cross - cross.T + turning
    return (covariance + covariance.T) / 2


def _middle_radius(image: np.ndarray, radius: np.ndarray, largest: float) -> tuple[float, bool]:
    """Radius of the minimum around the middle column in px; True for dark columns."""
    steps = np.arange(0.5, 0.85 * largest, 1.0)
    profile = np.array([image[(radius >= r - 1) & (radius < r + 1)].mean() for r in steps])
    dark = bool(profile[0] < np.median(profile))
    if dark:
        profile = -profile
    return float(steps[2 + profile[2:].argmin()]), dark


def deformation_patterns(
    mean: np.ndarray, grid: HarmonicGrid, n: int, harmonics: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Changes of the harmonics of charge 1 per px of displacement of the middle column.

    The window is centred on the middle column, so its surroundings move the other way.

    Parameters
    ----------
    mean : numpy.ndarray, shape (w, w), or (n_detectors, w, w)
        Mean sub-image, of several detectors in the order of the grid.
    grid : HarmonicGrid
    n : int
        Symmetry of the lattice.
    harmonics : numpy.ndarray, shape (n_q, M + 1)
        Mean harmonics of the sites, whose scale the patterns take.

    Returns
    -------
    dict of str to tuple of numpy.ndarray
        Complex patterns (k_all,) along +x and +y. ``cage``: the surroundings move as a whole.
        ``shear``: they move along (cos 2 phi, sin 2 phi), phi being their azimuth; in ``cage``
        plus ``shear`` those beside the middle move twice as far, the others stay. ``dipole``: they
        are brighter on one side (composition, thickness), which is not a displacement.
    """
    means = np.asarray(mean, float).reshape(-1, *np.shape(mean)[-2:])
    parts = zip(means, np.split(harmonics, len(means)), strict=True)
    z = of_charge(np.concatenate([_deformed(*part, grid.single) for part in parts], 1), n, 1)
    return {name: (z[2 * k], z[2 * k + 1]) for k, name in enumerate(("cage", "shear", "dipole"))}


def _deformed(image: np.ndarray, harmonics: np.ndarray, grid: HarmonicGrid) -> np.ndarray:
    """Harmonics (6, n_q, M + 1) of the changes of one mean sub-image: x and y of each kind."""
    line = np.arange(len(image)) - (len(image) - 1) / 2
    x, y = np.meshgrid(line, line)
    radius, phi = np.hypot(x, y), np.arctan2(y, x)
    rho, dark = _middle_radius(image, radius, len(image) / 2)
    image = gaussian_filter(image, _BLUR)
    slope_y, slope_x = np.gradient(image)
    around = 0.5 * (1 + np.tanh(radius - rho))
    cos, sin = np.cos(2 * phi), np.sin(2 * phi)
    inside = image[radius < 0.45 * len(image)]
    bright = around * (image - (inside.max() if dark else inside.min()))
    patterns = [
        around * slope_x,
        around * slope_y,
        around * (cos * slope_x + sin * slope_y),
        around * (sin * slope_x - cos * slope_y),
        bright * np.cos(phi),
        bright * np.sin(phi),
    ]
    stack = torch.as_tensor(np.stack([*patterns, image]).astype(np.float32))
    z = grid.harmonics(stack).numpy().astype(complex)
    z *= np.linalg.norm(harmonics[:, 1:]) / max(float(np.linalg.norm(z[-1][:, 1:])), 1e-30)
    return z[:-1]
