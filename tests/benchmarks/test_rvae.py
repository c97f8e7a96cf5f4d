# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job of the paper's size against the paper's network, in the same run.

    pytest tests/benchmarks/test_rvae.py -s

24,000 sub-images of 48 x 48 are cut, fitted and encoded in a process of their own, whose peak
memory the operating system reports. A few training steps of the network of AIP Advances 12, 105122
(2022) are timed before and after, and extrapolated to 100 epochs of 19,839 images in batches of 32.
"""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

import hs_rvae
from hs_rvae.simulation import compare_angles

JOB = """
import json, resource, sys, time
import hyperspy.api as hs
import numpy as np
hs.preferences.General.show_progressbar = False
from hs_rvae import SubImageStack
from hs_rvae.rvae.estimator import RVAE  # imports are not part of the job
image = hs.load(sys.argv[1])
positions = np.load(sys.argv[2])
start, cpu = time.perf_counter(), time.process_time()
stack = SubImageStack.from_positions(image, positions, window_size=48)
cut = time.perf_counter()
stack.rvae(output_dimension=2, random_state=0)
end = time.perf_counter()
np.savez(sys.argv[3], angle=stack.sites["angle"], site_index=stack.sites["site_index"])
print(json.dumps({
    "sites": len(stack.sites), "cut_s": cut - start, "rvae_s": end - cut, "total_s": end - start,
    "cpu_s": time.process_time() - cpu,
    "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
}))
"""


class PaperNetwork(nn.Module):
    """Convolutional encoder and spatial decoder of the paper, without translation."""

    def __init__(self, size=48, n_latents=2, width=128):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.LeakyReLU(0.1),
            nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.1),
            nn.Flatten(), nn.Linear(width * size**2, 2 * (1 + n_latents)),
        )  # fmt: skip
        self.from_coordinates = nn.Linear(2, width)
        self.from_latents = nn.Linear(n_latents, width, bias=False)
        self.decoder = nn.Sequential(
            nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
            nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1),
        )  # fmt: skip
        line = torch.linspace(-1, 1, size)
        self.grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)

    def loss(self, images):
        mean, log_std = self.encoder(images[:, None]).chunk(2, 1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        cos, sin = torch.cos(z[:, 0]), torch.sin(z[:, 0])
        turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
        hidden = self.from_coordinates(self.grid @ turn) + self.from_latents(z[:, 1:])[:, None]
        decoded = self.decoder(hidden)[..., 0]
        error = 0.5 * ((decoded - images.flatten(1)) ** 2).sum(1)
        kl = (-log_std + 0.5 * (log_std.exp() ** 2 + mean**2) - 0.5).sum(1)
        return (error + kl).mean()


def seconds_per_step(n_steps=4):
    """Median time of a training step of 32 sub-images, after one to warm up."""
    network = PaperNetwork()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    images = torch.rand((32, 48, 48), generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(n_steps + 1):
        start = time.perf_counter()
        optimiser.zero_grad()
        network.loss(images).backward()
        optimiser.step()
        times.append(time.perf_counter() - start)
    return np.median(times[1:])


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (4100, 4100), cell=26, rotation=4, random_state=0
    )
    positions = truth.b_sites[["x", "y"]].to_numpy()
    positions = positions + 0.1 * np.random.default_rng(0).standard_normal(positions.shape)
    image.save(folder / "image.hspy")
    np.save(folder / "positions.npy", positions)
    return folder, truth


def test_a_job_of_the_papers_size(film):
    folder, truth = film
    before = seconds_per_step()
    result = folder / "result.npz"
    job = [sys.executable, "-c", JOB, folder / "image.hspy", folder / "positions.npy", result]
    run = subprocess.run(job, check=True, capture_output=True, text=True)
    step = np.median([before, seconds_per_step()])
    figures = json.loads(run.stdout.splitlines()[-1])

    found = np.load(result)
    inside = truth.interior()[found["site_index"]]
    true_angle = truth.b_sites["angle"].to_numpy()[found["site_index"]]
    figures |= compare_angles(found["angle"][inside], true_angle[inside], 4)
    figures["paper_step_s"] = step
    figures["paper_s"] = step * 100 * np.ceil(19_839 / 32)
    figures["ratio"] = figures["paper_s"] / figures["total_s"]
    print("\n" + "\n".join(f"{name:>14}: {value:.4g}" for name, value in figures.items()))
    assert figures["sites"] >= 24_000
    assert figures["ari"] >= 0.98
    assert figures["peak_gb"] < 1.2
    assert figures["ratio"] > 10_000
