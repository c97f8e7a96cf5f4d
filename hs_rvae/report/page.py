# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page itself: everything put into the template and written at once."""

from __future__ import annotations

import base64
import datetime
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cautions import without_repeats
from ..files import complete_file
from . import angles as _angles
from . import columns as _columns
from . import domains as _domains
from . import figures as _figures
from . import script as _script
from . import text as _words
from .interface import as_command_line

if TYPE_CHECKING:
    from ..diagnostics import Diagnostics
    from ..sites import SiteTable

# Beyond, in bytes, browsers do not save a file that is inside a page.
_LARGEST_TABLE = 15_000_000
_SAMPLE = 1000  # sites that show how long the table is


def write_report(
    stack: Any,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    command: str | None = None,
    diagnostics: Diagnostics | str | None = None,
    random_state: int = 0,
    warnings: Sequence[str] = (),
) -> Path:
    """
    Write the page about a stack.

    Parameters
    ----------
    stack : SubImageStack
        With the columns of a model.
    path : str or pathlib.Path
        File to write; it appears complete or not at all.
    title : str, optional
        By default that of the image.
    command : str, optional
        The command line that repeats the analysis; by default lines of Python. With it, the points
        to check name options of the command line.
    diagnostics : hs_rvae.diagnostics.Diagnostics or str
        Or the reason why there are none.
    random_state : int
        Chooses the sites whose reconstruction is judged, if there are many.
    warnings : sequence of str
        Warnings of the run, for the box of points to check.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written.
    """
    import jinja2

    path = Path(path)
    reason = diagnostics if isinstance(diagnostics, str) else None
    compared = None if isinstance(diagnostics, str) else diagnostics
    first, missing = _figures.draw_columns(stack)
    figures, left_out = _figures.draw_figures(stack, compared)
    left_out = missing + left_out
    if reason:
        left_out.append(f"Diagnostics: {reason}")
    found, cautions = _words.outcome(stack, compared)
    known = {f"rVAE: {line}" for line in cautions}
    cautions = without_repeats(cautions, (line for line in warnings if line not in known))
    if command is not None:
        found, cautions, left_out = (
            [as_command_line(line) for line in lines] for lines in (found, cautions, left_out)
        )
    image = _words.about_image(stack)
    script = _script.make_script(stack, _words.image_of(stack), dict(image))
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        files("hs_rvae.report").joinpath("template.html").read_text(encoding="utf-8")
    )
    table = _table_of(stack.sites)
    page = template.render(
        title=title or dict(image)["title"],
        date=datetime.date.today().isoformat(),
        columns=_columns.sentences(stack),
        sublattices=_columns.rows(stack),
        first=first,
        found=found,
        variants=_angles.variants(stack),
        evidence=_angles.evidence(stack),
        domains=_domains.rows_of_domains(stack),
        walls=_domains.rows_of_walls(stack),
        cautions=cautions,
        figures=figures,
        left_out=left_out,
        merit=_words.figures_of_merit(stack, random_state),
        diagnostics=[] if compared is None else compared.summary,
        image=image,
        settings=_words.settings(stack),
        versions=_words.versions(),
        command=command,
        script=script.text,
        not_repeated=script.not_repeated,
        table="" if table is None else _as_base64(table),
        units=_as_base64(stack.sites.units_to_csv()),
        n_sites=len(stack.sites),
    )
    with complete_file(path, "The report") as draft:
        draft.write_text(page, encoding="utf-8")
    return path


def _table_of(sites: SiteTable) -> str | None:
    """The table as CSV; None if it is too large for the page."""
    some = sites.take(np.arange(0, len(sites), max(len(sites) // _SAMPLE, 1)))
    if len(some.to_csv()) * (len(sites) / max(len(some), 1)) > 1.2 * _LARGEST_TABLE:
        return None  # seconds of writing numbers are saved
    table = sites.to_csv()
    return table if len(table) < _LARGEST_TABLE else None


def _as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
