# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Multiply-accumulates of a sub-image in both networks, by PyTorch's own counter.

    pytest tests/benchmarks/test_multiplications.py -s

Matrix products and convolutions are counted, as they are done: 48 x 48 px, two latents. What is
left out (Fourier transforms, products element by element) is a small part in both.
"""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import hs_rvae
from hs_rvae.rvae.convolutional.network import SpatialNetwork
from hs_rvae.rvae.loss import spatial_loss

SIZE = 48


def counted(function, *arguments):
    """Multiply-accumulates of a call; the counter counts multiplications and additions."""
    with FlopCounterMode(display=False) as counter:
        function(*arguments)
    return counter.get_total_flops() / 2, counter.get_flop_counts()["Global"]


@pytest.mark.parametrize("translation", [False, True])
def test_the_papers_network_takes_420_million_multiplications_a_sub_image(translation):
    network = SpatialNetwork(SIZE, 2, True, translation, torch.Generator())
    image, noise = torch.rand(1, SIZE, SIZE), torch.zeros(1, network.n_all)
    total, parts = counted(spatial_loss, network, image, network.coordinates(), noise, 0.1, 0.1)
    convolutions = parts[torch.ops.aten.convolution] / 2
    print(f"\ntranslation={translation}: {total / 1e6:.1f} million, "
          f"{convolutions / total:.0%} in the convolutions")  # fmt: skip
    assert total == pytest.approx(421e6, rel=0.01)
    assert convolutions / total > 0.8


def test_the_harmonic_model_takes_more_than_a_hundred_times_fewer():
    image, truth = hs_rvae.simulation.simulate_perovskite((700, 700), random_state=0)
    stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites, window_size=SIZE)
    stack.rvae(output_dimension=2, random_state=0)
    model, images = stack.rvae_model, np.asarray(stack.data)
    forth, _ = counted(model.transform, images)
    result = model.transform(images)
    back, _ = counted(model.inverse_transform, result.latent, result.angle)
    print(f"\n{len(images)} sub-images: {forth / len(images) / 1e6:.2f} million each to encode, "
          f"{back / len(images) / 1e6:.2f} million to decode")  # fmt: skip
    assert (forth + back) / len(images) < 420e6 / 100
