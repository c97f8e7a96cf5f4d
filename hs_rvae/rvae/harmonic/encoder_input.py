# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Input of the encoder: all orders of a sub-image, without the direction of its distortion.

The harmonics of a site in the common frame (static, or turned back with the motif) are reduced to
their leading principal components, those of each charge for itself. Where a distortion turns, the
mean of the components of charge 1 and 2 as a function of its angle and amplitude is taken out: by
symmetry no other part follows the direction. The order amplitude itself is given, too. Mirror
images differ in these components, because real and imaginary parts of every order count.

Each component is weighted by the share that other cells of the crystal predict. What belongs to
the crystal then comes before noise and before composition that varies at random. Without positions
the rotational mean comes first, because it is the most certain.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..geometry import as_pairs, to_complex, to_real
from .charges import charge_of, contrasts

if TYPE_CHECKING:
    from .distortion import Distortion, Reading
    from .rotation import SitePlaces

_logger = logging.getLogger(__name__)

_N_COMPONENTS = 24  # or the number of radial frequencies, if that is larger
_UNPREDICTED = 0.3  # weight of the variance of a component that other cells do not predict
# Size of the order amplitude in parts of its change of a sub-image: it has a column of its own.
_ORDER = 0.5
_MAX_SITES = 5000  # of the principal components
_MAX_JUDGED = 3000  # sites whose components are predicted
_MIN_SITES = 20  # for each function of the distortion that is taken out
_N_SCREE = 12  # components of the scree
_MINIMUM_LATENTS = 2  # that are recommended: enough where one or two things vary
_ALIKE, _FALL = 0.8, 0.5  # parts of the last component that a further one has, and the next has not


@dataclass
class EncoderInput:
    """Linear map from harmonics in the common frame, and the distortion, to the encoder's input.

    Attributes
    ----------
    mean : torch.Tensor, shape (d,)
        Mean harmonics as real numbers, those of the detector that gives the latents.
    components : torch.Tensor, shape (d, k)
        Principal components times their weights.
    slopes : torch.Tensor, shape (r, k)
        Dependence on the distortion (see :func:`regressors`), which is subtracted.
    scree : numpy.ndarray, shape (12,) or fewer
        Variance of the leading components that other cells predict, from the largest on, in parts
        of their sum. Without positions, that of the rotational mean.
    """

    mean: Tensor
    components: Tensor
    slopes: Tensor
    scree: np.ndarray

    @property
    def n(self) -> int:
        """Number k of values that the encoder is given."""
        return self.components.shape[1]

    @property
    def n_latents(self) -> int:
        """Number of latents that is recommended: that of the bend of the scree, two or more.

        A further component that is as large as the last one, and before a fall, counts as well.
        """
        n, scree = max(bend(self.scree), _MINIMUM_LATENTS), self.scree
        while (
            n + 1 < len(scree)
            and scree[n] > _ALIKE * scree[n - 1]
            and (scree[n + 1] < _FALL * scree[n])
        ):
            n += 1
        return n

    def __call__(self, common: Tensor, about: np.ndarray) -> Tensor:
        """Input (n, k) of sites.

        Parameters
        ----------
        common : torch.Tensor of complex64, shape (n, n_q, M + 1)
            Harmonics in the common frame.
        about : numpy.ndarray, shape (n, r)
            From :func:`regressors`.
        """
        # Rather than `to_real` of many sites, the map in the order of the harmonics.
        n_radial = self._n_radial(common)
        shape = n_radial, common.shape[2]
        mean, components = (
            as_pairs(to_complex(part, shape)) for part in (self.mean[None], self.components.T)
        )
        flat = as_pairs(common[:, :n_radial])
        follows = torch.as_tensor(about.astype(np.float32)).to(flat) @ self.slopes
        return (flat - mean) @ components.T - follows

    def _n_radial(self, common: Tensor) -> int:
        return len(self.mean) // (2 * common.shape[2] - 1)

    def to(self, device: torch.device) -> EncoderInput:
        """Return the same map on a device."""
        if self.mean.device.type == device.type:
            return self
        mean, components, slopes = (
            part.to(device) for part in (self.mean, self.components, self.slopes)
        )
        return EncoderInput(mean, components, slopes, self.scree)

    def state(self) -> dict[str, Tensor]:
        """Tensors by name, for :meth:`from_state`."""
        tensors = {name: getattr(self, name) for name in ("mean", "components", "slopes")}
        return tensors | {"scree": torch.as_tensor(self.scree)}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor]) -> EncoderInput:
        """Rebuild the map that :meth:`state` describes."""
        parts = dict(tensors)
        return cls(scree=parts.pop("scree").numpy(), **parts)


def regressors(reading: Reading | None, distortion: Distortion | None, n: int) -> np.ndarray:
    """Functions of the distortion of n sites that their harmonics may follow.

    Returns
    -------
    numpy.ndarray, shape (n, 14), or (n, 1) where nothing turns on its own
        1; the order amplitude a; ``cos theta``, ``sin theta``, the same times a, the displacement
        (x, y) in units of the typical one; ``cos 2 theta``, ``sin 2 theta``, the same times a and
        times its square.
    """
    if reading is None or distortion is None or distortion.kind == "nothing":
        return np.ones((n, 1))
    a, theta = reading.amplitude, reading.angle
    one, two = (np.stack([np.cos(h * theta), np.sin(h * theta)]) for h in (1, 2))
    u = reading.displacement.T / distortion.scale
    rows = [np.ones((1, len(a))), a[None], one, a * one, u, two, a * two, a * a * two]
    return np.concatenate(rows).T


#: Rows of the regressors that go with the angle once and twice.
_ROWS = {1: slice(2, 8), 2: slice(8, 14)}


def without_direction(harmonics: Tensor, reading: Reading, distortion: Distortion) -> Tensor:
    """Harmonics (n, n_q, M + 1) without the typical change by the distortion of each site."""
    turned = distortion.pattern(reading.angle, reading.amplitude)
    contrast = contrasts(harmonics.cpu().numpy()) / distortion.reference
    turned *= contrast[:, None, None]
    return harmonics - torch.as_tensor(turned).to(harmonics)


def n_components(n_radial: int) -> int:
    """Number of principal components that the encoder is given: the maximum number of latents."""
    return max(_N_COMPONENTS, n_radial)


def fit_input(
    common: Tensor,
    n_radial: int,
    about: np.ndarray,
    distortion: Distortion | None,
    places: SitePlaces | None,
) -> EncoderInput:
    """Find the components, their dependence on the distortion's direction, and their weights.

    Parameters
    ----------
    common : torch.Tensor of complex64, shape (n, n_q, M + 1)
        Harmonics of the sites in the common frame.
    n_radial : int
        Radial frequencies of the detector that gives the latents; they are the first.
    about : numpy.ndarray, shape (n, r)
        From :func:`regressors`.
    distortion : Distortion or None
        None where the whole motif turns, or nothing.
    places : SitePlaces or None
        Without positions the rotational mean counts as predicted, the others not.

    Returns
    -------
    EncoderInput
    """
    n_orders, k = common.shape[2], n_components(n_radial)
    flat = to_real(common[:, :n_radial]).cpu().double().numpy()
    mean = flat.mean(0)
    flat -= mean
    by_order = [1] * (n_orders - 1)  # where all turns: the rotational mean, and the others
    if distortion is not None:
        by_order = [abs(charge_of(m, distortion.symmetry)) for m in range(1, n_orders)]
    charge = np.repeat([0, *by_order], [n_radial] + [2 * n_radial] * (n_orders - 1))
    components, charge = _components(flat, charge, k)
    values = flat @ components
    slopes = np.zeros((about.shape[1], components.shape[1]))
    if distortion is not None and len(slopes) > 1:
        slopes = _slopes(values, about, charge, distortion.symmetry)
        components, slopes = _with_order(components, slopes, about, distortion)
        charge = np.append(charge, 1)
        values = flat @ components
    values = values - about @ slopes
    slopes[0] += values.mean(0)  # about 0, like all that is left
    variance = values.var(0)
    share = np.clip(_predicted(values - values.mean(0), places, charge), 0, 1)
    weight = np.sqrt(_UNPREDICTED + (1 - _UNPREDICTED) * share)
    order = np.argsort(-(weight**2) * variance, kind="stable")
    known = np.sort(variance * share)[::-1][:_N_SCREE]
    arrays = (mean, components[:, order] * weight[order], slopes[:, order] * weight[order])
    tensors = [torch.as_tensor(one.astype(np.float32)).to(common.device) for one in arrays]
    found = EncoderInput(tensors[0], tensors[1], tensors[2], known / max(known.sum(), 1e-30))
    _logger.info(
        "rVAE content: %d components of all orders; scree of what other cells predict of them %s: "
        "%d latents are recommended.",
        found.n,
        ", ".join(f"{value:.2f}" for value in found.scree[:8]),
        found.n_latents,
    )
    return found


def bend(scree: np.ndarray) -> int:
    """Number of components before the bend of a falling curve: 1 or more.

    Parameters
    ----------
    scree : numpy.ndarray, shape (n,)

    Examples
    --------
    >>> bend(np.array([0.5, 0.3, 0.03, 0.02, 0.02, 0.01]))
    2
    """
    if len(scree) < 3 or not scree[0] > scree[-1]:
        return 1
    fall = (scree - scree[-1]) / (scree[0] - scree[-1])
    below = 1 - np.linspace(0, 1, len(scree)) - fall
    return max(int(below.argmax()), 1)


def _components(flat: np.ndarray, charge: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components (d, k) of the parts of each charge, and the charges (k,)."""
    some = flat[:: max(len(flat) // _MAX_SITES, 1)]
    covariance = some.T @ some / len(some)
    covariance[charge[:, None] != charge] = 0
    vectors = np.linalg.eigh(covariance)[1][:, ::-1][:, :k]
    return vectors, charge[np.abs(vectors).argmax(0)]


def _slopes(values: np.ndarray, about: np.ndarray, charge: np.ndarray, n: int) -> np.ndarray:
    """Dependence (r, k) of components on the distortion, where the symmetry allows one."""
    slopes = np.zeros((about.shape[1], values.shape[1]))
    for c in np.unique(charge):
        rows = [0]
        for h, block in _ROWS.items():
            if (h - c) % n == 0 or (h + c) % n == 0:
                rows += range(block.start, block.stop)
        own = charge == c
        if len(rows) > 1 and len(values) > _MIN_SITES * len(rows):
            fitted = np.linalg.lstsq(about[:, rows], values[:, own], rcond=1e-6)
            slopes[np.ix_(rows, own)] = fitted[0]
    return slopes


def _with_order(
    components: np.ndarray, slopes: np.ndarray, about: np.ndarray, distortion: Distortion
) -> tuple[np.ndarray, np.ndarray]:
    """Components and slopes with one more: the order amplitude."""
    size = _ORDER * float(np.linalg.norm(distortion.patterns[:2])) / np.sqrt(2)
    column = np.zeros((len(slopes), 1))
    column[0], column[1] = size * about[:, 1].mean(), -size
    return (
        np.column_stack([components, np.zeros(len(components))]),
        np.column_stack([slopes, column]),
    )


def _predicted(values: np.ndarray, places: SitePlaces | None, charge: np.ndarray) -> np.ndarray:
    """Share of each column of values (n, k) that other cells predict.

    Where none can, charge 0 counts as predicted.
    """
    if places is not None and len(values) > _MAX_JUDGED:
        strata = np.zeros(len(values), int) if places.strata is None else places.strata
        rows = np.lexsort((places.positions[:, 1], strata))
        first = (len(rows) - _MAX_JUDGED) // 2
        rows = np.sort(rows[first : first + _MAX_JUDGED])
        values, places = values[rows], places.of(rows)
    if places is None or not places.offsets.n_pairs:
        return (charge == 0).astype(float)
    return places.offsets.predicted_each(values)
