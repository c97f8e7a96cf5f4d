# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sites are told apart by: columns on one scale, and whether they can be clustered."""

import numpy as np

from hs_rvae.options import options_of, refuse_class, refuse_unknown


def check_number(n_clusters, n_sites):
    """Raise ValueError unless so many clusters can be made of so many sites.

    Examples
    --------
    >>> check_number(9, 4)
    Traceback (most recent call last):
    ValueError: n_clusters=9 is more than the 4 sites that can be clustered.
    """
    whole = isinstance(n_clusters, int | np.integer) and not isinstance(n_clusters, bool)
    if not whole or n_clusters < 1:
        raise ValueError(f"n_clusters={n_clusters!r}: give a whole number from 1 on, or 'auto'.")
    if n_clusters > n_sites:
        raise ValueError(
            f"n_clusters={n_clusters} is more than the {n_sites} sites that can be clustered."
        )


def check_features(values, source):
    """Raise ValueError if there is nothing to tell sites apart by, or nothing to tell apart."""
    if not len(values):
        raise ValueError(
            f"{source}: no site is left; all are masked or have values that are not finite."
        )
    if len(values) < 2:
        raise ValueError(f"{source}: clusters need at least 2 sites, not {len(values)}.")
    if (values == values[0]).all():
        raise ValueError(f"{source}: all sites have the same values, there are no clusters.")


def check_preprocessing(preprocessing, options=None, names_only=False):
    """Raise unless features can be scaled like this.

    Parameters
    ----------
    preprocessing : {"standard", "norm", "minmax"}, object or None
    options : dict, optional
        For the scaler of a name.
    names_only : bool
        Whether an object is refused too.

    Raises
    ------
    ValueError
        If it is unknown.
    TypeError
        If it has no such option, or is a class.

    Examples
    --------
    >>> check_preprocessing("minmax", {"range": (0, 1)})
    Traceback (most recent call last):
    TypeError: range=(0, 1): preprocessing='minmax' has no option range; it has clip, ...
    """
    from sklearn import preprocessing as scalers

    names = {
        "standard": scalers.StandardScaler,
        "norm": scalers.Normalizer,
        "minmax": scalers.MinMaxScaler,
    }
    known, name = (), f"preprocessing={preprocessing!r}"
    if isinstance(preprocessing, str) and preprocessing in names:
        known = options_of(names[preprocessing])
    elif preprocessing is not None:
        refuse_class(preprocessing, "preprocessing")
        listed = ", ".join(map(repr, names))
        if names_only or not hasattr(preprocessing, "fit_transform"):
            also = "" if names_only else ", an estimator with fit_transform"
            raise ValueError(f"{name}: the cluster preprocessing is one of {listed}{also} or None.")
        name = f"preprocessing={type(preprocessing).__name__}"
    refuse_unknown(options or {}, known, name, remedy="set it in the estimator")


def scale_columns(columns, angles=None):
    """Columns of different kinds and units as features of comparable size.

    Each column is divided by its standard deviation. An angle becomes its cosine and sine, times
    the root of 2, whatever the angles are: both have unit variance if directions are spread over
    the turn, and directions that are all alike tell nothing.

    Parameters
    ----------
    columns : Mapping of str to numpy.ndarray, shape (n,)
    angles : Mapping of str to int, optional
        Those that are angles, in radians: 1 if the period is a whole turn, 2 if it is half a turn
        (the axis of an ellipse).

    Returns
    -------
    features : numpy.ndarray, shape (n, d)
        NaN where a column is.
    names : list of str
        For example ``"latent_0"``, ``"cos(angle)"``, ``"sin(angle)"``.

    Examples
    --------
    >>> features, names = scale_columns({"angle": np.array([3.14, -3.14, 0.0])}, {"angle": 1})
    >>> names
    ['cos(angle)', 'sin(angle)']
    >>> bool(np.linalg.norm(features[0] - features[1]) < 0.01)
    True
    """
    features, names, angles = [], [], angles or {}
    for name, values in columns.items():
        if name in angles:
            fold = angles[name]
            pair = np.stack([np.cos(fold * values), np.sin(fold * values)], 1)
            spread = np.sqrt(0.5)
            turned = name if fold == 1 else f"{fold} {name}"
            names += [f"cos({turned})", f"sin({turned})"]
        else:
            pair = np.asarray(values, float)[:, None]
            spread = np.nanstd(pair)
            names.append(name)
        rounding = 1e-12 * np.nanmax(np.abs(pair), initial=0)
        features.append(pair / spread if spread > rounding else pair * 0.0)
    return np.concatenate(features, axis=1), names
