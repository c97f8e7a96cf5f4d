# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Figure 7: classes of the content
================================

Which cells differ whatever their orientation? The panels of Fig. 7 of `AIP Advances 12, 105122
(2022) <https://doi.org/10.1063/5.0105406>`_: a mixture of Gaussians on the content latents, for a
simulated (multislice) image of a BiFeO3/(La,Sr)MnO3 superlattice.
"""
# sphinx_gallery_thumbnail_number = 3

import hs_rvae

image, truth = hs_rvae.data.bfo_lsmo()
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(output_dimension=2, random_state=0)
stack.cluster_analysis("rvae", algorithm="gmm", n_clusters=4, random_state=0)

# %%
# (a) The mean sub-image of each class, with the number of its sites.

fig = stack.plot_cluster_means()

# %%
# (b) The classes in the space of the latents.

ax = stack.plot_latent_space(color="cluster")

# %%
# (c) The classes on the image: layers and their interfaces.

ax = stack.plot_site_map("cluster")
