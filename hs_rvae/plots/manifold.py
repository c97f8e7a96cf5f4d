# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-images decoded on a grid of latents or over the directions of a distortion, as mosaics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from . import layout, markers, panels
from .style import independent

_SIDE_MM, _MARGIN_MM = 27.0, 13.0  # mm at 8 point, beside and around axes in a figure of two
_ARROWS = "→↘↓↙←↖↑↗"  # from 0 on, as on a map with y down

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


@independent
def plot_manifold(
    images: np.ndarray,
    values_y: np.ndarray,
    values_x: np.ndarray,
    *,
    label_x: str = "Latent 0",
    label_y: str = "Latent 1",
    intensity_label: str = "intensity",
    normalise: str = "common",
    intensity_limits: Sequence[float] | None = None,
    percentiles: Sequence[float] = (0.5, 99.5),
    cmap: str | Colormap = "gray",
    gap: float = 0.06,
    colorbar: bool = True,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw decoded sub-images as a mosaic over one or two latents.

    The latents grow to the right and upwards, as in a scatter plot, which can be drawn upon
    the same axes; every sub-image keeps its own orientation, y down.

    Parameters
    ----------
    images : numpy.ndarray
        (ny, nx, h, w); ``images[i, j]`` belongs to ``values_y[i]`` and ``values_x[j]``.
    values_y, values_x : numpy.ndarray
        (ny,) and (nx,) values of the latents. ny = 1 draws a row without a vertical axis.
    label_x, label_y : str
        Names of the latents.
    intensity_label : str
        Label of the colour bar: quantity and unit of the sub-images.
    normalise : {"common", "each"}
        One grey scale for all, or one for each sub-image (then without a colour bar).
    intensity_limits : tuple of float, optional
        Intensities at black and white of the common scale.
    percentiles : tuple of float
        Percentiles at black and white when there are no `intensity_limits`.
    cmap : str
        Colour map.
    gap : float
        Width of the gaps in units of a sub-image.
    colorbar : bool
        Whether to draw the colour bar.
    title, font_size
        As in `hs_rvae.plots.plot_site_map`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If shapes do not fit, or an option does not.
    TypeError
        If `ax` is not one rectilinear Axes.

    Notes
    -----
    Fig. 1(e) of the reference below.

    References
    ----------
    AIP Advances 12, 105122 (2022), https://doi.org/10.1063/5.0105406

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae.plots import plot_manifold
    >>> images = np.random.default_rng(0).random((3, 4, 16, 16))
    >>> ax = plot_manifold(images, np.linspace(-2, 2, 3), np.linspace(-2, 2, 4))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Latent 0', 'Latent 1')
    """
    images, values_y, values_x = _checked(images, values_y, values_x)
    if normalise not in ("common", "each"):
        raise ValueError(f"normalise={normalise!r} is unknown: take 'common' or 'each'")
    low, high = markers.percentile_limits(images, percentiles)
    if normalise == "each":
        dark, bright = np.nanpercentile(images, percentiles, axis=(2, 3), keepdims=True)
        images = (images - dark) / np.where(bright > dark, bright - dark, 1)
        low, high = 0.0, 1.0
        colorbar = False
    elif intensity_limits is not None:
        low, high = markers.given_limits(intensity_limits, "intensity_limits")

    ny, nx, h, w = images.shape
    # Latents grow upwards: the row of the largest comes first.
    mosaic = _mosaic(images[np.argsort(-values_y)][:, np.argsort(values_x)], gap)
    row = ny == 1
    ax, font_size, new = panels.open_axes(ax, font_size, width=layout.COLUMN_WIDTH)
    if colorbar and not new:
        grow = font_size / 8
        layout.reserve(ax, **({"below": 20 * grow} if row else {"side": 15 * grow}))
    x, y = _edges(values_x), _edges(values_y)
    aspect = (mosaic.shape[0] / (y[1] - y[0])) / (mosaic.shape[1] / (x[1] - x[0]))
    shown = panels.draw_image(ax, mosaic, (*x, *y), cmap=cmap, vmin=low, vmax=high, aspect=aspect)
    _set_ticks(ax.xaxis, np.sort(values_x))
    ax.set_xlabel(label_x, fontsize=font_size)
    if row:
        ax.set_yticks([])
    else:
        _set_ticks(ax.yaxis, np.sort(values_y))
        ax.set_ylabel(label_y, fontsize=font_size)
    ax.tick_params(labelsize=font_size - 1, length=2)
    ax.spines[:].set_visible(False)
    if colorbar:
        layout.add_colorbar(
            ax,
            shown,
            intensity_label,
            font_size,
            extend=layout.extend_beyond(images, low, high),
            below=11.0 if row else None,
        )
    return panels.finish_axes(ax, title, font_size, fit=new)


@independent
def plot_distortion(
    images: np.ndarray,
    changes: np.ndarray,
    angles: np.ndarray,
    *,
    intensity_limits: Sequence[float] | None = None,
    percentiles: Sequence[float] = (0.5, 99.5),
    cmap: str | Colormap = "gray",
    change_cmap: str | Colormap = "coolwarm",
    gap: float = 0.06,
    colorbar: bool = True,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw sub-images with a distortion in several directions, and the changes it makes.

    The upper row has the sub-images, the lower row their differences from the sub-image without
    distortion, on a scale with 0 in the middle.

    Parameters
    ----------
    images : numpy.ndarray
        (n, h, w) sub-images with the distortion.
    changes : numpy.ndarray
        (n, h, w) differences from the sub-image without distortion.
    angles : numpy.ndarray
        (n,) directions of the distortion, in radians from +x towards +y (down).
    intensity_limits : tuple of float, optional
        Intensities at black and white of the upper row.
    percentiles : tuple of float
        Percentiles at black and white when there are no `intensity_limits`.
    cmap, change_cmap : str
        Colour maps of the rows; that of the changes has two hues.
    gap : float
        Width of the gaps in units of a sub-image.
    colorbar : bool
        Whether to draw the colour bar of the changes.
    title, font_size
        As in `hs_rvae.plots.plot_site_map`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes
        Its colour bar is the first of ``ax.child_axes``.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If `ax` is not one rectilinear Axes.

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae.plots import plot_distortion
    >>> images = np.random.default_rng(0).random((4, 16, 16))
    >>> ax = plot_distortion(images, images - images.mean(0), np.arange(4) * np.pi / 2)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['image', 'change']
    """
    images, changes = np.asarray(images, float), np.asarray(changes, float)
    angles = np.atleast_1d(np.asarray(angles, float))
    if images.ndim != 3 or images.shape != changes.shape or len(images) != len(angles):
        raise ValueError(
            f"images of shape {images.shape}, changes of shape {changes.shape} and {len(angles)} "
            "angles do not fit: (n, h, w) twice and (n,) are needed"
        )
    for name, values in {"images": images, "changes": changes, "angles": angles}.items():
        if not np.isfinite(values).any():
            raise ValueError(f"{name} has no finite value: there is nothing to draw")
    low, high = markers.percentile_limits(images, percentiles)
    if intensity_limits is not None:
        low, high = markers.given_limits(intensity_limits, "intensity_limits")
    largest = float(np.nanmax(np.abs(changes), initial=0.0)) or 1.0
    ax, font_size, new = panels.open_axes(ax, font_size, width=layout.COLUMN_WIDTH)
    if colorbar and not new:
        layout.reserve(ax, side=15 * font_size / 8)
    rows = []
    for k, (row, limits, colors) in enumerate(
        ((images, (low, high), cmap), (changes, (-largest, largest), change_cmap))
    ):
        mosaic = _mosaic(row[None], gap)
        extent = (-0.5, len(angles) - 0.5, k + 0.5, k - 0.5)
        aspect = mosaic.shape[0] / (mosaic.shape[1] / len(angles))
        rows.append(
            panels.draw_image(
                ax, mosaic, extent, cmap=colors, vmin=limits[0], vmax=limits[1], aspect=aspect
            )
        )
    ax.set(xlim=(-0.5, len(angles) - 0.5), ylim=(1.5, -0.5))
    ax.set_xticks(np.arange(len(angles)), [_direction_name(angle) for angle in angles])
    ax.set_yticks([0, 1], ["image", "change"])
    ax.set_xlabel("direction of the distortion (°)", fontsize=font_size)
    ax.tick_params(labelsize=font_size - 1, length=0)
    ax.spines[:].set_visible(False)
    if colorbar:
        cax = ax.inset_axes((1.01, 0.02, 0.025, 0.46))
        cax.set_gid("colorbar")
        mark = panels.nice_length(largest)
        bar = ax.figure.colorbar(rows[1], cax=cax, ticks=[-mark, mark])
        layout.format_colorbar(bar, "", font_size)
    return panels.finish_axes(ax, title, font_size, fit=new)


@independent
def plot_with_distortion(
    grid: tuple[np.ndarray, np.ndarray, np.ndarray],
    distortion: tuple[np.ndarray, np.ndarray, np.ndarray],
    options: dict[str, Any],
) -> Axes:
    """Draw sub-images over the latents, and below them a distortion in several directions.

    Parameters
    ----------
    grid : tuple of numpy.ndarray
        First arguments of :func:`plot_manifold`.
    distortion : tuple of numpy.ndarray
        First arguments of :func:`plot_distortion`.
    options : dict
        Options of :func:`plot_manifold` for a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The upper axes.
    """
    font_size = panels.font_size_for(options["font_size"], None)
    width, grow = layout.column_width(font_size), font_size / 8
    ny, nx, h, w = np.shape(grid[0])
    inside = width - _SIDE_MM * grow
    heights = (
        inside * ny * h / (nx * w) + _MARGIN_MM * grow,
        2 * inside * h / (len(distortion[2]) * w),
    )
    heights = heights[0], heights[1] + _MARGIN_MM * grow
    figure = layout.new_figure(width, sum(heights))
    upper, lower = figure.subplots(2, 1, height_ratios=heights)
    plot_manifold(*grid, **options | {"ax": upper, "font_size": font_size})
    shared = ("cmap", "gap", "colorbar", "percentiles", "intensity_limits")
    plot_distortion(
        *distortion,
        **{name: options[name] for name in shared},
        title="The distortion in each direction, at latents 0",
        font_size=font_size,
        ax=lower,
    )
    return upper


def _direction_name(angle: float) -> str:
    """Direction in degrees in (-180, 180], with an arrow for eighths of a turn."""
    degrees = 180 - (180 - round(float(np.rad2deg(angle)), 6)) % 360
    name = f"{degrees:.3g}".replace("-", "−")
    return name if degrees % 45 else f"{name}\n{_ARROWS[int(degrees % 360 // 45)]}"


def _checked(
    images: np.ndarray, values_y: np.ndarray, values_x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images = np.asarray(images, dtype=float)
    values_y, values_x = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (values_y, values_x))
    for name, values in {"values_y": values_y, "values_x": values_x}.items():
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"{name} of the shape {values.shape}: give a row of finite numbers")
    if images.ndim != 4 or images.shape[:2] != (len(values_y), len(values_x)):
        raise ValueError(
            f"images of shape {images.shape} do not fit {len(values_y)} values_y and "
            f"{len(values_x)} values_x: (ny, nx, h, w) is needed"
        )
    if not np.isfinite(images).any():
        raise ValueError("images has no finite value: there is nothing to draw")
    return images, values_y, values_x


def _mosaic(images: np.ndarray, gap: float) -> np.ndarray:
    """(ny, nx, h, w) to one image with transparent (NaN) gaps around every sub-image."""
    ny, nx, h, w = images.shape
    edge = max(1, int(round(gap * max(h, w) / 2)))
    padded = np.full((ny, nx, h + 2 * edge, w + 2 * edge), np.nan)
    padded[:, :, edge : edge + h, edge : edge + w] = images
    return padded.transpose(0, 2, 1, 3).reshape(ny * (h + 2 * edge), nx * (w + 2 * edge))


def _is_even(values: np.ndarray) -> bool:
    """Return True for values of one distance, so that the axis can carry the latent itself."""
    steps = np.diff(np.sort(values))
    return len(values) > 1 and steps[0] > 0 and np.allclose(steps, steps[0])


def _edges(values: np.ndarray) -> tuple[float, float]:
    """Ends of the axis: half a sub-image beyond the first and the last one.

    An even grid is drawn on the scale of the latent, so that sites can be drawn upon it; any
    other one (or a single value) on the number of the sub-image.
    """
    if not _is_even(values):
        return -0.5, len(values) - 0.5
    half = np.ptp(values) / (len(values) - 1) / 2
    return values.min() - half, values.max() + half


def _set_ticks(axis: Any, values: np.ndarray) -> None:
    if _is_even(values):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    else:
        axis.set_ticks(np.arange(len(values)), [f"{v:.2g}".replace("-", "−") for v in values])
