# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Figure 3: two sublattices of a superlattice
===========================================

Panels (a) and (b) of Fig. 3 of `AIP Advances 12, 105122 (2022)
<https://doi.org/10.1063/5.0105406>`_, for a simulated (multislice) image
of a BiFeO3/(La,Sr)MnO3 superlattice.
"""
# sphinx_gallery_thumbnail_number = 3

import hs_rvae

image, truth = hs_rvae.data.bfo_lsmo()

# %%
# (a) The image. The layers differ in brightness.

ax = hs_rvae.plots.plot_image(image)

# %%
# (b) The columns, sorted into two sublattices by their place, not by their brightness alone: A
# columns are far brighter in BiFeO3 than in (La,Sr)MnO3. The paper used a trained network for this.

lattice = hs_rvae.find_sublattices(image)
ax = hs_rvae.plots.plot_sublattices(image, lattice)

# %%
# A part of it.

ax = hs_rvae.plots.plot_sublattices(image, lattice, region=(2, 2, 7, 7))
