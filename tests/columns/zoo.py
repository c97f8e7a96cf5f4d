# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small images of crystals of many kinds, with their truth: sums of Gaussians, counted."""

import numpy as np
from scipy.spatial import cKDTree

_ROOT = 3**0.5
HEXAGONAL = [[1, 0], [0.5, _ROOT / 2]]

#: Cell vectors; sites as (u, v, kind, height). Kinds that share heights may share names.
CRYSTALS = {
    "perovskite 001": ([[1, 0], [0, 1]], [(0, 0, "A", 1), (0.5, 0.5, "B", 0.4)]),
    "perovskite 110": ([[0.7071, 0], [0, 1]], [(0, 0, "A", 1), (0, 0.5, "B", 0.5)]),
    "perovskite 001, O seen": (
        [[1, 0], [0, 1]],
        [(0, 0, "A", 1), (0.5, 0.5, "B", 0.7), (0.5, 0, "O", 0.27), (0, 0.5, "O", 0.27)],
    ),
    "rock salt": ([[1, 0], [0, 1]], [(0, 0, "A", 1), (0.5, 0.5, "B", 0.6)]),
    "fluorite 110": (
        [[0.7071, 0], [0, 1]],
        [(0, 0, "A", 1), (0.5, 0.5, "A", 1), (0.5, 0, "B", 0.3), (0, 0.5, "B", 0.3)],
    ),
    "zinc blende 110": (
        [[0.7071, 0], [0, 1]],
        [(0, 0, "A", 1), (0.5, 0.5, "A", 1), (0, 0.25, "B", 0.7), (0.5, 0.75, "B", 0.7)],
    ),
    "wurtzite 110": (
        [[0.866, 0], [0, 1.6]],
        [(0, 0, "A", 1), (0.333, 0.5, "A", 1), (0, 0.375, "B", 0.5), (0.333, 0.875, "B", 0.5)],
    ),
    "Heusler 110": (
        [[1, 0], [0, 0.7071]],
        [(0, 0, "A", 1), (0.5, 0.5, "A", 1), (0.5, 0, "C", 0.4), (0, 0.5, "C", 0.4)]
        + [(u, v, "B", 0.6) for u in (0.25, 0.75) for v in (0.25, 0.75)],
    ),
    "hexagonal": (HEXAGONAL, [(0, 0, "A", 1)]),
    "hexagonal manganite": (
        [[1, 0], [0, 1.1]],
        [(0, 0.02, "R", 1), (0.333, -0.02, "R", 1), (0.667, -0.02, "R", 1)]
        + [(u, 0.5, "M", 0.4) for u in (0.167, 0.5, 0.833)],
    ),
    "1H layer": (HEXAGONAL, [(0, 0, "A", 1), (1 / 3, 1 / 3, "B", 0.4)]),
    "1T layer": (
        HEXAGONAL,
        [(0, 0, "A", 1), (1 / 3, 1 / 3, "B", 0.3), (2 / 3, 2 / 3, "B", 0.3)],
    ),
    "graphene": (HEXAGONAL, [(0, 0, "A", 1), (1 / 3, 1 / 3, "A", 1)]),
    "tungsten bronze": (
        [[1, 0], [0, 1]],
        [(0, 0.5, "M", 0.6), (0.5, 0, "M", 0.6)]
        + [
            (u, v, "M", 0.6)
            for x, y in ((0.0756, 0.2157), (0.2157, 0.9244))
            for u, v in ((x, y), (-x, -y), (0.5 - x, 0.5 + y), (0.5 + x, 0.5 - y))
        ]
        + [(0, 0, "A1", 1), (0.5, 0.5, "A1", 1)]
        + [
            (u, v, "A2", 0.9)
            for x in (0.172,)
            for u, v in ((x, 0.5 + x), (-x, 0.5 - x), (0.5 - x, x), (0.5 + x, -x))
        ],
    ),
}  # fmt: skip


def image_of(sites, height, sigma, shape, dose, background=0.1, seed=0):
    """Counts of round Gaussian columns."""
    image = np.full(shape, float(background))
    reach = int(np.ceil(5 * sigma))
    for (x, y), peak in zip(sites, height, strict=True):
        rows = slice(max(int(y) - reach, 0), max(int(y) + reach + 1, 0))
        columns = slice(max(int(x) - reach, 0), max(int(x) + reach + 1, 0))
        yy, xx = np.ogrid[rows, columns]
        yy = yy[: max(shape[0] - rows.start, 0)]
        xx = xx[:, : max(shape[1] - columns.start, 0)]
        if yy.size and xx.size:
            image[rows, columns] += peak * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2))
    return np.random.default_rng(seed).poisson(image * dose).astype(np.float32)


def crystal(
    name, distance=16.0, shape=(400, 400), turn=7.0, seed=0, jitter=0.0, region=None, shift=(0, 0)
):
    """Sites, kinds and heights of a crystal whose nearest columns are `distance` px apart."""
    cell, basis = CRYSTALS[name]
    cell = np.array(cell, float)
    fractions = np.array([site[:2] for site in basis], float)
    steps = np.array(np.meshgrid([-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2])).reshape(2, -1).T
    others = ((fractions[None] + steps[:, None]).reshape(-1, 2)) @ cell
    lengths = np.linalg.norm(others[:, None] - fractions @ cell, axis=2)
    cell = cell * distance / lengths[lengths > 1e-6].min()
    angle = np.deg2rad(turn)
    cell = cell @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    n = int(2 * max(shape) / np.sqrt(abs(np.linalg.det(cell)))) + 12
    index = np.array(np.meshgrid(np.arange(-n, n), np.arange(-n, n))).reshape(2, -1).T
    rng = np.random.default_rng(1000 + seed)
    origin = np.array(shape[::-1]) / 2 + rng.uniform(-3, 3, 2) + np.array(shift) @ cell
    xy = ((index[:, None] + fractions) @ cell + origin).reshape(-1, 2)
    kinds = np.tile([site[2] for site in basis], len(index))
    heights = np.tile([float(site[3]) for site in basis], len(index))
    inside = ((xy > -distance) & (xy < np.array(shape[::-1]) + distance)).all(axis=1)
    if region is not None:
        inside &= region(*xy.T)
    xy, kinds, heights = xy[inside], kinds[inside], heights[inside]
    xy = xy + jitter * rng.normal(size=xy.shape)
    return xy, kinds, heights


def simulate(
    name, distance=16.0, shape=(400, 400), dose=100, width=None, seed=0, dark=False, **how
):
    """An image of one crystal, its true positions and kinds."""
    xy, kinds, heights = crystal(name, distance, shape, seed=seed, **how)
    sigma = (0.2 if width is None else width) * distance
    image = image_of(
        xy, -0.7 * heights if dark else heights, sigma, shape, dose, 1.5 if dark else 0.1, seed
    )
    return image, xy, kinds


def judge(lattice, xy, kinds, shape, distance, rim=1.0):
    """Share found, share under a name that mixes kinds, and strays.

    A name stands for the kind that most of its columns have.
    """
    size = np.array(shape[::-1]) - 1
    inner = ((xy > rim * distance) & (xy < size - rim * distance)).all(axis=1)
    tables = {s.name: s.column_table[["x", "y"]].to_numpy() for s in lattice.sublattice_list}
    found = np.vstack(list(tables.values()))
    names = np.repeat(list(tables), [len(t) for t in tables.values()])
    far, nearest = cKDTree(found).query(xy)
    hit = inner & (far < 0.25 * distance)
    wrong = 0
    for name in tables:
        mine = kinds[hit][names[nearest[hit]] == name]
        if len(mine):
            wrong += len(mine) - np.unique(mine, return_counts=True)[1].max()
    stray = cKDTree(xy).query(found)[0] > 0.35 * distance
    stray &= ((found > rim * distance) & (found < size - rim * distance)).all(axis=1)
    return hit.sum() / inner.sum(), wrong / max(hit.sum(), 1), int(stray.sum()), list(tables)
