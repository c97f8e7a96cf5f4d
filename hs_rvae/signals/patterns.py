# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diffraction patterns of sites as the sub-images of a stack.

The square root of counts has the same noise everywhere. The sites share one window about the centre
of the bright disk, so that the patterns can turn about it.

A scan has whole pixels, so the probe stands a little off the place that was asked for. A pattern
changes with that as it does with a displacement of the columns, even in a crystal without any. The
offset is known, and its linear effect on the patterns is fitted and taken out.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import psutil
from hyperspy.signal import BaseSignal

from hs_rvae.checks import finite_number, is_whole_number
from hs_rvae.columns.distortion import STRETCH
from hs_rvae.masked_arrays import filled
from hs_rvae.options import MINIMUM_WINDOW
from hs_rvae.signals import cutting as _cutting
from hs_rvae.signals.regional import OFFSET_NODE
from hs_rvae.sites import SiteTable

_logger = logging.getLogger(__name__)

#: How the patterns were made sub-images.
PATTERNS_NODE = "Sub_images.patterns"
_ROTATION = "Acquisition_instrument.TEM.scan_rotation"
# Columns of the image's windows: the detector is not stretched as the scan is.
_OF_WINDOWS = ("offset_x", "offset_y", *STRETCH)
_SMALL = 0.02  # of the free memory: lazy patterns up to this size are computed
_BRIGHTEST = 0.001  # share of the detector whose mean counts as the height of the bright disk
_MARGIN, _MORE = 1.2, 0.5  # of the radius of the model's disk beyond the bright disk, px
_MINIMUM_SITES = 20  # that show the effect of the probe's offset
_STEADY = 0.02  # standard deviation of offsets in scan px that have no effect


@dataclass(frozen=True)
class BrightDisk:
    """Centre ``(x, y)`` and radius of the bright disk, in px of the detector."""

    centre: tuple[float, float]
    radius: float


def find_disk(mean: np.ndarray) -> BrightDisk:
    """
    Find the bright disk in a mean pattern by its rim.

    A deflection of the electrons moves the centre of mass, and leaves the rim. So the centre is
    that of the area within the rim. At the rim, the area hardly depends on the threshold.

    Parameters
    ----------
    mean : numpy.ndarray of shape (rows, columns)
        Mean counts.

    Returns
    -------
    BrightDisk

    Raises
    ------
    ValueError
        If there are no counts.
    """
    count = max(int(round(_BRIGHTEST * mean.size)), 1)
    height = float(np.sort(mean, axis=None)[-count:].mean())
    if not height > 0:
        raise ValueError("patterns hold no counts: there is no bright disk.")
    thresholds = np.linspace(0.08, 0.8, 37)
    radii = np.sqrt([(mean > t * height).sum() / np.pi for t in thresholds])
    change = np.abs(np.gradient(radii))
    change = np.convolve(change, np.ones(5) / 5, mode="same")
    level = thresholds[2:-2][change[2:-2].argmin()] * height
    # A rim one pixel wide, so that the centre is better than one.
    area = np.clip((mean - 0.5 * level) / (0.5 * level), 0, 1)
    y, x = np.indices(mean.shape)
    total = area.sum()
    centre = float((x * area).sum() / total), float((y * area).sum() / total)
    return BrightDisk(centre, float(np.sqrt(total / np.pi)))


@dataclass(frozen=True)
class _Window:
    """Pixels of the detector that are kept, and the centre in them."""

    first: tuple[int, int]  # x, y
    size: int
    offset: tuple[float, float]

    def of(self, data: Any) -> Any:
        x, y = self.first
        return data[:, y : y + self.size, x : x + self.size]


def stack_parts(
    patterns: Any, columns: Any, centre: Any, radius: Any, scan_rotation: Any, flip: Any
) -> tuple[Any, list[dict[str, Any]], dict[str, Any], SiteTable]:
    """
    Sub-images, axes, metadata and site table, as ``SubImageStack.from_site_signals`` has them.

    Parameters
    ----------
    patterns, columns, centre, radius, scan_rotation, flip
        As there.

    Returns
    -------
    data : numpy.ndarray or dask.array.Array of shape (n, w, w)
    axes : list of dict
    metadata : dict
    table : SiteTable
    """
    if not isinstance(flip, bool | np.bool_):
        raise ValueError(f"flip={flip!r}: give True or False.")
    _check_patterns(patterns)
    values, like = _site_columns(columns, len(patterns.data))
    rotation = _rotation(patterns, scan_rotation)
    data, offset = filled(patterns.data), _probe_offset(patterns)
    if hasattr(data, "dask") and data.nbytes <= _SMALL * psutil.virtual_memory().available:
        data = data.compute()
    rows = _usable(data, offset)
    data, offset = data[rows], None if offset is None else offset[rows]
    mean = np.asarray(data.mean(axis=0), float)
    disk = find_disk(mean)
    window = _window(mean.shape, disk, centre, radius, patterns)
    images = _square_root(window.of(data))
    images = _without_offset(images, offset)
    moved = np.array(window.offset)
    if flip:
        images, moved = images[:, ::-1], moved * (1, -1)
    table = _table(values, like, rows, moved)
    axes = _axes(patterns, len(rows), window)
    where = [a + b for a, b in zip(window.first, _inside(window), strict=True)]
    found = {
        "scan_rotation": rotation,
        "flip": bool(flip),
        "centre": where,
        "radius": disk.radius,
    }
    _logger.info(
        "Patterns of %d sites: windows of %d px about (%.2f, %.2f) px of the detector, the radius "
        "of the bright disk is %.1f px, the scan rotation %.1f degrees.",
        len(rows), window.size, where[0], where[1], disk.radius, rotation,
    )  # fmt: skip
    return images, axes, _metadata(patterns, window.size, found), table


def _check_patterns(patterns: Any) -> None:
    """Refuse all signals but those with one pattern per site."""
    if not isinstance(patterns, BaseSignal):
        raise TypeError(
            f"patterns is a {type(patterns).__name__}: give the signal that "
            "stack.get_site_signals(data) makes of 4D-STEM data."
        )
    if hasattr(patterns, "sites"):
        raise TypeError("patterns is a stack of sub-images already.")
    axes = patterns.axes_manager
    if axes.signal_dimension != 2 or axes.navigation_dimension != 1:
        shapes = (", ".join(map(str, each)) for each in (axes.navigation_shape, axes.signal_shape))
        raise ValueError(
            f"patterns has the shape ({'|'.join(shapes)}); (site | kx, ky) is expected: "
            "stack.get_site_signals(patterns) makes it of 4D-STEM data."
        )
    if patterns.data.dtype.kind not in "fiub":
        raise TypeError(f"patterns has dtype {patterns.data.dtype}; real numbers are expected.")


def _site_columns(columns: Any, n: int) -> tuple[dict[str, Any], Any]:
    """Columns of the sites with their positions, and the units, writers and calibration."""
    _, units, writers = _cutting.given_columns(columns)
    like = columns if isinstance(columns, SiteTable) else None
    if like is not None:
        kept = {name: like[name] for name in like.columns}
    else:
        kept = dict(columns if columns is not None else {})
    if not {"x", "y"} <= set(kept):
        raise ValueError(
            "columns needs x and y, the positions of the sites: give the table of the stack that "
            "made the patterns, columns=stack.sites."
        )
    for name, values in kept.items():
        if np.shape(values) != (n,):
            raise ValueError(
                f"columns[{name!r}] has the shape {np.shape(values)} for {n} patterns: give the "
                "table of the stack that made them."
            )
    own = {name: np.asarray(filled(one)) for name, one in kept.items() if name not in _OF_WINDOWS}
    return own, (units, writers, like)


def _rotation(patterns: Any, scan_rotation: Any) -> float:
    """Rotation of the scan in degrees; from the metadata if None."""
    if scan_rotation is None:
        known = patterns.metadata.get_item(_ROTATION)
        if finite_number(known):
            return float(known)
        _logger.info(
            "No scan rotation is given, nor in metadata.%s: it is taken as 0, so that angles are "
            "directions on the detector.",
            _ROTATION,
        )
        return 0.0
    if not finite_number(scan_rotation):
        raise ValueError(f"scan_rotation={scan_rotation!r}: give a number of degrees.")
    return float(scan_rotation)


def _probe_offset(patterns: Any) -> np.ndarray | None:
    """Offsets (n, 2) of the probe from the places asked for; None if they are not known."""
    offset = patterns.metadata.get_item(OFFSET_NODE)
    if offset is not None and np.shape(offset) == (len(patterns.data), 2):
        return np.asarray(offset, float)
    _logger.warning(
        "The patterns do not have the places of the probe (metadata.%s, which get_site_signals "
        "writes) for each site. A probe that is off the centre of a cell changes the pattern as a "
        "displacement does, so the angles may be those of the scan.",
        OFFSET_NODE,
    )
    return None


def _usable(data: Any, offset: np.ndarray | None) -> np.ndarray:
    """Sites that have a pattern; the others are counted in the log."""
    if offset is not None:
        good = np.isfinite(offset).all(axis=1)
        if not hasattr(data, "dask"):
            good &= np.isfinite(data).all(axis=(1, 2))
    else:
        good = np.asarray(np.isfinite(data).all(axis=(1, 2)))
    if not good.any():
        raise ValueError("patterns: none is finite.")
    if not good.all():
        _logger.info("%d of %d sites have no pattern and are left out.", (~good).sum(), len(good))
    return np.flatnonzero(good)


def _window(
    shape: tuple[int, ...], disk: BrightDisk, centre: Any, radius: Any, patterns: Any
) -> _Window:
    """Window about the centre that holds the model's disk."""
    given = disk.centre if centre is None else centre
    if np.shape(given) != (2,) or not all(finite_number(each) for each in given):
        raise ValueError(f"centre={centre!r}: give (x, y) in pixels of the detector, or None.")
    where = np.array(given, float)
    middle = np.floor(where + 0.5).astype(int)
    limits = np.array(shape[::-1]) - 1
    room = int(np.minimum(middle, limits - middle).min())
    if room < MINIMUM_WINDOW // 2:
        raise ValueError(
            f"centre=({where[0]:.1f}, {where[1]:.1f}): it must lie inside the detector of "
            f"{shape[1]} x {shape[0]} px, {MINIMUM_WINDOW // 2} px from its border at least."
        )
    if radius is None:
        half = min(_half(_MARGIN * disk.radius + _MORE), room)
    else:
        in_pixels = is_whole_number(radius)
        if not in_pixels and not (finite_number(radius, 0) and radius > 0):
            raise ValueError(
                f"radius={radius!r}: give a positive whole number of pixels of the detector, a "
                "positive float in units of its axes, or None."
            )
        scale = abs(patterns.axes_manager.signal_axes[0].scale)
        wanted = float(radius) if in_pixels else float(radius) / scale
        half = _half(wanted) if wanted <= room else math.ceil(wanted)
        if half > room:
            raise ValueError(
                f"radius={radius!r} needs a window of {2 * half + 1} px about the centre, which "
                f"leaves the detector of {shape[1]} x {shape[0]} px: give a smaller one."
            )
    half = max(half, MINIMUM_WINDOW // 2)
    first = middle - half
    offset = where - middle
    return _Window(
        (int(first[0]), int(first[1])), 2 * half + 1, (float(offset[0]), float(offset[1]))
    )


def _half(radius: float) -> int:
    """Half the width of the window whose soft disk has a radius in px."""
    half = math.ceil(radius)
    while half + 0.5 - 1.5 * max(0.6, 0.025 * (2 * half + 1)) < radius:
        half += 1
    return half


def _inside(window: _Window) -> list[float]:
    """Centre (x, y) in pixels of the window."""
    return [(window.size - 1) / 2 + part for part in window.offset]


def _square_root(data: Any) -> Any:
    """Square root of counts as float32."""
    return np.sqrt(data.astype(np.float32).clip(0, None))


def _without_offset(images: Any, offset: np.ndarray | None) -> Any:
    """Patterns less their linear change with the offset of the probe."""
    if offset is None or len(offset) < _MINIMUM_SITES or (offset.std(axis=0) < _STEADY).all():
        return images
    inverse = np.linalg.pinv(offset - offset.mean(axis=0), rcond=0.05).astype(np.float32)
    flat = images.reshape(len(images), -1)
    slopes = np.asarray(inverse @ flat).reshape(2, *images.shape[1:])
    if not hasattr(images, "dask"):
        return images - np.einsum("nk,kyx->nyx", offset.astype(np.float32), slopes)
    chunked = da.from_array(offset.astype(np.float32), chunks=(images.chunks[0], 2))
    return images - sum(chunked[:, k, None, None] * slopes[k] for k in range(2))


def _table(
    values: dict[str, np.ndarray], like: Any, rows: np.ndarray, offset: np.ndarray
) -> SiteTable:
    """Site table of the patterns that are left."""
    units, writers, source = like
    index = values.pop("site_index", np.arange(len(next(iter(values.values())))))
    own: dict[str, Any] = {"site_index": np.asarray(index, int)[rows]}
    own |= {name: values.pop(name)[rows] for name in ("x", "y")}
    own |= {name: np.full(len(rows), each) for name, each in zip(
        ("offset_x", "offset_y"), offset, strict=True)}  # fmt: skip
    calibration = {}
    if source is not None:
        names = ("pixel_size", "pixel_units", "pixel_offset")
        calibration = {name: getattr(source, name) for name in names}
    table = SiteTable.from_columns(
        own | {name: column[rows] for name, column in values.items()},
        units=units | dict.fromkeys(_cutting.OWN_COLUMNS[1:], "px"),
        **calibration,
    )
    known = {name: writer for name, writer in writers.items() if name in values}
    table.claim(known | dict.fromkeys(_cutting.OWN_COLUMNS, "from_positions"))
    return table


def _axes(patterns: Any, count: int, window: _Window) -> list[dict[str, Any]]:
    """Axes of the stack: sites, then those of the detector with the centre at zero."""
    axes: list[dict[str, Any]] = [{"name": "site", "size": count, "navigate": True}]
    for axis, part in zip(
        reversed(patterns.axes_manager.signal_axes), reversed(_inside(window)), strict=True
    ):
        axes.append(
            {
                "name": axis.name if isinstance(axis.name, str) else "",
                "units": axis.units,
                "scale": axis.scale,
                "offset": -part * axis.scale,
                "size": window.size,
                "navigate": False,
            }
        )
    for axis, name in zip(axes[1:], ("ky", "kx"), strict=True):
        axis["name"] = axis["name"] or name
    return axes


def _metadata(patterns: Any, size: int, found: dict[str, Any]) -> dict[str, Any]:
    """Metadata that the stack keeps from the patterns, and the settings of the windows."""
    title = patterns.metadata.get_item("General.title", "")
    quantity = patterns.metadata.get_item("Signal.quantity", "counts")
    metadata: dict[str, Any] = {
        "General": {"title": f"Patterns of {title}" if title else "Patterns"},
        "Signal": {"quantity": f"square root of {quantity}"},
        "Sub_images": {
            "window_size": size,
            "centring": "nearest",
            "edge": "drop",
            "image_title": title,
            "patterns": found,
        },
    }
    for node in ("Acquisition_instrument", "Sample", "Diffraction"):
        if patterns.metadata.has_item(node):
            metadata[node] = patterns.metadata[node].deepcopy().as_dictionary()
    return metadata
