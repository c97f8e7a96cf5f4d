# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Share of a quantity of sites that other cells of the crystal predict.

The sub-images of two sites a few cells apart have no pixels in common, and those of different scan
rows no line noise. If a quantity of one predicts that of the other, it belongs to the crystal.
Noise is not predicted, whatever a model makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hs_rvae.neighbours import lattice_vectors

# Distance of the predicting sites in cells: their windows share next to nothing with the site's.
_MIN_DISTANCE, _MAX_DISTANCE = 1.9, 2.9
_NEXT = 0.9  # the same with the cells beside the site's
_SAME_ROWS = 0.35  # |dy| / distance below which two sites lie in the same scan rows
_RIDGE = 5.0  # weight of the prior of the regression, in sites
_MIN_PAIRS = 20  # of one lattice offset
_SAME_LATTICE = 0.1  # difference of two lattices that count as one, in nearest distances
_MIN_SITES = 20  # of an image
_HALF_ROW = 0.5  # half the height of a scan row, in cells
_ROW_STEP = 0.25  # cells in y within which sites share a scan row: one regression for all of them
_MIN_SPREAD = 0.2  # 1 - |mean exp(i p angle)|^2: below, all sites have one angle
# Two kinds of column: minimum share of each, distance of their profiles in standard deviations, and
# share of the four nearest sites that are of the other kind.
_MIN_SHARE, _MIN_SEPARATION, _ALTERNATING = 0.25, 4.0, 0.45
#: Thresholds of the order of odd and even multiples of angles: nulls reach 0.44 and 0.75.
ODD_ORDER, EVEN_ORDER = 0.6, 0.85


class LatticeOffsets:
    """Pairs of sites by the lattice offset between them, within one image each.

    Parameters
    ----------
    positions : numpy.ndarray, shape (n, 2)
        Positions (x, y) in px; y is the slow scan direction. NaN: the site has no partners.
    strata : numpy.ndarray of int, shape (n,), optional
        Number of the image or frame of each site.
    closest : float
        Minimum length of an offset, in cells.

    Attributes
    ----------
    cell : float
        Square root of the area of the cell in px, mean over the images; NaN without a lattice.
    """

    def __init__(
        self,
        positions: np.ndarray,
        strata: np.ndarray | None = None,
        closest: float = _MIN_DISTANCE,
    ) -> None:
        positions = np.asarray(positions, float)
        self._sites = positions, strata
        self.n = len(positions)
        strata = np.zeros(self.n, int) if strata is None else np.asarray(strata)
        bases: list[np.ndarray] = []
        images: dict[int, list[_Image]] = {}
        sizes = []
        for stratum in np.unique(strata):
            rows = np.flatnonzero((strata == stratum) & np.isfinite(positions).all(1))
            rows = rows[np.argsort(positions[rows, 1], kind="stable")]
            if len(np.unique(positions[rows], axis=0)) < _MIN_SITES:
                continue
            basis, size = lattice_vectors(positions[rows])
            sizes.append(size)
            kind = _kind(basis, bases, size)
            pairs, offsets = _pairs_by_offset(positions[rows], bases[kind], size, closest)
            image = _Image(rows, pairs, offsets, _scan_rows(positions[rows, 1], size))
            images.setdefault(kind, []).append(image)
        self.cell = float(np.mean(sizes)) if sizes else np.nan
        self._lattices = [_Lattice(same) for same in images.values()]

    def with_next_cells(self) -> LatticeOffsets:
        """Offsets that begin with the cells beside a site, whose windows overlap with its own."""
        return LatticeOffsets(*self._sites, closest=_NEXT)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of sites."""
        return sum(len(pairs) for lattice in self._lattices for pairs, _ in lattice.pairs)

    def predicted(self, quantity: np.ndarray) -> float:
        """Share of the variance of a vector that a linear map of other sites predicts.

        Each lattice offset has a 2 x 2 matrix of its own, so that any order of the crystal counts:
        parallel, antiparallel or turning. The scan row of a site is left out of the map that
        predicts the site, so that noise of few scan rows does not count as order.

        Parameters
        ----------
        quantity : numpy.ndarray of complex, shape (n,)
            Vectors of the sites, x + i y, or waves of an angle.

        Returns
        -------
        float
            1 minus the unpredicted share; about 0 or below for noise. 0 without pairs, and if all
            vectors are the same.
        """
        if not self.n_pairs or (quantity == quantity[0]).all():
            return 0.0
        u = _in_scatters(quantity)
        return self._share(np.stack([u.real, u.imag], 1))

    def predicted_each(self, quantities: np.ndarray) -> np.ndarray:
        """Share of the variance of each of several quantities that other sites predict.

        Parameters
        ----------
        quantities : numpy.ndarray, shape (n, k)

        Returns
        -------
        numpy.ndarray, shape (k,)
            As in :meth:`predicted`.
        """
        found = np.zeros(quantities.shape[1])
        for k, quantity in enumerate(quantities.T):
            if self.n_pairs and not (quantity == quantity[0]).all():
                found[k] = self._share(_in_scatters(quantity)[:, None])
        return found

    def unpredicted(self, quantity: np.ndarray) -> np.ndarray:
        """Vectors (n, 2) less their prediction by other sites; `quantity` as in `predicted`."""
        own = np.stack([quantity.real, quantity.imag], 1)
        own = own - own.mean(0)
        size = np.sqrt(max((own**2).sum(1).mean(), 1e-30))
        return size * self._missed(own / size)

    @property
    def partners(self) -> list[np.ndarray]:
        """Pairs of sites, (2, n_pairs) for each lattice offset: the second is the offset away."""
        return [lattice.sites[pairs.T] for lattice in self._lattices for pairs, _ in lattice.pairs]

    def _share(self, own: np.ndarray) -> float:
        """Predicted share of the variance of quantities (n, c) about 0."""
        missed = self._missed(own)
        return float(1 - (missed**2).sum() / max((own**2).sum(), 1e-30))

    def _missed(self, own: np.ndarray) -> np.ndarray:
        """Quantities (n, c) less their prediction by other sites."""
        missed = own.copy()
        for lattice in self._lattices:
            missed[lattice.sites] -= lattice.prediction(own[lattice.sites])
        return missed


def _in_scatters(quantity: np.ndarray) -> np.ndarray:
    """Deviations from the mean in standard deviations, those of outliers cut at 3."""
    u = quantity - quantity.mean()
    u = u / np.sqrt(max((np.abs(u) ** 2).mean(), 1e-30))
    u = u * np.minimum(1, 3 / np.maximum(np.abs(u), 1e-9))
    return u - u.mean()


@dataclass
class _Image:
    """Sites of an image from the first scan row to the last, and their pairs by offset."""

    sites: np.ndarray
    pairs: np.ndarray  # (n_pairs, 2) of places in `sites`
    offsets: np.ndarray  # (n_pairs, 2)
    scan_rows: np.ndarray  # (2, n): first place and end of the sites in the scan row of each


class _Lattice:
    """Sites of the images that have one lattice, and their pairs by offset."""

    def __init__(self, images: list[_Image]) -> None:
        self.sites = np.concatenate([image.sites for image in images])
        first = np.cumsum([0] + [len(image.sites) for image in images[:-1]])
        ranges = [image.scan_rows + k for k, image in zip(first, images, strict=True)]
        rows = np.unique(np.concatenate(ranges, 1), axis=1, return_inverse=True)
        self.scan_rows, self.row_of = rows[0], rows[1].ravel()
        pairs = np.concatenate([image.pairs + k for k, image in zip(first, images, strict=True)])
        offsets = np.concatenate([image.offsets for image in images])
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        for offset in np.unique(offsets, axis=0):
            chosen = pairs[(offsets == offset).all(1)]
            if len(chosen) >= _MIN_PAIRS:
                count = np.maximum(np.bincount(chosen.ravel(), minlength=len(self.sites)), 1)
                self.pairs.append((chosen, count))

    def prediction(self, own: np.ndarray) -> np.ndarray:
        """Quantities (n, c) as other sites predict them."""
        if not self.pairs:
            return np.zeros_like(own)
        partners = self._means_of_partners(own)
        normal = self._in_other_rows(partners, partners) + _RIDGE * np.eye(partners.shape[1])
        slopes = np.linalg.solve(normal, self._in_other_rows(partners, own))
        return np.einsum("ni,nij->nj", partners, slopes[self.row_of])

    def _means_of_partners(self, own: np.ndarray) -> np.ndarray:
        """Means of the two sites at plus and minus each offset, (n, c offsets)."""
        means, n = [], len(self.sites)
        for (first, second), count in ((pairs.T, count) for pairs, count in self.pairs):
            for part in own.T:
                total = np.bincount(first, part[second], n)
                means.append((total + np.bincount(second, part[first], n)) / count)
        return np.array(means).T

    def _in_other_rows(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Sums of products of a (n, k) and b (n, l) without a scan row, (n_rows, k, l)."""
        return a.T @ b - np.stack([a[i:j].T @ b[i:j] for i, j in self.scan_rows.T])


def angular_order(angle: np.ndarray, offsets: LatticeOffsets) -> tuple[float, float, int]:
    """Multiple of the angle that other cells predict.

    Columns that are tilted more and more across an image imitate even multiples, so those have
    to be predicted better.

    Parameters
    ----------
    angle : numpy.ndarray, shape (n,)
        In radians.
    offsets : LatticeOffsets

    Returns
    -------
    order, threshold : float
        Predicted share of ``exp(i p angle)`` and its threshold. 0 and 1 if all angles are alike.
    multiple : int
        The smallest p of 1, 2, 3, 4 and 6 whose share exceeds its threshold. If none does, the one
        that comes closest.
    """
    found = [(-1.0, 0.0, 1.0, 1)]
    for p in (1, 2, 3, 4, 6):
        wave = np.exp(1j * p * np.nan_to_num(angle))
        if 1 - abs(wave.mean()) ** 2 > _MIN_SPREAD:
            order, threshold = offsets.predicted(wave), ODD_ORDER if p % 2 else EVEN_ORDER
            found.append((order - threshold, order, threshold, p))
    above = [one for one in found if one[0] > 0]
    return (above[0] if above else max(found))[1:]


def _scan_rows(y: np.ndarray, size: float) -> np.ndarray:
    """First place and end of the sites in the scan row of each site, (2, n), for ascending y."""
    step = _ROW_STEP * size
    lower = step * np.floor((y - y[0]) / step) + y[0]
    edges = lower - _HALF_ROW * size, lower + step + _HALF_ROW * size
    return np.stack([np.searchsorted(y, edge) for edge in edges])


def two_kinds(
    profiles: np.ndarray, positions: np.ndarray, strata: np.ndarray | None = None
) -> bool:
    """Return True if the sites are columns of two kinds that alternate on the lattice.

    Parameters
    ----------
    profiles : numpy.ndarray, shape (n, n_q)
        Rotational means of the sub-images.
    positions : numpy.ndarray, shape (n, 2)
        (x, y) in px.
    strata : numpy.ndarray of int, shape (n,), optional
        Number of the image or frame of each site.
    """
    d = profiles - profiles.mean(0)
    values = d @ np.linalg.svd(d, full_matrices=False)[2][0]
    upper = values > np.median(values)
    for _ in range(20):  # two means
        if upper.all() or not upper.any():
            return False
        middle = (values[upper].mean() + values[~upper].mean()) / 2
        if np.array_equal(upper, values > middle):
            break
        upper = values > middle
    share = upper.mean()
    spread = np.sqrt(share * values[upper].var() + (1 - share) * values[~upper].var())
    apart = values[upper].mean() - values[~upper].mean()
    if min(share, 1 - share) < _MIN_SHARE or apart < _MIN_SEPARATION * spread:
        return False
    strata = np.zeros(len(positions), int) if strata is None else np.asarray(strata)
    others, count = 0, 0
    for stratum in np.unique(strata):
        rows = np.flatnonzero((strata == stratum) & np.isfinite(positions).all(1))
        if len(rows) > 4:
            near = cKDTree(positions[rows]).query(positions[rows], k=5)[1][:, 1:]
            others += int((upper[rows][near] != upper[rows][:, None]).sum())
            count += near.size
    return bool(count and others > _ALTERNATING * count)


def _kind(basis: np.ndarray, bases: list[np.ndarray], size: float) -> int:
    """Number of the lattice among those met so far; a new one is added."""
    for kind, known in enumerate(bases):
        if np.abs(basis - known).max() < _SAME_LATTICE * size:
            return kind
    bases.append(basis)
    return len(bases) - 1


def _pairs_by_offset(
    xy: np.ndarray, basis: np.ndarray, size: float, closest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of sites (n, 2), the second a lattice offset (n, 2) in the upper half plane away."""
    pairs = cKDTree(xy).query_pairs((_MAX_DISTANCE + 0.25) * size, output_type="ndarray")
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    steps = (xy[pairs[:, 1]] - xy[pairs[:, 0]]) @ np.linalg.inv(basis)
    whole = np.round(steps).astype(int)
    vector = whole @ basis
    length = np.hypot(*vector.T)
    good = (np.abs(steps - whole).max(1) < 0.3) & (np.abs(vector[:, 1]) >= _SAME_ROWS * length)
    good &= (length >= closest * size) & (length <= _MAX_DISTANCE * size)
    pairs, whole = pairs[good], whole[good]
    back = (whole[:, 0] < 0) | ((whole[:, 0] == 0) & (whole[:, 1] < 0))
    pairs[back], whole[back] = pairs[back][:, ::-1], -whole[back]
    return pairs, whole
