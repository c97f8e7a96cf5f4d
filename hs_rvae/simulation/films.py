# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ferroic images with known variant, angle, displacement, chemistry and noise.

The images are sums of elliptical Gaussian columns with a broad tail, scanned row by row and
counted with Poisson statistics. They are not multislice simulations: they know which displacement,
chemistry and tilt each column was given, which is what a figure of merit needs.
"""

from dataclasses import dataclass

import hyperspy.api as hs
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, map_coordinates

from hs_rvae import imaging as _imaging

__all__ = ["SimulatedTruth", "compare_angles", "simulate_hexagonal", "simulate_perovskite"]


@dataclass
class SimulatedTruth:
    """What a simulated image was made from.

    Attributes
    ----------
    a_sites, b_sites : pandas.DataFrame
        One row per column inside the image. Columns ``x``, ``y`` (px, as imaged without scan
        jitter), ``amplitude`` (peak height, units of an A column) and, in ``b_sites``,
        ``displacement_x``, ``displacement_y`` (px, from the centre of the undistorted cell),
        ``variant`` (-1 = not polar), ``angle`` (rad, direction of the variant, NaN = not polar),
        ``order`` (length of the displacement in units of ``shift``), ``chemistry`` (-1 to 1),
        ``wall_distance`` and ``edge_distance`` (cells).
    n_variants : int
        Number of equally spaced directions.
    cell : float
        Lattice parameter in px.
    """

    a_sites: pd.DataFrame
    b_sites: pd.DataFrame
    n_variants: int
    cell: float

    def interior(self, distance=2.0):
        """Polar B sites away from walls and from the border of the image.

        Parameters
        ----------
        distance : float
            Least distance from both, in cells.

        Returns
        -------
        numpy.ndarray of bool, shape (n_sites,)
        """
        b = self.b_sites
        return (
            (b.variant >= 0) & (b.wall_distance > distance) & (b.edge_distance > distance)
        ).to_numpy()


def simulate_perovskite(
    shape=(1200, 1200),
    *,
    cell=26.0,
    rotation=0.0,
    n_variants=4,
    shift=1.8,
    direction=45.0,
    domain_size=12.0,
    wall_width=0.8,
    nonpolar=0.0,
    chemistry=0.35,
    thickness_gradient=0.2,
    tilt=0.06,
    strain=0.005,
    scan_jitter=0.1,
    dose=150.0,
    column_width=0.11,
    disorder=0.05,
    pixel_size=0.015,
    aspect=1.0,
    b_amplitude=0.35,
    one_sublattice=False,
    layers=None,
    vacuum=0.0,
    dark=False,
    dislocation=None,
    random_state=None,
):
    """Simulate an [001] image of a ferroelectric perovskite with known truth.

    Heavy A columns on the corners of a square lattice, light B columns in the cells, displaced in
    one of ``n_variants`` directions per domain.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    cell : float
        Lattice parameter in px.
    rotation : float
        Of the lattice, in degrees, from +x towards +y (clockwise on screen).
    n_variants : int
        2 or 4: domains whose displacements are 180 or 90 degrees apart.
    shift : float
        Length of the B displacement inside a domain, in px.
    direction : float
        Of variant 0 with respect to the lattice, in degrees.
    domain_size : float
        Mean diameter of a domain, in cells.
    wall_width : float
        Half width of a domain wall, in cells: the displacement goes as tanh(distance / width).
    nonpolar : float
        Share of the image (a disk) without displacement.
    chemistry : float
        Relative variation of the B peak height: it runs from 1 - chemistry to 1 + chemistry.
    thickness_gradient : float
        Relative change of all peak heights across the image.
    tilt : float
        Relative elongation of the columns along a direction that turns slowly over the image.
    strain : float
        Root mean square of a smooth lattice strain.
    scan_jitter : float
        Root mean square of the horizontal offset of each scan row, in px.
    dose : float
        Counts per pixel at the peak of an A column; ``numpy.inf`` gives a noise-free image.
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
    layers : sequence of (int, float, float), optional
        A superlattice along the second edge of the cell instead of ``b_amplitude``: thickness in
        cells, peak heights of A and B, repeated. A stays at the corners even where B is brighter.
    vacuum : float
        Share of the image, at its right side, without crystal.
    dark : bool
        Dark columns on a bright background, as in annular bright field.
    dislocation : tuple of float, optional
        Core ``(x, y)`` of an edge dislocation in an isotropic medium, in px; its Burgers vector is
        the first edge of the cell.
    random_state : int or numpy.random.Generator, optional
        Seed of everything random.

    Returns
    -------
    image : hyperspy.api.signals.Signal2D
        Calibrated in nm, in counts.
    truth : SimulatedTruth
        What each column was given.

    Raises
    ------
    ValueError
        If ``n_variants`` is not 2 or 4, a length is not positive, or ``vacuum`` is not in [0, 1).

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    >>> image
    <Signal2D, title: Simulated perovskite, dimensions: (|256, 256)>
    """
    settings = {k: v for k, v in locals().items() if k != "shape"}
    lattice = np.array([[1.0, 0.0], [0.0, aspect]])
    motif = {"A": [(0.0, 0.0)], "B": [(0.5, 0.5)]}
    if n_variants not in (2, 4):
        raise ValueError(f"n_variants={n_variants}: a square lattice has 2 or 4 variants here.")
    return _simulate("Simulated perovskite", shape, lattice, motif, **settings)


def simulate_hexagonal(shape=(1200, 1200), *, cell=26.0, n_variants=6, direction=0.0, **settings):
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
        Of variant 0 with respect to the lattice, in degrees.
    **settings
        The other parameters of :func:`simulate_perovskite`, with the same defaults.

    Returns
    -------
    image : hyperspy.api.signals.Signal2D
        Calibrated in nm, in counts.
    truth : SimulatedTruth
        What each column was given.

    Raises
    ------
    ValueError
        If ``n_variants`` is not 3 or 6.

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
    lattice = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    motif = {"A": [(1 / 3, 1 / 3), (2 / 3, 2 / 3)], "B": [(0.0, 0.0)]}
    defaults = dict(simulate_perovskite.__kwdefaults__)
    unknown = set(settings) - set(defaults)
    if unknown:
        raise TypeError(f"unknown parameters {sorted(unknown)}; there are {sorted(defaults)}.")
    defaults.update(settings, cell=cell, n_variants=n_variants, direction=direction)
    defaults["column_width"] = settings.get("column_width", 0.10)  # A columns are closer together
    return _simulate("Simulated hexagonal crystal", shape, lattice, motif, **defaults)


def compare_angles(angle, true_angle, n_variants):
    """Compare angles with the truth after one global offset.

    The rVAE's angle has an arbitrary zero. One offset for all sites, the circular mean of the
    differences, removes it; then each angle is assigned to the nearest of the true wells.

    Parameters
    ----------
    angle, true_angle : numpy.ndarray, shape (n_sites,)
        In radians; true angles are those of the wells.
    n_variants : int
        Number of equally spaced wells.

    Returns
    -------
    dict
        ``ari`` (adjusted Rand index of nearest well against true variant), ``mean_error``
        (degrees, mean absolute difference), ``share_right`` (share of sites in the right well),
        ``offset`` (rad).

    Examples
    --------
    >>> import numpy as np
    >>> true = np.repeat([0, np.pi / 2, np.pi, -np.pi / 2], 5)
    >>> compare_angles(true + 1.0, true, 4)["ari"]
    1.0
    """
    from sklearn.metrics import adjusted_rand_score

    angle, true_angle = np.asarray(angle, float), np.asarray(true_angle, float)
    finite = np.isfinite(angle) & np.isfinite(true_angle)
    angle, true_angle = angle[finite], true_angle[finite]
    difference = np.exp(1j * (angle - true_angle))
    # First the well (the most frequent difference), then the offset inside it: a plain mean would
    # be drawn away by sites in the wrong well.
    inside = np.angle(np.mean(difference**n_variants)) / n_variants
    wells = inside + 2 * np.pi * np.arange(n_variants) / n_variants
    votes = [
        (np.cos(np.angle(difference * np.exp(-1j * w))) > np.cos(np.pi / n_variants)).sum()
        for w in wells
    ]
    offset = wells[int(np.argmax(votes))]
    width = 2 * np.pi / n_variants
    origin = np.angle(np.mean(np.exp(1j * n_variants * true_angle))) / n_variants
    found = np.round((angle - offset - origin) / width).astype(int) % n_variants
    true = np.round((true_angle - origin) / width).astype(int) % n_variants
    error = np.abs(np.angle(difference * np.exp(-1j * offset)))
    return {
        "ari": float(adjusted_rand_score(true, found)),
        "mean_error": float(np.degrees(error.mean())),
        "share_right": float((found == true).mean()),
        "offset": float(np.angle(np.exp(1j * offset))),
    }


def _simulate(title, shape, lattice, motif, *, cell, rotation, random_state, **p):
    """Lay out the columns, give each its properties, image them and count electrons."""
    for name, value in {"cell": cell, **p}.items():
        if name in ("dose", "pixel_size", "aspect", "cell") and not value > 0:
            raise ValueError(f"{name}={value}: give a positive number.")
    if not 0 <= p["vacuum"] < 1:
        raise ValueError(f"vacuum={p['vacuum']}: give a share of the image, 0 up to 1.")
    rng = np.random.default_rng(random_state)
    margin = 3 * cell
    size = np.array([shape[1], shape[0]], float)
    field = _FieldMaker(rng, size, margin, cell)
    a = _lattice_points(lattice, motif["A"], cell, rotation, size, margin, rng)
    b = _lattice_points(lattice, motif["B"], cell, rotation, size, margin, rng)
    offset = b["origin"]
    edge = (1 - p["vacuum"]) * size[0] if p["vacuum"] else np.inf
    a, b = (xy[xy[:, 0] < edge] for xy in (a["points"] + offset, b["points"] + offset))
    b = b[:0] if p["one_sublattice"] else b
    a_height, b_height = _peak_heights(a, b, size / 2 + offset, cell, rotation, p)

    order = _order_parameter(b, size, cell, rotation, rng, p)
    # strain: a smooth displacement u whose gradient has the asked root mean square
    scale = 6.0 * cell
    ux, uy = (field(scale) * p["strain"] * scale for _ in range(2))
    tilt_angle, tilt_size = field(20 * cell) * np.pi, 1 + 0.3 * field(20 * cell)
    chemical = field(5 * cell, uniform=True)

    def finish(xy, displacement, peak):
        moved = xy + np.stack([ux(xy), uy(xy)], 1) + displacement
        moved += p["disorder"] * rng.standard_normal(xy.shape)
        if p["dislocation"] is not None:
            moved += _dislocation_field(xy, p["dislocation"], cell, rotation)
        thickness = 1 + p["thickness_gradient"] * (xy[:, 0] / size[0] - 0.5)
        noise = 1 + 0.05 * rng.standard_normal(len(xy))
        return moved, peak * thickness * noise

    composition = chemical(b)
    b_xy, b_peak = finish(b, order["displacement"], b_height)
    b_peak *= 1 + p["chemistry"] * composition
    a_xy, a_peak = finish(a, np.zeros_like(a), a_height)

    xy, peak = np.vstack([a_xy, b_xy]), np.concatenate([a_peak, b_peak])
    sigma = p["column_width"] * cell
    image = _imaging.sum_of_columns(
        shape, xy, peak, sigma, p["tilt"] * tilt_size(xy), tilt_angle(xy), p["scan_jitter"], rng
    )
    image += _imaging.background(shape, p["vacuum"], sigma)
    if p["dark"]:
        image = _imaging.bright_field(image)
    if np.isfinite(p["dose"]):
        image = rng.poisson(image * p["dose"]).astype(np.float32)

    truth = SimulatedTruth(
        _inside(pd.DataFrame({"x": a_xy[:, 0], "y": a_xy[:, 1], "amplitude": a_peak}), shape),
        _inside(
            pd.DataFrame(
                {
                    "x": b_xy[:, 0],
                    "y": b_xy[:, 1],
                    "amplitude": b_peak,
                    "displacement_x": order["displacement"][:, 0],
                    "displacement_y": order["displacement"][:, 1],
                    "variant": order["variant"],
                    "angle": order["angle"],
                    "order": order["order"],
                    "chemistry": composition,
                    "wall_distance": order["wall_distance"],
                    "edge_distance": np.minimum(b_xy, size - 1 - b_xy).min(1) / cell,
                }
            ),
            shape,
        ),
        p["n_variants"],
        float(cell),
    )
    return _as_signal(image, title, p["pixel_size"]), truth


def _lattice_points(lattice, motif, cell, rotation, size, margin, rng):
    """Points of a lattice with a motif that cover the image and a margin around it."""
    turn = np.radians(rotation)
    turn = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    reach = 1.5 * (np.hypot(*size) + 2 * margin) / cell
    reach = int(np.ceil(reach / min(1.0, np.linalg.norm(lattice, axis=1).min())))
    i, j = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    index = np.stack([i.ravel(), j.ravel()], 1)
    points = np.vstack([(index + np.array(m)) @ lattice for m in motif]) * cell @ turn + size / 2
    keep = ((points > -margin) & (points < size + margin)).all(1)
    return {"points": points[keep], "origin": rng.uniform(-0.5, 0.5, 2) * cell}


def _peak_heights(a, b, origin, cell, rotation, p):
    """Peak heights of A and B columns: two numbers, or one per column in a superlattice."""
    if p["layers"] is None:
        return 1.0, p["b_amplitude"]
    cells, a_height, b_height = np.array(list(p["layers"]), float).T
    turn = np.radians(rotation)
    along = np.array([-np.sin(turn), np.cos(turn)]) / (cell * p["aspect"])
    # A columns stand at whole numbers along the edge, B columns at halves.
    layer = [np.floor((xy - origin) @ along + 0.25) % cells.sum() for xy in (a, b)]
    layer = [np.searchsorted(np.cumsum(cells), number, side="right") for number in layer]
    return a_height[layer[0]], b_height[layer[1]]


def _dislocation_field(xy, core, cell, rotation, poisson=0.3):
    """Displacement around an edge dislocation in an isotropic medium.

    J. P. Hirth, J. Lothe, Theory of Dislocations, section 3-5. The cut, across which columns move
    by one cell, lies along the negative first edge of the cell.
    """
    turn = np.radians(rotation)
    turn = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    x, y = (turn @ (xy - np.asarray(core, float)).T) / cell
    square = np.maximum(x**2 + y**2, 0.01)
    along = np.arctan2(y, x) + x * y / (2 * (1 - poisson) * square)
    across = (1 - 2 * poisson) * np.log(square) + (x**2 - y**2) / square
    field = np.stack([along, -across / (4 * (1 - poisson))], 1)
    return cell / (2 * np.pi) * field @ turn


def _order_parameter(xy, size, cell, rotation, rng, p):
    """Displacement of every B column: domains with tanh walls, and a non-polar disk."""
    n_variants, area = p["n_variants"], np.prod(size) / cell**2
    n_domains = max(2 * n_variants, int(round(area / p["domain_size"] ** 2)))
    seeds = rng.uniform(-0.1, 1.1, (n_domains, 2)) * size
    seed_variant = rng.permutation(np.arange(n_domains) % n_variants)
    step = 2 * np.pi / n_variants
    well = np.radians(rotation + p["direction"]) + step * np.arange(n_variants)

    # The wall is where the nearest seed of another variant is as near as the nearest seed.
    distance = np.stack(
        [
            np.linalg.norm(xy[:, None] - seeds[seed_variant == v], axis=2).min(1)
            for v in range(n_variants)
        ],
        1,
    )
    ranked = np.argsort(distance, 1)
    rows = np.arange(len(xy))
    first, second = ranked[:, 0], ranked[:, 1]
    wall = (distance[rows, second] - distance[rows, first]) / 2 / cell
    share = 0.5 * (1 + np.tanh(wall / p["wall_width"]))[:, None]
    unit = np.stack([np.cos(well), np.sin(well)], 1)
    vector = unit[first] * share + unit[second] * (1 - share)

    variant, angle = first.copy(), np.angle(np.exp(1j * well[first]))
    if p["nonpolar"] > 0:
        radius = np.sqrt(p["nonpolar"] * np.prod(size) / np.pi)
        centre = size / 2 + 0.1 * size * rng.uniform(-1, 1, 2)
        outside = (np.linalg.norm(xy - centre, axis=1) - radius) / cell
        vector *= 0.5 * (1 + np.tanh(outside / p["wall_width"]))[:, None]
        variant[outside < 0], angle[outside < 0] = -1, np.nan
        wall = np.minimum(wall, np.abs(outside))
    return {
        "displacement": p["shift"] * vector,
        "order": np.linalg.norm(vector, axis=1),
        "variant": variant,
        "angle": angle,
        "wall_distance": wall,
    }


class _FieldMaker:
    """Smooth random fields of unit variance (or uniform in [-1, 1]), as functions of position."""

    def __init__(self, rng, size, margin, cell):
        self.rng, self.margin, self.grid = rng, margin, cell
        self.n = np.ceil((size + 2 * margin) / self.grid).astype(int)[::-1] + 1

    def __call__(self, length, uniform=False):
        noise = gaussian_filter(
            self.rng.standard_normal(self.n), length / self.grid / 2, mode="reflect"
        )
        noise = (noise - noise.mean()) / (noise.std() + 1e-12)
        if uniform:
            noise = (
                2 * noise.ravel().argsort().argsort().reshape(noise.shape) / (noise.size - 1) - 1
            )
        return _Field(noise, self.margin, self.grid)


@dataclass
class _Field:
    values: np.ndarray
    margin: float
    grid: float

    def __call__(self, xy):
        where = (xy[:, ::-1].T + self.margin) / self.grid
        return map_coordinates(self.values, where, order=1, mode="nearest")

    def __mul__(self, factor):
        return _Field(self.values * factor, self.margin, self.grid)

    def __rmul__(self, factor):
        return self * factor

    def __radd__(self, constant):
        return _Field(self.values + constant, self.margin, self.grid)


def _inside(table, shape):
    keep = table.x.between(0, shape[1] - 1) & table.y.between(0, shape[0] - 1)
    return table[keep].reset_index(drop=True)


def _as_signal(image, title, pixel_size):
    signal = hs.signals.Signal2D(image)
    signal.metadata.General.title = title
    signal.metadata.Signal.quantity = "Intensity (counts)"
    for axis, name in zip(signal.axes_manager.signal_axes, "xy", strict=True):
        axis.name, axis.units, axis.scale = name, "nm", pixel_size
    return signal
