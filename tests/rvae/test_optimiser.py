# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimiser of the content network takes the steps of PyTorch's, bit for bit."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from hs_rvae.rvae.optimiser import OneCycleAdam


def network():
    generator = torch.Generator().manual_seed(0)
    made = nn.Sequential(nn.Linear(37, 29), nn.SiLU(), nn.Linear(29, 5))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return made


@pytest.mark.parametrize("n_steps", [4, 10, 61])
def test_steps_are_those_of_pytorch(n_steps):
    ours, theirs = network(), network()
    adam = torch.optim.Adam(theirs.parameters(), lr=2e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-3, total_steps=n_steps + 1)
    own = OneCycleAdam(ours.parameters(), 2e-3, n_steps + 1)
    x = torch.randn((64, 37), generator=torch.Generator().manual_seed(1))
    for _ in range(n_steps):
        for made, optimiser in ((ours, own), (theirs, adam)):
            optimiser.zero_grad()
            (made(x) ** 2).mean().backward()
            optimiser.step()
        cycle.step()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)


FIT = """
import sys
import numpy as np
from hs_rvae import RVAE
images = np.random.default_rng(0).normal(size=(40, 24, 24))
RVAE(random_state=0, epochs=1, n_init=1, n_factors=0).fit(images)
assert "torch._dynamo" not in sys.modules
"""


def test_a_fit_does_not_load_the_compiler_of_pytorch():
    done = subprocess.run([sys.executable, "-c", FIT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
