# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Tutorial: from a raw image to a publication figure
==================================================

A real image of DyScO3, an orthoperovskite, without anything but its pixels and its scale. Its A
columns shift up and down in turn, line by line: two variants of one motif. Where are they?
"""

import matplotlib.pyplot as plt
import numpy as np

import hs_rvae

# %%
# **1. The image.** For your own: ``image = hyperspy.api.load("my_image.dm4")``. Check that its
# axes are calibrated (``image.axes_manager``), for the scale bars.

image = hs_rvae.data.dysco3()
print(image.axes_manager.signal_axes)

# %%
# **2. The columns**, found, sorted into two sublattices and refined. Look before you go on.

lattice = hs_rvae.find_sublattices(image)
ax = hs_rvae.plots.plot_sublattices(image, lattice)

# %%
# **3. The stack:** a sub-image around every A column, with a table of all that is known about them.
# Displacements are measured against the four nearest A columns, which shift the other way. (Where
# one sublattice moves against another, ``from_atom_lattice(lattice, image, "B")`` does it all.)

stack = hs_rvae.SubImageStack.from_sublattice(lattice.get_sublattice("A"), image=image)
print(stack)

# %%
# **4. The model.** It writes angle and content of every site into the table.

stack.rvae(output_dimension=2, random_state=0)
offset, resultant = stack.register_angle("displacement")  # the angle's zero, from physics
n_variants = stack.assign_variants()
print(f"{n_variants} variants; resultant length {resultant:.2f}")
stack.sites.to_dataframe()[["x", "y", "angle", "angle_std", "latent_0", "variant"]].head()

# %%
# **5. Is it to be believed?** The motif must look like the crystal, the peaks must be narrow, the
# starts must agree, and the angle must not follow the instrument.

figure, axes = plt.subplots(1, 2, figsize=(6.8, 2.8), layout="constrained")
stack.plot_rvae_manifold(shape=(5, 5), font_size=8, ax=axes[0])
stack.plot_angle_histogram(variants=n_variants, font_size=8, ax=axes[1])
print("agreement of the starts:", stack.rvae_model.history_["start_agreement"].round(2))
print(*stack.rvae_diagnostics(random_state=0).summary[:3], sep="\n")

# %%
# The fitted positions agree: lines of A columns with a shift down are one variant, those with a
# shift up the other. (The fit knows the positions, the rVAE only sub-images centred on them.)

shift = stack.sites["displacement_y"]
known = np.isfinite(shift) & (stack.sites["variant"] >= 0)
table = np.zeros((n_variants, 2), int)
np.add.at(table, (stack.sites["variant"][known], (shift[known] > 0).astype(int)), 1)
print("variant x (up, down):\n", table)

# %%
# **6. The figure**, as wide as two columns of a journal; ``figure.savefig("variants.pdf")`` keeps
# it. A figure that one of the methods makes by itself is one column wide, with letters of 8 points.
# A few columns at the border are fitted badly: colours end at 40 pm, so that the others show.

figure, axes = plt.subplots(1, 3, figsize=(6.8, 2.3), layout="constrained")
stack.plot_image(title="(a) image", font_size=7, ax=axes[0])
stack.plot_polar_map(
    "displacement_calibrated", limits=(0, 40), title="(b) fit", font_size=7, ax=axes[1]
)
stack.plot_site_map("variant", title="(c) rVAE", font_size=7, ax=axes[2])

# %%
# **7. Keep it**, and hand on what was done: ``stack.rvae_model.save("model.safetensors")``,
# ``stack.save("stack.zspy")`` and ``stack.report("report.html")``.
