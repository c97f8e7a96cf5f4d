# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
How many clusters until the variants appear?
============================================

k-means or a mixture of Gaussians on whole sub-images follows every difference between them, and the
largest come first. In a simulated superlattice these are the layers. The rVAE separates the
direction of the distortion from the content: its angle has the variants, and clusters of its
latents what is left.
"""
# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
from sklearn.metrics import homogeneity_score

import hs_rvae

# Four unit cells of each material; the layers differ in the brightness of their A columns.
layers = ((4, 1.0, 0.35), (4, 0.6, 0.5))
image, truth = hs_rvae.simulation.simulate_perovskite(
    (800, 800), cell=20, layers=layers, shift=1.0, domain_size=6, random_state=1
)
stack = hs_rvae.SubImageStack.from_positions(image, truth.b_sites[["x", "y"]])
stack.decomposition("PCA", output_dimension=8, random_state=0)
stack.rvae(output_dimension=2, random_state=0)

# %%
# How well do clusters agree with variants? Homogeneity is 1 if all sites of a cluster are of one
# variant, and 0 if the two are independent. Sites a cell or more away from walls and borders count.

index = stack.sites["site_index"]
inside = truth.interior(1.0)[index]
variant = truth.b_sites["variant"].to_numpy()[index][inside]
numbers = [2, 4, 8, 12, 16]
homogeneity = {"k-means, sub-images": [], "GMM, sub-images (PCA)": [], "GMM, latents": []}
for k in numbers:
    for name, source, algorithm in zip(
        homogeneity,
        ("decomposition", "decomposition", "rvae"),
        ("kmeans", "gmm", "gmm"),
        strict=True,
    ):
        stack.cluster_analysis(source, algorithm=algorithm, n_clusters=k, n_init=2, random_state=0)
        score = homogeneity_score(variant, stack.sites["cluster"][inside])
        homogeneity[name].append(score)

angle = truth.b_sites["angle"].to_numpy()[index][inside]
found = hs_rvae.simulation.compare_angles(stack.sites["angle"][inside], angle, 4)
fig, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
for name, values in homogeneity.items():
    ax.plot(numbers, values, "o-", label=name)
ax.axhline(found["ari"], color="0.3", linestyle="--", label="angle, 4 wells (ARI)")
ax.set(xlabel="number of clusters", ylabel="homogeneity (variants)", ylim=(0, 1.05))
_ = ax.legend(fontsize="small")

# %%
# The same number of clusters on the map: sub-images are sorted by layer and variant at once,
# latents by layer alone. The angle shows the variants alone.

stack.cluster_analysis(
    "decomposition", algorithm="gmm", n_clusters=4, random_state=0, column="of_sub_images"
)
stack.cluster_analysis("rvae", algorithm="gmm", n_clusters=4, random_state=0, column="of_latents")
_ = stack.plot_method_comparison(
    {
        "sub-images": ("pca_0", "pca_1"),
        "latents": ("latent_0", "latent_1"),
        "angle": ("latent_0", "angle"),
    },
    {"sub-images": "of_sub_images", "latents": "of_latents", "angle": "angle"},
)

# %%
# The means of the sub-images of each cluster.

_ = stack.plot_cluster_means("of_sub_images", n_columns=4)
