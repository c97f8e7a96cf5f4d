# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unusable options of register_angle and assign_variants, refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from hs_rvae.checks import finite_number, is_whole_number
from hs_rvae.variants import MAXIMUM_GROUPS


def check_reference(reference: Any, least_resultant: Any) -> None:
    """Refuse unusable options of register_angle."""
    if isinstance(reference, str) and reference not in ("displacement", "template"):
        raise ValueError(
            f"reference={reference!r}: give 'displacement', 'template' or a direction in radians."
        )
    if not isinstance(reference, str):
        _check_direction("reference", reference)
    if not finite_number(least_resultant, 0, 1):
        raise ValueError(f"least_resultant={least_resultant!r}: give a number from 0 to 1.")


def check_n_variants(n_variants: Any) -> None:
    """Refuse anything but "auto" or a usable number of variants."""
    if not _is_auto(n_variants) and not _is_count(n_variants):
        raise ValueError(
            f"n_variants={n_variants!r}: give a whole number or 'auto', {MAXIMUM_GROUPS} at most."
        )


def check_options(motif_symmetry: Any, origin: Any, least_order: Any) -> None:
    """Refuse unusable options of assign_variants."""
    if not _is_auto(motif_symmetry) and not _is_count(motif_symmetry):
        raise ValueError(
            f"motif_symmetry={motif_symmetry!r}: give a whole number, 1 if none, or 'auto', "
            f"{MAXIMUM_GROUPS} at most."
        )
    if origin is not None:
        _check_direction("origin", origin)
    if not finite_number(least_order, 0):
        raise ValueError(
            f"least_order={least_order!r}: give a finite number from 0 on; 1 is typical."
        )


def _check_direction(name: str, value: Any) -> None:
    """Refuse anything but a direction in radians, such as one in degrees."""
    if not finite_number(value, -2 * np.pi, 2 * np.pi):
        raise ValueError(
            f"{name}={value!r}: give a direction in radians, at most once around (-2 pi to 2 pi); "
            "np.radians turns degrees into radians."
        )


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _is_count(value: Any) -> bool:
    return is_whole_number(value) and value <= MAXIMUM_GROUPS
