# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Which images come with the package?
===================================

Five simulated images with their truth ship with hs_rvae, so that every example runs without
downloading anything. Two real ones are fetched on request.
"""

# %%
# A mosaic of BiFeO3, simulated with multislice. Four variants, a non-polar patch and a strip of
# another material are known cell by cell. Angles count from the right towards the bottom: 45
# degrees points to the lower right.

import matplotlib.pyplot as plt
import numpy as np

import hs_rvae

film, truth = hs_rvae.data.bfo_multislice()
label, (dx, dy) = truth["label"], truth["B_shift_angstrom_xy"].T
for variant in range(4):
    angle = np.degrees(np.arctan2(dy, dx)[label == variant])
    print(f"variant {variant}: {angle.size} cells, displaced towards {angle[0]:.0f} degrees")

fig, axes = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
axes[0].imshow(film.data, cmap="gray")
means = [np.arctan2(dy, dx)[label == variant].mean() for variant in range(4)]
colors = np.vstack([hs_rvae.plots.angle_colors(means), [[0.6] * 3, [0.8] * 3]])
axes[1].imshow(colors[truth["label_grid"]])
names = ["variant 0", "variant 1", "variant 2", "variant 3", "non-polar", "strip"]
handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in colors]
axes[1].legend(handles, names, loc="center left", bbox_to_anchor=(1, 0.5))
for ax in axes:
    ax.set_axis_off()

# %%
# Four more have the truth of every column. They show a superlattice of BiFeO3 and (La,Sr)MnO3,
# PbTiO3 with a and c domains, vortices in PbTiO3/SrTiO3, and cubic SrTiO3 as a control. Dots are B
# columns. Their colour is the direction of the displacement, grey where there is none.

images = ("bfo_lsmo", "pto_ac", "pto_sto_vortex", "sto_null")
fig, axes = plt.subplots(2, 4, figsize=(9, 4.8), layout="constrained")
for (above, below), name in zip(axes.T, images, strict=True):
    image, truth = getattr(hs_rvae.data, name)()
    polar = np.isfinite(truth["d_angle"]) & ~truth["nonpolar"]
    below.scatter(*truth["b_xy"][~polar].T, s=2, color="0.7")
    colors = hs_rvae.plots.angle_colors(truth["d_angle"][polar])
    below.scatter(*truth["b_xy"][polar].T, s=2, color=colors)
    for ax in (above, below):
        ax.imshow(image.data, cmap="gray", alpha=1 if ax is above else 0)
        ax.set_axis_off()
    above.set_title(name)

# %%
# The real images belong to other projects and are fetched from their repositories, with a checksum:
#
# .. code-block:: python
#
#    image = hs_rvae.data.dysco3(allow_download=True)  # an orthoperovskite, two variants
#    strip = hs_rvae.data.pto_sro(allow_download=True)  # a PbTiO3/SrRuO3 superlattice
#
# The A columns of the first shift up and down in turn. Where they are, and how far each stands off
# its four neighbours, ships with the package.

positions, shift = hs_rvae.data.dysco3_positions()
fig, ax = plt.subplots(figsize=(4, 4), layout="constrained")
up = shift[:, 1] < 0
ax.plot(*positions[up].T, "^", label="shifted up")
ax.plot(*positions[~up].T, "v", label="shifted down")
ax.set(aspect="equal", xlabel="x (px)", ylabel="y (px)")
ax.invert_yaxis()
_ = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
