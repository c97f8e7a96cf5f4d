# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependences that stand out from a comparison, in words."""

from __future__ import annotations

from collections.abc import Collection, Container
from typing import TYPE_CHECKING

from .dependence import BLOCK_LENGTHS

if TYPE_CHECKING:
    import pandas as pd

#: What it may mean that a value follows a quantity.
MEANING = {
    "x": "likely an instrument or thickness effect, not chemistry",
    "y": "likely an instrument or thickness effect, not chemistry",
    "edge distance": "likely an effect of the scan or of the windows at the edge",
    "intensity": "composition or thickness, which intensity alone cannot tell apart",
    "background": "likely thickness, contamination or a neighbouring column",
    "ellipticity": "likely tilt or astigmatism, not the crystal",
    "elongation": "likely the direction of tilt, astigmatism or drift, not the crystal",
}
# Of a value that changes in steps along a scan axis, and of the angle along one.
_IN_LAYERS = "it changes in steps, as from layer to layer of a superlattice"
_OF_ANGLE = "few large domains do so, and so does a scan distortion"
# What an angle follows by itself where columns are elongated along their displacement.
_OF_SHAPE = ("ellipticity", "elongation")
_IN_WORDS = {
    "x": "the scan direction x",
    "y": "the scan direction y",
    "edge distance": "the distance to the edge of the image",
    "intensity": "the intensity of the columns",
    "background": "the background",
    "ellipticity": "the ellipticity of the columns",
    "elongation": "the direction in which columns are elongated",
}


def in_words(
    table: pd.DataFrame,
    quantities: Collection[str],
    layered: Container[tuple[str, str]] = (),
    is_displacement: bool = False,
) -> list[str]:
    """One line for each pair that stands out, the strongest first.

    Parameters
    ----------
    table : pandas.DataFrame
    quantities : collection of str
        Names of the quantities of the instrument.
    layered : container of tuple of str
        Values and scan axes along which they change in steps.
    is_displacement : bool
        Whether the angle is the direction of the measured displacement. Then the shape of the
        columns did not make it.
    """
    lines, seen, along = [], set(), set()
    for row in table[table["follows"]].sort_values("coefficient", ascending=False).itertuples():
        pair = frozenset((row.value, row.quantity))
        # What follows x follows the distance to the edge as well, if less.
        if pair in seen or (row.quantity == "edge distance" and row.value in along):
            continue
        seen.add(pair)
        along |= {row.value} if row.quantity in ("x", "y") else set()
        figures = f"({row.coefficient:.2f}; {row.chance:.2f} by chance)"
        if row.quantity in quantities:
            if row.value == "angle" and is_displacement and row.quantity in _OF_SHAPE:
                continue
            name = _IN_WORDS.get(row.quantity, row.quantity)
            meaning = MEANING.get(row.quantity, "look at both maps")
            if row.quantity in ("x", "y") and row.value == "angle":
                meaning = _OF_ANGLE
            elif (row.value, row.quantity) in layered:
                meaning = _IN_LAYERS
            lines.append(f"{row.value} follows {name} {figures}: {meaning}.")
        else:
            lines.append(
                f"{row.value} and {row.quantity} follow each other {figures}: they are not "
                "independent descriptions."
            )
    return lines or ["No dependence is significant."]


def too_smooth(table: pd.DataFrame) -> list[str]:
    """A line for each value whose map is too smooth for blocks of a third of the image."""
    return [
        f"{name} varies too slowly across the image for a reliable estimate: one image holds "
        "few independent parts of it."
        for name, rows in table.groupby("value", sort=False)
        if BLOCK_LENGTHS * rows["length"].iloc[0] > 1.5 * rows["block"].iloc[0]
    ]
