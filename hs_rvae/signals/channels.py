# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of several detectors of one scan: ``(detector, site | x, y)``, one table row a site.

The names of the detectors are in the metadata. A stack of one detector that was taken out of such a
stack keeps its name, by which the part of a model that belongs to it is found.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import reduce, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import dask.array as da
import numpy as np

from hs_rvae import parent_image as _parent_image
from hs_rvae.checks import is_whole_number, naming
from hs_rvae.exceptions import ModelMismatch
from hs_rvae.signals.origins import IMAGE_NODE, RVAE_NODE, images_of_detectors, note_of
from hs_rvae.wording import count_of

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal
    from hs_rvae.sites import SiteTable

Maker = TypeVar("Maker", bound=Callable[..., Any])

#: Names of the detectors of a stack of several.
DETECTORS = "Sub_images.detectors"
#: Name of the detector of a stack that was taken out of one of several.
DETECTOR = "Sub_images.detector"
#: Names of the detectors that a model was fitted to.
FITTED = RVAE_NODE + ".detectors"
_AXIS = "detector"


def detector_axis(stack: SiteSignal) -> Any:
    """Navigation axis of the detectors; None in a stack of one."""
    axes = stack.axes_manager.navigation_axes
    names = stack.metadata.get_item(DETECTORS)
    if names is None or not axes or axes[0].name != _AXIS or axes[0].size != len(names):
        return None
    return axes[0]


def site_axis(stack: SiteSignal) -> Any:
    """Navigation axis of the sites; None in a stack without one."""
    axes = stack.axes_manager.navigation_axes
    axes = axes[detector_axis(stack) is not None :]
    return axes[0] if len(axes) == 1 else None


def n_sites(stack: SiteSignal) -> int:
    """Number of sites, 1 without an axis; 0 if there are more axes than those of a stack."""
    axes = stack.axes_manager.navigation_axes
    axes = axes[detector_axis(stack) is not None :]
    if len(axes) > 1:
        return 0
    return int(axes[0].size) if axes else 1


def names_of(stack: SiteSignal) -> list[str]:
    """Names of the detectors; empty in a stack of one."""
    return [] if detector_axis(stack) is None else list(stack.metadata.get_item(DETECTORS))


def check_one_detector(stack: SiteSignal, what: str = "This method") -> None:
    """Refuse a stack of several detectors."""
    names = names_of(stack)
    if names:
        raise ValueError(
            f"{what} takes the sub-images of one detector, and the stack has {len(names)} "
            f"({', '.join(names)}): choose one, for example stack.inav[0]."
        )


def axis_to_split(stack: SiteSignal, axis: Any) -> Any:
    """Find the axis of a split: that of the sites, or one that is given; not that of detectors."""
    several = detector_axis(stack)
    if axis == "auto":
        return axis if several is None else site_axis(stack).name
    with naming("axis"):
        if stack.axes_manager[axis] is several is not None:
            raise ValueError("Detectors are not split: take stack.inav[0], stack.inav[1], ...")
    return axis


def number_of(stack: SiteSignal, channel: Any, option: str = "channel") -> int:
    """Number of a detector that is given by its number or its name."""
    names = names_of(stack)
    if not names:
        raise ValueError(
            f"{option}={channel!r}: the stack has one detector. A stack of several is made by "
            "from_atom_lattice(..., channels=True)."
        )
    if isinstance(channel, str) and channel in names:
        return names.index(channel)
    if is_whole_number(channel, 0) and channel < len(names):
        return int(channel)
    raise ValueError(
        f"{option}={channel!r}: the detectors are 0 to {len(names) - 1}, named "
        f"{', '.join(map(repr, names))}."
    )


# Cutting -------------------------------------------------------------------------------------


def cut(make: Callable[..., Any], image: Any, channels: bool | Sequence[str]) -> Any:
    """
    Join the stacks of the detectors of one scan.

    Parameters
    ----------
    make : callable
        Cuts the stack of one detector from its image.
    image : hyperspy.api.signals.Signal2D
        ``(detector | x, y)``.
    channels : True or sequence of str
        Names of the detectors. If True, those that ``hs.stack`` kept, or their numbers.

    Returns
    -------
    SubImageStack or LazySubImageStack
        ``(detector, site | x, y)`` with the sites that every detector has.

    Raises
    ------
    ValueError
        If the image is not ``(detector | x, y)``, the names do not fit, or no site is left.
    """
    image = _image_of_detectors(image)
    names = _names(image, channels)
    parts = [make(image.inav[k]) for k in range(len(names))]
    indices = [part.sites["site_index"] for part in parts]
    common = reduce(np.intersect1d, indices)
    if not len(common):
        raise ValueError("No site has a window in the images of all detectors.")
    parts = [
        part if len(index) == len(common) else part.select_sites(np.isin(index, common))
        for part, index in zip(parts, indices, strict=True)
    ]
    first = parts[0]
    data = [part.data for part in parts]
    joined = da.stack(data, axis=1) if first._lazy else np.stack(data, axis=1)
    site, *pixels = (axis.get_axis_dictionary() for axis in first.axes_manager._axes)
    detector = {"name": _AXIS, "size": len(names), "navigate": True}
    metadata = first.metadata.deepcopy()
    del metadata.Sub_images.sites
    stack = type(first)(joined, axes=[site, detector, *pixels], metadata=metadata.as_dictionary())
    stack.metadata.set_item(DETECTORS, names)
    stack.metadata.set_item(IMAGE_NODE, note_of(image))
    title = image.metadata.get_item("General.title", "")
    stack.metadata.General.title = f"Sub-images of {title}" if title else "Sub-images"
    stack._set_sites(first.sites)
    stack._image = image
    return stack


def of_each_detector(make: Maker) -> Maker:
    """
    Let a function of a class cut the images of several detectors, where `channels` is given.

    Parameters
    ----------
    make : callable
        Makes the stack of one detector; has the arguments `image` and `channels`.

    Returns
    -------
    callable
    """
    signature = inspect.signature(make)

    @wraps(make)
    def call(cls: Any, *args: Any, **kwargs: Any) -> Any:
        channels = kwargs.pop("channels", False)
        if channels is False or channels is None:
            return make(cls, *args, **kwargs)
        given = signature.bind(cls, *args, **kwargs)

        def one(image: Any) -> Any:
            given.arguments["image"] = image
            return make(*given.args, **given.kwargs)

        return cut(one, given.arguments.get("image"), channels)

    return cast(Maker, call)


def _image_of_detectors(image: Any) -> Any:
    """Check that it is an image ``(detector | x, y)``."""
    if not _parent_image.is_series(image):
        raise ValueError(
            f"channels: image={image!r} is not a signal (detector | x, y). "
            "hyperspy.api.stack([...]) joins the images of several detectors; of a single image, "
            "leave channels out."
        )
    _parent_image.refuse_vectors(image)
    return image


def _names(image: Any, channels: bool | Sequence[str]) -> list[str]:
    """Names of the detectors, one for each."""
    count = image.axes_manager.navigation_size
    if not isinstance(channels, bool):
        names = [channels] if isinstance(channels, str) else list(channels)
        if len(names) != count or len(set(names)) != count or not _are_texts(names):
            raise ValueError(
                f"channels={channels!r}: give True, or {count} different names, one for each "
                "detector."
            )
        return names
    elements = image.original_metadata.get_item("stack_elements")
    titles = [
        elements.get_item(f"element{k}.metadata.General.title", "") if elements else ""
        for k in range(count)
    ]
    return titles if len(set(titles)) == count and all(titles) else [str(k) for k in range(count)]


def _are_texts(names: Sequence[Any]) -> bool:
    return all(isinstance(name, str) and name for name in names)


# Slicing -------------------------------------------------------------------------------------


def first_image(stack: SiteSignal) -> Any:
    """The image of a stack; of the first of several detectors."""
    image = stack._image
    return image.inav[0] if names_of(stack) and image is not None else image


def image_of_sites(stack: SiteSignal) -> Any:
    """The parent image; the one image or frame that all sites are in, if there is one."""
    image, sites = first_image(stack), stack.sites
    several = isinstance(image, list) or _parent_image.is_series(image)
    if not several or sites is None:
        return image
    numbers = np.unique(sites["image" if isinstance(image, list) else "frame"])
    if len(numbers) != 1:
        return image
    number = int(numbers[0])
    return image[number] if isinstance(image, list) else image.inav[number]


def image_in_list(images: Sequence[Any], sites: SiteTable) -> Any:
    """The image of a list that all sites are in; None if they are in several."""
    if "image" not in sites:
        raise ValueError("image is a list: these sites are of one image, give that one.")
    numbers = np.unique(sites["image"])
    if numbers.size != 1:
        return None  # several images at once are refused by the plot itself
    if numbers[0] >= len(images):
        raise ValueError(f"image has {len(images)} images: the sites are in number {numbers[0]}.")
    return images[numbers[0]]


def chosen(stack: SiteSignal, slices: Any) -> tuple[Any, np.ndarray]:
    """Detectors, a number or an array of them, and sites that a slice of navigation axes takes."""
    at = stack._get_array_slices(slices, True)
    axes = stack.axes_manager
    detector = np.arange(len(names_of(stack)))[at[axes.navigation_axes[0].index_in_array]]
    site = site_axis(stack)
    sites = np.arange(n_sites(stack))
    return detector, np.atleast_1d(sites if site is None else sites[at[site.index_in_array]])


def keep_detectors(stack: SiteSignal, part: Any, detectors: Any) -> None:
    """Give a part of a stack the names and the images of its detectors, a number or an array."""
    names, image = names_of(stack), stack._image
    note = stack.metadata.get_item(IMAGE_NODE)
    note = {} if note is None else note.as_dictionary()
    known = note.get("detectors", list(range(len(names))))
    one = np.ndim(detectors) == 0
    numbers = [int(k) for k in np.atleast_1d(detectors)]
    if not one and numbers == list(range(len(names))):
        return
    if one:
        del part.metadata.Sub_images.detectors
        part.metadata.set_item(DETECTOR, names[numbers[0]])
        part.metadata.General.title += f", detector {names[numbers[0]]}"
    else:
        part.metadata.set_item(DETECTORS, [names[k] for k in numbers])
    if image is not None:
        part._image = image = images_of_detectors(image, numbers[0] if one else numbers)
        note |= {k: v for k, v in note_of(image).items() if k in ("pixels", "shape")}
    elif "shape" in note:
        size = list(note["shape"])[-2:]
        note |= {"pixels": "", "shape": size if one else [len(numbers), *size]}
    kept = [known[k] for k in numbers]
    part.metadata.set_item(IMAGE_NODE, note | {"detectors": kept[0] if one else kept})


# Models --------------------------------------------------------------------------------------


def number_for_latents(stack: SiteSignal, channel: Any) -> int:
    """Number of the detector that gives the latents."""
    if channel == 0 and not names_of(stack):
        return 0
    return number_of(stack, channel, "latent_channel")


def note_fitted(stack: SiteSignal, channel: Any) -> None:
    """Note the names of the detectors that the model of a stack was fitted to."""
    own, names = stack.metadata.get_item(DETECTOR), names_of(stack)
    if names and channel is not None:
        names = [names[number_of(stack, channel)]]
    elif own is not None:
        names = [own]
    if names:
        stack.metadata.set_item(FITTED, names)


def fitted_channel(stack: SiteSignal) -> int | None:
    """Detector of a stack of several that its model was fitted to alone; None for all of them."""
    fitted = stack.metadata.get_item(FITTED)
    names = names_of(stack)
    if fitted is None or not names or list(fitted) == names:
        return None
    if len(fitted) != 1 or fitted[0] not in names:
        raise ModelMismatch(
            f"The model was fitted to the detectors {', '.join(fitted)}, and this stack has "
            f"{', '.join(names)}: use the stack of those."
        )
    return names.index(fitted[0])


def part_of_model(stack: SiteSignal, model: Any) -> Any:
    """Part of the model of a stack that decodes the sub-images of its detector."""
    own, fitted = stack.metadata.get_item(DETECTOR), stack.metadata.get_item(FITTED)
    if own is None or fitted is None:
        return model
    if own not in fitted:
        raise ModelMismatch(
            f"The model was fitted to the detector {', '.join(fitted)}, and these sub-images are "
            f"those of {own}: take those of the other, stack.inav[...] of the stack of all "
            "detectors, or call stack.rvae()."
        )
    return model.of_detector(list(fitted).index(own)) if model.n_detectors_ > 1 else model


def check_detectors(images: Any, model: Any) -> None:
    """Refuse a model of other detectors than there are sub-images of each site."""
    count = images.shape[1] if images.ndim == 4 else 1
    known = getattr(model, "n_detectors_", count)
    if count != known:
        remedy = "apply it to the stack of all of them" if known > 1 else "choose one, channel=0"
        raise ModelMismatch(
            f"The model was fitted to {count_of(known, 'detector')}, and these are the sub-images "
            f"of {count}: {remedy}."
        )
