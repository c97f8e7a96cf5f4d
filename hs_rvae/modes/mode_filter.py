# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deformation modes: each column of a window moves as a whole, its shape stays.

A window is a sum of local images of its columns, each with a height and a displacement of its own,
on a background. They are fitted to the pixels of each site together, weighted by their noise. The
displacement of the middle column is that against the mean of its shell; rotation and strain are
those of the shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .columns_in_window import WindowColumns, find_columns, fit_columns
from .deformation import rotation_and_strain, shell_inverse
from .noise import Noise, first_noise, interpolation_loss, measured_noise
from .profiles import DERIVATIVES, POWERS, blur_image, local_images, monomials, moved_images

_SAMPLE = 1500  # windows whose mean gives the shapes
_FITTED = 256  # of these, which give spread of the displacements and noise
_PIXELS = 2**24  # of these windows
_FEWEST = 10  # of them
_BLOCK = 512  # windows that are fitted together
_READ = 4  # blocks that are in memory at a time
_ROUNDS = 2  # of shapes and noise
# Steps of Gauss and Newton, and how many of them have an information of their own: of sites, and
# of the sample that gives shapes and noise.
_STEPS, _NEWTON = 6, 3
_STEPS_OF_SAMPLE, _NEWTON_OF_SAMPLE = 4, 2
_BEYOND = (0.5, 2.0)  # standard deviations of height (relative) and place (px) of columns beyond
_HEIGHT = 0.5  # standard deviation of relative heights
_BROADER = 0.1  # standard deviation of the relative change of the widths' squares
_LARGEST = 1.2  # displacement of a column, in its widths
_HEIGHTS = (0.1, 10.0)  # of a column, in units of the usual one
_N = len(POWERS)
_ARRAYS = ("displacement", "rotation", "strain", "covariance", "scale")  # over sites


@dataclass
class DeformationModes:
    """
    Deformation modes of each site.

    Attributes
    ----------
    displacement : numpy.ndarray, shape (n_sites, 2)
        Middle column minus the mean of its shell, (x, y) in px.
    rotation : numpy.ndarray, shape (n_sites,)
        Rotation of the shell against that of the mean window, in radians, from +x towards +y.
    strain : numpy.ndarray, shape (n_sites, 3)
        Strain of the shell against that of the mean window: xx, yy and xy of the tensor.
    covariance : numpy.ndarray, shape (n_sites, 6, 6)
        Covariance of displacement x and y, rotation, strain xx, yy and xy.
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

    def at_rows(self, rows: np.ndarray, n: int) -> DeformationModes:
        """Modes of n sites: these at `rows`, shape (n_sites,), and NaN for all others."""
        spread = {}
        for name in _ARRAYS:
            values = getattr(self, name)
            spread[name] = np.full((n, *values.shape[1:]), np.nan)
            spread[name][rows] = values
        return DeformationModes(**spread, shell=self.shell)


def deformation_modes(
    images: Any,
    shell: np.ndarray | None = None,
    *,
    positions: np.ndarray | None = None,
    start: np.ndarray | None = None,
    distances: tuple[float, float] | None = None,
    aspect: tuple[float, float] = (1.0, 1.0),
    progress: Callable[[range], Iterable[int]] = iter,
) -> DeformationModes:
    """
    Measure displacement, rotation and strain of each site from its pixels.

    Parameters
    ----------
    images : numpy.ndarray or dask.array.Array, shape (n_sites, w, w)
        Windows, a column at the centre of each. Those with a value that is not finite get NaN.
    shell : numpy.ndarray, shape (n_shell, 2), optional
        Places ``(x, y)`` of the surrounding columns from the middle one, in px. If None, the
        nearest shell of columns in the mean window.
    positions : numpy.ndarray, shape (n_sites, 2), optional
        Positions of the sites in their image, in px, if windows were cut between pixels: that
        makes their noise smaller without more information.
    start : numpy.ndarray, shape (n_sites, 2), optional
        Place of each middle column from the centre of its window, in px. If None, 0.
    distances : tuple of float, optional
        Minimum and maximum distance of the shell's columns from the middle, in px.
    aspect : tuple of float
        Width and height of a pixel, in any unit. Rotation and strain are those in the specimen.
    progress : callable
        Wraps the list of blocks, for example in a progress bar.

    Returns
    -------
    DeformationModes

    Raises
    ------
    ValueError
        If there are fewer than three columns around the middle, or fewer than ten windows.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
    >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=48)
    >>> modes = deformation_modes(stack.data)
    >>> modes.displacement.shape, len(modes.shell)
    ((81, 2), 4)
    """
    n, size = len(images), images.shape[-1]
    loss = None if positions is None else interpolation_loss(np.asarray(positions), size)
    few = min(n, _SAMPLE, max(_PIXELS // size**2, 100))
    chosen = np.unique(np.linspace(0, n - 1, few).astype(int))
    sample = _in_memory(images[chosen])
    whole = np.isfinite(sample).all(axis=(1, 2))
    if whole.sum() < _FEWEST:
        raise ValueError(
            f"{whole.sum()} whole sub-images: shapes and noise need {_FEWEST} or more."
        )
    chosen, sample = chosen[whole], sample[whole]
    filter_ = ModeFilter.fit(
        sample,
        shell,
        loss=None if loss is None else loss[chosen],
        start=None if start is None else start[chosen],
        distances=distances,
    )
    parts = []
    # Always the same blocks, whatever the chunks: the sums are the same to the last bit.
    block = int(np.clip(_PIXELS // 8 // size**2, 16, _BLOCK))
    for first in progress(range(0, n, _READ * block)):
        read = _in_memory(images[first : first + _READ * block])
        for k in range(0, len(read), block):
            some = slice(first + k, first + k + block)
            parts.append(
                filter_.read(
                    read[k : k + block],
                    None if loss is None else loss[some],
                    None if start is None else start[some],
                    aspect,
                )
            )
    return joined(parts)


def _in_memory(images: Any) -> np.ndarray:
    return np.asarray(images, dtype=float)


def joined(parts: list[DeformationModes]) -> DeformationModes:
    """Modes of several blocks of sites as one."""
    arrays = {name: np.concatenate([getattr(one, name) for one in parts]) for name in _ARRAYS}
    return DeformationModes(**arrays, shell=parts[0].shell)


@dataclass
class _Moved:
    """
    Fitted columns of n windows.

    Attributes
    ----------
    u : numpy.ndarray, shape (n, C, 2)
        Displacements from the places in the mean window, in px.
    inverse : numpy.ndarray, shape (n, 3 C, 3 C)
        Inverse information of heights and places.
    chi_square : numpy.ndarray, shape (n,)
    coefficients : numpy.ndarray, shape (n, C N)
        Numbers by which the images of the columns add up.
    there : numpy.ndarray of bool, shape (n,)
        Whether every column is where it can be.
    """

    u: np.ndarray
    inverse: np.ndarray
    chi_square: np.ndarray
    coefficients: np.ndarray
    there: np.ndarray


class ModeFilter:
    """
    Fit of all columns of a window: local images, moved, and the noise.

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
        pairs = list(zip(local, columns.widths, strict=True))
        self.moved = np.stack([moved_images(one, width, size) for one, width in pairs[:n_own]])
        rest = [moved_images(one, width, size, 1) for one, width in pairs[n_own:]]
        y, x = np.mgrid[:size, :size] / size - 0.5
        scale = np.abs(columns.heights[0])
        flat = scale * np.stack([np.ones_like(x), x, y])
        beyond = np.array(rest).reshape(-1, size, size)
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
        distances: tuple[float, float] | None = None,
    ) -> ModeFilter:
        """
        Take shapes and noise from windows.

        Parameters
        ----------
        images : numpy.ndarray, shape (n, w, w)
        shell, start, distances
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
        columns = find_columns(mean, shell, distances)
        local = local_images(mean, columns)
        one = cls(columns, local, first_noise(mean))
        some = np.unique(np.linspace(0, len(images) - 1, min(len(images), _FITTED)).astype(int))
        images, start = images[some], None if start is None else start[some]
        for _ in range(_ROUNDS):
            moved = one.solve(images, start, _STEPS_OF_SAMPLE, _NEWTON_OF_SAMPLE)
            noise = measured_noise(mean, one.residuals(images, moved), one.tangent(), one.noise)
            sharp = one.sharpened(mean, moved)
            columns = fit_columns(sharp, columns)
            one = cls(columns, local_images(sharp, columns), noise)
        return one

    def solve(
        self,
        images: np.ndarray,
        start: np.ndarray | None = None,
        n_steps: int = _STEPS,
        n_newton: int = _NEWTON,
    ) -> _Moved:
        """Fit all columns of each window."""
        n, c = len(images), self.n_own
        flat = images.reshape(n, -1)
        sums = flat @ self.weighted
        k = c * _N
        # The background and the columns beyond are taken out beforehand.
        rest = sums[:, k:] + self.prior_part
        own = sums[:, :k] - rest @ self.passed
        square = self.noise.weighted_square(images) + self.usual @ self.prior_part
        square -= np.einsum("nk,nk->n", rest, np.linalg.solve(self.rest_gram, rest.T).T)
        u, height, broader = np.zeros((n, c, 2)), np.ones((n, c)), np.zeros((n, 3))
        if start is not None:
            u += start[:, None]
        limit = _LARGEST * self.columns.widths[:c, None]
        for number in range(n_steps):
            gradient, jacobian = self._gradient(own, u, height, broader)
            if number < n_newton:  # later ones are small, the information stays
                alike = number == 0 < n_newton - 1 and start is None  # all windows begin alike
                inverse = np.linalg.inv(self._information(jacobian[: 1 if alike else None]))
            step = (inverse @ gradient[..., None])[..., 0]
            broader = np.clip(broader + step[:, 3 * c :], -0.5, 0.5)
            step = step[:, : 3 * c].reshape(n, c, 3)
            height = np.clip(height + step[..., 0], *_HEIGHTS)
            u = np.clip(u + np.clip(step[..., 1:], -limit / 2, limit / 2), -limit, limit)
        coefficients = self._coefficients(u, height, broader)
        chi = square - 2 * np.einsum("nk,nk->n", coefficients, own)
        chi += np.einsum("nk,nk->n", coefficients @ self.gram, coefficients)
        # At its limits a column is not there, or is another one.
        there = np.all(np.abs(u) < limit, axis=(1, 2)) & np.all(height > _HEIGHTS[0], axis=1)
        return _Moved(u, inverse[:, : 3 * c, : 3 * c], chi, coefficients, there)

    def _changes(self, u: np.ndarray, broader: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Powers (n, C, N) of columns moved and broadened, and their derivatives (n, C, 5, N).

        These are by x and y, and by the three numbers of `broader`.
        """
        plain = monomials(u)
        changes = plain.reshape(-1, _N) @ DERIVATIVES.reshape(_N, -1)
        changes = changes.reshape(*plain.shape[:2], 5, _N)
        changes[:, :, 2:] *= self.columns.widths[: self.n_own, None, None] ** 2
        plain += (broader[:, None, None] @ changes[:, :, 2:])[:, :, 0]
        return plain, changes

    def _coefficients(self, u: np.ndarray, height: np.ndarray, broader: np.ndarray) -> np.ndarray:
        """Coefficients of the images of the columns in the sum, shape (n, C N)."""
        return (height[..., None] * self._changes(u, broader)[0]).reshape(len(u), -1)

    def _gradient(
        self, own: np.ndarray, u: np.ndarray, height: np.ndarray, broader: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (n, 3 C + 3) of the log-likelihood by heights, places, shape; the Jacobian."""
        n, c = height.shape
        powers, changes = self._changes(u, broader)
        jacobian = np.concatenate([powers[:, :, None], height[..., None, None] * changes], axis=2)
        left = own - (height[..., None] * powers).reshape(n, -1) @ self.gram
        gradients = (jacobian @ left.reshape(n, c, _N, 1))[..., 0]  # (n, C, 6)
        gradients[..., 0] += (1 - height) / _HEIGHT**2
        shape = gradients[..., 3:].sum(axis=1) - broader / _BROADER**2
        return np.concatenate([gradients[..., :3].reshape(n, -1), shape], axis=1), jacobian

    def _information(self, jacobian: np.ndarray) -> np.ndarray:
        """Information (n, 3 C + 3, 3 C + 3) of the same numbers."""
        n, c = jacobian.shape[:2]
        gram = self.gram.reshape(c, _N, c * _N)
        products = np.empty((c, n, 6, c, _N))
        for a in range(c):
            np.matmul(
                jacobian[:, a].reshape(-1, _N), gram[a], out=products[a].reshape(n * 6, c * _N)
            )
        full = np.empty((c, c, n, 6, 6))
        for a in range(c):
            for b in range(a, c):
                np.matmul(products[a, :, :, b], jacobian[:, b].transpose(0, 2, 1), out=full[a, b])
                full[b, a] = full[a, b].transpose(0, 2, 1)
        information = np.empty((n, 3 * c + 3, 3 * c + 3))
        shape = slice(3 * c, None)
        own = full[..., :3, :3].transpose(2, 0, 3, 1, 4).reshape(n, 3 * c, 3 * c)
        information[:, : 3 * c, : 3 * c] = own
        cross = full[..., :3, 3:].sum(axis=1).transpose(1, 0, 2, 3).reshape(n, 3 * c, 3)
        information[:, : 3 * c, shape] = cross
        information[:, shape, : 3 * c] = cross.transpose(0, 2, 1)
        information[:, shape, shape] = full[..., 3:, 3:].sum(axis=(0, 1))
        spread = np.concatenate([np.tile([_HEIGHT, np.inf, np.inf], c), np.full(3, _BROADER)])
        which = np.arange(3 * c + 3)
        information[:, which, which] += spread**-2
        return information

    def residuals(self, images: np.ndarray, moved: _Moved) -> np.ndarray:
        """Differences of windows and fits."""
        n, k = len(images), self.n_own * _N
        own = moved.coefficients
        sums = images.reshape(n, -1) @ self.weighted[:, k:] + self.prior_part
        rest = np.linalg.solve(self.rest_gram, sums.T).T - own @ self.passed.T
        coefficients = np.concatenate([own, rest], axis=1)
        return images - np.tensordot(coefficients, self.images, axes=1)

    def tangent(self) -> np.ndarray:
        """Change of the mean window with each fitted number."""
        own = self.moved[: self.n_own, :3].reshape(-1, *self.images.shape[1:])
        return np.concatenate([own, self.images[self.n_own * _N :]])

    def sharpened(self, mean: np.ndarray, moved: _Moved) -> np.ndarray:
        """Mean window without the blur by the displacements of the sites."""
        weights = []
        for c in range(self.n_own):
            u = moved.u[:, c] - moved.u[:, c].mean(axis=0)
            noise = moved.inverse[:, 3 * c + 1 : 3 * c + 3, 3 * c + 1 : 3 * c + 3]
            weights.append(monomials(_without_noise(u, noise.mean(axis=0))).mean(axis=0))
        sharp = mean
        for _ in range(3):
            local = local_images(sharp, self.columns)[: self.n_own]
            widths = self.columns.widths
            blur = sum(
                blur_image(one, widths[c], len(mean), np.append(0, weights[c][1:]))
                for c, one in enumerate(local)
            )
            sharp = mean - blur
        return sharp

    def read(
        self,
        images: np.ndarray,
        loss: np.ndarray | None = None,
        start: np.ndarray | None = None,
        aspect: tuple[float, float] = (1.0, 1.0),
    ) -> DeformationModes:
        """
        Measure windows.

        Parameters
        ----------
        images : numpy.ndarray, shape (n, w, w)
        loss, start
            As in :meth:`fit`.
        aspect
            As in :func:`deformation_modes`.

        Returns
        -------
        DeformationModes
        """
        whole = np.isfinite(images).all(axis=(1, 2))
        images = np.where(whole[:, None, None], images, 0.0)
        moved = self.solve(images, start)
        scale = moved.chi_square / self.n_free
        places = self.columns.offsets[: self.n_own]
        inverse = shell_inverse(places[1:] * aspect)
        u = moved.u + places
        displacement = u[:, 0] - u[:, 1:].mean(axis=1)
        gradient = np.swapaxes(inverse @ (moved.u[:, 1:] * aspect), 1, 2)
        rotation, strain = rotation_and_strain(gradient)
        matrix = self._from_columns(inverse, aspect)
        covariance = matrix @ moved.inverse @ matrix.T * scale[:, None, None]
        if loss is not None:
            covariance /= loss.prod(axis=1)[:, None, None]
        for one in (displacement, rotation, strain, covariance):
            one[~(whole & moved.there)] = np.nan
        scale[~whole] = np.nan
        return DeformationModes(
            displacement, rotation, strain, covariance, places[1:] - places[0], scale
        )

    def _from_columns(self, inverse: np.ndarray, aspect: tuple[float, float]) -> np.ndarray:
        """Matrix (6, 3 C) from heights and places of the columns to the modes."""
        matrix = np.zeros((6, self.n_own, 3))
        matrix[[0, 1], 0, [1, 2]] = 1
        matrix[0, 1:, 1] = matrix[1, 1:, 2] = -1 / self.columns.n_shell
        by_x, by_y = inverse
        matrix[2, 1:, 1:] = np.stack([-by_y, by_x], 1) / 2
        matrix[3, 1:, 1] = by_x
        matrix[4, 1:, 2] = by_y
        matrix[5, 1:, 1:] = np.stack([by_y, by_x], 1) / 2
        matrix[2:, 1:, 1:] *= aspect
        return matrix.reshape(6, -1)


def _without_noise(u: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Displacements (n, 2) scaled to the spread that they have without their noise."""
    values, vectors = np.linalg.eigh(np.cov(u.T))
    own = np.einsum("ij,ik,kj->j", vectors, noise, vectors)
    factor = np.sqrt(np.clip(1 - own / np.maximum(values, 1e-12), 0, 1))
    return (u @ vectors * factor) @ vectors.T
