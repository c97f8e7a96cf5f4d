# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Algorithms, by name or as an estimator: checks of both, and of their options."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from hs_rvae.options import refuse_class, refuse_unknown


def name_of(algorithm: Any) -> str:
    """Name of an algorithm, or of the class of an estimator."""
    return algorithm if isinstance(algorithm, str) else type(algorithm).__name__


def column_stem(algorithm: Any) -> str:
    """
    Stem of the columns that an algorithm writes: "pca" for pca_0, pca_1 ...

    Examples
    --------
    >>> column_stem("sklearn_pca"), column_stem("NMF"), column_stem("mini_batch_sparse_pca")
    ('pca', 'nmf', 'minibatchsparsepca')
    """
    stem = re.sub(r"\W|_", "", name_of(algorithm).removeprefix("sklearn_")).lower()
    return stem if stem and not stem[0].isdigit() else f"component_{stem}"


def check_algorithm(algorithm: Any, names: Collection[str], *methods: str) -> None:
    """
    Refuse an unknown name, a class, and an object without methods of an estimator.

    Parameters
    ----------
    algorithm : str or object
    names : collection of str
        Algorithms that are known.
    *methods : str
        Methods of an estimator, of which one suffices.

    Raises
    ------
    ValueError
        If it is neither; the message lists the names.
    TypeError
        If it is a class.
    """
    expected = (
        f"take one of {', '.join(map(repr, names))}, or an estimator of scikit-learn with "
        f"{methods[-1]}()."
    )
    if isinstance(algorithm, str):
        if algorithm not in names:
            raise ValueError(f"algorithm={algorithm!r} not recognised: {expected}")
        return
    refuse_class(algorithm)
    if not any(hasattr(algorithm, method) for method in methods):
        raise ValueError(
            f"algorithm={algorithm!r} not recognised: it has no {methods[-1]}(); {expected}"
        )


def check_options(
    algorithm: Any,
    options: Mapping[str, Any],
    known: Collection[str],
    verb_options: Iterable[str] = (),
    count: str = "output_dimension",
) -> None:
    """
    Refuse options that an algorithm does not have.

    Parameters
    ----------
    algorithm : str or object
    options : Mapping of str to object
        Options that the caller gave.
    known : collection of str
        Options of the algorithm; none for an estimator, which has its own already.
    verb_options : iterable of str
        Options of the method of the stack, one of which may have been meant.
    count : str
        Option of this method for what scikit-learn calls ``n_components``.

    Raises
    ------
    TypeError
        If there is such an option.
    """
    if isinstance(algorithm, str):
        owner, remedy = f"algorithm={algorithm!r}", None
    else:
        owner = f"algorithm={name_of(algorithm)}"
        remedy = f"{owner} is an estimator: set {', '.join(options)} in it"
    renamed = {"n_components": count}
    refuse_unknown(options, known, owner, own=verb_options, instead=renamed, remedy=remedy)
