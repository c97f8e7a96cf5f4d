# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile values: what a call may be given by mistake, and valid values that are spoilt."""

from __future__ import annotations

import copy
import decimal
import fractions
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pandas as pd


class NoArray:
    """An object that refuses to become an array."""

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise RuntimeError("this is no array")

    def __repr__(self) -> str:
        return "NoArray()"


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
    "generator of numbers": lambda: np.random.default_rng(0),
}
VALUES = NUMBERS | TEXTS | CONTAINERS | ARRAYS | OBJECTS


def _recursive() -> list[Any]:
    whole: list[Any] = []
    whole.append(whole)
    return whole


def _fail(block: np.ndarray) -> np.ndarray:
    raise OSError("the file of this block is gone")


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
            "as bytes": valid.encode,
        }
    if isinstance(valid, int | float) and not isinstance(valid, bool):
        return {
            "negative": lambda: -valid,
            "as text": lambda: str(valid),
            "as an array": lambda: np.array([valid]),
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

    def scaled(scale: float, units: str) -> Callable[[], Any]:
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
        "its array": lambda: valid.data,
    }
