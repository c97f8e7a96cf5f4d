# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of a command in this process, in several of this computer, or on a dask cluster."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

Job = tuple[Any, ...]


def results_of(
    function: Callable[..., Any],
    jobs: Sequence[Job],
    scheduler: str | None = None,
    n_workers: int = 1,
) -> Iterator[tuple[int, Any]]:
    """
    Yield number and result of each job as it ends; a text is the error of a job that failed.

    Parameters
    ----------
    function : callable
        Function of a module, so that workers find it.
    jobs : sequence of tuple
        Arguments of its calls.
    scheduler : str, optional
        Address of a dask cluster.
    n_workers : int
        Processes of this computer. 1 works in this one.

    Yields
    ------
    number : int
    result : object
    """
    if scheduler is not None:
        yield from _on_cluster(function, jobs, scheduler)
    elif min(n_workers, len(jobs)) < 2:
        for number, job in enumerate(jobs):
            yield number, attempt(function, job)
    else:
        yield from _in_processes(function, jobs, n_workers)


def attempt(function: Callable[..., Any], job: Job) -> Any:
    """Call the function on a job; an error becomes its text."""
    with _quiet():
        try:
            return function(*job)
        except Exception as error:
            text = " ".join(str(error).split())
            known = isinstance(error, OSError | ValueError | TypeError) and text
            return text if known else f"{type(error).__name__}: {text}"
        finally:
            gc.collect()  # signals refer to themselves: their pixels would stay


@contextmanager
def _quiet() -> Iterator[None]:
    """Show no bars, and leave warnings to the records of the images."""
    import hyperspy.api as hs

    general, logger = hs.preferences.General, logging.getLogger("hs_rvae")
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module="(hyperspy|rsciio|atomap)")
        stack.callback(setattr, general, "show_progressbar", general.show_progressbar)
        general.show_progressbar = False
        stack.callback(setattr, logger, "propagate", logger.propagate)
        silent = logging.NullHandler()  # otherwise Python prints them
        logger.addHandler(silent)
        logger.propagate = False
        stack.callback(logger.removeHandler, silent)
        yield


def _settle() -> None:
    """Let a process of many use one thread."""
    import matplotlib
    from threadpoolctl import threadpool_limits

    matplotlib.use("agg")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threadpool_limits(1)


def _in_processes(
    function: Callable[..., Any], jobs: Sequence[Job], n_workers: int
) -> Iterator[tuple[int, Any]]:
    """Work in processes; if one dies, the jobs that are left get one each, to find the culprit."""
    left = dict(enumerate(jobs))
    try:
        for number, result in _pool(function, dict(left), n_workers):
            del left[number]
            yield number, result
    except BrokenProcessPool:
        for number, job in left.items():
            try:
                yield from _pool(function, {number: job}, 1)
            except BrokenProcessPool:
                yield number, "The process died, as it does without memory: try fewer workers."


def _pool(
    function: Callable[..., Any], jobs: dict[int, Job], n_workers: int
) -> Iterator[tuple[int, Any]]:
    # Threads of this process do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(n_workers, len(jobs)), context, _settle)
    try:
        with _without_main():
            numbers = {pool.submit(attempt, function, job): number for number, job in jobs.items()}
        for future in as_completed(numbers):
            yield numbers[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the script from new processes: they need none of it, and would run it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


_one_at_a_time = threading.Lock()


def _there(function: Callable[..., Any], job: Job) -> Any:
    """Work on a worker of dask; Matplotlib cannot draw in several of its threads at once."""
    import matplotlib

    with _one_at_a_time:
        matplotlib.use("agg")
        return attempt(function, job)


def _on_cluster(
    function: Callable[..., Any], jobs: Sequence[Job], scheduler: str
) -> Iterator[tuple[int, Any]]:
    """Work on the workers of a dask cluster."""
    from dask.distributed import Client
    from dask.distributed import as_completed as completed

    with Client(scheduler, set_as_default=False) as client, client.as_current():
        futures = [client.submit(_there, function, job, pure=False) for job in jobs]
        numbers = {future.key: number for number, future in enumerate(futures)}
        try:
            for future in completed(futures):
                failed = future.status != "finished"
                result = f"{future.exception()}" if failed else future.result()
                yield numbers[future.key], result
                future.release()
        finally:
            client.cancel(futures)
