# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependence of angle and latents on the instrument, as a table of colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from ..sites.columns import title as printed_name
from . import layout, panels
from .color import get_colormap
from .style import independent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_NEEDED = ("value", "quantity", "coefficient", "follows")
# White to blue, of even lightness steps, and never so dark that black figures cannot be read.
_COLORMAP = "cet_CET_L12"
_PALE = 0.4  # of the colour where the coefficient is what smooth maps have by chance


@independent
def plot_diagnostics(
    table: pd.DataFrame,
    *,
    cmap: str | Colormap | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the dependence of a model's values on the instrument and on each other.

    One row per value, one column per quantity: instrument left, the values themselves right. Each
    cell shows the information coefficient (0: independent, 1: one determines the other); those
    that are significant are framed and in full colour, the others pale.

    Parameters
    ----------
    table : pandas.DataFrame
        ``table`` of what ``stack.rvae_diagnostics()`` returns: the columns ``value``,
        ``quantity``, ``coefficient`` and ``follows``, one row per cell.
    cmap : str or matplotlib.colors.Colormap, optional
        Sequential map from 0 to 1; by default white to blue.
    title, font_size
        As in `hs_rvae.plots.plot_site_map`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the table has no rows or lacks a column.
    TypeError
        If `ax` is not one rectilinear Axes.

    Examples
    --------
    >>> import pandas as pd
    >>> from hs_rvae.plots.diagnostics import plot_diagnostics
    >>> table = pd.DataFrame({"value": ["angle", "latent_0"], "quantity": ["x", "x"],
    ...                       "coefficient": [0.1, 0.8], "follows": [False, True]})
    >>> [text.get_text() for text in plot_diagnostics(table).texts]
    ['0.10', '0.80']
    """
    missing = [name for name in _NEEDED if name not in table]
    if missing or not len(table):
        raise ValueError(
            f"table lacks {missing or 'rows'}: give the table of stack.rvae_diagnostics()"
        )
    if not table[["value", "quantity"]].map(lambda name: isinstance(name, str)).all(axis=None):
        raise ValueError("table has rows without a name of a value or of a quantity")
    rows = list(dict.fromkeys(table["value"]))
    columns = [name for name in dict.fromkeys(table["quantity"]) if name not in rows]
    n_instrument = len(columns)
    columns += [name for name in rows if name in set(table["quantity"])]
    ax, font_size, new = panels.open_axes(ax, font_size, width=layout.COLUMN_WIDTH)
    colors = get_colormap(cmap or _COLORMAP)
    for cell in table.itertuples():
        if not np.isfinite(cell.coefficient):
            continue
        at = columns.index(cell.quantity), rows.index(cell.value)
        _draw_cell(ax, at, cell.coefficient, cell.follows, colors, font_size)
    # Wider than high, for the figures; a gap where the instrument ends.
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), aspect=0.9)
    if 0 < n_instrument < len(columns):
        ax.axvline(n_instrument - 0.5, color="white", linewidth=3, zorder=2)
        ax.axvline(n_instrument - 0.5, color="0.3", linewidth=0.8, zorder=2)
    ax.set_xticks(range(len(columns)), map(_printed, columns), rotation=90)
    ax.set_yticks(range(len(rows)), map(_printed, rows))
    ax.tick_params(labelsize=font_size - 1, length=0)
    ax.xaxis.tick_top()
    ax.spines[:].set_visible(False)
    return panels.finish_axes(ax, title, font_size, fit=new)


def _printed(name: str) -> str:
    """Printed name of a column or quantity, with a capital unless it is one letter."""
    name = printed_name(name)
    return name[:1].upper() + name[1:] if len(name) > 1 else name


def _draw_cell(
    ax: Axes,
    at: tuple[int, int],
    coefficient: float,
    stands_out: bool,
    colors: Colormap,
    font_size: float,
) -> None:
    """Colour and figure of one cell: framed if significant, otherwise pale."""
    color = np.array(colors(float(coefficient))[:3])
    if not stands_out:
        color = 1 - _PALE * (1 - color)
    side = 0.9
    cell = Rectangle((at[0] - side / 2, at[1] - side / 2), side, side, facecolor=color, zorder=1)
    cell.set(edgecolor="black" if stands_out else "none", linewidth=1.0)
    cell.set_gid("stands out" if stands_out else "chance")
    ax.add_patch(cell)
    dark = color @ (0.299, 0.587, 0.114) < 0.42
    ax.text(
        *at,
        f"{coefficient:.2f}",
        ha="center",
        va="center",
        color="white" if dark else "black",
        fontsize=font_size - 2,
        zorder=4,
    )
