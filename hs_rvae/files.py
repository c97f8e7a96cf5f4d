# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear complete or not at all."""

from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def writable(path):
    """
    Give a draft beside `path`, which is gone in the end.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written.
    """
    path = Path(path)
    draft = path.with_name(path.name + ".part")
    try:
        draft.touch()
        yield draft
    except OSError as error:
        raise type(error)(
            f"path={str(path)!r} cannot be written ({error.strerror}): choose a folder that "
            "exists and can be written."
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
