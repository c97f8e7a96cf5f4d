# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charges of harmonics: phases under turns, filters, symmetry, patterns of a displacement."""

import numpy as np
import pytest
import torch

from hs_rvae.rvae.geometry import HarmonicGrid
from hs_rvae.rvae.harmonic.charges import (
    ChargeBasis,
    as_complex,
    as_real,
    coherence,
    deformation_patterns,
    lattice_symmetry,
    of_charge,
)

SIZE = 41
GRID = HarmonicGrid(SIZE, q_max=0.12, n_q=12, max_order=18)
CELL = 19.0


LATTICES = {
    "square": ([[1, 0], [0, 1]], [[0.5, 0.5]]),
    "rectangular": ([[1, 0], [0, 1.25]], [[0.5, 0.5]]),
    "hexagonal": ([[1, 0], [0.5, np.sqrt(0.75)]], [[1 / 3, 1 / 3], [2 / 3, 2 / 3]]),
    "trigonal": ([[1, 0], [0.5, np.sqrt(0.75)]], [[1 / 3, 1 / 3]]),
    "oblique": ([[1, 0], [0.3, 0.9]], [[0.5, 0.5]]),
}


def around(kind):
    """Columns around a middle one, (n, 2) in px, and their heights: cages, and the next middles."""
    steps, cage = LATTICES[kind]
    cells = np.stack(np.meshgrid(*2 * [np.arange(-3, 4)]), -1).reshape(-1, 2)
    places = [cells[np.abs(cells).any(1)], *(cells + one for one in cage)]
    heights = np.repeat([0.5] + [1.0] * len(cage), [len(p) for p in places])
    return CELL * np.concatenate(places) @ np.array(steps, float), heights


def column(at, size=SIZE):
    """One column of a width of 2.5 px at `at` (x, y) from the centre of the window."""
    line = np.arange(size) - (size - 1) / 2
    along = np.exp(-((line - at[0]) ** 2) / 12.5)
    return along * np.exp(-((line[:, None] - at[1]) ** 2) / 12.5)


def cell(kind, displacement=(0.0, 0.0), shear=0.0, noise=1e-3):
    """Window on a column that is displaced in its surroundings: they move the other way."""
    image = 0.5 * column((0.0, 0.0))
    image += noise * np.random.default_rng(0).standard_normal(image.shape)
    u, v = displacement
    for at, height in zip(*around(kind), strict=True):
        cos, sin = np.cos(2 * np.arctan2(at[1], at[0])), np.sin(2 * np.arctan2(at[1], at[0]))
        moved = np.array([u * (1 + shear * cos) + v * shear * sin,
                          v * (1 - shear * cos) + u * shear * sin])  # fmt: skip
        image += height * column(at - moved)
    return image


def harmonics(*images):
    return GRID.harmonics(torch.as_tensor(np.stack(images), dtype=torch.float32)).numpy()


def random_sites(n, seed=0):
    """Windows of noise."""
    images = np.random.default_rng(seed).standard_normal((n, SIZE, SIZE))
    return harmonics(*images).astype(complex)


@pytest.mark.parametrize(("n", "charge"), [(2, 1), (3, 1), (4, 1), (4, 2), (6, 1), (6, 2)])
def test_a_turn_of_the_lattice_multiplies_a_charge_by_its_phase(n, charge):
    x = random_sites(20)
    angle = 2 * np.pi / n
    turned = GRID.turn(torch.as_tensor(x), torch.full((20,), angle)).numpy()
    expected = np.exp(-1j * charge * angle) * of_charge(x, n, charge)
    np.testing.assert_allclose(of_charge(turned, n, charge), expected, atol=1e-4)


def test_a_turned_window_has_turned_charges():
    image = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    still, turned = harmonics(image, np.rot90(image, -1))  # from +x to +y
    for charge in (0, 1, 2):
        z, t = (of_charge(x[None], 4, charge) for x in (still, turned))
        assert np.abs(t - (-1j) ** charge * z).max() < 1e-4 * np.abs(z).max()


@pytest.mark.parametrize(("n", "charge"), [(1, 1), (2, 1), (3, 1), (4, 1), (6, 1), (4, 2), (6, 2)])
def test_filters_give_the_coordinates_of_the_basis(n, charge):
    x = random_sites(60, n)
    basis = ChargeBasis.fit(x, n, charge, 5)
    columns = basis.first(3)
    rows = np.random.default_rng(1).standard_normal((2, len(columns)))
    bank = basis.filters(rows, columns, GRID.n_q)
    response = np.einsum("rqm,nqm->nr", bank.conj(), x).real
    expected = basis.coordinates(x)[:, columns] @ rows.T
    np.testing.assert_allclose(response, expected, atol=1e-6 * np.abs(expected).max())


def test_real_and_complex_coordinates_are_inverse():
    z = np.random.default_rng(0).standard_normal((4, 6)) @ np.array([[1], [1j], [0], [2], [1], [3]])
    np.testing.assert_array_equal(as_complex(as_real(z)), z)


@pytest.mark.parametrize(
    ("kind", "n"),
    [("square", 4), ("rectangular", 2), ("hexagonal", 6), ("trigonal", 3), ("oblique", 2)],
)
def test_the_symmetry_of_a_lattice_is_found(kind, n):
    power = (np.abs(harmonics(cell(kind))[0][:, 1:]) ** 2).sum(0)
    assert lattice_symmetry(power) == n


@pytest.mark.parametrize(("kind", "n"), [("square", 4), ("hexagonal", 6)])
def test_a_small_strain_does_not_change_the_symmetry(kind, n):
    strained = 0.5 * column((0, 0))
    for at, height in zip(*around(kind), strict=True):
        strained += height * column(at * [1.0, 1.02])
    power = (np.abs(harmonics(strained)[0][:, 1:]) ** 2).sum(0)
    assert lattice_symmetry(power) == n


def test_one_neighbour_has_no_symmetry():
    pair = harmonics(column((0, 0)) + column((12, 3)))[0]
    assert lattice_symmetry((np.abs(pair[:, 1:]) ** 2).sum(0)) == 1


@pytest.mark.parametrize("kind", ["square", "rectangular", "hexagonal"])
@pytest.mark.parametrize("shear", [0.0, 1.0])
def test_the_pattern_of_a_displacement_is_a_difference_of_displaced_columns(kind, shear):
    mean, step = cell(kind), 0.2
    n = {"square": 4, "rectangular": 2, "hexagonal": 6}[kind]
    patterns = deformation_patterns(mean, GRID, n, harmonics(mean)[0])
    for axis, displacement in enumerate([(step, 0.0), (0.0, step)]):
        away = harmonics(
            cell(kind, displacement, shear), cell(kind, [-d for d in displacement], shear)
        )
        difference = of_charge(away[:1] - away[1:], n, 1)[0] / (2 * step)
        pattern = patterns["cage"][axis] + shear * patterns["shear"][axis]
        # A pattern is blurred, and its border between middle and surroundings is soft.
        overlap = np.vdot(pattern, difference) / np.linalg.norm(pattern)
        assert abs(overlap) / np.linalg.norm(difference) > 0.92
        assert abs(np.angle(overlap)) < np.radians(5)
        assert abs(overlap) / np.linalg.norm(pattern) == pytest.approx(1, abs=0.15)


def test_a_lattice_that_stays_is_coherent_and_one_that_turns_is_not():
    rng = np.random.default_rng(0)
    windows = cell("square") + 0.05 * rng.standard_normal((80, SIZE, SIZE))
    still = harmonics(*windows)
    angle = torch.as_tensor(rng.uniform(-np.pi, np.pi, 80))
    turning = GRID.turn(torch.as_tensor(still), angle).numpy()
    noise = GRID.noise_power()
    assert coherence(still, 4, noise) > 0.97
    assert coherence(turning, 4, noise) < 0.3
