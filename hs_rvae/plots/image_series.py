# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site map that can show any frame of a series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import layout, markers

if TYPE_CHECKING:
    from matplotlib.widgets import Slider

    from ..sites import SiteTable
    from .panels import MapFrame

_SLIDER = (2.0, 3.0)  # mm below the map, and high


def frames_of(
    sites: SiteTable, image: Any, frame: int | None, labels: Sequence[str] | None
) -> Frames | None:
    """Frames of a series for a map, or None for a table of one image.

    Parameters
    ----------
    sites : SiteTable
    image : array of shape (n_frames, ny, nx) or None
    frame : int or None
        Frame to show first. If None, the first there is.
    labels : list of str or None

    Returns
    -------
    Frames or None

    Raises
    ------
    ValueError
        If there is no such frame, or the images are not those of a series.
    """
    if "frame" not in sites.columns:
        if frame is not None:
            raise ValueError(
                f"frame={frame!r}: the table has no column 'frame', it is not of a series: "
                "leave frame out"
            )
        return None
    if len(sites) == 0:
        return None
    return Frames(sites, image, frame, labels)


class Frames:
    """Frames of a series below their sites.

    Attributes
    ----------
    numbers : numpy.ndarray of int
        Numbers of the frames that have sites.
    shown : int
        The frame on display.
    """

    def __init__(
        self, sites: SiteTable, image: Any, frame: int | None, labels: Sequence[str] | None
    ) -> None:
        self.sites, self.image, self.labels = sites, image, labels
        self._frame_of_site = sites["frame"]
        self.numbers = np.unique(self._frame_of_site)
        if image is not None and np.ndim(image) == 2 and len(self.numbers) == 1:
            self.image = {int(self.numbers[0]): image}
        elif image is not None and (np.ndim(image) != 3 or len(image) <= self.numbers[-1]):
            raise ValueError(
                f"image has the shape {np.shape(image)}, the sites are of frames up to "
                f"{self.numbers[-1]}: give the series, (n_frames, ny, nx)"
            )
        self.shown = int(self.numbers[0]) if frame is None else frame
        if self.shown not in self.numbers:
            raise ValueError(
                f"frame={frame!r}: there are sites in frames {self.numbers[0]} to "
                f"{self.numbers[-1]}"
            )

    @property
    def current(self) -> tuple[SiteTable, np.ndarray | None, np.ndarray]:
        """Table, image and rows of the frame on display."""
        rows = np.flatnonzero(self._frame_of_site == self.shown)
        image = None if self.image is None else np.asarray(self.image[self.shown])
        return self.sites.take(rows), image, rows

    def label(self) -> str:
        """Name of the frame on display."""
        return f"frame {self.shown}" if self.labels is None else self.labels[self.shown]

    def add_to(
        self, base: MapFrame, draw: Callable[..., Any], title: str | None, below: float
    ) -> None:
        """Give a map its label, a slider in our own figure, and ``ax.show_frame(number)``.

        Parameters
        ----------
        base : MapFrame
        draw : callable
            ``draw(points, rows)`` draws the markers of some sites.
        title : str or None
            Stands in place of the label.
        below : float
            mm between the map and the slider, besides the usual.
        """
        ax: Any = base.ax  # which gets two attributes

        def show(number: float) -> None:
            self.shown = int(self.numbers[np.abs(self.numbers - number).argmin()])
            sites, image, rows = self.current
            for artist in list(ax.collections):
                if artist.get_gid() in ("sites", "undefined sites"):
                    artist.remove()
            draw(markers.site_points(sites), rows)
            if image is not None:
                ax.images[0].set_data(image)
            if title is None:
                ax.set_title(self.label(), fontsize=base.font_size)
            ax.figure.canvas.draw_idle()

        ax.show_frame = show
        if title is None:
            ax.set_title(self.label(), fontsize=base.font_size)
        if base.new and len(self.numbers) > 1:
            ax.frame_slider = self._slider(base, show, below)

    def _slider(self, base: MapFrame, show: Callable[[float], None], below: float) -> Slider:
        from matplotlib.widgets import Slider

        start, height = _SLIDER
        grow = base.font_size / 8
        place = layout.axes_below(base.ax, (start + below) * grow, height * grow)
        place.set_gid("frame slider")
        slider = Slider(
            place, "", self.numbers[0], self.numbers[-1], valinit=self.shown, valstep=self.numbers,
            valfmt="%d", color="#0072B2",
        )  # fmt: skip
        slider.valtext.set_visible(False)
        slider.on_changed(show)
        return slider
