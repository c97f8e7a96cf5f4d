# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile values: what a call may be given by mistake, and valid values that are spoilt."""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import fractions
import io
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dask.array as da
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse
import torch
import traits.api as t


class NoArray:
    """An object that refuses to become an array."""

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise RuntimeError("this is no array")

    def __repr__(self) -> str:
        return "NoArray()"


class Failing:
    """An object that fails at whatever it is asked."""

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("this object fails")

    __len__ = __iter__ = __getitem__ = __eq__ = __lt__ = __bool__ = __array__ = _fail  # type: ignore[assignment]
    __float__ = __int__ = __index__ = __repr__ = __str__ = __contains__ = __fspath__ = _fail
    __getattr__ = _fail
    __hash__ = object.__hash__


class NoNumbers(np.random.Generator):
    """A generator of numbers that gives none."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("this generator fails")

    integers = random = normal = standard_normal = uniform = poisson = choice = _fail
    permutation = shuffle = spawn = _fail


class ShortRow(list):  # type: ignore[type-arg]
    """A row that is shorter than it says."""

    def __len__(self) -> int:
        return 9


class NoKeys(Mapping):  # type: ignore[type-arg]
    """A mapping that has lost its values."""

    def __getitem__(self, key: object) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["x", "y"])

    def __len__(self) -> int:
        return 2


class Word(str):
    """A text of a class of its own."""


class Choice(enum.Enum):
    """A member of an enumeration."""

    ANGLE = "angle"


class Whole(enum.IntEnum):
    """A whole number with a name."""

    THREE = 3


def _cut_short() -> Iterator[float]:
    yield 1.0
    raise OSError("the list ends here")


def _masked() -> np.ma.MaskedArray:
    return np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[True, False], [False, False]])


def _signal_with_navigation() -> Any:
    return hs.signals.Signal2D(np.ones((2, 3, 6, 6)))


NUMBERS: dict[str, Callable[[], Any]] = {
    repr(value): (lambda value=value: value)
    for value in (
        *(0, 1, -1, 2, 7, 2**31, 2**60, 2**63, -(2**60), 10**30, 10**400),
        *(0.0, -0.0, 0.5, -0.5, 1.5, 1e-300, 1e308, -1e308, 1e18),
        *(float("nan"), float("inf"), float("-inf"), 1 + 2j),
        *(True, False, np.bool_(True), np.int8(-1), np.uint64(2**63), np.int64(3)),
        *(np.float32(0.5), np.float64("nan"), np.float16("inf"), np.longdouble(2)),
        *(decimal.Decimal("0.5"), fractions.Fraction(1, 2)),
        *(np.datetime64("2020-01-01"), np.timedelta64(3, "s")),
    )
}
TEXTS: dict[str, Callable[[], Any]] = {
    ascii(value[:40]): (lambda value=value: value)
    for value in (
        *("", " ", "x", "nan", "auto", "0", "1.5", "None", "angle", "latent_0", "site_index"),
        *("\udce4", "a\0b", "a\nb", "../b", "/nonexistent/folder/file.hspy", "C:\\x", "~", "."),
        *("a" * 5000, "{0}", "%s", "#", '"', "naïve ' ☃", "$\\frac{1}$", "$x^", "-1", "__class__"),
    )
} | {"bytes": lambda: b"bytes", "numpy text": lambda: np.str_("x")}
CONTAINERS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "[]": list,
    "()": tuple,
    "{}": dict,
    "set()": set,
    "[None]": lambda: [None],
    "[nan, nan]": lambda: [float("nan")] * 2,
    "(nan, 1)": lambda: (float("nan"), 1),
    "(inf, -inf)": lambda: (float("inf"), float("-inf")),
    "(1, 0)": lambda: (1, 0),
    "(-1, -1)": lambda: (-1, -1),
    "(0, 0)": lambda: (0, 0),
    "(2**60, 2**60)": lambda: (2**60, 2**60),
    "(1e308, 1e308)": lambda: (1e308, 1e308),
    "(1,)": lambda: (1,),
    "[1, 2, 3]": lambda: [1, 2, 3],
    "['a', 'b']": lambda: ["a", "b"],
    "['x', 1]": lambda: ["x", 1],
    "(True, False)": lambda: (True, False),
    "ragged": lambda: [[1], [2, 3]],
    "nested": lambda: [[[[[1.0]]]]],
    "{'a': 1}": lambda: {"a": 1},
    "{'x': [1.0]}": lambda: {"x": [1.0]},
    "{1: 2}": lambda: {1: 2},
    "{'': None}": lambda: {"": None},
    "range": lambda: range(3),
    "generator": lambda: (i for i in range(3)),
    "long list": lambda: [0.5] * 1000,
    "itself": lambda: _recursive(),
}
ARRAYS: dict[str, Callable[[], Any]] = {
    "array of no axis": lambda: np.array(5.0),
    "array (0,)": lambda: np.zeros(0),
    "array (0, 2)": lambda: np.zeros((0, 2)),
    "array (0, 0)": lambda: np.zeros((0, 0)),
    "array (5,) of NaN": lambda: np.full(5, np.nan),
    "array (5, 2) of NaN": lambda: np.full((5, 2), np.nan),
    "array (3, 3)": lambda: np.eye(3),
    "array (20, 20) of NaN": lambda: np.full((20, 20), np.nan),
    "array (20, 20) of inf": lambda: np.full((20, 20), np.inf),
    "array (20, 20), even": lambda: np.ones((20, 20)),
    "array (20, 20), huge": lambda: np.full((20, 20), 1e308),
    "array (2, 2, 2, 2, 2)": lambda: np.ones((2,) * 5),
    "array of objects": lambda: np.array([None, "a", 3], object),
    "array of texts": lambda: np.array(["a", "b"]),
    "array of flags": lambda: np.array([True, False, True]),
    "complex array": lambda: np.ones((8, 8)) * 1j,
    "array of times": lambda: np.array(["2020-01-01"], "M8[D]"),
    "structured array": lambda: np.zeros(3, [("x", float), ("y", float)]),
    "masked array": _masked,
    "masked": lambda: np.ma.masked,
    "dask array": lambda: da.ones((4, 4), chunks=2),
    "dask array of unknown length": lambda: da.arange(9)[da.arange(9) > 3],
    "dask array that fails": lambda: da.from_array(np.ones(4)).map_blocks(_fail, dtype=float),
    "array of the other byte order": lambda: np.arange(6, dtype=">f8").reshape(3, 2),
    "array of half floats": lambda: np.full((4, 4), 6e4, np.float16),
    "array of long floats": lambda: np.ones((4, 4), np.longdouble),
    "array of huge numbers as objects": lambda: np.array([10**400, 1], object),
    "array of small numbers, unsigned": lambda: np.arange(4, dtype=np.uint8),
    "array that is turned": lambda: np.arange(12.0).reshape(3, 4)[::-1, ::-2],
    "array of void": lambda: np.zeros(3, "V4"),
    "array (200, 200)": lambda: np.random.default_rng(0).random((200, 200)),
    "array (1, 1)": lambda: np.ones((1, 1)),
    "array (0, 20, 20)": lambda: np.zeros((0, 20, 20)),
    "array of times that ended": lambda: np.array([1, "NaT"], "m8[s]"),
    "sparse array": lambda: scipy.sparse.eye(4, format="csr"),
    "view of memory": lambda: memoryview(np.ones(4)),
    "tensor": lambda: torch.ones(4, 4),
    "tensor with a gradient": lambda: torch.ones(4, requires_grad=True),
    "dask array of NaN chunks": lambda: da.full((20, 20), np.nan, chunks=7),
    "dask array that fails, 2-D": lambda: da.ones((20, 20), chunks=9).map_blocks(
        _fail, dtype=float
    ),
    "Series of text": lambda: pd.Series(["a", "b"], name="angle"),
    "Series with NA": lambda: pd.Series([1, None, 3], dtype="Int64"),
    "Timestamp": lambda: pd.Timestamp("2020-01-01"),
    "Index": lambda: pd.Index([0, 1, 1]),
    "DataFrame with a name twice": lambda: pd.DataFrame(np.ones((3, 3)), columns=["x", "x", "y"]),
    "DataFrame with names of two levels": lambda: pd.DataFrame(
        np.ones((3, 2)), columns=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)])
    ),
    "DataFrame with NA": lambda: pd.DataFrame({"x": [1, None], "y": [2, 3]}, dtype="Float64"),
    "DataFrame of numbered columns": lambda: pd.DataFrame(np.ones((3, 2))),
    "DataFrame of times": lambda: pd.DataFrame({"x": pd.to_datetime(["2020"]), "y": [1.0]}),
    "lazy signal that fails": lambda: hs.signals.Signal2D(
        da.ones((20, 20), chunks=9).map_blocks(_fail, dtype=float)
    ).as_lazy(),
    "Signal2D of one pixel": lambda: hs.signals.Signal2D(np.ones((1, 1))),
    "Signal2D without pixels": lambda: hs.signals.Signal2D(np.ones((0, 4))),
    "signals in a list": lambda: [hs.signals.Signal2D(np.ones((20, 20)))] * 2,
    "Series": lambda: pd.Series([1.0, np.nan], index=["a", "b"]),
    "empty DataFrame": pd.DataFrame,
    "DataFrame x, y of NaN": lambda: pd.DataFrame({"x": [np.nan], "y": [np.nan]}),
    "DataFrame of texts": lambda: pd.DataFrame({"x": ["a"], "y": ["b"]}),
    "DataFrame a": lambda: pd.DataFrame({"a": [1.0, 2.0]}),
    "Categorical": lambda: pd.Categorical(["a", "b"]),
    "NA": lambda: pd.NA,
    "Signal1D": lambda: hs.signals.Signal1D(np.ones(8)),
    "Signal2D of NaN": lambda: hs.signals.Signal2D(np.full((20, 20), np.nan)),
    "Signal2D (2, 2)": lambda: hs.signals.Signal2D(np.ones((2, 2))),
    "Signal2D with two navigation axes": _signal_with_navigation,
    "complex signal": lambda: hs.signals.ComplexSignal2D(np.ones((8, 8)) * 1j),
    "lazy signal": lambda: hs.signals.Signal2D(da.ones((20, 20))).as_lazy(),
    "BaseSignal of one number": lambda: hs.signals.BaseSignal([1.0]),
}
OBJECTS: dict[str, Callable[[], Any]] = {
    "failing object": Failing,
    "failing object in a list": lambda: [Failing(), Failing()],
    "short row": lambda: ShortRow([1.0, 2.0]),
    "mapping without values": NoKeys,
    "word": lambda: Word("angle"),
    "member": lambda: Choice.ANGLE,
    "named number": lambda: Whole.THREE,
    "date": lambda: datetime.date(2020, 1, 1),
    "open file": lambda: io.BytesIO(b"nothing"),
    "callback that fails": lambda: _cut_off,
    "list that is cut short": _cut_short,
    "closed axes": lambda: _axes(closed=True),
    "polar axes": lambda: _axes(projection="polar"),
    "axes in space": lambda: _axes(projection="3d"),
    "figure": lambda: plt.figure(),
    "axes in a list": lambda: [_axes(), _axes()],
    "region": lambda: hs.roi.RectangularROI(1, 1, 3, 3),
    "region of NaN": lambda: hs.roi.RectangularROI(),
    "span": lambda: hs.roi.SpanROI(0, 2),
    "circle": lambda: hs.roi.CircleROI(1, 1, 1),
    "a folder": tempfile.mkdtemp,
    "damaged file": lambda: _written("damaged.hspy"),
    "empty file": lambda: _written("empty.csv", b""),
    "file of no format": lambda: _written("film.unheard"),
    "object": object,
    "class": lambda: int,
    "function": lambda: len,
    "lambda": lambda: lambda *args, **kwargs: None,
    "module": lambda: np,
    "Ellipsis": lambda: Ellipsis,
    "NotImplemented": lambda: NotImplemented,
    "slice": lambda: slice(None),
    "exception": lambda: ValueError("given as a value"),
    "Path": lambda: pathlib.Path("nowhere/file"),
    "Path of the folder": lambda: pathlib.Path("."),
    "no array": NoArray,
    "random state": lambda: np.random.RandomState(0),
    "generator without numbers": NoNumbers,
    "generator of numbers": lambda: np.random.default_rng(0),
}
VALUES = NUMBERS | TEXTS | CONTAINERS | ARRAYS | OBJECTS


def _recursive() -> list[Any]:
    whole: list[Any] = []
    whole.append(whole)
    return whole


def _fail(block: np.ndarray) -> np.ndarray:
    raise OSError("the file of this block is gone")


def _cut_off(*args: Any, **kwargs: Any) -> Any:
    raise OSError("the callback fails")


def _axes(closed: bool = False, projection: str | None = None) -> Any:
    figure = plt.figure()
    axes = figure.add_subplot(projection=projection)
    if closed:
        plt.close(figure)
        axes.remove()
    return axes


def _written(name: str, content: bytes = b"\x89HDF\r\n no more of this file") -> str:
    path = pathlib.Path(tempfile.mkdtemp()) / name
    path.write_bytes(content)
    return str(path)


def hostile(valid: Any, generator: np.random.Generator) -> tuple[str, Any]:
    """A value in the place of a valid one: of the list, or the valid one spoilt.

    Parameters
    ----------
    valid : object
    generator : numpy.random.Generator

    Returns
    -------
    str
        What it is.
    object
    """
    ways = spoilt(valid)
    if ways and generator.random() < 0.4:
        name = sorted(ways)[generator.integers(len(ways))]
        return f"valid, {name}", ways[name]()
    group = (NUMBERS, TEXTS, CONTAINERS, ARRAYS, OBJECTS)[generator.integers(5)]
    name = sorted(group)[generator.integers(len(group))]
    return name, group[name]()


def spoilt(valid: Any) -> dict[str, Callable[[], Any]]:
    """The ways in which a valid value can be spoilt, by name."""
    if isinstance(valid, np.ndarray) and valid.ndim and valid.size:
        return _spoilt_array(valid)
    if isinstance(valid, pd.DataFrame) and len(valid.columns):
        return _spoilt_frame(valid)
    if isinstance(valid, Mapping) and valid:
        return _spoilt_mapping(valid)
    if isinstance(valid, list | tuple) and valid:
        kind = type(valid)
        return {
            "one too few": lambda: kind(valid[:-1]),
            "one too many": lambda: kind([*valid, valid[-1]]),
            "None inside": lambda: kind([None, *valid[1:]]),
            "NaN inside": lambda: kind([float("nan"), *valid[1:]]),
            "a text inside": lambda: kind(["x", *valid[1:]]),
            "turned round": lambda: kind(valid[::-1]),
            "twice": lambda: kind([*valid, *valid]),
        }
    if hasattr(valid, "axes_manager"):
        return _spoilt_signal(valid)
    if isinstance(valid, str):
        return {
            "in capitals": valid.upper,
            "with a letter more": lambda: valid + "x",
            "in a list": lambda: [valid],
            "in a list twice": lambda: [valid, valid],
            "in an array": lambda: np.array(valid),
            "with a space": lambda: f" {valid} ",
            "as bytes": valid.encode,
        }
    if isinstance(valid, int | float) and not isinstance(valid, bool):
        return {
            "negative": lambda: -valid,
            "as text": lambda: str(valid),
            "as an array": lambda: np.array([valid]),
            "as an array of no axis": lambda: np.array(valid),
            "in a list": lambda: [valid],
            "as a complex number": lambda: complex(valid),
            "as a Decimal": lambda: decimal.Decimal(str(valid)),
            "times 10**6": lambda: valid * 10**6,
            "a half more": lambda: valid + 0.5,
        }
    return {}


def _spoilt_array(valid: np.ndarray) -> dict[str, Callable[[], Any]]:
    def with_value(value: Any) -> Callable[[], Any]:
        def change() -> np.ndarray:
            changed = np.array(valid, dtype=complex if isinstance(value, complex) else float)
            changed.flat[0] = value
            return changed

        return change

    ways: dict[str, Callable[[], Any]] = {
        "one row": lambda: valid[:1],
        "no row": lambda: valid[:0],
        "a row less": lambda: valid[:-1],
        "an axis more": lambda: valid[None],
        "an axis less": lambda: valid[0],
        "transposed": lambda: valid.T,
        "as objects": lambda: valid.astype(object),
        "as texts": lambda: valid.astype(str),
        "as a list": valid.tolist,
        "read-only": lambda: _read_only(valid),
        "dask": lambda: da.from_array(valid),
        "masked": lambda: np.ma.masked_array(
            valid, np.arange(valid.size).reshape(valid.shape) == 0
        ),
    }
    if valid.dtype.kind in "fiub":
        ways |= {
            "a NaN": with_value(np.nan),
            "an inf": with_value(np.inf),
            "a huge number": with_value(1e308),
            "a complex number": with_value(1j),
            "all NaN": lambda: np.full(valid.shape, np.nan),
            "all zero": lambda: np.zeros_like(valid),
            "negative": lambda: -valid.astype(float),
            "times 1e300": lambda: valid * 1e300,
        }
    return ways


def _read_only(valid: np.ndarray) -> np.ndarray:
    copied = valid.copy()
    copied.flags.writeable = False
    return copied


def _spoilt_frame(valid: pd.DataFrame) -> dict[str, Callable[[], Any]]:
    first = valid.columns[0]

    def with_column(value: Any) -> Callable[[], Any]:
        return lambda: valid.assign(**{str(first): value})

    return {
        "a column less": lambda: valid.drop(columns=first),
        "no row": lambda: valid.iloc[:0],
        "one row": lambda: valid.iloc[:1],
        "a column of NaN": with_column(np.nan),
        "a column of texts": with_column("x"),
        "a column of None": with_column(None),
        "a column of inf": with_column(np.inf),
        "another index": lambda: valid.set_axis([str(i) for i in range(len(valid))]),
        "a column twice": lambda: pd.concat([valid, valid[[first]]], axis=1),
        "a column of flags": with_column(True),
        "a column of NA": with_column(pd.NA),
        "a column of objects": lambda: valid.astype({first: object}),
        "as a mapping": lambda: valid.to_dict("list"),
        "an index twice": lambda: pd.concat([valid, valid]),
    }


def _spoilt_mapping(valid: Mapping[Any, Any]) -> dict[str, Callable[[], Any]]:
    first = next(iter(valid))
    return {
        "a key less": lambda: {key: valid[key] for key in valid if key != first},
        "a key more": lambda: {**valid, "nonsense": 1},
        "a key that is a number": lambda: {**valid, 3: valid[first]},
        "None inside": lambda: {**valid, first: None},
        "NaN inside": lambda: {**valid, first: float("nan")},
        "a text inside": lambda: {**valid, first: "x"},
        "short inside": lambda: {**valid, first: [1.0]},
    }


def _spoilt_signal(valid: Any) -> dict[str, Callable[[], Any]]:
    def with_data(change: Callable[[Any], Any]) -> Callable[[], Any]:
        def make() -> Any:
            changed = copy.deepcopy(valid)
            changed.data = change(changed.data)
            return changed

        return make

    def scaled(scale: float, units: Any) -> Callable[[], Any]:
        def make() -> Any:
            changed = copy.deepcopy(valid)
            for axis in changed.axes_manager.signal_axes:
                axis.scale, axis.units = scale, units
            return changed

        return make

    return {
        "data NaN": with_data(lambda data: data * np.nan),
        "data inf": with_data(lambda data: data * np.inf),
        "data even": with_data(lambda data: data * 0),
        "data huge": with_data(lambda data: data * 1e30),
        "data complex": with_data(lambda data: data * 1j),
        "data of objects": with_data(lambda data: np.asarray(data).astype(object)),
        "scale zero": scaled(0.0, "nm"),
        "scale negative": scaled(-1.0, "nm"),
        "scale NaN": scaled(float("nan"), "nm"),
        "unit unknown": scaled(1.0, "furlong"),
        "unit of no text": scaled(1.0, t.Undefined),
        "scale huge": scaled(1e300, "nm"),
        "lazy": lambda: copy.deepcopy(valid).as_lazy() if not valid._lazy else valid,
        "turned": lambda: copy.deepcopy(valid).T,
        "half of its data": with_data(lambda data: data[: len(data) // 2]),
        "flags": with_data(lambda data: data > 0),
        "its array": lambda: valid.data,
    }
