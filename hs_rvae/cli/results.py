# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a command: a folder that takes them, earlier files there, and their writing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ..files import complete_file


def check_folder(folder: Path) -> None:
    """Make the folder and write to it once, before minutes of work depend on it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"--output {folder}: cannot be written ({error.strerror}); give another folder."
        ) from error


# What stands near the beginning of each result.
_MARKS = {
    ".csv": (b"site,", b"# site_index"),
    ".units.csv": (b"column,unit",),
    ".domains.csv": (b"domain,",),
    ".walls.csv": (b"wall,",),
    ".html": (b'content="hs_rvae"',),
    ".safetensors": (b"hs_rvae",),
}


def check_results(folder: Path, name: str) -> None:
    """Refuse a folder with a file of the user's that has the name of a result."""
    taken = [
        path
        for ending, marks in _MARKS.items()
        if (path := folder / (name + ending)).is_file()
        and not any(mark in _beginning(path) for mark in marks)
    ]
    stack = folder / f"{name}.zspy"
    if stack.exists() and not any(
        b"sub_image_stack" in attributes.read_bytes()
        for attributes in stack.glob("Experiments/*/metadata/Signal/.zattrs")
    ):
        taken.append(stack)
    if taken:
        raise FileExistsError(
            f"--output {folder}: {taken[0].name} is there, and is not a result of hs-rvae; give "
            "another folder."
        )


def _beginning(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(300)


def save_domains(stack: Any, folder: Path, name: str) -> None:
    """Save the tables of domains and walls, without the outlines of walls."""
    tables = {"domains": stack.domains, "walls": stack.walls.drop(columns="segments")}
    for kind, table in tables.items():
        for column in ("variants", "neighbours"):  # lists
            if column in table:
                table[column] = [" ".join(map(str, numbers)) for numbers in table[column]]
        path = folder / f"{name}.{kind}.csv"
        with complete_file(path, f"The table of {kind}") as draft:
            table.to_csv(draft, index=False, lineterminator="\n")


def save_stack(stack: Any, folder: Path, name: str) -> None:
    """Save the model, then the stack, whose metadata name the file of the model."""
    stack.rvae_model.save(folder / f"{name}.safetensors")
    stack.save(folder / f"{name}.zspy", overwrite=True)
