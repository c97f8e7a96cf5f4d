# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the columns of a crystal stand at rest, and how high they are."""

import numpy as np


def turn_matrix(rotation):
    """Matrix that turns rows (x, y) by `rotation` degrees, from +x towards +y."""
    turn = np.radians(rotation)
    return np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])


def lattice_points(lattice, motif, cell, rotation, size, margin, rng):
    """Points of a lattice with a motif that cover the image and a margin around it."""
    turn = turn_matrix(rotation)
    reach = 1.5 * (np.hypot(*size) + 2 * margin) / cell
    reach = int(np.ceil(reach / min(1.0, np.linalg.norm(lattice, axis=1).min())))
    i, j = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    index = np.stack([i.ravel(), j.ravel()], 1)
    points = np.vstack([(index + np.array(m)) @ lattice for m in motif]) * cell @ turn + size / 2
    keep = ((points > -margin) & (points < size + margin)).all(1)
    return {"points": points[keep], "origin": rng.uniform(-0.5, 0.5, 2) * cell}


def peak_heights(a, b, origin, cell, rotation, p):
    """Peak heights of A and B columns: two numbers, or one per column in a superlattice."""
    if p["layers"] is None:
        return 1.0, p["b_amplitude"]
    cells, a_height, b_height = np.array(list(p["layers"]), float).T
    along = turn_matrix(rotation)[1] / (cell * p["aspect"])
    # A columns stand at whole numbers along the edge, B columns at halves.
    layer = [np.floor((xy - origin) @ along + 0.25) % cells.sum() for xy in (a, b)]
    layer = [np.searchsorted(np.cumsum(cells), number, side="right") for number in layer]
    return a_height[layer[0]], b_height[layer[1]]
