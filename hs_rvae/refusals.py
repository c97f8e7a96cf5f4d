# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of a refusal: the argument behind an error, and its value on one line."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import reprlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import GeneratorType
from typing import Any

import numpy as np


def shown(value: object) -> str:
    """
    A value for a message: short, on one line.

    Examples
    --------
    >>> shown(0.5), shown(np.ones((3, 2))), shown("a" * 99)
    ('0.5', 'ndarray of shape (3, 2)', "'aaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaa'")
    """
    try:
        return _shown(value)
    except Exception:  # it fails when it is asked for anything
        return f"a {type(value).__name__}"


def _shown(value: object) -> str:
    shape = getattr(value, "shape", None)
    if hasattr(value, "axes_manager"):
        return f"a {type(value).__name__}"
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    if isinstance(value, float | np.floating | int | np.integer | complex) and not isinstance(
        value, bool | np.bool_
    ):
        try:
            text = repr(value)
        except ValueError:  # thousands of digits
            return "a number of thousands of digits"
        return text if len(text) < 40 else f"{text[:18]}...{text[-18:]}"
    return " ".join(_SHORT.repr(value).split())


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 40


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """
    Put the name of an argument before messages of errors that do not have it.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> with naming("neighbours"):
    ...     raise ValueError("positions must have the shape (n, 2).")
    Traceback (most recent call last):
    ValueError: neighbours: positions must have the shape (n, 2).
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, OSError) as error:
        text = error.args[0] if error.args else ""
        if isinstance(text, str) and not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            error.args = (f"{name}: {text}", *error.args[1:])
        raise


def name_argument(error: Exception, given: Mapping[str, Any]) -> None:
    """
    Put the name of an argument before a message that quotes its value and names none.

    Parameters
    ----------
    error : Exception
        Its message is changed in place.
    given : Mapping of str to object
        Arguments of the call.

    Examples
    --------
    >>> error = KeyError("There is no column 'angel'.")
    >>> name_argument(error, {"color": "angel", "bins": 72})
    >>> error.args[0]
    "color='angel': There is no column 'angel'."
    """
    if not error.args or not isinstance(error.args[0], str):
        return
    message = error.args[0]
    if any(f"{name}=" in message for name in given):
        return
    for name, value in given.items():
        if name == "self" or not name:
            continue
        before, found, _ = message.partition(repr(value)) if isinstance(value, str) else ("",) * 3
        if found and not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", before):
            error.args = (f"{name}={shown(value)}: {message}", *error.args[1:])
            return
    if "ParseSyntaxException" in message or "ParseFatalException" in message:  # of Matplotlib
        for name, value in given.items():
            texts = [value] if isinstance(value, str) else value
            texts = texts if isinstance(texts, list | tuple) else []
            parts = [part for text in texts for part in str(text).split("$")[1:]]
            if any(part and part in message for part in parts):
                error.args = (f"{name}={shown(value)}: {message.strip()}", *error.args[1:])
                return
    words = set(re.findall(r"\w+", message))
    if any(len(name) > 1 and name in words for name in given):
        return
    for name in given:
        stem = name.partition("_")[0]  # "positions" of positions_xy
        if len(stem) > 4 and stem != name and stem in words:
            error.args = (f"{name}: {message}", *error.args[1:])
            return


def explain(
    error: Exception, given: Mapping[str, Any], rules: Mapping[str, Any], documented: str
) -> None:
    """
    Refuse the argument behind an error that is not about one; return if there is none.

    Parameters
    ----------
    error : Exception
        Its message may be changed in place.
    given : Mapping of str to object
        Arguments of the call.
    rules : Mapping of str to object
        Their rules, as :mod:`hs_rvae.checks` has them: ``refuse(name, value)`` and ``kinds``.
    documented : str
        Text with the names of errors that the function documents.

    Raises
    ------
    ValueError, TypeError
        Names the argument.
    """
    steps = traceback.extract_tb(error.__traceback__)
    message = str(error)
    others = {
        name: value
        for name, value in given.items()
        if name not in ("self", "cls") and value is not None
    }
    said_by_us = _is_raised_here(steps[-1])
    after = r"(?!\w)" if said_by_us else r"(=|\W.*: )"
    accident = isinstance(error, _ACCIDENTS) and not said_by_us
    if not accident and any(re.search(rf"(?<!\w){name}{after}", message) for name in others):
        return
    if said_by_us and any(re.search(rf"(?<!\w){name}=", message) for name in rules):
        return  # an argument that was not given
    for name, value in others.items():
        if name in rules:
            try:
                rules[name].refuse(name, value)
            except (ValueError, TypeError) as refusal:
                raise refusal from error
    if said_by_us:
        return
    settings = getattr(given.get("self"), "get_params", dict)  # of an estimator
    _refuse_source(error, others | settings())
    said = f"{type(error).__name__}: {message}"
    for name, value in others.items():
        if _fails(value):
            raise ValueError(f"{name}={shown(value)}: it cannot be used: {said}") from error
        lazy = hasattr(value, "dask") or getattr(value, "_lazy", False)
        if lazy and any(f"{os.sep}dask{os.sep}" in step.filename for step in steps):
            raise ValueError(f"{name}={shown(value)}: its data cannot be read: {said}") from error
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            if isinstance(value, str | os.PathLike) and str(value) in str(error.filename):
                raise ValueError(f"{name}={shown(value)}: {error.strerror}.") from error
    free = [name for name in others if name not in rules or not rules[name].kinds]
    blamed = {name: others[name] for name in free or list(others)[:3]}
    text = ", ".join(f"{name}={shown(value)}" for name, value in blamed.items())
    if isinstance(error, ValueError | TypeError):
        if any(_is_named(name, message) for name in others):
            return
        if not _is_of_a_library(steps[-1]) and (steps[-1].line or "").startswith("raise "):
            return  # in the words of the caller's own code, such as a callback
        if blamed and error.args and isinstance(error.args[0], str):
            error.args = (f"{text}: {message}", *error.args[1:])
    elif isinstance(error, _ACCIDENTS) and blamed and _is_of_a_library(steps[-1]):
        if type(error).__name__ not in documented:
            raise ValueError(f"{text}: it cannot be used: {said}") from error


def _is_named(name: str, message: str) -> bool:
    """
    Return True for a message of a library that names an argument.

    A word of English, such as axis or end, does not name one by chance.
    """
    if "_" in name:
        return bool(re.search(rf"(?<!\w){name}(?!\w)", message))
    return bool(re.search(rf"(?<!\w){name}=|(['`\"]){name}\1|^{name} ", message))


def _refuse_source(error: Exception, given: Mapping[str, Any]) -> None:
    """Refuse a source of values or of random numbers whose own code, the caller's, has failed."""
    frame = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    if _is_of_a_library(traceback.FrameSummary(frame.f_code.co_filename, 0, "")):
        return
    for name, value in given.items():
        if isinstance(value, GeneratorType):
            failed = frame.f_code is value.gi_code
        elif isinstance(value, np.random.Generator | np.random.RandomState | Iterator):
            failed = frame.f_locals.get("self") is value
        else:
            continue
        if failed:
            raise ValueError(
                f"{name}={shown(value)}: it cannot be used: {type(error).__name__}: {error}"
            ) from error


# Errors of Python that come of an argument where nothing in the words of the package does.
_ACCIDENTS = (ArithmeticError, LookupError, AttributeError, AssertionError)


def _is_of_a_library(step: traceback.FrameSummary) -> bool:
    """Return True for a line of this package or an installed one, not of the caller's."""
    here = os.path.dirname(__file__)
    return step.filename.startswith((here, sys.prefix, sys.base_prefix, "<"))


def _is_raised_here(step: traceback.FrameSummary) -> bool:
    """Return True for a line of this package that raises an error in its own words."""
    ours = step.filename.startswith(os.path.dirname(__file__))
    return ours and bool(step.line and step.line.startswith("raise "))


def _fails(value: Any, depth: int = 0) -> bool:
    """Return True for an object of the caller's that raises at whatever it is asked."""
    if isinstance(value, list | tuple) and depth < 2:
        return any(_fails(each, depth + 1) for each in value[:10])
    try:
        repr(value)
        if isinstance(value, Mapping):
            dict(value)
        # Arrays that lie in a file have a type of their elements, and are not read here.
        of_torch = getattr(value, "requires_grad", False) is True
        if hasattr(value, "__array__") and (of_torch or not hasattr(value, "dtype")):
            if not hasattr(value, "axes_manager"):
                np.asarray(value)
    except Exception:
        return True
    return False
