# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Selection of sites by a mask, by numbers or by a region of interest."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperspy.roi import BaseROI, CircleROI, PolygonROI, RectangularROI
from numpy.typing import NDArray

from hs_rvae.checks import is_whole_number
from hs_rvae.masked_arrays import refuse_masked
from hs_rvae.signals.cutting import pixel_offset


def site_indices(selection: Any, count: int) -> NDArray[np.intp]:
    """
    Site numbers chosen by a mask or by indices.

    Parameters
    ----------
    selection : array-like
        Boolean mask of length `count`, or integers (negative ones count from the end).
        HyperSpy signals are accepted.
    count : int
        Number of sites.

    Returns
    -------
    numpy.ndarray of int

    Raises
    ------
    TypeError, ValueError, IndexError
        If it is neither, has another length, names sites that do not exist, or is empty.
    """
    values = selection.data if hasattr(selection, "axes_manager") else selection
    refuse_masked(sites=values)
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(
            f"sites has the shape {values.shape}: pass a mask with one value per site, or a list "
            "of site numbers."
        )
    if values.dtype.kind == "b":
        if len(values) != count:
            raise ValueError(
                f"sites is a mask of {len(values)} values for {count} sites: give one for each."
            )
        chosen = np.flatnonzero(values)
    elif values.size and values.dtype.kind in "iu":
        values = values.astype(np.int64)
        wrong = (values < -count) | (values >= count)
        if wrong.any():
            raise IndexError(f"sites names site {values[wrong][0]}, but there are {count} sites.")
        chosen = values % count
    elif values.size:
        raise TypeError(
            f"sites has the dtype {values.dtype}: pass a boolean mask, integers, or a HyperSpy "
            "ROI in coordinates of the image."
        )
    else:
        chosen = values
    if not len(chosen):
        raise ValueError("sites chooses no site: a stack needs at least one.")
    return chosen


def crop_limits(
    axis: Any, start: float | None, end: float | None, names: tuple[str, str] = ("start", "end")
) -> tuple[Any, Any]:
    """
    Limits of a crop as indices, unless they lie beside the axis or leave nothing of it.

    Parameters
    ----------
    axis : hyperspy.axes.BaseDataAxis
    start, end : int, float or None
        int: index; float: value on the axis.
    names : tuple of str
        Arguments that hold the limits.

    Returns
    -------
    start, end : int or None

    Raises
    ------
    ValueError
        Names the limit.
    """
    index: list[Any] = []
    for name, value in zip(names, (start, end), strict=True):
        try:
            given = value is None or is_whole_number(value, -np.inf)
            index.append(value if given else axis.value2index(float(value)))  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(
                f"{name}={value!r}: give a value from {axis.low_value:g} to {axis.high_value:g} on "
                f"the axis {axis.name}, or a whole number of pixels or sites."
            ) from error
    if not range(axis.size)[slice(*index)]:
        raise ValueError(
            f"{names[0]}={start!r}, {names[1]}={end!r}: nothing is left of the axis "
            f"{axis.name}, whose size is {axis.size}."
        )
    for name, value in zip(names, index, strict=True):
        if value is not None and value < -axis.size:
            raise ValueError(f"{name}={value}: give at least {-axis.size} on the axis {axis.name}.")
    return index[0], index[1] if index[1] is None else min(index[1], axis.size)


def is_roi(selection: Any) -> bool:
    """Return True for a region of interest of HyperSpy."""
    return isinstance(selection, BaseROI)


def sites_in_roi(roi: BaseROI, table: Any, image: Any) -> NDArray[np.bool_]:
    """
    Mask of the sites inside a region of interest on their image.

    Parameters
    ----------
    roi : hyperspy.roi.BaseROI
        In coordinates of the image.
    table : SiteTable or None
    image : hyperspy.signals.Signal2D, list or None
        Image of the sites, or one for each number in the column ``image``. If None, the offset
        that the table kept.

    Returns
    -------
    numpy.ndarray of bool

    Raises
    ------
    ValueError
        If there is no table, or the sites are of several images.
    """
    if table is None:
        raise ValueError(
            "A ROI needs the site table, which this stack lacks: make it with "
            "SubImageStack.from_positions, or choose sites by a mask or numbers."
        )
    if "image" in table:
        number = np.unique(table["image"])
        if len(number) > 1:
            raise ValueError(
                f"The stack joins {len(number)} images: choose one before a ROI on it, for "
                "example select_sites(stack.sites['image'] == 0)."
            )
        image = image[number[0]] if isinstance(image, list) else image
    offset = table.pixel_offset if image is None else pixel_offset(image)
    return inside_roi(roi, table.xy * table.pixel_size + np.array(offset))


def inside_roi(roi: BaseROI, xy: NDArray[Any]) -> NDArray[np.bool_]:
    """
    Mask of the points inside a region of interest.

    Parameters
    ----------
    roi : RectangularROI, CircleROI or PolygonROI
        In calibrated coordinates of the image.
    xy : numpy.ndarray of shape (n, 2)
        Points in the same coordinates.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        Left and top edges belong to a rectangle, right and bottom edges do not.
    """
    if isinstance(roi, RectangularROI | CircleROI | PolygonROI) and not roi.is_valid():
        raise ValueError(
            f"The {type(roi).__name__} has no defined region yet: give its coordinates, or draw it."
        )
    x, y = xy.T
    if isinstance(roi, RectangularROI):
        return (x >= roi.left) & (x < roi.right) & (y >= roi.top) & (y < roi.bottom)
    if isinstance(roi, CircleROI):
        distance = np.hypot(x - roi.cx, y - roi.cy)
        return (distance <= roi.r) & (distance >= roi.r_inner)
    if isinstance(roi, PolygonROI):
        from matplotlib.path import Path

        return Path(roi.vertices).contains_points(xy)
    raise TypeError(
        f"A {type(roi).__name__} does not enclose sites: use a RectangularROI, CircleROI or "
        "PolygonROI."
    )
