# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains and walls in words and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from hs_rvae.wording import count_of

_LONGEST = 20  # rows of a table; the others are in the tables of the stack


def found(stack: Any) -> bool:
    """Return True if domains were looked for."""
    return stack.metadata.has_item("Sub_images.domains") and "domain" in stack.sites


def sentences(stack: Any) -> list[str]:
    """
    The domains of a stack in one sentence or two; empty if they were not looked for.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of str
    """
    tables = _tables(stack)
    if tables is None:
        return []
    domains, walls = tables
    if not len(domains):
        return [f"No domains: {domains.attrs['reason']}."]
    sites = stack.sites["domain"]
    text = f"{count_of(len(domains), 'domain')} with {(sites >= 0).mean():.1%} of the sites"
    if not len(walls):
        return [f"{text}, and no wall."]
    kinds = [f"{int(walls['charged'].sum())} charged"]
    antiphase = int((walls["kind"] == "antiphase").sum())
    kinds += [f"{antiphase} antiphase"] if antiphase else []
    narrow = int(walls["narrow"].sum())
    kinds += [f"{narrow} narrower than 0.5 cells"] if narrow else []
    return [f"{text}, and {count_of(len(walls), 'wall')} between them: {', '.join(kinds)}."]


def rows_of_domains(stack: Any) -> list[tuple[str, ...]]:
    """
    The largest domains as rows of a table.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of tuple of str
        The first row has the names of the columns. Empty without domains.
    """
    tables = _tables(stack)
    if tables is None or not len(tables[0]):
        return []
    table = tables[0]
    where = _strata(table)
    area = f"area ({table.attrs['units']['area']})"
    names = (*where, "domain", "variants", "sites", area, "direction", "neighbours")
    rows: list[tuple[str, ...]] = [names]
    for row in table.nlargest(_LONGEST, "n_sites").itertuples():
        rows.append(
            (
                *(str(getattr(row, name)) for name in where),
                str(row.domain),
                ", ".join(map(str, row.variants)),
                f"{row.n_sites:,}",
                f"{row.area:.3g}",
                _with_error(np.rad2deg(row.direction), np.rad2deg(row.direction_std), "°"),
                ", ".join(map(str, row.neighbours)) or "none",
            )
        )
    return rows


def rows_of_walls(stack: Any) -> list[tuple[str, ...]]:
    """
    The longest walls as rows of a table.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of tuple of str
        The first row has the names of the columns. Empty without walls.
    """
    tables = _tables(stack)
    if tables is None or not len(tables[1]):
        return []
    table = tables[1]
    where, units = _strata(table), table.attrs["units"]
    names = (*where, "wall between", "kind", f"length ({units['length']})", "orientation", "angle")
    jump = f"jump along the normal ({units['jump'] or 'typical = 1'})"
    rows: list[tuple[str, ...]] = [(*names, "width (cells)", jump, "charged")]
    for row in table.nlargest(_LONGEST, "length").itertuples():
        width = _with_error(row.width, row.width_std, "", 2)
        charge = {1: "yes, +", -1: "yes, −"}.get(getattr(row, "charge", 0), "yes")
        rows.append(
            (
                *(str(getattr(row, name)) for name in where),
                f"{row.domain_1}, {row.domain_2}",
                row.kind,
                f"{row.length:.3g}",
                _with_error(np.rad2deg(row.orientation), np.rad2deg(row.orientation_std), "°", 0),
                f"{np.rad2deg(row.angle):.0f}°" if np.isfinite(row.angle) else "",
                f"below 0.5 ({width})" if row.narrow else width,
                _with_error(row.jump, row.jump_std, "", 2),
                charge if row.charged else "no",
            )
        )
    return rows


def _tables(stack: Any) -> Any:
    """Tables of domains and walls; None if they were not looked for, or do not fit any more."""
    if not found(stack):
        return None
    try:
        return stack.domains, stack.walls
    except RuntimeError:
        return None


def _strata(table: Any) -> list[str]:
    """Columns of the image and frame of each row: numbers of domains begin anew in each."""
    return [name for name in ("image", "frame") if name in table]


def _with_error(value: float, error: float, unit: str, digits: int = 1) -> str:
    """A number with its error; empty if it is not finite."""
    if not np.isfinite(value):
        return ""
    text = f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")
    return f"{text}{unit}".replace("-", "−")
