# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verbs of a stack are all or nothing: the changes of a failing call are taken back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hyperspy.misc.utils import DictionaryTreeBrowser

from hs_rvae.checks import checked

# Attributes of a stack that verbs replace, and of an axis.
_OF_STACK = ("_data", "_image", "_rvae_model")
_OF_AXIS = ("scale", "offset", "units", "name", "size")


def all_or_nothing(method: Callable[..., Any]) -> Callable[..., Any]:
    """
    Check the arguments of a method of a stack, and take back its changes if it fails.

    Parameters
    ----------
    method : callable

    Returns
    -------
    callable
        If it raises, then data, axes, metadata, site table, references and results of
        decompositions of the stack are those from before.
    """
    door = method if hasattr(method, "__checked__") else checked(method)

    @functools.wraps(door)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        restore = kept(self)
        try:
            return door(self, *args, **kwargs)
        except BaseException:
            restore()
            raise

    return call


def kept(stack: Any) -> Callable[[], None]:
    """
    Keep the state of a stack; arrays by reference, because verbs replace them.

    Parameters
    ----------
    stack : SiteSignal

    Returns
    -------
    callable
        Brings the state back.
    """
    table = stack.metadata.get_item("Sub_images.sites")
    attributes = [(stack, name, getattr(stack, name)) for name in _OF_STACK]
    nodes = _nodes(stack.metadata)
    axes = _axes(stack)
    if hasattr(table, "axes_manager"):
        attributes.append((table, "_data", table._data))
        nodes += _nodes(table.metadata)
        axes += _axes(table)
    results = dict(vars(stack.learning_results))

    def restore() -> None:
        for thing, name, value in attributes:
            if getattr(thing, name) is not value:
                setattr(thing, name, value)
        for node, items in nodes:
            vars(node).clear()
            vars(node).update(items)
        for axis, values in axes:
            for name, value in values.items():
                if getattr(axis, name) != value:
                    setattr(axis, name, value)
        vars(stack.learning_results).clear()
        vars(stack.learning_results).update(results)

    return restore


def _nodes(node: DictionaryTreeBrowser) -> list[tuple[DictionaryTreeBrowser, dict[str, Any]]]:
    """The node and all below, each with its items."""
    items, below = {}, []
    for key, item in vars(node).items():
        if isinstance(item, dict) and "_dtb_value_" in item:
            value = item["_dtb_value_"]
            below += _nodes(value) if isinstance(value, DictionaryTreeBrowser) else []
            item = item | {"_dtb_value_": list(value) if isinstance(value, list) else value}
        items[key] = dict(item) if key == "_lazy_attributes" else item
    return [(node, items), *below]


def _axes(signal: Any) -> list[tuple[Any, dict[str, Any]]]:
    return [
        (axis, {name: getattr(axis, name) for name in _OF_AXIS if hasattr(axis, name)})
        for axis in signal.axes_manager._axes
    ]
