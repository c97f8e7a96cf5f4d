# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites of several images: frames of a series linked to tracks, sites of two stacks matched."""

from __future__ import annotations

from typing import Any

import numpy as np

from hs_rvae import parent_image as _parent_image
from hs_rvae import positions as _positions
from hs_rvae import tracks as _tracks
from hs_rvae.columns.shells import cage_around
from hs_rvae.masked_arrays import filled
from hs_rvae.signals.concatenate import match_stacks
from hs_rvae.signals.recording import recorded
from hs_rvae.signals.site_signal import SiteSignal


class SeriesMethods(SiteSignal):
    """Link the frames of a series, and match the sites of two stacks."""

    @recorded
    def link_frames(
        self, max_distance: float | None = None, drift: Any = None, *, overwrite: bool = False
    ) -> np.ndarray:
        """
        Link the sites of the frames to tracks: write the column ``track``.

        Sites of the same column of the specimen have the same number. Stacks made from a series
        have the column already; call this to link again with other options.

        Parameters
        ----------
        max_distance : float, optional
            Largest distance that a column moves from frame to frame beside the drift, in px. If
            None, 0.4 nearest-neighbour distances.
        drift : array-like of shape (n_frames, 2), optional
            Position of the specimen in each frame, (x, y) in px. If None, it is followed from
            frame to frame, for steps below half a nearest-neighbour distance. Needed for longer
            steps, after which a lattice may be the same.
        overwrite : bool
            Whether a column ``track`` that you wrote is replaced.

        Returns
        -------
        numpy.ndarray of shape (n_frames, 2)
            The drift, as given or as found.

        Raises
        ------
        ValueError
            If the stack is not cut from a series, an option is not usable, or the column ``track``
            is yours.

        Examples
        --------
        >>> import hs_rvae
        >>> series, truths = hs_rvae.simulation.simulate_series((160, 160), 3, random_state=0)
        >>> stack = hs_rvae.SubImageStack.from_positions(
        ...     series, [truth.b_sites for truth in truths], window_size=40
        ... )
        >>> stack.link_frames().shape
        (3, 2)
        >>> one_column = stack.select_sites(stack.sites["track"] == 4)
        >>> one_column.sites["frame"]
        array([0, 1, 2])
        """
        sites = self.sites
        if sites is None or "frame" not in sites:
            raise ValueError(
                "The stack has no column 'frame': make it from a series, a signal of images along "
                "one navigation axis."
            )
        sites.check_free(["track"], "stack.link_frames", "link_frames", overwrite)
        frame = sites["frame"]
        count = n_frames(self)
        xy = sites.xy
        tracks, drift = _tracks.link_frames(
            [xy[frame == k] for k in range(count)], max_distance, drift
        )
        number = np.empty(len(sites), dtype=np.int64)
        for k, track in enumerate(tracks):
            number[frame == k] = track
        sites.set_many({"track": number}, {"track": ""}, writer="link_frames")
        return drift

    def match_sites(
        self, other: SiteSignal, *, by: str = "site_index", max_distance: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows of two site tables that stand for the same sites.

        Two stacks of the same positions, cut with windows of two sizes, have lost different sites
        at the border: ``site_index`` still identifies them. In two sublattices it means
        different columns; there, positions are matched. Sites of different images (column
        ``image``) or frames (column ``frame``) are never matched.

        Parameters
        ----------
        other : SubImageStack
        by : {"site_index", "position"}
            "position": pairs of which each is the other's nearest.
        max_distance : float, optional
            Greatest distance of a pair in px; needed for "position", not used otherwise.

        Returns
        -------
        rows, rows_other : numpy.ndarray of int, shape (n_matched,)
            In the order of this stack; each row occurs once at most.

        Raises
        ------
        TypeError
            If `other` is not a stack.
        ValueError
            If no site is matched, the tables cannot be compared, or an option is not usable.

        Examples
        --------
        >>> import hs_rvae
        >>> image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), random_state=0)
        >>> xy = truth.b_sites[["x", "y"]]
        >>> small, large = (
        ...     hs_rvae.SubImageStack.from_positions(image, xy, window_size=w) for w in (40, 80)
        ... )
        >>> rows, rows_large = small.match_sites(large)
        >>> bool((small.sites["x"][rows] == large.sites["x"][rows_large]).all())
        True
        """
        return match_stacks((self, other), by, max_distance)


def n_frames(stack: SiteSignal) -> int:
    """Number of frames of the series that a stack was cut from."""
    if _parent_image.is_series(stack._image):
        return len(stack._image.data)
    return int(stack.sites["frame"].max()) + 1


def frames_to_plot(stack: SiteSignal, image: Any) -> Any:
    """Images of the frames, indexed by their number; None for none."""
    if image is False:
        return None
    image = stack._image if image is None else image
    data = getattr(image, "data", image)
    if data is None or isinstance(data, list):
        return None
    if np.ndim(data) not in (2, 3):
        raise ValueError(f"image has {np.ndim(data)} dimensions; give a series of images.")
    return filled(data)


def frame_labels(stack: SiteSignal) -> list[str]:
    """Label of each frame: its number, and its place on the axis of the series."""
    labels = [f"frame {k}" for k in range(n_frames(stack))]
    if not _parent_image.is_series(stack._image):
        return labels
    axis = stack._image.axes_manager.navigation_axes[0]
    if not isinstance(axis.units, str) or not isinstance(axis.name, str):
        return labels
    values = axis.axis
    return [
        f"{label}, {axis.name} {value:.4g} {axis.units}"
        for label, value in zip(labels, values, strict=False)
    ]


def by_frame(image: Any, positions: Any, neighbours: Any, columns: Any) -> tuple[Any, Any, Any]:
    """
    Arguments of :meth:`SubImageStack.from_positions` as lists with one entry per frame.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D
        One image, which counts as one frame, or a series.
    positions, neighbours, columns
        Those of the image, or lists of those of the frames; the last two may be None.

    Returns
    -------
    positions, neighbours, columns : list
        `neighbours` may be None.

    Raises
    ------
    ValueError
        If one of them is not a list with an entry for each frame.
    """
    if not _parent_image.is_series(image):
        return [positions], None if neighbours is None else [neighbours], [columns]
    positions, neighbours = (_each_frame(one, len(image.data)) for one in (positions, neighbours))
    columns = [None] * len(image.data) if columns is None else columns
    given = {"positions_xy": positions, "neighbours": neighbours, "columns": columns}
    for name, values in given.items():
        if values is None:
            continue
        if not isinstance(values, list | tuple) or len(values) != len(image.data):
            listed = isinstance(values, list | tuple)
            what = f"has {len(values)} entries" if listed else f"is a {type(values).__name__}"
            raise ValueError(
                f"{name} {what}, and image holds {len(image.data)} images: for a series give a "
                "list with one entry for each frame. For detectors of one scan take one, "
                "image.inav[0], and stack.recut(image.inav[1]) for the others, or channels=True."
            )
    return positions, neighbours, columns


def _each_frame(positions: Any, n_frames: int) -> Any:
    """AtomAI's dictionary of a series as a list; anything else as it is."""
    if not _positions.is_from_atomai(positions) or {*positions} != {*range(n_frames)}:
        return positions
    return [{0: positions[k]} for k in range(n_frames)]


def of_lattices(
    lattices: Any, image: Any, sublattice: str | int | None, columns: Any, cage: Any = None
) -> tuple[Any, Any, Any, list[dict[str, Any]], dict[str, str]]:
    """
    Arguments of :meth:`SubImageStack.from_positions` from the lattices of a series.

    Parameters
    ----------
    lattices : hs_rvae.columns.LatticeSeries
    image : hyperspy.api.signals.Signal2D or None
        If None, the series that the columns were found in.
    sublattice : str, int or None
    columns : list of dict or None
    cage : str or list of str, optional
        Sublattices of the neighbours.

    Returns
    -------
    image, positions, neighbours, columns, units
    """
    names = lattices.names
    if sublattice is None:
        sublattice = _positions.default_name(names)
    tables = lattices.tables(sublattice)
    others = [lattices.tables(name) for name in names]
    others = [other for other in others if other[0] is not tables[0]]
    own = []
    for k, table in enumerate(tables):
        numbers = table.select_dtypes(["number", "bool"]).drop(columns=["x", "y"])
        own.append(dict(numbers) | dict((columns[k] if columns else None) or {}))
    neighbours = others[0] if len(others) == 1 else tables
    crystals = getattr(lattices, "crystals", None)
    if crystals is not None:
        name = next(one for one in names if lattices.tables(one)[0] is tables[0])
        neighbours = [
            cage_around(name, {one: lattices.tables(one)[k] for one in names}, crystal, cage)
            for k, crystal in enumerate(crystals)
        ]
    elif cage is not None:
        raise ValueError(f"cage={cage!r} needs the crystals of the frames; this series has none.")
    image = lattices.image if image is None else image
    return image, tables, neighbours, own, _positions.POSITION_UNITS
