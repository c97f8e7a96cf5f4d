# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""HyperSpy signals of hs_rvae."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "sub_image_stack": ["LazySubImageStack", "SubImageStack"],
        "comparison": ["compare_rvae"],
        "concatenate": ["stack"],
    },
)
