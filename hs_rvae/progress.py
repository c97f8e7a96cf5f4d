# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress bars that follow HyperSpy's preference, and messages after Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any, Self


def progressbar_wanted(show_progressbar: bool | None) -> bool:
    """Return the user's choice, or HyperSpy's preference if it is None."""
    if show_progressbar is not None:
        return bool(show_progressbar)
    from hyperspy.defaults_parser import preferences

    return bool(preferences.General.show_progressbar)


def progress_bar(
    description: str,
    show_progressbar: bool | None = None,
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
) -> Any:
    """
    Make a progress bar in HyperSpy's manner; a hidden one does nothing.

    Parameters
    ----------
    description : str
        Text in front of the bar.
    show_progressbar : bool, optional
        If None, HyperSpy's preference decides.
    iterable : iterable, optional
        The steps themselves, for a bar that is iterated over.
    total : int, optional
        Number of steps, for a bar that is updated step by step.

    Returns
    -------
    tqdm.tqdm
        Close it, or use it in a ``with`` statement.

    Examples
    --------
    >>> with progress_bar("Cutting sub-images", False, total=3) as bar:
    ...     bar.update()
    """
    hidden = not progressbar_wanted(show_progressbar)
    if hidden:  # also where HyperSpy is not loaded
        from tqdm import tqdm as make_bar
    else:
        from hyperspy.external.progressbar import progressbar as make_bar
    return make_bar(iterable, total=total, desc=description, disable=hidden, leave=True)


def dask_progress_bar(show_progressbar: bool | None) -> AbstractContextManager[Any]:
    """Make dask's progress bar; a hidden one does nothing."""
    from dask.diagnostics import ProgressBar

    return ProgressBar() if progressbar_wanted(show_progressbar) else nullcontext()


class Progress:
    """Progress bar of a fit, and a stop after Ctrl-C.

    The first Ctrl-C lets the current iteration finish: the model stays usable. A second one
    interrupts at once, as usual.

    Parameters
    ----------
    total : int
        Expected number of steps.
    show : bool
        Whether to draw the bar.
    description : str
        Current stage of the fit.

    Attributes
    ----------
    stopped : bool
        Whether Ctrl-C was pressed.
    """

    def __init__(self, total: int, show: bool, description: str) -> None:
        self.stopped = False
        self.description = description
        self._bar = progress_bar(description, show, total=total)
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGINT)
            if self._previous is not None:
                signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if not self.stopped and error[0] is None:
            self._bar.update(self._bar.total - self._bar.n)  # iterations that were not needed
        self._bar.close()

    def _stop(self, signal_number: int, frame: FrameType | None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True

    def step(self, description: str, values: dict[str, float] | None = None) -> None:
        """Advance by one step; a dict of numbers is shown beside the bar."""
        if not self.stopped:
            self.description = description
        self._bar.set_description(description, refresh=False)
        if values:
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in values.items()}, refresh=False)
        self._bar.total = max(self._bar.total, self._bar.n + 1)  # the total is a guess
        self._bar.update()


@contextmanager
def explain_interruption(message: str) -> Iterator[None]:
    """
    Add a message to the KeyboardInterrupt of a long computation.

    A message that was added nearer to the work stays.

    Parameters
    ----------
    message : str
        What was interrupted, what state is left, and what to call.

    Examples
    --------
    >>> try:
    ...     with explain_interruption("Reading was interrupted: nothing has changed."):
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt as error:
    ...     str(error)
    'Reading was interrupted: nothing has changed.'
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if error.args:
            raise
        raise KeyboardInterrupt(message) from None
