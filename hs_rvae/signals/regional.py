# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other signals of the same scan at the sites: per site, per label, per average cell."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from hs_rvae import positions as _positions
from hs_rvae.checks import checked, finite_number, is_whole_number
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


@dataclass(frozen=True)
class Choice:
    """Pixels of a scan that count for a site, and the statistic over them.

    Attributes
    ----------
    radius, region, about, statistic
        As in ``stack.get_site_signals``.
    """

    radius: Any = None
    region: str = "disk"
    about: str = "column"
    statistic: str = "mean"

    def check(self) -> None:
        """Refuse options that are unknown or do not suit each other."""
        if self.statistic not in ("mean", "sum"):
            raise ValueError(f"statistic={self.statistic!r}: give 'mean' or 'sum'.")
        if self.about not in ("column", "cage"):
            raise ValueError(f"about={self.about!r}: give 'column' or 'cage'.")
        _shapes.check_region(self.region, self.radius)

    def note(self, new: Any) -> None:
        """Keep the choice in the metadata of a result."""
        radius = list(self.radius) if isinstance(self.radius, tuple) else self.radius
        if radius is None and self.region == "disk":
            radius = "nearest pixel"
        node = {"region": self.region, "radius": radius}
        new.metadata.set_item("Regions", node | {"about": self.about, "statistic": self.statistic})


def _positions_about(stack: SiteSignal, about: str) -> np.ndarray:
    """Places (n_sites, 2) that regions are centred on, in pixels of the image."""
    sites = stack.sites
    if sites is None:
        raise ValueError("The stack has no site table: its sites were merged or rearranged.")
    if about == "column":
        return sites.xy
    names = ["displacement_x", "displacement_y"]
    if not set(names) <= set(sites.columns):
        raise ValueError(
            "about='cage' needs the columns displacement_x and displacement_y: cut the stack with "
            "neighbours=, or take about='column'."
        )
    return np.asarray(sites.xy - sites[names])


def _regions(
    positions: np.ndarray,
    grid: _placing.ImageGrid,
    scan: _placing.Scan,
    choice: Choice,
    kinds: np.ndarray | None = None,
) -> _shapes.Regions:
    """Pixels of the scan that belong to each site, with a word on those left out and shared."""
    centres = _placing.place(positions, grid, scan)
    regions = _shapes.regions_of(centres, scan, choice.region, choice.radius, kinds)
    if not regions.complete.any():
        raise ValueError(
            f"radius={choice.radius!r}: no site has a whole region inside the scan of "
            f"{scan.shape[1]} x {scan.shape[0]} px."
        )
    left_out = int((~regions.complete).sum())
    if left_out:
        _logger.info(
            "%d of %d sites are left out: their regions leave the scan%s.", left_out,
            len(centres), ", or they have no displacement" if choice.about == "cage" else "",
        )  # fmt: skip
    if regions.overlap > _MANY_SHARED and choice.region != "cell":
        _logger.warning(
            "%.0f %% of the pixels belong to the regions of two or more sites: their means are "
            "not independent. A smaller radius%s shares none.",
            100 * regions.overlap,
            ", or region='cell'," if kinds is None else "",
        )
    return regions


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


def with_variance(new: Any, variance: Any) -> None:
    """Put the variance of a signal where HyperSpy's fits look for it."""
    new.metadata.set_item("Signal.Noise_properties.variance", new._deepcopy_with_new_data(variance))


def site_signals(
    stack: SiteSignal,
    signal: Any,
    choice: Choice,
    lazy_output: bool | None,
    num_workers: int | None,
    show_progressbar: bool | None,
) -> Any:
    """The signal at every site, as ``stack.get_site_signals`` describes it."""
    choice.check()
    scan = _placing.scan_of(signal)
    regions = _regions(_positions_about(stack, choice.about), grid_of(stack), scan, choice)
    shape = (len(stack.sites), *signal.data.shape[2:])
    lazy = hasattr(signal.data, "dask")
    if lazy and lazy_output is not False:
        data = _averages.lazy_site_means(signal.data, regions.members, choice.statistic)
    else:
        data = _averages.site_means(
            signal.data, regions.members, choice.statistic, show_progressbar, num_workers
        ).reshape(shape)
    new = new_signal(signal, data, [{"name": "site", "size": shape[0]}], "Sites")
    if lazy_output and not lazy:
        new = new.as_lazy()
    choice.note(new)
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
    choice: Choice,
    num_workers: int | None,
    show_progressbar: bool | None,
) -> Any:
    """Mean of a signal over the sites of each label, see ``stack.get_cluster_means``."""
    choice.check()
    scan = _placing.scan_of(signal)
    labels, members = label_members(stack, column)
    regions = _regions(_positions_about(stack, choice.about), grid_of(stack), scan, choice)
    new = _means_of(
        signal, regions, members, column, choice, f"Means of {column}", num_workers,
        show_progressbar,
    )  # fmt: skip
    note_labels(new, labels, members, regions.complete)
    return new


def _means_of(
    signal: Any,
    regions: _shapes.Regions,
    members: np.ndarray,
    axis: str,
    choice: Choice,
    title: str,
    num_workers: int | None,
    show_progressbar: bool | None,
) -> Any:
    """Means of a signal over groups of sites, a mask (groups, sites), with their variance."""
    if not (members & regions.complete).any():
        raise ValueError(
            f"{axis}: no site of any label has a whole region inside the scan of the signal."
        )
    found = _averages.group_means(
        signal.data,
        regions.members,
        csr_matrix(members.astype(float)),
        choice.statistic,
        show_progressbar,
        num_workers,
    )
    shape = (len(members), *signal.data.shape[2:])
    axes = [{"name": axis, "size": len(members)}]
    new = new_signal(signal, found.means.reshape(shape), axes, title)
    with_variance(new, found.variance.reshape(shape))
    choice.note(new)
    return new


def means_of_images(
    stack: SiteSignal, means: np.ndarray, column: str, labels: np.ndarray, members: np.ndarray
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
    note_labels(signal, labels, members, np.ones(members.shape[1], bool))
    return signal


def note_labels(new: Any, labels: Any, members: np.ndarray, complete: np.ndarray) -> None:
    """Keep the labels of the first axis of a result, and the number of sites of each."""
    counts = (members & complete).sum(axis=1)
    new.metadata.add_dictionary(
        {
            "Clusters": {
                "labels": np.asarray(labels).tolist(),
                "counts": counts.tolist(),
                "left_out": (members.sum(axis=1) - counts).tolist(),
            }
        }
    )


def mean_cell(
    stack: SiteSignal,
    signal: Any,
    column: str,
    window_size: Any,
    derotate: bool,
    centring: str,
    num_workers: int | None,
    show_progressbar: bool | None,
) -> Any:
    """Average window of each label, as ``stack.get_mean_cell`` describes it."""
    if centring not in ("nearest", "subpixel"):
        raise ValueError(f"centring={centring!r}: give 'nearest' or 'subpixel'.")
    if not isinstance(derotate, bool | np.bool_):
        raise ValueError(f"derotate={derotate!r}: give True or False.")
    scan, grid = _placing.scan_of(signal), grid_of(stack)
    labels, members = label_members(stack, column)
    size = _window_size(stack, window_size, grid, scan)
    centres = _placing.place(stack.sites.xy, grid, scan)
    turns = stack._turns_back("angle") if derotate else np.zeros(len(centres))
    pixels, weights, complete = _window_pixels(centres, turns, size, scan.shape, centring)
    if not (members & complete).any():
        raise ValueError(
            f"window_size={size}: no labelled site has a whole window inside the scan of "
            f"{scan.shape[1]} x {scan.shape[0]} px."
        )
    each, groups = _window_groups(pixels, weights, complete, members, int(np.prod(scan.shape)))
    found = _averages.group_means(signal.data, each, groups, "mean", show_progressbar, num_workers)
    shape = (len(labels), size, size, *signal.data.shape[2:])
    image = signal.axes_manager.navigation_dimension == 0
    pair = signal.axes_manager.signal_axes if image else signal.axes_manager.navigation_axes
    axes = [{"name": column, "size": len(labels)}]
    axes += [
        axis.get_axis_dictionary() | {"size": size, "offset": -(size - 1) / 2 * axis.scale}
        for axis in reversed(pair)
    ]
    new = new_signal(signal, found.means.reshape(shape), axes, f"Mean cell of {column}", image)
    with_variance(new, found.variance.reshape(shape))
    note_labels(new, labels, members, complete)
    return new


def _window_size(
    stack: SiteSignal, window_size: Any, grid: _placing.ImageGrid, scan: _placing.Scan
) -> int:
    """Side of the windows in scan pixels; that of the stack's windows if None."""
    if window_size is None:
        factor = np.abs(_placing.transform(grid, scan)[0])
        size = round(stack.data.shape[-1] * float(np.sqrt(factor.prod())))
    elif is_whole_number(window_size):
        size = int(window_size)
    elif finite_number(window_size, 0) and window_size > 0:
        size = round(float(window_size / np.sqrt(np.abs(scan.scale).prod())))
    else:
        raise ValueError(
            f"window_size={window_size!r}: give a whole number of scan pixels, or a float in units "
            "of the scan's axes."
        )
    if size > min(scan.shape):
        raise ValueError(
            f"window_size={size} px is larger than the scan of {scan.shape[1]} x "
            f"{scan.shape[0]} px."
        )
    return max(size, 1)


def _window_groups(
    pixels: np.ndarray, weights: np.ndarray, complete: np.ndarray, members: np.ndarray, n: int
) -> tuple[csr_matrix, csr_matrix]:
    """Used pixels of the scan (used, n), and their weights in the pixels of windows of labels."""
    used, number = np.unique(pixels[:, complete], return_inverse=True)
    each = csr_matrix((np.ones(len(used)), (np.arange(len(used)), used)), shape=(len(used), n))
    n_places = pixels.shape[2]
    site, place = np.meshgrid(np.flatnonzero(complete), np.arange(n_places), indexing="ij")
    number = number.reshape(len(pixels), *site.shape)
    label = np.where(members.any(axis=0), members.argmax(axis=0), -1)[site]
    kept = label >= 0
    rows = np.tile((label * n_places + place)[kept], len(pixels))
    columns = np.concatenate([one[kept] for one in number])
    values = np.concatenate([one[complete][kept] for one in weights])
    return each, csr_matrix((values, (rows, columns)), shape=(len(members) * n_places, len(used)))


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


@checked
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
        As in :meth:`SubImageStack.get_site_signals`. Cells end beside others of their sublattice,
        and overlap those of other sublattices.
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
    choice = Choice(radius, region)
    choice.check()
    if not hasattr(lattice, "sublattice_list"):
        raise TypeError(
            f"lattice is a {type(lattice).__name__}: pass what hs_rvae.find_sublattices returned."
        )
    scan = _placing.scan_of(signal)
    parent = _cutting.image_of_lattice(lattice, lattice.sublattice_list[0], image)
    grid = _placing.ImageGrid(
        _cutting.pixel_size(parent),
        _cutting.pixel_offset(parent),
        _cutting.pixel_units(parent),
        tuple(parent.data.shape[-2:]),
    )
    parts = [_positions.as_positions(each) for each in lattice.sublattice_list]
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    regions = _regions(np.concatenate(parts), grid, scan, choice, owner)
    members = owner == np.arange(len(parts))[:, None]
    new = _means_of(
        signal, regions, members, "sublattice", choice, "Means of the sublattices", num_workers,
        show_progressbar,
    )  # fmt: skip
    note_labels(
        new, [str(each.name) for each in lattice.sublattice_list], members, regions.complete
    )
    return new
