# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Figures 3 and 4: classes and embeddings of the sub-images
=========================================================

What do methods without rotations find? Panels (c, d) of Fig. 3 and the panels of Fig. 4 of
`AIP Advances 12, 105122 (2022) <https://doi.org/10.1063/5.0105406>`_, for a simulated superlattice
of two materials with four variants.
"""
# sphinx_gallery_thumbnail_number = 4

import matplotlib.pyplot as plt
from scipy.spatial import cKDTree
from sklearn.metrics import homogeneity_score

import hs_rvae

image, truth = hs_rvae.simulation.simulate_perovskite(
    (520, 520),
    cell=16,
    domain_size=5,
    shift=0.7,
    layers=((4, 1.0, 0.35), (4, 0.6, 0.5)),
    random_state=0,
)
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")

# %%
# Fig. 3 (c, d) Mixtures of Gaussians on principal components, and k-means on the pixels, for
# several numbers of classes. Each analysis has a column of its own.

stack.decomposition("PCA", output_dimension=8, print_info=False)
numbers = (4, 6, 8)
fig, axes = plt.subplots(2, 3, figsize=(6.8, 4.6), layout="constrained")
for column, k in enumerate(numbers):
    for row, (source, algorithm) in enumerate((("decomposition", "gmm"), ("signal", "kmeans"))):
        name = f"{algorithm}_{k}"
        stack.cluster_analysis(
            source, algorithm=algorithm, n_clusters=k, column=name, random_state=0
        )
        stack.plot_site_map(
            name, kind="labels", colorbar=False, title=f"{algorithm}, {k}", font_size=7,
            ax=axes[row, column],
        )  # fmt: skip

# %%
# Fig. 4 (a) The means of eight classes, with the number of sites in each.

fig = stack.plot_cluster_means("gmm_8")

# %%
# Fig. 4 (b to e) The sites in the first two components of four methods, coloured by these classes.

for method in ("tsne", "mds", "isomap"):
    stack.embedding(method, random_state=0)
fig = stack.plot_method_comparison(["pca", "tsne", "mds", "isomap"], "gmm_8", maps=False)

# %%
# Classes sort the brightness of the layers first. The rVAE separates the direction of the
# distortion from the content: its angle gives the variant, whatever the composition.

stack.rvae(random_state=0)
stack.assign_variants()
fig = stack.plot_method_comparison(["pca", "latent"], "variant")

# %%
# The homogeneity is the share of the true variants that labels explain, 0 to 1. Four classes
# explain nothing of them, and more classes only a part.

nearest = cKDTree(truth.b_sites[["x", "y"]]).query(stack.sites.xy)[1]
variant = truth.b_sites["variant"].to_numpy()[nearest]
known = variant >= 0
for name in ("gmm_4", "gmm_6", "gmm_8", "variant"):
    labels = stack.sites[name]
    print(f"{name}: {homogeneity_score(variant[known], labels[known]):.2f}")
