# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The amount of log messages of the package."""

import logging
import reprlib

__all__ = ["set_log_level"]


def set_log_level(level: int | str) -> None:
    """Set the lowest level of the log messages of hs_rvae that are shown.

    HyperSpy's own `hyperspy.api.set_log_level` reaches HyperSpy only. Python shows warnings and
    errors without this call; ``"INFO"`` adds the choices the package makes from the data, such as
    window sizes, dropped sites and the scales of a model.

    Parameters
    ----------
    level : int or str
        ``"DEBUG"``, ``"INFO"``, ``"WARNING"``, ``"ERROR"``, ``"CRITICAL"``, or a number as in
        `logging`.

    Raises
    ------
    ValueError
        If `level` is not a level of `logging`.

    Examples
    --------
    >>> import hs_rvae
    >>> hs_rvae.set_log_level("INFO")
    >>> hs_rvae.set_log_level("WARNING")
    """
    logger = logging.getLogger("hs_rvae")
    try:
        if isinstance(level, bool):
            raise TypeError("a flag is not a level")
        logger.setLevel(level.upper() if isinstance(level, str) else level)
    except Exception:
        raise ValueError(
            f"level={reprlib.repr(level)} is not a log level; use 'DEBUG', 'INFO', 'WARNING', "
            "'ERROR' or 'CRITICAL'."
        ) from None
    # A program that has set up logging itself keeps its own handlers and formats.
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s | hs_rvae | %(message)s"))
        logger.addHandler(handler)
