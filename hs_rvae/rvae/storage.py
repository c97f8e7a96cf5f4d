# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on disk: safetensors with the settings in the header, no pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ..checks import is_whole_number
from ..files import complete_file, plain
from . import pose
from .geometry import HarmonicGrid
from .joint_grid import JointGrid

if TYPE_CHECKING:
    from .convolutional.model import ConvolutionalModel
    from .harmonic.model import HarmonicModel

FORMAT = "hs_rvae model 2"  # of both architectures
_LARGEST_WINDOW = 2048  # px; more than any sub-image, less than what fills a memory


def state_of(
    model: HarmonicModel | ConvolutionalModel, name: str, network: nn.Module
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of the parts that both architectures share.

    Parameters
    ----------
    model : HarmonicModel or ConvolutionalModel
    name : str
        Name of the network in the file.
    network : torch.nn.Module

    Returns
    -------
    tensors : dict of str to torch.Tensor
        Named after their part, as in ``pose.mean``.
    header : dict
        Numbers and texts that JSON can hold.
    """
    tensors = {f"history.{k}": torch.as_tensor(v) for k, v in model.history.items()}
    tensors |= {f"{name}.{k}": v for k, v in network.state_dict().items()}
    for part in ("mean", "noise", "factors"):
        tensors[f"pose.{part}"] = torch.view_as_real(getattr(model.pose, part).resolve_conj())
    names = ["window_size", "q_max", "n_q", "max_order"]
    names += ["detectors"] * isinstance(model.grid, JointGrid)
    grid = {k: getattr(model.grid, k) for k in names}
    return tensors, {"grid": grid, "order_scale": model.order.scale}


def parts_of(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by part, then by name: ``parts["pose"]["mean"]``."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, key = name.partition(".")
        parts.setdefault(part, {})[key] = tensor
    return parts


def from_common(
    parts: dict[str, dict[str, Tensor]], header: dict[str, Any], rotation: bool
) -> dict[str, Any]:
    """Rebuild the parts that :func:`state_of` describes, and remove them from the header.

    Returns
    -------
    dict
        ``grid``, ``pose``, ``order`` and ``history``.
    """
    grid = header.pop("grid")
    size, q_max = grid["window_size"], grid["q_max"]
    if not (is_whole_number(size, 4) and size <= _LARGEST_WINDOW and 0 < q_max <= 1):
        raise ValueError(f"windows of {size!r} px with frequencies up to {q_max!r} cycles/px")
    if parts["pose"]["mean"].shape[:2] != (grid["n_q"], grid["max_order"] + 1):
        raise ValueError(f"{grid['n_q']} frequencies and orders up to {grid['max_order']}")
    if "detectors" in grid:
        grid = JointGrid(**grid | {"detectors": tuple(grid["detectors"])})
    else:
        grid = HarmonicGrid(**grid)
    complexes = {k: torch.view_as_complex(v) for k, v in parts["pose"].items()}
    pose_model = pose.PoseModel(**complexes, rotation=rotation)
    return {
        "grid": grid,
        "pose": pose_model,
        "order": pose.OrderFilter(pose_model, header.pop("order_scale")),
        "history": {k: v.numpy() for k, v in parts.get("history", {}).items()},
    }


def fit_identity(tensors: dict[str, Tensor], header: dict[str, Any]) -> str:
    """Digest of the result of a fit: the same after saving and loading, and for the same seed.

    Parameters
    ----------
    tensors : dict of str to torch.Tensor
    header : dict
        Both from ``state()`` of a model. The history of the fit does not count.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    lasting = {name: t for name, t in tensors.items() if not name.startswith("history.")}
    return _check_sum(header, lasting)[:16]


def write_model(path: str | Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> Path:
    """Write tensors and settings, complete or not at all.

    Parameters
    ----------
    path : str or pathlib.Path
    tensors : dict of str to torch.Tensor
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
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    header = plain(header)
    header["sha256"] = _check_sum(header, tensors)
    # One entry: safetensors writes several in any order.
    content = to_bytes(tensors, metadata={"hs_rvae": json.dumps(header)})
    with complete_file(path, "The model") as draft:
        draft.write_bytes(content)  # safetensors' own files are closed to others
    return Path(path)


def read_model(path: str | Path, expected_format: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that :func:`write_model` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
    expected_format : str
        ``format`` in the header.

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
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # no mapping
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
    if header.pop("sha256", None) != _check_sum(header, tensors):
        raise ValueError(
            f"path={str(path)!r} is damaged or was changed: its check sum does not fit its "
            "content. Save the model again."
        )
    for name, tensor in tensors.items():
        if not name.startswith("history.") and not torch.isfinite(tensor).all():
            raise ValueError(
                f"path={str(path)!r} holds values that are not finite in {name!r}: fit the model "
                "again."
            )
    return tensors, header


def _check_sum(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """Digest of the settings and of all tensors."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
