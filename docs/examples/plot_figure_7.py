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

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

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
# (c) The classes on the image: (La,Sr)MnO3 is one of them, and BiFeO3 has three.

ax = stack.plot_site_map("cluster")

# %%
# Sites of each class by their true variant, away from walls; -1 is (La,Sr)MnO3. Opposite variants,
# 0 and 2 or 1 and 3, share their classes: direction is not content. The two pairs are twins, and
# differ in the cells around a site, so that their classes differ too.

nearest = cKDTree(truth["b_xy"]).query(stack.sites.xy)[1]
away = truth["wall"][nearest] >= 1
variant = np.where(truth["chem"] < 0.5, -1, truth["variant"])[nearest]
pd.crosstab(
    pd.Series(stack.sites["cluster"][away], name="class"), pd.Series(variant[away], name="variant")
)
