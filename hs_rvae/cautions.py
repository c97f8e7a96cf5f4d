# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings of a run, collected so that they reach the report and not only the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_LOGGER = logging.getLogger("hs_rvae")


class _Collector(logging.Handler):
    """Handler that keeps the text of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self.texts:
            self.texts.append(text)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """
    Yield the growing list of the package's warnings.

    Warnings still go to the log. Those below the level of :func:`hs_rvae.set_log_level`
    are in neither. A warning that is repeated is listed once.

    Yields
    ------
    list of str

    Examples
    --------
    >>> with collected_warnings() as texts:
    ...     _LOGGER.warning("Half of the columns are missing.")
    >>> texts
    ['Half of the columns are missing.']
    """
    collector = _Collector()
    _LOGGER.addHandler(collector)
    try:
        yield collector.texts
    finally:
        _LOGGER.removeHandler(collector)


def keeping_warnings(function: Callable[P, R]) -> Callable[P, R]:
    """
    Give the result of a function the warnings of the call, as its attribute ``warnings``.

    Parameters
    ----------
    function : callable
        Returns an object that takes attributes; others are returned as they are.

    Returns
    -------
    callable
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with collected_warnings() as texts:
            result = function(*args, **kwargs)
        with suppress(AttributeError):
            result.warnings = tuple(texts)  # type: ignore[attr-defined]
        return result

    return call


def without_repeats(*lists: Iterable[str]) -> list[str]:
    """
    Join lists of sentences, each sentence once, in order.

    Examples
    --------
    >>> without_repeats(["one"], ["two", "one"])
    ['one', 'two']
    """
    return list(dict.fromkeys(str(text) for texts in lists for text in texts))
