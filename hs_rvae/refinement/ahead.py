# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compilation by two processes of their own, while the search for columns runs.

Numba compiles one function at a time in a process. What these processes keep is loaded by all
others, so that the first run gives the same bits as later ones. There is one such pair at a time
for each folder of compiled code; where it cannot run, the functions compile when they are called.
It begins with the first search, or with the import of what searches in an interactive session.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from .compiling import compile_for, kept_in, must_compile

_logger = logging.getLogger(__name__)

_PATIENCE = 300.0  # seconds: then the caller compiles
_CODE = (
    "import sys; sys.path[:] = {path}; from {name} import compile_share; compile_share({number})"
)

_lock = threading.Lock()
_begun: list[subprocess.Popen[bytes]] = []


def is_missing() -> bool:
    """Return True if a refinement has to compile: in this process, or before it in another."""
    from . import aperture, kernel, model_sum

    sums = model_sum.sum_of_models, model_sum.sums_of_tails, aperture.means_of_disks
    return any(map(must_compile, (kernel.fit_range, *sums)))


def start() -> None:
    """Begin to compile in the background, unless that is done or other processes do it."""
    with _lock, contextlib.suppress(OSError):
        locks = _locks()
        if is_missing() and locks and not _begun and not any(map(_is_held, locks)):
            _begun.extend(filter(None, map(_process, (1, 2))))


def finish() -> None:
    """Wait for the compilation that this process or another has begun."""
    if is_missing():
        _logger.info("The fit of columns is compiled, once per installation.")
    until = time.monotonic() + _PATIENCE
    with contextlib.suppress(OSError):
        while is_missing() and time.monotonic() < until:
            if not _is_running():
                had_begun = bool(_begun)
                start()
                if had_begun or not _is_running():  # they have failed, or cannot begin
                    return
            time.sleep(0.05)


def _is_running() -> bool:
    return any(each.poll() is None for each in _begun) or any(map(_is_held, _locks()))


def compile_share(number: int) -> None:
    """Compile as process 1 or 2; each takes about half of the time."""
    with _held(_locks()[number - 1]):
        if is_missing():  # not all done by those that held the lock before
            (_compile_first, _compile_second)[number - 1]()


def _compile_first() -> None:
    """Compile the fit of columns, with the parts that the other process makes for it, and sums."""
    from . import kernel, model_sum

    image, vector, rows, whole = _examples()
    one, no, parts = 1.0, False, (kernel._disk, kernel._errors)
    if must_compile(kernel.fit_range):
        compile_for(kernel._linearise, vector, one, one, one, rows, 1, rows, rows)
        compile_for(kernel._step, vector, one, one, one, one, rows, rows, vector, vector)
        while any(map(must_compile, parts)) and _is_held(_locks()[1]):
            time.sleep(0.02)
    compile_for(
        kernel.fit_range, image, 0, 1, rows, rows, vector > one, one, one, one, vector, one, 1, no,
        rows, rows, whole, *kernel.room_to_work(one),
    )  # fmt: skip
    compile_for(model_sum.sum_of_models, image, 0, 1, rows, one, one, one, rows)


def _compile_second() -> None:
    """Compile two parts of the fit for the other process, then the tail and the means of disks."""
    from . import aperture, kernel, model_sum

    image, vector, rows, whole = _examples()
    one, no = 1.0, False
    compile_for(kernel._disk, image, vector, no, no, one, one, one, vector, rows)
    compile_for(kernel._errors, one, one, rows, 1, rows, rows, rows, rows, vector, no, vector)
    compile_for(
        model_sum.sums_of_tails, image, 0, 1, whole, rows, whole, whole, one, one, one, rows, rows,
        rows,
    )  # fmt: skip
    compile_for(aperture.means_of_disks, image, vector, vector, one, vector)


def _examples() -> tuple[np.ndarray, ...]:
    """An image, a vector, rows and whole numbers, of the types that a refinement has."""
    return np.zeros((1, 1)), np.zeros(1), np.zeros((1, 1)), np.zeros(1, np.int64)


def _process(number: int) -> subprocess.Popen[bytes] | None:
    """Begin a process that compiles; None where this interpreter cannot be started anew."""
    folder, name = kept_in(), Path(sys.executable or "").stem.lower()
    if folder is None or getattr(sys, "frozen", False) or not name.startswith("python"):
        return None
    options: dict[str, Any] = {"start_new_session": True}  # Ctrl-C is not for it
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        options = {"creationflags": flags}
    code = _CODE.format(path=sys.path, name=__name__, number=number)
    nothing = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code], stdin=nothing, stdout=nothing, stderr=nothing,
            env=os.environ | {"NUMBA_CACHE_DIR": folder}, **options,
        )  # fmt: skip
    except OSError:
        return None


def _locks() -> list[Path]:
    """Files that the processes lock; none where no code is kept."""
    from . import kernel

    if not hasattr(kernel.fit_range, "stats") or kernel.fit_range.stats.cache_path is None:
        return []
    folder = Path(kernel.fit_range.stats.cache_path)
    return [folder / f"compiling-{number}.lock" for number in (1, 2)]


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends."""
    with path.open("ab") as file:
        while not _take(file):
            time.sleep(0.1)
        yield


def _is_held(path: Path) -> bool:
    """Return True if a process holds the lock."""
    with path.open("ab") as file:
        return not _take(file)


def _take(file: IO[bytes]) -> bool:
    """Lock a file unless another process has; True also where files cannot be locked."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


if hasattr(sys, "ps1"):  # In a session, the imports to come take seconds as well.
    start()
