# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Walking through the sites
=========================

What is special about a site? The explorer links the map, a scatter of two columns, and all that is
known about one site. Click on either; draw around sites with the button held to choose them. The
film is simulated.
"""

import hs_rvae

image, truth = hs_rvae.simulation.simulate_perovskite(
    (640, 640), cell=22, nonpolar=0.1, random_state=1
)
stack = hs_rvae.SubImageStack.from_positions(
    image, truth.b_sites[["x", "y"]], neighbours=truth.a_sites
)
stack.rvae(output_dimension=2, random_state=0)

# %%
# In a window (Qt, Tk) or a notebook (``%matplotlib widget``) this answers to the mouse and to the
# arrow keys. Here a program does what the mouse would do.

explorer = stack.explore(x="latent_0", y="latent_1", color="angle")
explorer.show(120)

# %%
# Sites that were drawn around, or chosen by a mask or a region of interest, become a stack.

explorer.select(stack.sites["order_amplitude"] < 0.5)
weak = explorer.select_sites()
print(weak)

# %%
# ``navigator="sites"`` puts the same map beside HyperSpy's own figure of the sub-images.

navigator = stack.plot(navigator="sites", color="order_amplitude")
