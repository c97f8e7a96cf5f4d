# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Variants while the microscope scans
===================================

Which domains are in the frame that was just taken? A model that was fitted once is applied to
frames as they come. Here a generator simulates a stage that moves along a film; a folder that a
microscope writes to does as well.
"""

import time

import matplotlib.pyplot as plt

import hs_rvae

film, _ = hs_rvae.simulation.simulate_perovskite(
    (512, 1000), cell=20, domain_size=7, random_state=0
)


def frames():
    """Frames of 512 x 512 pixels, as a camera gives them."""
    for left in (0, 160, 320, 488):
        yield film.isig[left : left + 512, :]


# For a folder: sorted(Path("session").glob("*.dm4")), each read with hs.load().

# %%
# The first frame takes its time: the lattice is searched, and the model is fitted and tested. The
# film has four variants, which need not all be in one frame.

first = next(frames())
lattice = hs_rvae.find_sublattices(first)
stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=first, sublattice="B")
stack.rvae(random_state=0)
stack.assign_variants(4)
origin = stack.variants["direction"][0]
model = stack.rvae_model
print(stack.rvae_verdict.sentence)

# %%
# All other frames get what the first one has shown. That is the cell, the tail of the columns, the
# number of sublattices, and the direction of a variant. A frame then takes some tenths of a second.

known = {
    "cell": lattice.crystal.cell,
    "n_sublattices": len(lattice.sublattice_list),
    "tail": lattice.sublattice_list[0].column_table.attrs["tail"],
    "dark": False,
}


def analyse(frame):
    """Variants of the columns of a frame, by the model that is there."""
    lattice = hs_rvae.find_sublattices(frame, **known)
    stack = hs_rvae.SubImageStack.from_atom_lattice(
        lattice, image=frame, sublattice="B", window_size=model.window_size_
    )
    stack.apply_rvae(model)
    stack.assign_variants(4, origin=origin)
    return stack


figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
for ax, frame in zip(axes, frames(), strict=True):
    start = time.perf_counter()
    stack = analyse(frame)
    stack.plot_site_map("variant", ax=ax)
    seconds = time.perf_counter() - start
    shares = ", ".join(f"{share:.0%}" for share in stack.variants["share"])
    fit = stack.sites["log_likelihood"]
    ax.set_title(f"{shares}\n{seconds:.1f} s", fontsize=8)
    print(f"{len(fit)} columns: {shares}; likelihood {fit.mean():.0f} nat a column")

# %%
# The verdict is that of the first frame. If the likelihood of a column falls by tens of nats, the
# frame shows something else, or is out of focus: fit anew, ``stack.rvae(initial_model=model)``.
