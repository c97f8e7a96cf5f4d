# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images as a model takes them: on its pixels and window, in its intensities."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.exceptions import ModelMismatch
from hs_rvae.signals.blocks import blocks_of, by_block
from hs_rvae.sites import units as _units

if TYPE_CHECKING:
    from hs_rvae.rvae.estimator import RVAE

_logger = logging.getLogger(__name__)

# Relative difference up to which pixel sizes count as the same.
_SAME_PIXEL = 1e-3
# Sites whose intensities are compared with those the model was fitted to.
_SAMPLE = 512
# Contrast, and level in units of the contrast, that differ by more are warned of.
_OTHER_CONTRAST, _OTHER_LEVEL = 1.5, 1.5
# Lobes of the windowed sinc that resamples: passes 95 % up to 0.4 cycles/px of the coarser pixels.
_LOBES = 5


def to_model_pixels(
    images: Any, model: RVAE, size: float | None, unit: str | None
) -> tuple[Any, float]:
    """Sub-images on the pixels and the window of a model.

    Parameters
    ----------
    images : numpy.ndarray or dask.array.Array, shape (n, w, w) or (n, n_detectors, w, w)
    model : RVAE
    size : float or None
        Pixel size of the sub-images; None if it is not known.
    unit : str or None
        Its unit.

    Returns
    -------
    images : numpy.ndarray or dask.array.Array, shape (n, window_size_, window_size_)
        As given if they fit already or a pixel size is not known.
    step : float
        Pixel size of the sub-images given, in px of the model.

    Raises
    ------
    ValueError
        If the windows are too small, or the two units do not compare.
    """
    own, wanted = images.shape[-1], model.window_size_
    known, known_unit = (getattr(model, f"pixel_{name}_", None) for name in ("size", "units"))
    if size is None or known is None:
        whose = "the sub-images" if size is None else "the model"
        _logger.info("The pixel size of %s is not known: windows are compared in px.", whose)
        return images, 1.0
    step = size / known * _unit_ratio(unit, known_unit)
    if abs(step - 1) < _SAME_PIXEL:
        step = 1.0
    if (own, step) == (wanted, 1.0):
        return images, step
    # Half a pixel on each side may be missing: the model's disk ends before.
    if (own + 1) * step < wanted:
        needed = wanted / step
        raise ModelMismatch(
            f"The windows are {own} px wide with pixels of {size:.4g} {unit}; the model was fitted "
            f"to {wanted} px with pixels of {known:.4g} {known_unit}. Cut windows of "
            f"window_size={int(np.ceil(needed - 0.01))} (px), that is {needed * size:.4g} {unit}."
        )
    highest = model._model.grid.q_max * step
    _logger.log(
        logging.WARNING if highest > 0.5 else logging.INFO,
        "Windows of %d px (%.4g %s each) are resampled to the %d px (%.4g %s each) of the model.%s",
        own, size, unit, wanted, known, known_unit,
        " Their pixels are too coarse for the details that the model knows." * (highest > 0.5),
    )  # fmt: skip
    matrix = resampling_matrix(wanted, own, 1 / step)
    return of_images(lambda block: matrix @ block @ matrix.T, images, wanted), step


def _unit_ratio(unit: str | None, other: str | None) -> float:
    """Size of one unit of length in another."""
    ratio = _units.length_ratio(unit, other)
    if ratio is not None:
        return ratio
    raise ModelMismatch(
        f"The pixels of the sub-images are measured in {unit!r}, those of the model in {other!r}: "
        "give the axes of the stack the model's unit."
    )


def resampling_matrix(n_out: int, n_in: int, step: float) -> np.ndarray:
    """
    Linear map from one row of pixels to another about the same middle.

    A sinc under a Lanczos window, as wide as the coarser of both pixels: what finer pixels show
    beyond the frequencies of coarser ones is smoothed away first. Rows are mirrored at their ends.

    Parameters
    ----------
    n_out, n_in : int
    step : float
        Size of a pixel of the result, in px of what is given.

    Returns
    -------
    numpy.ndarray of float32, shape (n_out, n_in)

    Examples
    --------
    >>> resampling_matrix(2, 4, 1.0) @ np.array([5.0, 6.0, 7.0, 8.0], dtype=np.float32)
    array([6., 7.], dtype=float32)
    """
    wide = max(step, 1.0)
    reach = int(np.ceil(_LOBES * wide)) + 1
    at = (np.arange(n_out) - (n_out - 1) / 2) * step + (n_in - 1) / 2
    source = np.rint(at).astype(int)[:, None] + np.arange(-reach, reach + 1)
    distance = (at[:, None] - source) / wide
    weight = np.sinc(distance) * np.sinc(distance / _LOBES) * (np.abs(distance) < _LOBES)
    weight /= weight.sum(1, keepdims=True)
    period = 2 * max(n_in - 1, 1)
    source = np.abs((source + n_in - 1) % period - (n_in - 1))
    matrix = np.zeros((n_out, n_in))
    np.add.at(matrix, (np.arange(n_out)[:, None], source), weight)
    return matrix.astype(np.float32)


def model_intensities(images: Any, model: RVAE, rescale: bool) -> tuple[float, float]:
    """Gain and offset that make the model's intensities those of the sub-images.

    Without `rescale` they are 1 and 0, and intensities that differ are warned of.
    """
    from hs_rvae.rvae.batches import spread_rows
    from hs_rvae.rvae.choose_grid import intensity_scale

    if images.ndim == 4:
        if rescale:
            raise ModelMismatch(
                "rescale_intensity=True takes one detector: bring the images of all of them to the "
                "intensities of those that the model was fitted to, before the stack is cut."
            )
        for k in range(model.n_detectors_):
            model_intensities(images[:, k], model.of_detector(k), False)
        return 1.0, 0.0
    sample = images[spread_rows(np.arange(len(images)), _SAMPLE)]
    sample = np.asarray(sample.compute() if hasattr(sample, "dask") else sample, np.float32)
    sample = sample[np.isfinite(sample).all((1, 2))]
    known_level, known_scale = model._model.level, model._model.scale
    try:
        level, scale = intensity_scale(sample)
    except ValueError:
        if rescale:
            raise
        return 1.0, 0.0
    gain = scale / known_scale
    if rescale:
        offset = level - gain * known_level
        _logger.info("Intensities rescaled: these = %.4g x the model's + %.4g.", gain, offset)
        return gain, offset
    level_off = abs(level - known_level) / known_scale
    if not 1 / _OTHER_CONTRAST < gain < _OTHER_CONTRAST or level_off > _OTHER_LEVEL:
        _logger.warning(
            "The sub-images have level %.4g and contrast %.4g, those that the model was fitted to "
            "%.4g and %.4g: its latents and errors hold for one intensity scale. If only gain or "
            "dose differ, apply_rvae(..., rescale_intensity=True).",
            level, scale, known_level, known_scale,
        )  # fmt: skip
    return 1.0, 0.0


def of_images(
    function: Callable[[np.ndarray], np.ndarray], images: Any, size: int | None = None
) -> Any:
    """Dask array of `function` applied to blocks of sub-images, float32 both ways."""
    own = images.shape[-1]
    if images.ndim == 4:
        flat = of_images(function, images.reshape(-1, own, own), size)
        return flat.reshape(*images.shape[:2], *flat.shape[1:])
    blocks = images.chunks[0] if hasattr(images, "dask") else blocks_of(len(images), own)
    return by_block(
        lambda block: function(np.asarray(block, np.float32)).astype(np.float32),
        [images],
        blocks,
        own if size is None else size,
        "rvae-input",
    )
