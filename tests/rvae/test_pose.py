# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The posterior of the angle: exact, refined, honest."""

import numpy as np
import pytest
import torch

from hs_rvae import RVAE
from hs_rvae.rvae.covariance import factor_analysis
from hs_rvae.rvae.geometry import align, to_real
from hs_rvae.rvae.harmonic.angle_search import fit_random_starts
from hs_rvae.rvae.pose import PoseModel, fit_pose, wrap
from hs_rvae.windows import cut_windows

N_Q, N_M = 5, 9


def random_model(seed=0, strength=1.0, n_factors=3):
    """A template, an isotropic noise and factors, all arbitrary."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape):
        return torch.complex(*(torch.randn(shape, generator=generator) for _ in range(2)))

    mean = strength * numbers(N_Q, N_M)
    mean[:, 0] = mean[:, 0].real.to(mean.dtype)
    root = 0.3 * numbers(N_M, N_Q, N_Q)
    noise = root @ root.conj().transpose(1, 2) + 0.2 * torch.eye(N_Q)
    noise[0] = noise[0].real.to(noise.dtype)
    factors = 0.3 * numbers(n_factors, N_Q, N_M)
    factors[:, :, 0] = factors[:, :, 0].real.to(factors.dtype)
    return PoseModel(mean, noise, factors)


def dense_covariance(model):
    """The covariance of the pose frame as one real matrix, built entry by entry."""
    basis = torch.eye(N_Q * (2 * N_M - 1))
    columns = []
    for unit in basis:
        block = torch.zeros(N_Q, N_M, dtype=torch.complex64)
        order_0, rest = unit[:N_Q], unit[N_Q:].reshape(N_M - 1, 2, N_Q)
        block[:, 0] = order_0.to(block.dtype)
        block[:, 1:] = torch.complex(rest[:, 0], rest[:, 1]).T
        columns.append(torch.einsum("mqp,pm->qm", model.noise, block))
    noise = to_real(torch.stack(columns)).T
    factors = to_real(model.factors).T
    return (noise + factors @ factors.T).double()


def sample(model, n, seed=1):
    """Sites drawn from the model, with their angles."""
    generator = np.random.default_rng(seed)
    covariance = dense_covariance(model).numpy()
    mean = to_real(model.mean[None]).numpy()[0]
    flat = generator.multivariate_normal(mean, covariance, n)
    angle = generator.uniform(-np.pi, np.pi, n).astype(np.float32)
    from hs_rvae.rvae.geometry import to_complex

    x = to_complex(torch.as_tensor(flat.astype(np.float32)), (N_Q, N_M))
    return align(x, -torch.as_tensor(angle)), angle


def test_the_score_is_the_log_density_of_the_turned_site():
    model = random_model()
    x, _ = sample(model, 4)
    score, _ = model.score(x, 32)
    normal = torch.distributions.MultivariateNormal(
        to_real(model.mean[None])[0].double(), dense_covariance(model)
    )
    angles = 2 * np.pi * torch.arange(32) / 32
    dense = torch.stack(
        [normal.log_prob(to_real(align(x, a.expand(4))).double()) for a in angles], 1
    )
    difference = dense - score
    # Equal but for a constant of the site.
    assert (difference - difference.mean(1, keepdim=True)).abs().max() < 1e-2


@pytest.mark.slow
def test_the_log_likelihood_is_the_evidence_over_all_angles():
    model = random_model()
    x, _ = sample(model, 5)
    normal = torch.distributions.MultivariateNormal(
        to_real(model.mean[None])[0].double(), dense_covariance(model)
    )
    n = 2048
    angles = 2 * np.pi * torch.arange(n) / n
    dense = torch.stack(
        [normal.log_prob(to_real(align(x, a.expand(5))).double()) for a in angles], 1
    )
    evidence = torch.logsumexp(dense, 1) - np.log(n)
    # 0.1 nat: modes are taken as Gaussian.
    assert (model.posterior(x).log_likelihood.double() - evidence).abs().max() < 0.1


def test_refined_angles_beat_the_grid():
    model = random_model(strength=3.0)
    x, angle = sample(model, 300)
    error = wrap(model.posterior(x).angle - torch.as_tensor(angle)).abs()
    step = 2 * np.pi / 64
    assert float(error.median()) < step / 10


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_intervals_cover_as_often_as_they_say(strength):
    model = random_model(strength=strength)
    x, angle = sample(model, 2000)
    posterior = model.posterior(x)
    deviation = wrap(posterior.angle - torch.as_tensor(angle)).abs()
    inside = float((deviation < posterior.std).float().mean())
    if strength == 3.0:  # narrow: Gaussian, 68 % within one standard deviation (binomial sd 1 %)
        assert 0.64 < inside < 0.73
    # The mean square must agree, whatever the shape of the posterior (8 % from 2000 sites).
    assert float(posterior.std.square().mean().sqrt()) == pytest.approx(
        float(deviation.square().mean().sqrt()), rel=0.12
    )


def test_a_flat_score_has_the_width_of_a_uniform_angle():
    model = random_model(strength=0.0, n_factors=0)
    x, _ = sample(model, 10)
    posterior = model.posterior(x)
    assert torch.allclose(
        posterior.std, torch.tensor(np.pi / np.sqrt(3), dtype=torch.float32), 0.02
    )


@pytest.mark.slow
def test_blind_search_finds_template_and_angles_in_every_seed():
    model = random_model(strength=1.0)
    x, angle = sample(model, 600)
    for seed in range(5):
        start, starts = fit_random_starts(x, torch.Generator().manual_seed(seed))
        assert starts["agreement"].max() == pytest.approx(1)
        fitted = fit_pose(x, start, n_factors=3)
        difference = np.exp(1j * (fitted.posterior(x).angle.numpy() - angle))
        assert np.abs(difference.mean()) > 0.97  # the exact posterior itself reaches 0.98


def test_factor_analysis_recovers_the_covariance():
    model = random_model(n_factors=2)
    covariance = dense_covariance(model)
    noise, factors = factor_analysis(covariance, (N_Q, N_M), 2, n_iterations=20)
    again = dense_covariance(PoseModel(model.mean, noise, factors))
    # The floor adds 5 % to the noise.
    assert float((again - covariance).abs().max()) < 0.1 * float(covariance.abs().max())


def test_wrap_gives_minus_pi_excluded_pi_included():
    angles = torch.tensor([np.pi, -np.pi, 3 * np.pi, 0.0, -0.5])
    assert torch.allclose(wrap(angles), torch.tensor([np.pi, np.pi, np.pi, 0.0, -0.5]), atol=1e-6)
    assert float(wrap(angles).max()) <= np.float32(np.pi)


# Sites without distortion -----------------------------------------------------


def lattice(kind, noise=0.0, n=10, a=20.0, size=36):
    """Windows of a crystal without distortion, cut at the true positions of one kind of column."""
    y, x = np.mgrid[: int(n * a), : int(n * a)].astype(np.float32)
    image = np.full_like(x, 10.0)
    step = np.array([[a, 0], [a / 2, a * 3**0.5 / 2]] if kind == "hexagonal" else [[a, 0], [0, a]])
    sites = []
    for i, j in np.ndindex(3 * n, 3 * n):
        for place, height in ((0.0, 100.0), (0.5, 60.0))[: 2 if kind == "perovskite" else 1]:
            at = (i - n + place) * step[0] + (j - n + place) * step[1]
            if (at > -a).all() and (at < (n + 1) * a).all():
                image += height * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 10)
                sites += [at] * (place == 0)
    image += noise * np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    inside = [at for at in sites if (at > size / 2).all() and (at < n * a - size / 2 - 1).all()]
    return cut_windows(image, np.array(inside), size)


CLEAN = {
    "cubic": lambda: lattice("cubic"),
    "perovskite": lambda: lattice("perovskite"),
    "hexagonal": lambda: lattice("hexagonal"),
    "hardly any noise": lambda: lattice("cubic", noise=0.1),
    "copies of one cell": lambda: np.repeat(lattice("perovskite")[:1], 60, axis=0),
    "copies and empty windows": lambda: np.concatenate(
        [np.repeat(lattice("perovskite")[:1], 60, axis=0), np.ones((20, 36, 36), np.float32)]
    ),
}
MODELS = {
    "harmonic": {"rotation": "motif"},
    "shifts": {"translation": True},
    "without rotation": {"rotation": False},
    "convolutional": {"architecture": "convolutional", "epochs": 2},
}


# Every crystal for the harmonic model, and one or two for each other one; the rest is slow.
DAILY = {
    "harmonic": list(CLEAN),
    "shifts": ["hexagonal", "copies of one cell"],
    "without rotation": ["hardly any noise"],
    "convolutional": ["perovskite"],
}
CASES = [
    pytest.param(name, kind, marks=() if kind in DAILY[name] else pytest.mark.slow)
    for name in MODELS
    for kind in CLEAN
]


@pytest.mark.slow
@pytest.mark.parametrize("name, kind", CASES)
def test_order_amplitudes_without_distortion_are_0_within_an_error_that_means_something(
    name, kind, tmp_path
):
    images = CLEAN[kind]()
    if name == "convolutional":
        images = images[:, 9:-9, 9:-9]  # every pixel of the network costs
    model = RVAE(random_state=0, **MODELS[name]).fit(images)
    result = model.transform(images)
    amplitude, std = result.order_amplitude, result.order_amplitude_std
    assert np.isfinite(amplitude).all() and np.isfinite(result.latent).all()
    assert (np.abs(amplitude) < 4 * std).all()
    assert (std > 0.5).all() and (std <= 10).all()
    model.save(tmp_path / "m.st")
    again = RVAE.load(tmp_path / "m.st").transform(images)
    np.testing.assert_allclose(again.order_amplitude, amplitude, atol=1e-4)
    np.testing.assert_array_equal(again.order_amplitude_std, std)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("harmonic", "convolutional"))
def test_copies_of_one_distorted_cell_have_an_amplitude_of_1(name):
    size = 16 if name == "convolutional" else 36  # every pixel of the network costs
    cell = np.random.default_rng(0).standard_normal((1, size, size)).astype(np.float32) + 10
    result = RVAE(random_state=0, **MODELS[name]).fit_transform(np.repeat(cell, 60, axis=0))
    np.testing.assert_allclose(result.order_amplitude, 1, atol=1e-3)
    assert (result.order_amplitude_std < 1e-3).all()


@pytest.mark.parametrize("name", MODELS)
def test_constant_images_are_refused(name):
    with pytest.raises(ValueError, match="most sub-images are constant, so there is nothing to"):
        RVAE(**MODELS[name]).fit(np.full((60, 36, 36), 7.0))
