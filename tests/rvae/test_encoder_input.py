# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Input of the encoder: all orders, weighted by what other cells predict, without the direction."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hs_rvae.rvae.harmonic.encoder_input import EncoderInput, bend, fit_input, regressors
from hs_rvae.rvae.harmonic.rotation import SitePlaces

N, N_Q, M = 30, 3, 8


@pytest.fixture
def crystal():
    """Positions, a checkerboard (n,), and harmonics of noise, (n, n_q, M + 1)."""
    rng = np.random.default_rng(0)
    row, column = np.divmod(np.arange(N * N), N)
    places = SitePlaces(20.0 * np.column_stack([column, row]))
    noise = rng.standard_normal((2, N * N, N_Q, M + 1))
    harmonics = (0.1 * (noise[0] + 1j * noise[1])).astype(np.complex64)
    harmonics[:, :, 0] = harmonics[:, :, 0].real
    checks = np.where((row + column) % 2, 1.0, -1.0) * (1 + 0.3 * np.sin(column / 5))
    return places, checks, harmonics


def turning(angle, symmetry=4):
    """A distortion with all that the input asks for, and what it reads."""
    patterns = np.ones((4, N_Q, M + 1), np.complex64)
    model = SimpleNamespace(kind="variants", scale=1.0, symmetry=symmetry, patterns=patterns)
    ones = np.ones(len(angle))
    u = np.column_stack([np.cos(angle), np.sin(angle)])
    return model, SimpleNamespace(amplitude=ones, angle=angle, displacement=u)


def correlation(a, b):
    return np.abs(np.corrcoef(a, b)[0, 1])


def test_what_other_cells_predict_comes_before_larger_noise(crystal):
    places, checks, harmonics = crystal
    harmonics[:, 1, 4] += 1j * checks  # odd under mirrors: octahedra that tilt to and fro
    noise = np.random.default_rng(1).standard_normal(len(checks))
    harmonics[:, 0, 4] += 1.3 * noise
    common, about = torch.as_tensor(harmonics), regressors(None, None, len(checks))
    given = fit_input(common, N_Q, about, None, places)
    values = given(common, about).numpy()
    assert correlation(values[:, 0], checks) > 0.95 and correlation(values[:, 1], noise) > 0.95
    assert bend(given.scree) == 1 and given.scree[0] > 0.7
    assert given.n_latents == 2  # one that varies has two latents, too
    without = fit_input(common, N_Q, about, None, None)(common, about).numpy()
    assert correlation(without[:, 0], noise) > 0.95


def test_what_follows_the_direction_is_taken_out_and_the_rest_stays(crystal):
    places, checks, harmonics = crystal
    angle = np.pi / 2 * np.random.default_rng(2).integers(0, 4, len(checks))
    harmonics[:, 1, 4] += 0.7j * checks
    harmonics[:, 1, 1] += np.exp(-1j * angle)  # a displacement
    harmonics[:, 1, 2] += np.exp(-2j * angle)  # and its strain
    model, reading = turning(angle)
    common, about = torch.as_tensor(harmonics), regressors(reading, model, len(angle))
    given = fit_input(common, N_Q, about, model, places)
    values = given(common, about).numpy()
    assert correlation(values[:, 0], checks) > 0.95
    for wave in (np.cos(angle), np.sin(angle), np.cos(2 * angle)):
        assert max(correlation(one, wave) for one in values.T if one.std() > 1e-6) < 0.1


def test_without_a_distortion_nothing_is_taken_out():
    nothing = SimpleNamespace(kind="nothing")
    assert np.array_equal(regressors(SimpleNamespace(), nothing, 3), np.ones((3, 1)))


def test_the_map_is_saved_and_rebuilt(crystal):
    places, _, harmonics = crystal
    common, about = torch.as_tensor(harmonics), np.ones((len(harmonics), 1))
    given = fit_input(common, N_Q, about, None, places)
    again = EncoderInput.from_state(given.state())
    assert torch.equal(given(common, about), again(common, about))
    assert np.array_equal(given.scree, again.scree)


@pytest.mark.parametrize(
    ("scree", "number"),
    [([1.0], 1), ([0.5, 0.5], 1), ([0.2] * 6, 1), ([0.5, 0.3, 0.02, 0.02, 0.01], 2)],
)
def test_the_bend_of_a_scree(scree, number):
    assert bend(np.array(scree)) == number


@pytest.mark.parametrize(
    ("scree", "number"),
    [
        ([0.9, 0.05, 0.05], 2),  # the tail has no end
        ([0.9, 0.02, 0.02, 0.02, 0.02], 2),
        ([0.69, 0.1, 0.097, 0.03, 0.025], 3),
        ([0.6, 0.2, 0.09, 0.03, 0.02], 2),
    ],
)
def test_a_component_as_large_as_the_last_one_is_recommended_too(scree, number):
    empty = torch.zeros(0)
    assert EncoderInput(empty, empty, empty, np.array(scree)).n_latents == number
