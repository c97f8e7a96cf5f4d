# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of any crystal, with defects and boundaries, and the truth about every column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ..checks import checked
from . import imaging as _imaging
from .crystal_settings import OWN_WORDS, CrystalSettings
from .distortions import FieldMaker
from .film_settings import check_shape
from .films import as_signal
from .lattices import turn_matrix
from .structures import ImagedBasis, ProjectedStructure
from .truth import CrystalTruth

_MARGIN = 4.0  # distances between nearest columns, around the image, where columns stand as well
_STRAIN_LENGTH = 12.0  # over which strain changes, likewise
_TOO_NEAR = 0.75  # to a column of the other grain, likewise


@checked(but=("shape", *OWN_WORDS))
def simulate_crystal(
    shape: tuple[int, int] = (512, 512),
    structure: str | ProjectedStructure = "perovskite [001]",
    *,
    spacing: float = 16.0,
    rotation: float = 0.0,
    dose: float = 150.0,
    dark: bool = False,
    light_elements: bool = False,
    column_width: float = 0.16,
    random_composition: float = 0.02,
    thickness_gradient: float = 0.1,
    contamination: float = 0.0,
    contamination_size: float = 8.0,
    background: float = 0.2,
    strain: float = 0.002,
    disorder: float = 0.05,
    scan_jitter: float = 0.1,
    vacancies: float = 0.0,
    substitutions: float = 0.0,
    substitution_ratio: float = 0.75,
    interstitials: float = 0.0,
    interstitial_height: float = 0.5,
    defect_names: Sequence[str] | None = None,
    antiphase: tuple[float, float] | None = None,
    grain_angle: float | None = None,
    second_phase: str | ProjectedStructure | None = None,
    boundary: tuple[float, float, float] | None = None,
    zoom: float = 1.0,
    data_bar: int = 0,
    random_state: int | np.random.Generator | None = None,
) -> tuple[Any, CrystalTruth]:
    """Simulate an image of a crystal along a zone axis, with known columns and defects.

    The columns are Gaussians with a broad tail, as in :func:`simulate_perovskite`. Their heights
    follow from the atoms in them.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    structure : str or ProjectedStructure
        "perovskite [001]", "perovskite [110]", "rock salt [001]", "rock salt [110]",
        "fluorite [001]", "fluorite [110]", "wurtzite [11-20]", "zinc blende [110]",
        "hexagonal manganite [110]", "1H layer", "1T layer", "graphene", "tungsten bronze [001]",
        or a cell with a basis of your own.
    spacing : float
        Distance between the nearest imaged columns, in px, 2 or more.
    rotation : float
        Rotation of the crystal, in degrees, from +x towards +y (clockwise on screen).
    dose : float
        Counts per pixel that the peak of the brightest column adds; ``numpy.inf`` gives a
        noise-free image.
    dark : bool
        Dark columns on a bright background, as in annular bright field.
    light_elements : bool
        Contrast in which oxygen and other light elements are imaged too. Otherwise columns with
        less than 15 % of the height of the brightest are left out of image and truth.
    column_width : float
        Gaussian sigma of a column, in units of `spacing`.
    random_composition : float
        Relative root mean square of the peak heights of single columns, at random, up to 0.3.
    thickness_gradient : float
        Relative change of all peak heights across the image.
    contamination : float
        Height of smooth blobs that lie over the image, in units of the brightest column.
    contamination_size : float
        Diameter of the blobs, in units of `spacing`.
    background : float
        Intensity between the columns, in units of the brightest column.
    strain : float
        Root mean square of a smooth lattice strain.
    disorder : float
        Root mean square of the static displacement of each column, in px.
    scan_jitter : float
        Root mean square of the horizontal offset of each scan row, in px.
    vacancies : float
        Share of the columns in the image that are missing.
    substitutions : float
        Share of the columns in the image with another height.
    substitution_ratio : float
        Height of these, in units of the usual column.
    interstitials : float
        Number of additional columns, as a share of the columns in the image. They stand in the
        widest gaps of the cell.
    interstitial_height : float
        Height of these, in units of the brightest column.
    defect_names : sequence of str, optional
        Elements of the columns that may be missing or substituted, such as ``["S2"]``. If None,
        all columns.
    antiphase : tuple of float, optional
        Shift ``(u, v)`` of the crystal beyond the boundary, in fractions of its cell vectors.
    grain_angle : float, optional
        Rotation of the crystal beyond the boundary against the one before it, in degrees.
    second_phase : str or ProjectedStructure, optional
        Another structure beyond the boundary, on the same scale. Its brightest column is as bright
        as that of the first.
    boundary : tuple of float, optional
        Line ``(x, y, direction)`` that divides the grains: a point in px, and degrees from +x
        towards +y. If None, a vertical line through the middle. Columns beyond it that would be
        nearer than 0.75 spacings to the first grain are left out.
    zoom : float
        Nearest-neighbour enlargement after the scan. `shape`, `spacing` and the truth are those of
        the enlarged image; `dose` and `scan_jitter` are those of the scan.
    data_bar : int
        Rows at the bottom that are constant, as under a data bar.
    random_state : int or numpy.random.Generator, optional
        Seed of everything random.

    Returns
    -------
    image : hyperspy.api.signals.Signal2D
        Calibrated in nm, in counts.
    truth : CrystalTruth
        Position, place in the cell, grain and height of each column; the defects.

    Raises
    ------
    ValueError
        If the structure is unknown, a setting is outside its limits, or two of them do not go
        together.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_crystal(
    ...     (128, 128), "1H layer", vacancies=0.02, defect_names=["S2"], random_state=0
    ... )
    >>> image
    <Signal2D, title: Simulated 1H layer, dimensions: (|128, 128)>
    >>> sorted(set(truth.columns["name"])), set(truth.missing["name"])
    (['Mo', 'S2'], {'S2'})
    """
    settings = CrystalSettings(
        structure=structure,
        spacing=spacing,
        rotation=rotation,
        dose=dose,
        dark=dark,
        light_elements=light_elements,
        column_width=column_width,
        random_composition=random_composition,
        thickness_gradient=thickness_gradient,
        contamination=contamination,
        contamination_size=contamination_size,
        background=background,
        strain=strain,
        disorder=disorder,
        scan_jitter=scan_jitter,
        vacancies=vacancies,
        substitutions=substitutions,
        substitution_ratio=substitution_ratio,
        interstitials=interstitials,
        interstitial_height=interstitial_height,
        defect_names=defect_names,
        antiphase=antiphase,
        grain_angle=grain_angle,
        second_phase=second_phase,
        boundary=boundary,
        zoom=zoom,
        data_bar=data_bar,
        random_state=random_state,
    )
    return _simulate(check_shape(shape), settings)


def _simulate(shape: tuple[int, int], settings: CrystalSettings) -> tuple[Any, CrystalTruth]:
    """Place the columns, distort them, take some out, image the others."""
    rng = np.random.default_rng(settings.random_state)
    size = np.array(shape[::-1], float)
    # All lengths in px of the enlarged image.
    scale = settings.spacing / settings.bases[0].nearest_distance
    grains = _grains(settings, scale, size, rng)
    field = FieldMaker(rng, size, _MARGIN * settings.spacing, settings.spacing)
    table = _columns(grains, size, settings, rng)
    length = _STRAIN_LENGTH * settings.spacing
    strain = [field(length) * settings.strain * length for _ in "xy"]
    rest = table[["x", "y"]].to_numpy()
    moved = rest + np.stack([one(rest) for one in strain], 1)
    table[["x", "y"]] = moved + settings.disorder * rng.standard_normal(rest.shape)
    inside = _inside(table, shape[0] - settings.data_bar, shape[1])
    missing = _choose_defects(table, inside, settings, rng)
    thickness = 1 + settings.thickness_gradient * (rest[:, 0] / size[0] - 0.5)
    noise = 1 + settings.random_composition * rng.standard_normal(len(table))
    table["amplitude"] *= table["ratio"] * thickness * noise

    there = table[~missing]
    image = _scan(
        there, shape, field(settings.contamination_size * settings.spacing), settings, rng
    )
    bar = shape[0] - settings.data_bar
    image[bar:] = 0
    truth = CrystalTruth(
        there[inside[~missing]].reset_index(drop=True),
        table[missing & inside].drop(columns=["amplitude", "ratio"]).reset_index(drop=True),
        tuple(grain.basis.cell for grain in grains),
        settings.spacing,
    )
    named = isinstance(settings.structure, str)
    title = f"Simulated {settings.structure if named else 'crystal'}"
    return as_signal(image, title, 1 / scale), truth


@dataclass(frozen=True)
class _Grain:
    """Turned cell in px, the place of its origin, the kinds and the number of the first place."""

    basis: ImagedBasis
    origin: np.ndarray
    kinds: np.ndarray
    first_place: int = 0


def _grains(
    settings: CrystalSettings, scale: float, size: np.ndarray, rng: np.random.Generator
) -> list[_Grain]:
    """Crystals before and beyond the boundary."""
    bases = settings.bases
    angles = [settings.rotation, settings.rotation + (settings.grain_angle or 0.0)]
    turned = [
        ImagedBasis(
            basis.cell * scale @ turn_matrix(angle), basis.places, basis.heights, basis.names
        )
        for basis, angle in zip(bases, angles, strict=False)
    ]
    origin = size / 2 + rng.uniform(-0.5, 0.5, 2) @ turned[0].cell
    kinds = bases[0].kinds()
    grains = [_Grain(turned[0], origin, kinds)]
    if settings.two_grains:
        shift = np.asarray(settings.antiphase or (0.0, 0.0), float) @ turned[1].cell
        places = 0
        if settings.second_phase is not None:  # its places and kinds are others
            places, kinds = len(kinds), bases[1].kinds() + kinds.max() + 1
        grains.append(_Grain(turned[1], origin + shift, kinds, places))
    return grains


def _columns(
    grains: list[_Grain], size: np.ndarray, settings: CrystalSettings, rng: np.random.Generator
) -> pd.DataFrame:
    """All columns at rest, each grain on its side of the boundary."""
    tables: list[pd.DataFrame] = []
    for number, grain in enumerate(grains):
        table = _lattice(grain, size, _MARGIN * settings.spacing)
        table.insert(len(table.columns), "grain", number)
        table["boundary_distance"] = np.inf
        if len(grains) > 1:
            distance = _beyond(table[["x", "y"]].to_numpy(), size, settings.boundary)
            table["boundary_distance"] = np.abs(distance)
            table = table[(distance >= 0) == bool(number)]
        if number:
            apart, _ = cKDTree(tables[0][["x", "y"]]).query(table[["x", "y"]])
            table = table[apart > _TOO_NEAR * settings.spacing]
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    table.insert(3, "ratio", 1.0)
    if not settings.interstitials:
        return table
    count = round(settings.interstitials * _inside(table, size[1], size[0]).sum())
    return pd.concat([table, _interstitials(grains, table, count, size, settings, rng)])


def _lattice(grain: _Grain, size: np.ndarray, margin: float) -> pd.DataFrame:
    """Columns of a crystal that cover the image and a margin around it."""
    basis = grain.basis
    corners = np.array([[-margin, -margin], [size[0] + margin, -margin]])
    corners = np.vstack([corners, size - corners]) - grain.origin
    cells = corners @ np.linalg.inv(basis.cell)
    (i0, j0), (i1, j1) = np.floor(cells.min(0)) - 1, np.ceil(cells.max(0)) + 1
    numbers = np.meshgrid(
        np.arange(i0, i1 + 1), np.arange(j0, j1 + 1), np.arange(len(basis.places)), indexing="ij"
    )
    i, j, place = (one.ravel().astype(int) for one in numbers)
    xy = (np.stack([i, j], 1) + basis.places[place]) @ basis.cell + grain.origin
    table = pd.DataFrame(
        {
            "x": xy[:, 0],
            "y": xy[:, 1],
            "amplitude": basis.heights[place],
            "place": place + grain.first_place,
            "name": np.array(basis.names, object)[place],
            "kind": grain.kinds[place],
            "i": i,
            "j": j,
        }
    )
    return table[((xy > -margin) & (xy < size + margin)).all(axis=1)]


def _beyond(
    xy: np.ndarray, size: np.ndarray, boundary: tuple[float, float, float] | None
) -> np.ndarray:
    """Distance from the boundary, positive on the side of the second grain."""
    x, y, direction = (*size / 2, 90.0) if boundary is None else boundary
    angle = np.radians(direction)
    return (xy - (x, y)) @ np.array([np.sin(angle), -np.cos(angle)])


def _interstitials(
    grains: list[_Grain],
    table: pd.DataFrame,
    count: int,
    size: np.ndarray,
    settings: CrystalSettings,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Columns in the widest gaps of the first grain."""
    basis = grains[0].basis
    steps = (np.arange(48) + 0.5) / 48
    grid = np.stack(np.meshgrid(steps, steps), 2).reshape(-1, 2)
    gap = grid[basis.distances(grid, basis.places).min(axis=1).argmax()]
    hollow = ImagedBasis(
        basis.cell, gap[None], np.array([settings.interstitial_height]), ("interstitial",)
    )
    found = _lattice(_Grain(hollow, grains[0].origin, np.array([-1])), size, 0.0)
    found = found[_inside(found, size[1] - settings.data_bar, size[0])]
    # Away from the other grain, and not beside one another.
    far, _ = cKDTree(table.loc[table["grain"] == 0, ["x", "y"]]).query(found[["x", "y"]], k=3)
    found = found[(far[:, 2] < 1.6 * far[:, 0].min())]
    found = found.iloc[rng.permutation(len(found))[:count]]
    return found.assign(ratio=1.0, place=-1, grain=-1, boundary_distance=np.inf)


def _choose_defects(
    table: pd.DataFrame, inside: np.ndarray, settings: CrystalSettings, rng: np.random.Generator
) -> np.ndarray:
    """Set the ratio of substituted columns; True for the columns that are missing."""
    eligible = inside & (table["place"] >= 0).to_numpy()
    if settings.defect_names is not None:
        eligible &= table["name"].isin(list(settings.defect_names)).to_numpy()
    rows = rng.permutation(np.flatnonzero(eligible))
    total = (inside & (table["place"] >= 0)).sum()
    n_missing, n_changed = (
        round(share * total) for share in (settings.vacancies, settings.substitutions)
    )
    missing = np.zeros(len(table), bool)
    missing[rows[:n_missing]] = True
    ratio = table["ratio"].to_numpy(copy=True)
    ratio[rows[n_missing : n_missing + n_changed]] = settings.substitution_ratio
    table["ratio"] = ratio
    return missing


def _scan(
    table: pd.DataFrame,
    shape: tuple[int, int],
    blobs: Any,
    settings: CrystalSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """Image of the columns, in counts, scanned with larger pixels if it is enlarged."""
    zoom = settings.zoom
    scanned = (int(np.ceil(shape[0] / zoom)), int(np.ceil(shape[1] / zoom)))
    xy = (table[["x", "y"]].to_numpy() + 0.5) / zoom - 0.5
    sigma = settings.column_width * settings.spacing / zoom
    round_columns = np.zeros(len(xy))
    image = _imaging.sum_of_columns(
        scanned, xy, table["amplitude"].to_numpy(), sigma, round_columns, round_columns,
        settings.scan_jitter, rng,
    )  # fmt: skip
    image += settings.background
    if settings.contamination:
        y, x = np.indices(scanned)
        place = (np.stack([x.ravel(), y.ravel()], 1) + 0.5) * zoom - 0.5
        lying = np.clip(blobs(place), 0, 2.5).reshape(scanned) / 2.5
        image += (settings.contamination * lying).astype(np.float32)
    if settings.dark:
        image = _imaging.bright_field(image / max(1.0, np.percentile(image, 99.9)))
    if np.isfinite(settings.dose):
        image = rng.poisson(image * settings.dose).astype(np.float32)
    rows, columns = ((np.arange(n) / zoom).astype(int) for n in shape)
    return image[np.ix_(rows, columns)]


def _inside(table: pd.DataFrame, rows: float, columns: float) -> np.ndarray:
    keep = table["x"].between(0, columns - 1) & table["y"].between(0, rows - 1)
    return keep.to_numpy()
