# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order parameters other than the displacement: ferroelastic strain, and tilts to and fro.

Strain is the deviator of the surroundings, which has an axis. A tilt is the rotation of a shell of
the surroundings, which changes its sign from cell to cell. Both count only where they lie in groups
that a smooth field does not have (:mod:`.order_groups`). Where the sites are displaced and the
rotation has two signs that follow the order of the displacement, as in lamellae read forwards and
backwards, it distinguishes mirror images of a variant: their parity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from hs_rvae.variants import FIRST_DIRECTION

from ..geometry import HarmonicGrid
from .charges import contrasts, lattice_symmetry
from .distortion import Distortion
from .order_filters import Coordinates, change_patterns, measuring_rows
from .order_groups import Found, Groups, find_order_groups

if TYPE_CHECKING:
    from .rotation import SitePlaces

_NUMBERS = {"strain": (2, 3, 4), "tilt": (2,)}
_SMOOTH = 3.2  # cells around a site, whose mean is no tilt
_NO_AXIS = 0.3  # length of a centre, in parts of the longest, below which it has no axis
_MIN_SITES = 100
_N_COLUMNS = 5  # of :meth:`Order.read`, before the scores of the groups

#: Thresholds of the evidence, by the end of its name.
THRESHOLDS = {
    "predicted": 0.25,  # share that other cells predict
    "groups": 0.25,  # nats per site that groups bring: smooth fields and bending up to 0.31,
    "apart": 3.5,  # scatters between groups: these up to 3.3 with as many nats,
    "walls": 1.4,  # change between groups in parts of that within: these up to 1.34
    "alternation": 0.5,  # correlation of a tilt with the opposite one of other cells; strain: less
}


@dataclass
class Order:
    """Filter and groups of one order parameter.

    Attributes
    ----------
    name : str
        "strain", "tilt" or "parity".
    filters : numpy.ndarray of complex64, shape (d, n_q, M + 1)
        ``value = reference / contrast * Re sum conj(filters) X``: (xx - yy) / 2 and xy of the
        strain, or the tilt in radians.
    zero : numpy.ndarray, shape (d,)
        Value of a site without the order parameter.
    groups : Groups
        Groups of values less zero.
    """

    name: str
    filters: np.ndarray
    zero: np.ndarray
    groups: Groups

    def values(self, harmonics: np.ndarray, reference: float) -> np.ndarray:
        """Values (n, d) of sites, from their harmonics (n, n_q, M + 1)."""
        flat, bank = harmonics.reshape(len(harmonics), -1), self.filters.reshape(len(self.zero), -1)
        response = (flat.real @ bank.real.T + flat.imag @ bank.imag.T).astype(float)
        return response * (reference / contrasts(harmonics))[:, None] - self.zero

    @property
    def size(self) -> float:
        """Typical length of a value."""
        lengths = np.linalg.norm(self.groups.centres, axis=1)
        return max(float(np.average(lengths, weights=self.groups.shares)), 1e-12)

    @property
    def n_columns(self) -> int:
        """Number of columns of :meth:`read`."""
        return _N_COLUMNS + len(self.groups.shares)

    def read(self, values: np.ndarray) -> np.ndarray:
        """Columns (n, 5 + k) of values (n, d).

        These are the quantity, its std, the group, the amplitude and its std, and the scores of
        the k groups. The quantity is the axis of a strain from -22.5 degrees on, or the tilt, in
        radians.
        """
        noise = float(np.sqrt(np.trace(self.groups.covariance) / len(self.zero)))
        length = np.linalg.norm(values, axis=1)
        if self.name == "strain":
            axis = np.arctan2(values[:, 1], values[:, 0]) / 2
            quantity = FIRST_DIRECTION + np.mod(axis - FIRST_DIRECTION, np.pi)
            std = np.minimum(noise / np.maximum(2 * length, 1e-12), np.pi / np.sqrt(12))
        else:
            quantity, std = values[:, 0], np.full(len(values), noise)
        scores = self.groups.scores(values)
        amplitude = np.stack([length, np.full(len(length), noise)]) / self.size
        return np.column_stack([quantity, std, scores.argmax(1), *amplitude, scores])

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of the order parameter, for :meth:`from_state`."""
        pairs = np.stack([self.filters.real, self.filters.imag], -1)
        arrays = {"filters": pairs, "zero": self.zero}
        groups = self.groups
        arrays |= {"centres": groups.centres, "covariance": groups.covariance}
        return {k: np.ascontiguousarray(v) for k, v in arrays.items()} | {"shares": groups.shares}

    @classmethod
    def from_state(cls, name: str, arrays: dict[str, np.ndarray]) -> Order:
        """Rebuild the order parameter that :meth:`state` describes."""
        pairs = arrays["filters"]
        filters = (pairs[..., 0] + 1j * pairs[..., 1]).astype(np.complex64)
        groups = Groups(arrays["centres"], arrays["covariance"], arrays["shares"])
        return cls(name, filters, arrays["zero"], groups)


@dataclass
class Orders:
    """Order parameters of an image beside the displacement, and the evidence.

    Attributes
    ----------
    found : tuple of Order
        The strongest first.
    reference : float
        Contrast to which sites are normalised.
    evidence : dict of str to float
        Also of what was not found.
    alone : bool
        Whether nothing is displaced.
    """

    found: tuple[Order, ...]
    reference: float
    evidence: dict[str, float]
    alone: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the order parameters, the strongest first."""
        return tuple(order.name for order in self.found)

    @property
    def limits(self) -> dict[str, float]:
        """Thresholds of the evidence, under the same names."""
        return {name: THRESHOLDS[name.split("_")[1]] for name in self.evidence}

    @property
    def n_columns(self) -> int:
        """Number of columns of :meth:`read`."""
        return sum(order.n_columns for order in self.found)

    def read(self, harmonics: np.ndarray) -> np.ndarray:
        """Columns (n, n_columns) of sites; see :meth:`Order.read`."""
        return np.concatenate(
            [one.read(one.values(harmonics, self.reference)) for one in self.found], 1
        )

    def columns(self, read: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of the site table from those of :meth:`read`, by name."""
        columns: dict[str, np.ndarray] = {}
        for name, part in zip(self.names, self._parts(read), strict=True):
            group = np.nan_to_num(part[:, 2], nan=-1.0).astype(int)
            if name == "parity":
                columns["parity"] = group
                continue
            quantity = "strain_angle" if name == "strain" else name
            columns |= {quantity: part[:, 0].copy(), f"{quantity}_std": part[:, 1].copy()}
            columns[f"{name}_variant"] = group
        return columns

    def scores(self, read: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Scores (n, k) and shares (k,) of the groups, by the name of their column."""
        return {
            order.name if order.name == "parity" else f"{order.name}_variant": (
                part[:, _N_COLUMNS:].copy(),
                order.groups.shares,
            )
            for order, part in zip(self.found, self._parts(read), strict=True)
        }

    def _parts(self, read: np.ndarray) -> list[np.ndarray]:
        """Columns of :meth:`read` of each order parameter."""
        return np.split(read, np.cumsum([order.n_columns for order in self.found])[:-1], axis=1)

    def in_place_of_angle(self, read: np.ndarray) -> np.ndarray:
        """Angle and its std, order amplitude and its std, (n, 4), where nothing is displaced.

        A tilt has no angle.
        """
        first = read[:, [0, 1, 3, 4]].copy()
        if self.names[0] != "strain":
            first[:, :2] = np.nan
        return first

    def ranked(self, predicted: float) -> tuple[str, ...]:
        """Names with "displacement" among them, by the share that other cells predict."""
        shares = {
            name: self.evidence[f"{name}_predicted"] for name in self.names if name != "parity"
        }
        shares["displacement"] = predicted
        return tuple(sorted(shares, key=lambda name: -shares[name]))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays, and a header that JSON can hold, for :meth:`from_state`."""
        arrays = {f"{o.name}_{k}": v for o in self.found for k, v in o.state().items()}
        header = {"names": list(self.names), "reference": self.reference}
        return arrays, header | {"evidence": self.evidence, "alone": self.alone}

    @classmethod
    def from_state(cls, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> Orders:
        """Rebuild the order parameters that :meth:`state` describes."""
        header, found = dict(header), []
        for name in header.pop("names"):
            own = {k[len(name) + 1 :]: v for k, v in arrays.items() if k.startswith(f"{name}_")}
            found.append(Order.from_state(name, own))
        return cls(tuple(found), **header)


def fit_orders(
    harmonics: np.ndarray,
    grid: HarmonicGrid,
    mean: np.ndarray,
    places: SitePlaces,
    distortion: Distortion,
) -> Orders:
    """Find strain and tilts that lie in groups.

    Parameters
    ----------
    harmonics : numpy.ndarray of complex, shape (n, n_q, M + 1)
    grid : HarmonicGrid
    mean : numpy.ndarray, shape (w, w), or (n_detectors, w, w)
        Mean sub-image.
    places : SitePlaces
    distortion : Distortion
        Fitted to the same sites.

    Returns
    -------
    Orders
    """
    nothing = Orders((), distortion.reference, {})
    if len(harmonics) < _MIN_SITES or lattice_symmetry(
        (np.abs(harmonics.mean(0)[:, 1:]) ** 2).sum(0)
    ) not in (2, 4, 6):
        return nothing
    offsets = places.offsets
    if not offsets.n_pairs or not np.isfinite(offsets.cell):
        return nothing
    return _OrderFit(harmonics, grid, mean, places, distortion).run()


class _OrderFit:
    """Data of one fit of order parameters."""

    def __init__(
        self,
        harmonics: np.ndarray,
        grid: HarmonicGrid,
        mean: np.ndarray,
        places: SitePlaces,
        distortion: Distortion,
    ) -> None:
        self.reference, self.n = distortion.reference, distortion.symmetry
        scale = (self.reference / contrasts(harmonics))[:, None, None]
        self.harmonics = harmonics * scale
        self.noise, self.offsets = grid.noise_power(), places.offsets
        self.patterns = change_patterns(mean, grid, self.harmonics.mean(0), self.offsets.cell)
        self.positions, self.strata = places.positions, places.strata
        self.displaced = distortion.kind
        self.evidence: dict[str, float] = {}

    def run(self) -> Orders:
        """Strain and tilt, where they lie in groups."""
        found = [one for one in (self._strain(), self._tilt()) if one is not None]
        found.sort(key=lambda one: -self.evidence.get(f"{one.name}_predicted", 0.0))
        alone = self.displaced == "nothing"
        return Orders(tuple(found), self.reference, self.evidence, alone)

    def _strain(self) -> Order | None:
        """Strain in groups, or None."""
        # A displacement to either side draws out the columns around, as seen from the middle.
        others = ["elongation", "drawn"][: 1 if self.displaced == "nothing" else 2]
        coordinates, patterns, blind = self._parts(2, "strain", *others)
        every = np.concatenate([patterns, blind])
        if np.linalg.matrix_rank(every) < len(every):  # nothing stands around the middle column
            return None
        rows = measuring_rows(coordinates.noise(self.noise), patterns, blind)
        values = coordinates(self.harmonics) @ rows.T
        if not self._predicted("strain", self.offsets.predicted(values[:, 0] + 1j * values[:, 1])):
            return None
        if self._alternation(values) > THRESHOLDS["alternation"]:  # in lamellae, no domains
            return None
        found = find_order_groups(values, self.offsets, _NUMBERS["strain"], THRESHOLDS)
        if found is None or not self._in_groups("strain", found):
            return None
        zero = found.groups.centres.mean(0)
        groups = _by_axis(replace(found.groups, centres=found.groups.centres - zero))
        return self._order("strain", coordinates, rows, zero, groups)

    def _tilt(self) -> Order | None:
        """Tilts to and fro in groups, or None."""
        coordinates, patterns, _ = self._parts(0, "turn")
        if not len(patterns):
            return None
        rows = measuring_rows(coordinates.noise(self.noise), patterns, patterns[:0])
        every = coordinates(self.harmonics) @ rows.T
        quick = every - self._smooth(every)
        shares = [self.offsets.predicted(w + 0j) for w in quick.T]
        best = int(np.argmax(shares))
        values, rows = quick[:, [best]], rows[[best]]
        alternation = self._alternation(values)
        if shares[best] < THRESHOLDS["predicted"] or alternation < THRESHOLDS["alternation"]:
            return None
        self.evidence |= {"tilt_predicted": shares[best], "tilt_alternation": alternation}
        found = find_order_groups(values, self.offsets, _NUMBERS["tilt"], THRESHOLDS)
        if found is None or np.prod(found.groups.centres) >= 0:
            return None
        enough = self._in_groups("tilt", found)
        if not enough and (self.displaced != "variants" or not self._two_signs(found)):
            return None
        name = "tilt" if enough else "parity"
        return self._order(name, coordinates, rows, np.zeros(1), _by_sign(found.groups))

    def _alternation(self, values: np.ndarray) -> float:
        """Correlation of values (n, d) with the opposite ones, over the offset with the highest."""
        d = values - values.mean(0)
        power = max(float((d**2).sum(1).mean()), 1e-30)
        found = [-float((d[a] * d[b]).sum(1).mean()) / power for a, b in self.offsets.partners]
        return max(found, default=0.0)

    @staticmethod
    def _two_signs(found: Found) -> bool:
        """Return True if there are two signs, whatever the change between them."""
        return found.gain >= THRESHOLDS["groups"] and found.apart >= THRESHOLDS["apart"]

    def _parts(self, charge: int, *names: str) -> tuple[Coordinates, np.ndarray, np.ndarray]:
        """Coordinates of a charge, patterns to measure in them, and patterns to be blind to."""
        coordinates = Coordinates.of(self.harmonics.shape[2], self.n, charge)
        parts = [coordinates(self.patterns[name]) for name in names]
        return coordinates, parts[0], np.concatenate([parts[0][:0], *parts[1:]])

    def _order(
        self,
        name: str,
        coordinates: Coordinates,
        rows: np.ndarray,
        zero: np.ndarray,
        groups: Groups,
    ) -> Order:
        filters = coordinates.filters(rows, *self.harmonics.shape[1:]).astype(np.complex64)
        return Order(name, filters, zero, groups)

    def _smooth(self, values: np.ndarray) -> np.ndarray:
        """Mean of the values (n, d) around each site, in its image."""
        n = len(values)
        smooth, strata = np.zeros_like(values), self.strata
        strata = np.zeros(n, int) if strata is None else strata
        for stratum in np.unique(strata):
            rows = np.flatnonzero((strata == stratum) & np.isfinite(self.positions).all(1))
            if not len(rows):
                continue
            pairs = cKDTree(self.positions[rows]).query_pairs(
                _SMOOTH * self.offsets.cell, output_type="ndarray"
            )
            count = 1.0 + np.bincount(pairs.ravel(), minlength=len(rows))
            for k, own in enumerate(values[rows].T):
                total = own + np.bincount(pairs[:, 0], own[pairs[:, 1]], len(rows))
                total += np.bincount(pairs[:, 1], own[pairs[:, 0]], len(rows))
                smooth[rows, k] = total / count
        return smooth

    def _predicted(self, name: str, share: float) -> bool:
        """Keep the share that other cells predict; True if it is enough to go on."""
        enough = share > THRESHOLDS["predicted"]
        if enough:
            self.evidence[f"{name}_predicted"] = share
        return enough

    def _in_groups(self, name: str, found: Found) -> bool:
        """Keep the evidence for groups; True if it is enough."""
        values = {"groups": found.gain, "apart": found.apart}
        if np.isfinite(found.walls):
            values["walls"] = found.walls
        self.evidence |= {f"{name}_{k}": float(v) for k, v in values.items()}
        return found.enough(THRESHOLDS)


def _by_sign(groups: Groups) -> Groups:
    """Groups of tilt, the negative one first."""
    order = np.argsort(groups.centres[:, 0])
    return Groups(groups.centres[order], groups.covariance, groups.shares[order])


def _by_axis(groups: Groups) -> Groups:
    """Groups of strain by ascending axis from -22.5 degrees on; those without an axis are last."""
    length = np.linalg.norm(groups.centres, axis=1)
    axis = np.arctan2(groups.centres[:, 1], groups.centres[:, 0]) / 2
    place = np.mod(axis - FIRST_DIRECTION, np.pi)
    place[length < _NO_AXIS * length.max()] = np.inf
    order = np.argsort(place, kind="stable")
    return Groups(groups.centres[order], groups.covariance, groups.shares[order])
