# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signal that keeps its site table, its parent image and its model.

The one place that hooks into the internals of HyperSpy (written for 2.4 and 2.5). HyperSpy slices
the signals named in ``_additional_slicing_targets`` with the navigation axes; everything else that
changes the sites, or the class of the signal, is overridden here so that the table follows, or is
left behind where it has no meaning. Sites are counted again at every access: a table that does not
match is refused.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from hyperspy.learn import LearningResults
from hyperspy.signals import Signal2D

from hs_rvae.checks import check_methods, naming
from hs_rvae.exceptions import ModelMismatch
from hs_rvae.files import complete_file, plain
from hs_rvae.masked_arrays import filled
from hs_rvae.parent_image import is_series
from hs_rvae.progress import progressbar_wanted
from hs_rvae.signals import channels as _channels
from hs_rvae.signals import origins as _origins
from hs_rvae.signals import saving as _saving
from hs_rvae.signals import selection as _selection
from hs_rvae.signals.cutting import parent_image
from hs_rvae.signals.learning_results import results_of_sites
from hs_rvae.signals.reconstruction import model_columns
from hs_rvae.signals.unchanged import all_or_nothing
from hs_rvae.sites import SiteTable
from hs_rvae.sites.table import damage
from hs_rvae.stores import files_read_by, guarded

if TYPE_CHECKING:
    from hs_rvae.rvae.estimator import RVAE

_logger = logging.getLogger(__name__)

_NODE = "Sub_images"
_SITES = "Sub_images.sites"
# Held by reference: they follow slices and copies, and are neither copied nor saved.
_REFERENCES = ("_image", "_rvae_model")


class SiteSignal(Signal2D):
    """A signal ``(site | x, y)`` with a table of its sites; the trunk of :class:`SubImageStack`.

    With several detectors of one scan it is ``(detector, site | x, y)``.
    """

    _additional_slicing_targets = Signal2D._additional_slicing_targets + ["metadata." + _SITES]
    _image: Any = None
    _rvae_model: Any = None
    # Fitted by a call of rvae() that was interrupted before the table was written.
    _unused_model: Any = None
    _data: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("hs_rvae."):  # a failing call then changes nothing
            check_methods(cls, all_or_nothing)

    @property
    def data(self) -> Any:
        """The sub-images, an array of NumPy or dask; NaN for pixels that were masked."""
        self._data = filled(self._data)
        return self._data

    @data.setter
    def data(self, data: Any) -> Any:
        Signal2D.data.fset(self, data)

    @property
    def sites(self) -> SiteTable | Any:
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
    def image(self) -> Any:
        """
        The image that the sub-images were cut from, or None if it is not available.

        A list of images in a stack that joins several, a signal with a navigation axis in a stack
        of a series. It is held by reference and not saved: after loading, :meth:`load_image`
        brings it back, or assign it.
        """
        return self._image

    @image.setter
    def image(self, image: Any) -> Any:
        if isinstance(image, list | tuple):
            image = [one if one is None else parent_image(one) for one in image]
        elif image is not None:
            image = parent_image(image)
            table = self.sites
            if table is not None:
                detectors = len(_channels.names_of(self))
                if is_series(image) and "frame" not in table and len(image.data) != detectors:
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

    @property
    def rvae_model(self) -> Any:
        """The fitted :class:`~hs_rvae.RVAE`, held by reference and not saved with the stack.

        It is the model that wrote the columns of :attr:`sites`. In a stack without such columns it
        is that of an :meth:`rvae` that was interrupted after the fit, if there was one.

        Raises
        ------
        RuntimeError
            If the stack has none; the message names the call that loads it.
        """
        if self._rvae_model is not None:
            return self._rvae_model
        if self.metadata.has_item(_origins.RVAE_NODE):
            load = _origins.how_to_load(self, _origins.MODEL_NODE, "load_rvae_model")
            raise RuntimeError(
                f"The rVAE model is not saved with the stack: {load}, if it was saved with "
                "stack.rvae_model.save(path); stack.apply_rvae(path) also encodes the sub-images "
                "anew."
            )
        if self._unused_model is not None:
            return self._unused_model
        raise RuntimeError("No rVAE model yet: call stack.rvae() or stack.apply_rvae(path).")

    def _model_of_sites(self) -> Any:
        """Return the model; refuse one that did not write the site table."""
        model, written = self.rvae_model, self.metadata.get_item(f"{_origins.RVAE_NODE}.fit_id")
        if getattr(model, "fit_id_", None) != written:
            by = "has no columns of" if written is None else "was written by another fit than"
            raise ModelMismatch(
                f"The site table {by} stack.rvae_model: call stack.apply_rvae(stack.rvae_model), "
                "or stack.apply_rvae(path) with the file of the model that you want."
            )
        return model

    # The table and its sites -------------------------------------------------
    def _sites_signal(self) -> Any:
        """Find the signal of the site table; None if there is none or it does not match."""
        signal, sites = self.metadata.get_item(_SITES), _channels.n_sites(self)
        if signal is None or not sites:
            return None
        rows = signal.data.size // signal.data.shape[-1]
        transposed = "site" in [axis.name for axis in self.axes_manager.signal_axes]
        if rows != sites or transposed or not signal.metadata.has_item("Sites.columns"):
            return None
        if fault := damage(signal):
            _logger.warning("The site table is damaged (%s); it is ignored.", fault)
            return None
        return signal

    def _set_sites(self, table: SiteTable) -> None:
        """Make `table` the site table, with the stack's own navigation axis."""
        self.metadata.set_item(_SITES, table.signal)
        self._align_sites()

    def _images(self) -> Any:
        """Sub-images (n, w, w), also of a single site."""
        _channels.check_one_detector(self)
        return self.data.reshape(-1, *self.data.shape[-2:])

    def _check_site_axis(self) -> None:
        """Refuse a stack that is one sub-image without an axis, or whose sites were rearranged."""
        dimension = self.axes_manager.navigation_dimension
        dimension -= _channels.detector_axis(self) is not None
        if dimension == 0:
            raise ValueError(
                "The stack is a single sub-image and has no navigation axis: keep the axis with "
                "stack.inav[4:5] in the place of stack.inav[4]."
            )
        if dimension > 1:
            raise ValueError(
                f"The stack has {dimension} navigation axes, not one: the sites were rearranged."
            )

    def _align_sites(self) -> None:
        """Calibrate the table's axis as the stack's, so that HyperSpy slices both alike."""
        signal, site = self._sites_signal(), _channels.site_axis(self)
        if signal is None or site is None:
            return
        for axis in signal.axes_manager.navigation_axes:
            axis.scale, axis.offset, axis.units = site.scale, site.offset, site.units

    def _leave_sites(self) -> None:
        """Leave the table behind; the node remains as a sign that there was one."""
        if self.metadata.has_item(_SITES):
            delattr(self.metadata.get_item(_NODE), "sites")

    def _sites_to_plot(self) -> SiteTable:
        sites = self.sites
        if sites is None:
            raise ValueError(
                "The stack has no site table: make it with SubImageStack.from_positions, "
                "or take the windows from a stack that has one."
            )
        return sites

    def select_sites(self, sites: Any) -> Self:
        """
        Make a new stack with some of the sites.

        Parameters
        ----------
        sites : array-like or HyperSpy ROI
            A boolean mask with one value per site; site numbers (in the order wanted); or a
            ``RectangularROI``, ``CircleROI`` or ``PolygonROI`` in calibrated coordinates of the
            image, as drawn on it.

        Returns
        -------
        SubImageStack or LazySubImageStack
            Its sites are numbered from 0; ``sites["site_index"]`` keeps the original index.

        Raises
        ------
        ValueError
            If no site is chosen, a mask has another length, a ROI is not defined or the stack has
            no navigation axis.
        IndexError
            If there is no such site.
        TypeError
            If `sites` is neither a mask nor numbers nor a ROI that encloses an area.

        Examples
        --------
        >>> import hyperspy.api as hs
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=40)
        >>> right = stack.select_sites(stack.sites["x"] > 150)
        >>> bool(right.sites["x"].min() > 150)
        True
        >>> inner = stack.select_sites(hs.roi.CircleROI(cx=2.25, cy=2.25, r=1))  # nm
        >>> 0 < len(inner.sites) < len(stack.sites)
        True
        """
        self._check_site_axis()
        index = self._numbers_of(sites)
        chosen = self._deepcopy_with_new_data(self.data[index])
        chosen.get_dimensions_from_data()
        axis = _channels.site_axis(chosen)
        axis.offset, axis.scale = 0, 1
        table = self.sites
        if table is not None:
            chosen._set_sites(table.take(index))
        self._hand_results_to(chosen, index)
        return chosen

    def _numbers_of(self, sites: Any) -> np.ndarray:
        """Numbers of the sites that a mask, numbers or a ROI choose."""
        if _selection.is_roi(sites):
            sites = _selection.sites_in_roi(sites, self.sites, self._image)
        return _selection.site_indices(sites, _channels.n_sites(self))

    # What follows HyperSpy's own verbs ---------------------------------------

    def crop(
        self,
        axis: Any,
        start: int | float | None = None,
        end: int | float | None = None,
        convert_units: bool = False,
    ) -> None:
        """
        Crop an axis in place, as :meth:`~hyperspy.api.signals.BaseSignal.crop` does.

        Parameters
        ----------
        axis : int, str or axis
        start, end : int, float or None
            int: index; float: value on the axis. If None, the end of the axis.
        convert_units : bool
            Convert the units of the axis afterwards.

        Raises
        ------
        ValueError
            If there is no such axis, or nothing would be left of it.
        """
        with naming("axis"):
            axis = self.axes_manager[axis]
        if axis is _channels.detector_axis(self):
            raise ValueError("Detectors are chosen by stack.inav[...], not cropped in place.")
        start, end = _selection.crop_limits(axis, start, end)
        table = self._sites_signal() if axis.navigate else None
        self._align_sites()
        columns_at = self._columns_at()
        alone = _channels.detector_axis(self) is None
        numbers = self._site_numbers() if axis.navigate and alone else None
        super().crop(axis, start, end, convert_units=False)
        if numbers is None:
            self.learning_results = LearningResults()
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

    def crop_signal(
        self,
        top: int | float | None = None,
        bottom: int | float | None = None,
        left: int | float | None = None,
        right: int | float | None = None,
        convert_units: bool = False,
    ) -> None:
        """
        Crop the sub-images in place, as HyperSpy's ``Signal2D.crop_signal`` does.

        Parameters
        ----------
        top, bottom, left, right, convert_units
            As in :meth:`crop`.

        Raises
        ------
        ValueError
            If nothing would be left of an axis: neither axis is cropped then.
        """
        x, y = self.axes_manager.signal_axes
        top, bottom = _selection.crop_limits(y, top, bottom, ("top", "bottom"))
        left, right = _selection.crop_limits(x, left, right, ("left", "right"))
        super().crop_signal(top, bottom, left, right, convert_units)

    def rebin(self, *args: Any, **kwargs: Any) -> Any:
        """
        Rebin, as :meth:`~hyperspy.api.signals.BaseSignal.rebin` does.

        Parameters
        ----------
        *args, **kwargs
            Arguments of HyperSpy's ``rebin``. Sites that were binned have no site table.

        Returns
        -------
        SubImageStack or LazySubImageStack
        """
        result = super().rebin(*args, **kwargs)
        rebinned = result if kwargs.get("out") is None else kwargs["out"]
        if isinstance(rebinned, SiteSignal):
            rebinned._set_columns_at(self._columns_at())
        return result

    def split(
        self, axis: Any = "auto", number_of_parts: Any = "auto", step_sizes: Any = "auto"
    ) -> list[Any]:
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
        if axis == "auto" and self.metadata.has_item(_NODE):
            self._check_site_axis()
        axis = _channels.axis_to_split(self, axis)
        with naming("number_of_parts"):
            parts = super().split(axis, number_of_parts, step_sizes)
        table = None if self._sites_signal() is None else self.sites
        along_sites = axis == "auto" or self.axes_manager[axis].navigate
        start = 0
        for part in parts:
            if not isinstance(part, SiteSignal):
                continue
            self._hand_references_to(part)
            if table is None:
                continue
            count = _channels.n_sites(part) if along_sites else len(table)
            part._set_sites(table.take(range(start, start + count)))
            if along_sites:
                start += count
            else:
                part._set_columns_at(self._columns_at())
        return parts

    def get_current_signal(self, *args: Any, **kwargs: Any) -> Any:
        """
        Take out the site that is shown, as HyperSpy's ``get_current_signal`` does.

        Parameters
        ----------
        *args, **kwargs
            Arguments of :meth:`~hyperspy.api.signals.BaseSignal.get_current_signal`.

        Returns
        -------
        SubImageStack or LazySubImageStack
        """
        current = super().get_current_signal(*args, **kwargs)
        if isinstance(current, SiteSignal):
            self._hand_references_to(current)
            current._leave_sites()
            indices = self.axes_manager.indices
            if _channels.names_of(self):
                _channels.keep_detectors(self, current, indices[0])
                indices = indices[1:]
            if self._sites_signal() is not None:
                current._set_sites(self.sites.take(indices or (0,)))
        return current

    def _slicer(self, slices: Any, isNavigation: bool | None = None, out: Any = None) -> Any:
        table = self._sites_signal()
        if isNavigation and _channels.names_of(self):
            return self._slice_channels(slices, out)
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
        if isinstance(sliced, SiteSignal):
            if isNavigation is False:
                sliced._set_columns_at(self._columns_at())
            elif table is None:
                sliced._leave_sites()
            elif out is not None:
                sliced._set_sites(SiteTable(table._slicer(slices, True)))
            if rows is not None:
                self._hand_results_to(sliced, rows)
        return result

    def _slice_channels(self, slices: Any, out: Any) -> Any:
        """Slice detectors and sites: the first leave the table whole."""
        if out is not None:
            raise ValueError("out: a stack of several detectors is sliced into a new one.")
        detectors, rows = _channels.chosen(self, slices)
        table = None if self._sites_signal() is None else self.sites.take(rows)
        self._additional_slicing_targets = Signal2D._additional_slicing_targets
        try:
            result = super()._slicer(slices, True)
        finally:
            self.__dict__.pop("_additional_slicing_targets", None)
        _channels.keep_detectors(self, result, detectors)
        result._leave_sites()
        if table is not None:
            result._set_sites(table)
        return result

    def _remove_axis(self, axes: Any) -> None:
        had_sites = _channels.site_axis(self) is not None
        super()._remove_axis(axes)
        if had_sites and _channels.site_axis(self) is None:
            # mean, sum, ... over the sites; a single site taken out gets its row back. Unbound:
            # the class may have changed with the axes.
            SiteSignal._leave_sites(self)

    def _assign_subclass(self, *args: Any, **kwargs: Any) -> None:
        super()._assign_subclass(*args, **kwargs)
        folding = self.metadata.get_item("_HyperSpy.Folding")
        unfolded = folding is not None and folding.unfolded
        if not isinstance(self, SiteSignal) and not unfolded:
            # Transposed, complex, another signal type: no stack of sub-images any more.
            if self.metadata.has_item(_NODE):
                if self.metadata.has_item(_SITES):
                    _logger.warning(
                        "The site table is left behind: the result is a %s, which is not a stack "
                        "of sub-images.", type(self).__name__,
                    )  # fmt: skip
                delattr(self.metadata, _NODE)
            for name in _REFERENCES:
                self.__dict__.pop(name, None)

    def __deepcopy__(self, memo: Any) -> Any:
        copied = super().__deepcopy__(memo)
        self._hand_references_to(copied)
        return copied

    def _hand_references_to(self, other: Any) -> None:
        for name in _REFERENCES:
            if getattr(self, name) is not None:
                setattr(other, name, getattr(self, name))

    def _site_numbers(self) -> Any:
        """A signal with the number of each site, to be sliced as the stack is."""
        from hyperspy.signals import BaseSignal

        axes = self.axes_manager
        numbers = np.arange(max(axes.navigation_size, 1)).reshape(
            axes._navigation_shape_in_array or (1,)
        )
        signal = BaseSignal(numbers).T if axes.navigation_dimension else BaseSignal(numbers)
        for own, axis in zip(
            axes.navigation_axes, signal.axes_manager.navigation_axes, strict=False
        ):
            axis.scale, axis.offset, axis.units = own.scale, own.offset, own.units
        return signal

    def _hand_results_to(self, other: Any, rows: np.ndarray) -> None:
        """Give `other`, some of the sites, the decomposition of these; clusters are left out."""
        if self.learning_results.loadings is not None:
            other.learning_results = results_of_sites(self.learning_results, rows)

    def _columns_at(self) -> list[np.ndarray] | None:
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

    def _set_columns_at(self, columns_at: list[np.ndarray] | None) -> None:
        """Write offset_x and offset_y of windows that were cropped or binned."""
        signal = self._sites_signal()
        if signal is None or columns_at is None or len(columns_at[0]) != len(SiteTable(signal)):
            return
        offsets = {}
        for name, column, axis in zip("xy", columns_at, self.axes_manager.signal_axes, strict=True):
            offset = (column - _middle(axis)) / axis.scale
            # Coordinates have rounding errors of 1e-16: a column on the middle stays there exactly.
            offsets[f"offset_{name}"] = np.where(np.abs(offset) < 1e-9, 0.0, offset)
        SiteTable(signal).set_many(offsets, writer="from_positions")

    # Files -------------------------------------------------------------------

    def save(
        self,
        filename: str | os.PathLike[str] | None = None,
        overwrite: bool | None = None,
        extension: str | None = None,
        **kwds: Any,
    ) -> None:
        """
        Save, as :meth:`~hyperspy.api.signals.BaseSignal.save` does, but whole or not at all.

        A ``.hspy`` or ``.zspy`` is written into a new folder beside, and takes its name when it is
        complete. If it cannot be completed, it is removed, and a file that had the name before is
        as it was. A lazy stack is computed and written block by block. If it reads the file that
        is replaced, it reads the new one afterwards; other lazy stacks that read a ``.zspy`` that
        is replaced raise an error when they are computed.

        The file notes where image and model were saved to or read from: see :meth:`load_image` and
        :meth:`load_rvae_model`.

        Parameters
        ----------
        filename : str or pathlib.Path, optional
            If None, the file that the stack was loaded from or saved to.
        overwrite : bool, optional
            If None, HyperSpy asks if there is such a file already.
        extension : str, optional
        **kwds
            Options of HyperSpy's ``save``.

        Raises
        ------
        ValueError
            If the file holds the image of this stack, or other files inside a ``.zspy``; if a lazy
            stack would be written into the file that it is read from, in another format or in
            place.
        OSError
            If the file cannot be written; the message names the file that is left.
        KeyboardInterrupt
            If it was interrupted; nothing is left behind.

        Examples
        --------
        >>> stack.save("film.zspy")  # doctest: +SKIP
        """
        path = _saving.path_to_save(self, filename, extension, kwds.get("file_format"))
        whole = path is not None and path.suffix in _saving.FORMATS
        whole = whole and not {"mode", "write_dataset"} & set(kwds)
        if path is not None and path.exists():
            if overwrite is None:
                overwrite = _saving.may_overwrite(path)
            if not overwrite:
                return
            _saving.check_not_lost(self, path, whole, kwds.get("write_dataset", True))
        if path is not None and path.suffix not in _saving.FORMATS and self.sites is not None:
            _logger.warning(
                "Files of the format %s keep no site table: save the stack as .hspy or .zspy, or "
                "the table with stack.sites.save(path).", path.suffix,
            )  # fmt: skip
        if path is None or not whole:
            with naming("filename"):
                super().save(filename, overwrite=overwrite, extension=extension, **kwds)
            return
        for name in ("file_format", "close_file"):
            kwds.pop(name, None)
        kwds.setdefault("show_progressbar", progressbar_wanted(None))
        path.parent.mkdir(parents=True, exist_ok=True)  # as HyperSpy
        reads_it = self._lazy and os.path.realpath(path) in files_read_by(self.data)
        with _saving.restored_on_failure(self):
            with complete_file(path, "The stack", folder=path.suffix == ".zspy") as draft:
                _origins.note_files(self, path.parent)
                with warnings.catch_warnings():
                    # Between RosettaSciIO and Zarr; nobody who saves a stack can do anything
                    # about it.
                    warnings.filterwarnings("ignore", "The NestedDirectoryStore", FutureWarning)
                    super().save(draft, overwrite=True, **kwds)
        place = {"folder": str(path.parent), "filename": path.stem, "extension": path.suffix}
        self.tmp_parameters.add_dictionary(place)
        if reads_it:
            from hyperspy.io import load

            self.data = load(path, lazy=True).data
            self.tmp_parameters.add_dictionary({f"original_{k}": v for k, v in place.items()})

    def load_image(self, path: Any = None, *, lazy: bool | None = None) -> Any:
        """
        Load the image that the sub-images were cut from, and make it :attr:`image`.

        It must have the shape and the calibration of that image, and where the image was in memory
        when sub-images were cut, also its pixels (compared in a square in the middle).

        Parameters
        ----------
        path : str, pathlib.Path or list of these, optional
            If None, the noted place that the image was saved to or read from; if the stack was
            moved together with the image, beside the stack. A relative path is also
            tried beside the file of the stack. For a stack that joins several images, one path for
            each, or None.
        lazy : bool, optional
            If None, as the stack is.

        Returns
        -------
        hyperspy.api.signals.Signal2D or list of these
            The image, held by the stack.

        Raises
        ------
        FileNotFoundError
            If there is no such file; the message lists the places that were searched.
        ValueError
            If no path is known, or the file holds another image; the stack is as it was.

        Examples
        --------
        >>> stack = hs.load("film_stack.zspy")  # doctest: +SKIP
        >>> stack.load_image()  # doctest: +SKIP
        <Signal2D, title: film, dimensions: (|1024, 1024)>
        """
        notes = _origins.image_notes(self)
        joined = "image" in self.sites if self.sites is not None else len(notes) > 1
        paths = list(path) if isinstance(path, list | tuple) else [path] * len(notes)
        if len(paths) != len(notes) or (path is not None and joined and not isinstance(path, list)):
            raise ValueError(
                f"path={path!r}: the stack has {len(notes)} images; give a list of as many paths."
            )
        lazy = self._lazy if lazy is None else lazy
        images = []
        for number, (note, one) in enumerate(zip(notes, paths, strict=True)):
            whose = f"image {number}" if joined else "the image"
            found = _origins.find_file(self, one, note.get("path"), whose, "load_image")
            images.append(_origins.read_image(found, note, lazy, self.sites))
        self.image = images if joined else images[0]
        return self.image

    def load_rvae_model(
        self, path: str | os.PathLike[str] | None = None, *, device: Any = None
    ) -> RVAE:
        """
        Load the model that wrote the site table, and make it :attr:`rvae_model`.

        The table stays as it is, with registered angles and variants; :meth:`apply_rvae` writes it
        anew.

        Parameters
        ----------
        path : str or pathlib.Path, optional
            If None, the noted place that the model was saved to or read from, or a
            ``.safetensors`` of the same name beside the file of the stack. A relative path is also
            tried there.
        device : str or torch.device, optional
            Device of the model. If None, CUDA where there is one.

        Returns
        -------
        RVAE

        Raises
        ------
        FileNotFoundError
            If there is no such file; the message lists the places that were searched.
        ValueError
            If no path is known, or the model is not the one that wrote the table; the stack is as
            it was.

        Examples
        --------
        >>> stack = hs.load("film_stack.zspy")  # doctest: +SKIP
        >>> stack.load_rvae_model()  # doctest: +SKIP
        <RVAE harmonic, 2 content latents, fitted to 512 sites>
        """
        from hs_rvae.rvae.estimator import RVAE

        if not self.metadata.has_item(_origins.RVAE_NODE):
            raise ValueError(
                "The stack has no results of a model: stack.apply_rvae(path) encodes the "
                "sub-images with one."
            )
        known = self.metadata.get_item(_origins.MODEL_NODE)
        own = _origins.file_of(self)
        if not isinstance(known, str) and path is None and own is not None:
            beside = own.with_suffix(".safetensors")
            known = str(beside) if beside.is_file() else None
        found = _origins.find_file(self, path, known, "the model", "load_rvae_model")
        model = RVAE.load(found, device)
        node = self.metadata.get_item(_origins.RVAE_NODE).as_dictionary()
        if node.get("fit_id") != model.fit_id_:
            reason = _origins.difference(model, node)
            raise ModelMismatch(
                f"path={str(found)!r} is not the model that wrote the site table: it {reason}. "
                "stack.apply_rvae(path) encodes the sub-images with it."
            )
        model_columns(self.sites, model)
        self._rvae_model = model
        return model

    def _to_dictionary(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        dictionary = super()._to_dictionary(*args, **kwargs)
        data = dictionary.pop("data")
        return plain(dictionary) | {"data": data}

    def _load_dictionary(self, file_data_dict: dict[str, Any]) -> None:
        super()._load_dictionary(file_data_dict)
        # Straight from a file: what is made from it later needs no other guard.
        if hasattr(self.data, "dask") and len(self.data.dask.layers) <= 2:
            self.data = guarded(self.data)
        # HyperSpy's figures cannot draw what a lazily loaded file leaves.
        for name, value in vars(self.learning_results).items():
            if hasattr(value, "dask"):
                setattr(self.learning_results, name, value.compute())


def _middle(axis: Any) -> float:
    return axis.offset + (axis.size - 1) / 2 * axis.scale
