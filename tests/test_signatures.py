# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import inspect
import re

import numpy as np
import pytest

from hs_rvae import SubImageStack
from hs_rvae.signatures import takes_options

FIGURES = [
    name
    for name, method in inspect.getmembers(SubImageStack, inspect.isfunction)
    if name.startswith(("plot_", "save_movie")) and method.__module__ == "hs_rvae.signals.figures"
]


def draw(sites, unit, x, y="y", *, width=1, colour="k", label=None):
    """Draw it.

    At length.

    Parameters
    ----------
    sites : SiteTable
        All of them.
    unit : str
    x, y : str
        Columns.
    width, colour
        Of the line.
    label : str, optional
        On the axes
        beside the line.

    Returns
    -------
    Axes

    Examples
    --------
    >>> draw(sites, "nm", "x")  # doctest: +SKIP
    """
    return sites, unit, x, y, width, colour, label


class Stack:
    @takes_options(draw, ("sites", "unit"))
    def draw(self, factor, *, colour="b", **options):
        """Draw the stack.

        Parameters
        ----------
        colour : str
            Blue by default.
        factor : int
            How often.

        Examples
        --------
        >>> stack.draw(2, "x")  # doctest: +SKIP
        """
        return factor, draw("table", "px", colour=colour.upper(), **options)


def test_a_method_has_its_own_parameters_and_the_options_of_the_function():
    signature = "(self, factor, x, y='y', *, colour='b', width=1, label=None)"
    assert str(inspect.signature(Stack.draw)) == signature
    assert str(inspect.signature(Stack().draw)) == signature.replace("self, ", "")


def test_options_reach_the_method_and_the_function():
    assert Stack().draw(2, "x", width=3) == (2, ("table", "px", "x", "y", 3, "B", None))


def test_the_docstring_joins_both_in_the_order_of_the_signature():
    assert Stack.draw.__doc__ == inspect.cleandoc(
        """Draw the stack.

        At length.

        Parameters
        ----------
        factor : int
            How often.
        x, y : str
            Columns.
        colour : str
            Blue by default.
        width
            Of the line.
        label : str, optional
            On the axes
            beside the line.

        Returns
        -------
        Axes

        Examples
        --------
        >>> stack.draw(2, "x")  # doctest: +SKIP
        """
    )


@pytest.mark.parametrize("options", [{"widht": 1}, {"sites": 1}, {"unit": "nm"}])
def test_an_option_that_there_is_not_is_refused_by_name(options):
    with pytest.raises(TypeError, match=rf"stack\.draw\(\) has no option {next(iter(options))}"):
        Stack().draw(2, "x", **options)


def test_a_missing_or_superfluous_argument_is_refused():
    with pytest.raises(TypeError, match="'x'"):
        Stack().draw(2)
    with pytest.raises(TypeError, match="too many positional arguments"):
        Stack().draw(2, "x", "y", 1)


@pytest.mark.parametrize("name", FIGURES)
def test_every_option_of_a_figure_is_documented(name):
    method = getattr(SubImageStack, name)
    parameters = method.__doc__.partition("Parameters\n---")[2].partition("\n\n")[0]
    heads = re.findall(r"^(\w+(?:, \w+)*)", parameters, flags=re.MULTILINE)
    documented = [one for head in heads for one in head.split(", ")]
    assert sorted(documented) == sorted(set(inspect.signature(method).parameters) - {"self"})
    assert "sites : SiteTable" not in method.__doc__
    assert ">>> " in method.__doc__
    with pytest.raises(TypeError, match=rf"stack\.{name}\(\) has no option colur"):
        method(SubImageStack(np.ones((2, 8, 8))), colur=1)


def test_there_are_as_many_figures_as_the_stack_has():
    assert len(FIGURES) == 18
