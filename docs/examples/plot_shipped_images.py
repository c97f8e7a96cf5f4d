# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Which images ship with the package?
===================================

Two real images and a simulated one come with hs_rvae, so that every example runs without
downloading anything.
"""

# %%
# The first one is an orthoperovskite, probably DyScO3. Its A columns shift up and down by turns,
# which makes two variants of the same motif, turned by 180 degrees. For this image the fitted
# columns are known as well, and how far each stands off its four neighbours.

import matplotlib.pyplot as plt
import numpy as np

import hs_rvae

image = hs_rvae.data.dysco3()
positions, shift = hs_rvae.data.dysco3_positions()
print(image.metadata.General.notes)

fig, ax = plt.subplots(figsize=(6, 6), layout="constrained")
ax.imshow(image.data, cmap="gray")
up = shift[:, 1] < 0
ax.plot(*positions[up].T, "^", label="shifted up")
ax.plot(*positions[~up].T, "v", label="shifted down")
ax.set_axis_off()
_ = ax.legend(loc="upper right")

# %%
# The second one is a superlattice of PbTiO3 and SrRuO3. The layers differ in brightness, and the
# polarisation turns along the strip. There is no truth for it.

strip = hs_rvae.data.pto_sro()
axis_x, axis_y = strip.axes_manager.signal_axes
extent = (0, axis_x.size * axis_x.scale, axis_y.size * axis_y.scale, 0)

fig, ax = plt.subplots(figsize=(9, 2.2), layout="constrained")
ax.imshow(strip.data, cmap="gray", extent=extent)
_ = ax.set(xlabel="x (nm)", ylabel="y (nm)")

# %%
# Displacements of the B columns, from the raw image, and the angles of an rVAE, registered on them.
# The lattice outweighs the polar distortion here, so angles are those of the deviations from the
# average sub-image. They follow the displacements, which the model has not seen.

lattice = hs_rvae.find_sublattices(strip)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=strip, sublattice="B")
stack.rvae(subtract_average=True, random_state=0)
offset, resultant = stack.register_angle("displacement")
stack.assign_variants()

fig, axes = plt.subplots(3, 1, figsize=(9, 6.0), layout="constrained")
stack.plot_polar_map("displacement_calibrated", ax=axes[0], title="displacement")
stack.plot_polar_map("angle", "order_amplitude", ax=axes[1], title="angle of the rVAE")
stack.plot_site_map("variant", ax=axes[2])
print(f"resultant length {resultant:.2f}")

# %%
# The third one was simulated with multislice. Four variants of BiFeO3, a non-polar patch and a
# strip of another material are known cell by cell. Angles count from the right towards the bottom:
# 45 degrees points to the lower right.

film, truth = hs_rvae.data.bfo_multislice()
label, (dx, dy) = truth["label"], truth["B_shift_angstrom_xy"].T
for variant in range(4):
    angle = np.degrees(np.arctan2(dy, dx)[label == variant])
    print(f"variant {variant}: {angle.size} cells, displaced towards {angle[0]:.0f} degrees")

fig, axes = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
axes[0].imshow(film.data, cmap="gray")
drawn = axes[1].imshow(truth["label_grid"], cmap="tab10", vmin=-0.5, vmax=9.5)
names = ["variant 0", "variant 1", "variant 2", "variant 3", "non-polar", "strip"]
handles = [plt.Rectangle((0, 0), 1, 1, color=drawn.cmap(drawn.norm(i))) for i in range(6)]
axes[1].legend(handles, names, loc="center left", bbox_to_anchor=(1, 0.5))
for ax in axes:
    ax.set_axis_off()
