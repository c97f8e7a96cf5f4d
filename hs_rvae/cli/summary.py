# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that a command prints about its result."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from ..report.interface import as_command_line

_LINE = 100  # characters


def outcome(stack: Any, agreement: str | None = None) -> list[str]:
    """Lines on the angles and variants of a stack: a paragraph, tables and points to check."""
    from ..report import angles, domains

    words = angles.paragraph(stack) + (f" {agreement}" if agreement else "")
    lines = wrap(words, _LINE)
    lines += wrap(" ".join(domains.sentences(stack)), _LINE)
    for rows in (angles.variants(stack), angles.evidence(stack)):
        lines += [f"  {line}" for line in angles.as_text(rows)]
    for caution in map(as_command_line, angles.cautions(stack)):
        lines += wrap(f"To check: {caution}", _LINE, subsequent_indent="  ")
    return lines


def about_columns(stack: Any) -> list[str]:
    """Lines on the columns of the image: counts, maxima left out, the average cell."""
    from ..report import columns

    return wrap(" ".join(columns.sentences(stack)), _LINE)
