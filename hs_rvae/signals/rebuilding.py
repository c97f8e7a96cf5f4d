# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images made from a fitted model, or from the data turned into a common frame."""

import logging
from uuid import uuid4

import dask.array as da
import numpy as np
from hyperspy.signals import Signal2D
from scipy import ndimage

from hs_rvae import windows as _windows
from hs_rvae.parallel import interruptible, shared

_logger = logging.getLogger(__name__)

_NODE = "Sub_images.rvae"
_TURNED = "Sub_images.derotated"
# Degree of the spline: of noise-free images, turned and turned back, it loses 0.2 to 0.7 % of the
# contrast; degree 3 half as much again.
_SPLINE = 5
# Farther off, a turn about the column would bring in what lies outside the window.
_FARTHEST = 1.0
# The model's disk ends where it has fallen to this.
_LEAST_DISK = 0.01


class RebuildingMixin:
    """Sub-images as the model sees them, what it leaves, and the data without their rotation."""

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
            If the table does not hold what this model needs; the message says what to call.

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
            _by_block(decode, [pose], self._blocks(), self.data.shape[-1], "rvae-decode"),
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
        RuntimeError, ValueError
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
            _by_block(subtract, [self._images(), pose], self._blocks(), size, "rvae-residual"),
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
            If the model has no such latents.

        Examples
        --------
        >>> stack.get_rvae_manifold((7, 9)).plot()  # doctest: +SKIP
        """
        model, node = self.rvae_model, self._rvae_node()
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

    def derotate(self, column="angle", *, fill_value=0.0, lazy_output=None, show_progressbar=None):
        """Turn all sub-images back by their angles, into a common frame.

        In it the angle is 0 for all sites: after :meth:`register_angle`, what the angles measure
        points along +x. The data themselves are turned, about the column and by spline
        interpolation, which keeps the motif and takes some of the pixels' noise. The column
        then stands on the middle of the window.

        Parameters
        ----------
        column : str
            Column of angles in radians, from +x towards +y. It stays in the table: it says by how
            much each sub-image was turned back.
        fill_value : float or None
            Outside the circle inscribed in the window, where a turned window has no data. None:
            the window, mirrored at its sides.
        lazy_output, show_progressbar
            As in :meth:`get_rvae_model`.

        Returns
        -------
        SubImageStack or LazySubImageStack
            float32, with the axes, site table and metadata of the stack. NaN for sites without
            angle.

        Raises
        ------
        ValueError
            If there is no such column, the windows are not square or not centred on their columns,
            or the sub-images are turned back already.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> xy = truth.b_sites[["x", "y"]]
        >>> stack = hs_rvae.SubImageStack.from_positions(
        ...     image, xy, window_size=40, columns={"direction": truth.b_sites["angle"]}
        ... )
        >>> turned = stack.derotate("direction")
        >>> turned.mean("site").data.shape
        (40, 40)
        """
        self._check_not_turned()
        sites = self._sites_of_square_windows()
        if column not in sites:
            raise ValueError(
                f"column={column!r}: the site table has no such column; stack.rvae() writes "
                "'angle'."
            )
        self._warn_of_oblong_pixels()

        def turn_back(data, pose):
            return turn(data, -pose[:, 0], pose[:, 1:], fill_value)

        pose = sites[[column, "offset_x", "offset_y"]]
        size = self.data.shape[-1]
        turned = self._rebuilt(
            _by_block(turn_back, [self._images(), pose], self._blocks(), size, "derotate"),
            "Turned back:",
            lazy_output,
            show_progressbar,
        )
        zeros = np.zeros(len(sites))
        turned.sites.set_many({"offset_x": zeros, "offset_y": zeros})
        turned.metadata.set_item(_TURNED, column)
        return turned

    def _decoder(self):
        """What decodes a block of poses in the stack's intensities, and the poses of all sites."""
        self._check_not_turned()
        model, node, sites = self.rvae_model, self._rvae_node(), self._sites_of_square_windows()
        scale, known = self.axes_manager.signal_axes[0].scale, node["pixel_size"]
        if known is not None and not np.isclose(scale, known, rtol=1e-6):
            raise ValueError(
                f"The pixels are {scale:g} wide, and were {known:g} when the model was applied: "
                "call apply_rvae(stack.rvae_model) again."
            )
        k = model.n_latents_
        names = [f"latent_{i}" for i in range(k)] + ["angle"] * bool(model.rotation)
        names += ["shift_x", "shift_y"] * bool(model.translation)
        missing = [name for name in names if name not in sites]
        if missing or f"latent_{k}" in sites:
            what = f"lacks {', '.join(missing)}" if missing else f"has more than {k} latents"
            raise ValueError(
                f"The site table {what}, so it is not what this model wrote: call "
                "apply_rvae(stack.rvae_model)."
            )
        if any(node[name] != node[name] for name in _start_of_node()):  # NaN
            raise ValueError(
                "The stacks joined here had their angles registered, or the model applied, in "
                "different ways: call apply_rvae(stack.rvae_model), then register_angle."
            )
        offsets = sites[["offset_x", "offset_y"]]
        angle = np.zeros(len(sites))
        if model.rotation:
            angle = sites["angle"] + node["angle_offset"]
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

    def _rvae_node(self):
        """How the model was applied; stacks saved by earlier versions lack some of it."""
        node = self.metadata.get_item(_NODE)
        known = {} if node is None else node.as_dictionary()
        return _start_of_node() | known

    def _sites_of_square_windows(self):
        """The site table of a stack of square windows centred on their columns."""
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
        farthest = np.nanmax(np.abs(sites[["offset_x", "offset_y"]]), initial=0)
        if farthest > _FARTHEST:
            raise ValueError(
                f"The columns stand up to {farthest:.1f} px off the middle of the windows, about "
                "which the model turns: crop all sides alike, or cut again."
            )
        return sites

    def _warn_of_oblong_pixels(self):
        x, y = self.axes_manager.signal_axes
        if not np.isclose(abs(x.scale), abs(y.scale), rtol=1e-3):
            _logger.warning(
                "The pixels are not square (%g and %g %s): turning a sub-image by anything but 180 "
                "degrees distorts it. Resample the image first.", x.scale, y.scale, x.units,
            )  # fmt: skip

    def _check_not_turned(self):
        if self.metadata.has_item(_TURNED):
            raise ValueError(
                "The sub-images of this stack are turned back already: use the stack that "
                "derotate() was called on."
            )

    def _images(self):
        """The sub-images as (n, w, w), also of a single site."""
        return self.data.reshape(-1, *self.data.shape[-2:])

    def _blocks(self):
        """Number of sites in each block of work."""
        images = self._images()
        if self._lazy:
            return images.chunks[0]
        return blocks_of(len(images), images.shape[-1])

    def _rebuilt(self, images, title, lazy_output, show_progressbar):
        """A stack like this one with other sub-images, lazy or computed."""
        lazy = self._lazy if lazy_output is None else lazy_output
        rebuilt = self._deepcopy_with_new_data(images.reshape(self.data.shape))
        rebuilt.metadata.General.title = f"{title} {self.metadata.General.title}"
        rebuilt._lazy = True
        rebuilt._assign_subclass()
        if not lazy:
            with interruptible("Rebuilding sub-images was interrupted: nothing has changed."):
                rebuilt.compute(show_progressbar=show_progressbar)
        return rebuilt


def turn(images, angle, offset, fill_value=0.0):
    """
    Turn sub-images about their columns, and bring the columns to the middle.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, w, w)
    angle : numpy.ndarray, shape (n,)
        In radians, from +x towards +y; NaN gives NaN.
    offset : numpy.ndarray, shape (n, 2)
        Column minus window centre, (x, y) in px.
    fill_value : float or None
        Outside the circle inscribed in the window; None = the window, mirrored at its sides.

    Returns
    -------
    numpy.ndarray of float32, shape (n, w, w)
    """
    middle = (images.shape[1] - 1) / 2
    line = np.arange(images.shape[1]) - middle
    outside = np.hypot(line, line[:, None]) > middle + 1e-6
    turned = np.full(images.shape, np.nan, np.float32)
    usable = np.isfinite(images).all((1, 2)) & np.isfinite(angle) & np.isfinite(offset).all(1)
    for k in np.flatnonzero(usable):
        cos, sin = np.cos(angle[k]), np.sin(angle[k])
        # Where a pixel (row, column) of the result comes from.
        back = np.array([[cos, -sin], [sin, cos]])
        start = middle + offset[k, ::-1] - back @ [middle, middle]
        image = images[k].astype(np.float64)
        turned[k] = ndimage.affine_transform(image, back, start, order=_SPLINE, mode="mirror")
        if fill_value is not None:
            turned[k][outside] = fill_value
    return turned


def blocks_of(n, window_size):
    """Numbers of windows in blocks of a size that memory holds many times over."""
    size = _windows.windows_per_block(window_size)
    return tuple(min(size, n - start) for start in range(0, n, size))


def _by_block(function, arrays, blocks, size, name):
    """Dask array (n, size, size) of `function` applied to the blocks of arrays over sites.

    The tasks are called `name`. The function travels once, not with every block.
    """
    pieces = []
    for array in arrays:
        # Columns come with a third axis, so that their blocks pair up with those of images.
        array = array if array.ndim == 3 else array[:, :, None]
        pieces.append(da.asarray(array).rechunk((blocks, -1, -1)))
    return da.map_blocks(
        _of_block,
        *pieces,
        function=shared(function, f"{name}-model"),
        name=f"{name}-{uuid4().hex}",  # else dask would hash the model
        dtype=np.float32,
        chunks=(blocks, (size,), (size,)),
        meta=np.empty((0, 0, 0), np.float32),
    )


def _of_block(*parts, function):
    return function(*(part[..., 0] if part.shape[2] == 1 else part for part in parts))


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
