# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small atomic-resolution images and their known properties.

Five images ship with the package. They were simulated for it with the physics of electron
scattering, and the truth of every column comes with them. Two real images belong to other projects:
`dysco3` and `pto_sro` fetch them on request from the repositories of their publishers. Source and
licence of each image are in ``metadata.General.notes``, and in a ``README.txt`` beside each shipped
file. Images with adjustable properties are made by `hs_rvae.simulation`.
"""

from .real import dysco3, dysco3_positions, pto_sro
from .simulated import bfo_lsmo, bfo_multislice, pto_ac, pto_sto_vortex, sto_null

__all__ = [
    "bfo_lsmo",
    "bfo_multislice",
    "dysco3",
    "dysco3_positions",
    "pto_ac",
    "pto_sro",
    "pto_sto_vortex",
    "sto_null",
]
