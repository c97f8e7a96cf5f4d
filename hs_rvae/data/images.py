# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrated signals from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rsciio.hspy
from hyperspy.signals import Signal2D


def from_hspy(path: Path, **record: Any) -> Signal2D:
    """Signal2D of the one image in a .hspy file; `record` as in `calibrated_image`.

    Not through HyperSpy's `load`: files of old versions are among them, and `load` warns about it.
    """
    stored = rsciio.hspy.file_reader(path)[0]
    return calibrated_image(stored["data"], float(stored["axes"][-1]["scale"]), **record)


def calibrated_image(
    data: np.ndarray,
    scale: float,
    *,
    title: str,
    notes: str,
    original_filename: str,
    doi: str | None = None,
    beam_energy: float | None = None,
) -> Signal2D:
    """Signal2D with square pixels of `scale` nm and a record of where it comes from."""
    axes = [
        {"name": name, "size": size, "scale": scale, "offset": 0.0, "units": "nm"}
        for name, size in zip("yx", data.shape, strict=True)
    ]
    general = {"title": title, "original_filename": original_filename, "notes": notes}
    if doi is not None:
        general["doi"] = doi
    metadata: dict[str, Any] = {
        "General": general,
        "Signal": {"signal_type": "", "quantity": "Intensity"},
    }
    if beam_energy is not None:
        metadata["Acquisition_instrument"] = {"TEM": {"beam_energy": beam_energy}}
    return Signal2D(np.array(data), axes=axes, metadata=metadata)
