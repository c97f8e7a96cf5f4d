# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks of sites and pixels, as arrays or signals, and the sub-images without masked parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hs_rvae.checks import shown
from hs_rvae.learning import rows as _rows
from hs_rvae.masked_arrays import refuse_masked
from hs_rvae.signals.channels import check_one_detector

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal
    from hs_rvae.sites import SiteTable

#: Flat mask, True = excluded; None for none.
Mask = NDArray[np.bool_] | None


def site_mask(signal: SiteSignal, navigation_mask: Any) -> Mask:
    """Flat mask of sites, True = excluded, or None; arrays in the order of the data."""
    shape = signal.axes_manager._navigation_shape_in_array
    return flat_mask("navigation_mask", navigation_mask, shape, shape, "signal")


def table_mask(sites: SiteTable, navigation_mask: Any) -> Mask:
    """Flat mask of the rows of a site table, True = excluded, or None."""
    shape = (len(sites),)
    return flat_mask("navigation_mask", navigation_mask, shape, shape, "signal")


def pixel_mask(signal: SiteSignal, signal_mask: Any) -> Mask:
    """Flat mask of pixels, True = excluded, or None."""
    shape = signal.axes_manager._signal_shape_in_array
    return flat_mask("signal_mask", signal_mask, shape, shape, "navigation")


def flat_masks(signal: SiteSignal, navigation_mask: Any, signal_mask: Any) -> tuple[Mask, Mask]:
    """Flat masks of sites, in HyperSpy's order of axes, and of pixels; None where there is none."""
    axes = signal.axes_manager
    shapes = axes._navigation_shape_in_array, axes.navigation_shape
    sites = flat_mask("navigation_mask", navigation_mask, *shapes, "signal")
    return sites, pixel_mask(signal, signal_mask)


def masks_for_hyperspy(axes: Any, masks: tuple[Mask, Mask]) -> dict[str, Any]:
    """The same masks as signals, whose orientation HyperSpy cannot mistake."""
    from hyperspy.signals import BaseSignal

    given: dict[str, Any] = {}
    if masks[0] is not None:
        given["navigation_mask"] = BaseSignal(masks[0].reshape(axes._navigation_shape_in_array))
        given["navigation_mask"] = given["navigation_mask"].T
    if masks[1] is not None:
        given["signal_mask"] = BaseSignal(masks[1].reshape(axes._signal_shape_in_array))
    return given


def rows_of(signal: SiteSignal, masks: tuple[Mask, Mask] = (None, None)) -> Any:
    """Sub-images without masked sites and pixels as rows (n, p), of NumPy or dask."""
    check_one_detector(signal)
    keep = [None if mask is None else np.flatnonzero(~mask) for mask in masks]
    data, axes = signal.data, signal.axes_manager
    if hasattr(data, "dask"):
        if axes.navigation_dimension != 1:
            data = signal._data_aligned_with_axes
            data = data.reshape(axes.navigation_size or 1, *axes._signal_shape_in_array)
        return _rows.as_blocks(data, *keep)
    if axes.navigation_dimension > 1 or axes.signal_dimension != data.ndim - 1:
        data = signal._data_aligned_with_axes
    flat = data.reshape(axes.navigation_size or 1, -1)
    flat = flat if keep[0] is None else flat[keep[0]]
    return flat if keep[1] is None else flat[:, keep[1]]


def flat_mask(
    name: str, mask: Any, shape: tuple[int, ...], numpy_shape: tuple[int, ...], other: str
) -> Mask:
    """A mask of the user's as a flat array in the order of the data.

    Parameters
    ----------
    name : str
    mask : array-like, BaseSignal or None
    shape : tuple of int
        Shape of the data.
    numpy_shape : tuple of int
        Expected of an array.
    other : {"signal", "navigation"}
        Axes that a mask given as a signal must not have.
    """
    if mask is None:
        return None
    values = mask
    if hasattr(mask, "axes_manager"):
        wrong = getattr(mask.axes_manager, f"{other}_dimension")
        if wrong:
            raise ValueError(
                f"{name}: the {name.replace('_', ' ')} signal must have the `{other}_dimension` "
                f"equal to 0, not {wrong}: transpose it, for example with {name}.T."
            )
        values, numpy_shape = mask.data, shape
        order = "in the order of the data"
    else:
        order = "True = excluded"
    refuse_masked(**{name: values})
    if hasattr(values, "dask"):
        values = values.compute()
    try:
        values = np.asarray(values)
    except Exception as error:  # whatever an object of the caller's may raise
        raise TypeError(f"{name}={shown(values)}: give an array of True and False.") from error
    if values.shape != tuple(numpy_shape):
        turned = values.shape == tuple(numpy_shape)[::-1] and len(numpy_shape) > 1
        raise ValueError(
            f"{name} has the shape {values.shape}; {tuple(numpy_shape)} is expected ({order})."
            + (" Transpose it: rows come first." if turned else "")
        )
    if values.dtype != bool:
        raise ValueError(f"{name} has the dtype {values.dtype}; bool is expected, True = excluded.")
    if values.ndim > 1 and numpy_shape != shape:
        values = values.T
    return values.ravel()
