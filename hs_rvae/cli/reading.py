# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a command: read, calibrated and cropped."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..image_files import load_signals, reader_names
from ..sites import units as _units


def load_image(path: Path, number: int | None = None, reader: str | None = None) -> Any:
    """
    The one image of a file of the user's; whatever a reader raises becomes one line.

    Parameters
    ----------
    path : pathlib.Path
    number : int, optional
        Which signal of several.
    reader : str, optional
        Name of a reader of HyperSpy.

    Returns
    -------
    hyperspy.api.signals.Signal2D

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read, or is not one image.
    """
    if reader is not None:
        reader = checked_reader(reader)
    # A .zspy is a folder.
    if not (path.is_dir() if path.suffix == ".zspy" else path.is_file()):
        raise FileNotFoundError(f"IMAGE {path}: there is no such file.")
    logger = logging.getLogger("hyperspy.io")
    disabled, logger.disabled = logger.disabled, True  # it asks to report what fails
    try:
        image = load_signals(path, reader)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "Could not find a backend" in reason:  # its advice, further readers, helps nobody here
            kind = path.suffix[1:].upper() or "image"
            reason = f"not {kind}: damaged, or of another kind than its name suggests"
        raise ValueError(f"IMAGE {path}: HyperSpy cannot read it ({reason}).") from error
    finally:
        logger.disabled = disabled
    if isinstance(image, list):
        image = _one_of(image, f"IMAGE {path}", number)
    elif number not in (None, 0):
        raise ValueError(f"--signal {number}: {path} holds one signal only.")
    place = {"folder": str(path.absolute().parent), "filename": path.stem, "extension": path.suffix}
    image.tmp_parameters.add_dictionary(place)  # HyperSpy knows it of the first signal only
    if image.data.dtype.names:  # colours: their mean, without the opacity
        image.data = np.mean([image.data[color] for color in "RGB"], axis=0)
        image.tmp_parameters.set_item("colours", "mean of red, green and blue")  # for the report
    if image.axes_manager.navigation_dimension:
        raise ValueError(
            f"IMAGE {path}: has navigation axes {image.axes_manager.navigation_shape}: pass a "
            "single image, such as hs.load(file).inav[0].save(...) writes. Series are analysed in "
            "Python, with find_sublattices(series)."
        )
    return image


def _one_of(signals: list[Any], name: str, number: int | None) -> Any:
    """The signal of that number; without one, the only single image there is."""
    listed = "; ".join(
        f"{k}: {signal.metadata.General.title or 'no title'} {signal.axes_manager.shape}"
        for k, signal in enumerate(signals)
    )
    if number is None:
        images = [k for k, signal in enumerate(signals) if _is_image(signal)]
        number = images[0] if len(images) == 1 else None
    if number is None:
        raise ValueError(
            f"{name}: holds {len(signals)} signals ({listed}). Choose one with --signal, "
            "or save the image in a file of its own."
        )
    if not 0 <= number < len(signals):
        raise ValueError(f"--signal {number}: {name} holds {len(signals)} signals ({listed}).")
    signals[number].tmp_parameters.set_item("number_in_file", number)  # for the report
    return signals[number]


def _is_image(signal: Any) -> bool:
    """Return True for one image; images of colours, such as screenshots, do not count."""
    axes = signal.axes_manager
    return (
        axes.signal_dimension == 2
        and not axes.navigation_dimension
        and signal.data.dtype.kind in "biuf"
    )


def checked_reader(name: str) -> str:
    """A reader as HyperSpy spells it."""
    names = {each.lower(): each for each in reader_names()}
    if name.lower() not in names:
        raise ValueError(f"--reader {name}: there is no such reader; there are "
                         f"{', '.join(names.values())}.")  # fmt: skip
    return names[name.lower()]


def calibrate(image: Any, scale: tuple[float, str]) -> None:
    """
    Give both axes of an image the size of a pixel.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D
    scale : tuple of (float, str)
        Size and unit.
    """
    for axis in image.axes_manager.signal_axes:
        axis.scale, axis.units = scale
        axis.offset = 0.0
    image.tmp_parameters.set_item("calibrated", True)


def crop(image: Any, region: Sequence[int | float]) -> tuple[int, int]:
    """
    Crop an image to a region.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D
        Changed in place.
    region : sequence of four numbers
        Left, top, right and bottom: integers are pixels, others are in units of the axes.

    Returns
    -------
    tuple of int
        First pixel (x, y) of the region.

    Raises
    ------
    ValueError
        If it is empty or reaches beyond the image.
    """
    axes = image.axes_manager.signal_axes
    pixels = [
        value if isinstance(value, int) else round((value - axis.offset) / axis.scale)
        for value, axis in zip(region, (*axes, *axes), strict=True)
    ]
    left, top, right, bottom = pixels
    width, height = (axis.size for axis in axes)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        given = " ".join(map(str, region))
        inside = ", ".join(
            f"{'xy'[k]} from {axis.offset:.4g} to {axis.offset + axis.size * axis.scale:.4g} "
            f"{axis.units}"
            for k, axis in enumerate(axes)
        )
        known = f" ({inside})" if _units.is_calibrated(axes[0].units) else ""
        raise ValueError(
            f"--region {given}: this is not a part of the image, which has {width} x {height} px"
            f"{known}. Give left, top, right and bottom: whole numbers are pixels, others are in "
            "units of the image."
        )
    image.crop_signal(top, bottom, left, right)
    image.tmp_parameters.set_item("region", pixels)
    return left, top
