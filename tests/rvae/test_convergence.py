# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training that fails is found, taken back and repeated with a smaller step, with a warning."""

import logging

import numpy as np
import pytest
import torch

import hs_rvae
from hs_rvae.progress import Progress
from hs_rvae.report.text import _training_sentence
from hs_rvae.rvae.convergence import Diverged, Guard, convergence, train_until_it_holds
from hs_rvae.rvae.training import TrainingSettings


@pytest.fixture(scope="module")
def stack():
    image, truth = hs_rvae.simulation.simulate_perovskite((260, 260), cell=20.0, random_state=0)
    sites = truth.b_sites[["x", "y"]]
    return hs_rvae.SubImageStack.from_positions(image, sites, window_size=36)


def test_absurd_learning_rate_is_made_smaller(stack, caplog):
    with caplog.at_level(logging.WARNING, "hs_rvae"):
        stack.rvae(2, n_init=1, epochs=5, learning_rate=0.99, random_state=0)
    history = stack.rvae_model.history_
    assert "Training diverged with learning_rate=0.99" in caplog.text
    assert history["learning_rate"][0] == 0.99 and len(history["learning_rate"]) > 1
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < 1e3
    assert np.abs(stack.sites["latent_0"]).max() < 10
    sentence = _training_sentence(history)
    assert "after 0.99" in sentence and sentence.endswith("diverged")


def test_good_training_is_left_alone(stack, caplog):
    with caplog.at_level(logging.WARNING, "hs_rvae"):
        stack.rvae(2, n_init=1, random_state=0)
    assert "diverged" not in caplog.text
    assert list(stack.rvae_model.history_["learning_rate"]) == [2e-3]
    assert stack.metadata.Sub_images.rvae.converged == stack.rvae_model.history_["converged"][0]


@pytest.mark.parametrize("loss", [np.nan, np.inf, 1e12])
def test_no_attempt_holds(loss, caplog):
    network = torch.nn.Linear(1, 1)
    before = network.weight.detach().clone()

    def train(settings, guard):
        with torch.no_grad():
            network.weight += 1
        guard.check(loss)
        return {"loss": np.array([loss])}

    with caplog.at_level(logging.WARNING, "hs_rvae"), Progress(1, False, "fit") as progress:
        history = train_until_it_holds(network, TrainingSettings(), train, lambda: 3.0, progress)
    assert torch.equal(network.weight, before)
    assert len(history["learning_rate"]) == 4 and history["converged"][0] == 0
    assert "the network is the one before the first step" in caplog.text
    assert _training_sentence(history).startswith("failed with every learning rate tried")


def test_a_single_attempt_that_failed_is_one_rate_in_the_report():
    history = {"learning_rate": np.array([0.01]), "converged": np.array([0.0])}
    sentence = "failed with every learning rate tried (0.01); taken back"
    assert _training_sentence(history) == sentence


def test_result_worse_than_the_start_is_taken_back():
    network = torch.nn.Linear(1, 1)

    def train(settings, guard):
        with torch.no_grad():
            network.weight.fill_(1e3 * settings.learning_rate)
        return {"loss": np.full(3, 5.0)}

    def judge():
        return float(abs(network.weight.detach()))

    with torch.no_grad():
        network.weight.fill_(1.0)
    settings = TrainingSettings(learning_rate=0.1)
    with Progress(1, False, "fit") as progress:
        history = train_until_it_holds(network, settings, train, judge, progress)
    assert np.allclose(history["learning_rate"], [0.1, 0.01, 0.001])
    assert np.isnan(history["converged"][0])  # three epochs


def test_guard_and_rest():
    with pytest.raises(Diverged, match="nan nat, 5 nat"):
        Guard(5.0).check(np.nan)
    Guard(5.0).check(400.0)
    assert convergence({"loss": np.linspace(100, 50, 40)}) == 0
    assert convergence({"loss": np.full(40, 7.0)}) == 1
