# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of training: those of torch's own classes, without what these load."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from hs_rvae.rvae.adam import Adam, one_cycle

RATE, N_STEPS = 2e-3, 41


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.SiLU(), torch.nn.Linear(7, 2))


def weights_after(step_of, net):
    """Weights after some steps on random batches."""
    generator = torch.Generator().manual_seed(1)
    step = step_of(net)
    for _ in range(N_STEPS - 1):
        (net(torch.randn((16, 5), generator=generator)) ** 2).mean().backward()
        step()
    return torch.cat([weight.detach().ravel() for weight in net.parameters()]).numpy()


def own(net):
    adam, count = Adam(net), iter(range(N_STEPS))
    return lambda: adam.step(*one_cycle(next(count), N_STEPS, RATE))


def of_torch(net):
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=N_STEPS)

    def step():
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()

    return step


def test_one_cycle_of_steps_is_that_of_the_classes_of_torch():
    np.testing.assert_allclose(
        weights_after(own, network()), weights_after(of_torch, network()), rtol=1e-6, atol=1e-8
    )


def test_weights_without_a_gradient_stay_and_gradients_are_cleared():
    net = network()
    before = [weight.detach().clone() for weight in net.parameters()]
    net[0].requires_grad_(False)
    net(torch.ones((3, 5))).sum().backward()
    Adam(net).step(RATE)
    after = list(net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before[:2], after[:2], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before[2:], after[2:], strict=True))
    assert all(weight.grad is None for weight in after)


def test_a_constant_rate_changes_each_weight_by_the_rate_at_first():
    net = network()
    before = net[2].bias.detach().clone()
    net(torch.ones((3, 5))).sum().backward()
    Adam(net).step(RATE)
    np.testing.assert_allclose((before - net[2].bias).detach(), RATE, rtol=1e-4)


@pytest.mark.slow
def test_a_fit_does_not_load_the_compiler_of_torch():
    code = """
import sys
import numpy as np
from hs_rvae import RVAE
images = np.random.default_rng(0).random((60, 24, 24)).astype("float32")
RVAE(output_dimension=1, epochs=1, rotation="motif", show_progressbar=False).fit(images)
RVAE(architecture="convolutional", output_dimension=1, epochs=1, show_progressbar=False).fit(images)
assert "torch" in sys.modules
print("torch._dynamo" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]
