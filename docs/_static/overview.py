# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw overview.png, the picture of README: ``python docs/_static/overview.py``."""

from pathlib import Path

import matplotlib.pyplot as plt

import hs_rvae

image, _ = hs_rvae.simulation.simulate_perovskite((900, 900), random_state=3, nonpolar=0.06)
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(random_state=0)
stack.assign_variants()
stack.find_domains()

figure, axes = plt.subplots(1, 3, figsize=(7.1, 2.6), layout="constrained")
options = {"font_size": 7}
stack.plot_image(title="Image", ax=axes[0], **options)
stack.plot_site_map("variant", ax=axes[1], title="Direction of the distortion", **options)
stack.plot_domains(ax=axes[2], title="Domains and walls", **options)
figure.savefig(Path(__file__).with_suffix(".png"), dpi=170)
