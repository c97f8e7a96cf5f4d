# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A map of the package, written from the docstrings of its modules."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "hs_rvae"


def summary(path):
    """First paragraph of the docstring of the module or package at `path`."""
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return " ".join(docstring.split("\n\n")[0].split())


def map_of(rooms):
    """Lines of reStructuredText: every room, in the order given, with its modules."""
    lines = []
    for room in rooms:
        lines += [f"``{room}``", f"   {summary(PACKAGE / room)}", ""]
        for path in sorted((PACKAGE / room).rglob("*.py")):
            module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            if path.stem != "__init__":
                lines += [f"   * ``{module}``: {summary(path)}"]
        lines += [""]
    return lines
