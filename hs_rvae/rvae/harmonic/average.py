# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deviations of sub-images from an average that does not turn with a variant.

The undistorted lattice, aberrations and scan distortion look the same at every site, whatever its
variant. Where a distortion is weak beside them, a motif that turns has to carry them as well, and
so it is found at the same angle everywhere. Orders above 0 are then modelled as::

    X = p (A(X_0) + turned motif)

``p`` is the contrast of the site. The average ``A`` goes linearly with the main components of
order 0, the rotational mean, which depends on composition and thickness but not on the variant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import pose
from ..pose import AnglePosterior, PoseModel

if TYPE_CHECKING:
    from ..training import Progress

N_ROUNDS = 3  # of average and motif in turn
_N_COMPONENTS = 2
_MIN_CONTRAST = 0.1  # of decoded sub-images, relative to the typical contrast
_EMPTY = 0.01  # of the typical contrast: sub-images below are left out of a fit as well
_ROUNDING = 1e-6  # of the size of order 0: smaller variations are not a component


class AverageSubImage:
    """Orders above 0 of an average sub-image, as a linear function of its order 0.

    Parameters
    ----------
    middle : torch.Tensor, shape (n_q,)
        Mean of order 0.
    components : torch.Tensor, shape (K, n_q)
        Projections on the K standardised components of order 0.
    parts : torch.Tensor of complex64, shape (K + 1, n_q, M + 1)
        Average of a mean site, and its change per unit of each component. Order 0 is 0.
    contrast : torch.Tensor, shape (K + 1,)
        Contrast of a mean site, and its change per unit of each component.
    """

    def __init__(self, middle: Tensor, components: Tensor, parts: Tensor, contrast: Tensor) -> None:
        self.middle, self.components, self.parts = middle, components, parts
        self.contrast = contrast

    @classmethod
    def fit(cls, harmonics: Tensor) -> AverageSubImage:
        """Fit the average of sites, (n, n_q, M + 1), whose motif is not known."""
        radial = harmonics[:, :, 0].real
        middle = radial.mean(0)
        _, values, vectors = torch.linalg.svd(radial - middle, full_matrices=False)
        least = torch.maximum(1e-6 * values[0], _ROUNDING * torch.linalg.norm(radial))
        k = int((values[:_N_COMPONENTS] > least).sum())
        components = vectors[:k] / values[:k, None] * len(radial) ** 0.5
        weights = _weights(radial, middle, components)
        contrast = _least_squares(weights, _contrast(harmonics)[:, None])[:, 0]
        no_parts = torch.zeros_like(harmonics[: k + 1])
        average = cls(middle, components, no_parts, contrast)
        return average.refit(harmonics, torch.zeros_like(harmonics))

    def refit(self, harmonics: Tensor, motif: Tensor) -> AverageSubImage:
        """Fit the average of sites without their turned motifs, both (n, n_q, M + 1)."""
        residual = self._relative(harmonics) - motif
        residual[:, :, 0] = 0
        flat = torch.view_as_real(residual).flatten(1)
        weights = _weights(harmonics[:, :, 0].real, self.middle, self.components)
        parts = _least_squares(weights, flat)
        parts = torch.view_as_complex(parts.reshape(-1, *residual.shape[1:], 2).contiguous())
        return AverageSubImage(self.middle, self.components, parts, self.contrast)

    def deviation(self, harmonics: Tensor) -> Tensor:
        """Harmonics of sites at one contrast and without the average; order 0 is kept."""
        return self._relative(harmonics) - self._average(harmonics[:, :, 0].real)

    def restore(self, deviation: Tensor) -> Tensor:
        """Invert :meth:`deviation`, with the contrast that belongs to order 0."""
        radial = deviation[:, :, 0].real
        contrast = _weights(radial, self.middle, self.components) @ self.contrast
        contrast = contrast.clamp(min=_MIN_CONTRAST * self.contrast[0])
        return _scaled(deviation + self._average(radial), contrast / self.contrast[0])

    def settle(
        self,
        harmonics: Tensor,
        model: PoseModel,
        posterior: AnglePosterior,
        n_factors: int,
        progress: Progress,
    ) -> tuple[AverageSubImage, PoseModel, Tensor, AnglePosterior]:
        """Refit average and motif in turn, until they are separated.

        If variants are not equally frequent, the first average contains a part of the motif.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
            Harmonics of the sites, as they were read.
        model : PoseModel
            Pose model of their deviations.
        posterior : AnglePosterior
        n_factors : int
        progress : Progress

        Returns
        -------
        average, model, deviations, posterior
        """
        average: AverageSubImage = self
        deviations = self.deviation(harmonics)
        n_factors = min(n_factors, len(harmonics) // 20)
        for _ in range(N_ROUNDS):
            if progress.stopped:
                break
            average = average.refit(harmonics, expected_motif(model, posterior))
            deviations = average.deviation(harmonics)
            model = pose.fit_pose(deviations, model, n_factors=n_factors, n_iterations=3)
            posterior = model.posterior(deviations)
            progress.step("rVAE average")
        return average, model, deviations, posterior

    @property
    def symmetry(self) -> int:
        """Symmetry of the average: 2, 3, 4 or 6; 1 if none."""
        return pose.symmetry((self.parts[0, :, 1:].abs() ** 2).sum(0))

    def state(self) -> dict[str, Tensor]:
        """Real tensors, for :meth:`from_state`."""
        return vars(self) | {"parts": torch.view_as_real(self.parts.resolve_conj())}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor]) -> AverageSubImage:
        """Rebuild the average that :meth:`state` describes."""
        return cls(**(tensors | {"parts": torch.view_as_complex(tensors["parts"])}))

    def to(self, device: torch.device) -> AverageSubImage:
        """Copy to another device."""
        return AverageSubImage(*(tensor.to(device) for tensor in vars(self).values()))

    def _relative(self, harmonics: Tensor) -> Tensor:
        contrast = _contrast(harmonics).clamp(min=_EMPTY * self.contrast[0])
        return _scaled(harmonics, self.contrast[0] / contrast)

    def _average(self, radial: Tensor) -> Tensor:
        weights = _weights(radial, self.middle, self.components)
        return torch.einsum("nk,kqm->nqm", weights.to(self.parts.dtype), self.parts)


def expected_motif(model: PoseModel, posterior: AnglePosterior) -> Tensor:
    """Posterior mean of the turned template at each site, (n, n_q, M + 1)."""
    m = torch.arange(model.mean.shape[1], device=model.mean.device)
    wave = torch.exp(-1j * posterior.modes[:, :, None] * m)
    wave = wave * torch.exp(-0.5 * (posterior.widths[:, :, None] * m) ** 2)
    return (posterior.weights[:, :, None] * wave).sum(1)[:, None, :] * model.mean


def _weights(radial: Tensor, middle: Tensor, components: Tensor) -> Tensor:
    """Weights of the mean site, 1, and of the components of order 0, (n, K + 1)."""
    weights = (radial - middle) @ components.T
    return torch.cat([weights.new_ones((len(weights), 1)), weights], 1)


def _contrast(harmonics: Tensor) -> Tensor:
    """Root power of the orders above 0, (n,)."""
    power = (harmonics[:, :, 1:].abs() ** 2).sum((1, 2))
    return power.clamp(min=torch.finfo(power.dtype).tiny).sqrt()


def _scaled(harmonics: Tensor, factor: Tensor) -> Tensor:
    """Multiply the orders above 0 by a factor of each site."""
    return torch.cat([harmonics[:, :, :1], harmonics[:, :, 1:] * factor[:, None, None]], 2)


def _least_squares(weights: Tensor, values: Tensor) -> Tensor:
    return torch.linalg.solve(weights.T @ weights, weights.T @ values)
