# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's claim: clusters of sub-images sort chemistry first, the rVAE sets variants apart."""

import numpy as np
import pytest
from sklearn.metrics import homogeneity_score

import hs_rvae
from hs_rvae.simulation import compare_angles, simulate_perovskite

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
# Four cells of each material, with A columns of different brightness.
LAYERS = ((4, 1.0, 0.35), (4, 0.6, 0.5))


def analysed(seed, **settings):
    """A stack with a decomposition and a model, its true variants and layers, and which sites."""
    settings = {"cell": 16.0, "domain_size": 5, "shift": 0.7, **settings}
    image, truth = simulate_perovskite((520, 520), random_state=seed, **settings)
    stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
    stack.decomposition("PCA", 8, random_state=0)
    stack.rvae(output_dimension=2, random_state=seed)
    index = stack.sites["site_index"]
    inside = truth.interior(1.0)[index]
    sites = truth.b_sites.iloc[index][inside]
    return stack, sites, inside


def known(stack, source, algorithm, k, inside, truth):
    """What k clusters know of some labels: 1 all, 0 nothing."""
    stack.cluster_analysis(source, algorithm=algorithm, n_clusters=k, n_init=2, random_state=0)
    return homogeneity_score(truth, stack.sites["cluster"][inside])


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("algorithm", ["kmeans", "gmm"])
def test_in_a_superlattice_sub_images_need_many_clusters(seed, algorithm):
    stack, sites, inside = analysed(seed, layers=LAYERS)
    variant = sites["variant"]
    # As many clusters as variants: not the variants, which would be 1. Found here: 0.1 to 0.5.
    few = known(stack, "decomposition", algorithm, 4, inside, variant)
    many = known(stack, "decomposition", algorithm, 16, inside, variant)
    assert few < 0.65 and many > few + 0.2
    # The rVAE: the angle has them, the latents do not, and the latents have the layers.
    angles = compare_angles(stack.sites["angle"][inside], sites["angle"].to_numpy(), 4)
    assert angles["ari"] > 0.95
    assert known(stack, "rvae", "gmm", 4, inside, variant) < 0.15
    bright = stack.data[inside].max((1, 2))
    layer = bright > np.median(bright)
    assert known(stack, "rvae", "gmm", 4, inside, layer) > 0.3


def test_in_a_film_of_one_material_four_clusters_are_the_four_variants():
    """The claim has limits: where the displacement is the largest difference, k-means sees it."""
    stack, sites, inside = analysed(0, shift=1.1)
    assert known(stack, "decomposition", "kmeans", 4, inside, sites["variant"]) > 0.9


@pytest.mark.slow
def test_in_a_real_superlattice_clusters_follow_intensity_before_direction():
    image = hs_rvae.data.pto_sro()
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
    stack.decomposition("PCA", 8, random_state=0)
    stack.rvae(random_state=0)
    x, y = stack.sites["displacement_x"], stack.sites["displacement_y"]
    length = np.hypot(x, y)
    seen = length > np.nanmedian(length)
    up = y > 0
    mean = stack.data.mean((1, 2))
    third = np.digitize(mean, np.quantile(mean, [1 / 3, 2 / 3]))
    everywhere = np.ones(len(mean), bool)

    def by_source(source, k):
        algorithm = "kmeans" if source == "decomposition" else "gmm"
        direction = known(stack, source, algorithm, k, seen, up[seen])
        return direction, known(stack, source, algorithm, k, everywhere, third)

    direction, intensity = by_source("decomposition", 4)
    assert direction < 0.15 and intensity > 0.4
    assert by_source("decomposition", 16)[0] > direction + 0.2
    direction, intensity = by_source("rvae", 8)
    assert direction < 0.2 and intensity > 0.4
