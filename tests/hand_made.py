# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crystals made by hand: their tables, their Crystal and, if asked for, an image of them."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hs_rvae.columns.crystal import Crystal, Grain, Place

# Cell vectors, and places: name, fractions, height.
SQUARE = np.eye(2)
HEXAGONAL = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
STRUCTURES = {
    "perovskite": (SQUARE, [("A", (0, 0), 1.0), ("B", (0.5, 0.5), 0.45)]),
    "perovskite with oxygen": (
        SQUARE,
        [("A", (0, 0), 1.0), ("B", (0.5, 0.5), 0.6), ("C", (0.5, 0), 0.3), ("D", (0, 0.5), 0.3)],
    ),
    "fluorite [110]": (
        np.diag([1.0, np.sqrt(0.5)]),
        [("A", (0, 0), 1.0), ("A", (0.5, 0.5), 1.0)],
    ),
    "MoS2": (HEXAGONAL, [("A", (0, 0), 1.0), ("B", (1 / 3, 1 / 3), 0.5)]),
    "graphene": (HEXAGONAL, [("A", (0, 0), 1.0), ("A", (1 / 3, 1 / 3), 1.0)]),
    "zinc blende": (
        np.array([[np.sqrt(0.5), 0.0], [np.sqrt(0.125), 0.5]]),
        [("A", (0, 0), 1.0), ("B", (-0.25, 0.5), 0.7)],
    ),
    "wurtzite": (
        np.array([[np.sqrt(0.75), 0.0], [0.0, 1.63]]),
        [
            ("A", (0, 0), 1.0),
            ("A", (1 / 3, 0.5), 1.0),
            ("B", (0, 0.375), 0.4),
            ("B", (1 / 3, 0.875), 0.4),
        ],
    ),
    "hexagonal": (HEXAGONAL, [("A", (0, 0), 1.0)]),
    "square": (SQUARE, [("A", (0, 0), 1.0)]),
    "rectangle": (np.diag([1.0, 1.4]), [("A", (0, 0), 1.0)]),
}


@dataclass
class HandMade:
    """A crystal made by hand.

    Attributes
    ----------
    tables : dict of str to pandas.DataFrame
    crystal : Crystal
    heights : dict of str to numpy.ndarray
        True heights of the columns in the tables, before noise.
    """

    tables: dict
    crystal: Crystal
    heights: dict = field(default_factory=dict)


def make(name, size=300, edge=26.0, turn=0.0, offset=(0.0, 0.0), places=None, grain=0):
    """A crystal that fills a square image; ``edge`` scales its cell, in pixels."""
    cell, basis = STRUCTURES[name]
    basis = places or basis
    cos, sin = np.cos(turn), np.sin(turn)
    cell = edge * np.asarray(cell) @ np.array([[cos, sin], [-sin, cos]])
    reach = int(2 * size / edge) + 2
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    tables, heights, found = {}, {}, []
    for sublattice, fraction, height in basis:
        xy = (steps + np.array(fraction)) @ cell + offset
        inside = ((xy > 2) & (xy < size - 3)).all(axis=1)
        part = pd.DataFrame({"x": xy[inside, 0], "y": xy[inside, 1]})
        part[["i", "j"]] = steps[inside]
        part["grain"] = grain
        part["x_std"] = part["y_std"] = 0.1
        known = [tables[sublattice]] if sublattice in tables else []
        tables[sublattice] = pd.concat([*known, part], ignore_index=True)
        heights[sublattice] = np.full(len(tables[sublattice]), float(height))
        found.append(
            Place(sublattice, tuple(float(f % 1) for f in fraction), len(part), float(height), 1.0)
        )
    unassigned = pd.DataFrame({"x": [], "y": [], "grain": np.array([], int)})
    count = sum(map(len, tables.values()))
    crystal = Crystal(cell, tuple(found), (Grain(grain, cell, count),), unassigned)
    return HandMade(tables, crystal, heights)


def picture(columns, size, sigma, dose, rng, background=0.15, contamination=0.0, ramp=0.0):
    """Counts of an image: columns (x, y, height), a ramp of thickness, a smooth background."""
    y, x = np.mgrid[:size, :size].astype(float)
    image = np.full((size, size), float(background))
    thickness = 1 + ramp * (np.arange(size) / size - 0.5)
    reach = int(np.ceil(5 * sigma))
    for cx, cy, height in columns:
        x0, y0 = round(cx), round(cy)
        rows = slice(max(y0 - reach, 0), max(y0 + reach + 1, 0))
        line = slice(max(x0 - reach, 0), max(x0 + reach + 1, 0))
        at = thickness[int(np.clip(cx, 0, size - 1))]
        square = (x[rows, line] - cx) ** 2 + (y[rows, line] - cy) ** 2
        image[rows, line] += at * height * np.exp(-square / (2 * sigma**2))
    if contamination:
        for _ in range(3):
            kx, ky = rng.normal(0, 2, 2)
            image += (
                contamination
                / 3
                * (1 + np.sin(2 * np.pi * (kx * x + ky * y) / size + rng.uniform(0, 6)))
            )
    return rng.poisson(dose * image).astype(np.float32)


@dataclass
class Damaged:
    """An image of a crystal with defects, and what a search would have found in it.

    Attributes
    ----------
    image : numpy.ndarray
    tables : dict of str to pandas.DataFrame
    crystal : Crystal
    truth : pandas.DataFrame
        Kind, x, y, sublattice and ratio of each defect.
    """

    image: np.ndarray
    tables: dict
    crystal: Crystal
    truth: pd.DataFrame


def damage(
    name,
    rng,
    dose=100,
    share=0.02,
    ratios=(0.75, 1.3),
    interstitials=0,
    size=400,
    edge=26.0,
    sigma=2.9,
    false_columns=0.5,
    roughness=0.0,
    **settings,
):
    """A crystal with vacancies, and substitutions of each ratio; each is `share` of the columns."""
    made = make(name, size, edge)
    drawn, truth, tables = [], [], {}
    for sublattice, table in made.tables.items():
        height = made.heights[sublattice].copy()
        kind = rng.choice(
            2 + len(ratios),
            len(table),
            p=[1 - share * (1 + len(ratios)), share, *[share] * len(ratios)],
        )
        factor = np.array([1, 0, *ratios])[kind]
        full = height
        height = height * factor * (1 + roughness * rng.normal(size=len(table)))
        drawn.append(np.column_stack([table[["x", "y"]], height]))
        for row in np.flatnonzero(kind):
            what = "vacancy" if kind[row] == 1 else "substitution"
            truth.append((what, table.x[row], table.y[row], sublattice, factor[row]))
        counted = 2 * np.pi * sigma**2 * dose * np.where(kind == 1, 0.05, height)
        error = 1.3 * sigma / np.sqrt(counted)
        found = table.copy()
        found[["x", "y"]] += error[:, None].clip(max=2) * rng.normal(size=(len(table), 2))
        found["x_std"] = found["y_std"] = error
        found["amplitude"] = dose * np.where(kind == 1, 0.1 * full, height)
        found["sigma_x"] = found["sigma_y"] = sigma
        found["rotation"] = 0.0
        # A search leaves some vacancies empty and fits noise in others.
        kept = (kind != 1) | (rng.random(len(table)) < false_columns)
        tables[sublattice] = found[kept].reset_index(drop=True)
    loose = np.empty((0, 3))
    if interstitials:
        cells = (rng.integers(3, int(size / edge) - 3, (interstitials, 2)) + [0.5, 0.02]) * edge
        loose = np.column_stack([np.unique(cells, axis=0)])
        loose = np.column_stack([loose, np.full(len(loose), 0.3)])
        drawn.append(loose)
        truth += [("interstitial", x, y, "", 0.3) for x, y, _ in loose]
    # Noise that a search takes for columns at no place.
    noise = rng.uniform(3 * edge, size - 3 * edge, (5, 2))
    unassigned = pd.DataFrame(np.vstack([loose[:, :2], noise]), columns=["x", "y"])
    unassigned["grain"] = -1
    crystal = Crystal(made.crystal.cell, made.crystal.places, made.crystal.grains, unassigned)
    image = picture(np.vstack(drawn), size, sigma, dose, rng, **settings)
    truth = pd.DataFrame(truth, columns=["kind", "x", "y", "sublattice", "ratio"])
    return Damaged(image, tables, crystal, truth)
