# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rVAE verbs of a stack: fit a model, apply one, write what it says into the site table."""

import os

import numpy as np

from hs_rvae.exceptions import ModelMismatch
from hs_rvae.progress import explain_interruption as interruptible
from hs_rvae.progress import progressbar_wanted as shown
from hs_rvae.signals.masks import MasksMixin
from hs_rvae.signals.model_input import model_intensities, of_images, to_model_pixels
from hs_rvae.signals.origins import MODEL_NODE
from hs_rvae.signals.rebuilding import RVAE_NODE
from hs_rvae.signals.recording import recorded
from hs_rvae.signals.turning import TURNED
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units

_TO_ENCODE = "The new model is fitted: stack.apply_rvae() encodes the sites with it."


class RVAEMixin(MasksMixin):
    """Fit and apply rVAE models."""

    # Fitted by a call of rvae() that was interrupted before the table was written.
    _unused_model = None

    @property
    def rvae_model(self):
        """The fitted :class:`~hs_rvae.RVAE`, held by reference and not saved with the stack.

        It is the model that wrote the columns of :attr:`sites`. In a stack without such columns it
        is that of an :meth:`rvae` that was interrupted after the fit, if there was one.

        Raises
        ------
        RuntimeError
            If the stack has none; the message says which call brings it back.
        """
        if self._rvae_model is not None:
            return self._rvae_model
        if self.metadata.has_item(RVAE_NODE):
            raise RuntimeError(
                "The rVAE model is not saved with the stack: "
                f"{self._how_to_load(MODEL_NODE, 'load_rvae_model')}, if it was saved with "
                "stack.rvae_model.save(path); stack.apply_rvae(path) also encodes the sub-images "
                "anew."
            )
        if self._unused_model is not None:
            return self._unused_model
        raise RuntimeError("No rVAE model yet: call stack.rvae() or stack.apply_rvae(path).")

    @recorded
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
        overwrite=False,
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
        has no meaning) and ``log_likelihood`` (nat). Columns of an earlier fit are replaced, and
        variants of its angles removed; columns of yours are not. The
        data are not changed. A lazy stack is read block by block. After Ctrl-C the stack is as it
        was; where the model was fitted already, ``stack.apply_rvae()`` encodes the sites with it.

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
            Seed of everything random; the same seed gives the same result. If None, a seed is
            drawn; it is the ``random_state`` of the model, and stands in the report.
        device : str or torch.device, optional
            None takes CUDA where there is one.
        show_progressbar : bool or None
            None follows HyperSpy's preference.
        overwrite : bool
            Whether columns that you wrote under these names are replaced.

        Raises
        ------
        ValueError
            If the stack has no site table, windows are not square, a setting is not usable, or a
            column of yours would be replaced.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((360, 360), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
        >>> stack.rvae(output_dimension=1, random_state=0)
        >>> [name for name in stack.sites.columns if "latent" in name]
        ['latent_0', 'latent_0_std']
        """
        from hs_rvae.rvae.estimator import RVAE

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
        replaced = self._replaced_by(model, "stack.rvae", overwrite)
        try:
            result = model.fit_transform(
                images, offsets, initial_model=initial_model, strata=self._strata(rows)
            )
        except BaseException as error:
            fitted = hasattr(model, "fit_id_")
            if fitted:
                model.pixel_size_, model.pixel_units_ = self._pixel_calibration()
                self._unused_model = model
            if isinstance(error, KeyboardInterrupt):
                message = "stack.rvae() was interrupted: the site table is as it was"
                if self._rvae_model is not None:
                    message += " and belongs to stack.rvae_model"
                message += "."
                message = " ".join([*map(str, error.args), message, _TO_ENCODE * fitted]).strip()
                raise KeyboardInterrupt(message) from None
            if fitted:
                error.add_note(_TO_ENCODE)
            raise
        model.pixel_size_, model.pixel_units_ = self._pixel_calibration()
        self._write_rvae(model, result, rows, replaced)

    @recorded
    def apply_rvae(
        self,
        model=None,
        *,
        rescale_intensity=False,
        navigation_mask=None,
        show_progressbar=None,
        overwrite=False,
    ):
        """Encode the sub-images with a model fitted before, on this stack or another.

        The model knows the pixel size of the stack that it was fitted to. Sub-images with other
        pixels, or with larger windows, are brought to its pixels and window block by block,
        smoothed first if they are finer; the stack itself is not changed. Where the pixel size of
        either is unknown, windows must have the model's size in px.

        Parameters
        ----------
        model : RVAE, str or pathlib.Path, optional
            The model or the file it was saved to. None: the model of an :meth:`rvae` that was
            interrupted after the fit, else :attr:`rvae_model`.
        rescale_intensity : bool
            Bring mean level and contrast of these sub-images (medians over the sites) to those of
            the model's first, for an image with another gain or dose. It also takes away what
            really differs between the two images as a whole, such as composition. By default
            intensities are taken as they are, and a warning says if they look different.
        navigation_mask : numpy.ndarray of bool, shape (n_sites,), or BaseSignal, optional
            True = left NaN in the table.
        show_progressbar : bool or None
            None follows HyperSpy's preference.
        overwrite : bool
            As in :meth:`rvae`.

        Raises
        ------
        TypeError
            If `model` is neither a model nor a path.
        RuntimeError
            Without `model`, if the stack has none.
        ValueError
            If a column of yours would be replaced. If the windows are smaller than the model's, or
            differ from them and a pixel size is unknown; the message states both and the window
            size to cut.

        Examples
        --------
        >>> other_stack.apply_rvae("bfo_rvae.safetensors")  # doctest: +SKIP
        """
        from hs_rvae.rvae.estimator import RVAE

        if isinstance(model, str | os.PathLike):
            model = RVAE.load(model)
        if model is None:
            model = self._model_to_apply()
        if not isinstance(model, RVAE):
            raise TypeError(f"model is a {type(model).__name__}; give an RVAE or the path of one.")
        replaced = self._replaced_by(model, "stack.apply_rvae", overwrite)
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
        self._write_rvae(model, result, rows, replaced, applied)

    def _model_to_apply(self):
        """The model of an rvae() that was interrupted after the fit, else that of the stack."""
        return self.rvae_model if self._unused_model is None else self._unused_model

    def _model_of_sites(self):
        """The model, which must be the one that wrote the site table."""
        model, written = self.rvae_model, self.metadata.get_item(f"{RVAE_NODE}.fit_id")
        if getattr(model, "fit_id_", None) != written:
            by = "has no columns of" if written is None else "was written by another fit than"
            raise ModelMismatch(
                f"The site table {by} stack.rvae_model: call stack.apply_rvae(stack.rvae_model), "
                "or stack.apply_rvae(path) with the file of the model that you want."
            )
        return model

    def _replaced_by(self, model, verb, overwrite):
        """Columns that a model replaces or removes; the user's are refused before any work."""
        sites = self.sites
        columns = _columns.written_by("rvae", sites.columns)
        parts = (model.rotation, ("angle", "order_")), (model.translation, ("shift_",))
        for has, stems in parts:
            # What the model does not write may stay if it is the user's.
            columns = [
                name for name in columns
                if has or sites.writers[name] == "rvae" or not name.startswith(stems)
            ]  # fmt: skip
        sites.check_free(columns, verb, "rvae", overwrite)
        variants = _columns.written_by("assign_variants", sites.columns)
        return columns + [name for name in variants if sites.writers[name] == "assign_variants"]

    def _as_encoded(self):
        """Sub-images and offsets as the model was given them: its pixels and its intensities."""
        model = self._model_of_sites()
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
        if not _units.is_calibrated(x.units) or x.units != y.units:
            return None, None
        return float(np.sqrt(abs(x.scale * y.scale))), str(x.units)

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

    def _write_rvae(self, model, result, rows, replaced, applied=None):
        """Write the columns of a result, in place of `replaced`; then the model is the stack's.

        `applied` says how pixels and intensities differ from the model's.
        """
        columns, sites = {}, self.sites
        if model.rotation:
            columns = {"angle": result.angle, "angle_std": result.angle_std}
            columns["angle_weight"] = result.angle_weight
        factor, length = _units.length_scale(sites.pixel_units)
        if result.shift is not None:
            for axis, name in enumerate(("shift_x", "shift_y")):
                shift, std = result.shift[:, axis], result.shift_std[:, axis]
                columns |= {name: shift, f"{name}_std": std}
                columns[f"{name}_calibrated"] = shift * (sites.pixel_size[axis] * factor)
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
        units = {name: _columns.unit(name, length) for name in full}
        sites.set_many(full, units, writer="rvae", remove=replaced)
        self.metadata.set_item(
            RVAE_NODE,
            {
                "fit_id": model.fit_id_,
                "architecture": model.architecture,
                "output_dimension": model.n_latents_,
                "rotation": model.rotation,
                "translation": model.translation,
                "subtract_average": bool(model.subtract_average),
                "n_sites_fit": model.n_sites_fit_,
                "window_size": model.window_size_,
                "pixel_size": float(self.axes_manager.signal_axes[0].scale),
                "angle_offset": 0.0,  # what register_angle subtracts
            }
            | (applied or {}),
        )
        if self.metadata.has_item(TURNED):  # these angles belong to the sub-images as they are
            del self.metadata.Sub_images.derotated
        self._rvae_model, self._unused_model = model, None
