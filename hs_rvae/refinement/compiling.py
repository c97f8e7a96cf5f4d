# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled code, kept in a folder of the user's, never in that of the package.

Numba keeps it beside the source. An installer that removes the package leaves these files behind,
and Python takes the remaining folder for a package without content.
"""

from __future__ import annotations

import functools
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba import njit, typeof
from numba.core.registry import CPUDispatcher

_logger = logging.getLogger(__name__)
config: Any = numba.config  # its names are made while numba is imported


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate functions as ``numba.njit(**options)``; compiled code outlives the process."""

    def decorate(function: Callable[..., Any]) -> Any:
        folder = kept_in()
        if folder is not None:
            # Numba reads the folder here, once. Other people's functions keep theirs.
            before, config.CACHE_DIR = config.CACHE_DIR, folder
            try:
                return njit(cache=True, **options)(function)
            except RuntimeError:  # the user has told numba not to keep code in such folders
                pass
            finally:
                config.CACHE_DIR = before
        _let_others_compile(function)
        return njit(**options)(function)

    return decorate


def inner(keep: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate functions that compiled ones call; a call from Python runs them as they are written.

    Without entries from Python and C they are compiled in less time, and without being kept: their
    code is part of that of the functions that call them. With `keep`, another process can use it.
    """
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

    def decorate(function: Callable[..., Any]) -> Any:
        made = (compiled if keep else njit)(**options)(function)
        if isinstance(made, CPUDispatcher):
            made.__class__ = _Inner
        return made

    return decorate


class _Inner(CPUDispatcher):
    """A function that has no entry from Python."""

    def __call__(self, *arguments: Any) -> Any:
        return self.py_func(*arguments)


def _let_others_compile(function: Callable[..., Any]) -> None:
    """Let Numba keep nothing for anybody, where no folder at all can be written.

    Otherwise it refuses to load any package that asks it to keep code, HyperSpy among them.
    """
    from numba.core.dispatcher import Dispatcher
    from numba.np.ufunc.ufuncbuilder import UFuncDispatcher

    try:
        njit(cache=True)(function)
    except RuntimeError:
        _logger.warning(
            "No folder for compiled code can be written, so that each process compiles anew: set "
            "the environment variable NUMBA_CACHE_DIR to a folder of yours that can be written."
        )
        for dispatcher in (Dispatcher, UFuncDispatcher):
            setattr(dispatcher, "enable_caching", _keep_nothing)  # noqa: B010


def _keep_nothing(dispatcher: Any) -> None:
    """Take the place of ``enable_caching``."""


def must_compile(function: Any) -> bool:
    """Return True if the next call of a compiled function compiles: no code of it was kept."""
    if getattr(function, "signatures", True):
        return False
    folder, of_python = function.stats.cache_path, "py{}{}".format(*sys.version_info)
    line, name = function.py_func.__code__.co_firstlineno, function.py_func.__qualname__
    return folder is None or not any(Path(folder).glob(f"*.{name}-{line}.{of_python}*.nbi"))


def compile_for(function: Any, *arguments: Any) -> None:
    """Compile a function for the types of some arguments, without calling it."""
    function.compile(tuple(map(typeof, arguments)))


@functools.cache
def kept_in() -> str | None:
    """Folder that can be written: that of numba's settings, or the user's cache; None without one.

    No temporary folder: others may write there, and what is kept is executed.
    """
    for folder in (Path(config.CACHE_DIR), platformdirs.user_cache_path("hs_rvae") / "numba"):
        if not folder.is_absolute():  # no setting, or no home
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        except OSError:
            continue
    return None
