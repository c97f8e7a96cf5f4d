# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other signals of the same scan at the sites: per site, per label, per average cell."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from hs_rvae import positions as _positions
from hs_rvae.checks import finite_number, is_whole_number
from hs_rvae.regions import averages as _averages
from hs_rvae.regions import placing as _placing
from hs_rvae.regions import shapes as _shapes
from hs_rvae.signals import cutting as _cutting
from hs_rvae.signals.origins import IMAGE_NODE, RVAE_NODE

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal

_logger = logging.getLogger(__name__)

#: Middle of the pixels of each site less the place asked for, (n_sites, 2) in scan pixels.
OFFSET_NODE = "Regions.offset"
_MANY_SHARED = 0.01  # of the pixels in regions


def grid_of(stack: SiteSignal) -> _placing.ImageGrid:
    """Calibration and size of the one image that the sites of a stack belong to."""
    sites = stack.sites
    for column, what in (("image", "images"), ("frame", "frames")):
        values = np.unique(sites[column]) if column in sites else np.empty(0)
        if len(values) > 1:
            raise ValueError(
                f"The stack joins sites of {len(values)} {what}, and signal is the scan of one: "
                f"choose its sites with stack.select_sites(stack.sites[{column!r}] == "
                f"{values[0]})."
            )
    note = stack.metadata.get_item(IMAGE_NODE)
    shape = getattr(note, "shape", None) if not isinstance(note, list) else None
    if shape is None and stack.image is not None and not isinstance(stack.image, list):
        shape = stack.image.data.shape
    return _placing.ImageGrid(
        sites.pixel_size,
        sites.pixel_offset,
        sites.pixel_units,
        None if shape is None else (int(shape[-2]), int(shape[-1])),
    )


def site_regions(
    stack: SiteSignal, signal: Any, radius: Any, region: str, about: str
) -> _shapes.Regions:
    """Pixels of the scan of `signal` that belong to each site of a stack."""
    _shapes.check_region(region, radius)
    if about not in ("column", "cage"):
        raise ValueError(f"about={about!r}: give 'column' or 'cage'.")
    sites = stack.sites
    if sites is None:
        raise ValueError("The stack has no site table: its sites were merged or rearranged.")
    scan = _placing.scan_of(signal)
    positions = sites.xy
    if about == "cage":
        names = ["displacement_x", "displacement_y"]
        if not set(names) <= set(sites.columns):
            raise ValueError(
                "about='cage' needs the columns displacement_x and displacement_y: cut the stack "
                "with neighbours=, or take about='column'."
            )
        positions = positions - sites[names]
    centres = _placing.place(positions, grid_of(stack), scan)
    regions = _shapes.regions_of(centres, scan, region, radius)
    if not regions.complete.any():
        raise ValueError(
            f"radius={radius!r}: no site has a whole region inside the scan of {scan.shape[1]} x "
            f"{scan.shape[0]} px."
        )
    left_out = int((~regions.complete).sum())
    if left_out:
        _logger.info(
            "%d of %d sites are left out: their regions leave the scan%s.", left_out,
            len(centres), ", or they have no displacement" if about == "cage" else "",
        )  # fmt: skip
    if regions.overlap > _MANY_SHARED:
        _logger.warning(
            "%.0f %% of the pixels belong to the regions of two or more sites: their means are "
            "not independent. A smaller radius, or region='cell', shares none.",
            100 * regions.overlap,
        )
    return regions


def check_statistic(statistic: str) -> None:
    """Refuse another statistic than the mean and the sum."""
    if statistic not in ("mean", "sum"):
        raise ValueError(f"statistic={statistic!r}: give 'mean' or 'sum'.")


def new_signal(
    signal: Any, data: Any, navigation: list[dict[str, Any]], title: str, image: bool = False
) -> Any:
    """
    A signal of the class of `signal`, with its metadata and its signal axes, and new sites.

    Parameters
    ----------
    signal : BaseSignal
    data : numpy.ndarray or dask.array.Array
        Navigation axes first, then the signal axes of `signal`.
    navigation : list of dict
        Navigation axes in the order of the array.
    title : str
    image : bool
        The two last axes of `navigation` are the signal axes of an image.

    Returns
    -------
    BaseSignal
    """
    from hyperspy.signals import BaseSignal

    axes = [axis | {"navigate": not (image and k >= len(navigation) - 2)}
            for k, axis in enumerate(navigation)]  # fmt: skip
    if signal.axes_manager.navigation_dimension == 2:
        axes += [
            axis.get_axis_dictionary() | {"navigate": False}
            for axis in reversed(signal.axes_manager.signal_axes)
        ]
    metadata = signal.metadata.as_dictionary()
    metadata.pop("Markers", None)
    metadata.get("Signal", {}).pop("Noise_properties", None)
    new = BaseSignal(
        data,
        axes=axes,
        metadata=metadata,
        original_metadata=signal.original_metadata.as_dictionary(),
    )
    new._lazy = hasattr(data, "dask")
    new.set_signal_type(signal._signal_type)
    new._assign_subclass()
    name = signal.metadata.get_item("General.title", "")
    new.metadata.General.title = f"{title} of {name}" if name else title
    return new


def note_regions(new: Any, region: str, radius: Any, about: str, statistic: str) -> None:
    """Keep in the metadata of a result the choice of its pixels."""
    radius = list(radius) if isinstance(radius, tuple) else radius
    new.metadata.set_item(
        "Regions",
        {
            "region": region,
            "radius": "nearest pixel" if radius is None and region == "disk" else radius,
            "about": about,
            "statistic": statistic,
        },
    )


def with_variance(new: Any, variance: Any) -> None:
    """Put the variance of a signal where HyperSpy's fits look for it."""
    new.metadata.set_item("Signal.Noise_properties.variance", new._deepcopy_with_new_data(variance))


def site_signals(
    stack: SiteSignal,
    signal: Any,
    radius: Any,
    statistic: str,
    region: str,
    about: str,
    lazy_output: bool | None,
    num_workers: int | None,
    show_progressbar: bool | None,
) -> Any:
    """The signal at every site, as ``stack.get_site_signals`` describes it."""
    check_statistic(statistic)
    regions = site_regions(stack, signal, radius, region, about)
    shape = (len(stack.sites), *signal.data.shape[2:])
    lazy = hasattr(signal.data, "dask")
    if lazy and lazy_output is not False:
        data = _averages.lazy_site_means(signal.data, regions.members, statistic)
    else:
        data = _averages.site_means(
            signal.data, regions.members, statistic, show_progressbar, num_workers
        ).reshape(shape)
    axes = [{"name": "site", "size": shape[0]}]
    new = new_signal(signal, data, axes, "Sites")
    if lazy_output and not lazy:
        new = new.as_lazy()
    note_regions(new, region, radius, about, statistic)
    new.metadata.set_item(OFFSET_NODE, regions.offset)
    return new


def label_members(stack: SiteSignal, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a column of the site table, and a mask (labels, sites); -1 is left out."""
    table = stack.sites
    if table is None or column not in table:
        raise KeyError(
            f"There is no column {column!r}; stack.cluster_analysis(column={column!r}) writes one."
        )
    values = table[column]
    if values.dtype.kind != "i":
        raise ValueError(
            f"column={column!r} holds no labels, which are whole numbers: take one that "
            "stack.cluster_analysis() or stack.assign_variants() wrote."
        )
    labels = np.unique(values[values >= 0])
    if not len(labels):
        raise ValueError(f"column={column!r}: all sites are undefined (-1): take another column.")
    return labels, values == labels[:, None]


def label_means(
    stack: SiteSignal,
    signal: Any,
    column: str,
    members_of: tuple[np.ndarray, np.ndarray],
    radius: Any,
    statistic: str,
    region: str,
    about: str,
    num_workers: int | None,
    show_progressbar: bool | None,
) -> Any:
    """
    Mean of a signal over the sites of each label.

    Parameters
    ----------
    members_of : tuple of numpy.ndarray
        Labels, and a mask (labels, sites).
    stack, signal, column, radius, statistic, region, about, num_workers, show_progressbar
        As in ``stack.get_cluster_means``.

    Returns
    -------
    BaseSignal
    """
    check_statistic(statistic)
    labels, members = members_of
    regions = site_regions(stack, signal, radius, region, about)
    counts = (members & regions.complete).sum(axis=1)
    if not counts.any():
        raise ValueError(
            f"column={column!r}: none of its labels has a site whose region lies in the scan."
        )
    found = _averages.group_means(
        signal.data,
        regions.members,
        csr_matrix(members.astype(float)),
        statistic,
        show_progressbar,
        num_workers,
    )
    shape = (len(labels), *signal.data.shape[2:])
    axes = [{"name": column, "size": len(labels)}]
    new = new_signal(signal, found.means.reshape(shape), axes, f"Means of {column}")
    with_variance(new, found.variance.reshape(shape))
    note_labels(new, labels, counts, members.sum(axis=1) - counts)
    note_regions(new, region, radius, about, statistic)
    return new


def means_of_images(
    stack: SiteSignal, means: np.ndarray, column: str, labels: np.ndarray, counts: np.ndarray
) -> Any:
    """Signal ``(label | x, y)`` of mean sub-images, with the metadata of the stack."""
    from hyperspy.signals import Signal2D

    axes = [{"name": column, "size": len(labels), "navigate": True}]
    axes += [
        axis.get_axis_dictionary() | {"navigate": False}
        for axis in reversed(stack.axes_manager.signal_axes)
    ]
    shape = stack.axes_manager._signal_shape_in_array
    signal = Signal2D(means.reshape(-1, *shape), axes=axes)
    for node in ("Acquisition_instrument", "Sample", "Diffraction", "Signal.quantity"):
        kept = stack.metadata.get_item(node)
        if kept is not None:
            is_node = hasattr(kept, "as_dictionary")
            signal.metadata.set_item(node, kept.as_dictionary() if is_node else kept)
    signal.metadata.General.title = f"Means of {column}"
    note_labels(signal, labels, counts, np.zeros_like(counts))
    return signal


def note_labels(new: Any, labels: Any, counts: np.ndarray, left_out: np.ndarray) -> None:
    """Keep the labels of the first axis of a result, and the number of sites of each."""
    new.metadata.add_dictionary(
        {
            "Clusters": {
                "labels": np.asarray(labels).tolist(),
                "counts": counts.tolist(),
                "left_out": left_out.tolist(),
            }
        }
    )


def mean_cell(
    stack: SiteSignal,
    signal: Any,
    column: str,
    members_of: tuple[np.ndarray, np.ndarray],
    window_size: int,
    turns: np.ndarray,
    centring: str,
    num_workers: int | None,
    show_progressbar: bool | None,
) -> Any:
    """
    Average window of each label, as ``stack.get_mean_cell`` describes it.

    Parameters
    ----------
    window_size : int
        Side in scan pixels.
    turns : numpy.ndarray of shape (n_sites,)
        Angles (rad) by which the windows are turned back; NaN leaves a site out.
    stack, signal, column, members_of, centring, num_workers, show_progressbar
        As in :func:`label_means`.

    Returns
    -------
    BaseSignal
        ``(x, y, label | signal axes)``; of an image ``(label | x, y)``.
    """
    labels, members = members_of
    scan = _placing.scan_of(signal)
    centres = _placing.place(stack.sites.xy, grid_of(stack), scan)
    pixels, weights, complete = _window_pixels(centres, turns, window_size, scan.shape, centring)
    counts = (members & complete).sum(axis=1)
    if not counts.any():
        raise ValueError(
            f"window_size={window_size}: no labelled site has a whole window inside the scan of "
            f"{scan.shape[1]} x {scan.shape[0]} px."
        )
    # Each pixel of the scan that is used is a member of its own; groups are pixels of windows.
    used, number = np.unique(pixels[:, complete], return_inverse=True)
    each = csr_matrix(
        (np.ones(len(used)), (np.arange(len(used)), used)),
        shape=(len(used), int(np.prod(scan.shape))),
    )
    site, place = np.meshgrid(np.flatnonzero(complete), np.arange(window_size**2), indexing="ij")
    number = number.reshape(len(pixels), *site.shape)
    label = np.where(members.any(axis=0), members.argmax(axis=0), -1)[site]
    kept = label >= 0
    groups = csr_matrix(
        (
            np.concatenate([w[complete][kept] for w in weights]),
            (
                np.tile((label * window_size**2 + place)[kept], len(pixels)),
                np.concatenate([n[kept] for n in number]),
            ),
        ),
        shape=(len(labels) * window_size**2, len(used)),
    )
    found = _averages.group_means(signal.data, each, groups, "mean", show_progressbar, num_workers)
    shape = (len(labels), window_size, window_size, *signal.data.shape[2:])
    pair = (
        signal.axes_manager.navigation_axes
        if signal.axes_manager.navigation_dimension
        else signal.axes_manager.signal_axes
    )
    axes = [{"name": column, "size": len(labels)}]
    axes += [
        axis.get_axis_dictionary()
        | {"size": window_size, "offset": -(window_size - 1) / 2 * axis.scale}
        for axis in reversed(pair)
    ]
    image = signal.axes_manager.navigation_dimension == 0
    new = new_signal(signal, found.means.reshape(shape), axes, f"Mean cell of {column}", image)
    with_variance(new, found.variance.reshape(shape))
    note_labels(new, labels, counts, members.sum(axis=1) - counts)
    return new


def mean_cell_of(
    stack: SiteSignal,
    signal: Any,
    column: str,
    window_size: Any,
    derotate: bool,
    centring: str,
    num_workers: int | None,
    show_progressbar: bool | None,
) -> Any:
    """Average window of each label, with the defaults of ``stack.get_mean_cell``."""
    if centring not in ("nearest", "subpixel"):
        raise ValueError(f"centring={centring!r}: give 'nearest' or 'subpixel'.")
    if not isinstance(derotate, bool | np.bool_):
        raise ValueError(f"derotate={derotate!r}: give True or False.")
    scan = _placing.scan_of(signal)
    members = label_members(stack, column)
    grid, scale = grid_of(stack), np.abs(scan.scale)
    centres = _placing.place(stack.sites.xy, grid, scan)
    if window_size is None:
        # The window of the stack, as long on the scan as it is on the image.
        sites = stack.sites.xy[:2] if len(stack.sites) > 1 else None
        ratio = 1.0
        if sites is not None:
            ratio = float(np.linalg.norm(np.diff(centres[:2], axis=0))
                          / np.linalg.norm(np.diff(sites, axis=0)))  # fmt: skip
        window_size = max(round(stack.data.shape[-1] * ratio), 1)
    elif is_whole_number(window_size):
        window_size = int(window_size)
    elif finite_number(window_size, 0) and window_size > 0:
        window_size = max(round(float(window_size / np.sqrt(scale.prod()))), 1)
    else:
        raise ValueError(
            f"window_size={window_size!r}: give a whole number of scan pixels, or a float in units "
            "of the scan's axes."
        )
    if window_size > min(scan.shape):
        raise ValueError(
            f"window_size={window_size} px is larger than the scan of {scan.shape[1]} x "
            f"{scan.shape[0]} px."
        )
    turns = np.zeros(len(stack.sites))
    if derotate:
        turns = stack._turns_back("angle")
    return mean_cell(
        stack, signal, column, members, window_size, turns, centring, num_workers,
        show_progressbar,
    )  # fmt: skip


def recut(
    stack: SiteSignal,
    make: Any,
    image: Any,
    window_size: Any,
    lazy: bool | None,
    show_progressbar: bool | None,
) -> Any:
    """A stack of the same sites cut from another image, as ``stack.recut`` describes it."""
    image = _cutting.parent_image(image)
    shape = grid_of(stack).shape
    if shape is not None and tuple(image.data.shape) != shape:
        raise ValueError(
            f"image has {image.data.shape[1]} x {image.data.shape[0]} px, the image of the stack "
            f"{shape[1]} x {shape[0]} px: recut takes another detector of the same scan. For "
            "another scan, stack.get_site_signals(image) goes through the calibration."
        )
    size = stack.data.shape[-1] if window_size is None else window_size
    new = make.from_positions(
        image,
        stack.sites.xy,
        size,
        lazy=lazy,
        centring=stack.metadata.get_item("Sub_images.centring", "subpixel"),
        columns=stack.sites,
        show_progressbar=show_progressbar,
    )
    rows = new.sites["site_index"]
    if len(rows) < len(stack.sites):
        _logger.warning(
            "%d of %d sites have no window of %d px in this image and are left out.",
            len(stack.sites) - len(rows), len(stack.sites), new.data.shape[-1],
        )  # fmt: skip
    index = {"site_index": stack.sites["site_index"][rows]}
    new.sites.set_many(index, writer="from_positions")
    node = stack.metadata.get_item(RVAE_NODE)
    if node is not None:
        new.metadata.set_item(RVAE_NODE, node.deepcopy())
    return new


def _window_pixels(
    centres: np.ndarray, turns: np.ndarray, size: int, shape: tuple[int, int], centring: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scan pixels (k, sites, size * size) of every pixel of the windows, their weights, complete.

    With ``"nearest"`` k is 1; otherwise the four pixels around each place share it by area.
    """
    steps = np.arange(size) - (size - 1) / 2
    y, x = (each.ravel() for each in np.meshgrid(steps, steps, indexing="ij"))
    known = np.isfinite(centres).all(axis=1) & np.isfinite(turns)
    turns = np.where(known, turns, 0.0)[:, None]
    centres = np.where(known[:, None], centres, 0.0)
    if centring == "nearest":
        # Onto pixel centres for odd sizes, between them for even ones, as windows are cut.
        shift = (size - 1) / 2 % 1
        centres = np.floor(centres - shift + 0.5) + shift
    where_x = centres[:, :1] + np.cos(turns) * x - np.sin(turns) * y
    where_y = centres[:, 1:] + np.sin(turns) * x + np.cos(turns) * y
    if centring == "nearest":
        corners = [(np.rint(where_x), np.rint(where_y), np.ones_like(where_x))]
    else:
        left, top = np.floor(where_x), np.floor(where_y)
        u, v = where_x - left, where_y - top
        corners = [
            (left, top, (1 - u) * (1 - v)), (left + 1, top, u * (1 - v)),
            (left, top + 1, (1 - u) * v), (left + 1, top + 1, u * v),
        ]  # fmt: skip
    inside = np.ones(where_x.shape, bool)
    for px, py, weight in corners:
        inside &= ((px >= 0) & (py >= 0) & (px < shape[1]) & (py < shape[0])) | (weight == 0)
    complete = known & inside.all(axis=1)
    pixels = np.stack(
        [
            np.clip(py, 0, shape[0] - 1) * shape[1] + np.clip(px, 0, shape[1] - 1)
            for px, py, _ in corners
        ]
    ).astype(np.int64)
    return pixels, np.stack([weight for _, _, weight in corners]), complete


def get_sublattice_means(
    lattice: Any,
    signal: Any,
    radius: Any = None,
    *,
    image: Any = None,
    region: str = "disk",
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> Any:
    """
    Mean of another signal of the same scan over the columns of each sublattice.

    Parameters
    ----------
    lattice : atomap.atom_lattice.Atom_Lattice
        What :func:`hs_rvae.find_sublattices` returns.
    signal : hyperspy.api.signals.BaseSignal
        ``(x, y | ...)``: a spectrum image, 4D-STEM data; or an image of the scan.
    radius : int, float, tuple or None
        int: scan pixels about the nearest one. float: units of the scan's axes, about the column.
        If None, the nearest pixel.
    image : hyperspy.api.signals.Signal2D, optional
        Image that the columns were found in; its axes relate positions to `signal`. If None, the
        lattice's own image, whose calibration is that of the lattice.
    region : {"disk", "cell", "ring"}
        As in :meth:`SubImageStack.get_site_signals`.
    show_progressbar : bool, optional
        If None, as HyperSpy's preference.
    num_workers : int, optional
        Threads that read lazy data. If None, dask decides.

    Returns
    -------
    BaseSignal
        ``(sublattice | ...)``, of the class of `signal`; ``metadata.Clusters`` has the names as
        ``labels``, and ``counts``; the variance of the means is in
        ``metadata.Signal.Noise_properties.variance``.

    Raises
    ------
    TypeError
        If `lattice` is not a lattice or `signal` is not a signal.
    ValueError
        If the scan and the image of the lattice cannot be compared, or the region is wrong.

    Examples
    --------
    >>> import hs_rvae
    >>> image, _ = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
    >>> lattice = hs_rvae.find_sublattices(image)
    >>> means = hs_rvae.get_sublattice_means(lattice, image, radius=3)
    >>> means.metadata.Clusters.labels
    ['A', 'B']
    """
    _shapes.check_region(region, radius)
    if not hasattr(lattice, "sublattice_list"):
        raise TypeError(
            f"lattice is a {type(lattice).__name__}: pass what hs_rvae.find_sublattices returned."
        )
    scan = _placing.scan_of(signal)
    first = lattice.sublattice_list[0]
    parent = _cutting.image_of_lattice(lattice, first, image)
    grid = _placing.ImageGrid(
        _cutting.pixel_size(parent),
        _cutting.pixel_offset(parent),
        _cutting.pixel_units(parent),
        tuple(parent.data.shape[-2:]),
    )
    parts = [_positions.as_positions(each) for each in lattice.sublattice_list]
    centres = _placing.place(np.concatenate(parts), grid, scan)
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    regions = _shapes.regions_of(centres, scan, region, radius)
    members = owner == np.arange(len(parts))[:, None]
    counts = (members & regions.complete).sum(axis=1)
    found = _averages.group_means(
        signal.data,
        regions.members,
        csr_matrix(members.astype(float)),
        "mean",
        show_progressbar,
        num_workers,
    )
    shape = (len(parts), *signal.data.shape[2:])
    axes = [{"name": "sublattice", "size": len(parts)}]
    new = new_signal(signal, found.means.reshape(shape), axes, "Means of the sublattices")
    with_variance(new, found.variance.reshape(shape))
    names = [str(each.name) for each in lattice.sublattice_list]
    note_labels(new, names, counts, members.sum(axis=1) - counts)
    note_regions(new, region, radius, "column", "mean")
    return new
