# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: ``hs-rvae demo`` and ``hs-rvae analyse``."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..report.interface import as_command_line
from .arguments import parser
from .results import check_folder

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        If None, those of the process.

    Returns
    -------
    int
        Exit status: 0, or 2 when something asked for cannot be done.

    Examples
    --------
    >>> main(["demo", "--output", "results"])  # doctest: +SKIP
    """
    options = parser().parse_args(arguments)
    if options.command is None:
        parser().print_help()
        return 0
    try:
        check_folder(options.output)
        with warnings.catch_warnings(), _warnings_printed(), _few_collections():
            _settle()
            if options.command == "demo":
                from .demo import run_demo

                run_demo(options.output, options.seed)
            else:
                from .analyse import run_analyse

                run_analyse(options)
    except (OSError, ValueError, TypeError) as error:
        print(f"hs-rvae: error: {as_command_line(str(error))}", file=sys.stderr)
        return 2
    return 0


def _settle() -> None:
    """Send figures to files, and hide the warnings of other packages about each other."""
    import matplotlib

    matplotlib.use("agg")
    warnings.filterwarnings("ignore", module="(hyperspy|rsciio|atomap)")


class _InOurWords(logging.Formatter):
    """Warnings that name options of the command line."""

    def format(self, record: logging.LogRecord) -> str:
        return f"hs-rvae: warning: {as_command_line(record.getMessage())}"


@contextmanager
def _warnings_printed() -> Iterator[None]:
    """Print warnings of the package while a command runs."""
    handler, logger = logging.StreamHandler(), logging.getLogger("hs_rvae")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_InOurWords())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Let Python look for cycles rarely: it would check the objects of large libraries often."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
