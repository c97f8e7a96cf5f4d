# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of a report: figures of merit, the outcome in words, settings and versions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.checks import is_whole_number
from hs_rvae.exceptions import ModelMismatch
from hs_rvae.files import file_of
from hs_rvae.report import angles as _angles
from hs_rvae.report import domains as _domains
from hs_rvae.sites import units as _units
from hs_rvae.verdict import FEW_SITES
from hs_rvae.wording import count_of

if TYPE_CHECKING:
    from ..diagnostics import Diagnostics

_LIBRARIES = (
    *("hs_rvae", "hyperspy", "atomap", "torch", "numpy", "scipy", "pandas"),
    *("scikit-learn", "matplotlib", "dask"),
)
_FEW_SITES = 300
_GOOD_AGREEMENT = 0.9
_SAMPLE = 1000  # sites whose reconstruction is compared with the data


def figures_of_merit(stack: Any, random_state: int = 0) -> list[tuple[str, str, str]]:
    """
    Figures of merit of an analysis.

    Parameters
    ----------
    stack : SubImageStack
    random_state : int
        Chooses the sites whose reconstruction is judged, if there are many.

    Returns
    -------
    list of (str, str, str)
        Name, value with unit, meaning.
    """
    sites, rows = stack.sites, []
    window = stack.data.shape[-1]
    axis = stack.axes_manager.signal_axes[0]
    calibrated = f" = {window * axis.scale:.3g} {axis.units}" if _is_calibrated(axis) else ""
    rows.append(("sites", f"{len(sites):,}", "sub-images in the stack"))
    rows.append(("window", f"{window} px{calibrated}", "width of each"))
    if "variant" in sites:
        variant = sites["variant"]
        counts = [int((variant == k).sum()) for k in range(_angles.n_variants(stack))]
        listed = ", ".join(f"{count:,}" for count in counts) or "none"
        rows.append(("variants", f"{len(counts)}: {listed}", "sites in each"))
        rows.append(("undefined", f"{(variant < 0).mean():.1%}", "sites without a variant"))
    if "variant_residual" in sites and np.isfinite(sites["variant_residual"]).any():
        spread = np.rad2deg(np.nanmedian(np.abs(sites["variant_residual"])))
        text = "of the angle from the direction of the variant, median over the sites"
        rows.append(("distance from the variant", f"{spread:.2f}°", text))
    has_angle = "angle" in sites and "angle_std" in sites
    std = sites["angle_std"][stack._with_angle()] if has_angle else np.zeros(0)
    if np.isfinite(std).any():
        middle, high = np.rad2deg(np.nanpercentile(std, (50, 90)))
        text = (
            "median (and 90th percentile) of the standard deviation of a site's angle, where it is "
            "defined"
        )
        rows.append(("angle_std", f"{middle:.2f}° ({high:.2f}°)", text))
    if "log_likelihood" in sites and np.isfinite(sites["log_likelihood"]).any():
        middle = np.nanmedian(sites["log_likelihood"])
        rows.append(("log-likelihood", f"{middle:.1f} nat", "median per site"))
    return rows + _of_model(stack, random_state)


def _is_calibrated(axis: Any) -> bool:
    return _units.is_calibrated(axis.units)


def _of_model(stack: Any, random_state: int) -> list[tuple[str, str, str]]:
    """Figures of merit of the model, if it is available."""
    model = model_of(stack)
    if model is None:
        return []
    rows = []
    agreement = start_agreement(model)
    if agreement is not None:
        text = "lowest of the other random starts with the most likely one; 1 = the same angles"
        rows.append(("agreement of starts", f"{agreement:.2f}", text))
    loss = np.asarray(model.history_.get("validation_loss", ()), dtype=float)
    if loss.size and np.isfinite(loss[-1]):
        rows.append(("loss of held-out sites", f"{loss[-1]:.1f} nat", "after the last epoch"))
    ended = _training_sentence(model.history_)
    if ended:
        rows.append(("training", ended.partition(";")[0], ended.partition("; ")[2]))
    wanted = getattr(model, "n_latents_recommended_", None)
    if wanted is not None:
        text = f"by the bend of the scree of the content; the model has {model.n_latents_}"
        rows.append(("recommended latents", f"{wanted}", text))
    dropped = getattr(model, "dropped_variance_", None)
    if dropped is not None:
        text = "of the variance above the noise, beyond the highest frequency used"
        rows.append(("dropped by the truncation", f"{dropped:.1%}", text))
    share, n = _explained(stack, random_state)
    if share is not None:
        text = f"of the variance between the pixels of {n:,} sub-images, inside the model's disk"
        rows.append(("explained by the model", f"{share:.1%}", text))
    return rows


def _training_sentence(history: Mapping[str, Any]) -> str:
    """End of a training in words; empty if the history does not hold it."""
    if "converged" not in history:
        return ""
    rates, state = [f"{rate:g}" for rate in history["learning_rate"]], history["converged"][0]
    if not len(history.get("loss", ())) and state == 0:
        return f"failed with every learning rate tried ({', '.join(rates)}); taken back"
    names = {1.0: "converged", 0.0: "the loss still fell: give more epochs"}
    sentence = f"{names.get(float(state), 'too few epochs to judge')}; learning rate {rates[-1]}"
    return sentence + (f", after {', '.join(rates[:-1])} diverged" if rates[1:] else "")


def _explained(stack: Any, random_state: int) -> tuple[float | None, int]:
    """Share of the variance that the model explains, and the number of sites judged."""
    count, some = len(stack.sites), stack
    if count > _SAMPLE:
        chosen = np.sort(np.random.default_rng(random_state).choice(count, _SAMPLE, replace=False))
        some = stack.select_sites(chosen)
        some._rvae_model = stack._rvae_model
    try:
        left = some.get_rvae_residual(lazy_output=False, show_progressbar=False)._images()
    except ModelMismatch:
        return None, 0
    seen = np.isfinite(left).all(axis=(1, 2))
    inside = (left[seen] != 0).any(axis=0)
    data = np.asarray(some._images())[seen][:, inside]
    if not data.size or not data.var():
        return None, 0
    return 1 - float((left[seen][:, inside] ** 2).mean() / data.var()), int(seen.sum())


def model_of(stack: Any) -> Any:
    """The model that wrote the stack's table, or None."""
    try:
        return stack._model_of_sites()
    except (RuntimeError, ValueError):
        return None


def start_agreement(model: Any) -> float | None:
    """Lowest agreement of the random starts with the most likely one, or None."""
    agreement = np.asarray(model.history_.get("start_agreement", ()), dtype=float)
    return float(agreement.min()) if agreement.size and np.isfinite(agreement).all() else None


def outcome(stack: Any, diagnostics: Diagnostics | None) -> tuple[list[str], list[str]]:
    """
    The result in sentences, and the points that need care.

    Parameters
    ----------
    stack : SubImageStack
    diagnostics : hs_rvae.diagnostics.Diagnostics or None

    Returns
    -------
    found, cautions : list of str
    """
    found = [_angles.paragraph(stack), *_domains.sentences(stack)]
    cautions = [*_angles.cautions(stack), *_about_data(stack), *_about_model(stack)]
    return found, [*cautions, *_about_diagnostics(diagnostics)]


def _about_data(stack: Any) -> list[str]:
    """Cautions about calibration and number of sites."""
    cautions = []
    if not _is_calibrated(stack.axes_manager.signal_axes[0]):
        cautions.append(
            "The image is not calibrated: lengths are in pixels. Set the pixel size "
            "(image.axes_manager) to get a scale bar in nm."
        )
    n_sites = len(stack.sites)
    verdict = stack.rvae_verdict
    fitted = stack.metadata.get_item("Sub_images.rvae.n_sites_fit", n_sites)
    said = verdict is not None and fitted < FEW_SITES
    if n_sites < _FEW_SITES and not said:
        cautions.append(f"There are only {n_sites} sites: fit with other seeds and compare.")
    return cautions


def _about_model(stack: Any) -> list[str]:
    """Cautions about the model: missing, unsure, not repeatable."""
    model = model_of(stack)
    if model is None:
        reason = "was not available"
        if stack._rvae_model is not None:
            reason = (
                "of the stack did not write this table (stack.apply_rvae(stack.rvae_model) does)"
            )
        return [f"The model {reason}: manifold and reconstructions are left out."]
    cautions, agreement = [], start_agreement(model)
    verdict = model.verdict_
    found = verdict is None or (verdict.found and verdict.rotation == "motif")
    found &= model.motif_symmetry_ == 1  # otherwise starts differ by turns of the motif
    if found and agreement is not None and agreement < _GOOD_AGREEMENT:
        cautions.append(
            f"The random starts found different angles (agreement {agreement:.2f}): take more "
            "starts, n_init=10 in stack.rvae()."
        )
    if not is_whole_number(model.random_state, 0):
        cautions.append("random_state was not a number: a second fit gives slightly other values.")
    return cautions


def _about_diagnostics(diagnostics: Diagnostics | None) -> list[str]:
    """Cautions about values that follow the instrument."""
    if diagnostics is None or not diagnostics.table["follows"].any():
        return []
    about_angle = [line for line in diagnostics.summary if line.startswith("angle follows")]
    others = len(diagnostics.summary) - len(about_angle)
    more = [f"See Diagnostics for {count_of(others, 'remark')} on the latents."] if others else []
    return about_angle + more


def settings(stack: Any) -> list[tuple[str, str]]:
    """
    Everything that was chosen, by name.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of (str, str)
    """
    node = stack.metadata.get_item("Sub_images")
    node = {} if node is None else node.as_dictionary()
    rows = [(name, _plain(node[name])) for name in ("window_size", "centring", "edge")
            if name in node]  # fmt: skip
    model = model_of(stack)
    rows += [
        (f"applied: {name}", _plain(value))
        for name, value in sorted(node.get("rvae", {}).items())
        if name != "verdict" and (model is None or getattr(model, name, None) != value)
    ]
    if model is not None:
        for name in inspect.signature(type(model)).parameters:
            if name != "show_progressbar" and hasattr(model, name):
                rows.append((f"model: {name}", _plain(getattr(model, name))))
    return rows


def _plain(value: object) -> str:
    if value is None:
        return "automatic"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def versions() -> list[tuple[str, str]]:
    """
    Versions of the libraries that took part.

    Returns
    -------
    list of (str, str)
    """
    rows = []
    for name in _LIBRARIES:
        try:
            rows.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    rows.append(("Python", platform.python_version()))
    rows.append(("system", f"{platform.system()} {platform.machine()}"))
    return rows


def about_image(stack: Any) -> list[tuple[str, str]]:
    """
    Names, size and checksum that identify the image.

    Parameters
    ----------
    stack : SubImageStack

    Returns
    -------
    list of (str, str)
    """
    rows = [("title", stack.metadata.get_item("Sub_images.image_title", "") or "not known")]
    image = image_of(stack)
    if image is None:
        return rows
    file = image.metadata.get_item("General.original_filename", "")
    if (loaded := file_of(image)) is not None:  # processed since then or not
        file = loaded.name
    if file:
        rows.append(("file", str(file)))
    if image.tmp_parameters.has_item("number_in_file"):
        rows.append(("number in the file", str(image.tmp_parameters.number_in_file)))
    for name, row in (("reader", "reader"), ("atomap_node", "part of the file")):
        if image.tmp_parameters.has_item(name):
            rows.append((row, str(image.tmp_parameters.get_item(name))))
    if image.tmp_parameters.has_item("region"):
        region = " ".join(map(str, image.tmp_parameters.region))
        rows.append(("region", f"{region} px (left, top, right, bottom)"))
    if image.tmp_parameters.has_item("colours"):
        rows.append(("colours", image.tmp_parameters.colours))
    height, width = image.data.shape[-2:]
    axis = image.axes_manager.signal_axes[0]
    known = _is_calibrated(axis)
    pixel = f"pixels of {axis.scale:.4g} {axis.units}" if known else "not calibrated"
    count = f"{len(image.data)} frames of " if image.data.ndim == 3 else ""
    rows.append(("size", f"{count}{width} x {height} px, {pixel}"))
    if not image._lazy:
        pixels = np.ascontiguousarray(image.data).reshape(-1).view(np.uint8)  # no copy
        rows.append(("SHA-256 of the pixels", hashlib.sha256(pixels.data).hexdigest()))
    return rows


def image_of(stack: Any) -> Any:
    """
    The image that the sites of a stack are in, or the series; None if it is not available.

    Parameters
    ----------
    stack : SubImageStack
        Sub-images of one image.

    Returns
    -------
    hyperspy.api.signals.Signal2D or None
    """
    image = stack.image
    return image[int(stack.sites["image"][0])] if isinstance(image, list) else image
