# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours: cyclic maps for directions, polar colours for direction and amplitude, classes.

Polar colours are made in OKLab (B. Ottosson, 2020, https://bottosson.github.io/posts/oklab),
where equal distances look about equally large: at one amplitude all directions have the same
lightness and chroma, so that no direction appears stronger than another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap

from hs_rvae.checks import checked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Four hues (blue, magenta, yellow, green from -180 degrees on) with lightness between them: of the
#: cyclic maps of colorcet it keeps four variants furthest apart under red-green blindness too.
ANGLE_COLORMAP = "cet_colorwheel"
#: Grey of what has no value: labels of -1, and the outline of sites without a finite value.
UNDEFINED_COLOR = (0.6, 0.6, 0.6)

# Okabe and Ito's palette without black and grey, which mean other things here, then colours of
# colorcet's glasbey_bw, each the furthest in OKLab from all before it and from grey.
CLASS_COLORS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#4F2A00"),
    *("#00009D", "#7F0087", "#B908FA", "#00FDCF", "#3715FF", "#006905", "#FEA5FF", "#B30035"),
    *("#00C720", "#FE03CB", "#084E5F", "#7E6BFE", "#88607E", "#BBD3FF", "#836A1D", "#B7CA94"),
)
_N_COLORS = 256
# Places 0 degrees at the yellow of ANGLE_COLORMAP, so that both kinds of map read alike.
_HUE_OF_ZERO = np.deg2rad(75)

_TO_CONE = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def get_colormap(name: str | Colormap) -> Colormap:
    """Colour map of Matplotlib, or of colorcet under its ``"cet_"`` name.

    Parameters
    ----------
    name : str or matplotlib.colors.Colormap
        For example ``"twilight"`` or ``"cet_CET_CBC1"``.

    Returns
    -------
    matplotlib.colors.Colormap

    Raises
    ------
    ValueError
        If neither library has a map of this name.
    """
    if isinstance(name, Colormap):
        return name
    if name not in matplotlib.colormaps:
        import colorcet  # noqa: F401  registers its maps; slow, hence only when one is asked for
    if name not in matplotlib.colormaps:
        raise ValueError(
            f"cmap={name!r} is the name of no colour map: take one of matplotlib.colormaps "
            "or a colorcet map such as 'cet_colorwheel'"
        )
    colormap = matplotlib.colormaps[name]
    # Matplotlib makes its maps with as many colours as matplotlibrc says (image.lut).
    if isinstance(colormap, LinearSegmentedColormap) and colormap.N != _N_COLORS:
        return colormap.resampled(_N_COLORS)
    return colormap


@checked
def class_colors(classes: ArrayLike) -> np.ndarray:
    """Colours of non-negative class labels; a label has the same colour in every figure.

    Parameters
    ----------
    classes : sequence of int
        Labels, each 0 or larger.

    Returns
    -------
    numpy.ndarray
        (n, 3) sRGB. The first seven are colour-blind safe (Okabe and Ito); after 24 colours
        repeat.
    """
    palette = np.array([matplotlib.colors.to_rgb(color) for color in CLASS_COLORS])
    return palette[np.asarray(classes, dtype=int) % len(palette)]


@checked
def angle_colors(angle: ArrayLike, cmap: str | Colormap = ANGLE_COLORMAP) -> np.ndarray:
    """Colours of directions in a cyclic map.

    Parameters
    ----------
    angle : array_like
        Radians.
    cmap : str or Colormap
        A cyclic colour map; its ends stand at +-180 degrees.

    Returns
    -------
    numpy.ndarray
        (..., 3) sRGB in [0, 1].
    """
    angle = np.asarray(angle, dtype=float)
    return np.asarray(get_colormap(cmap)(np.mod(angle / (2 * np.pi) + 0.5, 1.0)))[..., :3]


@checked
def polar_colors(
    angle: ArrayLike,
    amplitude: ArrayLike = 1.0,
    *,
    signed: bool = False,
    cmap: str | Colormap | None = None,
) -> np.ndarray:
    """Colours of directions with an amplitude.

    Hue is the direction. An unsigned amplitude runs from a dark neutral grey (0) to a light and
    full colour (1): dark means weak. A signed amplitude leaves the hue visible
    everywhere and sets the lightness: dark is -1, medium 0, light +1.

    Parameters
    ----------
    angle : array_like
        Direction in radians, from +x (right) towards +y (down).
    amplitude : array_like, default 1
        Already scaled: to [0, 1], or to [-1, 1] with ``signed``; clipped there.
    signed : bool
        Whether the sign has a meaning. Without it the modulus is shown.
    cmap : str or Colormap, optional
        A cyclic map that replaces the circle of hues, for unsigned amplitudes only; amplitude 0
        is then the neutral grey of the map's mean lightness. ``"cet_CET_CBC1"`` can be read with
        red-green blindness.

    Returns
    -------
    numpy.ndarray
        (..., 3) sRGB in [0, 1]; NaN where angle or amplitude is NaN.

    Raises
    ------
    ValueError
        If `cmap` is given for a signed amplitude: lightness cannot show both.

    Examples
    --------
    Right and down, at full strength:

    >>> import numpy as np
    >>> from hs_rvae.plots import polar_colors
    >>> polar_colors([0, np.pi / 2]).shape
    (2, 3)
    """
    angle, amplitude = np.broadcast_arrays(
        np.asarray(angle, dtype=float), np.asarray(amplitude, dtype=float)
    )
    if signed:
        if cmap is not None:
            raise ValueError(
                f"cmap={cmap!r} cannot be combined with a signed amplitude, which is shown by "
                "lightness: leave cmap out, or set signed=False to show the modulus"
            )
        return _from_oklab(_hue_circle(angle, 0.61 + 0.26 * np.clip(amplitude, -1, 1)))
    amplitude = np.clip(np.abs(amplitude), 0, 1)[..., np.newaxis]
    if cmap is None:
        full = _hue_circle(angle, 0.75)
        neutral = 0.33
    else:
        full = _to_oklab(angle_colors(angle, cmap))
        full[np.isnan(angle)] = np.nan
        neutral = _to_oklab(get_colormap(cmap)(np.linspace(0, 1, 256))[:, :3])[:, 0].mean()
    zero = np.array([neutral, 0.0, 0.0])
    return _from_oklab(zero + amplitude * (full - zero))


def _hue_circle(angle: np.ndarray, lightness: ArrayLike) -> np.ndarray:
    """OKLab colours of one lightness, with the largest chroma that sRGB has for every hue.

    The chroma is a fit to the boundary of sRGB: limited by teal below lightness 0.75 and by
    blue and violet above.
    """
    lightness = np.broadcast_to(lightness, np.shape(angle))
    chroma = 0.98 * np.minimum(0.169 * lightness, 0.5 * (1 - lightness))
    hue = angle + _HUE_OF_ZERO
    return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)


def _from_oklab(lab: np.ndarray) -> np.ndarray:
    linear = ((lab @ np.linalg.inv(_TO_LAB).T) ** 3) @ np.linalg.inv(_TO_CONE).T
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _to_oklab(rgb: ArrayLike) -> np.ndarray:
    rgb = np.asarray(rgb, dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONE.T) @ _TO_LAB.T
