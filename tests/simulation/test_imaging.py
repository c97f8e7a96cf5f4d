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


def test_a_side_lobe_holds_its_share_at_its_place():
    one, zero = np.ones(1), np.zeros(1)
    rng = np.random.default_rng(0)
    sharp = imaging.sum_of_columns((60, 80), np.array([[35, 27]]), one, 1.0, zero, zero, 0, rng)
    image = imaging.aberrated(sharp, 0.2, (20, 8))
    np.testing.assert_allclose(image.sum(), sharp.sum(), rtol=1e-5)
    np.testing.assert_allclose(image[27, 35], 0.8 * sharp[27, 35], rtol=1e-3)
    np.testing.assert_allclose(image[35, 55], 0.2 * sharp[27, 35], rtol=1e-3)


def test_beyond_the_border_the_image_goes_on():
    flat = np.full((10, 12), 0.3, np.float32)
    np.testing.assert_allclose(imaging.aberrated(flat, 0.5, (4.0, 1.5)), flat, rtol=1e-6)


def test_a_mistilt_draws_columns_out_along_it():
    none = np.zeros(3)
    size, angle = imaging.elongation(none, none, (-0.6, 0.8), 1.0)
    np.testing.assert_allclose(size, np.sqrt(2) - 1)
    np.testing.assert_allclose(np.tan(angle), -0.8 / 0.6)
    # Two elongations at right angles cancel, two along one direction add up.
    across = np.full(3, np.arctan2(0.8, -0.6) + np.pi / 2)
    np.testing.assert_allclose(imaging.elongation(size, across, (-0.6, 0.8), 1.0)[0], 0, atol=1e-9)
    np.testing.assert_allclose(imaging.elongation(size, angle, (-0.6, 0.8), 1.0)[0], 2 * size)
