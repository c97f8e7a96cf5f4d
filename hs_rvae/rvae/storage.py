# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on disk: safetensors, settings in the header, no pickle."""

import json
import os
import tempfile
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file


def write_model(path, tensors, header):
    """Write tensors and settings, complete or not at all.

    Parameters
    ----------
    path : str or pathlib.Path
    tensors : dict of str to torch.Tensor
    header : dict
        Anything that JSON holds.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written.
    """
    path = Path(path)
    if not path.parent.exists():
        raise FileNotFoundError(
            f"path={str(path)!r}: the folder {str(path.parent)!r} does not exist; create it first."
        )
    if path.is_dir():
        raise IsADirectoryError(f"path={str(path)!r} is a folder; give the name of a file in it.")
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise type(error)(
            f"path={str(path)!r}: the folder cannot be written ({error.strerror}); give another."
        ) from error
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata={"hs_rvae": json.dumps(header)})
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def read_model(path, expected_format):
    """Read what :func:`write_model` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
    expected_format : str
        The header's ``format``.

    Returns
    -------
    tensors : dict of str to torch.Tensor
    header : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a model of this format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r}: there is no such file.")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("hs_rvae", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors has no public exception of its own
        raise ValueError(f"path={str(path)!r} is not a safetensors file: {error}.") from error
    if header.get("format") != expected_format:
        raise ValueError(
            f"path={str(path)!r} holds {header.get('format', 'no model of hs_rvae')!r}; this "
            f"version reads {expected_format!r}."
        )
    return tensors, header


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
