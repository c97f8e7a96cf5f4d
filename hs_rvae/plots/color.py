# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours: one circle for directions in all figures, polar colours with an amplitude, classes.

Colours are mixed in OKLab (B. Ottosson, 2020, https://bottosson.github.io/posts/oklab), where equal
distances look about equally large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap

from hs_rvae.checks import checked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Circle of directions: red to the right, dark down, blue to the left, light up. It is CET-C3 of
#: colorcet, which keeps four variants furthest apart, under colour blindness too. It is turned so
#: that axes and diagonals differ in lightness, for grey prints.
ANGLE_COLORMAP = "hs_rvae_directions"
#: Grey of what has no value: labels of -1, and sites without a finite value.
UNDEFINED_COLOR = (0.6, 0.6, 0.6)

# Okabe and Ito's palette without black and grey, which mean other things here, then colours of
# colorcet's glasbey_bw, each the furthest in OKLab from all before it and from grey.
CLASS_COLORS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#4F2A00"),
    *("#00009D", "#7F0087", "#B908FA", "#00FDCF", "#3715FF", "#006905", "#FEA5FF", "#B30035"),
    *("#00C720", "#FE03CB", "#084E5F", "#7E6BFE", "#88607E", "#BBD3FF", "#836A1D", "#B7CA94"),
)
_N_COLORS = 256
_TURN = 208  # colours from the start of CET-C3 to -180 degrees
_STRETCH = 1.02  # of its colours away from their mean grey
_WEAKEST = 0.35  # strength of the colours of a signed amplitude of -1

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
        For example ``"twilight"``, ``"cet_CET_CBC1"``, or that of the directions,
        ``"hs_rvae_directions"``.

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

        if name == ANGLE_COLORMAP:
            matplotlib.colormaps.register(_directions(), force=True)  # of another thread
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


def _directions() -> ListedColormap:
    """Circle of the directions."""
    lab = _to_oklab(matplotlib.colormaps["cet_CET_C3"](np.arange(_N_COLORS))[:, :3])
    grey = np.array([lab[:, 0].mean(), 0, 0])
    colors = _from_oklab(grey + _STRETCH * (np.roll(lab, -_TURN, axis=0) - grey))
    return ListedColormap(colors, name=ANGLE_COLORMAP)


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

    Without an amplitude they are those of `angle_colors`. An unsigned amplitude runs from the
    neutral grey of the map's mean lightness (0) to the full colour (1). A signed amplitude runs
    from a weak colour (-1) to the full one (+1), so that all directions differ everywhere.

    Parameters
    ----------
    angle : array_like
        Direction in radians, from +x (right) towards +y (down).
    amplitude : array_like, default 1
        Already scaled: to [0, 1], or to [-1, 1] with ``signed``; clipped there.
    signed : bool
        Whether the sign has a meaning. Without it the modulus is shown.
    cmap : str or Colormap, optional
        A cyclic colour map; its ends stand at +-180 degrees. If None, ``"hs_rvae_directions"``.

    Returns
    -------
    numpy.ndarray
        (..., 3) sRGB in [0, 1]; NaN where angle or amplitude is NaN.

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
    cmap = ANGLE_COLORMAP if cmap is None else cmap
    if signed:
        strength = _WEAKEST + (1 - _WEAKEST) * (np.clip(amplitude, -1, 1) + 1) / 2
    else:
        strength = np.clip(np.abs(amplitude), 0, 1)
    colors = _to_oklab(angle_colors(angle, cmap))
    colors[np.isnan(angle)] = np.nan
    lightness = _to_oklab(get_colormap(cmap)(np.linspace(0, 1, _N_COLORS))[:, :3])[:, 0].mean()
    grey = np.array([lightness, 0.0, 0.0])
    return _from_oklab(grey + strength[..., np.newaxis] * (colors - grey))


def _from_oklab(lab: np.ndarray) -> np.ndarray:
    linear = ((lab @ np.linalg.inv(_TO_LAB).T) ** 3) @ np.linalg.inv(_TO_CONE).T
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _to_oklab(rgb: ArrayLike) -> np.ndarray:
    rgb = np.asarray(rgb, dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONE.T) @ _TO_LAB.T
