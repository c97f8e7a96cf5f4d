# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far angles and latents follow the instrument instead of the material.

Each value of the model is compared with what the instrument may have printed on it: the scan axes,
the intensity and the shape of the columns, the edges of the image. Mutual information sees any
dependence, not only a linear one. What it is by chance depends on how smooth the map of the value
is, because neighbouring sites are alike: it is measured on maps whose blocks were shuffled.
"""

from .comparing import Diagnostics, diagnose

__all__ = ["Diagnostics", "diagnose"]
