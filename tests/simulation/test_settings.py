# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the crystal and of the microscope, and their limits."""

import numpy as np
import pytest

from hs_rvae.simulation import simulate_hexagonal, simulate_perovskite

QUIET = dict(chemistry=0, thickness_gradient=0, random_state=0)


def test_a_mistilt_moves_one_sublattice_against_the_other():
    options = dict(dose=np.inf, scan_jitter=0, tilt=0, random_state=2)
    still, straight = simulate_perovskite((300, 300), **options)
    moved, tilted = simulate_perovskite((300, 300), mistilt=(0.6, -0.3), **options)
    ones, others = straight.b_sites, tilted.b_sites
    inner = ones.edge_distance > 0.5
    assert np.allclose(others.x[inner.to_numpy()] - ones.x[inner], 0.6)
    assert np.allclose(others.y[inner.to_numpy()] - ones.y[inner], -0.3)
    assert np.array_equal(straight.a_sites, tilted.a_sites)
    assert np.array_equal(ones.displacement_x, others.displacement_x)
    # Drawn out columns are as high, but longer.
    assert moved.data.sum() > still.data.sum()


def test_the_composition_of_single_columns_varies():
    for spread in (0, 0.05, 0.3):
        _, truth = simulate_perovskite((500, 500), random_composition=spread, **QUIET)
        for table, height in ((truth.a_sites, 1), (truth.b_sites, 0.35)):
            assert np.std(table.amplitude / height) == pytest.approx(spread, rel=0.1)


def test_an_aberration_makes_the_probe_lopsided_and_leaves_the_truth():
    options = dict(dose=np.inf, random_state=2)
    plain, one = simulate_hexagonal((200, 200), **options)
    image, two = simulate_hexagonal((200, 200), aberration=0.3, aberration_shift=(5, 0), **options)
    assert one.a_sites.equals(two.a_sites) and one.b_sites.equals(two.b_sites)
    data = plain.data.astype(float)
    np.testing.assert_allclose(image.data[:, 5:], 0.7 * data[:, 5:] + 0.3 * data[:, :-5], rtol=1e-5)


def test_a_tiny_shift_is_no_distortion():
    image, truth = simulate_perovskite((200, 200), shift=0, random_state=0)
    near, _ = simulate_perovskite((200, 200), shift=1e-9, random_state=0)
    assert np.array_equal(image.data, near.data)
    assert not truth.b_sites[["displacement_x", "displacement_y"]].any(axis=None)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (dict(cell=np.nan), "cell=nan: give a positive number"),
        (dict(cell=np.inf), "cell=inf: give a positive number"),
        (dict(dose=np.nan), "dose=nan: give a positive number"),
        (dict(domain_size=0), "domain_size=0: give a positive number"),
        (dict(wall_width=-1), "wall_width=-1: give a positive number"),
        (dict(rotation=np.inf), "rotation=inf: give a number, in degrees"),
        (dict(direction="up"), "direction='up': give a number, in degrees"),
        (dict(shift=-1), "shift=-1: give px, from 0 to half a cell, 13"),
        (dict(shift=20), "shift=20: give px, from 0 to half a cell, 13"),
        (dict(disorder=np.nan), "disorder=nan: give px"),
        (dict(scan_jitter=-0.1), "scan_jitter=-0.1: give px"),
        (dict(strain=2), "strain=2: give a number from 0 to 0.3"),
        (dict(chemistry=1.5), "chemistry=1.5: give a number from 0 to 1"),
        (dict(random_composition=0.5), "random_composition=0.5: give a number from 0 to 0.3"),
        (dict(random_composition=True), "random_composition=True"),
        (dict(aberration=0.7), "aberration=0.7: give a number from 0 to 0.5, share"),
        (dict(aberration_shift=3), r"aberration_shift=3: give two numbers \(x, y\), in px"),
        (dict(aberration_shift=(30, 0)), "aberration_shift=.*half a cell or less, 13 px"),
        (dict(mistilt=(0.1, np.nan)), r"mistilt=\(0.1, nan\): give two numbers"),
        (dict(mistilt=(0.0, -14.0)), "mistilt=.*half a cell or less, 13 px"),
        (dict(dislocation=(1, 2, 3)), "dislocation=.*two numbers"),
        (dict(nonpolar=1), "nonpolar=1: give a share of the image, 0 up to 1"),
        (dict(thickness_gradient=3), "thickness_gradient=3: give a number between"),
        (dict(mistilt=None), r"mistilt=None: give two numbers \(x, y\), in px"),
        (dict(n_twins=2.0), "n_twins=2.0: give 2 or 4"),
        (dict(n_twins=np.array([2, 4])), r"n_twins=ndarray of shape \(2,\): give 2 or 4"),
        (dict(n_variants=np.array([2, 4])), r"n_variants=ndarray of shape \(2,\): a square"),
        (dict(order=np.array(["a", "b"])), r"order=ndarray of shape \(2,\): give one of domains"),
        (dict(layers=5), r"layers=5: give \(cells, height of A"),
        (dict(layers=[3]), r"layers=\[3\]: give \(cells, height of A"),
        (dict(rotation=10**400), "rotation=.*: give a number, in degrees"),
        (dict(dose=np.array([1.0, np.inf])), "dose=.*: give a positive number"),
        (dict(directions=np.array(1.0)), "directions=.*: give one number or more"),
        (dict(shape=([1], [2, 3])), "shape=.*: give rows and columns"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        simulate_perovskite(**{"shape": (64, 64)} | setting)


@pytest.mark.parametrize("shape", [(64,), (64, 0), (64.5, 64), 64, (64, 64, 3)])
def test_an_image_has_rows_and_columns(shape):
    with pytest.raises(ValueError, match="shape=.*two whole numbers of 1 or more"):
        simulate_perovskite(shape)
