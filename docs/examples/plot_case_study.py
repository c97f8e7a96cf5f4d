# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Case study: a published image, from the file to the figure
==========================================================

A real image of a PbTiO3/SrRuO3 superlattice, published by M. Hadjimichael *et al.*, `Nature
Materials 20, 495 (2021) <https://doi.org/10.1038/s41563-020-00864-6>`_. How does the polarisation
turn along the layer, and where does one material end? No truth is known here: the checks have to
come from the image. It is fetched from the repository of TEMUL (GPL-3.0 licence), 0.6 MB.
"""
# sphinx_gallery_thumbnail_number = 2

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import hs_rvae

image = hs_rvae.data.pto_sro(allow_download=True)
print(image.metadata.General.notes)
print(image.axes_manager)

# %%
# **1. Columns first.** A wrong lattice makes a wrong map, so look at a part of it. A columns (Pb or
# Sr) are the brighter ones; B columns are Ti or Ru.

lattice = hs_rvae.find_sublattices(image)
ax = hs_rvae.plots.plot_columns(lattice, image=image, region=(8, 0.2, 12, 3.2))

# %%
# **2. The model**, around the B columns. Read its verdict first: it states whether other cells of
# the crystal predict the displacement of a cell, and whether directions form groups.

stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(output_dimension=2, random_state=0)
print(stack.rvae_verdict)

# %%
# **3. Checks.** Angles come from the pixels. Displacements come from fitted positions, so they are
# a second opinion: an agreement of 1 would be perfect. Is anything an artefact of the instrument?
# In a superlattice grown along y, a latent *has* to follow y.

agreement = stack.register_angle("displacement").resultant
print(f"agreement of angles and displacements: {agreement:.2f}")
print(*stack.rvae_diagnostics(random_state=0).summary, sep="\n")
error = np.nanmedian(lattice.get_sublattice("B").column_table["x_std"])  # in pixels
print(f"median error of a position: {1e3 * image.axes_manager[0].scale * error:.1f} pm")

# %%
# **4. How large is it?** The median displacement on either side of the boundary between the two
# materials, which the first latent shows. Latents have no unit and no fixed sign: zero is their
# mean.

length = np.hypot(
    stack.sites["displacement_x_calibrated"], stack.sites["displacement_y_calibrated"]
)
unit = stack.sites.units["displacement_x_calibrated"]
for name, side in (("below", stack.sites["latent_0"] < 0), ("above", stack.sites["latent_0"] >= 0)):
    median = np.nanmedian(length[side])
    print(f"latent 0 {name} 0: {side.sum()} sites, displaced by {median:.1f} {unit}")

# %%
# **5. The figure**, 180 mm wide for two columns of a journal. Letters stay text in PDF and SVG.
# Arrows would be too small at this size: the wheel has the directions.

mpl.rcParams.update({"svg.fonttype": "none", "pdf.fonttype": 42})
figure, axes = plt.subplots(4, 1, figsize=(180 / 25.4, 165 / 25.4), layout="constrained")
options = {"font_size": 7}
stack.plot_image(ax=axes[0], title="(a) PbTiO3/SrRuO3, annular dark field", **options)
stack.plot_polar_map(
    "displacement_calibrated", ax=axes[1], title="(b) Displacement of the B columns",
    label="Displacement (pm)", **options,
)  # fmt: skip
stack.plot_polar_map(
    "angle", "order_amplitude", ax=axes[2], title="(c) The same from pixels alone",
    label="Order amplitude", **options,
)  # fmt: skip
stack.plot_site_map(
    "latent_0", ax=axes[3], title="(d) Content of the sub-images", label="Latent 0", **options
)
# figure.savefig("figure.pdf", dpi=600)

# %%
# **6. A caption** for it has to state what was done: the version of hs_rvae, the window, and that
# the angle is the direction of the displacement, which is not that of the polarisation in every
# material. ``stack.report("report.html")`` keeps all of this with the versions of all libraries.
# Cite the publication of the image, the paper of the method and this software.

axis = stack.axes_manager.signal_axes[0]
print(f"hs_rvae {hs_rvae.__version__}, window {axis.size * axis.scale:.2f} {axis.units}")
