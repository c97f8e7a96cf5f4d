# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Device of the model."""

from __future__ import annotations

import torch

# Now, in the importing thread: the first thread that sets a number sets it for all threads that
# have not asked for it yet.
torch.get_num_threads()


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Choose the torch device to work on.

    Parameters
    ----------
    device : str or torch.device, optional
        If None, CUDA where it is available; otherwise the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If the device is not available.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
        torch.zeros(1, dtype=torch.complex128, device=device)  # not on every accelerator
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device={str(device)!r} cannot be used here ({error}); give 'cpu', or None to choose."
        ) from error
    return device


def available_device(device: torch.device) -> torch.device:
    """Return the device, or the CPU on a worker without such a device."""
    missing = device.type == "cuda" and not torch.cuda.is_available()
    return torch.device("cpu") if missing else device
