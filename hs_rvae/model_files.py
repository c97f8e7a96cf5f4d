# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of models: safetensors with the settings in the header, no pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from .files import complete_file, plain


def write_arrays(path: str | Path, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> Path:
    """
    Write arrays and settings, complete or not at all.

    Parameters
    ----------
    path : str or pathlib.Path
    arrays : dict of str to numpy.ndarray
    header : dict
        Anything that JSON can hold.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    arrays = {name: np.require(one, requirements="C") for name, one in arrays.items()}
    header = plain(header)
    header["sha256"] = check_sum(header, arrays)
    # One entry: safetensors writes several in any order.
    content = to_bytes(arrays, metadata={"hs_rvae": json.dumps(header)})
    with complete_file(path, "The model") as draft:
        draft.write_bytes(content)  # safetensors' own files are closed to others
    return Path(path)


def read_arrays(
    path: str | Path, expected_format: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """
    Read a file that :func:`write_arrays` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
    expected_format : str
        ``format`` in the header.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
    header : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a model of this format, or is damaged; the message names it.
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r}: there is no such file.")
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # no mapping
        header = json.loads(metadata.get("hs_rvae", "{}"))
    except Exception as error:  # safetensors has no public exception of its own
        raise ValueError(
            f"path={str(path)!r} is not a safetensors file ({error}); give one that save() wrote."
        ) from error
    known = header.get("format") if isinstance(header, dict) else None
    if known != expected_format:
        raise ValueError(
            f"path={str(path)!r} holds {known or 'no model of hs_rvae'!r}; this version reads "
            f"{expected_format!r}."
        )
    if header.pop("sha256", None) != check_sum(header, arrays):
        raise ValueError(
            f"path={str(path)!r} is damaged or was changed: its check sum does not fit its "
            "content. Save the model again."
        )
    for name, array in arrays.items():
        if not name.startswith("history.") and not np.isfinite(array).all():
            raise ValueError(
                f"path={str(path)!r} holds values that are not finite in {name!r}: fit the model "
                "again."
            )
    return arrays, header


def check_sum(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Digest of the settings and of all arrays."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        values = np.require(arrays[name], requirements="C")
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
