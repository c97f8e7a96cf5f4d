# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a report: drawings with captions, and reasons for those left out."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hs_rvae.sites import columns as _columns
from hs_rvae.sites.nearest import nearest_distances

from . import domains as _domains
from .angles import n_variants
from .columns import columns_of
from .text import image_of

if TYPE_CHECKING:
    from ..diagnostics import Diagnostics
    from ..sites import SiteTable

_DPI = 170
_FLAT_FONT_SIZE = 5.0  # points
_MOST_LATENTS = 4  # that have a map
_PAGE_WIDTH = 6.7  # inches
_ENLARGED = 20  # distances between columns that a part of the image is wide

#: Title, caption, function that draws, and the reason why it cannot, None if it can.
Planned: TypeAlias = tuple[str, str, Callable[[], Any], str | None]


@dataclass
class Figure:
    """One figure of the page, as a PNG in base64."""

    title: str
    caption: str
    png: str
    wide: bool  # as wide as the page


def draw_columns(stack: Any) -> tuple[list[Figure], list[str]]:
    """
    Draw the figures that a report begins with: the columns, and the mean of each variant.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    figures, left_out
        As :func:`draw_figures`.
    """
    return _drawn([*_of_columns(stack), *_of_variants(stack)])


def draw_figures(stack: Any, diagnostics: Diagnostics | None) -> tuple[list[Figure], list[str]]:
    """
    Draw all other figures that a stack has the columns and the model for.

    Parameters
    ----------
    stack : SubImageStack
    diagnostics : hs_rvae.diagnostics.Diagnostics or None

    Returns
    -------
    figures : list of Figure
    left_out : list of str
        Titles, with the reason: no finite value, or no model. All other errors are raised.
    """
    return _drawn(_plan(stack, diagnostics))


def _drawn(plan: Iterable[Planned]) -> tuple[list[Figure], list[str]]:
    """Draw the planned figures; name those that are missing, with the reason."""
    import matplotlib.pyplot as plt

    figures, left_out = [], []
    with plt.ioff(), plt.style.context("default"):  # the page has a look of its own
        for title, caption, draw, missing in plan:
            if missing is not None:
                left_out.append(f"{title}: {missing}")
                continue
            before = set(plt.get_fignums())
            try:
                drawn = draw()
                figure = drawn.figure  # that of axes, or itself
                figures.append(Figure(title, caption, _png(figure), _is_wide(figure)))
            finally:
                for number in set(plt.get_fignums()) - before:
                    plt.close(number)
    return figures, left_out


def _plan(stack: Any, diagnostics: Diagnostics | None) -> Iterator[Planned]:
    """Yield title, caption, function that draws, and the reason if it cannot, otherwise None."""
    yield from _maps(stack)
    yield from _of_model(stack)
    if "cluster" in stack.sites:
        yield from _of_classes(stack)
    if diagnostics is not None:
        yield (
            "Is it an instrumental artefact?",
            "Coefficient between what the model found (rows) and the instrument (left columns): 0 "
            "independent, 1 determined; framed where significant.",
            lambda: stack.plot_rvae_diagnostics(diagnostics),
            None,
        )


def _of_columns(stack: Any) -> Iterator[Planned]:
    """All columns on the image, and a part of it where they are small."""
    positions, about = columns_of(stack)
    image, missing = image_of(stack), None
    if image is None:
        missing = "the image is not there: stack.load_image() reads it."
    elif np.ndim(image.data) != 2:
        missing = "the image is a series."
    caption = "All columns that were found, on the image, one colour for each sublattice."
    if not about:
        caption = "The positions that were given, on the image."
    yield "Columns", caption, partial(_draw_columns, stack, image), missing
    if missing is None and (part := _part(image, np.concatenate(list(positions.values())))):
        yield (
            "Columns, enlarged",
            "A part in the middle of the image.",
            partial(_draw_columns, stack, image, part),
            None,
        )


def _draw_columns(stack: Any, image: Any, region: Any = None) -> Any:
    """Draw the columns over the width of the page."""
    import matplotlib.pyplot as plt

    (height, width), font_size = np.full(2, 0.6 * _PAGE_WIDTH), 8.0
    if region is None:  # fine, for those who open it; the page shows it at a third of its size
        height, width = _PAGE_WIDTH * np.array(image.data.shape) / max(image.data.shape)
        font_size = 18.0
    _, ax = plt.subplots(figsize=(width, height + font_size / 20), layout="constrained")
    return stack.plot_columns(image=image, region=region, font_size=font_size, ax=ax)


def _part(image: Any, xy: np.ndarray) -> tuple[float, ...] | None:
    """Region in the middle where columns can be seen one by one; None if they can in the whole."""
    rows, columns = image.data.shape
    if len(xy) < 2:
        return None
    distance = float(np.median(nearest_distances(xy)))
    side = min(_ENLARGED * distance, rows, columns)
    if max(rows, columns) < 2 * _ENLARGED * distance or side < 4 * distance:
        return None
    middle = np.array([columns, rows]) / 2
    corners = np.concatenate([middle - side / 2, middle + side / 2]).reshape(2, 2)
    axes = image.axes_manager.signal_axes
    scale, offset = np.array([(axis.scale, axis.offset) for axis in axes]).T
    return tuple((corners * scale + offset).ravel().tolist())


def _of_variants(stack: Any) -> Iterator[Planned]:
    """Mean sub-image of each variant."""
    if n_variants(stack):
        yield (
            "Mean sub-image of each variant",
            "With the number of its sites; the frame has the colour of the variant on maps.",
            lambda: stack.plot_cluster_means("variant"),
            _nothing_found(stack),
        )


def _maps(stack: Any) -> Iterator[Planned]:
    """Maps of columns, and the histogram of the angle."""
    sites, size = stack.sites, _map_size(stack)
    title, caption = _about_angle(stack)
    undefined, fold = _no_direction(stack), stack._motif_symmetry()
    amplitude = (
        "Strength of the distortion: 1 as in a typical distorted site, 0 where there is none "
        "and the angle means nothing."
    )
    maps = {
        "angle": (title, caption, undefined),
        "variant": ("Variants", _about_variants(stack), _nothing_found(stack)),
        "order_amplitude": ("Order amplitude", amplitude, _nothing_found(stack)),
    }
    for name, (title, caption, missing) in maps.items():
        if name in sites:
            turns = {"limits": (-np.pi / fold, np.pi / fold)} if name == "angle" else {}
            draw = partial(stack.plot_site_map, name, title="", **turns, **size)
            yield title, caption, draw, missing or _no_value(sites, name)
    if _domains.found(stack):
        yield (
            "Domains",
            "Connected sites of one variant, with their numbers, and the walls between them. Grey: "
            "sites in no domain.",
            partial(stack.plot_domains, title="", **size),
            _no_domains(stack) or _several_images(sites),
        )
    if "displacement_x" in sites and "displacement_y" in sites:
        yield (
            "Displacement",
            "Each column minus the mean of its neighbours, as fitted: hue is the "
            "direction, brightness the length. It does not come from the rVAE.",
            lambda: stack.plot_polar_map("displacement", **size),
            _no_value(sites, "displacement_x", "displacement_y"),
        )
    if "mode_rotation" in sites:
        yield (
            "Displacement, rotation and strain from the pixels",
            _about_modes(stack),
            stack.plot_modes,
            _no_value(sites, "mode_rotation") or _several_images(sites),
        )
    marked = " Dashed: the directions of the variants." if n_variants(stack) else ""
    yield (
        "Histogram of the angle",
        f"Sites by their angle; sites without a defined angle are left out and counted.{marked}",
        lambda: stack.plot_angle_histogram(fold=fold, title=""),
        undefined,
    )


def _about_modes(stack: Any) -> str:
    """Caption of the maps of the deformation modes."""
    sites = stack.sites
    text = (
        "Each column of a sub-image is moved as a whole until it fits the pixels. Displacement: "
        "the column against those around it. Rotation and strain: those of the surroundings."
    )
    if "displacement_x" in sites:
        rows = [
            np.concatenate([sites[f"{stem}_x"], sites[f"{stem}_y"]])
            for stem in ("displacement", "mode_displacement")
        ]
        known = np.isfinite(rows).all(axis=0)
        if known.sum() > 2:
            apart = float(np.std(rows[0][known] - rows[1][known]))
            text += f" Displacements from fitted positions differ by {apart:.2g} px (rms)."
    return text


def _several_images(sites: SiteTable) -> str | None:
    """Return a note if the sites are those of several images or frames, otherwise None."""
    for name in ("image", "frame"):
        if name in sites and len(np.unique(sites[name])) > 1:
            return f"the sites are those of several {name}s."
    return None


def _about_angle(stack: Any) -> tuple[str, str]:
    """Title and caption of the map of the angle."""
    verdict = stack.rvae_verdict
    grey = "Grey: sites whose angle has no meaning, because their order amplitude is low."
    if verdict is None:
        return "Angle", f"From the right towards the bottom. {grey}"
    if verdict.rotation == "distortion":
        caption = "Direction of the distortion in the image, from the right towards the bottom"
    else:
        caption = "Turn of every site against the common motif, from the right towards the bottom"
    fold = stack._motif_symmetry()
    if fold > 1:
        caption += f", known up to turns of {360 / fold:g}°"
    return verdict.title if verdict.found else "Angle", f"{caption}. {grey}"


def _about_variants(stack: Any) -> str:
    """Caption of the map of variants."""
    if not n_variants(stack):
        return "No site has a variant: all are grey."
    return "Group of directions that each site is in; grey where there is none."


def _nothing_found(stack: Any) -> str | None:
    """Return a note if the verdict is that there is nothing, otherwise None."""
    verdict = stack.rvae_verdict
    return (
        None
        if verdict is None or verdict.found
        else verdict.sentence[0].lower() + verdict.sentence[1:]
    )


def _no_domains(stack: Any) -> str | None:
    """Return the reason why there are no domains to draw; None if there are some."""
    try:
        domains = stack.domains
    except RuntimeError as error:
        return str(error)
    return None if len(domains) else f"no domains, {domains.attrs['reason']}."


def _no_direction(stack: Any) -> str | None:
    """Return a note if no site has an angle with a meaning, otherwise None."""
    missing = _nothing_found(stack) or _no_value(stack.sites, "angle")
    if missing is None and not stack._with_angle().any():
        missing = "no site has a defined angle: all order amplitudes are low."
    return missing


def _of_model(stack: Any) -> Iterator[Planned]:
    """Content, and the course of its fit."""
    sites, size, no_model = stack.sites, _map_size(stack), _no_model(stack)
    for name in sites.numbered("latent")[:_MOST_LATENTS]:
        yield (
            f"Content: {_columns.title(name).lower()}",
            "What differs between sites apart from their rotation: composition, thickness, defects "
            "and the microscope. The scale is the model's own.",
            partial(stack.plot_site_map, name, **size),
            _no_value(sites, name),
        )
    yield (
        "Manifold",
        _about_manifold(stack),
        lambda: stack.plot_rvae_manifold(shape=(7, 7)),
        no_model,
    )
    if "latent_1" in sites:
        color = "angle" if _no_direction(stack) is None else None
        colored = "coloured by their angle" if color else "which no angle colours"
        yield (
            "Latent space",
            f"The sites by their content, {colored}.",
            lambda: stack.plot_latent_space(color=color),
            _no_value(sites, "latent_0", "latent_1"),
        )
    yield (
        "Course of the fit",
        "Curves that end level have converged.",
        lambda: stack.plot_rvae_history(),
        no_model,
    )


def _about_manifold(stack: Any) -> str:
    """Caption of the manifold."""
    caption = "What the content latents mean: sub-images decoded on a grid."
    verdict = stack.rvae_verdict
    if verdict is None or verdict.rotation != "distortion":
        return caption
    if verdict.kind not in ("variants", "continuous"):
        return f"{caption} No distortion of several directions is in them."
    return (
        f"{caption} They are the static part; the rows below add the distortion in each direction "
        "and show the change that it makes."
    )


def _of_classes(stack: Any) -> Iterator[Planned]:
    """Classes of sites, and their mean sub-images."""
    cluster, unlabelled = stack.sites["cluster"], None
    if cluster.dtype.kind != "i" or not (cluster >= 0).any():
        unlabelled = "column 'cluster' holds no labels."
    yield (
        "Classes",
        "Sites that are alike in angle and content, without names; grey: in no class.",
        lambda: stack.plot_site_map("cluster", **_map_size(stack)),
        unlabelled,
    )
    yield (
        "Means of the classes",
        "The mean sub-image of each class, with the number of its sites.",
        lambda: stack.plot_cluster_means(),
        unlabelled,
    )


def _no_value(sites: SiteTable, *names: str) -> str | None:
    """Return a note if no site has a finite value in all of these columns, otherwise None."""
    if np.isfinite(sites[list(names)]).all(axis=1).any():
        return None
    return f"no site has a finite value of {' and '.join(names)}."


def _no_model(stack: Any) -> str | None:
    """Return the call that brings the model; None if it is available."""
    try:
        stack.rvae_model  # noqa: B018
    except RuntimeError as error:
        return str(error)
    return None


def _map_size(stack: Any) -> dict[str, float]:
    """Flat maps are shown twice as wide as they are drawn, letters and all."""
    return {"font_size": _FLAT_FONT_SIZE} if _is_flat(stack) else {}


def _png(figure: Any) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    # savefig() would draw everything twice, to arrange it before.
    figure.set_dpi(_DPI)
    # A third of the usual time, and 4 % more bytes.
    quick = {"compress_level": 3}
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None}, pil_kwargs=quick)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _is_flat(stack: Any) -> bool:
    """Return True if maps of the stack are strips, with the colour bar below."""
    xy = stack.sites.xy * stack.sites.pixel_size
    width, height = np.ptp(xy, axis=0)
    return bool(height < 0.35 * width)


def _is_wide(figure: Any) -> bool:
    width, height = figure.get_size_inches()
    return bool(width > 2 * height)
