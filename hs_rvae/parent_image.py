# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an image before columns are searched or windows are cut: one image, 2-D, real."""

from __future__ import annotations

from typing import Any

import numpy as np

from hs_rvae.masked_arrays import filled
from hs_rvae.sites import units as _units
from hs_rvae.wording import count_of

_DETECTOR_TYPES = ("virtual_dark_field", "dpc", "beam_shift")
_DETECTOR_AXES = ("detector", "detectors", "virtual dark field")
_VECTOR_AXES = ("beam position", "beam shift")  # their two entries are components


def as_image(image: Any) -> Any:
    """
    Bring an image to the signal axes, as ``(|x, y)``, from where other packages leave it.

    Maps of spectra and patterns lie in the navigation axes, ``(x, y|)``; files of one frame have a
    navigation axis of length 1.

    Parameters
    ----------
    image : object
        Anything; all but such an image is returned as it is.

    Returns
    -------
    object
        Not a copy of the data.

    Raises
    ------
    ValueError
        If a signal has no pixel.

    Examples
    --------
    >>> import hyperspy.api as hs, numpy as np
    >>> as_image(hs.signals.BaseSignal(np.zeros((3, 4))).T).axes_manager.signal_shape
    (4, 3)
    >>> as_image(hs.signals.Signal2D(np.zeros((1, 3, 4)))).data.shape
    (3, 4)
    """
    axes = getattr(image, "axes_manager", None)
    if axes is None:
        return image
    if 0 in image.data.shape:
        raise ValueError(f"image is empty: its shape is {image.data.shape}.")
    dimensions = axes.navigation_dimension, axes.signal_dimension
    if dimensions == (2, 0):
        return image.transpose(signal_axes=2)
    if dimensions == (1, 2) and axes.navigation_size == 1:
        return image.inav[0]
    return image


def are_detectors(image: Any) -> bool:
    """Return True for images of several detectors of one scan, by signal type or name of axis."""
    if not is_series(image):
        return False
    name = image.axes_manager.navigation_axes[0].name
    kind = getattr(image, "_signal_type", "")
    return kind in _DETECTOR_TYPES or str(name).lower() in (*_DETECTOR_AXES, *_VECTOR_AXES)


def refuse_detectors(image: Any) -> None:
    """Refuse images of several detectors where a series or one image is wanted."""
    if not are_detectors(image):
        return
    refuse_vectors(image)
    count = image.axes_manager.navigation_size
    raise ValueError(
        f"image={image!r} holds {count} detectors of one scan, not frames of a series: "
        "take one, image.inav[0], and bring the sites to the others with "
        "stack.recut(image.inav[1]), or cut all of them with channels=True."
    )


def refuse_vectors(image: Any) -> None:
    """Refuse the components of a vector: rotations do not act on one of them."""
    name = str(image.axes_manager.navigation_axes[0].name).lower()
    if getattr(image, "_signal_type", "") in ("dpc", "beam_shift") or name in _VECTOR_AXES:
        raise ValueError(
            f"image={image!r} holds the components of a vector: take get_magnitude_signal() or "
            "phase_retrieval() of the beam shift."
        )


def _axes_of(image: Any) -> str:
    """Axes as HyperSpy prints them: navigation axes, a bar, signal axes."""
    axes = image.axes_manager
    pair = [
        ", ".join(
            f"{axis.name}: {axis.size}" if isinstance(axis.name, str) else str(axis.size)
            for axis in each
        )
        for each in (axes.navigation_axes, axes.signal_axes)
    ]
    return f"({pair[0]} | {pair[1]})"


def _refuse_other_axes(image: Any) -> None:
    """Refuse a signal that is not an image, and name the call that makes one of it."""
    axes = image.axes_manager
    dimensions = axes.navigation_dimension, axes.signal_dimension
    kind = getattr(image, "_signal_type", "")
    if dimensions == (0, 2):
        return
    if dimensions[1] == 2:
        patterns = (
            " Of patterns (x, y | kx, ky), image.get_virtual_image(roi) (pyxem) or "
            "image.sum(axis=(2, 3)).T makes one, and stack.get_site_signals(image) takes them to "
            "sites found elsewhere."
        )
        raise ValueError(
            f"image has navigation axes {axes.navigation_shape}: pass a single image, for example "
            "image.inav[0] or image.mean(), or a series with one navigation axis."
            + (patterns if dimensions[0] == 2 else "")
        )
    if kind in ("beam_shift", "dpc"):
        remedy = (
            "image.get_magnitude_signal() or image.phase_retrieval() makes one of the components "
            "of a vector"
        )
    elif dimensions == (2, 1):
        remedy = (
            "image.isig[a:b].sum(-1).T makes one of a range of the spectrum, image.isig[k].T of "
            "one channel; stack.get_site_signals(image) takes the spectra to sites found elsewhere"
        )
    else:
        remedy = "image.inav[...], image.mean() or image.transpose(signal_axes=[...]) makes one"
    raise ValueError(
        f"image has the axes {_axes_of(image)}, and one 2-D image (| x, y) is wanted: {remedy}."
    )


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
    if not (isinstance(getattr(data, "dtype", None), np.dtype) and hasattr(data, "__array__")):
        raise TypeError(
            f"image is a {type(image).__name__}: pass a HyperSpy signal, for example from "
            "hyperspy.api.load, or a 2-D array."
        )
    if axes is not None:
        _refuse_other_axes(image)
    elif data.ndim != 2:
        raise ValueError(f"image has {count_of(data.ndim, 'dimension')}: pass one 2-D image.")
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
