# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Direction and amplitude of every site in one colour, with the wheel that explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sites import columns, missing_column, units
from ..sites.columns import MINIMUM_ORDER
from . import layout, markers, panels
from .color import polar_colors
from .style import independent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

    from ..sites import SiteTable

WHEEL_SIDE = 28.0  # mm kept beside a map for the wheel and its caption
_WHEEL = (25.0, 21.0)  # mm, width and height of the wheel with its marks at 8 point
_HOLE = 0.22  # inner radius of a signed wheel, so that hues are told apart there too


@independent
def plot_polar_map(
    sites: SiteTable,
    angle: str = "angle",
    amplitude: str | None = "auto",
    *,
    sign: int = 1,
    signed: bool | None = None,
    limits: Sequence[float] | None = None,
    percentiles: Sequence[float] = (1, 99),
    least_order: float | None = MINIMUM_ORDER,
    cmap: str | Colormap | None = None,
    image: Any = None,
    arrows: bool = False,
    wheel: bool = True,
    label: str | None = None,
    marker_size: float | None = None,
    scale_bar: bool | str | None = None,
    title: str | None = None,
    font_size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the sites as markers coloured by direction and amplitude.

    The colour is the direction on screen, where pixels have their true shape. An amplitude that is
    never negative, such as the length of a displacement, runs from grey (0) to the full colour. A
    signed amplitude, such as a latent, is scaled to [-1, 1] with zero at 0, and runs from a weak
    to the full colour. The wheel beside the map shows the colours at
    their directions on the map (y down, so that 90 degrees points down), and states the limits in
    its caption.

    Parameters
    ----------
    sites : SiteTable
        Sites of one image.
    angle : str
        Column with the direction in radians, or name of a vector: ``"displacement"`` reads the
        columns displacement_x and displacement_y, ``"displacement_calibrated"`` the columns
        displacement_x_calibrated and displacement_y_calibrated.
    amplitude : str or None
        Column with the amplitude, or name of a vector of which the length is taken. ``"auto"``
        is the length if `angle` names a vector, otherwise the column latent_0. If None, the
        direction alone.
    sign : {1, -1}
        -1 turns every direction by 180 degrees, and the caption states it. Whether the polarisation
        points along a displacement or against it depends on the material and on which column
        moved: it is the user's to state.
    signed : bool, optional
        Whether the sign of the amplitude has a meaning; by default if any value is negative,
        except for order_amplitude, whose negative values are noise and shown as 0.
        With False the modulus is shown.
    limits : tuple of float, optional
        Amplitudes (low, high) at -1 and 1, or at 0 and 1 if not signed. By default high is the
        upper one of `percentiles` and low is 0; for a signed amplitude high is the larger modulus
        of both percentiles and low is -high.
    percentiles : tuple of float
        Percentiles that scale the amplitude when there are no `limits`.
    least_order : float, optional
        As in `hs_rvae.plots.plot_site_map`: directions of the model without a meaning are grey,
        and the caption of the wheel states their number.
    cmap : str or matplotlib.colors.Colormap, optional
        Cyclic map for the directions. If None, that of `hs_rvae.plots.angle_colors`.
    image : numpy.ndarray, optional
        (ny, nx) parent image, drawn in grey below the sites.
    arrows : bool
        Whether to draw arrows along the direction as well: of the vector's length, longest at
        the upper limit, or all of one length when `angle` is a column.
    wheel : bool
        Whether to draw the colour wheel.
    label : str, optional
        Name of the amplitude in the caption of the wheel; by default its printed name and unit.
    marker_size, scale_bar, title, font_size
        As in `hs_rvae.plots.plot_site_map`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes
        The map; its wheel is the first of ``ax.child_axes``.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If no value is finite, or an option does not fit.
    TypeError
        If `ax` is not one rectilinear Axes.

    Notes
    -----
    The amplitude-phase colours of the reference below, Fig. 2, in a perceptually uniform form.

    References
    ----------
    AIP Advances 12, 105122 (2022), https://doi.org/10.1063/5.0105406

    Examples
    --------
    >>> import numpy as np
    >>> from hs_rvae import SiteTable
    >>> from hs_rvae.plots import plot_polar_map
    >>> y, x = np.indices((5, 5)) * 20.0
    >>> sites = SiteTable.from_columns(
    ...     {"x": x.ravel(), "y": y.ravel(), "displacement_x": (x - 40).ravel() / 20,
    ...      "displacement_y": (y - 40).ravel() / 20},
    ...     units={"displacement_x": "px", "displacement_y": "px"})
    >>> ax = plot_polar_map(sites, "displacement", arrows=True)
    >>> len(ax.child_axes)
    1
    """
    scale = polar_scale(
        sites, angle, amplitude, sign, signed, limits, percentiles, cmap, least_order, label
    )
    colors, direction, defined = scale.colors, scale.direction, scale.defined

    base = panels.open_map(
        sites,
        image=image,
        marker_size=marker_size,
        scale_bar=scale_bar,
        font_size=font_size,
        ax=ax,
        side=WHEEL_SIDE if wheel else 0.0,
        # In axes of the user's a wheel below would take height that is not there.
        below_flat=_WHEEL[1] + (12.0 if image is None else 2.0) if wheel and ax is None else None,
    )
    markers.draw_markers(base.ax, base.points, base.diameter, ~defined, facecolors=colors)
    if arrows:
        lengths = np.ones(len(sites))
        if scale.length is not None:
            lengths = np.clip(scale.length / (scale.longest or 1.0), 0, 1)
        _draw_arrows(
            base.ax, base.points[defined], direction[defined], lengths[defined], base.diameter
        )
    if wheel:
        below = base.below + 0.5 if base.flat else None
        add_wheel(base.ax, scale, cmap, base.font_size, below)
    return base.finish(title)


@independent
def plot_color_wheel(
    ax: Axes,
    style: str = "unsigned",
    *,
    cmap: str | Colormap | None = None,
    caption: str | None = None,
    font_size: float = 7.0,
) -> AxesImage:
    """Draw the colours of `polar_colors` at their directions on a map with y down.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Its ticks and frame are removed.
    style : {"unsigned", "signed", "direction"}
        A disk with amplitude 0 in the centre; a ring from -1 (inside, weak) over 0 (line) to 1
        (outside, full); or a ring of directions alone.
    cmap : str or matplotlib.colors.Colormap, optional
        As in `polar_colors`.
    caption : str, optional
        Text below the wheel.
    font_size : float
        Points, of marks and caption.

    Returns
    -------
    matplotlib.image.AxesImage

    Raises
    ------
    ValueError
        If `style` is unknown.
    """
    holes = {"unsigned": 0.0, "signed": _HOLE, "direction": 0.55}
    if style not in holes:
        raise ValueError(f"style={style!r} is unknown: take one of {', '.join(map(repr, holes))}")
    panels.check_axes(ax)
    hole = holes[style]
    n = 501
    at = (np.arange(n) + 0.5) / n * 2 - 1
    radius = np.hypot(at[np.newaxis, :], at[:, np.newaxis])
    angle = np.arctan2(at[:, np.newaxis], at[np.newaxis, :])
    signed = style == "signed"
    amplitude = radius if style == "unsigned" else np.ones_like(radius)
    if signed:
        amplitude = 2 * (radius - hole) / (1 - hole) - 1
    rgba = np.ones((n, n, 4))
    rgba[..., :3] = polar_colors(angle, amplitude, signed=signed, cmap=cmap)
    # Edges fade over two of the 501 pixels instead of showing steps.
    inner = (radius - hole) * n / 4 if hole else 1.0
    rgba[..., 3] = np.clip(np.minimum((1 - radius) * n / 4, inner), 0, 1)
    # Rows run from y = -1 at the top to y = 1 at the bottom, like those of the map.
    artist = panels.draw_image(ax, rgba, (-1, 1, 1, -1))
    if signed:
        turn = np.linspace(0, 2 * np.pi, 181)
        zero = (1 + hole) / 2
        ax.plot(zero * np.cos(turn), zero * np.sin(turn), color="white", linewidth=0.5)
    for mark, x, y, ha, va in (
        ("0°", 1.12, 0, "left", "center"),
        ("down = 90°", 0, 1.12, "center", "top"),
        ("180°", -1.12, 0, "right", "center"),
        ("−90°", 0, -1.12, "center", "bottom"),
    ):
        ax.text(x, y, mark, ha=ha, va=va, fontsize=font_size)
    if caption:
        ax.annotate(
            caption,
            (0, 0),
            (0, -1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=font_size,
            linespacing=1.25,
        )
    # Room for the marks, the longest of them on the left.
    ax.set(xlim=(-2.02, 1.55), ylim=(1.5, -1.5), aspect="equal")
    ax.set_axis_off()
    return artist


@dataclass
class PolarScale:
    """Colours by direction and amplitude, and the caption of their wheel."""

    direction: np.ndarray  # (n,), on the map
    defined: np.ndarray  # (n,), bool
    colors: np.ndarray  # (n_defined, 3)
    length: np.ndarray | None  # of a vector
    longest: float  # length of the longest arrow
    style: str  # of the wheel
    caption: str


def polar_scale(
    sites: SiteTable,
    angle: str,
    amplitude: str | None,
    sign: int,
    signed: bool | None,
    limits: Sequence[float] | None,
    percentiles: Sequence[float],
    cmap: str | Colormap | None,
    least_order: float | None = MINIMUM_ORDER,
    label: str | None = None,
) -> PolarScale:
    """Colours of the sites; the parameters are those of `plot_polar_map`."""
    if sign not in (1, -1):
        raise ValueError(f"sign={sign!r}: give 1, or -1 to turn all directions by 180 degrees")
    direction, length, _ = _direction(sites, angle)
    if sign == -1:
        direction = direction + np.pi
    if amplitude == "auto":
        amplitude = "latent_0" if length is None else angle
    size = np.ones(len(sites))
    if amplitude is not None:
        name, size, unit = _amplitude(sites, amplitude)
    defined = np.isfinite(direction) & np.isfinite(size)
    if not defined.any():
        raise ValueError(
            f"no site has both a finite {angle!r} and a finite {amplitude!r}: there is nothing to "
            "draw; take another amplitude, or None"
        )
    known = markers.has_direction(sites, angle, least_order)
    if signed is None and amplitude == "order_amplitude":
        size, signed = np.maximum(size, 0.0), False
    elif signed is None:
        signed = bool(size[defined].min() < 0)
    scaled, low, high = _scaled(size, amplitude, signed, limits, percentiles)
    defined &= known
    longest = 1.0
    if length is not None:
        longest = high if amplitude == angle else np.nanpercentile(length, percentiles[1])
    captions = []
    if amplitude is not None:
        printed = f"{name} ({unit})" if unit else name
        captions.append(_caption(printed if label is None else label, low, high, signed))
    if sign == -1:
        captions.append(
            "direction:\n" + (f"{angle} + 180°" if length is None else f"−{_label(angle)}")
        )
    if not known.all():
        captions.append(f"grey, undefined:\n{(~defined).sum()} sites")
    return PolarScale(
        direction,
        defined,
        polar_colors(direction[defined], scaled[defined], signed=signed, cmap=cmap),
        length,
        float(longest),
        "direction" if amplitude is None else "signed" if signed else "unsigned",
        "\n".join(captions),
    )


def add_wheel(
    ax: Axes,
    scale: PolarScale,
    cmap: str | Colormap | None,
    font_size: float,
    below: float | None = None,
) -> None:
    """Wheel and caption right of the axes, or side by side `below` mm below a flat map."""
    width, height = np.array(_WHEEL) * font_size / 8
    if below is None:
        wheel = layout.side_axes(ax, 0.03 * width, width, y=0, height=height)
    else:
        wheel = layout.corner_below(ax, below * font_size / 8, width, height)
    wheel.set_gid("color wheel")
    caption = scale.caption if below is None else None
    plot_color_wheel(wheel, scale.style, cmap=cmap, caption=caption, font_size=font_size - 1)
    if below is not None and scale.caption:
        wheel.text(
            1.05, 0.5, scale.caption, transform=wheel.transAxes, va="center",
            fontsize=font_size - 1, linespacing=1.25,
        )  # fmt: skip


def _direction(sites: SiteTable, name: str) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Direction on the map; length and its unit if `name` is a vector, else None."""
    width, height = np.abs(sites.pixel_size)
    if name in sites.columns:
        angle = units.radians(markers.column_values(sites, name), sites.units[name])
        on_map = np.arctan2(np.sin(angle) * height, np.cos(angle) * width)
        return on_map, None, ""
    components = _components(sites, name)
    if components is None:
        raise KeyError(missing_column(sites, name) + f" Nor has it a vector {name}_x, {name}_y.")
    x, y = (markers.column_values(sites, component) for component in components)
    unit = sites.units.get(components[0], "")
    calibrated = units.is_calibrated(unit)
    on_map = np.arctan2(y, x) if calibrated else np.arctan2(y * height, x * width)
    return on_map, np.hypot(x, y), unit


def _components(sites: SiteTable, name: str) -> list[str] | None:
    """Columns of a vector, such as displacement_x and _y, or displacement_x_calibrated and so on.

    None if there are no such columns.
    """
    stem = _label(name)
    components = [f"{stem}_{k}{name[len(stem) :]}" for k in "xy"]
    return components if set(components) <= set(sites.columns) else None


def _label(vector: str) -> str:
    """Name of a vector for the caption, where the unit shows that it is calibrated."""
    return vector.removesuffix("_calibrated")


def _amplitude(sites: SiteTable, name: str) -> tuple[str, np.ndarray, str]:
    """Label, values and unit of an amplitude column or of the length of a vector."""
    if name not in sites.columns and _components(sites, name):
        _, length, unit = _direction(sites, name)
        if length is not None:
            return f"|{_label(name).removeprefix('mode_')}|", length, unit
    return columns.title(name), markers.column_values(sites, name), sites.units[name]


def _scaled(
    size: np.ndarray,
    name: str | None,
    signed: bool,
    limits: Sequence[float] | None,
    percentiles: Sequence[float],
) -> tuple[np.ndarray, float, float]:
    """Amplitudes in [0, 1] or [-1, 1], and the amplitudes at the ends."""
    if name is None:
        return size, 0.0, 1.0
    if not signed:
        size = np.abs(size)
    if limits is not None:
        low, high = markers.given_limits(limits)
    else:
        low, high = markers.percentile_limits(size, percentiles)
        if signed:
            high = max(abs(low), abs(high))
            low = -high
        else:
            low = 0.0
        if high <= low:
            high = low + 1.0
    scaled = (size - low) / (high - low)
    if signed:
        scaled = 2 * scaled - 1
    return np.clip(scaled, -1 if signed else 0, 1), low, high


def _caption(
    label: str,
    low: float,
    high: float,
    signed: bool,
) -> str:
    """Label of the amplitude, and the values at rim, line and centre."""
    if signed:
        places = [("inner, weak", low), ("line", (low + high) / 2), ("outer, full", high)]
    else:
        places = [("centre", low), ("rim", high)]
    return "\n".join([label, *(f"{place} {_number(value)}" for place, value in places)])


def _number(value: float) -> str:
    """Three figures, with a true minus sign."""
    return f"{float(f'{value:.3g}'):g}".replace("-", "−")


def _draw_arrows(
    ax: Axes, points: np.ndarray, direction: np.ndarray, lengths: np.ndarray, diameter: float
) -> None:
    """Arrows centred on the sites, in data units: right on axes with y down."""
    step = lengths * diameter
    ax.quiver(
        points[:, 0],
        points[:, 1],
        step * np.cos(direction),
        step * np.sin(direction),
        angles="xy",
        scale_units="xy",
        scale=1,
        units="xy",
        width=0.09 * diameter,
        headwidth=4,
        headlength=4,
        headaxislength=3.6,
        minlength=0,
        pivot="mid",
        color="black",
        zorder=4,
    )
