# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A film before and after
=======================

On the left a simulated film, as the microscope shows it. On the right the variants that the rVAE
finds in it, without labels, training set or ideal lattice.
"""

import matplotlib.pyplot as plt

import hs_rvae

image, truth = hs_rvae.simulation.simulate_perovskite(
    (1000, 1000), cell=22, rotation=6, nonpolar=0.08, random_state=4
)
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(random_state=0)
stack.assign_variants()

# %%

fig, axes = plt.subplots(1, 2, figsize=(8.0, 3.9), layout="constrained")
stack.plot_image(title="the image", font_size=9, ax=axes[0])
stack.plot_site_map("variant", title="its variants", font_size=9, ax=axes[1])
