# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a report: what is drawn, its caption, and why it is not drawn."""

import base64
import io
from dataclasses import dataclass

import numpy as np

_DPI = 170
_FLAT_FONT_SIZE = 5.0  # points


@dataclass
class Figure:
    """One figure of the page, as a PNG in base64."""

    title: str
    caption: str
    png: str
    wide: bool  # as wide as the page


def draw_figures(stack, diagnostics):
    """
    Draw all figures that a stack has the columns and the model for.

    Parameters
    ----------
    stack : SubImageStack
    diagnostics : hs_rvae.diagnostics.Diagnostics or None

    Returns
    -------
    figures : list of Figure
    left_out : list of str
        Titles, with the reason.
    """
    import matplotlib.pyplot as plt

    figures, left_out = [], []
    with plt.ioff(), plt.style.context("default"):  # the page has a look of its own
        for title, caption, draw in _plan(stack, diagnostics):
            before = set(plt.get_fignums())
            try:
                drawn = draw()
                figure = drawn if hasattr(drawn, "savefig") else drawn.figure
                figures.append(Figure(title, caption, _png(figure), _is_wide(figure)))
            except (KeyError, ValueError, RuntimeError) as error:
                reason = str(error.args[0] if error.args else error)
                left_out.append(f"{title}: {reason}")
            finally:
                for number in set(plt.get_fignums()) - before:
                    plt.close(number)
    return figures, left_out


def _plan(stack, diagnostics):
    """Yield title, caption and what draws it."""
    sites = stack.sites
    # Flat maps are shown twice as wide as they are drawn, letters and all.
    size = {"font_size": _FLAT_FONT_SIZE} if _is_flat(stack) else {}
    yield (
        "Angle",
        "The rVAE's rotation of every site against the common motif, from the right towards the "
        "bottom. Sites without distortion have an angle too, but one without meaning: see the "
        "order amplitude.",
        lambda: stack.plot_site_map("angle", **size),
    )
    if "variant" in sites:
        yield (
            "Variants",
            "The nearest of equally spaced wells of the angle; grey where no angle is defined.",
            lambda: stack.plot_site_map("variant", **size),
        )
    if "order_amplitude" in sites:
        yield (
            "Order amplitude",
            "Strength of the distortion: 1 as in a typical distorted site, 0 where there is none "
            "and the angle means nothing.",
            lambda: stack.plot_site_map("order_amplitude", **size),
        )
    if "displacement_x" in sites:
        yield (
            "Displacement",
            "Each column minus the mean of its four nearest neighbours, as fitted: hue is the "
            "direction, brightness the length. It does not come from the rVAE.",
            lambda: stack.plot_polar_map("displacement", **size),
        )
    wells = _wells(sites)
    yield (
        "Histogram of the angle",
        "Sharp peaks are variants." + (" Dashed: the wells." if wells is not None else ""),
        lambda: stack.plot_angle_histogram(variants=wells),
    )
    for name in _latents(sites):
        yield (
            f"Content, {name}",
            "What differs between sites apart from their rotation: composition, thickness, defects "
            "and the microscope. The scale is the model's own.",
            lambda name=name: stack.plot_site_map(name, **size),
        )
    yield (
        "Manifold",
        "What the content latents mean: sub-images decoded on a grid.",
        lambda: stack.plot_rvae_manifold(shape=(7, 7)),
    )
    if "latent_1" in sites:
        yield (
            "Latent space",
            "The sites by their content, coloured by their angle.",
            lambda: stack.plot_latent_space(color="angle"),
        )
    if "cluster" in sites:
        yield (
            "Classes",
            "Sites that are alike in angle and content, without names; grey: in no class.",
            lambda: stack.plot_site_map("cluster", **size),
        )
        yield (
            "Means of the classes",
            "The mean sub-image of each class, with the number of its sites.",
            lambda: stack.plot_cluster_means(),
        )
    yield (
        "Course of the fit",
        "Curves that end level have converged.",
        lambda: stack.plot_rvae_history(),
    )
    if diagnostics is not None:
        yield (
            "Does it follow the instrument?",
            "Coefficient between what the model found (rows) and the instrument (left columns): 0 "
            "independent, 1 determined; framed where it stands out of chance.",
            lambda: stack.plot_rvae_diagnostics(diagnostics),
        )


def _latents(sites):
    k = 0
    while f"latent_{k}" in sites and k < 4:
        yield f"latent_{k}"
        k += 1


def _wells(sites):
    """Angles of the wells that the variants were assigned to; None if there are none."""
    if "variant" not in sites or "variant_residual" not in sites:
        return None
    known = sites["variant"] >= 0
    if not known.any():
        return None
    wells = np.exp(1j * (sites["angle"] - sites["variant_residual"])[known])
    return [
        float(np.angle(wells[sites["variant"][known] == k].mean()))
        for k in np.unique(sites["variant"][known])
    ]


def _png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return base64.b64encode(file.getvalue()).decode("ascii")


def _is_flat(stack):
    """Whether maps of the stack are strips, with the colour bar below."""
    xy = stack.sites.xy * stack.sites.pixel_size
    width, height = np.ptp(xy, axis=0)
    return bool(height < 0.35 * width)


def _is_wide(figure):
    width, height = figure.get_size_inches()
    return bool(width > 2 * height)
