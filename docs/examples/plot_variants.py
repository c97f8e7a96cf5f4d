# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Ferroic variants of a film
==========================

Where are the variants of a ferroelectric film, and is the answer right? A simulated film has four
variants, a non-polar disk, B sites of changing composition, tilted columns and counting noise. The
truth is known for every site.
"""

import matplotlib.pyplot as plt
import numpy as np

import hs_rvae

image, truth = hs_rvae.simulation.simulate_perovskite(
    (1100, 1100), rotation=12, nonpolar=0.08, random_state=3
)

# %%
# Cut a sub-image around every B column. Positions of real images come from fits; here they are
# those of the simulation with 0.1 px of error.

positions = truth.b_sites[["x", "y"]].to_numpy()
positions = positions + 0.1 * np.random.default_rng(0).standard_normal(positions.shape)
stack = hs_rvae.SubImageStack.from_positions(image, positions)
print(stack)

# %%
# Fit the rVAE: one angle per site, and two content latents. The lattice stays, the distortion
# turns.

stack.rvae(output_dimension=2, random_state=0)
print(stack.rvae_verdict)
stack.sites.to_dataframe()[["x", "y", "angle", "angle_std", "latent_0", "latent_1"]].head()

# %%
# The angle maps the variants; the latents hold what is left, thickness and composition above all.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.0), layout="constrained")
stack.plot_site_map("angle", ax=axes[0])
stack.plot_site_map("latent_0", ax=axes[1])
stack.plot_rvae_manifold(shape=(6, 6), ax=axes[2])

# %%
# In the non-polar disk no angle is defined, and each site gets one at random. Elsewhere the angle
# agrees with the truth. Sites two cells from walls and borders are compared. Angles are directions
# in the image, so the offset that fits best is small.

index = stack.sites["site_index"]
inside = truth.interior()[index]
true_angle = truth.b_sites["angle"].to_numpy()[index]
hs_rvae.simulation.compare_angles(
    stack.sites["angle"][inside], true_angle[inside], truth.n_variants
)
