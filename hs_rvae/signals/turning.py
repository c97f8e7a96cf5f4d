# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images turned back by their angles, into a common frame."""

import logging

import numpy as np
from scipy import ndimage

from hs_rvae.exceptions import ModelMismatch
from hs_rvae.signals.blocks import BlocksMixin, by_block
from hs_rvae.signals.recording import recorded
from hs_rvae.sites import units as _units

_logger = logging.getLogger(__name__)

#: Where the metadata name the column that sub-images were turned back by.
TURNED = "Sub_images.derotated"

# Degree of the spline: of noise-free images, turned and turned back, it loses 0.2 to 0.7 % of the
# contrast; degree 3 half as much again.
_SPLINE = 5
# Farther off, a turn about the column would bring in what lies outside the window.
_FARTHEST = 1.0


class TurningMixin(BlocksMixin):
    """The data without their rotation."""

    @recorded
    def derotate(self, column="angle", *, fill_value=0.0, lazy_output=None, show_progressbar=None):
        """Turn all sub-images back by their angles, into a common frame.

        In it the angle is 0 for all sites: after :meth:`register_angle`, what the angles measure
        points along +x. The data themselves are turned, about the column and by spline
        interpolation, which keeps the motif and takes some of the pixels' noise. The column
        then stands on the middle of the window.

        Parameters
        ----------
        column : str
            Column of angles, in radians unless its unit is deg, from +x towards +y. It stays in the
            table: it says by how much each sub-image was turned back.
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
        pose[:, 0] = _units.radians(pose[:, 0], sites.units[column])
        size = self.data.shape[-1]
        turned = self._rebuilt(
            by_block(turn_back, [self._images(), pose], self._blocks(), size, "derotate"),
            "Turned back:",
            lazy_output,
            show_progressbar,
        )
        zeros = np.zeros(len(sites))
        turned.sites.set_many({"offset_x": zeros, "offset_y": zeros}, writer="from_positions")
        turned.metadata.set_item(TURNED, column)
        return turned

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
            raise ModelMismatch(
                f"The windows are {x.size} x {y.size} px; an rVAE needs square ones: crop them "
                "with isig."
            )
        farthest = np.nanmax(np.abs(sites[["offset_x", "offset_y"]]), initial=0)
        if farthest > _FARTHEST:
            raise ModelMismatch(
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
        if self.metadata.has_item(TURNED):
            raise ModelMismatch(
                "The sub-images of this stack are turned back already: use the stack that "
                "derotate() was called on."
            )


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
