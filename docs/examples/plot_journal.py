# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A figure for a journal
======================

Four panels in the width of two columns, 180 mm, with letters of 7 points. Every method that draws
takes ``ax`` and ``font_size``, so that Matplotlib arranges the panels. The film
is simulated.
"""

import tempfile
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

import hs_rvae

image, _ = hs_rvae.simulation.simulate_perovskite((900, 900), random_state=3, nonpolar=0.06)
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(random_state=0)
stack.assign_variants()
stack.find_domains()

# %%
# Letters stay text in SVG and PDF, so that editors can change them. Panels with a bar or a wheel
# beside them share a column, which leaves no empty space beside the others.

mpl.rcParams.update({"svg.fonttype": "none", "pdf.fonttype": 42})

figure = plt.figure(figsize=(180 / 25.4, 150 / 25.4), layout="constrained")
axes = figure.subplots(2, 2)
options = {"font_size": 7}
stack.plot_image(ax=axes[0, 0], title="(a) Image", **options)
stack.plot_site_map("variant", ax=axes[0, 1], title="(b) Direction of the distortion", **options)
stack.plot_domains(ax=axes[1, 0], title="(c) Domains and walls", **options)
stack.plot_polar_map("displacement_calibrated", ax=axes[1, 1], title="(d) Displacement", **options)

# %%
# Vector graphics with a resolution for the image in them:

folder = Path(tempfile.mkdtemp())
figure.savefig(folder / "figure.pdf", dpi=600)
figure.savefig(folder / "figure.svg", dpi=300)
