# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stack carries along: its site table, its parent image and its model.

The one place that hooks into the internals of HyperSpy (written for 2.4 and 2.5). HyperSpy slices
the signals named in ``_additional_slicing_targets`` with the navigation axes; everything else that
changes the sites, or the class of the signal, is overridden here so that the table follows, or is
left behind where it has no meaning. Sites are counted again at every access: a table that does not
match is refused.
"""

import logging

import numpy as np
from hyperspy.signals import Signal2D

from hs_rvae.parent_image import is_series
from hs_rvae.signals.construction import parent_image
from hs_rvae.sites import SiteTable

_logger = logging.getLogger(__name__)

_NODE = "Sub_images"
_SITES = "Sub_images.sites"
# Held by reference: they follow slices and copies, and are neither copied nor saved.
_REFERENCES = ("_image", "_rvae_model")


class FollowingMixin:
    """Site table, parent image and model follow the sites of a stack."""

    _additional_slicing_targets = Signal2D._additional_slicing_targets + ["metadata." + _SITES]
    _image = None
    _rvae_model = None

    @property
    def sites(self):
        """
        The site table, one row per sub-image: a :class:`~hs_rvae.sites.SiteTable` or None.

        A table that does not belong to the sites of this stack any more (after ``mean``, ``sum``
        or ``rebin`` over the sites, for example) is refused with a warning in the log.

        Examples
        --------
        >>> import hs_rvae, numpy as np
        >>> stack = hs_rvae.SubImageStack.from_positions(
        ...     np.ones((64, 64)), [[30.5, 20.0], [12.0, 40.0]], window_size=16
        ... )
        >>> stack.sites["x"]
        array([30.5, 12. ])
        >>> stack.inav[1:].sites["site_index"]
        array([1])
        """
        signal = self._sites_signal()
        if signal is None:
            if self.metadata.has_item(_NODE):
                _logger.warning(
                    "The site table does not match the sites of this stack any more (they were "
                    "merged or rearranged); it is ignored."
                )
            return None
        return SiteTable(signal)

    @property
    def image(self):
        """
        The image that the sub-images were cut from, or None if it is not at hand.

        A list of images in a stack that joins several, a signal with a navigation axis in a stack
        of a series. It is held by reference and not saved: after loading, :meth:`load_image`
        brings it back, or assign it.
        """
        return self._image

    @image.setter
    def image(self, image):
        if isinstance(image, list | tuple):
            image = [one if one is None else parent_image(one) for one in image]
        elif image is not None:
            image = parent_image(image)
            table = self.sites
            if table is not None:
                if is_series(image) and "frame" not in table:
                    raise ValueError(
                        f"image has navigation axes {image.axes_manager.navigation_shape}, but "
                        "the sites are those of one image: give the image that they are from."
                    )
                rows, columns = image.data.shape[-2:]
                x, y = table.xy.max(axis=0)
                if x > columns or y > rows:
                    raise ValueError(
                        f"image has {columns} columns and {rows} rows, but the sites reach to "
                        f"x = {x:.0f}, y = {y:.0f}: it is not the image of this stack."
                    )
        self._image = image

    def _sites_signal(self):
        """Find the signal of the site table; None if there is none or it does not match."""
        signal = self.metadata.get_item(_SITES)
        axes = self.axes_manager
        if signal is None or axes.navigation_dimension > 1:
            return None
        sites = axes.navigation_size if axes.navigation_dimension else 1
        rows = signal.data.size // signal.data.shape[-1]
        transposed = "site" in [axis.name for axis in axes.signal_axes]
        return signal if rows == sites and not transposed else None

    def _set_sites(self, table):
        """Make `table` the site table, with the stack's own navigation axis."""
        self.metadata.set_item(_SITES, table.signal)
        self._align_sites()

    def _check_site_axis(self):
        """Refuse a stack that is one sub-image without an axis, or whose sites were rearranged."""
        dimension = self.axes_manager.navigation_dimension
        if dimension == 0:
            raise ValueError(
                "The stack is a single sub-image and has no navigation axis: keep the axis with "
                "stack.inav[4:5] in the place of stack.inav[4]."
            )
        if dimension > 1:
            raise ValueError(
                f"The stack has {dimension} navigation axes, not one: the sites were rearranged."
            )

    def _align_sites(self):
        """Calibrate the table's axis as the stack's, so that HyperSpy slices both alike."""
        signal = self._sites_signal()
        if signal is None or not self.axes_manager.navigation_dimension:
            return
        site = self.axes_manager.navigation_axes[0]
        for axis in signal.axes_manager.navigation_axes:
            axis.scale, axis.offset, axis.units = site.scale, site.offset, site.units

    def _leave_sites(self):
        """Leave the table behind; what remains of the node tells that there was one."""
        if self.metadata.has_item(_SITES):
            delattr(self.metadata.get_item(_NODE), "sites")

    def _slicer(self, slices, isNavigation=None, out=None):
        table = self._sites_signal()
        self._align_sites()
        if table is None or not isNavigation or out is not None:
            # The table shares the site axis only: nothing to slice for isig. HyperSpy would not
            # bring the names of new columns into an existing signal.
            self._additional_slicing_targets = Signal2D._additional_slicing_targets
        rows = None
        if isNavigation and self.learning_results.loadings is not None:
            rows = self._site_numbers()._slicer(slices, True).data.ravel()
        try:
            result = super()._slicer(slices, isNavigation, out=out)
        finally:
            self.__dict__.pop("_additional_slicing_targets", None)
        sliced = result if out is None else out
        if isinstance(sliced, FollowingMixin):
            if isNavigation is False:
                sliced._set_columns_at(self._columns_at())
            elif table is None:
                sliced._leave_sites()
            elif out is not None:
                sliced._set_sites(SiteTable(table._slicer(slices, True)))
            if rows is not None:
                self._hand_results_to(sliced, rows)
        return result

    def _remove_axis(self, axes):
        had_sites = self.axes_manager.navigation_dimension
        super()._remove_axis(axes)
        if had_sites and not self.axes_manager.navigation_dimension:
            # mean, sum, ... over the sites; a single site taken out gets its row back. Unbound:
            # the class may have changed with the axes.
            FollowingMixin._leave_sites(self)

    def _assign_subclass(self, *args, **kwargs):
        super()._assign_subclass(*args, **kwargs)
        folding = self.metadata.get_item("_HyperSpy.Folding")
        unfolded = folding is not None and folding.unfolded
        if not isinstance(self, FollowingMixin) and not unfolded:
            # Transposed, complex, another signal type: no stack of sub-images any more.
            if self.metadata.has_item(_NODE):
                delattr(self.metadata, _NODE)
            for name in _REFERENCES:
                self.__dict__.pop(name, None)

    def __deepcopy__(self, memo):
        copied = super().__deepcopy__(memo)
        self._hand_references_to(copied)
        return copied

    def _hand_references_to(self, other):
        for name in _REFERENCES:
            if getattr(self, name) is not None:
                setattr(other, name, getattr(self, name))

    def crop(self, axis, start=None, end=None, convert_units=False):
        """
        Crop an axis in place, as :meth:`~hyperspy.api.signals.BaseSignal.crop` does.

        Parameters
        ----------
        axis : int, str or axis
        start, end : int, float or None
            int: index; float: value on the axis; None: the end of the axis.
        convert_units : bool
            Convert the units of the axis afterwards.

        Raises
        ------
        ValueError
            If there is no such axis, or nothing would be left of it.
        """
        axis = self.axes_manager[axis]
        table = self._sites_signal() if axis.navigate else None
        self._align_sites()
        columns_at = self._columns_at()
        numbers = self._site_numbers() if axis.navigate else None
        super().crop(axis, start, end, convert_units=False)
        if numbers is None:
            self._drop_results()
        else:
            numbers.crop(
                numbers.axes_manager.navigation_axes[axis.index_in_axes_manager], start, end
            )
            self._hand_results_to(self, numbers.data.ravel())
        if table is not None:
            table.crop(table.axes_manager.navigation_axes[0], start, end)
        elif not axis.navigate:
            self._set_columns_at(columns_at)
        if convert_units:
            self.axes_manager.convert_units(axis)

    def rebin(self, *args, **kwargs):
        """
        Rebin, as :meth:`~hyperspy.api.signals.BaseSignal.rebin` does.

        Parameters
        ----------
        *args, **kwargs
            Of HyperSpy. Sites that were binned have no site table.

        Returns
        -------
        SubImageStack or LazySubImageStack
        """
        result = super().rebin(*args, **kwargs)
        rebinned = result if kwargs.get("out") is None else kwargs["out"]
        if isinstance(rebinned, FollowingMixin):
            rebinned._set_columns_at(self._columns_at())
        return result

    def split(self, axis="auto", number_of_parts="auto", step_sizes="auto"):
        """
        Split into several stacks, as :meth:`~hyperspy.api.signals.BaseSignal.split` does.

        Parameters
        ----------
        axis : int, str or axis
            "auto" splits the sites.
        number_of_parts : int
        step_sizes : int or list of int
            Sites in each part.

        Returns
        -------
        list of SubImageStack or LazySubImageStack
            Each with its rows of the site table.

        Raises
        ------
        ValueError
            If there is no such axis, or it cannot be divided like this.
        """
        if axis == "auto":
            self._check_site_axis()
        parts = super().split(axis, number_of_parts, step_sizes)
        table = None if self._sites_signal() is None else self.sites
        along_sites = axis == "auto" or self.axes_manager[axis].navigate
        start = 0
        for part in parts:
            if not isinstance(part, FollowingMixin):
                continue
            self._hand_references_to(part)
            if table is None:
                continue
            count = max(part.axes_manager.navigation_size, 1) if along_sites else len(table)
            part._set_sites(table.take(range(start, start + count)))
            if along_sites:
                start += count
            else:
                part._set_columns_at(self._columns_at())
        return parts

    def get_current_signal(self, *args, **kwargs):
        """
        Take out the site that is shown, as HyperSpy's ``get_current_signal`` does.

        Parameters
        ----------
        *args, **kwargs
            Of :meth:`~hyperspy.api.signals.BaseSignal.get_current_signal`.

        Returns
        -------
        SubImageStack or LazySubImageStack
        """
        current = super().get_current_signal(*args, **kwargs)
        if isinstance(current, FollowingMixin):
            self._hand_references_to(current)
            current._leave_sites()
            if self._sites_signal() is not None:
                current._set_sites(self.sites.take(self.axes_manager.indices or (0,)))
        return current

    def _columns_at(self):
        """Find the columns on the axes x and y: window's middle plus offset, one array each."""
        signal = self._sites_signal()
        if signal is None or "offset_x" not in signal.metadata.Sites.columns:
            return None
        offsets = SiteTable(signal)[["offset_x", "offset_y"]]
        axes = self.axes_manager.signal_axes
        return [
            _middle(axis) + offset * axis.scale
            for axis, offset in zip(axes, offsets.T, strict=True)
        ]

    def _set_columns_at(self, columns_at):
        """Write offset_x and offset_y of windows that were cropped or binned."""
        signal = self._sites_signal()
        if signal is None or columns_at is None or len(columns_at[0]) != len(SiteTable(signal)):
            return
        offsets = [
            (column - _middle(axis)) / axis.scale
            for column, axis in zip(columns_at, self.axes_manager.signal_axes, strict=True)
        ]
        # Coordinates carry rounding errors of 1e-16: what was on the middle stays there exactly.
        offsets = np.where(np.abs(offsets) < 1e-9, 0.0, offsets)
        offsets = {"offset_x": offsets[0], "offset_y": offsets[1]}
        SiteTable(signal).set_many(offsets, writer="from_positions")


def _middle(axis):
    """Coordinate of the middle of a signal axis."""
    return axis.offset + (axis.size - 1) / 2 * axis.scale
