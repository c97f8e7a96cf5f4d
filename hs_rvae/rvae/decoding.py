# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From latents back to sub-images."""

import numpy as np

from ..masked_arrays import filled
from .device import pick_device
from .torch_state import default_torch_state


class Decoding:
    """What a fitted RVAE draws."""

    def inverse_transform(
        self, latent, angle=None, shift=None, *, window_size=None, pixel_step=1.0
    ):
        """Sub-images from latents, turned and moved.

        Parameters
        ----------
        latent : numpy.ndarray, shape (n, output_dimension)
        angle : float or numpy.ndarray, shape (n,), optional
            In radians; None = the common frame (angle 0).
        shift : array-like, shape (2,) or (n, 2), optional
            Displacement (x, y) of the turned content and its disk in px, as a phase in Fourier
            space: exact but for what leaves the window. None = 0.
        window_size : int, optional
            Width of the sub-images in px; None = as fitted.
        pixel_step : float
            Size of their pixels, in px of the fitted images. The model is evaluated on them, not
            interpolated.

        Returns
        -------
        numpy.ndarray of float32, shape (n, w, w)
            In the units of the fitted images; outside the model's disk the mean level.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If latent, angle or shift has the wrong shape.

        Examples
        --------
        >>> model.inverse_transform([[0.5, -1.0]], angle=np.pi / 2, shift=(0.3, -0.2))
        ... # doctest: +SKIP
        """
        self._check_fitted("inverse_transform")
        latent = np.atleast_2d(np.asarray(filled(latent), np.float32))
        if latent.shape[1] != self.n_latents_:
            raise ValueError(
                f"latent has {latent.shape[1]} columns; the model has {self.n_latents_} latents: "
                "give one for each."
            )
        angle = np.float32(0.0 if angle is None else filled(angle))
        if angle.shape not in ((), (len(latent),)):
            raise ValueError(
                f"angle has shape {angle.shape}; a number or ({len(latent)},) is expected."
            )
        angle = np.broadcast_to(angle, len(latent)).copy()
        if shift is not None:
            shift = np.asarray(filled(shift), np.float32)
            if shift.shape not in ((2,), (len(latent), 2)):
                raise ValueError(
                    f"shift has shape {shift.shape}; (2,) or ({len(latent)}, 2) is expected."
                )
            shift = np.broadcast_to(shift, (len(latent), 2)).copy()
        step = float(pixel_step)
        with default_torch_state():
            device = pick_device(self.device)
            return self._model.decode(latent, angle, device, shift, window_size, step)

    def manifold(self, shape=(10, 10), limits=(-2.0, 2.0), axes=(0, 1)):
        """Sub-images on a grid of two content latents, the others at 0 (paper, Fig. 1e).

        Parameters
        ----------
        shape : tuple of int
            Steps along the second and the first of `axes` (rows, columns).
        limits : tuple of float
            Lowest and highest value of both latents.
        axes : tuple of int
            Latents along columns and rows; a model with one latent uses the first only.

        Returns
        -------
        images : numpy.ndarray of float32, shape (ny, nx, w, w)
        values_y, values_x : numpy.ndarray, shapes (ny,), (nx,)
            Latent values of rows and columns.
        """
        self._check_fitted("manifold")
        one = self.n_latents_ == 1
        n_y, n_x = (1, shape[1]) if one else shape
        bad = [a for a in axes[: 1 if one else 2] if not 0 <= a < self.n_latents_]
        if bad:
            raise ValueError(f"axes={axes}: the model has latents 0 to {self.n_latents_ - 1}.")
        values_x = np.linspace(*limits, n_x)
        values_y = np.zeros(1) if one else np.linspace(*limits, n_y)
        latent = np.zeros((n_y, n_x, self.n_latents_), np.float32)
        latent[..., axes[0]] = values_x
        if not one:
            latent[..., axes[1]] = values_y[:, None]
        images = self.inverse_transform(latent.reshape(-1, self.n_latents_))
        return images.reshape(n_y, n_x, *images.shape[1:]), values_y, values_x
