# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ferroic images with known variant, angle, displacement, chemistry and noise.

The images are sums of elliptical Gaussian columns with a broad tail, scanned row by row and
counted with Poisson statistics. They are not multislice simulations, but displacement, chemistry
and tilt of each column are known, as a figure of merit needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import hyperspy.api as hs
import numpy as np
import pandas as pd

from ..checks import checked, is_whole_number, shown
from . import imaging as _imaging
from .distortions import FieldMaker, bending_field, dislocation_field
from .domains import OrderParameter, order_parameter
from .film_settings import OWN_WORDS, FilmSettings, check_names, check_shape
from .lattices import lattice_points, peak_heights
from .octahedra import OXYGEN_PLACES, OctahedralTilts
from .truth import SimulatedTruth
from .twins import Twins, surroundings

_MARGIN = 3.0  # cells around the image in which columns stand as well


@checked(but=OWN_WORDS)
def simulate_perovskite(
    shape: tuple[int, int] = (1200, 1200),
    *,
    cell: float = 26.0,
    rotation: float = 0.0,
    n_variants: int = 4,
    shift: float = 1.8,
    direction: float = 45.0,
    order: str = "domains",
    directions: Sequence[float] | None = None,
    shares: Sequence[float] | None = None,
    domain_size: float = 12.0,
    wall_width: float = 0.8,
    wall_direction: float = 0.0,
    nonpolar: float = 0.0,
    chemistry: float = 0.35,
    random_composition: float = 0.05,
    thickness_gradient: float = 0.2,
    tilt: float = 0.06,
    mistilt: tuple[float, float] = (0.0, 0.0),
    strain: float = 0.005,
    twin_strain: float = 0.0,
    twin_axis: float = 0.0,
    n_twins: int = 2,
    bending: float = 0.0,
    scan_jitter: float = 0.1,
    dose: float = 150.0,
    aberration: float = 0.0,
    aberration_shift: tuple[float, float] = (4.0, 1.5),
    column_width: float = 0.11,
    disorder: float = 0.05,
    pixel_size: float = 0.015,
    aspect: float = 1.0,
    b_amplitude: float = 0.35,
    one_sublattice: bool = False,
    layers: Sequence[tuple[float, ...]] | None = None,
    vacuum: float = 0.0,
    dark: bool = False,
    dislocation: tuple[float, float] | None = None,
    oxygen: float = 0.0,
    octahedral_tilt: float = 0.0,
    tilt_variation: float = 0.5,
    antiphase_tilts: bool = False,
    random_state: int | np.random.Generator | None = None,
) -> tuple[Any, SimulatedTruth]:
    """Simulate an [001] image of a ferroelectric perovskite with known truth.

    Heavy A columns on the corners of a square lattice, light B columns in the cells. B columns are
    displaced, by default in one of ``n_variants`` directions per domain.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    cell : float
        Lattice parameter in px.
    rotation : float
        Rotation of the lattice, in degrees, from +x towards +y (clockwise on screen).
    n_variants : int
        2 or 4: domains whose displacements are 180 or 90 degrees apart.
    shift : float
        Length of the B displacement inside a domain, in px, up to half a cell. 0 or a tiny number
        gives a crystal without distortion.
    direction : float
        Direction of variant 0 with respect to the lattice, in degrees.
    order : "domains", "stripes", "vortices" or "antiparallel"
        Pattern of the displacements. "domains": variants with walls. "stripes": the same between
        straight walls, `domain_size` cells apart, which ``truth.walls`` lists. "vortices": the
        direction turns continuously, around vortices on a square grid. "antiparallel": lamellae
        along a diagonal of the cell, two cells wide, displaced to and fro (++--), in domains of
        both diagonals. There the A columns move along the lamellae, by twice ``shift``. The B
        columns stay, ``shift`` away from the mean of their four A neighbours.
    directions : sequence of float, optional
        Directions of the variants with respect to the lattice, in degrees, instead of
        ``n_variants`` and ``direction``: ``(45, 135)`` for two variants 90 degrees apart.
        ``[20, -20, 110, 70, 200, 160, 290, 250]`` are four turns of a general direction and of its
        mirror image.
    shares : sequence of float, optional
        Shares of the domains, one number for each variant, or for each diagonal of "antiparallel".
        They are met as well as the number of domains allows. If None, equal shares.
    domain_size : float
        Mean diameter of a domain or of a vortex, or width of a stripe, in cells.
    wall_width : float
        Half width of a domain wall, in cells: the displacement goes as tanh(distance / width).
        For vortices the radius of the core, in which the displacement falls to 0.
    wall_direction : float
        Direction of the walls of "stripes" with respect to the lattice, in degrees.
    nonpolar : float
        Share of the image (a disk) without displacement.
    chemistry : float
        Relative variation of the B peak height: it runs from 1 - chemistry to 1 + chemistry.
    random_composition : float
        Relative root mean square of the peak heights of single columns, at random, up to 0.3.
    thickness_gradient : float
        Relative change of all peak heights across the image.
    tilt : float
        Relative elongation of the columns along a direction that turns slowly over the image.
    mistilt : tuple of float
        Shift ``(x, y)`` in px of all B columns against the A columns in projection, because the
        crystal is tilted off its zone axis. Columns are drawn out along it as if blurred with a
        standard deviation of its length. The truth has it in ``x`` and ``y``, not in
        ``displacement_x`` and ``displacement_y``.
    strain : float
        Root mean square of a smooth lattice strain.
    twin_strain : float
        Ferroelastic strain in domains, half the difference of the two principal strains. The walls
        are straight, where the domains fit together, so that they turn the lattice to and fro by
        as many radians. ``domain_size`` and ``wall_width`` hold for them as well.
    twin_axis : float
        Axis of the longer edge in twin 0 with respect to the lattice, in degrees.
    n_twins : int
        2 or 4: twins whose axes are 90 or 45 degrees apart.
    bending : float
        Change of the lattice's rotation from the left side of the image to the right, in degrees.
    scan_jitter : float
        Root mean square of the horizontal offset of each scan row, in px.
    dose : float
        Counts per pixel at the peak of an A column; ``numpy.inf`` gives a noise-free image.
    aberration : float
        Share of the intensity in a side lobe of the probe, as by coma, up to 0.5. The truth has the
        positions without it.
    aberration_shift : tuple of float
        Distance ``(x, y)`` of the side lobe from the probe, in px.
    column_width : float
        Gaussian sigma of a column, in cells.
    disorder : float
        Root mean square of the static displacement of each column, in px.
    pixel_size : float
        In nm.
    aspect : float
        Second edge of the cell in units of the first.
    b_amplitude : float
        Peak height of a B column in units of an A column.
    one_sublattice : bool
        A crystal without B columns; the table of B sites is empty.
    layers : sequence of tuple of float, optional
        A superlattice along the second edge of the cell instead of ``b_amplitude``: thickness in
        cells, peak heights of A and B, repeated. A stays at the corners even where B is brighter.
        A fourth number is the share of the displacement in the layer, 1 if it is not given. Layers
        with 0 have no variant; the displacement falls to it as in a domain wall.
    vacuum : float
        Share of the image, at its right side, without crystal.
    dark : bool
        Dark columns on a bright background, as in annular bright field.
    dislocation : tuple of float, optional
        Core ``(x, y)`` of an edge dislocation in an isotropic medium, in px; its Burgers vector is
        the first edge of the cell.
    oxygen : float
        Peak height of the oxygen columns between the B columns, in units of an A column; 0 leaves
        them out. They are seen in annular bright field (`dark`) and in integrated differential
        phase contrast.
    octahedral_tilt : float
        Maximum rotation of the octahedra about the beam, in degrees, up to 30. Its sign changes
        from B column to B column, and it is the same along the beam.
    tilt_variation : float
        How much smaller the tilt becomes: it varies smoothly from the maximum to 1 - tilt_variation
        of it.
    antiphase_tilts : bool
        Domains, of `domain_size` and with walls of `wall_width`, between which the signs of the
        tilts change places.
    random_state : int or numpy.random.Generator, optional
        Seed of everything random.

    Returns
    -------
    image : hyperspy.api.signals.Signal2D
        Calibrated in nm, in counts.
    truth : SimulatedTruth
        Displacement, variant, chemistry and height of each column.

    Raises
    ------
    ValueError
        If ``n_variants`` is not 2 or 4, a setting is outside its limits, or two of them do not go
        together.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    >>> image
    <Signal2D, title: Simulated perovskite, dimensions: (|256, 256)>

    Octahedra that tilt, in annular bright field:

    >>> image, truth = hs_rvae.simulation.simulate_perovskite(
    ...     (256, 256), shift=0, oxygen=0.3, octahedral_tilt=5, dark=True, random_state=0
    ... )
    >>> bool(truth.b_sites.octahedral_tilt.abs().between(2.4, 5).all())
    True
    """
    if not is_whole_number(n_variants) or n_variants not in (2, 4):
        raise ValueError(
            f"n_variants={shown(n_variants)}: a square lattice has 2 or 4 variants here."
        )
    settings = FilmSettings(
        cell=cell,
        rotation=rotation,
        n_variants=n_variants,
        shift=shift,
        direction=direction,
        order=order,
        directions=directions,
        shares=shares,
        domain_size=domain_size,
        wall_width=wall_width,
        wall_direction=wall_direction,
        nonpolar=nonpolar,
        chemistry=chemistry,
        random_composition=random_composition,
        thickness_gradient=thickness_gradient,
        tilt=tilt,
        mistilt=mistilt,
        strain=strain,
        twin_strain=twin_strain,
        twin_axis=twin_axis,
        n_twins=n_twins,
        bending=bending,
        scan_jitter=scan_jitter,
        dose=dose,
        aberration=aberration,
        aberration_shift=aberration_shift,
        column_width=column_width,
        disorder=disorder,
        pixel_size=pixel_size,
        aspect=aspect,
        b_amplitude=b_amplitude,
        one_sublattice=one_sublattice,
        layers=layers,
        vacuum=vacuum,
        dark=dark,
        dislocation=dislocation,
        oxygen=oxygen,
        octahedral_tilt=octahedral_tilt,
        tilt_variation=tilt_variation,
        antiphase_tilts=antiphase_tilts,
        random_state=random_state,
    )
    lattice = np.array([[1.0, 0.0], [0.0, aspect]])
    crystal = _Crystal(lattice, [(0.0, 0.0)], [(0.5, 0.5)], OXYGEN_PLACES)
    return _simulate("Simulated perovskite", shape, crystal, settings)


@checked(but=OWN_WORDS)
def simulate_hexagonal(
    shape: tuple[int, int] = (1200, 1200),
    *,
    cell: float = 26.0,
    n_variants: int = 6,
    direction: float = 0.0,
    **settings: Any,
) -> tuple[Any, SimulatedTruth]:
    """Simulate an image of a hexagonal ferroic with known truth.

    B columns on a hexagonal lattice, each in a hexagon of six A columns (cell / sqrt(3) away).

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    cell : float
        Lattice parameter in px.
    n_variants : int
        3 or 6: domains whose displacements are 120 or 60 degrees apart.
    direction : float
        Direction of variant 0 with respect to the lattice, in degrees.
    **settings
        The other parameters of :func:`simulate_perovskite`, with the same defaults except
        for ``column_width``, 0.10.

    Returns
    -------
    image : hyperspy.api.signals.Signal2D
        Calibrated in nm, in counts.
    truth : SimulatedTruth
        Displacement, variant, chemistry and height of each column.

    Raises
    ------
    ValueError
        If ``n_variants`` is not 3 or 6, or as :func:`simulate_perovskite`.
    TypeError
        If a setting has another name.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_hexagonal(
    ...     (256, 256), n_variants=3, random_state=0
    ... )
    >>> truth.n_variants, set(truth.b_sites.variant) <= {0, 1, 2}
    (3, True)
    """
    if n_variants not in (3, 6):
        raise ValueError(f"n_variants={n_variants}: a hexagonal lattice has 3 or 6 variants here.")
    check_names(settings, "simulate_hexagonal()")
    if settings.get("order") == "antiparallel":
        raise ValueError(
            "order='antiparallel': lamellae need the diagonals of a square or rectangular cell; "
            "use simulate_perovskite, or another order."
        )
    if any(settings.get(name) for name in ("oxygen", "octahedral_tilt")):
        raise ValueError("oxygen and octahedral_tilt are those of simulate_perovskite.")
    settings = {"column_width": 0.10} | settings  # A columns are closer together
    film = FilmSettings(cell=cell, n_variants=n_variants, direction=direction, **settings)
    lattice = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    crystal = _Crystal(lattice, [(1 / 3, 1 / 3), (2 / 3, 2 / 3)], [(0.0, 0.0)], [])
    return _simulate("Simulated hexagonal crystal", shape, crystal, film)


class _Crystal(NamedTuple):
    """Basis vectors and places of the A, B and oxygen columns, in cells."""

    lattice: np.ndarray
    a_places: list[tuple[float, float]]
    b_places: list[tuple[float, float]]
    oxygen_places: list[tuple[float, float]]


@dataclass
class _Columns:
    """Columns of one sublattice: positions (n, 2) and peak heights (n,)."""

    xy: np.ndarray
    peak: np.ndarray


def _simulate(
    title: str, shape: tuple[int, int], crystal: _Crystal, film: FilmSettings
) -> tuple[Any, SimulatedTruth]:
    """Place the columns, give each its properties, image them and count electrons.

    The order of these steps is that of the random numbers.
    """
    shape = check_shape(shape)
    rng = np.random.default_rng(film.random_state)
    size = np.array([shape[1], shape[0]], float)
    field = FieldMaker(rng, size, _MARGIN * film.cell, film.cell)
    a, b, oxygen, origin, heights = _place_columns(crystal, size, film, rng)
    order = order_parameter(a, b, origin, size, rng, film)
    distortion = _Distortion.draw(field, film, size)
    tilt_angle = field(20 * film.cell) * np.pi
    tilt_size = 1 + 0.3 * field(20 * film.cell)
    composition = field(5 * film.cell, uniform=True)(b)
    b_columns = distortion.apply(b, order.b_moved, heights[1], size, rng)
    b_columns.peak *= 1 + film.chemistry * composition
    b_columns.xy += film.mistilt
    a_columns = distortion.apply(a, order.a_moved, heights[0], size, rng)
    octahedra = OctahedralTilts.draw(b, origin, size, field, film)
    moved = octahedra.of_oxygen(oxygen, b)
    oxygen_columns = distortion.apply(oxygen, moved, film.oxygen, size, rng)

    columns = a_columns, b_columns, oxygen_columns
    xy = np.vstack([one.xy for one in columns])
    peak = np.concatenate([one.peak for one in columns])
    image = _record(shape, xy, peak, film.tilt * tilt_size(xy), tilt_angle(xy), film, rng)
    b_table = _b_table(b_columns, order, octahedra, composition, size, film).assign(
        **surroundings(a, a_columns.xy, b)
    )
    if distortion.twins is not None:
        b_table = b_table.assign(**distortion.twins.truth(b))
    truth = SimulatedTruth(
        _inside(_table(a_columns), shape),
        _inside(b_table, shape),
        order.n_variants,
        float(film.cell),
        order.walls,
        _inside(_table(oxygen_columns), shape),
    )
    return as_signal(image, title, film.pixel_size), truth


def _place_columns(
    crystal: _Crystal, size: np.ndarray, film: FilmSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[Any, Any]]:
    """Positions of A, B and oxygen columns at rest, a corner of a cell, heights of A and B."""
    margin = _MARGIN * film.cell
    grid = crystal.lattice, film.cell, film.rotation, size, margin
    kinds = crystal.a_places, crystal.b_places, crystal.oxygen_places if film.oxygen else []
    origin = rng.uniform(-0.5, 0.5, (2, 2))[1] * film.cell  # two are drawn, one is used
    edge = (1 - film.vacuum) * size[0] if film.vacuum else np.inf
    every = [lattice_points(places, *grid) + origin for places in kinds]
    a, b, oxygen = (xy[xy[:, 0] < edge] for xy in every)
    b = b[:0] if film.one_sublattice else b
    corner = size / 2 + origin
    return a, b, oxygen, corner, peak_heights(a, b, corner, film)


@dataclass
class _Distortion:
    """Displacements and changes of height that all columns of a film share."""

    u: tuple[Any, Any]
    film: FilmSettings
    twins: Twins | None

    @classmethod
    def draw(cls, field: FieldMaker, film: FilmSettings, size: np.ndarray) -> _Distortion:
        """A smooth displacement whose gradient has the strain's root mean square."""
        scale = 6.0 * film.cell
        ux, uy = (field(scale) * film.strain * scale for _ in range(2))
        twins = Twins.draw(size, field.rng, film) if film.twin_strain else None
        return cls((ux, uy), film, twins)

    def apply(
        self,
        rest: np.ndarray,
        displacement: np.ndarray,
        peak: Any,
        size: np.ndarray,
        rng: np.random.Generator,
    ) -> _Columns:
        """Columns moved from their places at rest, with the heights of their thickness."""
        film = self.film
        moved = rest + np.stack([u(rest) for u in self.u], 1) + displacement
        moved += film.disorder * rng.standard_normal(rest.shape)
        if self.twins is not None:
            moved += self.twins.displacement(rest)
        if film.bending:
            moved += bending_field(rest, film.bending, size)
        if film.dislocation is not None:
            moved += dislocation_field(rest, film.dislocation, film.cell, film.rotation)
        thickness = 1 + film.thickness_gradient * (rest[:, 0] / size[0] - 0.5)
        noise = 1 + film.random_composition * rng.standard_normal(len(rest))
        return _Columns(moved, peak * thickness * noise)


def _record(
    shape: tuple[int, int],
    xy: np.ndarray,
    peak: np.ndarray,
    tilt: np.ndarray,
    tilt_angle: np.ndarray,
    film: FilmSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """Image of the columns on their background, in counts."""
    sigma = film.column_width * film.cell
    if any(film.mistilt):
        tilt, tilt_angle = _imaging.elongation(tilt, tilt_angle, film.mistilt, sigma)
    image = _imaging.sum_of_columns(shape, xy, peak, sigma, tilt, tilt_angle, film.scan_jitter, rng)
    image += _imaging.background(shape, film.vacuum, sigma)
    if film.dark:
        image = _imaging.bright_field(image)
    if film.aberration:
        image = _imaging.aberrated(image, film.aberration, film.aberration_shift)
    if np.isfinite(film.dose):
        image = rng.poisson(image * film.dose).astype(np.float32)
    return image


def _table(columns: _Columns) -> pd.DataFrame:
    x, y = columns.xy.T
    return pd.DataFrame({"x": x, "y": y, "amplitude": columns.peak})


def _b_table(
    columns: _Columns,
    order: OrderParameter,
    octahedra: OctahedralTilts,
    composition: np.ndarray,
    size: np.ndarray,
    film: FilmSettings,
) -> pd.DataFrame:
    """Truth of the B columns."""
    edge = np.minimum(columns.xy, size - 1 - columns.xy).min(1) / film.cell
    return _table(columns).assign(
        displacement_x=order.displacement[:, 0],
        displacement_y=order.displacement[:, 1],
        variant=order.variant,
        angle=order.angle,
        order=order.order,
        chemistry=composition,
        wall_distance=order.wall_distance,
        edge_distance=edge,
        chirality=order.chirality,
        octahedral_tilt=octahedra.angle,
        tilt_domain=octahedra.domain,
        tilt_wall_distance=octahedra.wall_distance,
    )


def _inside(table: pd.DataFrame, shape: tuple[int, int]) -> pd.DataFrame:
    keep = table.x.between(0, shape[1] - 1) & table.y.between(0, shape[0] - 1)
    return table[keep].reset_index(drop=True)


def as_signal(image: np.ndarray, title: str, pixel_size: float) -> Any:
    """Image in counts as a signal, calibrated in nm."""
    signal = hs.signals.Signal2D(image)
    signal.metadata.General.title = title
    signal.metadata.Signal.quantity = "Intensity (counts)"
    for axis, name in zip(signal.axes_manager.signal_axes, "xy", strict=True):
        axis.name, axis.units, axis.scale = name, "nm", pixel_size
    return signal
