# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files as microscopes write them: DM3, DM4, TIA .ser and Velox .emd.

HyperSpy reads these formats and writes none of them. Only what a reader needs is written: the
layouts are those of RosettaSciIO's readers. Images are (ny, nx), or (n, ny, nx) for a series.
"""

import json
import struct
from pathlib import Path

import numpy as np

# Codes of types: DM's for images, DM's for tags, TIA's.
_DM_IMAGE = {"i2": 1, "f4": 2, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12}
_DM_TAG = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "i1": 9, "u1": 10}
_TIA = {"u1": 1, "u2": 2, "u4": 3, "i1": 4, "i2": 5, "i4": 6, "f4": 7, "f8": 8}


def write_dm(path, images, *, scale=(0.01, 0.01), units="nm", origin=(0.0, 0.0), thumbnail=None):
    """
    Write a DM3 or DM4 file, as the ending says.

    Parameters
    ----------
    path : path-like
    images : dict of str to numpy.ndarray
        By title.
    scale, origin : tuple of float
        Along x and y; the origin in pixels.
    units : str
    thumbnail : numpy.ndarray, optional
        Stored as the first image, and marked as a thumbnail.
    """
    dm = _DM(4 if Path(path).suffix == ".dm4" else 3)
    entries = []
    if thumbnail is not None:
        entries.append(dm.image("", thumbnail, scale, units, origin))
    entries += [dm.image(name, data, scale, units, origin) for name, data in images.items()]
    root = [dm.group("ImageList", entries)]
    if thumbnail is not None:
        root.append(dm.group("Thumbnails", [dm.group("", [dm.number("ImageIndex", 0)])]))
    body = dm.children(root)
    head = struct.pack(">l", dm.version) + dm.long(len(body)) + struct.pack(">l", 1)
    Path(path).write_bytes(head + body + bytes(8))


class _DM:
    """Tags of DigitalMicrograph: numbers about tags are big-endian, contents little-endian."""

    def __init__(self, version):
        self.version = version

    def long(self, value):
        """Lengths and codes: 4 bytes in version 3, 8 in version 4."""
        return struct.pack(">q" if self.version == 4 else ">l", value)

    def children(self, entries):
        return b"\x01\x00" + self.long(len(entries)) + b"".join(entries)

    def _entry(self, kind, name, content):
        size = self.long(len(content)) if self.version == 4 else b""
        return struct.pack(">BH", kind, len(name)) + name.encode() + size + content

    def group(self, name, entries):
        return self._entry(20, name, self.children(entries))

    def _data(self, name, codes, content):
        head = b"%%%%" + self.long(len(codes)) + b"".join(map(self.long, codes))
        return self._entry(21, name, head + content)

    def number(self, name, value):
        code, form = (6, "<f") if isinstance(value, float) else (5, "<L")
        return self._data(name, [code], struct.pack(form, value))

    def text(self, name, value):
        return self._data(name, [20, 4, len(value)], value.encode("utf-16-le"))

    def array(self, name, values):
        return self._data(name, [20, _DM_TAG[values.dtype.str[1:]], values.size], values.tobytes())

    def rgb(self, name, values):
        """Pixels (..., 3) as DM's packed blue, green, red, alpha."""
        packed = np.zeros((*values.shape[:-1], 4), np.uint8)
        packed[..., :3] = values[..., ::-1]
        return self.array(name, packed.view("<i4"))

    def image(self, name, data, scale, units, origin):
        is_rgb = data.ndim == 3 and data.shape[-1] == 3
        shape = data.shape[:2] if is_rgb else data.shape
        axes = [(scale[0], origin[0], units), (scale[1], origin[1], units), (1.0, 0.0, "")]
        dimensions = [
            self.group(
                "",
                [
                    self.number("Origin", float(start)),
                    self.number("Scale", float(step)),
                    self.text("Units", unit),
                ],
            )
            for step, start, unit in axes[: len(shape)]
        ]
        brightness = [self.number("Origin", 0.0), self.number("Scale", 1.0), self.text("Units", "")]
        content = [
            self.group(
                "Calibrations",
                [self.group("Brightness", brightness), self.group("Dimension", dimensions)],
            ),
            self.rgb("Data", data) if is_rgb else self.array("Data", _little(data)),
            self.number("DataType", 23 if is_rgb else _DM_IMAGE[data.dtype.str[1:]]),
            self.group("Dimensions", [self.number("", int(n)) for n in reversed(shape)]),
        ]
        entries = [self.group("ImageData", content), self.group("ImageTags", [])]
        return self.group("", [*entries, self.text("Name", name)])


def write_ser(path, data, *, scale=(1e-11, 1e-11), origin=(0.0, 0.0)):
    """
    Write a TIA series file.

    Parameters
    ----------
    path : path-like
    data : numpy.ndarray
        (ny, nx), or (n, ny, nx) for a series.
    scale, origin : tuple of float
        Along x and y, in metres, as TIA has it.
    """
    frames = _little(data if data.ndim == 3 else data[None])
    n, ny, nx = frames.shape
    name, unit = b"Number", b""
    dimension = struct.pack("<LddL", n, 0.0, 1.0, 0)
    dimension += struct.pack("<L", len(name)) + name + struct.pack("<L", len(unit)) + unit
    # Byte order, series, version, 2-D data, time tags, elements in all and valid.
    start = struct.pack("<HHHLLLL", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, n, n)
    body_start = len(start) + 8 + len(dimension)
    elements, offsets, tags = b"", [], []
    for frame in frames:
        offsets.append(body_start + len(elements))
        elements += b"".join(
            struct.pack("<ddL", o, s, 0) for o, s in zip(origin, scale, strict=True)
        )
        elements += struct.pack("<HLL", _TIA[frame.dtype.str[1:]], nx, ny)
        elements += frame[::-1].tobytes()  # TIA's rows run upwards
        tags.append(body_start + len(elements))
        elements += struct.pack("<HHL", 0x4152, 0, 0)
    table = struct.pack(f"<{2 * n}L", *offsets, *tags)
    head = start + struct.pack("<LL", body_start + len(elements), 1) + dimension
    Path(path).write_bytes(head + elements + table)


def write_velox(path, images, *, scale=(1e-11, 1e-11), unit="m"):
    """
    Write an EMD file in the layout of Velox.

    Parameters
    ----------
    path : path-like
    images : dict of str to numpy.ndarray
        By detector.
    scale : tuple of float
        Along x and y.
    unit : str
        Velox's: "m", or "" without calibration.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file["Version"] = [json.dumps({"format": "Velox", "version": "1.11"})]
        for number, (detector, data) in enumerate(images.items()):
            frames = data if data.ndim == 3 else data[None]
            group = file.create_group(f"Data/Image/{number:032x}")
            group["Data"] = np.moveaxis(frames, 0, -1)
            about = {
                "Detectors": {"Detector-0": {"DetectorName": detector, "DetectorType": "Scanning"}},
                "BinaryResult": {
                    "DetectorIndex": "0",
                    "PixelSize": {"width": str(scale[0]), "height": str(scale[1])},
                    "Offset": {"x": "0", "y": "0"},
                    "PixelUnitX": unit,
                    "PixelUnitY": unit,
                },
                "Scan": {"FrameTime": "0.5", "DwellTime": "1e-06"},
                "Optics": {"AccelerationVoltage": "300000"},
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1700000000"}},
            }
            text = np.frombuffer(json.dumps(about).encode(), np.uint8)
            metadata = np.zeros((text.size + 1, len(frames)), np.uint8)
            metadata[:-1] = text[:, None]
            group["Metadata"] = metadata


def _little(data):
    """Contiguous and little-endian."""
    return np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<"), copy=False)
