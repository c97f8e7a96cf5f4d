# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of a crystal at rest: positions and peak heights."""

from typing import Any

import numpy as np

from .film_settings import FilmSettings


def turn_matrix(rotation: float) -> np.ndarray:
    """Matrix that turns rows (x, y) by `rotation` degrees, from +x towards +y."""
    turn = np.radians(rotation)
    return np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])


def lattice_points(
    places: list[tuple[float, float]],
    lattice: np.ndarray,
    cell: float,
    rotation: float,
    size: np.ndarray,
    margin: float,
) -> np.ndarray:
    """Points of a lattice that cover the image and a margin around it."""
    turn = turn_matrix(rotation)
    steps = 1.5 * (np.hypot(*size) + 2 * margin) / cell
    reach = int(np.ceil(steps / min(1.0, np.linalg.norm(lattice, axis=1).min())))
    i, j = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    index = np.stack([i.ravel(), j.ravel()], 1)
    cells = [np.empty((0, 2)), *((index + np.array(m)) @ lattice for m in places)]
    points = np.vstack(cells) * cell @ turn + size / 2
    keep = ((points > -margin) & (points < size + margin)).all(1)
    return points[keep]


def cell_coordinates(
    xy: np.ndarray, lattice: np.ndarray, origin: np.ndarray, film: FilmSettings
) -> np.ndarray:
    """Places along the edges of the cell, in cells: whole numbers for columns on the corners."""
    unturned = (xy - origin) @ turn_matrix(film.rotation).T
    return unturned / film.cell @ np.linalg.inv(lattice)


def layer_coordinate(xy: np.ndarray, origin: np.ndarray, film: FilmSettings) -> np.ndarray:
    """Place along the second edge of the cell, in cells: A whole numbers, B halves."""
    return (xy - origin) @ (turn_matrix(film.rotation)[1] / (film.cell * film.aspect))


def peak_heights(
    a: np.ndarray, b: np.ndarray, origin: np.ndarray, film: FilmSettings
) -> tuple[Any, Any]:
    """Peak heights of A and B columns: two numbers, or one per column in a superlattice."""
    if film.layers is None:
        return 1.0, film.b_amplitude
    cells, a_height, b_height = np.array([layer[:3] for layer in film.layers], float).T
    # A columns stand at whole numbers along the edge, B columns at halves.
    places = [np.floor(layer_coordinate(xy, origin, film) + 0.25) % cells.sum() for xy in (a, b)]
    layers = [np.searchsorted(np.cumsum(cells), place, side="right") for place in places]
    return a_height[layers[0]], b_height[layers[1]]
