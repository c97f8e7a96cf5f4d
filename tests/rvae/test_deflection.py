# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The turning part of diffraction patterns, learnt from patterns that are made of known parts."""

import numpy as np
import pytest

from hs_rvae import RVAE

pytestmark = pytest.mark.slow  # fits of seconds each

SETTINGS = {"output_dimension": 1, "epochs": 1, "random_state": 0}
SIZE = 21  # px


def made(n_cells, symmetry=4, strength=1.0, sign=1, seed=0):
    """Patterns (n, w, w) of a film of four directions, positions, and the directions."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    radius, phi = np.hypot(x, y), np.arctan2(y, x)
    disk = 1 / (1 + np.exp(2 * (radius - 7)))
    static = disk * (3 + 0.5 * np.cos(symmetry * phi) * (radius / 7) ** 2)
    # What a displacement adds: not a shift of the pattern, but a vector.
    along = disk * np.stack([x, y]) / 7 * (1 - 0.7 * radius / 7)
    line = np.arange(n_cells)
    i, j = (each.ravel() for each in np.meshgrid(line, line))
    domain = (i // 5 + 2 * (j // 5)) % 4
    angle = np.pi / 4 + np.pi / 2 * domain
    vector = strength * np.stack([np.cos(angle), np.sin(angle)])
    images = static + sign * np.einsum("kn,kyx->nyx", vector, along)
    images = images + 0.3 * rng.standard_normal(images.shape)
    positions = 10.0 * np.stack([i, j], axis=1) + 0.1 * rng.standard_normal((len(i), 2))
    return images.astype(np.float32), positions, angle


def agreement(found, angle):
    return np.exp(1j * (found - angle)).mean()


@pytest.mark.parametrize("symmetry", [2, 4, 6])
def test_the_angle_points_to_the_side_of_the_deflection(symmetry):
    images, positions, angle = made(15, symmetry)
    model = RVAE(**SETTINGS).fit(images, positions=positions, diffraction=True)
    assert model.verdict_.kind == "variants" and model.lattice_symmetry_ == symmetry
    mean = agreement(model.transform(images).angle, angle)
    assert abs(mean) > 0.95 and abs(np.angle(mean)) < np.radians(6)
    images, positions, angle = made(15, symmetry, sign=-1)
    model.fit(images, positions=positions, diffraction=True)
    assert abs(np.angle(-agreement(model.transform(images).angle, angle))) < np.radians(6)


@pytest.mark.slow
def test_patterns_without_a_vector_show_nothing():
    for seed in range(4):
        images, positions, _ = made(15, strength=0.0, seed=seed)
        model = RVAE(**SETTINGS).fit(images, positions=positions, diffraction=True)
        assert model.verdict_.kind == "nothing"


def test_the_evidence_has_no_sizes_in_cells():
    images, positions, _ = made(15)
    model = RVAE(**SETTINGS).fit(images, positions=positions, diffraction=True)
    assert {"predicted", "wells", "coherence"} <= set(model.verdict_.evidence)
    assert not {"largest", "smallest", "mean"} & set(model.verdict_.evidence)


def test_measured_displacements_are_not_used():
    images, positions, angle = made(15)
    moved = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    results = [
        RVAE(**SETTINGS).fit_transform(
            images, positions=positions, displacements=given, diffraction=True
        )
        for given in (None, moved)
    ]
    np.testing.assert_array_equal(results[0].angle, results[1].angle)


def test_diffraction_is_true_or_false():
    images, positions, _ = made(6)
    with pytest.raises(ValueError, match="diffraction='yes'"):
        RVAE(**SETTINGS).fit(images, positions=positions, diffraction="yes")
