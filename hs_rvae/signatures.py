# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options written once: methods that take signature and docstring from a function or class."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from hs_rvae.options import refuse_unknown

# Sections of a docstring in the order of numpydoc.
_TITLES = ("Parameters", "Attributes", "Returns", "Raises", "Notes", "References", "Examples")


def takes_options(
    function: Callable[..., Any], supplied: Sequence[str] = ("sites",)
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """
    Give a method the options of a function or class in place of its ``**options``.

    Signature and docstring of the method are completed: ``inspect.signature``, ``help`` and the
    reference show every option. Sections and parameters in the docstring of the method replace
    those of the function. The method receives all options, default values included.

    Parameters
    ----------
    function : callable
        Function such as those of ``hs_rvae.plots``, or a class.
    supplied : sequence of str
        Parameters of the function that the method supplies; users do not pass them.

    Returns
    -------
    callable
        Decorator of a method with the parameter ``**options``. The decorated method raises
        TypeError for an option that neither the method nor the function has.

    Examples
    --------
    >>> def plot_line(sites, color="k", *, width=1):
    ...     return sites, color, width
    >>> class Stack:
    ...     @takes_options(plot_line)
    ...     def plot_line(self, **options):
    ...         return plot_line("the site table", **options)
    >>> inspect.signature(Stack.plot_line)
    <Signature (self, color='k', *, width=1)>
    >>> Stack().plot_line("r")
    ('the site table', 'r', 1)
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        given = inspect.signature(method)
        parameters = [
            parameter
            for parameter in given.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        hidden = {*supplied, *(parameter.name for parameter in parameters)}
        options = inspect.signature(function).parameters.values()
        parameters += [option for option in options if option.name not in hidden]
        parameters.sort(key=lambda parameter: parameter.kind)
        signature = given.replace(parameters=parameters)

        @wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            refuse_unknown(kwargs, [*signature.parameters][1:], f"stack.{method.__name__}()")
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            return method(**bound.arguments)

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__doc__ = joined_docstring(function, method, list(signature.parameters))
        return call

    return decorate


def joined_docstring(function: Any, method: Any, names: list[str]) -> str:
    """
    Docstring of a method: its own sections and parameters, then those of a function.

    Parameters
    ----------
    function, method : callable
        Functions or classes.
    names : list of str
        Parameters of the method, in the order of its signature.

    Returns
    -------
    str
    """
    theirs, own = _sections(function.__doc__ or ""), _sections(method.__doc__ or "")
    entries = _entries(own.get("Parameters", ""))
    wanted = set(names).difference(*entries)
    for named, entry in _entries(theirs.get("Parameters", "")).items():
        if kept := tuple(name for name in named if name in wanted):
            entries[kept] = entry
    sections = theirs | own
    sections["Parameters"] = "\n".join(
        ", ".join(named) + entries[named]
        for named in sorted(entries, key=lambda named: names.index(named[0]))
    )
    text = [
        f"{title}\n{'-' * len(title)}\n{sections[title]}" for title in _TITLES if title in sections
    ]
    text = [sections[title] for title in ("summary", "description") if title in sections] + text
    return "\n\n".join(text)


def _sections(docstring: str) -> dict[str, str]:
    """Summary, description and the sections with a title, without empty ones."""
    parts = re.split(r"^(\w+)\n-+\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    summary, _, description = parts[0].partition("\n\n")
    titles, texts = ["summary", "description", *parts[1::2]], [summary, description, *parts[2::2]]
    return {title: text.strip() for title, text in zip(titles, texts, strict=True) if text.strip()}


def _entries(section: str) -> dict[tuple[str, ...], str]:
    """Type and text of the parameters of a section, by their names."""
    entries = re.findall(r"^(\w+(?:, \w+)*)(.*(?:\n(?!\S).*)*)", section, flags=re.MULTILINE)
    return {tuple(names.split(", ")): text.rstrip() for names, text in entries}
