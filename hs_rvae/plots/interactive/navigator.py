# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A map of sites that answers to the mouse: click to go to a site, draw to choose some.

Nothing but events of Matplotlib is used, so that it works in windows (Qt, Tk, Gtk) and in
notebooks (ipympl) alike. All of them are disconnected when the figure is closed. What changes from
site to site is drawn upon a copy of all else, which takes a second to draw for 20,000 sites.

The lasso is not Matplotlib's ``LassoSelector``: with one in the map and one in the scatter of
20,000 sites, a full drawing takes three times as long and a movement 50 ms instead of 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ...checks import checked, naming, shown
from .. import markers
from ..color import UNDEFINED_COLOR, get_colormap
from ..panels import check_image
from ..site_map import plot_site_map
from ..style import independent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from ...sites import SiteTable

# A path shorter than this many points of the screen, in both directions, is a click.
_CLICK = 4.0
_DIMMED = 0.15
_PATH_COLOR = "#ff00ff"


class SiteNavigator:
    """A map of sites to click on.

    A click goes to the nearest site; a path drawn around sites with the button held chooses them
    (with shift: in addition), escape lets go of them. The arrow keys left and right go through
    the sites, or through the chosen ones.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image.
    color : str or None
        Column that colours the sites. If None, all are alike.
    image : numpy.ndarray, optional
        (ny, nx) parent image, drawn below the sites.
    take : callable, optional
        What :meth:`select_sites` does with the numbers of the chosen sites; by default they are
        returned.
    resolve : callable, optional
        Turns what :meth:`select` is given into numbers of sites; by default masks and numbers.
    figure : matplotlib.figure.Figure, optional
        By default a new one.

    Attributes
    ----------
    site : int
        Number of the site that is shown.
    selection : numpy.ndarray of int
        Numbers of the chosen sites; empty if there are none.
    figure : matplotlib.figure.Figure
    map_ax : matplotlib.axes.Axes

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError, TypeError
        If another argument is not usable.

    Examples
    --------
    >>> navigator = stack.plot(navigator="sites")  # doctest: +SKIP
    >>> part = navigator.select_sites()  # doctest: +SKIP
    """

    @independent
    def __init__(
        self,
        sites: SiteTable,
        color: str | None = None,
        *,
        image: Any = None,
        take: Callable[[np.ndarray], Any] | None = None,
        resolve: Callable[[Any], np.ndarray] | None = None,
        figure: Figure | None = None,
    ) -> None:
        check_image(image)
        self.sites, self._image, self._color = sites, image, color
        self._take, self._resolve = take, resolve
        self.site, self.selection = 0, np.empty(0, int)
        self._on_site: list[Callable[[int], Any]] = []
        self._on_close: list[Callable[[], Any]] = []
        self._fields: list[dict[str, Any]] = []
        self._moving: list[Artist] = []
        self._background: Any = None
        self._stroke: dict[str, Any] | None = None
        self.map_ax: Any = None
        self.figure: Any = figure
        if figure is None:
            self.figure = self._make_figure()
        self._draw()
        connect = self.figure.canvas.mpl_connect
        self._connections = [
            connect("button_press_event", self._on_press),
            connect("motion_notify_event", self._on_move),
            connect("button_release_event", self._on_release),
            connect("key_press_event", self._on_key),
            connect("draw_event", self._on_draw),
            connect("close_event", self._closed),
        ]
        self._keep_arrows_from_the_toolbar()
        self.figure._hs_rvae_navigator = self  # lives as long as its figure
        self.show(0, force=True)

    def _make_figure(self) -> Figure:
        import matplotlib.pyplot as plt

        # No layout engine: it would measure every letter anew at each click.
        return plt.figure(figsize=(6.4, 3.2 if self._is_flat() else 5.6), layout="none")

    def _is_flat(self) -> bool:
        """Return True if the map is a strip."""
        if self._image is not None:
            height, width = self._image.shape
        else:
            width, height = np.ptp(markers.site_points(self.sites), axis=0)
        return width > 2.5 * height

    def _draw(self) -> None:
        self._draw_map(self.figure.add_axes((0.09, 0.1, 0.87, 0.82)))

    # Drawing -------------------------------------------------------------

    def _draw_map(self, ax: Axes) -> None:
        """The sites as a map, and its colours for other figures."""
        column = "x" if self._color is None else self._color
        plot_site_map(
            self.sites,
            column,
            image=self._image,
            ax=ax,
            font_size=8,
            colorbar=self._color is not None,
        )
        points = markers.site_points(self.sites)
        filled: Any = next(c for c in ax.collections if c.get_gid() == "sites")
        self.colors = np.tile([*UNDEFINED_COLOR, 1.0], (len(points), 1))
        shown = np.isfinite(markers.column_values(self.sites, column))
        shown &= markers.has_direction(self.sites, column)
        if self._color is None:
            self.colors[:] = [*get_colormap("cet_CET_L12")(0.75)[:3], 0.6]
            filled.set_array(None)
            filled.set_facecolor(self.colors)
        else:
            self.colors[shown] = filled.to_rgba(filled.get_array())
        self.map_ax = ax
        self._caption = ax.text(
            0, 1.02, "", fontsize=8, va="bottom", transform=ax.transAxes, gid="caption"
        )
        self._add_moving(self._caption)
        self._add_field(ax, points, filled, shown, grow=self._diameter_in_points)

    def _diameter_in_points(self) -> float:
        """Diameter of a site on the screen, for the ring around it."""
        filled = self._fields[0]["artist"]
        width = filled.get_widths()[0] if hasattr(filled, "get_widths") else 1.0
        (x0, _), (x1, _) = self.map_ax.transData.transform([[0, 0], [float(width), 0]])
        return abs(x1 - x0) * 72 / self.figure.dpi

    def _add_field(
        self,
        ax: Axes,
        points: np.ndarray,
        artist: Any,
        shown: np.ndarray,
        grow: Callable[[], float] | None = None,
    ) -> None:
        """Add axes with a place for every site, to click on and to draw around."""
        (ring,) = ax.plot(
            [], [], "o", mfc="none", mec="white", mew=1.6, ms=9, zorder=10, gid="current site"
        )
        ring.set_path_effects([withStroke(linewidth=4, foreground="black")])
        self._fields.append(
            {"ax": ax, "points": points, "artist": artist, "shown": shown, "ring": ring,
             "colors": self.colors[shown].copy(), "grow": grow}
        )  # fmt: skip
        (path,) = ax.plot([], [], color=_PATH_COLOR, linewidth=1.2, zorder=11, gid="path")
        self._fields[-1]["path"] = path
        self._add_moving(ring, path)

    def _add_moving(self, *artists: Artist) -> None:
        """Add artists that change from site to site, to be drawn alone upon a copy of all else."""
        for artist in artists:
            artist.set_animated(True)
            self._moving.append(artist)

    def _on_draw(self, event: Any) -> None:
        """Keep a copy of the figure without the moving artists, then draw these too."""
        canvas = event.canvas
        if not canvas.is_saving() and hasattr(canvas, "copy_from_bbox"):
            self._background = canvas.copy_from_bbox(self.figure.bbox)
        self._fit_rings()
        for artist in self._moving:
            # In a file, axes draw what moves in them themselves.
            if isinstance(artist, Axes) or not canvas.is_saving():
                artist.draw(event.renderer)

    def _fit_rings(self) -> None:
        """Fit the rings to the size of the sites, because a zoom changes it."""
        for field in self._fields:
            if field["grow"] is not None:
                field["ring"].set_markersize(max(field["grow"]() + 3, 7))

    def _refresh(self) -> None:
        """Draw the moving artists, upon the copy of all else if there is one."""
        canvas = self.figure.canvas
        if self._background is None or not hasattr(canvas, "restore_region"):
            canvas.draw_idle()
            return
        canvas.restore_region(self._background)
        for artist in self._moving:
            artist.draw(canvas.get_renderer())
        canvas.blit(self.figure.bbox)

    # What the user does --------------------------------------------------

    def _on_press(self, event: Any) -> None:
        field = next((f for f in self._fields if f["ax"] is event.inaxes), None)
        if field is None or event.button != 1 or self.figure.canvas.widgetlock.locked():
            return
        self._stroke = {
            "field": field,
            "path": [(event.x, event.y)],
            # The key is known only if the window had the keyboard when it went down.
            "adding": "shift" in (event.key or "") or "shift" in event.modifiers,
        }

    def _on_move(self, event: Any) -> None:
        if self._stroke is None:
            return
        self._stroke["path"].append((event.x, event.y))
        field = self._stroke["field"]
        places = field["ax"].transData.inverted().transform(self._stroke["path"])
        self._draw_piece(field, places[-2:])
        field["path"].set_data(*places.T)

    def _draw_piece(self, field: dict[str, Any], places: np.ndarray) -> None:
        """Draw the last piece of a path, upon the present canvas: a full drawing may take long."""
        canvas = self.figure.canvas
        if self._background is None or not hasattr(canvas, "restore_region"):
            canvas.draw_idle()
            return
        field["path"].set_data(*places.T)
        field["path"].draw(canvas.get_renderer())
        canvas.blit(self.figure.bbox)

    def _on_release(self, event: Any) -> None:
        """A click goes to a site; a path chooses those inside."""
        if self._stroke is None or event.button != 1:
            return
        stroke, self._stroke = self._stroke, None
        field, path = stroke["field"], np.asarray([*stroke["path"], (event.x, event.y)], float)
        field["path"].set_data([], [])
        if np.ptp(path, axis=0).max() * 72 / self.figure.dpi < _CLICK:
            self.show(self._nearest(field, path[-1]))
            if len(path) > 2:
                self._refresh()  # the beginning of a path may be drawn
            return
        from matplotlib.path import Path

        on_screen = field["ax"].transData.transform(field["points"])
        inside = np.flatnonzero(Path(path).contains_points(on_screen))
        self._choose(np.union1d(self.selection, inside) if stroke["adding"] else inside)

    def _nearest(self, field: dict[str, Any], place: np.ndarray) -> int:
        """Number of the site nearest on the screen."""
        distance = np.hypot(*(field["ax"].transData.transform(field["points"]) - place).T)
        return int(np.nanargmin(np.where(np.isfinite(distance), distance, np.inf)))

    def _on_key(self, event: Any) -> None:
        if event.key == "escape":
            self.clear()
        elif event.key in ("left", "right") and not self._toolbar_is_busy():
            order = self.selection if self.selection.size else np.arange(len(self.sites))
            if event.key == "right":
                place = np.searchsorted(order, self.site, side="right")
            else:
                place = np.searchsorted(order, self.site) - 1
            self.show(int(order[place % len(order)]))

    def _keep_arrows_from_the_toolbar(self) -> None:
        """Left and right would also take its views back and forward: a zoom would be lost."""
        manager = self.figure.canvas.manager
        if getattr(manager, "key_press_handler_id", None) is None:
            return
        from matplotlib.backend_bases import key_press_handler

        def others(event: Any) -> None:
            if event.key not in ("left", "right"):
                key_press_handler(event)

        canvas = self.figure.canvas
        canvas.mpl_disconnect(manager.key_press_handler_id)
        manager.key_press_handler_id = canvas.mpl_connect("key_press_event", others)

    def _toolbar_is_busy(self) -> bool:
        toolbar = getattr(self.figure.canvas.manager, "toolbar", None)
        return bool(getattr(toolbar, "mode", ""))

    # What a program does -------------------------------------------------

    @independent
    def show(self, site: int, *, force: bool = False) -> None:
        """Go to a site.

        Parameters
        ----------
        site : int
            Number of the site.
        force : bool
            Draw even if it is shown already.

        Raises
        ------
        IndexError
            If there is no such site.
        """
        if not 0 <= site < len(self.sites):
            raise IndexError(f"site={site!r}: there are {len(self.sites)} sites, counted from 0.")
        if site == self.site and not force:
            return
        self.site = int(site)
        for field in self._fields:
            x, y = field["points"][self.site]
            field["ring"].set_data([x], [y])
        self._fit_rings()
        self._show_details()
        self._caption.set_text(self._title())
        self._refresh()
        for follow in self._on_site:
            follow(self.site)

    def _show_details(self) -> None:
        """Show details of the site, in figures with more than the map."""

    def _title(self) -> str:
        chosen = f", {self.selection.size} chosen" if self.selection.size else ""
        return f"site {self.site} of {len(self.sites)}{chosen}"

    @checked
    def select(self, sites: Any) -> None:
        """Choose sites, as a path drawn around them does.

        Parameters
        ----------
        sites : array-like or HyperSpy ROI
            A mask, numbers, or a region of interest in calibrated coordinates of the image.

        Raises
        ------
        ValueError, TypeError, IndexError
            If it chooses no site or does not fit.
        """
        with naming("sites"):
            if self._resolve is not None:
                chosen = self._resolve(sites)
            else:
                values = np.asarray(sites)
                if values.ndim != 1 or values.dtype.kind not in "iub":
                    raise ValueError(
                        f"sites={shown(sites)}: give a mask with one value per site, or numbers."
                    )
                chosen = np.arange(len(self.sites))[values]
            if not len(chosen):
                raise ValueError(f"sites={shown(sites)} chooses no site: clear() lets go of all.")
            self._choose(np.unique(chosen))

    @checked
    def clear(self) -> None:
        """Let go of the chosen sites."""
        self._choose(np.empty(0, int))

    def _choose(self, chosen: np.ndarray) -> None:
        self.selection = np.asarray(chosen, dtype=int)
        lit = np.ones(len(self.sites), bool)
        if self.selection.size:
            lit = np.isin(np.arange(len(self.sites)), self.selection)
        for field in self._fields:
            colors = field["colors"].copy()
            colors[~lit[field["shown"]], 3] *= _DIMMED
            artist = field["artist"]
            artist.set_array(None)
            artist.set_facecolor(colors)
        self._show_selection()
        self._caption.set_text(self._title())
        self.figure.canvas.draw_idle()

    def _show_selection(self) -> None:
        """Show the chosen sites, in figures with more than the map."""

    @checked
    def select_sites(self) -> Any:
        """Take the chosen sites out.

        Returns
        -------
        SubImageStack or numpy.ndarray of int
            A new stack of the chosen sites, as ``stack.select_sites`` makes it; numbers, if the
            figure was made from a table alone.

        Raises
        ------
        ValueError
            If no site is chosen.
        """
        if not self.selection.size:
            raise ValueError(
                "No site is chosen: draw around some in the figure with the mouse button held, or "
                "call select(sites)."
            )
        chosen = self.selection.copy()
        return chosen if self._take is None else self._take(chosen)

    @checked
    def on_site(self, follow: Callable[[int], Any]) -> None:
        """Call ``follow(site)`` whenever another site is shown."""
        self._on_site.append(follow)

    @checked
    def on_close(self, follow: Callable[[], Any]) -> None:
        """Call ``follow()`` once, when the figure is closed."""
        self._on_close.append(follow)

    @checked
    def close(self) -> None:
        """Close the figure, and disconnect everything."""
        import matplotlib.pyplot as plt

        self._closed()
        plt.close(self.figure)

    def _closed(self, event: Any = None) -> None:
        for connection in self._connections:
            self.figure.canvas.mpl_disconnect(connection)
        follows, self._on_close = self._on_close, []
        self._connections, self._on_site = [], []
        for follow in follows:
            follow()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self._title()}>"
