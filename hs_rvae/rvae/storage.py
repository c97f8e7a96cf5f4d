# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on disk: their tensors and settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checks import is_whole_number
from ..model_files import check_sum, read_arrays, write_arrays
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
    return check_sum(header, _arrays(lasting))[:16]


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
    return write_arrays(path, _arrays(tensors), header)


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
    FileNotFoundError, ValueError
        As :func:`~hs_rvae.model_files.read_arrays`.
    """
    arrays, header = read_arrays(path, expected_format)
    return {name: _tensor(array) for name, array in arrays.items()}, header


def _tensor(array: np.ndarray) -> Tensor:
    """Tensor with the strides of torch: those of an empty array of NumPy are others."""
    tensor = torch.from_numpy(array)
    return tensor if array.size else tensor.new_empty(array.shape)


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: t.detach().cpu().contiguous().numpy() for name, t in tensors.items()}
