# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress bars that follow HyperSpy's preference, and messages after Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def progressbar_wanted(show_progressbar: bool | None) -> bool:
    """Return the user's choice, or HyperSpy's preference if it is None."""
    if show_progressbar is not None:
        return bool(show_progressbar)
    from hyperspy.defaults_parser import preferences

    return bool(preferences.General.show_progressbar)


def progress_bar(
    description: str,
    show_progressbar: bool | None = None,
    *,
    total: int | None = None,
    iterable: Iterable[Any] | None = None,
) -> Any:
    """
    Make a progress bar in HyperSpy's manner; a hidden one does nothing.

    Parameters
    ----------
    description : str
        Text in front of the bar.
    show_progressbar : bool, optional
        If None, HyperSpy's preference decides.
    total : int, optional
        Number of steps, for a bar that is updated step by step.
    iterable : iterable, optional
        The steps themselves, for a bar that is iterated over.

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
