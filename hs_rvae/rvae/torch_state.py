# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""PyTorch's global switches: set to their defaults while a model works, then put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

from ..threads import OfProcess

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@contextmanager
def default_torch_state() -> Iterator[None]:
    """Work under PyTorch's defaults, whatever the user or another package has switched.

    Default type and device, gradients, inference mode, autocast, anomaly detection, deterministic
    algorithms and the precision of matrix products are put back on leaving, also after an error.
    Types, anomaly detection, determinism and precision are switches of the whole process: another
    thread works under the defaults as long as a model works. The number of threads is kept.
    """
    with _process_defaults, _thread_defaults():
        yield


def in_default_torch_state(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Decorate a function that works in :func:`default_torch_state`."""

    @wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with default_torch_state():
            return function(*args, **kwargs)

    return call


@contextmanager
def _thread_defaults() -> Iterator[None]:
    """Set the switches of this thread."""
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


def _set_process_defaults() -> ExitStack:
    """Set the defaults; closing the returned stack restores the previous values."""
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


_process_defaults = OfProcess(_set_process_defaults)


def _precision_switches() -> list[Any]:
    """Newer switches of the precision of products (PyTorch 2.9 and later)."""
    backends: Any = torch.backends
    if not hasattr(backends, "fp32_precision"):
        return []
    return [backends, backends.cuda.matmul, backends.mkldnn.matmul, backends.mkldnn.conv]
