# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the image and the model of a stack, noted in its metadata and loaded again.

Neither is in the file of the stack. Its metadata note where they were saved to or read from, and
properties by which a file is recognised.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.files import file_of, plain
from hs_rvae.image_files import load_signals
from hs_rvae.parent_image import is_series
from hs_rvae.signals import cutting as _cutting

if TYPE_CHECKING:
    from hs_rvae.rvae.estimator import RVAE
    from hs_rvae.signals.site_signal import SiteSignal
    from hs_rvae.sites import SiteTable

#: How a model was applied.
RVAE_NODE = "Sub_images.rvae"
#: Of each image: path, shape, and a digest of pixels. A list of these in a joined stack.
IMAGE_NODE = "Sub_images.image_file"
#: Path of the model.
MODEL_NODE = RVAE_NODE + ".model_file"
#: Folder that the stack was saved in, from which files beside it are found again.
FOLDER_NODE = "Sub_images.folder"
# Width of the square in the middle of an image that its digest is made from, in px.
_SQUARE = 64
# Settings that tell two models apart, as the metadata and the model call them.
_OF_MODEL = {
    "architecture": "architecture",
    "rotation": "rotation_",
    "translation": "translation",
    "output_dimension": "n_latents_",
    "window_size": "window_size_",
    "n_sites_fit": "n_sites_fit_",
}


def find_file(
    signal: SiteSignal, path: str | os.PathLike[str] | None, known: Any, whose: str, verb: str
) -> Path:
    """The first of the places where a file may be that has it."""
    own, then = file_of(signal), signal.metadata.get_item(FOLDER_NODE)
    given = path if path is not None else known
    if not isinstance(given, str | os.PathLike) or not str(given):
        raise ValueError(
            f"The stack has noted no file of {whose}: stack.{verb}(path) reads it from one."
        )
    places = [Path(given).expanduser()]
    if own is not None and path is not None:
        places.append(own.parent / given)
    elif own is not None:
        if then:
            try:
                places.insert(0, own.parent / os.path.relpath(given, then))
            except ValueError:  # another drive of Windows
                pass
        places.append(own.parent / places[-1].name)
    places = list(dict.fromkeys(Path(os.path.abspath(place)) for place in places))
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise FileNotFoundError(
            f"The file of {whose} is not there: looked for "
            f"{', '.join(repr(str(place)) for place in places)}. stack.{verb}(path) reads it "
            "from another place."
        )
    return found


def read_image(path: Path, note: dict[str, Any], lazy: bool, sites: SiteTable | None) -> Any:
    """The signal of a file that is the noted image."""
    loaded = load_signals(path, note.get("reader"), lazy=lazy)
    signals = loaded if isinstance(loaded, list) else [loaded]
    number = note.get("number")
    if number is not None and number < len(signals):
        signals = [signals[number]]
    signals = [_detectors_of(signal, note) for signal in signals]
    for signal in signals:
        _bring_to(signal, note, sites)
    why = [_other_image(signal, note, sites) for signal in signals]
    fitting = [signal for signal, other in zip(signals, why, strict=True) if not other]
    if len(fitting) != 1:
        what = (
            f"holds {len(fitting)} such images"
            if fitting
            else f"is not the image of this stack: it has {'; '.join(dict.fromkeys(why))}"
        )
        raise ValueError(
            f"path={str(path)!r} {what}. Load it with hyperspy.api.load, bring it to the shape "
            "and calibration that the sub-images were cut with, and set stack.image."
        )
    return fitting[0]


def images_of_detectors(images: Any, numbers: Any) -> Any:
    """
    The images of some detectors.

    Parameters
    ----------
    images : hyperspy.api.signals.Signal2D
        ``(detector | x, y)``.
    numbers : int or sequence of int
        One detector, or several in equal steps.

    Returns
    -------
    hyperspy.api.signals.Signal2D
        ``(x, y)`` of one detector, otherwise ``(detector | x, y)`` in the given order.
    """
    if np.ndim(numbers) == 0:
        return images.inav[int(numbers)]
    first, last = int(numbers[0]), int(numbers[-1])
    step = int(numbers[1]) - first if len(numbers) > 1 else 1
    end = last + step
    return images.inav[first : end if end >= 0 else None : step]


def _detectors_of(signal: Any, note: dict[str, Any]) -> Any:
    """The noted ones of the images of several detectors."""
    numbers = note.get("detectors")
    if numbers is None or not is_series(signal):
        return signal
    return images_of_detectors(signal, numbers)


def _bring_to(signal: Any, note: dict[str, Any], sites: SiteTable | None) -> None:
    """Crop and calibrate a signal as the noted image was, before the sub-images were cut."""
    region, axes = note.get("region"), signal.axes_manager
    if region is not None and (axes.signal_dimension, axes.navigation_dimension) == (2, 0):
        left, top, right, bottom = (int(value) for value in region)
        signal.crop_signal(top, bottom, left, right)
    if note.get("calibrated") and sites is not None:
        for axis, scale, offset in zip(
            axes.signal_axes, sites.pixel_size, sites.pixel_offset, strict=True
        ):
            axis.scale, axis.offset, axis.units = scale, offset, sites.pixel_units


def _other_image(image: Any, note: dict[str, Any], sites: SiteTable | None) -> str:
    """Difference of a signal from the noted image; empty if there is none."""
    shape = tuple(note.get("shape", image.data.shape))
    if image.data.shape != shape:
        return f"the shape {image.data.shape} instead of {shape}"
    try:
        image = _cutting.parent_image(image)
    except (TypeError, ValueError) as error:
        return f"another kind of data ({error})"
    if sites is not None:
        size, units = _cutting.pixel_size(image), _cutting.pixel_units(image)
        if units != sites.pixel_units or not np.allclose(size, sites.pixel_size, rtol=1e-3):
            return (
                f"pixels of {size[0]:.6g} x {size[1]:.6g} {units} instead of "
                f"{sites.pixel_size[0]:.6g} x {sites.pixel_size[1]:.6g} {sites.pixel_units}"
            )
    if note.get("pixels") and _digest(image) != note["pixels"]:
        return "other pixels"
    return ""


def note_files(signal: SiteSignal, folder: Path) -> None:
    """Note where image and model are now, and the folder that the stack goes to."""
    images = signal.image if isinstance(signal.image, list) else [signal.image]
    notes = image_notes(signal)
    if any(image is not None for image in images) and len(images) == len(notes):
        notes = [
            note
            if image is None or str(file_of(image) or "") in ("", note.get("path"))
            else note_of(image)
            for image, note in zip(images, notes, strict=True)
        ]
        joined = isinstance(signal.image, list)
        signal.metadata.set_item(IMAGE_NODE, notes if joined else notes[0])
    model = getattr(signal._rvae_model, "path_", None)
    if model is not None and signal.metadata.has_item(RVAE_NODE):
        signal.metadata.set_item(MODEL_NODE, str(model))
    signal.metadata.set_item(FOLDER_NODE, str(folder))


def how_to_load(signal: SiteSignal, node: str, verb: str) -> str:
    """Call that loads a file, for messages."""
    known = signal.metadata.get_item(node)
    path = known if isinstance(known, str) else getattr(known, "path", "")
    return f"stack.{verb}() reads it from {path!r}" if path else f"stack.{verb}(path) reads it"


def note_of(image: Any) -> dict[str, Any]:
    """Note of an image: its file, if it is known, its shape and a digest of its pixels."""
    path = file_of(image)
    note = {
        "path": "" if path is None else str(path),
        "shape": list(image.data.shape),
        "pixels": "" if image._lazy else _digest(image),
    }
    number = image.tmp_parameters.get_item("number_in_file")
    changes = {"reader": str, "region": list, "calibrated": bool}
    for name, kind in changes.items():
        value = image.tmp_parameters.get_item(name)
        if value is not None:
            note[name] = kind(value)
    return note if number is None else note | {"number": int(number)}


def image_notes(stack: SiteSignal) -> list[dict[str, Any]]:
    """Notes of a stack on its images; {} where there is none."""
    known = stack.metadata.get_item(IMAGE_NODE)
    if isinstance(known, list | tuple):
        notes = [dict(each) for each in known]
    else:
        notes = [{} if known is None else known.as_dictionary()]
    sites = stack.sites
    count = 1 + (int(sites["image"].max()) if sites is not None and "image" in sites else 0)
    return notes + [{}] * (count - len(notes))


def _digest(image: Any) -> str:
    """Digest of the pixels in a square in the middle (of the middle frame)."""
    data = image.data
    while data.ndim > 2:
        data = data[len(data) // 2]
    middle = tuple(slice(max((n - _SQUARE) // 2, 0), (n + _SQUARE) // 2) for n in data.shape)
    square = np.ascontiguousarray(data[middle], dtype=np.float64)
    return hashlib.sha256(square.tobytes()).hexdigest()


def difference(model: RVAE, node: dict[str, Any]) -> str:
    """Text on the settings that differ between a model and the noted one."""
    pairs = [(name, getattr(model, own), node.get(name)) for name, own in _OF_MODEL.items()]
    other = [
        f"{name}={own!r} instead of {plain(wanted)!r}"
        for name, own, wanted in pairs
        if wanted not in (None, own) and wanted == wanted  # NaN: stacks joined that differ
    ]
    return f"has {', '.join(other)}" if other else "is another fit, with the same settings"
