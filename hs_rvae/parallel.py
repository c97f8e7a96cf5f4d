# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of work on threads, or on the workers of dask.distributed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from dask.delayed import Delayed


def active_client() -> Any:
    """
    Return the client of dask.distributed that computations go to, or None.

    The choice is dask's: the last ``Client`` made, unless another scheduler is set.
    """
    if "distributed" not in sys.modules:
        return None  # dask would import it to look for a client
    from dask.base import get_scheduler

    owner = getattr(get_scheduler(), "__self__", None)
    return owner if hasattr(owner, "cancel") and hasattr(owner, "scheduler_info") else None


def without_cluster() -> dict[str, Any]:
    """Option of dask's ``compute`` that keeps it from importing much to look for a client.

    Empty where a client is possible, or where another scheduler is set.
    """
    import dask
    import dask.threaded

    if "distributed" in sys.modules or dask.config.get("scheduler", None) is not None:
        return {}
    return {"scheduler": dask.threaded.get}  # its name would be looked up among those of clusters


def graph_node(value: object, name: str) -> Delayed:
    """
    Make a node of a dask graph for an object that many tasks need.

    It is sent as bytes with the graph, so that the death of a worker loses nothing. Each worker
    unpacks it once.

    Parameters
    ----------
    value : object
        Anything that cloudpickle can pack, also functions inside functions.
    name : str
        Its name in the dashboard.

    Returns
    -------
    dask.delayed.Delayed
    """
    import cloudpickle
    import dask

    packed = cloudpickle.dumps(value)
    return dask.delayed(cloudpickle.loads, pure=False)(
        packed, dask_key_name=f"{name}-{uuid4().hex}"
    )


def run_tasks(tasks: list[Delayed], done: Callable[[int, Any], None]) -> None:
    """
    Compute tasks and hand over each result as soon as it exists.

    They run on the workers of dask.distributed or on threads; in a thread that is not the main one,
    one after the other.

    Parameters
    ----------
    tasks : list of dask.delayed.Delayed
    done : callable
        ``done(number, result)``, one call at a time. For the results of workers it runs here;
        otherwise in the thread of the task. Nothing else keeps results.
    """
    client = active_client()
    if client is not None:
        _run_on_workers(client, tasks, done)
        return
    import dask

    lock = threading.Lock()

    def hand_over(number: int, result: Any) -> None:
        with lock:
            done(number, result)

    node = dask.delayed(hand_over, pure=False, traverse=False)
    nodes = [node(number, task) for number, task in enumerate(tasks)]
    serial = dask.config.get("scheduler", None) in ("sync", "synchronous", "single-threaded")
    # Otherwise dask makes a pool of threads for each thread that asks.
    serial |= threading.current_thread() is not threading.main_thread()
    dask.compute(*nodes, scheduler="synchronous" if serial else "threads", optimize_graph=True)


def _run_on_workers(client: Any, tasks: list[Delayed], done: Callable[[int, Any], None]) -> None:
    from dask.distributed import as_completed

    futures = client.compute(tasks)
    try:
        number = {future.key: k for k, future in enumerate(futures)}
        for future, result in as_completed(futures, with_results=True):
            done(number[future.key], result)
            future.release()
    except BaseException:
        client.cancel(futures, force=True)
        raise
