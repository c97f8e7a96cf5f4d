# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of arguments at the doors of the package: kinds, bounds, and the words of a refusal.

:func:`checked` stands at every public function and method. It reads the annotations of the
signature, refuses arguments of another kind before anything is computed, and makes a message name
the argument that it is about. :data:`BOUNDS` has the limits that hold for one name everywhere.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast, overload

import numpy as np

from hs_rvae.refusals import explain, name_argument
from hs_rvae.refusals import naming as naming
from hs_rvae.refusals import shown as shown

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


def is_whole_number(value: object, minimum: float = 1) -> bool:
    """
    Return True for an integer that reaches a minimum; booleans do not count.

    Examples
    --------
    >>> is_whole_number(3), is_whole_number(np.int64(0)), is_whole_number(2.0)
    (True, False, False)
    """
    if not is_number(value) or not isinstance(value, int | np.integer):
        return False
    return bool(value >= minimum)


def is_number(value: object) -> bool:
    """
    Return True for a real number of Python or NumPy, also NaN; flags and times do not count.

    Examples
    --------
    >>> is_number(np.float32("nan")), is_number(True), is_number(np.timedelta64(3, "s"))
    (True, False, False)
    """
    # The type of a timedelta64 counts among the integers of NumPy.
    if isinstance(value, bool | np.bool_ | np.timedelta64):
        return False
    return isinstance(value, int | float | np.integer | np.floating)


def finite_number(value: object, minimum: float = -np.inf, maximum: float = np.inf) -> bool:
    """
    Return True for a real number within limits; booleans, NaN and infinity do not count.

    Examples
    --------
    >>> finite_number(0.5), finite_number(np.float32(2), maximum=1), finite_number("0.5")
    (True, False, False)
    """
    if not is_number(value) or isinstance(value, np.longdouble):  # which spreads to arrays
        return False
    if isinstance(value, int):  # of any length
        return bool(minimum <= value <= min(maximum, sys.float_info.max))
    number = cast(float, value)
    return bool(np.isfinite(number) and minimum <= number <= maximum)


def whole_number(value: object, name: str, minimum: int = 1, alternative: str = "") -> int:
    """
    Refuse anything but a whole number.

    Parameters
    ----------
    value : object
    name : str
        Name of the argument, for the message.
    minimum : int
    alternative : str
        Other values that the caller accepts, for the message: ``" or 'auto'"``.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is not an integer, or below the minimum.

    Examples
    --------
    >>> whole_number(np.int64(3), "n_frames")
    3
    >>> whole_number(0.5, "n_frames")
    Traceback (most recent call last):
    ValueError: n_frames=0.5: give a whole number of 1 or more.
    """
    if not is_whole_number(value, minimum):
        raise ValueError(
            f"{name}={value!r}: give a whole number of {minimum} or more{alternative}."
        )
    return int(value)  # type: ignore[call-overload]


class Bounds(NamedTuple):
    """Limits of a number, both included."""

    minimum: float
    maximum: float


_LARGEST = 1e30  # of any number: single precision ends at 3e38
_MOST = 10**9  # of any whole number
#: Limits of an argument of this name, wherever it stands. Functions may have closer ones.
BOUNDS: dict[str, Bounds] = {
    "max_iterations": Bounds(1, 10_000),
    "n_init": Bounds(1, 1000),
    "n_passes": Bounds(1, 100),
    "n_shuffles": Bounds(1, 100_000),
    "epochs": Bounds(1, 100_000),
    "steps": Bounds(1, 10_000_000),
    "n_images": Bounds(1, 10_000_000),
    "n_frames": Bounds(1, 10_000),
    "n_channels": Bounds(1, 100_000),
    "detector": Bounds(0, 2048),
    "font_size": Bounds(2, 1000),
    "marker_size": Bounds(0, 100_000),
    "alpha": Bounds(0, 1),
    "dpi": Bounds(1, 10_000),
    "fps": Bounds(0.001, 10_000),
    "gap": Bounds(0, 100),
    "bins": Bounds(1, 100_000),
    "n_columns": Bounds(1, 10_000),
    "n_angles": Bounds(0, 100_000),
    "max_clusters": Bounds(1, 1000),
    "num_workers": Bounds(1, 10_000),
    "output_dimension": Bounds(-math.inf, 10_000),
}


def is_flag(value: object) -> bool:
    """
    Return True for True and False, of Python or NumPy.

    Examples
    --------
    >>> is_flag(np.bool_(True)), is_flag(1)
    (True, False)
    """
    return isinstance(value, bool | np.bool_)


def is_path(value: object) -> bool:
    """
    Return True for a text or path that can name a file.

    Examples
    --------
    >>> is_path("film.hspy"), is_path(""), is_path(3)
    (True, False, False)
    """
    if not isinstance(value, str | os.PathLike):
        return False
    name = os.fspath(value)
    return isinstance(name, str) and bool(name.strip()) and "\0" not in name


class _Kind(NamedTuple):
    """A part of an annotation: a test of values, and a description of them."""

    test: Callable[[Any], bool]
    wanted: str
    is_class: bool = False
    is_late: bool = False  # for errors of other libraries alone: functions have better words

    def takes(self, value: Any) -> bool:
        """Return True if a value is of this kind; objects may raise anything when looked at."""
        try:
            return self.test(value)
        except Exception:
            return False


def _numbers(of: Callable[[Any], bool], count: int | None) -> Callable[[Any], bool]:
    """A test of a row of numbers; an array is one as well."""

    def takes(value: Any) -> bool:
        if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__"):
            return False
        if getattr(value, "ndim", 1) != 1 or not hasattr(value, "__getitem__"):
            return False
        if isinstance(value, set | frozenset) or (count is not None and len(value) != count):
            return False
        if hasattr(value, "dask") and math.isnan(value.shape[0]):
            return False
        return len(value) > 0 and all(of(each) for each in value)

    return takes


def _texts(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return False
    if any(hasattr(value, name) for name in ("axes_manager", "dask", "read")):
        return False
    if getattr(value, "ndim", 1) != 1:
        return False
    return not isinstance(value, Collection) or all(isinstance(each, str) for each in value)


def _texts_in_order(value: Any) -> bool:
    return _texts(value) and hasattr(value, "__getitem__") and not hasattr(value, "iloc")


def _is_number(value: Any) -> bool:
    return finite_number(value, -_LARGEST, _LARGEST)


def _is_whole(value: Any) -> bool:
    return is_whole_number(value, -_MOST) and value <= _MOST


_WORDS = {2: "two", 3: "three", 4: "four"}
# Arguments of these names are annotated as Any, because their classes are of other libraries.
_BY_NAME: dict[str, _Kind] = {
    "image": _Kind(
        lambda value: value is None or value is False or _is_image(value),
        "a HyperSpy signal or None",
        is_class=True,
    ),
    "signal": _Kind(lambda value: _is_image(value), "a HyperSpy signal", is_class=True),
    "columns": _Kind(
        lambda value: (
            _is_table(value)
            or (isinstance(value, list | tuple) and all(_is_table(one) for one in value))
        ),
        "a table or a mapping of columns, or one for each frame",
    ),
    **dict.fromkeys(
        ("navigation_mask", "signal_mask"),
        _Kind(lambda value: value is None or _is_mask(value), "an array of True and False or None"),
    ),
    "units": _Kind(
        lambda value: value is None or isinstance(value, Mapping), "a mapping by column or None"
    ),
    "source_for_centers": _Kind(
        lambda value: value is None or isinstance(value, str) or hasattr(value, "axes_manager"),
        "a name, a HyperSpy signal or None",
    ),
    **dict.fromkeys(
        ("domains", "walls"),
        _Kind(lambda value: hasattr(value, "iloc"), "a DataFrame", is_class=True),
    ),
    "drift": _Kind(
        lambda value: value is None or is_array(value), "an array of real numbers or None"
    ),
    "device": _Kind(
        lambda value: value is None or isinstance(value, str) or type(value).__name__ == "device",
        "a name, a torch.device or None",
    ),
    "axis": _Kind(
        lambda value: isinstance(value, str) or _is_whole(value) or hasattr(value, "navigate"),
        "an axis, its name or its number",
    ),
    **dict.fromkeys(
        ("number_of_parts", "step_sizes"),
        _Kind(
            lambda value: isinstance(value, str | list | tuple) or is_whole_number(value, 1),
            "a whole number of 1 or more, or 'auto'",
        ),
    ),
    "chunks": _Kind(
        lambda value: value is None or isinstance(value, int | str | list | tuple | dict),
        "a size, sizes or 'auto'",
    ),
    **dict.fromkeys(
        ("angle", "true_angle"),
        _Kind(lambda value: isinstance(value, str) or is_array(value), "an array of real numbers"),
    ),
    "radius": _Kind(
        lambda value: value is None or _is_number(value) or isinstance(value, list | tuple),
        "a number, a pair of numbers or None",
    ),
    "cage": _Kind(
        lambda value: value is None or isinstance(value, str) or (_texts(value) and len(value) > 0),
        "the name of a sublattice, names in a list or None",
    ),
    "sublattices": _Kind(
        lambda value: isinstance(value, Mapping) or hasattr(value, "sublattice_list"),
        "a lattice, or a mapping of names to positions",
    ),
    "neighbours": _Kind(
        lambda value: (
            value is None
            or is_path(value)
            or isinstance(value, Mapping)  # of AtomAI
            or hasattr(value, "columns")
            or has_attribute(value, "atom_positions")
            or type(value).__name__ == "Cage"
            or has_attribute(value, "x_position")
            or _is_row(value)
        ),
        "positions (x, y) or None",
    ),
}


def has_attribute(value: Any, name: str) -> bool:
    """Return True if an object has an attribute; that of its class is not computed.

    Atomap collects all columns of a sublattice whenever their positions are read.
    """
    return hasattr(type(value), name) or hasattr(value, name)


def _is_table(value: Any) -> bool:
    if value is None or isinstance(value, Mapping):
        return all(isinstance(name, str) for name in value or ())
    names = ("columns", "atom_positions", "x_position")
    return any(has_attribute(value, name) for name in names)


def _is_image(value: Any) -> bool:
    """Return True for an image or several; axes and pixels are checked where they count."""
    several = value if isinstance(value, list | tuple) else [value]
    return bool(several) and all(
        one is None or hasattr(one, "axes_manager") or hasattr(one, "dask")
        or (isinstance(one, np.ndarray)) for one in several
    )  # fmt: skip


def _is_mask(value: Any) -> bool:
    value = value.data if hasattr(value, "axes_manager") else value
    if hasattr(value, "dask"):
        return value.dtype == bool
    try:
        return np.asarray(value).dtype == bool
    except Exception:  # whatever an object of the caller's may raise
        return False


_KINDS: dict[str, _Kind] = {
    "None": _Kind(lambda value: value is None, "None"),
    "bool": _Kind(is_flag, "True or False"),
    "int": _Kind(_is_whole, "a whole number"),
    "float": _Kind(_is_number, "a finite number"),
    "str": _Kind(lambda value: isinstance(value, str), "a text"),
    "Path": _Kind(is_path, "the name of a file"),
    "os.PathLike[str]": _Kind(is_path, "the name of a file"),
    "Sequence[float]": _Kind(_numbers(_is_number, None), "finite numbers in a list"),
    "Sequence[int]": _Kind(_numbers(_is_whole, None), "whole numbers in a list"),
    "Sequence[str]": _Kind(_texts_in_order, "texts in a list"),
    "Collection[str]": _Kind(_texts, "texts in a list"),
    "list[str]": _Kind(_texts_in_order, "texts in a list"),
    "np.random.Generator": _Kind(
        lambda value: isinstance(value, np.random.Generator | np.random.RandomState),
        "a numpy.random.Generator",
    ),
}


_LENGTHS = {
    **dict.fromkeys(("limits", "percentiles", "intensity_limits"), "tuple[float, float]"),
    "extent": "tuple[float, float, float, float]",
}
_TEXTS = _Kind(lambda value: _texts_in_order(value) and len(value) == 2, "two texts", is_late=True)
_NAMES = _Kind(
    lambda value: (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(each, str) or _is_whole(each) for each in value)
    ),
    "two names or numbers",
    is_late=True,
)
_SEED = _Kind(lambda value: is_whole_number(value, 0), "a whole number of 0 or more")


@functools.cache
def _kind(part: str) -> _Kind | None:
    """Find the kind of a part of an annotation; None for those that are not checked."""
    if part in _KINDS:
        return _KINDS[part]
    if pair := re.fullmatch(r"tuple\[((?:int|float)(?:, (?:int|float))*)\]", part):
        of = pair[1].split(", ")
        whole = set(of) == {"int"}
        word = f"{_WORDS.get(len(of), len(of))} {'whole' if whole else 'finite'} numbers"
        return _Kind(_numbers(_is_whole if whole else _is_number, len(of)), word)
    if part in ("tuple[str, str]", "tuple[int | str, int | str]"):
        return _NAMES if "int" in part else _TEXTS
    if row := re.fullmatch(r"tuple\[(int|float), \.\.\.\]", part):
        return _KINDS[f"Sequence[{row[1]}]"]
    if part.startswith(("Mapping[str", "dict[str")):
        return _Kind(_has_names, "a mapping whose keys are names")
    if part in ("Iterable[str]", "tuple[str, ...]"):
        return _KINDS["Collection[str]"]
    if part in ("list[int]", "list[float]", "Iterable[int]"):
        return _Kind(_row_of_numbers, "numbers in a list")
    if part.startswith(("Iterable[", "list[", "Sequence[", "Collection[")):
        return _Kind(_is_row, "a list")
    if part.startswith("Callable["):
        return _Kind(callable, "a function")
    if part == "ArrayLike":
        return _Kind(is_array, "an array of real numbers")
    if part == "np.ndarray":
        return _Kind(_has_axes, "an array of real numbers")
    name = part.rsplit(".")[-1]
    if name.isidentifier() and name not in _NOT_CLASSES:
        return _Kind(functools.partial(_is_a, name), f"a {name}", is_class=True)
    return None


_NOT_CLASSES = ("Any", "Axes", "Self", "Images", "object", "dict", "tuple", "Mapping")


def _is_a(name: str, value: Any) -> bool:
    """Return True if a class of this name is among those of a value; none is imported."""
    return any(cls.__name__ == name for cls in type(value).__mro__)


def _row_of_numbers(value: Any) -> bool:
    if not _is_row(value) or hasattr(value, "axes_manager"):
        return False
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and bool(np.isfinite(value).all() if is_array(value) else False)
    return not isinstance(value, Sequence) or all(_is_number(each) for each in value)


def _is_row(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def is_array(value: object) -> bool:
    """
    Return True for values that make an array of real numbers: also a signal, or of dask.

    Examples
    --------
    >>> is_array([1, 2.5]), is_array(["a"]), is_array(None), is_array([[1], [2, 3]])
    (True, False, False, False)
    """
    if value is None or isinstance(value, str | bytes | Mapping | set | type):
        return False
    if hasattr(value, "axes_manager"):
        value = value.data  # type: ignore[attr-defined]
    if hasattr(value, "dask"):
        known = not any(math.isnan(n) for n in value.shape)  # type: ignore[attr-defined]
        return known and value.dtype.kind in "biuf"  # type: ignore[attr-defined]
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except Exception:  # whatever an object of the caller's may raise
        return False


def _has_axes(value: Any) -> bool:
    return is_array(value) and (hasattr(value, "axes_manager") or np.ndim(value) > 0)


def _has_names(value: Any) -> bool:
    if hasattr(value, "columns") and hasattr(value, "to_dict"):  # a frame of pandas
        return all(isinstance(name, str) for name in value.columns)
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _parts(annotation: str) -> list[str]:
    """The parts of a union that is written with bars."""
    parts, depth, begun = [], 0, 0
    for i, letter in enumerate(annotation + "|"):
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and depth == 0:
            parts.append(annotation[begun:i].strip())
            begun = i + 1
    return parts


class _Rule(NamedTuple):
    """Values that an argument may have."""

    kinds: tuple[_Kind, ...]
    bounds: Bounds | None
    whole: bool

    def only_maximum(self) -> _Rule:
        """The maximum alone, for an argument whose kind and minimum its function checks."""
        bounds = self.bounds and self.bounds._replace(minimum=-math.inf)
        return _Rule((), bounds, self.whole)

    def refuse(self, name: str, value: Any) -> None:
        """Raise ValueError, or TypeError for another class, if the rule does not take a value."""
        if self.kinds and not any(kind.takes(value) for kind in self.kinds):
            wanted = list(dict.fromkeys(self._wanted(kind) for kind in self.kinds))
            if wanted[-1] == "None" and len(wanted) > 2:
                text = f"{', '.join(wanted[:-1])}, or None"
            else:
                text = " or ".join(wanted)
            if all(kind.is_class for kind in self.kinds if kind.wanted != "None"):
                raise TypeError(f"{name} is a {type(value).__name__}: give {text}.")
            raise ValueError(f"{name}={shown(value)}: give {text}.")
        each = value if isinstance(value, list | tuple) else [value]
        numbers = [one for one in each if is_number(one)]
        if self.bounds and numbers:
            low, high = self.bounds.minimum, self.bounds.maximum
            if max(numbers) > high:
                raise ValueError(f"{name}={shown(value)}: give a number of at most {high:,}.")
            if min(numbers) < low:
                kind = "whole number" if self.whole else "number"
                raise ValueError(f"{name}={shown(value)}: give a {kind} of {low:g} or more.")

    def _wanted(self, kind: _Kind) -> str:
        """Description of the values of a kind, with the minimum of a whole number."""
        if kind is _KINDS["int"] and self.bounds and math.isfinite(self.bounds.minimum):
            return f"a whole number of {self.bounds.minimum:g} or more"
        return kind.wanted


def _rules(signature: inspect.Signature) -> dict[str, _Rule]:
    """Rules of the parameters whose annotations are understood."""
    rules = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        annotation = parameter.annotation
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        parts = _parts(str(annotation) if "|" in str(annotation) else text)
        if name in _LENGTHS:
            parts = [_LENGTHS[name] if part == "Sequence[float]" else part for part in parts]
        kinds = [_kind(part) for part in parts]
        if parts == ["Any"] and name in _BY_NAME:
            kinds = [_BY_NAME[name]]
        if name == "random_state":  # seeds of any size: those that are drawn have 31 bits
            kinds = [_SEED if kind is _KINDS["int"] else kind for kind in kinds]
        known = () if None in kinds or parameter.annotation is parameter.empty else tuple(kinds)
        bounds = BOUNDS.get(name)
        if known or bounds:
            rules[name] = _Rule(cast(tuple[_Kind, ...], known), bounds, "int" in parts)
    return rules


@overload
def checked(function: Callable[P, R]) -> Callable[P, R]: ...


@overload
def checked(*, but: Collection[str]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def checked(function: Any = None, *, but: Collection[str] = ()) -> Any:
    """
    Check the arguments of a public function before it runs, and name them in its errors.

    Parameters
    ----------
    function : callable
        With annotations. Numbers, flags, texts, paths, pairs, and mappings by name are checked;
        other kinds are left to the function.
    but : collection of str
        Parameters that the function itself refuses in better words, before it computes anything.

    Returns
    -------
    callable
        It raises ValueError for an argument of another kind, such as NaN for a number, or True
        for a whole number: ``"name=value: what is wanted"``. It raises TypeError where an object
        of a class is wanted. An error of the function that quotes the value of an argument
        without its name is given the name. An error of Python or another library, which names no
        argument, becomes the refusal of an argument of another kind, if there is one.

    Examples
    --------
    >>> @checked
    ... def scaled(length: float, times: int = 1) -> float:
    ...     return length * times
    >>> scaled(0.5, times=2)
    1.0
    >>> scaled(float("nan"))
    Traceback (most recent call last):
    ValueError: length=nan: give a finite number.
    """
    if function is None:
        return functools.partial(checked, but=but)
    signature = inspect.signature(function)
    all_rules = _rules(signature)
    raises = (function.__doc__ or "").partition("Raises\n")[2]
    left = {
        name: rule.only_maximum()
        for name, rule in all_rules.items()
        if name in but or any(kind.is_late for kind in rule.kinds)
    }
    rules = all_rules | left

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # the function refuses them in its own words
            return function(*args, **kwargs)
        for name, value in given.items():
            rule = rules.get(name)
            parameter = signature.parameters[name]
            if rule is not None and value is not parameter.default:
                rule.refuse(name, value)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if isinstance(error, AttributeError) and "unexpected keyword argument" in str(error):
                raise TypeError(str(error)) from error  # in the words of Matplotlib
            if isinstance(error, ValueError | TypeError | KeyError | IndexError):
                name_argument(error, given)
            explain(error, given, all_rules, raises)
            raise

    call.__checked__ = True  # type: ignore[attr-defined]
    return call


def refuse_settings(function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """
    Refuse settings that the annotations of a function do not allow, without a call.

    Parameters
    ----------
    function : callable
    settings : Mapping of str to object
        By the names of its parameters.

    Raises
    ------
    ValueError, TypeError
        Names the setting.

    Examples
    --------
    >>> refuse_settings(whole_number, {"minimum": "1"})
    Traceback (most recent call last):
    ValueError: minimum='1': give a whole number.
    """
    for name, rule in _rules(inspect.signature(function)).items():
        if name in settings:
            rule.refuse(name, settings[name])


def check_methods(
    cls: C, around: Callable[[Callable[..., Any]], Callable[..., Any]] = checked
) -> C:
    """
    Put checks around the public methods that a class defines itself.

    Parameters
    ----------
    cls : type
        Changed in place. Its properties, and names that begin with an underscore, stay, except
        for the ``__init__`` of a dataclass.
    around : callable
        Decorator of a function.

    Returns
    -------
    type
        The same class, so that this is a decorator as well.
    """
    for name, thing in list(vars(cls).items()):
        if name.startswith("_") and not (name == "__init__" and is_dataclass(cls)):
            continue
        if isinstance(thing, classmethod | staticmethod):
            setattr(cls, name, type(thing)(checked(thing.__func__)))
        elif inspect.isfunction(thing) and not (
            around is checked and hasattr(thing, "__checked__")
        ):
            setattr(cls, name, around(thing))
    return cls
