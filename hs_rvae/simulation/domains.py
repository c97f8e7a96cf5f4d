# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of ferroic variants, with walls."""

import numpy as np

from .film_settings import FilmSettings


def order_parameter(
    xy: np.ndarray, size: np.ndarray, rng: np.random.Generator, film: FilmSettings
) -> dict[str, np.ndarray]:
    """Displacement of every B column: domains with tanh walls, and a non-polar disk."""
    cell, n_variants = film.cell, film.n_variants
    area = np.prod(size) / cell**2
    n_domains = max(2 * n_variants, int(round(area / film.domain_size**2)))
    seeds = rng.uniform(-0.1, 1.1, (n_domains, 2)) * size
    seed_variant = rng.permutation(np.arange(n_domains) % n_variants)
    step = 2 * np.pi / n_variants
    well = np.radians(film.rotation + film.direction) + step * np.arange(n_variants)

    # The wall is where the nearest seed of another variant is as near as the nearest seed.
    distance = np.stack(
        [
            np.linalg.norm(xy[:, None] - seeds[seed_variant == v], axis=2).min(1)
            for v in range(n_variants)
        ],
        1,
    )
    ranked = np.argsort(distance, 1)
    rows = np.arange(len(xy))
    first, second = ranked[:, 0], ranked[:, 1]
    wall = (distance[rows, second] - distance[rows, first]) / 2 / cell
    share = 0.5 * (1 + np.tanh(wall / film.wall_width))[:, None]
    unit = np.stack([np.cos(well), np.sin(well)], 1)
    vector = unit[first] * share + unit[second] * (1 - share)

    variant, angle = first.copy(), np.angle(np.exp(1j * well[first]))
    if film.nonpolar > 0:
        radius = np.sqrt(film.nonpolar * np.prod(size) / np.pi)
        centre = size / 2 + 0.1 * size * rng.uniform(-1, 1, 2)
        outside = (np.linalg.norm(xy - centre, axis=1) - radius) / cell
        vector *= 0.5 * (1 + np.tanh(outside / film.wall_width))[:, None]
        variant[outside < 0], angle[outside < 0] = -1, np.nan
        wall = np.minimum(wall, np.abs(outside))
    return {
        "displacement": film.shift * vector,
        "order": np.linalg.norm(vector, axis=1),
        "variant": variant,
        "angle": angle,
        "wall_distance": wall,
    }
