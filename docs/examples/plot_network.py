# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Columns at four counts
======================

At low dose faint columns do not stand out from the noise as maxima do. The trained network of the
package finds most of them. The image is a simulated film, so the truth is known.
"""
# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import cKDTree

import hs_rvae

image, truth = hs_rvae.simulation.simulate_perovskite((400, 400), dose=4, random_state=0)
true = np.vstack([truth.a_sites[["x", "y"]], truth.b_sites[["x", "y"]]])

# %%
# Filled circles are columns that were found, open ones columns that were missed.

figure, axes = plt.subplots(1, 2, figsize=(10, 5.2), layout="constrained")
for ax, method in zip(axes, ("maxima", "network"), strict=True):
    table = hs_rvae.find_columns(image, method=method)
    missed = cKDTree(table[["x", "y"]]).query(true)[0] > 5
    ax.imshow(image.data, cmap="gray")
    ax.scatter(*true[~missed].T, s=10, color="C1", label="found")
    ax.scatter(*true[missed].T, s=24, facecolor="none", edgecolor="C0", label="missed")
    ax.set_title(f"{method}: {np.mean(~missed):.0%} of the columns found")
    ax.set_xlim(100, 300)
    ax.set_ylim(300, 100)
    ax.set_axis_off()
axes[0].legend(loc="upper left")

# %%
# From the columns on all is the same: lattice, sublattices and sub-images.

lattice = hs_rvae.find_sublattices(image, method="network")
hs_rvae.plots.plot_columns(lattice, image=image)
