# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: ``hs-rvae demo`` and ``hs-rvae analyse``."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__
from .files import complete_file
from .positions import default_name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        Default: those of the process.

    Returns
    -------
    int
        Exit status: 0, or 2 when something asked for cannot be done.

    Examples
    --------
    >>> main(["demo", "--output", "results"])  # doctest: +SKIP
    """
    parser = argparse.ArgumentParser(
        prog="hs-rvae", description="Orientation of ferroic variants from atomic-resolution images."
    )
    parser.add_argument("--version", action="version", version=f"hs_rvae {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
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
    _add_analyse(commands)
    options = parser.parse_args(arguments)
    try:
        _check_folder(options.output)
        if options.command == "analyse":
            _analyse(options)
        else:
            _demo(options.output, options.seed)
    except (OSError, ValueError, TypeError) as error:
        print(f"hs-rvae: error: {error}", file=sys.stderr)
        return 2
    return 0


def _add_analyse(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The second command and its options."""
    analyse = commands.add_parser(
        "analyse",
        help="analyse an image and write a report on one page",
        description="Find the columns of an image, describe each by angle and content, and write a "
        "page with figures, diagnostics and how to repeat it (HTML), the stack (.zspy), the model "
        "(.safetensors) and the table of the sites (.csv).",
    )
    analyse.add_argument(
        "image", type=Path, metavar="IMAGE", help="any 2-D image that HyperSpy reads"
    )
    analyse.add_argument(
        "--signal", type=int, metavar="N",
        help="which signal of a file that holds several, counted from 0",
    )  # fmt: skip
    analyse.add_argument(
        "--window", type=_window, metavar="SIZE",
        help="width of a sub-image: 48 is pixels, 0.8 is in units of the image (default: 1.85 "
        "distances between the columns)",
    )  # fmt: skip
    analyse.add_argument(
        "--sublattice", metavar="NAME",
        help="A, the brighter one, or B (default: the fainter one there is)",
    )  # fmt: skip
    analyse.add_argument(
        "--latent", type=_count, default=2, metavar="N",
        help="number of content latents, or auto (default: %(default)s)",
    )  # fmt: skip
    analyse.add_argument(
        "--rotation", choices=("auto", "distortion", "motif"), default=None,
        help="part of a sub-image that turns: the distortion in a lattice that stays, or the whole "
        "motif, as in grains and twins (default: auto, chosen from the data)",
    )  # fmt: skip
    analyse.add_argument(
        "--starts", type=_count_only, metavar="N",
        help="random starts of the search for angles (default: 3)",
    )  # fmt: skip
    analyse.add_argument(
        "--clusters", type=_count, metavar="N",
        help="also sort the sites into this number of classes of angle and content, or auto",
    )  # fmt: skip
    analyse.add_argument(
        "--model", type=Path, metavar="FILE", help="apply this model instead of fitting one"
    )
    analyse.add_argument(
        "-o", "--output", type=Path, default=Path("hs_rvae_report"), metavar="DIR",
        help="folder for the results, made if needed (default: %(default)s)",
    )  # fmt: skip
    analyse.add_argument("--seed", type=int, default=0, help="random state (default: %(default)s)")


def _window(text: str) -> int | float:
    """Pixels from a whole number, units of the image from any other."""
    try:
        size: int | float = int(text)
    except ValueError:
        size = float(text)
    if not size > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return size


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


def _check_folder(folder: Path) -> None:
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
    ".html": (b'content="hs_rvae"',),
    ".safetensors": (b"hs_rvae",),
}


def _check_results(folder: Path, name: str) -> None:
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


def _settle() -> None:
    """Figures go to files; other packages' warnings about each other help nobody here."""
    import warnings

    import matplotlib

    matplotlib.use("agg")
    warnings.filterwarnings("ignore", module="(hyperspy|rsciio|atomap)")


def _load(path: Path, number: int | None = None) -> Any:
    """The one signal of a file of the user's; whatever a reader raises becomes one line."""
    import hyperspy.api as hs

    # A .zspy is a folder.
    if not (path.is_dir() if path.suffix == ".zspy" else path.is_file()):
        raise FileNotFoundError(f"IMAGE {path}: there is no such file.")
    logger = logging.getLogger("hyperspy.io")
    disabled, logger.disabled = logger.disabled, True  # it asks to report what fails
    try:
        image = hs.load(path)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"IMAGE {path}: HyperSpy cannot read it ({reason}).") from error
    finally:
        logger.disabled = disabled
    if isinstance(image, list):
        image = _one_of(image, f"IMAGE {path}", number)
    elif number not in (None, 0):
        raise ValueError(f"--signal {number}: {path} holds one signal only.")
    place = {"folder": str(path.absolute().parent), "filename": path.stem, "extension": path.suffix}
    image.tmp_parameters.add_dictionary(place)  # HyperSpy knows it of the first signal only
    if image.data.dtype.names:  # colours: their mean, without the opacity
        image.data = np.mean([image.data[color] for color in "RGB"], axis=0)
        image.tmp_parameters.set_item("colours", "mean of red, green and blue")  # for the report
    if image.axes_manager.navigation_dimension:
        raise ValueError(
            f"IMAGE {path}: has navigation axes {image.axes_manager.navigation_shape}: pass a "
            "single image, such as hs.load(file).inav[0].save(...) writes. Series are analysed in "
            "Python, with find_sublattices(series)."
        )
    return image


def _one_of(signals: list[Any], name: str, number: int | None) -> Any:
    """The signal of that number; without one, the only single image there is."""
    listed = "; ".join(
        f"{k}: {signal.metadata.General.title or 'no title'} {signal.axes_manager.shape}"
        for k, signal in enumerate(signals)
    )
    if number is None:
        images = [k for k, signal in enumerate(signals) if _is_image(signal)]
        number = images[0] if len(images) == 1 else None
    if number is None:
        raise ValueError(
            f"{name}: holds {len(signals)} signals ({listed}). Choose one with --signal, "
            "or save the image in a file of its own."
        )
    if not 0 <= number < len(signals):
        raise ValueError(f"--signal {number}: {name} holds {len(signals)} signals ({listed}).")
    signals[number].tmp_parameters.set_item("number_in_file", number)  # for the report
    return signals[number]


def _is_image(signal: Any) -> bool:
    """Return True for one image; images of colours, such as screenshots, do not count."""
    axes = signal.axes_manager
    return (
        axes.signal_dimension == 2
        and not axes.navigation_dimension
        and signal.data.dtype.kind in "biuf"
    )


def _analyse(options: argparse.Namespace) -> None:
    """Analyse an image and write the report, with the options of the command line."""
    import hs_rvae

    _settle()
    path, folder = options.image, options.output
    if options.model is not None and not options.model.is_file():
        raise FileNotFoundError(f"--model {options.model}: there is no such file.")
    _check_results(folder, path.stem)
    start = time.perf_counter()
    image = _load(path, options.signal)
    try:
        lattice = hs_rvae.find_sublattices(image)
    except (TypeError, ValueError) as error:
        raise ValueError(f"IMAGE {path}: {error}") from error
    names = [sublattice.name for sublattice in lattice.sublattice_list]
    chosen = options.sublattice or default_name(names)
    if chosen not in names:
        raise ValueError(
            f"--sublattice {chosen}: this image has {' and '.join(names)}; choose one of them."
        )
    stack = hs_rvae.SubImageStack.from_atom_lattice(
        lattice, image=image, sublattice=chosen, window_size=options.window
    )
    if options.model is None:
        more = {} if options.starts is None else {"n_init": options.starts}
        more |= {} if options.rotation is None else {"rotation": options.rotation}
        stack.rvae(output_dimension=options.latent, random_state=options.seed, **more)
    else:
        stack.apply_rvae(options.model)
    registered = _register(stack)
    n_variants = stack.assign_variants()
    if options.clusters is not None:
        content = [f"latent_{k}" for k in range(stack.rvae_model.n_latents_)]
        stack.cluster_analysis(
            [*content, "angle"],
            algorithm="gmm",
            n_clusters=options.clusters,
            random_state=options.seed,
        )
    # The work first: the page takes longest, and can be written again.
    _save(stack, folder, path.stem)
    stack.sites.save(folder / f"{path.stem}.csv")
    page = stack.report(
        folder / f"{path.stem}.html",
        title=path.name,
        command=_command(options),
        random_state=options.seed,
    )
    variant = stack.sites["variant"]
    filled = len(np.unique(variant[variant >= 0]))
    many = f"{filled} variants" + (f" in {n_variants} wells" if filled != n_variants else "")
    print(
        f"\n{path.name}: {len(stack.sites)} sub-images of {stack.data.shape[-1]} px around "
        f"{chosen}; {many}, {(variant < 0).mean():.1%} of the sites undefined; {registered}.\n"
        f"{time.perf_counter() - start:.0f} s. The report is {page.resolve()}."
    )


def _register(stack: Any) -> str:
    """Give the angles a zero with a meaning if there is one; return the verdict and its name."""
    verdict = stack.rvae_verdict
    if verdict is not None and not verdict.found:
        return verdict.sentence.rstrip(".")
    if verdict is not None and verdict.rotation == "distortion":
        stack.register_angle("displacement")  # the log has the agreement
        return f"{verdict.sentence} Angles are directions in the image"
    for reference in ("displacement", "template"):
        if np.isfinite(stack.register_angle(reference)[1]):
            return f"angles registered by {reference}"
    return "the zero of the angles is arbitrary"


def _command(options: argparse.Namespace) -> str:
    """The command line that repeats an analysis."""
    import shlex

    words = ["hs-rvae", "analyse", str(options.image)]
    names = ("signal", "window", "sublattice", "latent", "rotation", "starts", "clusters", "model")
    for name in (*names, "output", "seed"):
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _demo(folder: Path, seed: int) -> None:
    """Every sample, its files, and the table."""
    _settle()
    samples = {"mosaic": _mosaic, "film": _simulated_film, "dysco3": _real_image}
    rows = []
    for name in samples:
        _check_results(folder, name)
    for name, analyse in samples.items():
        start = time.perf_counter()
        result = analyse(seed)
        if result is None:
            continue
        title, stack, comparison = result
        _write(stack, folder, name)
        rows.append((title, len(stack.sites), comparison, time.perf_counter() - start))

    print(f"\n{'':26}{'sites':>8}{'compared':>10}{'variants':>10}{'in the right one':>18}"
          f"{'ARI':>8}{'angle error':>13}{'time':>8}")  # fmt: skip
    for title, n, found, seconds in rows:
        print(f"{title:26}{n:8d}{found['compared']:10d}{found['variants']:10d}"
              f"{found['share_right']:17.1%} {found['ari']:8.3f}{found['mean_error']:9.2f} deg"
              f"{seconds:6.0f} s")  # fmt: skip
    print(
        "\nSimulated images are compared with the variants they were made of, away from walls and "
        "borders;\nDyScO3 with the direction of the fitted A-column shifts. One offset of the "
        f"angle is free in each.\nFigures, stacks and models are in {folder.resolve()}."
    )


def _mosaic(seed: int) -> tuple[str, Any, dict[str, Any]]:
    """BiFeO3, multislice: the B columns, from the raw image."""
    from scipy.spatial import cKDTree

    import hs_rvae

    print("BiFeO3, multislice image: columns are found and refined, sub-images cut around B.")
    image, truth = hs_rvae.data.bfo_multislice()
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
    stack.rvae(random_state=seed)

    cells = cKDTree(truth["cell_centre_xy_warped"])
    _, cell = cells.query(stack.sites.xy)
    # Away from walls and from what is not polar: the eight neighbours have the same label.
    _, near = cells.query(cells.data[cell], k=9)
    label = truth["label"][cell]
    inside = (truth["label"][near] == label[:, None]).all(axis=1) & (label < 4)
    dx, dy = truth["B_shift_angstrom_xy"][cell[inside]].T
    found = hs_rvae.simulation.compare_angles(stack.sites["angle"][inside], np.arctan2(dy, dx), 4)
    return "BiFeO3 (multislice)", stack, found | {"compared": int(inside.sum()), "variants": 4}


def _real_image(seed: int) -> tuple[str, Any, dict[str, Any]] | None:
    """DyScO3: the A columns; None if the image cannot be had."""
    import hs_rvae

    try:
        image = hs_rvae.data.dysco3(allow_download=True)
    except (OSError, ValueError) as error:
        print(f"DyScO3, real image: left out. {error}")
        return None
    print("DyScO3, real image: columns are found and refined, sub-images cut around A.")
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_sublattice(lattice.get_sublattice("A"), image=image)
    stack.rvae(random_state=seed)

    # Lines of A columns shift up and down in turn: the sign is the truth that fitting can give.
    shift = stack.sites["displacement_y"]
    known = np.isfinite(shift)
    truth = np.where(shift > 0, np.pi / 2, -np.pi / 2)
    found = hs_rvae.simulation.compare_angles(stack.sites["angle"][known], truth[known], 2)
    return "DyScO3 (real)", stack, found | {"compared": int(known.sum()), "variants": 2}


def _simulated_film(seed: int) -> tuple[str, Any, dict[str, Any]]:
    """A film with four variants and a non-polar region; positions are true to 0.1 px."""
    import hs_rvae

    print("Simulated film: four variants, walls, a non-polar disk, chemistry, tilt, noise.")
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (1300, 1300), rotation=12, nonpolar=0.1, random_state=seed
    )
    sites = truth.b_sites
    jitter = 0.1 * np.random.default_rng(seed).standard_normal((len(sites), 2))
    stack = hs_rvae.SubImageStack.from_positions(image, sites[["x", "y"]].to_numpy() + jitter)
    stack.rvae(random_state=seed)

    index = stack.sites["site_index"]
    inside = truth.interior()[index]
    true_angle = sites["angle"].to_numpy()[index]
    found = hs_rvae.simulation.compare_angles(
        stack.sites["angle"][inside], true_angle[inside], truth.n_variants
    )
    counts = {"compared": int(inside.sum()), "variants": truth.n_variants}
    return "film (simulated)", stack, found | counts


def _write(stack: Any, folder: Path, name: str) -> None:
    """Model, stack and figures of one sample."""
    import matplotlib.pyplot as plt

    _save(stack, folder, name)
    figures = {
        "angle_map": lambda: stack.plot_site_map("angle"),
        "polar_map": lambda: stack.plot_polar_map(angle="angle", amplitude="latent_0"),
        "angle_histogram": lambda: stack.plot_angle_histogram(),
        "manifold": lambda: stack.plot_rvae_manifold(),
        "history": lambda: stack.plot_rvae_history(),
    }
    for figure_name, draw in figures.items():
        figure = draw().figure  # that of axes, or itself
        with complete_file(folder / f"{name}_{figure_name}.png", "The figure") as draft:
            figure.savefig(draft, dpi=300)
        plt.close(figure)


def _save(stack: Any, folder: Path, name: str) -> None:
    """Save the model, then the stack, whose metadata name the file of the model."""
    stack.rvae_model.save(folder / f"{name}.safetensors")
    stack.save(folder / f"{name}.zspy", overwrite=True)
