# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places of the lattice without a column, predicted by the columns around them."""

import numpy as np
import pytest

from hs_rvae.columns.holes import Sites, find_holes

CELL = np.array([[16.0, 0.0], [0.0, 11.0]])
OFFSETS = np.array([[0.0, 0.0], [0.5, 0.0]])
SIZE = np.array([160.0, 110.0])


def crystal(missing, size=SIZE):
    """All A columns of a picture but some, given by their cells; B columns are not seen."""
    nx, ny = (size / np.diag(CELL)).astype(int)
    index = np.array([(i, j) for i in range(nx) for j in range(ny) if (i, j) not in missing])
    # The B place nearest to the left border lies in the picture.
    positions = index @ CELL + [8.0, 5.0]
    zero = np.zeros(len(index), int)
    return Sites(positions, zero, zero, index), np.tile(CELL, (len(index), 1, 1))


def holes_of(missing, size=SIZE):
    sites, cells = crystal(missing, size)
    return find_holes(sites, cells, OFFSETS, 8.0, np.empty((0, 2)), size)


def test_a_hole_proposes_the_places_beside_it():
    whole = holes_of(set())
    b_of_whole = whole.positions[whole.place == 1]
    one = holes_of({(4, 4)})
    assert np.allclose(one.positions[one.place == 0], [[72.0, 49.0]])
    b_of_one = one.positions[one.place == 1]
    # The two B places beside the hole have one A neighbour each.
    assert len(b_of_one) == len(b_of_whole)
    for x in (64.0, 80.0):
        assert np.isclose(b_of_one, [x, 49.0], atol=0.1).all(axis=1).sum() == 1


def test_many_holes_of_a_place_propose_nothing():
    missing = {(i, j) for i in range(10) for j in range(10) if (i + j) % 2}
    found = holes_of(missing)
    # Every B place has one A neighbour and one hole.
    assert (found.place == 0).sum() > 20 and not (found.place == 1).any()


@pytest.mark.parametrize("cell", [(4, 0), (0, 4), (9, 4), (4, 9)])
def test_the_border_of_the_image_encloses_a_hole(cell):
    sites, cells = crystal({cell})
    place = np.array(cell) @ CELL + [8.0, 5.0]
    inside = find_holes(sites, cells, OFFSETS[:1], 11.0, np.empty((0, 2)), SIZE)
    assert np.isclose(inside.positions, place).all(axis=1).sum() == 1


def test_nothing_is_a_hole_beyond_the_edge_of_a_crystal():
    # The picture is larger than the crystal on the right and below.
    sites, cells = crystal(set())
    found = find_holes(sites, cells, OFFSETS[:1], 11.0, np.empty((0, 2)), SIZE + 100)
    assert not len(found.place)
