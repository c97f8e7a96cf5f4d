# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Figure 1: the image, its displacements, and what the rVAE makes of them
=======================================================================

The panels of Fig. 1 of `AIP Advances 12, 105122 (2022) <https://doi.org/10.1063/5.0105406>`_, for
a simulated film with four variants, a non-polar disk and a dislocation.
"""
# sphinx_gallery_thumbnail_number = 5

import matplotlib.pyplot as plt

import hs_rvae

image, truth = hs_rvae.simulation.simulate_perovskite(
    (900, 900), cell=22, nonpolar=0.1, dislocation=(520, 300), random_state=1
)
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(output_dimension=2, random_state=0)

# %%
# (a) The image, with a scale bar and a frame around the defect; (c) the part in the frame.

defect = (6.3, 3.0, 9.3, 6.0)  # left, top, right, bottom in nm, or a RectangularROI
fig, axes = plt.subplots(1, 2, figsize=(6.8, 3.4), layout="constrained")
stack.plot_image(boxes=[defect], title="(a)", font_size=8, ax=axes[0])
stack.plot_image(region=defect, title="(c)", font_size=8, ax=axes[1])

# %%
# (b) The displacement of each B column against its four A neighbours. The colour is the direction,
# grey where the displacement is small; the wheel shows the colours at their directions.

ax = stack.plot_polar_map("displacement_calibrated")

# %%
# (d) The angles of the rVAE, which are directions in the image. Four peaks are four variants;
# dashed lines are their mean directions.

stack.assign_variants()
ax = stack.plot_angle_histogram(variants=stack.variants["direction"])

# %%
# (e) What the two content latents change, each from -2 to 2. This is the part that stays: the
# distortion is not in it.

ax = stack.plot_rvae_manifold(shape=(8, 8), limits=(-2, 2))

# %%
# The map of the variants, grey where no direction is defined.

ax = stack.plot_site_map("variant")
