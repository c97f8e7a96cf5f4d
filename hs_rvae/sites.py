# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site table: everything known about each site, as named columns with units."""

import difflib
import os
import re
from collections.abc import Mapping

import numpy as np

from hs_rvae.files import writable
from hs_rvae.masked_arrays import filled

# Which call writes a column, for the message when it is missing.
_WRITTEN_BY = {
    r"(angle|latent_\d+|order_amplitude)(_std)?|angle_weight|log_likelihood|shift_[xy]": (
        "run stack.rvae() or stack.apply_rvae(path) first"
    ),
    r"variant(_residual)?": "run stack.assign_variants() first",
    r"(pca|svd|nmf)_\d+": "run stack.decomposition() first",
    r"(tsne|mds|isomap)_\d+": "run stack.embedding() first",
    r"cluster(_probability)?": "run stack.cluster_analysis() first",
    r"displacement(_[xy])?(_calibrated)?": "pass neighbours= when the stack is made",
}


class SiteTable:
    """
    Named columns, one row per site, as a view of a HyperSpy signal ``(sites | columns)``.

    Changing a column through the table changes the signal, so the table of a stack needs no
    putting back. All columns are stored as float64; those that were given as integers (indices,
    labels) are read as int64.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal
        With the column names, units and integer flags in ``metadata.Sites``, as made by
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

    def __init__(self, signal):
        if not signal.metadata.has_item("Sites.columns"):
            raise ValueError(
                "signal is no site table (no metadata.Sites.columns): use SiteTable.from_columns."
            )
        if hasattr(signal.data, "compute"):
            signal.compute(show_progressbar=False)
        self.signal = signal

    @classmethod
    def from_columns(
        cls, columns, units=None, pixel_size=(1.0, 1.0), pixel_units="px", pixel_offset=(0.0, 0.0)
    ):
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

        Returns
        -------
        SiteTable
        """
        from hyperspy.signals import Signal1D

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
        units = dict(units or {})
        signal.metadata.add_dictionary(
            {
                "Sites": {
                    "columns": list(columns),
                    "units": [str(units.get(name, "")) for name in columns],
                    "integer": [_is_integer(values) for values in columns.values()],
                    "pixel_size": [float(size) for size in pixel_size],
                    "pixel_units": str(pixel_units),
                    "pixel_offset": [float(offset) for offset in pixel_offset],
                }
            }
        )
        return cls(signal)

    @property
    def _node(self):
        return self.signal.metadata.Sites

    @property
    def _rows(self):
        """The data as (sites, columns): a view, also for the one row left by an integer index."""
        return self.signal.data.reshape(-1, self.signal.data.shape[-1])

    @property
    def columns(self):
        """Names of the columns."""
        return tuple(self._node.columns)

    @property
    def units(self):
        """Units by column name; "" means dimensionless."""
        return dict(zip(self.columns, self._node.units, strict=True))

    @property
    def pixel_size(self):
        """Width and height of a pixel of the parent image, in :attr:`pixel_units`."""
        return tuple(float(size) for size in self._node.pixel_size)

    @property
    def pixel_units(self):
        """Units of the parent image's axes; "px" if it is not calibrated."""
        return str(self._node.pixel_units)

    @property
    def pixel_offset(self):
        """Calibrated coordinates (x, y) of pixel (0, 0) of the parent image."""
        return tuple(float(offset) for offset in self._node.pixel_offset)

    @property
    def xy(self):
        """Positions ``(x, y)`` of the sites in pixels of the parent image, shape (n, 2)."""
        return self[["x", "y"]]

    def __getattr__(self, name):
        """Only for names that do not exist: columns are items."""
        known = not name.startswith("_") and name != "signal" and name in self.columns
        hint = f": columns are items, sites[{name!r}]" if known else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __len__(self):
        return len(self._rows)

    def __contains__(self, name):
        return name in self.columns

    def __repr__(self):
        names = [f"{name} ({unit})" if unit else name for name, unit in self.units.items()]
        return f"<SiteTable, {len(self)} sites, columns: {', '.join(names)}>"

    def _repr_html_(self):
        """The first and last sites as a table, for notebooks."""
        frame = self.to_dataframe()
        units = self.units
        frame.columns = [f"{name} ({units[name]})" if units[name] else name for name in units]
        return frame.to_html(
            max_rows=8, float_format="{:.4g}".format, notebook=True, show_dimensions=True
        )

    def __getitem__(self, names):
        """
        Values of one column (a copy, shape (n,)), or of a list of columns (shape (n, m)).

        Parameters
        ----------
        names : str or list of str

        Returns
        -------
        numpy.ndarray
            int64 for a single integer column, float64 otherwise.
        """
        if isinstance(names, list | tuple):
            return self._rows[:, [self._index(name) for name in names]]
        index = self._index(names)
        values = self._rows[:, index].copy()
        return np.rint(values).astype(np.int64) if self._node.integer[index] else values

    def __setitem__(self, name, values):
        self.set(name, values, self.units.get(name, ""))

    def _index(self, name):
        try:
            return self.columns.index(name)
        except ValueError:
            raise KeyError(missing_column(self, name)) from None

    def _ipython_key_completions_(self):
        """Names that the tabulator key offers after ``sites["``."""
        return list(self.columns)

    def set(self, name, values, units=""):
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
        self.set_many({name: values}, {name: units})

    def set_many(self, columns, units=None):
        """
        Write several columns at once; nothing is changed if one of them does not fit.

        Parameters
        ----------
        columns : Mapping of str to array-like of shape (n,)
        units : Mapping of str to str, optional
            Columns that are not named here keep their units; new ones are dimensionless.
        """
        columns = {name: _checked(name, values) for name, values in dict(columns).items()}
        for name, values in columns.items():
            if len(values) != len(self):
                raise ValueError(
                    f"Column {name!r} has {len(values)} values for {len(self)} sites: give one for "
                    "each, NaN where there is none."
                )
        names, all_units = list(self.columns), self.units | dict(units or {})
        integer = dict(zip(names, self._node.integer, strict=True))
        names += [name for name in columns if name not in names]
        integer |= {name: _is_integer(values) for name, values in columns.items()}
        data = np.empty((len(self), len(names)))
        for i, name in enumerate(names):
            data[:, i] = columns[name] if name in columns else self._rows[:, i]
        self._replace(data, names, all_units, integer)

    def remove(self, *names):
        """
        Remove columns.

        Parameters
        ----------
        *names : str
        """
        gone = [self._index(name) for name in names]
        kept = [i for i in range(len(self.columns)) if i not in gone]
        if not kept:
            raise ValueError(
                "The last column of a site table cannot be removed: add another first."
            )
        integer = dict(zip(self.columns, self._node.integer, strict=True))
        self._replace(self._rows[:, kept], [self.columns[i] for i in kept], self.units, integer)

    def _replace(self, data, names, units, integer):
        """Put other columns into the signal; the sites stay."""
        self.signal.data = data.reshape(*self.signal.data.shape[:-1], len(names))
        self.signal.get_dimensions_from_data()
        self._node.columns = names
        self._node.units = [str(units.get(name, "")) for name in names]
        self._node.integer = [bool(integer[name]) for name in names]

    def take(self, sites):
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
        rows = self._rows[np.asarray(sites)]
        integer = zip(self.columns, rows.T, self._node.integer, strict=True)
        return SiteTable.from_columns(
            {name: np.rint(v).astype(np.int64) if whole else v for name, v, whole in integer},
            units=self.units,
            pixel_size=self.pixel_size,
            pixel_units=self.pixel_units,
            pixel_offset=self.pixel_offset,
        )

    def to_dataframe(self):
        """
        Make a :class:`pandas.DataFrame` of the table.

        Returns
        -------
        pandas.DataFrame
            Index ``site``; ``attrs["units"]`` holds the units by column name.
        """
        import pandas as pd

        index = pd.RangeIndex(len(self), name="site")
        frame = pd.DataFrame({name: self[name] for name in self.columns}, index=index)
        frame.attrs["units"] = self.units
        return frame

    def save(self, path):
        """
        Write the table as CSV.

        The first lines are comments, ``# column: unit``; ``pandas.read_csv(path, comment="#",
        index_col="site")`` reads the rest. The file appears complete or not at all.

        Parameters
        ----------
        path : str or pathlib.Path

        Raises
        ------
        OSError
            If the folder does not exist or cannot be written.
        """
        with writable(path) as draft:
            with open(draft, "w", encoding="utf-8", newline="") as file:
                file.writelines(f"# {name}: {unit}\n" for name, unit in self.units.items())
                self.to_dataframe().to_csv(file, lineterminator="\n")
            os.replace(draft, path)


def missing_column(sites, name):
    """Say that there is no such column, which call writes it, and which columns there are."""
    near = difflib.get_close_matches(str(name), sites.columns, n=1)
    stem = re.match(r"[a-z]+_(?=\d+$)", str(name))
    numbered = [c for c in sites.columns if stem and re.fullmatch(rf"{stem[0]}\d+", c)]
    if numbered:
        remedy = f"; the last of its kind is {numbered[-1]!r}."
    elif verb := next((v for k, v in _WRITTEN_BY.items() if re.fullmatch(k, str(name))), None):
        remedy = f": {verb}."
    else:
        remedy = f"; did you mean {near[0]!r}?" if near else "."
    return f"The site table has no column {name!r}{remedy} It has {', '.join(sites.columns)}."


def _checked(name, values):
    """Make a 1-D real array of a column's values (also of a HyperSpy signal or dask array)."""
    if not isinstance(name, str) or not name.strip() or "\n" in name:
        raise ValueError(f"A column's name must be a line of text, not {name!r}.")
    if isinstance(values, Mapping):
        raise TypeError(f"Column {name!r} needs an array, not a {type(values).__name__}.")
    array = np.asarray(filled(values.data if hasattr(values, "axes_manager") else values))
    if array.dtype.kind not in "iufb":
        raise TypeError(f"Column {name!r} needs real numbers, not {array.dtype}.")
    if array.ndim != 1:
        raise ValueError(f"Column {name!r} needs one value per site, not the shape {array.shape}.")
    return array


def _is_integer(values):
    return values.dtype.kind in "iub"
