# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an RVAE accepts: errors that name the argument, the value and the remedy."""

import numpy as np

from ..masked_arrays import refuse_masked

_NUMBER = float | int | np.floating
SMALLEST_WINDOW = 8  # px: below, the disk holds no motif

#: How each architecture is trained where the user does not say; the second as in the paper.
DEFAULTS = {
    "harmonic": {"epochs": 15, "learning_rate": 2e-3},
    "convolutional": {
        "epochs": 100,
        "batch_size": 32,
        "learning_rate": 1e-4,
        "validation_fraction": 0.15,
    },
}


def check_settings(model):
    """Refuse settings of an RVAE that cannot be used."""
    if model.architecture not in DEFAULTS:
        raise ValueError(
            f"architecture={model.architecture!r}: there are 'harmonic' and 'convolutional'."
        )
    convolutional = model.architecture == "convolutional"
    if convolutional and model.output_dimension == "auto":
        raise ValueError(
            "output_dimension='auto': the convolutional model cannot count its latents; give a "
            "whole number, the paper's was 2."
        )
    if not isinstance(model.subtract_average, bool | np.bool_):
        raise ValueError(f"subtract_average={model.subtract_average!r}: give True or False.")
    if model.subtract_average and (convolutional or model.translation or not model.rotation):
        raise ValueError(
            "subtract_average=True: only for architecture='harmonic', rotation=True and "
            "translation=False."
        )
    for name in ("output_dimension", "n_init", "epochs", "batch_size", "max_fit_sites"):
        value = getattr(model, name)
        defaults = ("batch_size", None), ("epochs", None), ("output_dimension", "auto")
        if (name, value) in defaults:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            or_auto = " or 'auto'" if name == "output_dimension" else ""
            raise ValueError(f"{name}={value!r}: give a whole number of 1 or more{or_auto}.")
    if not (isinstance(model.n_factors, int | np.integer) and model.n_factors >= 0):
        raise ValueError(f"n_factors={model.n_factors!r}: give a whole number of 0 or more.")
    for name, unit in (("shift_prior", "px, such as 0.5"), ("rotation_prior", "radians: 0.1")):
        value = getattr(model, name)
        if isinstance(value, bool) or not isinstance(value, _NUMBER) or not 0 < value < np.inf:
            raise ValueError(f"{name}={value!r}: give a number above 0, in {unit}.")
    if not (isinstance(model.shift_delay, _NUMBER) and 0 <= model.shift_delay <= 1):
        raise ValueError(f"shift_delay={model.shift_delay!r}: give a share of the epochs, 0 to 1.")
    rate = model.learning_rate
    if rate is not None and not (isinstance(rate, _NUMBER) and 0 < rate < 1):
        raise ValueError(f"learning_rate={rate!r}: give a number between 0 and 1, such as 2e-3.")
    if model.q_max is not None and not isinstance(model.q_max, _NUMBER):
        raise ValueError(f"q_max={model.q_max!r}: give cycles/px between 0 and 0.5, or None.")
    if model.q_max is not None and not 0 < model.q_max <= 0.5:
        raise ValueError(f"q_max={model.q_max!r}: give cycles/px between 0 and 0.5, or None.")


def check_images(images, offsets):
    """Check shape and type of sub-images; returns offsets as an array or None."""
    if not (hasattr(images, "shape") and hasattr(images, "dtype")):
        raise TypeError(f"images is a {type(images).__name__}; give a numpy or dask array.")
    refuse_masked(images=images, offsets=offsets)
    if len(images.shape) != 3 or images.shape[1] != images.shape[2]:
        raise ValueError(f"images has shape {images.shape}; (n, w, w) is expected.")
    if images.dtype.kind not in "fiub":
        raise TypeError(f"images has dtype {images.dtype}; real numbers are expected.")
    n, w = images.shape[:2]
    if w < SMALLEST_WINDOW:
        raise ValueError(f"images has windows of {w} px; {SMALLEST_WINDOW} px is the least.")
    if n < 1:
        raise ValueError("images holds no sub-image.")
    if offsets is None:
        return None
    offsets = np.asarray(offsets, np.float32)
    if offsets.shape != (n, 2):
        raise ValueError(f"offsets has shape {offsets.shape}; ({n}, 2) is expected.")
    return offsets if np.any(offsets) else None
