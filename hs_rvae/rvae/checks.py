# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an RVAE accepts: errors that name the argument, the value and the remedy."""

import numpy as np

SMALLEST_WINDOW = 8  # px: below, the disk holds no motif


def check_settings(model):
    """Refuse settings of an RVAE that cannot be used."""
    if model.architecture != "harmonic":
        raise ValueError(f"architecture={model.architecture!r}: there is 'harmonic'.")
    if model.translation:
        raise ValueError("translation=True: this version has no shifts; leave it False.")
    for name in ("output_dimension", "n_init", "epochs", "batch_size", "max_fit_sites"):
        value = getattr(model, name)
        if (name, value) in (("batch_size", None), ("output_dimension", "auto")):
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            or_auto = " or 'auto'" if name == "output_dimension" else ""
            raise ValueError(f"{name}={value!r}: give a whole number of 1 or more{or_auto}.")
    if not (isinstance(model.n_factors, int | np.integer) and model.n_factors >= 0):
        raise ValueError(f"n_factors={model.n_factors!r}: give a whole number of 0 or more.")
    rate = model.learning_rate
    if not (isinstance(rate, float | int | np.floating) and 0 < rate < 1):
        raise ValueError(f"learning_rate={rate!r}: give a number between 0 and 1, such as 2e-3.")
    if model.q_max is not None and not isinstance(model.q_max, float | int | np.floating):
        raise ValueError(f"q_max={model.q_max!r}: give cycles/px between 0 and 0.5, or None.")
    if model.q_max is not None and not 0 < model.q_max <= 0.5:
        raise ValueError(f"q_max={model.q_max!r}: give cycles/px between 0 and 0.5, or None.")


def check_images(images, offsets):
    """Check shape and type of sub-images; returns offsets as an array or None."""
    if not (hasattr(images, "shape") and hasattr(images, "dtype")):
        raise TypeError(f"images is a {type(images).__name__}; give a numpy or dask array.")
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
