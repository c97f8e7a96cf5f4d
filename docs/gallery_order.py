# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order of the examples: what a new user asks first comes first."""

FIRST = (
    "tutorial",
    "case_study",
    "quickstart",
    "before_after",
    "shipped_images",
    "variants",
    "explorer",
    "settings",
    "journal",
    "clusters",
)


class GalleryOrder:
    """Key of a script: those named above in their order, then all others by name."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, file):
        name = file.removeprefix("plot_").removesuffix(".py")
        return (FIRST.index(name) if name in FIRST else len(FIRST), name)
