# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far angles and latents follow the instrument instead of the material.

Each value of the model is compared with what the instrument may have printed on it: the scan axes,
the intensity and the shape of the columns, the edges of the image. Mutual information sees any
dependence, not only a linear one. What it is by chance depends on how smooth the map of the value
is, because neighbouring sites are alike: it is measured on maps whose blocks were shuffled.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.stats import rankdata

__all__ = ["Diagnostics", "diagnose"]

#: Fewest sites that a number is given for.
LEAST_SITES = 100
#: A value follows a quantity if the coefficient is at least this large ...
LEAST_COEFFICIENT = 0.3
#: ... and this many standard deviations above what shuffled maps give.
LEAST_EXCESS = 4.0

_NEIGHBOURS = 20  # of the estimator: more is steadier, fewer resolves finer structure
_FEWEST_BLOCKS = 3  # along each side of the image
_BLOCK_LENGTHS = 2.0  # correlation lengths in a block
_LEAST_REST = 0.01  # share of the variance below which a map is nothing but a plane
_AROUND = 9  # sites that the shape of the columns is averaged over
_DISK = 0.15  # radius of a column's core in distances between sites

#: What it may mean that a value follows a quantity.
MEANING = {
    "x": "likely an instrument or thickness effect, not chemistry",
    "y": "likely an instrument or thickness effect, not chemistry",
    "edge distance": "likely an effect of the scan or of the windows at the edge",
    "intensity": "composition or thickness, which intensity alone cannot tell apart",
    "background": "likely thickness, contamination or a neighbouring column",
    "ellipticity": "likely tilt or astigmatism, not the crystal",
    "elongation": "likely the direction of tilt, astigmatism or drift, not the crystal",
}
_IN_WORDS = {
    "x": "the scan direction x",
    "y": "the scan direction y",
    "edge distance": "the distance to the edge of the image",
    "intensity": "the intensity of the columns",
    "background": "the background",
    "ellipticity": "the ellipticity of the columns",
    "elongation": "the direction in which columns are elongated",
}


@dataclass(frozen=True)
class Diagnostics:
    """
    How far angle and latents follow the instrument and each other.

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
        What stands out, in words, the strongest first, then what was left out.
    """

    table: pd.DataFrame
    summary: tuple

    @property
    def coefficients(self):
        """The coefficients as a table of values (rows) against quantities (columns)."""
        return _wide(self.table, "coefficient")

    def __repr__(self):
        shown = _wide(self.table, "coefficient").map("{:.2f}".format)
        stars = _wide(self.table, "follows").map(lambda follows: "*" if follows is True else " ")
        shown = (shown + stars).replace(r"nan.*", "", regex=True)
        shown = shown.rename_axis(index=None, columns=None)
        lines = [shown.to_string(), "(0 independent, 1 determined; * stands out of chance)"]
        return "\n".join([*lines, "", *self.summary])


def _wide(table, column):
    """Values against quantities, then against each other, in the order of the table."""
    values, partners = table["value"].unique(), table["quantity"].unique()
    order = [name for name in partners if name not in values]
    order += [name for name in values if name in partners]
    return table.pivot(index="value", columns="quantity", values=column).loc[values, order]


def diagnose(
    xy, values, quantities, *, angles=("angle",), n_shuffles=30, max_sites=1000, random_state=None
):
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
    n_shuffles : int
        Shuffled maps that the chance is measured on, at least 10.
    max_sites : int
        Sites compared: a random subset if there are more. At least 100.
    random_state : int, numpy.random.Generator or None
        Seed of subset and shuffles.

    Returns
    -------
    Diagnostics

    Raises
    ------
    ValueError
        If every value has fewer than 100 finite sites, or an option is out of range.

    Notes
    -----
    The coefficient is sqrt(1 - exp(-2 I)) of the mutual information I in nat (E. H. Linfoot,
    Information and Control 1, 85 (1957)); I is estimated from the twenty nearest neighbours
    (:func:`sklearn.feature_selection.mutual_info_regression`) on ranks. Angles are ranked from
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
    if n_shuffles < 10:
        raise ValueError(f"n_shuffles={n_shuffles}: at least 10 are needed to know the chance.")
    if max_sites < LEAST_SITES:
        raise ValueError(f"max_sites={max_sites}: give at least {LEAST_SITES}.")
    xy = np.asarray(xy, float)
    rng = np.random.default_rng(random_state)
    quantities = {name: np.asarray(q, float) for name, q in quantities.items()}
    values = {name: np.asarray(v, float) for name, v in values.items()}
    finite = {name: int(np.isfinite(v).sum()) for name, v in values.items()}
    notes = [
        f"{name} is left out: it is defined at {count} sites, and {LEAST_SITES} are needed."
        for name, count in finite.items()
        if count < LEAST_SITES
    ]
    values = {name: v for name, v in values.items() if finite[name] >= LEAST_SITES}
    if not values:
        raise ValueError(
            f"{max(finite.values(), default=0)} of {len(xy)} sites have finite values; at least "
            f"{LEAST_SITES} are needed to tell a dependence from chance."
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
    notes += _too_smooth(table)
    return Diagnostics(table, (*_in_words(table, quantities), *notes))


def _compare(xy, name, value, partners, angles, n_shuffles, max_sites, rng):
    """One row of the table for each partner of a value."""
    known = np.isfinite(value)
    xy, value = xy[known], _ranked(value[known], name in angles)
    partners = {other: quantity[known] for other, quantity in partners.items()}
    some = np.arange(len(value))
    if len(some) > max_sites:
        some = np.sort(rng.choice(len(some), max_sites, replace=False))
    rest = without_plane(xy[some], value[some], name in angles)
    all_trend = np.var(rest) < _LEAST_REST * np.var(value)
    length = 0.0 if all_trend else correlation_length(xy[some], rest)
    shuffle = _BlockShuffle(xy, xy[some], _BLOCK_LENGTHS * length)
    # A trend in the shuffled maps would raise the chance of what it is a measure for. Angles keep
    # theirs: without a plane, domains of one direction would become many directions.
    kept = value if name in angles else without_plane(xy, value)
    maps = [value[some], *(_ranked(kept[shuffle(rng)]) for _ in range(n_shuffles))]
    seed = int(rng.integers(2**31))
    for other, quantity in partners.items():
        good = np.isfinite(quantity[some])
        row = {"value": name, "quantity": other, "coefficient": np.nan, "chance": np.nan}
        row |= {"chance_std": np.nan, "excess": np.nan, "follows": False}
        row |= {"n_sites": int(good.sum()), "length": length, "block": shuffle.side}
        quantity = quantity[some][good]
        if len(quantity) >= LEAST_SITES and np.ptp(quantity) > 0:
            ranks = _ranked(quantity, other in angles)
            columns = np.stack([one[good] for one in maps], axis=1)
            coefficient, *by_chance = information_coefficient(columns, ranks, seed)
            chance, spread = np.mean(by_chance), np.std(by_chance, ddof=1) * shuffle.too_small
            # Without a floor a map that shuffles to exactly nothing would have an infinite excess.
            excess = (coefficient - chance) / max(spread, 0.02)
            stands_out = coefficient >= LEAST_COEFFICIENT and excess >= LEAST_EXCESS
            row |= {"coefficient": coefficient, "chance": chance, "chance_std": spread}
            row |= {"excess": excess, "follows": bool(stands_out)}
        yield row


def information_coefficient(columns, quantity, seed=0):
    """
    Dependence of each column on a quantity, 0 (independent) to 1.

    Parameters
    ----------
    columns : numpy.ndarray of shape (n, m)
    quantity : numpy.ndarray of shape (n,)
    seed : int

    Returns
    -------
    numpy.ndarray of shape (m,)
    """
    from sklearn.feature_selection import mutual_info_regression

    nat = mutual_info_regression(
        columns,
        quantity,
        discrete_features=False,
        n_neighbors=_NEIGHBOURS,
        random_state=seed,
    )
    return np.sqrt(1 - np.exp(-2 * nat))


def _ranked(values, is_angle=False):
    """Ranks in (0, 1); of angles from their emptiest direction on."""
    if is_angle:
        turn = np.sort(np.mod(values, 2 * np.pi))
        gaps = np.diff(turn, append=turn[0] + 2 * np.pi)
        values = np.mod(values - turn[gaps.argmax()] - gaps.max() / 2, 2 * np.pi)
    return (rankdata(values) - 0.5) / len(values)


def without_plane(xy, ranks, is_angle=False):
    """
    A map less the plane that fits it best.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    ranks : numpy.ndarray of shape (n,)
    is_angle : bool
        Whether 1 is the same as 0: then they are counted from where a plane fits best.

    Returns
    -------
    numpy.ndarray of shape (n,)
    """
    shifts = np.linspace(0, 1, 1000, endpoint=False) if is_angle else np.zeros(1)
    maps = np.mod(ranks[:, None] + shifts, 1) if is_angle else ranks[:, None]
    plane, _ = np.linalg.qr(np.column_stack([xy - xy.mean(0), np.ones(len(xy))]))
    rests = maps - plane @ (plane.T @ maps)
    return rests[:, np.argmin((rests**2).sum(0))]


def correlation_length(xy, rest, n_sites=1500):
    """
    Distance over which a map stays alike, in the units of `xy`.

    Where the autocorrelation has fallen to 1/e of that of nearest neighbours; 0 if not even these
    are alike.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    rest : numpy.ndarray of shape (n,)
        The map without its trend, of mean 0.
    n_sites : int
        Sites used at most.

    Returns
    -------
    float
    """
    some = np.linspace(0, len(xy) - 1, min(len(xy), n_sites)).astype(int)
    xy, rest = xy[some], rest[some]
    variance = np.mean(rest**2)
    step = 1.5 * spacing(xy)
    i, j = np.triu_indices(len(xy), 1)
    bins = (np.hypot(*(xy[i] - xy[j]).T) / step).astype(int)
    bins, products = bins[bins < 200], (rest[i] * rest[j])[bins < 200]
    counts = np.bincount(bins)
    alike = np.bincount(bins, products) / np.maximum(counts, 1) / variance
    # Below this, neighbours are alike by chance.
    if alike[0] < 3 / np.sqrt(counts[0]):
        return 0.0
    below = np.flatnonzero(alike < alike[0] / np.e)
    return float(step * (below[0] + 0.5 if len(below) else len(alike)))


def spacing(xy):
    """Median distance between nearest sites."""
    return float(np.median(cKDTree(xy).query(xy, k=2)[0][:, 1]))


class _BlockShuffle:
    """Which site's value stands at each place after the blocks of a map were shuffled."""

    def __init__(self, xy, places, side):
        self.low, self.size = xy.min(0), np.maximum(np.ptp(xy, axis=0), 1e-9) * (1 + 1e-9)
        self.tree, self.places = cKDTree(xy), places - self.low
        side = max(side, spacing(xy))
        self.blocks = np.maximum(_FEWEST_BLOCKS, np.rint(self.size / side)).astype(int)
        self.side = float(np.sqrt(np.prod(self.size / self.blocks)))
        # The spread goes with the number of independent parts, hence with the side of a block.
        self.too_small = max(1.0, side / self.side)

    def __call__(self, rng):
        # The grid of blocks starts somewhere else each time; the map is closed to a torus.
        start = rng.uniform(0, 1, 2) * self.size
        where = np.mod(self.places + start, self.size) / self.size * self.blocks
        block = np.minimum(where.astype(int), self.blocks - 1)
        inside = where - block
        number = block[:, 0] * self.blocks[1] + block[:, 1]
        n = int(np.prod(self.blocks))
        source = rng.permutation(n)[number]
        mirrored = rng.integers(0, 2, (n, 2)).astype(bool)[number]
        transposed = rng.integers(0, 2, n).astype(bool)[number]
        inside = np.where(mirrored, 1 - inside, inside)
        inside = np.where(transposed[:, None], inside[:, ::-1], inside)
        block = np.stack([source // self.blocks[1], source % self.blocks[1]], axis=1)
        back = np.mod((block + inside) / self.blocks * self.size - start, self.size)
        return self.tree.query(back + self.low)[1]


def _too_smooth(table):
    """A line for each value whose map is too smooth for blocks of a third of the image."""
    return [
        f"{name} varies so slowly that one image holds few independent parts of it: do not lean "
        "on its row."
        for name, rows in table.groupby("value", sort=False)
        if _BLOCK_LENGTHS * rows["length"].iloc[0] > 1.5 * rows["block"].iloc[0]
    ]


def column_intensity(blocks, offsets, radius):
    """
    Intensity of the column and of the background in each sub-image.

    Parameters
    ----------
    blocks : numpy.ndarray of shape (k, w, w)
        Finite.
    offsets : numpy.ndarray of shape (k, 2) or None
        Column minus middle of the window, (x, y) in px.
    radius : float
        Of the disk around the column, px.

    Returns
    -------
    numpy.ndarray of shape (k, 2)
        Mean over the disk, and the mean of the lowest tenth of all pixels.
    """
    height, width = blocks.shape[1:]
    offsets = np.zeros((len(blocks), 2)) if offsets is None else offsets
    dx = np.arange(width) - (width - 1) / 2 - offsets[:, :1]
    dy = np.arange(height) - (height - 1) / 2 - offsets[:, 1:]
    disk = dx[:, None, :] ** 2 + dy[:, :, None] ** 2 <= radius**2
    mean = (blocks * disk).sum((1, 2), dtype=float) / disk.sum((1, 2))
    pixels = blocks.reshape(len(blocks), -1)
    lowest = max(1, pixels.shape[1] // 10)
    low = np.partition(pixels, lowest - 1, axis=1)[:, :lowest].mean(1, dtype=float)
    return np.column_stack([mean, low])


def disk_radius(xy):
    """Radius of the core of a column, px: 0.15 distances between sites, at least 1.5 px."""
    return max(1.5, _DISK * spacing(xy))


def ellipse(xy, sigma_x, sigma_y, rotation):
    """
    How elongated columns are, and in which direction, as means over nine neighbouring sites.

    A single weak column looks elongated by noise alone, in any direction, the more the weaker it
    is. As vectors such errors average out, whereas a tilt is the same in neighbouring columns.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    sigma_x, sigma_y : numpy.ndarray of shape (n,)
        Widths along the two axes, px; NaN where a fit failed.
    rotation : numpy.ndarray of shape (n,)
        Of the axis of `sigma_x`, rad.

    Returns
    -------
    ellipticity : numpy.ndarray of shape (n,)
        Longer over shorter axis less 1.
    twice_direction : numpy.ndarray of shape (n,)
        Twice the direction of the longer axis, rad: an axis has no head.
    """
    ratio = np.log(np.asarray(sigma_x) / np.asarray(sigma_y))
    vector = ratio * np.exp(2j * np.asarray(rotation))
    nearest = cKDTree(xy).query(xy, k=min(_AROUND, len(xy)))[1].reshape(len(xy), -1)
    known = np.isfinite(vector)
    number = known[nearest].sum(1)
    vector = np.where(known, vector, 0)[nearest].sum(1) / np.maximum(number, 1)
    vector[number == 0] = np.nan
    return np.expm1(np.abs(vector)), np.angle(vector)


def edge_distance(xy, shape=None):
    """
    Distance of each site to the nearest edge of the image, px.

    Parameters
    ----------
    xy : numpy.ndarray of shape (n, 2)
    shape : tuple of int, optional
        Rows and columns of the image. None: the box around the sites.

    Returns
    -------
    numpy.ndarray of shape (n,)
    """
    if shape is None:
        return np.minimum(xy - xy.min(0), xy.max(0) - xy).min(1)
    return np.minimum(xy + 0.5, np.array(shape[::-1]) - 0.5 - xy).min(1)


def _in_words(table, quantities):
    """One line for each pair that stands out, the strongest first."""
    lines, seen, along = [], set(), set()
    for row in table[table["follows"]].sort_values("coefficient", ascending=False).itertuples():
        pair = frozenset((row.value, row.quantity))
        # What follows x follows the distance to the edge as well, if less.
        if pair in seen or (row.quantity == "edge distance" and row.value in along):
            continue
        seen.add(pair)
        along |= {row.value} if row.quantity in ("x", "y") else set()
        figures = f"({row.coefficient:.2f}; {row.chance:.2f} by chance)"
        if row.quantity in quantities:
            name = _IN_WORDS.get(row.quantity, row.quantity)
            meaning = MEANING.get(row.quantity, "look at both maps")
            lines.append(f"{row.value} follows {name} {figures}: {meaning}.")
        else:
            lines.append(
                f"{row.value} and {row.quantity} follow each other {figures}: they are not "
                "independent descriptions."
            )
    return lines or ["Nothing stands out of chance."]
