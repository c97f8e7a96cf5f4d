# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an image before columns are searched or windows are cut: one image, 2-D, real."""

from __future__ import annotations

from typing import Any

import numpy as np

from hs_rvae.masked_arrays import filled
from hs_rvae.sites import units as _units


def image_data(image: Any) -> Any:
    """
    Pixels of one 2-D image of real numbers.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)
        Eager or lazy; a lazy one is not computed.

    Returns
    -------
    numpy.ndarray or dask.array.Array of shape (rows, columns)
        Not a copy, except of a masked array, whose masked pixels are NaN.

    Raises
    ------
    TypeError
        If it is neither a signal nor an array, or its values are not real numbers.
    ValueError
        If it is not one two-dimensional image.

    Examples
    --------
    >>> import numpy as np
    >>> image_data(np.zeros((3, 4), np.uint8)).shape
    (3, 4)
    """
    axes = getattr(image, "axes_manager", None)
    data = image if axes is None else image.data
    if isinstance(image, list | tuple) and any(hasattr(each, "axes_manager") for each in image):
        raise TypeError(
            f"image is a {type(image).__name__} of {len(image)} signals, as hyperspy.api.load "
            "gives for a file with several of them: pass one, for example image[0]."
        )
    if not (hasattr(data, "dtype") and hasattr(data, "ndim")):
        raise TypeError(
            f"image is a {type(image).__name__}: pass a HyperSpy signal, for example from "
            "hyperspy.api.load, or a 2-D array."
        )
    if axes is not None and axes.signal_dimension == 2 and axes.navigation_dimension:
        raise ValueError(
            f"image has navigation axes {axes.navigation_shape}: pass a single image, for "
            "example image.inav[0] or image.mean(), or a series with one navigation axis."
        )
    if data.ndim != 2:
        raise ValueError(f"image has {data.ndim} dimension(s): pass one 2-D image.")
    if axes is not None and axes.signal_dimension != 2:
        raise ValueError(
            f"image has {axes.signal_dimension} signal dimension(s): pass a 2-D image; "
            "as_signal2D or transpose makes one from a signal with other axes."
        )
    if data.dtype.kind == "c":
        raise TypeError(
            f"image is complex ({data.dtype}): take its real part, amplitude or phase first."
        )
    if data.dtype.names:
        kind = data.dtype[0].name
        raise TypeError(
            f"image is a colour picture ({', '.join(data.dtype.names)}). To make it grey: "
            f"image.change_dtype('{kind}'); image = image.mean('RGB index').as_signal2D((0, 1))"
        )
    if data.dtype.kind not in "iufb":
        raise TypeError(f"image has the dtype {data.dtype}: convert it to real numbers first.")
    return filled(data)


def is_series(image: Any) -> bool:
    """Return True for a signal of images along one navigation axis."""
    axes = getattr(image, "axes_manager", None)
    return axes is not None and (axes.signal_dimension, axes.navigation_dimension) == (2, 1)


def calibration(image: Any) -> tuple[tuple[float, float], str]:
    """
    Size of the image's pixels.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)

    Returns
    -------
    scale : tuple of float
        Size (x, y) of a pixel; 1 for an array.
    units : str
        Unit of both axes, spelled as that of x; "" without calibration.

    Raises
    ------
    ValueError
        If an axis is not uniform, has a scale that measures nothing, or another unit than the
        other one.

    Examples
    --------
    >>> import numpy as np
    >>> calibration(np.zeros((3, 4)))
    ((1.0, 1.0), '')
    """
    axes_manager = getattr(image, "axes_manager", None)
    if axes_manager is None:
        return (1.0, 1.0), ""
    axes = axes_manager.signal_axes
    if not all(axis.is_uniform for axis in axes):
        raise ValueError("image has a non-uniform axis: interpolate_on_axis makes it uniform.")
    for axis in axes:
        if not 0 < abs(axis.scale) < np.inf:
            raise ValueError(
                f"image has axes with the scales {axes[0].scale:g} and {axes[1].scale:g}, in "
                "which nothing can be measured. Set those of image.axes_manager.signal_axes, or "
                "to count pixels: for axis in image.axes_manager.signal_axes: axis.scale, "
                "axis.units = 1, ''"
            )
    x, y = (_units.text(axis.units) for axis in axes)
    ratio = _units.length_ratio(y, x)
    if ratio != 1:
        both = "image.axes_manager.signal_axes"
        known, place = (x, 1) if x else (y, 0)
        remedy = f"If both scales are in {known}, set {both}[{place}].units = {known!r}."
        if ratio is not None:
            values = ", ".join(f"{each * ratio:.12g}" for each in (axes[1].scale, axes[1].offset))
            remedy = f"Convert y: y = {both}[1]; y.scale, y.offset, y.units = {values}, {x!r}."
        elif x and y:
            remedy = f"Set scale and units of both {both}."
        raise ValueError(
            f"image has axes with different units: {axes[0].scale:g} {x or '(none)'} along x, "
            f"{axes[1].scale:g} {y or '(none)'} along y. {remedy}"
        )
    return (float(axes[0].scale), float(axes[1].scale)), x
