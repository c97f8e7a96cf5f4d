# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site table: everything known about each site, as named columns with units."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.checks import checked, finite_number, naming, shown
from hs_rvae.files import complete_file
from hs_rvae.masked_arrays import filled

from . import columns as _register

if TYPE_CHECKING:
    import pandas as pd


_EXACT = 2**53  # whole numbers up to here are exact in double precision

#: Format of the table in the metadata of a stack; others are refused. A table without one has 1.
FORMAT = 1


class SiteTable:
    """
    Named columns, one row per site, as a view of a HyperSpy signal ``(sites | columns)``.

    Changing a column through the table changes the signal, so changes need not be written back to
    the stack. All columns are stored as float64; those that were given as integers (indices,
    labels) are read as int64. The table keeps who wrote each column (:attr:`writers`): a method
    of a stack replaces its own columns and refuses to replace those of others.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal
        With the column names, units, integer flags and writers in ``metadata.Sites``, as made by
        :meth:`from_columns`. A signal without navigation axis is a table of one row.

    Examples
    --------
    >>> table = SiteTable.from_columns({"x": [4.0, 8.5], "y": [1.0, 2.0]}, units={"x": "px"})
    >>> table.set("variant", [0, 3])
    >>> table["variant"]
    array([0, 3])
    >>> table[["x", "y"]].shape
    (2, 2)
    >>> table
    <SiteTable, 2 sites, columns: x (px), y, variant>
    """

    # len() counts sites while names are looked up: iterating would be ambiguous.
    __iter__ = None

    @checked
    def __init__(self, signal: Any) -> None:
        metadata = getattr(signal, "metadata", None)
        if metadata is None or not metadata.has_item("Sites.columns"):
            raise ValueError(
                "signal is not a site table (no metadata.Sites.columns): use "
                "SiteTable.from_columns."
            )
        if fault := damage(signal):
            raise ValueError(f"signal is a damaged site table: {fault}.")
        if hasattr(signal.data, "compute"):
            signal.compute(show_progressbar=False)
        self.signal = signal

    @classmethod
    @checked(but=("columns", "pixel_size", "pixel_offset"))
    def from_columns(
        cls,
        columns: Mapping[str, Any],
        units: Mapping[str, str] | None = None,
        pixel_size: Sequence[float] = (1.0, 1.0),
        pixel_units: str = "px",
        pixel_offset: Sequence[float] = (0.0, 0.0),
        *,
        writers: Mapping[str, str] | None = None,
    ) -> SiteTable:
        """
        Make a table from arrays.

        Parameters
        ----------
        columns : Mapping of str to array-like of shape (n,)
            Integer and boolean arrays make integer columns.
        units : Mapping of str to str, optional
            Units by column name; "" (the default) means dimensionless.
        pixel_size : tuple of float
            Width and height of a pixel of the parent image, in `pixel_units`.
        pixel_units : str
            Units of the parent image's axes.
        pixel_offset : tuple of float
            Calibrated coordinates (x, y) of pixel (0, 0) of the parent image.
        writers : Mapping of str to str, optional
            Who wrote each column, see :attr:`writers`; "" (the default) is the user.

        Returns
        -------
        SiteTable
        """
        from hyperspy.signals import Signal1D

        for name, pair in (("pixel_size", pixel_size), ("pixel_offset", pixel_offset)):
            if np.shape(pair) != (2,) or not all(finite_number(each) for each in pair):
                raise ValueError(f"{name}={shown(pair)}: give two finite numbers, x and y.")
        if 0 in pixel_size:
            raise ValueError(f"pixel_size={pixel_size!r}: a pixel has a size that is not zero.")
        if not isinstance(columns, Mapping) and not hasattr(columns, "columns"):
            raise TypeError(f"columns={shown(columns)}: give a mapping of names to values.")
        with naming("columns"):
            columns = {name: _checked(name, values) for name, values in dict(columns).items()}
        lengths = {len(values) for values in columns.values()}
        if len(lengths) != 1:
            raise ValueError(
                f"columns need one common length, not {sorted(lengths)}: give each one "
                "value per site."
            )
        data = np.empty((lengths.pop(), len(columns)))
        for i, values in enumerate(columns.values()):
            data[:, i] = values
        axes = [
            {"name": "site", "size": data.shape[0], "navigate": True},
            {"name": "column", "size": data.shape[1], "navigate": False},
        ]
        signal = Signal1D(data, axes=axes)
        signal.metadata.General.title = "Site table"
        units, writers = dict(units or {}), dict(writers or {})
        signal.metadata.add_dictionary(
            {
                "Sites": {
                    "format": FORMAT,
                    "columns": list(columns),
                    "units": [str(units.get(name, "")) for name in columns],
                    "integer": [_is_integer(values) for values in columns.values()],
                    "writers": [str(writers.get(name, "")) for name in columns],
                    "pixel_size": [float(size) for size in pixel_size],
                    "pixel_units": str(pixel_units),
                    "pixel_offset": [float(offset) for offset in pixel_offset],
                }
            }
        )
        return cls(signal)

    @property
    def _node(self) -> Any:
        return self.signal.metadata.Sites

    @property
    def _rows(self) -> np.ndarray:
        """The data as (sites, columns): a view, also for the one row left by an integer index."""
        return self.signal.data.reshape(-1, self.signal.data.shape[-1])

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._node.columns)

    @property
    def units(self) -> dict[str, str]:
        """Units by column name; "" means dimensionless."""
        return dict(zip(self.columns, self._node.units, strict=True))

    @property
    def writers(self) -> dict[str, str]:
        """
        Writer of each column, by name: "" is the user.

        Otherwise it is a key of :data:`hs_rvae.sites.columns.WRITERS`, such as "rvae". Values that
        are set through the table are the user's, whoever wrote the column before.
        """
        known = self._node.get_item("writers")
        if known is None:  # of an earlier version
            known = [getattr(_register.find(name), "writer", "") for name in self.columns]
        return dict(zip(self.columns, known, strict=True))

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Width and height of a pixel of the parent image, in :attr:`pixel_units`."""
        width, height = self._node.pixel_size
        return float(width), float(height)

    @property
    def pixel_units(self) -> str:
        """Units of the parent image's axes; "px" if it is not calibrated."""
        return str(self._node.pixel_units)

    @property
    def pixel_offset(self) -> tuple[float, float]:
        """Calibrated coordinates (x, y) of pixel (0, 0) of the parent image."""
        x, y = self._node.pixel_offset
        return float(x), float(y)

    @property
    def xy(self) -> np.ndarray:
        """Positions ``(x, y)`` of the sites in pixels of the parent image, shape (n, 2)."""
        return self[["x", "y"]]

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError: columns are items, not attributes."""
        known = not name.startswith("_") and name != "signal" and name in self.columns
        hint = f": columns are items, sites[{name!r}]" if known else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.columns

    def __repr__(self) -> str:
        names = [f"{name} ({unit})" if unit else name for name, unit in self.units.items()]
        return f"<SiteTable, {len(self)} sites, columns: {', '.join(names)}>"

    def _repr_html_(self) -> str:
        """The first and last sites as a table, for notebooks."""
        frame = self.to_dataframe()
        units = self.units
        frame.columns = [f"{name} ({units[name]})" if units[name] else name for name in units]
        return frame.to_html(
            max_rows=8, float_format="{:.4g}".format, notebook=True, show_dimensions=True
        )

    def __getitem__(self, names: str | list[str] | tuple[str, ...]) -> np.ndarray:
        """
        Values of one column (a copy, shape (n,)), or of a list of columns (shape (n, m)).

        Parameters
        ----------
        names : str or list of str

        Returns
        -------
        numpy.ndarray
            int64 for a single integer column, float64 otherwise.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        several = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
        if not (isinstance(names, str) or several):
            raise KeyError(f"names={shown(names)}: give the name of a column, or names in a list.")
        if isinstance(names, list | tuple):
            with naming("names"):
                return self._rows[:, [self._index(name) for name in names]]
        index = self._index(names)
        values = self._rows[:, index].copy()
        return np.rint(values).astype(np.int64) if self._node.integer[index] else values

    @checked(but=("name",))
    def __setitem__(self, name: str, values: Any) -> None:
        self.set(name, values, self.units.get(name, _register.registered_unit(str(name))))

    def _index(self, name: str) -> int:
        try:
            return self.columns.index(name)
        except ValueError:
            raise KeyError(missing_column(self, name)) from None

    def _ipython_key_completions_(self) -> list[str]:
        """Names that the tabulator key offers after ``sites["``."""
        return list(self.columns)

    @checked(but=("name",))
    def set(self, name: str, values: Any, units: str = "") -> None:
        """
        Write a column: add it, or replace its values and units.

        Parameters
        ----------
        name : str
        values : array-like of shape (n,)
            Integers and booleans make an integer column. Masked values become NaN.
        units : str
            "" means dimensionless.
        """
        _check_name(name)
        with naming("values"):
            values = _checked(name, values)
        self.set_many({name: values}, {name: units})

    @checked(but=("columns",))
    def set_many(
        self,
        columns: Mapping[str, Any],
        units: Mapping[str, str] | None = None,
        *,
        writer: str = "",
        remove: Collection[str] = (),
    ) -> None:
        """
        Write several columns at once; nothing is changed if one of them does not fit.

        Parameters
        ----------
        columns : Mapping of str to array-like of shape (n,)
        units : Mapping of str to str, optional
            Columns that are not named here keep their units; new ones are dimensionless.
        writer : str
            Who writes them, see :attr:`writers`.
        remove : collection of str
            Columns that go at the same moment, if they are there.
        """
        if not isinstance(columns, Mapping):
            raise TypeError(f"columns={shown(columns)}: give a mapping of names to values.")
        with naming("columns"):
            columns = {name: _checked(name, values) for name, values in dict(columns).items()}
        for name, values in columns.items():
            if len(values) != len(self):
                raise ValueError(
                    f"columns: Column {name!r} has {len(values)} values for {len(self)} sites: "
                    "give one for each, NaN where there is none."
                )
        kept = [name for name in self.columns if name not in remove]
        names = kept + [name for name in columns if name not in kept]
        integer = dict(zip(self.columns, self._node.integer, strict=True))
        integer |= {name: _is_integer(values) for name, values in columns.items()}
        data = np.empty((len(self), len(names)))
        for i, name in enumerate(names):
            data[:, i] = columns[name] if name in columns else self._rows[:, self._index(name)]
        writers = self.writers | dict.fromkeys(columns, str(writer))
        self._replace(data, names, self.units | dict(units or {}), integer, writers)

    @checked
    def claim(self, writers: Mapping[str, str]) -> None:
        """
        Note who wrote columns.

        Parameters
        ----------
        writers : Mapping of str to str
            Writer by column; see :attr:`writers`. Columns that are not there do not count.
        """
        known = self.writers
        self._node.writers = [str(writers.get(name, known[name])) for name in self.columns]

    @checked
    def numbered(self, stem: str) -> list[str]:
        """Columns ``stem_0``, ``stem_1`` ..., in the order of their numbers."""
        names = [name for name in self.columns if re.fullmatch(rf"{re.escape(stem)}_\d+", name)]
        return sorted(names, key=lambda name: int(name.rsplit("_", 1)[1]))

    @checked
    def check_free(
        self,
        names: Collection[str],
        verb: str,
        writer: str,
        overwrite: bool = False,
        instead: str | None = None,
    ) -> None:
        """
        Refuse to replace columns that somebody else wrote.

        Parameters
        ----------
        names : collection of str
            Columns that would be replaced or removed; those that are not there do not count.
        verb : str
            The call, for the message: ``"stack.rvae"``.
        writer : str
            Who would write them; its own columns are free.
        overwrite : bool
            Whether the user allows it.
        instead : str, optional
            Another way out than the removal of the columns, for the message.

        Raises
        ------
        ValueError
            If one of them is the user's, or of another writer.
        """
        if overwrite:
            return
        writers = self.writers
        foreign = [n for n in self.columns if n in names and writers[n] != writer]
        if foreign:
            owners = {_register.WRITERS.get(writers[name], "you") for name in foreign}
            one = len(foreign) == 1
            raise ValueError(
                f"{verb}() would replace the {'column' if one else 'columns'} "
                f"{', '.join(map(repr, foreign))}, which {' and '.join(sorted(owners))} wrote: "
                f"{instead or 'keep a copy under another name'}, or pass overwrite=True."
            )

    @checked
    def remove(self, *names: str) -> None:
        """
        Remove columns.

        Parameters
        ----------
        *names : str

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If none would be left.
        """
        with naming("names"):
            gone = [self._index(name) for name in names]
        kept = [i for i in range(len(self.columns)) if i not in gone]
        if not kept:
            raise ValueError(
                "The last column of a site table cannot be removed: add another first."
            )
        integer = dict(zip(self.columns, self._node.integer, strict=True))
        left = [self.columns[i] for i in kept]
        self._replace(self._rows[:, kept], left, self.units, integer, self.writers)

    def _replace(
        self,
        data: np.ndarray,
        names: list[str],
        units: Mapping[str, str],
        integer: Mapping[str, bool],
        writers: Mapping[str, str],
    ) -> None:
        """Put other columns into the signal; the sites stay."""
        self.signal.data = data.reshape(*self.signal.data.shape[:-1], len(names))
        self.signal.get_dimensions_from_data()
        self._node.columns = names
        self._node.units = [str(units.get(name, "")) for name in names]
        self._node.integer = [bool(integer[name]) for name in names]
        self._node.writers = [writers[name] for name in names]

    @checked
    def take(self, sites: Any) -> SiteTable:
        """
        Make a new table with some of the sites.

        Parameters
        ----------
        sites : array-like
            Boolean mask of length n, or integer indices.

        Returns
        -------
        SiteTable
        """
        chosen = np.asarray(filled(sites))
        if chosen.ndim != 1 or (chosen.dtype.kind not in "biu" and chosen.size):
            raise TypeError(
                f"sites={shown(sites)}: give a mask of the sites, or their numbers, in an array."
            )
        with naming("sites"):
            rows = self._rows[chosen.astype(int) if not chosen.size else chosen]
        integer = zip(self.columns, rows.T, self._node.integer, strict=True)
        return SiteTable.from_columns(
            {name: np.rint(v).astype(np.int64) if whole else v for name, v, whole in integer},
            units=self.units,
            pixel_size=self.pixel_size,
            pixel_units=self.pixel_units,
            pixel_offset=self.pixel_offset,
            writers=self.writers,
        )

    def to_dataframe(self) -> pd.DataFrame:
        """
        Make a :class:`pandas.DataFrame` of the table.

        Returns
        -------
        pandas.DataFrame
            Index ``site``; ``attrs["units"]`` and ``attrs["writers"]`` hold units and writers by
            column name.
        """
        import pandas as pd

        index = pd.RangeIndex(len(self), name="site")
        frame = pd.DataFrame({name: self[name] for name in self.columns}, index=index)
        frame.attrs |= {"units": self.units, "writers": self.writers}
        return frame

    @checked
    def to_markers(
        self,
        kind: str = "points",
        color: str | None = None,
        *,
        vector: tuple[str, str] = ("displacement_x", "displacement_y"),
        scale: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """
        Make HyperSpy markers of the sites, for any signal with the axes of the image.

        Parameters
        ----------
        kind : {"points", "arrows", "lines"}
            "arrows" and "lines" show a vector, centred on the site.
        color : str, optional
            Column that gives the colours, as :meth:`SubImageStack.plot_site_map` would.
        vector : tuple of str
            Columns x and y of the vector.
        scale : float, optional
            Drawn length of a vector in pixels of the image, for a length of 1. If None, vectors are
            0.8 times as long as the sites are apart, in the mean.
        **kwargs
            Options of :class:`hyperspy.api.plot.markers.Points`, ``Arrows`` or ``Lines``.

        Returns
        -------
        hyperspy.api.plot.markers.Points, Arrows or Lines
            In calibrated coordinates. The sites of a series stand on their frames.

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If the kind is another one, or a column has no finite value.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=40)
        >>> image.plot()
        >>> image.add_marker(stack.sites.to_markers(color="x"), permanent=True)
        """
        # Figures are made of the table, not the table of figures: by name, at the call.
        drawing = import_module("hs_rvae.plots.signal_markers")
        return drawing.site_markers(self, kind, color, vector, scale, **kwargs)

    def to_csv(self) -> str:
        """
        The table as text: CSV with the columns ``site`` and :attr:`columns`.

        The first column is ``row`` if a column of yours is named ``site``.

        Returns
        -------
        str
            As :meth:`save` writes it; numbers are exact.
        """
        index = "site" if "site" not in self.columns else "row"
        return self.to_dataframe().to_csv(lineterminator="\n", index_label=index)

    def units_to_csv(self) -> str:
        """
        The units as text: CSV with the columns ``column`` and ``unit``.

        Returns
        -------
        str
        """
        import pandas as pd

        units = pd.Series(self.units, name="unit").rename_axis("column")
        return units.to_csv(lineterminator="\n")

    @checked
    def save(self, path: str | os.PathLike[str]) -> Path:
        """
        Write the table as CSV, and its units as a second file beside.

        ``pandas.read_csv(path, index_col="site")`` reads the table. The units of
        ``sites.csv`` are in ``sites.units.csv``. Each file appears complete or not at all.

        Parameters
        ----------
        path : str or pathlib.Path

        Returns
        -------
        pathlib.Path
            The file of the table.

        Raises
        ------
        OSError
            If the folder does not exist or cannot be written.
        """
        path = Path(path)
        units_path = path.with_name(f"{path.stem}.units{path.suffix}")
        with (
            complete_file(units_path, "The units") as units,
            complete_file(path, "The table") as draft,
        ):
            draft.write_text(self.to_csv(), encoding="utf-8", newline="\n")
            units.write_text(self.units_to_csv(), encoding="utf-8", newline="\n")
        return path


def damage(signal: Any) -> str:
    """
    Fault in the names, units and flags of a site table, as text; "" for none.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal

    Returns
    -------
    str
    """
    node, width = signal.metadata.Sites, signal.data.shape[-1]
    written = node.get_item("format", 1)
    if written != FORMAT:
        return (
            f"it has format {written!r}, this version of hs_rvae reads {FORMAT}: install the "
            "version that wrote it, or a newer one"
        )
    names = list(node.columns)
    if len(names) != width or len(set(names)) != width:
        return f"it has {width} columns of values and {len(set(names))} names"
    for key in ("units", "integer"):
        values = node.get_item(key)
        if values is None or len(values) != width:
            return f"it has {width} columns and {0 if values is None else len(values)} {key}"
    missing = [k for k in ("pixel_size", "pixel_units", "pixel_offset") if not node.has_item(k)]
    return f"it has no {', '.join(missing)}" if missing else ""


def missing_column(sites: SiteTable, name: object) -> str:
    """Compose the message about a missing column: the call that writes it, other columns."""
    near = difflib.get_close_matches(str(name), sites.columns, n=1)
    stem = re.match(r"[a-z]+_(?=\d+$)", str(name))
    numbered = [c for c in sites.columns if stem and re.fullmatch(rf"{stem[0]}\d+", c)]
    if numbered:
        remedy = f"; the last of its kind is {numbered[-1]!r}."
    elif call := _register.call_for(str(name)):
        remedy = f": run {call} first."
    else:
        remedy = f"; did you mean {near[0]!r}?" if near else "."
    return f"The site table has no column {name!r}{remedy} It has {', '.join(sites.columns)}."


def _checked(name: object, values: Any) -> np.ndarray:
    """Make a 1-D real array of a column's values (also of a HyperSpy signal or dask array)."""
    _check_name(name)
    if isinstance(values, Mapping):
        raise TypeError(f"Column {name!r} needs an array, not a {type(values).__name__}.")
    array = np.asarray(filled(values.data if hasattr(values, "axes_manager") else values))
    if array.dtype.kind not in "iufb":
        raise TypeError(f"Column {name!r} needs real numbers, not {array.dtype}.")
    if (
        array.dtype.kind in "iu"
        and array.size
        and max(abs(int(array.min())), int(array.max())) > _EXACT
    ):
        raise ValueError(
            f"Column {name!r} has whole numbers beyond 2**53, which the table cannot hold exactly: "
            "subtract an origin, or give floats."
        )
    if array.ndim != 1:
        raise ValueError(f"Column {name!r} needs one value per site, not the shape {array.shape}.")
    return array


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or not _is_line(name):
        raise ValueError(f"A column's name must be a line of text, not {ascii(name)}.")


def _is_line(text: str) -> bool:
    """Return True for a text without breaks, control characters and halves of characters."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text)


def _is_integer(values: np.ndarray) -> bool:
    return values.dtype.kind in "iub"
