# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of several images, put together."""

import numpy as np

from hs_rvae.sites import SiteTable

# Marks of "no value" in columns that only some of the stacks have.
_NO_LABEL = -1
# Relative difference up to which pixel sizes count as the same.
_SAME_PIXEL = 1e-3


def stack(stacks):
    """
    Join the sub-images of several images into one stack.

    The integer column ``image`` tells them apart (0, 1, ... in the order given). Columns that only
    some of the stacks have are filled with NaN, integer columns with -1.

    Parameters
    ----------
    stacks : list of SubImageStack
        With the same window size, pixel size and units. Stacks joined before keep their images
        apart.

    Returns
    -------
    SubImageStack or LazySubImageStack
        Lazy if one of the stacks is. Its ``image`` is the list of the parent images.

    Raises
    ------
    TypeError, ValueError
        If the stacks cannot be joined; the message says what differs.

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
    columns, units = _joined_columns(tables)
    offsets = {table.pixel_offset for table in tables}
    table = SiteTable.from_columns(
        columns | {"image": numbers},
        units=units,
        pixel_size=tables[0].pixel_size,
        pixel_units=tables[0].pixel_units,
        pixel_offset=offsets.pop() if len(offsets) == 1 else (0.0, 0.0),
    )
    joined = _joined_signal(stacks)
    joined._set_sites(table)
    joined._image = images if any(image is not None for image in images) else None
    models = {id(one._rvae_model) for one in stacks}
    joined._rvae_model = stacks[0]._rvae_model if len(models) == 1 else None
    return joined


def _check_joinable(stacks):
    from hs_rvae.signals.sub_image_stack import SubImageStack

    if not stacks:
        raise ValueError("stacks is empty: give a list of SubImageStack.")
    for i, one in enumerate(stacks):
        if not isinstance(one, SubImageStack):
            raise TypeError(f"stacks[{i}] is a {type(one).__name__}, not a SubImageStack.")
        if one._sites_signal() is None:
            raise ValueError(f"stacks[{i}] has no site table that matches its sites.")
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
        if units[0] != units[1] or not np.allclose(*scales, rtol=_SAME_PIXEL, atol=0):
            raise ValueError(
                f"stacks[{i}] has pixels of {_sizes(scales[1], units[1])}, stacks[0] of "
                f"{_sizes(scales[0], units[0])}: bring the images to one pixel size first, for "
                "example with rebin or interpolate_on_axis."
            )


def _sizes(scales, unit):
    sizes = " x ".join(dict.fromkeys(f"{scale:.6g}" for scale in scales))
    return f"{sizes} {unit}".strip()


def _number_images(stacks, tables):
    """Give every site the number of its image, and list the parent images."""
    numbers, images = [], []
    for one, table in zip(stacks, tables, strict=True):
        own = table["image"] if "image" in table else np.zeros(len(table), dtype=np.int64)
        numbers.append(own + len(images))
        parents = one.image if isinstance(one.image, list) else [one.image]
        images += parents + [None] * (own.max() + 1 - len(parents))
    return np.concatenate(numbers), images


def _joined_columns(tables):
    """All columns of all tables, one below the other."""
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns, units = {}, {}
    for name in names:
        known = {table.units[name] for table in tables if name in table}
        if len(known) != 1:
            raise ValueError(
                f"The column {name!r} has different units in the stacks: {sorted(known)}."
            )
        units[name] = known.pop()
        whole = all(table[name].dtype.kind == "i" for table in tables if name in table)
        missing = _NO_LABEL if whole else np.nan
        columns[name] = np.concatenate(
            [table[name] if name in table else np.full(len(table), missing) for table in tables]
        )
    return columns, units


def _joined_signal(stacks):
    """Put the sub-images one after another, with axes and metadata of the first stack."""
    import dask.array as da

    first = stacks[0]
    lazy = next((one for one in stacks if one._lazy), None)
    data = [one.data.reshape(-1, *one.data.shape[-2:]) for one in stacks]
    data = np.concatenate(data) if lazy is None else da.concatenate(map(da.asarray, data))
    axes = [{"name": "site", "size": len(data), "navigate": True}]
    axes += [axis.get_axis_dictionary() for axis in reversed(first.axes_manager.signal_axes)]
    metadata = first.metadata.deepcopy().as_dictionary()
    metadata["Sub_images"] = _joined_settings([one.metadata.Sub_images for one in stacks])
    titles = dict.fromkeys(one.metadata.General.title for one in stacks)
    metadata["General"]["title"] = "; ".join(titles)
    return type(lazy or first)(data, axes=axes, metadata=metadata)


def _joined_settings(nodes):
    """How the windows were cut: what all stacks share."""
    settings = {}
    for name in ("window_size", "centring", "edge"):
        values = {node.get_item(name) for node in nodes}
        settings[name] = values.pop() if len(values) == 1 else "mixed"
    settings["image_title"] = "; ".join(
        dict.fromkeys(node.get_item("image_title", "") for node in nodes)
    )
    return settings
