# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Spectra of sublattices and variants
===================================

What do the columns consist of? A simulated spectrum image has one count in a pixel.
Averaged over the columns of a sublattice, lines stand out, with an error for every channel.
"""
# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
import numpy as np

import hs_rvae

image, spectra, truth = hs_rvae.simulation.simulate_spectrum_image(
    (400, 400), counts=1.0, cell=20, domain_size=7, n_channels=128, random_state=0
)
lattice = hs_rvae.find_sublattices(image)
means = hs_rvae.get_sublattice_means(lattice, spectra, radius=2)
print(means, means.metadata.Clusters)

# %%
# Spectra keep class and metadata, so that the methods of exspy go on from here.

energy = means.axes_manager.signal_axes[0].axis
error = np.sqrt(means.get_noise_variance().data)
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for name, mean, half in zip(means.metadata.Clusters.labels, means.data, error, strict=True):
    ax.plot(energy, mean, label=f"sublattice {name}")
    ax.fill_between(energy, mean - half, mean + half, alpha=0.3)
ax.set_xlabel("Energy (keV)")
ax.set_ylabel("Counts per pixel")
ax.legend(frameon=False)

# %%
# The average cell of each variant, as elemental maps: energy windows of the lines of A and B.

stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image, "B")
stack.rvae(random_state=0)
stack.assign_variants()
cell = stack.get_mean_cell(spectra, "variant", window_size=30)
windows = {"line of A": (0.28, 0.32), "line of B": (0.48, 0.52)}
labels = cell.metadata.Clusters.labels
figure, axes = plt.subplots(2, len(labels), figsize=(9, 4.6), layout="constrained", squeeze=False)
for row, (name, (low, high)) in zip(axes, windows.items(), strict=True):
    maps = cell.isig[low * 6.4 : high * 6.4].sum(-1).data
    for ax, one, label in zip(row, maps, labels, strict=True):
        ax.imshow(one, cmap="viridis", vmin=maps.min(), vmax=maps.max())
        ax.set_title(f"variant {label}, {name}")
        ax.set_axis_off()
