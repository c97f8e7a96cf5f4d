# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependence of angles and latents on the instrument instead of the material.

Each value of the model is compared with quantities of the instrument that may bias it: the scan
axes, the intensity and the shape of the columns, the edges of the image. Mutual information covers
any dependence, not only a linear one. Its value by chance depends on the smoothness of the map of
the value, because neighbouring sites are alike: it is measured on maps whose blocks were shuffled.
"""

from .comparing import Diagnostics, diagnose

__all__ = ["Diagnostics", "diagnose"]
