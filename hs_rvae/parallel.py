# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How work on blocks is run: by threads or workers of dask.distributed; progress, interruption."""

from contextlib import contextmanager
from uuid import uuid4


def active_client():
    """The client of dask.distributed that computations go to, or None.

    As dask decides: the last ``Client`` made, unless another scheduler is set.
    """
    from dask.base import get_scheduler

    owner = getattr(get_scheduler(), "__self__", None)
    return owner if hasattr(owner, "cancel") and hasattr(owner, "scheduler_info") else None


def shared(value, name):
    """A node of a dask graph for an object that many tasks need.

    Sent as bytes with the graph, so that the death of a worker loses nothing; each worker unpacks
    it once.

    Parameters
    ----------
    value : object
        What cloudpickle can pack, also functions inside functions.
    name : str
        How the dashboard calls it.

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


def run_tasks(tasks, done):
    """Compute tasks and hand over each result when it is there.

    Parameters
    ----------
    tasks : list of dask.delayed.Delayed
    done : callable
        ``done(number, result)``, one call at a time. It runs here for the results of workers, in
        the thread of the task otherwise; nothing else keeps results.
    """
    client = active_client()
    if client is not None:
        _run_on_workers(client, tasks, done)
        return
    import threading

    import dask

    lock = threading.Lock()

    def hand_over(number, result):
        with lock:
            done(number, result)

    hand_over = dask.delayed(hand_over, pure=False, traverse=False)
    tasks = [hand_over(number, task) for number, task in enumerate(tasks)]
    one = dask.config.get("scheduler", None) in ("sync", "synchronous", "single-threaded")
    dask.compute(*tasks, scheduler="synchronous" if one else "threads", optimize_graph=True)


def _run_on_workers(client, tasks, done):
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


@contextmanager
def interruptible(message):
    """Say what is left when Ctrl-C ends a long computation.

    Parameters
    ----------
    message : str
        What was interrupted, what is left, and what to call.

    Examples
    --------
    >>> try:
    ...     with interruptible("Reading was interrupted: nothing has changed."):
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt as error:
    ...     str(error)
    'Reading was interrupted: nothing has changed.'
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if error.args:  # said already, nearer to the work
            raise
        raise KeyboardInterrupt(message) from None


def shown(show_progressbar):
    """Whether to show a progress bar; None asks HyperSpy's preferences."""
    if show_progressbar is not None:
        return bool(show_progressbar)
    from hyperspy.defaults_parser import preferences

    return bool(preferences.General.show_progressbar)
