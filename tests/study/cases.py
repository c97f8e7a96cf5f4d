# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images with truth, by name, on which angles and verdicts are judged.

Three questions are put: are the angles right where columns are displaced, is their uncertainty
right, and is nothing found where nothing is displaced? A case is a name and settings of
`hs_rvae.simulation`; with a seed it is one image. Names end in the displacement in px, of a cell
of 26 px; names of crystals without any displacement begin with ``null_``.

    film = make("film_0.4", 0)
"""

import hashlib
import inspect
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import hyperspy.api as hs
import numpy as np
import pandas as pd

import hs_rvae.simulation
from hs_rvae.simulation import SimulatedTruth, simulate_hexagonal, simulate_perovskite

#: Seeds that a method may be tuned on, and seeds for its last check.
SEEDS = range(6)
HELD_OUT_SEEDS = (101, 211, 307, 401, 503, 601)

LAYERS = [(6, 1.0, 0.35), (4, 0.6, 0.6)]
#: A fifth of the intensity in a side lobe; 150 counts at the 99.9 % quantile of the image.
ABERRATED = dict(aberration=0.2, dose=132.0)
# 60 domains on 30 x 30 cells, so that shares are met.
SMALL_DOMAINS = dict(domain_size=15**0.5)
UNEQUAL = dict(shares=(0.8, 0.1, 0.05, 0.05), **SMALL_DOMAINS)
# Vortices of 9.75 cells, whose displacement falls below 0.35 of the flow's maximum.
VORTICES = dict(order="vortices", domain_size=9.75, wall_width=0.35 * 9.75 / np.pi)
MIRRORED = dict(directions=(20, -20, 110, 70, 200, 160, 290, 250), domain_size=6.0)


class Case(NamedTuple):
    """What an image is made of, and what should be said about it.

    ``position_error`` is in px, added to the true positions; None: columns are found in the image.
    ``window`` is in px; None: the default of the package. ``polar`` sites are judged even at walls
    and borders, others 1.5 cells away from walls and 1 cell from the border.
    """

    settings: dict
    expected: tuple[str, ...] = ("variants",)
    n_cells: int = 30
    window: int | None = 48
    position_error: float | None = 0.1
    polar: bool = False
    hexagonal: bool = False


class Film(NamedTuple):
    """An image with its truth.

    ``positions`` and ``neighbours`` (n, 2) in px; None if they have to be found. ``judged`` is True
    for the rows of ``truth.b_sites`` that count, shape (n_sites,).
    """

    name: str
    seed: int
    case: Case
    image: hs.signals.Signal2D
    positions: np.ndarray | None
    neighbours: np.ndarray | None
    window: int | None
    truth: SimulatedTruth
    judged: np.ndarray


def _distortions():
    cases = {}
    for shift in (0.3, 0.4, 0.6, 0.8, 1.2):
        cases[f"film_{shift}"] = Case(dict(shift=shift, nonpolar=0.08))
    for shift in (0.4, 0.6, 0.8):
        cases[f"film_aberration_{shift}"] = Case(dict(shift=shift, nonpolar=0.08, **ABERRATED))
        cases[f"superlattice_aberration_{shift}"] = Case(
            dict(shift=shift, layers=LAYERS, **ABERRATED), window=46, position_error=0.0, polar=True
        )
        cases[f"found_{shift}"] = Case(
            dict(shift=shift, nonpolar=0.08), window=None, position_error=None
        )
        cases[f"found_aberration_{shift}"] = Case(
            dict(shift=shift, nonpolar=0.08, **ABERRATED), window=None, position_error=None
        )
    for shift in (0.6, 1.2):
        for name, settings in (
            ("shares", UNEQUAL),
            ("opposite", dict(n_variants=2)),
            ("right_angle", dict(directions=(45, 135))),
        ):
            cases[f"{name}_{shift}"] = Case(dict(shift=shift, **settings))
            cases[f"{name}_aberration_{shift}"] = Case(dict(shift=shift, **settings, **ABERRATED))
        one = dict(shares=(1, 0, 0, 0), **SMALL_DOMAINS)
        cases[f"one_{shift}"] = Case(dict(shift=shift, **one), ("one direction",))
        for name, more in (("vortices", {}), ("vortices_aberration", ABERRATED)):
            cases[f"{name}_{shift}"] = Case(dict(shift=shift, **VORTICES, **more), ("continuous",))
        for n in (3, 6):
            cases[f"hexagonal{n}_{shift}"] = Case(dict(shift=shift, n_variants=n), hexagonal=True)
        for aspect in (1.06, 1.2, 1.41):
            settings = dict(shift=shift, aspect=aspect, nonpolar=0.08)
            cases[f"rectangular{aspect}_{shift}"] = Case(settings)
        cases[f"mirrored_{shift}"] = Case(dict(shift=shift, **MIRRORED))
        cases[f"undistorted40_{shift}"] = Case(dict(shift=shift, nonpolar=0.4))
        cases[f"edges_{shift}"] = Case(dict(shift=shift, direction=0.0, nonpolar=0.08))
        antiparallel = dict(shift=shift, order="antiparallel", directions=None)
        cases[f"antiparallel_{shift}"] = Case(antiparallel)
        layers = [(9, 1.0, 0.35), (6, 0.6, 0.6, 0.0)]
        cases[f"antiparallel_layers_{shift}"] = Case(
            dict(layers=layers, **antiparallel), window=None, position_error=None
        )
    return cases


# What can be taken for a displacement. 150 counts unless a fault says otherwise.
_FAULTS = {
    "plain": {},
    "dose12": dict(dose=12.0),
    "dose25": dict(dose=25.0),
    "dose50": dict(dose=50.0),
    "dose400": dict(dose=400.0),
    "disorder0.1": dict(disorder=0.1),
    "disorder0.2": dict(disorder=0.2),
    "rows0.3": dict(scan_jitter=0.3),
    "round_columns": dict(tilt=0.0),
    "tilt0.2": dict(tilt=0.2),
    "mistilt0.1": dict(mistilt=(0.08, -0.06)),
    "mistilt0.4": dict(mistilt=(-0.24, 0.32)),
    "aberration0.2": dict(aberration=0.2),
    "aberration0.35": dict(aberration=0.35, aberration_shift=(-2.0, 3.5)),
    "strain2": dict(strain=0.02),
    "layers": dict(layers=LAYERS),
    "composition0.15": dict(random_composition=0.15),
    "chemistry0.7": dict(chemistry=0.7),
    "wedge": dict(thickness_gradient=0.8),
    "rotated": dict(rotation=17.0),
    "dose25_disorder0.2": dict(dose=25.0, disorder=0.2),
    "dose25_strain2": dict(dose=25.0, strain=0.02),
    "rows0.3_disorder0.2": dict(scan_jitter=0.3, disorder=0.2),
    "aberration_dose25": dict(aberration=0.2, dose=25.0),
    "aberration_layers": dict(aberration=0.2, layers=LAYERS),
    "aberration_strain2": dict(aberration=0.2, strain=0.02),
    "aberration_disorder0.2": dict(aberration=0.2, disorder=0.2),
    "composition0.15_disorder0.2": dict(random_composition=0.15, disorder=0.2),
    "layers_disorder0.2_dose50": dict(layers=LAYERS, disorder=0.2, dose=50.0),
    "all_a_little": dict(
        dose=60.0, disorder=0.12, scan_jitter=0.2, aberration=0.12, strain=0.01, tilt=0.12,
        mistilt=(0.05, 0.05), random_composition=0.1, rotation=8.0,
    ),
}  # fmt: skip


def _nulls():
    found = dict(window=None, position_error=None, n_cells=28)
    kinds = {
        "square": (dict(cell=24.0), found),
        "rectangular": (dict(cell=22.0, aspect=1.2), found),
        "hexagonal": ({}, dict(hexagonal=True)),
    }
    cases = {}
    for kind, (crystal, how) in kinds.items():
        for fault, settings in _FAULTS.items():
            settings = dict(shift=0.0, **crystal, **settings)
            cases[f"null_{kind}_{fault}"] = Case(settings, ("nothing",), **how)
    for aspect in (1.06, 1.41):
        for fault in ("plain", "dose25", "disorder0.2", "aberration0.2"):
            settings = dict(shift=0.0, cell=22.0, aspect=aspect, **_FAULTS[fault])
            cases[f"null_rectangular{aspect}_{fault}"] = Case(settings, ("nothing",), **found)
    given = {
        "given": {},
        "given_aberration": ABERRATED,
        "given_round_columns": dict(tilt=0.0),
    }
    for name, settings in given.items():
        cases[f"null_{name}"] = Case(dict(shift=0.0, **settings), ("nothing",))
    settings = dict(shift=0.0, layers=LAYERS, **ABERRATED)
    cases["null_given_layers"] = Case(settings, ("nothing",), window=46, position_error=0.0)
    return cases


CASES = _distortions() | _nulls()


def make(name, seed):
    """
    One image of a case; the second time it is read from the folder of temporary files.

    Parameters
    ----------
    name : str
        One of `CASES`.
    seed : int

    Returns
    -------
    Film
    """
    if name not in CASES:
        raise ValueError(f"{name!r}: give one of {', '.join(CASES)}.")
    case = CASES[name]
    image, truth = _image(name, case, seed)
    positions = neighbours = None
    if case.position_error is not None:
        positions, neighbours = (
            xy + case.position_error * np.random.default_rng(seed + n).standard_normal(xy.shape)
            for n, xy in enumerate(
                table[["x", "y"]].to_numpy() for table in (truth.b_sites, truth.a_sites)
            )
        )
    return Film(
        name, seed, case, image, positions, neighbours, case.window, truth, _judged(case, truth)
    )


def _judged(case, truth):
    """Which B columns count; none where nothing is displaced."""
    b = truth.b_sites
    if not case.settings["shift"]:
        return np.zeros(len(b), bool)
    if case.polar:
        return (b.order > 0.6).to_numpy()
    return ((b.variant >= 0) & (b.wall_distance > 1.5) & (b.edge_distance > 1.0)).to_numpy()


def _image(name, case, seed):
    """Image and truth, made or read."""
    key = hashlib.sha256(repr((case.settings, case.n_cells, seed, _version())).encode())
    folder = Path(tempfile.gettempdir()) / "hs_rvae_study"
    file = folder / f"{name}_{seed}_{key.hexdigest()[:16]}.npz"
    if not file.exists():
        folder.mkdir(exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}.npz")
        np.savez(unfinished, **_arrays(*_simulate(case, seed)))
        unfinished.replace(file)
    with np.load(file) as arrays:
        return _from_arrays(dict(arrays))


def _simulate(case, seed):
    simulate = simulate_hexagonal if case.hexagonal else simulate_perovskite
    settings = dict(cell=26.0) | case.settings
    side = round(case.n_cells * settings["cell"])
    return simulate((side, side), random_state=seed, **settings)


@cache
def _version():
    """A number that changes with the simulator."""
    folder = Path(inspect.getfile(hs_rvae.simulation)).parent
    sources = b"".join(file.read_bytes() for file in sorted(folder.glob("*.py")))
    return hashlib.sha256(sources).hexdigest()


def _arrays(image, truth):
    arrays = {"image": image.data, "scale": image.axes_manager[0].scale}
    arrays |= {"n_variants": truth.n_variants, "cell": truth.cell}
    for kind in ("a", "b"):
        table = getattr(truth, f"{kind}_sites")
        arrays |= {f"{kind}_{column}": table[column].to_numpy() for column in table}
    return arrays


def _from_arrays(arrays):
    image = hs.signals.Signal2D(arrays["image"])
    for axis, name in zip(image.axes_manager.signal_axes, "xy", strict=True):
        axis.name, axis.units, axis.scale = name, "nm", float(arrays["scale"])
    tables = (
        pd.DataFrame({key[2:]: arrays[key] for key in arrays if key.startswith(f"{kind}_")})
        for kind in ("a", "b")
    )
    return image, SimulatedTruth(*tables, int(arrays["n_variants"]), float(arrays["cell"]))
