# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images decoded from a model, and sub-images turned back by their angles."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hs_rvae.columns.distortion import STRETCH, directions_without_stretch
from hs_rvae.exceptions import ModelMismatch
from hs_rvae.sites import units as _units
from hs_rvae.variants import wrap

if TYPE_CHECKING:
    from hs_rvae.rvae.estimator import RVAE
    from hs_rvae.rvae.results import RVAEResult
    from hs_rvae.sites import SiteTable
    from hs_rvae.verdict import Verdict

_logger = logging.getLogger(__name__)

#: Where the metadata name the column that sub-images were turned back by.
TURNED = "Sub_images.derotated"

# Degree of the spline: of noise-free images, turned and turned back, it loses 0.2 to 0.7 % of the
# contrast; degree 3 half as much again.
_SPLINE = 5
# Beyond, a turn about the column would bring in what lies outside the window.
_MAXIMUM_OFFSET = 1.0
# The model's disk ends where it has fallen to this.
_MINIMUM_DISK = 0.01
# Angle between two variants and a turn of the lattice.
_MAXIMUM_MISFIT = np.radians(20)
#: How a model is applied where the metadata do not note it otherwise.
APPLIED = {
    "angle_offset": 0.0,
    "pixel_step": 1.0,
    "pixel_size": None,
    "intensity_gain": 1.0,
    "intensity_offset": 0.0,
}


def check_square_windows(sites: SiteTable | None, axes: tuple[Any, Any]) -> SiteTable:
    """Refuse windows that are not square, or not centred on their columns.

    Parameters
    ----------
    sites : SiteTable or None
    axes : tuple of hyperspy axes
        Signal axes (x, y) of the stack.

    Returns
    -------
    SiteTable

    Raises
    ------
    ValueError
        If there is no site table.
    ModelMismatch
        If a model cannot take the windows.
    """
    if sites is None:
        raise ValueError(
            "The stack has no site table: make it with SubImageStack.from_positions, or take "
            "the windows from a stack that has one."
        )
    x, y = axes
    if x.size != y.size:
        raise ModelMismatch(
            f"The windows are {x.size} x {y.size} px; an rVAE needs square ones: crop them "
            "with isig."
        )
    largest = np.nanmax(np.abs(sites[["offset_x", "offset_y"]]), initial=0)
    if largest > _MAXIMUM_OFFSET:
        raise ModelMismatch(
            f"The columns stand up to {largest:.1f} px off the middle of the windows, about "
            "which the model turns: crop all sides alike, or cut again."
        )
    return sites


def warn_of_oblong_pixels(axes: tuple[Any, Any]) -> None:
    """Warn where a turn would distort sub-images."""
    x, y = axes
    if not np.isclose(abs(x.scale), abs(y.scale), rtol=1e-3):
        _logger.warning(
            "The pixels are not square (%g and %g %s): turning a sub-image by anything but 180 "
            "degrees distorts it. Resample the image first.", x.scale, y.scale, x.units,
        )  # fmt: skip


def turn(
    images: NDArray[Any], angle: NDArray[Any], offset: NDArray[Any], fill_value: float | None = 0.0
) -> NDArray[np.float32]:
    """
    Turn sub-images about their columns, and bring the columns to the middle.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, w, w)
    angle : numpy.ndarray, shape (n,)
        In radians, from +x towards +y; NaN gives NaN.
    offset : numpy.ndarray, shape (n, 2)
        Column minus window centre, (x, y) in px.
    fill_value : float or None
        Value outside the circle inscribed in the window. If None, the window is mirrored at its
        sides.

    Returns
    -------
    numpy.ndarray of float32, shape (n, w, w)
    """
    middle = (images.shape[1] - 1) / 2
    line = np.arange(images.shape[1]) - middle
    outside = np.hypot(line, line[:, None]) > middle + 1e-6
    turned = np.full(images.shape, np.nan, np.float32)
    usable = np.isfinite(images).all((1, 2)) & np.isfinite(angle) & np.isfinite(offset).all(1)
    for k in np.flatnonzero(usable):
        cos, sin = np.cos(angle[k]), np.sin(angle[k])
        # Where a pixel (row, column) of the result comes from.
        back = np.array([[cos, -sin], [sin, cos]])
        start = middle + offset[k, ::-1] - back @ [middle, middle]
        image = images[k].astype(np.float64)
        turned[k] = ndimage.affine_transform(image, back, start, order=_SPLINE, mode="mirror")
        if fill_value is not None:
            turned[k][outside] = fill_value
    return turned


def stretches(sites: SiteTable) -> np.ndarray | None:
    """Stretch (n, 2, 2) that is taken out of each site; None if there is none."""
    if not set(STRETCH) <= set(sites.columns):
        return None
    xx, xy, yy = sites[list(STRETCH)].T
    stretch = np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2)
    # A stack may join images with a stretch and images without.
    return np.where(np.isfinite(stretch).all((1, 2), keepdims=True), stretch, np.eye(2))


def directions_in_image(angle: NDArray[Any], stretch: NDArray[Any] | None) -> NDArray[Any]:
    """Directions in the image of angles (n,) in rad, with a stretch taken out of them before."""
    if stretch is None:
        return angle
    return directions_without_stretch(angle, np.linalg.inv(stretch))[0]


def without_stretches(columns: dict[str, Any], stretch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Columns of directions in the image, with the stretch (n, 2, 2) taken out."""
    angle, std = directions_without_stretch(columns["angle"], stretch, columns["angle_std"])
    changed = {"angle": wrap(angle), "angle_std": np.asarray(std)}
    if "angle_pixels" in columns:
        pixels, _ = directions_without_stretch(columns["angle_pixels"], stretch)
        changed["angle_pixels"] = wrap(pixels)
    return changed


def model_columns(sites: SiteTable, model: RVAE) -> list[str]:
    """Names of the columns that a model decodes; the table must hold them and no more latents."""
    k = model.n_latents_
    names = [f"latent_{i}" for i in range(k)] + ["angle"] * bool(model.rotation)
    names += ["shift_x", "shift_y"] * bool(model.translation)
    missing = [name for name in names if name not in sites]
    if missing or f"latent_{k}" in sites:
        what = f"lacks {', '.join(missing)}" if missing else f"has more than {k} latents"
        raise ModelMismatch(
            f"The site table {what}, so it is not what this model wrote: call "
            "apply_rvae(stack.rvae_model)."
        )
    return names


def columns_of_result(
    result: RVAEResult, model: RVAE, sites: SiteTable, rows: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Columns of the table for the result of a model on some rows of it."""
    columns = {}
    if model.rotation:
        columns = {"angle": result.angle, "angle_std": result.angle_std}
        columns["angle_weight"] = result.angle_weight
        if result.angle_pixels is not None:
            columns["angle_pixels"] = result.angle_pixels
        stretch = stretches(sites)
        if stretch is not None and model.rotation_ == "distortion":
            columns |= without_stretches(columns, stretch[rows])
        columns |= result.orders
    factor, _ = _units.length_scale(sites.pixel_units)
    if result.shift is not None and result.shift_std is not None:
        for axis, name in enumerate(("shift_x", "shift_y")):
            shift, std = result.shift[:, axis], result.shift_std[:, axis]
            columns |= {name: shift, f"{name}_std": std}
            columns[f"{name}_calibrated"] = shift * (sites.pixel_size[axis] * factor)
    for k in range(result.latent.shape[1]):
        columns[f"latent_{k}"] = result.latent[:, k]
        columns[f"latent_{k}_std"] = result.latent_std[:, k]
    if model.rotation:
        columns["order_amplitude"] = result.order_amplitude
        columns["order_amplitude_std"] = result.order_amplitude_std
    columns["log_likelihood"] = result.log_likelihood
    return columns


def make_decoder(
    model: RVAE, sites: SiteTable, node: dict[str, Any], size: int, scale: float
) -> tuple[Callable[[NDArray[Any]], NDArray[Any]], NDArray[Any]]:
    """
    Make the function that decodes blocks of poses in the intensities of a stack.

    Parameters
    ----------
    model : RVAE
    sites : SiteTable
    node : dict
        How the model was applied, as :data:`APPLIED`.
    size : int
        Width of the windows in px.
    scale : float
        Width of a pixel.

    Returns
    -------
    decode : callable
        From poses (n, k) to sub-images (n, size, size).
    pose : numpy.ndarray of shape (n_sites, k)
        Latents, angle, order amplitude, shift (x, y), offset (x, y) of all sites.

    Raises
    ------
    ModelMismatch
        If the table does not hold what the model needs.
    """
    known = node["pixel_size"]
    if known is not None and not np.isclose(scale, known, rtol=1e-6):
        raise ModelMismatch(
            f"The pixels are {scale:g} wide, and were {known:g} when the model was applied: "
            "call apply_rvae(stack.rvae_model) again."
        )
    k, names = model.n_latents_, model_columns(sites, model)
    if any(node[name] != node[name] for name in APPLIED):  # NaN
        raise ModelMismatch(
            "The stacks joined here had their angles registered, or the model applied, in "
            "different ways: call apply_rvae(stack.rvae_model), then register_angle."
        )
    offsets = sites[["offset_x", "offset_y"]]
    angle = np.zeros(len(sites))
    if model.rotation:
        angle = _units.radians(sites["angle"], sites.units["angle"]) + node["angle_offset"]
        if model.rotation_ == "distortion":
            angle = directions_in_image(angle, stretches(sites))
    verdict = model.verdict_
    if verdict is not None and "tilt" in verdict.order_parameters[:1]:
        angle = np.zeros(len(sites))  # a tilt has none, and stands in the latents
    shift = offsets + (sites[["shift_x", "shift_y"]] if model.translation else 0)
    order = np.ones(len(sites))
    if model.rotation and "order_amplitude" in sites:
        order = np.maximum(sites["order_amplitude"], 0.0)  # below 0 is noise
    pose = np.column_stack([sites[names[:k]], angle, order, shift, offsets])
    step, moved = node["pixel_step"], bool(np.any(shift))

    def decode(pose: np.ndarray) -> np.ndarray:
        images = np.full((len(pose), size, size), np.nan, np.float32)
        good = np.isfinite(pose).all(1)
        if good.any():
            decoded = model.inverse_transform(
                pose[good, :k],
                pose[good, k],
                pose[good, k + 2 : k + 4] if moved else None,
                order=pose[good, k + 1],
                window_size=size,
                pixel_step=step,
            )
            images[good] = to_stack(decoded, node)
        return images

    return decode, pose


def make_subtractor(
    decode: Callable[[NDArray[Any]], NDArray[Any]], model: Any, node: dict[str, Any], size: int
) -> Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]:
    """Function of blocks of sub-images and poses: data minus model inside the model's disk."""
    from hs_rvae.rvae.geometry import disk_on

    step, level = node["pixel_step"], to_stack(np.float32(model.level), node)

    def subtract(data: np.ndarray, pose: np.ndarray) -> np.ndarray:
        disk = disk_on(model.grid, size, step, pose[:, -4:-2])  # moves along
        decoded = decode(pose) - level
        if model.whole_windows:
            decoded = disk * decoded
        left = disk * (np.float32(data) - level) - decoded
        # Beyond, there is only the ripple of the model's highest frequency.
        return np.where((disk < _MINIMUM_DISK) & np.isfinite(left), np.float32(0), left)

    return subtract


def latent_grid(
    model: RVAE, shape: tuple[int, int], limits: tuple[float, float], axes: tuple[int, int]
) -> tuple[NDArray[Any], list[dict[str, Any]]]:
    """Latents (ny, nx, k) on a grid of two of them, and the navigation axes of the grid."""
    _, values_y, values_x = model.manifold(shape, limits, axes)
    latent = np.zeros((len(values_y), len(values_x), model.n_latents_))
    latent[..., axes[0]] = values_x
    navigation = [_latent_axis(axes[0], values_x)]
    if model.n_latents_ > 1:
        latent[..., axes[1]] = values_y[:, None]
        navigation.insert(0, _latent_axis(axes[1], values_y))
    return latent, navigation


def to_stack(values: Any, node: dict[str, Any]) -> Any:
    """Intensities of the model in those of the stack."""
    return values * np.float32(node["intensity_gain"]) + np.float32(node["intensity_offset"])


def _latent_axis(number: int, values: NDArray[Any]) -> dict[str, Any]:
    step = values[1] - values[0] if len(values) > 1 else 1.0
    return {
        "name": f"latent_{number}",
        "size": len(values),
        "offset": values[0],
        "scale": step,
        "navigate": True,
    }


def lattice_turns(sites: SiteTable, verdict: Verdict, node: dict[str, Any]) -> NDArray[Any]:
    """
    Whole turns of the lattice (rad) that bring each site's variant to variant 0.

    Parameters
    ----------
    sites : SiteTable
    verdict : Verdict
    node : dict
        How the model was applied, with the symmetry of the lattice and the variants.

    Returns
    -------
    numpy.ndarray of shape (n,)
        NaN for sites without one.

    Raises
    ------
    ModelMismatch
        If no turn of the lattice brings the variants onto each other.
    """
    n = node.get("lattice_symmetry", 1)
    if not verdict.found:
        raise ModelMismatch(f"derotate(): nothing to turn back. {verdict.sentence}")
    if verdict.kind == "one direction":
        return np.where(np.isfinite(sites["angle"]), 0.0, np.nan)
    if n < 2:
        raise ModelMismatch(
            "derotate(): the lattice has no turn onto itself, so that sub-images cannot be "
            "turned back; use stack.derotate(column) with a column of angles of your own."
        )
    step = 2 * np.pi / n
    if verdict.kind == "continuous":
        return step * np.round(sites["angle"] / step)
    centres = node.get("variant_directions")
    if (
        centres is None
        or np.ndim(centres) != 1
        or sites.writers.get("variant") != "assign_variants"
    ):
        raise ModelMismatch("derotate(): there are no variants; stack.assign_variants() first.")
    apart = np.asarray(centres, float) - centres[0]
    turns = step * np.round(apart / step)
    worst = int(np.abs(apart - turns).argmax())
    if np.abs(apart - turns)[worst] > _MAXIMUM_MISFIT:
        raise ModelMismatch(
            f"derotate(): variants 0 and {worst} are {np.degrees(apart[worst]) % 360:.0f} "
            f"degrees apart, which is not a multiple of {360 // n} degrees: no turn of the "
            "lattice brings one onto the other. get_cluster_means('variant') averages each."
        )
    variant = np.asarray(sites["variant"], int)
    return np.where(variant >= 0, turns[variant], np.nan)
