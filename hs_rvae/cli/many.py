# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many images, each by the steps of ``hs-rvae analyse``: on all cores, and resumable."""

from __future__ import annotations

import argparse
import contextlib
import copy
import glob
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import __version__
from ..checks import checked, shown, whole_number
from ..files import complete_file
from ..progress import progress_bar
from ..report.interface import as_command_line
from ..report.summary import write_summary
from ..threads import count_threads
from . import one
from .arguments import ROTATIONS, namespace
from .columns import check_options
from .results import check_folder
from .values import checked_values
from .workers import results_of

#: Name of the model that is fitted jointly, and of the summary.
JOINT, SUMMARY = "hs_rvae_joint", "hs_rvae_summary"
_RECORD = ".hs_rvae.json"  # ending of the name of a record
_MANY_SITES = 10_000  # of a joint fit
_MANY_IMAGES = 40  # whose sites a joint fit takes, at most
# Options that change no result, and those that a record has in another form.
_NOT_IN_RECORD = {"command", "image", "output", "model", "joint", "workers", "scheduler"}
# Options of Python by those of the command line, where they differ.
_NAMES = {
    "sublattices": "n_sublattices",
    "window": "window_size",
    "latent": "output_dimension",
    "starts": "n_init",
    "clusters": "n_clusters",
    "seed": "random_state",
}
_SAME = ("signal", "reader", "scale", "cell", "sublattice", "rotation")


@dataclass
class Image:
    """One image of many: its file, the name of its results, and their identity."""

    path: Path
    name: str
    identity: str = ""

    def record(self, folder: Path) -> dict[str, Any] | None:
        """Row of the summary that an earlier run left, if it was of the same analysis."""
        try:
            kept = json.loads((folder / f"{self.name}{_RECORD}").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return kept["row"] if kept.get("identity") == self.identity else None


@checked(but=("images", "model", "scale", "region", "cell", "zone_axis", "n_clusters"))
def analyse(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str] = "hs_rvae_report",
    *,
    model: str | os.PathLike[str] | None = None,
    joint: bool = False,
    scheduler: str | None = None,
    n_workers: int | None = None,
    signal: int | None = None,
    reader: str | None = None,
    scale: tuple[float, str] | None = None,
    region: tuple[float, float, float, float] | None = None,
    cell: Any = None,
    dark: bool | None = None,
    n_sublattices: int | None = None,
    structure: str | os.PathLike[str] | None = None,
    zone_axis: tuple[int, int, int] | None = None,
    lattice: bool = True,
    window_size: int | float | None = None,
    sublattice: str | None = None,
    output_dimension: int | str = 2,
    rotation: str | None = None,
    n_init: int | None = None,
    n_clusters: int | str | None = None,
    random_state: int = 0,
    show_progressbar: bool | None = None,
) -> pd.DataFrame:
    """
    Analyse images from their files to reports, by the steps of ``hs-rvae analyse``.

    Each image gets the files of the command: a page, the table of its sites, its stack and its
    model. A page ``hs_rvae_summary.html`` and a table ``hs_rvae_summary.csv`` list all images. An
    image that fails is named there, and does not stop the others. A second call with the same
    options goes on where the first one stopped: images with complete results are not analysed
    again.

    Parameters
    ----------
    images : path or iterable of paths
        Files of 2-D images that HyperSpy reads; ``*`` and ``?`` stand for any letters.
    output : path
        Folder for the results, made if needed. Results carry the names of the files; of files
        with the same name, the second one gets ``_2``.
    model : path, optional
        Apply this model to all images. If None, each image is fitted by its own.
    joint : bool
        Fit one model to sites of all images, at most 40 of them and 10,000 sites, and apply it to
        all. It is saved as ``hs_rvae_joint.safetensors``.
    scheduler : str, optional
        Address of a dask cluster whose workers analyse the images; they need the same files.
    n_workers : int, optional
        Processes on this computer. If None, as many as cores. 1 works in this process. The memory
        is that of as many images.
    signal, reader : int and str, optional
        Which signal of a file with several, and the reader of HyperSpy.
    scale : tuple of (float, str), optional
        Size of a pixel and its unit. If None, that of the file.
    region : tuple of four numbers, optional
        Left, top, right and bottom: integers are pixels, others in units of the image.
    cell, dark, n_sublattices, structure, zone_axis
        As in :func:`find_sublattices`.
    lattice : bool
        False takes all maxima, without a lattice.
    window_size, sublattice
        As in :meth:`SubImageStack.from_atom_lattice`.
    output_dimension, rotation, n_init, random_state
        As in :meth:`SubImageStack.rvae`.
    n_clusters : int or "auto", optional
        Also sort the sites into this number of classes of angle and content.
    show_progressbar : bool or None
        If None, the setting of HyperSpy.

    Returns
    -------
    pandas.DataFrame
        A row for each image: ``file``, ``columns``, ``sites``, ``verdict``, ``variants``,
        ``shares`` of the sites in the variants, ``cautions``, ``seconds`` and ``error``, which is
        empty where nothing failed.

    Raises
    ------
    ValueError
        If there is no image, or options exclude one another.
    FileNotFoundError
        If the model or the structure is not there.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> table = hs_rvae.analyse("scans/*.dm4", "results", joint=True)  # doctest: +SKIP
    >>> table[table.error == ""].variants.mean()  # doctest: +SKIP
    4.0
    """
    given = dict(locals())
    if rotation not in (None, *ROTATIONS):
        raise ValueError(f"rotation={rotation!r}: give {', '.join(map(repr, ROTATIONS))}.")
    if not str(output):
        raise ValueError("output='': give a folder.")
    with _in_words_of_python():
        given |= checked_values(given)
        options = namespace(
            **{name: given[_NAMES.get(name, name)] for name in (*_NAMES, *_SAME)},
            region=given["region"],
            zone_axis=given["zone_axis"],
            dark=dark is True,
            bright=dark is False,
            no_lattice=not lattice,
            model=None if model is None else Path(model),
            structure=None if structure is None else Path(structure),
            output=Path(output),
        )
        paths = paths_of(images)
        return analyse_many(paths, options, joint, scheduler, n_workers, show_progressbar)


@contextlib.contextmanager
def _in_words_of_python() -> Iterator[None]:
    """Name arguments of Python in messages, not options of the command line."""
    try:
        yield
    except (OSError, ValueError) as error:
        if error.args and isinstance(error.args[0], str):
            text = re.sub(
                r"--([a-z][a-z-]*)",
                lambda found: _NAMES.get(name := found[1].replace("-", "_"), name),
                error.args[0],
            )
            error.args = (text, *error.args[1:])
        raise


def analyse_many(
    paths: list[Path],
    options: argparse.Namespace,
    joint: bool = False,
    scheduler: str | None = None,
    n_workers: int | None = None,
    show_progressbar: bool | None = None,
) -> pd.DataFrame:
    """
    Analyse images with the options of the command line; see :func:`analyse`.

    Parameters
    ----------
    paths : list of pathlib.Path
    options : argparse.Namespace
    joint : bool
    scheduler : str, optional
    n_workers : int, optional
    show_progressbar : bool or None

    Returns
    -------
    pandas.DataFrame
    """
    if joint and options.model is not None:
        raise ValueError("--joint fits a model, --model applies one: give one of them.")
    if options.positions is not None:
        raise ValueError("--positions are those of one image: give one image.")
    check_options(options)
    options = copy.copy(options)
    options.output = options.output.absolute()
    check_folder(options.output)
    workers = count_threads() if n_workers is None else whole_number(n_workers, "n_workers")
    images = _named(paths)
    if joint:
        options.model = _joint_model(images, options, scheduler, workers)
    model = None if options.model is None else _identity_of_model(options.model)
    for image in images:
        image.identity = _identity(image.path, options, model)
    rows = {image.name: image.record(options.output) for image in images}
    left = [image for image in images if rows[image.name] is None]
    jobs = [(_of_image(options, image), image.name, image.identity) for image in left]
    try:
        with progress_bar("Images", show_progressbar, total=len(images)) as bar:
            bar.update(len(images) - len(left))
            for number, row in results_of(analyse_one, jobs, scheduler, workers):
                image = left[number]
                rows[image.name] = _failed(image.path, row) if isinstance(row, str) else row
                bar.update()
    finally:
        done = [(image.name, row) for image in images if (row := rows[image.name]) is not None]
        table = write_summary(done, options.output, SUMMARY)
    return table


def analyse_one(options: argparse.Namespace, name: str, identity: str) -> dict[str, Any]:
    """
    Analyse one image of many, and leave a record that it is complete.

    Parameters
    ----------
    options : argparse.Namespace
        With its image.
    name : str
        Name of the results.
    identity : str
        Everything that they depend on.

    Returns
    -------
    dict
        Row of the summary.
    """
    from ..report.summary import row_of

    start = time.perf_counter()
    stack, _ = one.analyse_image(options, name)
    row = row_of(stack, str(options.image), time.perf_counter() - start)
    with complete_file(options.output / f"{name}{_RECORD}", "The record") as draft:
        draft.write_text(json.dumps({"identity": identity, "row": row}), encoding="utf-8")
    return row


def paths_of(images: Any) -> list[Path]:
    """
    Paths of images, from one, or from several; letters for any others are filled in.

    Raises
    ------
    ValueError
        If there is none.
    """
    given = [images] if isinstance(images, str | os.PathLike | bytes | None) else list(images)
    paths: list[Path] = []
    for each in given:
        if not isinstance(each, str | os.PathLike) or not str(each):
            raise ValueError(f"images={shown(each)}: give a path, or several.")
        path = Path(each)
        found = [] if path.exists() else sorted(glob.glob(str(path)))
        paths += [Path(one) for one in found] or [path]
    if not paths:
        raise ValueError("images: there is none; give a path, or several.")
    return paths


def _named(paths: list[Path]) -> list[Image]:
    """Images with names of results that differ, also where letters are of one size."""
    taken, images = {SUMMARY, JOINT}, []
    for path in dict.fromkeys(path.absolute() for path in paths):
        name, number = path.stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{path.stem}_{number}"
        taken.add(name.lower())
        images.append(Image(path, name))
    return images


def _of_image(options: argparse.Namespace, image: Image) -> argparse.Namespace:
    own = copy.copy(options)
    own.image = image.path
    return own


def _failed(path: Path, reason: str) -> dict[str, Any]:
    """Row of an image that failed."""
    return {"file": str(path), "error": as_command_line(reason)}


def _identity_of_model(path: Path) -> str:
    from ..rvae.estimator import RVAE

    return RVAE.load(path).fit_id_


def _identity(path: Path, options: argparse.Namespace, model: str | None = None) -> str:
    """Everything that the results of an image depend on: file, options, model and version."""
    parts = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    files = [(p.stat().st_size, p.stat().st_mtime_ns) for p in parts]
    settings = {k: str(v) for k, v in sorted(vars(options).items()) if k not in _NOT_IN_RECORD}
    return json.dumps([str(path), len(files), max(files, default=None), settings, model,
                       __version__])  # fmt: skip


def _joint_model(
    images: list[Image], options: argparse.Namespace, scheduler: str | None, n_workers: int
) -> Path:
    """Path of the model of all images: that of an earlier run, or fitted to sites of them."""
    import hyperspy.api as hs

    import hs_rvae

    identity = json.dumps([_identity(image.path, options) for image in images])
    path = options.output / f"{JOINT}.safetensors"
    record = options.output / f"{JOINT}{_RECORD}"
    if path.exists() and record.exists() and record.read_text(encoding="utf-8") == identity:
        return path
    places = np.linspace(0, len(images) - 1, min(len(images), _MANY_IMAGES)).round().astype(int)
    chosen = [images[place] for place in places]
    n_sites = -(-_MANY_SITES // len(chosen))
    with complete_file(options.output / "joint_sites", "Sites", folder=True) as folder:
        folder.mkdir()
        parts: list[Any] = []
        window = options.window
        for some in (chosen[:1], chosen[1:]):  # the first one chooses the window of all
            jobs = []
            for image in some:
                own = _of_image(options, image)
                own.window = window
                jobs.append((own, folder / f"{image.name}.zspy", n_sites))
            for _, found in _in_order(results_of(cut_part, jobs, scheduler, n_workers)):
                if not isinstance(found, str):
                    parts.append(hs.load(found[0]))
                    window = found[1] if window is None else window
        if not parts:
            raise ValueError("joint=True: none of the images could be analysed.")
        stack = hs_rvae.stack(parts) if len(parts) > 1 else parts[0]
        more = {} if options.starts is None else {"n_init": options.starts}
        more |= {} if options.rotation is None else {"rotation": options.rotation}
        stack.rvae(output_dimension=options.latent, random_state=options.seed, **more)
        stack.rvae_model.save(path)
    with complete_file(record, "The record") as draft:
        draft.write_text(identity, encoding="utf-8")
    return path


def _in_order(results: Iterator[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Results by their number, so that those of one worker and of many are the same."""
    return sorted(results, key=lambda result: result[0])


def cut_part(options: argparse.Namespace, path: Path, n_sites: int) -> tuple[Path, int]:
    """
    Cut the sub-images of an image, and save those of neighbouring sites about its middle.

    Parameters
    ----------
    options : argparse.Namespace
        With its image.
    path : pathlib.Path
        File to write.
    n_sites : int
        Maximum number of sites.

    Returns
    -------
    path : pathlib.Path
    window : int
        Width of the sub-images in px.
    """
    stack, _ = one.cut_image(options)
    xy = stack.sites.xy
    away = np.hypot(*(xy - np.median(xy, axis=0)).T)
    stack = stack.select_sites(np.sort(np.argsort(away, kind="stable")[:n_sites]))
    stack.save(path, overwrite=True)
    return path, int(stack.data.shape[-1])
