# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of all kinds that the simulator makes, drawn at random, to train a network with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from ..checks import checked
from ..progress import progress_bar
from . import imaging as _imaging
from .crystals import simulate_crystal
from .films import simulate_hexagonal, simulate_perovskite
from .structures import STRUCTURES, ProjectedStructure

_SPACING = (8.0, 60.0)  # px between nearest columns
_DOSE = (2.0, 400.0)  # counts per pixel that the peak of the brightest column adds
_SIDE = (16.0, 21.0)  # distances between nearest columns
_LONGEST = 1200  # px
_CLOSEST = 0.55  # distance of two places of a random cell, in its shorter edges
_COLUMN = 0.16  # width of an ordinary column, in distances between nearest columns


@checked
def simulate_training_images(
    n_images: int,
    *,
    random_state: int | np.random.Generator | None = None,
    show_progressbar: bool | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Simulate images of many kinds, one after the other, to train a network that finds columns.

    Lattice, rotation, contrast, noise and faults are drawn at random for each image: all lattices
    of the simulator and random cells, 8 to 60 px between nearest columns, doses of 2 to 400 counts,
    dark and bright columns, light elements, vacuum, amorphous layers, contamination, aberration,
    scan errors, strain, vacancies, other heights, interstitials, dislocations and boundaries.

    Parameters
    ----------
    n_images : int
        Number of images.
    random_state : int or numpy.random.Generator, optional
        Seed.
    show_progressbar : bool, optional
        If None, HyperSpy's preference.

    Yields
    ------
    image : numpy.ndarray of float32, shape (rows, columns)
        In any unit, with bright columns: an image of dark ones is turned over.
    positions : numpy.ndarray, shape (n_columns, 2)
        ``(x, y)`` of all columns in px.
    spacing : float
        Distance between nearest columns in px.

    See Also
    --------
    hs_rvae.columns.train_network : Trains with them.

    Examples
    --------
    >>> import hs_rvae
    >>> for image, positions, spacing in hs_rvae.simulation.simulate_training_images(
    ...     2, random_state=0, show_progressbar=False
    ... ):
    ...     assert positions.shape[1] == 2 and 8 <= spacing <= 60
    """
    return _images(n_images, np.random.default_rng(random_state), show_progressbar)


def _images(
    n_images: int, rng: np.random.Generator, show_progressbar: bool | None
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    for seed in progress_bar(
        "Simulating images", show_progressbar, rng.integers(2**63, size=n_images)
    ):
        yield _one(np.random.default_rng(seed))


def _one(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """One image with everything that happens to it after the columns stand."""
    spacing = float(np.exp(rng.uniform(*np.log(_SPACING))))
    side = int(min(np.ceil(rng.uniform(*_SIDE) * spacing), _LONGEST))
    film = rng.random() < 0.3
    image, positions = (_film if film else _crystal)((side, side), spacing, rng)
    dark = rng.random() < 0.25
    image, positions = _without_crystal(image, positions, spacing, rng)
    if _chance(rng, 0.35):
        image += _amorphous(image.shape, spacing, rng) * rng.uniform(0.02, 0.3)
    if dark:
        image = np.maximum(image.max() + rng.uniform(0.1, 0.6) - image, 0.02)
    if _chance(rng, 0.3):
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5) * spacing
        move = (length * np.cos(angle), length * np.sin(angle))
        image = _imaging.aberrated(image, rng.uniform(0.05, 0.3), move)
    if _chance(rng, 0.2):
        image *= 1 + rng.uniform(0, 0.1) * rng.standard_normal((len(image), 1))
    dose = float(np.exp(rng.uniform(*np.log(_DOSE))))
    image = rng.poisson(np.maximum(image, 0) * dose) / dose
    if _chance(rng, 0.3):
        image += rng.uniform(0, 0.15) * rng.standard_normal(image.shape)
    image = image.astype(np.float32)
    return -image if dark else image, positions, spacing


def _chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _sometimes(rng: np.random.Generator, probability: float, low: float, high: float) -> float:
    """A number between two limits, or 0."""
    value = float(rng.uniform(low, high))
    return value if rng.random() < probability else 0.0


def _crystal(
    shape: tuple[int, int], spacing: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A crystal without noise: intensities, and positions of its columns."""
    structure = _structure(rng)
    options: dict[str, Any] = {}
    kind = rng.random()
    if kind < 0.25:
        options["grain_angle"] = float(rng.uniform(0, 90))
    elif kind < 0.33:
        options["antiphase"] = tuple(rng.choice([0.0, 0.5, 1 / 3], 2))
    elif kind < 0.43:
        options["second_phase"] = _structure(rng)
    if kind < 0.43:
        middle = np.array(shape[::-1]) * rng.uniform(0.25, 0.75, 2)
        options["boundary"] = (*map(float, middle), float(rng.uniform(0, 180)))
    image, truth = simulate_crystal(
        shape,
        structure,
        spacing=spacing,
        rotation=float(rng.uniform(0, 360)),
        dose=np.inf,
        light_elements=_chance(rng, 0.3),
        column_width=float(rng.uniform(0.11, 0.24)),
        random_composition=float(rng.uniform(0, 0.2)),
        thickness_gradient=float(rng.uniform(-0.6, 0.6)),
        contamination=_sometimes(rng, 0.4, 0.05, 0.9),
        contamination_size=float(np.exp(rng.uniform(np.log(0.7), np.log(8)))),
        background=float(rng.uniform(0.05, 0.8)),
        strain=_sometimes(rng, 0.5, 0, 0.02),
        disorder=float(rng.uniform(0, 0.04) * spacing),
        scan_jitter=float(rng.uniform(0, 0.04) * spacing),
        vacancies=_sometimes(rng, 0.4, 0, 0.12),
        substitutions=_sometimes(rng, 0.4, 0, 0.15),
        substitution_ratio=float(rng.uniform(0.2, 1.6)),
        interstitials=_sometimes(rng, 0.15, 0, 0.05),
        interstitial_height=float(rng.uniform(0.2, 0.9)),
        random_state=rng,
        **options,
    )
    return np.asarray(image.data, np.float32), truth.columns[["x", "y"]].to_numpy()


def _structure(rng: np.random.Generator) -> str | ProjectedStructure:
    """A structure by its name, or a random cell with up to four places."""
    if rng.random() < 0.7:
        return str(rng.choice(sorted(STRUCTURES)))
    angle = np.radians(rng.uniform(60, 120))
    longer = rng.uniform(1, 1.8)
    cell = np.array([(1.0, 0.0), (longer * np.cos(angle), longer * np.sin(angle))])
    places = [(0.0, 0.0)]
    steps = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)], float)
    for place in rng.random((rng.integers(0, 12), 2)):
        apart = (np.array(places)[:, None] - place + steps) @ cell
        if len(places) < 4 and np.linalg.norm(apart, axis=-1).min() > _CLOSEST:
            places.append(tuple(place))
    heights = np.append(1.0, rng.uniform(0.2, 1, len(places) - 1))
    basis = [(float(u), float(v), float(h)) for (u, v), h in zip(places, heights, strict=True)]
    return ProjectedStructure([(float(x), float(y)) for x, y in cell * 0.4], basis)


def _film(
    shape: tuple[int, int], spacing: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A film without noise: intensities, and positions of its columns."""
    hexagonal, oxygen = _chance(rng, 0.2), _sometimes(rng, 0.2, 0.15, 0.5)
    single = _chance(rng, 0.1) and not (hexagonal or oxygen)
    ratio = np.sqrt(3) if hexagonal else 2.0 if oxygen else 1.0 if single else np.sqrt(2)
    cell = spacing * ratio
    options: dict[str, Any] = {
        "shift": float(rng.uniform(0, 0.09) * cell),
        "direction": float(rng.uniform(0, 90)),
        "domain_size": float(rng.uniform(4, 12)),
        "chemistry": float(rng.uniform(0, 0.4)),
        "tilt": float(rng.uniform(0, 0.25)),
        "vacuum": _sometimes(rng, 0.3, 0.1, 0.4),
        "bending": _sometimes(rng, 0.2, 0, 6),
        "disorder": float(rng.uniform(0, 0.03) * cell),
    }
    if _chance(rng, 0.15):
        options["dislocation"] = tuple(map(float, np.array(shape) * rng.uniform(0.2, 0.8, 2)))
    if not hexagonal:
        options |= {"oxygen": oxygen, "octahedral_tilt": _sometimes(rng, 0.5 * bool(oxygen), 0, 8)}
        options["aspect"] = float(rng.uniform(0.92, 1.08))
        options["one_sublattice"] = single
    image, truth = (simulate_hexagonal if hexagonal else simulate_perovskite)(
        shape,
        cell=cell,
        rotation=float(rng.uniform(0, 360)),
        dose=np.inf,
        column_width=float(rng.uniform(0.11, 0.2) / ratio),
        random_composition=float(rng.uniform(0, 0.2)),
        thickness_gradient=float(rng.uniform(-0.6, 0.6)),
        strain=_sometimes(rng, 0.5, 0, 0.02),
        b_amplitude=float(rng.uniform(0.2, 1.0)),
        scan_jitter=float(rng.uniform(0, 0.04) * spacing),
        random_state=rng,
        **options,
    )
    tables = truth.a_sites, truth.b_sites, truth.oxygen_sites
    positions = np.vstack([table[["x", "y"]].to_numpy(float) for table in tables])
    return np.asarray(image.data, np.float32), positions


def _without_crystal(
    image: np.ndarray, positions: np.ndarray, spacing: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Put vacuum or an amorphous material beside the crystal, or in place of it, sometimes."""
    kind = rng.random()
    if kind > 0.2:
        return image, positions
    side = len(image)
    angle = rng.uniform(0, 2 * np.pi)
    share = 1.0 if kind < 0.04 else rng.uniform(-0.35, 0.35)
    y, x = np.indices(image.shape, dtype=np.float32) / side - 0.5
    wave = 0.06 * np.sin(rng.uniform(4, 15) * (x * np.sin(angle) - y * np.cos(angle)))

    def beyond(x: Any, y: Any) -> Any:
        return x * np.cos(angle) + y * np.sin(angle) + share

    here = 0.5 * (1 + np.tanh((beyond(x, y) + wave) * side / (_COLUMN * 3 * spacing)))
    other = np.full_like(image, rng.uniform(0, 0.6))
    if _chance(rng, 0.6):
        other += _amorphous(image.shape, spacing, rng) * rng.uniform(0.05, 0.5)
    image = (1 - here) * image + here * other
    rows, columns = np.clip(np.round(positions[:, ::-1].T).astype(int), 0, side - 1)
    return image, positions[here[rows, columns] < 0.5]


def _amorphous(shape: tuple[int, ...], spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Speckles of an amorphous material, of about unit variance and no less than 0."""
    width = spacing * float(np.exp(rng.uniform(np.log(0.1), np.log(0.6))))
    step = max(int(width / 2), 1)
    size = [n // step + 4 for n in shape]
    noise = gaussian_filter(rng.standard_normal(size), width / step)
    noise = np.maximum((noise - noise.mean()) / noise.std() + 2, 0)
    rows, columns = (np.arange(n) / step for n in shape)
    return np.asarray(_sampled(_sampled(noise, rows).T, columns).T, np.float32)


def _sampled(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of an array between its own, by interpolation."""
    first = rows.astype(int)
    share = (rows - first)[:, None]
    return values[first] * (1 - share) + values[first + 1] * share
