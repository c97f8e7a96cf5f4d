# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Tutorial: from a raw image to a publication figure
==================================================

An image of a BiFeO3 film, with nothing but its pixels and its scale. The B columns are displaced
along one of four directions. Where are these variants? (The image is a multislice simulation, so
that the answer can be compared with the truth at the end.)
"""

import matplotlib.pyplot as plt
import numpy as np

import hs_rvae

# %%
# **1. The image.** For your own: ``image = hyperspy.api.load("my_image.dm4")``. Check that its
# axes are calibrated (``image.axes_manager``), for the scale bars.

image, truth = hs_rvae.data.bfo_multislice()
print(image.axes_manager)

# %%
# **2. The columns**, found, sorted into two sublattices and refined. Look before you go on.

lattice = hs_rvae.find_sublattices(image)
ax = hs_rvae.plots.plot_sublattices(image, lattice, region=(6, 6, 12, 12))

# %%
# **3. The stack:** a sub-image around every B column, with a table of all that is known about them.
# Displacements are measured against the four nearest A columns.

stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
print(stack)

# %%
# **4. The model.** It writes angle and content of every site into the table. The lattice stays, the
# distortion turns, and its angle is a direction in the image. The verdict states what was found,
# with its evidence: other cells of the crystal predict the displacement of a site, or they do not.

stack.rvae(output_dimension=2, random_state=0)
print(stack.rvae_verdict)
stack.sites.to_dataframe()[["x", "y", "angle", "angle_std", "latent_0"]].head()

# %%
# Variants are groups of angles. The angle of one site is off by some degrees; the direction of a
# variant is known far better.

n_variants = stack.assign_variants()
np.degrees(stack.variants[["direction", "direction_std", "width"]]).round(1)

# %%
# **5. Can you trust it?** Angles must agree with the displacements (1 is full agreement), the peaks
# must stand apart, the part that stays must look like the crystal, and the angle must not follow
# the instrument. (Here it follows the scan because there are few domains, each of them large.)

figure, axes = plt.subplots(1, 2, figsize=(6.8, 2.8), layout="constrained")
stack.plot_rvae_manifold(shape=(5, 5), font_size=8, ax=axes[0])
stack.plot_angle_histogram(variants=stack.variants["direction"], font_size=8, ax=axes[1])
offset, agreement = stack.register_angle("displacement")
print(f"agreement with the displacements: {agreement:.2f}")
print(*stack.rvae_diagnostics(random_state=0).summary[:3], sep="\n")

# %%
# The truth agrees. Rows are the variants found, -1 where no direction is defined. Columns are the
# four variants of the simulation, the non-polar square and the strip of (La,Sr)MnO3.

cells = truth["cell_centre_xy_warped"]
cell = np.array([np.hypot(*(cells - xy).T).argmin() for xy in stack.sites.xy])
table = np.zeros((n_variants + 1, 6), int)
np.add.at(table, (stack.sites["variant"] + 1, truth["label"][cell]), 1)
print(table)

# %%
# **6. The figure**, as wide as two columns of a journal; ``figure.savefig("variants.pdf")`` keeps
# it. Without ``ax`` each method makes a figure one column wide, with letters of 8 points.

# sphinx_gallery_thumbnail_number = 3
figure, axes = plt.subplots(1, 3, figsize=(6.8, 2.0), layout="constrained")
stack.plot_image(title="(a) image", font_size=7, ax=axes[0])
stack.plot_polar_map("displacement_calibrated", title="(b) fit", font_size=7, ax=axes[1])
ax = stack.plot_site_map("variant", title="(c) rVAE", font_size=7, ax=axes[2])

# %%
# **7. Keep it**, and hand on what was done: ``stack.rvae_model.save("model.safetensors")``,
# ``stack.save("stack.zspy")`` and ``stack.report("report.html")``.
