# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np

from hs_rvae.simulation import imaging


def test_a_column_has_its_height_width_and_place():
    rng = np.random.default_rng(0)
    one, zero = np.ones(1), np.zeros(1)
    image = imaging.sum_of_columns((60, 80), np.array([[41.3, 27.6]]), one, 3.0, zero, zero, 0, rng)
    y, x = np.mgrid[:60, :80]
    total = image.sum()
    np.testing.assert_allclose(
        [(x * image).sum() / total, (y * image).sum() / total], [41.3, 27.6], atol=0.02
    )
    # Core and tail: 0.88 + 0.12 * 2.4**2 times the plain Gaussian's volume.
    assert abs(total / (2 * np.pi * 9 * (0.88 + 0.12 * 2.4**2)) - 1) < 0.01
    assert 0.97 < image.max() < 1


def test_rows_are_shifted_by_scan_jitter_only_sideways():
    one, zero = np.ones(1), np.zeros(1)
    place = np.array([[40.0, 30.0]])
    still, moved = (
        imaging.sum_of_columns((60, 80), place, one, 3.0, zero, zero, j, np.random.default_rng(1))
        for j in (0, 0.5)
    )
    np.testing.assert_allclose(still.sum(axis=1), moved.sum(axis=1), rtol=0.01)
    assert np.abs(still - moved).max() > 0.03


def test_the_background_falls_at_the_edge_of_the_crystal():
    assert imaging.background((10, 100), 0.0, 2.0) == 0.2
    line = imaging.background((10, 100), 0.4, 2.0)
    assert abs(line[:45] - 0.2).max() < 1e-3
    assert abs(line[75:] - 0.02).max() < 1e-3
    assert (np.diff(line) <= 0).all()


def test_bright_field_takes_from_the_background_and_stays_positive():
    image = np.array([0.0, 0.5, 2.0], np.float32)
    field = imaging.bright_field(image)
    assert field[0] - field[1] == 0.5
    assert (field > 0).all()
