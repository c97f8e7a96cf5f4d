# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``hs-rvae analyse``: an image from its file to the report."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from ..cautions import collected_warnings
from .arguments import command_line
from .columns import check_options, cut_stack
from .reading import calibrate, crop, load_image
from .results import check_results, save_domains, save_stack
from .summary import about_columns, outcome


def run_analyse(options: argparse.Namespace) -> None:
    """
    Analyse an image and write the report, with the options of the command line.

    Parameters
    ----------
    options : argparse.Namespace

    Raises
    ------
    OSError, ValueError, TypeError
        If something asked for cannot be done; the message names the option.
    """
    from ..signals.recording import note_warnings

    path, folder = options.image, options.output
    check_options(options)
    check_results(folder, path.stem)
    start = time.perf_counter()
    with collected_warnings() as raised:
        image = load_image(path, options.signal, options.reader)
        if options.scale is not None:
            calibrate(image, options.scale)
        corner = (0, 0) if options.region is None else crop(image, options.region)
        stack, chosen = cut_stack(image, options, corner)
    note_warnings(stack, raised)  # those of the fit stand with its calls
    agreement = _fit(stack, options)
    # The work first: the page takes longest, and can be written again.
    save_stack(stack, folder, path.stem)
    stack.sites.save(folder / f"{path.stem}.csv")
    save_domains(stack, folder, path.stem)
    page = stack.report(
        folder / f"{path.stem}.html",
        title=path.name,
        command=command_line(options),
        random_state=options.seed,
    )
    window = stack.data.shape[-1]
    print("\n".join(["", *about_columns(stack)]))
    print(f"{path.name}: {len(stack.sites)} sub-images of {window} px around {chosen}.")
    print("\n".join(outcome(stack, agreement)))
    print(f"{time.perf_counter() - start:.0f} s. The report is {page.resolve()}.")


def _fit(stack: Any, options: argparse.Namespace) -> str | None:
    """Fit or apply the model, and give angles a meaning; return the agreement in words."""
    if options.model is None:
        more = {} if options.starts is None else {"n_init": options.starts}
        more |= {} if options.rotation is None else {"rotation": options.rotation}
        stack.rvae(output_dimension=options.latent, random_state=options.seed, **more)
    else:
        stack.apply_rvae(options.model)
    agreement = register(stack)
    stack.assign_variants()
    stack.find_domains()
    if options.clusters is not None:
        content = [f"latent_{k}" for k in range(stack.rvae_model.n_latents_)]
        stack.cluster_analysis(
            [*content, "angle"],
            algorithm="gmm",
            n_clusters=options.clusters,
            random_state=options.seed,
        )
    return agreement


def register(stack: Any) -> str | None:
    """
    Register the angles: give those of a turning motif a zero with a meaning.

    Parameters
    ----------
    stack : SubImageStack
        Changed in place.

    Returns
    -------
    str or None
        Agreement with the displacements, or the reference that gave the zero. None if nothing was
        found, or nothing agrees.
    """
    verdict = stack.rvae_verdict
    if verdict is None or not verdict.found:
        return None
    if verdict.rotation == "distortion":
        agreement = stack.register_angle("displacement")[1]
        if not np.isfinite(agreement):
            return None
        return f"Mean cosine of angle and displacement of the fitted columns: {agreement:.2f}."
    for reference in ("displacement", "template"):
        if np.isfinite(stack.register_angle(reference)[1]):
            return f"The angles are registered by {reference}."
    return None
