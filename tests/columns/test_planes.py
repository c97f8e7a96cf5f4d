# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns against straight lines along their planes."""

import numpy as np
import pytest

from hs_rvae.columns.planes import line_deviation


@pytest.mark.parametrize("direction", [(1, 0), (0, 1), (1, 1), (2, -1), (-1, 0)])
@pytest.mark.parametrize("n_ends", [None, 2])
def test_a_perfect_lattice_does_not_deviate(direction, n_ends, hand_made):
    table = hand_made.make("hexagonal", turn=0.3).tables["A"]
    deviation = line_deviation(table, direction, n_ends, component="both")
    known = np.isfinite(deviation).all(axis=1)
    assert known.mean() > 0.8
    np.testing.assert_allclose(deviation[known], 0, atol=1e-9)


def test_a_column_off_its_plane_is_measured_against_the_ends(hand_made):
    table = hand_made.make("square", edge=20.0).tables["A"]
    row = int(np.argmin(np.hypot(table.x - 150, table.y - 150)))
    table.loc[row, ["x", "y"]] += [1.0, 2.5]
    for component, expected in (("across", [0, 2.5]), ("along", [1, 0]), ("both", [1, 2.5])):
        found = line_deviation(table, (1, 0), 4, component=component)
        np.testing.assert_allclose(found[row], expected, atol=1e-9)
    # The other planes are straight, and so are the ends of this one.
    others = line_deviation(table, (1, 0), 4)
    np.testing.assert_allclose(np.delete(others, row, axis=0), 0, atol=1e-9)


def test_both_sides_of_a_wall_deviate_from_the_line_between_them(hand_made):
    table = hand_made.make("square", edge=20.0).tables["A"]
    side = np.where(table.x < 150, 1.0, -1.0)
    table["y"] += side
    deviation = line_deviation(table, (1, 0), 5)
    np.testing.assert_allclose(deviation[:, 1], side, atol=1e-9)


def test_planes_end_at_boundaries_and_short_ones_give_nothing(hand_made):
    table = hand_made.make("square", edge=20.0).tables["A"]
    table["grain"] = np.where(table.x < 145, 0, np.where(table.x < 165, -1, 1))
    table["y"] += 3.0 * (table.grain == 1)
    deviation = line_deviation(table)
    assert np.isnan(deviation[table.grain == -1]).all()
    np.testing.assert_allclose(deviation[table.grain >= 0], 0, atol=1e-9)
    assert np.isnan(line_deviation(table, n_ends=6)).all()


def test_a_missing_column_does_not_shift_the_others(hand_made):
    table = hand_made.make("square", edge=20.0).tables["A"]
    row = int(np.argmin(np.hypot(table.x - 150, table.y - 150)))
    deviation = line_deviation(table.drop(index=row), component="both")
    np.testing.assert_allclose(deviation, 0, atol=1e-9)


def test_options_that_cannot_be_used_are_refused(hand_made):
    table = hand_made.make("square").tables["A"]
    with pytest.raises(ValueError, match="direction"):
        line_deviation(table, (0, 0))
    with pytest.raises(ValueError, match="direction"):
        line_deviation(table, (0.5, 1))
    with pytest.raises(ValueError, match="n_ends"):
        line_deviation(table, n_ends=1)
    with pytest.raises(ValueError, match="component"):
        line_deviation(table, component="x")
    with pytest.raises(TypeError, match="without x, y, i and j"):
        line_deviation(table[["x", "y"]])
