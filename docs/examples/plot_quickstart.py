# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Quickstart: the lines and their figures
=======================================

The lines of :doc:`/user_guide/quickstart` as a script, with a simulated image of BiFeO3 that ships
with the package. Here are only the figures; the page explains them.
"""
# sphinx_gallery_thumbnail_number = 2

import hs_rvae

image, truth = hs_rvae.data.bfo_multislice()

# %%
# The columns, in a part of the image:

lattice = hs_rvae.find_sublattices(image)
ax = hs_rvae.plots.plot_columns(lattice, image=image, region=(8, 8, 12, 12))

# %%
# The stack, the model and its verdict:

stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image)
stack.rvae(output_dimension=2, random_state=0)
print(stack.rvae_verdict)

# %%
# Agreement with the displacements, and the variants:

print(stack.register_angle("displacement"))
stack.assign_variants()
print(stack.variants.round(3))

# %%
# The direction of the distortion at every site:

ax = stack.plot_site_map("angle")

# %%
# Where there is a distortion at all:

ax = stack.plot_site_map("order_amplitude")

# %%
# The number of variants:

ax = stack.plot_angle_histogram()

# %%
# Direction and a latent in one map:

ax = stack.plot_polar_map(angle="angle", amplitude="latent_0")

# %%
# What the latents change, and what the distortion changes:

ax = stack.plot_rvae_manifold()

# %%
# The course of the fit:

figure = stack.plot_rvae_history()

# %%
# Domains and walls:

stack.find_domains()
ax = stack.plot_domains()
