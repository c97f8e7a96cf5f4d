# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which decompositions there are, and whether the input suits them."""

import re

import numpy as np

#: Algorithms by name. Those of the second line are HyperSpy's and work in memory only.
ALGORITHMS = ("PCA", "SVD", "NMF", "ORPCA", "ORNMF")
IN_MEMORY = ("sklearn_pca", "sparse_pca", "mini_batch_sparse_pca", "MLPCA", "RPCA")
# Options of HyperSpy's functions (2.4, 2.5) that take any name, and of the solvers below them.
_OPTIONS = {
    "SVD": (),
    "MLPCA": ("max_iter", "tol"),
    "RPCA": ("lambda1", "maxiter", "power", "random_state", "tol"),
    "ORPCA": (
        *("batch_size", "init", "lambda1", "lambda2", "method", "project", "random_state"),
        *("store_error", "subspace_learning_rate", "subspace_momentum", "training_samples"),
    ),
}
_OPTIONS_OF_SVD = (
    *("maxiter", "n_iter", "n_oversamples", "ncv", "power_iteration_normalizer", "random_state"),
    *("svd_flip", "tol", "u_based_decision", "v0", "which"),
)


def column_stem(algorithm):
    """Stem of the columns that an algorithm writes: "pca" for pca_0, pca_1 ...

    Examples
    --------
    >>> column_stem("sklearn_pca"), column_stem("NMF"), column_stem("mini_batch_sparse_pca")
    ('pca', 'nmf', 'minibatchsparsepca')
    """
    name = algorithm if isinstance(algorithm, str) else type(algorithm).__name__
    stem = re.sub(r"\W|_", "", name.removeprefix("sklearn_")).lower()
    return stem if stem and not stem[0].isdigit() else f"component_{stem}"


def check_algorithm(algorithm, lazy=False):
    """Raise unless it is the name of an algorithm or an estimator.

    Parameters
    ----------
    algorithm : str or object
    lazy : bool
        Whether blocks are read one after another.

    Raises
    ------
    ValueError
        If the name is unknown, or the object no estimator; lists the names there are.
    NotImplementedError
        If a lazy stack cannot be decomposed with it.
    """
    known = ALGORITHMS if lazy else ALGORITHMS + IN_MEMORY
    names = ", ".join(map(repr, known))
    if isinstance(algorithm, str):
        if algorithm in known or (lazy and algorithm == "sklearn_pca"):
            return
        if algorithm in IN_MEMORY:
            raise NotImplementedError(
                f"algorithm={algorithm!r} is not supported for lazy stacks, which know {names} or "
                "an estimator with partial_fit: call compute() on the stack first."
            )
        raise ValueError(
            f"algorithm={algorithm!r} not recognised. Expected one of: {names}, or an estimator "
            "of scikit-learn with components_."
        )
    if not hasattr(algorithm, "fit") and not hasattr(algorithm, "fit_transform"):
        raise ValueError(
            f"algorithm={algorithm!r} not recognised: it has no fit. Expected one of: {names}, "
            "or an estimator of scikit-learn."
        )
    if not hasattr(algorithm, "transform"):
        raise ValueError(
            f"algorithm={type(algorithm).__name__} has no transform, so sub-images cannot be "
            "rebuilt from it. t-SNE, MDS, Isomap and the like are made by stack.embedding()."
        )


def check_options(algorithm, options, lazy):
    """Raise TypeError for options that would pass unseen; other algorithms refuse them themselves.

    Examples
    --------
    >>> check_options("RPCA", {"tolerance": 0.1}, lazy=False)
    Traceback (most recent call last):
    TypeError: algorithm='RPCA' has no option tolerance; it has lambda1, maxiter, n_iter, ...
    """
    if isinstance(algorithm, str):
        if lazy or algorithm not in _OPTIONS:
            return
        name, known = repr(algorithm), {*_OPTIONS[algorithm], *_OPTIONS_OF_SVD}
    else:
        name, known = type(algorithm).__name__, {"get", "num_chunks"} if lazy else set()
    passed_on = set() if lazy else {"copy"}  # HyperSpy says that it is deprecated
    unknown = ", ".join(sorted(set(options) - known - passed_on))
    if unknown:
        has = f"it has {', '.join(sorted(known))}" if known else "set it in the estimator"
        raise TypeError(f"algorithm={name} has no option {unknown}; {has}.")


def check_dimension(output_dimension, n_sites, n_pixels):
    """Raise ValueError unless so many components can be found."""
    if output_dimension is None:
        return
    most = min(n_sites, n_pixels)
    whole = isinstance(output_dimension, int | np.integer) and not isinstance(
        output_dimension, bool
    )
    if not whole or output_dimension < 1:
        raise ValueError(
            f"`output_dimension` must be a positive integer, not {output_dimension!r}."
        )
    if output_dimension > most:
        raise ValueError(
            f"output_dimension={output_dimension} is more than {n_sites} sites of {n_pixels} "
            f"pixels have: {most} at most."
        )


def check_values(summary, algorithm, centred):
    """Raise ValueError if the values of the sub-images do not suit an algorithm.

    Parameters
    ----------
    summary : Summary
        From :func:`summarise`.
    algorithm : str or object
    centred : bool
        Whether a mean is subtracted first.
    """
    if len(summary.bad_rows):
        raise ValueError(
            f"{len(summary.bad_rows)} sites have pixels that are not finite (site "
            f"{_first(summary.bad_rows)}): exclude them with navigation_mask (True = excluded), or "
            "take the others with stack.select_sites()."
        )
    name = algorithm if isinstance(algorithm, str) else type(algorithm).__name__
    if "NMF" in name and summary.low < 0:
        raise ValueError(
            f"algorithm={name!r} needs values of 0 or more; the lowest is {summary.low:.4g}. "
            "Subtract it from the image, for example image - image.min(), or take 'PCA'."
        )
    if summary.constant and (centred or summary.low == 0):
        raise ValueError(
            f"All sub-images are the same (value {summary.low:.4g} everywhere): there is nothing "
            "to decompose."
            if summary.low == summary.high
            else "All sub-images are the same: there is nothing to decompose."
        )


def _first(rows, most=5):
    """The first of some numbers, as text."""
    text = ", ".join(str(row) for row in rows[:most])
    return text + (" ..." if len(rows) > most else "")
