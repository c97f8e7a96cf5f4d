# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of work side by side on threads, each with one thread inside its operations.

On small matrices, threads inside an operation cost more than they bring. On a busy machine they
cost far more, because all of them wait for the one that is not running.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")

_lock = threading.RLock()
_controller: tuple[int, Any] = (0, None)  # modules loaded, and what controls their libraries
_here = threading.local()  # depth of this thread, and the number that its caller allows


class OfProcess:
    """
    A setting of the whole process that several threads may need at once.

    It is set on the first entry, and put back on the last exit.

    Parameters
    ----------
    settle : callable
        Makes the setting; closing the stack that it returns puts the earlier one back.
    """

    def __init__(self, settle: Callable[[], ExitStack]) -> None:
        self._settle, self._lock = settle, threading.Lock()
        self._depth = 0
        self._put_back = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._depth:
                self._put_back = self._settle()
            self._depth += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._depth -= 1
            if not self._depth:
                self._put_back.close()


@contextmanager
def one_thread(*, openmp: bool = True) -> Iterator[None]:
    """
    Compute on one thread inside torch, BLAS and OpenMP; put the caller's numbers back afterwards.

    They are put back after errors too. BLAS has one number for the whole process: it is put back
    when the last of several threads has finished. Torch and OpenMP have one for each thread.

    Parameters
    ----------
    openmp : bool
        False leaves the threads of OpenMP, and torch, as they are.

    Examples
    --------
    >>> import numpy as np
    >>> with one_thread():
    ...     values = np.linalg.eigh(np.eye(3))[0]
    """
    with _one_in_blas, ExitStack() as stack:
        if openmp:
            _one_in_this_thread(stack)
        yield


def _set_to_one(kind: str) -> ExitStack:
    """Set the libraries of a kind, "blas" or "openmp", to one thread; closing puts them back."""
    global _controller
    from threadpoolctl import ThreadpoolController

    with _lock:
        if _controller[0] != len(sys.modules):  # another library may have come
            _controller = len(sys.modules), ThreadpoolController()
        libraries = _controller[1].lib_controllers
    stack = ExitStack()
    for library in libraries:
        if library.user_api == kind and library.num_threads != 1:
            # Since its version 3.7, the other call does nothing in a second thread.
            set_number = getattr(library, "_real_set_num_threads", library.set_num_threads)
            stack.callback(set_number, library.num_threads)
            set_number(1)
    return stack


_one_in_blas = OfProcess(lambda: _set_to_one("blas"))


def _one_in_this_thread(stack: ExitStack) -> None:
    """Set the numbers of this thread to one, until the stack is closed."""
    if not getattr(_here, "depth", 0):
        torch = sys.modules.get("torch")
        _here.allowed = None
        if torch is not None:
            before = torch.get_num_threads()
            _here.allowed = before
            stack.callback(torch.set_num_threads, before)
            torch.set_num_threads(1)
        stack.callback(_set_to_one("openmp").close)
    _here.depth = getattr(_here, "depth", 0) + 1
    stack.callback(_leave)


def _leave() -> None:
    _here.depth -= 1


def keep_number_of_new_threads() -> None:
    """Let threads to come start with the number of this one, not with that of a pool."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(torch.get_num_threads())


def count_cores() -> int:
    """
    Count the cores that this process may use.

    Returns
    -------
    int
        Cores by the affinity and the quota of the process; ``OMP_NUM_THREADS`` if it is lower.
    """
    from dask.system import cpu_count

    allowed = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    cores = int(cpu_count())
    return min(cores, int(allowed)) if allowed.isdigit() and int(allowed) else cores


def count_threads() -> int:
    """
    Count the threads that blocks of work may use.

    Returns
    -------
    int
        The cores, or the caller's number of threads of torch if it is lower. One in a thread that
        is not the main one: in a pool, the other cores have work already.
    """
    if threading.current_thread() is not threading.main_thread():
        return 1
    allowed = getattr(_here, "allowed", None) if getattr(_here, "depth", 0) else None
    cores = count_cores()
    return cores if allowed is None else min(cores, allowed)


def side_by_side(
    work: Callable[[_Piece], _Result], pieces: Sequence[_Piece], n_threads: int | None = None
) -> Iterator[_Result]:
    """
    Yield ``work(piece)`` for each piece, in their order; several are in work at once.

    Parameters
    ----------
    work : callable
        Runs in :func:`one_thread` where several are in work.
    pieces : sequence
    n_threads : int, optional
        If None, :func:`count_threads`. 1 works in the calling thread.

    Yields
    ------
    object
        Results, of which few are kept at a time.

    Examples
    --------
    >>> list(side_by_side(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    n_threads = min(count_threads() if n_threads is None else n_threads, len(pieces))
    if n_threads < 2:
        yield from map(work, pieces)
        return

    def alone(piece: _Piece) -> _Result:
        with _one_in_blas:
            return work(piece)

    ahead = 2 * n_threads
    with ExitStack() as stack:
        stack.callback(keep_number_of_new_threads)
        pool = stack.enter_context(
            ThreadPoolExecutor(n_threads, "hs_rvae", lambda: _one_in_this_thread(ExitStack()))
        )
        try:
            coming = [pool.submit(alone, piece) for piece in pieces[:ahead]]
            for k in range(len(pieces)):
                yield coming.pop(0).result()
                if k + ahead < len(pieces):
                    coming.append(pool.submit(alone, pieces[k + ahead]))
        except BaseException:  # an interruption does not wait for what has not begun
            pool.shutdown(wait=True, cancel_futures=True)
            raise
