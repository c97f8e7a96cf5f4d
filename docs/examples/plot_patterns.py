# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Variants of 4D-STEM data
========================

Which pattern belongs to which variant? Columns are found in a virtual image that pyxem makes of the
patterns. Then the patterns are averaged over the sites of each variant. The patterns are simulated.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import pyxem  # noqa: F401  its signals

import hs_rvae

patterns, truth = hs_rvae.simulation.simulate_4dstem(
    (600, 600), step=2, cell=40, shift=3.0, column_width=0.06, domain_size=5, chemistry=0.0,
    detector=32, electrons=2e4, random_state=1,
)  # fmt: skip
patterns.set_signal_type("electron_diffraction")
print(patterns)

# %%
# Annular dark field shows the columns. The image has the calibration of the scan.

image = patterns.get_virtual_image(hs.roi.CircleROI(0, 0, 45, 18))
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(random_state=0)
stack.assign_variants()
print(stack.rvae_verdict)

# %%
# The way back: mean pattern of each variant, from the pixels about the centre of each cage. There a
# displaced column stands on one side of the probe. A disk on the column itself would follow it.

means = stack.get_cluster_means("variant", patterns, radius=1, about="cage")
print(means, means.metadata.Clusters)

# %%
# The bright disk leans towards the displaced column. The difference to the mean of all variants
# shows it.

difference = (means - means.mean("variant")).isig[8:24, 8:24]
figure, axes = plt.subplots(1, 1 + len(difference.data), figsize=(11, 2.6), layout="constrained")
stack.plot_site_map("variant", ax=axes[0])
limit = abs(difference.data).max()
for ax, pattern, label in zip(
    axes[1:], difference.data, means.metadata.Clusters.labels, strict=True
):
    ax.imshow(pattern, cmap="coolwarm", vmin=-limit, vmax=limit)
    ax.set_title(f"variant {label}")
    ax.set_axis_off()
