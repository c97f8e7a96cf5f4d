# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that wrote into the site table of a stack, kept as text in its metadata.

Each is a line of Python with all options that are not the default, beside what has to hold for it
to be repeated: the sites that it ran on, and checksums of the columns that it wrote.
"""

from __future__ import annotations

import inspect
import json
import os
import zlib
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from hs_rvae.cautions import collected_warnings, without_repeats
from hs_rvae.options import options_of, refuse_unknown
from hs_rvae.signals.channels import names_of

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal

Verb = TypeVar("Verb", bound=Callable[..., Any])

CALLS = "Sub_images.calls"
#: Warnings of the search for columns and of the cutting, which no call in CALLS repeats.
WARNINGS = "Sub_images.warnings"
# Options that change no number.
_SILENT = ("show_progressbar", "return_info", "print_info")
_MODEL = ("rvae", "apply_rvae")
# What a call takes the place of, if nothing else was called in between.
_REPLACES = dict.fromkeys(_MODEL, (*_MODEL, "register_angle", "assign_variants"))
_LONGEST = 2000  # numbers of an array that is written as text


def recorded(verb: Verb) -> Verb:
    """
    Keep each call of a method that writes columns, or that returns a stack with other sub-images.

    A `random_state` of None is replaced by a number drawn at random, so that the call can be
    repeated. A call that raises is not kept.

    Parameters
    ----------
    verb : callable
        Method of a stack.

    Returns
    -------
    callable
    """
    signature = inspect.signature(verb)
    open_ended = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())

    @wraps(verb)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not open_ended:  # else the verb has a message of its own
            refuse_unknown(kwargs, options_of(verb), f"stack.{verb.__name__}()")
        table = self._sites_signal()
        if table is None:
            return verb(self, *args, **kwargs)
        lacks = ["it ran on the sub-images of several detectors"] * bool(names_of(self))
        files: list[str] = []
        kwargs = _with_seed(self, signature, args, kwargs)
        line = _line(self, verb.__name__, signature, args, kwargs, lacks, files)
        before, lazy = _checksums(table), self._lazy
        with collected_warnings() as warned:
            result = verb(self, *args, **kwargs)
        changed = result if hasattr(result, "_sites_signal") else self
        _keep(
            changed,
            before,
            {"verb": verb.__name__, "line": line, "lacks": lacks, "files": files, "lazy": lazy,
             "gives_stack": changed is not self, "warnings": warned},
        )  # fmt: skip
        return result

    return cast(Verb, call)


def noting_warnings(make: Verb) -> Verb:
    """
    Keep the warnings of a function that makes a stack in the metadata of the stack.

    Parameters
    ----------
    make : callable
        Function of a class that returns a stack.

    Returns
    -------
    callable
    """

    @wraps(make)
    def call(*args: Any, **kwargs: Any) -> Any:
        with collected_warnings() as warned:
            stack = make(*args, **kwargs)
        note_warnings(stack, warned)
        return stack

    return cast(Verb, call)


def note_warnings(stack: SiteSignal, texts: Iterable[str]) -> None:
    """Add warnings to those in the metadata of a stack."""
    known = without_repeats(stack.metadata.get_item(WARNINGS, ()), texts)
    if known:
        stack.metadata.set_item(WARNINGS, known)


def noted_warnings(stack: SiteSignal) -> list[str]:
    """
    Warnings of the run that a stack comes from: its search, its cutting and its calls.

    Several calls of ``register_angle`` are attempts: the last one counts.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of str
    """
    calls = [json.loads(text) for text in _calls(stack)]
    registered = [call for call in calls if call["verb"] == "register_angle"][:-1]
    last = [call.get("warnings", ()) for call in calls if call not in registered]
    return without_repeats(stack.metadata.get_item(WARNINGS, ()), *last)


def _keep(stack: SiteSignal, before: dict[str, int], call: dict[str, Any]) -> None:
    """Add a call to the metadata, with the sites and its changes of the table."""
    table = stack._sites_signal()
    after = _checksums(table)
    calls = [json.loads(text) for text in stack.metadata.get_item(CALLS, [])]
    wrote = {name: sum_ for name, sum_ in after.items() if before.get(name) != sum_}
    while calls and _takes_place(call, wrote, calls[-1]):
        gone = calls.pop()
        # A second fit may have given the same values.
        wrote |= {name: after[name] for name in gone["wrote"] if name in after}
    names = list(table.metadata.Sites.columns)
    rows = table.data.reshape(-1, len(names))
    call |= {
        "sites": checksum(rows[:, [names.index(name) for name in "xy" if name in names]]),
        "n_sites": len(rows),
        "wrote": wrote,
        "removed": [name for name in before if name not in after],
    }
    stack.metadata.set_item(CALLS, [json.dumps(one) for one in [*calls, call]])


def _takes_place(call: dict[str, Any], wrote: dict[str, int], last: dict[str, Any]) -> bool:
    """Return True if a call makes the last one before it superfluous."""
    if "stack.rvae_model" in call["line"] or call["gives_stack"]:
        return False
    if last["verb"] in _REPLACES.get(call["verb"], ()):
        return True
    return last["verb"] == call["verb"] != "register_angle" and set(last["wrote"]) <= set(wrote)


def checksum(values: Any) -> int:
    """Checksum of an array."""
    return zlib.crc32(np.ascontiguousarray(values, dtype=np.float64).tobytes())


def _checksums(table: Any) -> dict[str, int]:
    """Checksums of the columns, by name."""
    rows = table.data.reshape(-1, table.data.shape[-1])
    return {
        name: checksum(values)
        for name, values in zip(table.metadata.Sites.columns, rows.T, strict=True)
    }


def _with_seed(
    stack: SiteSignal, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Options with a number for a seed that was not given; estimators have their own."""
    try:
        given = signature.bind(stack, *args, **kwargs).arguments
    except TypeError:  # said by the method itself
        return kwargs
    if "random_state" not in signature.parameters or given.get("random_state") is not None:
        return kwargs
    if any(hasattr(value, "get_params") and not _is_model(value) for value in given.values()):
        return kwargs
    return kwargs | {"random_state": int(np.random.default_rng().integers(2**31))}


def _line(
    stack: SiteSignal,
    verb: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    lacks: list[str],
    files: list[str],
) -> str:
    """A call as text, ``...`` for options without one; fills the lists of those and of files."""
    names = [name for name, p in signature.parameters.items() if p.kind != p.VAR_KEYWORD][1:]
    if verb == "apply_rvae" and not args and kwargs.get("model") is None:
        args, kwargs = (stack._model_to_apply(),), {k: v for k, v in kwargs.items() if k != "model"}
    named = [*zip(names, args, strict=False), *kwargs.items()]
    words = []
    for i, (name, value) in enumerate(named):
        given_by_name = i >= len(args)
        if given_by_name and (name in _SILENT or _is_default(signature, name, value)):
            continue
        try:
            text = _text_of(stack, name, value, files)
        except (TypeError, RecursionError):
            lacks.append(f"{name} is a {type(value).__name__}, which cannot be written as text")
            text = "..."
        words.append(f"{name}={text}" if given_by_name else text)
    if any(word.endswith("'bss'") for word in words):
        lacks.append("blind source separation is not recorded")
    return f"{verb}({', '.join(words)})"


def _is_default(signature: inspect.Signature, name: str, value: Any) -> bool:
    """Return True for an option with its default value."""
    parameter = signature.parameters.get(name)
    if parameter is None or type(value) is not type(parameter.default):
        return False
    return value is parameter.default or (
        isinstance(value, bool | int | float | str | tuple) and value == parameter.default
    )


def _text_of(stack: SiteSignal, name: str, value: Any, files: list[str]) -> str:
    """An option as text; a model as the stack's own, or by the name of a file to save it in."""
    if _is_model(value):
        own = value is stack._rvae_model
        if own and any(json.loads(text)["verb"] in _MODEL for text in _calls(stack)):
            return "stack.rvae_model"
        files.append(f"{name}.safetensors")
        return repr(files[-1])
    if name.endswith("_mask") and hasattr(value, "axes_manager"):
        value = value.data
    return as_text(value)


def _is_model(value: Any) -> bool:
    """Return True for an rVAE, without the import of PyTorch."""
    return hasattr(value, "inverse_transform") and hasattr(value, "pixel_size_")


def _calls(stack: SiteSignal) -> list[str]:
    return stack.metadata.get_item(CALLS, [])


def as_text(value: Any) -> str:
    """
    A value as an expression of Python that gives the same value.

    Parameters
    ----------
    value : object
        None, numbers, text, paths, and tuples, lists, dictionaries and small arrays of them.

    Returns
    -------
    str
        Needs ``import numpy as np`` for arrays.

    Raises
    ------
    TypeError
        If there is no such expression.

    Examples
    --------
    >>> import numpy as np
    >>> as_text({"n_init": np.int64(3), "names": ("x", "y")})
    "{'n_init': 3, 'names': ('x', 'y')}"
    >>> as_text(np.array([False, True, False, False]))
    'np.isin(np.arange(4), [1])'
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return repr(float(value)) if np.isfinite(value) else f"float({str(value)!r})"
    if value is None or type(value) in (bool, int, str):
        return repr(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if type(value) in (list, tuple):
        inside = ", ".join(map(as_text, value))
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if type(value) is dict:
        return "{" + ", ".join(f"{as_text(k)}: {as_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, np.ndarray):
        return _array_as_text(value)
    raise TypeError(f"a {type(value).__name__} has no text")


def _array_as_text(array: np.ndarray) -> str:
    """A mask as the numbers of its True (or False) elements, others as a list."""
    if array.dtype.kind == "b":
        few = array.mean() <= 0.5 if array.size else True
        places = np.flatnonzero(array if few else ~array)
        shape = "" if array.ndim == 1 else f".reshape({array.shape!r})"
        text = f"{'' if few else '~'}np.isin(np.arange({array.size}), {places.tolist()}){shape}"
    elif array.dtype.kind in "iuf" and np.isfinite(array).all():
        shape = "" if array.size else f".reshape({array.shape!r})"
        places, text = array, f"np.array({array.tolist()}, dtype={array.dtype.name!r}){shape}"
    else:
        places = None
    if places is None or places.size > _LONGEST:
        raise TypeError("such an array has no text")
    return text
