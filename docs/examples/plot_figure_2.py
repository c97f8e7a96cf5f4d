# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Figure 2: latents and angles, in real space and in latent space
===============================================================

The panels of Fig. 2 of `AIP Advances 12, 105122 (2022) <https://doi.org/10.1063/5.0105406>`_, for
a simulated (multislice) image of BiFeO3. It has four variants, a non-polar square and a strip of
another material.
"""

import matplotlib.pyplot as plt

import hs_rvae

image, truth = hs_rvae.data.bfo_multislice()
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(output_dimension=2, random_state=0)

# %%
# (a, b) Amplitude and phase: the colour is the angle, weak or full as a latent is low or high. (f)
# The wheel beside each map shows the colours at their directions.

fig, axes = plt.subplots(1, 2, figsize=(6.8, 2.6), layout="constrained")
for ax, letter, name in zip(axes, "ab", ("latent_0", "latent_1"), strict=True):
    stack.plot_polar_map("angle", name, title=f"({letter})", font_size=7, ax=ax)

# %%
# (e) The sites in latent space, in the colours of angle and latent_1; and coloured by their angle
# alone, with lines of equal density.

fig, axes = plt.subplots(1, 2, figsize=(6.8, 2.4), layout="constrained")
stack.plot_polar_scatter(
    "latent_0", "latent_1", amplitude="latent_1", title="(e)", font_size=7, ax=axes[0]
)
stack.plot_latent_space(color="angle", font_size=7, ax=axes[1])

# %%
# (h, i) Six classes of angle and content, found by a mixture of Gaussians, in latent space and in
# real space. The angle enters as cosine and sine. Compare with the truth: four variants, the square
# and the strip. (The paper's film had three variants, and five classes.)

stack.cluster_analysis(
    ["latent_0", "latent_1", "angle"], algorithm="gmm", n_clusters=6, random_state=0
)
fig, axes = plt.subplots(1, 2, figsize=(6.8, 2.8), layout="constrained")
stack.plot_scatter("latent_0", "angle", "cluster", title="(h)", font_size=7, ax=axes[0])
stack.plot_site_map("cluster", title="(i)", font_size=7, ax=axes[1])

# %%
# (c, d, g) With translation the model has a shift for each site as well, as in the paper. Windows
# are centred on their columns, so a displacement of the column is a shift of all others. It goes
# into the shift, the whole motif turns, and the angle means less. Hence translation is off by
# default.

stack.rvae(output_dimension=2, translation=True, random_state=0)
fig, axes = plt.subplots(1, 2, figsize=(6.8, 2.6), layout="constrained")
for ax, letter, name in zip(axes, "cd", ("shift_x", "shift_y"), strict=True):
    stack.plot_polar_map("angle", name, title=f"({letter})", font_size=7, ax=ax)

ax = stack.plot_polar_scatter("shift_x", "shift_y", amplitude="shift_x", title="(g)")
