# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rVAE verbs of a stack: fit a model, apply one, write what it says into the site table."""

import os
import re

import numpy as np

from hs_rvae.parallel import interruptible, shown
from hs_rvae.signals import construction as _construction
from hs_rvae.signals.masks import MasksMixin
from hs_rvae.signals.model_input import model_intensities, of_images, to_model_pixels
from hs_rvae.signals.rebuilding import RVAE_NODE
from hs_rvae.signals.turning import TURNED

#: Names of the columns that a model writes.
MODEL_COLUMNS = re.compile(
    r"(angle|shift_[xy]|latent_\d+|order_amplitude)(_std)?$|shift_[xy]_calibrated$"
    r"|(angle_weight|log_likelihood|variant|variant_residual)$"
)


class RVAEMixin(MasksMixin):
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
        if self.metadata.has_item(RVAE_NODE):
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
        subtract_average=False,
        initial_model=None,
        shift_prior=0.5,
        shift_delay=0.3,
        rotation_prior=0.1,
        n_init=3,
        n_factors=16,
        epochs=None,
        batch_size=None,
        learning_rate=None,
        max_fit_sites=10_000,
        q_max=None,
        memory_budget=None,
        navigation_mask=None,
        random_state=None,
        device=None,
        show_progressbar=None,
    ):
        """Separate the orientation of each sub-image from its content.

        Fits a rotationally invariant variational autoencoder (AIP Advances 12, 105122 (2022)) and
        writes what it finds into :attr:`sites`: ``angle`` and ``angle_std`` (rad, from +x towards
        +y, up to one offset common to all sites), ``angle_weight`` (probability of the mode of the
        posterior that the angle stands for), ``latent_0`` ... with ``latent_0_std`` ... (no
        unit; ordered by the intensity they explain), with translation ``shift_x``, ``shift_y`` and
        their ``_std`` (px, content displaced by +shift; with ``_calibrated`` in pm or the unit of
        the axes), ``order_amplitude`` with
        ``order_amplitude_std`` (about 1 for distorted sites, 0 for undistorted ones, whose angle
        has no meaning) and ``log_likelihood`` (nat). Columns of an earlier fit are replaced. The
        data are not changed. A lazy stack is read block by block.

        Parameters
        ----------
        output_dimension : int or "auto"
            Number of content latents; "auto" adds latents as long as each lowers the loss of
            held-out sites by more than 1 nat, up to 8.
        architecture : {"harmonic", "convolutional"}
            The second is the paper's network; see :class:`~hs_rvae.RVAE`.
        rotation, translation : bool
            Whether sub-images have angles, and shifts.
        subtract_average : bool
            Whether angles are those of the deviations from the average sub-image, for distortions
            that a lattice, aberrations or scan distortion outweigh; see :class:`~hs_rvae.RVAE`.
        shift_prior : float
            Standard deviation of each component of the shift before the data are seen, in px.
        shift_delay, rotation_prior : float
            Of the convolutional model, see :class:`~hs_rvae.RVAE`.
        initial_model : RVAE, str or pathlib.Path, optional
            A fitted model, or its file, to start from: no blind search, and the zero of its angles
            is kept.
        n_init : int
            Random starts of the search for angles; the likeliest is kept, and how far they agree
            is logged.
        n_factors : int
            Directions in which sites may deviate from the motif (see :class:`~hs_rvae.RVAE`).
        epochs, batch_size, learning_rate
            Training of the network; None = as suits the architecture.
        max_fit_sites : int
            The model is fitted to a random subset of this many sites if there are more; all sites
            are encoded. In a series or a joined stack, each frame or image gives the same share.
        q_max : float, optional
            Highest spatial frequency used, in cycles/px; None = from the data, logged.
        memory_budget : int or str, optional
            Bytes, or text such as ``"2 GB"``, for the coefficients of all sites between fitting and
            encoding; beyond, they go to a temporary store on disk. None = a quarter of the free
            memory.
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
            subtract_average=subtract_average,
            shift_prior=shift_prior,
            shift_delay=shift_delay,
            rotation_prior=rotation_prior,
            n_init=n_init,
            n_factors=n_factors,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            max_fit_sites=max_fit_sites,
            q_max=q_max,
            memory_budget=memory_budget,
            random_state=random_state,
            device=device,
            show_progressbar=shown(show_progressbar),
        )
        if isinstance(initial_model, str | os.PathLike):
            initial_model = RVAE.load(initial_model)
        images, offsets, rows = self._rvae_input(navigation_mask)
        try:
            with interruptible(
                "stack.rvae() was interrupted: the site table is as it was. If stack.rvae_model "
                "has been fitted already, stack.apply_rvae(stack.rvae_model) encodes the sites."
            ):
                result = model.fit_transform(
                    images, offsets, initial_model=initial_model, strata=self._strata(rows)
                )
        finally:
            if model._is_fitted:  # at hand even if encoding is interrupted
                model.pixel_size_, model.pixel_units_ = self._pixel_calibration()
                self._rvae_model = model
        self._write_rvae(model, result, rows)

    def apply_rvae(
        self, model, *, rescale_intensity=False, navigation_mask=None, show_progressbar=None
    ):
        """Encode the sub-images with a model fitted before, on this stack or another.

        The model knows the pixel size of the stack that it was fitted to. Sub-images with other
        pixels, or with larger windows, are brought to its pixels and window block by block,
        smoothed first if they are finer; the stack itself is not changed. Where the pixel size of
        either is unknown, windows must have the model's size in px.

        Parameters
        ----------
        model : RVAE, str or pathlib.Path
            The model or the file it was saved to.
        rescale_intensity : bool
            Bring mean level and contrast of these sub-images (medians over the sites) to those of
            the model's first, for an image with another gain or dose. It also takes away what
            really differs between the two images as a whole, such as composition. By default
            intensities are taken as they are, and a warning says if they look different.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = left NaN in the table.
        show_progressbar : bool or None
            None follows HyperSpy's preference.

        Raises
        ------
        TypeError
            If `model` is neither a model nor a path.
        ValueError
            If the windows are smaller than the model's, or differ from them and a pixel size is
            unknown; the message states both and the window size to cut.

        Examples
        --------
        >>> other_stack.apply_rvae("bfo_rvae.safetensors")  # doctest: +SKIP
        """
        from hs_rvae.rvae.model import RVAE

        if isinstance(model, str | os.PathLike):
            model = RVAE.load(model)
        if not isinstance(model, RVAE):
            raise TypeError(f"model is a {type(model).__name__}; give an RVAE or the path of one.")
        with interruptible("stack.apply_rvae() was interrupted: the site table is as it was."):
            images, offsets, rows = self._rvae_input(navigation_mask)
            images, step = to_model_pixels(images, model, *self._pixel_calibration())
            gain, offset = model_intensities(images, model, rescale_intensity)
            if rescale_intensity:
                images = of_images(lambda block: (block - offset) / gain, images)
            show = shown(show_progressbar)
            result = model.transform(images, offsets * step, show_progressbar=show)
        if result.shift is not None:
            result.shift, result.shift_std = result.shift / step, result.shift_std / step
        applied = {"pixel_step": step, "intensity_gain": gain, "intensity_offset": offset}
        self._write_rvae(model, result, rows, applied)

    def _as_encoded(self):
        """Sub-images and offsets as the model was given them: its pixels and its intensities."""
        model = self.rvae_model
        images, offsets, _ = self._rvae_input(None)
        images, step = to_model_pixels(images, model, *self._pixel_calibration())
        node = self.metadata.get_item(RVAE_NODE)
        gain, offset = (
            node.get_item(f"intensity_{name}", default)
            for name, default in (("gain", 1.0), ("offset", 0.0))
        )
        if (gain, offset) != (1.0, 0.0):
            images = of_images(lambda block: (block - offset) / gain, images)
        return images, offsets * step

    def _pixel_calibration(self):
        """Pixel size and its unit; None twice if the axes are not calibrated."""
        x, y = self.axes_manager.signal_axes
        unit = x.units if isinstance(x.units, str) else ""
        if unit in ("", "px", "pixel", "pixels") or x.units != y.units:
            return None, None
        return float(np.sqrt(abs(x.scale * y.scale))), unit

    def _rvae_input(self, navigation_mask):
        """Sub-images, their offsets and the rows of the table that they stand for."""
        sites = self._sites_of_square_windows()
        self._warn_of_oblong_pixels()
        images, offsets, rows = self.data, sites[["offset_x", "offset_y"]], np.arange(len(sites))
        if self.axes_manager.navigation_dimension == 0:
            images = images[None]
        mask = self._table_mask(navigation_mask)
        if mask is not None:
            if mask.all():
                raise ValueError("navigation_mask excludes all sites (True = excluded).")
            rows = np.flatnonzero(~mask)
            images, offsets = images[rows], offsets[rows]
        return images, offsets, rows

    def _strata(self, rows):
        """Number of the frame of an image that each of the rows is from; None if there is one."""
        sites = self.sites
        names = [name for name in ("image", "frame") if name in sites]
        if not names:
            return None
        return np.unique(sites[names][rows], axis=0, return_inverse=True)[1].ravel()

    def _write_rvae(self, model, result, rows, applied=None):
        """Write the columns of a result, in place of those of an earlier model.

        `applied` says how pixels and intensities differ from the model's.
        """
        columns, sites = {}, self.sites
        if model.rotation:
            columns = {"angle": result.angle, "angle_std": result.angle_std}
            columns["angle_weight"] = result.angle_weight
        units = {"angle": "rad", "angle_std": "rad", "log_likelihood": "nat"}
        if result.shift is not None:
            factor, unit = _calibration(sites)
            for axis, name in enumerate(("shift_x", "shift_y")):
                shift, std = result.shift[:, axis], result.shift_std[:, axis]
                columns |= {name: shift, f"{name}_std": std}
                columns[f"{name}_calibrated"] = shift * factor[axis]
                units |= {name: "px", f"{name}_std": "px", f"{name}_calibrated": unit}
        for k in range(result.latent.shape[1]):
            columns[f"latent_{k}"] = result.latent[:, k]
            columns[f"latent_{k}_std"] = result.latent_std[:, k]
        if model.rotation:
            columns["order_amplitude"] = result.order_amplitude
            columns["order_amplitude_std"] = result.order_amplitude_std
        columns["log_likelihood"] = result.log_likelihood
        full = {name: np.full(len(sites), np.nan) for name in columns}
        for name, values in columns.items():
            full[name][rows] = values
        sites.remove(*(name for name in sites.columns if MODEL_COLUMNS.match(name)))
        sites.set_many(full, units={name: units[name] for name in full if name in units})
        self.metadata.set_item(
            RVAE_NODE,
            {
                "architecture": model.architecture,
                "output_dimension": model.n_latents_,
                "rotation": model.rotation,
                "translation": model.translation,
                "subtract_average": bool(model.subtract_average),
                "n_sites_fit": model.n_sites_fit_,
                "pixel_size": float(self.axes_manager.signal_axes[0].scale),
                "angle_offset": 0.0,  # what register_angle subtracts
            }
            | (applied or {}),
        )
        if self.metadata.has_item(TURNED):  # these angles belong to the sub-images as they are
            del self.metadata.Sub_images.derotated
        self._rvae_model = model


def _calibration(sites):
    """Factors (x, y) from px to calibrated lengths, and their unit: pm if it is a length."""
    factor, unit = np.array(sites.pixel_size), sites.pixel_units
    picometres = _construction._PICOMETRES
    return (factor * picometres[unit], "pm") if unit in picometres else (factor, unit)
