# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of one image, from its file to its results."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cautions import collected_warnings
from .arguments import command_line
from .columns import cut_stack
from .reading import calibrate, crop, load_image
from .results import check_results, save_domains, save_stack


@dataclass
class About:
    """Facts of an analysis beside its stack."""

    chosen: str  # sublattice
    agreement: str | None
    page: Path


def analyse_image(options: argparse.Namespace, name: str) -> tuple[Any, About]:
    """
    Analyse an image and write its results, with the options of the command line.

    Parameters
    ----------
    options : argparse.Namespace
        With one image.
    name : str
        Name of the results.

    Returns
    -------
    stack : SubImageStack
    about : About
    """
    folder = options.output
    check_results(folder, name)
    stack, chosen = cut_image(options)
    agreement = _fit(stack, options)
    # The work first: the page takes longest, and can be written again.
    save_stack(stack, folder, name)
    stack.sites.save(folder / f"{name}.csv")
    save_domains(stack, folder, name)
    page = stack.report(
        folder / f"{name}.html",
        title=options.image.name,
        command=command_line(options),
        random_state=options.seed,
    )
    return stack, About(chosen, agreement, page)


def cut_image(options: argparse.Namespace) -> tuple[Any, str]:
    """
    Read an image, find its columns and cut the sub-images.

    Parameters
    ----------
    options : argparse.Namespace
        With one image.

    Returns
    -------
    stack : SubImageStack
    chosen : str
        Name of the sublattice.
    """
    from ..signals.recording import note_warnings

    with collected_warnings() as raised:
        image = load_image(options.image, options.signal, options.reader)
        if options.scale is not None:
            calibrate(image, options.scale)
        corner = (0, 0) if options.region is None else crop(image, options.region)
        stack, chosen = cut_stack(image, options, corner)
    note_warnings(stack, raised)  # those of the fit stand with its calls
    return stack, chosen


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
