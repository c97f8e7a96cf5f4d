# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Embeddings in a few dimensions that keep neighbours or distances: t-SNE, MDS, Isomap.

Unlike decompositions they cannot be undone: no image can be rebuilt from them. Those that compare
all pairs of sites are fitted to a random subset, and the other sites are placed afterwards.
"""

import logging
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np

from hs_rvae.options import as_seed, options_of, own_copy, refuse_class, refuse_unknown, seeded

_logger = logging.getLogger(__name__)

ALGORITHMS = ("tsne", "mds", "isomap")
# Sites that are fitted if the user does not say how many; sites beyond are placed among them.
MAX_SITES = {"tsne": 50_000, "sklearn_tsne": 5_000, "mds": 1_500, "isomap": 4_000}
# Rows that are placed at once: what they need is this times the number of fitted sites.
_BLOCK = 2000
_FEW_SITES = 2000


@dataclass
class Embedding:
    """Coordinates, and how they were found.

    Attributes
    ----------
    coordinates : numpy.ndarray, shape (n, k)
        NaN for sites that could not be placed.
    fitted : numpy.ndarray of int
        Rows of the sites that were fitted.
    method : str
        What was done, in words.
    estimator : object or None
    """

    coordinates: np.ndarray
    fitted: np.ndarray
    method: str
    estimator: object = None


def has_opentsne():
    """Whether openTSNE, an extra, is installed."""
    from importlib.util import find_spec

    return find_spec("openTSNE") is not None


def embed(
    values,
    algorithm,
    output_dimension=2,
    *,
    max_sites=None,
    random_state=None,
    n_jobs=None,
    **kwargs,
):
    """Coordinates of sites in few dimensions.

    Parameters
    ----------
    values : numpy.ndarray, shape (n, d)
        Finite.
    algorithm : {"tsne", "mds", "isomap"} or object
        An object is an estimator of scikit-learn with ``fit_transform``; a copy of it is fitted.
    output_dimension : int
        Of an estimator: its own number holds.
    max_sites : int, optional
        Sites that are fitted. None: 50,000 for t-SNE (openTSNE), 1,500 for MDS, 4,000 for Isomap,
        all for an estimator.
    random_state : int, numpy.random.Generator or None
        Seed of subset and algorithm. NumPy's global generator is neither used nor changed.
    n_jobs : int, optional
        Threads; None = all there are (t-SNE of fewer than 2,000 sites: one).
    **kwargs
        To openTSNE's or scikit-learn's estimator, if it is named.

    Returns
    -------
    Embedding

    Raises
    ------
    ValueError
        If the algorithm is unknown or a number does not fit.
    TypeError
        If the algorithm does not have such an option, or is a class.
    ImportError
        If there are too many sites for scikit-learn's t-SNE and openTSNE is not installed.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(200, 5))
    >>> embed(values, "isomap", max_sites=100, random_state=0).coordinates.shape
    (200, 2)
    """
    check_options(algorithm, kwargs, output_dimension, max_sites)
    n = len(values)
    _check_values(n, values)
    seed = as_seed(random_state)
    rng = np.random.default_rng(seed)
    rng.integers(2**31)  # the subset is drawn second
    kind = algorithm if isinstance(algorithm, str) else None
    if kind == "tsne" and not has_opentsne():
        kind = "sklearn_tsne"
        if max_sites is None and n > MAX_SITES[kind]:
            raise ImportError(
                f't-SNE of {n} sites needs openTSNE: pip install "hs_rvae[tsne]". Without it, '
                "scikit-learn's t-SNE can take a random subset, for example with max_sites="
                f"{MAX_SITES[kind]}; the other sites get no coordinates (NaN)."
            )
    most = MAX_SITES.get(kind, n) if max_sites is None else max_sites
    fitted = np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))
    _say_cost(kind, n, len(fitted))
    rest = np.setdiff1d(np.arange(n), fitted)
    if kind is None:
        own = own_copy(algorithm, seed=None if random_state is None else seed)
        fit = partial(_estimator, estimator=own)
    else:
        fit = {"tsne": _opentsne, "sklearn_tsne": _sklearn_tsne, "mds": _mds, "isomap": _isomap}
        fit = fit[kind]
    with seeded(seed):
        placed, others, estimator, how = fit(
            values[fitted], values[rest], output_dimension, seed, n_jobs, **kwargs
        )
    coordinates = np.full((n, placed.shape[1]), np.nan)
    coordinates[fitted] = placed
    if others is not None:
        coordinates[rest] = others
    method = how
    if len(rest):
        method += f"; {len(fitted)} of {n} sites fitted"
        _say_placed(how, n, len(fitted), others is not None, max_sites is not None)
    return Embedding(coordinates, fitted, method, estimator)


def check_options(algorithm, options, output_dimension=2, max_sites=None, own=()):
    """Raise unless the algorithm is known, and has these options.

    Parameters
    ----------
    algorithm : str or object
    options : dict
        For the estimator of a name.
    output_dimension, max_sites : int
    own : iterable of str
        Options of the verb, which may be what was meant.

    Raises
    ------
    ValueError
        If the algorithm is unknown or a number does not fit.
    TypeError
        If the algorithm does not have such an option, or is a class.
    """
    if isinstance(algorithm, str):
        if algorithm not in ALGORITHMS:
            raise ValueError(
                f"algorithm={algorithm!r} is unknown: take one of "
                f"{', '.join(map(repr, ALGORITHMS))}, or an estimator of scikit-learn with "
                "fit_transform."
            )
        taken = ("n_components", "random_state", "n_jobs")
        known = options_of(_estimator_class(algorithm), *taken)
        instead = {"n_components": "output_dimension"}
        own = (*own, "output_dimension", "random_state")
        refuse_unknown(options, known, f"algorithm={algorithm!r}", own=own, instead=instead)
    else:
        refuse_class(algorithm)
        if not hasattr(algorithm, "fit_transform"):
            raise ValueError(
                f"algorithm={algorithm!r} is no estimator: it has no fit_transform. "
                "Take a name, or an estimator of scikit-learn that has one."
            )
        name = f"algorithm={type(algorithm).__name__}"
        remedy = f"{name} is an estimator: set {', '.join(options)} in it"
        refuse_unknown(options, (), name, own=own, remedy=remedy)
    for name, number in (("output_dimension", output_dimension), ("max_sites", max_sites)):
        if name == "max_sites" and number is None:
            continue
        whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        if not whole or number < 1:
            raise ValueError(f"{name}={number!r}: give a whole number from 1 on.")


def _estimator_class(algorithm):
    if algorithm == "tsne" and has_opentsne():
        from openTSNE import TSNE

        return TSNE
    from sklearn import manifold

    return {"tsne": manifold.TSNE, "mds": manifold.MDS, "isomap": manifold.Isomap}[algorithm]


def _check_values(n, values):
    if n < 4:
        raise ValueError(f"An embedding needs at least 4 sites, not {n}: mask or leave out fewer.")
    if (values == values[0]).all():
        raise ValueError("All sites have the same values: there is nothing to embed.")


def _say_placed(how, n, fitted, placed, asked):
    """Tell in the log what became of the sites that are not fitted."""
    if placed:
        _logger.log(
            logging.INFO if asked else logging.WARNING,
            "%s: %d of %d sites are fitted, the others placed among them (max_sites).",
            how,
            fitted,
            n,
        )
        return
    _logger.warning(
        "%s: %d of %d sites are fitted; the others get no coordinates (NaN), because it "
        "cannot place new sites.",
        how,
        fitted,
        n,
    )


def _say_cost(kind, n, fitted):
    """Tell in the log what an algorithm that compares all pairs of sites will need."""
    bytes_per_pair = {"mds": 40, "isomap": 24}
    if kind in bytes_per_pair:
        _logger.info(
            "%s compares all pairs of %d sites (of %d): about %.1f GB; time and memory grow with "
            "the square (max_sites).",
            kind,
            fitted,
            n,
            1e-9 * bytes_per_pair[kind] * fitted**2,
        )


def _perplexity(kwargs, n):
    """Perplexity of 30, or less where there are few sites."""
    return {"perplexity": min(30.0, (n - 1) / 3)} | kwargs


def _opentsne(values, others, k, seed, n_jobs, **kwargs):
    from openTSNE import TSNE

    options = _perplexity(kwargs, len(values))
    # Threads of so few sites would mostly wait for each other.
    jobs = n_jobs or (1 if len(values) < _FEW_SITES else -1)
    estimator = TSNE(k, random_state=seed, n_jobs=jobs, **options)
    placed = estimator.fit(values)
    rest = None
    if len(others):
        rest = np.asarray(placed.transform(others))
    return np.asarray(placed), rest if len(others) else None, placed, "t-SNE (openTSNE)"


def _sklearn_tsne(values, others, k, seed, n_jobs, **kwargs):
    from sklearn.manifold import TSNE

    options = {"init": "pca", "n_jobs": n_jobs} | _perplexity(kwargs, len(values))
    estimator = TSNE(k, random_state=seed, **options)
    return estimator.fit_transform(values), None, estimator, "t-SNE (scikit-learn)"


def _isomap(values, others, k, seed, n_jobs, **kwargs):
    from scipy.sparse import SparseEfficiencyWarning
    from scipy.sparse.csgraph import connected_components
    from sklearn.manifold import Isomap

    options = {"n_neighbors": min(12, len(values) - 1), "n_jobs": n_jobs} | kwargs
    estimator = Isomap(n_components=k, **options)
    with warnings.catch_warnings():
        # Said below in one line; SciPy has a warning for every bridge between two groups.
        warnings.filterwarnings("ignore", "The number of connected components", UserWarning)
        warnings.filterwarnings("ignore", category=SparseEfficiencyWarning)
        placed = estimator.fit_transform(values)
    groups = connected_components(estimator.nbrs_.kneighbors_graph(), directed=False)[0]
    if groups > 1:
        _logger.warning(
            "Isomap: the sites fall into %d groups that their %d nearest neighbours do not "
            "connect. Distances between groups mean little; n_neighbors=%d may connect them.",
            groups,
            options["n_neighbors"],
            3 * options["n_neighbors"],
        )
    blocks = [others[i : i + _BLOCK] for i in range(0, len(others), _BLOCK)]
    rest = np.concatenate([estimator.transform(block) for block in blocks]) if blocks else None
    return placed, rest, estimator, "Isomap"


def _mds(values, others, k, seed, n_jobs, **kwargs):
    import inspect

    from sklearn.manifold import MDS

    options = {"n_init": 1, "random_state": seed, "n_jobs": n_jobs}
    if "init" in inspect.signature(MDS).parameters:  # scikit-learn 1.8 and later
        options["init"] = "classical_mds"
    estimator = MDS(k, **options | kwargs)
    placed = estimator.fit_transform(values)
    rest = place_among(values, placed, others) if len(others) else None
    return placed, rest, estimator, "MDS"


def _estimator(values, others, k, seed, n_jobs, estimator):
    placed = np.asarray(estimator.fit_transform(values))
    rest = None
    if len(others) and hasattr(estimator, "transform"):
        blocks = [others[i : i + _BLOCK] for i in range(0, len(others), _BLOCK)]
        rest = np.concatenate([estimator.transform(block) for block in blocks])
    return placed, rest, estimator, type(estimator).__name__


def place_among(landmarks, placed, others, n_iterations=100):
    """Coordinates of new sites at which distances to landmarks are kept best.

    Each site alone minimises its own part of the stress of metric MDS, by majorisation (the Guttman
    transform with the landmarks held), from the mean of its three nearest landmarks.

    Parameters
    ----------
    landmarks : numpy.ndarray, shape (m, d)
    placed : numpy.ndarray, shape (m, k)
        Coordinates of the landmarks.
    others : numpy.ndarray, shape (n, d)
    n_iterations : int

    Returns
    -------
    numpy.ndarray, shape (n, k)

    References
    ----------
    J. de Leeuw, in Recent Developments in Statistics, North Holland (1977), 133: majorisation.

    Examples
    --------
    >>> points = np.random.default_rng(0).normal(size=(50, 2))
    >>> new = place_among(points[:40], points[:40], points[40:])
    >>> bool(np.abs(new - points[40:]).max() < 1e-3)
    True
    """
    from sklearn.metrics import pairwise_distances

    found = []
    for start in range(0, len(others), _BLOCK):
        wanted = pairwise_distances(others[start : start + _BLOCK], landmarks)
        nearest = np.argpartition(wanted, min(3, wanted.shape[1] - 1), axis=1)[:, :3]
        at = placed[nearest].mean(1)
        for _ in range(n_iterations):
            distance = np.maximum(pairwise_distances(at, placed), 1e-12)
            ratio = wanted / distance
            # Mean over landmarks of z_j + ratio_j (at - z_j).
            moved = placed.mean(0) + (at * ratio.sum(1)[:, None] - ratio @ placed) / len(placed)
            step = np.abs(moved - at).max()
            at = moved
            if step < 1e-5 * (np.abs(placed).max() or 1.0):
                break
        found.append(at)
    return np.concatenate(found)
