# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sites are compared by: sub-images, a decomposition, latents, an embedding, any columns."""

import logging

import numpy as np

from hs_rvae.learning import features as _features
from hs_rvae.learning import rows as _rows
from hs_rvae.learning import streaming as _streaming
from hs_rvae.signals.masks import pixel_mask, rows_of, site_mask
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units

_logger = logging.getLogger(__name__)

EMBEDDING = "Sub_images.embedding"
# Principal components that stand for sub-images where all pixels would be too many.
_COMPONENTS = 50


def first_source(signal, source):
    """The source, or the first there is of latents, decomposition and pixels."""
    if source is not None:
        return source
    table = signal.sites
    if table is not None and "latent_0" in table:
        return "rvae"
    return "signal" if signal.learning_results.loadings is None else "decomposition"


def table_features(signal, source, argument):
    """Features (n, d) from columns of the site table, NaN where a site has none, and names.

    Parameters
    ----------
    source : str or list of str
        "rvae" (all latents), "embedding" (the last one), the stem of numbered columns
        ("pca"), a column, or a list of columns.
    argument : str
        Its name, for messages.
    """
    table = signal.sites
    if table is None:
        raise ValueError(
            f"{argument}={source!r} needs the site table, and this stack has none: make it "
            "with SubImageStack.from_positions."
        )
    if isinstance(source, str):
        names, common = _columns_of(signal, source, argument)
    else:
        names, common = [str(name) for name in source], False
        if not names:
            raise ValueError(f"{argument} is empty: name at least one column.")
    missing = [name for name in names if name not in table]
    if missing:
        raise KeyError(
            f"{argument} names {missing[0]!r}, which is no column of the site table"
            f"{_hint(missing[0])}. There are {', '.join(table.columns)}."
        )
    if common:  # one space: its axes keep their relative size
        return table[names], names
    values, angles = {}, {}
    for name in names:
        values[name], unit = table[name], table.units[name]
        if period := _columns.period(name, unit):
            values[name] = _units.radians(values[name], unit)
            angles[name] = round(2 * np.pi / period)  # 2 for an axis
    return _features.scale_columns(values, angles)


def _columns_of(signal, source, argument):
    """Names of the columns that a word stands for, and whether they span one space."""
    table = signal.sites
    if source == "embedding":
        node = signal.metadata.get_item(EMBEDDING)
        names = [] if node is None else list(node.columns)
        if not names or any(name not in table for name in names):
            raise ValueError(
                f"{argument}='embedding': there is none yet; call stack.embedding() first."
            )
        return names, True
    names = table.numbered("latent" if source == "rvae" else source)
    if source == "rvae" and not names:
        raise ValueError(
            f"{argument}='rvae' needs latents, and there are none yet: call stack.rvae() or "
            "stack.apply_rvae(path) first."
        )
    if names:
        return names, True
    if source in table:
        return [source], False
    raise ValueError(
        f"{argument}={source!r} is unknown, or has not been computed{_hint(source)}: take "
        "'signal', 'decomposition', 'rvae', 'embedding', or names of columns of the site table."
    )


def loadings_features(results, number_of_components, argument):
    """Loadings of the last decomposition."""
    if results.loadings is None:
        raise ValueError(
            f"{argument}='decomposition': there is none yet; call "
            "stack.decomposition('PCA', output_dimension=8) first."
        )
    return np.asarray(results.loadings)[:, : _number_of_loadings(results, number_of_components)]


def _number_of_loadings(results, number_of_components):
    """How many components count: those asked for, then all, then the significant ones."""
    if number_of_components is not None or results.output_dimension:
        return number_of_components or results.output_dimension
    return results.number_significant_components or results.loadings.shape[1]


def pixel_scores(signal, seed):
    """Sub-images by their first 50 principal components (all, if there are fewer)."""
    flat = rows_of(signal)
    summary = _rows.summarise(flat)
    n, p = flat.shape
    k = min(_COMPONENTS, n - len(summary.bad_rows), p)
    good = np.ones(n, bool)
    good[summary.bad_rows] = False
    if not good.all():
        flat = flat[np.flatnonzero(good)]
    scores = np.full((n, k), np.nan)
    if hasattr(flat, "dask"):
        found = _streaming.stream_svd(flat, k, True, seed)
        scores[good], share = found.loadings, found.explained_variance_ratio.sum()
    else:
        from sklearn.decomposition import PCA

        model = PCA(k, random_state=seed)
        scores[good] = model.fit_transform(flat.astype(_rows.working_type(flat.dtype)))
        share = model.explained_variance_ratio_.sum()
    _logger.info(
        "Sub-images are compared by %d principal components (%.0f %% of the variance).",
        k,
        100 * share,
    )
    return scores


def cluster_features(signal, source, n_components, navigation_mask, signal_mask, seed=None):
    """Features (n, d) of all sites, and whether they come from the site table."""
    site_mask(signal, navigation_mask)
    if hasattr(source, "axes_manager") or (isinstance(source, str) and source == "bss"):
        return hyperspy_features(signal, source, n_components, signal_mask), False
    if isinstance(source, str) and source == "decomposition":
        return loadings_features(signal.learning_results, n_components, "cluster_source"), False
    if isinstance(source, str) and source == "signal":
        if signal._lazy:  # to estimate a number only
            return pixel_scores(signal, seed), False
        pixels = pixel_mask(signal, signal_mask)
        flat = rows_of(signal, (None, pixels))
        return (flat if flat.dtype.kind == "f" else flat.astype(np.float32)), False
    return table_features(signal, source, "cluster_source")[0], True


def hyperspy_features(signal, source, n_components, signal_mask):
    """Features as HyperSpy takes them from a signal or from unmixing."""
    if isinstance(source, str) and n_components is None:
        n_components = signal.learning_results.bss_loadings
        n_components = None if n_components is None else n_components.shape[1]
    unfolded = None
    try:
        unfolded = source if hasattr(source, "axes_manager") else None
        values = signal._get_cluster_signal(source, n_components, None, signal_mask)
    finally:
        if getattr(unfolded, "unfolded4clustering", False):
            unfolded.fold()
    values = values.compute() if hasattr(values, "dask") else np.asarray(values)
    return values if values.dtype.kind == "f" else values.astype(np.float32)


def _hint(name):
    """Which call writes a column, or the columns that a stem is numbered to."""
    call = _columns.call_for(name) or _columns.call_for(f"{name}_0")
    return f" ({call} writes it)" if call else ""
