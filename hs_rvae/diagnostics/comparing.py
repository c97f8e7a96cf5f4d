# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the values of a model with the quantities of the instrument and with each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..checks import check_methods, checked, is_array
from ..exceptions import TooFewSites
from ..options import random_subset
from ..threads import side_by_side
from .dependence import (
    BLOCK_LENGTHS,
    BlockShuffle,
    correlation_length,
    information_coefficient,
    ranked,
    without_plane,
)
from .quantities import changes_in_steps, is_displacement
from .summary import in_words, too_smooth

_LARGEST = 1e30  # of a position: squares of larger ones are not numbers

#: Minimum number of sites that a number is given for.
MINIMUM_SITES = 100
#: A value follows a quantity if the coefficient is at least this large ...
MINIMUM_COEFFICIENT = 0.3
#: ... and this many standard deviations above what shuffled maps give.
MINIMUM_EXCESS = 4.0

_FEW_SHUFFLES = 10  # where a coefficient is too small to stand out, whatever the chance
_MINIMUM_REST = 0.01  # share of the variance below which a map is nothing but a plane


@check_methods
@dataclass(frozen=True)
class Diagnostics:
    """
    Dependence of angle and latents on the instrument and on each other.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per pair: ``value``, ``quantity`` (names), ``coefficient`` (0: independent, 1: one
        determines the other; the size of the correlation if both were Gaussian), ``chance`` and
        ``chance_std`` (mean and standard deviation of the coefficient over shuffled maps),
        ``excess`` (``(coefficient - chance) / chance_std``), ``follows`` (whether it stands out),
        ``n_sites`` (sites compared), ``length`` (correlation length of the value's map, px) and
        ``block`` (side of the shuffled blocks, px).
    summary : tuple of str
        Dependences that stand out, in words, the strongest first, then values that were left out.
    """

    table: pd.DataFrame
    summary: tuple

    @property
    def coefficients(self) -> pd.DataFrame:
        """The coefficients as a table of values (rows) against quantities (columns)."""
        return _wide(self.table, "coefficient")

    def __repr__(self) -> str:
        shown = _wide(self.table, "coefficient").map("{:.2f}".format)
        stars = _wide(self.table, "follows").map(lambda follows: "*" if follows is True else " ")
        shown = (shown + stars).replace(r"nan.*", "", regex=True)
        shown = shown.rename_axis(index=None, columns=None)
        lines = [shown.to_string(), "(0 independent, 1 determined; * significant)"]
        return "\n".join([*lines, "", *self.summary])


def _wide(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Values against quantities, then against each other, in the order of the table."""
    values, partners = table["value"].unique(), table["quantity"].unique()
    order = [name for name in partners if name not in values]
    order += [name for name in values if name in partners]
    return table.pivot(index="value", columns="quantity", values=column).loc[values, order]


@checked
def diagnose(
    xy: np.ndarray,
    values: Mapping[str, np.ndarray],
    quantities: Mapping[str, np.ndarray],
    *,
    angles: Collection[str] = ("angle",),
    direction: np.ndarray | None = None,
    n_shuffles: int = 30,
    max_sites: int = 1000,
    random_state: int | np.random.Generator | None = None,
) -> Diagnostics:
    """
    Compare every value of the model with every quantity of the instrument and the other values.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
        Positions of the sites in one image, px.
    values, quantities : Mapping of str to numpy.ndarray of shape (n,)
        NaN where there is none.
    angles : collection of str
        Names of those that are angles in radians, with 2 pi the same as 0.
    direction : numpy.ndarray of shape (n,), optional
        Direction of the measured displacement in radians. If ``values["angle"]`` agrees with it,
        the summary does not report that it follows the shape of the columns: they are elongated
        along their displacement.
    n_shuffles : int
        Shuffled maps that the chance is measured on, at least 10. Where the coefficient is below
        0.3, nothing can stand out, and ten are enough.
    max_sites : int
        Sites compared: a random subset if there are more. At least 100.
    random_state : int, numpy.random.Generator or None
        Seed of subset and shuffles.

    Returns
    -------
    Diagnostics

    Raises
    ------
    hs_rvae.exceptions.TooFewSites
        If every value has fewer than 100 finite sites.
    ValueError
        If an option is out of range, the positions are not finite or all at one place, or an array
        does not have one number for each site.

    Notes
    -----
    The coefficient is sqrt(1 - exp(-2 I)) of the mutual information I in nat (E. H. Linfoot,
    Information and Control 1, 85 (1957)); I is estimated from the twenty nearest neighbours on
    ranks, as by :func:`sklearn.feature_selection.mutual_info_regression`. Angles are ranked from
    their emptiest direction on.

    To shuffle, the map of the value is cut into blocks, which are exchanged, mirrored and
    transposed. Their side is two correlation lengths of the map after a plane was removed from it,
    at least the distance between sites and at most a third of the image: inside a block the map
    stays as smooth as it is. Where a third is too little, ``chance_std`` is raised in proportion.
    The blocks of an angle keep their trend, those of other values are cut from the map without
    the plane.

    Examples
    --------
    >>> xy = np.random.default_rng(0).uniform(0, 400, (500, 2))
    >>> found = diagnose(xy, {"latent_0": xy[:, 0] ** 2}, {"x": xy[:, 0]}, random_state=0)
    >>> bool(found.table["follows"][0])
    True
    """
    if n_shuffles < _FEW_SHUFFLES:
        raise ValueError(
            f"n_shuffles={n_shuffles}: at least {_FEW_SHUFFLES} are needed to know the chance."
        )
    if max_sites < MINIMUM_SITES:
        raise ValueError(f"max_sites={max_sites}: give at least {MINIMUM_SITES}.")
    xy = np.asarray(xy, float)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(f"xy has the shape {xy.shape}: give (n, 2), x and y of each site.")
    if (np.abs(xy) > _LARGEST).any():
        raise ValueError(f"xy reaches {np.nanmax(np.abs(xy)):g}: give positions in pixels.")
    if not np.isfinite(xy).all() or (len(xy) > 1 and not np.ptp(xy, axis=0).any()):
        raise ValueError("xy is not finite, or has all sites at one place.")
    for argument, columns in (("values", values), ("quantities", quantities)):
        for name, column in columns.items():
            if not is_array(column) or np.shape(column) != (len(xy),):
                raise ValueError(
                    f"{argument}[{name!r}] needs a number for each row of xy, {len(xy)}."
                )
    rng = np.random.default_rng(random_state)
    quantities = {name: np.asarray(q, float) for name, q in quantities.items()}
    values = {name: np.asarray(v, float) for name, v in values.items()}
    finite = {name: int(np.isfinite(v).sum()) for name, v in values.items()}
    notes = [
        f"{name} is left out: it is defined at {count} sites, and {MINIMUM_SITES} are needed."
        for name, count in finite.items()
        if count < MINIMUM_SITES
    ]
    values = {name: v for name, v in values.items() if finite[name] >= MINIMUM_SITES}
    if not values:
        raise TooFewSites(
            f"{max(finite.values(), default=0)} of {len(xy)} sites have finite values; at least "
            f"{MINIMUM_SITES} are needed to tell a dependence from chance."
        )
    rows, done = [], set()
    for name, value in values.items():
        # Two values of the model are compared once and stand in the table both ways round.
        partners = quantities | {other: v for other, v in values.items() if other not in done}
        del partners[name]
        for row in _compare(xy, name, value, partners, angles, n_shuffles, max_sites, rng):
            rows.append(row)
            if row["quantity"] in values:
                rows.append(row | {"value": row["quantity"], "quantity": name})
        done.add(name)
    table = pd.DataFrame(rows)
    order = {name: k for k, name in enumerate([*quantities, *values])}
    table = table.sort_values(
        ["value", "quantity"], key=lambda names: names.map(order), ignore_index=True
    )
    notes += too_smooth(table)
    layered = {
        (name, axis)
        for k, axis in enumerate("xy")
        for name, value in values.items()
        if name not in angles and changes_in_steps(xy, value, k)
    }
    agrees = direction is not None and "angle" in values
    agrees = agrees and is_displacement(values["angle"], np.asarray(direction, float))
    return Diagnostics(table, (*in_words(table, quantities, layered, agrees), *notes))


def _compare(
    xy: np.ndarray,
    name: str,
    value: np.ndarray,
    partners: Mapping[str, np.ndarray],
    angles: Collection[str],
    n_shuffles: int,
    max_sites: int,
    rng: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    """One row of the table for each partner of a value."""
    known = np.isfinite(value)
    xy, value = xy[known], ranked(value[known], name in angles)
    partners = {other: quantity[known] for other, quantity in partners.items()}
    some = random_subset(len(value), max_sites, rng)
    rest = without_plane(xy[some], value[some], name in angles)
    all_trend = np.var(rest) < _MINIMUM_REST * np.var(value)
    length = 0.0 if all_trend else correlation_length(xy[some], rest)
    shuffle = BlockShuffle(xy, xy[some], BLOCK_LENGTHS * length)
    # A trend in the shuffled maps would raise the chance of what it is a measure for. Angles keep
    # theirs: without a plane, domains of one direction would become many directions.
    kept = value if name in angles else without_plane(xy, value)
    maps = [value[some], *(ranked(kept[shuffle(rng)]) for _ in range(n_shuffles))]
    seed = int(rng.integers(2**31))

    def compare(partner: tuple[str, np.ndarray]) -> dict[str, Any]:
        other, quantity = partner
        good = np.isfinite(quantity[some])
        row = {"value": name, "quantity": other, "coefficient": np.nan, "chance": np.nan}
        row |= {"chance_std": np.nan, "excess": np.nan, "follows": False}
        row |= {"n_sites": int(good.sum()), "length": length, "block": shuffle.side}
        quantity = quantity[some][good]
        if len(quantity) >= MINIMUM_SITES and np.ptp(quantity) > 0:
            ranks = ranked(quantity, other in angles)
            columns = np.stack([one[good] for one in maps], axis=1)
            found = information_coefficient(columns[:, : 1 + _FEW_SHUFFLES], ranks, seed)
            others = columns[:, len(found) :]
            if found[0] >= MINIMUM_COEFFICIENT and others.size:
                more = information_coefficient(others, ranks, seed)
                found = np.concatenate([found, more])
            coefficient, *by_chance = found
            chance, spread = np.mean(by_chance), np.std(by_chance, ddof=1) * shuffle.too_small
            # Without a floor a map that shuffles to exactly nothing would have an infinite excess.
            excess = (coefficient - chance) / max(spread, 0.02)
            stands_out = coefficient >= MINIMUM_COEFFICIENT and excess >= MINIMUM_EXCESS
            row |= {"coefficient": coefficient, "chance": chance, "chance_std": spread}
            row |= {"excess": excess, "follows": bool(stands_out)}
        return row

    return side_by_side(compare, list(partners.items()))
