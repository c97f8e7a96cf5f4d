# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the model computes: the device, and the threads of the CPU."""

import threading
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

# Now, in the thread that imports: the first thread that sets a number sets it for all others that
# have not asked yet.
torch.get_num_threads()


def pick_device(device=None):
    """The torch device to work on.

    Parameters
    ----------
    device : str or torch.device, optional
        None takes CUDA where there is one, else the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If the device is not there.
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


def here(device):
    """The device, or the CPU on a worker that has none of its kind."""
    missing = device.type == "cuda" and not torch.cuda.is_available()
    return torch.device("cpu") if missing else device


def one_thread_in_a_pool():
    """In a thread of somebody's pool, compute on that thread alone: the others compute as well."""
    if threading.current_thread() is not threading.main_thread():
        torch.set_num_threads(1)  # of this thread


@contextmanager
def one_thread():
    """Compute on one thread: on small matrices threads cost more than they bring.

    On a busy machine they cost far more, because the others wait for the one that is not running.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
