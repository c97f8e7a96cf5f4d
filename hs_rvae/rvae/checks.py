# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of settings and images of an RVAE: errors name argument, value and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import is_whole_number, refuse_settings, shown
from ..masked_arrays import refuse_masked
from ..options import MINIMUM_WINDOW
from .coefficients import MIN_SITES
from .harmonic.rotation import SitePlaces
from .training import DEFAULTS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .batches import Images
    from .estimator import RVAE

#: Parts of a sub-image that can turn.
ROTATIONS = ("auto", "distortion", "motif")
_NUMBER = float | int | np.floating


def check_settings(model: RVAE) -> None:
    """Refuse settings of an RVAE that cannot be used."""
    if not isinstance(model.architecture, str) or model.architecture not in DEFAULTS:
        raise ValueError(
            f"architecture={shown(model.architecture)}: there are 'harmonic' and 'convolutional'."
        )
    convolutional = model.architecture == "convolutional"
    if convolutional and model.output_dimension == "auto":
        raise ValueError(
            "output_dimension='auto': the convolutional model cannot choose the number of "
            "latents; give a whole number, the paper's was 2."
        )
    _check_rotation(model, convolutional)
    for name in ("output_dimension", "n_init", "epochs", "batch_size", "max_fit_sites"):
        value = getattr(model, name)
        automatic = "auto" if name == "output_dimension" else None
        if name != "n_init" and _is_same(value, automatic):
            continue
        fewest = MIN_SITES if name == "max_fit_sites" else 1
        if not is_whole_number(value, fewest):
            or_auto = " or 'auto'" if name == "output_dimension" else ""
            wanted = f"a whole number of {fewest} or more{or_auto}"
            raise ValueError(f"{name}={shown(value)}: give {wanted}.")
    if not is_whole_number(model.n_factors, 0):
        raise ValueError(f"n_factors={shown(model.n_factors)}: give a whole number of 0 or more.")
    for name, unit in (("shift_prior", "px, such as 0.5"), ("rotation_prior", "radians: 0.1")):
        value = getattr(model, name)
        if isinstance(value, bool) or not isinstance(value, _NUMBER) or not 0 < value < np.inf:
            raise ValueError(f"{name}={shown(value)}: give a number above 0, in {unit}.")
    if not (isinstance(model.shift_delay, _NUMBER) and 0 <= model.shift_delay <= 1):
        raise ValueError(
            f"shift_delay={shown(model.shift_delay)}: give a share of the epochs, 0 to 1."
        )
    rate = model.learning_rate
    if rate is not None and not (isinstance(rate, _NUMBER) and 0 < rate < 1):
        raise ValueError(
            f"learning_rate={shown(rate)}: give a number between 0 and 1, such as 2e-3."
        )
    q_max = model.q_max
    if q_max is not None and not (isinstance(q_max, _NUMBER) and 0 < q_max <= 0.5):
        raise ValueError(f"q_max={shown(q_max)}: give cycles/px between 0 and 0.5, or None.")
    refuse_settings(type(model).__init__, model.get_params(deep=False))


def _is_same(value: object, default: str | None) -> bool:
    return value is default if default is None else isinstance(value, str) and value == default


def check_detectors(model: RVAE, images: Images) -> None:
    """Refuse settings that cannot be used with the sub-images of several detectors."""
    if len(images.shape) != 4:
        return
    if model.architecture != "harmonic" or model.translation:
        what = "translation=True" if model.architecture == "harmonic" else "the paper's network"
        raise ValueError(
            f"images are those of {images.shape[1]} detectors, and {what} takes those of one: give "
            "images[:, k], of a stack channel=k; or architecture='harmonic' without translation."
        )
    first = model.latent_channel
    if not is_whole_number(first, 0) or first >= images.shape[1]:
        raise ValueError(
            f"latent_channel={shown(first)}: the detectors have the numbers 0 to "
            f"{images.shape[1] - 1}."
        )


def _check_rotation(model: RVAE, convolutional: bool) -> None:
    """Refuse values of rotation that there are not, or not with these settings."""
    rotation = model.rotation
    if isinstance(rotation, bool | np.bool_):
        known = not rotation
    else:
        known = isinstance(rotation, str) and rotation in ROTATIONS
    if not known:
        raise ValueError(
            f"rotation={shown(rotation)}: give 'auto', 'distortion' (the lattice stays), 'motif' "
            "(the whole sub-image turns) or False."
        )
    if rotation == "distortion" and convolutional:
        raise ValueError(
            "rotation='distortion': the convolutional architecture turns the whole sub-image; "
            "give 'motif', or architecture='harmonic'."
        )
    if rotation == "distortion" and model.translation:
        raise ValueError(
            "rotation='distortion' with translation=True: a shift of the sub-image cannot be "
            "distinguished from a displacement of its middle column; give translation=False, or "
            "rotation='motif'."
        )


def check_places(
    model: RVAE,
    n: int,
    positions: ArrayLike | None,
    displacements: ArrayLike | None,
    strata: np.ndarray | None,
    diffraction: bool = False,
) -> SitePlaces | None:
    """Check positions (n, 2) of the sites; None if there are none or nothing needs them."""
    if strata is not None and np.shape(strata) != (n,):
        raise ValueError(f"strata has shape {np.shape(strata)}; ({n},) is expected.")
    if not isinstance(diffraction, bool | np.bool_):
        raise ValueError(f"diffraction={shown(diffraction)}: give True or False.")
    if positions is None:
        if model.rotation == "distortion":
            raise ValueError(
                "positions=None with rotation='distortion' needs the positions (x, y) of the sites "
                "in px, because other cells test the angles; give them, or rotation='motif'."
            )
        return None
    pairs = {"positions": positions, "displacements": displacements}
    given = {k: np.asarray(v, float) for k, v in pairs.items() if v is not None}
    for name, values in given.items():
        if values.shape != (n, 2):
            raise ValueError(f"{name} has shape {values.shape}; ({n}, 2) is expected.")
    if not model.rotation or model.architecture != "harmonic":
        return None
    strata = None if strata is None else np.asarray(strata)
    return SitePlaces(given["positions"], strata, given.get("displacements"), bool(diffraction))


def check_images(images: Images, offsets: np.ndarray | None) -> np.ndarray | None:
    """Check shape and type of sub-images; return offsets as an array, or None if all are 0."""
    if not (isinstance(getattr(images, "shape", None), tuple) and hasattr(images, "dtype")):
        raise TypeError(f"images is a {type(images).__name__}; give a numpy or dask array.")
    refuse_masked(images=images, offsets=offsets)
    if len(images.shape) not in (3, 4) or images.shape[-2] != images.shape[-1]:
        raise ValueError(
            f"images has shape {images.shape}; (n, w, w), or (n, n_detectors, w, w), is expected."
        )
    if images.dtype.kind not in "fiub":
        raise TypeError(f"images has dtype {images.dtype}; real numbers are expected.")
    n, w = images.shape[0], images.shape[-1]
    if w < MINIMUM_WINDOW:
        raise ValueError(f"images has windows of {w} px; the smallest is {MINIMUM_WINDOW} px.")
    if n < 1:
        raise ValueError("images contains no sub-image.")
    if offsets is None:
        return None
    offsets = np.asarray(offsets, np.float32)
    if offsets.shape != (n, 2):
        raise ValueError(f"offsets has shape {offsets.shape}; ({n}, 2) is expected.")
    return offsets if np.any(offsets) else None
