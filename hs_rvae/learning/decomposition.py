# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linear decompositions of sub-images: algorithms, checks, and factors that rebuild images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hs_rvae.checks import is_whole_number
from hs_rvae.learning import algorithms as _algorithms
from hs_rvae.learning.algorithms import name_of
from hs_rvae.learning.rows import Summary
from hs_rvae.options import options_of

#: Algorithms by name; those of the second line are HyperSpy's and work in memory only.
ALGORITHMS = ("PCA", "SVD", "NMF", "ORPCA", "ORNMF")
IN_MEMORY = ("sklearn_pca", "sparse_pca", "mini_batch_sparse_pca", "MLPCA", "RPCA")
# They subtract the mean of the sites.
_CENTRED = ("PCA", "sklearn_pca", "sparse_pca", "mini_batch_sparse_pca")
_SOLVERS_IN_MEMORY = (None, "auto", "full", "arpack", "randomized")
_SOLVERS_OF_BLOCKS = (None, "randomized", "incremental", "full")
# Options of HyperSpy's solvers of SVD and of its functions.
_OF_SOLVER = {
    "randomized": ("n_iter", "n_oversamples", "power_iteration_normalizer"),
    "arpack": ("maxiter", "ncv", "tol", "v0", "which"),
    "full": (),
}
_OF_ONLINE = ("batch_size", "lambda1", "method", "subspace_learning_rate", "subspace_momentum")
_OF_FUNCTION = {
    "SVD": (),
    "MLPCA": ("max_iter", "tol"),
    "RPCA": ("lambda1", "maxiter", "power", "tol"),
    "ORPCA": (*_OF_ONLINE, "init", "lambda2", "training_samples"),
    "ORNMF": (*_OF_ONLINE, "kappa"),
}
#: Options of HyperSpy's lazy decomposition.
OF_BLOCKS = ("get", "num_chunks")


def sort_arguments(
    first: Any, algorithm: Any, output_dimension: Any
) -> tuple[bool, Any, int | None]:
    """
    Sort the first three arguments; the first one may be the algorithm.

    Parameters
    ----------
    first : bool, str or object
        Whether to scale for Poissonian noise. If it is an algorithm, a number may follow it.
    algorithm : str, object, int or None
    output_dimension : int or None

    Returns
    -------
    tuple of bool, str or object, int or None
        Whether to scale, the algorithm, and the number of components.

    Examples
    --------
    >>> sort_arguments("PCA", 8, None), sort_arguments(True, None, 3)
    ((False, 'PCA', 8), (True, 'SVD', 3))
    """
    if isinstance(first, bool | np.bool_):
        return bool(first), "SVD" if algorithm is None else algorithm, output_dimension
    given = f"normalize_poissonian_noise={first!r}: give True or False"
    if not _is_algorithm(first):
        raise ValueError(f"{given}, or an algorithm in its place.")
    if algorithm is None:
        return False, first, output_dimension
    if _is_algorithm(algorithm):
        raise ValueError(f"{given}, because algorithm={algorithm!r} is given too.")
    if output_dimension is not None:
        raise ValueError(
            f"output_dimension={output_dimension!r}: give it once; {algorithm!r} stands in its "
            f"place after {first!r}."
        )
    return False, first, algorithm


def _is_algorithm(value: Any) -> bool:
    return isinstance(value, str) or hasattr(value, "fit") or hasattr(value, "fit_transform")


def check_algorithm(algorithm: Any, lazy: bool = False) -> None:
    """
    Refuse anything but the name of an algorithm or an estimator.

    Parameters
    ----------
    algorithm : str or object
    lazy : bool
        Whether blocks are read one after another.

    Raises
    ------
    ValueError
        If the name is unknown, or the object is not an estimator; lists the names.
    TypeError
        If it is a class.
    NotImplementedError
        If a lazy stack cannot be decomposed with it.
    """
    if lazy and isinstance(algorithm, str) and algorithm in IN_MEMORY[1:]:
        raise NotImplementedError(
            f"algorithm={algorithm!r} is not supported for lazy stacks. Take one of "
            f"{', '.join(map(repr, ALGORITHMS))} or an estimator with partial_fit, or call "
            "compute() on the stack first."
        )
    known = ALGORITHMS + (IN_MEMORY[:1] if lazy else IN_MEMORY)
    _algorithms.check_algorithm(algorithm, known, "fit_transform", "fit")
    if not isinstance(algorithm, str) and not hasattr(algorithm, "transform"):
        raise ValueError(
            f"algorithm={name_of(algorithm)} has no transform, so sub-images cannot be rebuilt "
            "from it. For t-SNE, MDS, Isomap and the like call stack.embedding()."
        )


def check_options(
    algorithm: Any,
    options: Mapping[str, Any],
    lazy: bool,
    by_hyperspy: bool = False,
    solver: str | None = None,
    verb_options: Iterable[str] = (),
) -> None:
    """
    Refuse options that an algorithm does not have; HyperSpy ignores some of them silently.

    Parameters
    ----------
    algorithm : str or object
    options : Mapping of str to object
        Options that the caller gave.
    lazy : bool
        Whether blocks are read one after another.
    by_hyperspy : bool
        Whether HyperSpy's lazy decomposition does the work.
    solver : str, optional
        Solver of SVD. If None, HyperSpy's "auto".
    verb_options : iterable of str
        Options of the method of the stack, one of which may have been meant.

    Raises
    ------
    TypeError
        If there is such an option.

    Examples
    --------
    >>> check_options("ORNMF", {"kapa": 0.1}, lazy=False)
    Traceback (most recent call last):
    TypeError: kapa=0.1: algorithm='ORNMF' has no option kapa; it has batch_size, ...
    """
    known = set(OF_BLOCKS) if lazy else set()
    if isinstance(algorithm, str):
        known |= _known_options(algorithm, lazy, by_hyperspy, solver)
    if not lazy:  # HyperSpy warns that it is deprecated
        options = {name: value for name, value in options.items() if name != "copy"}
    _algorithms.check_options(algorithm, options, known, verb_options)


def _known_options(algorithm: str, lazy: bool, by_hyperspy: bool, solver: str | None) -> set[str]:
    """Options of a named algorithm that the method of the stack does not set."""
    from sklearn import decomposition as estimators

    if lazy and algorithm in ("PCA", "SVD"):
        return set()  # the exact solution has none
    classes = {
        "PCA": estimators.PCA,
        "NMF": estimators.MiniBatchNMF if by_hyperspy else estimators.NMF,
        "sparse_pca": estimators.SparsePCA,
        "mini_batch_sparse_pca": estimators.MiniBatchSparsePCA,
    }
    if algorithm in classes:
        return options_of(classes[algorithm], "n_components", "random_state", "svd_solver")
    known = set(_OF_FUNCTION[algorithm])
    if algorithm in ("SVD", "MLPCA", "RPCA"):
        solver = solver if solver in _OF_SOLVER and algorithm != "RPCA" else "randomized"
        known |= {"svd_flip", "u_based_decision", *_OF_SOLVER[solver]}
    elif not lazy:
        known.add("project")
    return known


def is_centred(algorithm: Any, centre: str | None) -> bool:
    """Return True if a mean is subtracted first, by an option or by a named algorithm."""
    return centre is not None or (isinstance(algorithm, str) and algorithm in _CENTRED)


def check_pretreatment(
    algorithm: Any, options: Mapping[str, Any], solver: str | None, lazy: bool
) -> None:
    """
    Refuse unknown words for centre, reproject and solver, and scaling together with a mean.

    Parameters
    ----------
    algorithm : str or object
    options : Mapping of str to object
        With ``centre``, ``reproject`` and ``normalize_poissonian_noise``.
    solver : str or None
        Solver of SVD.
    lazy : bool
        Whether blocks are read one after another.

    Raises
    ------
    ValueError
        If one of them cannot be used.
    """
    for option, value, known in (
        ("centre", options["centre"], (None, "navigation", "signal")),
        ("reproject", options["reproject"], (None, "navigation", "signal", "both")),
        ("svd_solver", solver, _SOLVERS_OF_BLOCKS if lazy else _SOLVERS_IN_MEMORY),
    ):
        if value not in known:
            names = ", ".join(map(repr, known[:-1]))
            raise ValueError(f"`{option}` must be {names} or {known[-1]!r}, not {value!r}")
    name = name_of(algorithm)
    centred = is_centred(name, options["centre"])
    if options["normalize_poissonian_noise"] and centred and name != "SVD":
        raise ValueError(
            f"normalize_poissonian_noise=True cannot be combined with algorithm={name!r}, which "
            "subtracts a mean: take 'SVD' or 'NMF'."
        )


def check_dimension(output_dimension: Any, n_sites: int, n_pixels: int) -> None:
    """Refuse a number of components that cannot be found; None passes."""
    if output_dimension is None:
        return
    if not is_whole_number(output_dimension):
        raise ValueError(
            f"`output_dimension` must be a positive integer, not {output_dimension!r}."
        )
    if output_dimension > min(n_sites, n_pixels):
        raise ValueError(
            f"output_dimension={output_dimension} is more than {n_sites} sites of {n_pixels} "
            f"pixels have: {min(n_sites, n_pixels)} at most."
        )


def check_values(summary: Summary, algorithm: Any, centred: bool) -> None:
    """
    Refuse sub-images with values that do not suit an algorithm.

    Parameters
    ----------
    summary : Summary
    algorithm : str or object
    centred : bool
        Whether a mean is subtracted first.

    Raises
    ------
    ValueError
        If values are not finite, negative for NMF, or the same in all sub-images.
    """
    if len(summary.bad_rows):
        first = ", ".join(map(str, summary.bad_rows[:5]))
        more = " ..." if len(summary.bad_rows) > 5 else ""
        raise ValueError(
            f"{len(summary.bad_rows)} sites have pixels that are not finite (site {first}{more}): "
            "exclude them with navigation_mask (True = excluded), or take the others with "
            "stack.select_sites()."
        )
    name = name_of(algorithm)
    if "NMF" in name and summary.low < 0:
        raise ValueError(
            f"algorithm={name!r} needs values of 0 or more; the lowest is {summary.low:.4g}. "
            "Subtract it from the image, for example image - image.min(), or take 'PCA'."
        )
    if summary.constant and (centred or summary.low == 0):
        value = f" (value {summary.low:.4g} everywhere)" if summary.low == summary.high else ""
        raise ValueError(f"All sub-images are the same{value}: there is nothing to decompose.")


def rebuilding_factors(estimator: Any) -> np.ndarray:
    """
    Factors such that ``scores @ factors.T + mean`` reconstructs the data.

    These are ``components_`` of most estimators. Where that is something else (the unmixing of
    FastICA, a whitened PCA), it is the matrix that undoes ``transform``.

    Parameters
    ----------
    estimator : object
        A fitted estimator, pipeline or search of scikit-learn.

    Returns
    -------
    numpy.ndarray of shape (n_pixels, k)

    Raises
    ------
    AttributeError
        If it has no ``components_``.
    """
    last = estimator
    if hasattr(last, "steps"):
        last = last[-1]
    elif hasattr(last, "best_estimator_"):
        last = last.best_estimator_
    if not hasattr(last, "components_"):
        raise AttributeError(
            f"Fitted estimator {last} has no attribute 'components_', which a decomposition needs; "
            "stack.embedding() takes estimators without."
        )
    if getattr(last, "mixing_", None) is not None:
        return np.asarray(last.mixing_)
    factors = np.asarray(last.components_).T
    if getattr(last, "whiten", False) is True and hasattr(last, "explained_variance_"):
        factors = factors * np.sqrt(last.explained_variance_)
    return factors
