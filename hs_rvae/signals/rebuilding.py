# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images made from a fitted model, and what it leaves of the data."""

import numpy as np
from hyperspy.signals import Signal2D

from hs_rvae.exceptions import ModelMismatch
from hs_rvae.signals.blocks import BlocksMixin, by_block
from hs_rvae.sites import units as _units

#: Where the metadata tell how a model was applied.
RVAE_NODE = "Sub_images.rvae"
# The model's disk ends where it has fallen to this.
_LEAST_DISK = 0.01


class RebuildingMixin(BlocksMixin):
    """Sub-images as the model sees them, and what it leaves."""

    def get_rvae_model(self, *, lazy_output=None, show_progressbar=None):
        """What the model says each sub-image looks like.

        Decoded from the site's latents, turned by its angle (also a registered one), moved by its
        shift if there is one, centred on the column (``offset_x``, ``offset_y``), in the
        intensity units of the stack. The content ends with the model's soft disk; outside is the
        mean level, up to a ripple.

        Parameters
        ----------
        lazy_output : bool, optional
            Decode when asked for, block by block. None: as the stack is.
        show_progressbar : bool, optional
            None follows HyperSpy's preference.

        Returns
        -------
        SubImageStack or LazySubImageStack
            float32, with the axes, site table and metadata of the stack. NaN for sites without
            latents.

        Raises
        ------
        RuntimeError
            If the stack has no model at hand.
        ValueError
            If the table was not written by this model, or does not hold what it needs; the message
            says what to call.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=40)
        >>> stack.rvae(output_dimension=1, epochs=2, random_state=0)
        >>> stack.get_rvae_model().data.shape == stack.data.shape
        True
        """
        decode, pose = self._decoder()
        return self._rebuilt(
            by_block(decode, [pose], self._blocks(), self.data.shape[-1], "rvae-decode"),
            "rVAE model of",
            lazy_output,
            show_progressbar,
        )

    def get_rvae_residual(self, *, lazy_output=None, show_progressbar=None):
        """What the model leaves of each sub-image: data minus model, inside the model's disk.

        The disk's edge is soft: data fade there as the model does, and the residual is 0 outside,
        so that sums, means and decompositions over pixels stay finite. Inside, a good model leaves
        the noise.

        Parameters
        ----------
        lazy_output, show_progressbar
            As in :meth:`get_rvae_model`.

        Returns
        -------
        SubImageStack or LazySubImageStack
            As :meth:`get_rvae_model`.

        Raises
        ------
        RuntimeError
            As :meth:`get_rvae_model`.
        ValueError
            As :meth:`get_rvae_model`; also for a stack whose sub-images are turned back already.

        Examples
        --------
        >>> residual = stack.get_rvae_residual()  # doctest: +SKIP
        >>> stack.sites["residual"] = residual.data.std((1, 2))  # doctest: +SKIP
        """
        from hs_rvae.rvae.geometry import disk_on

        decode, pose = self._decoder()
        size, model = self.data.shape[-1], self.rvae_model._model
        node = self._rvae_node()
        step, level = node["pixel_step"], _to_stack(np.float32(model.level), node)

        def subtract(data, pose):
            disk = disk_on(model.grid, size, step, pose[:, -4:-2])  # moves along
            decoded = decode(pose) - level
            if model.whole_windows:
                decoded = disk * decoded
            left = disk * (np.float32(data) - level) - decoded
            # Beyond, there is only the ripple of the model's highest frequency.
            return np.where((disk < _LEAST_DISK) & np.isfinite(left), np.float32(0), left)

        return self._rebuilt(
            by_block(subtract, [self._images(), pose], self._blocks(), size, "rvae-residual"),
            "rVAE residual of",
            lazy_output,
            show_progressbar,
        )

    def get_rvae_manifold(self, shape=(10, 10), limits=(-2.0, 2.0), axes=(0, 1)):
        """Sub-images decoded on a grid of two latents, or of the only one, the others at 0.

        Parameters
        ----------
        shape : tuple of int
            Steps along the second and the first of `axes` (rows, columns).
        limits : tuple of float
            Lowest and highest value of the latents.
        axes : tuple of int
            Numbers of the latents along the first and the second navigation axis.

        Returns
        -------
        hyperspy.api.signals.Signal2D
            Navigation axes ``latent_i`` and ``latent_j`` in units of the latents, signal axes and
            intensities as the stack's, in the frame in which the angles of the table are 0 (as
            :meth:`derotate`).

        Raises
        ------
        RuntimeError
            If the stack has no model at hand.
        ValueError
            If the model has no such latents, or did not write the site table.

        Examples
        --------
        >>> stack.get_rvae_manifold((7, 9)).plot()  # doctest: +SKIP
        """
        model, node = self._model_of_sites(), self._rvae_node()
        _, values_y, values_x = model.manifold(shape, limits, axes)
        two = model.n_latents_ > 1
        latent = np.zeros((len(values_y), len(values_x), model.n_latents_))
        latent[..., axes[0]] = values_x
        if two:
            latent[..., axes[1]] = values_y[:, None]
        size = self.data.shape[-1]
        images = model.inverse_transform(
            latent.reshape(-1, latent.shape[-1]),
            node["angle_offset"],
            window_size=size,
            pixel_step=node["pixel_step"],
        )
        images = _to_stack(images, node).reshape(*latent.shape[:2], size, size)
        navigation = [_latent_axis(axes[1], values_y)] if two else []
        navigation += [_latent_axis(axes[0], values_x)]
        signal = [axis.get_axis_dictionary() for axis in reversed(self.axes_manager.signal_axes)]
        metadata = {"General": {"title": f"rVAE manifold of {self.metadata.General.title}"}}
        quantity = self.metadata.get_item("Signal.quantity")
        if quantity:
            metadata["Signal"] = {"quantity": quantity}
        data = images if two else images[0]
        return Signal2D(data, axes=navigation + signal, metadata=metadata)

    def _decoder(self):
        """What decodes a block of poses in the stack's intensities, and the poses of all sites."""
        self._check_not_turned()
        model, node = self._model_of_sites(), self._rvae_node()
        sites = self._sites_of_square_windows()
        scale, known = self.axes_manager.signal_axes[0].scale, node["pixel_size"]
        if known is not None and not np.isclose(scale, known, rtol=1e-6):
            raise ModelMismatch(
                f"The pixels are {scale:g} wide, and were {known:g} when the model was applied: "
                "call apply_rvae(stack.rvae_model) again."
            )
        k, names = model.n_latents_, self._check_columns_of(model)
        if any(node[name] != node[name] for name in _start_of_node()):  # NaN
            raise ModelMismatch(
                "The stacks joined here had their angles registered, or the model applied, in "
                "different ways: call apply_rvae(stack.rvae_model), then register_angle."
            )
        offsets = sites[["offset_x", "offset_y"]]
        angle = np.zeros(len(sites))
        if model.rotation:
            angle = _units.radians(sites["angle"], sites.units["angle"]) + node["angle_offset"]
        shift = offsets + (sites[["shift_x", "shift_y"]] if model.translation else 0)
        pose = np.column_stack([sites[names[:k]], angle, shift, offsets])
        size, step, moved = self.data.shape[-1], node["pixel_step"], bool(np.any(shift))

        def decode(pose):
            images = np.full((len(pose), size, size), np.nan, np.float32)
            good = np.isfinite(pose).all(1)
            if good.any():
                decoded = model.inverse_transform(
                    pose[good, :k],
                    pose[good, k],
                    pose[good, k + 1 : k + 3] if moved else None,
                    window_size=size,
                    pixel_step=step,
                )
                images[good] = _to_stack(decoded, node)
            return images

        return decode, pose

    def _check_columns_of(self, model):
        """Names of the columns that a model decodes; the table must hold them, no more."""
        k, sites = model.n_latents_, self.sites
        names = [f"latent_{i}" for i in range(k)] + ["angle"] * bool(model.rotation)
        names += ["shift_x", "shift_y"] * bool(model.translation)
        missing = [name for name in names if name not in sites]
        if missing or f"latent_{k}" in sites:
            what = f"lacks {', '.join(missing)}" if missing else f"has more than {k} latents"
            raise ModelMismatch(
                f"The site table {what}, so it is not what this model wrote: call "
                "apply_rvae(stack.rvae_model)."
            )
        return names

    def _rvae_node(self):
        """How the model was applied; stacks saved by earlier versions lack some of it."""
        node = self.metadata.get_item(RVAE_NODE)
        known = {} if node is None else node.as_dictionary()
        return _start_of_node() | known


def _start_of_node():
    """How a model is applied if nothing else is noted."""
    return {
        "angle_offset": 0.0,
        "pixel_step": 1.0,
        "pixel_size": None,
        "intensity_gain": 1.0,
        "intensity_offset": 0.0,
    }


def _to_stack(values, node):
    """Intensities of the model in those of the stack."""
    return values * np.float32(node["intensity_gain"]) + np.float32(node["intensity_offset"])


def _latent_axis(number, values):
    step = values[1] - values[0] if len(values) > 1 else 1.0
    return {
        "name": f"latent_{number}",
        "size": len(values),
        "offset": values[0],
        "scale": step,
        "navigate": True,
    }
