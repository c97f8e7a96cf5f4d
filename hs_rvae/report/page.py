# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page itself: everything put into the template and written at once."""

import base64
import datetime
import os
from importlib.resources import files
from pathlib import Path

from ..files import writable
from ..sites import columns as _columns
from . import figures as _figures
from . import words as _words


def write_report(stack, path, *, title=None, command=None, diagnostics=None, random_state=0):
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
        The command line that repeats the analysis; by default lines of Python.
    diagnostics : hs_rvae.diagnostics.Diagnostics or str
        Or the reason why there are none.
    random_state : int
        Chooses the sites whose reconstruction is judged, if there are many.

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
    diagnostics = None if reason else diagnostics
    figures, left_out = _figures.draw_figures(stack, diagnostics)
    if reason:
        left_out.append(f"Diagnostics: {reason}")
    found, cautions = _words.outcome(stack, diagnostics)
    image = _words.about_image(stack)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        files("hs_rvae.report").joinpath("template.html").read_text(encoding="utf-8")
    )
    page = template.render(
        title=title or dict(image)["title"],
        date=datetime.date.today().isoformat(),
        found=found,
        cautions=cautions,
        figures=figures,
        left_out=left_out,
        merit=_words.figures_of_merit(stack, random_state),
        diagnostics=[] if diagnostics is None else diagnostics.summary,
        image=image,
        settings=_words.settings(stack),
        versions=_words.versions(),
        command=command,
        script=_script(stack, image),
        table=_table(stack),
        n_sites=len(stack.sites),
    )
    with writable(path) as draft:
        draft.write_text(page, encoding="utf-8")
        os.replace(draft, path)
    return path


def _table(stack):
    """Positions and results as CSV in base64."""
    sites = stack.sites
    names = _columns.main(sites.columns)
    text = sites.to_dataframe()[names].to_csv(float_format="%.7g", lineterminator="\n")
    return base64.b64encode(text.encode()).decode("ascii")


def _script(stack, image):
    """Lines of Python that repeat the analysis from the positions in the page."""
    about = dict(image)
    file, number = about.get("file", "image.hspy"), about.get("number in the file")
    load = f"hs.load({file!r})" if number is None else f"hs.load({file!r})[{number}]"
    centring = stack.metadata.get_item("Sub_images.centring", "subpixel")
    lines = [
        "import hyperspy.api as hs",
        "import pandas as pd",
        "",
        "import hs_rvae",
        "",
        f"image = {load}",
        *(["image.data = np.mean([image.data[c] for c in 'RGB'], axis=0)"] * ("colours" in about)),
        'sites = pd.read_csv("sites.csv")  # the table of this page',
        "stack = hs_rvae.SubImageStack.from_positions(",
        f'    image, sites[["x", "y"]], window_size={stack.data.shape[-1]}, centring={centring!r}',
        ")",
    ]
    model = _words.model_of(stack)
    if model is None or stack.metadata.has_item("Sub_images.rvae.pixel_step"):
        lines.append('stack.apply_rvae("model.safetensors")  # the model that was applied')
    else:
        given = ", ".join(
            f"{name}={getattr(model, name)!r}"
            for name in ("output_dimension", "architecture", "translation", "subtract_average",
                         "n_init", "epochs",
                         "max_fit_sites", "random_state")
            if hasattr(model, name)
        )  # fmt: skip
        lines.append(f"stack.rvae({given})")
    offset = stack.metadata.get_item("Sub_images.rvae.angle_offset", 0.0)
    if offset or "colours" in about:
        lines.insert(0, "import numpy as np")
    if offset:
        lines.append('angle = stack.sites["angle"]  # registered:')
        sign = "-" if offset > 0 else "+"
        turned = f"np.angle(np.exp(1j * (angle {sign} {abs(offset)!r})))"
        lines.append(f'stack.sites["angle"] = {turned}')
    return "\n".join(lines)
