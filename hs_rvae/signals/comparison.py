# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same sites under several settings of the model: differences and agreement."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hs_rvae import plots
from hs_rvae import variants as _variants
from hs_rvae.checks import checked, naming
from hs_rvae.options import as_seed, named_options
from hs_rvae.signals import cutting as _cutting
from hs_rvae.signals.angle_options import check_n_variants
from hs_rvae.signals.meaning import distorted
from hs_rvae.signals.sub_image_stack import SubImageStack
from hs_rvae.sites import columns as _columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hs_rvae.sites import SiteTable

_logger = logging.getLogger(__name__)

_HELD_OUT = 0.15
_PAPER_PRIOR = 0.1  # of the shift, in half windows
_MINIMUM_HELD_OUT = 5
_N_DIRECTIONS = 4  # of the distortion in a figure
_WITH_DIRECTIONS = ("variants", "continuous")  # verdicts with a distortion of several directions


@dataclass
class RVAEComparison:
    """Result of :func:`compare_rvae`.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per setting: ``window_size`` (px), ``output_dimension``, ``translation``, ``n_sites``,
        ``n_held_out``; ``log_likelihood`` of the sites held out and ``log_likelihood_error``, the
        standard error of the mean (nat per site; comparable only between settings with the same
        architecture and window size); ``n_variants``, and ``share_with_variant`` of the sites;
        ``angle_std`` (median, rad); ``shift_rms`` (px, length of the vector); ``shift_share``, the
        share of the displacement that went into the shift (0: none, 1: all; NaN without
        displacements); ``seconds`` of fitting and encoding.
    angle_agreement : pandas.DataFrame
        Settings against settings: resultant length of the difference of the angles of sites that
        have one in both; 1 = equal up to one offset, 0 = unrelated.
    variant_agreement : pandas.DataFrame
        Settings against settings: adjusted Rand index of the variants of sites that have one in
        both; 1 = the same groups, 0 = as by chance.
    stacks : dict of str to SubImageStack
        The stack under each setting, with its columns and its model.
    """

    table: pd.DataFrame
    angle_agreement: pd.DataFrame
    variant_agreement: pd.DataFrame
    stacks: dict = field(repr=False)

    @checked
    def plot(
        self,
        *,
        shape: tuple[int, int] = (5, 5),
        limits: tuple[float, float] = (-2.0, 2.0),
        image: Any = None,
        font_size: float = 8.0,
    ) -> Figure:
        """Draw the settings side by side: maps, histograms of the angle, and manifolds.

        Where a distortion turns, the manifold is the static part, and a row below it has the
        distortion in each direction.

        Parameters
        ----------
        shape, limits
            Grid of the manifolds, as in :meth:`~hs_rvae.SubImageStack.plot_rvae_manifold`.
        image : hyperspy signal, numpy.ndarray or bool, optional
            Drawn below the maps. If None, the parent image if it is available. If False, none.
        font_size : float
            Points.

        Returns
        -------
        matplotlib.figure.Figure
        """
        panels = {}
        for name, stack in self.stacks.items():
            panels[name] = {
                "sites": stack._sites_to_plot(),
                "image": stack._image_to_plot(image),
                "manifold": stack._registered_manifold(shape, limits),
            }
            verdict = stack.rvae_verdict
            if verdict is not None:
                several = verdict.rotation == "distortion" and verdict.kind in _WITH_DIRECTIONS
                found = stack._distortion_to_plot(_N_DIRECTIONS) if several else verdict.sentence
                panels[name]["distortion"] = found
        rows = ["angle", "latent", "histogram", "manifold"]
        some = any(isinstance(panel.get("distortion"), tuple) for panel in panels.values())
        rows += ["distortion"] * some
        return plots.plot_comparison(panels, rows=rows, font_size=font_size)


@named_options
@checked(but=("settings", "held_out"))
def compare_rvae(
    stack: SubImageStack,
    settings: str | Mapping[str, Mapping[str, Any]] = "paper",
    *,
    architecture: str = "harmonic",
    n_variants: Any = "auto",
    held_out: float = _HELD_OUT,
    random_state: int | np.random.Generator | None = 0,
    show_progressbar: bool | None = None,
) -> RVAEComparison:
    """Fit the same sites under several settings, and measure the agreement of the results.

    In every setting the same sites are held out of the fit. All angles are turned by one offset
    per setting so that they match those of the first setting, which are registered on the
    displacements where the stack has them. The stack itself is not changed.

    Parameters
    ----------
    stack : SubImageStack
    settings : "paper", "windows" or mapping of str to mapping
        "paper": the three settings of the paper, no translation and 2 latents, translation and 1
        latent, translation and 2 latents. "windows": its window study, the stack's own windows and
        windows of two thirds (the paper's 54 and 36 px), 2 latents, without translation. A mapping
        has names and arguments of :meth:`SubImageStack.rvae`; ``"window_size"`` beside them (px as
        int, or a length as float) cuts other windows at the same positions.
    architecture : {"harmonic", "convolutional"}
        Architecture of settings that do not name one. In "paper", the convolutional model has the
        paper's own prior of the shift, 0.1 of half a window, released from the start.
    n_variants : int or "auto"
        As in :meth:`SubImageStack.assign_variants`.
    held_out : float
        Share of the sites held out, chosen at random.
    random_state : int, numpy.random.Generator or None
        Seed of the sites held out, and of fits whose settings name none.
    show_progressbar : bool or None
        If None, as HyperSpy's preference.

    Returns
    -------
    RVAEComparison
        ``table``, ``angle_agreement``, ``variant_agreement``, ``stacks`` and ``plot()``.

    Raises
    ------
    TypeError
        If `stack` is not a SubImageStack, a setting is not a mapping, or an option is unknown.
    ValueError
        If a setting holds an unknown or unusable option of :meth:`SubImageStack.rvae`, too few
        sites would be held out, or other windows are asked for without a parent image. All settings
        are checked before the first fit.

    Notes
    -----
    The three settings and the two windows are those of AIP Advances 12, 105122 (2022).

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((360, 360), random_state=0)
    >>> stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=44)
    >>> comparison = hs_rvae.compare_rvae(
    ...     stack, {"one": {"output_dimension": 1}, "two": {"output_dimension": 2}}
    ... )
    >>> list(comparison.table.index), bool(comparison.angle_agreement.loc["one", "two"] > 0.9)
    (['one', 'two'], True)
    """
    if not isinstance(stack, SubImageStack):
        raise TypeError(f"stack is a {type(stack).__name__}; give a SubImageStack.")
    sites = stack._square_windows()
    settings = _settings_of(stack, settings, architecture)
    number = isinstance(held_out, float | np.floating)
    if not number or not 0 < held_out < 1:
        raise ValueError(f"held_out={held_out!r}: give a share between 0 and 1, such as 0.15.")
    check_n_variants(n_variants)
    if not isinstance(random_state, np.random.Generator):
        random_state = as_seed(random_state)
    rng = np.random.default_rng(random_state)
    held = np.zeros(len(sites), bool)
    held[rng.permutation(len(sites))[: round(held_out * len(sites))]] = True
    if held.sum() < _MINIMUM_HELD_OUT:
        raise ValueError(
            f"held_out={held_out!r}: {held.sum()} of {len(sites)} sites; {_MINIMUM_HELD_OUT} are "
            "needed: give a larger share."
        )
    seed = int(rng.integers(2**31))
    # All windows are cut before the first fit, which takes long.
    windows = {name: one.pop("window_size", None) for name, one in settings.items()}
    cut = {name: _with_windows(stack, size) for name, size in windows.items()}
    stacks, rows, table = {}, {}, {}
    for name, setting in settings.items():
        one, rows[name] = cut[name]
        hold = held[rows[name]]
        setting = {"random_state": seed, "show_progressbar": show_progressbar} | setting
        start = time.perf_counter()
        with naming("stack"):
            one.rvae(**setting, navigation_mask=hold)
        one.apply_rvae(one.rvae_model, show_progressbar=show_progressbar)
        seconds = time.perf_counter() - start
        stacks[name] = one
        first = next(iter(stacks))
        _align(one, rows[name], stacks[first], rows[first])
        n_wells = one.assign_variants(n_variants) if "angle" in one.sites else 0
        table[name] = _row(one, hold, n_wells, seconds)
        _logger.info("%s: %s", name, ", ".join(f"{k} {v}" for k, v in table[name].items()))
    return RVAEComparison(
        pd.DataFrame.from_dict(table, orient="index"),
        _matrix(stacks, rows, _angle_agreement),
        _matrix(stacks, rows, _variant_agreement),
        stacks,
    )


def _settings_of(
    stack: SubImageStack, settings: Any, architecture: str
) -> dict[str, dict[str, Any]]:
    """Settings by name, each a dict of its own, checked before anything is fitted."""
    window = stack.data.shape[-1]
    if isinstance(settings, str) and settings == "paper":
        moved: dict[str, Any] = {"translation": True}
        if architecture == "convolutional":
            moved |= {"shift_prior": _PAPER_PRIOR * (window - 1) / 2, "shift_delay": 0.0}
        settings = {
            "no translation, 2 latents": {"output_dimension": 2},
            "translation, 1 latent": {"output_dimension": 1} | moved,
            "translation, 2 latents": {"output_dimension": 2} | moved,
        }
    elif isinstance(settings, str) and settings == "windows":
        small = round(2 * window / 3)
        settings = {f"{size} px": {"window_size": size} for size in (window, small)}
    elif isinstance(settings, str):
        raise ValueError(f"settings={settings!r}: give 'paper', 'windows' or a mapping.")
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings is a {type(settings).__name__}; give a mapping of names.")
    if not settings:
        raise ValueError("settings is empty: there is nothing to compare.")
    known = {*inspect.signature(stack.rvae).parameters, "window_size"} - {"navigation_mask"}
    checked = {}
    for name, setting in settings.items():
        if not isinstance(setting, Mapping):
            raise TypeError(f"settings[{name!r}] is a {type(setting).__name__}; give a mapping.")
        unknown = sorted(set(setting) - known)
        if unknown:
            raise ValueError(
                f"settings[{name!r}] holds {', '.join(map(repr, unknown))}; stack.rvae() has "
                f"{', '.join(sorted(known))}."
            )
        checked[str(name)] = {"architecture": architecture} | dict(setting)
        _check_values(str(name), checked[str(name)])
    return checked


def _check_values(name: str, setting: dict[str, Any]) -> None:
    """Raise ValueError if the model could not be fitted under a setting."""
    from hs_rvae.rvae.checks import check_settings
    from hs_rvae.rvae.estimator import RVAE

    options = inspect.signature(RVAE).parameters
    try:
        check_settings(RVAE(**{key: value for key, value in setting.items() if key in options}))
    except ValueError as error:
        raise ValueError(f"settings[{name!r}]: {error}") from None


def _with_windows(
    stack: SubImageStack, window_size: int | float | None
) -> tuple[SubImageStack, np.ndarray]:
    """Stack of its own for a setting, and the rows of its sites in the given stack."""
    sites, own = stack.sites, stack.data.shape[-1]
    if window_size is None or (window_size == own and not isinstance(window_size, float)):
        one = stack._deepcopy_with_new_data(stack.data)
        one.sites.remove(*_of_models(sites.columns))
        return one, np.arange(len(sites))
    image = stack.image
    if image is None or isinstance(image, list):
        what = "joins several images" if image is not None else "has no parent image"
        raise ValueError(
            f"window_size={window_size!r}: other windows are cut from the parent image, and the "
            f"stack {what}. Cut stacks of both sizes and fit them one by one."
        )
    columns = {
        name: sites[name]
        for name in sites.columns
        if name not in (*_cutting.OWN_COLUMNS, *_of_models(sites.columns))
    }
    one = SubImageStack.from_positions(
        image,
        sites.xy,
        window_size=window_size,
        lazy=stack._lazy,
        centring=stack.metadata.get_item("Sub_images.centring", "subpixel"),
        columns=columns,
        units={name: sites.units[name] for name in columns},
        show_progressbar=False,
    )
    one.sites.claim({name: sites.writers[name] for name in columns})
    return one, one.sites["site_index"]


def _of_models(names: Iterable[str]) -> list[str]:
    """Columns named like those of a model, by any writer; a copy loses them."""
    return _columns.written_by("rvae", names) + _columns.written_by("assign_variants", names)


def _align(
    one: SubImageStack, rows: np.ndarray, first: SubImageStack, first_rows: np.ndarray
) -> None:
    """Turn the angles of a stack by one offset, to the displacements or to the first stack."""
    sites = one.sites
    if "angle" not in sites or ("angle" not in first.sites):
        return
    if one is first:
        if "displacement_x" in sites:
            one.register_angle("displacement")
        return
    here, there = _common(rows, first_rows)
    angle, known = sites["angle"][here], first.sites["angle"][there]
    good = np.isfinite(angle) & np.isfinite(known)
    good &= distorted(sites)[here] & distorted(first.sites)[there]
    if good.any():
        offset, _ = _variants.common_offset(angle[good], known[good])
        one._turn_angles(offset)


def _row(one: SubImageStack, held: np.ndarray, n_wells: int, seconds: float) -> dict[str, Any]:
    """Row of the table for one setting."""
    sites, model = one.sites, one.rvae_model
    likelihood = sites["log_likelihood"][held]
    likelihood = likelihood[np.isfinite(likelihood)]
    row = {
        "window_size": one.data.shape[-1],
        "output_dimension": model.n_latents_,
        "translation": bool(model.translation),
        "n_sites": len(sites),
        "n_held_out": len(likelihood),
        "log_likelihood": likelihood.mean() if len(likelihood) else np.nan,
        "log_likelihood_error": likelihood.std() / max(len(likelihood), 1) ** 0.5,
        "n_variants": n_wells,
        "share_with_variant": np.nan,
        "angle_std": np.nan,
        "shift_rms": 0.0,
        "shift_share": _shift_share(sites, model.translation),
        "seconds": seconds,
    }
    if "variant" in sites:
        row["share_with_variant"] = float((sites["variant"] >= 0).mean())
        row["angle_std"] = float(np.nanmedian(sites["angle_std"]))
    if model.translation:
        shift = sites[["shift_x", "shift_y"]]
        row["shift_rms"] = float(np.sqrt(np.nanmean((shift**2).sum(1))))
    return row


def _shift_share(sites: SiteTable, translation: bool) -> float:
    """Share of the displacement in the shift: the slope of minus the shift against it.

    A site displaced by d stands in the middle of its window, so its surroundings are displaced by
    -d. A model that confuses the two reports a shift of -d.
    """
    if "displacement_x" not in sites:
        return np.nan
    if not translation:
        return 0.0
    moved, shift = sites[["displacement_x", "displacement_y"]], sites[["shift_x", "shift_y"]]
    good = np.isfinite(moved).all(1) & np.isfinite(shift).all(1)
    energy = (moved[good] ** 2).sum()
    return float(-(shift[good] * moved[good]).sum() / energy) if energy > 0 else np.nan


def _common(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in two stacks of the sites that both have."""
    return np.intersect1d(rows, others, return_indices=True)[1:]


def _matrix(
    stacks: dict[str, SubImageStack], rows: dict[str, np.ndarray], agreement: Callable[..., float]
) -> pd.DataFrame:
    """Agreement of every setting with every other."""
    names = list(stacks)
    values = pd.DataFrame(np.nan, index=names, columns=names)
    for a in names:
        for b in names:
            here, there = _common(rows[a], rows[b])
            values.loc[a, b] = agreement(stacks[a].sites, here, stacks[b].sites, there)
    return values


def _angle_agreement(
    sites: SiteTable, here: np.ndarray, others: SiteTable, there: np.ndarray
) -> float:
    if "angle" not in sites or "angle" not in others:
        return np.nan
    one, other = sites["angle"][here], others["angle"][there]
    good = np.isfinite(one) & np.isfinite(other)
    good &= distorted(sites)[here] & distorted(others)[there]
    return _variants.common_offset(one[good], other[good])[1] if good.any() else np.nan


def _variant_agreement(
    sites: SiteTable, here: np.ndarray, others: SiteTable, there: np.ndarray
) -> float:
    from sklearn.metrics import adjusted_rand_score

    if "variant" not in sites or "variant" not in others:
        return np.nan
    one, other = sites["variant"][here], others["variant"][there]
    good = (one >= 0) & (other >= 0)
    return float(adjusted_rand_score(one[good], other[good])) if good.any() else np.nan
