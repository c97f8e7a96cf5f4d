# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack of sub-images: a HyperSpy signal ``(site | x, y)`` that carries its site table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from hyperspy.external.progressbar import progressbar
from hyperspy.signals import LazySignal2D

from hs_rvae import positions as _positions
from hs_rvae.progress import progressbar_wanted
from hs_rvae.signals import cutting as _cutting
from hs_rvae.signals import series as _series
from hs_rvae.signals.figures import FigureMethods
from hs_rvae.signals.origins import IMAGE_NODE, note_of
from hs_rvae.signals.series import SeriesMethods
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units

if TYPE_CHECKING:
    from hs_rvae.sites import SiteTable

_MOST_NAMES = 8  # columns that the representation lists one by one


class SubImageStack(FigureMethods, SeriesMethods):
    """
    Sub-images around the columns of one sublattice, with a table of their sites.

    The navigation axis is ``site``; the signal axes have the names, units and scales of the
    image, with the column at zero. :attr:`sites` is the table of named columns; it follows
    slicing, copies, selection and saving. Make a stack with :meth:`from_positions`,
    :meth:`from_sublattice` or :meth:`from_atom_lattice`.

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
            lazy. The stack holds it by reference (:attr:`image`). The outermost lines of a lazy
            image are read, and floating values are checked for NaN once, block by block. The stack
            of a series has the columns ``frame`` and ``track`` (see :meth:`link_frames`).
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
            columns.
        columns : Mapping of str to array-like of shape (n,), optional
            Further columns of the site table, one value for each of `positions_xy`. They
            replace columns that come from `neighbours`.
        units : Mapping of str to str, optional
            Units of `columns`; dimensionless if not given.
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
        positions = [_positions.as_positions(one, order) for one in given[0]]
        columns, units = [_as_dict(one) for one in given[2]], _as_dict(units)
        columns = [
            _positions.position_classes(one) | own
            for one, own in zip(given[0], columns, strict=True)
        ]
        writers = dict.fromkeys((*_cutting.OWN_COLUMNS, "frame"), "from_positions")
        if neighbours is not None:
            others = [_cutting.neighbour_positions(one, order) for one in given[1]]
            for k, xy in enumerate(positions):
                errors = [_cutting.standard_errors(one[k]) for one in given[:2]]
                around, its_units = _cutting.surroundings(xy, others[k], image, *errors)
                writers |= dict.fromkeys(set(around).difference(*columns), "neighbours")
                columns[k], units = columns[k] | around | columns[k], its_units | units
        if lazy is None:
            lazy = image._lazy or issubclass(cls, LazySignal2D)
        progress = partial(
            progressbar,
            disable=not progressbar_wanted(show_progressbar),
            leave=True,
            desc="Cutting sub-images",
        )
        data, axes, metadata, table = _cutting.cut_stack(
            image,
            positions,
            window_size,
            lazy,
            centring,
            columns,
            units,
            progress,
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
        lazy, centring, columns, units, show_progressbar
            As in :meth:`from_positions`.

        Returns
        -------
        SubImageStack or LazySubImageStack

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
            Index or name, for example "A". If None, "B" where there is one, else "A" or the only
            one.
        window_size : int, float or None
            int: pixels. float: units of the image's axes. If None, 1.85 nearest-neighbour
            distances.
        cage : str or list of str, optional
            Sublattices of the neighbours that displacements refer to, such as "A". If None, the
            brightest other sublattice whose columns enclose the site at about one distance, or the
            nearest columns of all others.
        lazy, centring, columns, units, show_progressbar
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
            If there is no such file.

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
            return stack
        lattice = _cutting.atom_lattice(lattice)
        chosen, others = _positions.pick_sublattice(lattice, sublattice)
        neighbours = _cutting.cage_of(lattice, chosen, cage)
        if neighbours is None and len(others) == 1:
            neighbours = others[0]
        return cls.from_sublattice(
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
        count = self.axes_manager.navigation_size or 1
        return (
            f"{text[:-1]}, {count} {'site' if count == 1 else 'sites'}, "
            f"window: {pixels} px{extent}, {_columns_text(list(signal.metadata.Sites.columns))}>"
        )


def _columns_text(names: list[str]) -> str:
    """All columns if they are few; otherwise the main ones of each step of the work."""
    if len(names) <= _MOST_NAMES:
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
    """A mapping or a DataFrame as a dictionary."""
    return {} if columns is None else dict(columns)


class LazySubImageStack(SubImageStack, LazySignal2D):
    """
    A stack whose sub-images are cut, or read, when they are asked for.

    :meth:`compute` turns it into a :class:`SubImageStack`; ``as_lazy`` does the opposite. The
    site table is always in memory.
    """
