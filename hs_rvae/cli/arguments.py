# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the command line: their names, types and help, and the line that repeats a command."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

from .. import __version__
from ..sites import units as _units

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
#: Parts of a sub-image that turn, as the command names them.
ROTATIONS = ("auto", "distortion", "motif")
# In the order of the work; "flag": options without a value.
_REPEATED = (
    *("signal", "reader", "scale", "region", "cell", "dark", "bright", "sublattices"),
    *("method", "structure", "zone_axis", "no_lattice", "positions", "window", "sublattice"),
    *("latent", "rotation", "starts", "clusters", "model", "output", "seed"),
)


class _OneOrMore(argparse.Action):
    """One value as it is, several as a list."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)


def parser() -> argparse.ArgumentParser:
    """The parser of ``hs-rvae`` with its two commands."""
    whole = argparse.ArgumentParser(
        prog="hs-rvae", description="Orientation of ferroic variants from atomic-resolution images."
    )
    whole.add_argument("--version", action="version", version=f"hs_rvae {__version__}")
    commands = whole.add_subparsers(dest="command")
    demo = commands.add_parser(
        "demo",
        help="analyse two simulated images and a real one, and compare with the truth",
        description="Analyse a shipped multislice image, a simulated film and, where it can be "
        "had, a real image (DyScO3, fetched from its publisher), compare what was found with the "
        "truth, and write figures (PNG), stacks (.zspy) and models (.safetensors).",
    )
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("hs_rvae_demo"), metavar="DIR",
        help="folder for the results, made if needed (default: %(default)s)",
    )  # fmt: skip
    demo.add_argument("--seed", type=int, default=0, help="random state (default: %(default)s)")
    analyse = commands.add_parser(
        "analyse",
        aliases=["analyze"],
        help="analyse images and write a report on one page for each",
        description="Find the columns of an image, describe each by angle and content, and write a "
        "page with figures, diagnostics and how to repeat it (HTML), the stack (.zspy), the model "
        "(.safetensors) and the table of the sites (.csv).",
    )
    _add_image(analyse)
    _add_columns(analyse)
    _add_model(analyse)
    return whole


def _add_image(analyse: argparse.ArgumentParser) -> None:
    """The image and its reader."""
    analyse.add_argument(
        "image", type=Path, metavar="IMAGE", nargs="+", action=_OneOrMore,
        help="any 2-D image that HyperSpy reads; several give a summary beside their reports, and "
        "a command that was stopped goes on when it is given again",
    )  # fmt: skip
    group = analyse.add_argument_group("image")
    group.add_argument(
        "--signal", type=int, metavar="N",
        help="which signal of a file that holds several, counted from 0",
    )  # fmt: skip
    group.add_argument(
        "--reader", metavar="NAME",
        help="reader of HyperSpy, such as HSPY (default: by the ending and the content)",
    )  # fmt: skip
    group.add_argument(
        "--scale", type=_scale, metavar="SIZE",
        help="size of a pixel with its unit: 0.015nm, 15pm (default: that of the file)",
    )  # fmt: skip
    group.add_argument(
        "--region", type=_coordinate, nargs=4, metavar=("X0", "Y0", "X1", "Y1"),
        help="part to analyse, left, top, right and bottom: whole numbers are pixels, others are "
        "in units of the image",
    )  # fmt: skip


def _add_columns(analyse: argparse.ArgumentParser) -> None:
    """The search for columns, or positions in its place."""
    group = analyse.add_argument_group("columns")
    group.add_argument(
        "--cell", type=_cell, metavar="A",
        help="edge of a square cell in pixels, or two vectors: X1,Y1,X2,Y2 (default: from the "
        "image; write --cell=-3,20,20,3 where the first number is negative)",
    )  # fmt: skip
    contrast = group.add_mutually_exclusive_group()
    contrast.add_argument(
        "--dark", action="store_true", help="columns are darker than their surroundings"
    )
    contrast.add_argument(
        "--bright", action="store_true", help="columns are brighter (default: the image decides)"
    )
    group.add_argument(
        "--sublattices", type=_count_only, metavar="N",
        help="number of sublattices (default: the image decides)",
    )  # fmt: skip
    group.add_argument(
        "--method", choices=("maxima", "network", "auto"),
        help="how columns are found: as maxima of the image, or by the trained network of the "
        "package, for noisy images; auto takes the network where maxima are not clear (default: "
        "maxima)",
    )  # fmt: skip
    group.add_argument(
        "--structure", type=Path, metavar="FILE", help="known crystal, a CIF file (needs ase)"
    )
    group.add_argument(
        "--zone-axis", type=int, nargs=3, metavar=("U", "V", "W"),
        help="direction [uvw] of the beam in the known crystal (default: 0 0 1)",
    )  # fmt: skip
    group.add_argument(
        "--no-lattice", action="store_true",
        help="take all maxima, without a lattice: for boundaries, defects, two-dimensional "
        "materials",
    )  # fmt: skip
    group.add_argument(
        "--positions", type=Path, metavar="FILE",
        help="positions in pixels instead of a search: text or .npy with x, y and, if there are "
        "several, the sublattice of each column, or a file of an Atomap lattice (.hdf5)",
    )  # fmt: skip
    group.add_argument(
        "--sublattice", metavar="NAME",
        help="sublattice whose sub-images are analysed (default: B, the fainter one, if there is "
        "one)",
    )  # fmt: skip
    group.add_argument(
        "--window", type=_window, metavar="SIZE",
        help="width of a sub-image: 48 is pixels, 0.8 is in units of the image (default: 1.85 "
        "distances between the columns)",
    )  # fmt: skip


def _add_model(analyse: argparse.ArgumentParser) -> None:
    """The model, and the files that are written."""
    group = analyse.add_argument_group("model")
    group.add_argument(
        "--latent", type=_count, default=2, metavar="N",
        help="number of content latents, or auto (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--rotation", choices=ROTATIONS, default=None,
        help="part of a sub-image that turns: the distortion in a lattice that stays, or the whole "
        "motif, as in grains and twins (default: auto, chosen from the data)",
    )  # fmt: skip
    group.add_argument(
        "--starts", type=_count_only, metavar="N",
        help="random starts of the search for angles (default: 3)",
    )  # fmt: skip
    group.add_argument(
        "--clusters", type=_count, metavar="N",
        help="also sort the sites into this number of classes of angle and content, or auto",
    )  # fmt: skip
    group.add_argument(
        "--model", type=Path, metavar="FILE", help="apply this model instead of fitting one"
    )
    _add_many(analyse)
    analyse.add_argument(
        "-o", "--output", type=Path, default=Path("hs_rvae_report"), metavar="DIR",
        help="folder for the results, made if needed (default: %(default)s)",
    )  # fmt: skip
    analyse.add_argument("--seed", type=int, default=0, help="random state (default: %(default)s)")


def _add_many(analyse: argparse.ArgumentParser) -> None:
    """Several images."""
    group = analyse.add_argument_group("several images")
    group.add_argument(
        "--joint", action="store_true", help="fit one model to all images instead of one to each"
    )
    group.add_argument(
        "--workers", type=_count_only, metavar="N",
        help="number of processes (default: as many as cores)",
    )  # fmt: skip
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="dask cluster whose workers analyse the images"
    )


def namespace(**options: Any) -> argparse.Namespace:
    """Options of ``hs-rvae analyse``, those given in place of the defaults."""
    found = parser().parse_args(["analyse", "IMAGE"])
    for name, value in options.items():
        setattr(found, name, value)
    return found


def _coordinate(text: str) -> int | float:
    """Pixels from a whole number, units of the image from any other."""
    try:
        return int(text)
    except ValueError:
        return _finite(text)


def _finite(text: str) -> float:
    if not re.fullmatch(_NUMBER, text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return float(text)


def _window(text: str) -> int | float:
    size = _coordinate(text)
    if not size > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return size


def _cell(text: str) -> float | list[list[float]]:
    """An edge, or two vectors from four numbers."""
    numbers = [_finite(word) for word in text.replace(",", " ").split()]
    if len(numbers) not in (1, 4):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither one length nor two vectors X1,Y1,X2,Y2"
        )
    return numbers[0] if len(numbers) == 1 else [numbers[:2], numbers[2:]]


def _scale(text: str) -> tuple[float, str]:
    """Size of a pixel and its unit."""
    found = re.fullmatch(rf"({_NUMBER})\s*(\S.*)?", text.strip())
    size, unit = (float(found[1]), (found[2] or "").strip()) if found else (0.0, "")
    if not 0 < size < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size above 0 with a unit, such as 0.015nm"
        )
    if _units.picometres(unit) is None:
        what = f"{unit!r} is no unit of length" if unit else "the unit is missing"
        raise argparse.ArgumentTypeError(f"{text!r}: {what}; give nm, pm, Å or another, as 0.015nm")
    return size, unit


def _count(text: str) -> int | str:
    """A whole number from 1 on, or "auto"."""
    if text == "auto":
        return text
    try:
        return _count_only(text)
    except argparse.ArgumentTypeError:
        message = f"{text!r} is neither a whole number from 1 on nor auto"
        raise argparse.ArgumentTypeError(message) from None


def _count_only(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def command_line(options: argparse.Namespace) -> str:
    """
    The command line that repeats an analysis.

    Parameters
    ----------
    options : argparse.Namespace

    Returns
    -------
    str
    """
    images = options.image if isinstance(options.image, list) else [options.image]
    words = ["hs-rvae", "analyse", *map(str, images)]
    for name in _REPEATED:
        value = getattr(options, name)
        if value is None or value is False:
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif name == "cell":
            words.append(f"{flag}={_flat(value)}")
        elif name == "scale":
            words += [flag, "{:.12g}{}".format(*value)]
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def _flat(cell: Any) -> str:
    """A cell as one word."""
    numbers = [cell] if isinstance(cell, float) else [*cell[0], *cell[1]]
    return ",".join(f"{number:.12g}" for number in numbers)
