# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both kinds of model save alike: history, network, pose model, frequencies."""

import hashlib
import json

import numpy as np
import torch

from . import pose
from .geometry import HarmonicGrid


def state_of(model, name, network):
    """Tensors and a header that JSON holds.

    Parameters
    ----------
    model : HarmonicModel or ConvolutionalModel
    name : str
        What the network is called.
    network : torch.nn.Module

    Returns
    -------
    tensors : dict of str to torch.Tensor
        Each name has its part in front, as in ``pose.mean``.
    header : dict
    """
    tensors = {f"history.{k}": torch.as_tensor(v) for k, v in model.history.items()}
    tensors |= {f"{name}.{k}": v for k, v in network.state_dict().items()}
    for part in ("mean", "noise", "factors"):
        tensors[f"pose.{part}"] = torch.view_as_real(getattr(model.pose, part).resolve_conj())
    grid = {k: getattr(model.grid, k) for k in ("window_size", "q_max", "n_q", "max_order")}
    return tensors, {"grid": grid, "order_scale": model.order.scale}


def fit_identity(tensors, header):
    """Digest of what a fit found: the same for a model that is saved and loaded, and for one seed.

    Parameters
    ----------
    tensors : dict of str to torch.Tensor
    header : dict
        Of a model's ``state()``. The history of the fit does not count.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        if not name.startswith("history."):
            values = tensors[name].detach().cpu().contiguous().numpy()
            digest.update(f"{name} {values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def parts_of(tensors):
    """Tensors by part, then by name: ``parts["pose"]["mean"]``."""
    parts = {}
    for name, tensor in tensors.items():
        part, _, key = name.partition(".")
        parts.setdefault(part, {})[key] = tensor
    return parts


def from_common(parts, header, rotation):
    """What :func:`state_of` saved, taken out of the header.

    Returns
    -------
    dict
        ``grid``, ``pose``, ``order`` and ``history``.
    """
    complexes = {k: torch.view_as_complex(v) for k, v in parts["pose"].items()}
    pose_model = pose.PoseModel(**complexes, rotation=rotation)
    return {
        "grid": HarmonicGrid(**header.pop("grid")),
        "pose": pose_model,
        "order": pose.OrderFilter(pose_model, header.pop("order_scale")),
        "history": {k: v.numpy() for k, v in parts.get("history", {}).items()},
    }
