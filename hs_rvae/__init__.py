# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orientation of ferroic variants from atomic-resolution images, in HyperSpy.

Public names are listed in ``__init__.pyi`` and loaded on first use.
"""

from importlib import metadata

import lazy_loader

try:
    __version__ = metadata.version("hs_rvae")  # that of the last tag, when it was installed
except metadata.PackageNotFoundError:  # a copy on the path that is not installed
    __version__ = "0.0.0+unknown"

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_names, "__version__"]
