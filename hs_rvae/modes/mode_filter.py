# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deformation modes: each column of a window moves as a whole, its shape stays.

A window is a sum of local images of its columns, each with a height and a displacement of its own,
on a background. They are fitted to the pixels of each site together, weighted by their noise. The
displacement of the middle column is that against the mean of its shell; rotation and strain are
those of the shell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .columns_in_window import WindowColumns, find_columns
from .deformation import rotation_and_strain, shell_inverse
from .noise import Noise, first_noise, interpolation_loss, measured_noise
from .profiles import POWERS, local_images, monomial_slopes, monomials, moved_images

_SAMPLE = 1500  # windows from which shapes and noise are taken
_BLOCK = 512  # windows that are read together
_STEPS = 5  # of Gauss and Newton
_BEYOND = (0.5, 2.0)  # standard deviations of height (relative) and place (px) of columns beyond
_HEIGHT = 0.5  # standard deviation of relative heights
_LARGEST = 1.2  # displacement of a column, in its widths
_N = len(POWERS)


@dataclass
class DeformationModes:
    """
    Deformation modes of each site.

    Attributes
    ----------
    displacement : numpy.ndarray, shape (n_sites, 2)
        Of the middle column from the mean of its shell, (x, y) in px.
    rotation : numpy.ndarray, shape (n_sites,)
        Of the shell against that of the mean window, in radians, positive from +x towards +y.
    strain : numpy.ndarray, shape (n_sites, 3)
        Of the shell against that of the mean window: xx, yy and xy of the tensor.
    covariance : numpy.ndarray, shape (n_sites, 6, 6)
        Of displacement x and y, rotation, strain xx, yy and xy.
    shell : numpy.ndarray, shape (n_shell, 2)
        Places ``(x, y)`` of the shell's columns in the mean window, from the middle one, in px.
    scale : numpy.ndarray, shape (n_sites,)
        Residual variance of each window in units of the expected one.
    """

    displacement: np.ndarray
    rotation: np.ndarray
    strain: np.ndarray
    covariance: np.ndarray
    shell: np.ndarray
    scale: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Standard errors, in the order of the covariance, shape (n_sites, 6)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))


def deformation_modes(
    images: np.ndarray,
    shell: np.ndarray | None = None,
    *,
    positions: np.ndarray | None = None,
    start: np.ndarray | None = None,
    maximum_distance: float | None = None,
) -> DeformationModes:
    """
    Measure displacement, rotation and strain of each site from its pixels.

    Parameters
    ----------
    images : numpy.ndarray, shape (n_sites, w, w)
        Windows, a column at the centre of each.
    shell : numpy.ndarray, shape (n_shell, 2), optional
        Places ``(x, y)`` of the surrounding columns from the middle one, in px. If None, the
        nearest shell of columns in the mean window.
    positions : numpy.ndarray, shape (n_sites, 2), optional
        Positions of the sites in their image, in px, if windows were cut between pixels: that
        makes their noise smaller without more information.
    start : numpy.ndarray, shape (n_sites, 2), optional
        Place of each middle column from the centre of its window, in px. If None, 0.
    maximum_distance : float, optional
        Of columns of the shell from the middle, in px.

    Returns
    -------
    DeformationModes

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
    >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=48)
    >>> modes = deformation_modes(stack.data)
    >>> modes.displacement.shape, len(modes.shell)
    ((57, 2), 4)
    """
    n, size = len(images), images.shape[-1]
    chosen = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(int))
    loss = None if positions is None else interpolation_loss(positions, size)
    filter_ = ModeFilter.fit(
        np.asarray(images[chosen], float),
        shell,
        loss=None if loss is None else loss[chosen],
        start=None if start is None else start[chosen],
        maximum_distance=maximum_distance,
    )
    parts = []
    for first in range(0, n, _BLOCK):
        some = slice(first, first + _BLOCK)
        parts.append(
            filter_.read(
                np.asarray(images[some], float),
                None if loss is None else loss[some],
                None if start is None else start[some],
            )
        )
    return joined(parts)


def joined(parts: list[DeformationModes]) -> DeformationModes:
    """Modes of several blocks of sites as one."""
    names = ("displacement", "rotation", "strain", "covariance")
    arrays = {name: np.concatenate([getattr(one, name) for one in parts]) for name in names}
    scale = np.concatenate([one.scale for one in parts])
    return DeformationModes(**arrays, shell=parts[0].shell, scale=scale)


@dataclass
class _Moved:
    """Displacements (n, C, 2), heights (n, C), inverse information (n, 3 C, 3 C), chi square (n,)."""

    u: np.ndarray
    height: np.ndarray
    inverse: np.ndarray
    chi_square: np.ndarray


class ModeFilter:
    """
    The images by which windows are fitted, and their noise.

    Make one with :meth:`fit`; :meth:`read` measures windows.

    Attributes
    ----------
    columns : WindowColumns
        Columns of the mean window.
    noise : Noise
    """

    def __init__(self, columns: WindowColumns, local: np.ndarray, noise: Noise) -> None:
        self.columns, self.noise = columns, noise
        size = noise.variance.shape[0]
        n_own = 1 + columns.n_shell
        self.moved = np.stack(
            [moved_images(local[c], columns.widths[c]) for c in range(len(local))]
        )
        y, x = np.mgrid[:size, :size] / size - 0.5
        scale = np.abs(columns.heights[0])
        flat = scale * np.stack([np.ones_like(x), x, y])
        beyond = self.moved[n_own:, :3].reshape(-1, size, size)
        own = self.moved[:n_own].reshape(-1, size, size)
        self.images = np.concatenate([own, flat, beyond])
        self.weighted = noise.weighted(self.images).reshape(len(self.images), -1).T
        gram = self.images.reshape(len(self.images), -1) @ self.weighted
        # Columns beyond the shell start at height 1 and place 0, with a spread about that.
        spread = np.tile([_BEYOND[0], _BEYOND[1], _BEYOND[1]], len(local) - n_own)
        prior = np.diag(np.concatenate([np.zeros(3), spread**-2]))
        self.n_own, k = n_own, len(own)
        self.usual = np.concatenate([np.zeros(3), np.tile([1.0, 0, 0], len(local) - n_own)])
        self.rest_gram = gram[k:, k:] + prior
        self.prior_part = prior @ self.usual
        self.passed = np.linalg.solve(self.rest_gram, gram[k:, :k])
        self.gram = gram[:k, :k] - gram[:k, k:] @ self.passed
        self.n_free = size * size - 3 * n_own - 3

    @classmethod
    def fit(
        cls,
        images: np.ndarray,
        shell: np.ndarray | None = None,
        *,
        loss: np.ndarray | None = None,
        start: np.ndarray | None = None,
        maximum_distance: float | None = None,
    ) -> ModeFilter:
        """
        Take shapes and noise from windows.

        Parameters
        ----------
        images : numpy.ndarray, shape (n, w, w)
        shell, start, maximum_distance
            As in :func:`deformation_modes`.
        loss : numpy.ndarray, shape (n, 2), optional
            What :func:`~hs_rvae.modes.noise.interpolation_loss` returns.

        Returns
        -------
        ModeFilter

        Raises
        ------
        ValueError
            If there are fewer than three columns around the middle.
        """
        mean = images.mean(axis=0)
        columns = find_columns(mean, shell, maximum_distance)
        local = local_images(mean, columns)
        one = cls(columns, local, first_noise(mean))
        for _ in range(2):
            moved = one.solve(images, start)
            noise = measured_noise(mean, one.residuals(images, moved), one.tangent(), one.noise)
            one = cls(columns, one.sharpened(local, moved), noise)
        return one

    def solve(self, images: np.ndarray, start: np.ndarray | None = None) -> _Moved:
        """Fit all columns of each window."""
        n, c = len(images), self.n_own
        flat = images.reshape(n, -1)
        sums = flat @ self.weighted
        k = c * _N
        # The background and the columns beyond are taken out beforehand.
        rest = sums[:, k:] + self.prior_part
        own = sums[:, :k] - rest @ self.passed
        square = np.einsum("np,np->n", flat, self.noise.weighted(images).reshape(n, -1))
        square += self.usual @ self.prior_part
        square -= np.einsum("nk,nk->n", rest, np.linalg.solve(self.rest_gram, rest.T).T)
        u, height = np.zeros((n, c, 2)), np.ones((n, c))
        if start is not None:
            u += start[:, None]
        limit = _LARGEST * self.columns.widths[:c, None]
        for _ in range(_STEPS):
            gradient, information = self._slopes(own, u, height)
            step = np.linalg.solve(information, gradient[..., None])[..., 0].reshape(n, c, 3)
            height = np.clip(height + step[..., 0], 0.1, 10)
            u = np.clip(u + np.clip(step[..., 1:], -limit / 2, limit / 2), -limit, limit)
        _, information = self._slopes(own, u, height)
        coefficients = (height[..., None] * monomials(u)).reshape(n, k)
        chi = square - 2 * np.einsum("nk,nk->n", coefficients, own)
        chi += np.einsum("nk,nk->n", coefficients @ self.gram, coefficients)
        return _Moved(u, height, np.linalg.inv(information), chi)

    def _slopes(
        self, own: np.ndarray, u: np.ndarray, height: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (n, 3 C) of the log-likelihood by heights and places, and information."""
        n, c = height.shape
        powers = monomials(u)
        slopes = height[..., None, None] * monomial_slopes(u)
        jacobian = np.concatenate([powers[..., None], slopes], axis=-1)  # (n, C, N, 3)
        left = own - (height[..., None] * powers).reshape(n, -1) @ self.gram
        gradient = np.einsum("ncks,nck->ncs", jacobian, left.reshape(n, c, _N))
        gradient[..., 0] += (1 - height) / _HEIGHT**2
        gram = self.gram.reshape(c, _N, c, _N)
        information = np.empty((n, c, 3, c, 3))
        turned = np.ascontiguousarray(np.swapaxes(jacobian, 2, 3))
        for a in range(c):
            for b in range(a, c):
                block = (turned[:, a] @ gram[a, :, b]) @ jacobian[:, b]
                information[:, a, :, b] = block
                information[:, b, :, a] = np.swapaxes(block, 1, 2)
        information = information.reshape(n, 3 * c, 3 * c)
        which = 3 * np.arange(c)
        information[:, which, which] += _HEIGHT**-2
        return gradient.reshape(n, -1), information

    def residuals(self, images: np.ndarray, moved: _Moved) -> np.ndarray:
        """What the fits leave of the windows."""
        n, k = len(images), self.n_own * _N
        own = (moved.height[..., None] * monomials(moved.u)).reshape(n, k)
        sums = images.reshape(n, -1) @ self.weighted[:, k:] + self.prior_part
        rest = np.linalg.solve(self.rest_gram, sums.T).T - own @ self.passed.T
        coefficients = np.concatenate([own, rest], axis=1)
        return images - np.tensordot(coefficients, self.images, axes=1)

    def tangent(self) -> np.ndarray:
        """Change of the mean window with each fitted number."""
        own = self.moved[: self.n_own, :3].reshape(-1, *self.images.shape[1:])
        return np.concatenate([own, self.images[self.n_own * _N :]])

    def sharpened(self, local: np.ndarray, moved: _Moved) -> np.ndarray:
        """Local images without the blur by the displacements of the sites."""
        sharp = local.copy()
        for c in range(self.n_own):
            u = moved.u[:, c] - moved.u[:, c].mean(axis=0)
            noise = moved.inverse[:, 3 * c + 1 : 3 * c + 3, 3 * c + 1 : 3 * c + 3]
            true = _without_noise(u, noise.mean(axis=0))
            weights = monomials(true).mean(axis=0)
            border = (local.shape[-1] - self.images.shape[-1]) // 2
            inside = slice(border, -border)
            for _ in range(3):
                blurred = np.tensordot(
                    weights, moved_images(sharp[c], self.columns.widths[c]), axes=1
                )
                sharp[c, inside, inside] += local[c, inside, inside] - blurred
        return sharp

    def read(
        self,
        images: np.ndarray,
        loss: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> DeformationModes:
        """
        Measure windows.

        Parameters
        ----------
        images : numpy.ndarray, shape (n, w, w)
        loss, start
            As in :meth:`fit`.

        Returns
        -------
        DeformationModes
        """
        moved = self.solve(images, start)
        scale = moved.chi_square / self.n_free
        places = self.columns.offsets[: self.n_own]
        inverse = shell_inverse(places[1:])
        u = moved.u + places
        displacement = u[:, 0] - u[:, 1:].mean(axis=1)
        gradient = np.swapaxes(inverse @ moved.u[:, 1:], 1, 2)
        rotation, strain = rotation_and_strain(gradient)
        matrix = self._from_columns(inverse)
        covariance = matrix @ moved.inverse @ matrix.T * scale[:, None, None]
        if loss is not None:
            covariance /= loss.prod(axis=1)[:, None, None]
        return DeformationModes(
            displacement, rotation, strain, covariance, places[1:] - places[0], scale
        )

    def _from_columns(self, inverse: np.ndarray) -> np.ndarray:
        """Matrix (6, 3 C) from heights and places of the columns to the modes."""
        matrix = np.zeros((6, self.n_own, 3))
        matrix[[0, 1], 0, [1, 2]] = 1
        matrix[0, 1:, 1] = matrix[1, 1:, 2] = -1 / self.columns.n_shell
        by_x, by_y = inverse
        matrix[2, 1:, 1:] = np.stack([-by_y, by_x], 1) / 2
        matrix[3, 1:, 1] = by_x
        matrix[4, 1:, 2] = by_y
        matrix[5, 1:, 1:] = np.stack([by_y, by_x], 1) / 2
        return matrix.reshape(6, -1)


def _without_noise(u: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Displacements (n, 2) scaled to the spread that they have without their noise."""
    values, vectors = np.linalg.eigh(np.cov(u.T))
    own = np.einsum("ij,ik,kj->j", vectors, noise, vectors)
    factor = np.sqrt(np.clip(1 - own / np.maximum(values, 1e-12), 0, 1))
    return (u @ vectors * factor) @ vectors.T
