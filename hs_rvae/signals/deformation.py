# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deformation modes of the sites of a stack, and their maps."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae import modes as _modes
from hs_rvae.checks import naming
from hs_rvae.neighbours import nearest_neighbour_distance
from hs_rvae.progress import explain_interruption, progress_bar
from hs_rvae.signals.patterns import PATTERNS_NODE
from hs_rvae.sites import columns as _columns
from hs_rvae.sites import units as _units

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal
    from hs_rvae.sites import SiteTable

_logger = logging.getLogger(__name__)

_NODE = "Sub_images.modes"
_WINDOW = 2.7  # distances between sites, of windows that hold the sites' own shell
_SHELL = (0.85, 1.15)  # distances of the neighbours that are taken for the same
_NAMES = ("displacement_x", "displacement_y", "rotation", "strain_xx", "strain_yy", "strain_xy")
_FACTORS = np.array([1, 1, 180 / np.pi, 100, 100, 100])


def measure(
    stack: SiteSignal,
    cage: Any,
    reference: Any,
    overwrite: bool,
    show_progressbar: bool | None,
) -> np.ndarray:
    """Measure the modes of a stack and write their columns; options of ``measure_modes``."""
    sites = stack._sites_to_plot()
    if stack.metadata.has_item(PATTERNS_NODE):
        raise ValueError("The sub-images are diffraction patterns: they show no columns.")
    names = _columns_of_modes()
    sites.check_free(names, "stack.measure_modes", "measure_modes", overwrite)
    with naming("reference"):
        chosen = np.arange(len(sites)) if reference is None else stack._numbers_of(reference)
    shell, distances = _surroundings(cage, sites)
    values = np.full((len(sites), 13), np.nan)
    number = sites["image"] if "image" in sites else np.zeros(len(sites), int)
    with explain_interruption("Measuring was interrupted: nothing has changed."):
        for one in np.unique(number):
            rows = np.flatnonzero(number == one)
            part = stack if len(rows) == len(sites) else stack.select_sites(rows)
            own = np.isin(rows, chosen)
            if not own.any():
                raise ValueError(f"reference selects no site of image {one}: give some of each.")
            found = _measured(part, shell, distances, show_progressbar)
            values[rows] = _in_units(found, own)
    _write(sites, values)
    stack.metadata.set_item(
        _NODE,
        {
            "cage": found.shell.tolist(),
            "reference": "mean" if reference is None else "chosen sites",
            "n_reference": len(chosen),
        },
    )
    return found.shell


def reference_of(stack: SiteSignal) -> str | None:
    """Reference of rotation and strain in the table, as text."""
    note = stack.metadata.get_item(_NODE)
    if note is None:
        return None
    if note.reference == "mean":
        return "mean of the image"
    return f"mean of {note.n_reference:,} chosen sites"


def _columns_of_modes() -> list[str]:
    names = [f"mode_{name}" for name in _NAMES]
    calibrated = [f"{name}_calibrated" for name in names[:2]]
    return [*names, *(f"{name}_std" for name in names), "mode_residual", *calibrated]


def _surroundings(
    cage: Any, sites: SiteTable
) -> tuple[np.ndarray | None, tuple[float, float] | None]:
    """Places of the surrounding columns, or their minimum and maximum distance in px."""
    if not isinstance(cage, str):
        shell = np.asarray(cage, float)
        if shell.ndim != 2 or shell.shape[1] != 2 or not np.isfinite(shell).all():
            raise ValueError(f"cage={cage!r}: give places (x, y) in px, one row for each column.")
        if len(shell) < 3 or not shell.any(axis=1).all():
            raise ValueError(f"cage={cage!r}: give three places or more, none at the site.")
        return shell, None
    if cage not in ("neighbours", "nearest"):
        raise ValueError(f"cage={cage!r}: give 'neighbours', 'nearest', or places (x, y) in px.")
    if cage == "nearest" or "cell_angle" not in sites:
        return None, None
    cells = sites[["cell_a", "cell_b", "cell_angle"]]
    cells = cells[np.isfinite(cells).all(axis=1)]
    if not len(cells):
        return None, None
    a, b, angle = np.median(cells, axis=0)
    diagonals = np.sqrt(a**2 + b**2 + 2 * a * b * np.cos(angle) * np.array([-1.0, 1.0])) / 2
    return None, (_SHELL[0] * float(diagonals.min()), _SHELL[1] * float(diagonals.max()))


def _measured(
    stack: SiteSignal,
    shell: np.ndarray | None,
    distances: tuple[float, float] | None,
    show_progressbar: bool | None,
) -> _modes.DeformationModes:
    """Modes of the sites of one image, from larger windows where those of the stack are small."""

    def measure(stack: SiteSignal) -> _modes.DeformationModes:
        sites = stack.sites
        start = sites[["offset_x", "offset_y"]] if "offset_x" in sites else np.zeros((1, 2))
        nearest = bool(start.any())
        width, height = np.abs(sites.pixel_size)
        return _modes.deformation_modes(
            stack._images(),
            shell,
            positions=None if nearest else sites.xy,
            start=start if nearest else None,
            distances=distances,
            aspect=(1.0, float(height / width)),
            progress=partial(progress_bar, "Measuring modes", show_progressbar),
        )

    try:
        return measure(stack)
    except _modes.SmallWindow as error:
        sites = stack.sites
        size = round(_WINDOW * nearest_neighbour_distance(sites.xy))
        if stack.image is None or size <= stack.data.shape[-1]:
            raise
        _logger.info("%s Windows of %d px are cut for that.", error, size)
        larger = stack.recut(stack.image, size, lazy=True, show_progressbar=False)
        found = measure(larger)
        rows = np.searchsorted(sites["site_index"], larger.sites["site_index"])
        return found.at_rows(rows, len(sites))


def _in_units(found: _modes.DeformationModes, reference: np.ndarray) -> np.ndarray:
    """Modes against the reference, their errors and the residual, in the units of the columns."""
    modes = np.column_stack([found.displacement, found.rotation, found.strain])
    known = modes[reference & np.isfinite(modes).all(axis=1), 2:]
    if not len(known):
        raise ValueError("No site of the reference could be measured.")
    modes[:, 2:] -= known.mean(axis=0)
    return np.column_stack([modes * _FACTORS, found.error * _FACTORS, found.scale])


def _write(sites: SiteTable, values: np.ndarray) -> None:
    """Write the columns."""
    names = _columns_of_modes()
    columns = dict(zip(names, values.T, strict=False))
    factor, unit = _units.length_scale(sites.pixel_units)
    if _units.is_calibrated(sites.pixel_units):
        for name, size in zip(names[:2], sites.pixel_size, strict=True):
            columns[f"{name}_calibrated"] = columns[name] * size * factor
    units = {name: _columns.unit(name, unit) for name in columns}
    sites.set_many(columns, units, writer="measure_modes", remove=names)
