# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One page and one table about the analyses of many images."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..cautions import without_repeats
from ..files import complete_file
from . import angles as _angles
from . import columns as _columns
from .interface import as_command_line

COLUMNS: dict[str, Any] = {
    "file": "",
    "columns": 0,
    "sites": 0,
    "verdict": "",
    "variants": 0,
    "shares": "",
    "cautions": "",
    "seconds": 0.0,
    "error": "",
}


def row_of(stack: Any, file: str, seconds: float) -> dict[str, Any]:
    """
    Row of the summary for one image.

    Parameters
    ----------
    stack : SubImageStack
        With the columns of a model.
    file : str
        Path of the image.
    seconds : float
        Time that the analysis took.

    Returns
    -------
    dict
    """
    verdict = stack.rvae_verdict
    table = _angles.variants(stack)
    shares = "; ".join(f"{row[0]}: {row[3]}" for row in table[1:])
    cautions = map(as_command_line, _angles.cautions(stack))
    return {
        "file": file,
        "columns": sum(map(len, _columns.columns_of(stack)[0].values())),
        "sites": len(stack.sites),
        "verdict": "none" if verdict is None else verdict.kind,
        "variants": _angles.n_variants(stack),
        "shares": shares,
        "cautions": " | ".join(without_repeats(cautions)),
        "seconds": round(seconds, 2),
        "error": "",
    }


def write_summary(rows: Sequence[tuple[str, dict[str, Any]]], folder: Path, name: str) -> Any:
    """
    Write the page and the table of many images.

    Parameters
    ----------
    rows : sequence of tuple of (str, dict)
        Name of the results of each image, and its row; what a row lacks is 0 or empty.
    folder : pathlib.Path
    name : str
        Name of both files.

    Returns
    -------
    pandas.DataFrame
        The table.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    import jinja2
    import pandas as pd

    whole = [COLUMNS | row for _, row in rows]
    table = pd.DataFrame(whole, columns=list(COLUMNS))
    with complete_file(folder / f"{name}.csv", "The summary") as draft:
        table.to_csv(draft, index=False, lineterminator="\n")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        files("hs_rvae.report").joinpath("summary.html").read_text(encoding="utf-8")
    )
    shown = [
        row | {"page": quote(f"{own}.html"), "name": Path(str(row["file"])).name}
        for (own, _), row in zip(rows, whole, strict=True)
    ]
    failed = [row for row in shown if row["error"]]
    page = template.render(
        date=datetime.date.today().isoformat(),
        rows=[row for row in shown if not row["error"]],
        failed=failed,
        sites=sum(row["sites"] for row in whole),
    )
    with complete_file(folder / f"{name}.html", "The summary") as draft:
        draft.write_text(page, encoding="utf-8")
    return table
