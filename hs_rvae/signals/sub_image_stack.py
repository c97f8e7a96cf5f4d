# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack of sub-images: a HyperSpy signal ``(site | x, y)`` that carries its site table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from hyperspy.signals import LazySignal2D

from hs_rvae import positions as _positions
from hs_rvae.checks import check_methods, naming
from hs_rvae.progress import progress_bar
from hs_rvae.report.columns import COLUMNS_NODE, record_of
from hs_rvae.signals import cutting as _cutting
from hs_rvae.signals import deformation as _deformation
from hs_rvae.signals import patterns as _patterns
from hs_rvae.signals import regional as _regional
from hs_rvae.signals import series as _series
from hs_rvae.signals.channels import n_sites, names_of, of_each_detector
from hs_rvae.signals.figures import FigureMethods
from hs_rvae.signals.origins import IMAGE_NODE, note_of
from hs_rvae.signals.recording import note_warnings, noting_warnings, recorded
from hs_rvae.signals.series import SeriesMethods
from hs_rvae.signals.site_signal import SiteSignal
from hs_rvae.signals.unchanged import all_or_nothing
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hs_rvae.sites import SiteTable

_MAXIMUM_NAMES = 8  # columns that the representation lists one by one


class SubImageStack(FigureMethods, SeriesMethods):
    """
    Sub-images around the columns of one sublattice, with a table of their sites.

    The navigation axis is ``site``, after ``detector`` where there are several. The signal axes
    have the names, units and scales of the image, with the column at zero. :attr:`sites` is the
    table of named columns; it follows slicing, copies, selection and saving. Make a stack with
    :meth:`from_positions`, :meth:`from_sublattice` or :meth:`from_atom_lattice`.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> image = hs.data.atomic_resolution_image(size=512, spacing=0.4, pixel_size=0.015)
    >>> x, y = np.meshgrid(np.arange(50, 450, 26.7), np.arange(50, 450, 26.7))
    >>> stack = SubImageStack.from_positions(
    ...     image, np.stack([x.ravel(), y.ravel()], axis=1), window_size=32
    ... )
    >>> stack.sites["x"][:2]
    array([50. , 76.7])
    >>> stack.inav[:10].sites
    <SiteTable, 10 sites, columns: site_index, x (px), y (px), offset_x (px), offset_y (px)>
    """

    _signal_type = "sub_image_stack"
    _signal_dimension = 2
    _alias_signal_types = ["SubImageStack"]

    @classmethod
    @noting_warnings
    @of_each_detector
    def from_positions(
        cls,
        image: Any,
        positions_xy: Any,
        window_size: int | float | None = None,
        *,
        lazy: bool | None = None,
        centring: str = "subpixel",
        order: str = "xy",
        neighbours: Any = None,
        columns: Any = None,
        units: Any = None,
        channels: bool | Sequence[str] = False,
        show_progressbar: bool | None = None,
    ) -> Self:
        """
        Cut a window around every position.

        Positions that are not finite or repeat another one, and windows that leave the image or
        contain pixels that were not measured, are dropped and counted in the log; the column
        ``site_index`` keeps the row of `positions_xy`. Pixels that are not finite or masked were
        not measured, nor were constant bands and corners at the border of a picture, such as a data
        bar; a warning counts their windows. Positions within a quarter of the nearest-neighbour
        distance of another one are kept, with a warning that counts them.

        Parameters
        ----------
        image : hyperspy.api.signals.Signal2D
            One image, or a series: a signal with one navigation axis (time, tilt, dose); eager or
            lazy. The stack holds it by reference (:attr:`image`); of a lazy image that is small
            beside the free memory it holds a computed copy, so that it is read once. The outermost
            lines of a larger one are read, and floating values are checked for NaN once, block
            by block. An image in the navigation axes, ``(x, y|)``, is brought to the signal axes.
            The stack of a series has the columns ``frame`` and ``track`` (see :meth:`link_frames`).
        positions_xy : array-like of shape (n, 2)
            Refined column positions ``(x, y)`` in pixels: x counts columns and y rows of the
            image, pixel centres are integers. Tables with the columns x and y, paths and others
            are accepted, see :func:`hs_rvae.positions.as_positions`. The classes in AtomAI's
            dictionary ``{0: (row, column, class)}`` become the column ``class``. For a
            series, a list of these, one for each frame; `neighbours` and `columns` likewise.
        window_size : int, float or None
            int: pixels. float: units of the image's axes. If None, 1.85 nearest-neighbour distances
            of the positions. At least 8 pixels.
        lazy : bool, optional
            Cut the windows when they are asked for. If None, as the image is.
        centring : {"subpixel", "nearest"}
            "subpixel" puts each column exactly on the window's centre ``(w - 1) / 2`` by cubic
            interpolation. "nearest" copies pixels; what remains of the position is in the columns
            ``offset_x`` and ``offset_y`` (column minus window centre, in pixels).
        order : {"xy", "rc"}
            "rc" if `positions_xy` and `neighbours` are ``(row, column)``.
        neighbours : array-like of shape (m, 2) or Sublattice, optional
            Columns of the other sublattice, in the same `order`. Each site's four nearest of them
            give the columns ``displacement_x``, ``displacement_y`` (px; the vector of the paper's
            Fig. 1b: the site minus their mean, NaN unless they enclose it), the same with
            ``_calibrated`` (pm), ``cell_a``, ``cell_b`` (px) and ``cell_angle`` (rad); where both
            bring ``x_std`` and ``y_std``, also ``displacement_std`` (px), the standard error. In
            a crystal of one sublattice pass `positions_xy` again, from any fit: a neighbour within
            0.05 nearest distances is the site itself and does not count. If None, there are no such
            columns. The stretch that ``find_sublattices(correct_distortion=...)`` found is
            taken out of these columns, and kept in ``stretch_xx``, ``stretch_xy``, ``stretch_yy``.
        columns : Mapping of str to array-like of shape (n,), or SiteTable, optional
            Further columns of the site table, one value for each of `positions_xy`. They
            replace columns that come from `neighbours`. The table of another stack of the same
            sites, or the table of pandas that its ``to_dataframe`` makes, gives all columns but
            those of the windows, with their units.
        units : Mapping of str to str, optional
            Units of `columns`; dimensionless if not given.
        channels : bool or sequence of str
            Whether `image` holds the images of several detectors of one scan,
            ``(detector | x, y)``; or the names of the detectors. The stack is
            ``(detector, site | x, y)`` with one row of the table for each site. If True, names are
            the titles that ``hyperspy.api.stack`` keeps, or numbers. ``stack.inav[0]`` is the
            stack of one detector.
        show_progressbar : bool, optional
            If None, as HyperSpy's preference.

        Returns
        -------
        SubImageStack or LazySubImageStack
            Sub-images are float32.

        Raises
        ------
        ValueError
            If the image is not two-dimensional, has two navigation axes or no finite pixel; if no
            position is given or none gets a window; if the positions fit the image only when
            swapped; if the window is below 8 pixels or larger than the image; if the scales or
            units of its axes cannot be used.
        TypeError
            If the values of the image are not real numbers.
        FileNotFoundError
            If a path has no file.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = SubImageStack.from_positions(
        ...     image, truth.b_sites[["x", "y"]], window_size=40, neighbours=truth.a_sites
        ... )
        >>> stack.data.shape[1:], stack.sites.units["displacement_x_calibrated"]
        ((40, 40), 'pm')
        """
        image = _cutting.parent_image(image)
        given = _series.by_frame(image, positions_xy, neighbours, columns)
        with naming("positions_xy"):
            positions = [_positions.as_positions(one, order) for one in given[0]]
        tables = [_cutting.given_columns(one) for one in given[2]]
        columns = [table[0] for table in tables]
        units = {name: unit for table in tables for name, unit in table[1].items()} | _as_dict(
            units
        )
        columns = [
            _positions.position_classes(one) | own
            for one, own in zip(given[0], columns, strict=True)
        ]
        writers = {name: writer for table in tables for name, writer in table[2].items()}
        writers |= dict.fromkeys((*_cutting.OWN_COLUMNS, "frame"), "from_positions")
        if neighbours is not None:
            others = [_cutting.neighbour_positions(one, order) for one in given[1]]
            for k, xy in enumerate(positions):
                own, of_others = (_cutting.standard_errors(one[k]) for one in given[:2])
                stretch = _cutting.stretch_to_take_out(given[0][k])
                around, its_units = _cutting.surroundings(
                    xy, others[k], image, own, of_others, stretch
                )
                writers |= dict.fromkeys(set(around).difference(*columns), "neighbours")
                columns[k], units = columns[k] | around | columns[k], its_units | units
        if lazy is None:
            lazy = image._lazy or issubclass(cls, LazySignal2D)
        image = _cutting.kept_in_memory(image)
        progress = partial(progress_bar, "Cutting sub-images", show_progressbar)
        data, axes, metadata, table = _cutting.cut_stack(
            image, positions, window_size, lazy, centring, columns, units, progress
        )
        table.claim(writers)
        stack = (LazySubImageStack if lazy else SubImageStack)(data, axes=axes, metadata=metadata)
        stack._set_sites(table)
        stack._image = image
        stack.metadata.set_item(IMAGE_NODE, note_of(image))
        if neighbours is not None:
            k = int(np.argmax([len(xy) for xy in positions]))
            _cutting.warn_small_window(data.shape[-1], positions[k], others[k])
        if "frame" in table and "track" not in table:
            stack.link_frames()
        return stack

    @classmethod
    @noting_warnings
    @of_each_detector
    def from_sublattice(
        cls,
        sublattice: Any,
        image: Any = None,
        window_size: int | float | None = None,
        neighbours: Any = None,
        *,
        lazy: bool | None = None,
        centring: str = "subpixel",
        columns: Any = None,
        units: Any = None,
        channels: bool | Sequence[str] = False,
        show_progressbar: bool | None = None,
    ) -> Self:
        """
        Cut a window around every column of an Atomap sublattice.

        Parameters
        ----------
        sublattice : atomap.sublattice.Sublattice
            Its fitted shapes become columns: ``sigma_x``, ``sigma_y``, ``rotation``,
            ``amplitude``, or all of its ``column_table``.
        image : hyperspy.api.signals.Signal2D
            The image to cut from; its calibration holds. Without it, the sublattice's
            ``original_image`` is used with a warning, because Atomap may have subtracted another
            sublattice from it.
        window_size : int, float or None
            int: pixels. float: units of the image's axes. If None, 1.85 nearest-neighbour
            distances.
        neighbours : Sublattice or array-like of shape (m, 2), optional
            The other sublattice. Each site's four nearest of them, or of its own sublattice if
            there is no other, give the displacement and the cell, as in :meth:`from_positions`.
        lazy, centring, columns, units, channels, show_progressbar
            As in :meth:`from_positions`.

        Returns
        -------
        SubImageStack or LazySubImageStack

        Raises
        ------
        TypeError, ValueError, FileNotFoundError
            As in :meth:`from_positions`.

        Examples
        --------
        >>> import hs_rvae
        >>> image, _ = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> a, b = hs_rvae.find_sublattices(image).sublattice_list
        >>> stack = SubImageStack.from_sublattice(b, image, window_size=40, neighbours=a)
        >>> {"sigma_x", "displacement_x", "displacement_std"} <= set(stack.sites.columns)
        True
        """
        shapes = _positions.sublattice_positions(sublattice)
        del shapes["x"], shapes["y"]
        stack = cls.from_positions(
            _cutting.image_of_sublattice(sublattice, image),
            sublattice,
            window_size,
            neighbours=sublattice if neighbours is None else neighbours,
            lazy=lazy,
            centring=centring,
            columns=shapes | _as_dict(columns),
            units=_positions.POSITION_UNITS | _as_dict(units),
            show_progressbar=show_progressbar,
        )
        _claim_fitted(stack.sites, _as_dict(columns))
        return stack

    @classmethod
    @noting_warnings
    @of_each_detector
    def from_atom_lattice(
        cls,
        lattice: Any,
        image: Any = None,
        sublattice: Any = None,
        window_size: int | float | None = None,
        *,
        cage: Any = None,
        lazy: bool | None = None,
        centring: str = "subpixel",
        columns: Any = None,
        units: Any = None,
        channels: bool | Sequence[str] = False,
        show_progressbar: bool | None = None,
    ) -> Self:
        """
        Cut a window around every column of one sublattice of an Atomap lattice.

        Parameters
        ----------
        lattice : atomap.atom_lattice.Atom_Lattice, LatticeSeries, str or pathlib.Path
            What :func:`hs_rvae.find_sublattices` returns, of an image or a series. Displacements
            are those against the first shell of neighbours that the crystal predicts, within the
            grain. Without a crystal, as in a lattice of Atomap's, they are those against the four
            nearest columns of the other sublattice, or of its own if there are not two.
            A path names a file that ``Atom_Lattice.save`` wrote. Such a file keeps positions,
            ``sigma_x``, ``sigma_y`` and ``rotation``, but neither amplitudes nor a
            ``column_table``.
        image : hyperspy.api.signals.Signal2D
            The image to cut from; its calibration holds. Without it, ``lattice.image`` is used.
        sublattice : int, str or Sublattice, optional
            Index, name or element, for example "A" or "Ti". If None, "B" where there is one, else
            "A" or the only one.
        window_size : int, float or None
            int: pixels. float: units of the image's axes. If None, 1.85 nearest-neighbour
            distances.
        cage : str or list of str, optional
            Sublattices of the neighbours that displacements refer to, such as "A". If None, the
            brightest other sublattice whose columns enclose the site at about one distance, or the
            nearest columns of all others.
        lazy, centring, columns, units, channels, show_progressbar
            As in :meth:`from_positions`.

        Returns
        -------
        SubImageStack or LazySubImageStack

        Raises
        ------
        TypeError
            If it is not a lattice.
        ValueError
            If there is no such sublattice, or the file holds no lattice; if `cage` is given, and
            the lattice has no crystal.
        FileNotFoundError
            If a path has no file.

        Examples
        --------
        >>> import hs_rvae
        >>> image, _ = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> lattice = hs_rvae.find_sublattices(image)
        >>> stack = SubImageStack.from_atom_lattice(lattice, image, "B", window_size=40)
        >>> stack.sites.units["displacement_x"]
        'px'
        """
        if hasattr(lattice, "tables"):
            given = {name for one in columns or [] for name in _as_dict(one)}
            image, positions, neighbours, columns, own = _series.of_lattices(
                lattice, image, sublattice, columns, cage
            )
            stack = cls.from_positions(
                image,
                positions,
                window_size,
                neighbours=neighbours,
                lazy=lazy,
                centring=centring,
                columns=columns,
                units=own | _as_dict(units),
                show_progressbar=show_progressbar,
            )
            _claim_fitted(stack.sites, given)
            note_warnings(stack, _cutting.warnings_of(lattice))
            return stack
        lattice = _cutting.atom_lattice(lattice)
        chosen, others = _positions.pick_sublattice(lattice, sublattice)
        neighbours = _cutting.cage_of(lattice, chosen, cage)
        if neighbours is None and len(others) == 1:
            neighbours = others[0]
        stack = cls.from_sublattice(
            chosen,
            _cutting.image_of_lattice(lattice, chosen, image),
            window_size,
            neighbours=neighbours,
            lazy=lazy,
            centring=centring,
            columns=columns,
            units=units,
            show_progressbar=show_progressbar,
        )
        number = [one is chosen for one in lattice.sublattice_list].index(True)
        stack.metadata.set_item(COLUMNS_NODE, record_of(lattice, number))
        note_warnings(stack, _cutting.warnings_of(lattice))
        return stack

    @classmethod
    @noting_warnings
    def from_site_signals(
        cls,
        patterns: Any,
        columns: Any,
        centre: Any = None,
        radius: int | float | None = None,
        scan_rotation: float | None = None,
        flip: bool = False,
    ) -> Self:
        """
        Take the diffraction pattern of each site as its sub-image.

        The sub-images are the square root of the counts, in one window about the bright disk, less
        their linear change with the place of the probe in its pixel. Then :meth:`rvae` separates
        the part that all patterns have from the part that turns with the displacement.
        Patterns about the centre of the cage show that displacement; those on the column do not.

        Parameters
        ----------
        patterns : hyperspy.api.signals.BaseSignal
            ``(site | kx, ky)``, what ``stack.get_site_signals(data, radius=1, about="cage")`` makes
            of 4D-STEM data; eager or lazy. Sites without a pattern (NaN) are left out. Lazy
            patterns that are small beside the free memory are computed.
        columns : SiteTable, pandas.DataFrame or Mapping of str to array-like of shape (n,)
            Table of the sites, ``stack.sites``. It needs the positions ``x`` and ``y``: other cells
            test the angles. Its stretch is left out.
        centre : tuple of float, optional
            Centre ``(x, y)`` of the bright disk, in pixels of the detector. If None, the middle of
            the area within the rim of the mean pattern.
        radius : int, float or None
            Radius of the disk that is kept. int: pixels of the detector. float: units of its axes.
            If None, 1.2 times that of the bright disk.
        scan_rotation : float, optional
            Direction of the scan's +x in the patterns, in degrees from their +x towards their +y.
            It is taken off the angles. If None,
            ``metadata.Acquisition_instrument.TEM.scan_rotation``; without it 0, with a line in the
            log.
        flip : bool
            Mirror the patterns in ky, for a detector that runs against the scan. `scan_rotation`
            holds for the mirrored patterns.

        Returns
        -------
        SubImageStack or LazySubImageStack
            float32, with the columns of the sites; the axes are those of the detector, the centre
            of the disk at zero. ``metadata.Sub_images.patterns`` keeps the choice.

        Raises
        ------
        TypeError
            If `patterns` is not a signal of real numbers, or is a stack already.
        ValueError
            If `patterns` does not have one pattern for each row of `columns`, or no counts; if
            there are no positions; if the window leaves the detector.

        Examples
        --------
        >>> import hs_rvae
        >>> data, truth = hs_rvae.simulation.simulate_4dstem(
        ...     (130, 130), cell=26, detector=32, random_state=0
        ... )
        >>> a, b = (sites[["x", "y"]] / 2 for sites in (truth.a_sites, truth.b_sites))
        >>> image = data.sum(axis=("kx", "ky"))
        >>> stack = SubImageStack.from_positions(image, b, window_size=10, neighbours=a)
        >>> patterns = stack.get_site_signals(data, radius=1, about="cage")
        >>> of_patterns = SubImageStack.from_site_signals(patterns, stack.sites)
        >>> of_patterns.axes_manager.signal_axes[0].units
        'mrad'
        """
        parts = _patterns.stack_parts(patterns, columns, centre, radius, scan_rotation, flip)
        data, axes, metadata, table = parts
        lazy = hasattr(data, "dask")
        stack = (LazySubImageStack if lazy else SubImageStack)(data, axes=axes, metadata=metadata)
        stack._set_sites(table)
        return stack

    def get_site_signals(
        self,
        signal: Any,
        radius: Any = None,
        statistic: str = "mean",
        *,
        region: str = "disk",
        about: str = "column",
        lazy_output: bool | None = None,
        num_workers: int | None = None,
        show_progressbar: bool | None = None,
    ) -> Any:
        """
        Another signal of the same scan at every site.

        Positions are carried over by the calibrated axes of image and signal, so that the step of
        the scan, a ROI or a rebinned signal may differ. Without calibration the scan must have the
        size of the image, and positions are taken pixel for pixel.

        Parameters
        ----------
        signal : hyperspy.api.signals.BaseSignal
            ``(x, y | ...)``: a spectrum image, 4D-STEM data; or an image of the scan; eager or
            lazy.
        radius : int, float, tuple or None
            int: pixels of the scan about the one nearest to the site. float: units of the scan's
            axes, about the site itself. If None, the nearest pixel. For "ring", (inner, outer).
        statistic : {"mean", "sum"}
            Over the pixels of a site.
        region : {"disk", "cell", "ring"}
            "cell": the pixels that are nearer to this site than to another site of the stack, up to
            0.75 nearest-neighbour distances. A disk about a column averages its displacement away;
            a cell or a disk about the cage keeps it.
        about : {"column", "cage"}
            "cage": the column less its displacement from its neighbours.
        lazy_output : bool, optional
            If None, as `signal` is.
        num_workers : int, optional
            Threads that read lazy data. If None, dask decides.
        show_progressbar : bool, optional
            If None, as HyperSpy's preference.

        Returns
        -------
        BaseSignal
            ``(site | ...)`` of the class of `signal`, with its metadata and the sites of the stack
            in order; NaN for sites whose region leaves the scan or that have no displacement.
            ``metadata.Regions`` keeps the choice.

        Raises
        ------
        TypeError
            If `signal` is not a signal, or of complex numbers or colours.
        ValueError
            If its scan cannot be compared with the image, or no site lies in it; if the region or
            its radius is wrong.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
        >>> stack = SubImageStack.from_positions(image, truth.b_sites, window_size=40)
        >>> heights = stack.get_site_signals(image, radius=3)
        >>> heights.data.shape == (len(stack.sites),)
        True
        """
        choice = _regional.Choice(radius, region, about, statistic)
        return _regional.site_signals(
            self, signal, choice, lazy_output, num_workers, show_progressbar
        )

    def get_mean_cell(
        self,
        signal: Any,
        column: str = "variant",
        *,
        window_size: int | float | None = None,
        derotate: bool = False,
        centring: str = "nearest",
        num_workers: int | None = None,
        show_progressbar: bool | None = None,
    ) -> Any:
        """
        Average window of another signal around the sites of each label.

        A spectrum image gives the elemental maps of the average cell of each variant.

        Parameters
        ----------
        signal : hyperspy.api.signals.BaseSignal
            As in :meth:`get_site_signals`.
        column : str
            Integer column; -1 is left out.
        window_size : int, float or None
            int: pixels of the scan. float: units of its axes. If None, the size of the stack's
            windows.
        derotate : bool
            Turn each window back before the mean, by the angles that :meth:`derotate` uses.
        centring : {"nearest", "subpixel"}
            "nearest" copies pixels, which keeps counts; "subpixel" shares them by area.
        num_workers, show_progressbar
            As in :meth:`get_site_signals`.

        Returns
        -------
        BaseSignal
            ``(x, y, label | ...)`` of the class of `signal`, the axes x and y with the column at
            zero; for an image ``(label | x, y)``. ``metadata.Clusters`` has ``labels``, ``counts``
            and ``left_out``; the variance of the means is in
            ``metadata.Signal.Noise_properties.variance``.

        Raises
        ------
        KeyError, TypeError, ValueError
            As in :meth:`get_cluster_means`; ValueError also if the window does not fit the scan.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
        >>> variant = truth.b_sites["variant"].to_numpy()
        >>> stack = SubImageStack.from_positions(
        ...     image, truth.b_sites, window_size=40, columns={"variant": variant}
        ... )
        >>> stack.get_mean_cell(image, window_size=30).axes_manager.signal_shape
        (30, 30)
        """
        return _regional.mean_cell(
            self, signal, column, window_size, derotate, centring, num_workers, show_progressbar
        )

    @recorded
    def measure_modes(
        self,
        cage: str | ArrayLike = "neighbours",
        *,
        reference: Any = None,
        overwrite: bool = False,
        show_progressbar: bool | None = None,
    ) -> np.ndarray:
        """
        Measure displacement, rotation and strain of each site from its pixels.

        Each column of a sub-image moves as a whole, its shape stays. All columns of the sub-image
        are fitted together, weighted by the noise. Writes the columns ``mode_displacement_x`` and
        ``_y`` (the site minus the mean of the columns around it, in px, and calibrated),
        ``mode_rotation`` (degrees, positive from +x towards +y), ``mode_strain_xx``, ``_yy`` and
        ``_xy`` (per cent; the tensor's, x right, y down), their standard errors ``..._std``, and
        ``mode_residual``. Rotation and strain are those of the surroundings against `reference`.
        The displacement needs no reference. Columns such as ``displacement_x``, which come from
        fitted positions, are not used: they stay an independent check.

        Parameters
        ----------
        cage : {"neighbours", "nearest"} or array-like of shape (n, 2)
            The columns around each site. "neighbours": those that ``displacement_x`` was measured
            from, as far as they can be seen, else the nearest. "nearest": the nearest shell that
            can be seen, such as the oxygen of an octahedron. Places ``(x, y)`` from the site, in
            px: these.
        reference : region of interest, slice or array-like, optional
            Sites without rotation and strain, as in :meth:`select_sites`; for example
            ``stack.sites["variant"] == 0``; some of each image. If None, all: rotation and strain
            are those against the mean of each image.
        overwrite : bool
            Whether columns of these names that you wrote are replaced.
        show_progressbar : bool, optional
            If None, as HyperSpy's preference.

        Returns
        -------
        numpy.ndarray, shape (n, 2)
            Places ``(x, y)`` of the surrounding columns from the site, in px: those of the last
            image.

        Raises
        ------
        ValueError
            If fewer than three columns around the site can be seen, or they stand on one line,
            fewer than ten sub-images are whole, `reference` selects no site of an image, or a
            column of yours would be replaced.
        IndexError
            If `reference` names a site that does not exist.

        Notes
        -----
        NaN: sites near a defect or an edge, where a column is missing or moved by more than 1.2
        of its widths, and sub-images with masked pixels. Where the windows are too small for the
        surroundings, larger ones are cut from :attr:`image`.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(
        ...     image, truth.b_sites, window_size=48, neighbours=truth.a_sites
        ... )
        >>> stack.measure_modes().shape
        (4, 2)
        >>> stack.sites.units["mode_strain_xx"]
        '%'
        """
        return _deformation.measure(self, cage, reference, overwrite, show_progressbar)

    def recut(
        self,
        image: Any,
        window_size: int | float | None = None,
        *,
        lazy: bool | None = None,
        show_progressbar: bool | None = None,
    ) -> Self:
        """
        Cut the same sites from the image of another detector.

        Parameters
        ----------
        image : hyperspy.api.signals.Signal2D
            Image of the same scan as the stack's, with the same pixels.
        window_size : int, float or None
            int: pixels. float: units of the image's axes. If None, that of this stack.
        lazy, show_progressbar
            As in :meth:`from_positions`.

        Returns
        -------
        SubImageStack or LazySubImageStack
            With the same site table, units and writers; ``site_index`` as in this stack. Angles,
            variants and clusters in it are those that this stack has.

        Raises
        ------
        ValueError
            If the image is of another size than the stack's, or a site gets no window.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
        >>> stack = SubImageStack.from_positions(image, truth.b_sites, window_size=40)
        >>> other = stack.recut(image * -1.0, window_size=32)
        >>> len(other.sites) == len(stack.sites)
        True
        """
        return _regional.recut(self, type(self), image, window_size, lazy, show_progressbar)

    def __repr__(self) -> str:
        text = super().__repr__()
        signal = self._sites_signal()
        if signal is None:
            return text
        x, y = self.axes_manager.signal_axes
        pixels = f"{x.size}" if x.size == y.size else f"{x.size} x {y.size}"
        extent = (
            f" ({abs(x.size * x.scale):.4g} {x.units})" if _units.is_calibrated(x.units) else ""
        )
        count, names = n_sites(self), names_of(self)
        detectors = f"detectors: {', '.join(names)}, " if names else ""
        return (
            f"{text[:-1]}, {detectors}{count} {'site' if count == 1 else 'sites'}, "
            f"window: {pixels} px{extent}, {_columns_text(list(signal.metadata.Sites.columns))}>"
        )


def _columns_text(names: list[str]) -> str:
    """All columns if they are few; otherwise the main ones of each step of the work."""
    if len(names) <= _MAXIMUM_NAMES:
        return f"columns: {', '.join(names)}"
    telling = [
        name
        for name in _columns.main(names)
        if _columns.kind(name) not in ("count", "position")
        and not name.endswith(("_y", "_std"))
        and (name == "latent_0" or not name.startswith("latent_"))
    ]
    return f"{len(names)} columns" + (f", among them {', '.join(telling)}" if telling else "")


def _claim_fitted(sites: SiteTable, given: Iterable[str]) -> None:
    """Note that a fit of the columns wrote its columns, except those that were `given`."""
    fitted = _columns.written_by("sublattice", sites.columns)
    sites.claim(dict.fromkeys(set(fitted).difference(given), "sublattice"))


def _as_dict(columns: Any) -> dict[str, Any]:
    """A mapping, a DataFrame or the columns of a site table as a dictionary."""
    return _cutting.given_columns(columns)[0]


class LazySubImageStack(SubImageStack, LazySignal2D):
    """
    A stack whose sub-images are cut, or read, when they are asked for.

    :meth:`compute` turns it into a :class:`SubImageStack`; ``as_lazy`` does the opposite. The
    site table is always in memory.
    """


check_methods(SiteSignal, all_or_nothing)  # its subclasses do it as they are made
