# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deviations of sub-images from their average, which does not turn with a variant.

The undistorted lattice, aberrations and scan distortion look the same at every site, whatever its
variant. Where a distortion is weak beside them, a motif that turns has to carry them as well, and
so it is found at the same angle everywhere. Orders above 0 are then modelled as::

    X = p (A(X_0) + turned motif)

``p`` is the contrast of the site. The average ``A`` goes linearly with the main components of
order 0, the rotational mean, which tells composition and thickness but no variant.
"""

import torch

from .. import pose

N_ROUNDS = 3  # of average and motif in turn
_N_COMPONENTS = 2
_LEAST_CONTRAST = 0.1  # of the typical one, of decoded sub-images
_EMPTY = 0.01  # of the typical contrast: sub-images below are left out of a fit as well
_ROUNDING = 1e-6  # of the size of order 0: what varies less is no component


class AverageSubImage:
    """Orders above 0 of an average sub-image, as a linear function of its order 0.

    Parameters
    ----------
    middle : torch.Tensor, shape (n_q,)
        Mean of order 0.
    components : torch.Tensor, shape (K, n_q)
        Rows that give the K standardised components of order 0.
    parts : torch.Tensor of complex64, shape (K + 1, n_q, M + 1)
        The average of a mean site, and what a unit of each component adds. Order 0 is 0.
    contrast : torch.Tensor, shape (K + 1,)
        The same of the contrast.
    """

    def __init__(self, middle, components, parts, contrast):
        self.middle, self.components, self.parts = middle, components, parts
        self.contrast = contrast

    @classmethod
    def fit(cls, harmonics):
        """The average of sites, (n, n_q, M + 1), whose motif is not known."""
        radial = harmonics[:, :, 0].real
        middle = radial.mean(0)
        _, values, vectors = torch.linalg.svd(radial - middle, full_matrices=False)
        least = torch.maximum(1e-6 * values[0], _ROUNDING * torch.linalg.norm(radial))
        k = int((values[:_N_COMPONENTS] > least).sum())
        components = vectors[:k] / values[:k, None] * len(radial) ** 0.5
        average = cls(middle, components, None, None)
        contrast = _contrast(harmonics)
        average.contrast = _least_squares(average._weights(radial), contrast[:, None])[:, 0]
        return average.refit(harmonics, torch.zeros_like(harmonics))

    def refit(self, harmonics, motif):
        """The average of sites without their turned motifs, both (n, n_q, M + 1)."""
        rest = self._relative(harmonics) - motif
        rest[:, :, 0] = 0
        flat = torch.view_as_real(rest).flatten(1)
        parts = _least_squares(self._weights(harmonics[:, :, 0].real), flat)
        parts = torch.view_as_complex(parts.reshape(-1, *rest.shape[1:], 2).contiguous())
        return AverageSubImage(self.middle, self.components, parts, self.contrast)

    def deviation(self, harmonics):
        """Harmonics of sites, of the same contrast and without the average; order 0 is kept."""
        return self._relative(harmonics) - self._average(harmonics[:, :, 0].real)

    def restore(self, deviation):
        """The inverse of :meth:`deviation`, with the contrast that belongs to order 0."""
        radial = deviation[:, :, 0].real
        contrast = self._weights(radial) @ self.contrast
        contrast = contrast.clamp(min=_LEAST_CONTRAST * self.contrast[0])
        return _scaled(deviation + self._average(radial), contrast / self.contrast[0])

    def settle(self, harmonics, model, posterior, n_factors, progress):
        """Average and motif of sites refitted in turn, until each holds what belongs to it.

        The average of sites whose variants are not equally frequent has some of their motif in it.

        Parameters
        ----------
        harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
            As they were read.
        model : PoseModel
            Of their deviations.
        posterior : AnglePosterior
        n_factors : int
        progress : Progress

        Returns
        -------
        average, model, deviations, posterior
        """
        average, deviations = self, self.deviation(harmonics)
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
    def symmetry(self):
        """Symmetry of the average: 2, 3, 4 or 6; 1 if none."""
        return pose.symmetry((self.parts[0, :, 1:].abs() ** 2).sum(0))

    def state(self):
        """Real tensors, for :meth:`from_state`."""
        return vars(self) | {"parts": torch.view_as_real(self.parts.resolve_conj())}

    @classmethod
    def from_state(cls, tensors):
        """The average that :meth:`state` describes."""
        return cls(**(tensors | {"parts": torch.view_as_complex(tensors["parts"])}))

    def to(self, device):
        """The same average on another device."""
        return AverageSubImage(*(tensor.to(device) for tensor in vars(self).values()))

    def _relative(self, harmonics):
        contrast = _contrast(harmonics).clamp(min=_EMPTY * self.contrast[0])
        return _scaled(harmonics, self.contrast[0] / contrast)

    def _average(self, radial):
        return torch.einsum("nk,kqm->nqm", self._weights(radial).to(self.parts.dtype), self.parts)

    def _weights(self, radial):
        components = (radial - self.middle) @ self.components.T
        return torch.cat([components.new_ones((len(radial), 1)), components], 1)


def expected_motif(model, posterior):
    """The template of a pose model, turned as the posterior of each site expects it."""
    m = torch.arange(model.mean.shape[1], device=model.mean.device)
    wave = torch.exp(-1j * posterior.modes[:, :, None] * m)
    wave = wave * torch.exp(-0.5 * (posterior.widths[:, :, None] * m) ** 2)
    return (posterior.weights[:, :, None] * wave).sum(1)[:, None, :] * model.mean


def _contrast(harmonics):
    """Root power of the orders above 0, (n,)."""
    power = (harmonics[:, :, 1:].abs() ** 2).sum((1, 2))
    return power.clamp(min=torch.finfo(power.dtype).tiny).sqrt()


def _scaled(harmonics, factor):
    """Orders above 0 times a factor of each site."""
    return torch.cat([harmonics[:, :, :1], harmonics[:, :, 1:] * factor[:, None, None]], 2)


def _least_squares(weights, values):
    return torch.linalg.solve(weights.T @ weights, weights.T @ values)
