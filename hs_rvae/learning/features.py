# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Features of sites for embeddings and clusters: columns, or principal components."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hs_rvae.learning.rows import summarise, working_type
from hs_rvae.learning.streaming import stream_svd
from hs_rvae.options import options_of, refuse_class, refuse_unknown
from hs_rvae.sites import SiteTable
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units

_logger = logging.getLogger(__name__)

# Principal components that stand for sub-images where all pixels would be too many.
_COMPONENTS = 50


def table_features(
    table: SiteTable | None,
    source: str | Iterable[str],
    argument: str,
    embedded: Sequence[str] = (),
) -> tuple[np.ndarray, list[str]]:
    """
    Features from columns of the site table.

    Parameters
    ----------
    table : SiteTable or None
    source : str or iterable of str
        "rvae" (all latents), "embedding" (the last one), the stem of numbered columns
        ("pca"), a column, or a list of columns.
    argument : str
        Name of the argument, for messages.
    embedded : sequence of str
        Columns of the last embedding.

    Returns
    -------
    features : numpy.ndarray of shape (n, d)
        NaN where a site has no value.
    names : list of str

    Raises
    ------
    ValueError
        If there is no table, or the source is unknown or not computed yet.
    KeyError
        If a column of a list is missing.
    """
    if table is None:
        raise ValueError(
            f"{argument}={source!r} needs the site table, which this stack lacks: make it "
            "with SubImageStack.from_positions."
        )
    if isinstance(source, str):
        names = _numbered(table, source, argument, embedded)
        if names:  # one space: its axes keep their relative size
            return table[names], names
        names = [source]
    else:
        names = []
        for name in source if isinstance(source, Iterable) else [source]:
            if name is source:  # a list that contains itself
                raise ValueError(
                    f"{argument}={source!r}: give a column, a stem or a list of columns."
                )
            names.append(str(name))
        if not names:
            raise ValueError(f"{argument} is empty: name at least one column.")
    missing = [name for name in names if name not in table]
    if missing:
        raise KeyError(
            f"{argument} names {missing[0]!r}, which is not a column of the site table"
            f"{_hint(missing[0])}. There are {', '.join(table.columns)}."
        )
    values, angles = {}, {}
    for name in names:
        values[name], unit = table[name], table.units[name]
        if period := _columns.period(name, unit):
            values[name] = _units.radians(values[name], unit)
            angles[name] = round(2 * np.pi / period)  # 2 for an axis
    return scale_columns(values, angles)


def _numbered(table: SiteTable, source: str, argument: str, embedded: Sequence[str]) -> list[str]:
    """Numbered columns that a word stands for; none if it is the name of a single column."""
    if source == "embedding":
        if not embedded or any(name not in table for name in embedded):
            raise ValueError(
                f"{argument}='embedding': there is none yet; call stack.embedding() first."
            )
        return list(embedded)
    names = table.numbered("latent" if source == "rvae" else source)
    if source == "rvae" and not names:
        raise ValueError(
            f"{argument}='rvae' needs latents, and there are none yet: call stack.rvae() or "
            "stack.apply_rvae(path) first."
        )
    if not names and source not in table:
        raise ValueError(
            f"{argument}={source!r} is unknown, or has not been computed{_hint(source)}: take "
            "'signal', 'decomposition', 'rvae', 'embedding', or names of columns of the site table."
        )
    return names


def _hint(name: str) -> str:
    """Call that writes a column, or the columns that a stem is numbered to; "" if unknown."""
    call = _columns.call_for(name) or _columns.call_for(f"{name}_0")
    return f" ({call} writes it)" if call else ""


def scale_columns(
    columns: Mapping[str, np.ndarray], angles: Mapping[str, int] | None = None
) -> tuple[np.ndarray, list[str]]:
    """
    Columns of different kinds and units as features of comparable size.

    Each column is divided by its standard deviation. An angle becomes its cosine and sine, times
    the root of 2, whatever the angles are. Both have unit variance if directions are spread over
    the turn, and none if directions are all alike.

    Parameters
    ----------
    columns : Mapping of str to numpy.ndarray of shape (n,)
    angles : Mapping of str to int, optional
        Columns that are angles, in radians: 1 if the period is a whole turn, 2 if it is half a turn
        (the axis of an ellipse).

    Returns
    -------
    features : numpy.ndarray of shape (n, d)
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


def pixel_scores(rows: Any, random_state: int | None) -> np.ndarray:
    """
    Sub-images by their first 50 principal components; all, if there are fewer.

    Parameters
    ----------
    rows : numpy.ndarray or dask.array.Array of shape (n, p)
    random_state : int or None

    Returns
    -------
    numpy.ndarray of shape (n, k)
        NaN for sub-images with values that are not finite.
    """
    good = np.ones(len(rows), bool)
    good[summarise(rows).bad_rows] = False
    k = min(_COMPONENTS, int(good.sum()), rows.shape[1])
    scores = np.full((len(rows), k), np.nan)
    rows = rows if good.all() else rows[np.flatnonzero(good)]
    if hasattr(rows, "dask"):
        found = stream_svd(rows, k, True, random_state)
        scores[good], ratio = found.loadings, found.explained_variance_ratio
        assert ratio is not None
    else:
        from sklearn.decomposition import PCA

        model = PCA(k, random_state=random_state)
        scores[good] = model.fit_transform(rows.astype(working_type(rows.dtype)))
        ratio = model.explained_variance_ratio_
    _logger.info(
        "Sub-images are compared by %d principal components (%.0f %% of the variance).",
        k,
        100 * np.sum(ratio),
    )
    return scores


def check_features(n_sites: int, alike: bool, source: str) -> None:
    """
    Refuse sites that cannot be clustered.

    Parameters
    ----------
    n_sites : int
        Number of sites with finite features.
    alike : bool
        Whether all of them have the same.
    source : str
        Source of the features, for messages.
    """
    if not n_sites:
        raise ValueError(
            f"{source}: no site is left; all are masked or have values that are not finite."
        )
    if n_sites < 2:
        raise ValueError(f"{source}: clusters need at least 2 sites, not {n_sites}.")
    if alike:
        raise ValueError(f"{source}: all sites have the same values, there are no clusters.")


def check_preprocessing(
    preprocessing: Any, options: Mapping[str, Any] | None = None, names_only: bool = False
) -> None:
    """
    Refuse a scaling that is unknown, or options that it does not have.

    Parameters
    ----------
    preprocessing : {"standard", "norm", "minmax"}, object or None
    options : Mapping of str to object, optional
        Options for the scaler of a name.
    names_only : bool
        Whether an object is refused too.

    Raises
    ------
    ValueError
        If it is unknown.
    TypeError
        If it does not have such an option, or is a class.

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
    known: set[str] = set()
    name = f"preprocessing={preprocessing!r}"
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
