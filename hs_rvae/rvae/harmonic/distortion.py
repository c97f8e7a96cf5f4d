# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distortion that turns while the lattice stays: a filter, a circle, neighbours as judges.

1. A filter gives the displacement u of each site from its sub-image: the mean sub-image's
   derivative along a displacement of the middle column, fitted to the harmonics of charge 1. Three
   shapes of the displaced surroundings are tried.
2. A circle about a common zero is fitted to the displacements in the plane.
3. The filter is refined to what turns with the angles of the circle.
4. Other cells judge: the share of u that sites of other scan rows, whose windows have no pixels in
   common with the site's, predict chooses between the filters and decides whether there is
   anything. The likelihood of held-out sites decides whether there are wells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...threads import side_by_side
from ..geometry import HarmonicGrid
from ..neighbour_test import LatticeOffsets
from .charges import (
    ChargeBasis,
    as_complex,
    as_numbers,
    as_real,
    coherence,
    contrasts,
    deformation_patterns,
    lattice_symmetry,
    left_over,
    of_charge,
    vector_pattern,
)
from .circle import (
    AMPLITUDES,
    Circle,
    fit_circle,
    gaussian,
    held_out,
    log_sum,
    normalise,
    product,
    turn_matrix,
)
from .direction_errors import ANY_ANGLE, DirectionErrors, most_probable, noise_of_turns

N_COMPONENTS = (8, 16)  # of charge 1, tried in turn
_SITES_PER_COMPONENT = 8  # of the last filter, which has all components that sites determine
_N_STRAIN = 4  # components of charge 2
_LOAD = 10.0  # of the first filter, in mean variances: nearly a plain matched filter
_SHAPES = (0.0, 1.0, -1.0)  # share of the shear in the displacement of the surroundings
_FEWER = 0.8  # the share that neighbours do not predict must fall to this for another shape,
_BETTER = 0.99  # ... and to this for a refined filter
_N_FOLLOW = 15  # iterations of a circle after a change of the filter
_N_STEPS, _N_WIDE = 8, 3  # of the refinement, and of that with all components
_MAX_SITES = 2000  # of a fit of the circle
_PIECE = 250  # sites whose scores in all states of the circle are in memory at a time
_STRAIN_GAIN = 0.05  # nats per site that charge 2 has to bring
_MIN_MEASURED = 50  # measured displacements that give a zero
_CIRCLE = ("zero", "covariance", "density", "shares")  # arrays of a circle
_STRAIN = ("mean", "slopes", "covariance")

#: Thresholds of the verdict, by the name of the evidence.
THRESHOLDS = {
    "predicted": 0.2,  # share of the displacement that other cells predict: nulls up to 0.133
    "gain": 0.03,  # nats per site by which the circle is more likely than a normal distribution
    "wells": 0.04,  # nats per held-out site by which wells beat the best density without them,
    "wells_per_gain": 0.15,  # ... and that in parts of the gain
    "asymmetry": 0.2,  # of the mean site; the error of the template alone gives 0.12 to 0.15
    "zero": 0.025,  # evidence times asymmetry from which the zero is off the symmetric position
    "largest": 0.12,  # root mean square displacement in cells; beyond, it is not a displacement
    "smallest": 0.006,  # predicted part of that; below, a tilt of the columns imitates it
    "poled": 3.0,  # mean displacement in scatters,
    "mean": 0.02,  # ... and in cells; below, a mistilt of the crystal imitates it
}


@dataclass
class Distortion:
    """Filters of the displacement and of the strain, and the distribution of displacements.

    Attributes
    ----------
    filters : numpy.ndarray of complex64, shape (2, n_q, M + 1)
        ``u = reference / contrast * Re sum conj(filters) X``: displacement (x, y) in px.
    reference : float
        Contrast (root power of the orders above 0) to which sites are normalised.
    circle : Circle
        Distribution of the displacements.
    kind : str
        "variants", "continuous", "one direction" or "nothing".
    symmetry : int
        n of the lattice.
    scale, noise : float
        Displacement in px that counts as the amplitude 1, and the standard deviation of each
        component of a site's displacement, in px.
    patterns : numpy.ndarray of complex64, shape (4, n_q, M + 1)
        Change of the harmonics with ``a (cos theta, sin theta, cos 2 theta, sin 2 theta)``.
    evidence : dict of str to float
        What the verdict rests on; :data:`THRESHOLDS` has the same names.
    normal : tuple of numpy.ndarray
        Mean (2,) and covariance (2, 2) of the displacements of all sites, in px.
    strain : Strain or None
        Charge 2, where it sharpens the angles.
    pixels_only : Circle or None
        The distribution found without measured positions, where the zero of `circle` comes from
        them; otherwise None.
    turn : float
        Turn in radians of the displacements of pixels alone against measured ones, taken back in
        `filters`.
    widening : float
        Errors of angles in wells, in parts of the widths of their posteriors.
    """

    filters: np.ndarray
    reference: float
    circle: Circle
    kind: str
    symmetry: int
    scale: float
    noise: float
    evidence: dict[str, float]
    normal: tuple[np.ndarray, np.ndarray]
    patterns: np.ndarray
    strain: Strain | None = None
    pixels_only: Circle | None = None
    turn: float = 0.0
    widening: float = 1.0

    def displacement(self, harmonics: np.ndarray) -> np.ndarray:
        """Displacements (n, 2) in px of sites, from their harmonics (n, n_q, M + 1)."""
        return _filtered(harmonics, self.filters, self.reference)

    def read(self, harmonics: np.ndarray) -> Reading:
        """Angles and amplitudes of sites, from their harmonics (n, n_q, M + 1)."""
        u = self.displacement(harmonics)
        if self.kind == "variants":
            angle, std, density = self.posteriors(u, harmonics)[:3]
            amplitude, amplitude_std = self.circle.amplitude(u, angle)
            std = np.minimum(self.widening * std, ANY_ANGLE)
            return Reading(u, angle, std, amplitude, amplitude_std, density)
        d = u if self.kind == "one direction" else u - self.circle.zero
        length = np.hypot(*d.T)
        std = np.minimum(self.noise / np.maximum(length, 1e-12), ANY_ANGLE)
        amplitude, error = length / self.scale, np.full(len(d), self.noise / self.scale)
        if self.kind == "nothing":
            amplitude, std = np.zeros(len(d)), np.full(len(d), ANY_ANGLE)
        return Reading(u, np.arctan2(d[:, 1], d[:, 0]), std, amplitude, error, None)

    def posteriors(self, u: np.ndarray, harmonics: np.ndarray) -> tuple[np.ndarray, ...]:
        """Results of `most_probable` for sites displaced by u, piece by piece."""
        sites, states = self.circle.factors(u)
        if self.strain is not None:
            more = self.strain.factors(self.strain.coordinates(harmonics, self.reference))
            sites, states = np.hstack([sites, more[0]]), np.vstack([states, more[1]])
        n = len(self.circle.density)
        pieces = _in_pieces(len(u))
        found = [most_probable(product(sites[piece], states), n) for piece in pieces]
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))

    def angle_from_pixels(self, harmonics: np.ndarray) -> np.ndarray:
        """Angles (n,) of sites read without measured positions."""
        if self.pixels_only is None:
            return self.read(harmonics).angle
        angle = replace(self, circle=self.pixels_only).read(harmonics).angle + self.turn
        return np.angle(np.exp(1j * angle))

    def log_likelihood_gain(self, u: np.ndarray) -> np.ndarray:
        """Log density of displacements (n, 2) less that of a normal distribution, in nats."""
        mean, covariance = self.normal
        sites, states = self.circle.factors(u)
        value = [log_sum(product(sites[piece], states)) for piece in _in_pieces(len(u))]
        return np.concatenate(value) - gaussian(u, mean, covariance)

    def pattern(self, angle: np.ndarray, amplitude: np.ndarray | float = 1.0) -> np.ndarray:
        """Change of the harmonics of typical sites, (n, n_q, M + 1), by the distortion."""
        angle = np.asarray(angle, float)
        if not self.patterns.any():  # an angle of something else, or none
            return np.zeros((len(angle), *self.patterns.shape[1:]), np.complex64)
        waves = [np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
        e = (amplitude * np.stack(waves)).T.astype(np.float32)
        flat = self.patterns.reshape(4, -1)
        return (e @ flat).reshape(len(e), *self.patterns.shape[1:])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays, and a header that JSON can hold, for :meth:`from_state`."""
        mean, covariance = self.normal
        arrays = {"filters": _pairs(self.filters), "patterns": _pairs(self.patterns)}
        arrays |= {"normal_mean": mean, "normal_covariance": covariance}
        circles = {"circle": self.circle}
        if self.pixels_only is not None:
            circles["pixels_only"] = self.pixels_only
        for name, circle in circles.items():
            arrays |= {f"{name}_{k}": getattr(circle, k) for k in _CIRCLE}
            arrays[f"{name}_length"] = np.array([circle.length])
            for k in ("along", "walls"):
                if getattr(circle, k) is not None:
                    arrays[f"{name}_{k}"] = getattr(circle, k)
        names = ("reference", "kind", "symmetry", "scale", "noise", "evidence", "turn")
        header = {name: getattr(self, name) for name in names}
        if self.widening != 1:  # files of earlier versions, and their identity, are without
            header["widening"] = self.widening
        if self.strain is not None:
            arrays |= {f"strain_{k}": getattr(self.strain, k) for k in _STRAIN}
            arrays["strain_filters"] = _pairs(self.strain.filters)
        return {k: np.ascontiguousarray(v) for k, v in arrays.items()}, header

    @classmethod
    def from_state(cls, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> Distortion:
        """Rebuild the model that :meth:`state` describes."""
        header = dict(header)
        circles = {
            name: Circle(
                arrays[f"{name}_zero"],
                float(arrays[f"{name}_length"][0]),
                arrays[f"{name}_covariance"],
                arrays[f"{name}_density"],
                arrays[f"{name}_shares"],
                along=arrays.get(f"{name}_along"),
                walls=arrays.get(f"{name}_walls"),
            )
            for name in ("circle", "pixels_only")
            if f"{name}_length" in arrays
        }
        circle, strain = circles["circle"], None
        if "strain_filters" in arrays:
            parts = {k: arrays[f"strain_{k}"] for k in _STRAIN}
            bank = _complex(arrays["strain_filters"])
            strain = Strain(bank, **parts, n_angles=len(circle.density))
        return cls(
            _complex(arrays["filters"]),
            circle=circle,
            pixels_only=circles.get("pixels_only"),
            strain=strain,
            patterns=_complex(arrays["patterns"]),
            normal=(arrays["normal_mean"], arrays["normal_covariance"]),
            **header,
        )


@dataclass
class Reading:
    """Displacements, angles and amplitudes of n sites.

    Attributes
    ----------
    displacement : numpy.ndarray, shape (n, 2)
        In px.
    angle, angle_std : numpy.ndarray, shape (n,)
        Direction of the distortion and its standard deviation, in radians.
    amplitude, amplitude_std : numpy.ndarray, shape (n,)
        Order amplitude and its standard error.
    density : numpy.ndarray, shape (n, n_angles), or None
        Posterior of the angles 2 pi k / n_angles. If None, it is normal.
    """

    displacement: np.ndarray
    angle: np.ndarray
    angle_std: np.ndarray
    amplitude: np.ndarray
    amplitude_std: np.ndarray
    density: np.ndarray | None


@dataclass
class Strain:
    """Charge 2 (strain, elongation) given the distortion of charge 1.

    The coordinates are ``y = S + a B (cos 2 theta, sin 2 theta) + noise``.

    Attributes
    ----------
    filters : numpy.ndarray of complex64, shape (8, n_q, M + 1)
    mean, slopes, covariance : numpy.ndarray, shapes (8,), (2, 8), (8, 8)
    """

    filters: np.ndarray
    mean: np.ndarray
    slopes: np.ndarray
    covariance: np.ndarray
    n_angles: int

    def coordinates(self, harmonics: np.ndarray, reference: float) -> np.ndarray:
        """Coordinates of sites, (n, 8)."""
        return _filtered(harmonics, self.filters, reference)

    def score(self, y: np.ndarray) -> np.ndarray:
        """Log density of coordinates (n, 8) in each state of a circle, (n, n_states)."""
        return product(*self.factors(y))

    def factors(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Factors (n, 10) of sites and (10, n_states) of states, whose product is the score."""
        precision = np.linalg.inv(self.covariance)
        expected, d = self.slopes.T @ _double(self.n_angles), y - self.mean
        own = (d @ precision * d).sum(1)
        own = own + np.linalg.slogdet(2 * np.pi * self.covariance)[1]
        power = np.einsum("is,ij,js->s", expected, precision, expected)
        sites = np.column_stack([d, np.ones(len(d)), -0.5 * own])
        states = np.vstack([precision @ expected, -0.5 * power, np.ones(len(power))])
        return sites.astype(np.float32), states.astype(np.float32)


def _double(n_angles: int) -> np.ndarray:
    """Vectors a (cos 2 theta, sin 2 theta) of the states of a circle, (2, n_states)."""
    angle = np.repeat(2 * np.pi / n_angles * np.arange(n_angles), len(AMPLITUDES))
    amplitude = np.tile(AMPLITUDES, n_angles)
    return amplitude * np.stack([np.cos(2 * angle), np.sin(2 * angle)])


def _filtered(harmonics: np.ndarray, filters: np.ndarray, reference: float) -> np.ndarray:
    """Responses (n, r) of sites to filters (r, n_q, M + 1), at the contrast `reference`."""
    # Real and imaginary parts side by side: the real part of the product with conjugates.
    flat, bank = (as_numbers(values) for values in (harmonics, filters))
    return (flat @ bank.T).astype(float) * (reference / contrasts(harmonics))[:, None]


def _in_pieces(n: int) -> list[slice]:
    """Slices of n sites, one or more."""
    return [slice(start, start + _PIECE) for start in range(0, max(n, 1), _PIECE)]


def fit_distortion(
    harmonics: np.ndarray,
    grid: HarmonicGrid,
    mean: np.ndarray,
    offsets: LatticeOffsets,
    rng: np.random.Generator,
    displacements: np.ndarray | None = None,
) -> Distortion:
    """Fit the filters and the distribution of the displacements.

    Parameters
    ----------
    harmonics : numpy.ndarray of complex, shape (n, n_q, M + 1)
    grid : HarmonicGrid
    mean : numpy.ndarray, shape (w, w)
        Mean sub-image.
    offsets : LatticeOffsets
        Offsets between the sites.
    rng : numpy.random.Generator
        Chooses the sites of the circle where there are many.
    displacements : numpy.ndarray, shape (n, 2), optional
        Displacements (x, y) in px from measured positions, NaN where unknown. They give the zero
        where an aberration moves it.

    Returns
    -------
    Distortion
    """
    return DistortionFit(harmonics, grid, mean, offsets, rng, displacements).run()


@dataclass
class Filter:
    """A filter on the first components of charge 1, and the displacements it gives.

    Attributes
    ----------
    rows : numpy.ndarray, shape (2, len(columns))
    columns : numpy.ndarray of int
        Coordinates that it acts on.
    patterns : numpy.ndarray, shape (2, len(columns))
        Change of these coordinates with a displacement along x and along y.
    shape : float
        Share of the shear in the displacement of the surroundings.
    u : numpy.ndarray, shape (n, 2)
        Displacements.
    predicted : float
        Share of them that other cells predict.
    circle : Circle or None
        Their distribution.
    gain : float
        Its log-likelihood less that of a normal distribution, in nats per site.
    """

    rows: np.ndarray
    columns: np.ndarray
    patterns: np.ndarray
    shape: float
    u: np.ndarray
    predicted: float
    circle: Circle | None = None
    gain: float = 0.0

    def turned(self, angle: float) -> Filter:
        """The same filter with displacements turned by an angle in radians."""
        turn = turn_matrix(angle)
        return replace(
            self, rows=turn @ self.rows, patterns=turn @ self.patterns, u=self.u @ turn.T
        )


@dataclass
class _Judgement:
    """Verdict on a filter, and the circle for the displacements it gives."""

    kind: str
    evidence: dict[str, float]
    bound: Circle | None  # about the symmetric position; None if the zero is off it


class DistortionFit:
    """Data of one fit of a distortion."""

    def __init__(
        self,
        harmonics: np.ndarray,
        grid: HarmonicGrid,
        mean: np.ndarray,
        offsets: LatticeOffsets,
        rng: np.random.Generator,
        displacements: np.ndarray | None,
    ) -> None:
        harmonics = harmonics.astype(complex)
        self.n = lattice_symmetry((np.abs(harmonics.mean(0)[:, 1:]) ** 2).sum(0))
        contrast = contrasts(harmonics)
        self.reference = float(np.median(contrast))
        self.harmonics = harmonics
        self.harmonics[:, :, 1:] *= (self.reference / contrast)[:, None, None]
        n_sites = len(harmonics)
        self.some: slice | np.ndarray = slice(None)  # a view of all, without a copy
        if n_sites > _MAX_SITES:
            self.some = np.sort(rng.permutation(n_sites)[:_MAX_SITES])
        some = self.harmonics[self.some]
        n_components = max(*N_COMPONENTS, len(some) // _SITES_PER_COMPONENT)
        self.basis = ChargeBasis.fit(some, self.n, 1, n_components)
        self._set_templates(mean, grid, some.mean(0))
        self.noise_power = grid.noise_power()
        self.offsets, self.displacements = offsets, displacements
        self.y = self.basis.coordinates(self.harmonics)

    def _set_templates(self, mean: np.ndarray, grid: HarmonicGrid, harmonics: np.ndarray) -> None:
        """Keep the patterns of charge 1 that are known beforehand."""
        self.patterns = deformation_patterns(mean, grid, self.n, harmonics)
        self.cage, self.shear, self.dipole = (self.basis.pair(*p) for p in self.patterns.values())

    def run(self) -> Distortion:
        """Fit filter, circle and verdict."""
        first = self._first_filter()
        found = first
        # Angles of a circle no likelier than a normal distribution would spoil a filter.
        refine = first.gain > THRESHOLDS["gain"]
        if refine:
            for refined in side_by_side(lambda k: self._refined(first, k), N_COMPONENTS):
                found = self._better(found, refined)
        judged = self._judge(found, first.gain)
        refine &= judged.kind in ("variants", "continuous") and self.basis.k > max(N_COMPONENTS)
        if refine:
            # Not before the verdict: a filter with many components makes wells of noise.
            found = self._better(found, self._refined(found, self.basis.k, _N_WIDE))
        model, found = self._model(found, judged)
        u = found.u[self.some]
        if model.kind == "variants":
            if self.n in (4, 6):
                self._add_strain(model, found)
            judges = self.offsets.partners, self.displacements
            errors = DirectionErrors.of_wells(model.circle, found.u, *judges)
            model.circle = model.circle.finer(u)
            if model.pixels_only is not None:
                model.pixels_only = model.pixels_only.finer(u)
            if model.strain is not None:
                model.strain.n_angles = len(model.circle.density)
            if errors is not None:
                model.widening = self._widening(model, found, errors)
        model.patterns = self._patterns(model)
        return model

    @staticmethod
    def _better(found: Filter, other: Filter) -> Filter:
        """Filter whose displacements other cells predict better; the first one if in doubt."""
        return other if 1 - other.predicted < _BETTER * (1 - found.predicted) else found

    def _apply(
        self, rows: np.ndarray, columns: np.ndarray, patterns: np.ndarray, shape: float = 0.0
    ) -> Filter:
        u = self.y[:, columns] @ rows.T
        predicted = self.offsets.predicted(u[:, 0] + 1j * u[:, 1])
        return Filter(rows, columns, patterns, shape, u, predicted)

    def _first_filter(self) -> Filter:
        """Filter whose displacements other cells predict best, with its circle."""
        tried = self._first_filters()
        best = max(tried, key=lambda f: f.predicted)
        if 1 - best.predicted > _FEWER * (1 - tried[0].predicted):
            best = tried[0]
        best.circle, value = fit_circle(best.u[self.some])
        best.gain = value - _gaussian_value(best.u[self.some])
        return best

    def _first_filters(self) -> list[Filter]:
        """Matched filters of the shapes of the displaced surroundings."""
        columns = self.basis.first(N_COMPONENTS[0])
        y = self.y[self.some][:, columns]
        covariance = self.basis.shrunk(np.cov(y.T, bias=True), len(y))
        load = _LOAD * np.trace(covariance) / len(covariance)
        precision = np.linalg.inv(covariance + load * np.eye(len(covariance)))
        tried = []
        for shape in _SHAPES:
            pattern = (self.cage + shape * self.shear)[:, columns]
            rows = least_squares(precision, pattern, self.dipole[:, columns])
            tried.append(self._apply(rows, columns, pattern, shape))
        return tried

    def _before(self, start: Filter, columns: np.ndarray) -> np.ndarray:
        """Patterns (2, len(columns)) that a refinement starts from."""
        return (self.cage + start.shape * self.shear)[:, columns]

    def _in_units(self, patterns: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Patterns (2, len(columns)) with the unit and the direction of a displacement."""
        templates = [p[:, columns] for p in (self.cage, self.shear, self.dipole)]
        return _in_px(patterns, templates, self.basis.tied)

    def _refined(self, start: Filter, k: int, n_steps: int = _N_STEPS) -> Filter:
        """Filter of the turning part, refined until neighbours predict it less."""
        columns, current, last = self.basis.first(k), start, None
        patterns = self._before(start, columns)
        y = self.y[self.some][:, columns]
        for _ in range(n_steps):
            assert current.circle is not None
            e, power = current.circle.moments(current.u[self.some])
            patterns = self.basis.regress(y, e, power, patterns)
            noise = left_over(y, e, power, patterns)
            precision = np.linalg.inv(self.basis.shrunk(_positive(noise), len(y)))
            patterns = self._in_units(patterns, columns)
            rows = least_squares(precision, patterns)
            new = self._apply(rows, columns, patterns, start.shape)
            new.circle = current.circle.copy()
            u = new.u[self.some]
            new.gain = new.circle.run(u, _N_FOLLOW) - _gaussian_value(u)
            if last is not None and new.predicted < last.predicted:
                break
            last = current = new
        assert last is not None
        return last

    def _judge(self, found: Filter, first_gain: float) -> _Judgement:
        """Zero of the displacements, and the verdict on them."""
        u, limit = found.u[self.some], THRESHOLDS
        free = found.circle
        assert free is not None
        value = float(free.expect(u)[1].mean())
        bound, bound_value = fit_circle(u, zero=np.zeros(2), also=free)
        asymmetry = self._asymmetry(found)
        zero_evidence = value - bound_value
        symmetric = asymmetry < limit["asymmetry"] or first_gain < limit["gain"]
        symmetric |= zero_evidence * asymmetry < limit["zero"]
        zero = bound.zero if symmetric else self._measured_frame(u)[0]
        uniform = fit_circle(u, free_density=False)[0]
        wells = held_out(u, free) - max(held_out(u, uniform), held_out(u))
        scatter = float(np.sqrt(((u - u.mean(0)) ** 2).sum(1).mean() / 2))
        length = np.hypot(*(u - (free.zero if zero is None else zero)).T)
        evidence = {
            "predicted": found.predicted,
            "gain": found.gain,
            "wells": wells,
            "asymmetry": asymmetry,
            "zero": zero_evidence * asymmetry,
            "poled": float(np.hypot(*u.mean(0))) / max(scatter, 1e-12),
            "coherence": self._coherence(),
            "n_pairs": float(self.offsets.n_pairs),
        } | self._sizes(found, length, u.mean(0))
        # Few sites imitate wells, but other cells do not predict them.
        ordered = found.predicted > limit["predicted"] / 2 or not self.offsets.n_pairs
        if ordered and wells > max(limit["wells"], limit["wells_per_gain"] * found.gain):
            kind = "variants"
        elif (
            found.predicted > limit["predicted"]
            and limit["smallest"] < evidence.get("smallest", np.inf)
            and evidence.get("largest", 0.0) < limit["largest"]
        ):
            kind = "continuous"
        elif (
            evidence["poled"] > limit["poled"]
            and evidence.get("mean", np.inf) > limit["mean"]
            and asymmetry < limit["asymmetry"]
        ):
            kind = "one direction"
        else:
            kind = "nothing"
        return _Judgement(kind, evidence, bound if symmetric else None)

    def _model(self, found: Filter, judged: _Judgement) -> tuple[Distortion, Filter]:
        """Distribution of the displacements that a filter gives, and the filter in its frame."""
        u, turn, pixels_only = found.u[self.some], 0.0, None
        assert found.circle is not None
        if judged.bound is not None:
            circle = judged.bound
            circle.run(u, _N_FOLLOW)
        else:
            circle = found.circle
            zero, turn = self._measured_frame(u)
            if zero is not None:
                found, pixels_only = found.turned(-turn), circle.turned(-turn)
                u = found.u[self.some]
                circle = fit_circle(u, zero=zero, also=pixels_only)[0]
        scatter = float(np.sqrt(((u - u.mean(0)) ** 2).sum(1).mean() / 2))
        scale = float(np.quantile(np.hypot(*(u - circle.zero).T), 0.6))
        if judged.kind == "one direction":
            scale = float(np.hypot(*u.mean(0)))
        n_q = self.harmonics.shape[1]
        model = Distortion(
            self.basis.filters(found.rows, found.columns, n_q).astype(np.complex64),
            self.reference,
            circle,
            judged.kind,
            self.n,
            max(scale, 1e-12),
            self._noise(found, scatter, judged.kind),
            judged.evidence,
            (u.mean(0), np.cov(u.T, bias=True) + 1e-12 * np.eye(2)),
            np.zeros((4, *self.harmonics.shape[1:]), np.complex64),
            pixels_only=pixels_only,
            turn=turn,
        )
        return model, found

    def _coherence(self) -> float:
        """Share of the power of the lattice's orders that the sites have in common."""
        return coherence(self.harmonics[self.some], self.n, self.noise_power)

    def _sizes(self, found: Filter, length: np.ndarray, mean: np.ndarray) -> dict[str, float]:
        """Displacements in cells: mean, root mean square, its part that other cells predict."""
        power = (length**2).mean()
        return {
            "mean": float(np.hypot(*mean)) / self.offsets.cell,
            "largest": float(np.sqrt(power)) / self.offsets.cell,
            "smallest": float(np.sqrt(max(found.predicted, 0) * power)) / self.offsets.cell,
        }

    def _widening(self, model: Distortion, found: Filter, errors: DirectionErrors) -> float:
        """Errors of the angles of a model, in parts of the widths of their posteriors."""
        rows = np.arange(len(self.harmonics))[self.some][errors.core[self.some]]
        if not len(rows):
            return 1.0
        u = found.u[rows]
        width, amplitude = model.posteriors(u, self.harmonics[rows])[3:]
        return errors.over_widths(model.circle, u, width, amplitude)

    def _noise(self, found: Filter, scatter: float, kind: str) -> float:
        """Standard deviation of each component of a site's displacement, in px.

        The part that other cells do not predict contains real changes from cell to cell. Where
        displacements turn, it is too much.
        """
        noise = None
        if kind == "continuous":
            noise = noise_of_turns(found.u, self.offsets.with_next_cells().partners)
        unpredicted = float(np.sqrt(1 - min(max(found.predicted, 0), 1)) * scatter)
        return unpredicted if noise is None else min(noise, unpredicted)

    def _measured_frame(self, u: np.ndarray) -> tuple[np.ndarray | None, float]:
        """Zero of displacements u (n, 2) of the fit, and their turn against measured ones.

        Both have noise: ``u = zero + c v`` with one complex c is fitted by total least squares. The
        zero is that of u turned back, None if too few displacements are measured; the turn is in
        radians.
        """
        if self.displacements is None:
            return None, 0.0
        pair = np.stack([u, self.displacements[self.some]])
        pair = pair[:, np.isfinite(pair).all((0, 2))]
        if pair.shape[1] < _MIN_MEASURED:
            return None, 0.0
        z = pair[..., 0] + 1j * pair[..., 1]
        for _ in range(2):  # the second time without outliers
            d = z - z.mean(1, keepdims=True)
            along = np.linalg.eigh(d @ d.conj().T)[1][:, 1]
            c = along[0] / along[1]
            missed = np.abs(d[0] - c * d[1])
            zero = (z.mean(1) @ np.array([1, -c])) * np.exp(-1j * np.angle(c))
            z = z[:, missed < 4 * np.median(missed)]
        return np.array([zero.real, zero.imag]), float(np.angle(c))

    def _asymmetry(self, found: Filter) -> float:
        """Charge 1 of the mean site beyond cage, shear and dipole, in parts of its cage."""
        mean = of_charge(self.harmonics[self.some], self.n, 1).mean(0)
        pairs = list(self.patterns.values())
        if self.basis.tied:
            design = np.stack([(x + 1j * y) / 2 for x, y in pairs], 1)
            target, n_cage = mean, 1
        else:
            design = np.stack([as_real(z) for pair in pairs for z in pair], 1)
            target, n_cage = as_real(mean), 2
        fit = np.linalg.lstsq(design, target, rcond=None)[0]
        cage = design[:, :n_cage] @ fit[:n_cage]
        missed = np.linalg.norm(target - design @ fit)
        return float(missed) / max(float(np.linalg.norm(cage)), 1e-30)

    def _add_strain(self, model: Distortion, found: Filter, n_steps: int = 12) -> None:
        """Joint fit with charge 2, kept where it brings enough."""
        basis = ChargeBasis.fit(self.harmonics[self.some], self.n, 2, _N_STRAIN)
        y, u, circle = (
            basis.coordinates(self.harmonics[self.some]),
            found.u[self.some],
            model.circle,
        )
        n, circle = len(u), model.circle.copy()
        alone = _gaussian_value(y, basis.shrunk(np.cov(y.T, bias=True), n))
        posterior, likelihood = circle.expect(u)
        before, states = likelihood.mean(), _double(len(circle.density))
        strain, gain = None, 0.0
        for _ in range(n_steps):
            e = (posterior @ states.T.astype(posterior.dtype)).astype(float)
            power = (states * posterior.mean(0, dtype=float)) @ states.T
            spread = power - np.outer(e.mean(0), e.mean(0)) + 1e-3 * np.trace(power) * np.eye(2)
            cross = e.T @ y / n - np.outer(e.mean(0), y.mean(0))
            slopes = np.linalg.solve(spread, cross)
            covariance = basis.shrunk(_positive(left_over(y, e, power, slopes)), n)
            strain = Strain(
                basis.filters(np.eye(2 * basis.k), basis.first(basis.k), self.harmonics.shape[1]),
                y.mean(0) - e.mean(0) @ slopes,
                slopes,
                covariance,
                len(circle.density),
            )
            posterior, likelihood = normalise(circle.score(u) + strain.score(y))
            gain = float(likelihood.mean() - before - alone)
            circle.maximise(u, posterior)
        model.evidence["strain"] = gain
        if strain is not None and gain > _STRAIN_GAIN:
            strain.filters = strain.filters.astype(np.complex64)
            model.strain, model.circle = strain, circle

    def _patterns(self, model: Distortion) -> np.ndarray:
        """Change of the harmonics with the distortion, by regression over the sites."""
        n_sites, n_q, n_orders = self.harmonics.shape
        patterns = np.zeros((4, n_q, n_orders), np.complex64)
        if model.kind in ("nothing", "one direction"):
            return patterns  # what all sites have is part of the static motif
        sites = self.harmonics[self.some]
        reading = model.read(sites)
        e = reading.amplitude[:, None] * np.stack(
            [np.cos(reading.angle), np.sin(reading.angle),
             np.cos(2 * reading.angle), np.sin(2 * reading.angle)], 1
        )  # fmt: skip
        e -= e.mean(0)
        flat = sites.reshape(len(sites), -1)
        ridge = 1e-3 * np.trace(e.T @ e) / 4 * np.eye(4)
        fitted = np.linalg.solve(e.T @ e + ridge, e.T @ flat).reshape(patterns.shape)
        fitted[:, :, 0] = 0  # content
        return fitted.astype(np.complex64)


def _gaussian_value(u: np.ndarray, covariance: np.ndarray | None = None) -> float:
    """Mean log density of rows under the normal distribution fitted to them."""
    covariance = np.cov(u.T, bias=True) if covariance is None else covariance
    covariance = covariance + 1e-12 * np.trace(covariance) * np.eye(len(covariance))
    return float(gaussian(u, u.mean(0), covariance).mean())


def _positive(covariance: np.ndarray) -> np.ndarray:
    """Covariance with eigenvalues above a small part of the largest."""
    value, vector = np.linalg.eigh(covariance)
    return (vector * np.maximum(value, 1e-6 * max(value[-1], 1e-30))) @ vector.T


def least_squares(precision: np.ndarray, *patterns: np.ndarray) -> np.ndarray:
    """Rows (2, d) that give a displacement by generalised least squares, blind to further pairs."""
    design = np.concatenate(patterns).T
    return np.linalg.solve(design.T @ precision @ design, design.T @ precision)[:2]


def _in_px(patterns: np.ndarray, templates: list[np.ndarray], tied: bool) -> np.ndarray:
    """Patterns per px along the axes of the image: their part along the cage, others free, is 1."""
    if tied:
        design = as_complex(np.stack([pair[0] for pair in templates])).T
        t = as_complex(patterns[0])
        fit = np.linalg.lstsq(design, t, rcond=None)[0]
        return vector_pattern(t / fit[0])
    fit = np.linalg.lstsq(np.concatenate(templates).T, patterns.T, rcond=None)[0]
    return patterns / np.diag(fit[:2])[:, None]


def _pairs(values: np.ndarray) -> np.ndarray:
    """Complex numbers as a last axis of length 2."""
    return np.stack([values.real, values.imag], -1)


def _complex(pairs: np.ndarray) -> np.ndarray:
    return (pairs[..., 0] + 1j * pairs[..., 1]).astype(np.complex64)
