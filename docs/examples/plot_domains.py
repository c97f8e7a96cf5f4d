# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Domains and walls
=================

How large are the domains, how broad are the walls, and which of them are charged? A simulated image
of PbTiO3 has a and c domains.
"""

import hs_rvae

image, truth = hs_rvae.data.pto_ac()
lattice = hs_rvae.find_sublattices(image)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
stack.rvae(random_state=0)
stack.assign_variants()

# %%
# Domains are connected sites of one variant. The number is that of the table.

stack.find_domains()
stack.plot_domains()

# %%
# Area in square nm, direction in radians.

stack.domains.round(2)

# %%
# Walls from the longest on. The width is w of tanh(x / w), in cells. No jump of the displacement
# along the normal stands out from its error: the walls are not charged.

stack.walls.drop(columns="segments").round(2)
