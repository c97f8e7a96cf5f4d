# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of arguments that many functions share."""

from __future__ import annotations

import ast
import fractions
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import checks
from hs_rvae.checks import check_methods, checked, finite_number, is_whole_number, whole_number


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(2)])
def test_integers_of_python_and_numpy_are_whole_numbers(value):
    assert is_whole_number(value)
    number = whole_number(value, "n")
    assert number == value and type(number) is int


@pytest.mark.parametrize(
    "value", [0, -1, 2.0, np.float64(2), True, np.bool_(True), "2", None, np.nan]
)
def test_anything_else_is_refused_by_name_and_value(value):
    assert not is_whole_number(value)
    with pytest.raises(ValueError, match="n_passes=.*: give a whole number of 1 or more or 'auto'"):
        whole_number(value, "n_passes", alternative=" or 'auto'")


def test_the_minimum_belongs_to_the_range():
    assert whole_number(0, "n_factors", minimum=0) == 0
    with pytest.raises(ValueError, match="n_factors=-1: give a whole number of 0 or more"):
        whole_number(-1, "n_factors", minimum=0)


@pytest.mark.parametrize(
    "value", [10**400, float("nan"), np.inf, True, np.timedelta64(3, "s"), "1"]
)
def test_what_is_no_finite_number_is_none(value):
    assert not finite_number(value)
    assert not is_whole_number(np.timedelta64(3, "s"))


def test_only_one_place_asks_numpy_what_a_number_is():
    """A timedelta64 is an integer to NumPy and to `numbers`: elsewhere is_number asks."""
    package, found = Path(checks.__file__).parent, []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            kinds = [] if not isinstance(node, ast.Call) else node.args[1:]
            asks = getattr(getattr(node, "func", None), "id", "") == "isinstance" or (
                getattr(getattr(node, "func", None), "attr", "") == "issubdtype"
            )
            text = " ".join(ast.unparse(kind) for kind in kinds) if asks else ""
            if re.search(r"np\.(signed|unsigned)?(integer|number)|Integral|Real|Number", text):
                found.append(f"{path.relative_to(package)}:{node.lineno}: {text}")
    own = [line for line in found if line.startswith(("checks.py", "refusals.py"))]
    assert found == own


@checked
def door(
    length: float = 1.0,
    count: int = 1,
    flag: bool = False,
    pair: tuple[float, float] = (0.0, 1.0),
    names: Sequence[str] = (),
    table: Mapping[str, Any] | None = None,
    values: np.ndarray | None = None,
    bins: int = 5,
    color: str = "angle",
    output_dimension: int | None = None,
):
    """A function of every kind of argument."""
    if color == "angel":
        raise KeyError(f"There is no column {color!r}.")
    return length


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": float("nan")}, "length=nan: give a finite number"),
        ({"length": True}, "length=True: give a finite number"),
        ({"length": 1e308}, "length=1e"),
        ({"count": 1.5}, "count=1.5: give a whole number"),
        ({"count": 2**60}, "count=1152"),
        ({"flag": 1}, "flag=1: give True or False"),
        ({"pair": (1, np.inf)}, "pair=.* give two finite numbers"),
        ({"pair": 3}, "pair=3: give two finite numbers"),
        ({"names": "ab"}, "names='ab': give texts in a list"),
        ({"names": [1]}, "names=.*: give texts in a list"),
        ({"table": {1: 2}}, "table=.*: give a mapping whose keys are names or None"),
        ({"names": {"a"}}, "names=.*: give texts in a list"),
        ({"values": 3.0}, "values=3.0: give an array of real numbers or None"),
        ({"pair": np.array(5.0)}, "pair=array.*: give two finite numbers"),
        ({"values": ["a"]}, "values=.*: give an array of real numbers or None"),
        ({"bins": 10**6}, "bins=1000000: give a number of at most 100,000"),
        ({"bins": "x"}, "bins='x': give a whole number of 1 or more"),
        ({"output_dimension": "x"}, "output_dimension='x': give a whole number or None"),
    ],
)
def test_a_door_refuses_by_name_and_value(options, message):
    with pytest.raises(ValueError, match=message):
        door(**options)


def test_a_door_lets_through_what_is_annotated():
    table, values = {"x": [1]}, np.arange(3)
    options = {"pair": np.array([1.0, 2.0]), "names": ["a"], "table": table, "values": values}
    assert door(np.float32(0.5), np.int64(3), np.bool_(True), **options) == 0.5
    assert door.__wrapped__.__name__ == door.__name__ == "door"


def test_a_door_names_the_argument_whose_value_is_quoted():
    with pytest.raises(KeyError, match="color='angel': There is no column 'angel'"):
        door(color="angel")


def test_an_object_that_raises_when_it_is_looked_at_is_refused():
    class Hostile:
        def __len__(self):
            raise RuntimeError("do not look")

    with pytest.raises(ValueError, match="pair=.*: give two finite numbers"):
        door(pair=Hostile())


@pytest.mark.parametrize("title", ["$\\frac{1}$", ["fine", "$\\frac{1}$"]])
def test_a_text_that_matplotlib_cannot_read_is_named(title):
    from matplotlib.mathtext import MathTextParser

    @checked
    def draw(title: Any, place: int = 1) -> None:
        text = title if isinstance(title, str) else title[-1]
        MathTextParser("agg").parse(text)

    with pytest.raises(ValueError, match="title=.*frac"):
        draw(title)


def test_a_function_keeps_its_own_words_but_not_absurd_numbers():
    @checked(but=("bins",))
    def own(bins: int = 5):
        return bins

    assert own("five") == "five"
    with pytest.raises(ValueError, match="bins=10"):
        own(10**7)


class Failing:
    """An object that raises whatever it is asked."""

    def __repr__(self, *args):
        raise RuntimeError("do not look")

    __eq__ = __bool__ = __repr__
    __hash__ = object.__hash__


@checked(but=("kind",))
def accident(kind: str = "a", thing: Any = None, other: Any = None) -> str:
    """
    Take anything, and meet the errors of Python.

    Raises
    ------
    KeyError
    """
    if kind == "c":
        np.percentile(np.array(thing), 50)
    if kind == "d":
        fractions.Fraction(1, other)
    if kind == "f":
        with checks.naming("thing"):
            np.percentile(np.array(thing), 50)
    if kind == "e":
        {}["documented"]
    if kind == "b":
        raise RuntimeError("the machine is full")
    return "same" if {kind: 1} and thing == other else "other"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kind": [1]}, ValueError, r"^kind=\[1\]: give a text"),
        ({"thing": np.ones(2)}, ValueError, "^thing=ndarray of shape .*: The truth value"),
        ({"thing": Failing()}, ValueError, "^thing=<Failing .*it cannot be used: RuntimeError"),
        ({"kind": "c", "thing": []}, ValueError, r"^thing=\[\]: it cannot be used: IndexError"),
        ({"kind": "f", "thing": []}, ValueError, r"^thing=\[\]: it cannot be used: IndexError"),
        ({"kind": "d", "other": 0}, ValueError, "^other=0: it cannot be used: ZeroDivisionError"),
        ({"kind": "e", "thing": 3}, KeyError, "documented"),
        ({"kind": "b"}, RuntimeError, "^the machine is full$"),
        ({"kind": "b", "thing": 3}, RuntimeError, "^the machine is full$"),
    ],
)
def test_an_error_of_python_becomes_the_refusal_of_an_argument(options, error, message):
    """Where one of another kind is behind it; an error of other causes stays."""
    with pytest.raises(error, match=message) as raised:
        accident(**options)
    if "give a text" in message:
        assert isinstance(raised.value.__cause__, TypeError)


def test_data_that_lie_in_a_file_are_not_read_for_a_message():
    read = []

    def load(block):
        read.append(block.shape)
        return block

    lazy = hs.signals.Signal2D(da.ones((4, 4)).map_blocks(load, dtype=float, meta=np.ones((0, 0))))
    with pytest.raises(RuntimeError, match="the machine is full"):
        accident("b", lazy.as_lazy())
    assert not read


def test_a_block_that_cannot_be_read_names_its_array():
    def fail(block):
        raise OSError("the file is gone")

    lazy = da.ones(4, chunks=2).map_blocks(fail, dtype=float)

    @checked
    def total(values: Any) -> float:
        return float(values.sum())

    with pytest.raises(ValueError, match="^values=.*its data cannot be read: OSError: the file"):
        total(lazy)


def test_public_methods_of_a_class_are_doors():
    @check_methods
    class Thing:
        def scale(self, by: float) -> float:
            return by

        @classmethod
        def make(cls, size: int) -> int:
            return size

        def _inner(self, by: float) -> float:
            return by

    assert Thing()._inner("x") == "x" and Thing.make(3) == 3
    for call in (lambda: Thing().scale("x"), lambda: Thing.make(1.5)):
        with pytest.raises(ValueError, match="by='x'|size=1.5"):
            call()


def test_an_error_of_another_library_is_given_the_name_once():
    with pytest.raises(ValueError, match="^radius: odd$"), checks.naming("radius"):
        raise ValueError("odd")
    with pytest.raises(ValueError, match="^radius is odd$"), checks.naming("radius"):
        raise ValueError("radius is odd")
