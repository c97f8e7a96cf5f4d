# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rVAE verbs of a stack: fit a model, apply one, write what it says into the site table."""

import logging
import os
import re

import numpy as np
from hyperspy.api import preferences

_logger = logging.getLogger(__name__)

_COLUMNS = re.compile(
    r"(angle|shift_[xy]|latent_\d+|order_amplitude)(_std)?$|(log_likelihood|variant|variant_residual)$"
)
_NODE = "Sub_images.rvae"


class RVAEMixin:
    """Fit and apply rVAE models."""

    @property
    def rvae_model(self):
        """The fitted :class:`~hs_rvae.RVAE`, held by reference and not saved with the stack.

        Raises
        ------
        RuntimeError
            If the stack has none; the message says which call brings it back.
        """
        if self._rvae_model is not None:
            return self._rvae_model
        if self.metadata.has_item(_NODE):
            raise RuntimeError(
                "The rVAE model is not saved with the stack. If you saved it with "
                "stack.rvae_model.save(path), stack.apply_rvae(path) brings it back."
            )
        raise RuntimeError("No rVAE model yet: call stack.rvae() or stack.apply_rvae(path).")

    def rvae(
        self,
        output_dimension=2,
        architecture="harmonic",
        rotation=True,
        translation=False,
        *,
        n_init=3,
        epochs=15,
        batch_size=None,
        learning_rate=2e-3,
        max_fit_sites=10_000,
        navigation_mask=None,
        random_state=None,
        device=None,
        show_progressbar=None,
    ):
        """Separate the orientation of each sub-image from its content.

        Fits a rotationally invariant variational autoencoder (AIP Advances 12, 105122 (2022)) and
        writes what it finds into :attr:`sites`: ``angle`` and ``angle_std`` (rad, from +x towards
        +y, up to one offset common to all sites), ``latent_0`` ... with ``latent_0_std`` ... (no
        unit; ordered by the intensity they explain), ``order_amplitude`` with
        ``order_amplitude_std`` (about 1 for distorted sites, 0 for undistorted ones, whose angle
        has no meaning) and ``log_likelihood`` (nat). Columns of an earlier fit are replaced. The
        data are not changed. A lazy stack is read block by block.

        Parameters
        ----------
        output_dimension : int
            Number of content latents.
        architecture : {"harmonic"}
            See :class:`~hs_rvae.RVAE`.
        rotation, translation : bool
            Whether sub-images have angles, and shifts.
        n_init : int
            Random starts of the search for angles; the likeliest is kept.
        epochs, batch_size, learning_rate
            Training of the content network; ``batch_size=None`` grows with the number of sites.
        max_fit_sites : int
            The model is fitted to a random subset of this many sites if there are more; all sites
            are encoded.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = excluded from the fit and left NaN in the table.
        random_state : int, numpy.random.Generator or None
            Seed of everything random; the same seed gives the same result.
        device : str or torch.device, optional
            None takes CUDA where there is one.
        show_progressbar : bool or None
            None follows HyperSpy's preference.

        Raises
        ------
        ValueError
            If the stack has no site table, windows are not square, or a setting is not usable.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((360, 360), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
        >>> stack.rvae(output_dimension=1, random_state=0)
        >>> [name for name in stack.sites.columns if "latent" in name]
        ['latent_0', 'latent_0_std']
        """
        from hs_rvae.rvae.model import RVAE

        model = RVAE(
            output_dimension,
            architecture,
            rotation,
            translation,
            n_init=n_init,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            max_fit_sites=max_fit_sites,
            random_state=random_state,
            device=device,
            show_progressbar=_show(show_progressbar),
        )
        images, offsets, rows = self._rvae_input(navigation_mask)
        model.fit(images, offsets)
        self._rvae_model = model  # so that it is there even if encoding is interrupted
        self._write_rvae(model, model.transform(images, offsets), rows)

    def apply_rvae(self, model, *, navigation_mask=None, show_progressbar=None):
        """Encode the sub-images with a model fitted before, on this stack or another.

        Parameters
        ----------
        model : RVAE, str or pathlib.Path
            The model or the file it was saved to.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = left NaN in the table.
        show_progressbar : bool or None
            None follows HyperSpy's preference.

        Raises
        ------
        ValueError
            If the windows differ in size from those the model was fitted to.

        Examples
        --------
        >>> other_stack.apply_rvae("bfo_rvae.safetensors")  # doctest: +SKIP
        """
        from hs_rvae.rvae.model import RVAE

        if isinstance(model, str | os.PathLike):
            model = RVAE.load(model)
        if not isinstance(model, RVAE):
            raise TypeError(f"model is a {type(model).__name__}; give an RVAE or the path of one.")
        images, offsets, rows = self._rvae_input(navigation_mask)
        result = model.transform(images, offsets, show_progressbar=_show(show_progressbar))
        self._write_rvae(model, result, rows)

    def _rvae_input(self, navigation_mask):
        """Sub-images, their offsets and the rows of the table that they stand for."""
        sites = self.sites
        if sites is None:
            raise ValueError(
                "The stack has no site table: make it with SubImageStack.from_positions, or take "
                "the windows from a stack that has one."
            )
        x, y = self.axes_manager.signal_axes
        if x.size != y.size:
            raise ValueError(
                f"The windows are {x.size} x {y.size} px; an rVAE needs square ones: crop them "
                "with isig."
            )
        if not np.isclose(abs(x.scale), abs(y.scale), rtol=1e-3):
            _logger.warning(
                "The pixels are not square (%g and %g %s): turning a sub-image by anything but 180 "
                "degrees distorts it. Resample the image first.", x.scale, y.scale, x.units,
            )  # fmt: skip
        images, offsets, rows = self.data, sites[["offset_x", "offset_y"]], np.arange(len(sites))
        if np.nanmax(np.abs(offsets), initial=0) > 1:
            raise ValueError(
                f"The columns stand up to {np.nanmax(np.abs(offsets)):.1f} px off the middle of "
                "the windows, about which the model turns: crop all sides alike, or cut again."
            )
        if self.axes_manager.navigation_dimension == 0:
            images = images[None]
        if navigation_mask is not None:
            mask = np.asarray(getattr(navigation_mask, "data", navigation_mask))
            if mask.shape != (len(sites),) or mask.dtype != bool:
                raise ValueError(
                    f"navigation_mask has shape {mask.shape} and dtype {mask.dtype}; "
                    f"({len(sites)},) and bool are expected, True = excluded."
                )
            rows = np.flatnonzero(~mask)
            images, offsets = images[rows], offsets[rows]
        return images, offsets, rows

    def _write_rvae(self, model, result, rows):
        """Write the columns of a result, in place of those of an earlier model."""
        columns = {"angle": result.angle, "angle_std": result.angle_std} if model.rotation else {}
        units = {"angle": "rad", "angle_std": "rad", "log_likelihood": "nat"}
        if result.shift is not None:
            columns |= {"shift_x": result.shift[:, 0], "shift_y": result.shift[:, 1]}
            units |= {"shift_x": "px", "shift_y": "px"}
        for k in range(result.latent.shape[1]):
            columns[f"latent_{k}"] = result.latent[:, k]
            columns[f"latent_{k}_std"] = result.latent_std[:, k]
        if model.rotation:
            columns["order_amplitude"] = result.order_amplitude
            columns["order_amplitude_std"] = result.order_amplitude_std
        columns["log_likelihood"] = result.log_likelihood
        sites = self.sites
        full = {name: np.full(len(sites), np.nan) for name in columns}
        for name, values in columns.items():
            full[name][rows] = values
        sites.remove(*(name for name in sites.columns if _COLUMNS.match(name)))
        sites.set_many(full, units={name: units[name] for name in full if name in units})
        self.metadata.set_item(
            _NODE,
            {
                "architecture": model.architecture,
                "output_dimension": model.output_dimension,
                "rotation": model.rotation,
                "translation": model.translation,
                "n_sites_fit": model.n_sites_fit_,
            },
        )
        self._rvae_model = model


def _show(show_progressbar):
    return preferences.General.show_progressbar if show_progressbar is None else show_progressbar
