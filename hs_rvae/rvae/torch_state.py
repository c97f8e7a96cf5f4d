# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""PyTorch's global switches: set to their defaults while a model works, then put back."""

import threading
from contextlib import ExitStack, contextmanager
from functools import wraps

import torch

_lock = threading.Lock()
_depth = 0  # doors that are open, in all threads
_put_back = None  # for the last of them


@contextmanager
def default_torch_state():
    """Work under PyTorch's defaults, whatever the user or another package has switched.

    Default type and device, gradients, inference mode, autocast, anomaly detection, deterministic
    algorithms and the precision of matrix products are put back on leaving, also after an error.
    Types, anomaly detection, determinism and precision are switches of the whole process: another
    thread sees the defaults as long as a model works. The number of threads is left alone.
    """
    with _process_defaults(), _thread_defaults():
        yield


def in_default_torch_state(function):
    """Decorate a function that works in :func:`default_torch_state`."""

    @wraps(function)
    def call(*args, **kwargs):
        with default_torch_state():
            return function(*args, **kwargs)

    return call


@contextmanager
def _thread_defaults():
    """Switches of this thread."""
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def _process_defaults():
    """Switches of the process: the first that enters sets them, the last that leaves puts back."""
    global _depth, _put_back
    with _lock:
        if not _depth:
            _put_back = _set_process_defaults()
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if not _depth:
                _put_back.close()


def _set_process_defaults():
    """Set the defaults; an ExitStack that puts back what was set."""
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        if torch.is_anomaly_enabled():
            check_nan = torch.is_anomaly_check_nan_enabled()
            stack.callback(torch.set_anomaly_enabled, True, check_nan)
            torch.set_anomaly_enabled(False)
        if torch.are_deterministic_algorithms_enabled():
            warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
            stack.callback(torch.use_deterministic_algorithms, True, warn_only=warn_only)
            torch.use_deterministic_algorithms(False)
        for part in _precision_switches():  # the general one first: the others follow it
            stack.callback(setattr, part, "fp32_precision", part.fp32_precision)
            part.fp32_precision = "none"
        try:
            precision = torch.get_float32_matmul_precision()
        except RuntimeError:  # set by the newer switches alone
            precision = "highest"
        stack.callback(torch.set_float32_matmul_precision, precision)
        torch.set_float32_matmul_precision("highest")
        return stack.pop_all()


def _precision_switches():
    """Newer switches of the precision of products (PyTorch 2.9 and later)."""
    backends = torch.backends
    if not hasattr(backends, "fp32_precision"):
        return []
    return [backends, backends.cuda.matmul, backends.mkldnn.matmul, backends.mkldnn.conv]
