# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything about one site in one figure, beside the map and a scatter of two columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.checks import checked, is_whole_number
from hs_rvae.sites import columns, units

from .. import markers, panels
from ..color import angle_colors
from .navigator import SiteNavigator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...sites import SiteTable

# Main columns come first; the rest follows in the order of the table, as room allows.
_ROWS = 15


class Explorer(SiteNavigator):
    """Map, scatter of two columns, and details of the site that was clicked on.

    Both the map and the scatter answer to the mouse, as in :class:`SiteNavigator`. Below them
    stand the site's sub-image, its reconstruction by the model, the posterior of its angle and its
    row of the table.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image.
    x, y : str
        Columns of the scatter. Angles are drawn in degrees.
    color : str
        Column that colours map and scatter.
    details : callable
        Takes the number of a site; returns a dict with ``sub_image`` (h, w), ``model`` (h, w) or
        a text with the reason why there is none, and ``posterior``: angles (rad) and
        probabilities, or such a text.
    extent : tuple of float, optional
        (left, right, bottom, top) of a sub-image on its calibrated axes.
    unit : str
        Unit of `extent`.
    image, take, resolve
        As in :class:`SiteNavigator`.

    Attributes
    ----------
    site, selection, figure, map_ax
        As in :class:`SiteNavigator`.
    scatter_ax, sub_image_ax, model_ax, posterior_ax, row_ax : matplotlib.axes.Axes

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError, TypeError
        If another argument is not usable.
    Exception
        That of a function of the caller's, unchanged.

    Examples
    --------
    >>> explorer = stack.explore(x="latent_0", y="latent_1", color="angle")  # doctest: +SKIP
    """

    @checked
    def __init__(
        self,
        sites: SiteTable,
        x: str,
        y: str,
        color: str,
        details: Callable[[int], dict[str, Any]],
        *,
        extent: Sequence[float] | None = None,
        unit: str = "px",
        image: Any = None,
        take: Callable[[np.ndarray], Any] | None = None,
        resolve: Callable[[Any], np.ndarray] | None = None,
    ) -> None:
        for column in (x, y, color):
            markers.column_values(sites, column)
        self._x, self._y, self._details = x, y, details
        self._extent, self._unit = extent, unit
        super().__init__(sites, color, image=image, take=take, resolve=resolve)

    def _make_figure(self) -> Figure:
        import matplotlib.pyplot as plt

        return plt.figure(figsize=(10.5, 6.2 if self._is_flat() else 7.4), layout="none")

    def _draw(self) -> None:
        below = ["image"] * 3 + ["model"] * 3 + ["angle"] * 3 + ["row"] * 3
        if self._is_flat():
            rows = [["map"] * 17, ["scatter"] * 4 + below + ["row"]]
            heights = (1.0, 1.0)
        else:
            rows = [["map"] * 7 + ["scatter"] * 5, below]
            heights = (1.55, 1.0)
        spaces = {"left": 0.06, "right": 0.99, "top": 0.95, "bottom": 0.08}
        mosaic = self.figure.subplot_mosaic(
            rows, height_ratios=heights, gridspec_kw=spaces | {"wspace": 0.9, "hspace": 0.28}
        )
        self.scatter_ax, self.sub_image_ax = mosaic["scatter"], mosaic["image"]
        self.model_ax, self.posterior_ax = mosaic["model"], mosaic["angle"]
        self.row_ax = mosaic["row"]
        self._draw_map(mosaic["map"])
        self._draw_scatter(self.scatter_ax)
        self._add_moving(self.sub_image_ax, self.model_ax, self.posterior_ax)
        for ax in (self.sub_image_ax, self.model_ax):
            ax.set_xticks([])
            ax.set_yticks([])
        self.row_ax.set_axis_off()
        # A text for each row holds both name and value, so that they cannot part.
        self._rows = [
            self.row_ax.text(
                0, 1 - k / (_ROWS + 1), "", transform=self.row_ax.transAxes, va="top", fontsize=6.5,
                family="monospace", parse_math=False, gid="row",
            )
            for k in range(_ROWS + 1)
        ]  # fmt: skip
        self._add_moving(*self._rows)
        self.posterior_ax.set(xlim=(-180, 180), xticks=(-180, -90, 0, 90, 180), yticks=[])
        self.posterior_ax.set_xlabel("angle (°)", fontsize=8)
        self.posterior_ax.tick_params(labelsize=7)

    def _draw_scatter(self, ax: Axes) -> None:
        points, label_x, label_y = markers.axis_points(self.sites, self._x, self._y)
        shown = np.isfinite(points).all(axis=1)
        size = float(np.clip(6000 / max(len(points), 1), 3, 24))
        cloud = ax.scatter(
            points[shown, 0], points[shown, 1], s=size, c=self.colors[shown], linewidths=0
        )
        cloud.set_gid("sites")
        panels.label_axes(ax, label_x, label_y, 8)
        self._add_field(ax, points, cloud, shown)

    # The site ------------------------------------------------------------

    def _show_details(self) -> None:
        found = self._details(self.site)
        sub_image = np.asarray(found["sub_image"], dtype=float)
        finite = sub_image[np.isfinite(sub_image)]
        limits = (finite.min(), finite.max()) if finite.size else (0, 1)
        self._show_image(self.sub_image_ax, "sub-image", sub_image, limits)
        self._show_image(self.model_ax, "reconstruction", found["model"], limits)
        self._show_posterior(found["posterior"])
        lines = self._row_lines()
        for k, text in enumerate(self._rows):
            text.set_text(lines[k] if k < len(lines) else "")

    def _show_image(self, ax: Axes, title: str, content: Any, limits: tuple[float, float]) -> None:
        """An image, on the grey scale of the sub-image, or the reason why there is none."""
        for artist in [*ax.images, *ax.texts, *ax.artists]:
            artist.remove()
        ax.set_title(title, fontsize=8)
        if isinstance(content, str):
            _write_reason(ax, content)
            return
        extent = self._extent
        if extent is None:
            height, width = np.shape(content)
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        panels.draw_image(ax, content, extent, cmap="gray", vmin=limits[0], vmax=limits[1])
        panels.add_scale_bar(ax, self._unit, "lower left", font_size=7)

    def _show_posterior(self, content: Any) -> None:
        ax = self.posterior_ax
        for artist in [*ax.collections, *ax.texts, *ax.lines]:
            artist.remove()
        ax.set_title("posterior of the angle", fontsize=8)
        if isinstance(content, str):
            _write_reason(ax, content)
            return
        angle, probability = content
        # One collection: a bar each would take half a second.
        ax.vlines(np.rad2deg(angle), 0, probability, colors=angle_colors(angle), linewidth=1.5)
        ax.plot(np.rad2deg(angle), probability, color="black", linewidth=0.6)
        ax.set_ylim(0, 1.08 * max(np.nanmax(probability), 1e-12))
        if "angle" in self.sites and "angle_std" in self.sites:
            mean, std = (
                float(units.degrees(self.sites[n][self.site], self.sites.units[n]))
                for n in ("angle", "angle_std")
            )
            title = f"posterior of the angle: {mean:.1f} ± {std:.1f}°"
            ax.set_title(title.replace("-", "−"), fontsize=8)

    def _row_lines(self) -> list[str]:
        """The row of the table as lines of name and value, in the units of the figures."""
        names = columns.main(self.sites.columns)
        names += [n for n in self.sites.columns if n not in names and not n.endswith("_std")]
        left = len(names) - _ROWS
        names = names[:_ROWS]
        shown = [_shortened(name) for name in names]
        wide = max(map(len, shown)) + 1
        values = map(self._value_text, names)
        lines = [f"{name:<{wide}}{value}" for name, value in zip(shown, values, strict=True)]
        return lines + ([f"... {left} more in stack.sites"] if left > 0 else [])

    def _value_text(self, name: str) -> str:
        value, unit = self.sites[name][self.site], self.sites.units[name]
        if units.is_angle(unit) or columns.kind(name, unit) == "angle":
            value, unit = float(units.degrees(value, unit)), "°"
        text = f"{value:d}" if is_whole_number(value, -np.inf) else f"{value:.4g}"
        return f"{text.replace('-', '−')}{unit if unit == '°' else ' ' + unit}".rstrip()


def _write_reason(ax: Axes, reason: str) -> None:
    """Write into empty axes why there is nothing to draw."""
    ax.text(
        0.5,
        0.5,
        reason,
        ha="center",
        va="center",
        wrap=True,
        fontsize=7,
        transform=ax.transAxes,
    )


def _shortened(name: str) -> str:
    """A name that leaves room for its value."""
    return name if len(name) <= 25 else f"{name[:24]}…"
