# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which decompositions there are, and whether the input suits them."""

import re

import numpy as np

from hs_rvae.options import options_of, refuse_class, refuse_unknown

#: Algorithms by name. Those of the second line are HyperSpy's and work in memory only.
ALGORITHMS = ("PCA", "SVD", "NMF", "ORPCA", "ORNMF")
IN_MEMORY = ("sklearn_pca", "sparse_pca", "mini_batch_sparse_pca", "MLPCA", "RPCA")
# Options of HyperSpy's solvers of SVD ("auto" takes the first or the last), and of its functions.
_OF_SOLVER = {
    "randomized": ("n_iter", "n_oversamples", "power_iteration_normalizer"),
    "arpack": ("maxiter", "ncv", "tol", "v0", "which"),
    "full": (),
}
_OF_ONLINE = ("batch_size", "lambda1", "method", "subspace_learning_rate", "subspace_momentum")
_OPTIONS = {
    "SVD": (),
    "MLPCA": ("max_iter", "tol"),
    "RPCA": ("lambda1", "maxiter", "power", "tol"),
    "ORPCA": (*_OF_ONLINE, "init", "lambda2", "training_samples"),
    "ORNMF": (*_OF_ONLINE, "kappa"),
}
# Of HyperSpy's lazy decomposition.
OF_BLOCKS = ("get", "num_chunks")


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
    refuse_class(algorithm)
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


def check_options(algorithm, options, lazy, by_hyperspy=False, solver=None, own=()):
    """Raise TypeError for options that an algorithm does not have.

    Parameters
    ----------
    algorithm : str or object
    options : dict
        As the caller gave them.
    lazy : bool
        Whether blocks are read one after another.
    by_hyperspy : bool
        Whether this is done by HyperSpy's lazy decomposition.
    solver : str, optional
        Of SVD; None: HyperSpy's "auto".
    own : iterable of str
        Options of the verb, which may be what was meant.

    Examples
    --------
    >>> check_options("ORNMF", {"kapa": 0.1}, lazy=False)
    Traceback (most recent call last):
    TypeError: kapa=0.1: algorithm='ORNMF' has no option kapa; it has batch_size, ...
    """
    known, name = set(OF_BLOCKS) if lazy else set(), type(algorithm).__name__
    if isinstance(algorithm, str):
        name, known = repr(algorithm), known | _known_options(algorithm, lazy, by_hyperspy, solver)
    if not lazy:  # HyperSpy says that it is deprecated
        options = {key: value for key, value in options.items() if key != "copy"}
    refuse_unknown(
        options,
        known,
        f"algorithm={name}",
        own=own,
        instead={"n_components": "output_dimension"},
        remedy="set it in the estimator",
    )


def _known_options(algorithm, lazy, by_hyperspy, solver):
    """Options of a named algorithm that the verb does not set."""
    from sklearn import decomposition as skd

    if lazy and algorithm in ("PCA", "SVD"):
        return set()  # the exact solution has none
    estimators = {
        "PCA": skd.PCA,
        "NMF": skd.MiniBatchNMF if by_hyperspy else skd.NMF,
        "sparse_pca": skd.SparsePCA,
        "mini_batch_sparse_pca": skd.MiniBatchSparsePCA,
    }
    if algorithm in estimators:
        return options_of(estimators[algorithm], "n_components", "random_state", "svd_solver")
    known = set(_OPTIONS[algorithm])
    if algorithm in ("SVD", "MLPCA", "RPCA"):
        solver = "auto" if algorithm == "RPCA" else solver
        known |= {"svd_flip", "u_based_decision", *_OF_SOLVER.get(solver, _OF_SOLVER["randomized"])}
    elif not lazy:
        known.add("project")
    return known


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
