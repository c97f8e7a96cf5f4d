# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of Python that rebuild the site table of a stack from its image and a table of positions.

The calls that wrote the columns stand in the metadata of the stack. Columns of a call that cannot
be repeated, and columns that no call wrote, are read from the table.
"""

from __future__ import annotations

import importlib.metadata
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hs_rvae.checks import is_whole_number

if TYPE_CHECKING:
    from ..sites import SiteTable

_CALLS = "Sub_images.calls"
_MODEL = {"rvae", "apply_rvae"}
_ANGLES = {"register_angle", "assign_variants"}
# What else must have been repeated before a call can be; None: everything.
_NEEDS: dict[str, set] = {
    "rvae": set(),
    "apply_rvae": set(),
    "decomposition": set(),
    "link_frames": set(),
}
_NEEDS |= dict.fromkeys(_ANGLES, {*_MODEL, "register_angle"})
_LINKED = "link_frames()"  # from_positions does this itself
_SAMPLE = 16  # windows that are cut again
_OWN = ("x", "y", "offset_x", "offset_y")  # written when windows are cut


@dataclass
class Script:
    """Lines that repeat an analysis, and the calls that they leave out."""

    text: str  # Python
    not_repeated: list  # of str: calls, each with the reason


def make_script(stack: Any, image: Any, about: Mapping[str, str]) -> Script:
    """
    Write the lines that rebuild the table of a stack, bit for bit.

    Parameters
    ----------
    stack : SubImageStack
    image : hyperspy.api.signals.Signal2D or None
        Its image, or series.
    about : dict of str to str
        Description of the image; see :func:`hs_rvae.report.text.about_image`.

    Returns
    -------
    Script
    """
    sites = stack.sites
    calls = [json.loads(text) for text in stack.metadata.get_item(_CALLS, [])]
    as_cut = any(call["gives_stack"] for call in calls) or _is_cut_from(stack, image)
    _judge(calls, sites, as_cut)
    given, late, extra = _sort_columns(sites, calls)
    written = {name for call in calls for name in call["wrote"]}
    if as_cut:
        given = [name for name in given if name not in _OWN or name in written]
    lines = _imports(about) + _image_lines(image, sites, about)
    lines.append(f'table = pd.read_csv("sites.csv"{_exact()})  # of this page')
    lines += _cutting(stack, image, calls) + _from_table(given, sites)
    lines += _call_lines(calls, stack)
    if late:
        lines += ["# Not repeated above, or changed afterwards:", *_from_table(late, sites)]
    if extra:
        lines.append(f"stack.sites.remove({', '.join(map(repr, extra))})")
    skipped = [
        f"stack.{call['line']}: {call['reason']}"
        for call in calls
        if call["reason"] and call["line"] != _LINKED
    ]
    if "angle" in given:
        skipped.append("the fit of the model: its call is not recorded in this stack.")
    return Script("\n".join(lines), skipped)


def _judge(calls: list[dict[str, Any]], sites: SiteTable, as_cut: bool) -> None:
    """Give each call the reason why it is not repeated, None if it is."""
    now = checksum(sites.xy)
    failed: set[str] = set()
    wrote: set[str] = set()
    for call in calls:
        needs = _NEEDS.get(call["verb"])
        if "stack.rvae_model" in call["line"]:
            needs = _MODEL
        reason = None
        if not as_cut:
            reason = "the sub-images are not those that from_positions() cuts from the image."
        elif call["sites"] != now:
            reason = f"it ran on {call['n_sites']:,} sites, which are not those of this stack."
        elif call["lacks"]:
            reason = f"{'; '.join(call['lacks'])}."
        elif call["verb"] == "register_angle" and "angle" not in wrote:
            reason = "the fit that wrote the angles is not recorded."
        elif (failed if needs is None else failed & needs) or "derotate" in failed:
            reason = "it builds on a call that is not repeated."
        call["reason"] = reason
        wrote |= set(call["wrote"])
        if reason:
            failed.add(call["verb"])
        elif call["verb"] in _MODEL:
            failed -= {*_MODEL, *_ANGLES}


def _sort_columns(
    sites: SiteTable, calls: list[dict[str, Any]]
) -> tuple[list[str], list[str], list[str]]:
    """Columns that no call wrote, those that no repeated call wrote, and those that are gone."""
    owner: dict[str, dict[str, Any]] = {}
    left: set[str] = set()
    for call in calls:
        for name in call["wrote"]:
            owner[name] = call
        if not call["reason"]:
            left = (left - set(call["removed"])) | set(call["wrote"])
    given = [name for name in sites.columns if name not in owner and name not in ("x", "y")]
    late = [
        name
        for name in sites.columns
        if name in owner
        and (owner[name]["reason"] or owner[name]["wrote"][name] != checksum(sites[name]))
    ]
    return given, late, sorted(left - set(sites.columns))


def checksum(values: np.ndarray) -> int:
    """Checksum of an array, as the calls are recorded with."""
    return zlib.crc32(np.ascontiguousarray(values, dtype=np.float64).data)


def _is_cut_from(stack: Any, image: Any) -> bool:
    """Return True if a sample of the sub-images can be cut again from the image, bit for bit."""
    size, sites = stack.metadata.get_item("Sub_images.window_size"), stack.sites
    centring = stack.metadata.get_item("Sub_images.centring")
    data = stack.data.reshape(-1, *stack.data.shape[-2:])
    if data.shape[1:] != (size, size) or centring not in ("subpixel", "nearest"):
        return False
    frame = sites["frame"] if "frame" in sites else np.zeros(len(sites), int)
    if (np.diff(frame) < 0).any():
        return False  # from_positions takes one frame after another
    if image is None:
        return True
    some = np.unique(np.linspace(0, len(sites) - 1, _SAMPLE).astype(int))
    for number in np.unique(frame[some]):
        rows = some[frame[some] == number]
        one = image.inav[int(number)] if _is_series(image) else image
        again = type(stack).from_positions(
            one, sites.xy[rows], int(size), centring=centring, lazy=False, show_progressbar=False
        )
        if not np.array_equal(again.sites["site_index"], np.arange(len(rows))):
            return False
        if not np.array_equal(again.data, np.asarray(data[rows], dtype=np.float32)):
            return False
    return True


def _is_series(image: Any) -> bool:
    return bool(image.axes_manager.navigation_dimension)


def _exact() -> str:
    """Option for pandas to read numbers to the last bit; from 3.1 on it always does."""
    major, minor = map(int, importlib.metadata.version("pandas").split(".")[:2])
    return "" if (major, minor) >= (3, 1) else ', float_precision="round_trip"'


# Lines -----------------------------------------------------------------------


def _imports(about: Mapping[str, str]) -> list[str]:
    hashed = ["import hashlib", ""] if "SHA-256 of the pixels" in about else []
    return [
        *hashed,
        *(["import h5py"] if "part of the file" in about else []),
        "import hyperspy.api as hs",
        "import numpy as np",
        "import pandas as pd",
        "",
        "import hs_rvae",
        "",
    ]


def _image_lines(image: Any, sites: SiteTable, about: Mapping[str, str]) -> list[str]:
    """Load the image, check its pixels, and calibrate it as it was."""
    lazy = ", lazy=True" if image is not None and image._lazy else ""
    reader = f", file_format={about['reader']!r}" if "reader" in about else ""
    load = f"image = hs.load({about.get('file', 'image.hspy')!r}{lazy}{reader})"
    if "part of the file" in about:
        file = f"h5py.File({about.get('file', 'lattice.hdf5')!r})"
        load = f"image = hs.signals.Signal2D({file}[{about['part of the file']!r}][:])"
    if "number in the file" in about:
        load += f"[{about['number in the file']}]"
    lines = [load if "file" in about else f"{load}  # the image of the analysis"]
    if "colours" in about:
        lines.append("image.data = np.mean([image.data[c] for c in 'RGB'], axis=0)")
    if "region" in about:
        left, top, right, bottom = about["region"].split()[:4]
        lines.append(f"image = image.isig[{left}:{right}, {top}:{bottom}]")
    if "SHA-256 of the pixels" in about:
        lines += [
            "pixels = np.ascontiguousarray(image.data).tobytes()",
            f'known = "{about["SHA-256 of the pixels"]}"',
            'assert hashlib.sha256(pixels).hexdigest() == known, "these are other pixels"',
        ]
    unit = sites.pixel_units
    unit = "" if unit == "px" and sites.pixel_size == (1.0, 1.0) else unit
    for axis in (0, 1):
        lines += [
            f"axis = image.axes_manager.signal_axes[{axis}]",
            f"axis.scale, axis.offset, axis.units = {float(sites.pixel_size[axis])!r}, "
            f"{float(sites.pixel_offset[axis])!r}, {unit!r}",
        ]
    return lines


def _cutting(stack: Any, image: Any, calls: list[dict[str, Any]]) -> list[str]:
    """Cut the sub-images at the positions of the table."""
    node = stack.metadata.get_item("Sub_images")
    centring = node.get_item("centring")
    centring = centring if centring in ("subpixel", "nearest") else "subpixel"
    size = node.get_item("window_size")
    size = int(size) if is_whole_number(size) else stack.data.shape[-1]
    lazy = next((call["lazy"] for call in calls if not call["reason"]), stack._lazy)
    options = f"window_size={size}, centring={centring!r}"
    if lazy != (image is not None and image._lazy):
        options += f", lazy={lazy}"
    positions = 'table[["x", "y"]]'
    if "frame" in stack.sites and (image is None or _is_series(image)):
        positions = '[table.loc[table["frame"] == k, ["x", "y"]] for k in range(len(image.data))]'
    return [
        f"positions = {positions}",
        f"stack = hs_rvae.SubImageStack.from_positions(image, positions, {options})",
    ]


def _from_table(names: list[str], sites: SiteTable) -> list[str]:
    """Take columns from the table."""
    units = {name: sites.units[name] for name in names if sites.units[name]}
    lines = [", ".join(map(repr, names[k : k + 4])) for k in range(0, len(names), 4)]
    writers = {name: sites.writers[name] for name in names if sites.writers[name]}
    return [
        "names = [",
        *(f"    {line}," for line in lines),
        "]",
        f"units = {units!r}",
        "stack.sites.set_many({name: table[name] for name in names}, units)",
        *([f"stack.sites.claim({writers!r})"] if writers else []),
    ]


def _call_lines(calls: list[dict[str, Any]], stack: Any) -> list[str]:
    """The calls in their order; in the place of those left out, the reason."""
    lines = []
    repeated = [call for call in calls if not call["reason"]]
    lazy = repeated[0]["lazy"] if repeated else stack._lazy
    for call in calls:
        if call["line"] == _LINKED:
            continue
        if call["reason"]:
            lines += [f"# Not repeated, {call['reason']}", f"# stack.{call['line']}"]
            continue
        if call["lazy"] != lazy:
            lazy = call["lazy"]
            to = "stack = stack.as_lazy()" if lazy else "stack.compute(show_progressbar=False)"
            lines.append(to)
        lines += [f"# {file} holds the model that was given: save it there." for file in
                  call["files"]]  # fmt: skip
        lines.append(f"{'stack = ' * call['gives_stack']}stack.{call['line']}")
    return lines
