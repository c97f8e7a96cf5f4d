# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The structures of `hs_rvae.simulation.simulate_crystal` as atoms in three dimensions.

atoms, zone_axis = known("wurtzite [11-20]")
"""

import numpy as np
from ase import Atoms
from ase.build import graphene, mx2
from ase.spacegroup import crystal


def _cubic(symbols, places, number, edge):
    return crystal(symbols, places, spacegroup=number, cellpar=[edge] * 3 + [90] * 3)


def _hexagonal(symbols, places, number, edge, height):
    return crystal(symbols, places, spacegroup=number, cellpar=[edge, edge, height, 90, 90, 120])


def _perovskite():
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    return _cubic(("Sr", "Ti", "O"), places, 221, 3.905)


def _rock_salt():
    return _cubic(("Ni", "O"), [(0, 0, 0), (0.5, 0.5, 0.5)], 225, 4.177)


def _fluorite():
    return _cubic(("Ce", "O"), [(0, 0, 0), (0.25, 0.25, 0.25)], 225, 5.411)


def _zinc_blende():
    return _cubic(("Cd", "Te"), [(0, 0, 0), (0.25, 0.25, 0.25)], 216, 6.482)


def _wurtzite():
    places = [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.382)]
    return _hexagonal(("Zn", "O"), places, 186, 3.250, 5.207)


def _manganite():
    places = [
        (0, 0, 0.274), (1 / 3, 2 / 3, 0.233), (1 / 3, 0, 0),
        (0.308, 0, 0.163), (0.641, 0, 0.336), (0, 0, 0.475), (1 / 3, 2 / 3, 0.015),
    ]  # fmt: skip
    return _hexagonal(("Y", "Y", "Mn", "O", "O", "O", "O"), places, 185, 6.140, 11.40)


def _bronze():
    places = [
        (0, 0, 0), (0.172, 0.672, 0), (0, 0.5, 0.5), (0.0745, 0.2115, 0.5),
        (0.3439, 0.0063, 0.5), (0.1389, 0.0682, 0.5), (0.2843, 0.7843, 0.5),
        (0, 0.5, 0), (0.0745, 0.2115, 0),
    ]  # fmt: skip
    symbols = ("Sr", "Ba", "Nb", "Nb", "O", "O", "O", "O", "O")
    cell = [12.456, 12.456, 3.95, 90, 90, 90]
    return crystal(symbols, places, spacegroup=127, cellpar=cell)


_BUILD = {
    "perovskite [001]": (_perovskite, (0, 0, 1)),
    "perovskite [110]": (_perovskite, (1, 1, 0)),
    "rock salt [001]": (_rock_salt, (0, 0, 1)),
    "rock salt [110]": (_rock_salt, (1, 1, 0)),
    "fluorite [001]": (_fluorite, (0, 0, 1)),
    "fluorite [110]": (_fluorite, (1, 1, 0)),
    "wurtzite [11-20]": (_wurtzite, (1, 1, 0)),
    "zinc blende [110]": (_zinc_blende, (1, 1, 0)),
    "hexagonal manganite [110]": (_manganite, (1, 1, 0)),
    "1H layer": (lambda: mx2("MoS2", "2H", a=3.16, vacuum=5), (0, 0, 1)),
    "1T layer": (lambda: mx2("MoS2", "1T", a=3.18, vacuum=5), (0, 0, 1)),
    "graphene": (lambda: graphene("C2", a=2.46, vacuum=5), (0, 0, 1)),
    "tungsten bronze [001]": (_bronze, (0, 0, 1)),
}


def known(name: str) -> tuple[Atoms, tuple[int, int, int]]:
    """Atoms, lengths in Angstrom, and the zone axis [uvw] of a structure of the simulator."""
    build, zone_axis = _BUILD[name]
    return build(), zone_axis


def projected(name, extent=30.0):
    """
    Columns of the atoms around the origin.

    Parameters
    ----------
    name : str
        Name of a structure.
    extent : float
        Radius, in Angstrom.

    Returns
    -------
    xy : numpy.ndarray, shape (n, 2)
        In Angstrom.
    elements : list of set of str
    """
    atoms, zone_axis = known(name)
    cell = np.array(atoms.cell)
    beam = np.array(zone_axis) @ cell
    beam = beam / np.linalg.norm(beam)
    first = np.linalg.svd(beam[None])[2][1:]  # two directions across the beam
    # All atoms of a slab that is thicker than one repeat.
    reach = [int(np.ceil(1.5 * extent / np.linalg.norm(edge))) + 2 for edge in cell]
    steps = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach]), 3).reshape(-1, 3) @ cell
    found = {}
    for symbol, place in zip(atoms.symbols, atoms.positions, strict=True):
        xyz = place + steps
        thin = np.abs(xyz @ beam) < np.linalg.norm(np.array(zone_axis) @ cell)
        xy = xyz[thin] @ first.T
        for x, y in np.round(xy[np.linalg.norm(xy, axis=1) < extent], 2):
            found.setdefault((x + 0.0, y + 0.0), set()).add(symbol)
    return np.array(list(found)), list(found.values())
