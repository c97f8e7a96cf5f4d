# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Figures 5 and 6: two sizes of the window
========================================

How wide should a sub-image be? The panels of Figs. 5 and 6 of `AIP Advances 12, 105122 (2022)
<https://doi.org/10.1063/5.0105406>`_: manifolds, histograms and maps, for a
simulated (multislice) superlattice of BiFeO3 and (La,Sr)MnO3 with antiparallel rows.
"""
# sphinx_gallery_thumbnail_number = 4

import matplotlib.pyplot as plt
import numpy as np

import hs_rvae

image, truth = hs_rvae.data.bfo_lsmo()
lattice = hs_rvae.find_sublattices(image)
stacks = {}
for window in (54, 36):
    stacks[window] = hs_rvae.SubImageStack.from_atom_lattice(
        lattice, image=image, sublattice="B", window_size=window
    )
    stacks[window].rvae(output_dimension=2, random_state=0)

# %%
# Fig. 5 (a, d) The manifolds.

fig, axes = plt.subplots(1, 2, figsize=(6.8, 3.2), layout="constrained")
for ax, (window, stack) in zip(axes, stacks.items(), strict=True):
    stack.plot_rvae_manifold(shape=(6, 6), title=f"{window} px", font_size=8, ax=ax)

# %%
# Fig. 5 (b, e) The angles, with a sample sub-image as inset. The model uses the part in the circle.

fig, axes = plt.subplots(1, 2, figsize=(6.8, 2.4), layout="constrained")
for ax, (window, stack) in zip(axes, stacks.items(), strict=True):
    stack.plot_angle_histogram(title=f"{window} px", font_size=8, ax=ax)
    inset = ax.inset_axes((0.62, 0.45, 0.36, 0.53))
    stack.plot_sub_image(len(stack.sites) // 2, disk=True, font_size=7, ax=inset)

# %%
# Fig. 5 (c, f) The density of the sites in latent space.

fig, axes = plt.subplots(1, 2, figsize=(6.8, 2.8), layout="constrained")
for ax, (window, stack) in zip(axes, stacks.items(), strict=True):
    stack.plot_latent_space(color="angle", title=f"{window} px", font_size=7, ax=ax)

# %%
# Fig. 6 The maps of both latents and of the angle. Both windows separate the antiparallel rows, and
# the two domains of BiFeO3 in each layer. Sites in (La,Sr)MnO3 have no angle and are grey. One
# latent separates the two materials; the other separates neighbouring rows, because the cells
# around their sites differ.

fig, axes = plt.subplots(2, 3, figsize=(6.8, 4.0), layout="constrained")
for row, (window, stack) in zip(axes, stacks.items(), strict=True):
    for ax, name in zip(row, ("latent_0", "latent_1"), strict=False):
        stack.plot_site_map(name, title=f"{window} px", font_size=7, ax=ax)
    stack.plot_site_map("angle", title=f"{window} px", font_size=7, ax=row[2])

# %%
# The sites that both stacks have, row by row: the windows agree on the direction.

rows, others = stacks[54].match_sites(stacks[36])
away = stacks[54].sites["angle"][rows] - stacks[36].sites["angle"][others]
polar = (stacks[54].sites["order_amplitude"][rows] > 0.5) & (
    stacks[36].sites["order_amplitude"][others] > 0.5
)
away = np.abs(np.angle(np.exp(1j * away)))[polar]
print(f"{polar.sum()} polar sites; {np.mean(away < np.pi / 4):.1%} in the same variant")
