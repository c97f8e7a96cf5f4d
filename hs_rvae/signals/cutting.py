# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut an image at positions into the parts of a stack: data, axes, metadata, site table."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import psutil
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal2D

from hs_rvae import lazy_windows as _lazy_windows
from hs_rvae import neighbours as _neighbours
from hs_rvae import parent_image as _parent_image
from hs_rvae import positions as _positions
from hs_rvae import windows as _windows
from hs_rvae.cautions import without_repeats
from hs_rvae.checks import naming
from hs_rvae.columns.distortion import STRETCH, without_stretch
from hs_rvae.columns.shells import Cage, cage_around
from hs_rvae.constant_bands import describe, find_bands, may_have_bands
from hs_rvae.image_files import lattice_groups
from hs_rvae.masked_arrays import filled
from hs_rvae.progress import explain_interruption
from hs_rvae.sites import SiteTable
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units
from hs_rvae.stores import guarded
from hs_rvae.threads import side_by_side
from hs_rvae.wording import count_of

_logger = logging.getLogger(__name__)

#: Columns that every stack has from the start.
# Of the free memory: a lazy image up to this size is kept beside its stack.
_SMALL = 0.02
OWN_COLUMNS = ("site_index", "x", "y", "offset_x", "offset_y")
_FEWEST_ROWS = 64  # at either end, of which the outermost pixels are compared
_OVER_BANDS = "have a window over a constant band"


def parent_image(image: Any) -> Any:
    """
    Check that it is one 2-D image, or a series of them, for windows to be cut from.

    Parameters
    ----------
    image : Signal2D or 2-D array
        An array becomes an uncalibrated signal.

    Returns
    -------
    hyperspy.api.signals.Signal2D
        The image itself; of masked pixels, a copy with NaN. An image in the navigation axes, or
        with a navigation axis of length 1, is brought to the signal axes.

    Raises
    ------
    TypeError
        If it is neither, or its values are not real numbers.
    ValueError
        If it is not one two-dimensional image, or a series, with uniform axes.
    """
    image = _parent_image.as_image(image)
    _parent_image.image_data(image.inav[0] if _parent_image.is_series(image) else image)
    _parent_image.calibration(image)
    data = filled(getattr(image, "data", image))
    if isinstance(image, BaseSignal):
        return image if data is image.data else image._deepcopy_with_new_data(data)
    signal = Signal2D(data)
    return signal.as_lazy() if hasattr(image, "dask") else signal


def kept_in_memory(image: Any) -> Any:
    """A computed copy of a lazy image that is small beside the free memory, else the image."""
    if not image._lazy or _parent_image.is_series(image):
        return image
    if image.data.nbytes > _SMALL * psutil.virtual_memory().available:
        return image
    copy = image.deepcopy()
    copy.compute(show_progressbar=False)
    copy.tmp_parameters = image.tmp_parameters  # where it is saved, now and later
    _logger.info(
        "The lazy image is kept in memory beside the stack (%.2g MB), so that it is read once.",
        image.data.nbytes / 2**20,
    )
    return copy


def cut_stack(
    image: Any,
    positions: list[np.ndarray],
    window_size: int | float | None,
    lazy: bool,
    centring: str,
    columns: list[dict[str, Any]],
    units: dict[str, str],
    progress: Callable[[Any], Any],
) -> tuple[Any, list[dict[str, Any]], dict[str, Any], SiteTable]:
    """
    Cut the windows of all usable positions, and make their site table.

    Parameters
    ----------
    image : Signal2D
        Image from :func:`parent_image`, or a series.
    positions : list of numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels, for each frame.
    window_size : int, float or None
    lazy : bool
    centring : str
    columns : list of dict
        Further columns of all positions, for each frame.
    units : dict
        Units by name.
    progress : callable
        Wraps the blocks of windows cut in memory.

    Returns
    -------
    data : numpy.ndarray or dask.array.Array of shape (m, w, w)
    axes : list of dict
    metadata : dict
    table : SiteTable
        For a series, with the column ``frame``.
    """
    series = _parent_image.is_series(image)
    frames = image.data if series else image.data[None]
    shape = frames.shape[1:]
    for xy, own in zip(positions, columns, strict=True):
        _check_columns(xy, own)
        _positions.check_positions_fit(xy, shape)
    scale = pixel_size(image)
    longest = max(positions, key=len)
    if not len(longest):
        raise ValueError("positions is empty: at least one column position is needed.")
    window_size = _windows.resolve_window_size(window_size, longest, scale)
    _windows.check_window_fits(window_size, shape)
    kept = valid_positions(frames, positions, window_size, centring)
    positions = [xy[rows] for xy, rows in zip(positions, kept, strict=True)]
    with explain_interruption("Cutting sub-images was interrupted: no stack has been made."):
        data = _cut_frames(frames, positions, window_size, centring, lazy, progress)
    offsets = [_windows.window_offsets(xy, window_size, shape, centring) for xy in positions]
    parts = (np.concatenate(kept), *np.concatenate(positions).T, *np.concatenate(offsets).T)
    values: dict[str, Any] = dict(zip(OWN_COLUMNS, parts, strict=True))
    if series:
        values["frame"] = np.repeat(np.arange(len(kept)), [len(rows) for rows in kept])
    for name in dict.fromkeys(name for one in columns for name in one):
        values[name] = _joined_column(name, columns, kept)
    table = SiteTable.from_columns(
        values,
        units=dict.fromkeys(OWN_COLUMNS[1:], "px") | units,
        pixel_size=scale,
        pixel_units=pixel_units(image),
        pixel_offset=pixel_offset(image),
    )
    metadata = _metadata(image, window_size, centring)
    return data, _axes(image, len(table), window_size), metadata, table


def _cut_frames(
    frames: Any,
    positions: list[np.ndarray],
    window_size: int,
    centring: str,
    lazy: bool,
    progress: Callable[[Any], Any],
) -> Any:
    """Windows of all frames, one after another."""
    if lazy:
        frames = guarded(frames)
        return _lazy_windows.cut_frames_lazy(frames, positions, window_size, centring)
    filled = [k for k, xy in enumerate(positions) if len(xy)]
    if len(filled) > 1:
        data = np.empty((sum(map(len, positions)), window_size, window_size), np.float32)
        start = 0
        for k in progress(filled):
            end = start + len(positions[k])
            data[start:end] = _windows.cut_windows(
                np.asarray(frames[k]), positions[k], window_size, centring
            )
            start = end
        return data
    k = filled[0]
    return _windows.cut_windows(
        np.asarray(frames[k]), positions[k], window_size, centring, progress
    )


def _joined_column(name: str, columns: list[dict[str, Any]], kept: list[np.ndarray]) -> np.ndarray:
    """A column of all frames; NaN, or -1 for integers, where a frame does not have it."""
    parts = [np.asarray(filled(one[name]))[rows] if name in one else None
             for one, rows in zip(columns, kept, strict=True)]  # fmt: skip
    whole = all(part.dtype.kind in "iub" for part in parts if part is not None)
    missing = -1 if whole else np.nan
    return np.concatenate(
        [
            np.full(len(rows), missing) if part is None else part
            for part, rows in zip(parts, kept, strict=True)
        ]
    )


def valid_positions(
    frames: Any, positions: list[np.ndarray], window_size: int, centring: str
) -> list[np.ndarray]:
    """Find the positions of each frame that get a window; count the others in the log."""
    counts: Counter[str] = Counter()
    kept, close, found, nothing = [], 0, [], True
    hidden_pixels = _hidden_pixels(frames)

    def check(frame: int) -> tuple[np.ndarray, dict[str, int], int, Any, bool]:
        xy, (hidden, bands) = positions[frame], hidden_pixels(frame)
        masks = {"have a window with non-finite pixels": hidden, _OVER_BANDS: bands and bands.mask}
        valid, reasons = _valid(xy, masks, frames.shape[1:], window_size, centring)
        sites = {reason: int(which.sum()) for reason, which in reasons.items()}
        crowded = int(_neighbours.crowded(xy[valid]).sum())
        empty = hidden is not None and bool(hidden.all())
        return np.flatnonzero(valid), sites, crowded, bands and replace(bands, mask=None), empty

    for rows, sites, crowded, bands, empty in side_by_side(check, range(len(positions))):
        kept.append(rows)
        counts.update(sites)
        close += crowded
        found.append(bands)
        nothing &= empty
    if nothing:
        raise ValueError("image has no finite pixel: all values are NaN or infinite.")
    if text := describe(found):
        _logger.warning("%s %d windows over them are dropped.", text, counts[_OVER_BANDS])
    n_kept = sum(map(len, kept))
    _report(counts, sum(map(len, positions)), n_kept, window_size)
    if close:
        _logger.warning(
            "%d of %d sites are closer to another one than a quarter of the nearest-neighbour "
            "distance: a column was probably found twice. Take one of each pair away, or refine "
            "the positions again.",
            close,
            n_kept,
        )
    return kept


def _hidden_pixels(frames: Any) -> Callable[[int], tuple[Any, Any]]:
    """
    Return a function of the mask of pixels that are not finite, and bands, of a frame, or None.

    A lazy frame is read as a whole only if its outline is constant, or a pixel not finite.
    """
    finite: Any = np.ones(len(frames), bool)
    whole = frames.dtype.kind in "iub"
    sides = _near_the_ends(frames) if whole and hasattr(frames, "dask") else frames
    outlines = frames[:, :1], frames[:, -1:], sides[:, :, :1], sides[:, :, -1:]
    if hasattr(frames, "dask"):
        lazy = finite if whole else np.isfinite(frames).all(axis=(1, 2))
        finite, *outlines = dask.compute(lazy, *outlines)
    elif not whole:
        finite = [np.isfinite(frame).all() for frame in frames]

    def of(k: int) -> tuple[Any, Any]:
        strange = may_have_bands([lines[k] for lines in outlines])
        return (
            None if finite[k] else _windows.nonfinite_pixels(frames[k]),
            find_bands(np.asarray(frames[k])) if strange else None,
        )

    return of


def _near_the_ends(frames: Any) -> Any:
    """Rows of lazy frames in the chunks of the first and of the last row: a band reaches an end."""
    first, last = (max(frames.chunks[1][k], _FEWEST_ROWS) for k in (0, -1))
    if first + last >= frames.shape[1]:
        return frames
    return da.concatenate([frames[:, :first], frames[:, -last:]], axis=1)


def _valid(
    positions: np.ndarray,
    masks: dict[str, Any],
    shape: tuple[int, int],
    window_size: int,
    centring: str,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Mask of the positions that get a window, and masks of the others by reason."""
    reasons = {}
    valid = np.isfinite(positions).all(axis=1)
    reasons["have a non-finite position"] = ~valid
    repeated = valid & _repeated(positions)
    reasons["repeat another position"] = repeated
    valid &= ~repeated
    outside = ~_positions.inside_image(positions, shape)
    reasons["lie outside the image"] = valid & outside
    valid &= ~outside
    inside = _windows.window_is_inside(positions, window_size, shape, centring)
    reasons["have a window that leaves the image"] = valid & ~inside
    valid &= inside
    for reason, hidden in masks.items():
        if hidden is not None:
            touching = valid.copy()
            touching[valid] = _windows.window_touches(
                hidden, positions[valid], window_size, centring
            )
            reasons[reason] = touching
            valid &= ~touching
    return valid, reasons


def _repeated(positions: np.ndarray) -> np.ndarray:
    """Positions that agree with an earlier one to a thousandth of a pixel."""
    _, first = np.unique(np.round(positions, 3), axis=0, return_index=True)
    repeated = np.ones(len(positions), dtype=bool)
    repeated[first] = False
    return repeated


def _report(counts: Counter[str], total: int, kept: int, window_size: int) -> None:
    """Log the numbers of dropped sites with the reasons; warn if it is most of them."""
    dropped = "; ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    if not kept:
        raise ValueError(
            f"positions_xy: None of the {count_of(total, 'position')} gets a window of "
            f"{window_size} pixels: {dropped}. Check them, or choose a smaller window_size."
        )
    if dropped:
        loud = kept < total / 2 or counts["repeat another position"]
        _logger.log(
            logging.WARNING if loud else logging.INFO,
            "%d of %d sites are kept, %d dropped: %s. The column site_index has the original "
            "indices.",
            kept,
            total,
            total - kept,
            dropped,
        )
    if kept == 1:
        _logger.warning("The stack has a single site: models and maps need more.")


def standard_errors(positions: Any) -> np.ndarray | None:
    """Standard errors (n, 2), px, of a sublattice or table with x_std and y_std; or None."""
    if isinstance(positions, Cage):
        return positions.errors
    if _positions.is_sublattice(positions):
        positions = _positions.column_table(positions)
    names = ["x_std", "y_std"]
    if not set(names) <= set(getattr(positions, "columns", ())):
        return None
    return np.asarray(positions[names], dtype=np.float64)


def cage_of(lattice: Any, chosen: Any, cage: Any = None) -> Cage | None:
    """
    The sites of a sublattice against their first shell, where the crystal is known.

    Parameters
    ----------
    lattice : Atom_Lattice
        With a ``crystal``, as :func:`hs_rvae.find_sublattices` gives it; any other has no cage.
    chosen : Sublattice
        One of its sublattices.
    cage : str or list of str, optional
        Sublattices of the neighbours, as :func:`hs_rvae.columns.shells.find_shells` takes them.

    Returns
    -------
    Cage or None

    Raises
    ------
    ValueError
        If `cage` names no sublattice, or is given without a crystal.
    """
    crystal = getattr(lattice, "crystal", None)
    tables = {s.name: _positions.column_table(s) for s in lattice.sublattice_list}
    if crystal is None or any(table is None for table in tables.values()):
        if cage is not None:
            raise ValueError(
                f"cage={cage!r} needs the crystal that find_sublattices finds; this lattice has "
                "none. Pass neighbours= to from_sublattice."
            )
        return None
    found = cage_around(chosen.name, tables, crystal, cage)
    _logger.info(
        "Displacements of %s: against the first shell, of %s.", chosen.name, ", ".join(found.names)
    )
    return found


def neighbour_positions(neighbours: Any, order: str) -> Any:
    """Positions (m, 2) of the neighbours; a cage stays as it is."""
    if isinstance(neighbours, Cage):
        return neighbours
    with naming("neighbours"):
        return _positions.as_positions(neighbours, order)


def stretch_to_take_out(positions: Any) -> np.ndarray | None:
    """Stretch (2, 2) that a search with ``correct_distortion`` left with its columns; or None."""
    if _positions.is_sublattice(positions):
        positions = _positions.column_table(positions)
    stretch = getattr(positions, "attrs", {}).get("distortion")
    return None if stretch is None else np.array(stretch, dtype=np.float64)


def surroundings(
    positions: np.ndarray,
    neighbours: np.ndarray | Cage,
    image: Any,
    errors: np.ndarray | None = None,
    neighbour_errors: np.ndarray | None = None,
    stretch: np.ndarray | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """
    Columns of the arrangement of a site's neighbours: displacement and local cell.

    Parameters
    ----------
    positions : numpy.ndarray of shape (n, 2)
        ``(x, y)`` in pixels.
    neighbours : numpy.ndarray of shape (m, 2) or Cage
        Positions of the other sublattice, or of the same one: a site is not its own neighbour.
        The four nearest count; of a cage, those of the first shell.
    image : Signal2D
        Image with the calibration.
    errors, neighbour_errors : numpy.ndarray of shape (n, 2) and (m, 2), optional
        Standard errors of both, in pixels.
    stretch : numpy.ndarray of shape (2, 2), optional
        Stretch of the image that is taken out of displacements and cells.

    Returns
    -------
    columns : dict of str to numpy.ndarray
        ``displacement_x``, ``displacement_y`` (px), the same with ``_calibrated`` (pm, or the
        unit of the image's axes), ``displacement_std`` (px, per axis; only with both errors),
        ``cell_a``, ``cell_b`` (px) and ``cell_angle`` (rad, from a to b); with a stretch, also
        ``stretch_xx``, ``stretch_xy`` and ``stretch_yy``.
    units : dict of str to str
    """
    if isinstance(neighbours, Cage):
        moved, a, b, count = (neighbours.displacement, neighbours.a, neighbours.b, neighbours.count)
    else:
        moved, count = _neighbours.displacement(positions, neighbours), np.array(4)
        a, b = _neighbours.local_cells(positions, neighbours)
    if stretch is not None:
        moved, a, b = (without_stretch(each, stretch, pixel_size(image)) for each in (moved, a, b))
    factor, length = _units.length_scale(pixel_units(image))
    scaled = moved * np.array(pixel_size(image)) * factor
    turned = np.arctan2(b[:, 1], b[:, 0]) - np.arctan2(a[:, 1], a[:, 0])
    columns = {
        "displacement_x": moved[:, 0],
        "displacement_y": moved[:, 1],
        "displacement_x_calibrated": scaled[:, 0],
        "displacement_y_calibrated": scaled[:, 1],
        "cell_a": np.hypot(*a.T),
        "cell_b": np.hypot(*b.T),
        "cell_angle": np.mod(turned, 2 * np.pi),
    }
    if errors is not None and neighbour_errors is not None:
        # The site minus the mean of its neighbours, whose errors are taken to be alike.
        shared = np.nanmedian(neighbour_errors**2) / np.maximum(count, 1)
        variance = (errors**2).mean(1) + shared
        if stretch is not None:  # a mean over directions
            variance = variance * (np.linalg.inv(stretch) ** 2).sum() / 2
        columns["displacement_std"] = np.where(np.isfinite(moved[:, 0]), variance**0.5, np.nan)
    if stretch is not None:
        parts = (stretch[0, 0], stretch[0, 1], stretch[1, 1])
        columns |= {
            name: np.full(len(positions), part) for name, part in zip(STRETCH, parts, strict=True)
        }
    return columns, {name: _columns.unit(name, length) for name in columns}


def warn_small_window(
    window_size: int, positions: np.ndarray, neighbours: np.ndarray | Cage
) -> None:
    """Warn if the inscribed disk of the window leaves out the nearest neighbours."""
    if isinstance(neighbours, Cage):
        neighbours = neighbours.positions
    distance = _neighbours.nearest_shell_distance(positions, neighbours)
    # The disk of the model is soft: it has fallen to one half at about 0.46 of the window.
    radius = 0.46 * window_size
    if distance > radius:
        _logger.warning(
            "The soft disk inscribed in a window of %d px (radius %.1f px), to which a model is "
            "confined, leaves out the nearest neighbours, %.1f px away: window_size=%d would take "
            "them in.",
            window_size,
            radius,
            distance,
            int(np.ceil(2.4 * distance)),
        )


def pixel_size(image: Any) -> tuple[float, float]:
    """Scales (x, y) of the image's axes."""
    x, y = image.axes_manager.signal_axes
    return float(x.scale), float(y.scale)


def pixel_offset(image: Any) -> tuple[float, float]:
    """Calibrated coordinates (x, y) of the image's first pixel."""
    x, y = image.axes_manager.signal_axes
    return float(x.offset), float(y.offset)


def pixel_units(image: Any) -> str:
    """Units of the image's axes; "px" if they count pixels, "" if only their scale is known."""
    unit = image.axes_manager.signal_axes[0].units
    in_pixels = (isinstance(unit, str) and unit) or pixel_size(image) == (1.0, 1.0)
    return _units.text(unit) or ("px" if in_pixels else "")


def given_columns(columns: Any) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """
    Columns that a user gave, with their units and writers where they come from a site table.

    Parameters
    ----------
    columns : Mapping, pandas.DataFrame, SiteTable or None
        A site table, or what its ``to_dataframe`` made, is taken without the columns that every
        stack has of its own.

    Returns
    -------
    columns, units, writers : dict
    """
    if columns is None:
        return {}, {}, {}
    if isinstance(columns, SiteTable):
        columns = columns.to_dataframe()
    attrs = getattr(columns, "attrs", {})
    if not {"units", "writers"} <= set(attrs):
        return dict(columns), {}, {}
    own = {*OWN_COLUMNS, "frame"}
    kept = {name: columns[name].to_numpy() for name in columns if name not in own}
    units, writers = (
        {name: value for name, value in attrs[key].items() if name in kept}
        for key in ("units", "writers")
    )
    return kept, units, writers


def _check_columns(positions: np.ndarray, columns: dict[str, Any]) -> None:
    """Refuse columns of the stack's own names, and those of another length."""
    for name, values in columns.items():
        if name in (*OWN_COLUMNS, "frame"):
            raise ValueError(f"columns must not contain {name!r}: every stack has its own.")
        if len(values) != len(positions):
            raise ValueError(
                f"columns[{name!r}] has {len(values)} values for {len(positions)} positions."
            )


def _axes(image: Any, count: int, window_size: int) -> list[dict[str, Any]]:
    """Axes of the stack: sites, then the image's own y and x with the column at zero."""
    axes = [{"name": "site", "size": count, "navigate": True}]
    for axis in reversed(image.axes_manager.signal_axes):
        axes.append(
            {
                "name": axis.name if isinstance(axis.name, str) else "",
                "units": image.axes_manager.signal_axes[0].units,
                "scale": axis.scale,
                "offset": -(window_size - 1) / 2 * axis.scale,
                "size": window_size,
                "navigate": False,
            }
        )
    for axis, name in zip(axes[1:], "yx", strict=True):
        axis["name"] = axis["name"] or name
    return axes


def _metadata(image: Any, window_size: int, centring: str) -> dict[str, Any]:
    """Metadata that the stack keeps from the image, and the settings of the windows."""
    title = image.metadata.get_item("General.title", "")
    metadata = {
        "General": {"title": f"Sub-images of {title}" if title else "Sub-images"},
        "Sub_images": {
            "window_size": window_size,
            "centring": centring,
            "edge": "drop",  # windows that leave the image
            "image_title": title,
        },
    }
    quantity = image.metadata.get_item("Signal.quantity")
    if quantity:
        metadata["Signal"] = {"quantity": quantity}
    for node in ("Acquisition_instrument", "Sample", "Diffraction"):
        if image.metadata.has_item(node):
            metadata[node] = image.metadata[node].deepcopy().as_dictionary()
    return metadata


def atom_lattice(lattice: Any) -> Any:
    """
    The lattice itself, or the one in a file that Atomap's ``Atom_Lattice.save`` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a file of a lattice.
    """
    if not isinstance(lattice, str | os.PathLike):
        return lattice
    from atomap.api import load_atom_lattice_from_hdf5

    path = Path(lattice)
    if not path.is_file():
        raise FileNotFoundError(f"lattice={str(path)!r}: there is no such file.")
    try:
        groups = lattice_groups(path)
    except OSError as error:
        raise ValueError(f"lattice={str(path)!r} is damaged ({error}).") from None
    order = [about.get("sublattice_index", i) for i, (_, about) in enumerate(groups)]
    if not order:
        raise ValueError(
            f"lattice={str(path)!r} is not a file of an Atomap lattice: write one with "
            "Atom_Lattice.save. Positions in a text or .npy file are for from_positions."
        )
    # Zone axes are not needed; in a large image they take minutes and gigabytes.
    try:
        loaded = load_atom_lattice_from_hdf5(path, construct_zone_axes=False)
    except Exception as error:  # whatever a foreign file makes Atomap stumble over
        raise ValueError(
            f"lattice={str(path)!r} is not a complete file of an Atomap lattice "
            f"({type(error).__name__}: {error}): write one with Atom_Lattice.save."
        ) from None
    # Atomap 0.4.2 lists three or more sublattices in a wrong order: it takes the order of the
    # groups for its inverse. Undone, then done right.
    inverse = np.argsort(order)
    loaded.sublattice_list = [loaded.sublattice_list[inverse[k]] for k in inverse]
    return loaded


def warnings_of(lattice: Any) -> list[str]:
    """Warnings of the search that found a lattice; none for one of Atomap's own."""
    crystal = getattr(lattice, "crystal", None)
    known = getattr(crystal, "structure", None)
    return without_repeats(
        *(getattr(lattice, "warnings", ()), getattr(crystal, "cautions", ())),
        getattr(known, "cautions", ()),
    )


def image_of_sublattice(sublattice: Any, image: Any) -> Any:
    """Take the named image, or a sublattice's original image with a warning."""
    original: Any = getattr(sublattice, "original_image", None)
    if image is not None:
        if np.ndim(original) == 2 and original.shape != getattr(image, "data", image).shape:
            _logger.warning(
                "The image has the shape %s, the sublattice was found on one of %s: check that "
                "the positions belong to it.",
                getattr(image, "data", image).shape,
                original.shape,
            )
        return image
    if original is None:
        raise ValueError("image is needed: the sublattice holds none. Pass image=.")
    _logger.warning(
        "No image was given: sub-images are cut from the sublattice's original_image, from which "
        "another sublattice may have been subtracted. Pass image= to be sure."
    )
    return _calibrated(original, sublattice)


def image_of_lattice(lattice: Any, sublattice: Any, image: Any) -> Any:
    """Take the named image, or the image of the lattice."""
    if image is not None:
        return image
    if getattr(lattice, "image", None) is None:
        raise ValueError("image is needed: the lattice holds none. Pass image=.")
    _logger.info("No image was given: sub-images are cut from the image of the lattice.")
    return _calibrated(lattice.image, sublattice)


def _calibrated(array: Any, sublattice: Any) -> Signal2D:
    """Turn an array into a signal, with the calibration that is kept with a sublattice."""
    image = Signal2D(np.asarray(array))
    unit = getattr(sublattice, "units", None)
    scale = getattr(sublattice, "pixel_size", None) or 1.0
    # Atomap knows square pixels only; find_sublattices keeps both sizes.
    table = getattr(sublattice, "column_table", None)
    scales = (scale, scale) if table is None else table.attrs.get("pixel_size", (scale, scale))
    for axis, scale in zip(image.axes_manager.signal_axes, scales, strict=True):
        axis.scale = scale
        if _units.is_calibrated(unit):
            axis.units = unit
    return image
