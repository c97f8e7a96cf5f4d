# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of the learning verbs: options by name, seeds, estimators of the caller's."""

from __future__ import annotations

import contextlib
import copy
import difflib
import inspect
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from hs_rvae.checks import is_whole_number

P = ParamSpec("P")
R = TypeVar("R")

#: Width in px below which a window holds no motif that could be oriented.
MINIMUM_WINDOW = 8

_MAXIMUM_SEED = 2**32 - 1  # that scikit-learn takes
# Names of other libraries for options that are ours.
_CALLED_ELSEWHERE = {"seed": "random_state", "random_seed": "random_state"}


def refuse_unknown(
    options: Mapping[str, Any],
    known: Iterable[str],
    owner: str,
    *,
    own: Iterable[str] = (),
    instead: Mapping[str, str] | None = None,
    remedy: str | None = None,
) -> None:
    """Raise TypeError for options that their owner does not have.

    Parameters
    ----------
    options : Mapping of str to object
        As the caller gave them.
    known : iterable of str
        Options that there are.
    owner : str
        What has them, for the message.
    own : iterable of str
        Options of the verb itself, which may be what was meant.
    instead : Mapping of str to str, optional
        Names under which the verb takes what its estimator calls otherwise.
    remedy : str, optional
        Said where no option is known.

    Raises
    ------
    TypeError
        Names the options, their values, those that there are and those nearest to them.

    Examples
    --------
    >>> refuse_unknown({"perplexty": 5}, ["perplexity", "metric"], "algorithm='tsne'")
    Traceback (most recent call last):
    TypeError: perplexty=5: algorithm='tsne' has no option perplexty; it has metric, perplexity. \
Nearest: perplexity.
    """
    known, instead = set(known), _CALLED_ELSEWHERE | dict(instead or {})
    unknown = sorted(set(options) - known)
    if not unknown:
        return
    given = ", ".join(f"{name}={reprlib.repr(options[name])}" for name in unknown)
    has = f"it has {', '.join(sorted(known))}" if known else remedy or "it has none"
    candidates, nearest = sorted(known | set(own)), []
    for name in unknown:
        if instead.get(name) in candidates:
            nearest.append(instead[name])
        nearest += difflib.get_close_matches(name, candidates)
    near = f" Nearest: {', '.join(dict.fromkeys(nearest))}." if nearest else ""
    option = "option" if len(unknown) == 1 else "options"
    raise TypeError(f"{given}: {owner} has no {option} {', '.join(unknown)}; {has}.{near}")


def options_of(function: Callable[..., Any], *taken: str) -> set[str]:
    """Names of the options of a function or class, without those that a verb sets itself."""
    return set(inspect.signature(function).parameters) - {"self", *taken}


def named_options(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse options that a function does not have in our words, rather than in Python's.

    Parameters
    ----------
    function : callable
        Without ``**kwargs``.

    Returns
    -------
    callable
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        refuse_unknown(kwargs, options_of(function), f"{function.__name__}()")
        return function(*args, **kwargs)

    return call


def as_seed(random_state: int | np.random.Generator | np.random.RandomState | None) -> int:
    """A number from a seed, a generator or None.

    Parameters
    ----------
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        One number is drawn from a generator. If None, it comes from the operating system.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> as_seed(3)
    3
    >>> as_seed("three")
    Traceback (most recent call last):
    ValueError: random_state='three': give a whole number from 0 to 4294967295, a \
numpy.random.Generator or None.
    """
    if random_state is None:
        random_state = np.random.default_rng()
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if not is_whole_number(random_state, 0) or random_state > _MAXIMUM_SEED:
        raise ValueError(
            f"random_state={random_state!r}: give a whole number from 0 to {_MAXIMUM_SEED}, a "
            "numpy.random.Generator or None."
        )
    return int(random_state)


def random_subset(
    n: int, maximum: int, random_state: int | np.random.Generator | None
) -> np.ndarray:
    """
    Draw a random subset of rows; their numbers ascend.

    Parameters
    ----------
    n : int
        Number of rows.
    maximum : int
        Size of the subset. Up to it, all rows are taken, and nothing is drawn.
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    numpy.ndarray of int

    Examples
    --------
    >>> random_subset(3, 5, 0), len(random_subset(100, 5, 0))
    (array([0, 1, 2]), 5)
    """
    if n <= maximum:
        return np.arange(n)
    return np.sort(np.random.default_rng(random_state).choice(n, maximum, replace=False))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Put another generator, with a seed, in the place of NumPy's global one meanwhile.

    Some estimators cannot be given a seed: Isomap, or a step of a pipeline. Afterwards the global
    generator is as it was, to the bit.

    Parameters
    ----------
    seed : int
    """
    numpy_random: Any = np.random  # whose annotations lack the functions below
    generator, state = numpy_random.get_bit_generator(), numpy_random.get_state(legacy=False)
    numpy_random.set_bit_generator(np.random.MT19937(seed))
    try:
        yield
    finally:
        numpy_random.set_bit_generator(generator)
        numpy_random.set_state(state)


def own_copy(estimator: Any, argument: str = "algorithm", seed: int | None = None) -> Any:
    """An unfitted copy of an estimator; that of the caller stays as it is.

    Parameters
    ----------
    estimator : object
        With ``get_params``: cloned as in scikit-learn; else copied.
    argument : str
        Its name, for messages.
    seed : int, optional
        For each ``random_state`` that it has, those of its steps included. If None, its own hold.

    Returns
    -------
    object

    Raises
    ------
    TypeError
        If it is a class.
    """
    refuse_class(estimator, argument)
    if not hasattr(estimator, "get_params"):
        own = copy.deepcopy(estimator)
        if seed is not None and hasattr(own, "random_state"):
            own.random_state = seed
        return own
    from sklearn.base import clone

    try:
        own = clone(estimator)
    except RuntimeError:  # its constructor changes what it is given
        own = copy.deepcopy(estimator)
    if seed is not None:
        names = [name for name in own.get_params() if name.split("__")[-1] == "random_state"]
        own.set_params(**dict.fromkeys(names, seed))
    return own


def refuse_class(estimator: Any, argument: str = "algorithm") -> None:
    """Raise TypeError if a class is given in the place of an estimator."""
    if isinstance(estimator, type):
        name = estimator.__name__
        raise TypeError(f"{argument}={name}: this is a class; give an estimator, {name}().")
