# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions in files: NumPy's arrays, and text with commas, semicolons, tabs or spaces."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from pandas.errors import ParserError, ParserWarning

_MAYBE_DECIMAL_COMMA = re.compile(r"[-+]?\d+(,\d*)?(e[-+]?\d+)?", re.IGNORECASE)
_MISSING = ["--"]  # as masked values are printed
_KINDS = ("sublattice", "element", "class")  # columns that name the sublattice
_PASS_OBJECT = (
    "If you trust the file, pass np.load(path, allow_pickle=True).item(), for example the "
    "dictionary of AtomAI."
)
_SAVE_ALONE = "Save the array of positions alone, with numpy.save."


def read_positions(path: str | os.PathLike[str]) -> np.ndarray | pd.DataFrame:
    """
    Positions from a file.

    Parameters
    ----------
    path : str or pathlib.Path
        An ``.npy`` file of an array; or a text file whose numbers are separated by commas,
        semicolons, tabs or spaces. Lines that begin with "#" are comments. A line of names may
        come first, also as the last comment; the columns called x and y count then.

    Returns
    -------
    numpy.ndarray of shape (n, 2) or pandas.DataFrame
        A table if the columns have names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no positions; the message names the content.
    """
    path = _checked_file(path)
    if path.suffix == ".npy":
        return _read_array(path)
    return _positions(path, *_read_text(path))


def read_sublattices(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """
    Positions of one or several sublattices from a file.

    Parameters
    ----------
    path : str or pathlib.Path
        As for :func:`read_positions`. A third number of each line, or the column
        ``sublattice``, ``element`` or ``class`` of a table, names the sublattice.

    Returns
    -------
    dict of str to numpy.ndarray of shape (n, 2)
        Positions ``(x, y)`` by the name of the sublattice; "sites" if there is one without a name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no positions, or Python objects (a pickle), which are never loaded.
    """
    path = _checked_file(path)
    if path.suffix == ".npy":
        content: np.ndarray | pd.DataFrame = _read_array(path, _SAVE_ALONE)
    else:
        table, named = _read_text(path)
        numbers = all(map(is_numeric_dtype, table.dtypes))
        three = not named and numbers and table.shape[1] == 3
        content = table.to_numpy(float) if three else _positions(path, table, named)
    if isinstance(content, pd.DataFrame):
        kinds = next((content[name] for name in _KINDS if name in content), None)
        xy = content[["x", "y"]].to_numpy(float)
    else:
        if content.ndim != 2 or content.shape[1] not in (2, 3) or content.dtype.kind not in "iuf":
            raise ValueError(
                f"positions={str(path)!r} has the shape {content.shape} of {content.dtype}: give "
                "two or three numbers for each column, x, y and the number of its sublattice."
            )
        kinds = pd.Series(content[:, 2]) if content.shape[1] == 3 else None
        xy = content[:, :2].astype(float)
    if kinds is None:
        return {"sites": xy}
    names = kinds.map(lambda kind: f"{kind:g}" if isinstance(kind, int | float) else str(kind))
    return {name: xy[(names == name).to_numpy()] for name in sorted(names.unique())}


def _checked_file(path: str | os.PathLike[str]) -> Path:
    """Refuse a path without a file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"positions={str(path)!r}: there is no such file.")
    return path


def _read_text(path: Path) -> tuple[pd.DataFrame, bool]:
    """Table of a text file, and True if its columns have names."""
    lines, comment = _lines(path)
    separator = _separator(path, lines[-1])
    fields = [field.strip() for field in re.split(separator, lines[0])]
    has_names = not all(map(_is_number, fields))
    names = None if has_names else _names(comment, separator, len(fields))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)  # more numbers than names: some are lost
            table = pd.read_csv(
                io.StringIO("\n".join(lines)),
                sep=separator,
                header=0 if has_names else None,
                names=names,
                skipinitialspace=True,
                na_values=_MISSING,
                index_col=False,
            )
    except (ParserError, ParserWarning) as error:
        raise ValueError(
            f"positions={str(path)!r} has not as many entries in each line as in the first "
            f"({str(error).strip()}): write the same number in all, with a name for each or for "
            "none."
        ) from None
    return table, has_names or names is not None


def _read_array(path: Path, remedy: str = _PASS_OBJECT) -> np.ndarray:
    try:
        # Mapped: a header that promises more than the file holds reserves no memory.
        return np.array(np.load(path, allow_pickle=False, mmap_mode="r"))
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        if "object" in str(error).lower() or "pickle" in str(error):
            raise ValueError(
                f"positions={str(path)!r} holds Python objects, not one array ({error}). {remedy}"
            ) from None
        raise ValueError(
            f"positions={str(path)!r} is not a complete .npy file ({error}): write it again with "
            "numpy.save."
        ) from None


def _lines(path: Path) -> tuple[list[str], str]:
    """Lines of a text file without comments, and the last comment before them."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # as numpy.savetxt writes
    lines: list[str] = []
    comment = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment = comment if lines else line.lstrip("# \t")
            continue
        if lines or _is_number(re.split(r"[,;\s]", line.lstrip())[0]):  # names may contain "#"
            line = line.split("#")[0]
        line = line.rstrip("\r\n ")
        if line.strip():
            lines.append(line)
    if not lines or "\0" in text:
        what = "binary" if lines else "empty"
        raise ValueError(
            f"positions={str(path)!r} is not a text file with positions (it is {what}). A file of "
            "an Atomap lattice is for from_atom_lattice."
        )
    return lines, comment


def _separator(path: Path, line: str) -> str:
    """Separator of the numbers of a line, as a regular expression."""
    fields = re.split(r"[;\s]+", line.strip())
    numbers = all(map(_MAYBE_DECIMAL_COMMA.fullmatch, fields))
    if len(fields) > 1 and numbers and any(re.search(r",\d", field) for field in fields):
        raise ValueError(
            f"positions={str(path)!r} has decimal commas ({line.strip()[:40]!r}): write the file "
            "with points, or pass pandas.read_csv(path, sep=None, decimal=',', engine='python')."
        )
    return next((mark for mark in ";\t," if mark in line), r"\s+")


def _names(comment: str, separator: str, count: int) -> list[str] | None:
    """Names from a comment, where there is one for each number; otherwise None."""
    for mark in (separator, r"[\s,;]+"):
        names = [name.strip() for name in re.split(mark, comment.strip())]
        if len(names) == count and {"x", "y"} <= set(names):
            return names
    return None


def _positions(path: Path, table: pd.DataFrame, named: bool) -> np.ndarray | pd.DataFrame:
    """The columns x and y of a table, or its two columns of numbers."""
    numbers = all(map(is_numeric_dtype, table.dtypes))
    if named:
        table.columns = [str(name).strip() for name in table.columns]
        if not {"x", "y"} <= set(table.columns):
            table.columns = [name.lower() for name in table.columns]
        if {"x", "y"} <= set(table.columns) and all(map(is_numeric_dtype, (table.x, table.y))):
            return table
    elif numbers and table.shape[1] == 2:
        return table.to_numpy()
    remedy = "."
    if numbers and not named:
        remedy = (
            f", but {table.shape[1]} numbers. Pass the two that are positions, for example "
            "np.loadtxt(path)[:, :2]."
        )
    raise ValueError(
        f"positions={str(path)!r} has neither the columns x and y nor two numbers a line{remedy}"
    )


def _is_number(text: str) -> bool:
    try:
        float(text.strip("\"'") or "nan")
    except ValueError:
        return text in _MISSING
    return True
