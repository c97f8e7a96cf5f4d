# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several stacks: put together, or matched site by site."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hs_rvae.checks import checked
from hs_rvae.neighbours import mutual_nearest
from hs_rvae.signals.channels import check_one_detector
from hs_rvae.signals.domain_notes import joined_notes
from hs_rvae.signals.origins import image_notes
from hs_rvae.signals.site_signal import SiteSignal
from hs_rvae.sites import SiteTable
from hs_rvae.sites.units import length_ratio

_logger = logging.getLogger(__name__)

# Marks of "no value" in columns that only some of the stacks have.
_NO_LABEL = -1
# Relative difference up to which pixel sizes count as the same.
_SAME_PIXEL = 1e-3
# Columns that number the images of a joined stack, or of a series.
_STRATA = ("image", "frame")
# Matched sites further apart than this, in px, are probably not the same column.
_SAME_COLUMN = 2.0


def match_stacks(
    stacks: tuple[SiteSignal, SiteSignal], by: str, max_distance: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Rows of two site tables that stand for the same sites.

    Parameters
    ----------
    stacks : tuple of SubImageStack
    by : {"site_index", "position"}
    max_distance : float or None
        As in :meth:`SubImageStack.match_sites`.

    Returns
    -------
    rows, rows_other : numpy.ndarray of int, shape (n_matched,)
    """
    tables = []
    for name, one in zip(("self", "other"), stacks, strict=True):
        if not isinstance(one, SiteSignal):
            raise TypeError(f"{name} is a {type(one).__name__}, not a SubImageStack.")
        if one.sites is None:
            raise ValueError(
                f"{name} has no site table, so its sites cannot be identified: make it with "
                "SubImageStack.from_positions."
            )
        tables.append(one.sites)
    if by not in ("site_index", "position"):
        raise ValueError(f"by={by!r} is unknown: use 'site_index' or 'position'.")
    groups = _groups(*tables)
    if by == "site_index":
        rows, distance = _match_index(tables, groups)
    else:
        rows, distance = _match_position(tables, groups, max_distance)
    if not len(rows[0]):
        raise ValueError(
            f"by={by!r}: the stacks have no site in common. "
            + (
                "Are they cut from the same positions? If not, match by='position'."
                if by == "site_index"
                else f"The nearest pair is {distance:.3g} px apart; max_distance={max_distance:g}."
            )
        )
    _logger.info("%d sites matched, of %d and %d.", len(rows[0]), len(tables[0]), len(tables[1]))
    return rows


@checked
def stack(stacks: Iterable[SiteSignal]) -> SiteSignal:
    """
    Join the sub-images of several images into one stack.

    The integer column ``image`` numbers the images (0, 1, ... in the order given). Columns that
    only some of the stacks have are filled with NaN, integer columns with -1.

    Parameters
    ----------
    stacks : list of SubImageStack
        With the same window size and pixel size. Lengths in other units are converted to that of
        the first stack. Stacks joined before keep their images apart.

    Returns
    -------
    SubImageStack or LazySubImageStack
        Lazy if one of the stacks is. Its ``image`` is the list of the parent images.

    Raises
    ------
    TypeError, ValueError
        If the stacks cannot be joined; the message names the difference.

    Examples
    --------
    >>> import hs_rvae
    >>> films = [
    ...     hs_rvae.SubImageStack.from_positions(np.ones((64, 64)), xy, window_size=16)
    ...     for xy in ([[30.0, 20.0], [12.0, 40.0]], [[25.5, 31.0], [40.0, 16.0]])
    ... ]
    >>> both = stack(films)
    >>> both.sites["image"]
    array([0, 0, 1, 1])
    >>> both.select_sites(both.sites["image"] == 1).sites["x"]
    array([25.5, 40. ])
    """
    if hasattr(stacks, "axes_manager"):
        raise TypeError("stacks is one signal; give a list of SubImageStack.")
    stacks = list(stacks)
    _check_joinable(stacks)
    tables = [one.sites for one in stacks]
    numbers, images = _number_images(stacks, tables)
    columns, units, writers = _joined_columns(tables)
    offsets = _offsets(tables)
    table = SiteTable.from_columns(
        columns | {"image": numbers},
        units=units,
        pixel_size=tables[0].pixel_size,
        pixel_units=tables[0].pixel_units,
        pixel_offset=tuple(offsets[0]) if np.allclose(offsets, offsets[0]) else (0.0, 0.0),
        writers=writers | {"image": "stack"},
    )
    joined = _joined_signal(stacks)
    joined._set_sites(table)
    joined._image = images if any(image is not None for image in images) else None
    fit_ids = {_fit_id(one._rvae_model) for one in stacks}
    joined._rvae_model = stacks[0]._rvae_model if len(fit_ids) == 1 else None
    return joined


def _fit_id(model: Any) -> Any:
    """Identity of the fit of a model; None for none."""
    return None if model is None else getattr(model, "fit_id_", id(model))


def _groups(table: SiteTable, other: SiteTable) -> list[np.ndarray]:
    """Columns (n, k) that must agree in matched sites: image and frame where both have them."""
    names = []
    for name in _STRATA:
        have = [name in one for one in (table, other)]
        if all(have):
            names.append(name)
        elif any(have):
            several = np.unique((table if have[0] else other)[name]).size
            if several > 1:
                raise ValueError(
                    f"Only one of the stacks has the column {name!r}, with {several} values: "
                    f"choose one of them first, for example "
                    f"select_sites(stack.sites[{name!r}] == 0)."
                )
    return [
        np.column_stack([one[name] for name in names]) if names else np.zeros((len(one), 0))
        for one in (table, other)
    ]


def _match_index(
    tables: list[SiteTable], groups: list[np.ndarray]
) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    """Rows with the same site_index in the same image and frame, and their median distance."""
    keys = []
    for name, table, group in zip(("self", "other"), tables, groups, strict=True):
        if "site_index" not in table:
            raise ValueError(f"{name} has no column 'site_index': match by='position'.")
        rows = np.column_stack([group, table["site_index"]]).astype(np.int64)
        keys.append([tuple(row) for row in rows.tolist()])
        if len(set(keys[-1])) < len(keys[-1]):
            raise ValueError(
                f"{name} has sites with the same site_index: match by='position', or choose one "
                "image first with select_sites."
            )
    where = {key: row for row, key in enumerate(keys[1])}
    rows = np.array([k for k, key in enumerate(keys[0]) if key in where], dtype=np.intp)
    rows_other = np.array([where[keys[0][k]] for k in rows], dtype=np.intp)
    apart = 0.0
    if len(rows):
        apart = float(np.median(np.hypot(*(tables[0].xy[rows] - tables[1].xy[rows_other]).T)))
    if apart > _SAME_COLUMN:
        _logger.warning(
            "Sites with the same site_index are %.1f px apart (median): the stacks are probably "
            "cut from different positions, such as two sublattices. Match by='position' then.",
            apart,
        )
    return (rows, rows_other), apart


def _match_position(
    tables: list[SiteTable], groups: list[np.ndarray], max_distance: Any
) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    """Pairs of mutually nearest sites within a distance, and the smallest distance of all."""
    number = not isinstance(max_distance, bool) and np.isscalar(max_distance)
    if not number or not (np.isreal(max_distance) and 0 < max_distance < np.inf):
        raise ValueError(
            f"max_distance={max_distance!r}: by='position' needs the greatest distance of a pair "
            "in px, for example half a nearest-neighbour distance."
        )
    sizes = [table.pixel_size for table in tables]
    units = [table.pixel_units for table in tables]
    if not _same_pixels(sizes, units):
        raise ValueError(
            f"The stacks have pixels of {_sizes(sizes[0], units[0])} and "
            f"{_sizes(sizes[1], units[1])}: positions in px can be matched in one image only."
        )
    # Images and frames lie further apart than any pair may.
    spread = 1 + max(np.ptp(np.concatenate([t.xy for t in tables])), max_distance)
    points = [
        np.column_stack([table.xy, 4 * spread * group])
        for table, group in zip(tables, groups, strict=True)
    ]
    nearest, distance, mutual = mutual_nearest(*points)
    rows = np.flatnonzero(mutual & (distance <= float(max_distance)))
    return (rows, nearest[rows]), float(distance.min())


def _check_joinable(stacks: list[SiteSignal]) -> None:
    if not stacks:
        raise ValueError("stacks is empty: give a list of SubImageStack.")
    for i, one in enumerate(stacks):
        if not isinstance(one, SiteSignal):
            raise TypeError(f"stacks[{i}] is a {type(one).__name__}, not a SubImageStack.")
        check_one_detector(one, "hs_rvae.stack()")
        if one._sites_signal() is None:
            raise ValueError(
                f"stacks[{i}] has no site table that matches its sites: make it with "
                "SubImageStack.from_positions."
            )
        if one.sites.writers.get("image", "stack") != "stack":
            raise ValueError(
                f"stacks[{i}] has a column 'image' that hs_rvae.stack did not write, and would "
                "replace: keep it under another name, and remove it with stack.sites.remove."
            )
        windows = [part.axes_manager.signal_shape for part in (stacks[0], one)]
        if windows[0] != windows[1]:
            raise ValueError(
                f"stacks[{i}] has windows of {windows[1]} pixels, stacks[0] of {windows[0]}: cut "
                "them with the same window_size."
            )
        scales = [
            [axis.scale for axis in part.axes_manager.signal_axes] for part in (stacks[0], one)
        ]
        units = [part.sites.pixel_units for part in (stacks[0], one)]
        if length_ratio(*units) is None:
            raise ValueError(
                f"stacks[{i}] has pixels of {_sizes(scales[1], units[1])}, stacks[0] of "
                f"{_sizes(scales[0], units[0])}, which cannot be compared: give the images the "
                "same calibration before the stacks are cut from them."
            )
        if not _same_pixels(scales, units):
            raise ValueError(
                f"stacks[{i}] has pixels of {_sizes(scales[1], units[1])}, stacks[0] of "
                f"{_sizes(scales[0], units[0])}: bring the images to one pixel size first, for "
                "example with rebin or interpolate_on_axis."
            )


def _same_pixels(sizes: Sequence[Any], units: Sequence[str]) -> bool:
    """Return True if two pixels, each with sizes (x, y) in a unit, are of one size."""
    ratio = length_ratio(units[1], units[0])
    return ratio is not None and np.allclose(
        sizes[0], np.multiply(sizes[1], ratio), rtol=_SAME_PIXEL, atol=0
    )


def _offsets(tables: list[SiteTable]) -> np.ndarray:
    """Coordinates of pixel (0, 0) of all tables in the unit of the first, shape (n, 2)."""
    unit = tables[0].pixel_units
    ratios: list[Any] = [length_ratio(table.pixel_units, unit) for table in tables]
    return np.array([table.pixel_offset for table in tables]) * np.array(ratios)[:, None]


def _sizes(scales: Iterable[float], unit: str) -> str:
    sizes = " x ".join(dict.fromkeys(f"{scale:.6g}" for scale in scales))
    return f"{sizes} {unit}".strip()


def _number_images(
    stacks: list[SiteSignal], tables: list[SiteTable]
) -> tuple[np.ndarray, list[Any]]:
    """Give every site the number of its image, and list the parent images."""
    numbers: list[np.ndarray] = []
    images: list[Any] = []
    for one, table in zip(stacks, tables, strict=True):
        own = table["image"] if "image" in table else np.zeros(len(table), dtype=np.int64)
        numbers.append(own + len(images))
        parents = one.image if isinstance(one.image, list) else [one.image]
        images += parents + [None] * (own.max() + 1 - len(parents))
    return np.concatenate(numbers), images


def _joined_columns(
    tables: list[SiteTable],
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, str]]:
    """All columns of all tables, one below the other."""
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns, units, writers = {}, {}, {}
    for name in names:
        known = {table.units[name] for table in tables if name in table}
        if len(known) != 1:
            raise ValueError(
                f"The column {name!r} has different units in the stacks: {sorted(known)}. Bring it "
                "to one unit, or remove it with stack.sites.remove."
            )
        units[name] = known.pop()
        wrote = {table.writers[name] for table in tables if name in table}
        writers[name] = wrote.pop() if len(wrote) == 1 else ""
        whole = all(table[name].dtype.kind == "i" for table in tables if name in table)
        missing = _NO_LABEL if whole else np.nan
        columns[name] = np.concatenate(
            [table[name] if name in table else np.full(len(table), missing) for table in tables]
        )
    return columns, units, writers


def _joined_signal(stacks: list[SiteSignal]) -> SiteSignal:
    """Put the sub-images one after another, with axes and metadata of the first stack."""
    import dask.array as da

    first = stacks[0]
    lazy = next((one for one in stacks if one._lazy), None)
    parts = [one.data.reshape(-1, *one.data.shape[-2:]) for one in stacks]
    data = np.concatenate(parts) if lazy is None else da.concatenate(map(da.asarray, parts))
    axes = [{"name": "site", "size": len(data), "navigate": True}]
    axes += [axis.get_axis_dictionary() for axis in reversed(first.axes_manager.signal_axes)]
    metadata = first.metadata.deepcopy().as_dictionary()
    metadata["Sub_images"] = _joined_settings([one.metadata.Sub_images for one in stacks])
    metadata["Sub_images"]["image_file"] = [note for one in stacks for note in image_notes(one)]
    fits = [one.metadata.get_item("Sub_images.rvae") for one in stacks]
    if all(fits) and len({fit.get_item("fit_id") for fit in fits}) == 1:
        metadata["Sub_images"]["rvae"] = _joined_fit([fit.as_dictionary() for fit in fits])
    titles = dict.fromkeys(one.metadata.General.title for one in stacks)
    metadata["General"]["title"] = "; ".join(titles)
    return type(lazy or first)(data, axes=axes, metadata=metadata)


def _joined_settings(nodes: list[Any]) -> dict[str, Any]:
    """Settings of the windows that all stacks share."""
    settings = {}
    for name in ("window_size", "centring", "edge"):
        values = {node.get_item(name) for node in nodes}
        settings[name] = values.pop() if len(values) == 1 else "mixed"
    settings["image_title"] = "; ".join(
        dict.fromkeys(node.get_item("image_title", "") for node in nodes)
    )
    if domains := joined_notes(nodes):
        settings["domains"] = domains
    turned = [node.get_item("derotated") for node in nodes]
    if any(turned):
        settings["derotated"] = turned[0] if len(set(turned)) == 1 else "mixed"
    return settings


def _joined_fit(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Settings of the model that all stacks share; NaN where a number differs."""
    joined = {}
    for name in dict.fromkeys(name for fit in fits for name in fit):
        values = [fit.get(name) for fit in fits]
        same = all(value == values[0] for value in values)
        joined[name] = values[0] if same else np.nan
    return joined
